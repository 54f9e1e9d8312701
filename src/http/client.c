/* A connection (struct http_up) is CONNECTING, then SENDING, WAITING for the head, in the BODY, and
 * then IDLE in its origin's pool, newest first, or closed. */
#include "http/client.h"

#include <errno.h>
#include <stdlib.h>

#include "base/must.h"

enum { ANSWER_HEAD_MAX = 64 * 1024, PIECES = 60 };

enum up_state { CONNECTING, SENDING, WAITING, IN_BODY, IDLE };

struct http_up {
    struct http_origin *origin;
    struct stream *stream;
    struct connecting *connecting;
    const struct http_up_ops *ops;
    void *owner;
    struct http_up *next, *prev; /* in the origin's idle or busy list */
    struct timer timer;
    struct loop_hook failed_hook;
    char *in; /* an incomplete head */
    uint32_t in_n, in_cap;
    uint64_t left;
    struct h1_chunked chunked;
    uint8_t state, method, framing;
    bool reused, keep_alive, answered, paused, gone, failing, working;
    uint8_t fail_why;
};

struct http_origin {
    struct http_client *client;
    struct http_origin *next;
    struct str name;
    struct arena arena; /* of name and config */
    struct http_origin_config config;
    struct http_up *idle, *busy;
    uint32_t n_idle;
    bool once; /* of one exchange: goes with it */
};

struct http_client {
    struct loop *loop;
    struct http_client_timeouts timeouts;
    struct http_origin *origins;
    struct http_client_stats stats;
    struct h1_head head;
    struct h1_field fields[H1_FIELDS_MAX];
    struct h1_memo memo; /* of the answer before */
};

static void receive(struct http_up *u, const char *p, size_t n);

static struct http_client *client_of(const struct http_up *u)
{
    return u->origin->client;
}

/* ---- lists and life ---- */

static void link_up(struct http_up **list, struct http_up *u)
{
    u->prev = NULL;
    u->next = *list;
    if (u->next) {
        u->next->prev = u;
    }
    *list = u;
}

static void unlink_up(struct http_up *u)
{
    struct http_origin *o = u->origin;
    struct http_up **list = u->state == IDLE ? &o->idle : &o->busy;
    *(u->prev ? &u->prev->next : list) = u->next;
    if (u->next) {
        u->next->prev = u->prev;
    }
    if (u->state == IDLE) {
        o->n_idle--;
        o->client->stats.idle--;
    } else {
        o->client->stats.busy--;
    }
}

static void origin_free(struct http_origin *o)
{
    struct http_origin **at = &o->client->origins;
    while (*at != o) {
        at = &(*at)->next;
    }
    *at = o->next;
    tls_ctx_unref(o->config.target.tls_ctx);
    arena_reset(&o->arena);
    free(o);
}

static void drop_input(struct http_up *u)
{
    if (u->in) {
        pool_give(loop_pool(client_of(u)->loop), u->in, u->in_cap);
        u->in = NULL;
        u->in_n = u->in_cap = 0;
    }
}

/* Closes; the struct goes when nobody further up the stack works on it. */
static void up_close(struct http_up *u)
{
    if (u->gone) {
        return;
    }
    u->gone = true;
    unlink_up(u);
    timer_clear(&u->timer);
    drop_input(u);
    if (u->connecting) {
        connect_cancel(u->connecting);
        u->connecting = NULL;
    }
    stream_close(u->stream);
    u->stream = NULL;
    if (u->origin->once) {
        origin_free(u->origin);
    }
    if (!u->working && !u->failing) {
        free(u);
    }
}

void http_up_cancel(struct http_up *u)
{
    if (u) {
        up_close(u);
    }
}

static void fail(struct http_up *u, enum http_failure why, const char *detail)
{
    const struct http_up_ops *ops = u->ops;
    void *owner = u->owner;
    bool was_idle = u->state == IDLE, was_gone = u->gone;
    up_close(u);
    if (!was_idle && !was_gone) {
        ops->failed(owner, why, CONNECT_OK, detail);
    }
}

/* What a break means depends on how far the exchange had come. */
static enum http_failure broke(const struct http_up *u)
{
    if (u->state == IN_BODY) {
        return HTTP_FAIL_CUT;
    }
    return u->reused && !u->answered ? HTTP_FAIL_STALE : HTTP_FAIL_RESET;
}

static void fail_later_hook(struct loop_hook *h)
{
    struct http_up *u = (struct http_up *)((char *)h - offsetof(struct http_up, failed_hook));
    u->failing = false;
    if (u->gone) {
        free(u);
    } else {
        fail(u, broke(u), "the connection broke while the request was being sent");
    }
}

