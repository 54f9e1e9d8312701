/* The way of a connection:
 *
 *   look up ──▶ race ──┬──────────────▶ done       plain, or plain through a proxy
 *      │          │    ├─▶ tunnel ─┐
 *      │          │    └───────────┴─▶ TLS ──▶ done
 *      └──────────┴── failure or deadline, at any point ──▶ done
 *
 * In a race each address that was started and is not decided has a socket of its own; the first to
 * connect wins. Success is told from where it happens; failures go over the deadline's timer, so
 * that one of them met in connect_start() is not told from inside it. */
#include "net/connect.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/must.h"
#include "net/names.h"
#include "net/proxy.h"
#include "net/uv.h"

enum {
    NEXT_ADDRESS_MS = 250, /* RFC 8305, 5: Connection Attempt Delay */
    UNIX_AGAIN_MS =
        10, /* one cannot wait for a unix socket whose backlog is full, only ask again */
    DETAIL_MAX = 480,
    DETAIL_HOST = 120,
};

enum stage { LOOK_UP, RACE, TUNNEL, TLS, FAILED };

static const char *const still[] = {
    [LOOK_UP] = "looking up the name",
    [RACE] = "waiting for the connection to be accepted",
    [TUNNEL] = "waiting for the proxy to open the tunnel",
    [TLS] = "in the TLS handshake",
};

struct connecting {
    struct loop *loop;
    struct connect_target target;
    void (*done)(void *arg, struct stream *s, enum connect_failure why, const char *detail);
    void *arg;
    enum stage stage;
    enum connect_failure failure; /* in FAILED: what the timer is to tell */
    struct timer deadline;
    struct timer next; /* starts the next address of the race */
    struct names_wait wait;
    struct names_answer to; /* whom to connect to: the target, or the proxy when there is one */
    size_t started;
    struct attempt *attempts;
    int last_error;
    struct stream *stream;
    struct buf answer; /* of the proxy */
    char *tls_host;
    char detail[DETAIL_MAX];
};

/* One socket in the race. Outlives it until libuv has let go of the handle. */
struct attempt {
    uv_poll_t poll;
    struct attempt *next;
    struct connecting *c;
    int fd;
};

union sock_address {
    struct sockaddr any;
    struct sockaddr_in v4;
    struct sockaddr_in6 v6;
    struct sockaddr_un un;
};

static bool by_proxy(const struct connecting *c)
{
    return c->target.proxy_host.n > 0;
}

/* ---- the end ---- */

static void on_poll_closed(uv_handle_t *h)
{
    free(h->data);
}

/* Takes it out of the race. The socket stays open and is the caller's. */
static int attempt_end(struct attempt *a)
{
    struct attempt **at = &a->c->attempts;
    while (*at != a) {
        at = &(*at)->next;
    }
    *at = a->next;
    uv_close((uv_handle_t *)&a->poll, on_poll_closed);
    return a->fd;
}

static void end_race(struct connecting *c)
{
    timer_clear(&c->next);
    while (c->attempts) {
        close(attempt_end(c->attempts));
    }
}

static void release(struct connecting *c)
{
    end_race(c);
    timer_clear(&c->deadline);
    names_cancel(&c->wait);
    buf_free(&c->answer);
    free(c->tls_host);
    free(c);
}

void connect_cancel(struct connecting *c)
{
    stream_close(c->stream);
    release(c);
}

static void finish(struct connecting *c, enum connect_failure why)
{
    void (*done)(void *, struct stream *, enum connect_failure, const char *) = c->done;
    void *arg = c->arg;
    struct stream *s = c->stream;
    char detail[DETAIL_MAX];
    memcpy(detail, c->detail, sizeof detail);
    if (why == CONNECT_OK) {
        stream_pause(s);
        stream_own(s, NULL, NULL);
    } else {
        stream_close(s);
        s = NULL;
    }
    release(c);
    done(arg, s, why, detail);
}

static size_t put_host(char *to, size_t cap, struct str host, unsigned port)
{
    host = str_first(host, DETAIL_HOST);
    bool six = port && str_chr(host, ':') >= 0;
    int n = port ? snprintf(to, cap, six ? "[%.*s]:%u" : "%.*s:%u", STR_ARG(host), port)
                 : snprintf(to, cap, "unix:%.*s", STR_ARG(host));
    return (size_t)n;
}

