/* A real loop, real sockets on the loopback; only the resolver is ours: it answers from a table. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "netbench.h"

/* ---- plain connections ---- */

static void connects(void **state)
{
    (void)state;
    struct bench *b = bench_new("127.0.0.1:0", NULL);
    struct connect_target t = target("127.0.0.1", b->port);
    assert_int_equal(go(b, &t), CONNECT_OK);
    assert_string_equal(b->detail, "");
    expect_echo(b, "hello");
    t = target("four.test", b->port);
    assert_int_equal(go(b, &t), CONNECT_OK);
    expect_echo(b, "by name");
    bench_free(b);
    b = bench_new("[::1]:0", NULL);
    t = target("::1", b->port);
    assert_int_equal(go(b, &t), CONNECT_OK);
    expect_echo(b, "six");
    bench_free(b);
}

static void connects_to_unix_sockets(void **state)
{
    (void)state;
    char address[160];
    snprintf(address, sizeof address, "unix:%s", in_dir("sock"));
    struct bench *b = bench_new(address, NULL);
    struct connect_target t = target(in_dir("sock"), 0);
    t.allow_private = false;             /* there is no address to check */
    t.proxy_host = STR("proxy.invalid"); /* and no proxy on the way */
    t.proxy_port = 1;
    assert_int_equal(go(b, &t), CONNECT_OK);
    expect_echo(b, "hello");

    t = target(in_dir("nobody"), 0);
    assert_int_equal(go(b, &t), CONNECT_REFUSED);
    expect_detail(b, "unix:/tmp/accord-connect-");
    expect_detail(b, "nobody: No such file or directory");

    char longer[200];
    memset(longer, 'a', sizeof longer);
    longer[0] = '/';
    longer[sizeof longer - 1] = 0;
    t = target(longer, 0);
    assert_int_equal(go(b, &t), CONNECT_NAME);
    bench_free(b);
}

/* A unix socket whose queue is full is asked again until it has room. */
static void waits_for_a_busy_unix_socket(void **state)
{
    (void)state;
    struct bench *b = bench_new(NULL, NULL);
    struct sockaddr_un un = {.sun_family = AF_UNIX};
    snprintf(un.sun_path, sizeof un.sun_path, "%s", in_dir("sock"));
    unlink(un.sun_path);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0), fill[8], filled = 0;
    assert_int_equal(bind(fd, (struct sockaddr *)&un, sizeof un), 0);
    assert_int_equal(listen(fd, 0), 0);
    for (; filled < 8; filled++) {
        fill[filled] = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
        if (connect(fill[filled], (struct sockaddr *)&un, sizeof un) < 0) {
            assert_int_equal(errno, EAGAIN);
            close(fill[filled]);
            break;
        }
    }
    assert_in_range(filled, 1, 7);
    struct connect_target t = target(un.sun_path, 0);
    begin(b, &t);
    assert_false(run_for(b, 60));
    assert_int_equal(b->calls, 0);
    for (int i = 0; i < filled; i++) {
        close(accept(fd, NULL, NULL));
    }
    assert_true(run_for(b, 1000));
    assert_int_equal(b->why, CONNECT_OK);
    while (filled) {
        close(fill[--filled]);
    }
    close(fd);
    bench_free(b);
}

static void tells_what_is_wrong(void **state)
{
    (void)state;
    struct bench *b = bench_new(NULL, NULL);
    struct connect_target t = target("127.0.0.1", closed_port("127.0.0.1:0"));
    char expected[128];
    assert_int_equal(go(b, &t), CONNECT_REFUSED);
    snprintf(expected, sizeof expected, "127.0.0.1:%u: Connection refused", t.port);
    assert_string_equal(b->detail, expected);

    t.host = STR("both.test");
    assert_int_equal(go(b, &t), CONNECT_REFUSED);
    expect_detail(b, "none of 2 addresses takes the connection: Connection refused");

    t = target("none.test", 80);
    assert_int_equal(go(b, &t), CONNECT_NAME);
    assert_string_equal(b->detail, "none.test:80: no such name");
    t = target("again.test", 80);
    assert_int_equal(go(b, &t), CONNECT_NAME);
    assert_string_equal(b->detail, "again.test:80: the name server does not answer");

    static const char *const bad[] = {"", "a b", "a\r\nHost: evil", "x\x7f", "\xff\xfe.test"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        t = target(bad[i], 80);
        assert_int_equal(go(b, &t), CONNECT_NAME);
    }
    char longer[300];
    memset(longer, 'a', sizeof longer);
    t.host = str_make(longer, sizeof longer);
    assert_int_equal(go(b, &t), CONNECT_NAME);
    bench_free(b);
}

