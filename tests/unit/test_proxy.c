/* Connections through a proxy of the test's own, and proxies from the environment. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "netbench.h"

/* ---- proxies ---- */

struct proxy {
    struct bench b;     /* its listener and peers are used */
    const char *answer; /* instead of a tunnel */
    bool hang_up;
    size_t piece; /* the answer goes out in pieces of so many bytes; 0: whole */
    char request[4096];
    uint16_t to; /* where tunnels lead, whatever was asked for */
};

static struct proxy *proxy_of(struct peer *p)
{
    return (struct proxy *)p->b;
}

static void pass_on(void *owner, char *text, size_t n)
{
    struct peer *p = owner;
    struct iovec v = {text, n};
    if (p->other) {
        assert_int_equal(stream_write(p->other->s, &v, 1), 0);
    }
}

static void pass_end(void *owner)
{
    struct peer *p = owner;
    if (p->other) {
        struct peer *other = p->other;
        peer_drop(p);
        peer_drop(other);
    } else {
        peer_drop(p);
    }
}

static void pass_error(void *owner, int err)
{
    (void)err;
    pass_end(owner);
}

static const struct stream_ops pass_ops = {.data = pass_on, .eof = pass_end, .error = pass_error};

static void reached(void *arg, struct stream *s, enum connect_failure why, const char *detail)
{
    struct peer *p = arg;
    static const char ok[] = "HTTP/1.1 200 Connection established\r\nVia: test\r\n\r\n";
    struct iovec v = {(void *)(uintptr_t)ok, sizeof ok - 1};
    (void)detail;
    assert_int_equal(why, CONNECT_OK);
    p->other = peer_new(p->b, s, &pass_ops);
    p->other->other = p;
    stream_own(p->s, &pass_ops, p);
    assert_int_equal(stream_write(p->s, &v, 1), 0);
}

static void proxy_data(void *owner, char *text, size_t n)
{
    struct peer *p = owner;
    struct proxy *x = proxy_of(p);
    assert_true(p->n + n < sizeof p->head);
    memcpy(p->head + p->n, text, n);
    p->n += n;
    p->head[p->n] = 0;
    if (!strstr(p->head, "\r\n\r\n")) {
        return;
    }
    snprintf(x->request, sizeof x->request, "%s", p->head);
    if (x->hang_up) {
        peer_drop(p);
        return;
    }
    if (!x->answer) {
        struct connect_target t = target("127.0.0.1", x->to);
        connect_start(p->b->l, &t, reached, p);
        return;
    }
    size_t all = strlen(x->answer), piece = x->piece ? x->piece : all;
    for (size_t at = 0; at < all; at += piece) {
        struct iovec v = {(void *)(uintptr_t)(x->answer + at), at + piece < all ? piece : all - at};
        assert_int_equal(stream_write(p->s, &v, 1), 0);
    }
}

static const struct stream_ops proxy_ops = {
    .data = proxy_data, .eof = pass_end, .error = pass_error};

static void proxy_accept(void *arg, struct stream *s)
{
    struct bench *b = arg;
    b->accepted++;
    peer_new(b, s, &proxy_ops);
}

/* On the bench's loop. */
static struct proxy *proxy_new(struct bench *b, uint16_t to)
{
    struct proxy *x = mem_zalloc(sizeof *x);
    int fd;
    x->b.l = b->l;
    x->to = to;
    assert_int_equal(stream_bind(STR("127.0.0.1:0"), &fd, &x->b.port), 0);
    x->b.listener = listener_new(b->l, fd, NULL, proxy_accept, &x->b);
    return x;
}

static void proxy_free(struct proxy *x)
{
    while (x->b.peers) {
        peer_drop(x->b.peers);
    }
    listener_close(x->b.listener);
    free(x);
}

static void tunnels_through_a_proxy(void **state)
{
    (void)state;
    struct tls_ctx *server = leaf_ctx(), *client = client_ctx();
    struct bench *b = bench_new("127.0.0.1:0", server);
    struct proxy *x = proxy_new(b, b->port);
    int calls = fake_calls("four.test");
    struct connect_target t = target("four.test", 443);
    t.tls = true;
    t.tls_ctx = client;
    t.allow_private =
        false; /* the proxy's own address is not checked, nor is a name that it resolves */
    t.proxy_host = STR("127.0.0.1");
    t.proxy_port = x->b.port;
    t.proxy_auth = STR("Basic dTpw");
    assert_int_equal(go(b, &t), CONNECT_OK);
    expect_echo(b, "through");
    assert_string_equal(x->request, "CONNECT four.test:443 HTTP/1.1\r\nHost: four.test:443\r\n"
                                    "Proxy-Authorization: Basic dTpw\r\n\r\n");
    assert_int_equal(fake_calls("four.test"), calls); /* the name is the proxy's to look up */

    /* The certificate is still the target's. */
    t.host = STR("other.test");
    assert_int_equal(go(b, &t), CONNECT_TLS);
    expect_detail(b, "the certificate is not for other.test");
    t.host = STR("2606:4700::1111");
    t.proxy_auth = (struct str){0};
    assert_int_equal(go(b, &t), CONNECT_TLS);
    assert_string_equal(x->request, "CONNECT [2606:4700::1111]:443 HTTP/1.1\r\n"
                                    "Host: [2606:4700::1111]:443\r\n\r\n");
    stream_close(b->s);
    b->s = NULL;
    proxy_free(x);
    bench_free(b);
    tls_ctx_unref(server);
    tls_ctx_unref(client);
}

