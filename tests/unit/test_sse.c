/* Server-sent events as they pass by (WHATWG HTML, 9.2.5 and 9.2.6), and NDJSON. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/buf.h"
#include "http/sse.h"

/* In memory that ends where the bytes end. */
static size_t event_end(const char *p, size_t n, size_t from)
{
    char *own = malloc(n ? n : 1);
    assert_non_null(own);
    memcpy(own, p, n);
    size_t r = sse_event_end(own, n, from);
    free(own);
    return r;
}

#define T(text) text, sizeof(text) - 1

/* `end`: of the first event. */
static const struct {
    const char *text;
    size_t n;
    size_t end;
} ends[] = {
    {T(""), 0},
    {T("data: a"), 0},
    {T("data: a\n"), 0},
    {T("data: a\n\n"), 9},
    {T("data: a\n\ndata: b\n\n"), 9},
    {T("data: a\r\n\r\n"), 11},
    {T("data: a\r\n\r"), 0}, /* LF may follow */
    {T("data: a\r\r"), 0},
    {T("data: a\r\rdata"), 9},
    {T("data: a\r\r\n"), 10}, /* CR, and CRLF */
    {T("data: a\n\r\n"), 10},
    {T("data: a\n\rdata"), 9},
    {T("data: a\r\n\n"), 10},
    {T("data: a\r\n\rdata"), 10},
    {T("data: a\r\n"), 0},
    {T("data: a\rdata: b\n\n"), 17},
    {T("data: a\ndata: b\r\ndata: c\rdata: d\n\nx"), 34},
    {T(": only a comment\n\n"), 18},
    {T("\n"), 0},
    {T("\n\n"), 2},
    {T("\ndata: a\n\n"), 10},
    {T("data: 0123456789 0123456789 0123456789 0123456789\n\nrest that is longer than a vector"),
     51},
    {T("data: \0\x0b\xe2\x80\xa8\xc2\x85\n\n"), 15}, /* these end no line here */
};

static void ends_of_events(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof ends / sizeof *ends; i++) {
        size_t got = event_end(ends[i].text, ends[i].n, 0);
        if (got != ends[i].end) {
            fail_msg("row %zu: ends at %zu instead of %zu", i, got, ends[i].end);
        }
    }
}

/* Every part of it gives the same end, or none yet; and going on from where an earlier look stopped gives
 * what a look from the start gives. */
static void check_every_part(const char *p, size_t n)
{
    size_t whole = event_end(p, n, 0);
    for (size_t part = 0; part <= n; part++) {
        size_t end = event_end(p, part, 0);
        if (end && end != whole) {
            fail_msg("\"%.*s\" cut at %zu ends at %zu, whole at %zu", (int)n, p, part, end, whole);
        }
        assert_true(!end || end <= part);
        if (end == 0) {
            for (size_t more = part; more <= n; more++) {
                size_t again = event_end(p, more, part);
                if (again != event_end(p, more, 0)) {
                    fail_msg("\"%.*s\": %zu bytes from %zu on: %zu", (int)n, p, more, part, again);
                }
            }
        }
    }
}

static void every_part_of_the_table(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof ends / sizeof *ends; i++) {
        check_every_part(ends[i].text, ends[i].n);
    }
}

/* All texts of up to eight characters out of CR, LF and a letter. */
static void all_short_texts(void **state)
{
    (void)state;
    for (size_t n = 1; n <= 8; n++) {
        size_t all = 1;
        for (size_t i = 0; i < n; i++) {
            all *= 3;
        }
        for (size_t which = 0; which < all; which++) {
            char text[8];
            size_t w = which;
            for (size_t i = 0; i < n; i++, w /= 3) {
                text[i] = "\r\nd"[w % 3];
            }
            check_every_part(text, n);
        }
    }
}

/* The same shapes across the borders of a vector. */
static void at_every_place_of_a_vector(void **state)
{
    (void)state;
    static const char *const blank[] = {"\n\n", "\r\n\r\n", "\r\r", "\n\r\n", "\r\n\n", "\r\r\n"};
    for (size_t b = 0; b < sizeof blank / sizeof *blank; b++) {
        for (size_t ahead = 0; ahead < 40; ahead++) {
            char text[80];
            memset(text, 'x', sizeof text);
            memcpy(text + ahead, blank[b], strlen(blank[b]));
            assert_int_equal(event_end(text, sizeof text, 0), ahead + strlen(blank[b]));
            check_every_part(text, ahead + strlen(blank[b]) + 1);
        }
    }
}

