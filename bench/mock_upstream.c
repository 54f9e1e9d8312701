/*
 * A very cheap upstream that speaks as much of the OpenAI chat API, and of Anthropic's Messages, as
 * a bench needs. One thread, epoll, keep-alive; answers are built beforehand; bodies of any size are
 * read into one buffer and dropped. A POST to /v1/messages is answered as Messages, every other one
 * as a chat completion: streamed when the body says "stream":true.
 *
 *   mock_upstream [--listen PORT] [--model NAME] [--expect-key KEY] [--expect-model NAME]
 *                 [--set 'chunks=100&interval_ms=10&...']
 *
 * GET /__stats tells what was served; GET /__set?name=value&... changes the settings below, so one
 * process serves every scenario. x-mock-chunks and x-mock-interval-ms do it for one request.
 */
#include "mock_answers.h"
#include "mock_request.h"
#include "sock.h"
#include "wheel.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define SETTINGS(X)                                                                                \
    X(chunks)         /* content events of a stream */                                             \
    X(interval_ms)    /* between two of them */                                                    \
    X(aligned)        /* 1: the chunks of all streams are due at the same moments */               \
    X(first_ms)       /* before the first */                                                       \
    X(error_permille) /* of requests that are answered 500 */                                      \
    X(stall_permille) /* of requests whose answer waits for stall_ms */                            \
    X(stall_ms)

#define COUNTERS(X)                                                                                \
    X(connections)                                                                                 \
    X(requests) /* POSTs that were read completely */                                              \
    X(body_bytes)                                                                                  \
    X(renamed)       /* requests with the upstream's model name (--expect-model) */                \
    X(with_key)      /* requests with the upstream's key (--expect-key) */                         \
    X(messages)      /* requests to /v1/messages */                                                \
    X(completions)   /* answers that were not streamed */                                          \
    X(streams)       /* streams begun */                                                           \
    X(streams_ended) /* streams sent up to the last byte */                                        \
    X(streams_cut)   /* streams whose reader left */                                               \
    X(chunks_sent)                                                                                 \
    X(usage_sent) /* streams that were asked for their usage */                                    \
    X(prompt_tokens)                                                                               \
    X(completion_tokens)                                                                           \
    X(errors)                                                                                      \
    X(stalls)                                                                                      \
    X(refused) /* requests that this program does not understand */                                \
    X(open_connections)

enum phase { READING, STALLED, STREAMING };

struct conn {
    struct wheel_node timer; /* first: a node that fires is its connection */
    struct mock_request request;
    struct conn *next_dead;
    char *partial; /* a head that has not arrived completely */
    size_t partial_len;
    char *out; /* what the socket did not take */
    size_t out_len;
    size_t out_at;
    uint64_t due; /* tick of the next chunk, without drift */
    uint32_t chunk;
    uint32_t chunks;
    uint32_t interval_ms;
    int fd;
    enum phase phase;
    bool in_body;
    bool closing; /* once out is empty */
    bool dead;
};

static struct {
#define FIELD(name) uint64_t name;
    SETTINGS(FIELD)
} set = {.chunks = 20, .interval_ms = 10, .stall_ms = 1000};

static struct {
    COUNTERS(FIELD)
#undef FIELD
} stats;

enum { BUFFER = 262144, HEAD_MAX = 65536 };

static char buffer[BUFFER];
static struct wheel wheel;
static struct mock_expectations expect;
static struct conn *dead_conns;
static int epoll_fd;

static uint64_t now_ticks(void)
{
    return sock_now_ns() / WHEEL_TICK_NS;
}

static void kill_conn(struct conn *c)
{
    if (c->dead) {
        return;
    }
    if (c->phase == STREAMING) {
        stats.streams_cut++;
    }
    c->dead = true;
    wheel_remove(&wheel, &c->timer);
    close(c->fd);
    stats.open_connections--;
    c->next_dead = dead_conns;
    dead_conns = c;
}

