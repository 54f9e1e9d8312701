/* What ends a connection: clients that leave, half-close or go deaf, cuts, drain, limits and time. */
#include "serverbench.h"

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
    peer_end(&p); /* closes the socket at once; nobody has looked at the other end yet */
    answer(a->held, STR("too late"));
    turn_for(a->l, 30);
    assert_int_equal(http_open(a->s), 0);
    assert_int_equal(a->finished, 1);
    assert_int_equal(a->gone, 0);
}

/* Freed in the very turn in which a write failed: what was to be told finds no server any more. */
static void freed_with_a_broken_one(void **state)
{
    struct app *a = *state;
    struct peer p;
    dial(a, &p);
    peer_say(&p, GET("/hold"));
    assert_true(turn_until(a->l, &a->requests, 1));
    peer_end(&p); /* closes the socket at once; nobody has looked at the other end yet */
    http_head(a->held, 200, -1);
    http_send_str(a->held, STR("to nobody"), false);
    assert_int_equal(a->gone, 0);
    http_server_free(a->s);
    assert_int_equal(a->gone, 1);
    turn_for(a->l, 5);
    a->s = http_server_new(a->l, &app_ops, a);
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
    assert_true(
        str_ends(peer_heard(&p), STR("\r\n\r\nabc"))); /* three of ten, and nothing behind them */
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
        {"POST /collect HTTP/1.1\r\nhost: a\r\ncontent-length: 2\r\ntransfer-encoding: "
         "chunked\r\n\r\n",
         400},
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
        {"POST /collect HTTP/1.1\r\nhost: a\r\ncontent-length: 5\r\n\r\nhel",
         "HTTP/1.1 408 Request Timeout\r\n"},
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
static void read_slowly(struct app *a, size_t piece, int pieces)
{
    struct peer p;
    static char block[16 << 20];
    a->limits.write_ms = 500;
    http_server_limits(a->s, &a->limits);
    dial(a, &p);
    stream_pause(p.s);
    peer_say(&p, GET("/hold"));
    assert_true(turn_until(a->l, &a->requests, 1));
    http_head(a->held, 200, -1);
    for (int i = 0; i < pieces; i++) {
        http_send_str(a->held, str_make(block, piece), false);
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

static void slow_but_alive(void **state)
{
    read_slowly(*state, 16384, 1024);
}

/* Of one long piece, too. */
static void slow_with_one_piece(void **state)
{
    read_slowly(*state, 16 << 20, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(gone_while_held),
        TEST(gone_inside_a_body),
        TEST(gone_inside_an_answer),
        TEST(gone_and_finished_at_once),
        TEST(freed_with_a_broken_one),
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
        TEST(slow_with_one_piece),
    };
    signal(SIGPIPE, SIG_IGN); /* as the server does */
    return cmocka_run_group_tests(tests, NULL, NULL);
}
