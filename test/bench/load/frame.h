/* Frames of a WebSocket (RFC 6455, section 5), as a client reads and writes them. */
#ifndef FRAME_H
#define FRAME_H

#include <stddef.h>
#include <stdint.h>

enum { frame_text = 1, frame_binary = 2, frame_close = 8, frame_ping = 9, frame_pong = 10 };

/* The longest payload of a control frame, and what it takes as a frame of ours. */
enum { frame_max_control = 125, frame_max_answer = 6 + frame_max_control };

typedef struct {
  uint8_t opcode;
  /* It is all of its message, and nothing of it is what a server must not send. */
  uint8_t is_sound;
  const char *payload;
  size_t bytes;
} frame;

/* Reads the frame that stands first; gives the bytes that it takes, 0 while it is not all there. */
size_t frame_read(frame *f, const char *data, size_t bytes);

/* Writes a frame with at most as much as a control frame holds; gives its bytes. */
size_t frame_write(char *to, uint8_t opcode, const char *payload, size_t bytes);

#endif
