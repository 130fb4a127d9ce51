#include "ledger.h"
#include <stdlib.h>
#include "payload.h"

ledger_totals ledger;

static const uint32_t unseen = UINT32_MAX;

typedef struct {
  uint32_t bytes;
  uint32_t publisher;
  uint32_t class;
  uint32_t place; /* in the order of its class, or unseen */
} message;

typedef struct {
  uint32_t *numbers; /* in the order in which the first connection got them */
  uint32_t length, room;
  uint32_t members;
  /* The newest message of each publisher that has been seen: its messages must be seen in ascending order. */
  uint32_t *newest;
  uint32_t publishers;
} order;

static message *messages;
static uint32_t message_count, message_room;
static order *orders;
static uint32_t order_count;

void ledger_reset(uint32_t classes) {
  for (uint32_t i = 0; i < order_count; i++) {
    free(orders[i].numbers);
    free(orders[i].newest);
  }
  free(orders);
  orders = calloc(classes, sizeof *orders);
  order_count = classes;
  message_count = 0;
  ledger_count();
}

void ledger_count(void) { memset(&ledger, 0, sizeof ledger); }

uint32_t ledger_join(uint32_t class) {
  orders[class].members++;
  return orders[class].length;
}

void ledger_leave(uint32_t class) { orders[class].members--; }

uint32_t ledger_order_length(uint32_t class) { return orders[class].length; }

void ledger_expect(uint64_t deliveries) { ledger.expected += deliveries; }

uint32_t ledger_sent(uint32_t class, uint32_t publisher, uint32_t bytes) {
  if (message_count == message_room) {
    message_room = message_room ? 2 * message_room : 4096;
    messages = realloc(messages, message_room * sizeof *messages);
  }
  messages[message_count] = (message){.bytes = bytes, .publisher = publisher, .class = class, .place = unseen};
  return message_count++;
}

void ledger_answered(uint32_t number, int accepted) {
  if (!accepted) {
    ledger.refused++;
    return;
  }
  ledger.messages++;
  ledger.expected += orders[messages[number].class].members;
}

static void append(order *seen, uint32_t number) {
  if (seen->length == seen->room) {
    seen->room = seen->room ? 2 * seen->room : 1024;
    seen->numbers = realloc(seen->numbers, seen->room * sizeof *seen->numbers);
  }
  message *m = &messages[number];
  m->place = seen->length;
  seen->numbers[seen->length++] = number;
  if (m->publisher >= seen->publishers) {
    uint32_t room = m->publisher + 16;
    seen->newest = realloc(seen->newest, room * sizeof *seen->newest);
    memset(seen->newest + seen->publishers, 0, (room - seen->publishers) * sizeof *seen->newest);
    seen->publishers = room;
  }
  if (seen->newest[m->publisher] > number) ledger.disordered++;
  else seen->newest[m->publisher] = number;
}

void ledger_received(uint32_t class, uint32_t *place, const char *payload, uint32_t bytes, uint64_t now_us) {
  uint32_t number, sent_us;
  if (!payload_read(payload, bytes, &number, &sent_us) || number >= message_count ||
      messages[number].class != class || messages[number].bytes != bytes) {
    ledger.strange++;
    return;
  }
  order *seen = &orders[class];
  uint32_t found = messages[number].place;
  if (found == unseen) {
    if (*place < seen->length) ledger.disordered++;
    append(seen, number);
    *place = seen->length;
  } else if (found >= *place) {
    /* Past others that it should have had before: those are missing, and repeated if they come after all. */
    if (found > *place) ledger.disordered++;
    *place = found + 1;
  } else {
    ledger.repeated++;
    return;
  }
  ledger.delivered++;
  histogram_add(&ledger.latency, (uint32_t)now_us - sent_us);
}
