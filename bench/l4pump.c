/*
 * The floor: copies bytes between a client and an upstream connection, TCP to TCP, and knows
 * nothing of what they mean. One thread, level-triggered epoll, one shared buffer; a connection
 * owns memory only while the other side does not take what was read.
 *
 *   l4pump --listen PORT --target HOST:PORT
 */
#include "sock.h"

#include <errno.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

struct side {
    struct pair *pair;
    struct side *peer;
    char *pending; /* read from the peer, not yet taken by this side */
    size_t pending_len;
    size_t pending_at;
    uint32_t events; /* what epoll knows of this descriptor */
    int fd;
    bool ended; /* this side sent its FIN and it was passed on */
};

struct pair {
    struct side client;
    struct side upstream;
    struct pair *next_dead;
    bool dead;
};

static char buffer[65536];
static int epoll_fd;
static struct pair *dead_pairs;

static void interest(struct side *s)
{
    uint32_t events = 0;
    if (!s->ended && !s->peer->pending) {
        events |= EPOLLIN;
    }
    if (s->pending) {
        events |= EPOLLOUT;
    }
    if (events != s->events) {
        s->events = events;
        sock_watch(epoll_fd, EPOLL_CTL_MOD, s->fd, events, s);
    }
}

/* Both descriptors may stand in the same batch of events: the memory goes after the batch. */
static void kill_pair(struct pair *p)
{
    if (p->dead) {
        return;
    }
    p->dead = true;
    close(p->client.fd);
    close(p->upstream.fd);
    p->next_dead = dead_pairs;
    dead_pairs = p;
}

static void keep(struct side *to, const char *bytes, size_t len)
{
    to->pending = malloc(len);
    if (!to->pending) {
        sock_die("malloc");
    }
    memcpy(to->pending, bytes, len);
    to->pending_len = len;
    to->pending_at = 0;
}

static void on_readable(struct side *from)
{
    struct side *to = from->peer;
    ssize_t got = recv(from->fd, buffer, sizeof(buffer), 0);
    if (got < 0) {
        if (errno != EAGAIN && errno != EINTR) {
            kill_pair(from->pair);
        }
        return;
    }
    if (got == 0) {
        from->ended = true;
        if (to->ended || shutdown(to->fd, SHUT_WR) < 0) {
            kill_pair(from->pair);
            return;
        }
        interest(from);
        return;
    }
    ssize_t sent = send(to->fd, buffer, (size_t)got, MSG_NOSIGNAL);
    if (sent < 0) {
        if (errno != EAGAIN && errno != EINTR) {
            kill_pair(from->pair);
            return;
        }
        sent = 0;
    }
    if (sent < got) {
        keep(to, buffer + sent, (size_t)(got - sent));
        interest(to);
        interest(from);
    }
}

static void on_writable(struct side *to)
{
    if (!to->pending) {
        interest(to);
        return;
    }
    ssize_t sent =
        send(to->fd, to->pending + to->pending_at, to->pending_len - to->pending_at, MSG_NOSIGNAL);
    if (sent < 0) {
        if (errno != EAGAIN && errno != EINTR) {
            kill_pair(to->pair);
        }
        return;
    }
    to->pending_at += (size_t)sent;
    if (to->pending_at == to->pending_len) {
        free(to->pending);
        to->pending = NULL;
        interest(to);
        interest(to->peer);
    }
}

static void on_client(int listener, const struct sockaddr_in *target)
{
    int fd;
    while ((fd = sock_accept(listener)) >= 0) {
        struct pair *p = calloc(1, sizeof(*p));
        if (!p) {
            sock_die("calloc");
        }
        p->client = (struct side){.pair = p, .peer = &p->upstream, .fd = fd, .events = EPOLLIN};
        p->upstream = (struct side){
            .pair = p, .peer = &p->client, .fd = sock_connect(target), .events = EPOLLIN};
        sock_watch(epoll_fd, EPOLL_CTL_ADD, fd, EPOLLIN, &p->client);
        sock_watch(epoll_fd, EPOLL_CTL_ADD, p->upstream.fd, EPOLLIN, &p->upstream);
    }
}

static void on_event(struct side *s, uint32_t events)
{
    if (!s->pair->dead && (events & (EPOLLOUT | EPOLLERR))) {
        on_writable(s);
    }
    if (!s->pair->dead && (events & (EPOLLIN | EPOLLHUP | EPOLLERR))) {
        on_readable(s);
    }
}

static void run(int listener, const struct sockaddr_in *target)
{
    struct epoll_event events[256];
    for (;;) {
        int n = epoll_wait(epoll_fd, events, 256, -1);
        for (int i = 0; i < n; i++) {
            if (events[i].data.ptr) {
                on_event(events[i].data.ptr, events[i].events);
            } else {
                on_client(listener, target);
            }
        }
        while (dead_pairs) {
            struct pair *p = dead_pairs;
            dead_pairs = p->next_dead;
            free(p->client.pending);
            free(p->upstream.pending);
            free(p);
        }
    }
}

static void on_signal(int number)
{
    (void)number;
    exit(0); /* through exit, so that valgrind writes its totals */
}

int main(int argc, char **argv)
{
    const char *listen_at = "0";
    const char *target_at = NULL;
    for (int i = 1; i + 1 < argc; i += 2) {
        if (!strcmp(argv[i], "--listen")) {
            listen_at = argv[i + 1];
        } else if (!strcmp(argv[i], "--target")) {
            target_at = argv[i + 1];
        }
    }
    if (!target_at) {
        fprintf(stderr, "usage: l4pump --listen PORT --target HOST:PORT\n");
        return 2;
    }
    signal(SIGTERM, on_signal);
    signal(SIGPIPE, SIG_IGN);
    sock_raise_fd_limit();
    struct sockaddr_in target = sock_address(target_at);
    struct sockaddr_in address = sock_address(listen_at);
    int listener = sock_listen(&address);
    epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    sock_watch(epoll_fd, EPOLL_CTL_ADD, listener, EPOLLIN, NULL);
    printf("{\"port\":%d,\"pid\":%d}\n", sock_port(listener), (int)getpid());
    fflush(stdout);
    run(listener, &target);
}
