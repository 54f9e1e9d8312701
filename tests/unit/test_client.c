/* The client's side of HTTP/1.1 on a real loop: the test is the upstream, at the other end of socket pairs. */
#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "http/client.h"
#include "loopbench.h"

enum { PEERS = 40 };

/* When the exchange is given up by its owner. */
enum when { NEVER, IN_READY, IN_HEAD, IN_BODY, IN_END };

struct bench {
    struct loop *l;
    struct http_client *c;
    struct http_origin *o;
    struct http_client_timeouts timeouts;
    struct peer peers[PEERS]; /* the upstream's ends, in the order they were dialled */
    int n_peers;
    /* the exchange */
    struct http_up *u;
    enum when cancel;
    bool pause_in_body;
    int ready, heads, bodies, ends, failed, drained;
    enum http_failure why;
    enum connect_failure connect;
    char detail[256];
    unsigned status;
    struct buf body;
    bool in_event; /* between head() and its body() */
};

static void give_up(struct bench *b)
{
    http_up_cancel(b->u);
    b->u = NULL;
}

static void on_ready(void *owner)
{
    struct bench *b = owner;
    b->ready++;
    if (b->cancel == IN_READY) {
        give_up(b);
    }
}

static void on_head(void *owner, const struct h1_head *h)
{
    struct bench *b = owner;
    assert_int_equal(b->heads, 0);
    b->heads++;
    b->status = h->status;
    b->in_event = true;
    if (b->cancel == IN_HEAD) {
        give_up(b);
    }
}

static void on_body(void *owner, const struct iovec *pieces, int n, bool end)
{
    struct bench *b = owner;
    assert_int_equal(b->heads, 1);
    assert_int_equal(b->ends + b->failed, 0);
    assert_non_null(b->u);
    b->in_event = false;
    b->bodies++;
    for (int i = 0; i < n; i++) {
        assert_true(pieces[i].iov_len > 0);
        buf_add(&b->body, str_make(pieces[i].iov_base, pieces[i].iov_len));
    }
    if (b->pause_in_body && !end) {
        http_up_pause(b->u);
    }
    if (b->cancel == (end ? IN_END : IN_BODY)) {
        give_up(b);
    }
    b->ends += end;
    if (end) {
        b->u = NULL;
    }
}

static void on_failed(void *owner, enum http_failure why, enum connect_failure connect,
                      const char *detail)
{
    struct bench *b = owner;
    assert_int_equal(b->ends + b->failed, 0);
    assert_non_null(detail);
    b->failed++;
    b->why = why;
    b->connect = connect;
    snprintf(b->detail, sizeof b->detail, "%s", detail);
    b->u = NULL;
}

static void on_drained(void *owner)
{
    ((struct bench *)owner)->drained++;
}

static const struct http_up_ops ops = {on_ready, on_head, on_body, on_failed, on_drained};

static struct stream *dial(void *arg)
{
    struct bench *b = arg;
    struct stream *ours, *theirs;
    must(b->n_peers < PEERS && stream_pair(b->l, &ours, &theirs) == 0);
    peer_begin(&b->peers[b->n_peers++], theirs);
    return ours;
}

static int begin(void **state)
{
    struct bench *b = calloc(1, sizeof *b);
    b->l = loop_new();
    b->c = http_client_new(b->l);
    b->timeouts = (struct http_client_timeouts){.connect_ms = 2000,
                                                .first_byte_ms = 2000,
                                                .idle_ms = 2000,
                                                .pool_ms = 2000,
                                                .pool_max = 8};
    http_client_timeouts(b->c, &b->timeouts);
    struct http_origin_config config = {.dial = dial, .arg = b};
    b->o = http_origin(b->c, STR("test"), &config);
    *state = b;
    return 0;
}

static int end(void **state)
{
    struct bench *b = *state;
    struct http_client_stats st = http_client_stats(b->c);
    size_t open = (size_t)st.busy;
    http_client_free(b->c);
    for (int i = 0; i < b->n_peers; i++) {
        peer_end(&b->peers[i]);
    }
    turn_for(b->l, 2);
    size_t lent = loop_pool(b->l)->lent;
    loop_free(b->l);
    buf_free(&b->body);
    free(b);
    return open == 0 && lent <= 64 * 1024 ? 0 : -1; /* no exchange and no memory is left over */
}

/* Begins an exchange; what is left of the last one is forgotten. */
static void open_up(struct bench *b, bool fresh)
{
    bool ready = false;
    b->ready = b->heads = b->bodies = b->ends = b->failed = b->drained = 0;
    b->status = 0;
    b->body.n = 0;
    b->in_event = false;
    b->u = http_up_open(b->o, fresh, &ops, b, &ready);
    assert_non_null(b->u);
    assert_true(ready);
}

static void send_text(struct bench *b, const char *text, bool whole)
{
    struct iovec v = {(void *)(uintptr_t)text, strlen(text)};
    http_up_send(b->u, &v, 1, strncmp(text, "HEAD", 4) == 0 ? M_HEAD : M_POST, whole);
}

