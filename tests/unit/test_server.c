/* The server's side of HTTP/1.1 on a real loop over socket pairs, with a handler of the test's own. */
#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "http/server.h"
#include "loopbench.h"

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
    struct iovec v[3] = {{(void *)(uintptr_t) "two", 3}, {NULL, 0}, {(void *)(uintptr_t) " three", 6}};
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

static const struct http_server_ops app_ops = {
    on_request, on_collected, on_piece, on_gone, on_drained, on_probe, on_refused};

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

/* ---- answers ---- */

static void exact_answers(void **state)
{
    struct app *a = *state;
    static const struct {
        const char *request, *answer;
        bool closes;
    } want[] = {
        {GET("/x"), "HTTP/1.1 200 OK\r\ncontent-length: 2\r\ncontent-type: text/plain\r\n\r\n/x", false},
        {"HEAD /x HTTP/1.1\r\nhost: a\r\n\r\n",
         "HTTP/1.1 200 OK\r\ncontent-length: 2\r\ncontent-type: text/plain\r\n\r\n", false},
        {GET("/204"), "HTTP/1.1 204 No Content\r\n\r\n", false},
        {GET("/chunks"),
         "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n4\r\none \r\n9\r\ntwo three\r\n0\r\n\r\n", false},
        {"HEAD /chunks HTTP/1.1\r\nhost: a\r\n\r\n",
         "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n", false},
        {GET("/close"),
         "HTTP/1.1 200 OK\r\ncontent-length: 3\r\nconnection: close\r\ncontent-type: text/plain\r\n\r\nbye", true},
        {"GET /x HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n",
         "HTTP/1.1 200 OK\r\ncontent-length: 2\r\nconnection: close\r\ncontent-type: text/plain\r\n\r\n/x", true},
        {"GET /x HTTP/1.0\r\n\r\n",
         "HTTP/1.1 200 OK\r\ncontent-length: 2\r\nconnection: close\r\ncontent-type: text/plain\r\n\r\n/x", true},
        {"GET /x HTTP/1.0\r\nconnection: keep-alive\r\n\r\n",
         "HTTP/1.1 200 OK\r\ncontent-length: 2\r\nconnection: keep-alive\r\ncontent-type: text/plain\r\n\r\n/x",
         false},
        /* HTTP/1.0 knows no chunks: the end of the connection is the end of the body. */
        {"GET /chunks HTTP/1.0\r\nconnection: keep-alive\r\n\r\n",
         "HTTP/1.1 200 OK\r\nconnection: close\r\n\r\none two three", true},
    };
    for (size_t i = 0; i < sizeof want / sizeof *want; i++) {
        struct peer p;
        dial(a, &p);
        peer_say(&p, want[i].request);
        assert_true(turn_until(a->l, &p.n, (int)strlen(want[i].answer)));
        if (want[i].closes) {
            expect_end(a, &p);
        } else {
            turn_for(a->l, 5);
            assert_false(p.eof || p.broken);
        }
        if (!str_eq(peer_heard(&p), str_of(want[i].answer))) {
            fail_msg("%s\n%.*s", want[i].answer, (int)p.in.n, p.in.p);
        }
        leave(a, &p);
    }
    assert_int_equal(a->gone, 0);
}

/* Every way to cut a request in two, for each kind of body; all on one connection. */
static void any_split(void **state)
{
    struct app *a = *state;
    static const char *const requests[] = {
        "\r\nGET /none HTTP/1.1\r\nhost: a\r\n\r\n",
        "POST /collect HTTP/1.1\r\nhost: a\r\ncontent-length: 5\r\n\r\nhello",
        "POST /collect HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n2\r\nhe\r\n3;x\r\nllo\r\n0\r\n\r\n",
        "POST /stream HTTP/1.1\r\nhost: a\r\ncontent-length: 5\r\n\r\nhello",
        "POST /stream HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n2\r\nhe\r\n3\r\nllo\r\n0\r\nt: x\r\n\r\n",
        "POST /ignored HTTP/1.1\r\nhost: a\r\ncontent-length: 5\r\n\r\nhello",
        "POST /ignored HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
    };
    struct peer p;
    dial(a, &p);
    int answers = 0;
    for (size_t i = 0; i < sizeof requests / sizeof *requests; i++) {
        size_t n = strlen(requests[i]);
        for (size_t at = 1; at < n; at++) {
            p.in.n = 0;
            p.n = 0;
            assert_int_equal(peer_say_str(&p, str_make(requests[i], at)), 0);
            turn_for(a->l, 1);
            assert_int_equal(peer_say_str(&p, str_make(requests[i] + at, n - at)), 0);
            const char *body = i == 0 ? "\r\n\r\n/none" : i < 5 ? "\r\n\r\nhello" : "\r\n\r\n/ignored";
            expect(a, &p, body);
            answers++;
            assert_int_equal(count(&p, "HTTP/1.1 200 OK\r\n"), 1);
        }
    }
    turn_for(a->l, 2);
    assert_int_equal(a->requests, answers);
    assert_int_equal(a->finished, answers);
    assert_int_equal(http_server_stats(a->s).accepted, 1);
    leave(a, &p);
    assert_int_equal(a->gone + a->refused, 0);
}

