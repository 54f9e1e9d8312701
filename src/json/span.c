/* Readers of spans that json_scan has found valid: they trust the bytes and look at the structure
 * only. */
#include "json/span.h"

#include <errno.h>

#include "base/must.h"
#include "base/utf8.h"
#include "json/marks.h"
#include "json/quote.h"

#define NOINLINE static __attribute__((noinline))

const uint8_t json_types[256] = {
    ['{'] = JSON_OBJECT, ['['] = JSON_ARRAY, ['"'] = JSON_STRING, ['t'] = JSON_TRUE,
    ['f'] = JSON_FALSE,  ['n'] = JSON_NULL,  ['-'] = JSON_NUMBER, ['0' ... '9'] = JSON_NUMBER,
};

/* Of four bytes that are no digits, some other 16 bits. */
static uint32_t hex4(const char *p)
{
    uint32_t v = 0;
    for (int i = 0; i < 4; i++) {
        char c = p[i];
        v = v << 4 | (uint32_t)(c <= '9' ? c - '0' : (c | 0x20) - 'a' + 10);
    }
    return v & 0xFFFF;
}

/* Decodes the escape at `*p` into `to` (at most 4 bytes, and no more than it takes) and moves `*p`
 * behind it. A pair of surrogates is one code point; one alone becomes U+FFFD. */
static size_t unescape_one(const char **p, const char *end, char *to)
{
    const char *at = *p;
    static const char from[] = "bfnrt", into[] = "\b\f\n\r\t";
    if (at[1] != 'u' || end - at < 6) {
        const char *hit = memchr(from, at[1], sizeof from - 1);
        *to = hit ? into[hit - from] : at[1];
        *p = at + 2;
        return 1;
    }
    uint32_t cp = hex4(at + 2);
    *p = at + 6;
    if (cp < 0xD800 || cp > 0xDFFF) {
        return utf8_put(to, cp);
    }
    if (cp < 0xDC00 && end - at >= 12 && at[6] == '\\' && at[7] == 'u') {
        uint32_t second = hex4(at + 8);
        if (second >= 0xDC00 && second <= 0xDFFF) {
            *p = at + 12;
            return utf8_put(to, 0x10000 + ((cp - 0xD800) << 10) + (second - 0xDC00));
        }
    }
    return utf8_put(to, 0xFFFD);
}

ptrdiff_t json_half_pair(struct str doc)
{
    const char *end = doc.p + doc.n;
    for (const char *p = doc.p; p < end && (p = memchr(p, '\\', (size_t)(end - p)));) {
        const char *at = p;
        char to[4];
        size_t n = unescape_one(&p, end, to);
        if (n == 3 && at[1] == 'u' && memcmp(to, "\xEF\xBF\xBD", 3) == 0 &&
            hex4(at + 2) != 0xFFFD) {
            return at - doc.p;
        }
    }
    return -1;
}

size_t json_unescape(struct str quoted, char *to)
{
    must(quoted.n >= 2);
    const char *p = quoted.p + 1, *end = quoted.p + quoted.n - 1;
    char *at = to;
    while (p < end) {
        const char *escape = memchr(p, '\\', (size_t)(end - p));
        size_t plain = (size_t)((escape ? escape : end) - p);
        memcpy(at, p, plain);
        at += plain;
        p += plain;
        if (escape) {
            at += unescape_one(&p, end, at);
        }
    }
    return (size_t)(at - to);
}

bool json_plain(struct str quoted, struct str *ret)
{
    must(quoted.n >= 2);
    if (quoted.n > 2 && memchr(quoted.p + 1, '\\', quoted.n - 2)) {
        return false;
    }
    *ret = str_make(quoted.p + 1, quoted.n - 2);
    return true;
}

