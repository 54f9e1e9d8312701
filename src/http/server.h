/* The server's side of HTTP/1.1: connections, requests, answers. One server per worker.
 *
 * A request (struct http_req) lives from its head to http_finish(). Its handler is told by the ops:
 *
 *   request ─┬─ answers at once ─────────────────────────────────┐
 *            ├─ http_collect() ── collected ── answers ──────────┤── http_finish()
 *            └─ http_stream()  ── piece ... piece(end) ── answers┘
 *
 * and at any time `gone` instead, when the client left: then the handler drops what it does for it;
 * the request is freed when `gone` returns. Ops may be called from inside
 * http_collect/http_stream's caller's event, never from inside a function of this header. */
#ifndef HTTP_SERVER_H
#define HTTP_SERVER_H

#include "base/buf.h"
#include "http/h1.h"
#include "net/stream.h"

struct http_server;
struct http_conn;
struct http_req;

struct http_server_ops {
    /* The head has come. r->head is valid during this call; http_collect() and http_stream() keep
     * it. */
    void (*request)(struct http_req *r);
    /* The body is whole, in r->body; only when http_collect() had answered false. */
    void (*collected)(struct http_req *r);
    /* The next piece of the body after http_stream(); `end` with the last one (which may be empty).
     */
    void (*piece)(struct http_req *r, struct str piece, bool end);
    /* The client left or broke the protocol before http_finish(). The request may go on: http_detach(). */
    void (*gone)(struct http_req *r);
    /* What was queued for the client has gone out. */
    void (*drained)(struct http_req *r);
    /* The client has ended its side. To learn whether it still listens, something must be sent:
     * send a harmless piece if the answer has begun and its format has one. */
    void (*probe)(struct http_req *r);
    /* A request that never reached `request`: too long, malformed, timed out; or one that did, whose
     * body then turned out to be so (no `gone` follows: the handler drops what it does for it). Writes
     * the answer's fields and body as it likes by http_head()/http_send(); NULL: a plain text. Not
     * finished by the handler. */
    void (*refused)(struct http_req *r, unsigned status, const char *why);
};

struct http_limits {
    size_t max_header, max_body; /* bytes */
    uint64_t header_ms, body_ms, idle_ms, write_ms;
    size_t max_connections;
};

struct http_server_stats {
    uint64_t accepted, refused_connections, malformed;
    uint64_t open, idle;
};

struct http_req {
    struct http_conn *conn;
    struct h1_head *head;
    struct str body;    /* after http_collect() */
    struct arena arena; /* until http_finish() */
    struct arena
        input;  /* head, body and what is needed to send them on: until http_release_input() */
    void *user; /* the handler's */
    /* Sees what http_send() is given, ahead of the client; with the first send the head's lines. NULL: nobody does. */
    void (*tee)(struct http_req *r, struct str head, const struct iovec *v, int n);
    uint64_t begun_us;            /* when the last byte of the head came in (loop clock) */
    uint64_t bytes_in, bytes_out; /* of bodies */
    uint64_t _left;               /* of a body with a length */
    struct buf _grow;             /* a chunked body that is being collected */
    struct h1_chunked _chunked;
    uint8_t _mode;
    uint8_t _minor;
    bool _head_request, _close, _expects, _in_done, _answered, _out_chunked, _out_none, _out_done;
    bool _refusal, _is_chunked;
    struct http_req *_next, **_at; /* among those without a client */
};

struct http_server *http_server_new(struct loop *l, const struct http_server_ops *ops, void *arg);
void http_server_free(struct http_server *s);
void http_server_limits(struct http_server *s, const struct http_limits *limits);
void *http_server_arg(struct http_server *s);
struct http_server *http_server_of(struct http_req *r);
struct http_server_stats http_server_stats(const struct http_server *s);

/* Serves a stream that was accepted; the server owns it. */
void http_serve(struct http_server *s, struct stream *stream);

/* Every answer from now on closes its connection; idle connections close after a moment of grace.
 */
void http_drain(struct http_server *s);
/* Breaks all connections, `gone` for each request that runs. */
void http_abort_all(struct http_server *s);
size_t http_open(const struct http_server *s); /* connections, and requests without one */
/* Calls fn for each request that runs; it may end the request. */
void http_each(struct http_server *s, void (*fn)(struct http_req *r));

/* From inside `gone`, and only once all of the request is in: the request goes on without its client until
 * http_finish(). What is sent goes nowhere, nothing is ever queued, and but for the server's end (`gone` again) no event
 * comes. False: the server ends, and the request with it. */
bool http_detach(struct http_req *r);

/* ---- the request's body ---- */

/* Keeps head and body together in memory: true when the body is whole now (r->body), false when
 * `collected` will tell. A body over the limit is refused with 413 by the server itself (`refused`
 * comes). */
bool http_collect(struct http_req *r);
/* Keeps the head beyond `request`, and the body waiting, until http_stream(); a client that asks for
 * "100 Continue" is told only then. */
void http_keep_waiting(struct http_req *r);
/* Hands the body on in pieces, to `piece`, from the next turn on. */
void http_stream(struct http_req *r);
void http_body_pause(struct http_req *r);
void http_body_resume(struct http_req *r);
/* Whether all of the request has arrived. */
bool http_received(const struct http_req *r);
/* A copy of a head, in `a`. */
struct h1_head *http_keep_head(struct arena *a, const struct h1_head *h);
/* Frees r->input: the head (r->head becomes NULL), the body, everything allocated in it. */
void http_release_input(struct http_req *r);

/* ---- the answer ---- */

/* Begins the answer's head. `length` of the body; -1 when it is not known yet. The head is kept
 * aside and goes out with the first http_send(); head, fields and that send belong into one event.
 */
void http_head(struct http_req *r, unsigned status, int64_t length);
void http_field(struct http_req *r, struct str name, struct str value);
void http_field_u64(struct http_req *r, struct str name, uint64_t value);
/* Whole field lines, each with its CRLF. */
void http_lines(struct http_req *r, struct str lines);
/* Room for `n` bytes of field lines in the head, to be filled by the caller; NULL when it is full.
 */
char *http_head_room(struct http_req *r, size_t n);
/* Only what is in front of `end` was used of it. */
void http_head_used(struct http_req *r, const char *end);
/* The connection closes after this answer (before the first send). */
void http_close_after(struct http_req *r);

/* Sends the next pieces of the body; `end` with the last ones. Errors come as `gone` later. */
void http_send(struct http_req *r, const struct iovec *v, int n, bool end);
/* The same for one slice. */
void http_send_str(struct http_req *r, struct str s, bool end);
/* Bytes that wait for the client to take them. */
size_t http_queued(const struct http_req *r);
/* Breaks the answer off: the client sees a connection that ends before the message does. */
void http_cut(struct http_req *r);
bool http_answered(const struct http_req *r);

/* The request is over: frees it and goes on with the connection. The last call about r. */
void http_finish(struct http_req *r);

/* Value of a Date field for now (RFC 9110, 5.6.7): 29 characters, renewed each second. */
struct str http_date(struct http_server *s);
struct str http_reason(unsigned status);
/* The client's address, for logs. */
size_t http_peer(struct http_req *r, char *to, size_t cap);

#endif
