/* Making connections: names are looked up off the loop and remembered for a while, IPv6 and IPv4
 * are raced (RFC 8305), a proxy from the environment is honoured, addresses are checked, and TLS is
 * put on top when asked for. */
#ifndef NET_CONNECT_H
#define NET_CONNECT_H

#include "net/stream.h"
#include "net/tls.h"

enum connect_failure {
    CONNECT_OK,
    CONNECT_NAME,    /* the name does not resolve */
    CONNECT_PRIVATE, /* it resolves to private addresses only, and those are not allowed */
    CONNECT_REFUSED, /* no address takes the connection */
    CONNECT_TIMEOUT,
    CONNECT_TLS,
    CONNECT_PROXY,
};

struct connect_target {
    struct str host; /* name or literal address, without brackets; or the path of a unix socket */
    uint16_t port;   /* 0: `host` is the path of a unix socket */
    bool tls;
    bool allow_private;    /* loopback, RFC 1918, link-local, ULA, 100.64/10 ... (SSRF, RFC 6890) */
    struct str proxy_host; /* empty: none. With TLS a tunnel is made by CONNECT (RFC 9110, 9.3.6) */
    uint16_t proxy_port;
    struct str proxy_auth;   /* value of Proxy-Authorization; empty: none */
    struct tls_ctx *tls_ctx; /* for tls */
    uint64_t timeout_ms;     /* over everything */
};

struct connecting;

/* Starts. Exactly one call of `done` follows, never from inside connect_start(): with a stream
 * (paused, its events unset) and CONNECT_OK, or NULL, the failure and a sentence for the log that
 * names the host. The target's slices must live until then. */
struct connecting *connect_start(struct loop *l, const struct connect_target *t,
                                 void (*done)(void *arg, struct stream *s, enum connect_failure why,
                                              const char *detail),
                                 void *arg);
/* Gives up; `done` is not called. */
void connect_cancel(struct connecting *c);

/* Fills the proxy fields for scheme/host from HTTP_PROXY, HTTPS_PROXY (also lower case; http_proxy
 * only in lower case is not special here), ALL_PROXY and NO_PROXY as curl reads them. Returns
 * -EINVAL with the variable's name in `*ret_variable` when one cannot be understood. Slices are
 * copied into `a`. */
__attribute__((warn_unused_result)) int
connect_proxy_from_env(struct arena *a, struct connect_target *t, const char **ret_variable);

/* Whether the address (network order, 4 or 16 bytes) is not a public one (RFC 6890). */
bool address_is_private(const uint8_t *address, size_t n);

#endif
