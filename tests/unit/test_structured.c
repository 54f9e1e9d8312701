/* Structured fields, and what is said with them: rate limits, lifecycles. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "conflict/lifecycle.h"
#include "conflict/rate_limit.h"
#include "json/tree.h"

static struct arena arena;

static int forget(void **state)
{
    (void)state;
    arena_reset(&arena);
    return 0;
}

static struct str rewritten(const char *kind, const struct str *lines, size_t n, int *ret)
{
    struct buf b = {.arena = &arena};
    struct sf_member *all;
    struct sf_item item;
    size_t count;
    if (kind[0] == 'i') {
        *ret = sf_read_item(&arena, lines, n, &item);
        *ret = *ret < 0 ? *ret : sf_write_item(&b, &item);
    } else if (kind[0] == 'l') {
        *ret = sf_read_list(&arena, lines, n, &all, &count);
        *ret = *ret < 0 ? *ret : sf_write_list(&b, all, count);
    } else {
        *ret = sf_read_dictionary(&arena, lines, n, &all, &count);
        *ret = *ret < 0 ? *ret : sf_write_dictionary(&b, all, count);
    }
    return buf_str(&b);
}

static void what_is_read_is_written_in_one_form(void **state)
{
    (void)state;
    static const struct {
        const char *kind, *from, *to; /* NULL: refused */
    } cases[] = {
        {"item", " 1 ", "1"},
        {"item", "-0", "0"},
        {"item", "999999999999999", "999999999999999"},
        {"item", "1000000000000000", NULL},
        {"item", "1.50", "1.5"},
        {"item", "-0.001", "-0.001"},
        {"item", "1.", NULL},
        {"item", "1.2345", NULL},
        {"item", "1234567890123.1", NULL},
        {"item", "\"a \\\"b\\\\\"", "\"a \\\"b\\\\\""},
        {"item", "\"\\n\"", NULL},
        {"item", "\"open", NULL},
        {"item", "*/a:b", "*/a:b"},
        {"item", ":aGVsbG8=:", ":aGVsbG8=:"},
        {"item", ":aGVsbG8:", ":aGVsbG8=:"},
        {"item", ":a:", NULL},
        {"item", ":aGVsbG8=", NULL},
        {"item", "?1;a;b=?0;a=2", "?1;a=2;b=?0"},
        {"item", "?2", NULL},
        {"item", "@-1659578233", "@-1659578233"},
        {"item", "@1.5", NULL},
        {"item", "%\"f%c3%bc\"", "%\"f%c3%bc\""},
        {"item", "%\"f%C3%BC\"", NULL},
        {"item", "%\"%ff\"", NULL},
        {"item", "a b", NULL},
        {"item", "", NULL},
        {"list", "", ""},
        {"list", "a , b;q=1,(c  d );e", "a, b;q=1, (c d);e"},
        {"list", "a,", NULL},
        {"list", "(a,b)", NULL},
        {"list", "(a", NULL},
        {"list", "\"p\";r=0;t=30;pk=:YWNjb3VudA==:", "\"p\";r=0;t=30;pk=:YWNjb3VudA==:"},
        {"dictionary", "a=1, b, c=?0;x, a=(2)", "a=(2), b, c=?0;x"},
        {"dictionary", "A=1", NULL},
        {"dictionary", "a=1 b=2", NULL},
        {"dictionary", "a=", NULL},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct str line = str_of(cases[i].from);
        int r;
        struct str got = rewritten(cases[i].kind, &line, 1, &r);
        if ((r == 0) != (cases[i].to != NULL) || (r == 0 && !str_eq(got, str_of(cases[i].to)))) {
            fail_msg("%s %s: %d %.*s", cases[i].kind, cases[i].from, r, STR_ARG(got));
        }
    }
}

static void what_cannot_be_expressed_is_not_written(void **state)
{
    (void)state;
    static const struct sf_item bad[] = {
        {.type = SF_INTEGER, .n = 1000000000000000}, {.type = SF_DECIMAL, .n = -1000000000000000},
        {.type = SF_STRING, .text = {"\n", 1}},      {.type = SF_STRING, .text = {"\xc3\xa9", 2}},
        {.type = SF_TOKEN, .text = {"1a", 2}},       {.type = SF_TOKEN, .text = {"", 0}},
        {.type = SF_TOKEN, .text = {"a b", 3}},
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct buf b = {.arena = &arena};
        assert_int_equal(sf_write_item(&b, &bad[i]), -EINVAL);
    }
    struct buf b = {.arena = &arena};
    const struct sf_member m = {.name = STR("Upper"), .item = {.type = SF_INTEGER, .n = 1}};
    assert_int_equal(sf_write_dictionary(&b, &m, 1), -EINVAL);
}

/* ---- structured-field-tests ---- */

static struct json *read_suite(const char *name)
{
    const char *shared = getenv("ACCORD_SHARED");
    char path[1024];
    snprintf(path, sizeof path, "%s%s/data/structured-field-tests/%s.json",
             shared ? "" : SOURCE_ROOT, shared ? shared : "/../shared", name);
    FILE *f = fopen(path, "rb");
    if (!f) {
        print_message("structured-field-tests is not at %s\n", path);
        skip();
    }
    static char bytes[1 << 20];
    size_t n = fread(bytes, 1, sizeof bytes, f);
    fclose(f);
    struct json *j;
    struct json_error e;
    assert_int_equal(json_parse(&arena, arena_dup(&arena, str_make(bytes, n)), &j, &e), 0);
    return j;
}

