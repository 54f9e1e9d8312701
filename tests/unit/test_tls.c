/* Two sessions talk in memory; the wire between them is cut into pieces of any size. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <pthread.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/must.h"
#include "net/tls.h"
#include "certs.h"

enum { DAY = 86400 };

static char dir[] = "/tmp/accord-tls-XXXXXX";
static const char *const made[] = {"ca",    "good", "wild",    "ip",    "old",
                                   "early", "self", "strange", "locked"};

static char *path_of(const char *name, const char *suffix)
{
    static char path[4][256];
    static unsigned turn;
    char *p = path[turn++ % 4];
    snprintf(p, sizeof path[0], "%s/%s.%s", dir, name, suffix);
    return p;
}

static void save_leaf(const char *name, const char *san, const struct pair *issuer, long from,
                      long until)
{
    struct pair p = pair_make(name, san, issuer, from, until);
    pair_save(&p, dir, name, NULL);
    pair_free(&p);
}

static int make_certificates(void **state)
{
    (void)state;
    assert_non_null(mkdtemp(dir));
    struct pair ca = pair_make("Test CA", NULL, NULL, -DAY, DAY);
    struct pair other = pair_make("Other CA", NULL, NULL, -DAY, DAY);
    pair_save(&ca, dir, "ca", NULL);
    save_leaf("good", "DNS:api.example.test", &ca, -DAY, DAY);
    save_leaf("wild", "DNS:*.example.test", &ca, -DAY, DAY);
    save_leaf("ip", "IP:127.0.0.1,IP:0:0:0:0:0:0:0:1,DNS:10.0.0.1", &ca, -DAY, DAY);
    save_leaf("old", "DNS:api.example.test", &ca, -2 * DAY, -DAY);
    save_leaf("early", "DNS:api.example.test", &ca, DAY, 2 * DAY);
    save_leaf("self", "DNS:api.example.test", NULL, -DAY, DAY);
    save_leaf("strange", "DNS:api.example.test", &other, -DAY, DAY);
    struct pair locked = pair_make("locked", "DNS:api.example.test", &ca, -DAY, DAY);
    pair_save(&locked, dir, "locked", (char[]){"secret"});
    pair_free(&locked);
    pair_free(&other);
    pair_free(&ca);
    setenv("SSL_CERT_FILE", path_of("ca", "pem"), 1);
    setenv("SSL_CERT_DIR", "/nonexistent", 1);
    return 0;
}

static int remove_certificates(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof made / sizeof *made; i++) {
        unlink(path_of(made[i], "pem"));
        unlink(path_of(made[i], "key"));
    }
    return rmdir(dir);
}

static struct tls_ctx *server_ctx(const char *name)
{
    struct tls_ctx *c = NULL;
    struct buf why = {0};
    int r = tls_server_ctx(path_of(name, "pem"), path_of(name, "key"), &c, &why);
    if (r < 0) {
        print_error("%.*s\n", STR_ARG(buf_str(&why)));
    }
    assert_int_equal(r, 0);
    buf_free(&why);
    return c;
}

static struct tls_ctx *client_ctx(void)
{
    struct tls_ctx *c = NULL;
    struct buf why = {0};
    assert_int_equal(tls_client_ctx(&c, &why), 0);
    return c;
}

/* ---- the wire ---- */

/* Carries what `from` has for `to`, at most `piece` bytes at a time. Returns how many bytes went.
 */
static size_t carry(struct tls *from, struct tls *to, size_t piece)
{
    size_t all = 0;
    for (struct str s = tls_pending(from); s.n; s = tls_pending(from)) {
        size_t n = s.n < piece ? s.n : piece;
        tls_feed(to, s.p, n);
        tls_sent(from, n);
        all += n;
    }
    return all;
}

struct talk {
    struct tls_ctx *server_ctx, *client_ctx;
    struct tls *server, *client;
    int server_shook, client_shook;
    size_t from_server; /* bytes of its part of the handshake */
};