/* "HOST:PORT through the proxy HOST:PORT: what happened". */
__attribute__((format(printf, 2, 3))) static void describe(struct connecting *c, const char *fmt,
                                                           ...)
{
    const struct connect_target *t = &c->target;
    size_t n = put_host(c->detail, DETAIL_MAX, t->host, t->port);
    if (by_proxy(c)) {
        n += (size_t)snprintf(c->detail + n, DETAIL_MAX - n, " through the proxy ");
        n += put_host(c->detail + n, DETAIL_MAX - n, t->proxy_host, t->proxy_port);
    }
    n += (size_t)snprintf(c->detail + n, DETAIL_MAX - n, ": ");
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(c->detail + n, DETAIL_MAX - n, fmt, ap);
    va_end(ap);
}

/* After describe(). Tells the failure at the next turn of the loop. */
static void fail(struct connecting *c, enum connect_failure why)
{
    end_race(c);
    stream_close(c->stream);
    c->stream = NULL;
    c->stage = FAILED;
    c->failure = why;
    loop_timer(c->loop, &c->deadline, 0);
}

static void on_deadline(struct timer *t)
{
    struct connecting *c = (struct connecting *)((char *)t - offsetof(struct connecting, deadline));
    if (c->stage != FAILED) {
        describe(c, "%llu ms have passed %s", (unsigned long long)c->target.timeout_ms,
                 still[c->stage]);
        c->failure = CONNECT_TIMEOUT;
    }
    finish(c, c->failure);
}

/* ---- TLS ---- */

static void on_tls(void *owner, int err, const char *why)
{
    struct connecting *c = owner;
    if (err == 0) {
        finish(c, CONNECT_OK);
        return;
    }
    if (err == -EPROTO) {
        describe(c, "%s", why);
    } else {
        describe(c, "the connection broke during the TLS handshake: %s", strerror(-err));
    }
    fail(c, CONNECT_TLS);
}

static void start_tls(struct connecting *c)
{
    c->stage = TLS;
    c->tls_host = mem_zalloc(c->target.host.n + 1);
    memcpy(c->tls_host, c->target.host.p, c->target.host.n);
    stream_start_tls(c->stream, c->target.tls_ctx, c->tls_host, on_tls);
}

/* ---- the tunnel through a proxy ---- */

static void on_tunnel_data(void *owner, char *p, size_t n)
{
    struct connecting *c = owner;
    struct buf why = {.limit = 160};
    size_t room = PROXY_HEAD_MAX - c->answer.n;
    buf_add(&c->answer, str_make(p, n < room ? n : room));
    int r = proxy_answer(buf_str(&c->answer), &why);
    if (r < 0) {
        describe(c, "the proxy opens no tunnel: %.*s", STR_ARG(buf_str(&why)));
        fail(c, CONNECT_PROXY);
    } else if (r > 0) {
        stream_pause(c->stream);
        start_tls(c);
    }
    buf_free(&why);
}

static void on_tunnel_eof(void *owner)
{
    struct connecting *c = owner;
    describe(c, "the proxy closed the connection before the tunnel stood");
    fail(c, CONNECT_PROXY);
}

static void on_tunnel_error(void *owner, int err)
{
    struct connecting *c = owner;
    describe(c, "the connection to the proxy broke: %s", strerror(-err));
    fail(c, CONNECT_PROXY);
}

static void start_tunnel(struct connecting *c)
{
    struct buf request = {.limit = PROXY_HEAD_MAX};
    c->stage = TUNNEL;
    proxy_request(&request, &c->target);
    struct iovec v = {request.p, request.n};
    int r = request.overflow ? -EMSGSIZE : stream_write(c->stream, &v, 1);
    buf_free(&request);
    if (r < 0) {
        on_tunnel_error(c, r);
    } else {
        stream_resume(c->stream);
    }
}

static const struct stream_ops ops = {
    .data = on_tunnel_data,
    .eof = on_tunnel_eof,
    .error = on_tunnel_error,
};

/* ---- the race ---- */

static void start_next(struct connecting *c);

static void won(struct connecting *c, int fd)
{
    end_race(c);
    c->stream = stream_from_fd(c->loop, fd);
    stream_own(c->stream, &ops, c);
    if (!c->target.tls) {
        finish(c, CONNECT_OK);
    } else if (by_proxy(c)) {
        start_tunnel(c);
    } else {
        start_tls(c);
    }
}

