/*
 * What a message carries, in text so that every way takes it as it is: eight hexadecimal digits of its number, eight
 * of the microsecond at which it was sent (which wrap after 71 minutes, so that differences still hold), then dots.
 */
#ifndef PAYLOAD_H
#define PAYLOAD_H

#include <stdint.h>
#include <string.h>

enum { payload_head_bytes = 16 };

static inline void payload_write_number(char *at, uint32_t number) {
  for (int digit = 7; digit >= 0; digit--, number >>= 4) at[digit] = "0123456789abcdef"[number & 15];
}

/* Writes `bytes` bytes; fewer than the head takes cannot be asked for. */
static inline void payload_write(char *at, uint32_t bytes, uint32_t number, uint32_t sent_us) {
  payload_write_number(at, number);
  payload_write_number(at + 8, sent_us);
  memset(at + payload_head_bytes, '.', bytes - payload_head_bytes);
}

/* Gives 0 when these are not eight digits. */
static inline int payload_read_number(const char *at, uint32_t *number) {
  uint32_t value = 0;
  for (int i = 0; i < 8; i++) {
    char c = at[i];
    uint32_t digit = c >= '0' && c <= '9' ? (uint32_t)(c - '0') : c >= 'a' && c <= 'f' ? (uint32_t)(c - 'a' + 10) : 16;
    if (digit == 16) return 0;
    value = value << 4 | digit;
  }
  *number = value;
  return 1;
}

static inline int payload_read(const char *at, uint32_t bytes, uint32_t *number, uint32_t *sent_us) {
  return bytes >= payload_head_bytes && payload_read_number(at, number) && payload_read_number(at + 8, sent_us);
}

#endif
