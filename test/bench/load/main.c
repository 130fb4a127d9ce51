/*
 * The load of the benchmark: opens subscribers, publishes, and checks every message. It is a process of its own so
 * that its work counts for nobody else, and in C so that two processors have room for what is measured.
 *
 * It reads commands, one a line, and answers each with one line of JSON when it is done:
 *   open n= address= path= [classes=] [extra= extras=] [header=] [begin=head|id|connect]
 *        [kind=sse|websocket|socketio] [stalled=1] [missed=]
 *   settle                     waits until everything has come that the last `open` made expected
 *   publish address= path= bytes= under=  count=|seconds= [rate=] [turns=1] [topics=] [classes=] [patience=]
 *   close                      ends all connections and forgets all messages
 * %c, %t, %i and %j in a path stand for class, topic, connection and extra. "~" in a header stands for a space.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>
#include "address.h"
#include "clock.h"
#include "command.h"
#include "ledger.h"
#include "publishers.h"
#include "subscribers.h"
#include "watch.h"

/* When nothing has come for so long, what is missing will not come. In seconds, where a command says nothing else. */
static const double default_patience = 8;
static uint64_t patience_us;

enum { no_activity, opening, settling, publishing };

static int loop, activity;
static uint64_t begun_us, moved_us, progress_seen;

/* Standard input: watched for the next command while none is under way. */
static watch input;

void watch_add(int fd, watch *who, uint32_t events) {
  struct epoll_event event = {.events = events, .data.ptr = who};
  if (epoll_ctl(loop, EPOLL_CTL_ADD, fd, &event) < 0) fail("epoll", strerror(errno));
}

void watch_change(int fd, watch *who, uint32_t events) {
  struct epoll_event event = {.events = events, .data.ptr = who};
  if (epoll_ctl(loop, EPOLL_CTL_MOD, fd, &event) < 0) fail("epoll", strerror(errno));
}

void fail(const char *what, const char *detail) {
  printf("{\"error\":\"%s: ", what);
  for (; *detail; detail++)
    if (*detail >= ' ' && *detail != '"' && *detail != '\\') putchar(*detail);
  printf("\"}\n");
  fflush(stdout);
  exit(1);
}

static void read_address(const command *c, struct sockaddr_in *address) {
  const char *text = command_text(c, "address", "");
  if (!address_read(text, address)) fail("not an address", text);
}

static uint32_t whole(const command *c, const char *name, double otherwise) {
  return (uint32_t)command_number(c, name, otherwise);
}

static subscriber_protocol read_protocol(const command *c) {
  const char *kind = command_text(c, "kind", "sse");
  if (strcmp(kind, "websocket") == 0) return speak_websocket;
  return strcmp(kind, "socketio") == 0 ? speak_socketio : speak_sse;
}

/* Plans point into the line, which stays as it is until the next command. */
static void do_open(const command *c) {
  subscriber_plan plan = {
      .count = whole(c, "n", 1),
      .classes = whole(c, "classes", 1),
      .path = command_text(c, "path", "/"),
      .extra = command_text(c, "extra", ""),
      .extras = whole(c, "extras", 0),
      .protocol = read_protocol(c),
      .is_stalled = whole(c, "stalled", 0) > 0,
      .missed = whole(c, "missed", 0),
  };
  read_address(c, &plan.server);
  char *header = (char *)command_text(c, "header", NULL);
  for (char *at = header; at && *at; at++)
    if (*at == '~') *at = ' ';
  plan.header = header;
  const char *begin = command_text(c, "begin", plan.protocol == speak_socketio ? "connect" : "head");
  plan.begin = strcmp(begin, "id") == 0 ? begin_at_id : strcmp(begin, "connect") == 0 ? begin_at_connect : begin_at_head;
  if (subscribers_open_count() == 0 && plan.missed == 0) ledger_reset(plan.classes);
  ledger_count();
  subscribers_open(&plan);
  activity = opening;
}

static void do_publish(const command *c) {
  publisher_plan plan = {
      .path = command_text(c, "path", "/"),
      .bytes = whole(c, "bytes", 100),
      .under_way = whole(c, "under", 1),
      .topics = whole(c, "topics", 1),
      .classes = whole(c, "classes", 1),
      .count = whole(c, "count", 0),
      .for_us = (uint64_t)(command_number(c, "seconds", 0) * 1e6),
      .rate = command_number(c, "rate", 0),
      .takes_turns = whole(c, "turns", 0) > 0,
  };
  read_address(c, &plan.server);
  if (plan.bytes < 16) fail("a payload has at least 16 bytes", "");
  if (subscribers_open_count() == 0) ledger_reset(plan.classes);
  ledger_count();
  publishers_start(&plan);
  activity = publishing;
}

