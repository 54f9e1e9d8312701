#include "dialect/sigv4.h"

#include <errno.h>
#include <openssl/crypto.h>
#include <openssl/hmac.h>
#include <openssl/sha.h>
#include <stdlib.h>
#include <time.h>

#include "base/must.h"

#define ALGORITHM "AWS4-HMAC-SHA256"

enum { SECRET_MAX = 512 };

/* ---- keys and sums ---- */

static void put_hex(char *to, const unsigned char *p, size_t n)
{
    static const char digits[] = "0123456789abcdef";
    for (size_t i = 0; i < n; i++) {
        *to++ = digits[p[i] >> 4];
        *to++ = digits[p[i] & 15];
    }
}

static void hmac(const void *key, size_t key_n, struct str text, unsigned char ret[SIGV4_KEY_N])
{
    must(HMAC(EVP_sha256(), key, (int)key_n, (const unsigned char *)text.p, text.n, ret, NULL));
}

int sigv4_key(struct secret secret_key, struct str day, struct str region, struct str service,
              unsigned char ret[SIGV4_KEY_N])
{
    struct str secret = secret_reveal(secret_key);
    char first[4 + SECRET_MAX] = "AWS4";
    if (secret.n > SECRET_MAX) {
        return -EMSGSIZE;
    }
    if (secret.n) {
        memcpy(first + 4, secret.p, secret.n);
    }
    hmac(first, 4 + secret.n, day, ret);
    hmac(ret, SIGV4_KEY_N, region, ret);
    hmac(ret, SIGV4_KEY_N, service, ret);
    hmac(ret, SIGV4_KEY_N, STR("aws4_request"), ret);
    OPENSSL_cleanse(first, sizeof first);
    return 0;
}

void sigv4_hash(struct str body, char ret[SIGV4_HASH_N])
{
    unsigned char sum[SHA256_DIGEST_LENGTH];
    must(SHA256((const unsigned char *)body.p, body.n, sum));
    put_hex(ret, sum, sizeof sum);
}

static void put_digits(char *to, unsigned digits, int value)
{
    while (digits--) {
        to[digits] = (char)('0' + value % 10);
        value /= 10;
    }
}

void sigv4_date(int64_t at_s, char ret[SIGV4_DATE_N])
{
    time_t at = at_s;
    struct tm t = {0};
    gmtime_r(&at, &t);
    memcpy(ret, "00000000T000000Z", SIGV4_DATE_N);
    put_digits(ret, 4, t.tm_year + 1900);
    put_digits(ret + 4, 2, t.tm_mon + 1);
    put_digits(ret + 6, 2, t.tm_mday);
    put_digits(ret + 9, 2, t.tm_hour);
    put_digits(ret + 11, 2, t.tm_min);
    put_digits(ret + 13, 2, t.tm_sec);
}

/* ---- the canonical request ---- */

static bool is_unreserved(char c)
{
    return (c >= '0' && c <= '9') || ((c | 0x20) >= 'a' && (c | 0x20) <= 'z') || c == '-' ||
           c == '.' || c == '_' || c == '~';
}

static void add_escaped(struct buf *b, struct str s, char keep)
{
    static const char digits[] = "0123456789ABCDEF";
    for (size_t i = 0; i < s.n; i++) {
        char c = s.p[i];
        if (is_unreserved(c) || c == keep) {
            buf_addc(b, c);
        } else {
            const char coded[] = {'%', digits[(unsigned char)c >> 4], digits[c & 15]};
            buf_add(b, str_make(coded, sizeof coded));
        }
    }
}

/* Each segment behind a slash; "." and empty ones count for nothing, ".." takes back the one before. */
static void add_path(struct buf *b, struct str path)
{
    size_t from = b->n;
    bool slash = path.n && path.p[path.n - 1] == '/';
    struct str segment;
    while (path.n) {
        str_cut(&path, '/', &segment);
        if (str_eq(segment, STR(".."))) {
            while (b->n > from && b->p[--b->n] != '/') {
            }
        } else if (segment.n && !str_eq(segment, STR("."))) {
            buf_addc(b, '/');
            add_escaped(b, segment, 0);
        }
    }
    if (slash || b->n == from) {
        buf_addc(b, '/');
    }
}

struct pair {
    struct str name, value;
};

static int compare_text(struct str a, struct str b)
{
    size_t n = a.n < b.n ? a.n : b.n;
    int d = n ? memcmp(a.p, b.p, n) : 0;
    return d ? d : (a.n > b.n) - (a.n < b.n);
}

static int compare_pairs(const void *a, const void *b)
{
    const struct pair *x = a, *y = b;
    int d = compare_text(x->name, y->name);
    return d ? d : compare_text(x->value, y->value);
}

/* Escaped text, of which only what no query may hold is escaped still. */
static struct str escaped(struct arena *a, struct str s)
{
    struct buf b = {.arena = a};
    add_escaped(&b, s, '%');
    return buf_str(&b);
}

