#include "address.h"
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include "watch.h"

/* The last byte of 127.0.0.x that we connect from. It moves on when the ports of one address are used up. */
static unsigned source = 1;
static const unsigned last_source = 250;

int address_read(const char *text, struct sockaddr_in *address) {
  char host[64];
  unsigned port;
  if (sscanf(text, "%63[^:]:%u", host, &port) != 2 || port > 65535) return 0;
  memset(address, 0, sizeof *address);
  address->sin_family = AF_INET;
  address->sin_port = htons((uint16_t)port);
  return inet_pton(AF_INET, host, &address->sin_addr) == 1;
}

int address_connect(const struct sockaddr_in *server, int receive_bytes) {
  for (;;) {
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0) fail("socket", strerror(errno));
    int on = 1;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    if (receive_bytes > 0) setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &receive_bytes, sizeof receive_bytes);
    if (source > 1) {
      /* The port is chosen at connect, when the peer is known: else each could be used once, whatever the peer. */
      setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &on, sizeof on);
      struct sockaddr_in from = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(0x7f000000u + source)};
      if (bind(fd, (struct sockaddr *)&from, sizeof from) < 0) fail("bind", strerror(errno));
    }
    if (connect(fd, (const struct sockaddr *)server, sizeof *server) == 0 || errno == EINPROGRESS) return fd;
    if (errno != EADDRNOTAVAIL || source == last_source) fail("connect", strerror(errno));
    close(fd);
    source++;
  }
}

void address_reset(int fd) {
  struct linger now = {.l_onoff = 1, .l_linger = 0};
  setsockopt(fd, SOL_SOCKET, SO_LINGER, &now, sizeof now);
  close(fd);
}