static void deadline(struct http_up *u, uint64_t ms)
{
    if (ms) {
        loop_timer(client_of(u)->loop, &u->timer, ms);
    } else {
        timer_clear(&u->timer);
    }
}

static void on_deadline(struct timer *t)
{
    struct http_up *u = (struct http_up *)((char *)t - offsetof(struct http_up, timer));
    if (u->state == IDLE) {
        up_close(u);
    } else if (u->paused) {
        deadline(u, client_of(u)->timeouts.idle_ms); /* it is we who do not read */
    } else if (u->state == IN_BODY) {
        fail(u, HTTP_FAIL_IDLE, "the answer stopped coming");
    } else if (u->state != CONNECTING) {
        fail(u, HTTP_FAIL_FIRST_BYTE, "no answer came in time");
    }
}

/* ---- the stream's events ---- */

static void on_data(void *owner, char *p, size_t n)
{
    receive(owner, p, n);
}

/* The exchange is over and its connection can be used again, or not. */
static void over(struct http_up *u)
{
    struct http_client *c = client_of(u);
    struct http_origin *o = u->origin;
    if (!u->keep_alive || o->once || o->n_idle >= c->timeouts.pool_max ||
        stream_queued(u->stream)) {
        up_close(u);
        return;
    }
    unlink_up(u);
    u->state = IDLE;
    link_up(&o->idle, u);
    o->n_idle++;
    c->stats.idle++;
    if (u->paused) {
        u->paused = false;
        stream_resume(u->stream);
    }
    deadline(u, c->timeouts.pool_ms);
}

static void on_eof(void *owner)
{
    struct http_up *u = owner;
    if (u->state == IN_BODY && u->framing == BODY_TO_CLOSE) {
        u->keep_alive = false;
        u->working = true;
        u->ops->body(u->owner, NULL, 0, true);
        u->working = false;
        if (!u->gone) {
            up_close(u);
        } else if (!u->failing) {
            free(u);
        }
    } else {
        fail(u, broke(u), "the connection was closed before the answer was complete");
    }
}

static void on_error(void *owner, int err)
{
    struct http_up *u = owner;
    fail(u, broke(u), err == -EPROTO ? "the TLS connection broke" : "the connection was reset");
}

static void on_drained(void *owner)
{
    struct http_up *u = owner;
    if (u->state != IDLE && u->ops->drained) {
        u->ops->drained(u->owner);
    }
}

static const struct stream_ops up_stream_ops = {on_data, on_eof, on_error, on_drained};

/* ---- the answer ---- */

static void collect_head(struct http_up *u, const char *p, size_t n)
{
    if (u->in_n + n > u->in_cap) {
        struct pool *pool = loop_pool(client_of(u)->loop);
        size_t cap;
        char *in = pool_take(pool, (u->in_n + n) * 2, &cap);
        if (u->in) {
            memcpy(in, u->in, u->in_n);
            pool_give(pool, u->in, u->in_cap);
        }
        u->in = in;
        u->in_cap = (uint32_t)cap;
    }
    memcpy(u->in + u->in_n, p, n);
    u->in_n += (uint32_t)n;
}

/* Passes the content at p..end on, all pieces of one read together. 1: the body has ended. */
static int pass_body(struct http_up *u, const char **p, const char *end)
{
    struct iovec pieces[PIECES] UNINITIALIZED;
    for (;;) {
        int n = 0, k = CHUNK_MORE;
        struct str piece;
        while (n < PIECES) {
            if (u->framing == BODY_CHUNKED) {
                k = h1_chunked(&u->chunked, p, end, &piece);
            } else {
                size_t have = (size_t)(end - *p);
                size_t take = u->framing == BODY_LENGTH && u->left < have ? (size_t)u->left : have;
                piece = str_make(*p, take);
                *p += take;
                u->left -= u->framing == BODY_LENGTH ? take : 0;
                k = take ? CHUNK_DATA : CHUNK_MORE;
            }
            if (k != CHUNK_DATA) {
                break;
            }
            pieces[n++] = (struct iovec){(void *)(uintptr_t)piece.p, piece.n};
            if (*p == end) {
                break;
            }
        }
        if (k < 0) {
            if (n) {
                u->ops->body(u->owner, pieces, n, false); /* what was good */
            }
            return -EBADMSG;
        }
        bool done = k == CHUNK_END || (u->framing == BODY_LENGTH && u->left == 0);
        if (done && *p != end) {
            u->keep_alive = false; /* bytes that belong to no answer */
        }
        u->ops->body(u->owner, pieces, n, done);
        if (done || u->gone || *p == end) {
            return done;
        }
    }
}

