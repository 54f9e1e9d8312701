/*
 * Clients of the platform's API: each edits a team of its own again and again with If-Match on what
 * it was answered last, or asks for it with If-None-Match. Every answer is checked: a 412 or 409 is
 * an update that got lost between two answers, and fails the run. Closed loop, or open loop at a
 * rate; one thread, epoll; the result is one JSON object.
 */
#include "hist.h"
#include "sock.h"

#include <errno.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

static const char USAGE[] =
    "usage: state patch|get --target HOST:PORT --token TOKEN [options]\n"
    "  --connections N (1)   each with a team bench-0 ... of its own, which it creates\n"
    "  --seconds S (3)       how long\n"
    "  --rate R              open loop: R requests a second over all connections\n";

enum { CONNECTIONS_MAX = 256, REQUEST_MAX = 1024, ANSWER_MAX = 16384, ETAG_MAX = 64, LATE_S = 5 };

struct conn {
    int fd;
    unsigned number;
    uint64_t edits;
    uint64_t asked_ns;
    char etag[ETAG_MAX]; /* of the last answer */
    char answer[ANSWER_MAX];
    size_t n;
};

static struct {
    bool patch;
    struct sockaddr_in target;
    const char *host, *token;
    unsigned connections;
    double seconds, rate;
} opt = {.connections = 1, .seconds = 3};

static struct conn conns[CONNECTIONS_MAX];
static struct hist latency;
static uint64_t done, issued;
static uint64_t waiting[1 << 20]; /* open loop: when they should have been sent; a ring */
static size_t first_waiting, n_waiting;
static uint64_t due; /* open loop: how many were */
static bool idle[CONNECTIONS_MAX];

__attribute__((noreturn, format(printf, 1, 2))) static void wrong(const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    fputs("state: ", stderr);
    vfprintf(stderr, fmt, ap);
    fputc('\n', stderr);
    exit(1);
}

static void put(struct conn *c, const char *request, int n)
{
    if (n >= REQUEST_MAX || send(c->fd, request, (size_t)n, MSG_NOSIGNAL) != n) {
        wrong("a request of %d bytes could not be sent", n);
    }
    c->n = 0;
}

static void create(struct conn *c)
{
    char request[REQUEST_MAX], body[40];
    snprintf(body, sizeof body, "{\"name\":\"Bench %u\"}", c->number);
    put(c, request,
        snprintf(
            request, sizeof request,
            "PUT /api/v1/teams/bench-%u HTTP/1.1\r\nHost: %s\r\nAuthorization: Bearer %s\r\n"
            "Content-Type: application/json\r\nIf-None-Match: *\r\nContent-Length: %zu\r\n\r\n%s",
            c->number, opt.host, opt.token, strlen(body), body));
}

static void ask(struct conn *c, uint64_t asked_ns)
{
    char request[REQUEST_MAX], body[100];
    int n;
    if (opt.patch) {
        snprintf(body, sizeof body, "{\"description\":\"edit %llu\"}",
                 (unsigned long long)c->edits++);
        n = snprintf(request, sizeof request,
                     "PATCH /api/v1/teams/bench-%u HTTP/1.1\r\nHost: %s\r\nAuthorization: Bearer "
                     "%s\r\nContent-Type: application/merge-patch+json\r\nIf-Match: %s\r\n"
                     "Content-Length: %zu\r\n\r\n%s",
                     c->number, opt.host, opt.token, c->etag, strlen(body), body);
    } else {
        n = snprintf(request, sizeof request,
                     "GET /api/v1/teams/bench-%u HTTP/1.1\r\nHost: %s\r\nAuthorization: Bearer "
                     "%s\r\nIf-None-Match: %s\r\n\r\n",
                     c->number, opt.host, opt.token, c->etag);
    }
    put(c, request, n);
    c->asked_ns = asked_ns;
    issued++;
}

