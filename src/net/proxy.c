#include "net/proxy.h"

#include <errno.h>
#include <openssl/evp.h>
#include <stdlib.h>

#include "net/names.h"

/* ---- the tunnel ---- */

void proxy_request(struct buf *b, const struct connect_target *t)
{
    const char *open = "", *close = "";
    if (str_chr(t->host, ':') >= 0) {
        open = "[";
        close = "]";
    }
    buf_printf(b, "CONNECT %s%.*s%s:%u HTTP/1.1\r\nHost: %s%.*s%s:%u\r\n", open, STR_ARG(t->host),
               close, t->port, open, STR_ARG(t->host), close, t->port);
    if (t->proxy_auth.n) {
        buf_printf(b, "Proxy-Authorization: %.*s\r\n", STR_ARG(t->proxy_auth));
    }
    buf_add(b, STR("\r\n"));
}

/* The code of a status line, 0 when it is none. */
static unsigned status_of(struct str line)
{
    uint64_t code;
    if (line.n < 12 || !str_starts(line, STR("HTTP/1.")) || line.p[8] != ' ' ||
        str_to_u64(str_make(line.p + 9, 3), &code) < 0) {
        return 0;
    }
    return line.n == 12 || line.p[12] == ' ' ? (unsigned)code : 0;
}

static void add_printable(struct buf *b, struct str s)
{
    for (size_t i = 0; i < s.n && i < 80; i++) {
        buf_addc(b, s.p[i] >= 0x20 && s.p[i] < 0x7f ? s.p[i] : '?');
    }
}

int proxy_answer(struct str got, struct buf *why)
{
    for (;;) {
        ptrdiff_t end = str_find(got, STR("\r\n\r\n"));
        if (end < 0) {
            if (got.n >= PROXY_HEAD_MAX) {
                buf_addz(why, "its answer does not end");
                return -EPROTO;
            }
            return 0;
        }
        struct str line = str_first(got, (size_t)str_find(got, STR("\r\n")));
        unsigned status = status_of(line);
        got = str_from(got, (size_t)end + 4);
        if (status == 0) {
            buf_addz(why, "it does not speak HTTP");
            return -EPROTO;
        }
        if (status < 200) {
            continue; /* an interim answer (RFC 9110, 15.2) */
        }
        if (status >= 300) {
            buf_addz(why, status == 407 ? "it wants a user and a password: " : "it answered: ");
            add_printable(why, str_from(line, 9));
            return -EPROTO;
        }
        if (got.n) {
            /* We speak first in TLS: these bytes are not from the target. */
            buf_addz(why, "it put bytes of its own into the tunnel");
            return -EPROTO;
        }
        return 1;
    }
}

/* ---- the environment ---- */

static const char *first_set(const char *const *names, const char **ret_name)
{
    for (; *names; names++) {
        const char *z = getenv(*names);
        if (z && *z) {
            *ret_name = *names;
            return z;
        }
    }
    return NULL;
}

static bool same_bits(const struct address *a, const struct address *b, uint64_t bits)
{
    if (a->n != b->n || bits > a->n * 8U) {
        return false;
    }
    size_t whole = bits / 8;
    unsigned rest = bits % 8;
    return memcmp(a->bytes, b->bytes, whole) == 0 &&
           (rest == 0 || (a->bytes[whole] ^ b->bytes[whole]) >> (8 - rest) == 0);
}

static struct str unbracketed(struct str s)
{
    bool has = s.n >= 2 && s.p[0] == '[' && s.p[s.n - 1] == ']';
    return has ? str_make(s.p + 1, s.n - 2) : s;
}

static bool address_matches(const struct address *host, struct str entry)
{
    struct str text;
    struct address a;
    uint64_t bits;
    bool cidr = str_cut(&entry, '/', &text);
    if (!names_literal(unbracketed(text), &a)) {
        return false;
    }
    if (!cidr) {
        bits = a.n * 8U;
    } else if (str_to_u64(entry, &bits) < 0) {
        return false;
    }
    return same_bits(host, &a, bits);
}

/* "example.com", ".example.com" and "*.example.com" all stand for the domain and what is under it.
 */
static bool name_matches(struct str host, struct str entry)
{
    if (str_starts(entry, STR("*."))) {
        entry = str_from(entry, 1);
    }
    if (str_starts(entry, STR("."))) {
        entry = str_from(entry, 1);
    }
    if (str_ends(entry, STR("."))) {
        entry.n--;
    }
    if (entry.n == 0 || entry.n > host.n) {
        return false;
    }
    struct str tail = str_from(host, host.n - entry.n);
    return str_ieq(tail, entry) && (tail.n == host.n || tail.p[-1] == '.');
}

