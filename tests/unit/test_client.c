/* Exchanges that go well: framing of answers, the pool, early answers, connecting. */
#include "clientbench.h"

/* ---- good answers ---- */

static void one_exchange(void **state)
{
    struct bench *b = *state;
    ask(b);
    assert_int_equal(http_client_stats(b->c).busy, 1);
    assert_true(turn_until(b->l, &last(b)->n, (int)strlen(ASK)));
    assert_true(str_eq(peer_heard(last(b)), STR(ASK)));
    peer_say(last(b), OK_HI);
    expect_body(b, "ok");
    assert_int_equal(b->status, 200);
    struct http_client_stats st = http_client_stats(b->c);
    assert_int_equal(st.busy, 0);
    assert_int_equal(st.idle, 1);
    assert_int_equal(st.connects, 1);
    assert_int_equal(st.reused, 0);
}

static const struct {
    const char *ask, *answer, *body;
    unsigned status;
    bool reused;
} answers[] = {
    {ASK, OK_HI, "ok", 200, true},
    {ASK, "HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n", "", 200, true},
    {ASK, "HTTP/1.1 204 No Content\r\n\r\n", "", 204, true},
    {ASK,
     "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nab\r\n3;x\r\ncde\r\n0\r\nt: "
     "u\r\n\r\n",
     "abcde", 200, true},
    {ASK, "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n", "", 200, true},
    {ASK, "HTTP/1.1 429 No\r\nconnection: close\r\ncontent-length: 3\r\n\r\nlow", "low", 429,
     false},
    {ASK, "HTTP/1.0 200 OK\r\ncontent-length: 2\r\n\r\nab", "ab", 200, false},
    {ASK, "HTTP/1.0 200 OK\r\nconnection: keep-alive\r\ncontent-length: 2\r\n\r\nab", "ab", 200,
     true},
    {ASK,
     "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 102 Processing\r\n\r\nHTTP/1.1 103 Hints\r\nlink: "
     "x\r\n\r\n" OK_HI,
     "ok", 200, true},
    {"HEAD /x HTTP/1.1\r\nhost: a\r\n\r\n", "HTTP/1.1 200 OK\r\ncontent-length: 20\r\n\r\n", "",
     200, true},
    {"HEAD /x HTTP/1.1\r\nhost: a\r\n\r\n", "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n",
     "", 200, true},
    {ASK, "HTTP/1.1 304 Not Modified\r\ncontent-length: 20\r\n\r\n", "", 304, true},
};

/* Whole, and cut in two behind every byte. */
static void any_split(void **state)
{
    struct bench *b = *state;
    for (size_t i = 0; i < sizeof answers / sizeof *answers; i++) {
        size_t n = strlen(answers[i].answer);
        for (size_t at = 0; at < n; at++) {
            http_client_close_idle(b->c);
            for (int k = 0; k < b->n_peers; k++) {
                peer_end(&b->peers[k]);
            }
            b->n_peers = 0;
            open_up(b, false);
            send_text(b, answers[i].ask, true);
            if (at) {
                assert_int_equal(peer_say_str(last(b), str_make(answers[i].answer, at)), 0);
                turn_for(b->l, 0);
                turn_for(b->l, 0);
                assert_int_equal(b->ends, 0);
            }
            peer_say(last(b), answers[i].answer + at);
            expect_body(b, answers[i].body);
            assert_int_equal(b->status, answers[i].status);
            assert_false(b->in_event);
            assert_int_equal(http_client_stats(b->c).idle, answers[i].reused);
        }
    }
}

static void until_the_end(void **state)
{
    struct bench *b = *state;
    ask(b);
    peer_say(last(b), "HTTP/1.1 200 OK\r\n\r\nsome ");
    assert_true(turn_until(b->l, &b->bodies, 1));
    peer_say(last(b), "text");
    turn_for(b->l, 5);
    assert_int_equal(b->ends, 0);
    stream_shutdown(last(b)->s);
    expect_body(b, "some text");
    assert_int_equal(http_client_stats(b->c).idle, 0);
}

/* A head comes with a first piece of body in the same event, if only an empty one. */
static void head_and_body_in_one_event(void **state)
{
    struct bench *b = *state;
    ask(b);
    peer_say(last(b), "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n");
    assert_true(turn_until(b->l, &b->heads, 1));
    assert_int_equal(b->bodies, 1);
    assert_int_equal(b->ends, 0);
    peer_say(last(b), "ok");
    expect_body(b, "ok");
}

static void many_small_chunks(void **state)
{
    struct bench *b = *state;
    struct buf text = {0}, want = {0};
    buf_addz(&text, "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n");
    for (int i = 0; i < 5000; i++) {
        buf_printf(&text, "3\r\n%03d\r\n", i % 1000);
        buf_printf(&want, "%03d", i % 1000);
    }
    buf_addz(&text, "0\r\n\r\n");
    buf_addc(&want, 0);
    ask(b);
    assert_int_equal(peer_say_str(last(b), buf_str(&text)), 0);
    expect_body(b, want.p);
    assert_int_equal(http_client_stats(b->c).idle, 1);
    buf_free(&text);
    buf_free(&want);
}

