/* What the tests of connections share: a resolver that answers from a table, certificates, and a
 * bench of one loop with an echo server and one client at a time. */
#ifndef TESTS_NETBENCH_H
#define TESTS_NETBENCH_H

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/must.h"
#include "net/connect.h"
#include "net/names.h"
#include "net/uv.h"
#include "certs.h"

/* Not every test uses all of it. */
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wunused-function"

/* ---- the resolver: takes the place of libc's for the whole program, libuv included ---- */

struct fake_name {
    const char *host;
    const char *addresses[6];
    int err; /* EAI_ */
    unsigned delay_ms;
    int calls;
};

static pthread_mutex_t fake_lock = PTHREAD_MUTEX_INITIALIZER;
static struct fake_name fakes[] = {
    {.host = "four.test", .addresses = {"127.0.0.1"}},
    {.host = "both.test", .addresses = {"::1", "127.0.0.1"}},
    {.host = "many.test", .addresses = {"127.0.0.2", "127.0.0.3", "127.0.0.3", "::1", "::2"}},
    {.host = "mixed.test", .addresses = {"127.0.0.1", "10.1.2.3", "fd00::1"}},
    {.host = "slow.test", .addresses = {"127.0.0.1"}, .delay_ms = 300},
    {.host = "none.test", .err = EAI_NONAME},
    {.host = "shaky.test", .addresses = {"127.0.0.1"}},
    {.host = "again.test", .err = EAI_AGAIN},
};

static struct fake_name *fake(const char *host)
{
    for (size_t i = 0; i < sizeof fakes / sizeof *fakes; i++) {
        if (strcasecmp(fakes[i].host, host) == 0) {
            return &fakes[i];
        }
    }
    return NULL;
}

static int fake_calls(const char *host)
{
    pthread_mutex_lock(&fake_lock);
    int n = fake(host)->calls;
    pthread_mutex_unlock(&fake_lock);
    return n;
}

static void fake_set(const char *host, const char *address, int err)
{
    pthread_mutex_lock(&fake_lock);
    fake(host)->addresses[0] = address;
    fake(host)->err = err;
    pthread_mutex_unlock(&fake_lock);
}

static struct addrinfo *fake_entry(const char *address)
{
    struct {
        struct addrinfo info;
        union {
            struct sockaddr any;
            struct sockaddr_in v4;
            struct sockaddr_in6 v6;
        } sa;
    } *e = calloc(1, sizeof *e);
    if (inet_pton(AF_INET, address, &e->sa.v4.sin_addr) == 1) {
        e->sa.any.sa_family = AF_INET;
        e->info.ai_addrlen = sizeof e->sa.v4;
    } else {
        must(inet_pton(AF_INET6, address, &e->sa.v6.sin6_addr) == 1);
        e->sa.any.sa_family = AF_INET6;
        e->info.ai_addrlen = sizeof e->sa.v6;
    }
    e->info.ai_family = e->sa.any.sa_family;
    e->info.ai_addr = &e->sa.any;
    return &e->info;
}

int getaddrinfo(const char *restrict host, const char *restrict service,
                const struct addrinfo *restrict hints, struct addrinfo **restrict ret)
{
    (void)service;
    (void)hints;
    pthread_mutex_lock(&fake_lock);
    struct fake_name *known = fake(host);
    struct fake_name f = known ? *known : (struct fake_name){.err = EAI_NONAME};
    if (known) {
        known->calls++;
    } else if (strncmp(host, "filler-", 7) == 0) {
        f = (struct fake_name){.addresses = {"127.0.0.1"}};
    }
    pthread_mutex_unlock(&fake_lock);
    if (f.delay_ms) {
        usleep(f.delay_ms * 1000);
    }
    struct addrinfo **at = ret;
    *ret = NULL;
    for (size_t i = 0; !f.err && i < 6 && f.addresses[i]; i++) {
        *at = fake_entry(f.addresses[i]);
        at = &(*at)->ai_next;
    }
    return f.err;
}

void freeaddrinfo(struct addrinfo *i)
{
    while (i) {
        struct addrinfo *next = i->ai_next;
        free(i);
        i = next;
    }
}

/* ---- certificates ---- */

static char dir[] = "/tmp/accord-connect-XXXXXX";

static char *in_dir(const char *name)
{
    static char path[4][128];
    static unsigned turn;
    char *p = path[turn++ % 4];
    snprintf(p, sizeof path[0], "%s/%s", dir, name);
    return p;
}