/* The canonical form is `canonical`, or else what was sent; that both readings agree on what is
 * meant follows from its being written from it. */
static void run_case(const char *suite, const struct json *c)
{
    enum { LINES_MAX = 8 };
    const struct json *raw = json_get(c, STR("raw")), *form = json_get(c, STR("canonical"));
    struct str lines[LINES_MAX];
    size_t n = 0;
    int r;
    for (const struct json *l = raw->first; l; l = l->next) {
        assert_true(n < LINES_MAX);
        lines[n++] = l->text;
    }
    struct str kind = json_get(c, STR("header_type"))->text;
    struct str got = rewritten(arena_dupz(&arena, kind), lines, n, &r);
    const struct json *must_fail = json_get(c, STR("must_fail"));
    struct str name = json_get(c, STR("name"))->text;
    if (must_fail && must_fail->type == JSON_TRUE) {
        if (r == 0) {
            fail_msg("%s: %.*s: taken for %.*s", suite, STR_ARG(name), STR_ARG(got));
        }
        return;
    }
    form = form ? form : raw;
    struct str expected = form->first ? form->first->text : (struct str){0};
    if (r < 0 || !str_eq(got, expected)) {
        fail_msg("%s: %.*s: %d, %.*s", suite, STR_ARG(name), r, STR_ARG(got));
    }
}

static void agrees_with_structured_field_tests(void **state)
{
    (void)state;
    static const char *const suites[] = {"binary",     "boolean",    "date",   "dictionary",
                                         "examples",   "item",       "list",   "number",
                                         "param-dict", "param-list", "string", "token"};
    size_t ran = 0;
    for (size_t i = 0; i < sizeof suites / sizeof *suites; i++) {
        const struct json *suite = read_suite(suites[i]);
        for (const struct json *c = suite->first; c; c = c->next) {
            run_case(suites[i], c);
            ran++;
        }
    }
    assert_true(ran > 150);
}

/* ---- what is said with them ---- */

static void rate_limits(void **state)
{
    (void)state;
    struct buf b = {.arena = &arena};
    const struct rate_limit l = {.policy = STR("sign-in"),
                                 .quota = 5,
                                 .window_s = 3600,
                                 .reset_ms = 1001,
                                 .partition = STR("account")};
    rate_limit_fields(&b, &l);
    retry_after_fields(&b, 1500);
    assert_true(
        str_eq(buf_str(&b), STR("ratelimit-policy: \"sign-in\";q=5;w=3600;pk=:YWNjb3VudA==:\r\n"
                                "ratelimit: \"sign-in\";r=0;t=2;pk=:YWNjb3VudA==:\r\n"
                                "retry-after: 2\r\nretry-after-ms: 1500\r\n")));
    b.n = 0;
    rate_limit_fields(&b, &(struct rate_limit){.policy = STR("\x01"), .quota = 1, .window_s = 1});
    assert_int_equal(b.n, 0);
}

/* 1000 who were sent away at the same moment come back in many different seconds, none too early. */
static void those_who_wait_are_spread(void **state)
{
    (void)state;
    uint64_t random = 88172645463325252U;
    unsigned in[200] = {0}, most = 0;
    for (int i = 0; i < 1000; i++) {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        uint64_t ms = retry_after_spread(60000, random);
        assert_true(ms >= 60000 && ms <= 75000);
        in[ms / 1000]++;
    }
    for (size_t i = 0; i < 200; i++) {
        most = in[i] > most ? in[i] : most;
    }
    assert_true(most < 150);
    assert_in_range(retry_after_spread(1, 12345), 1, 1001);
    assert_in_range(retry_after_spread(3600000, 59999), 3600000, 3660000);
}

static void lifecycles(void **state)
{
    (void)state;
    struct buf b = {.arena = &arena};
    lifecycle_fields(&b, &(struct lifecycle){0});
    assert_int_equal(b.n, 0);
    lifecycle_fields(&b, &(struct lifecycle){.deprecated_s = 1688169599,
                                             .sunset_s = 1794355200,
                                             .about = STR("/v1/models/old"),
                                             .successor = STR("/v1/models/new")});
    assert_true(
        str_eq(buf_str(&b),
               STR("deprecation: @1688169599\r\nsunset: Wed, 11 Nov 2026 00:00:00 GMT\r\n"
                   "link: </v1/models/old>; rel=\"deprecation\", </v1/models/old>; rel=\"sunset\", "
                   "</v1/models/new>; rel=\"successor-version\"\r\n")));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(what_is_read_is_written_in_one_form, forget),
        cmocka_unit_test_teardown(what_cannot_be_expressed_is_not_written, forget),
        cmocka_unit_test_teardown(agrees_with_structured_field_tests, forget),
        cmocka_unit_test_teardown(rate_limits, forget),
        cmocka_unit_test_teardown(those_who_wait_are_spread, forget),
        cmocka_unit_test_teardown(lifecycles, forget),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
