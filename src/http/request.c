/* The request's side: its body, kept or passed on in pieces, and its end. */
#include "base/must.h"
#include "http/server_priv.h"

enum {
    INPUT_SLACK = 1024, /* beside head and body: what the handler adds to send them on */
    COPY_MAX = 4096,    /* larger bodies are left where they are, if they are whole */
};

static void say_continue(struct http_req *r)
{
    static const char text[] = "HTTP/1.1 100 Continue\r\n\r\n";
    struct iovec v = {(void *)(uintptr_t)text, sizeof text - 1};
    if (r->_expects && !r->_in_done && r->bytes_in == 0 && r->conn->p == r->conn->end) {
        if (stream_write(r->conn->stream, &v, 1) < 0) {
            conn_break(r->conn);
        }
    }
    r->_expects = false;
}

/* Out of the scratch, into memory that lasts. */
struct h1_head *http_keep_head(struct arena *a, const struct h1_head *h)
{
    size_t fields_n = h->n_fields * sizeof *h->fields;
    struct h1_head *own = arena_alloc(a, sizeof *own + fields_n + h->n);
    *own = *h;
    own->fields = (struct h1_field *)(own + 1);
    memcpy(own->fields, h->fields, fields_n);
    char *base = (char *)own->fields + fields_n;
    memcpy(base, h->base, h->n);
    own->base = base;
    return own;
}

/* A large body that is whole, with nothing behind it, stays in the buffer it was read into; the
 * loop gets another one. */
static void keep_in_place(struct http_req *r)
{
    struct http_conn *c = r->conn;
    r->head = http_keep_head(&r->input, r->head);
    r->body = str_make(c->p, (size_t)r->_left);
    r->bytes_in = r->_left;
    c->p += r->_left;
    r->_left = 0;
    r->_in_done = true;
    arena_adopt(&r->input, loop_take_scratch(c->server->loop));
}

bool http_collect(struct http_req *r)
{
    struct http_conn *c = r->conn;
    bool sized = r->head->body == BODY_LENGTH;
    must(r->_mode == MODE_UNDECIDED && r->head && c->processing);
    r->_mode = MODE_COLLECT;
    if (sized && r->_left > COPY_MAX && (size_t)(c->end - c->p) == r->_left &&
        loop_in_scratch(c->server->loop, c->p, (size_t)r->_left)) {
        keep_in_place(r);
        return true;
    }
    /* Head, body and what is added to them in one block, so that a small call takes one from the
     * pool. */
    size_t n = sizeof *r->head + r->head->n_fields * sizeof(struct h1_field) + r->head->n +
               (sized ? (size_t)r->_left : 0) + INPUT_SLACK;
    arena_trim(&r->input, arena_alloc(&r->input, n), n, 0);
    r->head = http_keep_head(&r->input, r->head);
    if (sized) {
        char *body = arena_alloc(&r->input, (size_t)r->_left);
        size_t have = (size_t)(c->end - c->p);
        size_t take = have < r->_left ? have : (size_t)r->_left;
        if (take) {
            memcpy(body, c->p, take);
        }
        c->p += take;
        r->body = str_make(body, take);
        r->bytes_in = take;
        r->_left -= take;
        r->_in_done = r->_left == 0;
        if (!r->_in_done) {
            stream_sink(c->stream, body + take, (size_t)r->_left);
        }
    }
    if (!r->_in_done) {
        say_continue(r);
    }
    return r->_in_done;
}

void http_keep_waiting(struct http_req *r)
{
    must(r->_mode == MODE_UNDECIDED && r->head);
    r->head = http_keep_head(&r->input, r->head);
}

void http_stream(struct http_req *r)
{
    must(r->_mode == MODE_UNDECIDED && r->head);
    r->_mode = MODE_STREAM;
    r->head = http_keep_head(&r->input, r->head);
    say_continue(r);
    if (!r->conn->processing && r->conn->in_n) {
        conn_wake(r->conn);
    }
}

void http_body_pause(struct http_req *r)
{
    if (!r->conn->paused && !r->_in_done) {
        r->conn->paused = true;
        stream_pause(r->conn->stream);
    }
}

void http_body_resume(struct http_req *r)
{
    struct http_conn *c = r->conn;
    if (c->paused && !c->closed) {
        c->paused = false;
        stream_resume(c->stream);
        conn_wake(c);
    }
}

bool http_received(const struct http_req *r)
{
    return r->_in_done;
}

void http_release_input(struct http_req *r)
{
    if (!r->_in_done) {
        return; /* the body is still coming: its framing is in the head */
    }
    r->head = NULL;
    r->body = (struct str){0};
    arena_reset(&r->input);
    buf_free(&r->_grow);
}

bool http_detach(struct http_req *r)
{
    struct http_server *s = r->conn->server;
    must(r->_in_done);
    if (s->ending) {
        return false;
    }
    r->conn->req = NULL;
    r->conn = s->nobody;
    r->_next = s->detached;
    r->_at = &s->detached;
    if (r->_next) {
        r->_next->_at = &r->_next;
    }
    s->detached = r;
    s->n_detached++;
    return true;
}

static void finish_detached(struct http_req *r)
{
    *r->_at = r->_next;
    if (r->_next) {
        r->_next->_at = r->_at;
    }
    r->conn->server->n_detached--;
    conn_free_request(r);
}

void http_finish(struct http_req *r)
{
    struct http_conn *c = r->conn;
    struct http_server *s = c->server;
    if (c == s->nobody) {
        finish_detached(r);
        return;
    }
    if (c->closed) {
        return;
    }
    if (r->_in_done && !r->_close && r->_out_done) {
        conn_end_request(c);
        conn_deadline(c, s->draining ? DRAIN_GRACE_MS : s->limits.idle_ms);
        if (c->paused) {
            c->paused = false;
            stream_resume(c->stream);
        }
        if (!c->processing && c->in_n) {
            conn_wake(c);
        }
        return;
    }
    if (r->_out_done && !r->_close) {
        r->_mode = MODE_DISCARD;
        r->bytes_in = 0;
        stream_sink(c->stream, NULL, 0);
        conn_deadline(c, s->limits.body_ms);
        if (c->paused) {
            http_body_resume(r);
        } else if (!c->processing && c->in_n) {
            conn_wake(c);
        }
        return;
    }
    conn_close(c, LINGER_MS);
}
