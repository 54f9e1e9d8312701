/* Requests and answers of the server: framing, pipelining, bodies, "100 Continue". */
#include "serverbench.h"

/* ---- answers ---- */

static void exact_answers(void **state)
{
    struct app *a = *state;
    static const struct {
        const char *request, *answer;
        bool closes;
    } want[] = {
        {GET("/x"), "HTTP/1.1 200 OK\r\ncontent-length: 2\r\ncontent-type: text/plain\r\n\r\n/x",
         false},
        {"HEAD /x HTTP/1.1\r\nhost: a\r\n\r\n",
         "HTTP/1.1 200 OK\r\ncontent-length: 2\r\ncontent-type: text/plain\r\n\r\n", false},
        {GET("/204"), "HTTP/1.1 204 No Content\r\n\r\n", false},
        {GET("/chunks"),
         "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n4\r\none \r\n9\r\ntwo "
         "three\r\n0\r\n\r\n",
         false},
        {"HEAD /chunks HTTP/1.1\r\nhost: a\r\n\r\n",
         "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n", false},
        {GET("/close"),
         "HTTP/1.1 200 OK\r\ncontent-length: 3\r\nconnection: close\r\ncontent-type: "
         "text/plain\r\n\r\nbye",
         true},
        {"GET /x HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n",
         "HTTP/1.1 200 OK\r\ncontent-length: 2\r\nconnection: close\r\ncontent-type: "
         "text/plain\r\n\r\n/x",
         true},
        {"GET /x HTTP/1.0\r\n\r\n",
         "HTTP/1.1 200 OK\r\ncontent-length: 2\r\nconnection: close\r\ncontent-type: "
         "text/plain\r\n\r\n/x",
         true},
        {"GET /x HTTP/1.0\r\nconnection: keep-alive\r\n\r\n",
         "HTTP/1.1 200 OK\r\ncontent-length: 2\r\nconnection: keep-alive\r\ncontent-type: "
         "text/plain\r\n\r\n/x",
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
        "POST /collect HTTP/1.1\r\nhost: a\r\ntransfer-encoding: "
        "chunked\r\n\r\n2\r\nhe\r\n3;x\r\nllo\r\n0\r\n\r\n",
        "POST /stream HTTP/1.1\r\nhost: a\r\ncontent-length: 5\r\n\r\nhello",
        "POST /stream HTTP/1.1\r\nhost: a\r\ntransfer-encoding: "
        "chunked\r\n\r\n2\r\nhe\r\n3\r\nllo\r\n0\r\nt: x\r\n\r\n",
        "POST /ignored HTTP/1.1\r\nhost: a\r\ncontent-length: 5\r\n\r\nhello",
        "POST /ignored HTTP/1.1\r\nhost: a\r\ntransfer-encoding: "
        "chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
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
            const char *body = i == 0  ? "\r\n\r\n/none"
                               : i < 5 ? "\r\n\r\nhello"
                                       : "\r\n\r\n/ignored";
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
    static const char text[] =
        GET("/a") "POST /collect HTTP/1.1\r\nhost: a\r\ncontent-length: 3\r\n\r\nxyz" GET("/b");
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
        buf_printf(&text,
                   i % 3 == 0 ? GET("/n%d.")
                   : i % 3 == 1
                       ? "POST /collect HTTP/1.1\r\nhost: a\r\ncontent-length: 6\r\n\r\n/n%03d."
                       : "POST /stream HTTP/1.1\r\nhost: a\r\ntransfer-encoding: "
                         "chunked\r\n\r\n6\r\n/n%03d.\r\n0\r\n\r\n",
                   i);
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
    static const char each[] =
        "HTTP/1.1 200 OK\r\ncontent-length: 5\r\ncontent-type: text/plain\r\n\r\n/next";
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
                buf_printf(&text, "POST %s HTTP/1.1\r\nhost: a\r\ncontent-length: %zu\r\n\r\n",
                           paths[kind], sizes[i]);
                buf_add(&text, buf_str(&body));
            } else {
                buf_printf(&text,
                           "POST %s HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n",
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
    buf_addz(&text,
             "POST /collect HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n3e8\r\n");
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
        snprintf(text, sizeof text,
                 "POST %s HTTP/1.1\r\nhost: a\r\nexpect: 100-continue\r\ncontent-length: 5\r\n\r\n",
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
    peer_say(&p,
             "POST /x HTTP/1.1\r\nhost: a\r\nexpect: 100-continue\r\ncontent-length: 5\r\n\r\n");
    expect(a, &p, "\r\n\r\n/x");
    assert_true(peer_has(&p, "connection: close"));
    assert_false(peer_has(&p, " 100 "));
    expect_end(a, &p);
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
        TEST(releases_its_input),
        TEST(dates),
    };
    signal(SIGPIPE, SIG_IGN); /* as the server does */
    return cmocka_run_group_tests(tests, NULL, NULL);
}
