/* Shared by server.c, conn.c (connections), request.c (requests) and answer.c (answers). */
#ifndef HTTP_SERVER_PRIV_H
#define HTTP_SERVER_PRIV_H

#include "http/server.h"

/* What a head may hold on its way out: an upstream's 64 KiB and our own fields. */
enum { OUT_CAP = 96 * 1024, HTTP_IOV_MAX = 64 };

/* Of an unwanted body that is read for the connection's sake; beyond it the connection closes. */
enum { DISCARD_MAX = 64 * 1024 };

enum body_mode { MODE_UNDECIDED, MODE_COLLECT, MODE_STREAM, MODE_DISCARD };

struct http_server {
    struct loop *loop;
    const struct http_server_ops *ops;
    void *arg;
    struct http_limits limits;
    struct http_conn *conns; /* all open ones */
    struct http_conn
        *nobody; /* stands for the client of those that have none any more: it is broken */
    struct http_req *detached; /* those */
    size_t n_detached;
    struct http_server_stats stats;
    bool draining;
    bool ending; /* nothing outlives its client any more */
    char *out;   /* OUT_CAP: the head that is being written */
    size_t out_n;
    struct h1_head head; /* of the request that is being parsed */
    struct h1_field fields[H1_FIELDS_MAX];
    struct h1_memo memo; /* of the request before, on whichever connection */
    char date[32];
    uint64_t date_s;
    uint64_t date_checked_us;
};

struct http_conn {
    struct http_server *server;
    struct stream *stream;
    struct http_req *req;
    struct http_conn *next, *prev;
    struct timer timer;
    struct loop_hook broken_hook;
    char *in; /* bytes that wait: an incomplete head, or requests behind the present one */
    uint32_t in_n, in_cap, in_seen;
    const char *p, *end;   /* input of the event that is being handled */
    uint32_t stuck_queued; /* what would wait for the client if it had taken nothing since ... */
    uint64_t write_due_ms; /* ... and until when it may take nothing */
    bool in_head;          /* the first byte of a head has come */
    bool processing, eof, paused, broken, closed;
    uint8_t eof_checks;
};

enum { LINGER_MS = 2000, DRAIN_GRACE_MS = 250 };

/* The events of a connection's stream; its owner is the connection. */
extern const struct stream_ops conn_stream_ops;
void conn_on_deadline(struct timer *t);
/* When the connection's timer fires; 0: never. */
void conn_deadline(struct http_conn *c, uint64_t ms);
/* Frees a request that has no client. */
void conn_free_request(struct http_req *r);
/* Frees the connection's request. */
void conn_end_request(struct http_conn *c);
/* Closes, at once or after our last words; the struct goes when nobody works on it any more. */
void conn_close(struct http_conn *c, uint64_t linger_ms);
/* The client is gone: the request hears of it, the connection closes. */
void conn_lost(struct http_conn *c);
/* A write failed inside somebody's call: they hear of it when that call is over. */
void conn_break(struct http_conn *c);
/* Goes on with what waits in `in`, unless that happens already further up the stack. */
void conn_wake(struct http_conn *c);
/* A write left `queued` bytes waiting, where there were `before` ahead of it. */
void conn_queued(struct http_conn *c, size_t before, size_t queued);

#endif