static int set_up(void **state)
{
    (void)state;
    assert_non_null(mkdtemp(dir));
    struct pair ca = pair_make("Test CA", NULL, NULL, -86400, 86400);
    struct pair leaf = pair_make("four.test", "DNS:four.test,IP:127.0.0.1", &ca, -86400, 86400);
    pair_save(&ca, dir, "ca", NULL);
    pair_save(&leaf, dir, "leaf", NULL);
    pair_free(&ca);
    pair_free(&leaf);
    setenv("SSL_CERT_FILE", in_dir("ca.pem"), 1);
    setenv("SSL_CERT_DIR", "/nonexistent", 1);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    unlink(in_dir("ca.pem"));
    unlink(in_dir("ca.key"));
    unlink(in_dir("leaf.pem"));
    unlink(in_dir("leaf.key"));
    unlink(in_dir("sock"));
    return rmdir(dir);
}

/* ---- a bench: one loop, one echo server, one client at a time ---- */

struct peer {
    struct bench *b;
    struct stream *s;
    struct peer *next, *other; /* `other`: where a proxy's peer sends what it gets */
    char head[4096];
    size_t n;
};

struct bench {
    struct loop *l;
    struct listener *listener;
    struct peer *peers;
    uint16_t port;
    int accepted;
    /* the client */
    struct connecting *c;
    struct stream *s;
    int calls;
    enum connect_failure why;
    char detail[512];
    uint64_t started_us, took_ms;
    char got[256];
    size_t got_n;
    struct timer guard;
    bool timed_out;
};

static const struct stream_ops echo_ops;

static void peer_drop(struct peer *p)
{
    struct peer **at = &p->b->peers;
    while (*at != p) {
        at = &(*at)->next;
    }
    *at = p->next;
    if (p->other) {
        p->other->other = NULL;
    }
    stream_close(p->s);
    free(p);
}

static struct peer *peer_new(struct bench *b, struct stream *s, const struct stream_ops *ops)
{
    struct peer *p = mem_zalloc(sizeof *p);
    p->b = b;
    p->s = s;
    p->next = b->peers;
    b->peers = p;
    stream_own(s, ops, p);
    stream_resume(s);
    return p;
}

static void echo_data(void *owner, char *text, size_t n)
{
    struct peer *p = owner;
    struct iovec v = {text, n};
    assert_int_equal(stream_write(p->s, &v, 1), 0);
}

static void peer_eof(void *owner)
{
    peer_drop(owner);
}

static void peer_error(void *owner, int err)
{
    (void)err;
    peer_drop(owner);
}

static const struct stream_ops echo_ops = {.data = echo_data, .eof = peer_eof, .error = peer_error};

static void on_accept(void *arg, struct stream *s)
{
    struct bench *b = arg;
    b->accepted++;
    peer_new(b, s, &echo_ops);
}

static void guard_fired(struct timer *t)
{
    struct bench *b = (struct bench *)((char *)t - offsetof(struct bench, guard));
    b->timed_out = true;
    loop_stop(b->l);
}

/* Runs until loop_stop() or for so long. The loop's stop flag is the lead's affair: stopping once
 * per run is enough here. */
static bool run_for(struct bench *b, uint64_t ms)
{
    b->timed_out = false;
    b->l->now_us = 0;
    b->guard.fire = guard_fired;
    loop_timer(b->l, &b->guard, ms);
    loop_run(b->l);
    timer_clear(&b->guard);
    return !b->timed_out;
}

static struct bench *bench_new(const char *listen_at, struct tls_ctx *tls)
{
    struct bench *b = mem_zalloc(sizeof *b);
    b->l = loop_new();
    if (listen_at) {
        int fd;
        assert_int_equal(stream_bind(str_of(listen_at), &fd, &b->port), 0);
        b->listener = listener_new(b->l, fd, tls, on_accept, b);
    }
    return b;
}

static void bench_free(struct bench *b)
{
    stream_close(b->s);
    while (b->peers) {
        peer_drop(b->peers);
    }
    if (b->listener) {
        listener_close(b->listener);
    }
    loop_free(b->l);
    free(b);
}

static void on_done(void *arg, struct stream *s, enum connect_failure why, const char *detail)
{
    struct bench *b = arg;
    b->calls++;
    b->c = NULL;
    b->s = s;
    b->why = why;
    b->took_ms = (clock_us() - b->started_us) / 1000;
    snprintf(b->detail, sizeof b->detail, "%s", detail);
    loop_stop(b->l);
}

