#include "http/sse.h"

#include <immintrin.h>

#define INLINE static inline __attribute__((always_inline))

/* The first CR or LF in [p, end). */
INLINE const char *find_line_end(const char *p, const char *end)
{
    const __m128i lf = _mm_set1_epi8('\n'), cr = _mm_set1_epi8('\r');
    while (end - p >= 16) {
        __m128i x = _mm_loadu_si128((const __m128i *)(const void *)p);
        unsigned bits =
            (unsigned)_mm_movemask_epi8(_mm_or_si128(_mm_cmpeq_epi8(x, lf), _mm_cmpeq_epi8(x, cr)));
        if (bits) {
            return p + __builtin_ctz(bits);
        }
        p += 16;
    }
    while (p < end && *p != '\n' && *p != '\r') {
        p++;
    }
    return p;
}

/* The same, noting `"u` and `"f` on the way. Both tests share the loads. What follows a quote is
 * looked at one byte further; a quote that is the last byte counts as followed by both. The tail
 * byte by byte. */
static const char *look_tail(const char *p, const char *end, struct sse_look *look)
{
    for (; p < end && *p != '\n' && *p != '\r'; p++) {
        if (*p == '"') {
            look->u = look->u || p + 1 == end || p[1] == 'u';
            look->f = look->f || p + 1 == end || p[1] == 'f';
        }
    }
    return p;
}

static const char *look_sse2(const char *p, const char *end, struct sse_look *look)
{
    const __m128i lf = _mm_set1_epi8('\n'), cr = _mm_set1_epi8('\r');
    const __m128i quote = _mm_set1_epi8('"'), u = _mm_set1_epi8('u'), f = _mm_set1_epi8('f');
    __m128i seen_u = _mm_setzero_si128(), seen_f = seen_u;
    unsigned bits = 0;
    for (; end - p >= 17; p += 16) {
        __m128i x = _mm_loadu_si128((const __m128i *)(const void *)p);
        __m128i y = _mm_loadu_si128((const __m128i *)(const void *)(p + 1));
        __m128i q = _mm_cmpeq_epi8(x, quote);
        seen_u = _mm_or_si128(seen_u, _mm_and_si128(q, _mm_cmpeq_epi8(y, u)));
        seen_f = _mm_or_si128(seen_f, _mm_and_si128(q, _mm_cmpeq_epi8(y, f)));
        bits =
            (unsigned)_mm_movemask_epi8(_mm_or_si128(_mm_cmpeq_epi8(x, lf), _mm_cmpeq_epi8(x, cr)));
        if (bits) {
            break;
        }
    }
    look->u = look->u || _mm_movemask_epi8(seen_u);
    look->f = look->f || _mm_movemask_epi8(seen_f);
    return bits ? p + __builtin_ctz(bits) : look_tail(p, end, look);
}

/* Whole registers only: stops at a line end (or another control character), or where less than a register
 * is left. */
INLINE __attribute__((target("avx2"))) const char *wide_avx2(const char *p, const char *end,
                                                             struct sse_look *look)
{
    const __m256i line_end =
        _mm256_set1_epi8('\r'); /* bytes up to CR: line ends, tabs and the like */
    const __m256i quote = _mm256_set1_epi8('"'), u = _mm256_set1_epi8('u'),
                  f = _mm256_set1_epi8('f');
    __m256i seen_u = _mm256_setzero_si256(), seen_f = seen_u;
    unsigned bits = 0;
    for (; end - p >= 33; p += 32) {
        __m256i x = _mm256_loadu_si256((const __m256i *)(const void *)p);
        __m256i y = _mm256_loadu_si256((const __m256i *)(const void *)(p + 1));
        __m256i q = _mm256_cmpeq_epi8(x, quote);
        seen_u = _mm256_or_si256(seen_u, _mm256_and_si256(q, _mm256_cmpeq_epi8(y, u)));
        seen_f = _mm256_or_si256(seen_f, _mm256_and_si256(q, _mm256_cmpeq_epi8(y, f)));
        bits = (unsigned)_mm256_movemask_epi8(_mm256_cmpeq_epi8(_mm256_min_epu8(x, line_end), x));
        if (bits) {
            break;
        }
    }
    look->u = look->u || _mm256_movemask_epi8(seen_u);
    look->f = look->f || _mm256_movemask_epi8(seen_f);
    return bits ? p + __builtin_ctz(bits) : p;
}

__attribute__((target("avx2"))) static const char *look_avx2(const char *p, const char *end,
                                                             struct sse_look *look)
{
    const char *start = p;
    for (;;) {
        p = wide_avx2(p, end, look);
        if (end - p >= 33) {
            if (*p == '\n' || *p == '\r') {
                return p;
            }
            p++; /* a tab or the like */
        } else if (end - start >= 33 && end - p > 1) {
            p = wide_avx2(end - 33, end,
                          look); /* again some bytes that hold no line end, but in one step */
            return *p == '\n' || *p == '\r' ? p : look_tail(p, end, look);
        } else {
            return look_sse2(p, end, look);
        }
    }
}

static const char *(*look_line_end)(const char *p, const char *end,
                                    struct sse_look *look) = look_sse2;