static void byte_by_byte(void **state)
{
    struct app *a = *state;
    static const char text[] = GET("/a") "POST /collect HTTP/1.1\r\nhost: a\r\ncontent-length: 3\r\n\r\nxyz" GET("/b");
    struct peer p;
    dial(a, &p);
    for (size_t i = 0; i < sizeof text - 1; i++) {
        assert_int_equal(peer_say_str(&p, str_make(text + i, 1)), 0);
        turn_for(a->l, 0);
    }
    expect(a, &p, "\r\n\r\n/b");
    assert_true(peer_has(&p, "\r\n\r\n/a"));
    assert_true(peer_has(&p, "\r\n\r\nxyz"));
    leave(a, &p);
}

/* ---- pipelining ---- */

static void pipelined(void **state)
{
    struct app *a = *state;
    struct peer p;
    struct buf text = {0};
    dial(a, &p);
    for (int i = 0; i < 300; i++) {
        buf_printf(&text, i % 3 == 0 ? GET("/n%d.") : i % 3 == 1 ? "POST /collect HTTP/1.1\r\nhost: a\r\ncontent-length: 6\r\n\r\n/n%03d."
                                                 : "POST /stream HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n6\r\n/n%03d.\r\n0\r\n\r\n", i);
    }
    assert_int_equal(peer_say_str(&p, buf_str(&text)), 0);
    expect(a, &p, "/n299.");
    assert_int_equal(count(&p, "HTTP/1.1 200 OK"), 300);
    ptrdiff_t before = -1;
    for (int i = 0; i < 300; i++) { /* in order */
        char mark[16];
        snprintf(mark, sizeof mark, i % 3 ? "/n%03d." : "/n%d.", i);
        ptrdiff_t at = str_find(peer_heard(&p), str_of(mark));
        assert_true(at > before);
        before = at;
    }
    leave(a, &p);
    buf_free(&text);
}

/* The next request waits until the present one is over, however much of it has come. */
static void one_at_a_time(void **state)
{
    struct app *a = *state;
    struct peer p;
    struct buf text = {0};
    dial(a, &p);
    peer_say(&p, GET("/hold"));
    assert_true(turn_until(a->l, &a->requests, 1));
    for (int i = 0; i < 20000; i++) { /* 800 kB: more than the server keeps */
        buf_addz(&text, GET("/next"));
    }
    assert_int_equal(peer_say_str(&p, buf_str(&text)), 0);
    turn_for(a->l, 20);
    assert_int_equal(a->requests, 1);
    assert_int_equal(p.n, 0);
    assert_true(stream_queued(p.s) > 0); /* the server has stopped reading */
    answer(a->held, STR("first"));
    assert_true(turn_until(a->l, &a->requests, 20001));
    expect(a, &p, "first");
    static const char each[] = "HTTP/1.1 200 OK\r\ncontent-length: 5\r\ncontent-type: text/plain\r\n\r\n/next";
    assert_true(turn_until(a->l, &p.n, 20001 * (int)strlen(each)));
    assert_int_equal(count(&p, "HTTP/1.1 200 OK"), 20001);
    leave(a, &p);
    buf_free(&text);
}

static void keep_alive(void **state)
{
    struct app *a = *state;
    struct peer p;
    dial(a, &p);
    for (int i = 0; i < 50; i++) {
        p.in.n = 0;
        peer_say(&p, GET("/again"));
        expect(a, &p, "\r\n\r\n/again");
        struct http_server_stats st = http_server_stats(a->s);
        assert_int_equal(st.open, 1);
        assert_int_equal(st.idle, 1);
    }
    assert_int_equal(http_server_stats(a->s).accepted, 1);
    leave(a, &p);
}

/* ---- bodies ---- */

static void long_bodies(void **state)
{
    struct app *a = *state;
    static const char *const paths[] = {"/collect", "/stream"};
    static const size_t sizes[] = {1, 1000, 4096, 4097, 50000, 65400, 65536, 200000, 1 << 20};
    for (int kind = 0; kind < 4; kind++) {
        for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
            struct buf text = {0}, body = {0};
            struct peer p;
            dial(a, &p);
            for (size_t k = 0; k < sizes[i]; k++) {
                buf_addc(&body, (char)('a' + (k * 7 + k / 1000) % 26));
            }
            if (kind < 2) {
                buf_printf(&text, "POST %s HTTP/1.1\r\nhost: a\r\ncontent-length: %zu\r\n\r\n", paths[kind],
                           sizes[i]);
                buf_add(&text, buf_str(&body));
            } else {
                buf_printf(&text, "POST %s HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n",
                           paths[kind - 2]);
                for (size_t at = 0; at < body.n; at += 3000) {
                    struct str piece = str_first(str_from(buf_str(&body), at), 3000);
                    buf_printf(&text, "%zx\r\n", piece.n);
                    buf_add(&text, piece);
                    buf_addz(&text, "\r\n");
                }
                buf_addz(&text, "0\r\n\r\n");
            }
            buf_addz(&text, GET("/behind"));
            assert_int_equal(peer_say_str(&p, buf_str(&text)), 0);
            expect(a, &p, "\r\n\r\n/behind");
            ptrdiff_t at = str_find(peer_heard(&p), STR("\r\n\r\n"));
            assert_true(str_starts(str_from(peer_heard(&p), (size_t)at + 4), buf_str(&body)));
            leave(a, &p);
            buf_free(&text);
            buf_free(&body);
        }
    }
    assert_int_equal(a->gone + a->refused, 0);
}

