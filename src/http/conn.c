/* A connection handles one request at a time; what comes behind it waits in `in`.
 *
 *   IDLE (no req) ─ head ─▶ req, body coming ─▶ req, body in (BUSY) ─ http_finish() ─▶ IDLE
 *                                 └─ finished before its body was in: DISCARD ─▶ IDLE or closed */
#include "http/server_priv.h"

#include <errno.h>
#include <stdlib.h>

#include "base/must.h"

enum {
    PIPELINE_MAX = 64 * 1024, /* bytes that wait behind a request before reading stops */
};

static void process(struct http_conn *c);

/* ---- life of a connection ---- */

void conn_deadline(struct http_conn *c, uint64_t ms)
{
    if (ms) {
        loop_timer(c->server->loop, &c->timer, ms);
    } else {
        timer_clear(&c->timer);
    }
}

static void drop_input(struct http_conn *c)
{
    if (c->in) {
        pool_give(loop_pool(c->server->loop), c->in, c->in_cap);
        c->in = NULL;
        c->in_n = c->in_cap = c->in_seen = 0;
    }
}

void conn_free_request(struct http_req *r)
{
    arena_reset(&r->input);
    buf_free(&r->_grow);
    struct arena own = r->arena; /* r lives in it */
    arena_reset(&own);
}

void conn_end_request(struct http_conn *c)
{
    struct http_req *r = c->req;
    c->req = NULL;
    stream_sink(c->stream, NULL, 0);
    conn_free_request(r);
}

static void free_conn(struct http_conn *c)
{
    struct http_server *s = c->server;
    if (s) { /* else it has outlived the server, by the rest of this turn */
        *(c->prev ? &c->prev->next : &s->conns) = c->next;
        if (c->next) {
            c->next->prev = c->prev;
        }
        s->stats.open--;
    }
    free(c);
}

/* Lets go of everything but the struct, which process() may still hold. */
void conn_close(struct http_conn *c, uint64_t linger_ms)
{
    if (c->closed) {
        return;
    }
    c->closed = true;
    timer_clear(&c->timer);
    if (c->req) {
        conn_end_request(c);
    }
    drop_input(c);
    if (linger_ms) {
        stream_close_gently(c->stream, linger_ms);
    } else {
        stream_close(c->stream);
    }
    c->stream = NULL;
    if (!c->processing && !c->broken) {
        free_conn(c);
    }
}

void conn_lost(struct http_conn *c)
{
    struct http_req *r = c->req;
    if (c->closed) {
        return;
    }
    if (r && !r->_refusal && r->_mode != MODE_DISCARD) {
        c->server->ops->gone(r);
    }
    conn_close(c, 0);
}

static void broken_later(struct loop_hook *h)
{
    struct http_conn *c = (struct http_conn *)((char *)h - offsetof(struct http_conn, broken_hook));
    c->broken = false;
    if (c->closed) {
        free_conn(c);
    } else {
        conn_lost(c);
    }
}

void conn_break(struct http_conn *c)
{
    if (!c->broken) {
        c->broken = true;
        c->broken_hook.run = broken_later;
        loop_at_end_of_turn(c->server->loop, &c->broken_hook);
    }
}

/* ---- refusals ---- */

static void plain_refusal(struct http_req *r, unsigned status, const char *why)
{
    http_head(r, status, (int64_t)strlen(why) + 1);
    http_field(r, STR("content-type"), STR("text/plain; charset=utf-8"));
    struct iovec v[2] = {{(void *)(uintptr_t)why, strlen(why)}, {(void *)(uintptr_t) "\n", 1}};
    http_send(r, v, 2, true);
}

static struct http_req *new_request(struct http_conn *c)
{
    struct arena a = {.pool = loop_pool(c->server->loop)};
    struct http_req *r = arena_zalloc(&a, sizeof *r);
    r->arena = a;
    r->input.pool = a.pool;
    r->conn = c;
    c->req = r;
    return r;
}

