/*
 * The floor: the least that fan-out by one write for each delivery can cost. One thread, epoll, no order beyond its
 * own, no memory, no checks. GET opens an event stream; POST is written to each of them, then answered with 201.
 *
 * Its events carry an id of the usual length, so that it writes as many bytes as the others.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

enum { request_room = 128 * 1024, head_room = 512 };

typedef struct {
  int fd;
  /* Where it stands among the streams; -1 when it is none. */
  int stream;
  char *request;
  size_t request_bytes;
} peer;

static int loop;
static peer **streams;
static int stream_count, stream_room;
static unsigned event_count;
static char event[head_room + request_room];

static void give_up(const char *what) {
  perror(what);
  exit(1);
}

static void drop(peer *p) {
  if (p->stream >= 0) {
    streams[p->stream] = streams[--stream_count];
    streams[p->stream]->stream = p->stream;
  }
  close(p->fd);
  free(p->request);
  free(p);
}

/* Waits for a peer whose buffer is full: nothing may be lost here either. Gives 0 when it has gone. */
static int write_all(int fd, const char *bytes, size_t length) {
  while (length > 0) {
    ssize_t done = write(fd, bytes, length);
    if (done < 0 && errno == EAGAIN) {
      poll(&(struct pollfd){.fd = fd, .events = POLLOUT}, 1, -1);
      continue;
    }
    if (done < 0) return 0;
    bytes += done;
    length -= (size_t)done;
  }
  return 1;
}

static void open_stream(peer *p) {
  static const char head[] = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nCache-Control: no-cache\r\n\r\n";
  if (stream_count == stream_room) {
    stream_room = stream_room ? 2 * stream_room : 1024;
    streams = realloc(streams, (size_t)stream_room * sizeof *streams);
  }
  p->stream = stream_count;
  streams[stream_count++] = p;
  free(p->request);
  p->request = NULL;
  p->request_bytes = 0;
  write_all(p->fd, head, sizeof head - 1);
}

static void publish(const char *payload, size_t bytes) {
  size_t length = (size_t)snprintf(event, head_room, "id: 0123456789ab-%08u\ndata: ", ++event_count);
  memcpy(event + length, payload, bytes);
  length += bytes;
  event[length++] = '\n';
  event[length++] = '\n';
  /* A stream that has gone is noticed when it is read. */
  for (int i = 0; i < stream_count; i++) write_all(streams[i]->fd, event, length);
}

/* Serves what is whole in the buffer; one request at a time, as our publishers send them. */
static void serve(peer *p) {
  static const char created[] = "HTTP/1.1 201 Created\r\nContent-Length: 0\r\n\r\n";
  char *end = memmem(p->request, p->request_bytes, "\r\n\r\n", 4);
  if (!end) return;
  if (p->request[0] == 'G') return open_stream(p);
  const char *length = strcasestr(p->request, "\r\ncontent-length:");
  size_t head = (size_t)(end - p->request) + 4, body = length ? strtoul(length + 17, NULL, 10) : 0;
  if (p->request_bytes < head + body) return;
  publish(p->request + head, body);
  p->request_bytes = 0;
  write_all(p->fd, created, sizeof created - 1);
}

static void take(peer *p) {
  char unread[4096];
  char *to = p->stream >= 0 ? unread : p->request + p->request_bytes;
  size_t room = p->stream >= 0 ? sizeof unread : request_room - 1 - p->request_bytes;
  ssize_t got = recv(p->fd, to, room, 0);
  if (got < 0 && errno == EAGAIN) return;
  if (got <= 0) return drop(p);
  if (p->stream >= 0) return;
  p->request_bytes += (size_t)got;
  p->request[p->request_bytes] = 0;
  serve(p);
}

static void accept_all(int listener) {
  for (int fd; (fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0;) {
    int on = 1;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    peer *p = calloc(1, sizeof *p);
    p->fd = fd;
    p->stream = -1;
    p->request = malloc(request_room);
    epoll_ctl(loop, EPOLL_CTL_ADD, fd, &(struct epoll_event){.events = EPOLLIN, .data.ptr = p});
  }
}

int main(void) {
  struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  socklen_t length = sizeof address;
  int listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (bind(listener, (struct sockaddr *)&address, sizeof address) < 0 || listen(listener, 4096) < 0) give_up("listen");
  getsockname(listener, (struct sockaddr *)&address, &length);
  loop = epoll_create1(EPOLL_CLOEXEC);
  epoll_ctl(loop, EPOLL_CTL_ADD, listener, &(struct epoll_event){.events = EPOLLIN, .data.ptr = NULL});
  printf("{\"address\":\"127.0.0.1:%u\"}\n", ntohs(address.sin_port));
  fflush(stdout);
  for (;;) {
    struct epoll_event events[256];
    int count = epoll_wait(loop, events, 256, -1);
    for (int i = 0; i < count; i++) {
      if (events[i].data.ptr) take(events[i].data.ptr);
      else accept_all(listener);
    }
  }
}