/* Parses the head at p. > 0: its length; 0: more is needed; < 0: failed. Interim answers are
 * skipped. */
static int take_head(struct http_up *u, const char *p, size_t n, const char **why)
{
    struct http_client *c = client_of(u);
    struct h1_head *h = &c->head;
    int skipped = 0;
    for (;;) {
        h->fields = c->fields;
        h->memo = &c->memo;
        int r = h1_answer(h, p + skipped, n - (size_t)skipped, ANSWER_HEAD_MAX,
                          (enum h1_method)u->method, why);
        if (r <= 0) {
            return r;
        }
        if (h->status >= 200) {
            return skipped + r;
        }
        if (h->status == 101) {
            *why = "the upstream switched protocols without having been asked";
            return -EBADMSG;
        }
        skipped += r;
        if (skipped > ANSWER_HEAD_MAX) {
            *why = "the upstream sends interim answers without end";
            return -EBADMSG;
        }
    }
}

static void begin_body(struct http_up *u, const struct h1_head *h)
{
    u->state = IN_BODY;
    /* No body is one of length 0, whatever Content-Length says (HEAD, 304): bytes behind it are not its. */
    u->framing = (uint8_t)(h->body == BODY_NONE ? BODY_LENGTH : h->body);
    u->left = h->body == BODY_NONE ? 0 : h->length;
    u->keep_alive = h->keep_alive;
    u->chunked = (struct h1_chunked){0};
}

static void receive(struct http_up *u, const char *p, size_t n)
{
    const char *why = NULL, *end = p + n;
    if (u->state == IDLE || u->state == SENDING || u->state == CONNECTING) {
        if (u->state == IDLE) {
            up_close(u); /* an unasked answer: nothing after it can be trusted */
            return;
        }
        /* The answer overtakes the request (an early refusal): take it, then do not reuse. */
    }
    u->answered = true;
    u->working = true;
    int r = 1;
    if (u->state != IN_BODY) {
        bool early = u->state == SENDING;
        bool again = u->in_n > 0;
        bool line_came = !again || memchr(p, '\n', n); /* without one, a head cannot have ended */
        if (again) {
            collect_head(u, p, n);
            p = u->in;
            end = p + u->in_n;
        }
        r = !line_came && u->in_n < ANSWER_HEAD_MAX ? 0 : take_head(u, p, (size_t)(end - p), &why);
        if (r > 0) {
            p += r;
            begin_body(u, &client_of(u)->head);
            u->keep_alive = u->keep_alive && !early;
            u->ops->head(u->owner, &client_of(u)->head);
        } else if (r == 0 && !again) {
            collect_head(u, p, n);
        }
    }
    int done = 0;
    if (r > 0 && !u->gone) {
        done = pass_body(u, &p, end);
    }
    u->working = false;
    if (u->gone) {
        if (!u->failing) {
            free(u);
        }
    } else if (r < 0 || done < 0) {
        fail(u, HTTP_FAIL_MALFORMED, why ? why : "the chunked coding of the answer is malformed");
    } else if (done) {
        drop_input(u);
        over(u);
    } else if (u->state == IN_BODY) {
        drop_input(u);
        deadline(u, client_of(u)->timeouts.idle_ms);
    }
}

/* ---- the request ---- */

static void on_connected(void *arg, struct stream *s, enum connect_failure why, const char *detail)
{
    struct http_up *u = arg;
    struct http_client *c = client_of(u);
    u->connecting = NULL;
    if (!s) {
        c->stats.connect_failures++;
        const struct http_up_ops *ops = u->ops;
        void *owner = u->owner;
        up_close(u);
        ops->failed(owner, HTTP_FAIL_CONNECT, why, detail);
        return;
    }
    u->stream = s;
    u->state = SENDING;
    stream_own(s, &up_stream_ops, u);
    stream_resume(s);
    deadline(u, c->timeouts.first_byte_ms);
    u->ops->ready(u->owner);
}

static struct http_up *take_idle(struct http_origin *o)
{
    struct http_up *u = o->idle;
    unlink_up(u);
    u->state = SENDING;
    u->reused = true;
    u->answered = u->paused = false;
    o->client->stats.reused++;
    return u;
}