static void talk_shake(struct talk *t, size_t piece)
{
    t->client_shook = t->server_shook = 0;
    for (int i = 0; i < 20000 && (t->client_shook == 0 || t->server_shook == 0); i++) {
        /* One piece each way and turn, so that each side sees every prefix. */
        t->client_shook = t->client_shook ? t->client_shook : tls_shake(t->client);
        struct str s = str_first(tls_pending(t->client), piece);
        tls_feed(t->server, s.p, s.n);
        if (s.n) {
            tls_sent(t->client, s.n);
        }
        t->server_shook = t->server_shook ? t->server_shook : tls_shake(t->server);
        s = str_first(tls_pending(t->server), piece);
        tls_feed(t->client, s.p, s.n);
        if (s.n) {
            tls_sent(t->server, s.n);
            t->from_server += s.n;
        }
        if (t->client_shook < 0 && tls_pending(t->client).n == 0) {
            break;
        }
    }
}

static struct talk talk_new(const char *certificate, const char *host, size_t piece)
{
    struct talk t = {.server_ctx = server_ctx(certificate), .client_ctx = client_ctx()};
    t.server = tls_new(t.server_ctx, NULL);
    t.client = tls_new(t.client_ctx, host);
    talk_shake(&t, piece);
    return t;
}

static void talk_free(struct talk *t)
{
    tls_free(t->server);
    tls_free(t->client);
    tls_ctx_unref(t->server_ctx);
    tls_ctx_unref(t->client_ctx);
}

/* Reads until there is nothing; what comes must be the text at `expect`. */
static size_t read_all(struct tls *t, const char *expect, size_t room, ssize_t *ret_last)
{
    size_t all = 0;
    char got[1000];
    for (;;) {
        ssize_t n = tls_read(t, got, sizeof got);
        if (n <= 0) {
            *ret_last = n;
            return all;
        }
        assert_true(all + (size_t)n <= room);
        assert_memory_equal(got, expect + all, (size_t)n);
        all += (size_t)n;
    }
}

/* ---- tests ---- */

static void handshake_in_any_split(void **state)
{
    (void)state;
    static const size_t pieces[] = {1, 2, 3, 7, 64, 1000, 65536};
    for (size_t i = 0; i < sizeof pieces / sizeof *pieces; i++) {
        struct talk t = talk_new("good", "api.example.test", pieces[i]);
        assert_int_equal(t.client_shook, 1);
        assert_int_equal(t.server_shook, 1);
        assert_int_equal(tls_shake(t.client), 1);
        assert_string_equal(tls_why(t.client), "no reason known");
        talk_free(&t);
    }
}

static void data_in_any_split(void **state)
{
    (void)state;
    enum { MOST = 200000 };
    static const size_t sizes[] = {1, 5, 1024, 16384, 16385, 70000, MOST};
    static const size_t pieces[] = {1, 13, 4096, 65536};
    char *text = malloc(MOST);
    for (size_t i = 0; i < MOST; i++) {
        text[i] = (char)(i * 7 + i / 251);
    }
    struct talk t = talk_new("good", "api.example.test", 4096);
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        for (size_t j = 0; j < sizeof pieces / sizeof *pieces; j++) {
            ssize_t last;
            assert_int_equal(tls_write(t.client, text, sizes[i]), 0);
            assert_true(carry(t.client, t.server, pieces[j]) > sizes[i]);
            assert_int_equal(read_all(t.server, text, MOST, &last), sizes[i]);
            assert_int_equal(last, 0);
            assert_int_equal(tls_write(t.server, text, sizes[i]), 0);
            carry(t.server, t.client, pieces[j]);
            assert_int_equal(read_all(t.client, text, MOST, &last), sizes[i]);
            assert_int_equal(last, 0);
            assert_int_equal(tls_pending(t.client).n, 0);
            assert_int_equal(tls_pending(t.server).n, 0);
        }
    }
    assert_int_equal(tls_write(t.client, text, 0), 0);
    assert_int_equal(tls_pending(t.client).n, 0);
    talk_free(&t);
    free(text);
}

