#include "frame.h"
#include <string.h>

enum { final_bit = 0x80, reserved_bits = 0x70, opcode_bits = 0x0f, mask_bit = 0x80, control_bit = 0x08 };

/* The same for all: a mask that can be guessed endangers proxies (section 10.3), and there is none between us. */
static const char mask[4] = {0x37, (char)0xfa, 0x21, 0x3d};

/* Reads the length in the form that the second byte names; gives where it ends, 0 while it is not all there. */
static size_t read_length(const unsigned char *data, size_t bytes, uint64_t *length) {
  if (bytes < 2) return 0;
  *length = data[1] & 127;
  size_t end = *length == 126 ? 4 : *length == 127 ? 10 : 2;
  if (bytes < end) return 0;
  if (end > 2) *length = 0;
  for (size_t at = 2; at < end; at++) *length = *length << 8 | data[at];
  return end;
}

static int is_shortest(size_t head, uint64_t length) { return length >= (head == 10 ? 65536 : head == 4 ? 126 : 0); }

static int is_known(uint8_t opcode) {
  return opcode == frame_text || opcode == frame_binary || (opcode >= frame_close && opcode <= frame_pong);
}

size_t frame_read(frame *f, const char *data, size_t bytes) {
  const unsigned char *head = (const unsigned char *)data;
  uint64_t length;
  size_t end = read_length(head, bytes, &length);
  if (end == 0) return 0;
  f->opcode = head[0] & opcode_bits;
  f->is_sound = (head[0] & (final_bit | reserved_bits)) == final_bit && !(head[1] & mask_bit) && is_known(f->opcode) &&
                is_shortest(end, length) && (!(f->opcode & control_bit) || length <= frame_max_control);
  if (head[1] & mask_bit) end += sizeof mask;
  if (bytes < end || bytes - end < length) return 0;
  f->payload = data + end;
  f->bytes = (size_t)length;
  return end + (size_t)length;
}

size_t frame_write(char *to, uint8_t opcode, const char *payload, size_t bytes) {
  to[0] = (char)(final_bit | opcode);
  to[1] = (char)(mask_bit | bytes);
  memcpy(to + 2, mask, sizeof mask);
  for (size_t i = 0; i < bytes; i++) to[6 + i] = payload[i] ^ mask[i % sizeof mask];
  return 6 + bytes;
}