/* A body that is not wanted is read away, or the connection closes when it is long. */
static void unwanted_bodies(void **state)
{
    struct app *a = *state;
    struct peer p;
    dial(a, &p);
    peer_say(&p, "POST /x HTTP/1.1\r\nhost: a\r\ncontent-length: 1000\r\n\r\nfirst part");
    expect(a, &p, "\r\n\r\n/x");
    assert_false(peer_has(&p, "connection: close"));
    char part[990];
    memset(part, 'z', sizeof part);
    assert_int_equal(peer_say_str(&p, str_make(part, sizeof part)), 0);
    peer_say(&p, GET("/after"));
    expect(a, &p, "\r\n\r\n/after");
    p.in.n = 0;
    peer_say(&p, "POST /y HTTP/1.1\r\nhost: a\r\ncontent-length: 900000\r\n\r\nfirst part");
    expect(a, &p, "\r\n\r\n/y");
    assert_true(peer_has(&p, "connection: close"));
    expect_end(a, &p);
    leave(a, &p);
    assert_int_equal(a->gone, 0);
}

/* An unwanted chunked body tells its length too late: the connection closes when it has become long. */
static void unwanted_chunked_body(void **state)
{
    struct app *a = *state;
    struct peer p;
    dial(a, &p);
    peer_say(&p, "POST /x HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n");
    expect(a, &p, "\r\n\r\n/x");
    struct buf text = {0};
    for (int i = 0; i < 100; i++) {
        buf_addz(&text, "400\r\n");
        for (int k = 0; k < 1024; k++) {
            buf_addc(&text, 'x');
        }
        buf_addz(&text, "\r\n");
    }
    assert_int_equal(peer_say_str(&p, buf_str(&text)), 0);
    expect_end(a, &p);
    leave(a, &p);
    buf_free(&text);
    assert_int_equal(a->gone, 0);
}

static void too_long_bodies(void **state)
{
    struct app *a = *state;
    struct peer p;
    a->limits.max_body = 1000;
    http_server_limits(a->s, &a->limits);
    dial(a, &p);
    peer_say(&p, "POST /collect HTTP/1.1\r\nhost: a\r\ncontent-length: 1001\r\n\r\n");
    expect(a, &p, "HTTP/1.1 413 Content Too Large\r\n");
    expect_end(a, &p);
    leave(a, &p);
    assert_int_equal(a->requests, 0);
    dial(a, &p);
    struct buf text = {0};
    buf_addz(&text, "POST /collect HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n3e8\r\n");
    for (int i = 0; i < 1000; i++) {
        buf_addc(&text, 'x');
    }
    buf_addz(&text, "\r\n");
    size_t just = text.n;
    buf_addz(&text, "0\r\n\r\n");
    assert_int_equal(peer_say_str(&p, buf_str(&text)), 0);
    expect(a, &p, "HTTP/1.1 200 OK\r\n"); /* exactly the limit */
    p.in.n = 0;
    text.n = just;
    buf_addz(&text, "1\r\nx\r\n0\r\n\r\n");
    assert_int_equal(peer_say_str(&p, buf_str(&text)), 0);
    expect(a, &p, "HTTP/1.1 413 Content Too Large\r\n");
    expect_end(a, &p);
    leave(a, &p);
    assert_int_equal(a->refused, 2);
    assert_int_equal(a->gone, 0);
    buf_free(&text);
}

/* A limit over what buffers hold by themselves is kept, too: nothing is cut off silently. */
static void very_long_chunked_body(void **state)
{
    struct app *a = *state;
    struct peer p;
    enum { CHUNK = 1 << 20, CHUNKS = 66 };
    a->limits.max_body = (size_t)70 << 20;
    http_server_limits(a->s, &a->limits);
    dial(a, &p);
    peer_say(&p, "POST /hold-body HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n");
    char *chunk = malloc(CHUNK);
    memset(chunk, 'x', CHUNK);
    for (int i = 0; i < CHUNKS; i++) {
        peer_say(&p, "100000\r\n");
        assert_int_equal(peer_say_str(&p, str_make(chunk, CHUNK)), 0);
        peer_say(&p, "\r\n");
        while (stream_queued(p.s)) {
            turn_for(a->l, 0);
        }
    }
    peer_say(&p, "0\r\n\r\n");
    assert_true(turn_until(a->l, &a->collected, 1));
    assert_int_equal(a->held->body.n, (size_t)CHUNK * CHUNKS);
    answer(a->held, STR("all"));
    expect(a, &p, "all");
    leave(a, &p);
    free(chunk);
}

