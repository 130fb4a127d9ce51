/*
 * Pushes numbered messages, one frame each, as fast as they are taken. Usage: publisher ENDPOINT
 *   mark                       sends a frame that is no message: whoever gets it has joined
 *   send seconds=|count= bytes=
 */
#include "../load/clock.h"
#include "../load/payload.h"
#include "programs.h"

/* How often the clock is looked at. */
enum { burst = 256 };

static uint32_t send_all(void *push, double seconds, uint32_t count, uint32_t bytes) {
  char *payload = malloc(bytes);
  uint64_t end_us = clock_us() + (uint64_t)(seconds * 1e6);
  uint32_t sent = 0;
  while (count > 0 ? sent < count : sent % burst > 0 || clock_us() < end_us) {
    payload_write(payload, bytes, sent++, (uint32_t)clock_us());
    check(zmq_send(push, payload, bytes, 0) == (int)bytes, "send");
  }
  free(payload);
  return sent;
}

int main(int argc, char **argv) {
  static char line[256];
  if (argc != 2) return 2;
  void *push = open_socket(zmq_ctx_new(), ZMQ_PUSH, 0);
  check(zmq_connect(push, argv[1]) == 0, argv[1]);
  while (fgets(line, sizeof line, stdin)) {
    uint64_t started_us = clock_us();
    uint32_t count = 0;
    if (line[0] == 'm') check(zmq_send(push, "m", 1, 0) == 1, "send");
    else count = send_all(push, word(line, "seconds=", 0), (uint32_t)word(line, "count=", 0), (uint32_t)word(line, "bytes=", 100));
    printf("{\"count\":%u,\"startedUs\":%llu}\n", count, (unsigned long long)started_us);
    fflush(stdout);
  }
}
