#include "net/stream.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/must.h"
#include "net/tls.h"
#include "net/uv.h"

struct stream {
    struct stream *next, *prev; /* in the loop's list, until it closes */
    union {
        uv_handle_t handle;
        uv_stream_t stream;
        uv_tcp_t tcp;
        uv_pipe_t pipe;
    } uv;
    struct loop *loop;
    const struct stream_ops *ops;
    void *owner;
    int fd;
    char *sink;
    size_t sink_n;
    size_t queued;
    struct tls *tls;
    void (*tls_done)(void *owner, int err, const char *why);
    struct loop_hook deliver; /* plaintext that waits inside TLS after a resume */
    struct timer linger;
    bool paused, eof, closing, gentle, shaking, freed;
};

/* One piece of output that the kernel did not take at once. */
struct queued_write {
    uv_write_t req;
    size_t n;
    char data[];
};

static void on_read(uv_stream_t *u, ssize_t n, const uv_buf_t *buf);

static struct stream *stream_alloc(struct loop *l)
{
    struct stream *s = mem_zalloc(sizeof *s);
    s->loop = l;
    s->paused = true;
    s->next = l->streams;
    if (s->next) {
        s->next->prev = s;
    }
    l->streams = s;
    return s;
}

static void release(struct stream *s)
{
    tls_free(s->tls);
    free(s);
}

static void on_closed(uv_handle_t *h)
{
    struct stream *s = h->data;
    if (s->deliver._queued) {
        s->freed = true; /* the hook still points here; it releases the stream when it runs */
        return;
    }
    release(s);
}

void stream_close(struct stream *s)
{
    if (!s || s->closing) {
        return;
    }
    s->closing = true;
    s->ops = NULL;
    *(s->prev ? &s->prev->next : &s->loop->streams) = s->next;
    if (s->next) {
        s->next->prev = s->prev;
    }
    timer_clear(&s->linger);
    uv_close(&s->uv.handle, on_closed);
}

void stream_own(struct stream *s, const struct stream_ops *ops, void *owner)
{
    s->ops = ops;
    s->owner = owner;
}

size_t stream_queued(const struct stream *s)
{
    /* Of a long piece what the kernel has taken so far is gone, though not yet its memory. */
    return s->queued ? uv_stream_get_write_queue_size(&s->uv.stream) : 0;
}

bool stream_is_tls(const struct stream *s)
{
    return s->tls != NULL;
}

/* ---- reading ---- */

static void on_alloc(uv_handle_t *h, size_t suggested, uv_buf_t *ret)
{
    struct stream *s = h->data;
    (void)suggested;
    if (s->sink_n && !s->tls) {
        *ret = uv_buf_init(s->sink, (unsigned)(s->sink_n < INT32_MAX ? s->sink_n : INT32_MAX));
    } else {
        *ret = uv_buf_init(s->loop->scratch, LOOP_SCRATCH);
    }
}

void stream_pause(struct stream *s)
{
    if (!s->paused) {
        s->paused = true;
        uv_read_stop(&s->uv.stream);
    }
}

static void deliver_later(struct loop_hook *h);

void stream_resume(struct stream *s)
{
    if (!s->paused || s->closing) {
        return;
    }
    s->paused = false;
    if (!s->eof) {
        uv_read_start(&s->uv.stream, on_alloc, on_read);
    }
    if (s->tls && !s->shaking) {
        s->deliver.run = deliver_later;
        loop_at_end_of_turn(s->loop, &s->deliver);
    }
}

void stream_sink(struct stream *s, char *p, size_t n)
{
    s->sink = p;
    s->sink_n = n;
}

static void raise_error(struct stream *s, int err)
{
    if (s->shaking && s->tls_done) {
        s->shaking = false;
        s->tls_done(s->owner, err, "the connection broke during the TLS handshake");
    } else if (s->gentle || !s->ops) {
        stream_close(s);
    } else {
        s->ops->error(s->owner, err);
    }
}

static void raise_eof(struct stream *s)
{
    if (s->eof) {
        return;
    }
    s->eof = true;
    if (s->gentle) {
        stream_close(s);
    } else if (s->shaking || !s->ops) {
        raise_error(s, -ECONNRESET);
    } else {
        s->ops->eof(s->owner);
    }
}

static int flush_tls(struct stream *s);

/* Hands out the plaintext that has been decrypted, for as long as the owner wants it. */
static void deliver_plain(struct stream *s)
{
    struct loop *l = s->loop;
    if (!l->plain) {
        l->plain = mem_realloc(NULL, LOOP_SCRATCH);
    }
    while (!s->closing && !s->paused) {
        ssize_t n = tls_read(s->tls, l->plain, LOOP_SCRATCH);
        if (n > 0) {
            if (!s->gentle && s->ops) {
                s->ops->data(s->owner, l->plain, (size_t)n);
            }
            continue;
        }
        /* A read may have to answer (a key update); send it. */
        if (flush_tls(s) < 0 || n == -EPROTO) {
            raise_error(s, -EPROTO);
        } else if (n == -ECONNRESET) {
            raise_eof(s);
        }
        return;
    }
}

