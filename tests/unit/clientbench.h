/* The client's side of HTTP/1.1 on a real loop: the test is the upstream, at the other end of socket pairs. */
#ifndef TESTS_CLIENTBENCH_H
#define TESTS_CLIENTBENCH_H

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "http/client.h"
#include "loopbench.h"

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wunused-function"

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
    b->timeouts = (struct http_client_timeouts){
        .connect_ms = 2000, .first_byte_ms = 2000, .idle_ms = 2000, .pool_ms = 2000, .pool_max = 8};
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

#define TEST(name) cmocka_unit_test_setup_teardown(name, begin, end)

#pragma GCC diagnostic pop

#endif
