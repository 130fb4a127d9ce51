/*
 * Takes numbered messages, one frame each, and checks them. Usage: subscriber ENDPOINT
 *   join            answers when anything has come
 *   expect count=   answers when so many messages have come since the last answer, or nothing has for a while
 */
#include <unistd.h>
#include "../load/clock.h"
#include "../load/histogram.h"
#include "../load/payload.h"
#include "programs.h"

/* When nothing has come for so long, what is missing will not come. */
static const uint64_t patience_us = 5 * 1000 * 1000;

static uint64_t frames, received, repeated, disordered, strange, last_us, run_bytes;
static uint32_t next_number;
static histogram latency;

static void take(const char *data, size_t bytes) {
  uint32_t number, sent_us;
  frames++;
  if (bytes == 1) return;
  last_us = clock_us();
  /* All of a run have one size. */
  if (run_bytes == 0) run_bytes = bytes;
  if (bytes != run_bytes || !payload_read(data, (uint32_t)bytes, &number, &sent_us)) {
    strange++;
  } else if (number < next_number) {
    repeated++;
  } else {
    if (number > next_number) disordered++;
    next_number = number + 1;
    received++;
    histogram_add(&latency, (uint32_t)last_us - sent_us);
  }
}

static void answer(uint64_t count) {
  printf("{\"received\":%lu,\"missing\":%lu,\"repeated\":%lu,\"disordered\":%lu,\"strange\":%lu,\"lastUs\":%lu,"
         "\"p50Us\":%u,\"p99Us\":%u,\"p999Us\":%u}\n",
         received, count > received ? count - received : 0, repeated, disordered, strange, last_us,
         histogram_quantile(&latency, 0.5), histogram_quantile(&latency, 0.99), histogram_quantile(&latency, 0.999));
  fflush(stdout);
  received = repeated = disordered = strange = next_number = run_bytes = 0;
  histogram_reset(&latency);
}

int main(int argc, char **argv) {
  static char line[256];
  if (argc != 2) return 2;
  setvbuf(stdin, NULL, _IONBF, 0);
  void *sub = open_socket(zmq_ctx_new(), ZMQ_SUB, 1);
  check(zmq_connect(sub, argv[1]) == 0, argv[1]);
  int is_waiting = 0;
  uint64_t wanted = 0, moved_us = 0, seen = 0;
  for (;;) {
    zmq_pollitem_t items[] = {{.socket = sub, .events = ZMQ_POLLIN}, {.fd = STDIN_FILENO, .events = is_waiting ? 0 : ZMQ_POLLIN}};
    zmq_poll(items, 2, 100);
    zmq_msg_t message;
    zmq_msg_init(&message);
    /* In bursts: a poll for each message would cost more than the message. */
    for (int i = 0; i < 1000 && zmq_msg_recv(&message, sub, ZMQ_DONTWAIT) >= 0; i++)
      take(zmq_msg_data(&message), zmq_msg_size(&message));
    zmq_msg_close(&message);
    if (items[1].revents && !is_waiting) {
      if (!fgets(line, sizeof line, stdin)) return 0;
      is_waiting = 1;
      wanted = line[0] == 'j' ? 0 : (uint64_t)word(line, "count=", 0);
      moved_us = clock_us();
    }
    if (frames != seen) moved_us = clock_us();
    seen = frames;
    int is_done = wanted == 0 ? frames > 0 : received >= wanted;
    if (!is_waiting || !(is_done || clock_us() - moved_us > patience_us)) continue;
    is_waiting = 0;
    answer(wanted);
  }
}
