#include "body.h"
#include <string.h>
#include "frame.h"

static int hex(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

size_t body_unchunk(chunk_state *state, char *data, size_t bytes) {
  size_t kept = 0;
  for (size_t at = 0; at < bytes;) {
    switch (state->phase) {
      case chunk_size: {
        int digit = hex(data[at]);
        if (digit >= 0) state->left = state->left * 16 + (size_t)digit;
        else state->phase = chunk_line_end;
        if (digit >= 0) at++;
        break;
      }
      case chunk_line_end:
        if (data[at++] == '\n') state->phase = chunk_data;
        break;
      case chunk_data: {
        size_t here = bytes - at < state->left ? bytes - at : state->left;
        if (kept != at) memmove(data + kept, data + at, here);
        kept += here;
        at += here;
        state->left -= here;
        if (state->left == 0) state->phase = chunk_data_end;
        break;
      }
      case chunk_data_end:
        if (data[at++] == '\n') state->phase = chunk_size;
        break;
    }
  }
  return kept;
}

static int begins_with(const char *line, size_t bytes, const char *word, size_t word_bytes) {
  return bytes >= word_bytes && memcmp(line, word, word_bytes) == 0;
}
#define begins(line, bytes, word) begins_with(line, bytes, word, sizeof word - 1)

static void end_event(event_state *state, const body_listener *to, void *owner) {
  if (state->is_gap) to->gap(owner);
  else if (state->data_lines == 1) to->message(owner, state->head, state->bytes);
  else if (state->data_lines > 1) to->strange(owner);
  state->data_lines = 0;
  state->is_gap = 0;
}

size_t body_read_events(event_state *state, const char *data, size_t bytes, const body_listener *to, void *owner) {
  size_t done = 0;
  for (const char *feed; done < bytes && (feed = memchr(data + done, '\n', bytes - done));) {
    const char *line = data + done;
    size_t length = (size_t)(feed - line);
    done += length + 1;
    if (length > 0 && line[length - 1] == '\r') length--;
    if (length == 0) {
      end_event(state, to, owner);
    } else if (begins(line, length, "data:")) {
      size_t skip = length > 5 && line[5] == ' ' ? 6 : 5;
      state->bytes = (uint32_t)(length - skip);
      memset(state->head, 0, sizeof state->head);
      memcpy(state->head, line + skip, state->bytes < sizeof state->head ? state->bytes : sizeof state->head);
      if (state->data_lines < 2) state->data_lines++;
    } else if (begins(line, length, "id: ")) {
      to->id(owner, line + 4, length - 4);
    } else if (begins(line, length, "event: gap")) {
      state->is_gap = 1;
    }
  }
  return done;
}

/* What a text of a WebSocket means. */
typedef void read_text(const char *text, size_t bytes, const body_listener *to, void *owner);

static size_t read_frames(read_text *take, const char *data, size_t bytes, const body_listener *to, void *owner) {
  size_t done = 0;
  frame f;
  for (size_t taken; (taken = frame_read(&f, data + done, bytes - done)) > 0; done += taken) {
    if (!f.is_sound || f.opcode == frame_binary) to->strange(owner);
    else if (f.opcode == frame_text) take(f.payload, f.bytes, to, owner);
    else if (f.opcode == frame_ping) to->answer(owner, frame_pong, f.payload, f.bytes);
    else if (f.opcode == frame_close) to->answer(owner, frame_close, f.payload, f.bytes);
  }
  return done;
}

static void take_message(const char *text, size_t bytes, const body_listener *to, void *owner) {
  to->message(owner, text, (uint32_t)bytes);
}

size_t body_read_texts(const char *data, size_t bytes, const body_listener *to, void *owner) {
  return read_frames(take_message, data, bytes, to, owner);
}

/* One text of engine.io, in socket.io's own words: 0 open, 2 ping, 40 connected, 42 event. */
static void take_packet(const char *text, size_t bytes, const body_listener *to, void *owner) {
  static const char event[] = "42[\"m\",\"";
  if (begins(text, bytes, event)) {
    /* What follows the payload is `"]`. */
    size_t head = sizeof event - 1;
    if (bytes < head + 2) to->strange(owner);
    else to->message(owner, text + head, (uint32_t)(bytes - head - 2));
  } else if (begins(text, bytes, "40")) {
    to->begun(owner);
  } else if (begins(text, bytes, "0")) {
    to->answer(owner, frame_text, "40", 2);
  } else if (begins(text, bytes, "2")) {
    to->answer(owner, frame_text, "3", 1);
  }
}

size_t body_read_packets(const char *data, size_t bytes, const body_listener *to, void *owner) {
  return read_frames(take_packet, data, bytes, to, owner);
}
