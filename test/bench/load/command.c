#include "command.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "watch.h"

void command_read(command *c, char *line) {
  c->count = 0;
  c->verb = strtok(line, " \n");
  if (!c->verb) c->verb = "";
  for (char *word; (word = strtok(NULL, " \n"));) {
    char *equals = strchr(word, '=');
    if (!equals || c->count == 32) fail("a word is not name=value", word);
    *equals = 0;
    c->names[c->count] = word;
    c->values[c->count++] = equals + 1;
  }
}

const char *command_text(const command *c, const char *name, const char *otherwise) {
  for (int i = 0; i < c->count; i++)
    if (strcmp(c->names[i], name) == 0) return c->values[i];
  return otherwise;
}

double command_number(const command *c, const char *name, double otherwise) {
  const char *text = command_text(c, name, NULL);
  return text ? strtod(text, NULL) : otherwise;
}

size_t command_expand(char *to, size_t room, const char *template, place_names names) {
  size_t length = 0;
  for (const char *at = template; *at; at++) {
    if (length + 12 >= room) fail("a path is too long", template);
    if (*at != '%') {
      to[length++] = *at;
      continue;
    }
    uint32_t number;
    switch (*++at) {
      case 'c': number = names.class; break;
      case 't': number = names.topic; break;
      case 'i': number = names.connection; break;
      case 'j': number = names.extra; break;
      default: fail("a path has an unknown place", template);
    }
    length += (size_t)sprintf(to + length, "%u", number);
  }
  to[length] = 0;
  return length;
}