static void answer(uint64_t end_us) {
  const histogram *h = &ledger.latency;
  uint64_t from_us = activity == publishing ? publishers_started_us() : begun_us;
  uint64_t missing = ledger.expected > ledger.delivered ? ledger.expected - ledger.delivered : 0;
  printf("{\"connections\":%u,\"seconds\":%.6f,\"messages\":%lu,\"refused\":%lu,\"deliveries\":%lu,\"expected\":%lu,"
         "\"missing\":%lu,\"repeated\":%lu,\"disordered\":%lu,\"strange\":%lu,\"gaps\":%lu,\"ended\":%u,",
         subscribers_open_count(), (double)(end_us - from_us) / 1e6, ledger.messages, ledger.refused, ledger.delivered,
         ledger.expected, missing, ledger.repeated, ledger.disordered, ledger.strange, ledger.gaps, subscribers_ended());
  printf("\"answeredSeconds\":%.6f,\"p50Us\":%u,\"p99Us\":%u,\"p999Us\":%u,\"maxUs\":%u,\"lastId\":\"%s\"}\n",
         activity == publishing ? (double)(publishers_last_answer_us() - from_us) / 1e6 : 0.0,
         histogram_quantile(h, 0.5), histogram_quantile(h, 0.99), histogram_quantile(h, 0.999), h->max_us,
         subscribers_last_id());
  fflush(stdout);
  if (activity == publishing) publishers_stop();
  activity = no_activity;
  watch_change(STDIN_FILENO, &input, EPOLLIN);
}

/* Ends the activity when it has come to its end, or to a standstill. */
static void progress(void) {
  uint64_t now = clock_us();
  int is_delivered = ledger.delivered >= ledger.expected;
  if (activity == publishing) publishers_progress(is_delivered);
  subscribers_progress();
  uint64_t seen = ledger.delivered + ledger.messages + ledger.refused + subscribers_open_count();
  if (seen != progress_seen) moved_us = now;
  progress_seen = seen;
  int is_done = activity == opening      ? subscribers_are_open()
                : activity == publishing ? publishers_are_done() && is_delivered
                                         : is_delivered;
  if (is_done || now - moved_us > patience_us) answer(now);
}

static void run(char *line) {
  static command c;
  command_read(&c, line);
  moved_us = clock_us();
  patience_us = (uint64_t)(command_number(&c, "patience", default_patience) * 1e6);
  if (strcmp(c.verb, "settle") == 0) {
    activity = settling;
    return;
  }
  begun_us = moved_us;
  if (strcmp(c.verb, "open") == 0) return do_open(&c);
  if (strcmp(c.verb, "publish") == 0) return do_publish(&c);
  if (strcmp(c.verb, "close") != 0) fail("an unknown command", c.verb);
  subscribers_close();
  answer(begun_us);
}

static void on_input(watch *self, uint32_t events) {
  static char line[8192];
  /* Whoever commands has gone. */
  if (!(events & EPOLLIN)) exit(0);
  if (!fgets(line, sizeof line, stdin)) exit(0);
  watch_change(STDIN_FILENO, self, 0);
  run(line);
}

int main(void) {
  setvbuf(stdin, NULL, _IONBF, 0);
  loop = epoll_create1(EPOLL_CLOEXEC);
  input.ready = on_input;
  watch_add(STDIN_FILENO, &input, EPOLLIN);
  for (;;) {
    struct epoll_event events[256];
    int wait_ms = activity == no_activity ? -1 : 100;
    int due_ms = activity == publishing ? publishers_wait_ms() : -1;
    if (due_ms >= 0 && due_ms < wait_ms) wait_ms = due_ms;
    int count = epoll_wait(loop, events, 256, wait_ms);
    for (int i = 0; i < count; i++) {
      watch *who = events[i].data.ptr;
      who->ready(who, events[i].events);
      /* A command may have closed the very sockets that the rest of these events are about. */
      if (who == &input) break;
    }
    if (activity != no_activity) progress();
  }
}