static void on_poll(uv_poll_t *p, int status, int events)
{
    struct attempt *a = p->data;
    struct connecting *c = a->c;
    int err = 0;
    socklen_t len = sizeof err;
    (void)events;
    /* libuv reports a refused connection as a bad descriptor; the socket knows better. */
    getsockopt(a->fd, SOL_SOCKET, SO_ERROR, &err, &len);
    if (err == 0 && status < 0) {
        err = -status;
    }
    int fd = attempt_end(a);
    if (err == 0) {
        won(c, fd);
        return;
    }
    close(fd);
    c->last_error = err;
    start_next(c);
}

static socklen_t fill(const struct address *a, uint16_t port, union sock_address *ret)
{
    memset(ret, 0, sizeof *ret);
    if (a->n == 4) {
        ret->v4.sin_family = AF_INET;
        ret->v4.sin_port = htons(port);
        memcpy(&ret->v4.sin_addr, a->bytes, 4);
        return sizeof ret->v4;
    }
    ret->v6.sin6_family = AF_INET6;
    ret->v6.sin6_port = htons(port);
    ret->v6.sin6_scope_id = a->scope;
    memcpy(&ret->v6.sin6_addr, a->bytes, 16);
    return sizeof ret->v6;
}

/* 0: on its way; else the errno of an address that is out at once. */
static int start_one(struct connecting *c, const union sock_address *to, socklen_t len)
{
    int fd = socket(to->any.sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0) {
        return errno;
    }
    if (connect(fd, &to->any, len) < 0 && errno != EINPROGRESS && errno != EINTR) {
        int err = errno;
        close(fd);
        return err;
    }
    struct attempt *a = mem_zalloc(sizeof *a);
    a->c = c;
    a->fd = fd;
    a->poll.data = a;
    int r = uv_poll_init(loop_uv(c->loop), &a->poll, fd);
    if (r < 0) {
        free(a);
        close(fd);
        return -r;
    }
    a->next = c->attempts;
    c->attempts = a;
    uv_poll_start(&a->poll, UV_WRITABLE, on_poll);
    return 0;
}

static void race_lost(struct connecting *c)
{
    const struct connect_target *t = &c->target;
    const char *what = strerror(c->last_error);
    if (t->port) {
        names_doubt(c->loop, by_proxy(c) ? t->proxy_host : t->host);
    }
    if (by_proxy(c)) {
        describe(c, "no connection to the proxy: %s", what);
    } else if (c->to.n > 1) {
        describe(c, "none of %zu addresses takes the connection: %s", c->to.n, what);
    } else {
        describe(c, "%s", what);
    }
    fail(c, by_proxy(c) ? CONNECT_PROXY : CONNECT_REFUSED);
}

/* Starts one address more; the next follows after a while, or when this one fails. */
static void start_next(struct connecting *c)
{
    uint16_t port = by_proxy(c) ? c->target.proxy_port : c->target.port;
    timer_clear(&c->next);
    while (c->started < c->to.n) {
        union sock_address sa;
        socklen_t len = fill(&c->to.at[c->started++], port, &sa);
        int err = start_one(c, &sa, len);
        if (err == 0) {
            if (c->started < c->to.n) {
                loop_timer(c->loop, &c->next, NEXT_ADDRESS_MS);
            }
            return;
        }
        c->last_error = err;
    }
    if (!c->attempts) {
        race_lost(c);
    }
}

static void start_unix(struct connecting *c)
{
    union sock_address sa = {.un.sun_family = AF_UNIX};
    memcpy(sa.un.sun_path, c->target.host.p, c->target.host.n);
    int err = start_one(c, &sa, sizeof sa.un);
    if (err == EAGAIN) {
        loop_timer(c->loop, &c->next, UNIX_AGAIN_MS);
    } else if (err) {
        c->last_error = err;
        race_lost(c);
    }
}

static void on_next(struct timer *t)
{
    struct connecting *c = (struct connecting *)((char *)t - offsetof(struct connecting, next));
    if (c->target.port) {
        start_next(c);
    } else {
        start_unix(c);
    }
}

/* ---- whom to connect to ---- */

/* Here, on the very addresses that connect() gets, and not on the name: a name may resolve
 * otherwise the next time. */
