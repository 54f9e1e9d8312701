/* Exchanges that do not: stale and cut connections, malformed answers, time, giving up at every point. */
#include "clientbench.h"

/* ---- stale connections ---- */

static void closed_while_idle(void **state)
{
    struct bench *b = *state;
    ask(b);
    peer_say(last(b), OK_HI);
    expect_body(b, "ok");
    hang_up(last(b));
    turn_for(b->l, 5);
    assert_int_equal(http_client_stats(b->c).idle, 0);
    ask(b);
    assert_int_equal(b->n_peers, 2);
    peer_say(last(b), OK_HI);
    expect_body(b, "ok");
    assert_int_equal(b->failed, 0);
}

/* Closed in the moment it is used again: nothing of an answer came, so it may be sent once more. */
static void stale(void **state)
{
    struct bench *b = *state;
    ask(b);
    peer_say(last(b), OK_HI);
    expect_body(b, "ok");
    ask(b);
    hang_up(last(b));
    expect_failure(b, HTTP_FAIL_STALE);
}

/* Hung up without the client having noticed: the write itself fails, and that is told later. */
static void stale_at_the_write(void **state)
{
    struct bench *b = *state;
    ask(b);
    peer_say(last(b), OK_HI);
    expect_body(b, "ok");
    hang_up(last(b)); /* closes the socket at once; the pool has not looked at it yet */
    ask(b);
    assert_int_equal(b->n_peers, 1);
    assert_int_equal(b->failed, 0); /* never from inside */
    expect_failure(b, HTTP_FAIL_STALE);
}

static void new_and_reset(void **state)
{
    struct bench *b = *state;
    ask(b);
    hang_up(last(b));
    expect_failure(b, HTTP_FAIL_RESET);
    /* A used one that began to answer is no longer stale, either. */
    ask(b);
    peer_say(last(b), OK_HI);
    expect_body(b, "ok");
    ask(b);
    peer_say(last(b), "HTTP/1.1 2");
    turn_for(b->l, 2);
    hang_up(last(b));
    expect_failure(b, HTTP_FAIL_RESET);
}

static void write_to_a_dead_one(void **state)
{
    struct bench *b = *state;
    open_up(b, false);
    hang_up(last(b));
    send_text(b, "POST /x HTTP/1.1\r\n", false);
    send_text(b, "host: a\r\n\r\n", true);
    assert_int_equal(b->failed, 0);
    expect_failure(b, HTTP_FAIL_RESET);
    /* Given up between the failed write and its being told: nothing is told. */
    open_up(b, false);
    hang_up(last(b));
    send_text(b, ASK, true);
    give_up(b);
    turn_for(b->l, 5);
    assert_int_equal(b->failed, 0);
}

/* ---- broken answers ---- */

static void cut(void **state)
{
    struct bench *b = *state;
    static const char *const parts[] = {
        "HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\n",
        "HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nabcd",
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n",
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nabcde\r\n",
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nabcde\r\n0\r\n",
    };
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
        open_up(b, true);
        send_text(b, ASK, true);
        peer_say(last(b), parts[i]);
        assert_true(turn_until(b->l, &b->heads, 1));
        hang_up(last(b));
        expect_failure(b, HTTP_FAIL_CUT);
    }
    assert_int_equal(http_client_stats(b->c).idle, 0);
}

static void malformed(void **state)
{
    struct bench *b = *state;
    static const char *const texts[] = {
        "220 smtp ready\r\n",
        "HTTP/2.0 200 OK\r\n\r\n",
        "HTTP/1.1 200 OK\r\nx : y\r\n\r\n",
        "HTTP/1.1 200 OK\r\ncontent-length: 1\r\ntransfer-encoding: chunked\r\n\r\n",
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nxyz\r\n",
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nabc\r\n",
        "HTTP/1.1 101 Switching Protocols\r\nupgrade: x\r\n\r\n",
        "HTTP/1.1 100 Continue\r\n\r\nnonsense\r\n\r\n",
    };
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        open_up(b, true);
        send_text(b, ASK, true);
        peer_say(last(b), texts[i]);
        expect_failure(b, HTTP_FAIL_MALFORMED);
    }
    assert_int_equal(http_client_stats(b->c).idle, 0);
}

