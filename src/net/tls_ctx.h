/* What tls.c needs of a context: sessions made ready. Not for other files. */
#ifndef NET_TLS_CTX_H
#define NET_TLS_CTX_H

#include <openssl/ssl.h>

#include "net/tls.h"

/* A session without its BIO. With `host` (which has to live as long as the session, and NULL is the
 * server's side) it knows whom to expect and resumes an earlier session when there is one. */
SSL *tls_ctx_session(struct tls_ctx *c, const char *host);

#endif