static void gives_up_in_time(void **state)
{
    (void)state;
    struct bench *b = bench_new(NULL, NULL);
    struct hole h = hole_new(AF_INET);
    struct connect_target t = target("127.0.0.1", h.port);
    t.timeout_ms = 150;
    assert_int_equal(go(b, &t), CONNECT_TIMEOUT);
    assert_in_range(b->took_ms, 149, 2000);
    expect_detail(b, "150 ms have passed waiting for the connection to be accepted");

    t = target("slow.test", h.port);
    t.timeout_ms = 100;
    assert_int_equal(go(b, &t), CONNECT_TIMEOUT);
    assert_in_range(b->took_ms, 99, 2000);
    expect_detail(b, "looking up the name");
    hole_free(&h);
    bench_free(b);
}

/* ---- the race ---- */

static void listen_four(struct bench *b, uint16_t port)
{
    char address[32];
    int fd;
    snprintf(address, sizeof address, "127.0.0.1:%u", port);
    assert_int_equal(stream_bind(str_of(address), &fd, NULL), 0);
    b->listener = listener_new(b->l, fd, NULL, on_accept, b);
}

static void second_family_wins_over_silence(void **state)
{
    (void)state;
    struct bench *b = bench_new(NULL, NULL);
    struct hole h = hole_new(AF_INET6);
    listen_four(b, h.port);
    struct connect_target t = target("both.test", h.port);
    assert_int_equal(go(b, &t), CONNECT_OK);
    assert_in_range(b->took_ms, 249, 2000);
    char peer[64] = "";
    stream_peer(b->s, peer, sizeof peer);
    assert_memory_equal(peer, "127.0.0.1", 9);
    expect_echo(b, "four");
    hole_free(&h);
    bench_free(b);
}

static void next_address_starts_at_a_refusal(void **state)
{
    (void)state;
    struct bench *b = bench_new("127.0.0.1:0", NULL);
    struct connect_target t = target("both.test", b->port);
    assert_int_equal(go(b, &t), CONNECT_OK);
    assert_in_range(b->took_ms, 0, 240);
    expect_echo(b, "four");
    bench_free(b);
}

static void first_address_wins_when_it_answers(void **state)
{
    (void)state;
    struct bench *b = bench_new("[::1]:0", NULL);
    struct connect_target t = target("both.test", b->port);
    assert_int_equal(go(b, &t), CONNECT_OK);
    expect_echo(b, "six");
    char peer[64] = "";
    stream_peer(b->s, peer, sizeof peer);
    assert_memory_equal(peer, "::1", 3);
    assert_int_equal(b->accepted, 1);
    bench_free(b);
}

/* ---- private addresses ---- */

static void private_addresses_are_refused(void **state)
{
    (void)state;
    struct bench *b = bench_new("127.0.0.1:0", NULL);
    static const char *const hosts[] = {"127.0.0.1",        "four.test", "mixed.test",
                                        "::ffff:127.0.0.1", "both.test", "::1"};
    for (size_t i = 0; i < sizeof hosts / sizeof *hosts; i++) {
        struct connect_target t = target(hosts[i], b->port);
        t.allow_private = false;
        assert_int_equal(go(b, &t), CONNECT_PRIVATE);
        expect_detail(b, hosts[i]);
        expect_detail(b, "is a private address");
    }
    assert_int_equal(b->accepted, 0);
    bench_free(b);
}

/* ---- TLS ---- */

static void puts_tls_on_top(void **state)
{
    (void)state;
    struct tls_ctx *server = leaf_ctx(), *client = client_ctx();
    struct bench *b = bench_new("127.0.0.1:0", server);
    static const char *const good[] = {"four.test", "127.0.0.1", "four.test"};
    for (size_t i = 0; i < 3; i++) {
        struct connect_target t = target(good[i], b->port);
        t.tls = true;
        t.tls_ctx = client;
        assert_int_equal(go(b, &t), CONNECT_OK);
        assert_true(stream_is_tls(b->s));
        expect_echo(b, "under TLS");
    }
    struct connect_target t = target("both.test", b->port);
    t.tls = true;
    t.tls_ctx = client;
    assert_int_equal(go(b, &t), CONNECT_TLS);
    expect_detail(b, "both.test:");
    expect_detail(b, ": the certificate is not for both.test");
    bench_free(b);

    b = bench_new("127.0.0.1:0", NULL); /* echoes our hello: no TLS */
    t.host = STR("four.test");
    t.port = b->port;
    assert_int_equal(go(b, &t), CONNECT_TLS);
    bench_free(b);

    b = bench_new(NULL, NULL);
    t.host = STR("/tmp/x");
    t.port = 0;
    assert_int_equal(go(b, &t), CONNECT_TLS);
    bench_free(b);
    tls_ctx_unref(server);
    tls_ctx_unref(client);
}