#define ASK "POST /x HTTP/1.1\r\nhost: a\r\ncontent-length: 2\r\n\r\nhi"

static void ask(struct bench *b)
{
    open_up(b, false);
    send_text(b, ASK, true);
}

static struct peer *last(struct bench *b)
{
    return &b->peers[b->n_peers - 1];
}

static void expect_body(struct bench *b, const char *text)
{
    assert_true(turn_until(b->l, &b->ends, 1));
    assert_int_equal(b->failed, 0);
    if (!str_eq(str_make(b->body.p ? b->body.p : "", b->body.n), str_of(text))) {
        fail_msg("\"%.*s\" instead of \"%s\"", (int)b->body.n, b->body.p, text);
    }
}

static void expect_failure(struct bench *b, enum http_failure why)
{
    assert_true(turn_until(b->l, &b->failed, 1));
    if (b->why != why) {
        fail_msg("failed by %d (%s) instead of %d", b->why, b->detail, why);
    }
    assert_int_equal(b->ends, 0);
}

static void hang_up(struct peer *p)
{
    stream_close(p->s);
    p->s = NULL;
}

#define OK_HI "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"

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
    {ASK, "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nab\r\n3;x\r\ncde\r\n0\r\nt: u\r\n\r\n",
     "abcde", 200, true},
    {ASK, "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n", "", 200, true},
    {ASK, "HTTP/1.1 429 No\r\nconnection: close\r\ncontent-length: 3\r\n\r\nlow", "low", 429, false},
    {ASK, "HTTP/1.0 200 OK\r\ncontent-length: 2\r\n\r\nab", "ab", 200, false},
    {ASK, "HTTP/1.0 200 OK\r\nconnection: keep-alive\r\ncontent-length: 2\r\n\r\nab", "ab", 200, true},
    {ASK, "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 102 Processing\r\n\r\nHTTP/1.1 103 Hints\r\nlink: x\r\n\r\n" OK_HI,
     "ok", 200, true},
    {"HEAD /x HTTP/1.1\r\nhost: a\r\n\r\n", "HTTP/1.1 200 OK\r\ncontent-length: 20\r\n\r\n", "", 200, true},
    {"HEAD /x HTTP/1.1\r\nhost: a\r\n\r\n", "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n", "", 200, true},
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
        assert_int_equal(http_client_stats(b->c).idle, 0); /* it cannot be trusted with another request */
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
    hang_up(last(b));
    uv_run(&b->l->uv, UV_RUN_NOWAIT); /* closes the socket; if the pool saw it, this is a new one */
    bool noticed = http_client_stats(b->c).idle == 0;
    ask(b);
    assert_int_equal(b->failed, 0);
    if (noticed) {
        peer_say(last(b), OK_HI);
        expect_body(b, "ok");
    } else {
        expect_failure(b, HTTP_FAIL_STALE);
    }
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
    struct stream *theirs = last(b)->s;
    last(b)->s = NULL;
    stream_close(theirs);
    uv_run(&b->l->uv, UV_RUN_NOWAIT);
    if (b->u) { /* else the end was read first, which is as good */
        send_text(b, "POST /x HTTP/1.1\r\n", false);
        assert_int_equal(b->failed, 0); /* never from inside */
        send_text(b, "host: a\r\n\r\n", true);
    }
    expect_failure(b, HTTP_FAIL_RESET);
    /* Given up between the failed write and its being told: nothing is told. */
    open_up(b, false);
    theirs = last(b)->s;
    last(b)->s = NULL;
    stream_close(theirs);
    uv_run(&b->l->uv, UV_RUN_NOWAIT);
    if (b->u) {
        send_text(b, ASK, true);
        give_up(b);
    }
    turn_for(b->l, 5);
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
            if (peer_say_str(last(b), lines ? STR("0123456789\r\nx: ") : STR("01234567890123456789")) < 0) {
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
    b->timeouts.idle_ms = 60;
    http_client_timeouts(b->c, &b->timeouts);
    ask(b);
    peer_say(last(b), "HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\n");
    for (int i = 0; i < 6; i++) { /* between two reads, not altogether */
        turn_for(b->l, 30);
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

#define TEST(name) cmocka_unit_test_setup_teardown(name, begin, end)

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
        TEST(closed_while_idle),
        TEST(stale),
        TEST(stale_at_the_write),
        TEST(new_and_reset),
        TEST(write_to_a_dead_one),
        TEST(cut),
        TEST(malformed),
        TEST(long_heads),
        TEST(early_answer),
        TEST(no_answer_in_time),
        TEST(slow_upload),
        TEST(answer_that_stops),
        TEST(paused_is_not_idle),
        TEST(slow_upstream),
        TEST(cancelled),
        TEST(cancelled_between_batches),
        TEST(freed_with_everything_open),
        TEST(connects),
    };
    signal(SIGPIPE, SIG_IGN); /* as the server does */
    return cmocka_run_group_tests(tests, NULL, NULL);
}