static void paused_body(void **state)
{
    struct app *a = *state;
    struct peer p;
    struct buf text = {0};
    dial(a, &p);
    enum { LONG = 900000 };
    buf_printf(&text, "POST /pull HTTP/1.1\r\nhost: a\r\ncontent-length: %d\r\n\r\n", LONG);
    for (int i = 0; i < LONG; i++) {
        buf_addc(&text, (char)('a' + i % 26));
    }
    assert_int_equal(peer_say_str(&p, buf_str(&text)), 0);
    turn_for(a->l, 20);
    assert_non_null(a->held);
    assert_int_equal(a->pieces, 0);
    assert_true(stream_queued(p.s) > 0); /* the client feels it */
    while (a->held && !a->last_pieces) { /* a little at a time */
        int before = a->pieces;
        http_body_resume(a->held);
        assert_true(turn_until(a->l, &a->pieces, before + 1));
        if (a->held) {
            http_body_pause(a->held);
        }
    }
    assert_int_equal(a->body.n, LONG);
    assert_true(str_ends(buf_str(&text), buf_str(&a->body)));
    turn_for(a->l, 20);
    leave(a, &p);
    buf_free(&text);
}

/* ---- 100-continue (RFC 9110, 10.1.1) ---- */

static void says_continue(void **state)
{
    struct app *a = *state;
    static const char *const paths[] = {"/collect", "/stream"};
    for (int i = 0; i < 2; i++) {
        struct peer p;
        char text[200];
        dial(a, &p);
        snprintf(text, sizeof text, "POST %s HTTP/1.1\r\nhost: a\r\nexpect: 100-continue\r\ncontent-length: 5\r\n\r\n",
                 paths[i]);
        peer_say(&p, text);
        expect(a, &p, "HTTP/1.1 100 Continue\r\n\r\n");
        assert_int_equal(p.n, 25);
        peer_say(&p, "hello");
        expect(a, &p, "\r\n\r\nhello");
        assert_false(peer_has(&p, "connection: close"));
        /* Not when the body has come already, nor without one. */
        p.in.n = 0;
        strcat(text, "again");
        peer_say(&p, text);
        expect(a, &p, "\r\n\r\nagain");
        assert_false(peer_has(&p, " 100 "));
        leave(a, &p);
    }
}

/* A final answer instead: whether the body still comes cannot be known, so the connection ends. */
static void answers_instead_of_continue(void **state)
{
    struct app *a = *state;
    struct peer p;
    dial(a, &p);
    peer_say(&p, "POST /x HTTP/1.1\r\nhost: a\r\nexpect: 100-continue\r\ncontent-length: 5\r\n\r\n");
    expect(a, &p, "\r\n\r\n/x");
    assert_true(peer_has(&p, "connection: close"));
    assert_false(peer_has(&p, " 100 "));
    expect_end(a, &p);
    leave(a, &p);
}

/* ---- the client leaves ---- */

static void gone_while_held(void **state)
{
    struct app *a = *state;
    struct peer p;
    dial(a, &p);
    peer_say(&p, GET("/hold"));
    assert_true(turn_until(a->l, &a->requests, 1));
    peer_end(&p);
    uint64_t began = clock_us();
    assert_true(turn_until(a->l, &a->gone, 1));
    assert_true(clock_us() - began < 500000);
    turn_for(a->l, 5);
    assert_int_equal(a->gone, 1);
    assert_int_equal(http_open(a->s), 0);
}

static void gone_inside_a_body(void **state)
{
    struct app *a = *state;
    static const char *const requests[] = {
        "POST /collect HTTP/1.1\r\nhost: a\r\ncontent-length: 5\r\n\r\nhel",
        "POST /stream HTTP/1.1\r\nhost: a\r\ncontent-length: 5\r\n\r\nhel",
        "POST /collect HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhel",
        "POST /stream HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n",
    };
    for (int i = 0; i < 4; i++) {
        struct peer p;
        dial(a, &p);
        peer_say(&p, requests[i]);
        assert_true(turn_until(a->l, &a->requests, i + 1));
        turn_for(a->l, 2);
        if (i % 2) {
            stream_shutdown(p.s); /* a body that ends early cannot be answered */
        } else {
            peer_end(&p);
        }
        assert_true(turn_until(a->l, &a->gone, i + 1));
        leave(a, &p);
    }
    assert_int_equal(a->finished, 0);
}

static void gone_inside_an_answer(void **state)
{
    struct app *a = *state;
    struct peer p;
    dial(a, &p);
    peer_say(&p, GET("/hold"));
    assert_true(turn_until(a->l, &a->requests, 1));
    http_head(a->held, 200, -1);
    http_send_str(a->held, STR("first"), false);
    expect(a, &p, "first");
    peer_end(&p);
    /* A write that fails is told later, not from inside. */
    for (int i = 0; i < 100 && a->held; i++) {
        struct http_req *r = a->held;
        http_send_str(r, STR("more"), false);
        assert_ptr_equal(a->held, r);
        turn_for(a->l, 1);
    }
    assert_int_equal(a->gone, 1);
    assert_int_equal(http_open(a->s), 0);
}

