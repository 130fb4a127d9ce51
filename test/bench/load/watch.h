/* What the event loop knows of a socket: whom to call when something can be done with it. */
#ifndef WATCH_H
#define WATCH_H

#include <stdint.h>

typedef struct watch watch;

struct watch {
  void (*ready)(watch *self, uint32_t events);
};

/* Begins to watch a descriptor, or changes what it is watched for (EPOLLIN, EPOLLOUT). */
void watch_add(int fd, watch *who, uint32_t events);
void watch_change(int fd, watch *who, uint32_t events);

/* Says why and ends the process: the harness reads the line. */
void fail(const char *what, const char *detail) __attribute__((noreturn));

#endif