/* Without TLS the proxy is spoken to as it is: whoever sends the request writes the absolute form.
 */
static void plain_targets_end_at_the_proxy(void **state)
{
    (void)state;
    struct bench *b = bench_new("127.0.0.1:0", NULL);
    struct connect_target t = target("api.test", 80);
    t.proxy_host = STR("four.test");
    t.proxy_port = b->port;
    assert_int_equal(go(b, &t), CONNECT_OK);
    expect_echo(b, "GET http://api.test/ HTTP/1.1");
    bench_free(b);
}

static void proxies_that_open_no_tunnel(void **state)
{
    (void)state;
    static char endless[9000];
    memset(endless, 'a', sizeof endless - 1);
    memcpy(endless, "HTTP/1.1 200 OK\r\nX: ", 20);
    static const struct {
        const char *answer, *detail;
        enum connect_failure why;
    } cases[] = {
        {"HTTP/1.1 403 Not for \x01you\r\nContent-Length: 0\r\n\r\n",
         "the proxy opens no tunnel: it answered: 403 Not for ?you", CONNECT_PROXY},
        {"HTTP/1.1 407 Proxy Authentication Required\r\n\r\n",
         "it wants a user and a password: 407 Proxy", CONNECT_PROXY},
        {"HTTP/1.0 502\r\n\r\n", "it answered: 502", CONNECT_PROXY},
        {"HTTP/1.1 200 OK\r\n\r\nSurprise", "it put bytes of its own into the tunnel",
         CONNECT_PROXY},
        {"SSH-2.0-OpenSSH_9.2\r\n\r\n", "it does not speak HTTP", CONNECT_PROXY},
        {"HTTP/1.1 2000 OK\r\n\r\n", "it does not speak HTTP", CONNECT_PROXY},
        {endless, "its answer does not end", CONNECT_PROXY},
        {NULL, "the proxy closed the connection before the tunnel stood", CONNECT_PROXY},
        /* These open it; then our hello gets the same answer. */
        {"HTTP/1.1 200 OK\r\n\r\n", "the peer does not speak TLS", CONNECT_TLS},
        {"HTTP/1.1 102 Wait\r\n\r\nHTTP/1.1 204 Yes\r\nA: b\r\n\r\n", "the peer does not speak TLS",
         CONNECT_TLS},
    };
    struct tls_ctx *client = client_ctx();
    struct bench *b = bench_new(NULL, NULL);
    struct proxy *x = proxy_new(b, 1);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        for (size_t piece = 0; piece < 3; piece++) {
            if (cases[i].answer == endless && piece == 1) {
                continue;
            }
            struct connect_target t = target("api.test", 443);
            t.tls = true;
            t.tls_ctx = client;
            t.proxy_host = STR("127.0.0.1");
            t.proxy_port = x->b.port;
            x->answer = cases[i].answer;
            x->hang_up = !cases[i].answer;
            x->piece = piece;
            assert_int_equal(go(b, &t), cases[i].why);
            expect_detail(b, cases[i].detail);
        }
    }
    proxy_free(x);
    struct connect_target t = target("api.test", 443);
    t.tls = true;
    t.tls_ctx = client;
    t.proxy_host = STR("127.0.0.1");
    t.proxy_port = closed_port("127.0.0.1:0");
    assert_int_equal(go(b, &t), CONNECT_PROXY);
    expect_detail(b, "no connection to the proxy: Connection refused");
    t.proxy_host = STR("none.test");
    assert_int_equal(go(b, &t), CONNECT_PROXY);
    expect_detail(b, "the proxy's name does not resolve: no such name");
    bench_free(b);
    tls_ctx_unref(client);
}