static void long_heads(void **state)
{
    struct bench *b = *state;
    for (int lines = 0; lines < 2; lines++) {
        ask(b);
        peer_say(last(b), "HTTP/1.1 200 OK\r\nx: ");
        for (int i = 0; i < 5000 && !b->failed; i++) {
            if (peer_say_str(last(b),
                             lines ? STR("0123456789\r\nx: ") : STR("01234567890123456789")) < 0) {
                break;
            }
            turn_for(b->l, 0);
        }
        expect_failure(b, HTTP_FAIL_MALFORMED);
    }
    /* Interim answers without end take neither memory nor time without end. */
    struct buf some = {0};
    for (int i = 0; i < 300; i++) {
        buf_addz(&some, "HTTP/1.1 102 Processing\r\n\r\n");
    }
    ask(b);
    for (int i = 0; i < 100 && !b->failed && peer_say_str(last(b), buf_str(&some)) == 0; i++) {
        turn_for(b->l, 1);
    }
    expect_failure(b, HTTP_FAIL_MALFORMED);
    assert_non_null(strstr(b->detail, "interim"));
    buf_free(&some);
}

/* ---- time ---- */

static void no_answer_in_time(void **state)
{
    struct bench *b = *state;
    b->timeouts.first_byte_ms = 60;
    http_client_timeouts(b->c, &b->timeouts);
    uint64_t began = clock_us();
    ask(b);
    expect_failure(b, HTTP_FAIL_FIRST_BYTE);
    assert_in_range((clock_us() - began) / 1000, 58, 1500);
    ask(b); /* a head that began is no answer yet */
    peer_say(last(b), "HTTP/1.1 200 OK\r\n");
    expect_failure(b, HTTP_FAIL_FIRST_BYTE);
}

/* The wait for the answer begins when the request is whole, not while it is being uploaded. */
static void slow_upload(void **state)
{
    struct bench *b = *state;
    b->timeouts.first_byte_ms = 100;
    http_client_timeouts(b->c, &b->timeouts);
    open_up(b, false);
    turn_for(b->l, 70);
    send_text(b, ASK, true);
    turn_for(b->l, 70);
    assert_int_equal(b->failed, 0);
    peer_say(last(b), OK_HI);
    expect_body(b, "ok");
}

static void answer_that_stops(void **state)
{
    struct bench *b = *state;
    b->timeouts.idle_ms = 600; /* far more than a busy machine adds to a pause */
    http_client_timeouts(b->c, &b->timeouts);
    ask(b);
    peer_say(last(b), "HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\n");
    for (int i = 0; i < 6; i++) { /* between two reads, not altogether */
        turn_for(b->l, 120);
        peer_say(last(b), "x");
    }
    assert_int_equal(b->failed, 0);
    expect_failure(b, HTTP_FAIL_IDLE);
    assert_int_equal(b->body.n, 6);
}

static void paused_is_not_idle(void **state)
{
    struct bench *b = *state;
    b->timeouts.idle_ms = 50;
    http_client_timeouts(b->c, &b->timeouts);
    b->pause_in_body = true;
    ask(b);
    peer_say(last(b), "HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nab");
    assert_true(turn_until(b->l, &b->bodies, 1));
    peer_say(last(b), "cd");
    turn_for(b->l, 200);
    assert_int_equal(b->failed, 0);
    assert_int_equal(b->body.n, 2);
    http_up_resume(b->u);
    expect_body(b, "abcd");
    b->pause_in_body = false;
    ask(b); /* and the connection reads again when it is used again */
    assert_int_equal(b->n_peers, 1);
    peer_say(last(b), OK_HI);
    expect_body(b, "ok");
}

/* ---- back-pressure on the way up ---- */

static void slow_upstream(void **state)
{
    struct bench *b = *state;
    static char block[1 << 20];
    open_up(b, false);
    stream_pause(last(b)->s);
    struct iovec v = {block, sizeof block};
    http_up_send(b->u, &v, 1, M_POST, false);
    assert_true(http_up_queued(b->u) > 0);
    turn_for(b->l, 10);
    assert_int_equal(b->drained, 0);
    stream_resume(last(b)->s);
    assert_true(turn_until(b->l, &b->drained, 1));
    assert_int_equal(http_up_queued(b->u), 0);
    http_up_send(b->u, &v, 1, M_POST, true);
    assert_true(turn_until(b->l, &last(b)->n, 2 * (int)sizeof block));
    peer_say(last(b), OK_HI);
    expect_body(b, "ok");
}