__attribute__((constructor)) static void choose(void)
{
    __builtin_cpu_init();
    if (__builtin_cpu_supports("avx2")) {
        look_line_end = look_avx2;
    }
}

/* Behind the line end at p (CR, LF or CRLF); NULL when a CR is the last byte and LF may follow. */
static inline const char *skip_line_end(const char *p, const char *end)
{
    if (*p == '\n') {
        return p + 1;
    }
    if (p + 1 == end) {
        return NULL;
    }
    return p[1] == '\n' ? p + 2 : p + 1;
}

/* `look` may be NULL: nothing is looked for besides the end. */
INLINE size_t event_end(const char *p, size_t n, size_t from, struct sse_look *look)
{
    const char *end = p + n, *at = p;
    if (from) {
        /* What was looked at holds no blank line, so one can only begin with the line ends at its end. */
        at = p + from;
        while (at > p && p + from - at < 4 && (at[-1] == '\n' || at[-1] == '\r')) {
            at--;
        }
    }
    while ((at = look ? look_line_end(at, end, look) : find_line_end(at, end)) < end) {
        const char *next = skip_line_end(at, end);
        if (!next || next == end) {
            return 0;
        }
        if (*next == '\n') {
            return (size_t)(next + 1 - p);
        }
        if (*next == '\r') {
            const char *after = skip_line_end(next, end);
            return after ? (size_t)(after - p) : 0;
        }
        at = next;
    }
    return 0;
}

size_t sse_event_look(const char *p, size_t n, size_t from, struct sse_look *ret)
{
    *ret = (struct sse_look){from > 0, from > 0};
    return event_end(p, n, from, ret);
}

size_t sse_event_end(const char *p, size_t n, size_t from)
{
    return event_end(p, n, from, NULL);
}

/* One line off the front of `rest`. */
static struct str take_line(struct str *rest)
{
    const char *end = rest->p + rest->n;
    const char *at = find_line_end(rest->p, end);
    struct str line = str_make(rest->p, (size_t)(at - rest->p));
    const char *next = at < end ? skip_line_end(at, end) : end;
    next = next ? next : end;
    *rest = str_make(next, (size_t)(end - next));
    return line;
}

INLINE bool field(struct str line, struct str name, struct str *value)
{
    if (!str_starts(line, name)) {
        return false;
    }
    *value = str_from(line, name.n);
    if (value->n == 0) {
        return true;
    }
    if (value->p[0] != ':') {
        return false;
    }
    *value = str_from(*value, 1);
    if (value->n && value->p[0] == ' ') {
        *value = str_from(*value, 1);
    }
    return true;
}

struct str sse_data(struct arena *a, struct str event, struct str *ret_name)
{
    struct str data = {0}, name = {0}, value;
    char *joined = NULL; /* room for all of the event, once there is a second line */
    bool any = false;
    if (str_starts(event, STR("\xEF\xBB\xBF"))) {
        event = str_from(event, 3);
    }
    size_t room = event.n;
    while (event.n) {
        struct str line = take_line(&event);
        if (field(line, STR("data"), &value)) {
            if (any && !joined) {
                joined = arena_alloc(a, room);
                memcpy(joined, data.p, data.n);
                data.p = joined;
            }
            if (joined) {
                joined[data.n] = '\n';
                memcpy(joined + data.n + 1, value.p, value.n);
                data.n += 1 + value.n;
            } else {
                data = value;
            }
            any = true;
        } else if (field(line, STR("event"), &value)) {
            name = value;
        }
    }
    if (ret_name) {
        *ret_name = name;
    }
    return data;
}

/* "event: NAME\ndata: TEXT\n\n", or without the first line: its length, 0 when it is anything else. */
static size_t take_plain(const char *p, const char *end, struct str *ret_name, struct str *ret_data)
{
    struct str name = {0};
    const char *at = p, *line_end = find_line_end(p, end);
    if (line_end == end || !field(str_make(p, (size_t)(line_end - p)), STR("data"), ret_data)) {
        if (line_end == end || *line_end != '\n' ||
            !field(str_make(p, (size_t)(line_end - p)), STR("event"), &name)) {
            return 0;
        }
        at = line_end + 1;
        line_end = find_line_end(at, end);
        if (!field(str_make(at, (size_t)(line_end - at)), STR("data"), ret_data)) {
            return 0;
        }
    }
    *ret_name = name;
    return end - line_end >= 2 && line_end[0] == '\n' && line_end[1] == '\n'
               ? (size_t)(line_end + 2 - p)
               : 0;
}

size_t sse_event_take(struct arena *a, const char *p, size_t n, size_t from, struct str *ret_name,
                      struct str *ret_data)
{
    size_t len = from ? 0 : take_plain(p, p + n, ret_name, ret_data);
    if (len == 0) {
        len = event_end(p, n, from, NULL);
        *ret_data = len ? sse_data(a, str_make(p, len), ret_name) : (struct str){0};
    }
    return len;
}

size_t ndjson_line_end(const char *p, size_t n, size_t from)
{
    const char *at = n > from ? memchr(p + from, '\n', n - from) : NULL;
    return at ? (size_t)(at + 1 - p) : 0;
}