/* A proxy would take us to the same forbidden places. */
static void private_literals_are_refused_before_the_proxy(void **state)
{
    (void)state;
    static const char *const hosts[] = {
        "127.0.0.1", "10.0.0.1",   "169.254.169.254", "::1",        "fd00::1",
        "127.1",     "0x7f000001", "2130706433",      "0177.0.0.1", "localhost",
        "LOCALHOST", "localhost.", "a.localhost",
    };
    struct bench *b = bench_new("127.0.0.1:0", NULL);
    for (size_t i = 0; i < sizeof hosts / sizeof *hosts; i++) {
        struct connect_target t = target(hosts[i], 80);
        t.allow_private = false;
        t.proxy_host = STR("127.0.0.1");
        t.proxy_port = b->port;
        assert_int_equal(go(b, &t), CONNECT_PRIVATE);
        t.allow_private = true;
        assert_int_equal(go(b, &t), CONNECT_OK);
    }
    struct connect_target t = target("notlocalhost", 80);
    t.proxy_host = STR("127.0.0.1");
    t.proxy_port = b->port;
    t.allow_private = false;
    assert_int_equal(go(b, &t), CONNECT_OK);
    bench_free(b);
}

/* ---- the environment ---- */

struct env_case {
    const char *env[4][2];
    const char *host;
    bool tls;
    int result;
    const char *proxy; /* host, NULL: none; or the variable that is wrong */
    uint16_t port;
    const char *auth;
};

static const struct env_case env_cases[] = {
    {{{0}}, "api.test", true, 0, NULL, 0, NULL},
    {{{"HTTPS_PROXY", "http://p:3128"}}, "api.test", true, 0, "p", 3128, NULL},
    {{{"https_proxy", "http://p:3128/"}}, "api.test", true, 0, "p", 3128, NULL},
    {{{"HTTPS_PROXY", "http://p:3128"}}, "api.test", false, 0, NULL, 0, NULL},
    {{{"HTTP_PROXY", "http://p:3128"}}, "api.test", false, 0, "p", 3128, NULL},
    {{{"http_proxy", "HTTP://p:3128"}}, "api.test", false, 0, "p", 3128, NULL},
    {{{"HTTP_PROXY", "http://p:3128"}}, "api.test", true, 0, NULL, 0, NULL},
    {{{"ALL_PROXY", "p:1"}}, "api.test", true, 0, "p", 1, NULL},
    {{{"all_proxy", "p"}}, "api.test", false, 0, "p", 1080, NULL},
    {{{"ALL_PROXY", "a:1"}, {"HTTPS_PROXY", "b:2"}}, "api.test", true, 0, "b", 2, NULL},
    {{{"https_proxy", "a:1"}, {"HTTPS_PROXY", "b:2"}}, "api.test", true, 0, "a", 1, NULL},
    {{{"https_proxy", ""}, {"HTTPS_PROXY", "b:2"}}, "api.test", true, 0, "b", 2, NULL},
    {{{"https_proxy", "[::1]:8080"}}, "api.test", true, 0, "::1", 8080, NULL},
    {{{"https_proxy", "http://[fd00::1]"}}, "api.test", true, 0, "fd00::1", 1080, NULL},
    {{{"https_proxy", "http://user:pass@p:1"}}, "api.test", true, 0, "p", 1, "Basic dXNlcjpwYXNz"},
    {{{"https_proxy", "http://us%40er:p%3A@ss@p:1"}},
     "api.test",
     true,
     0,
     "p",
     1,
     "Basic dXNAZXI6cDpAc3M="},
    {{{"https_proxy", "http://user@p:1"}}, "api.test", true, 0, "p", 1, "Basic dXNlcjo="},
    /* wrong ones */
    {{{"https_proxy", "https://p:1"}}, "api.test", true, -EINVAL, "https_proxy", 0, NULL},
    {{{"ALL_PROXY", "socks5://p:1"}}, "api.test", true, -EINVAL, "ALL_PROXY", 0, NULL},
    {{{"HTTPS_PROXY", "http://p:x"}}, "api.test", true, -EINVAL, "HTTPS_PROXY", 0, NULL},
    {{{"HTTPS_PROXY", "http://p:0"}}, "api.test", true, -EINVAL, "HTTPS_PROXY", 0, NULL},
    {{{"HTTPS_PROXY", "http://p:65536"}}, "api.test", true, -EINVAL, "HTTPS_PROXY", 0, NULL},
    {{{"HTTPS_PROXY", "http://:80"}}, "api.test", true, -EINVAL, "HTTPS_PROXY", 0, NULL},
    {{{"HTTPS_PROXY", "http://"}}, "api.test", true, -EINVAL, "HTTPS_PROXY", 0, NULL},
    {{{"HTTPS_PROXY", "http://[::1:80"}}, "api.test", true, -EINVAL, "HTTPS_PROXY", 0, NULL},
    {{{"HTTPS_PROXY", "http://[p]:80"}}, "api.test", true, -EINVAL, "HTTPS_PROXY", 0, NULL},
    {{{"HTTPS_PROXY", "http://u%zz@p:80"}}, "api.test", true, -EINVAL, "HTTPS_PROXY", 0, NULL},
    {{{"HTTPS_PROXY", "http://u%0d%0a@p:80"}}, "api.test", true, -EINVAL, "HTTPS_PROXY", 0, NULL},
    {{{"HTTPS_PROXY", "http://a b:80"}}, "api.test", true, -EINVAL, "HTTPS_PROXY", 0, NULL},
/* exemptions */
#define NO_PROXY(list, host)                                                                       \
    {                                                                                              \
        {{"HTTPS_PROXY", "p:1"}, {"NO_PROXY", list}}, host, true, 0, NULL, 0, NULL                 \
    }
#define STILL_PROXY(list, host)                                                                    \
    {                                                                                              \
        {{"HTTPS_PROXY", "p:1"}, {"NO_PROXY", list}}, host, true, 0, "p", 1, NULL                  \
    }
    NO_PROXY("*", "api.test"),
    NO_PROXY(" * ", "api.test"),
    NO_PROXY("api.test", "api.test"),
    NO_PROXY("API.test", "api.TEST"),
    NO_PROXY("api.test", "v1.api.test"),
    NO_PROXY(".api.test", "v1.api.test"),
    NO_PROXY(".api.test", "api.test"),
    NO_PROXY("*.api.test", "v1.api.test"),
    NO_PROXY("api.test.", "api.test"),
    NO_PROXY("api.test", "api.test."),
    NO_PROXY("a,b, api.test ,c", "api.test"),
    NO_PROXY("a b api.test", "api.test"),
    STILL_PROXY("pi.test", "api.test"),
    STILL_PROXY("v1.api.test", "api.test"),
    STILL_PROXY("", "api.test"),
    STILL_PROXY(",., ,", "api.test"),
    NO_PROXY("127.0.0.1", "127.0.0.1"),
    STILL_PROXY("127.0.0.1", "127.0.0.2"),
    NO_PROXY("127.0.0.0/8", "127.9.9.9"),
    NO_PROXY("10.0.0.0/9", "10.127.0.1"),
    STILL_PROXY("10.0.0.0/9", "10.128.0.1"),
    NO_PROXY("0.0.0.0/0", "8.8.8.8"),
    STILL_PROXY("10.0.0.0/33", "10.0.0.0"),
    STILL_PROXY("10.0.0.0/x", "10.0.0.0"),
    NO_PROXY("::1", "::1"),
    NO_PROXY("[::1]", "0:0::1"),
    NO_PROXY("fd00::/8", "fdab::1"),
    STILL_PROXY("fd00::/8", "fe80::1"),
    STILL_PROXY("0.1", "127.0.0.1"), /* an address is no domain */
};

