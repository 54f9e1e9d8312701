/* The client's side of HTTP/1.1: origins, their pools of connections, and exchanges over them. One
 * client per worker.
 *
 *   http_up_open() ─▶ (ready) ─ http_up_send() ─▶ head ─ body ... body(end)     back into the pool
 *          └──────────────── failed, at any point ────────────────────┘         closed
 *
 * After body(end) and after failed the exchange is over and the pointer is not to be used any more.
 */
#ifndef HTTP_CLIENT_H
#define HTTP_CLIENT_H

#include "http/h1.h"
#include "net/connect.h"

struct http_client;
struct http_origin;
struct http_up;

enum http_failure {
    HTTP_FAIL_CONNECT,    /* no connection; nothing was sent. connect_failure says more */
    HTTP_FAIL_STALE,      /* a pooled connection was dead already: no byte of an answer came */
    HTTP_FAIL_RESET,      /* a new connection broke before the answer's head was in */
    HTTP_FAIL_FIRST_BYTE, /* no answer in time */
    HTTP_FAIL_IDLE,       /* the answer stopped coming */
    HTTP_FAIL_CUT,        /* the connection broke inside the answer's body */
    HTTP_FAIL_MALFORMED,  /* what came is no HTTP answer that we accept */
};

struct http_up_ops {
    /* Connected: send. Only when http_up_open() could not say so itself. */
    void (*ready)(void *owner);
    /* The answer's head; valid during this call. Always followed by a body() in the same event. */
    void (*head)(void *owner, const struct h1_head *h);
    /* The next pieces of the body, valid during this call; possibly none; `end` with the last. */
    void (*body)(void *owner, const struct iovec *pieces, int n, bool end);
    void (*failed)(void *owner, enum http_failure why, enum connect_failure connect,
                   const char *detail);
    /* What was queued has gone out. */
    void (*drained)(void *owner);
};

struct http_client_timeouts {
    uint64_t connect_ms, first_byte_ms, idle_ms; /* 0: never */
    uint64_t pool_ms;                            /* an unused connection is closed after this */
    uint32_t pool_max;                           /* unused connections kept per origin */
};

/* How to reach an origin. `dial` not NULL: asks it for a stream instead of connecting. */
struct http_origin_config {
    struct connect_target target; /* timeout_ms 0: that of the client */
    struct stream *(*dial)(void *arg);
    void *arg;
};

struct http_client *http_client_new(struct loop *l);
void http_client_free(struct http_client *c);
void http_client_timeouts(struct http_client *c, const struct http_client_timeouts *t);

/* The origin of that name, made when it is new (slices are copied), with the TLS context of `config`
 * from now on; a name stands for all else that is in a config. Lives as long as the client. */
struct http_origin *http_origin(struct http_client *c, struct str name,
                                const struct http_origin_config *config);

/* Starts an exchange: `*ret_ready` tells whether it may be sent on at once (a pooled connection),
 * else ready() or failed() follows. `fresh`: do not take a pooled connection. */
struct http_up *http_up_open(struct http_origin *o, bool fresh, const struct http_up_ops *ops,
                             void *owner, bool *ret_ready);

/* The same with a connection of its own, to whom no other exchange goes: it closes at the end. For hosts that
 * callers name, of which there is no end. */
struct http_up *http_up_once(struct http_client *c, const struct http_origin_config *config,
                             const struct http_up_ops *ops, void *owner, bool *ret_ready);

/* Sends pieces of the request. `end`: it is whole now, and the wait for the answer begins. 0 or
 * -Exxx, and then failed() follows, later. `method` matters with `end`. */
void http_up_send(struct http_up *u, const struct iovec *v, int n, enum h1_method method, bool end);
size_t http_up_queued(const struct http_up *u);
/* Stops and starts reading the answer. */
void http_up_pause(struct http_up *u);
void http_up_resume(struct http_up *u);
/* Gives up: the connection is closed, no call follows. NULL is allowed. */
void http_up_cancel(struct http_up *u);

struct http_client_stats {
    uint64_t connects, connect_failures, reused, idle, busy;
};
struct http_client_stats http_client_stats(const struct http_client *c);
/* Closes all unused connections. */
void http_client_close_idle(struct http_client *c);

#endif