static struct connect_target target(const char *host, uint16_t port)
{
    return (struct connect_target){
        .host = str_of(host), .port = port, .allow_private = true, .timeout_ms = 3000};
}

static void begin(struct bench *b, const struct connect_target *t)
{
    stream_close(b->s);
    b->s = NULL;
    b->calls = 0;
    b->l->now_us = 0; /* the cached clock is from the last run */
    b->started_us = clock_us();
    b->c = connect_start(b->l, t, on_done, b);
    assert_int_equal(b->calls, 0); /* never from inside */
}

static enum connect_failure go(struct bench *b, const struct connect_target *t)
{
    begin(b, t);
    assert_true(run_for(b, 8000));
    assert_int_equal(b->calls, 1);
    assert_int_equal(b->s != NULL, b->why == CONNECT_OK);
    return b->why;
}

static void client_data(void *owner, char *p, size_t n)
{
    struct bench *b = owner;
    assert_true(b->got_n + n <= sizeof b->got);
    memcpy(b->got + b->got_n, p, n);
    b->got_n += n;
    loop_stop(b->l);
}

static void client_end(void *owner)
{
    loop_stop(((struct bench *)owner)->l);
}

static void client_error(void *owner, int err)
{
    (void)err;
    loop_stop(((struct bench *)owner)->l);
}

static const struct stream_ops client_ops = {
    .data = client_data, .eof = client_end, .error = client_error};

/* The stream that came out works: what is written comes back. */
static void expect_echo(struct bench *b, const char *text)
{
    struct iovec v = {(void *)(uintptr_t)text, strlen(text)};
    b->got_n = 0;
    stream_own(b->s, &client_ops, b);
    stream_resume(b->s);
    assert_int_equal(stream_write(b->s, &v, 1), 0);
    while (b->got_n < strlen(text)) {
        assert_true(run_for(b, 3000));
    }
    assert_memory_equal(b->got, text, strlen(text));
}

static void expect_detail(struct bench *b, const char *part)
{
    if (!strstr(b->detail, part)) {
        fail_msg("\"%s\" is not in \"%s\"", part, b->detail);
    }
}

/* A port on which nobody listens. */
static uint16_t closed_port(const char *address)
{
    int fd;
    uint16_t port;
    assert_int_equal(stream_bind(str_of(address), &fd, &port), 0);
    close(fd);
    return port;
}

/* A socket that lets nobody in: its queue is full, so that the kernel ignores who knocks. */
struct hole {
    int fd, fill[8];
    uint16_t port;
};

static struct hole hole_new(int family)
{
    struct hole h = {.fd = socket(family, SOCK_STREAM | SOCK_CLOEXEC, 0)};
    struct sockaddr_in6 six = {.sin6_family = AF_INET6, .sin6_addr = IN6ADDR_LOOPBACK_INIT};
    struct sockaddr_in four = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
    struct sockaddr *sa = family == AF_INET ? (struct sockaddr *)&four : (struct sockaddr *)&six;
    socklen_t len = family == AF_INET ? sizeof four : sizeof six;
    assert_int_equal(bind(h.fd, sa, len), 0);
    assert_int_equal(getsockname(h.fd, sa, &len), 0);
    assert_int_equal(listen(h.fd, 0), 0);
    h.port = ntohs(family == AF_INET ? four.sin_port : six.sin6_port);
    for (int i = 0; i < 8; i++) {
        h.fill[i] = socket(family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
        (void)!connect(h.fill[i], sa, len);
    }
    usleep(20000);
    return h;
}

static void hole_free(struct hole *h)
{
    for (int i = 0; i < 8; i++) {
        close(h->fill[i]);
    }
    close(h->fd);
}

/* ---- TLS ---- */

static struct tls_ctx *leaf_ctx(void)
{
    struct tls_ctx *c = NULL;
    struct buf why = {0};
    assert_int_equal(tls_server_ctx(in_dir("leaf.pem"), in_dir("leaf.key"), &c, &why), 0);
    return c;
}

static struct tls_ctx *client_ctx(void)
{
    struct tls_ctx *c = NULL;
    struct buf why = {0};
    assert_int_equal(tls_client_ctx(&c, &why), 0);
    return c;
}

/* A listening socket that accepts in the kernel and says nothing. */
static int silent(uint16_t *ret_port)
{
    int fd;
    assert_int_equal(stream_bind(STR("127.0.0.1:0"), &fd, ret_port), 0);
    assert_int_equal(listen(fd, 16), 0);
    return fd;
}

#pragma GCC diagnostic pop

#endif
