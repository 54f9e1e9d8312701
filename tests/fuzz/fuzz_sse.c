/* Server-sent events: ends do not depend on the split, going on from an earlier look gives what a look from
 * the start gives, and the data is what a plain reading of the specification (WHATWG HTML, 9.2.6) gives. */
#include <stdlib.h>

#include "base/buf.h"
#include "base/must.h"
#include "http/sse.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static size_t end_of(struct str s, size_t from, struct sse_look *look)
{
    char *own = malloc(s.n ? s.n : 1); /* ends where the bytes end */
    must(own);
    memcpy(own, s.p, s.n);
    size_t end = sse_event_look(own, s.n, from, look);
    must(end == sse_event_end(own, s.n, from));
    free(own);
    must(end <= s.n);
    return end;
}

static void check_look(struct str passed, const struct sse_look *look)
{
    must(look->u || str_find(passed, STR("\"u")) < 0);
    must(look->f || str_find(passed, STR("\"f")) < 0);
}

/* The end of the first event: behind the first two line ends in a row, when it is sure that none goes on. */
static size_t plain_end(struct str s)
{
    bool blank = false;
    for (size_t i = 0; i < s.n; i++) {
        if (s.p[i] != '\n' && s.p[i] != '\r') {
            blank = false;
            continue;
        }
        if (s.p[i] == '\r') {
            if (i + 1 == s.n) {
                return 0;
            }
            i += s.p[i + 1] == '\n';
        }
        if (blank) {
            return i + 1;
        }
        blank = true;
    }
    return 0;
}

static void take_field(struct str line, struct buf *data, bool *any, struct str *name)
{
    struct str key, value = line;
    if (!str_cut(&value, ':', &key)) {
        value = (struct str){0};
    } else if (value.n && value.p[0] == ' ') {
        value = str_from(value, 1);
    }
    if (str_eq(key, STR("data"))) {
        if (*any) {
            buf_addc(data, '\n');
        }
        *any = true;
        buf_add(data, value);
    } else if (str_eq(key, STR("event"))) {
        *name = value;
    }
}

static void check_data(struct str event)
{
    struct arena a = {0};
    struct buf want = {0};
    struct str want_name = {0}, name, rest = event;
    bool any = false;
    if (str_starts(rest, STR("\xEF\xBB\xBF"))) {
        rest = str_from(rest, 3);
    }
    while (rest.n) {
        size_t n = 0;
        while (n < rest.n && rest.p[n] != '\n' && rest.p[n] != '\r') {
            n++;
        }
        take_field(str_first(rest, n), &want, &any, &want_name);
        n += n + 1 < rest.n && rest.p[n] == '\r' && rest.p[n + 1] == '\n';
        rest = str_from(rest, n + 1);
    }
    struct str got = sse_data(&a, event, &name);
    must(str_eq(got, buf_str(&want)) && str_eq(name, want_name));
    size_t end = sse_event_take(&a, event.p, event.n, 0, &name, &got);
    must(end == plain_end(event));
    must(end != event.n || (str_eq(got, buf_str(&want)) && str_eq(name, want_name)));
    buf_free(&want);
    arena_reset(&a);
}

static void check_first(struct str s)
{
    struct sse_look look;
    size_t end = end_of(s, 0, &look);
    must(end == plain_end(s));
    check_look(end ? str_first(s, end) : s, &look);
    for (size_t part = 0; part <= s.n && part < 400; part++) {
        size_t early = end_of(str_first(s, part), 0, &look);
        must(early == 0 || early == end);
        check_look(str_first(s, early ? early : part), &look);
        if (early == 0) {
            must(end_of(s, part, &look) == end);
            check_look(end ? str_first(s, end) : s, &look);
        }
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct str rest = str_make((const char *)data, size);
    int events = 0;
    if (size == 0 || size > 5000) {
        return 0;
    }
    for (size_t end; rest.n && events++ < 20; rest = str_from(rest, end)) {
        struct sse_look look;
        check_first(rest);
        end = end_of(rest, 0, &look);
        check_data(end ? str_first(rest, end) : rest);
        if (!end) {
            break;
        }
    }
    rest = str_make((const char *)data, size);
    const char *lf = memchr(rest.p, '\n', rest.n);
    size_t line = lf ? (size_t)(lf - rest.p) + 1 : 0;
    must(ndjson_line_end(rest.p, rest.n, 0) == line);
    must(!line || ndjson_line_end(rest.p, rest.n, line - 1) == line);
    return 0;
}
