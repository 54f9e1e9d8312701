/* Readers of spans that json_scan has found valid: they trust the bytes and look at the structure
 * only. */
#include "json/span.h"

#include <errno.h>

#include "base/must.h"
#include "base/utf8.h"

enum json_type json_type_of(char first)
{
    switch (first) {
    case '{':
        return JSON_OBJECT;
    case '[':
        return JSON_ARRAY;
    case '"':
        return JSON_STRING;
    case 't':
        return JSON_TRUE;
    case 'f':
        return JSON_FALSE;
    case 'n':
        return JSON_NULL;
    default:
        return JSON_NUMBER;
    }
}

static uint32_t hex4(const char *p)
{
    uint32_t v = 0;
    for (int i = 0; i < 4; i++) {
        char c = p[i];
        v = v << 4 | (uint32_t)(c <= '9' ? c - '0' : (c | 0x20) - 'a' + 10);
    }
    return v;
}

/* Decodes the escape at `*p` into `to` (at most 4 bytes) and moves `*p` behind it. A pair of
 * surrogates is one code point; one alone becomes U+FFFD. */
static size_t unescape_one(const char **p, const char *end, char *to)
{
    const char *at = *p;
    static const char from[] = "bfnrt", into[] = "\b\f\n\r\t";
    if (at[1] != 'u') {
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
    size_t at = 0;
    while (p < end) {
        char c[4] = {*p};
        size_t n = 1;
        if (*p == '\\') {
            n = unescape_one(&p, end, c);
        } else {
            p++;
        }
        if (name.n - at < n || memcmp(name.p + at, c, n) != 0) {
            return false;
        }
        at += n;
    }
    return at == name.n;
}

int json_int(struct str value, int64_t *ret)
{
    bool negative = value.n && value.p[0] == '-';
    struct str digits = str_from(value, negative);
    for (size_t i = 0; i < digits.n; i++) {
        if (digits.p[i] < '0' || digits.p[i] > '9') {
            return -EINVAL;
        }
    }
    if (digits.n > 1 && digits.p[0] == '0') {
        return -EINVAL;
    }
    uint64_t v;
    int r = str_to_u64(digits, &v);
    if (r < 0) {
        return r;
    }
    if (v > (uint64_t)INT64_MAX + negative) {
        return -ERANGE;
    }
    *ret = negative ? (int64_t)(~v + 1) : (int64_t)v;
    return 0;
}

static const char *skip_space(const char *p)
{
    while (*p == ' ' || *p == '\n' || *p == '\r' || *p == '\t') {
        p++;
    }
    return p;
}

const char *json_string_end(const char *p)
{
    for (p++; *p != '"'; p++) {
        p += *p == '\\';
    }
    return p + 1;
}

/* The byte behind the value at `p`, which something follows: a comma or the container's end. */
static const char *skip_value(const char *p)
{
    unsigned depth = 0;
    for (;;) {
        switch (*p) {
        case '"':
            p = json_string_end(p);
            break;
        case '{':
        case '[':
            depth++;
            p++;
            continue;
        case '}':
        case ']':
            depth--;
            p++;
            break;
        default:
            if (depth == 0) {
                while (!strchr(",]} \n\r\t", *p)) {
                    p++;
                }
                return p;
            }
            p++;
            continue;
        }
        if (depth == 0) {
            return p;
        }
    }
}

bool json_each(struct str span, size_t *at, struct str *key, struct str *value,
               enum json_type *type)
{
    must(span.n >= 2);
    bool object = span.p[0] == '{';
    const char *p = skip_space(span.p + (*at ? *at : 1));
    if (p >= span.p + span.n - 1) {
        return false;
    }
    if (*at) { /* the comma behind the last one */
        p = skip_space(p + 1);
    }
    *key = (struct str){0};
    if (object) {
        const char *key_end = json_string_end(p);
        *key = str_make(p, (size_t)(key_end - p));
        p = skip_space(skip_space(key_end) + 1);
    }
    const char *end = skip_value(p);
    *value = str_make(p, (size_t)(end - p));
    *type = json_type_of(*p);
    *at = (size_t)(end - span.p);
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