static bool drop_private(struct connecting *c)
{
    struct names_answer *to = &c->to;
    size_t kept = 0;
    char text[INET6_ADDRSTRLEN] = "";
    for (size_t i = 0; i < to->n; i++) {
        if (!address_is_private(to->at[i].bytes, to->at[i].n)) {
            to->at[kept++] = to->at[i];
        } else {
            inet_ntop(to->at[i].n == 4 ? AF_INET : AF_INET6, to->at[i].bytes, text, sizeof text);
        }
    }
    to->n = kept;
    if (kept == 0) {
        describe(c, "%s is a private address, and those need allow_private_address: true", text);
    }
    return kept > 0;
}

static void start_race(struct connecting *c)
{
    if (c->to.n == 0) {
        describe(c, "%s%s", by_proxy(c) ? "the proxy's name does not resolve: " : "", c->to.why);
        fail(c, by_proxy(c) ? CONNECT_PROXY : CONNECT_NAME);
        return;
    }
    if (!by_proxy(c) && !c->target.allow_private && !drop_private(c)) {
        fail(c, CONNECT_PRIVATE);
        return;
    }
    c->stage = RACE;
    start_next(c);
}

static void on_names(struct names_wait *w, const struct names_answer *a)
{
    struct connecting *c = (struct connecting *)((char *)w - offsetof(struct connecting, wait));
    c->to = *a;
    start_race(c);
}

static void look_up(struct connecting *c)
{
    struct str host = by_proxy(c) ? c->target.proxy_host : c->target.host;
    if (names_literal(host, &c->to.at[0])) {
        c->to.n = 1;
    } else if (!names_lookup(c->loop, host, &c->wait, &c->to)) {
        return;
    }
    start_race(c);
}

/* What the proxy would connect to is the proxy's business, but for what needs no look-up: addresses
 * in all of inet_aton()'s spellings ("127.1", "0x7f000001"), and localhost (RFC 6761, 6.3). */
static bool literally_private(struct str host)
{
    char text[64];
    struct address a;
    struct in_addr four;
    if (str_ends(host, STR("."))) {
        host.n--;
    }
    if (names_literal(host, &a)) {
        return address_is_private(a.bytes, a.n);
    }
    if (host.n >= 9 && str_ieq(str_from(host, host.n - 9), STR("localhost")) &&
        (host.n == 9 || host.p[host.n - 10] == '.')) {
        return true;
    }
    if (host.n >= sizeof text) {
        return false;
    }
    memcpy(text, host.p, host.n);
    text[host.n] = 0;
    return inet_aton(text, &four) && address_is_private((const uint8_t *)&four, sizeof four);
}

static bool is_host(struct str host)
{
    for (size_t i = 0; i < host.n; i++) {
        if ((unsigned char)host.p[i] <= 0x20 || host.p[i] == 0x7f) {
            return false;
        }
    }
    return host.n > 0 && host.n <= NAMES_MAX;
}

static void begin(struct connecting *c)
{
    const struct connect_target *t = &c->target;
    if (t->port == 0) {
        struct sockaddr_un un;
        c->stage = RACE;
        if (t->tls) {
            describe(c, "there is no TLS over unix sockets");
            fail(c, CONNECT_TLS);
        } else if (t->host.n == 0 || t->host.n >= sizeof un.sun_path) {
            describe(c, "the path is empty or longer than %zu bytes", sizeof un.sun_path - 1);
            fail(c, CONNECT_NAME);
        } else {
            start_unix(c);
        }
    } else if (!is_host(t->host)) {
        describe(c, "this is not a host name");
        fail(c, CONNECT_NAME);
    } else if (by_proxy(c) && !t->allow_private && literally_private(t->host)) {
        describe(c, "this is a private address, and those need "
                    "allow_private_address: true");
        fail(c, CONNECT_PRIVATE);
    } else {
        look_up(c);
    }
}

struct connecting *connect_start(struct loop *l, const struct connect_target *t,
                                 void (*done)(void *arg, struct stream *s, enum connect_failure why,
                                              const char *detail),
                                 void *arg)
{
    must(!t->tls || t->tls_ctx);
    struct connecting *c = mem_zalloc(sizeof *c);
    c->loop = l;
    c->target = *t;
    if (t->port == 0) {
        c->target.proxy_host = (struct str){0};
    }
    c->done = done;
    c->arg = arg;
    c->wait.done = on_names;
    c->deadline.fire = on_deadline;
    c->next.fire = on_next;
    c->answer.limit = PROXY_HEAD_MAX;
    loop_timer(l, &c->deadline, t->timeout_ms);
    begin(c);
    return c;
}
