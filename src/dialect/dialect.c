#include "dialect/dialect.h"

#include <emmintrin.h>

const struct dialect *dialect_of(enum family f)
{
    static const struct dialect *const all[FAMILY_COUNT] = {
        [FAMILY_OPENAI] = &dialect_openai, [FAMILY_ANTHROPIC] = &dialect_anthropic,
        [FAMILY_GEMINI] = &dialect_gemini, [FAMILY_OLLAMA] = &dialect_ollama,
        [FAMILY_COHERE] = &dialect_cohere,
    };
    return all[f];
}

/* Behind the string that begins at p (a quote); `end` when it does not close. */
static const char *skip_string(const char *p, const char *end)
{
    const __m128i quote = _mm_set1_epi8('"'), slash = _mm_set1_epi8('\\');
    p++;
    while (end - p >= 16) {
        __m128i x = _mm_loadu_si128((const __m128i *)(const void *)p);
        unsigned bits = (unsigned)_mm_movemask_epi8(
            _mm_or_si128(_mm_cmpeq_epi8(x, quote), _mm_cmpeq_epi8(x, slash)));
        if (bits) {
            p += __builtin_ctz(bits);
            if (*p == '"') {
                return p + 1;
            }
            break; /* an escape: byte by byte */
        }
        p += 16;
    }
    for (; p < end && *p != '"'; p++) {
        p += *p == '\\';
    }
    return p < end ? p + 1 : end;
}

/* Behind the container that begins at p. */
static const char *skip_container(const char *p, const char *end)
{
    unsigned depth = 0;
    while (p < end) {
        char c = *p;
        if (c == '"') {
            p = skip_string(p, end);
            continue;
        }
        p++;
        if (c == '{' || c == '[') {
            depth++;
        } else if ((c == '}' || c == ']') && --depth == 0) {
            break;
        }
    }
    return p;
}

/* A whole number at p, into *to when it is one and fits. Behind it. */
static const char *take_number(const char *p, const char *end, int64_t *to)
{
    uint64_t v = 0;
    unsigned digits = 0;
    for (; p < end && (unsigned char)(*p - '0') < 10; p++, digits++) {
        v = v * 10 + (unsigned char)(*p - '0');
    }
    bool ends = p == end || (*p != '.' && *p != 'e' && *p != 'E');
    if (to && digits && digits < 19 && ends) {
        *to = (int64_t)v;
    }
    return p;
}

static const struct usage_row *find_row(const struct usage_row *r, struct str key)
{
    while (r->name.n && !str_eq(r->name, key)) {
        r++;
    }
    return r;
}

void usage_read(struct str object, const struct usage_row *rows)
{
    const char *p = object.p, *end = object.p + object.n;
    if (p < end && *p == '{') {
        p++;
    }
    while (p < end) {
        if (*p != '"') {
            p++; /* commas, colons, white space, literals, fractions */
            continue;
        }
        const char *key = p;
        p = skip_string(p, end);
        const struct usage_row *r = find_row(rows, str_make(key, (size_t)(p - key)));
        while (p < end && (*p == ':' || *p == ' ')) {
            p++;
        }
        if (p == end) {
            break;
        }
        if (*p == '{' || *p == '[') {
            const char *from = p;
            p = skip_container(p, end);
            if (r->inside && *from == '{') {
                usage_read(str_make(from, (size_t)(p - from)), r->inside);
            }
        } else if (*p == '"') {
            p = skip_string(p, end);
        } else if ((unsigned char)(*p - '0') < 10) {
            p = take_number(p, end, r->to);
        }
    }
}
