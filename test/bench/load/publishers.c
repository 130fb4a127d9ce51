#include "publishers.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>
#include "address.h"
#include "clock.h"
#include "command.h"
#include "ledger.h"
#include "payload.h"
#include "watch.h"

enum { answer_room = 8192, head_room = 1024 };

typedef struct {
  watch watch; /* first, so that the loop's pointer is ours */
  int fd;
  uint32_t index;
  uint8_t is_connected, is_busy, is_broken;
  uint32_t number;
  char *request;
  size_t request_bytes, request_sent;
  char answer[answer_room];
  size_t answer_bytes;
} publisher;

static publisher_plan plan;
static publisher *all;
static uint32_t all_count, busy_count, connected_count, sent_count;
static uint64_t started_us, last_answer_us;

static void flush(publisher *p) {
  while (p->request_sent < p->request_bytes) {
    ssize_t sent = send(p->fd, p->request + p->request_sent, p->request_bytes - p->request_sent, MSG_NOSIGNAL);
    if (sent < 0 && errno == EAGAIN) return watch_change(p->fd, &p->watch, EPOLLIN | EPOLLOUT);
    /* What went wrong comes with the reading. */
    if (sent < 0) return;
    p->request_sent += (size_t)sent;
  }
}

/* `due_us` is what latency counts from: of a message that is late, the moment at which it should have gone. */
static void publish(publisher *p, uint64_t due_us) {
  uint32_t topic = sent_count % plan.topics;
  uint32_t class = topic % plan.classes;
  p->number = ledger_sent(class, p->index, plan.bytes);
  char path[head_room / 2];
  command_expand(path, sizeof path, plan.path, (place_names){.class = class, .topic = topic});
  int head = snprintf(p->request, head_room,
                      "POST %s HTTP/1.1\r\nHost: localhost\r\nContent-Type: text/plain\r\nContent-Length: %u\r\n\r\n",
                      path, plan.bytes);
  payload_write(p->request + head, plan.bytes, p->number, (uint32_t)due_us);
  p->request_bytes = (size_t)head + plan.bytes;
  p->request_sent = 0;
  p->answer_bytes = 0;
  p->is_busy = 1;
  busy_count++;
  sent_count++;
  flush(p);
}

static void answered(publisher *p, int accepted) {
  ledger_answered(p->number, accepted);
  p->is_busy = 0;
  busy_count--;
  last_answer_us = clock_us();
}

/* The status of the answer, 0 while it is not whole. */
static int read_answer(publisher *p) {
  char *end = memmem(p->answer, p->answer_bytes, "\r\n\r\n", 4);
  if (!end) return 0;
  int status = 0;
  if (sscanf(p->answer, "HTTP/1.1 %d", &status) != 1) fail("an answer is not HTTP", p->answer);
  size_t body = (size_t)(end - p->answer) + 4;
  *end = 0;
  const char *length = strcasestr(p->answer, "\r\ncontent-length:");
  int is_chunked = strcasestr(p->answer, "\r\ntransfer-encoding:") != NULL;
  *end = '\r';
  if (length) return p->answer_bytes >= body + strtoul(length + 17, NULL, 10) ? status : 0;
  if (!is_chunked) return status;
  return p->answer_bytes >= body + 5 && memcmp(p->answer + p->answer_bytes - 5, "0\r\n\r\n", 5) == 0 ? status : 0;
}

static void break_off(publisher *p) {
  if (p->is_busy) answered(p, 0);
  p->is_broken = 1;
  close(p->fd);
}

static void take(publisher *p) {
  if (p->answer_bytes == answer_room - 1) fail("an answer is too long", "");
  ssize_t got = recv(p->fd, p->answer + p->answer_bytes, answer_room - 1 - p->answer_bytes, 0);
  if (got < 0 && (errno == EAGAIN || errno == EINTR)) return;
  if (got <= 0) return break_off(p);
  p->answer_bytes += (size_t)got;
  p->answer[p->answer_bytes] = 0;
  int status = p->is_busy ? read_answer(p) : 0;
  if (status > 0) answered(p, status / 100 == 2);
}

static void on_ready(watch *self, uint32_t events) {
  publisher *p = (publisher *)self;
  if (p->is_broken) return;
  if (events & EPOLLOUT) {
    watch_change(p->fd, self, EPOLLIN);
    if (!p->is_connected) connected_count++;
    p->is_connected = 1;
    if (p->is_busy) flush(p);
  }
  if (events & (EPOLLIN | EPOLLERR | EPOLLHUP)) take(p);
}

void publishers_start(const publisher_plan *next) {
  plan = *next;
  all_count = plan.under_way;
  busy_count = connected_count = sent_count = 0;
  started_us = last_answer_us = 0;
  all = calloc(all_count, sizeof *all);
  for (uint32_t i = 0; i < all_count; i++) {
    publisher *p = &all[i];
    p->watch.ready = on_ready;
    p->index = i;
    p->request = malloc(head_room + plan.bytes);
    p->fd = address_connect(&plan.server, 0);
    watch_add(p->fd, &p->watch, EPOLLOUT);
  }
}

static int is_over(void) {
  if (plan.count > 0 && sent_count >= plan.count) return 1;
  return plan.for_us > 0 && started_us > 0 && clock_us() - started_us >= plan.for_us;
}

/* When the next message is to go, by the rate. */
static uint64_t due_us(void) { return started_us + (uint64_t)(sent_count * 1e6 / plan.rate); }

void publishers_progress(int is_delivered) {
  if (connected_count < all_count) return;
  if (started_us == 0) started_us = clock_us();
  for (uint32_t i = 0; i < all_count && busy_count < all_count; i++) {
    publisher *p = &all[i];
    if (p->is_busy || p->is_broken) continue;
    if (is_over() || (plan.takes_turns && (!is_delivered || busy_count > 0))) return;
    uint64_t now = clock_us();
    if (plan.rate > 0 && due_us() > now) return;
    publish(p, plan.rate > 0 ? due_us() : now);
  }
}

int publishers_wait_ms(void) {
  if (plan.rate <= 0 || started_us == 0 || is_over()) return -1;
  uint64_t now = clock_us(), due = due_us();
  return due <= now ? 0 : (int)((due - now + 999) / 1000);
}

int publishers_are_done(void) { return started_us > 0 && busy_count == 0 && is_over(); }

uint64_t publishers_started_us(void) { return started_us; }
uint64_t publishers_last_answer_us(void) { return last_answer_us; }

void publishers_stop(void) {
  for (uint32_t i = 0; i < all_count; i++) {
    if (!all[i].is_broken) address_reset(all[i].fd);
    free(all[i].request);
  }
  free(all);
  all = NULL;
  all_count = 0;
}
