/* What our programs over libzmq have in common: they are told what to do by lines, and answer with lines of JSON. */
#ifndef PROGRAMS_H
#define PROGRAMS_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zmq.h>

static inline void check(int is_well, const char *what) {
  if (is_well) return;
  fprintf(stderr, "%s: %s\n", what, zmq_strerror(zmq_errno()));
  exit(1);
}

/* A socket without bounds that would lose messages, and that keeps nobody waiting at the end. */
static inline void *open_socket(void *context, int type, int is_unbounded) {
  int none = 0;
  void *socket = zmq_socket(context, type);
  zmq_setsockopt(socket, ZMQ_LINGER, &none, sizeof none);
  if (is_unbounded) zmq_setsockopt(socket, type == ZMQ_SUB ? ZMQ_RCVHWM : ZMQ_SNDHWM, &none, sizeof none);
  if (type == ZMQ_SUB) zmq_setsockopt(socket, ZMQ_SUBSCRIBE, "", 0);
  return socket;
}

/* The number after `name=` in a line. */
static inline double word(const char *line, const char *name, double otherwise) {
  const char *at = strstr(line, name);
  return at ? strtod(at + strlen(name), NULL) : otherwise;
}

#endif
