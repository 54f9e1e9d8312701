/* TLS by OpenSSL over memory: bytes in, bytes out, no sockets. TLS 1.2 and up, ALPN http/1.1 only.
 *
 * A context may be shared by threads (its reference count is atomic); a session belongs to one
 * stream. */
#ifndef NET_TLS_H
#define NET_TLS_H

#include <sys/types.h>

#include "base/buf.h"
#include "base/str.h"

struct tls_ctx;
struct tls;

/* A server's context from PEM files. 0 or -EINVAL with the reason in `why`. */
__attribute__((warn_unused_result)) int tls_server_ctx(const char *certificate, const char *key,
                                                       struct tls_ctx **ret, struct buf *why);
/* The client context: the system's authorities (or SSL_CERT_FILE / SSL_CERT_DIR), verification on.
 */
__attribute__((warn_unused_result)) int tls_client_ctx(struct tls_ctx **ret, struct buf *why);
struct tls_ctx *tls_ctx_ref(struct tls_ctx *c);
void tls_ctx_unref(struct tls_ctx *c); /* NULL is allowed */

/* A session; `host` NULL for the server's side. Never NULL. */
struct tls *tls_new(struct tls_ctx *c, const char *host);
void tls_free(struct tls *t); /* NULL is allowed */

/* Ciphertext from the peer; all of it is taken (at most 64 KiB at a time). */
void tls_feed(struct tls *t, const char *p, size_t n);

/* Goes on with the handshake: 1 done, 0 needs the peer, -EPROTO failed (tls_why() tells). */
int tls_shake(struct tls *t);
const char *tls_why(const struct tls *t);

/* Plaintext that has arrived: > 0 bytes, 0 nothing now, -ECONNRESET after the peer's close_notify,
 * -EPROTO broken. */
ssize_t tls_read(struct tls *t, char *to, size_t n);

/* Encrypts all of it. 0 or -EPROTO. Only after the handshake. */
__attribute__((warn_unused_result)) int tls_write(struct tls *t, const char *p, size_t n);
void tls_close_notify(struct tls *t);

/* Ciphertext for the peer; tls_sent() says how much of it went on its way. */
struct str tls_pending(struct tls *t);
void tls_sent(struct tls *t, size_t n);

#endif
