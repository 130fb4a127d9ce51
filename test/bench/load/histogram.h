/* Latencies in buckets that are at most 1.6 % wide, so that millions of them cost a fixed 16 KB and no sorting. */
#ifndef HISTOGRAM_H
#define HISTOGRAM_H

#include <stdint.h>
#include <string.h>

/* Sub-buckets of each power of two. */
enum { histogram_steps = 64, histogram_buckets = 27 * histogram_steps };

typedef struct {
  uint64_t counts[histogram_buckets];
  uint64_t total;
  uint32_t max_us;
} histogram;

static inline void histogram_reset(histogram *h) { memset(h, 0, sizeof *h); }

static inline void histogram_add(histogram *h, uint32_t us) {
  uint32_t at = us;
  if (us >= histogram_steps) {
    uint32_t shift = 25u - (uint32_t)__builtin_clz(us);
    at = (shift + 1) * histogram_steps + (us >> shift) - histogram_steps;
  }
  h->counts[at]++;
  h->total++;
  if (us > h->max_us) h->max_us = us;
}

/* The upper end of the bucket that holds this share of all. */
static inline uint32_t histogram_quantile(const histogram *h, double share) {
  uint64_t wanted = (uint64_t)(share * (double)h->total), seen = 0;
  for (uint32_t at = 0; at < histogram_buckets; at++) {
    seen += h->counts[at];
    if (seen <= wanted) continue;
    if (at < histogram_steps) return at;
    uint32_t shift = at / histogram_steps - 1;
    uint32_t end = ((at % histogram_steps + histogram_steps + 1) << shift) - 1;
    return end < h->max_us ? end : h->max_us;
  }
  return h->max_us;
}

#endif