/* Whether the rest of a text, from an escape on, says the rest of a name. */
NOINLINE bool decoded_is(const char *p, const char *end, struct str name)
{
    while (p < end) {
        char c[4] = {*p};
        size_t n = 1;
        if (*p == '\\') {
            n = unescape_one(&p, end, c);
        } else {
            p++;
        }
        if (!str_starts(name, str_make(c, n))) {
            return false;
        }
        name = str_from(name, n);
    }
    return name.n == 0;
}

/* How many bytes, in steps of 8, two texts of at least n bytes have in common that are no backslash. */
static inline size_t same_words(const char *a, const char *b, size_t n)
{
    const uint64_t ones = UINT64_MAX / 255;
    size_t i = 0;
    for (; i + 8 <= n; i += 8) {
        uint64_t v, w;
        memcpy(&v, a + i, 8);
        memcpy(&w, b + i, 8);
        uint64_t slashes = v ^ ones * '\\'; /* a zero byte is one */
        if (v != w || ((slashes - ones) & ~slashes & ones << 7)) {
            break;
        }
    }
    return i;
}

static inline bool quoted_is(struct str quoted, struct str name)
{
    const char *p = quoted.p + 1, *end = quoted.p + quoted.n - 1;
    if (quoted.n - 2 < name.n) {
        return false; /* an escape only makes a text longer */
    }
    size_t i = same_words(p, name.p, name.n);
    for (p += i; p < end; i++, p++) {
        if (*p == '\\') {
            return decoded_is(p, end, str_from(name, i));
        }
        if (i == name.n || *p != name.p[i]) {
            return false;
        }
    }
    return true;
}

bool json_quoted_is(struct str quoted, struct str name)
{
    return quoted_is(quoted, name);
}

int json_int(struct str value, int64_t *ret)
{
    const char *p = value.p, *end = p + value.n;
    bool negative = value.n && *p == '-';
    p += negative;
    ptrdiff_t n = end - p;
    if (n == 0 || (n > 1 && *p == '0')) {
        return -EINVAL;
    }
    uint64_t v = 0;
    for (; p < end; p++) {
        unsigned digit = (unsigned char)*p - '0';
        if (digit > 9) {
            return -EINVAL;
        }
        v = v * 10 + digit;
    }
    if (n > 19 || v > (uint64_t)INT64_MAX + negative) { /* 19 digits do not overflow v */
        return -ERANGE;
    }
    *ret = negative ? (int64_t)(~v + 1) : (int64_t)v;
    return 0;
}

NOINLINE const char *skip_spaces(const char *p)
{
    while (*p == ' ' || *p == '\n' || *p == '\r' || *p == '\t') {
        p++;
    }
    return p;
}

static inline const char *skip_space(const char *p)
{
    return (unsigned char)*p > ' ' ? p : skip_spaces(p);
}

const char *json_string_end(const char *p, struct str span)
{
    return quote_end_any(p + 1, span.p + span.n, NULL);
}

/* What may stand behind a number or a word. */
static const bool bounds[256] = {
    [','] = true,  ['}'] = true,  [']'] = true,  [' '] = true,
    ['\n'] = true, ['\r'] = true, ['\t'] = true,
};

/* Behind the bracket by which `depth` containers, and all that open at or behind `p`, are closed; NULL when
 * there is none. Outside of strings at `p`; [start, end) is readable. */
MARKS_INLINE const char *closing(const char *start, const char *p, const char *end, uint32_t depth,
                                 marks_block *block)
{
    uint64_t carry = 0;
    while (p < end) {
        struct marks_step b = marks_next(start, end, p, &carry, block);
        if (b.text) {
            p = wide.quotes(b.next, start, end).base;
            continue;
        }
        for (uint64_t left = b.brackets; left; left &= left - 1) {
            const char *at = p + __builtin_ctzll(left);
            depth += marks_level(*at);
            if (depth == 0) {
                return at + 1;
            }
        }
        p = b.next + b.escape;
    }
    return NULL;
}

NOINLINE const char *closing_plain(const char *start, const char *p, const char *end,
                                   uint32_t depth)
{
    return closing(start, p, end, depth, marks_plain);
}