static void refuse(struct http_conn *c, unsigned status, const char *why)
{
    struct http_server *s = c->server;
    struct http_req *r = c->req;
    if (r && r->_answered) {
        conn_lost(c); /* too late for words */
        return;
    }
    if (!r) {
        r = new_request(c);
        r->_minor = 1;
    }
    s->stats.malformed++;
    r->_refusal = true;
    r->_close = true;
    if (s->ops->refused) {
        s->ops->refused(r, status, why);
    } else {
        plain_refusal(r, status, why);
    }
    http_finish(r);
}

/* ---- input ---- */

static struct str rest(struct http_conn *c)
{
    return str_make(c->p, (size_t)(c->end - c->p));
}

/* Keeps what was not used for later. */
static void save_rest(struct http_conn *c)
{
    struct str left = rest(c);
    if (left.n == 0) {
        drop_input(c);
    } else if (c->in && c->p >= c->in && c->p <= c->in + c->in_cap) {
        memmove(c->in, c->p, left.n);
    } else {
        size_t cap;
        char *in = pool_take(loop_pool(c->server->loop), left.n * 2, &cap);
        memcpy(in, left.p, left.n);
        drop_input(c);
        c->in = in;
        c->in_cap = (uint32_t)cap;
    }
    c->in_n = (uint32_t)left.n;
    if (c->req && left.n > PIPELINE_MAX && !c->paused) {
        c->paused = true;
        stream_pause(c->stream);
    }
}

/* Puts new bytes behind those that wait. */
static void append_input(struct http_conn *c, const char *p, size_t n)
{
    if (c->in_n + n > c->in_cap) {
        size_t cap;
        char *in = pool_take(loop_pool(c->server->loop), (c->in_n + n) * 2, &cap);
        memcpy(in, c->in, c->in_n);
        pool_give(loop_pool(c->server->loop), c->in, c->in_cap);
        c->in = in;
        c->in_cap = (uint32_t)cap;
    }
    memcpy(c->in + c->in_n, p, n);
    c->in_n += (uint32_t)n;
}

/* Whether an empty line has come that was not there before: a head that trickles in is parsed once.
 */
static bool may_be_complete(struct http_conn *c, struct str in)
{
    size_t from = c->in_seen > 3 ? c->in_seen - 3 : 0;
    c->in_seen = (uint32_t)in.n;
    if (in.n >= c->server->limits.max_header || from == 0) {
        return true;
    }
    struct str fresh = str_from(in, from);
    return str_find(fresh, STR("\n\r\n")) >= 0 || str_find(fresh, STR("\n\n")) >= 0;
}

/* Parses the next head. False: no more can be done with the input there is. */
static bool begin_request(struct http_conn *c)
{
    struct http_server *s = c->server;
    struct str in = rest(c);
    const char *why = NULL;
    if (in.n == 0) {
        return false;
    }
    s->head.fields = s->fields;
    s->head.memo = &s->memo;
    int n = c->in_head && !may_be_complete(c, in)
                ? 0
                : h1_request(&s->head, in.p, in.n, s->limits.max_header, &why);
    if (n == 0) {
        if (!c->in_head) {
            c->in_head = true;
            c->in_seen = (uint32_t)in.n;
            conn_deadline(c, s->limits.header_ms);
        }
        return false;
    }
    c->in_head = false;
    c->in_seen = 0;
    if (n < 0) {
        c->p = c->end;
        refuse(c, (unsigned)-n, why);
        return false;
    }
    c->p += n;
    struct http_req *r = new_request(c);
    r->head = &s->head;
    r->begun_us = loop_now_us(s->loop);
    r->_minor = s->head.minor;
    r->_close = !s->head.keep_alive || s->draining;
    r->_head_request = s->head.method == M_HEAD;
    r->_expects = s->head.expect_continue;
    r->_left = s->head.length;
    r->_in_done = s->head.body == BODY_NONE;
    r->_is_chunked = s->head.body == BODY_CHUNKED;
    if (s->head.body == BODY_LENGTH && s->head.length > s->limits.max_body) {
        refuse(c, 413, "the request body is larger than this server accepts");
        return false;
    }
    s->ops->request(r);
    if (!c->closed && c->req == r && r->head == &s->head) {
        r->head = NULL; /* not kept: it was in the scratch */
    }
    return true;
}

