#include "net/tls.h"

#include <errno.h>
#include <openssl/err.h>
#include <pthread.h>
#include <stdlib.h>

#include "base/must.h"
#include "net/tls_ctx.h"

/* Bytes in transit. Nothing is held while nothing waits: most sessions are idle most of the time.
 */
struct bytes {
    char *p;
    size_t at, n, cap;
};

struct tls {
    SSL *ssl;
    struct tls_ctx *ctx;
    char *host; /* NULL: the server's side */
    char *reason;
    struct bytes in, out;
};

static void bytes_clear(struct bytes *b)
{
    free(b->p);
    *b = (struct bytes){0};
}

static void bytes_reserve(struct bytes *b, size_t more)
{
    if (b->at) {
        memmove(b->p, b->p + b->at, b->n - b->at);
        b->n -= b->at;
        b->at = 0;
    }
    if (b->cap - b->n < more) {
        size_t cap = b->n + more;
        b->cap = b->cap * 2 > cap ? b->cap * 2 : cap;
        b->p = mem_realloc(b->p, b->cap);
    }
}

static void bytes_add(struct bytes *b, const char *p, size_t n)
{
    if (n) {
        if (b->cap - b->n < n) {
            bytes_reserve(b, n);
        }
        memcpy(b->p + b->n, p, n);
        b->n += n;
    }
}

static void bytes_drop(struct bytes *b, size_t n)
{
    must(n <= b->n - b->at);
    b->at += n;
    if (b->at == b->n) {
        bytes_clear(b);
    }
}

/* ---- what OpenSSL reads from and writes to: OpenSSL's own memory BIO never gives memory back ----
 */

static int bio_read(BIO *bio, char *to, int n)
{
    struct tls *t = BIO_get_data(bio);
    size_t have = t->in.n - t->in.at;
    BIO_clear_retry_flags(bio);
    if (n <= 0) {
        return 0;
    }
    if (!have) {
        BIO_set_retry_read(bio);
        return -1;
    }
    size_t take = have < (size_t)n ? have : (size_t)n;
    memcpy(to, t->in.p + t->in.at, take);
    bytes_drop(&t->in, take);
    return (int)take;
}

static int bio_write(BIO *bio, const char *from, int n)
{
    struct tls *t = BIO_get_data(bio);
    BIO_clear_retry_flags(bio);
    if (n <= 0) {
        return 0;
    }
    bytes_add(&t->out, from, (size_t)n);
    return n;
}

static long bio_ctrl(BIO *bio, int cmd, long num, void *ptr)
{
    (void)bio;
    (void)num;
    (void)ptr;
    return cmd == BIO_CTRL_FLUSH || cmd == BIO_CTRL_DUP;
}

static BIO_METHOD *bio_method;

static void make_bio_method(void)
{
    bio_method = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "stream");
    must(bio_method);
    BIO_meth_set_read(bio_method, bio_read);
    BIO_meth_set_write(bio_method, bio_write);
    BIO_meth_set_ctrl(bio_method, bio_ctrl);
}

static BIO *bio_for(struct tls *t)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, make_bio_method);
    BIO *bio = BIO_new(bio_method);
    must(bio);
    BIO_set_data(bio, t);
    BIO_set_init(bio, 1);
    return bio;
}

/* ---- sessions ---- */

struct tls *tls_new(struct tls_ctx *c, const char *host)
{
    struct tls *t = mem_zalloc(sizeof *t);
    t->ctx = tls_ctx_ref(c);
    if (host) {
        size_t n = strlen(host);
        n -= n > 1 && host[n - 1] == '.'; /* the root's dot is no part of a certificate's name */
        t->host = mem_zalloc(n + 1);
        memcpy(t->host, host, n);
    }
    t->ssl = tls_ctx_session(c, t->host);
    BIO *bio = bio_for(t);
    SSL_set_bio(t->ssl, bio, bio);
    return t;
}

void tls_free(struct tls *t)
{
    if (!t) {
        return;
    }
    if (SSL_is_init_finished(t->ssl)) {
        /* Else OpenSSL takes a connection closed without close_notify for a reason to burn its
         * ticket. */
        SSL_set_shutdown(t->ssl, SSL_SENT_SHUTDOWN | SSL_RECEIVED_SHUTDOWN);
    }
    SSL_free(t->ssl);
    bytes_clear(&t->in);
    bytes_clear(&t->out);
    free(t->host);
    free(t->reason);
    tls_ctx_unref(t->ctx);
    free(t);
}

void tls_feed(struct tls *t, const char *p, size_t n)
{
    bytes_add(&t->in, p, n);
}

/* ---- reasons ---- */

static void explain_certificate(struct tls *t, long code, struct buf *b)
{
    const char *text = X509_verify_cert_error_string(code);
    switch (code) {
    case X509_V_ERR_HOSTNAME_MISMATCH:
    case X509_V_ERR_IP_ADDRESS_MISMATCH:
        buf_printf(b, "the certificate is not for %s", t->host);
        break;
    case X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT:
    case X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN:
    case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY:
    case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT:
    case X509_V_ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE:
        buf_printf(b,
                   "the certificate comes from no authority trusted here: %s "
                   "(SSL_CERT_FILE may name more authorities)",
                   text);
        break;
    default:
        buf_printf(b, "the certificate is refused: %s", text);
    }
}

