#include "dialect/dialect.h"

#include <emmintrin.h>

const struct dialect *dialect_of(enum family f)
{
    static const struct dialect *const all[FAMILY_COUNT] = {
        [FAMILY_OPENAI] = &dialect_openai, [FAMILY_ANTHROPIC] = &dialect_anthropic,
        [FAMILY_GEMINI] = &dialect_gemini, [FAMILY_OLLAMA] = &dialect_ollama,
        [FAMILY_COHERE] = &dialect_cohere, [FAMILY_BEDROCK] = &dialect_bedrock,
    };
    return all[f];
}

/* Deeper than any usage object. */
enum { DEPTH_MAX = 8 };

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

/* A whole number at p, into *to when it is one and fits. Behind it. */
static const char *take_number(const char *p, const char *end, int64_t *to)
{
    const char *from = p;
    uint64_t v = 0;
    for (; p < end && (unsigned char)(*p - '0') < 10; p++) {
        v = v * 10 + (unsigned char)(*p - '0');
    }
    size_t digits = (size_t)(p - from);
    bool ends = p == end || (*p != '.' && *p != 'e' && *p != 'E');
    if (to && digits && digits < 19 && ends) {
        *to = (int64_t)v;
    }
    return p;
}

/* What is skipped is read by no rows. */
const struct usage_row usage_nothing[] = {{{0}, 0, NULL}};

static uint64_t word_at(const char *p)
{
    uint64_t w;
    memcpy(&w, p, sizeof w);
    return w;
}

/* Names are too short for a call to pay: words that overlap at the end, which is looked at first, because many
 * begin alike. The first 8 bytes are the same. */
static bool same_rest(const char *a, const char *b, size_t n)
{
    if (word_at(a + n - 8) != word_at(b + n - 8)) {
        return false;
    }
    for (size_t i = 8; i + 8 < n; i += 8) {
        if (word_at(a + i) != word_at(b + i)) {
            return false;
        }
    }
    return true;
}

/* The name of row `r` stands at p, closing quote included. */
static bool is_row(const struct usage_row *r, uint64_t first, const char *p, size_t left)
{
    return word_at(r->name.p) == first && left >= r->name.n && same_rest(r->name.p, p, r->name.n);
}

/* The row whose name stands at p, else the last, empty one. It is mostly the one behind the last that was found: the
 * tables are in the order that vendors write in. */
static const struct usage_row *row_at(const struct usage_row *rows, const struct usage_row *guess,
                                      const char *p, const char *end)
{
    size_t left = (size_t)(end - p);
    uint64_t first = left < 8 ? 0 : word_at(p); /* no name begins with eight NULs */
    if (guess->name.n && is_row(guess, first, p, left)) {
        return guess;
    }
    while (rows->name.n && !is_row(rows, first, p, left)) {
        rows++;
    }
    return rows;
}

/* Members until the container's end, which is at depth 0; behind it. */
static const char *read_members(const char *p, const char *end, const struct usage_row *rows,
                                char *to, unsigned depth)
{
    const struct usage_row *guess = rows;
    while (p < end) {
        char c = *p;
        if (c != '"') {
            if (c == '}' || c == ']') {
                return p + 1;
            }
            p++; /* commas, colons, white space, literals, fractions */
            if ((c == '{' || c == '[') && depth < DEPTH_MAX) {
                p = read_members(p, end, usage_nothing, to, depth + 1);
            }
            continue;
        }
        const struct usage_row *r = row_at(rows, guess, p, end);
        guess = r->name.n ? r + 1 : guess;
        p = r->name.n ? p + r->name.n : skip_string(p, end);
        while (p < end && (*p == ':' || *p == ' ')) {
            p++;
        }
        if (p == end) {
            break;
        }
        if (*p == '{' && depth < DEPTH_MAX) {
            p = read_members(p + 1, end, r->inside ? r->inside : usage_nothing, to, depth + 1);
        } else if (*p == '"') {
            p = skip_string(p, end);
        } else if ((unsigned char)(*p - '0') < 10) {
            p = take_number(p, end,
                            r->name.n && !r->inside ? (int64_t *)(void *)(to + r->at) : NULL);
        }
    }
    return end;
}

void usage_read(struct str object, const struct usage_row *rows, void *to)
{
    if (object.n) {
        read_members(object.p + (object.p[0] == '{'), object.p + object.n, rows, to, 0);
    }
}

void api_error_operation(struct buf *b, const struct api_error *e)
{
    if (!e->operation.n) {
        return;
    }
    buf_add(b, STR(",\"operation_ref\":\""));
    buf_add_json(b, e->operation);
    buf_add(b, STR("\",\"safe_new_key\":false,\"retry\":{\"class\":\""));
    buf_add(b, e->retry_class);
    buf_add(b, STR("\",\"after_ms\":"));
    buf_add_u64(b, e->retry_after_ms);
    buf_add(b, STR("}"));
}