static void deliver_later(struct loop_hook *h)
{
    struct stream *s = (struct stream *)((char *)h - offsetof(struct stream, deliver));
    if (s->freed) {
        release(s);
    } else if (!s->closing && s->tls) {
        deliver_plain(s);
    }
}

static void shake(struct stream *s)
{
    int r = tls_shake(s->tls);
    int sent = flush_tls(s);
    if (r == 0 && sent == 0) {
        return;
    }
    s->shaking = false;
    void (*done)(void *, int, const char *) = s->tls_done;
    s->tls_done = NULL;
    if (r == 1 && sent == 0) {
        if (done) {
            done(s->owner, 0, NULL);
        }
    } else if (done) {
        done(s->owner, r < 0 ? r : sent, tls_why(s->tls));
    } else {
        raise_error(s, -EPROTO);
    }
}

static void on_cipher(struct stream *s, const char *p, size_t n)
{
    tls_feed(s->tls, p, n);
    if (s->shaking) {
        shake(s);
    }
    if (!s->closing && !s->shaking && !s->paused) {
        deliver_plain(s);
    }
}

static void on_read(uv_stream_t *u, ssize_t n, const uv_buf_t *buf)
{
    struct stream *s = u->data;
    if (n > 0) {
        if (s->sink_n && buf->base == s->sink) {
            s->sink += n;
            s->sink_n -= (size_t)n;
        }
        if (s->tls) {
            on_cipher(s, buf->base, (size_t)n);
        } else if (!s->gentle && s->ops) {
            s->ops->data(s->owner, buf->base, (size_t)n);
        }
    } else if (n == UV_EOF && s->tls && !s->gentle) {
        raise_error(s,
                    -ECONNRESET); /* no close_notify: what came may be cut short (RFC 8446, 6.1) */
    } else if (n == UV_EOF) {
        raise_eof(s);
    } else if (n < 0) {
        raise_error(s, uv_to_errno((int)n));
    }
}

/* ---- writing ---- */

static void on_written(uv_write_t *req, int status)
{
    struct stream *s = req->data;
    struct queued_write *w =
        (struct queued_write *)((char *)req - offsetof(struct queued_write, req));
    s->queued -= w->n;
    free(w);
    if (s->closing) {
        return;
    }
    if (status < 0) {
        raise_error(s, uv_to_errno(status));
    } else if (s->queued == 0 && !s->gentle && s->ops && s->ops->drained && !s->shaking) {
        s->ops->drained(s->owner);
    }
}

static int queue(struct stream *s, const struct iovec *v, int n, size_t skip)
{
    size_t total = 0;
    for (int i = 0; i < n; i++) {
        total += v[i].iov_len;
    }
    struct queued_write *w = mem_realloc(NULL, sizeof *w + total - skip);
    w->n = 0;
    for (int i = 0; i < n; i++) {
        size_t off = skip < v[i].iov_len ? skip : v[i].iov_len, left = v[i].iov_len - off;
        skip -= off;
        if (left) { /* an empty piece may have no address */
            memcpy(w->data + w->n, (const char *)v[i].iov_base + off, left);
            w->n += left;
        }
    }
    w->req.data = s;
    uv_buf_t buf = uv_buf_init(w->data, (unsigned)w->n);
    s->queued += w->n;
    int r = uv_write(&w->req, &s->uv.stream, &buf, 1, on_written);
    if (r < 0) {
        s->queued -= w->n;
        free(w);
        return uv_to_errno(r);
    }
    return 0;
}

static int write_raw(struct stream *s, const struct iovec *v, int n)
{
    size_t total = 0;
    for (int i = 0; i < n; i++) {
        total += v[i].iov_len;
    }
    if (total == 0) {
        return 0;
    }
    size_t sent = 0;
    if (s->queued == 0) {
        /* What uv_try_write() does, without its detours. */
        ssize_t r;
        do {
            r = n == 1 ? write(s->fd, v->iov_base, v->iov_len) : writev(s->fd, v, n);
        } while (r < 0 && errno == EINTR);
        if (r < 0 && errno != EAGAIN && errno != ENOBUFS) {
            return -errno;
        }
        sent = r > 0 ? (size_t)r : 0;
    }
    return sent == total ? 0 : queue(s, v, n, sent);
}

static int flush_tls(struct stream *s)
{
    struct str out = tls_pending(s->tls);
    if (out.n == 0) {
        return 0;
    }
    struct iovec v = {(void *)(uintptr_t)out.p, out.n};
    int r = write_raw(s, &v, 1);
    tls_sent(s->tls, out.n);
    return r;
}