/* The look for strings that begin with 'u' or 'f' finds the same end, and misses none of them in what it
 * has passed: at every place, behind every split. */
static void what_looks_see(void **state)
{
    (void)state;
    static const char *const shapes[] = {"\"u",   "\"f",   "\"x",          "u\"",
                                         "\"\"u", "\"\nu", "\"\ndata: \"f"};
    for (size_t shape = 0; shape < sizeof shapes / sizeof *shapes; shape++) {
        for (size_t ahead = 0; ahead < 80; ahead++) {
            char text[256];
            int n = snprintf(text, sizeof text, "data: %*s%s %*s\n\n: \"u \"f", (int)ahead, "",
                             shapes[shape], (int)(79 - ahead), "");
            size_t end = event_end(text, (size_t)n, 0);
            bool u = memmem(text, end, "\"u", 2), f = memmem(text, end, "\"f", 2);
            for (size_t from = 0; from < end; from++) {
                struct sse_look first, then;
                char *own = malloc((size_t)n);
                memcpy(own, text, (size_t)n);
                size_t none = sse_event_look(own, from, 0, &first);
                assert_int_equal(none, 0);
                assert_int_equal(sse_event_look(own, (size_t)n, from, &then), end);
                assert_true(!u || then.u);
                assert_true(!f || then.f);
                if (from == 0 && shape == 2) { /* it would be of no use else */
                    assert_int_equal(sse_event_look(own, end, 0, &then), end);
                    assert_false(then.u || then.f);
                }
                free(own);
            }
        }
    }
}

/* Other control characters, tabs above all, end no line wherever they stand. */
static void other_controls(void **state)
{
    (void)state;
    for (char c = 0; c < 0x20; c++) {
        for (size_t at = 0; at < 140 && c != '\n' && c != '\r'; at++) {
            char text[142];
            memset(text, 'x', sizeof text);
            text[at] = text[139 - at] = c;
            memcpy(text + 140, "\n\n", 2);
            assert_int_equal(event_end(text, 142, 0), 142);
            assert_int_equal(event_end(text + at, 142 - at, 0), 142 - at);
            assert_int_equal(event_end(text, 141, 0), 0);
        }
    }
}

/* ---- what an event says ---- */

static const struct {
    const char *text;
    size_t n;
    const char *data;
    size_t data_n;
    const char *name;
} events[] = {
    {T("data: a\n\n"), T("a"), ""},
    {T("data:a\n\n"), T("a"), ""},
    {T("data:  a\n\n"), T(" a"), ""}, /* one space goes */
    {T("data: a \n\n"), T("a "), ""},
    {T("data\n\n"), T(""), ""},
    {T("data:\n\n"), T(""), ""},
    {T("data:\ndata:\n\n"), T("\n"), ""},
    {T("data\ndata: b\n\n"), T("\nb"), ""},
    {T("data: a\ndata: b\n\n"), T("a\nb"), ""},
    {T("data: a\r\ndata: b\r\n\r\n"), T("a\nb"), ""},
    {T("data: a\rdata: b\r\r"), T("a\nb"), ""},
    {T("data: a\rdata: b\ndata: c\r\ndata:d\n\n"), T("a\nb\nc\nd"), ""},
    {T("event: x\ndata: a\n\n"), T("a"), "x"},
    {T("data: a\nevent:x\n\n"), T("a"), "x"},
    {T("event: x\nevent: y\ndata: a\n\n"), T("a"), "y"},
    {T("event: x\nevent\ndata: a\n\n"), T("a"), ""},
    {T("id: 1\nretry: 5\ndata: a\nunknown: z\n\n"), T("a"), ""},
    {T(": comment\ndata: a\n: data: b\n\n"), T("a"), ""},
    {T(": comment\n\n"), T(""), ""},
    {T(":\n\n"), T(""), ""},
    {T(" data: a\n\n"), T(""), ""}, /* a field named " data" */
    {T("Data: a\n\n"), T(""), ""},  /* names have a case */
    {T("data : a\n\n"), T(""), ""},
    {T("dataa: b\n\n"), T(""), ""},
    {T("eventdata: b\ndata: a\n\n"), T("a"), ""},
    {T("\xEF\xBB\xBF"
       "data: a\n\n"),
     T("a"), ""},
    {T("\xEF\xBB\xBF\n\ndata: a"), T("a"), ""},
    {T("\xEF\xBB"
       "data: a\n\n"),
     T(""), ""}, /* two thirds of a BOM */
    {T("data: \xEF\xBB\xBF"
       "a\n\n"),
     T("\xEF\xBB\xBF"
       "a"),
     ""},
    {T("\n\ndata: a\n\n"), T("a"), ""},
    {T("data: a:b: c\n\n"), T("a:b: c"), ""},
    {T("data: a\0b\n\n"), T("a\0b"), ""},
    {T("data: a\0b\ndata: \0\ndata: c\n\n"), T("a\0b\n\0\nc"), ""},
    {T("data: [DONE]"), T("[DONE]"), ""}, /* without its blank line */
    {T("data: a\r"), T("a"), ""},
};

