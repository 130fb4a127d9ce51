/* Connections to one server, from as many source addresses as their number needs. */
#ifndef ADDRESS_H
#define ADDRESS_H

#include <netinet/in.h>

/* Reads `127.0.0.1:3000`. Gives 0 when it is not one. */
int address_read(const char *text, struct sockaddr_in *address);

/*
 * Begins to connect, without waiting; ends the process when that cannot be. `receive_bytes` bounds what the kernel
 * takes in for us, 0 leaves it as it is.
 */
int address_connect(const struct sockaddr_in *server, int receive_bytes);

/* Closes at once, by a reset: thousands of sockets in TIME_WAIT would eat up the ports of the next run. */
void address_reset(int fd);

#endif