/* Writing to one that is gone, and ending the request in the same breath: no event, no crash. */
static void gone_and_finished_at_once(void **state)
{
    struct app *a = *state;
    struct peer p;
    dial(a, &p);
    peer_say(&p, GET("/hold"));
    assert_true(turn_until(a->l, &a->requests, 1));
    peer_end(&p);
    uv_run(&a->l->uv, UV_RUN_NOWAIT); /* the socket closes; the server may not have seen it yet */
    if (a->held) {
        answer(a->held, STR("too late"));
    }
    turn_for(a->l, 30);
    assert_int_equal(http_open(a->s), 0);
    assert_int_equal(a->gone + a->finished, 1);
}

/* ---- half-close ---- */

/* The client has sent all it had, and still listens: it gets its answer. */
static void half_closed(void **state)
{
    struct app *a = *state;
    struct peer p;
    dial(a, &p);
    peer_say(&p, GET("/hold"));
    stream_shutdown(p.s);
    expect(a, &p, "HTTP/1.1 102 Processing\r\n\r\n");
    turn_for(a->l, 400); /* through all the fast and one of the slow checks */
    assert_non_null(a->held);
    answer(a->held, STR("late"));
    expect(a, &p, "\r\n\r\nlate");
    assert_true(peer_has(&p, "connection: close"));
    expect_end(a, &p);
    leave(a, &p);
    assert_int_equal(a->gone, 0);
}

static void half_closed_then_gone(void **state)
{
    struct app *a = *state;
    struct peer p;
    dial(a, &p);
    peer_say(&p, GET("/hold"));
    stream_shutdown(p.s);
    assert_true(turn_until(a->l, &a->requests, 1));
    turn_for(a->l, 60);
    assert_int_equal(a->gone, 0);
    peer_end(&p);
    assert_true(turn_until(a->l, &a->gone, 1));
    assert_int_equal(http_open(a->s), 0);
}

static void half_closed_inside_an_answer(void **state)
{
    struct app *a = *state;
    struct peer p;
    dial(a, &p);
    peer_say(&p, GET("/hold"));
    assert_true(turn_until(a->l, &a->requests, 1));
    http_head(a->held, 200, -1);
    http_send_str(a->held, STR("first"), false);
    stream_shutdown(p.s);
    assert_true(turn_until(a->l, &a->probes, 1));
    turn_for(a->l, 30);
    http_send_str(a->held, STR("last"), true);
    finish(a->held);
    expect(a, &p, "4\r\nlast\r\n0\r\n\r\n");
    assert_true(peer_has(&p, ": ping"));
    expect_end(a, &p);
    leave(a, &p);
    assert_int_equal(a->gone, 0);
}

/* It listens no more but keeps the connection: the write timeout holds for it as for the others. */
static void half_closed_and_deaf(void **state)
{
    struct app *a = *state;
    struct peer p;
    static char block[65536];
    a->limits.write_ms = 100;
    http_server_limits(a->s, &a->limits);
    dial(a, &p);
    stream_pause(p.s);
    peer_say(&p, GET("/hold"));
    stream_shutdown(p.s);
    assert_true(turn_until(a->l, &a->requests, 1));
    turn_for(a->l, 30);
    http_head(a->held, 200, -1);
    for (int i = 0; i < 30; i++) {
        http_send_str(a->held, str_make(block, sizeof block), false);
    }
    assert_true(turn_until(a->l, &a->gone, 1));
    leave(a, &p);
}

/* ---- breaking off ---- */

static void cut_answers(void **state)
{
    struct app *a = *state;
    struct peer p;
    dial(a, &p);
    peer_say(&p, GET("/cut") GET("/next"));
    expect_end(a, &p);
    assert_true(str_ends(peer_heard(&p), STR("\r\n\r\nabc"))); /* three of ten, and nothing behind them */
    leave(a, &p);
    dial(a, &p);
    peer_say(&p, GET("/cut-chunked"));
    expect_end(a, &p);
    assert_true(str_ends(peer_heard(&p), STR("3\r\nabc\r\n")));
    leave(a, &p);
    assert_int_equal(a->requests, 2);
    assert_int_equal(a->gone, 0);
}

static void aborted(void **state)
{
    struct app *a = *state;
    struct peer p[3];
    for (int i = 0; i < 3; i++) {
        dial(a, &p[i]);
    }
    peer_say(&p[0], GET("/hold"));
    peer_say(&p[1], "POST /collect HTTP/1.1\r\nhost: a\r\ncontent-length: 5\r\n\r\nhel");
    assert_true(turn_until(a->l, &a->requests, 2));
    http_abort_all(a->s);
    assert_int_equal(a->gone, 2); /* the third had no request */
    assert_int_equal(http_open(a->s), 0);
    for (int i = 0; i < 3; i++) {
        expect_end(a, &p[i]);
        peer_end(&p[i]);
    }
}

/* ---- draining ---- */