/* The status of a whole answer, 0 while it is not whole; the entity tag is kept. */
static int whole(struct conn *c)
{
    c->answer[c->n] = 0;
    char *end = strstr(c->answer, "\r\n\r\n");
    if (!end) {
        return 0;
    }
    int status = atoi(c->answer + strlen("HTTP/1.1 "));
    char *length = strcasestr(c->answer, "\r\ncontent-length:");
    char *etag = strcasestr(c->answer, "\r\netag:");
    size_t body = status != 304 && length && length < end
                      ? strtoull(length + strlen("\r\ncontent-length:"), NULL, 10)
                      : 0;
    if (c->n < (size_t)(end + 4 - c->answer) + body) {
        return 0;
    }
    if (etag && etag < end) {
        etag += strlen("\r\netag: ");
        size_t n = strcspn(etag, "\r");
        if (n >= ETAG_MAX) {
            wrong("an entity tag of %zu bytes", n);
        }
        memcpy(c->etag, etag, n);
        c->etag[n] = 0;
    }
    return status;
}

static int receive(struct conn *c)
{
    ssize_t n = recv(c->fd, c->answer + c->n, ANSWER_MAX - 1 - c->n, 0);
    if (n < 0 && (errno == EAGAIN || errno == EINTR)) {
        return 0;
    }
    if (n <= 0) {
        wrong("the connection was closed");
    }
    c->n += (size_t)n;
    int status = whole(c);
    if (!status && c->n == ANSWER_MAX - 1) {
        wrong("an answer of more than %d bytes", ANSWER_MAX);
    }
    return status;
}

static void next(struct conn *c, uint64_t now_ns, bool go_on)
{
    if (opt.rate > 0 && n_waiting) {
        uint64_t asked = waiting[first_waiting++ % (sizeof waiting / sizeof *waiting)];
        n_waiting--;
        ask(c, asked);
    } else if (opt.rate > 0) {
        idle[c->number] = true;
    } else if (go_on) {
        ask(c, now_ns);
    }
}

static void take(struct conn *c, uint64_t now_ns, bool go_on)
{
    int status = receive(c), expected = opt.patch ? 200 : 304;
    if (!status) {
        return;
    }
    if (status != expected) {
        wrong("%d instead of %d: %s", status, expected, c->answer);
    }
    done++;
    hist_add(&latency, now_ns - c->asked_ns);
    next(c, now_ns, go_on);
}

static int answer_to(struct conn *c, int epoll_fd)
{
    struct epoll_event e;
    int status = 0;
    while (!status) {
        if (epoll_wait(epoll_fd, &e, 1, 5000) != 1) {
            wrong("no answer from %s", opt.host);
        }
        status = receive(c);
    }
    return status;
}

/* What a PUT answers has no tag: the state is read. */
static void look(struct conn *c)
{
    char request[REQUEST_MAX];
    put(c, request,
        snprintf(request, sizeof request,
                 "GET /api/v1/teams/bench-%u HTTP/1.1\r\nHost: %s\r\nAuthorization: Bearer "
                 "%s\r\n\r\n",
                 c->number, opt.host, opt.token));
}

/* One after the other: the team may be there from the load before. */
static void prepare(int epoll_fd)
{
    struct epoll_event e;
    for (unsigned i = 0; i < opt.connections; i++) {
        struct conn *c = &conns[i];
        c->number = i;
        c->fd = sock_connect(&opt.target);
        sock_watch(epoll_fd, EPOLL_CTL_ADD, c->fd, EPOLLIN | EPOLLOUT, c);
        if (epoll_wait(epoll_fd, &e, 1, 5000) != 1) {
            wrong("no connection to %s", opt.host);
        }
        sock_watch(epoll_fd, EPOLL_CTL_MOD, c->fd, EPOLLIN, c);
        create(c);
        int created = answer_to(c, epoll_fd);
        look(c);
        if ((created != 201 && created != 412) || answer_to(c, epoll_fd) != 200 || !c->etag[0]) {
            wrong("no team was made: %s", c->answer);
        }
    }
}