/* Taken in one, an event ends where it ends and says what it says, whatever part of it is there. */
static void check_taken(const char *text, size_t n)
{
    for (size_t part = 0; part <= n; part++) {
        struct arena a = {0};
        char *own = malloc(part ? part : 1);
        memcpy(own, text, part);
        struct str name = {0}, data, want_name = {0};
        size_t end = sse_event_end(own, part, 0);
        for (size_t from = 0; from <= part && (from == 0 || !end || from < end); from++) {
            assert_int_equal(sse_event_take(&a, own, part, from, &name, &data),
                             sse_event_end(own, part, from));
            struct str want = sse_data(&a, str_make(own, end), &want_name);
            assert_true(!end || (str_eq(data, want) && str_eq(name, want_name)));
        }
        free(own);
        arena_reset(&a);
    }
}

static void what_events_say(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof events / sizeof *events; i++) {
        struct arena a = {0};
        struct str name;
        char *own = malloc(events[i].n);
        memcpy(own, events[i].text, events[i].n);
        struct str data = sse_data(&a, str_make(own, events[i].n), &name);
        if (!str_eq(data, str_make(events[i].data, events[i].data_n)) ||
            !str_eq(name, str_of(events[i].name))) {
            fail_msg("row %zu: data \"%.*s\", name \"%.*s\"", i, STR_ARG(data), STR_ARG(name));
        }
        assert_true(str_eq(sse_data(&a, str_make(own, events[i].n), NULL), data));
        free(own);
        check_taken(events[i].text, events[i].n);
        arena_reset(&a);
    }
}

/* Memory and time are those of the event, however many lines it has. */
static void many_lines(void **state)
{
    (void)state;
    enum { LINES = 200000 };
    struct buf b = {0};
    for (int i = 0; i < LINES; i++) {
        buf_addz(&b, "data: x\n");
    }
    buf_addz(&b, "\n");
    assert_int_equal(sse_event_end(b.p, b.n, 0), b.n);
    struct pool pool = {0};
    struct arena a = {.pool = &pool};
    struct str data = sse_data(&a, buf_str(&b), NULL);
    assert_int_equal(data.n, 2 * LINES - 1);
    for (size_t i = 0; i < data.n; i++) {
        assert_int_equal(data.p[i], i % 2 ? '\n' : 'x');
    }
    assert_true(pool.lent <= 4 * b.n);
    arena_reset(&a);
    pool_trim(&pool, 0);
    buf_free(&b);
}

static void ndjson(void **state)
{
    (void)state;
    static const char text[] = "{\"a\":1}\n{\"b\":2}\r\n\n{\"c\"";
    size_t n = sizeof text - 1;
    for (size_t part = 0; part <= n; part++) {
        assert_int_equal(ndjson_line_end(text, part, 0), part < 8 ? 0 : 8);
        for (size_t from = 0; from < 8 && from <= part; from++) {
            assert_int_equal(ndjson_line_end(text, part, from), part < 8 ? 0 : 8);
        }
    }
    assert_int_equal(ndjson_line_end(text + 8, n - 8, 0), 9);
    assert_int_equal(ndjson_line_end(text + 17, n - 17, 0), 1);
    assert_int_equal(ndjson_line_end(text + 18, n - 18, 0), 0);
    assert_int_equal(ndjson_line_end(text, n, n), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ends_of_events),  cmocka_unit_test(every_part_of_the_table),
        cmocka_unit_test(all_short_texts), cmocka_unit_test(at_every_place_of_a_vector),
        cmocka_unit_test(what_events_say), cmocka_unit_test(many_lines),
        cmocka_unit_test(other_controls),  cmocka_unit_test(what_looks_see),
        cmocka_unit_test(ndjson),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