struct http_up *http_up_open(struct http_origin *o, bool fresh, const struct http_up_ops *ops,
                             void *owner, bool *ret_ready)
{
    struct http_client *c = o->client;
    bool pooled = !fresh && o->idle;
    struct http_up *u = pooled ? take_idle(o) : mem_zalloc(sizeof *u);
    u->origin = o;
    u->ops = ops;
    u->owner = owner;
    c->stats.busy++;
    link_up(&o->busy, u);
    *ret_ready = pooled;
    if (pooled) {
        deadline(u, c->timeouts.first_byte_ms);
        return u;
    }
    c->stats.connects++;
    u->timer.fire = on_deadline;
    u->state = CONNECTING;
    if (o->config.dial) {
        u->stream = o->config.dial(o->config.arg);
        must(u->stream);
        u->state = SENDING;
        stream_own(u->stream, &up_stream_ops, u);
        stream_resume(u->stream);
        *ret_ready = true;
        deadline(u, c->timeouts.first_byte_ms);
        return u;
    }
    struct connect_target t = o->config.target;
    t.timeout_ms = t.timeout_ms ? t.timeout_ms : c->timeouts.connect_ms;
    u->connecting = connect_start(c->loop, &t, on_connected, u);
    return u;
}

void http_up_send(struct http_up *u, const struct iovec *v, int n, enum h1_method method, bool end)
{
    if (u->failing || u->state == IN_BODY) {
        return;
    }
    int r = stream_write(u->stream, v, n);
    if (end) {
        u->method = (uint8_t)method;
        u->state = WAITING;
        deadline(u, client_of(u)->timeouts.first_byte_ms);
    }
    if (r < 0) {
        u->failing = true;
        u->failed_hook.run = fail_later_hook;
        loop_at_end_of_turn(client_of(u)->loop, &u->failed_hook);
    }
}

size_t http_up_queued(const struct http_up *u)
{
    return stream_queued(u->stream);
}

void http_up_pause(struct http_up *u)
{
    if (!u->paused) {
        u->paused = true;
        stream_pause(u->stream);
    }
}

void http_up_resume(struct http_up *u)
{
    if (u->paused) {
        u->paused = false;
        deadline(u, client_of(u)->timeouts.idle_ms);
        stream_resume(u->stream);
    }
}

/* ---- client and origins ---- */

struct http_client *http_client_new(struct loop *l)
{
    struct http_client *c = mem_zalloc(sizeof *c);
    c->loop = l;
    c->timeouts = (struct http_client_timeouts){.connect_ms = 5000,
                                                .first_byte_ms = 600000,
                                                .idle_ms = 300000,
                                                .pool_ms = 50000,
                                                .pool_max = 256};
    return c;
}

void http_client_timeouts(struct http_client *c, const struct http_client_timeouts *t)
{
    c->timeouts = *t;
}

static struct http_origin *origin_new(struct http_client *c, struct str name,
                                      const struct http_origin_config *config)
{
    struct http_origin *o = mem_zalloc(sizeof *o);
    o->client = c;
    o->name = arena_dup(&o->arena, name);
    o->next = c->origins;
    c->origins = o;
    struct connect_target *t = &o->config.target;
    o->config = *config;
    t->host = arena_dup(&o->arena, t->host);
    t->proxy_host = arena_dup(&o->arena, t->proxy_host);
    t->proxy_auth = arena_dup(&o->arena, t->proxy_auth);
    if (t->tls_ctx) {
        tls_ctx_ref(t->tls_ctx);
    }
    return o;
}

struct http_origin *http_origin(struct http_client *c, struct str name,
                                const struct http_origin_config *config)
{
    struct http_origin *o = c->origins;
    while (o && (o->once || !str_eq(o->name, name))) {
        o = o->next;
    }
    if (o && config->target.tls_ctx && o->config.target.tls_ctx != config->target.tls_ctx) {
        tls_ctx_unref(o->config.target.tls_ctx);
        o->config.target.tls_ctx = tls_ctx_ref(config->target.tls_ctx);
    }
    return o ? o : origin_new(c, name, config);
}

struct http_up *http_up_once(struct http_client *c, const struct http_origin_config *config,
                             const struct http_up_ops *ops, void *owner, bool *ret_ready)
{
    struct http_origin *o = origin_new(c, (struct str){0}, config);
    o->once = true;
    return http_up_open(o, true, ops, owner, ret_ready);
}

struct http_client_stats http_client_stats(const struct http_client *c)
{
    return c->stats;
}

void http_client_close_idle(struct http_client *c)
{
    for (struct http_origin *o = c->origins; o; o = o->next) {
        while (o->idle) {
            up_close(o->idle);
        }
    }
}

void http_client_free(struct http_client *c)
{
    if (!c) {
        return;
    }
    while (c->origins) {
        struct http_origin *o = c->origins;
        while (o->idle) {
            up_close(o->idle);
        }
        while (o->busy && !o->once) {
            up_close(o->busy);
        }
        if (o->once) {
            up_close(o->busy); /* and o goes with it */
        } else {
            origin_free(o);
        }
    }
    free(c);
}