static void proxies_come_from_the_environment(void **state)
{
    (void)state;
    static const char *const all[] = {"http_proxy", "HTTP_PROXY", "https_proxy", "HTTPS_PROXY",
                                      "all_proxy",  "ALL_PROXY",  "no_proxy",    "NO_PROXY"};
    for (size_t i = 0; i < sizeof env_cases / sizeof *env_cases; i++) {
        const struct env_case *k = &env_cases[i];
        struct arena a = {0};
        const char *wrong = NULL;
        for (size_t j = 0; j < sizeof all / sizeof *all; j++) {
            unsetenv(all[j]);
        }
        for (size_t j = 0; j < 4 && k->env[j][0]; j++) {
            setenv(k->env[j][0], k->env[j][1], 1);
        }
        struct connect_target t = target(k->host, 443);
        t.tls = k->tls;
        int r = connect_proxy_from_env(&a, &t, &wrong);
        struct str expected = str_of(k->result ? NULL : k->proxy);
        if (r != k->result || !str_eq(t.proxy_host, expected) || t.proxy_port != k->port ||
            !str_eq(t.proxy_auth, str_of(k->auth)) || (r && strcmp(wrong, k->proxy) != 0)) {
            fail_msg("case %zu: %s: %d, \"%.*s\":%u \"%.*s\" %s", i, k->env[0][1], r,
                     STR_ARG(t.proxy_host), t.proxy_port, STR_ARG(t.proxy_auth),
                     wrong ? wrong : "");
        }
        arena_reset(&a);
    }
    struct arena a = {0};
    const char *wrong;
    struct connect_target t = target("/run/x.sock", 0);
    setenv("HTTP_PROXY", "p:1", 1);
    unsetenv("NO_PROXY");
    assert_int_equal(connect_proxy_from_env(&a, &t, &wrong), 0);
    assert_int_equal(t.proxy_host.n, 0);
    unsetenv("HTTP_PROXY");
    unsetenv("HTTPS_PROXY");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(tunnels_through_a_proxy),
        cmocka_unit_test(plain_targets_end_at_the_proxy),
        cmocka_unit_test(proxies_that_open_no_tunnel),
        cmocka_unit_test(private_literals_are_refused_before_the_proxy),
        cmocka_unit_test(proxies_come_from_the_environment),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