static void explain_error(unsigned long e, struct buf *b)
{
    int reason = ERR_GET_REASON(e);
    const char *text = ERR_reason_error_string(e);
    if (ERR_GET_LIB(e) != ERR_LIB_SSL) {
        buf_printf(b, "TLS failed: %s", text ? text : "OpenSSL gives no reason");
        return;
    }
    switch (reason) {
    case SSL_R_WRONG_VERSION_NUMBER:
    case SSL_R_PACKET_LENGTH_TOO_LONG:
    case SSL_R_UNEXPECTED_MESSAGE:
    case SSL_R_RECORD_LENGTH_MISMATCH:
    case SSL_R_BAD_RECORD_TYPE:
        buf_addz(b, "the peer does not speak TLS");
        return;
    case SSL_R_HTTP_REQUEST:
    case SSL_R_HTTPS_PROXY_REQUEST:
        buf_addz(b, "the peer speaks plain HTTP, not TLS");
        return;
    case SSL_R_UNSUPPORTED_PROTOCOL:
    case SSL_R_VERSION_TOO_LOW:
    case SSL_R_TLSV1_ALERT_PROTOCOL_VERSION:
        buf_addz(b, "the peer offers neither TLS 1.2 nor TLS 1.3");
        return;
    case SSL_R_NO_SHARED_CIPHER:
        buf_addz(b, "no cipher is known to both sides");
        return;
    case SSL_R_NO_APPLICATION_PROTOCOL:
        buf_addz(b, "the peer does not offer http/1.1");
        return;
    }
    if (reason > SSL_AD_REASON_OFFSET) {
        buf_printf(b, "the peer refused: %s",
                   SSL_alert_desc_string_long(reason - SSL_AD_REASON_OFFSET));
    } else {
        buf_printf(b, "TLS failed: %s", text ? text : "OpenSSL gives no reason");
    }
}

/* Keeps the first reason: what follows a failure is noise. */
static int broken(struct tls *t)
{
    if (!t->reason) {
        struct buf b = {.limit = 512};
        long verified = SSL_get_verify_result(t->ssl);
        if (t->host && verified != X509_V_OK) {
            explain_certificate(t, verified, &b);
        } else {
            explain_error(ERR_peek_error(), &b);
        }
        buf_addc(&b, 0);
        t->reason = b.p;
    }
    ERR_clear_error();
    return -EPROTO;
}

const char *tls_why(const struct tls *t)
{
    return t->reason ? t->reason : "no reason known";
}

/* ---- talking ---- */

int tls_shake(struct tls *t)
{
    if (t->reason) {
        return -EPROTO;
    }
    ERR_clear_error();
    int r = SSL_do_handshake(t->ssl);
    if (r == 1) {
        return 1;
    }
    return SSL_get_error(t->ssl, r) == SSL_ERROR_WANT_READ ? 0 : broken(t);
}

ssize_t tls_read(struct tls *t, char *to, size_t n)
{
    size_t got;
    if (t->reason) {
        return -EPROTO;
    }
    ERR_clear_error();
    if (SSL_read_ex(t->ssl, to, n, &got) == 1) {
        return (ssize_t)got;
    }
    switch (SSL_get_error(t->ssl, 0)) {
    case SSL_ERROR_WANT_READ:
        return 0;
    case SSL_ERROR_ZERO_RETURN:
        return -ECONNRESET;
    default:
        return broken(t);
    }
}

/* A record adds at most 5 + 16 + 1 bytes in TLS 1.3 and 5 + 8 + 16 in TLS 1.2 with AES-GCM. */
enum { RECORD = 16384, RECORD_OVERHEAD = 32 };

int tls_write(struct tls *t, const char *p, size_t n)
{
    size_t written;
    if (n == 0) {
        return 0;
    }
    if (t->reason) {
        return -EPROTO;
    }
    ERR_clear_error();
    bytes_reserve(&t->out, n + (n / RECORD + 1) * RECORD_OVERHEAD);
    /* The BIO takes everything, so OpenSSL never stops halfway. */
    if (SSL_write_ex(t->ssl, p, n, &written) != 1 || written != n) {
        return broken(t);
    }
    return 0;
}

void tls_close_notify(struct tls *t)
{
    if (SSL_is_init_finished(t->ssl) && !t->reason) {
        ERR_clear_error();
        SSL_shutdown(t->ssl);
        ERR_clear_error();
    }
}

struct str tls_pending(struct tls *t)
{
    return str_make(t->out.p ? t->out.p + t->out.at : NULL, t->out.n - t->out.at);
}

void tls_sent(struct tls *t, size_t n)
{
    bytes_drop(&t->out, n);
}
