#include "http/server.h"

#include <stdlib.h>

#include "http/server_priv.h"

struct http_server *http_server_new(struct loop *l, const struct http_server_ops *ops, void *arg)
{
    struct http_server *s = mem_zalloc(sizeof *s);
    s->loop = l;
    s->ops = ops;
    s->arg = arg;
    s->out = mem_realloc(NULL, OUT_CAP);
    s->nobody = mem_zalloc(sizeof *s->nobody);
    s->nobody->server = s;
    s->nobody->broken = true;
    s->limits = (struct http_limits){.max_header = 65536,
                                     .max_body = (size_t)64 << 20,
                                     .header_ms = 10000,
                                     .body_ms = 30000,
                                     .idle_ms = 75000,
                                     .write_ms = 60000,
                                     .max_connections = 50000};
    return s;
}

void http_server_limits(struct http_server *s, const struct http_limits *limits)
{
    s->limits = *limits;
}

void *http_server_arg(struct http_server *s)
{
    return s->arg;
}

struct http_server *http_server_of(struct http_req *r)
{
    return r->conn->server;
}

struct http_server_stats http_server_stats(const struct http_server *s)
{
    struct http_server_stats st = s->stats;
    for (const struct http_conn *c = s->conns; c; c = c->next) {
        st.idle += !c->req;
    }
    return st;
}

size_t http_open(const struct http_server *s)
{
    return s->stats.open + s->n_detached;
}

void http_serve(struct http_server *s, struct stream *stream)
{
    if (s->stats.open >= s->limits.max_connections) {
        s->stats.refused_connections++;
        stream_close(stream);
        return;
    }
    struct http_conn *c = mem_zalloc(sizeof *c);
    c->server = s;
    c->stream = stream;
    c->next = s->conns;
    if (c->next) {
        c->next->prev = c;
    }
    s->conns = c;
    s->stats.accepted++;
    s->stats.open++;
    c->timer.fire = conn_on_deadline;
    conn_deadline(c, s->draining ? DRAIN_GRACE_MS : s->limits.idle_ms);
    stream_own(stream, &conn_stream_ops, c);
    stream_resume(stream);
}

void http_drain(struct http_server *s)
{
    s->draining = true;
    for (struct http_conn *c = s->conns; c; c = c->next) {
        if (c->req) {
            c->req->_close = c->req->_close || !c->req->_answered;
        } else if (!c->in_head) {
            conn_deadline(c, DRAIN_GRACE_MS);
        }
    }
}

void http_abort_all(struct http_server *s)
{
    struct http_conn *next;
    s->ending = true;
    for (struct http_conn *c = s->conns; c; c = next) {
        next = c->next;
        conn_lost(c);
    }
    while (s->detached) {
        struct http_req *r = s->detached;
        s->ops->gone(r);
        http_finish(r);
    }
}

void http_each(struct http_server *s, void (*fn)(struct http_req *r))
{
    struct http_conn *next;
    for (struct http_conn *c = s->conns; c; c = next) {
        next = c->next;
        if (c->req && !c->req->_refusal && c->req->_mode != MODE_DISCARD && c->req->user) {
            fn(c->req);
        }
    }
    for (struct http_req *r = s->detached, *after; r; r = after) {
        after = r->_next;
        fn(r);
    }
}

void http_server_free(struct http_server *s)
{
    if (s) {
        http_abort_all(s);
        for (struct http_conn *c = s->conns; c; c = c->next) {
            c->server = NULL; /* it is to be told that it broke, and goes then */
        }
        free(s->nobody);
        free(s->out);
        free(s);
    }
}
