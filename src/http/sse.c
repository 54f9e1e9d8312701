#include "http/sse.h"

#include <emmintrin.h>

/* The first CR or LF in [p, end). */
static const char *find_line_end(const char *p, const char *end)
{
    const __m128i lf = _mm_set1_epi8('\n'), cr = _mm_set1_epi8('\r');
    while (end - p >= 16) {
        __m128i x = _mm_loadu_si128((const __m128i *)(const void *)p);
        unsigned bits = (unsigned)_mm_movemask_epi8(
            _mm_or_si128(_mm_cmpeq_epi8(x, lf), _mm_cmpeq_epi8(x, cr)));
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

/* Behind the line end at p (CR, LF or CRLF); NULL when a CR is the last byte and LF may follow. */
static const char *skip_line_end(const char *p, const char *end)
{
    if (*p == '\n') {
        return p + 1;
    }
    if (p + 1 == end) {
        return NULL;
    }
    return p[1] == '\n' ? p + 2 : p + 1;
}

size_t sse_event_end(const char *p, size_t n, size_t from)
{
    const char *end = p + n;
    const char *at = p + (from > 4 ? from - 4 : 0);
    /* Step back to the start of a line, so that a blank line is told from the end of a full one. */
    while (at > p && at[-1] != '\n' && at[-1] != '\r') {
        at--;
    }
    if (at > p) {
        at--; /* the line end itself, of which a blank line may follow */
        if (at > p && *at == '\n' && at[-1] == '\r') {
            at--;
        }
    }
    while ((at = find_line_end(at, end)) < end) {
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

static bool field(struct str line, struct str name, struct str *value)
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
    bool any = false;
    if (str_starts(event, STR("\xEF\xBB\xBF"))) {
        event = str_from(event, 3);
    }
    while (event.n) {
        struct str line = take_line(&event);
        if (field(line, STR("data"), &value)) {
            data = any ? arena_printf(a, "%.*s\n%.*s", STR_ARG(data), STR_ARG(value)) : value;
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

size_t ndjson_line_end(const char *p, size_t n, size_t from)
{
    const char *at = n > from ? memchr(p + from, '\n', n - from) : NULL;
    return at ? (size_t)(at + 1 - p) : 0;
}