/* ---- what stands behind an answer belongs to nobody ---- */

static void bytes_behind_an_answer(void **state)
{
    struct bench *b = *state;
    for (size_t i = 0; i < sizeof answers / sizeof *answers; i++) {
        char text[512];
        snprintf(text, sizeof text, "%sjunk", answers[i].answer);
        open_up(b, true);
        send_text(b, answers[i].ask, true);
        peer_say(last(b), text);
        expect_body(b, answers[i].body);
        assert_int_equal(http_client_stats(b->c).idle,
                         0); /* it cannot be trusted with another request */
    }
}

static void bytes_that_nobody_asked_for(void **state)
{
    struct bench *b = *state;
    ask(b);
    peer_say(last(b), OK_HI);
    expect_body(b, "ok");
    assert_int_equal(http_client_stats(b->c).idle, 1);
    peer_say(last(b), OK_HI);
    assert_true(turn_until(b->l, &last(b)->eof, 1));
    assert_int_equal(http_client_stats(b->c).idle, 0);
    assert_int_equal(b->ends, 1);
}

/* ---- the pool ---- */

static void reused(void **state)
{
    struct bench *b = *state;
    for (int i = 0; i < 20; i++) {
        ask(b);
        assert_true(turn_until(b->l, &last(b)->n, (i + 1) * (int)strlen(ASK)));
        peer_say(last(b), OK_HI);
        expect_body(b, "ok");
    }
    assert_int_equal(b->n_peers, 1);
    assert_int_equal(http_client_stats(b->c).connects, 1);
    assert_int_equal(http_client_stats(b->c).reused, 19);
    open_up(b, true); /* but not for one that wants a new one */
    assert_int_equal(b->n_peers, 2);
    give_up(b);
}

static void origins_have_their_own(void **state)
{
    struct bench *b = *state;
    struct http_origin *first = b->o;
    struct http_origin_config config = {.dial = dial, .arg = b};
    assert_ptr_equal(http_origin(b->c, STR("test"), &config), first);
    ask(b);
    peer_say(last(b), OK_HI);
    expect_body(b, "ok");
    b->o = http_origin(b->c, STR("other"), &config);
    assert_ptr_not_equal(b->o, first);
    ask(b);
    assert_int_equal(b->n_peers, 2);
    give_up(b);
}

static void newest_first_and_no_more_than(void **state)
{
    struct bench *b = *state;
    struct bench *many[4];
    b->timeouts.pool_max = 2;
    http_client_timeouts(b->c, &b->timeouts);
    for (int i = 0; i < 4; i++) { /* four at once, each with an owner of its own */
        bool ready;
        many[i] = calloc(1, sizeof **many);
        many[i]->u = http_up_open(b->o, false, &ops, many[i], &ready);
        assert_true(ready);
        send_text(many[i], ASK, true);
    }
    for (int i = 0; i < 4; i++) {
        peer_say(&b->peers[i], OK_HI);
        assert_true(turn_until(b->l, &many[i]->ends, 1));
        buf_free(&many[i]->body);
        free(many[i]);
    }
    assert_int_equal(http_client_stats(b->c).idle, 2);
    turn_for(b->l, 2);
    assert_false(b->peers[0].eof || b->peers[1].eof);
    assert_true(b->peers[2].eof && b->peers[3].eof); /* there was no room any more */
    b->peers[1].n = 0;
    ask(b);
    assert_true(turn_until(b->l, &b->peers[1].n, (int)strlen(ASK)));
    give_up(b);
}

static void unused_ones_are_closed(void **state)
{
    struct bench *b = *state;
    b->timeouts.pool_ms = 60;
    http_client_timeouts(b->c, &b->timeouts);
    ask(b);
    peer_say(last(b), OK_HI);
    expect_body(b, "ok");
    turn_for(b->l, 30);
    assert_int_equal(http_client_stats(b->c).idle, 1);
    assert_true(turn_until(b->l, &last(b)->eof, 1));
    assert_int_equal(http_client_stats(b->c).idle, 0);
    ask(b);
    peer_say(last(b), OK_HI);
    expect_body(b, "ok");
    http_client_close_idle(b->c);
    assert_true(turn_until(b->l, &last(b)->eof, 1));
    assert_int_equal(http_client_stats(b->c).idle, 0);
}

/* ---- an answer ahead of the request's end ---- */

static void early_answer(void **state)
{
    struct bench *b = *state;
    open_up(b, false);
    send_text(b, "POST /x HTTP/1.1\r\nhost: a\r\ncontent-length: 1000\r\n\r\npart", false);
    peer_say(last(b), "HTTP/1.1 413 No\r\ncontent-length: 3\r\n\r\nno");
    assert_true(turn_until(b->l, &b->heads, 1));
    assert_int_equal(b->status, 413);
    int before = last(b)->n;
    send_text(b, "more of it", false); /* is for nobody any more */
    turn_for(b->l, 3);
    assert_int_equal(last(b)->n, before);
    peer_say(last(b), "!");
    expect_body(b, "no!");
    assert_int_equal(http_client_stats(b->c).idle, 0); /* half a request was sent on it */
}

