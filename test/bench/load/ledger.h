/*
 * What was published, and whether it arrived: each message once, at every connection that it is for, in one order
 * that is the same for all of them and keeps each publisher's own.
 *
 * Connections and messages belong to classes: a message is for every connection of its class.
 */
#ifndef LEDGER_H
#define LEDGER_H

#include <stdint.h>
#include "histogram.h"

typedef struct {
  uint64_t messages;   /* accepted by the server */
  uint64_t refused;    /* answered with anything but 2xx, or not at all */
  uint64_t expected;   /* deliveries that the accepted messages must lead to */
  uint64_t delivered;  /* first deliveries of a message to a connection */
  uint64_t repeated;   /* deliveries of what the connection had already, or had been passed over */
  uint64_t disordered; /* deliveries that came later than ones that follow them, or against a publisher's order */
  uint64_t strange;    /* bytes that are no message of ours, or not whole */
  uint64_t gaps;       /* times that the server said that messages are missing */
  histogram latency;
} ledger_totals;

extern ledger_totals ledger;

/* Begins anew: forgets all messages and orders. Connections must begin anew too. */
void ledger_reset(uint32_t classes);

/* Begins to count anew, and keeps what orders have been seen. */
void ledger_count(void);

/* A connection joins a class: gives the place in its order from which it is to get everything. */
uint32_t ledger_join(uint32_t class);
void ledger_leave(uint32_t class);

/* How many messages of a class have been seen. */
uint32_t ledger_order_length(uint32_t class);

/* A publisher sends a message: gives its number. */
uint32_t ledger_sent(uint32_t class, uint32_t publisher, uint32_t bytes);
void ledger_answered(uint32_t number, int accepted);

/* How many connections a class has; what a resumed connection has missed is expected of it in addition. */
void ledger_expect(uint64_t deliveries);

/* A connection of a class has got a message, and stands at this place of the order. */
void ledger_received(uint32_t class, uint32_t *place, const char *payload, uint32_t bytes, uint64_t now_us);

#endif
