#include "sock.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>

void sock_die(const char *fmt, ...)
{
    int error = errno;
    va_list args;
    va_start(args, fmt);
    vfprintf(stderr, fmt, args);
    va_end(args);
    fprintf(stderr, ": %s\n", error ? strerror(error) : "wrong value");
    exit(1);
}

void sock_raise_fd_limit(void)
{
    struct rlimit limit = {.rlim_cur = 65536, .rlim_max = 65536};
    if (setrlimit(RLIMIT_NOFILE, &limit) == 0) {
        return;
    }
    /* Not root: what the hard limit grants must do. */
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
        limit.rlim_cur = limit.rlim_max;
        (void)setrlimit(RLIMIT_NOFILE, &limit);
    }
}

struct sockaddr_in sock_address(const char *text)
{
    struct sockaddr_in address = {.sin_family = AF_INET};
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    const char *port = text;
    const char *colon = strrchr(text, ':');
    if (colon) {
        char host[64];
        size_t len = (size_t)(colon - text);
        if (len >= sizeof(host)) {
            len = sizeof(host) - 1;
        }
        memcpy(host, text, len);
        host[len] = '\0';
        if (inet_pton(AF_INET, host, &address.sin_addr) != 1) {
            errno = 0;
            sock_die("address %s", text);
        }
        port = colon + 1;
    }
    address.sin_port = htons((uint16_t)strtoul(port, NULL, 10));
    return address;
}

int sock_listen(const struct sockaddr_in *address)
{
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0) {
        sock_die("socket");
    }
    int on = 1;
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
    if (bind(fd, (const struct sockaddr *)address, sizeof(*address)) < 0 || listen(fd, 8192) < 0) {
        sock_die("listen on port %u", ntohs(address->sin_port));
    }
    return fd;
}

int sock_port(int fd)
{
    struct sockaddr_in address;
    socklen_t len = sizeof(address);
    if (getsockname(fd, (struct sockaddr *)&address, &len) < 0) {
        sock_die("getsockname");
    }
    return ntohs(address.sin_port);
}

int sock_connect(const struct sockaddr_in *address)
{
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0) {
        sock_die("socket");
    }
    int on = 1;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    if (connect(fd, (const struct sockaddr *)address, sizeof(*address)) < 0 &&
        errno != EINPROGRESS) {
        sock_die("connect to port %u", ntohs(address->sin_port));
    }
    return fd;
}

int sock_accept(int listener)
{
    int fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd < 0) {
        if (errno == EAGAIN || errno == ECONNABORTED || errno == EINTR) {
            return -1;
        }
        sock_die("accept");
    }
    int on = 1;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    return fd;
}

uint64_t sock_now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

void sock_watch(int epoll_fd, int op, int fd, uint32_t events, void *owner)
{
    struct epoll_event event = {.events = events, .data.ptr = owner};
    if (epoll_ctl(epoll_fd, op, fd, &event) < 0) {
        sock_die("epoll_ctl");
    }
}