static void drained(void **state)
{
    struct app *a = *state;
    struct peer idle, busy, late;
    dial(a, &idle);
    dial(a, &busy);
    dial(a, &late);
    peer_say(&idle, GET("/x"));
    expect(a, &idle, "\r\n\r\n/x");
    peer_say(&busy, GET("/hold"));
    assert_true(turn_until(a->l, &a->requests, 2));
    http_drain(a->s);
    peer_say(&late, GET("/late")); /* it was on its way: answered, and told to go */
    expect(a, &late, "\r\n\r\n/late");
    assert_true(peer_has(&late, "connection: close"));
    expect_end(a, &late);
    uint64_t began = clock_us();
    expect_end(a, &idle);
    assert_true(clock_us() - began < 1000000);
    turn_for(a->l, 300);
    assert_int_equal(http_open(a->s), 1); /* the busy one has all the time it needs */
    answer(a->held, STR("done"));
    expect(a, &busy, "\r\n\r\ndone");
    assert_true(peer_has(&busy, "connection: close"));
    expect_end(a, &busy);
    peer_end(&idle);
    peer_end(&late);
    leave(a, &busy);
    assert_int_equal(a->gone, 0);
}

/* ---- limits and refusals ---- */

static void refusals(void **state)
{
    struct app *a = *state;
    static const struct {
        const char *text;
        unsigned status;
    } want[] = {
        {"nonsense\r\n\r\n", 400},
        {"GET / HTTP/1.1\r\n\r\n", 400},
        {"GET / HTTP/3.0\r\nhost: a\r\n\r\n", 505},
        {"GET / HTTP/1.1\r\nhost: a\r\nexpect: x\r\n\r\n", 417},
        {"POST /collect HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\nxyz\r\n", 400},
        {"POST /stream HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n1\r\nab\r\n", 400},
        {"POST /collect HTTP/1.1\r\nhost: a\r\ncontent-length: 2\r\ntransfer-encoding: chunked\r\n\r\n", 400},
    };
    for (size_t i = 0; i < sizeof want / sizeof *want; i++) {
        struct peer p;
        char line[32];
        dial(a, &p);
        peer_say(&p, want[i].text);
        peer_say(&p, GET("/behind")); /* is not looked at */
        snprintf(line, sizeof line, "HTTP/1.1 %u ", want[i].status);
        expect(a, &p, line);
        assert_true(peer_has(&p, "connection: close"));
        expect_end(a, &p);
        assert_int_equal(count(&p, "connection: close\r\n"), 1);
        assert_int_equal(a->refused_status, want[i].status);
        leave(a, &p);
    }
    assert_int_equal(a->refused, sizeof want / sizeof *want);
    assert_int_equal(http_server_stats(a->s).malformed, sizeof want / sizeof *want);
    assert_int_equal(a->gone, 0);
}

static void long_heads(void **state)
{
    struct app *a = *state;
    static const unsigned status[] = {414, 431};
    for (int i = 0; i < 2; i++) {
        struct peer p;
        struct buf text = {0};
        char line[32];
        dial(a, &p);
        buf_addz(&text, i ? "GET / HTTP/1.1\r\nhost: a\r\nx: " : "GET /");
        while (text.n < 4097) {
            buf_addc(&text, 'x');
        }
        assert_int_equal(peer_say_str(&p, buf_str(&text)), 0);
        snprintf(line, sizeof line, "HTTP/1.1 %u ", status[i]);
        expect(a, &p, line);
        expect_end(a, &p);
        leave(a, &p);
        buf_free(&text);
    }
}

static void without_a_word_for_refusals(void **state)
{
    struct app *a = *state;
    static const struct http_server_ops ops = {.request = on_request, .gone = on_gone};
    struct http_server *own = a->s, *s = http_server_new(a->l, &ops, a);
    struct peer p;
    a->s = s;
    dial(a, &p);
    peer_say(&p, "nonsense\r\n\r\n");
    expect(a, &p, "HTTP/1.1 400 Bad Request\r\n");
    assert_true(peer_has(&p, "content-type: text/plain"));
    expect_end(a, &p);
    leave(a, &p);
    http_server_free(s);
    a->s = own;
}

static void timeouts(void **state)
{
    struct app *a = *state;
    static const struct {
        const char *text;
        const char *answer; /* NULL: none */
    } want[] = {
        {"", NULL},
        {GET("/x"), "\r\n\r\n/x"},
        {"GET /x HT", "HTTP/1.1 408 Request Timeout\r\n"},
        {"POST /collect HTTP/1.1\r\nhost: a\r\ncontent-length: 5\r\n\r\nhel", "HTTP/1.1 408 Request Timeout\r\n"},
        {"POST /stream HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhel",
         "HTTP/1.1 408 Request Timeout\r\n"},
        {"POST /unwanted HTTP/1.1\r\nhost: a\r\ncontent-length: 5\r\n\r\nhel", "\r\n\r\n/unwanted"},
    };
    a->limits.header_ms = a->limits.body_ms = a->limits.idle_ms = 80;
    http_server_limits(a->s, &a->limits);
    for (size_t i = 0; i < sizeof want / sizeof *want; i++) {
        struct peer p;
        uint64_t began = clock_us();
        dial(a, &p);
        peer_say(&p, want[i].text);
        expect_end(a, &p);
        uint64_t took_ms = (clock_us() - began) / 1000;
        assert_in_range(took_ms, 78, 1500);
        if (want[i].answer) {
            assert_true(peer_has(&p, want[i].answer));
        } else {
            assert_int_equal(p.n, 0);
        }
        leave(a, &p);
    }
    assert_int_equal(a->gone, 0);
}

