/* One line of standard input: a verb and `name=value` words. */
#ifndef COMMAND_H
#define COMMAND_H

#include <stddef.h>
#include <stdint.h>

typedef struct {
  char *verb;
  char *names[32];
  char *values[32];
  int count;
} command;

/* Cuts the line up in place. */
void command_read(command *c, char *line);

const char *command_text(const command *c, const char *name, const char *otherwise);
double command_number(const command *c, const char *name, double otherwise);

/* The numbers that stand for %c, %t, %i and %j in a path. */
typedef struct {
  uint32_t class, topic, connection, extra;
} place_names;

/* Writes a path with its places filled in; gives its length. */
size_t command_expand(char *to, size_t room, const char *template, place_names names);

#endif
