/* Reads what a subscriber gets, whatever carries it: Server-Sent Events, in chunks or not, a WebSocket, socket.io. */
#ifndef BODY_H
#define BODY_H

#include <stddef.h>
#include <stdint.h>
#include "payload.h"

/* Whom a reader tells what it has found. `owner` is handed through. */
typedef struct {
  void (*message)(void *owner, const char *payload, uint32_t bytes);
  void (*id)(void *owner, const char *id, size_t bytes);
  void (*gap)(void *owner);
  void (*strange)(void *owner);
  void (*begun)(void *owner);
  /* Something has to be sent back, as a frame of this opcode. */
  void (*answer)(void *owner, uint8_t opcode, const char *payload, size_t bytes);
} body_listener;

/* Where in a chunked body a read has ended. */
typedef enum { chunk_size, chunk_line_end, chunk_data, chunk_data_end } chunk_phase;

typedef struct {
  chunk_phase phase;
  size_t left;
} chunk_state;

/* Takes the framing of chunks out, in place; gives how many bytes remain. */
size_t body_unchunk(chunk_state *state, char *data, size_t bytes);

/* The event whose blank line has not come yet. */
typedef struct {
  char head[payload_head_bytes];
  uint32_t bytes;
  uint8_t data_lines;
  uint8_t is_gap;
} event_state;

/* Each reads what is whole, and gives how many bytes that was. */
size_t body_read_events(event_state *state, const char *data, size_t bytes, const body_listener *to, void *owner);
/* WebSocket: each text is a message. */
size_t body_read_texts(const char *data, size_t bytes, const body_listener *to, void *owner);
/* socket.io, on a WebSocket. */
size_t body_read_packets(const char *data, size_t bytes, const body_listener *to, void *owner);

#endif
