#include "subscribers.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>
#include "address.h"
#include "body.h"
#include "clock.h"
#include "command.h"
#include "frame.h"
#include "ledger.h"
#include "watch.h"

/* Connections under way at once: less than the queue of any server for those that it has not accepted yet. */
enum { max_opening = 128 };
enum { read_bytes = 256 * 1024, carry_room = 1024 * 1024 };

typedef struct {
  watch watch; /* first, so that the loop's pointer is ours */
  int fd;
  uint32_t index, class, place;
  uint8_t has_head, is_chunked, is_begun, is_ended;
  chunk_state chunk;
  event_state event;
  /* What was read and is not whole yet. */
  char *carry;
  uint32_t carry_bytes;
} subscriber;

static subscriber_plan plan;
static subscriber **all;
static uint32_t all_count, wanted_count, begun_count, opening_count, ended_count;
static char last_id[128];
static uint64_t now_us;

/* One for all: only what is not whole is kept per connection. */
static char buffer[carry_room + read_bytes];

static void on_begun(void *owner) {
  subscriber *s = owner;
  if (s->is_begun) return;
  s->is_begun = 1;
  begun_count++;
  opening_count--;
}

static void on_message(void *owner, const char *payload, uint32_t bytes) {
  subscriber *s = owner;
  ledger_received(s->class, &s->place, payload, bytes, now_us);
}

static void on_id(void *owner, const char *id, size_t bytes) {
  subscriber *s = owner;
  if (plan.begin == begin_at_id) on_begun(s);
  if (s->index > 0 || bytes >= sizeof last_id) return;
  memcpy(last_id, id, bytes);
  last_id[bytes] = 0;
}

static void on_gap(void *owner) {
  (void)owner;
  ledger.gaps++;
}

static void on_strange(void *owner) {
  (void)owner;
  ledger.strange++;
}

/* What goes wrong comes with the reading: a server that has closed need not take our answer. */
static void on_answer(void *owner, uint8_t opcode, const char *payload, size_t bytes) {
  subscriber *s = owner;
  char answer[frame_max_answer];
  send(s->fd, answer, frame_write(answer, opcode, payload, bytes), MSG_NOSIGNAL);
}

static const body_listener listener = {on_message, on_id, on_gap, on_strange, on_begun, on_answer};

/* A handshake (RFC 6455, section 4.1), with one key for all: so every server must accept it with the same word. */
static const char upgrade[] = "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
                              "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n";
static const char accepted[] = "ICX+Yqv66kxgM0FcWaLWlFLwTAI=\r\n";

static void ask(subscriber *s) {
  static char path[256 * 1024], request[256 * 1024 + 512];
  place_names names = {.class = s->class, .connection = s->index};
  size_t length = command_expand(path, sizeof path, plan.path, names);
  for (names.extra = 0; names.extra < plan.extras; names.extra++)
    length += command_expand(path + length, sizeof path - length, plan.extra, names);
  const char *wish = plan.protocol == speak_sse ? "Accept: text/event-stream\r\n" : upgrade;
  int bytes = snprintf(request, sizeof request, "GET %s HTTP/1.1\r\nHost: localhost\r\n%s%s%s\r\n", path, wish,
                       plan.header ? plan.header : "", plan.header ? "\r\n" : "");
  if (send(s->fd, request, (size_t)bytes, MSG_NOSIGNAL) != bytes) fail("asking for a stream", strerror(errno));
}

/* Reads the head; gives where the body begins, 0 while the head is not whole. */
static size_t read_head(subscriber *s, char *data, size_t bytes) {
  char *end = memmem(data, bytes, "\r\n\r\n", 4);
  if (!end) return 0;
  end[2] = 0;
  int status = 0, is_sse = plan.protocol == speak_sse;
  if (sscanf(data, "HTTP/1.1 %d", &status) != 1 || status != (is_sse ? 200 : 101)) fail("a stream was refused", data);
  if (!is_sse && !strstr(data, accepted)) fail("a handshake was not accepted", data);
  s->has_head = 1;
  s->is_chunked = strcasestr(data, "\r\ntransfer-encoding: chunked") != NULL;
  if (plan.begin == begin_at_head) on_begun(s);
  if (plan.is_stalled) watch_change(s->fd, &s->watch, 0);
  return (size_t)(end - data) + 4;
}

