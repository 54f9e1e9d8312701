#include "net/tls_ctx.h"

#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <openssl/err.h>
#include <openssl/x509v3.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/must.h"

/* Sessions that clients may resume, a slot by the hash of the host's name. A session is a few KiB
 * with the peer's chain, so there are few slots; a host that loses its slot pays one full handshake
 * more. */
enum { TICKETS = 32 };

struct ticket {
    char *host;
    SSL_SESSION *session;
};

struct tls_ctx {
    _Atomic unsigned refs;
    SSL_CTX *ssl;
    bool client;
    pthread_mutex_t lock; /* of what follows */
    bool authorities_loaded;
    struct ticket tickets[TICKETS];
};

static const unsigned char alpn[] = "\x08http/1.1";
enum { ALPN_LEN = sizeof alpn - 1 };

/* A client that offers protocols, and ours is not among them, is told so (RFC 7301, 3.2). */
static int select_alpn(SSL *ssl, const unsigned char **out, unsigned char *out_len,
                       const unsigned char *in, unsigned in_len, void *arg)
{
    (void)ssl;
    (void)arg;
    unsigned char *chosen;
    if (SSL_select_next_proto(&chosen, out_len, alpn, ALPN_LEN, in, in_len) !=
        OPENSSL_NPN_NEGOTIATED) {
        return SSL_TLSEXT_ERR_ALERT_FATAL;
    }
    *out = chosen;
    return SSL_TLSEXT_ERR_OK;
}

/* Keys that ask for a passphrase are refused: OpenSSL's own way is to ask the terminal. */
static int no_passphrase(char *to, int n, int writing, void *arg)
{
    (void)to;
    (void)n;
    (void)writing;
    *(bool *)arg = true;
    return -1;
}

static const char *openssl_reason(void)
{
    const char *z = ERR_reason_error_string(ERR_peek_error());
    return z ? z : "no reason given by OpenSSL";
}

static struct tls_ctx *ctx_new(const SSL_METHOD *method, struct buf *why)
{
    ERR_clear_error();
    SSL_CTX *ssl = SSL_CTX_new(method);
    if (!ssl) {
        buf_printf(why, "OpenSSL does not start: %s", openssl_reason());
        return NULL;
    }
    SSL_CTX_set_min_proto_version(ssl, TLS1_2_VERSION);
    SSL_CTX_set_options(ssl, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION);
    SSL_CTX_set_mode(ssl, SSL_MODE_RELEASE_BUFFERS);
    struct tls_ctx *c = mem_zalloc(sizeof *c);
    c->refs = 1;
    c->ssl = ssl;
    pthread_mutex_init(&c->lock, NULL);
    SSL_CTX_set_app_data(ssl, c);
    return c;
}

static int load_pair(SSL_CTX *ssl, const char *certificate, const char *key, struct buf *why)
{
    bool asked = false;
    SSL_CTX_set_default_passwd_cb(ssl, no_passphrase);
    SSL_CTX_set_default_passwd_cb_userdata(ssl, &asked);
    int bad = -EINVAL;
    if (access(certificate, R_OK) < 0) {
        buf_printf(why, "the certificate %s cannot be read: %s", certificate, strerror(errno));
    } else if (access(key, R_OK) < 0) {
        buf_printf(why, "the key %s cannot be read: %s", key, strerror(errno));
    } else if (SSL_CTX_use_certificate_chain_file(ssl, certificate) != 1) {
        buf_printf(why, "%s is not a certificate in PEM form: %s", certificate, openssl_reason());
    } else if (SSL_CTX_use_PrivateKey_file(ssl, key, SSL_FILETYPE_PEM) != 1) {
        int reason = ERR_GET_REASON(ERR_peek_error());
        if (asked) {
            buf_printf(why, "the key %s is protected by a passphrase", key);
        } else if (reason == X509_R_KEY_VALUES_MISMATCH || reason == X509_R_KEY_TYPE_MISMATCH) {
            buf_printf(why, "the key %s does not belong to the certificate %s", key, certificate);
        } else {
            buf_printf(why, "%s is not a private key in PEM form: %s", key, openssl_reason());
        }
    } else if (SSL_CTX_check_private_key(ssl) != 1) {
        buf_printf(why, "the key %s does not belong to the certificate %s", key, certificate);
    } else {
        bad = 0;
    }
    SSL_CTX_set_default_passwd_cb_userdata(ssl, NULL);
    ERR_clear_error();
    return bad;
}