/* Requests that are due by now go to idle connections, or wait. */
static void issue_due(uint64_t start_ns, uint64_t now_ns, uint64_t stop_ns)
{
    uint64_t until = now_ns < stop_ns ? now_ns : stop_ns;
    uint64_t want = (uint64_t)((double)(until - start_ns) * opt.rate / 1e9);
    for (unsigned i = 0; due < want; due++) {
        uint64_t at = start_ns + (uint64_t)((double)due * 1e9 / opt.rate);
        while (i < opt.connections && !idle[i]) {
            i++;
        }
        if (i < opt.connections) {
            idle[i] = false;
            ask(&conns[i], at);
        } else if (n_waiting < sizeof waiting / sizeof *waiting) {
            waiting[(first_waiting + n_waiting++) % (sizeof waiting / sizeof *waiting)] = at;
        } else {
            wrong("the server is far behind the rate");
        }
    }
}

/* Until the next request is due: a client that spins would take a core from the server. */
static struct timespec patience(uint64_t start_ns, uint64_t now_ns)
{
    uint64_t wait_ns = 100000000;
    if (opt.rate > 0) {
        uint64_t at = start_ns + (uint64_t)((double)(due + 1) * 1e9 / opt.rate);
        wait_ns = at > now_ns ? at - now_ns : 0;
    }
    return (struct timespec){.tv_nsec = (long)(wait_ns < 100000000 ? wait_ns : 100000000)};
}

static void run(int epoll_fd)
{
    struct epoll_event events[64];
    uint64_t start_ns = sock_now_ns(), now_ns = start_ns;
    uint64_t stop_ns = start_ns + (uint64_t)(opt.seconds * 1e9);
    for (unsigned i = 0; i < opt.connections; i++) {
        next(&conns[i], start_ns, true);
    }
    while (now_ns < stop_ns || done < issued || n_waiting) {
        if (opt.rate > 0) {
            issue_due(start_ns, now_ns, stop_ns);
        }
        struct timespec wait = patience(start_ns, now_ns);
        int n = epoll_pwait2(epoll_fd, events, 64, &wait, NULL);
        now_ns = sock_now_ns();
        for (int i = 0; i < n; i++) {
            take(events[i].data.ptr, now_ns, now_ns < stop_ns);
        }
        if (now_ns > stop_ns + LATE_S * 1000000000ULL) {
            wrong("%llu answers are missing", (unsigned long long)(issued - done));
        }
    }
    double seconds = (double)(sock_now_ns() - start_ns) / 1e9;
    printf("{\"requests\": %llu, \"seconds\": %.3f, \"per_s\": %.1f, \"p50_ms\": %.3f, "
           "\"p99_ms\": %.3f, \"max_ms\": %.3f}\n",
           (unsigned long long)done, seconds, (double)done / seconds,
           (double)hist_percentile_ns(&latency, 0.5) / 1e6,
           (double)hist_percentile_ns(&latency, 0.99) / 1e6, (double)latency.max_ns / 1e6);
}

static void read_options(int argc, char **argv)
{
    if (argc < 2 || (strcmp(argv[1], "patch") != 0 && strcmp(argv[1], "get") != 0)) {
        fputs(USAGE, stderr);
        exit(2);
    }
    opt.patch = strcmp(argv[1], "patch") == 0;
    for (int i = 2; i + 1 < argc; i += 2) {
        const char *value = argv[i + 1];
        if (strcmp(argv[i], "--target") == 0) {
            opt.host = value;
            opt.target = sock_address(value);
        } else if (strcmp(argv[i], "--token") == 0) {
            opt.token = value;
        } else if (strcmp(argv[i], "--connections") == 0) {
            opt.connections = (unsigned)atoi(value);
        } else if (strcmp(argv[i], "--seconds") == 0) {
            opt.seconds = atof(value);
        } else if (strcmp(argv[i], "--rate") == 0) {
            opt.rate = atof(value);
        } else {
            fputs(USAGE, stderr);
            exit(2);
        }
    }
    if (!opt.host || !opt.token || opt.connections < 1 || opt.connections > CONNECTIONS_MAX) {
        fputs(USAGE, stderr);
        exit(2);
    }
}

int main(int argc, char **argv)
{
    read_options(argc, argv);
    int epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    if (epoll_fd < 0) {
        sock_die("epoll_create1");
    }
    prepare(epoll_fd);
    run(epoll_fd);
    return 0;
}