static void a_silent_peer_meets_the_deadline(void **state)
{
    (void)state;
    struct tls_ctx *client = client_ctx();
    struct bench *b = bench_new(NULL, NULL);
    uint16_t port;
    int fd = silent(&port);
    struct connect_target t = target("127.0.0.1", port);
    t.tls = true;
    t.tls_ctx = client;
    t.timeout_ms = 100;
    assert_int_equal(go(b, &t), CONNECT_TIMEOUT);
    expect_detail(b, "in the TLS handshake");

    t.proxy_host = STR("127.0.0.1");
    t.proxy_port = port;
    t.host = STR("api.test");
    t.port = 443;
    assert_int_equal(go(b, &t), CONNECT_TIMEOUT);
    expect_detail(b, "api.test:443 through the proxy 127.0.0.1:");
    expect_detail(b, "waiting for the proxy to open the tunnel");
    close(fd);
    bench_free(b);
    tls_ctx_unref(client);
}

/* ---- giving up ---- */

static void cancels(struct bench *b, const struct connect_target *t, uint64_t after_ms)
{
    begin(b, t);
    if (after_ms) {
        assert_false(run_for(b, after_ms));
    }
    assert_int_equal(b->calls, 0);
    connect_cancel(b->c);
    run_for(b, 20);
    assert_int_equal(b->calls, 0);
}

static void cancels_at_each_point(void **state)
{
    (void)state;
    struct tls_ctx *client = client_ctx();
    struct bench *b = bench_new("127.0.0.1:0", NULL);
    struct hole four = hole_new(AF_INET), six = hole_new(AF_INET6);
    uint16_t port;
    int fd = silent(&port);

    struct connect_target t = target("127.0.0.1", b->port);
    cancels(b, &t, 0); /* just begun */
    t = target("slow.test", b->port);
    cancels(b, &t, 0); /* asked for a name */
    t = target("slow.test", b->port);
    cancels(b, &t, 50); /* waiting for it */
    t = target("a b", 80);
    cancels(b, &t, 0); /* failed, not told yet */
    t = target("127.0.0.1", four.port);
    cancels(b, &t, 50); /* one in the race */
    t = target("both.test", six.port);
    t.timeout_ms = 100;
    cancels(b, &t, 50);
    t = target("/nonexistent/sock", 0);
    cancels(b, &t, 0);

    t = target("127.0.0.1", port);
    t.tls = true;
    t.tls_ctx = client;
    cancels(b, &t, 50); /* in the handshake */
    t.proxy_host = STR("127.0.0.1");
    t.proxy_port = port;
    cancels(b, &t, 50); /* in the tunnel */

    /* The look-ups that nobody waits for any more end by themselves. */
    run_for(b, 500);
    assert_int_equal(b->calls, 0);
    close(fd);
    hole_free(&four);
    hole_free(&six);
    bench_free(b);
    tls_ctx_unref(client);
}

static int open_files(void)
{
    int n = 0;
    for (int fd = 0; fd < 256; fd++) {
        n += fcntl(fd, F_GETFD) >= 0;
    }
    return n;
}

/* All of the above again, counted in file descriptors. */
static void no_socket_is_left_behind(void **state)
{
    int before = open_files();
    second_family_wins_over_silence(state);
    cancels_at_each_point(state);
    gives_up_in_time(state);
    a_silent_peer_meets_the_deadline(state);
    assert_int_equal(open_files(), before);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(connects),
        cmocka_unit_test(connects_to_unix_sockets),
        cmocka_unit_test(waits_for_a_busy_unix_socket),
        cmocka_unit_test(tells_what_is_wrong),
        cmocka_unit_test(gives_up_in_time),
        cmocka_unit_test(second_family_wins_over_silence),
        cmocka_unit_test(next_address_starts_at_a_refusal),
        cmocka_unit_test(first_address_wins_when_it_answers),
        cmocka_unit_test(private_addresses_are_refused),
        cmocka_unit_test(puts_tls_on_top),
        cmocka_unit_test(a_silent_peer_meets_the_deadline),
        cmocka_unit_test(cancels_at_each_point),
        cmocka_unit_test(no_socket_is_left_behind),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
