/* Connections that publish by POST, each waiting for its answer before it sends the next. */
#ifndef PUBLISHERS_H
#define PUBLISHERS_H

#include <netinet/in.h>
#include <stdint.h>

typedef struct {
  struct sockaddr_in server;
  const char *path;
  /* Bytes of each payload. */
  uint32_t bytes;
  /* POSTs under way at once. */
  uint32_t under_way;
  /* Messages go to the topics in turn, and topics belong to the classes of connections in turn. */
  uint32_t topics, classes;
  /* What ends it: so many messages, or so much time; 0 for neither. */
  uint32_t count;
  uint64_t for_us;
  /* Messages a second, whatever becomes of them; 0: as fast as answers come. */
  double rate;
  /* The next is sent when the one before has been delivered everywhere. */
  int takes_turns;
} publisher_plan;

void publishers_start(const publisher_plan *plan);

/* Sends what is due. `is_delivered`: whether everything that was accepted has arrived. */
void publishers_progress(int is_delivered);

/* Milliseconds until a message is due; -1 when none will be by time alone. */
int publishers_wait_ms(void);

/* Whether all that will be sent has been answered. */
int publishers_are_done(void);

uint64_t publishers_started_us(void);
uint64_t publishers_last_answer_us(void);

/* Closes their connections. */
void publishers_stop(void);

#endif