/* A head that comes byte by byte has no longer than one that comes at once. */
static void trickled_head(void **state)
{
    struct app *a = *state;
    struct peer p;
    a->limits.header_ms = 100;
    http_server_limits(a->s, &a->limits);
    dial(a, &p);
    uint64_t began = clock_us();
    while (!p.eof && !p.broken && clock_us() - began < 2000000) {
        if (peer_say_str(&p, STR("x")) < 0) {
            break;
        }
        turn_for(a->l, 10);
    }
    assert_true(clock_us() - began < 1000000);
    expect(a, &p, "HTTP/1.1 408");
    leave(a, &p);
}

/* A body that trickles may take its time: the deadline is between two reads. */
static void trickled_body(void **state)
{
    struct app *a = *state;
    struct peer p;
    a->limits.body_ms = 100;
    http_server_limits(a->s, &a->limits);
    dial(a, &p);
    peer_say(&p, "POST /collect HTTP/1.1\r\nhost: a\r\ncontent-length: 10\r\n\r\n");
    for (int i = 0; i < 10; i++) {
        turn_for(a->l, 40);
        peer_say(&p, "x");
    }
    expect(a, &p, "\r\n\r\nxxxxxxxxxx");
    leave(a, &p);
    assert_int_equal(a->refused, 0);
}

static void held_requests_have_no_deadline(void **state)
{
    struct app *a = *state;
    struct peer p;
    a->limits.header_ms = a->limits.body_ms = a->limits.idle_ms = a->limits.write_ms = 30;
    http_server_limits(a->s, &a->limits);
    dial(a, &p);
    peer_say(&p, "POST /hold-body HTTP/1.1\r\nhost: a\r\ncontent-length: 2\r\n\r\nhi");
    turn_for(a->l, 150);
    assert_non_null(a->held);
    answer(a->held, STR("at last"));
    expect(a, &p, "at last");
    leave(a, &p);
}

static void most_connections(void **state)
{
    struct app *a = *state;
    struct peer p[3];
    a->limits.max_connections = 2;
    http_server_limits(a->s, &a->limits);
    for (int i = 0; i < 3; i++) {
        dial(a, &p[i]);
    }
    expect_end(a, &p[2]);
    assert_int_equal(http_server_stats(a->s).refused_connections, 1);
    assert_int_equal(http_open(a->s), 2);
    peer_end(&p[2]);
    peer_end(&p[0]);
    leave(a, &p[1]);
    dial(a, &p[0]);
    peer_say(&p[0], GET("/room"));
    expect(a, &p[0], "/room");
    leave(a, &p[0]);
}

/* ---- back-pressure ---- */

static void slow_reader(void **state)
{
    struct app *a = *state;
    struct peer p;
    static char block[65536];
    dial(a, &p);
    stream_pause(p.s);
    peer_say(&p, GET("/hold"));
    assert_true(turn_until(a->l, &a->requests, 1));
    enum { BLOCKS = 40 };
    http_head(a->held, 200, (int64_t)BLOCKS * (int64_t)sizeof block);
    for (int i = 0; i < BLOCKS; i++) {
        memset(block, 'a' + i % 26, sizeof block);
        http_send_str(a->held, str_make(block, sizeof block), i == BLOCKS - 1);
    }
    assert_true(http_queued(a->held) > BLOCKS * sizeof block / 2);
    turn_for(a->l, 20);
    assert_int_equal(a->drained, 0);
    stream_resume(p.s);
    assert_true(turn_until(a->l, &a->drained, 1));
    assert_int_equal(http_queued(a->held), 0);
    finish(a->held);
    turn_for(a->l, 20);
    ptrdiff_t at = str_find(peer_heard(&p), STR("\r\n\r\n"));
    struct str body = str_from(peer_heard(&p), (size_t)at + 4);
    assert_int_equal(body.n, BLOCKS * sizeof block);
    for (size_t i = 0; i < body.n; i++) {
        if (body.p[i] != (char)('a' + i / sizeof block % 26)) {
            fail_msg("byte %zu is wrong", i);
        }
    }
    p.in.n = 0;
    peer_say(&p, GET("/after"));
    expect(a, &p, "/after");
    leave(a, &p);
}