#ifdef __x86_64__
NOINLINE const char *closing_sse2(const char *start, const char *p, const char *end, uint32_t depth)
{
    return closing(start, p, end, depth, marks_sse2);
}

NOINLINE MARKS_AVX2 const char *closing_avx2(const char *start, const char *p, const char *end,
                                             uint32_t depth)
{
    return closing(start, p, end, depth, marks_avx2);
}

/* Where at least WIDE_BLOCK bytes are left. */
NOINLINE QUOTE_AVX2 const char *text_avx2(const char *p, const char *end)
{
    return quote_end_avx2(p, end, end - WIDE_BLOCK);
}
#endif

static const char *closing_any(const char *start, const char *p, const char *end, uint32_t depth)
{
#ifdef __x86_64__
    if (wide.level == WIDE_AVX2) {
        return closing_avx2(start, p, end, depth);
    }
    if (wide.level == WIDE_SSE2) {
        return closing_sse2(start, p, end, depth);
    }
#endif
    return closing_plain(start, p, end, depth);
}

const char *json_container_end(const char *p, const char *end)
{
    return closing_any(p, p, end, 0);
}

const char *json_closing(const char *start, const char *p, const char *end)
{
    return closing_any(start, p, end, 1);
}

const char *json_text_end(const char *p, const char *end)
{
#ifdef __x86_64__
    if (end - p >= WIDE_BLOCK && wide.level == WIDE_AVX2) {
        return text_avx2(p, end);
    }
#endif
    return quote_end_any(p, end, NULL);
}

/* json_each(), inlined where spans are looked through here. */
static inline __attribute__((always_inline)) bool each(struct str span, size_t *at, struct str *key,
                                                       struct str *value, enum json_type *type)
{
    const char *end = span.p + span.n;
    const char *p = span.p + *at;
    if (*at == 0) {
        p = skip_space(p + 1);
        if (p == end - 1) {
            return false;
        }
    } else {
        p = skip_space(p);
        if (p == end - 1) {
            return false;
        }
        p = skip_space(p + 1); /* behind the comma */
    }
    size_t key_n = 0;
    const char *from = p;
    if (span.p[0] == '{') {
        const char *key_end = quote_end_any(p + 1, end, NULL);
        key_n = (size_t)(key_end - p);
        from = skip_space(skip_space(key_end) + 1);
    }
    enum json_type t = json_type_of(*from);
    const char *behind = from;
    if (t < JSON_STRING) {
        do {
            behind++;
        } while (!bounds[(unsigned char)*behind]);
    } else {
        behind =
            t == JSON_STRING ? quote_end_any(from + 1, end, NULL) : json_container_end(from, end);
    }
    *key = str_make(p, key_n);
    *value = str_make(from, (size_t)(behind - from));
    *type = t;
    *at = (size_t)(behind - span.p);
    return true;
}

bool json_each(struct str span, size_t *at, struct str *key, struct str *value,
               enum json_type *type)
{
    must(span.n >= 2);
    return each(span, at, key, value, type);
}

static inline bool is_space(char c)
{
    return c == ' ' || c == '\n' || c == '\r' || c == '\t';
}

enum json_type json_member(struct str span, struct str name, struct str *ret_value)
{
    enum json_type found = JSON_NONE, type;
    struct str key, value;
    /* A document that came over the wire may have white space around it, or be no object at all. */
    while (span.n && is_space(span.p[span.n - 1])) {
        span.n--;
    }
    while (span.n && is_space(*span.p)) {
        span = str_make(span.p + 1, span.n - 1);
    }
    if (span.n < 2 || *span.p != '{') {
        return JSON_NONE;
    }
    for (size_t at = 0; each(span, &at, &key, &value, &type);) {
        if (quoted_is(key, name)) {
            found = type;
            *ret_value = value;
        }
    }
    return found;
}
