/* The connections that messages come to. */
#ifndef SUBSCRIBERS_H
#define SUBSCRIBERS_H

#include <netinet/in.h>
#include <stdint.h>

/* What the connections speak. */
typedef enum { speak_sse, speak_websocket, speak_socketio } subscriber_protocol;

/* When one counts as open. */
typedef enum { begin_at_head, begin_at_id, begin_at_connect } subscriber_begin;

typedef struct {
  struct sockaddr_in server;
  uint32_t count;
  uint32_t classes;
  const char *path;
  /* Added to the path so often, each with its own number. */
  const char *extra;
  uint32_t extras;
  /* One more line of the head, or NULL. */
  const char *header;
  subscriber_protocol protocol;
  subscriber_begin begin;
  /* Never reads past the head. */
  int is_stalled;
  /* How many of the newest messages that have been seen come first, as they do for whoever resumes before them. */
  uint32_t missed;
} subscriber_plan;

/* Adds connections to those that are open. Their opening goes on in the event loop. */
void subscribers_open(const subscriber_plan *plan);

/* Opens the next of them, as far as the server keeps up. */
void subscribers_progress(void);

uint32_t subscribers_open_count(void);
int subscribers_are_open(void);

/* How many connections the server has ended. */
uint32_t subscribers_ended(void);

/* The id that the first connection has seen last, or nothing. */
const char *subscribers_last_id(void);

/* Closes all of them. */
void subscribers_close(void);

#endif