/* Finished before the slow reader has it all: it still gets it all. */
static void finished_before_it_has_gone_out(void **state)
{
    struct app *a = *state;
    static char block[1 << 20];
    for (int closes = 0; closes < 2; closes++) {
        struct peer p;
        dial(a, &p);
        stream_pause(p.s);
        peer_say(&p, GET("/hold"));
        assert_true(turn_until(a->l, &a->requests, closes + 1));
        memset(block, 'x', sizeof block);
        if (closes) {
            http_close_after(a->held);
        }
        answer(a->held, str_make(block, sizeof block));
        turn_for(a->l, 50);
        stream_resume(p.s);
        assert_true(turn_until(a->l, &p.n, (int)sizeof block + 50));
        if (closes) {
            expect_end(a, &p);
        }
        leave(a, &p);
    }
}

static void deaf_reader(void **state)
{
    struct app *a = *state;
    struct peer p;
    static char block[1 << 20];
    a->limits.write_ms = 100;
    http_server_limits(a->s, &a->limits);
    dial(a, &p);
    stream_pause(p.s);
    peer_say(&p, GET("/hold"));
    assert_true(turn_until(a->l, &a->requests, 1));
    http_head(a->held, 200, -1);
    http_send_str(a->held, str_make(block, sizeof block), false);
    for (int i = 0; i < 100 && a->held; i++) { /* what is added meanwhile gives it no more time */
        http_send_str(a->held, STR(": ping\n\n"), false);
        turn_for(a->l, 20);
    }
    assert_int_equal(a->gone, 1);
    leave(a, &p);
}

/* One that takes a little now and then keeps its answer, however long that lasts. */
static void slow_but_alive(void **state)
{
    struct app *a = *state;
    struct peer p;
    static char block[16384];
    a->limits.write_ms = 500;
    http_server_limits(a->s, &a->limits);
    dial(a, &p);
    stream_pause(p.s);
    peer_say(&p, GET("/hold"));
    assert_true(turn_until(a->l, &a->requests, 1));
    http_head(a->held, 200, -1);
    for (int i = 0; i < 1024; i++) {
        http_send_str(a->held, str_make(block, sizeof block), false);
    }
    for (int i = 0; i < 10; i++) {
        turn_for(a->l, 100);
        int before = p.n;
        stream_resume(p.s);
        bool more = turn_until(a->l, &p.n, before + 1);
        assert_int_equal(a->gone, 0);
        assert_true(more);
        stream_pause(p.s);
    }
    leave(a, &p);
}

/* ---- the rest ---- */

static void releases_its_input(void **state)
{
    struct app *a = *state;
    struct peer p;
    struct buf text = {0};
    dial(a, &p);
    buf_addz(&text, "POST /hold-body HTTP/1.1\r\nhost: a\r\ncontent-length: 900000\r\n\r\n");
    for (int i = 0; i < 900000; i++) {
        buf_addc(&text, 'x');
    }
    assert_int_equal(peer_say_str(&p, buf_str(&text)), 0);
    assert_true(turn_until(a->l, &a->collected, 1));
    size_t before = loop_pool(a->l)->lent;
    assert_int_equal(a->held->body.n, 900000);
    assert_int_equal(a->held->bytes_in, 900000);
    http_release_input(a->held);
    assert_null(a->held->head);
    assert_true(loop_pool(a->l)->lent < before - 800000);
    answer(a->held, STR("still answered"));
    expect(a, &p, "still answered");
    leave(a, &p);
    buf_free(&text);
}

static void dates(void **state)
{
    struct app *a = *state;
    struct str d = http_date(a->s);
    assert_int_equal(d.n, 29);
    assert_true(str_ends(d, STR(" GMT")));
    assert_int_equal(d.p[3], ',');
    assert_true(str_eq(http_reason(200), STR("OK")));
    assert_true(http_reason(418).n > 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, begin, end)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(exact_answers),
        TEST(any_split),
        TEST(byte_by_byte),
        TEST(pipelined),
        TEST(one_at_a_time),
        TEST(keep_alive),
        TEST(long_bodies),
        TEST(unwanted_bodies),
        TEST(unwanted_chunked_body),
        TEST(too_long_bodies),
        TEST(very_long_chunked_body),
        TEST(paused_body),
        TEST(says_continue),
        TEST(answers_instead_of_continue),
        TEST(gone_while_held),
        TEST(gone_inside_a_body),
        TEST(gone_inside_an_answer),
        TEST(gone_and_finished_at_once),
        TEST(half_closed),
        TEST(half_closed_then_gone),
        TEST(half_closed_inside_an_answer),
        TEST(half_closed_and_deaf),
        TEST(cut_answers),
        TEST(aborted),
        TEST(drained),
        TEST(refusals),
        TEST(long_heads),
        TEST(without_a_word_for_refusals),
        TEST(timeouts),
        TEST(trickled_head),
        TEST(trickled_body),
        TEST(held_requests_have_no_deadline),
        TEST(most_connections),
        TEST(slow_reader),
        TEST(finished_before_it_has_gone_out),
        TEST(deaf_reader),
        TEST(slow_but_alive),
        TEST(releases_its_input),
        TEST(dates),
    };
    signal(SIGPIPE, SIG_IGN); /* as the server does */
    return cmocka_run_group_tests(tests, NULL, NULL);
}