/* ---- real connections ---- */

static void accepted(void *arg, struct stream *s)
{
    struct bench *b = arg;
    peer_begin(&b->peers[b->n_peers++], s);
}

static void connects(void **state)
{
    struct bench *b = *state;
    int fd;
    uint16_t port;
    bool ready;
    assert_int_equal(stream_bind(STR("127.0.0.1:0"), &fd, &port), 0);
    struct listener *listener = listener_new(b->l, fd, NULL, accepted, b);
    struct http_origin_config config = {
        .target = {.host = STR("127.0.0.1"), .port = port, .allow_private = true}};
    b->o = http_origin(b->c, STR("http://127.0.0.1"), &config);
    b->u = http_up_open(b->o, false, &ops, b, &ready);
    assert_false(ready);
    assert_int_equal(b->ready, 0);
    assert_true(turn_until(b->l, &b->ready, 1));
    send_text(b, ASK, true);
    assert_true(turn_until(b->l, &b->n_peers, 1));
    peer_say(last(b), OK_HI);
    expect_body(b, "ok");
    ask(b); /* pooled: at once */
    peer_say(last(b), OK_HI);
    expect_body(b, "ok");
    b->ready = 0;
    b->cancel = IN_READY; /* given up when it is ready */
    b->u = http_up_open(b->o, true, &ops, b, &ready);
    assert_true(turn_until(b->l, &b->ready, 1));
    b->ends = 0;
    b->u = http_up_open(b->o, true, &ops, b, &ready); /* and before */
    give_up(b);
    turn_for(b->l, 10);
    assert_int_equal(b->ready, 1);
    assert_int_equal(b->failed, 0);
    listener_close(listener);
    b->cancel = NEVER;
    b->heads = b->ends = 0;
    turn_for(b->l, 2);
    b->u = http_up_open(b->o, true, &ops, b, &ready); /* nobody listens any more */
    assert_false(ready);
    expect_failure(b, HTTP_FAIL_CONNECT);
    assert_int_equal(b->connect, CONNECT_REFUSED);
    assert_int_equal(http_client_stats(b->c).connect_failures, 1);
}

static void open_once(struct bench *b)
{
    struct http_origin_config config = {.dial = dial, .arg = b};
    bool ready;
    open_up(b, true); /* what is left of the last one is forgotten */
    give_up(b);
    b->u = http_up_once(b->c, &config, &ops, b, &ready);
    assert_true(ready);
    send_text(b, ASK, true);
}

/* Nothing is kept, whatever the end is (a sanitizer sees what is). */
static void once(void **state)
{
    struct bench *b = *state;
    open_once(b);
    peer_say(last(b), OK_HI);
    expect_body(b, "ok");
    assert_int_equal(http_client_stats(b->c).idle, 0);
    assert_int_equal(http_client_stats(b->c).busy, 0);
    open_once(b);
    peer_say(last(b), "HTTP/1.1 200 OK\r\n\r\nall");
    assert_true(turn_until(b->l, &b->bodies, 1));
    stream_shutdown(last(b)->s);
    expect_body(b, "all");
    open_once(b);
    peer_say(last(b), "HTTP/1.1 200 OK\r\ncontent-length: 20\r\n\r\nshort");
    assert_true(turn_until(b->l, &b->bodies, 1));
    peer_end(last(b));
    expect_failure(b, HTTP_FAIL_CUT);
    open_once(b);
    peer_say(last(b), "nonsense\r\n\r\n");
    expect_failure(b, HTTP_FAIL_MALFORMED);
    static const enum when times[] = {IN_HEAD, IN_BODY, IN_END};
    for (size_t i = 0; i < sizeof times / sizeof *times; i++) {
        open_once(b);
        b->cancel = times[i];
        peer_say(last(b), "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n");
        peer_say(last(b), "ok");
        turn_for(b->l, 5);
        assert_null(b->u);
        assert_int_equal(http_client_stats(b->c).busy, 0);
        b->cancel = NEVER;
    }
    open_once(b);
    give_up(b);
    /* And two whose client goes first. */
    struct http_client *c = http_client_new(b->l);
    struct http_origin_config config = {.dial = dial, .arg = b};
    bool ready;
    (void)http_up_once(c, &config, &ops, b, &ready);
    (void)http_up_once(c, &config, &ops, b, &ready);
    http_client_free(c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(one_exchange),
        TEST(any_split),
        TEST(until_the_end),
        TEST(head_and_body_in_one_event),
        TEST(many_small_chunks),
        TEST(bytes_behind_an_answer),
        TEST(bytes_that_nobody_asked_for),
        TEST(reused),
        TEST(origins_have_their_own),
        TEST(newest_first_and_no_more_than),
        TEST(unused_ones_are_closed),
        TEST(early_answer),
        TEST(connects),
        TEST(once),
    };
    signal(SIGPIPE, SIG_IGN); /* as the server does */
    return cmocka_run_group_tests(tests, NULL, NULL);
}
