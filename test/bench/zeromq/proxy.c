/* libzmq's own proxy between PULL and PUB: no order across sockets, no ids, no memory. Tells where it listens. */
#include "programs.h"

static const char *bind_anywhere(void *socket, char *endpoint, size_t room) {
  check(zmq_bind(socket, "tcp://127.0.0.1:*") == 0, "bind");
  zmq_getsockopt(socket, ZMQ_LAST_ENDPOINT, endpoint, &room);
  return endpoint;
}

int main(void) {
  void *context = zmq_ctx_new();
  void *pull = open_socket(context, ZMQ_PULL, 0), *pub = open_socket(context, ZMQ_PUB, 1);
  char in[64], out[64];
  printf("{\"push\":\"%s\",\"subscribe\":\"%s\"}\n", bind_anywhere(pull, in, sizeof in), bind_anywhere(pub, out, sizeof out));
  fflush(stdout);
  zmq_proxy(pull, pub, NULL);
}