static bool grow_body(struct http_conn *c, struct http_req *r, struct str piece)
{
    if (r->_grow.n + piece.n > c->server->limits.max_body) {
        refuse(c, 413, "the request body is larger than this server accepts");
        return false;
    }
    r->_grow.limit = c->server->limits.max_body; /* else it keeps the usual one of buffers */
    buf_add(&r->_grow, piece);
    return true;
}

/* The next piece of the body out of the input: CHUNK_DATA, CHUNK_MORE or CHUNK_END, or -EBADMSG. */
static int next_piece(struct http_conn *c, struct http_req *r, struct str *piece)
{
    *piece = (struct str){0};
    if (r->_left == 0 && r->_chunked.state == 0 && r->_in_done) {
        return CHUNK_END;
    }
    if (r->_is_chunked) {
        return h1_chunked(&r->_chunked, &c->p, c->end, piece);
    }
    *piece = str_first(rest(c), r->_left);
    c->p += piece->n;
    r->_left -= piece->n;
    return piece->n ? CHUNK_DATA : CHUNK_MORE;
}

/* Takes body bytes for the request. False: nothing more to do with this input now. */
static bool body_input(struct http_conn *c)
{
    struct http_req *r = c->req;
    struct str piece;
    if (r->_in_done || r->_mode == MODE_UNDECIDED || c->paused) {
        return false;
    }
    bool chunked = r->_is_chunked;
    int k = next_piece(c, r, &piece);
    if (k < 0) {
        refuse(c, 400, "the chunked coding of the request body is malformed");
        return false;
    }
    if (k == CHUNK_MORE) {
        return false;
    }
    r->bytes_in += piece.n;
    r->_in_done = k == CHUNK_END || (!chunked && r->_left == 0);
    switch (r->_mode) {
    case MODE_COLLECT:
        if (chunked) {
            if (!grow_body(c, r, piece)) {
                return false;
            }
            r->body = buf_str(&r->_grow);
        } else {
            memcpy((char *)(uintptr_t)r->body.p + r->body.n, piece.p, piece.n);
            r->body.n += piece.n;
        }
        if (r->_in_done) {
            c->server->ops->collected(r);
        }
        return true;
    case MODE_STREAM:
        c->server->ops->piece(r, piece, r->_in_done);
        return true;
    default:
        if (r->bytes_in > DISCARD_MAX) {
            conn_close(c, LINGER_MS);
            return false;
        }
        if (r->_in_done) {
            conn_end_request(c);
            conn_deadline(c, c->server->limits.idle_ms);
        }
        return true;
    }
}

static void process(struct http_conn *c)
{
    must(!c->processing);
    c->processing = true;
    while (!c->closed && !c->broken && (c->req ? body_input(c) : begin_request(c))) {
    }
    c->processing = false;
    if (c->closed) {
        if (!c->broken) {
            free_conn(c);
        }
        return;
    }
    save_rest(c);
    c->p = c->end = NULL;
    if (c->req && !c->req->_in_done && c->req->_mode != MODE_UNDECIDED && !c->paused) {
        conn_deadline(c, c->server->limits.body_ms);
    }
}

void conn_wake(struct http_conn *c)
{
    if (c->processing || c->closed) {
        return;
    }
    c->p = c->in ? c->in : "";
    c->end = c->p + c->in_n;
    process(c);
}