static bool is_exempt(struct str host, struct str list)
{
    struct address a;
    bool literal = names_literal(host, &a);
    if (str_eq(str_trim(list), STR("*"))) {
        return true;
    }
    if (str_ends(host, STR("."))) {
        host.n--;
    }
    while (list.n) {
        size_t n = 0;
        while (n < list.n && list.p[n] != ',' && list.p[n] != ' ' && list.p[n] != '\t') {
            n++;
        }
        struct str entry = str_first(list, n);
        list = str_from(list, n + 1);
        if (entry.n && (literal ? address_matches(&a, entry) : name_matches(host, entry))) {
            return true;
        }
    }
    return false;
}

static int hex(char c)
{
    if (c >= '0' && c <= '9') {
        return c - '0';
    }
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* Undoes %XX at `s`'s own length or less; false when it is malformed or hides a control character.
 */
static bool decode(struct str s, char *to, size_t *ret_n)
{
    size_t n = 0;
    for (size_t i = 0; i < s.n; i++) {
        int c = (unsigned char)s.p[i];
        if (c == '%') {
            int high = i + 2 < s.n ? hex(s.p[i + 1]) : -1;
            int low = high >= 0 ? hex(s.p[i + 2]) : -1;
            if (low < 0) {
                return false;
            }
            c = high << 4 | low;
            i += 2;
        }
        if (c < 0x20 || c == 0x7f) {
            return false;
        }
        to[n++] = (char)c;
    }
    *ret_n = n;
    return true;
}

/* "user:password" as the value of Proxy-Authorization (RFC 7617). */
static bool basic(struct arena *a, struct str userinfo, struct str *ret)
{
    char *plain = arena_alloc(a, userinfo.n + 2);
    size_t n;
    if (!decode(userinfo, plain, &n)) {
        return false;
    }
    if (str_chr(userinfo, ':') < 0) {
        plain[n++] = ':';
    }
    char *value = arena_alloc(a, 6 + 4 * ((n + 2) / 3) + 1);
    memcpy(value, "Basic ", 6);
    int len = EVP_EncodeBlock((unsigned char *)value + 6, (const unsigned char *)plain, (int)n);
    *ret = str_make(value, 6 + (size_t)len);
    return true;
}

static bool take_port(struct str text, uint16_t *ret)
{
    uint64_t port;
    if (str_to_u64(text, &port) < 0 || port == 0 || port > 65535) {
        return false;
    }
    *ret = (uint16_t)port;
    return true;
}

/* "host", "host:port", "[v6]:port". Without a port it is curl's 1080. */
static bool take_authority(struct str s, struct str *ret_host, uint16_t *ret_port)
{
    struct str host;
    *ret_port = 1080;
    if (str_starts(s, STR("["))) {
        struct address a;
        struct str rest = str_from(s, 1);
        if (!str_cut(&rest, ']', &host) || !names_literal(host, &a) || a.n != 16) {
            return false;
        }
        if (rest.n && (rest.p[0] != ':' || !take_port(str_from(rest, 1), ret_port))) {
            return false;
        }
    } else if (str_cut(&s, ':', &host) && !take_port(s, ret_port)) {
        return false;
    }
    for (size_t i = 0; i < host.n; i++) {
        if (host.p[i] <= 0x20 || host.p[i] == 0x7f || host.p[i] == '%') {
            return false;
        }
    }
    *ret_host = host;
    return host.n > 0;
}

static bool take_proxy(struct arena *a, struct str url, struct connect_target *t)
{
    struct str host, auth = {0}, authority;
    uint16_t port;
    ptrdiff_t scheme = str_find(url, STR("://"));
    if (scheme >= 0) {
        /* TLS to the proxy itself and SOCKS are not there: better to say so than to go around it.
         */
        if (!str_ieq(str_first(url, (size_t)scheme), STR("http"))) {
            return false;
        }
        url = str_from(url, (size_t)scheme + 3);
    }
    str_cut(&url, '/', &authority);
    const char *at = authority.n ? memrchr(authority.p, '@', authority.n) : NULL;
    if (at) {
        size_t n = (size_t)(at - authority.p);
        if (!basic(a, str_first(authority, n), &auth)) {
            return false;
        }
        authority = str_from(authority, n + 1);
    }
    if (!take_authority(authority, &host, &port)) {
        return false;
    }
    t->proxy_host = arena_dup(a, host);
    t->proxy_port = port;
    t->proxy_auth = auth;
    return true;
}

int connect_proxy_from_env(struct arena *a, struct connect_target *t, const char **ret_variable)
{
    static const char *const plain[] = {"http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY", NULL};
    static const char *const tls[] = {"https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY", NULL};
    static const char *const none[] = {"no_proxy", "NO_PROXY", NULL};
    const char *name = NULL, *ignored;
    if (t->port == 0) {
        return 0;
    }
    const char *url = first_set(t->tls ? tls : plain, &name);
    const char *exempt = first_set(none, &ignored);
    if (!url || (exempt && is_exempt(t->host, str_of(exempt)))) {
        return 0;
    }
    if (!take_proxy(a, str_trim(str_of(url)), t)) {
        *ret_variable = name;
        return -EINVAL;
    }
    return 0;
}
