/* The server's side of HTTP/1.1 on a real loop over socket pairs, with a handler of the test's own. */
#ifndef TESTS_SERVERBENCH_H
#define TESTS_SERVERBENCH_H

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "http/server.h"
#include "loopbench.h"

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wunused-function"

/* ---- the handler: what it does is told by the path ---- */

struct app {
    struct loop *l;
    struct http_server *s;
    struct http_limits limits;
    struct http_req *held; /* of /hold, /pull and so on, until the test ends it */
    struct buf body;       /* what the last request's body was */
    int requests, finished, collected, pieces, last_pieces, gone, drained, probes, refused;
    unsigned refused_status;
    bool at_once; /* the body was whole when http_collect() was called */
};

static struct app *app_of(struct http_req *r)
{
    return http_server_arg(http_server_of(r));
}

static void finish(struct http_req *r)
{
    struct app *a = app_of(r);
    a->finished++;
    if (a->held == r) {
        a->held = NULL;
    }
    http_finish(r);
}

static void answer(struct http_req *r, struct str text)
{
    http_head(r, 200, (int64_t)text.n);
    http_field(r, STR("content-type"), STR("text/plain"));
    http_send_str(r, text, true);
    finish(r);
}

static void hold(struct http_req *r)
{
    must(!app_of(r)->held);
    app_of(r)->held = r;
}

static void collect(struct http_req *r)
{
    struct app *a = app_of(r);
    a->at_once = http_collect(r);
    if (a->at_once) {
        answer(r, r->body);
    }
}

static void chunks(struct http_req *r)
{
    http_head(r, 200, -1);
    http_send_str(r, STR("one "), false);
    http_send_str(r, STR(""), false); /* must not end the coding */
    struct iovec v[3] = {
        {(void *)(uintptr_t) "two", 3}, {NULL, 0}, {(void *)(uintptr_t) " three", 6}};
    http_send(r, v, 3, false);
    http_send_str(r, STR(""), true);
    finish(r);
}

static void cut(struct http_req *r, int64_t length)
{
    http_head(r, 200, length);
    http_send_str(r, STR("abc"), false);
    http_cut(r);
    finish(r);
}

static void with_status(struct http_req *r, unsigned status)
{
    http_head(r, status, 0);
    http_send_str(r, STR(""), true);
    finish(r);
}

static void on_request(struct http_req *r)
{
    struct app *a = app_of(r);
    struct str path = h1_slice(r->head, r->head->path, r->head->path_n);
    a->requests++;
    a->body.n = 0;
    if (str_eq(path, STR("/collect"))) {
        collect(r);
    } else if (str_eq(path, STR("/stream")) || str_eq(path, STR("/pull"))) {
        http_stream(r);
        if (str_eq(path, STR("/pull"))) {
            http_body_pause(r);
            hold(r);
        }
    } else if (str_eq(path, STR("/hold"))) {
        hold(r);
    } else if (str_eq(path, STR("/hold-body"))) {
        a->at_once = http_collect(r);
        hold(r);
    } else if (str_eq(path, STR("/chunks"))) {
        chunks(r);
    } else if (str_eq(path, STR("/cut"))) {
        cut(r, 10);
    } else if (str_eq(path, STR("/cut-chunked"))) {
        cut(r, -1);
    } else if (str_eq(path, STR("/204"))) {
        with_status(r, 204);
    } else if (str_eq(path, STR("/close"))) {
        http_close_after(r);
        answer(r, STR("bye"));
    } else {
        answer(r, path);
    }
}

static void on_collected(struct http_req *r)
{
    struct app *a = app_of(r);
    a->collected++;
    if (a->held != r) {
        answer(r, r->body);
    }
}

static void on_piece(struct http_req *r, struct str piece, bool end)
{
    struct app *a = app_of(r);
    a->pieces++;
    a->last_pieces += end;
    buf_add(&a->body, piece);
    if (end) {
        answer(r, str_make(a->body.p ? a->body.p : "", a->body.n));
    }
}

static void on_gone(struct http_req *r)
{
    struct app *a = app_of(r);
    a->gone++;
    if (a->held == r) {
        a->held = NULL;
    }
}

static void on_drained(struct http_req *r)
{
    app_of(r)->drained++;
}

static void on_probe(struct http_req *r)
{
    app_of(r)->probes++;
    http_send_str(r, STR(": ping\n\n"), false);
}

static void on_refused(struct http_req *r, unsigned status, const char *why)
{
    struct app *a = app_of(r);
    a->refused++;
    a->refused_status = status;
    if (a->held == r) {
        a->held = NULL;
    }
    http_head(r, status, (int64_t)strlen(why));
    http_send_str(r, str_of(why), true);
}

static const struct http_server_ops app_ops = {on_request, on_collected, on_piece,  on_gone,
                                               on_drained, on_probe,     on_refused};

static int begin(void **state)
{
    struct app *a = calloc(1, sizeof *a);
    a->l = loop_new();
    a->s = http_server_new(a->l, &app_ops, a);
    a->limits = (struct http_limits){.max_header = 4096,
                                     .max_body = 1 << 20,
                                     .header_ms = 2000,
                                     .body_ms = 2000,
                                     .idle_ms = 2000,
                                     .write_ms = 2000,
                                     .max_connections = 100};
    http_server_limits(a->s, &a->limits);
    *state = a;
    return 0;
}

static int end(void **state)
{
    struct app *a = *state;
    http_server_free(a->s);
    turn_for(a->l, 5);
    size_t lent = loop_pool(a->l)->lent;
    loop_free(a->l);
    buf_free(&a->body);
    free(a);
    return lent <= 64 * 1024 ? 0 : -1; /* the loop's own buffer: nothing else was forgotten */
}

static void dial(struct app *a, struct peer *p)
{
    struct stream *ours, *theirs;
    assert_int_equal(stream_pair(a->l, &ours, &theirs), 0);
    http_serve(a->s, theirs);
    peer_begin(p, ours);
}

#define GET(path) "GET " path " HTTP/1.1\r\nhost: a\r\n\r\n"

/* Number of answers that have come in whole, those with a length and without. */
static int count(const struct peer *p, const char *text)
{
    struct str rest = peer_heard(p);
    ptrdiff_t at;
    int n = 0;
    while ((at = str_find(rest, str_of(text))) >= 0) {
        n++;
        rest = str_from(rest, (size_t)at + 1);
    }
    return n;
}

static void expect(struct app *a, struct peer *p, const char *text)
{
    uint64_t until = clock_us() + 3000000;
    while (!peer_has(p, text) && !p->eof && !p->broken && clock_us() < until) {
        turn_for(a->l, 1);
    }
    for (int i = 0; i < 10 && !peer_has(p, text); i++) { /* what came with the end */
        turn_for(a->l, 1);
    }
    if (!peer_has(p, text)) {
        fail_msg("\"%s\" did not come, but \"%.*s\"", text, (int)p->in.n, p->in.p);
    }
}

static void expect_end(struct app *a, struct peer *p)
{
    uint64_t until = clock_us() + 3000000;
    while (!p->eof && !p->broken && clock_us() < until) {
        turn_for(a->l, 1);
    }
    assert_true(p->eof || p->broken);
}

static void leave(struct app *a, struct peer *p)
{
    peer_end(p);
    uint64_t until = clock_us() + 3000000;
    while (http_open(a->s) && clock_us() < until) {
        turn_for(a->l, 1);
    }
    assert_int_equal(http_open(a->s), 0);
    turn_for(a->l, 2); /* streams that were closed gently hear of it */
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, begin, end)

#pragma GCC diagnostic pop

#endif