static void add_query(struct buf *b, struct arena *a, struct str query)
{
    size_t most = 1, n = 0;
    for (size_t i = 0; i < query.n; i++) {
        most += query.p[i] == '&';
    }
    struct pair *pairs = arena_alloc(a, most * sizeof *pairs);
    while (query.n) {
        struct str pair, name;
        str_cut(&query, '&', &pair);
        str_cut(&pair, '=', &name);
        pairs[n++] = (struct pair){escaped(a, name), escaped(a, pair)};
    }
    qsort(pairs, n, sizeof *pairs, compare_pairs);
    for (size_t i = 0; i < n; i++) {
        if (i) {
            buf_addc(b, '&');
        }
        buf_add(b, pairs[i].name);
        buf_addc(b, '=');
        buf_add(b, pairs[i].value);
    }
}

static void add_line(struct buf *b, struct str name, struct str value, struct str end)
{
    buf_add(b, name);
    buf_add(b, value);
    buf_add(b, end);
}

static struct str signed_names(const struct sigv4 *s)
{
    if (s->tell_hash) {
        return s->session_token.n ? STR("host;x-amz-content-sha256;x-amz-date;x-amz-security-token")
                                  : STR("host;x-amz-content-sha256;x-amz-date");
    }
    return s->session_token.n ? STR("host;x-amz-date;x-amz-security-token")
                              : STR("host;x-amz-date");
}

static struct str canonical(struct arena *a, const struct sigv4 *s, struct str date)
{
    const struct str end = STR("\n");
    struct buf b = {.arena = a};
    add_line(&b, s->method, end, STR(""));
    add_path(&b, s->path);
    buf_add(&b, end);
    add_query(&b, a, s->query);
    buf_add(&b, end);
    add_line(&b, STR("host:"), s->host, end);
    if (s->tell_hash) {
        add_line(&b, STR("x-amz-content-sha256:"), s->body_hash, end);
    }
    add_line(&b, STR("x-amz-date:"), date, end);
    if (s->session_token.n) {
        add_line(&b, STR("x-amz-security-token:"), s->session_token, end);
    }
    add_line(&b, end, signed_names(s), end);
    buf_add(&b, s->body_hash);
    return buf_str(&b);
}

static void add_scope(struct buf *b, const struct sigv4 *s, struct str date)
{
    const struct str slash = STR("/");
    add_line(b, str_first(date, 8), slash, s->region);
    add_line(b, slash, s->service, STR("/aws4_request"));
}

static void sign(char ret[SIGV4_HASH_N], struct arena *a, const struct sigv4 *s, struct str date,
                 const unsigned char key[SIGV4_KEY_N])
{
    struct buf b = {.arena = a};
    char hash[SIGV4_HASH_N];
    unsigned char sum[SIGV4_KEY_N];
    sigv4_hash(canonical(a, s, date), hash);
    add_line(&b, STR(ALGORITHM "\n"), date, STR("\n"));
    add_scope(&b, s, date);
    add_line(&b, STR("\n"), str_make(hash, sizeof hash), STR(""));
    hmac(key, SIGV4_KEY_N, buf_str(&b), sum);
    put_hex(ret, sum, sizeof sum);
}

void sigv4_add_fields(struct buf *b, struct arena *scratch, const struct sigv4 *s,
                      const unsigned char key[SIGV4_KEY_N])
{
    const struct str end = STR("\r\n");
    char date_text[SIGV4_DATE_N], signature[SIGV4_HASH_N];
    sigv4_date(s->at_s, date_text);
    struct str date = str_make(date_text, sizeof date_text);
    sign(signature, scratch, s, date, key);
    add_line(b, STR("authorization: " ALGORITHM " Credential="), s->access_key, STR("/"));
    add_scope(b, s, date);
    add_line(b, STR(", SignedHeaders="), signed_names(s), STR(", Signature="));
    add_line(b, str_make(signature, sizeof signature), end, STR(""));
    add_line(b, STR("x-amz-date: "), date, end);
    if (s->session_token.n) {
        add_line(b, STR("x-amz-security-token: "), s->session_token, end);
    }
    if (s->tell_hash) {
        add_line(b, STR("x-amz-content-sha256: "), s->body_hash, end);
    }
}

/* ---- callers ---- */

struct str sigv4_access_key(struct str authorization)
{
    struct str rest = str_trim(authorization), part;
    if (!str_istarts(rest, STR(ALGORITHM)) || rest.n == sizeof ALGORITHM - 1 ||
        rest.p[sizeof ALGORITHM - 1] != ' ') {
        return (struct str){0};
    }
    rest = str_from(rest, sizeof ALGORITHM);
    while (rest.n) {
        str_cut(&rest, ',', &part);
        part = str_trim(part);
        if (!str_starts(part, STR("Credential="))) {
            continue;
        }
        /* Behind the id come day, region, service and "aws4_request". */
        part = str_from(part, 11);
        size_t n = part.n;
        for (int slashes = 0; slashes < 4; slashes++) {
            while (n > 0 && part.p[n - 1] != '/') {
                n--;
            }
            if (n == 0) {
                return (struct str){0};
            }
            n--;
        }
        return str_first(part, n);
    }
    return (struct str){0};
}