/* Half a record is no data yet, and the rest completes it. */
static void half_a_record_waits(void **state)
{
    (void)state;
    struct talk t = talk_new("good", "api.example.test", 4096);
    ssize_t last;
    assert_int_equal(read_all(t.client, "", 0, &last), 0); /* the ticket */
    assert_int_equal(tls_write(t.server, "hello", 5), 0);
    struct str s = tls_pending(t.server);
    for (size_t i = 0; i + 1 < s.n; i++) {
        tls_feed(t.client, s.p + i, 1);
        assert_int_equal(read_all(t.client, "", 0, &last), 0);
        assert_int_equal(last, 0);
    }
    tls_feed(t.client, s.p + s.n - 1, 1);
    assert_int_equal(read_all(t.client, "hello", 5, &last), 5);
    tls_sent(t.server, s.n);
    talk_free(&t);
}

static void close_notify_ends_one_direction(void **state)
{
    (void)state;
    struct talk t = talk_new("good", "api.example.test", 4096);
    ssize_t last;
    assert_int_equal(tls_write(t.server, "last words", 10), 0);
    tls_close_notify(t.server);
    carry(t.server, t.client, 4096);
    assert_int_equal(read_all(t.client, "last words", 10, &last), 10);
    assert_int_equal(last, -ECONNRESET);
    /* The other direction still works (RFC 8446, 6.1). */
    assert_int_equal(tls_write(t.client, "thanks", 6), 0);
    carry(t.client, t.server, 4096);
    assert_int_equal(read_all(t.server, "thanks", 6, &last), 6);
    assert_int_equal(last, 0);
    talk_free(&t);
}