/* ---- giving up, at every point ---- */

static void cancelled(void **state)
{
    struct bench *b = *state;
    open_up(b, false); /* before anything was sent */
    give_up(b);
    open_up(b, false); /* half sent */
    send_text(b, "POST /x HTTP/1.1\r\n", false);
    give_up(b);
    ask(b); /* sent */
    turn_for(b->l, 2);
    give_up(b);
    ask(b); /* with part of a head there */
    peer_say(last(b), "HTTP/1.1 200 OK\r\ncont");
    turn_for(b->l, 2);
    give_up(b);
    ask(b); /* between two pieces of the body */
    peer_say(last(b), "HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nabc");
    assert_true(turn_until(b->l, &b->bodies, 1));
    give_up(b);
    static const enum when points[] = {IN_HEAD, IN_BODY, IN_END};
    static const char *const texts[] = {
        "HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\nabc",
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n1\r\na\r\n2\r\nbc\r\n0\r\n\r\n",
        "HTTP/1.1 200 OK\r\n\r\nabc",
        "HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\nab",
        "HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\n",
        "HTTP/1.1 204 OK\r\n\r\n",
        "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\nabc",
    };
    for (size_t i = 0; i < sizeof points / sizeof *points; i++) {
        for (size_t k = 0; k < sizeof texts / sizeof *texts; k++) {
            open_up(b, true);
            b->cancel = points[i];
            send_text(b, ASK, true);
            peer_say(last(b), texts[k]);
            turn_for(b->l, 3);
            if (k == 2 && b->u) {
                stream_shutdown(last(b)->s);
                turn_for(b->l, 3);
            }
            assert_int_equal(b->failed, 0);
            if (points[i] == IN_HEAD) {
                assert_int_equal(b->bodies, 0);
            }
            b->cancel = NEVER;
            if (b->u) {
                give_up(b); /* that point was not reached */
            }
            assert_int_equal(http_client_stats(b->c).busy, 0);
        }
    }
    turn_for(b->l, 5);
    http_up_cancel(NULL);
}

/* More than one batch of pieces in one read, and given up in the first. */
static void cancelled_between_batches(void **state)
{
    struct bench *b = *state;
    struct buf text = {0};
    buf_addz(&text, "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n");
    for (int i = 0; i < 500; i++) {
        buf_addz(&text, "1\r\nx\r\n");
    }
    b->cancel = IN_BODY;
    ask(b);
    assert_int_equal(peer_say_str(last(b), buf_str(&text)), 0);
    assert_true(turn_until(b->l, &b->bodies, 1));
    turn_for(b->l, 3);
    assert_int_equal(b->bodies, 1);
    buf_free(&text);
}

static void freed_with_everything_open(void **state)
{
    struct bench *b = *state;
    ask(b);
    peer_say(last(b), OK_HI);
    expect_body(b, "ok");
    open_up(b, true);
    send_text(b, ASK, true);
    peer_say(last(b), "HTTP/1.1 2"); /* a part of a head is kept */
    turn_for(b->l, 2);
    http_client_free(b->c);
    turn_for(b->l, 2);
    assert_int_equal(b->failed, 0);
    for (int i = 0; i < b->n_peers; i++) {
        assert_true(b->peers[i].eof || b->peers[i].broken);
    }
    b->c = http_client_new(b->l);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(closed_while_idle),
        TEST(stale),
        TEST(stale_at_the_write),
        TEST(new_and_reset),
        TEST(write_to_a_dead_one),
        TEST(cut),
        TEST(malformed),
        TEST(long_heads),
        TEST(no_answer_in_time),
        TEST(slow_upload),
        TEST(answer_that_stops),
        TEST(paused_is_not_idle),
        TEST(slow_upstream),
        TEST(cancelled),
        TEST(cancelled_between_batches),
        TEST(freed_with_everything_open),
    };
    signal(SIGPIPE, SIG_IGN); /* as the server does */
    return cmocka_run_group_tests(tests, NULL, NULL);
}