static void put(struct conn *c, const char *p, size_t n)
{
    if (c->dead) {
        return;
    }
    ssize_t sent = 0;
    if (!c->out) {
        sent = send(c->fd, p, n, MSG_NOSIGNAL);
        if (sent < 0) {
            if (errno != EAGAIN && errno != EINTR) {
                kill_conn(c);
                return;
            }
            sent = 0;
        }
        if ((size_t)sent == n) {
            return;
        }
        sock_watch(epoll_fd, EPOLL_CTL_MOD, c->fd, EPOLLIN | EPOLLOUT, c);
    }
    size_t rest = n - (size_t)sent;
    c->out = realloc(c->out, c->out_len + rest);
    if (!c->out) {
        sock_die("realloc");
    }
    memcpy(c->out + c->out_len, p + sent, rest);
    c->out_len += rest;
}

static void finish(struct conn *c)
{
    c->phase = READING;
    if (!c->request.keep_alive && !c->out) {
        kill_conn(c);
    } else if (!c->request.keep_alive) {
        c->closing = true;
    }
}

static void send_json(struct conn *c, const char *json)
{
    char text[4096];
    int n = snprintf(text, sizeof(text),
                     "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
                     "Content-Length: %zu\r\n\r\n%s",
                     strlen(json), json);
    put(c, text, (size_t)n);
    finish(c);
}

static void send_stats(struct conn *c)
{
    char json[2048];
    int n = 0;
#define SHOW(name)                                                                                 \
    n += snprintf(json + n, sizeof(json) - (size_t)n, "%s\"" #name "\":%llu", n ? "," : "{",       \
                  (unsigned long long)stats.name);
    COUNTERS(SHOW)
#undef SHOW
    snprintf(json + n, sizeof(json) - (size_t)n, ",\"completion_body_len\":%zu}",
             mock_answer_completion_body_len());
    send_json(c, json);
}