static void who_is_accepted(void **state)
{
    (void)state;
    static const struct {
        const char *certificate, *host, *why; /* why NULL: accepted */
    } cases[] = {
        {"good", "api.example.test", NULL},
        {"good", "API.Example.Test", NULL},
        {"good", "api.example.test.", NULL},
        {"good", "other.example.test", "the certificate is not for other.example.test"},
        {"good", "127.0.0.1", "the certificate is not for 127.0.0.1"},
        {"wild", "api.example.test", NULL},
        {"wild", "a.api.example.test", "the certificate is not for a.api.example.test"},
        {"wild", "example.test", "the certificate is not for example.test"},
        {"ip", "127.0.0.1", NULL},
        {"ip", "::1", NULL},
        {"ip", "127.0.0.2", "the certificate is not for 127.0.0.2"},
        {"ip", "10.0.0.1", "the certificate is not for 10.0.0.1"}, /* a DNS name is no address */
        {"old", "api.example.test", "the certificate is refused: certificate has expired"},
        {"early", "api.example.test", "the certificate is refused: certificate is not yet valid"},
        {"self", "api.example.test",
         "the certificate comes from no authority trusted here: self-signed certificate "
         "(SSL_CERT_FILE may name more authorities)"},
        {"strange", "api.example.test",
         "the certificate comes from no authority trusted here: unable to get local issuer "
         "certificate (SSL_CERT_FILE may name more authorities)"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct talk t = talk_new(cases[i].certificate, cases[i].host, 4096);
        assert_int_equal(t.client_shook, cases[i].why ? -EPROTO : 1);
        if (cases[i].why) {
            char c;
            assert_string_equal(tls_why(t.client), cases[i].why);
            assert_int_equal(tls_shake(t.client), -EPROTO);
            assert_int_equal(tls_read(t.client, &c, 1), -EPROTO);
            assert_int_equal(tls_write(t.client, "x", 1), -EPROTO);
            /* The server learns of it by our alert, in its handshake or when it reads. */
            ssize_t r = t.server_shook < 0 ? t.server_shook : tls_read(t.server, &c, 1);
            assert_int_equal(r, -EPROTO);
            assert_memory_equal(tls_why(t.server), "the peer refused: ", 18);
        }
        talk_free(&t);
    }
}

static void peers_that_do_not_speak_tls(void **state)
{
    (void)state;
    static const struct {
        bool server; /* we are the server */
        const char *says, *why;
    } cases[] = {
        {false, "HTTP/1.1 400 Bad Request\r\n\r\n", "the peer does not speak TLS"},
        {false, "SSH-2.0-OpenSSH_9.2\r\n", "the peer does not speak TLS"},
        {false, "220 mail.example.test ESMTP\r\n", "the peer does not speak TLS"},
        {true, "GET / HTTP/1.1\r\nHost: a\r\n\r\n", "the peer speaks plain HTTP, not TLS"},
        {true, "CONNECT a:443 HTTP/1.1\r\n\r\n", "the peer speaks plain HTTP, not TLS"},
        {true, "SSH-2.0-OpenSSH_9.2\r\n", "the peer does not speak TLS"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct tls_ctx *c = cases[i].server ? server_ctx("good") : client_ctx();
        struct tls *t = tls_new(c, cases[i].server ? NULL : "api.example.test");
        tls_ctx_unref(c); /* the session holds its own */
        int r = tls_shake(t);
        assert_int_equal(r, 0);
        tls_feed(t, cases[i].says, strlen(cases[i].says));
        assert_int_equal(tls_shake(t), -EPROTO);
        assert_string_equal(tls_why(t), cases[i].why);
        tls_close_notify(t); /* harmless */
        tls_free(t);
    }
}

static void broken_records_are_noticed(void **state)
{
    (void)state;
    struct talk t = talk_new("good", "api.example.test", 4096);
    char c;
    assert_int_equal(tls_write(t.client, "hello", 5), 0);
    struct str s = tls_pending(t.client);
    char *copy = malloc(s.n);
    memcpy(copy, s.p, s.n);
    copy[s.n - 1] ^= 1;
    tls_feed(t.server, copy, s.n);
    free(copy);
    assert_int_equal(tls_read(t.server, &c, 1), -EPROTO);
    assert_int_equal(tls_read(t.server, &c, 1), -EPROTO);
    assert_int_equal(tls_write(t.server, "x", 1), -EPROTO);
    assert_memory_equal(tls_why(t.server), "TLS failed: ", 12);
    talk_free(&t);
}

/* The second handshake of a client with the same host is the short one: no certificate is sent. */
static void clients_resume(void **state)
{
    (void)state;
    struct talk t = talk_new("good", "api.example.test", 4096);
    ssize_t last;
    size_t full = t.from_server, resumed = 0;
    read_all(t.client, "", 0, &last); /* takes the ticket */
    for (int i = 0; i < 3; i++) {
        tls_free(t.client);
        tls_free(t.server);
        t.server = tls_new(t.server_ctx, NULL);
        t.client = tls_new(t.client_ctx, "api.example.test");
        t.from_server = 0;
        talk_shake(&t, 4096);
        assert_int_equal(t.client_shook, 1);
        assert_int_equal(t.server_shook, 1);
        read_all(t.client, "", 0, &last);
        resumed = t.from_server;
        assert_true(resumed + 300 < full);
    }
    /* Never with another host, wherever it is kept: the certificate would not be looked at. */
    for (int i = 0; i < 100; i++) {
        char host[32];
        snprintf(host, sizeof host, "h%d.example.test", i);
        tls_free(t.client);
        tls_free(t.server);
        t.server = tls_new(t.server_ctx, NULL);
        t.client = tls_new(t.client_ctx, host);
        talk_shake(&t, 4096);
        assert_int_equal(t.client_shook, -EPROTO);
    }
    talk_free(&t);
}

static void wrong_files_are_named(void **state)
{
    (void)state;
    static const struct {
        const char *certificate, *key, *why;
    } cases[] = {
        {"none.pem", "good.key", "the certificate %s/none.pem cannot be read: "},
        {"good.pem", "none.key", "the key %s/none.key cannot be read: "},
        {"good.key", "good.key", "%s/good.key is not a certificate in PEM form: "},
        {"good.pem", "good.pem", "%s/good.pem is not a private key in PEM form: "},
        {"good.pem", "old.key",
         "the key %s/old.key does not belong to the certificate %s/good.pem"},
        {"locked.pem", "locked.key", "the key %s/locked.key is protected by a passphrase"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct tls_ctx *c = NULL;
        struct buf why = {0};
        char certificate[256], key[256], expected[256];
        snprintf(certificate, sizeof certificate, "%s/%s", dir, cases[i].certificate);
        snprintf(key, sizeof key, "%s/%s", dir, cases[i].key);
        assert_int_equal(tls_server_ctx(certificate, key, &c, &why), -EINVAL);
        assert_null(c);
        size_t at = 0;
        for (const char *z = cases[i].why; *z; z++) {
            if (z[0] == '%') {
                at += (size_t)snprintf(expected + at, sizeof expected - at, "%s", dir);
                z++;
            } else {
                expected[at++] = *z;
            }
        }
        if (!str_starts(buf_str(&why), str_make(expected, at))) {
            fail_msg("%.*s", STR_ARG(buf_str(&why)));
        }
        buf_free(&why);
    }
    struct tls_ctx *c = NULL;
    struct buf why = {0};
    setenv("SSL_CERT_FILE", "/nonexistent/authorities.pem", 1);
    assert_int_equal(tls_client_ctx(&c, &why), -EINVAL);
    assert_true(str_starts(buf_str(&why), STR("SSL_CERT_FILE names /nonexistent/authorities.pem")));
    buf_free(&why);
    setenv("SSL_CERT_FILE", path_of("ca", "pem"), 1);
}

/* ---- peers that are OpenSSL itself, to see what is on the wire ---- */

struct raw {
    SSL_CTX *ctx;
    SSL *ssl;
    BIO *in, *out;
};

static struct raw raw_client(void)
{
    struct raw r = {.ctx = SSL_CTX_new(TLS_client_method())};
    SSL_CTX_set_cipher_list(r.ctx, "DEFAULT:@SECLEVEL=0");
    SSL_CTX_set_min_proto_version(r.ctx, TLS1_VERSION);
    r.ssl = SSL_new(r.ctx);
    r.in = BIO_new(BIO_s_mem());
    r.out = BIO_new(BIO_s_mem());
    SSL_set_bio(r.ssl, r.in, r.out);
    SSL_set_connect_state(r.ssl);
    return r;
}

static void raw_free(struct raw *r)
{
    SSL_free(r->ssl);
    SSL_CTX_free(r->ctx);
    ERR_clear_error();
}

static int raw_shake(struct raw *r, struct tls *server, int *ret_server)
{
    int shook = 0;
    *ret_server = 0;
    for (int i = 0; i < 10; i++) {
        char wire[16384];
        shook = SSL_do_handshake(r->ssl);
        int n = BIO_read(r->out, wire, sizeof wire);
        if (n > 0) {
            tls_feed(server, wire, (size_t)n);
        }
        *ret_server = *ret_server ? *ret_server : tls_shake(server);
        struct str s = tls_pending(server);
        if (s.n) {
            BIO_write(r->in, s.p, (int)s.n);
            tls_sent(server, s.n);
        }
    }
    return shook;
}

static void alpn_is_http11_or_nothing(void **state)
{
    (void)state;
    static const struct {
        const char *offer;
        unsigned n;
        int server;
        const char *chosen;
    } cases[] = {
        {"\x02h2\x08http/1.1", 12, 1, "http/1.1"},
        {"\x08http/1.1", 9, 1, "http/1.1"},
        {"", 0, 1, ""},
        {"\x02h2", 3, -EPROTO, ""},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct tls_ctx *c = server_ctx("good");
        struct tls *server = tls_new(c, NULL);
        struct raw r = raw_client();
        const unsigned char *chosen = NULL;
        unsigned n = 0;
        int server_shook;
        SSL_set_alpn_protos(r.ssl, (const unsigned char *)cases[i].offer, cases[i].n);
        raw_shake(&r, server, &server_shook);
        assert_int_equal(server_shook, cases[i].server);
        SSL_get0_alpn_selected(r.ssl, &chosen, &n);
        assert_true(str_eq(str_make((const char *)chosen, n), str_of(cases[i].chosen)));
        raw_free(&r);
        tls_free(server);
        tls_ctx_unref(c);
    }
}

static void old_versions_are_refused(void **state)
{
    (void)state;
    static const struct {
        int version, server;
    } cases[] = {
        {TLS1_VERSION, -EPROTO},
        {TLS1_1_VERSION, -EPROTO},
        {TLS1_2_VERSION, 1},
        {TLS1_3_VERSION, 1},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct tls_ctx *c = server_ctx("good");
        struct tls *server = tls_new(c, NULL);
        struct raw r = raw_client();
        int server_shook;
        SSL_set_max_proto_version(r.ssl, cases[i].version);
        raw_shake(&r, server, &server_shook);
        assert_int_equal(server_shook, cases[i].server);
        if (cases[i].server < 0) {
            assert_string_equal(tls_why(server), "the peer offers neither TLS 1.2 nor TLS 1.3");
        } else {
            /* Neither may renegotiate: 1.2 could, and must not (it burns our time for nothing). */
            assert_int_equal(SSL_version(r.ssl), cases[i].version);
            SSL_renegotiate(r.ssl);
            SSL_do_handshake(r.ssl);
            char wire[16384], c1;
            int n = BIO_read(r.out, wire, sizeof wire);
            if (n > 0) {
                tls_feed(server, wire, (size_t)n);
            }
            assert_true(tls_read(server, &c1, 1) <= 0);
            struct str s = tls_pending(server);
            assert_true(s.n < 100); /* a warning at most, no ServerHello */
        }
        raw_free(&r);
        tls_free(server);
        tls_ctx_unref(c);
    }
}

/* ---- contexts are shared ---- */

static void *many_handshakes(void *arg)
{
    struct talk *shared = arg;
    for (int i = 0; i < 40; i++) {
        struct talk t = {.server = tls_new(shared->server_ctx, NULL),
                         .client = tls_new(shared->client_ctx, "api.example.test")};
        talk_shake(&t, 4096);
        ssize_t last;
        must(t.client_shook == 1 && t.server_shook == 1);
        must(read_all(t.client, "", 0, &last) == 0);
        tls_free(t.server);
        tls_free(t.client);
    }
    return NULL;
}

static void threads_share_a_context(void **state)
{
    (void)state;
    struct talk t = {.server_ctx = server_ctx("good"), .client_ctx = client_ctx()};
    pthread_t thread[4];
    for (int i = 0; i < 4; i++) {
        assert_int_equal(pthread_create(&thread[i], NULL, many_handshakes, &t), 0);
    }
    for (int i = 0; i < 4; i++) {
        pthread_join(thread[i], NULL);
    }
    talk_free(&t);
}

static void nothing_is_freed_twice(void **state)
{
    (void)state;
    tls_free(NULL);
    tls_ctx_unref(NULL);
    struct tls_ctx *c = client_ctx();
    tls_ctx_unref(tls_ctx_ref(c));
    struct tls *t = tls_new(c, "api.example.test");
    tls_ctx_unref(c);
    assert_int_equal(tls_shake(t), 0);
    assert_true(tls_pending(t).n > 100);
    tls_free(t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(handshake_in_any_split),
        cmocka_unit_test(data_in_any_split),
        cmocka_unit_test(half_a_record_waits),
        cmocka_unit_test(close_notify_ends_one_direction),
        cmocka_unit_test(who_is_accepted),
        cmocka_unit_test(peers_that_do_not_speak_tls),
        cmocka_unit_test(broken_records_are_noticed),
        cmocka_unit_test(clients_resume),
        cmocka_unit_test(wrong_files_are_named),
        cmocka_unit_test(alpn_is_http11_or_nothing),
        cmocka_unit_test(old_versions_are_refused),
        cmocka_unit_test(threads_share_a_context),
        cmocka_unit_test(nothing_is_freed_twice),
    };
    return cmocka_run_group_tests(tests, make_certificates, remove_certificates);
}
