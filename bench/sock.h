/*
 * Sockets and clocks for the bench programs. Single-threaded programs on loopback: whatever goes
 * wrong while they set up ends the process with a message, because a bench that limps lies.
 */
#ifndef BENCH_SOCK_H
#define BENCH_SOCK_H

#include <netinet/in.h>
#include <stddef.h>
#include <stdint.h>

/* Prints the message and errno's text to stderr and exits 1. */
void sock_die(const char *fmt, ...) __attribute__((noreturn, format(printf, 1, 2)));

/* As many file descriptors as this user may have. */
void sock_raise_fd_limit(void);

/* "HOST:PORT" or "PORT" (then 127.0.0.1); only numeric IPv4 hosts. */
struct sockaddr_in sock_address(const char *text);

/* Non-blocking listener; port 0 takes a free one, which sock_port() tells. */
int sock_listen(const struct sockaddr_in *address);
int sock_port(int fd);

/* Non-blocking socket with TCP_NODELAY whose connection is made or under way. */
int sock_connect(const struct sockaddr_in *address);

/* One waiting connection, non-blocking with TCP_NODELAY, or -1 when there is none left. */
int sock_accept(int listener);

/* CLOCK_MONOTONIC: the same clock in all processes, so stamps can travel inside answers. */
uint64_t sock_now_ns(void);

/* Adds (op EPOLL_CTL_ADD) or changes the interest of fd in an epoll instance. */
void sock_watch(int epoll_fd, int op, int fd, uint32_t events, void *owner);

#endif