int tls_server_ctx(const char *certificate, const char *key, struct tls_ctx **ret, struct buf *why)
{
    struct tls_ctx *c = ctx_new(TLS_server_method(), why);
    if (!c) {
        return -EINVAL;
    }
    if (load_pair(c->ssl, certificate, key, why) < 0) {
        tls_ctx_unref(c);
        return -EINVAL;
    }
    /* Every client of TLS 1.2 can do one of these; the others lack forward secrecy or an AEAD. */
    SSL_CTX_set_cipher_list(c->ssl, "ECDHE+AESGCM:ECDHE+CHACHA20");
    SSL_CTX_set_alpn_select_cb(c->ssl, select_alpn, NULL);
    /* Resumption by tickets, whose keys all workers share in this context: nothing to store here.
     */
    SSL_CTX_set_session_cache_mode(c->ssl, SSL_SESS_CACHE_OFF);
    SSL_CTX_set_num_tickets(c->ssl, 1);
    *ret = c;
    return 0;
}

static struct ticket *ticket_of(struct tls_ctx *c, const char *host)
{
    uint64_t h = 14695981039346656037U; /* FNV-1a */
    for (const char *z = host; *z; z++) {
        h = (h ^ (unsigned char)*z) * 1099511628211U;
    }
    return &c->tickets[h % TICKETS];
}

static int remember_session(SSL *ssl, SSL_SESSION *session)
{
    struct tls_ctx *c = SSL_CTX_get_app_data(SSL_get_SSL_CTX(ssl));
    const char *for_host = SSL_get_app_data(ssl);
    if (!for_host || SSL_get_verify_result(ssl) != X509_V_OK) {
        return 0;
    }
    char *host = mem_zalloc(strlen(for_host) + 1);
    memcpy(host, for_host, strlen(for_host));
    pthread_mutex_lock(&c->lock);
    struct ticket *k = ticket_of(c, host);
    struct ticket old = *k;
    *k = (struct ticket){host, session};
    pthread_mutex_unlock(&c->lock);
    free(old.host);
    SSL_SESSION_free(old.session);
    return 1; /* the reference is ours now */
}

/* A session is taken out to be used: a ticket used twice lets an onlooker link the two connections
 * (RFC 8446, C.4), and the handshake brings a new one. */
static void resume_session(struct tls_ctx *c, SSL *ssl, const char *host)
{
    SSL_SESSION *session = NULL;
    pthread_mutex_lock(&c->lock);
    struct ticket *k = ticket_of(c, host);
    if (k->host && strcmp(k->host, host) == 0) {
        session = k->session;
        free(k->host);
        *k = (struct ticket){0};
    }
    pthread_mutex_unlock(&c->lock);
    if (session) {
        SSL_set_session(ssl, session);
        SSL_SESSION_free(session);
    }
}