static int write_tls(struct stream *s, const struct iovec *v, int n)
{
    struct loop *l = s->loop;
    size_t held = 0;
    must(!s->shaking);
    if (!l->gather) {
        l->gather = mem_realloc(NULL, LOOP_GATHER);
    }
    for (int i = 0; i < n; i++) {
        size_t at = 0;
        while (at < v[i].iov_len) {
            size_t room = LOOP_GATHER - held;
            size_t take = v[i].iov_len - at < room ? v[i].iov_len - at : room;
            memcpy(l->gather + held, (const char *)v[i].iov_base + at, take);
            held += take;
            at += take;
            if (held == LOOP_GATHER) {
                if (tls_write(s->tls, l->gather, held) < 0) {
                    return -EPROTO;
                }
                held = 0;
            }
        }
    }
    if (held && tls_write(s->tls, l->gather, held) < 0) {
        return -EPROTO;
    }
    return flush_tls(s);
}

int stream_write(struct stream *s, const struct iovec *v, int n)
{
    must(!s->closing);
    return s->tls ? write_tls(s, v, n) : write_raw(s, v, n);
}

static void on_shutdown(uv_shutdown_t *req, int status)
{
    (void)status;
    free(req);
}

void stream_shutdown(struct stream *s)
{
    if (s->tls && !s->shaking) {
        tls_close_notify(s->tls);
        if (flush_tls(s) < 0) {
            return;
        }
    }
    uv_shutdown_t *req = mem_zalloc(sizeof *req);
    if (uv_shutdown(req, &s->uv.stream, on_shutdown) < 0) {
        free(req);
    }
}

static void linger_over(struct timer *t)
{
    stream_close((struct stream *)((char *)t - offsetof(struct stream, linger)));
}

void stream_close_gently(struct stream *s, uint64_t linger_ms)
{
    if (!s || s->closing) {
        return;
    }
    s->gentle = true;
    s->ops = NULL;
    stream_sink(s, NULL, 0);
    stream_shutdown(s);
    if (s->eof && s->queued == 0) {
        stream_close(s);
        return;
    }
    s->linger.fire = linger_over;
    loop_timer(s->loop, &s->linger, linger_ms);
    stream_resume(s);
}

bool stream_peer_gone(struct stream *s)
{
    struct pollfd p = {.fd = s->fd, .events = 0};
    return poll(&p, 1, 0) > 0 && (p.revents & (POLLERR | POLLHUP | POLLNVAL));
}

size_t stream_peer(struct stream *s, char *to, size_t cap)
{
    struct sockaddr_storage a;
    int len = sizeof a;
    must(cap >= 64);
    if (s->uv.handle.type != UV_TCP ||
        uv_tcp_getpeername(&s->uv.tcp, (struct sockaddr *)&a, &len) < 0) {
        memcpy(to, "unix", 5);
        return 4;
    }
    if (a.ss_family == AF_INET6) {
        uv_ip6_name((struct sockaddr_in6 *)&a, to, cap);
    } else {
        uv_ip4_name((struct sockaddr_in *)&a, to, cap);
    }
    return strlen(to);
}

/* ---- where streams come from ---- */

static void init_handle(struct stream *s, bool tcp)
{
    if (tcp) {
        must(uv_tcp_init(&s->loop->uv, &s->uv.tcp) == 0);
    } else {
        must(uv_pipe_init(&s->loop->uv, &s->uv.pipe, 0) == 0);
    }
    s->uv.handle.data = s;
}

struct stream *stream_from_fd(struct loop *l, int fd)
{
    struct stream *s = stream_alloc(l);
    int domain = 0;
    socklen_t len = sizeof domain;
    getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &len);
    bool tcp = domain != AF_UNIX;
    init_handle(s, tcp);
    int r = tcp ? uv_tcp_open(&s->uv.tcp, fd) : uv_pipe_open(&s->uv.pipe, fd);
    must(r == 0);
    s->fd = fd;
    if (tcp) {
        uv_tcp_nodelay(&s->uv.tcp, 1);
    }
    return s;
}

int stream_pair(struct loop *l, struct stream **ret_a, struct stream **ret_b)
{
    int fds[2];
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds) < 0) {
        return -errno;
    }
    *ret_a = stream_from_fd(l, fds[0]);
    *ret_b = stream_from_fd(l, fds[1]);
    return 0;
}

void stream_start_tls(struct stream *s, struct tls_ctx *ctx, const char *host,
                      void (*done)(void *owner, int err, const char *why))
{
    must(!s->tls);
    s->tls = tls_new(ctx, host);
    s->tls_done = done;
    s->shaking = true;
    stream_resume(s);
    if (host) {
        shake(s);
    }
}

struct stream *stream_accept(struct loop *l, uv_stream_t *server, bool tcp, struct tls_ctx *tls)
{
    struct stream *s = stream_alloc(l);
    init_handle(s, tcp);
    uv_os_fd_t fd;
    if (uv_accept(server, &s->uv.stream) < 0 || uv_fileno(&s->uv.handle, &fd) < 0) {
        stream_close(s);
        return NULL;
    }
    s->fd = fd;
    if (tcp) {
        uv_tcp_nodelay(&s->uv.tcp, 1);
    }
    if (tls) {
        s->tls = tls_new(tls, NULL);
        s->shaking = true;
    }
    return s;
}