/* "name=value&name=value"; unknown names are an error, so that a typing mistake is seen. */
static bool apply_settings(const char *query)
{
    while (*query) {
        size_t name_len = strcspn(query, "=");
        if (query[name_len] != '=') {
            return false;
        }
        char *end;
        uint64_t value = strtoull(query + name_len + 1, &end, 10);
        bool known = false;
#define APPLY(name)                                                                                \
    if (name_len == sizeof(#name) - 1 && !memcmp(query, #name, name_len)) {                        \
        set.name = value;                                                                          \
        known = true;                                                                              \
    }
        SETTINGS(APPLY)
#undef APPLY
        if (!known) {
            return false;
        }
        query = *end == '&' ? end + 1 : end;
    }
    return true;
}

static void on_get(struct conn *c)
{
    if (!strcmp(c->request.path, "/__stats")) {
        send_stats(c);
    } else if (!strncmp(c->request.path, "/__set?", 7) && apply_settings(c->request.path + 7)) {
        send_json(c, "{\"ok\":true}");
    } else {
        stats.refused++;
        static const char text[] = "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n";
        put(c, text, sizeof(text) - 1);
        finish(c);
    }
}

static enum mock_dialect dialect_of(const struct conn *c)
{
    return c->request.messages ? MOCK_MESSAGES : MOCK_CHAT;
}

static void send_chunk(struct conn *c)
{
    char text[MOCK_CHUNK_MAX];
    put(c, text, mock_answer_chunk(dialect_of(c), c->chunk, sock_now_ns(), text));
    c->chunk++;
    stats.chunks_sent++;
}

static void settle_stream(struct conn *c)
{
    char text[MOCK_END_MAX];
    bool usage = c->request.include_usage || c->request.messages; /* Messages always tell it */
    put(c, text, mock_answer_stream_end(dialect_of(c), c->chunks, usage, text));
    if (c->dead) {
        return;
    }
    stats.streams_ended++;
    stats.usage_sent += usage;
    stats.prompt_tokens += MOCK_PROMPT_TOKENS;
    stats.completion_tokens += c->chunks;
    finish(c);
}

/* Sends what is due; the end goes out one interval after the last chunk. */
static void step_stream(struct conn *c, uint64_t now)
{
    while (!c->dead && c->phase == STREAMING) {
        if (c->out) {
            return; /* on_writable comes back here */
        }
        if (c->due > now) {
            wheel_add(&wheel, &c->timer, c->due);
            return;
        }
        if (c->chunk == c->chunks) {
            settle_stream(c);
            return;
        }
        send_chunk(c);
        c->due += (uint64_t)c->interval_ms * WHEEL_TICKS_PER_MS;
    }
}

static void begin_stream(struct conn *c)
{
    const struct mock_request *r = &c->request;
    uint64_t now = now_ticks();
    c->phase = STREAMING;
    c->chunk = 0;
    c->chunks = r->chunks >= 0 ? (uint32_t)r->chunks : (uint32_t)set.chunks;
    c->interval_ms = r->interval_ms >= 0 ? (uint32_t)r->interval_ms : (uint32_t)set.interval_ms;
    stats.streams++;
    struct text head = mock_answer_stream_head(dialect_of(c));
    put(c, head.p, head.n);
    c->due = now + set.first_ms * WHEEL_TICKS_PER_MS;
    if (set.aligned && c->interval_ms) {
        uint64_t interval = (uint64_t)c->interval_ms * WHEEL_TICKS_PER_MS;
        c->due += interval - c->due % interval;
    }
    if (!c->dead) {
        step_stream(c, now);
    }
}

static void answer(struct conn *c)
{
    if (c->request.stream) {
        begin_stream(c);
        return;
    }
    struct text t = mock_answer_completion(dialect_of(c));
    put(c, t.p, t.n);
    stats.completions++;
    stats.prompt_tokens += MOCK_PROMPT_TOKENS;
    stats.completion_tokens += MOCK_COMPLETION_TOKENS;
    finish(c);
}

/* Evenly spread and the same in each run: how many faults there are can be computed. */
static bool falls_on(uint64_t permille)
{
    return permille && stats.requests * permille % 1000 < permille;
}

static void on_post(struct conn *c)
{
    stats.requests++;
    stats.body_bytes += c->request.body_len;
    stats.renamed += c->request.renamed;
    stats.with_key += c->request.with_key;
    stats.messages += c->request.messages;
    if (falls_on(set.error_permille)) {
        stats.errors++;
        struct text t = mock_answer_error();
        put(c, t.p, t.n);
        finish(c);
    } else if (falls_on(set.stall_permille)) {
        stats.stalls++;
        c->phase = STALLED;
        wheel_add(&wheel, &c->timer, now_ticks() + set.stall_ms * WHEEL_TICKS_PER_MS);
    } else {
        answer(c);
    }
}

static void on_request(struct conn *c)
{
    c->in_body = false;
    if (c->request.method == MOCK_POST) {
        on_post(c);
    } else {
        on_get(c);
    }
}

static void refuse(struct conn *c)
{
    static const char text[] =
        "HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
    stats.refused++;
    put(c, text, sizeof(text) - 1);
    kill_conn(c);
}

static void keep_partial(struct conn *c, const char *p, size_t n)
{
    free(c->partial);
    c->partial = NULL;
    c->partial_len = n;
    if (n) {
        c->partial = malloc(n);
        if (!c->partial) {
            sock_die("malloc");
        }
        memcpy(c->partial, p, n);
    }
}

static void consume(struct conn *c, const char *p, size_t n)
{
    while (n && !c->dead) {
        if (c->phase != READING) {
            refuse(c); /* pipelining: no proxy under test does it */
            return;
        }
        if (!c->in_body) {
            long head = mock_request_head(&c->request, &expect, p, n);
            if (head == 0 && n < HEAD_MAX) {
                keep_partial(c, p, n);
                return;
            }
            if (head <= 0 || !c->request.framed || c->request.method == MOCK_OTHER) {
                refuse(c);
                return;
            }
            p += head;
            n -= (size_t)head;
            c->in_body = true;
        }
        uint64_t left = c->request.body_len - c->request.body_seen;
        size_t take = n < left ? n : (size_t)left;
        if (take) {
            mock_request_body(&c->request, &expect, p, take);
            p += take;
            n -= take;
        }
        if (c->request.body_seen == c->request.body_len) {
            on_request(c);
        }
    }
}

static void on_readable(struct conn *c)
{
    size_t had = c->partial_len;
    if (had) {
        memcpy(buffer, c->partial, had);
        keep_partial(c, NULL, 0);
    }
    ssize_t got = recv(c->fd, buffer + had, sizeof(buffer) - had, 0);
    if (got <= 0) {
        if (got < 0 && (errno == EAGAIN || errno == EINTR)) {
            keep_partial(c, buffer, had);
            return;
        }
        kill_conn(c);
        return;
    }
    consume(c, buffer, had + (size_t)got);
}

static void on_writable(struct conn *c)
{
    if (!c->out) {
        return;
    }
    ssize_t sent = send(c->fd, c->out + c->out_at, c->out_len - c->out_at, MSG_NOSIGNAL);
    if (sent < 0) {
        if (errno != EAGAIN && errno != EINTR) {
            kill_conn(c);
        }
        return;
    }
    c->out_at += (size_t)sent;
    if (c->out_at < c->out_len) {
        return;
    }
    free(c->out);
    c->out = NULL;
    c->out_len = 0;
    c->out_at = 0;
    sock_watch(epoll_fd, EPOLL_CTL_MOD, c->fd, EPOLLIN, c);
    if (c->closing) {
        kill_conn(c);
    } else if (c->phase == STREAMING) {
        step_stream(c, now_ticks());
    }
}

static void on_timer(struct conn *c, uint64_t now)
{
    if (c->phase == STALLED) {
        c->phase = READING;
        answer(c);
    } else {
        step_stream(c, now);
    }
}

static void accept_all(int listener)
{
    int fd;
    while ((fd = sock_accept(listener)) >= 0) {
        struct conn *c = calloc(1, sizeof(*c));
        if (!c) {
            sock_die("calloc");
        }
        c->fd = fd;
        stats.connections++;
        stats.open_connections++;
        sock_watch(epoll_fd, EPOLL_CTL_ADD, fd, EPOLLIN, c);
    }
}

/* epoll_wait() knows milliseconds only. */
static int wait_for_events(struct epoll_event *events, int max)
{
    int64_t ticks = wheel.count ? wheel_timeout(&wheel, now_ticks()) : -1;
    int64_t ns = ticks * WHEEL_TICK_NS;
    struct timespec timeout = {.tv_sec = ns / 1000000000, .tv_nsec = ns % 1000000000};
    return epoll_pwait2(epoll_fd, events, max, ticks < 0 ? NULL : &timeout, NULL);
}

static void run(int listener)
{
    struct epoll_event events[512];
    wheel_init(&wheel, now_ticks());
    for (;;) {
        int n = wait_for_events(events, 512);
        uint64_t now = now_ticks();
        struct wheel_node *node;
        while ((node = wheel_expire(&wheel, now)) != NULL) {
            on_timer((struct conn *)node, now);
        }
        for (int i = 0; i < n; i++) {
            struct conn *c = events[i].data.ptr;
            if (!c) {
                accept_all(listener);
                continue;
            }
            if (!c->dead && (events[i].events & EPOLLOUT)) {
                on_writable(c);
            }
            if (!c->dead && (events[i].events & (EPOLLIN | EPOLLHUP | EPOLLERR))) {
                on_readable(c);
            }
        }
        while (dead_conns) { /* they may have stood twice in the batch */
            struct conn *c = dead_conns;
            dead_conns = c->next_dead;
            free(c->partial);
            free(c->out);
            free(c);
        }
    }
}

int main(int argc, char **argv)
{
    const char *listen_at = "0";
    const char *model = "mock-model";
    for (int i = 1; i < argc; i += 2) {
        const char *value = i + 1 < argc ? argv[i + 1] : NULL;
        if (value && !strcmp(argv[i], "--listen")) {
            listen_at = value;
        } else if (value && !strcmp(argv[i], "--model")) {
            model = value;
        } else if (value && !strcmp(argv[i], "--expect-key")) {
            expect.key = value;
        } else if (value && !strcmp(argv[i], "--expect-model")) {
            expect.model = value;
        } else if (!value || strcmp(argv[i], "--set") || !apply_settings(value)) {
            fprintf(stderr, "usage: mock_upstream [--listen PORT] [--model NAME] [--expect-key KEY]"
                            " [--expect-model NAME] [--set 'chunks=20&interval_ms=10&...']\n");
            return 2;
        }
    }
    signal(SIGPIPE, SIG_IGN);
    sock_raise_fd_limit();
    mock_answers_init(model);
    struct sockaddr_in address = sock_address(listen_at);
    int listener = sock_listen(&address);
    epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    sock_watch(epoll_fd, EPOLL_CTL_ADD, listener, EPOLLIN, NULL);
    printf("{\"port\":%d,\"pid\":%d}\n", sock_port(listener), (int)getpid());
    fflush(stdout);
    run(listener);
}