int tls_client_ctx(struct tls_ctx **ret, struct buf *why)
{
    const char *file = getenv("SSL_CERT_FILE");
    if (file && *file && access(file, R_OK) < 0) {
        buf_printf(why, "SSL_CERT_FILE names %s, which cannot be read: %s", file, strerror(errno));
        return -EINVAL;
    }
    struct tls_ctx *c = ctx_new(TLS_client_method(), why);
    if (!c) {
        return -EINVAL;
    }
    c->client = true;
    SSL_CTX_set_verify(c->ssl, SSL_VERIFY_PEER, NULL);
    must(SSL_CTX_set_alpn_protos(c->ssl, alpn, ALPN_LEN) == 0);
    SSL_CTX_set_session_cache_mode(c->ssl, SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
    SSL_CTX_sess_set_new_cb(c->ssl, remember_session);
    *ret = c;
    return 0;
}

/* Where distributions keep the authorities. OpenSSL's own place comes first, but on Debian it is a
 * link that belongs to the command line tool, and small systems have the authorities without the
 * tool. */
static const char *const directories[] = {
    "/etc/ssl/certs",
    "/etc/pki/tls/certs",
};
static const char *const bundles[] = {
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
    "/etc/ssl/cert.pem",
};

/* Whether the system's certificates can be found there by hash ("4a6481c9.0"), and not only a few
 * that somebody has added to a bundle. */
static bool has_hashes(const char *path)
{
    enum { A_FEW = 16 };
    int found = 0;
    DIR *d = opendir(path);
    for (struct dirent *e = d ? readdir(d) : NULL; e && found <= A_FEW; e = readdir(d)) {
        found += strspn(e->d_name, "0123456789abcdef") == 8 && strcmp(e->d_name + 8, ".0") == 0;
    }
    if (d) {
        closedir(d);
    }
    return found > A_FEW;
}

static bool load_directory(SSL_CTX *ssl, const char *path)
{
    return has_hashes(path) && SSL_CTX_load_verify_dir(ssl, path) == 1;
}

static void find_authorities(SSL_CTX *ssl)
{
    const char *file = getenv(X509_get_default_cert_file_env());
    const char *dir = getenv(X509_get_default_cert_dir_env());
    if ((file && *file) || (dir && *dir)) {
        SSL_CTX_set_default_verify_paths(ssl);
        return;
    }
    /* A directory is looked into for one issuer at a time, when it is asked for. A bundle is read
     * whole: 1.5 MiB, and a stall of tens of milliseconds. */
    bool found = load_directory(ssl, X509_get_default_cert_dir());
    for (size_t i = 0; !found && i < sizeof directories / sizeof *directories; i++) {
        found = load_directory(ssl, directories[i]);
    }
    found = found || SSL_CTX_load_verify_file(ssl, X509_get_default_cert_file()) == 1;
    for (size_t i = 0; !found && i < sizeof bundles / sizeof *bundles; i++) {
        found = SSL_CTX_load_verify_file(ssl, bundles[i]) == 1;
    }
}

/* When the first connection needs them. What is not found shows in the handshake: unknown issuer.
 */
static void load_authorities(struct tls_ctx *c)
{
    pthread_mutex_lock(&c->lock);
    if (!c->authorities_loaded) {
        c->authorities_loaded = true;
        find_authorities(c->ssl);
        ERR_clear_error();
    }
    pthread_mutex_unlock(&c->lock);
}

struct tls_ctx *tls_ctx_ref(struct tls_ctx *c)
{
    atomic_fetch_add_explicit(&c->refs, 1, memory_order_relaxed);
    return c;
}

void tls_ctx_unref(struct tls_ctx *c)
{
    if (!c || atomic_fetch_sub_explicit(&c->refs, 1, memory_order_acq_rel) != 1) {
        return;
    }
    for (int i = 0; i < TICKETS; i++) {
        free(c->tickets[i].host);
        SSL_SESSION_free(c->tickets[i].session);
    }
    SSL_CTX_free(c->ssl);
    pthread_mutex_destroy(&c->lock);
    free(c);
}

/* ---- sessions ---- */

/* Whom the certificate must be for. An address is looked for among the certificate's addresses and
 * is never sent as SNI (RFC 6066, 3). */
static void expect_host(SSL *ssl, const char *host)
{
    unsigned char address[16];
    SSL_set_hostflags(ssl, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
    if (inet_pton(AF_INET, host, address) == 1 || inet_pton(AF_INET6, host, address) == 1) {
        must(X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(ssl), host) == 1);
    } else {
        must(SSL_set1_host(ssl, host) == 1);
        SSL_set_tlsext_host_name(ssl, host);
    }
}

SSL *tls_ctx_session(struct tls_ctx *c, const char *host)
{
    must(c->client == (host != NULL));
    if (host) {
        load_authorities(c);
    }
    SSL *ssl = SSL_new(c->ssl);
    must(ssl);
    if (host) {
        SSL_set_app_data(ssl, (void *)(uintptr_t)host);
        expect_host(ssl, host);
        resume_session(c, ssl, host);
        SSL_set_connect_state(ssl);
    } else {
        SSL_set_accept_state(ssl);
    }
    return ssl;
}