static void on_data(void *owner, char *p, size_t n)
{
    struct http_conn *c = owner;
    struct http_req *r = c->req;
    if (r && r->_mode == MODE_COLLECT && !r->_in_done && !r->_is_chunked &&
        p == r->body.p + r->body.n) {
        /* The kernel wrote straight into the body (stream_sink). */
        r->body.n += n;
        r->bytes_in += n;
        r->_left -= n;
        conn_deadline(c, c->server->limits.body_ms);
        if (r->_left == 0) {
            r->_in_done = true;
            stream_sink(c->stream, NULL, 0);
            c->processing = true;
            c->server->ops->collected(r);
            c->processing = false;
            if (c->closed) {
                if (!c->broken) {
                    free_conn(c);
                }
            } else {
                conn_wake(c);
            }
        }
        return;
    }
    if (c->in_n) {
        append_input(c, p, n);
        conn_wake(c);
        return;
    }
    c->p = p;
    c->end = p + n;
    process(c);
}

/* ---- the client's end, errors, time ---- */

enum { EOF_FAST_MS = 20, EOF_SLOW_MS = 250, EOF_FAST_CHECKS = 5 };

/* The client has sent FIN. Either it only stopped sending, or it is gone: then our next bytes are
 * answered by a reset, and the kernel tells. So something harmless is sent, and the kernel asked.
 */
static void on_eof(void *owner)
{
    struct http_conn *c = owner;
    struct http_req *r = c->req;
    c->eof = true;
    if (!r || !r->_in_done || stream_is_tls(c->stream)) {
        conn_lost(c);
        return;
    }
    r->_close = true;
    if (r->_answered) {
        if (c->server->ops->probe) {
            c->server->ops->probe(r);
        }
    } else if (r->_minor >= 1) {
        static const char processing[] = "HTTP/1.1 102 Processing\r\n\r\n"; /* RFC 2518, 10.1 */
        struct iovec v = {(void *)(uintptr_t)processing, sizeof processing - 1};
        if (stream_write(c->stream, &v, 1) < 0) {
            conn_lost(c);
            return;
        }
    }
    conn_deadline(c, EOF_FAST_MS);
}

static void on_error(void *owner, int err)
{
    (void)err;
    conn_lost(owner);
}

static void on_drained(void *owner)
{
    struct http_conn *c = owner;
    if (c->req && !c->req->_refusal && c->req->_mode != MODE_DISCARD) {
        c->server->ops->drained(c->req);
    }
}

const struct stream_ops conn_stream_ops = {on_data, on_eof, on_error, on_drained};

/* From now on the client has write_ms to take at least one of the `queued` bytes. */
static void expect_progress(struct http_conn *c, size_t queued)
{
    uint64_t ms = c->server->limits.write_ms;
    c->stuck_queued = (uint32_t)queued;
    c->write_due_ms = ms ? loop_now_ms(c->server->loop) + ms : UINT64_MAX;
    if (c->eof) {
        conn_deadline(c, EOF_SLOW_MS);
    } else if (ms) {
        conn_deadline(c, ms);
    }
}

void conn_queued(struct http_conn *c, size_t before, size_t queued)
{
    if (before == 0) {
        expect_progress(c, queued);
    } else {
        c->stuck_queued += (uint32_t)(queued - before); /* more of the same: no new deadline */
    }
}

void conn_on_deadline(struct timer *t)
{
    struct http_conn *c = (struct http_conn *)((char *)t - offsetof(struct http_conn, timer));
    struct http_req *r = c->req;
    size_t queued = stream_queued(c->stream);
    if (c->eof && stream_peer_gone(c->stream)) {
        conn_lost(c);
    } else if (queued && (!c->eof || loop_now_ms(c->server->loop) >= c->write_due_ms)) {
        if (queued >= c->stuck_queued) {
            conn_lost(c);
        } else {
            expect_progress(c, queued);
        }
    } else if (c->eof) {
        conn_deadline(c, c->eof_checks++ < EOF_FAST_CHECKS ? EOF_FAST_MS : EOF_SLOW_MS);
    } else if (!r && c->in_head) {
        refuse(c, 408, "the request head took too long");
    } else if (!r) {
        conn_close(c, 0);
    } else if (!r->_in_done && r->_mode == MODE_DISCARD) {
        conn_close(c, LINGER_MS);
    } else if (!r->_in_done && r->_mode != MODE_UNDECIDED && !c->paused) {
        refuse(c, 408, "the request body took too long");
    }
}