static void end(subscriber *s) {
  if (!s->is_begun) fail("a stream ended before it began", "");
  s->is_ended = 1;
  ended_count++;
  if (!plan.is_stalled) ledger_leave(s->class);
  close(s->fd);
}

static void keep(subscriber *s, const char *data, size_t bytes) {
  if (bytes >= carry_room) fail("a message is too long", "");
  if (bytes > s->carry_bytes || bytes == 0) {
    free(s->carry);
    s->carry = bytes > 0 ? malloc(bytes) : NULL;
  }
  if (bytes > 0) memcpy(s->carry, data, bytes);
  s->carry_bytes = (uint32_t)bytes;
}

static size_t read_body(subscriber *s, const char *data, size_t bytes) {
  switch (plan.protocol) {
    case speak_websocket: return body_read_texts(data, bytes, &listener, s);
    case speak_socketio: return body_read_packets(data, bytes, &listener, s);
    default: return body_read_events(&s->event, data, bytes, &listener, s);
  }
}

static void take(subscriber *s) {
  size_t kept = s->carry_bytes;
  memcpy(buffer, s->carry ? s->carry : "", kept);
  ssize_t got = recv(s->fd, buffer + kept, read_bytes, 0);
  if (got < 0 && (errno == EAGAIN || errno == EINTR)) return;
  if (got <= 0) return end(s);
  now_us = clock_us();
  char *data = buffer;
  size_t bytes = kept + (size_t)got;
  if (!s->has_head) {
    size_t head = read_head(s, data, bytes);
    if (head == 0 || plan.is_stalled) return keep(s, data, head == 0 ? bytes : 0);
    data += head;
    bytes -= head;
    kept = 0;
  }
  if (s->is_chunked) bytes = kept + body_unchunk(&s->chunk, data + kept, bytes - kept);
  size_t done = read_body(s, data, bytes);
  if (done < bytes || s->carry) keep(s, data + done, bytes - done);
}

static void on_ready(watch *self, uint32_t events) {
  subscriber *s = (subscriber *)self;
  if (s->is_ended) return;
  if (events & EPOLLOUT) {
    int error = 0;
    socklen_t length = sizeof error;
    getsockopt(s->fd, SOL_SOCKET, SO_ERROR, &error, &length);
    if (error) fail("connecting", strerror(error));
    ask(s);
    watch_change(s->fd, self, EPOLLIN);
  } else if (plan.is_stalled && s->has_head) {
    if (events & (EPOLLHUP | EPOLLERR)) end(s);
  } else {
    take(s);
  }
}

void subscribers_open(const subscriber_plan *next) {
  plan = *next;
  wanted_count = all_count + plan.count;
  all = realloc(all, wanted_count * sizeof *all);
  subscribers_progress();
}

/* From here on everything is expected of it, and what it has missed too. */
static void join(subscriber *s) {
  s->place = ledger_join(s->class);
  uint32_t missed = plan.missed < s->place ? plan.missed : s->place;
  s->place -= missed;
  ledger_expect(missed);
}

void subscribers_progress(void) {
  for (; opening_count < max_opening && all_count < wanted_count; opening_count++) {
    subscriber *s = calloc(1, sizeof *s);
    s->watch.ready = on_ready;
    s->index = all_count;
    s->class = all_count % plan.classes;
    if (!plan.is_stalled) join(s);
    /* A small window, so that the server is the one that has to hold what is not read. */
    s->fd = address_connect(&plan.server, plan.is_stalled ? 4096 : 0);
    watch_add(s->fd, &s->watch, EPOLLOUT);
    all[all_count++] = s;
  }
}

uint32_t subscribers_open_count(void) { return begun_count; }
int subscribers_are_open(void) { return begun_count == wanted_count; }
uint32_t subscribers_ended(void) { return ended_count; }
const char *subscribers_last_id(void) { return last_id; }

void subscribers_close(void) {
  for (uint32_t i = 0; i < all_count; i++) {
    if (!all[i]->is_ended) address_reset(all[i]->fd);
    free(all[i]->carry);
    free(all[i]);
  }
  all_count = wanted_count = begun_count = opening_count = ended_count = 0;
  last_id[0] = 0;
}
