/* Readers of spans that json_scan has found valid: they trust the bytes and look at the structure
 * only. */
#include "json/span.h"

#include <errno.h>

#include "base/must.h"
#include "base/utf8.h"
#include "json/quote.h"

const uint8_t json_types[256] = {
    ['{'] = JSON_OBJECT,        ['['] = JSON_ARRAY, ['"'] = JSON_STRING, ['t'] = JSON_TRUE,
    ['f'] = JSON_FALSE,         ['n'] = JSON_NULL,  ['-'] = JSON_NUMBER,
    ['0' ... '9'] = JSON_NUMBER,
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

bool json_quoted_is(struct str quoted, struct str name)
{
    const char *p = quoted.p + 1, *end = quoted.p + quoted.n - 1;
    const char *at = name.p, *name_end = name.p + name.n;
    while (p < end) {
        if (*p != '\\') {
            if (at == name_end || *at != *p) {
                return false;
            }
            at++;
            p++;
            continue;
        }
        char c[4];
        size_t n = unescape_one(&p, end, c);
        if ((size_t)(name_end - at) < n || memcmp(at, c, n) != 0) {
            return false;
        }
        at += n;
    }
    return at == name_end;
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

__attribute__((noinline)) static const char *skip_spaces(const char *p)
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

/* What bounds a value or nests in it; numbers and words contain none of it. */
enum { OTHER, QUOTE, OPEN, CLOSE, END };
static const uint8_t kinds[256] = {
    ['"'] = QUOTE, ['{'] = OPEN, ['['] = OPEN, ['}'] = CLOSE, [']'] = CLOSE,
    [','] = END,   [' '] = END,  ['\n'] = END, ['\r'] = END,  ['\t'] = END,
};

static inline unsigned kind_of(char c)
{
    return kinds[(unsigned char)c];
}

/* The byte behind the container at `p`, whatever is in it. */
__attribute__((noinline)) static const char *skip_nested(const char *p, const char *end)
{
    size_t depth = 0;
    do {
        unsigned kind = kind_of(*p);
        depth += kind == OPEN;
        depth -= kind == CLOSE;
        p = kind == QUOTE ? quote_end_any(p + 1, end, NULL) : p + 1;
    } while (depth);
    return p;
}

/* The same with a shortcut for what nearly all of them are: nothing nested, no backslash. The first
 * bracket is the end then, if it stands behind an even number of quotes. */
__attribute__((noinline)) static const char *skip_container(const char *p, const char *end)
{
#ifdef __SSE2__
    int quotes = 0;
    for (const char *at = p + 1; end - at >= 16; at += 16) {
        __m128i x = _mm_loadu_si128((const void *)at);
        __m128i y = _mm_or_si128(x, _mm_set1_epi8(0x20)); /* braces are brackets with bit 5 set */
        unsigned q = (unsigned)_mm_movemask_epi8(_mm_cmpeq_epi8(x, _mm_set1_epi8('"')));
        unsigned slashes = (unsigned)_mm_movemask_epi8(_mm_cmpeq_epi8(x, _mm_set1_epi8('\\')));
        unsigned brackets = (unsigned)_mm_movemask_epi8(
            _mm_or_si128(_mm_cmpeq_epi8(y, _mm_set1_epi8('{')), _mm_cmpeq_epi8(y, _mm_set1_epi8('}'))));
        if (slashes) {
            break;
        }
        if (brackets) {
            unsigned before = q & (brackets ^ (brackets - 1));
            const char *first = at + __builtin_ctz(brackets);
            if (kind_of(*first) == CLOSE && !((quotes + __builtin_popcount(before)) & 1)) {
                return first + 1;
            }
            break;
        }
        quotes += __builtin_popcount(q);
    }
#endif
    return skip_nested(p, end);
}

bool json_each(struct str span, size_t *at, struct str *key, struct str *value,
               enum json_type *type)
{
    must(span.n >= 2);
    const char *end = span.p + span.n;
    const char *p = skip_space(span.p + (*at ? *at : 1));
    if (p >= end - 1) {
        return false;
    }
    if (*at) { /* the comma behind the last one */
        p = skip_space(p + 1);
    }
    *key = str_make(p, 0);
    if (span.p[0] == '{') {
        const char *key_end = quote_end_any(p + 1, end, NULL);
        key->n = (size_t)(key_end - p);
        p = skip_space(skip_space(key_end) + 1);
    }
    value->p = p;
    *type = json_type_of(*p);
    unsigned kind = kind_of(*p);
    if (kind == OTHER) {
        do {
            p++;
        } while (!kind_of(*p));
    } else {
        p = kind == QUOTE ? quote_end_any(p + 1, end, NULL) : skip_container(p, end);
    }
    value->n = (size_t)(p - value->p);
    *at = (size_t)(p - span.p);
    return true;
}

enum json_type json_member(struct str span, struct str name, struct str *ret_value)
{
    enum json_type found = JSON_NONE, type;
    struct str key, value;
    for (size_t at = 0; json_each(span, &at, &key, &value, &type);) {
        if (json_quoted_is(key, name)) {
            found = type;
            *ret_value = value;
        }
    }
    return found;
}
