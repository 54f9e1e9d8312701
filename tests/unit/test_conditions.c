/* Entity tags, dates, preconditions, small request fields, queries, cookies, what is accepted. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/buf.h"
#include "conflict/http_date.h"
#include "conflict/precondition.h"
#include "conflict/request_fields.h"
#include "http/negotiate.h"
#include "http/query.h"

static struct arena arena;

static int forget(void **state)
{
    (void)state;
    arena_reset(&arena);
    return 0;
}

static enum etag_match match_in(const char *line, const char *tag, bool strongly)
{
    const struct str lines[] = {str_of(line)};
    struct etag t = {0};
    assert_int_equal(etag_parse(str_of(tag), &t), 0);
    return etag_match(&(struct etag_list){lines, 1}, t, strongly);
}

static void entity_tags(void **state)
{
    (void)state;
    struct etag t;
    static const char *const good[] = {"\"\"", "\"a\"", "W/\"a\"", "\"a,b\"", "\"\x80\xff\""};
    static const char *const bad[] = {"",       "a",       "\"",        "w/\"a\"", "W/",
                                      "\"a\" ", "\"a b\"", "\"a\x7f\"", "*"};
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        assert_int_equal(etag_parse(str_of(good[i]), &t), 0);
    }
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        assert_int_equal(etag_parse(str_of(bad[i]), &t), -EBADMSG);
    }
}

static void lists_of_tags(void **state)
{
    (void)state;
    static const struct {
        const char *line;
        enum etag_match strong, weak;
    } cases[] = {
        {"*", ETAG_ANY, ETAG_ANY},
        {" * ", ETAG_ANY, ETAG_ANY},
        {"\"a\"", ETAG_FOUND, ETAG_FOUND},
        {"W/\"a\"", ETAG_OTHER, ETAG_FOUND},
        {"\"b\", \"a\"", ETAG_FOUND, ETAG_FOUND},
        {"\"b\",,\t\"a\" ,", ETAG_FOUND, ETAG_FOUND},
        {"\"a,b\"", ETAG_OTHER, ETAG_OTHER},
        {"\"\"", ETAG_OTHER, ETAG_OTHER},
        {"\"a\", *", ETAG_MALFORMED, ETAG_MALFORMED},
        {"abc", ETAG_MALFORMED, ETAG_MALFORMED},
        {"w/\"a\"", ETAG_MALFORMED, ETAG_MALFORMED},
        {"\"a\" \"b\"", ETAG_MALFORMED, ETAG_MALFORMED},
        {"\"a\", b", ETAG_MALFORMED, ETAG_MALFORMED},
        {"", ETAG_MALFORMED, ETAG_MALFORMED},
        {",", ETAG_MALFORMED, ETAG_MALFORMED},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        if (match_in(cases[i].line, "\"a\"", true) != cases[i].strong ||
            match_in(cases[i].line, "\"a\"", false) != cases[i].weak) {
            fail_msg("%s", cases[i].line);
        }
    }
    const struct str lines[] = {STR("\"b\""), STR("\"a\"")};
    struct etag a = {.opaque = STR("\"a\"")};
    assert_int_equal(etag_match(&(struct etag_list){lines, 2}, a, true), ETAG_FOUND);
    assert_int_equal(etag_match(&(struct etag_list){NULL, 0}, a, true), ETAG_ABSENT);
}

static void tags_of_ours(void **state)
{
    (void)state;
    int64_t revision = 0;
    struct str hash = {0}, tag = etag_make(&arena, 41, STR("9f2c01aa"));
    assert_true(str_eq(tag, STR("\"41-9f2c01aa\"")));
    assert_true(etag_revision(tag, &revision, &hash) && revision == 41);
    assert_true(str_eq(hash, STR("9f2c01aa")));
    assert_false(etag_revision(STR("\"41-9f2c\""), &revision, &hash));
    assert_false(etag_revision(STR("W/\"41-9f2c01aa\""), &revision, &hash));
    assert_false(etag_revision(STR("\"x-9f2c01aa\""), &revision, &hash));
}

static void dates(void **state)
{
    (void)state;
    enum { NOW = 1795000000 };
    static const struct {
        const char *text;
        int64_t s; /* -1: not a date */
    } cases[] = {
        {"Sun, 06 Nov 1994 08:49:37 GMT", 784111777},
        {"Sunday, 06-Nov-94 08:49:37 GMT", 784111777},
        {"Sun Nov  6 08:49:37 1994", 784111777},
        {"Thu, 01 Jan 1970 00:00:00 GMT", 0},
        {"Tue, 29 Feb 2028 00:00:00 GMT", 1835395200},
        {"Friday, 31-Dec-49 23:59:59 GMT", 2524607999},
        {"Mon, 29 Feb 2027 00:00:00 GMT", -1},
        {"Sun, 6 Nov 1994 08:49:37 GMT", -1},
        {"Sun, 06 Nov 1994 08:49:37 UTC", -1},
        {"Sun, 06 Nov 1994 24:49:37 GMT", -1},
        {"sun, 06 nov 1994 08:49:37 GMT", -1},
        {"Sun, 06 Nov 1994 08:49:37 GMT x", -1},
        {"", -1},
        {"784111777", -1},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        int64_t s = -1;
        int r = http_date_parse(str_of(cases[i].text), NOW, &s);
        if ((r == 0) != (cases[i].s >= 0) || (r == 0 && s != cases[i].s)) {
            fail_msg("%s: %lld", cases[i].text, (long long)s);
        }
    }
    for (int64_t s = 0; s < 4102444800; s += 86399 * 17 + 3) {
        int64_t back = -1;
        assert_int_equal(http_date_parse(http_date_print(&arena, s), NOW, &back), 0);
        assert_int_equal(back, s);
        assert_int_equal(time_parse(time_print(&arena, s * 1000000 + s % 1000), &back), 0);
        assert_int_equal(back, s * 1000000 + s % 1000);
    }
    assert_true(str_eq(http_date_print(&arena, 784111777), STR("Sun, 06 Nov 1994 08:49:37 GMT")));
    assert_true(str_eq(time_print(&arena, 1000001), STR("1970-01-01T00:00:01.000001Z")));
    int64_t us;
    assert_int_equal(time_parse(STR("2026-11-22T10:00:00+01:00"), &us), -EBADMSG);
    assert_int_equal(time_parse(STR("2026-13-22T10:00:00Z"), &us), -EBADMSG);
    assert_int_equal(time_parse(STR("2026-11-22T10:00:00.Z"), &us), -EBADMSG);
}

static void malformed_lists_win(void **state)
{
    (void)state;
    const struct str bad = STR("abc"), fresh = STR("\"1-00000000\"");
    struct present now = {.exists = true, .tag = {.opaque = STR("\"1-00000000\"")}};
    struct conditions c = {.if_match = {&fresh, 1}, .if_none_match = {&bad, 1}};
    assert_int_equal(precondition(CONDITION_PUT, &c, &now).verdict, VERDICT_MALFORMED);
    c = (struct conditions){.if_match = {&fresh, 1}};
    assert_int_equal(precondition(CONDITION_PUT, &c, &now).verdict, VERDICT_PROCEED);
    assert_true(precondition(CONDITION_PUT, &c, &now).conditional);
    now.exists = false;
    assert_int_equal(precondition(CONDITION_PUT, &c, &now).verdict, VERDICT_FAILED);
    assert_int_equal(precondition(CONDITION_CHANGE, &c, &now).verdict, VERDICT_NOT_FOUND);
}

static void idempotency_keys(void **state)
{
    (void)state;
    static const struct {
        const char *value, *key; /* NULL: refused */
    } cases[] = {
        {"abc", "abc"},         {"\"abc\"", "abc"}, {" abc ", "abc"},  {"\"a\\\"b\"", "a\"b"},
        {"7f9c-11", "7f9c-11"}, {"\"a,b\"", "a,b"}, {"", NULL},        {"\"\"", NULL},
        {"a,b", NULL},          {"a b", NULL},      {"\"a", NULL},     {"a\"", NULL},
        {"a;x=1", NULL},        {"\"a\\n\"", NULL}, {"\"a b\"", NULL}, {"\x01", NULL},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct str key = {0};
        int r = idempotency_key(&arena, str_of(cases[i].value), &key);
        if ((r == 0) != (cases[i].key != NULL) || (r == 0 && !str_eq(key, str_of(cases[i].key)))) {
            fail_msg("%s", cases[i].value);
        }
    }
    char longest[300];
    memset(longest, 'k', sizeof longest);
    struct str key;
    assert_int_equal(idempotency_key(&arena, str_make(longest, 255), &key), 0);
    assert_int_equal(idempotency_key(&arena, str_make(longest, 256), &key), -EBADMSG);
}

static void preferences(void **state)
{
    (void)state;
    struct prefer p = PREFER_NONE;
    prefer_line(&p, STR("conflict=merge; base=\"41-9f2c01aa\", wait=5, x=y"));
    prefer_line(&p, STR("return=minimal"));
    assert_true(p.merge && p.minimal && p.wait_s == 5 && str_eq(p.base, STR("41-9f2c01aa")));
    p = PREFER_NONE;
    prefer_line(&p, STR("wait=soon, return=representation, conflict=refuse"));
    assert_true(!p.merge && !p.minimal && p.wait_s == -1);
}

static void queries(void **state)
{
    (void)state;
    struct query q;
    struct str s;
    assert_int_equal(query_parse(&arena, STR("a=1&b=x+y%21&c&&a=2"), &q), 0);
    assert_int_equal(q.n, 4);
    assert_true(str_eq(query_get(&q, STR("a")), STR("1")));
    assert_true(str_eq(query_get(&q, STR("b")), STR("x y!")));
    assert_true(query_get(&q, STR("c")).p && query_get(&q, STR("c")).n == 0);
    assert_null(query_get(&q, STR("d")).p);
    assert_int_equal(query_parse(&arena, STR("a=%zz"), &q), -EBADMSG);
    assert_int_equal(query_parse(&arena, STR("a=%4"), &q), -EBADMSG);
    assert_int_equal(query_parse(&arena, STR("a=%ff"), &q), -EBADMSG);
    struct buf b = {.arena = &arena};
    url_encode(&b, STR("a/b c\xC3\xA9~"));
    assert_true(str_eq(buf_str(&b), STR("a%2Fb%20c%C3%A9~")));
    assert_int_equal(url_decode(&arena, buf_str(&b), false, &s), 0);
    assert_true(str_eq(s, STR("a/b c\xC3\xA9~")));
}

static void negotiation(void **state)
{
    (void)state;
    static const char *const forms[] = {"text/html", "application/json", NULL};
    static const char *const languages[] = {"en", "zh", NULL};
    assert_int_equal(accept_best(STR(""), forms), 0);
    assert_int_equal(accept_best(STR("*/*"), forms), 0);
    assert_int_equal(accept_best(STR("application/json"), forms), 1);
    assert_int_equal(accept_best(STR("text/*;q=0.5, application/json;q=0.6"), forms), 1);
    assert_int_equal(accept_best(STR("text/html;q=0, */*"), forms), 1);
    assert_int_equal(accept_best(STR("image/png"), forms), -1);
    assert_int_equal(accept_language(STR("zh-TW,zh;q=0.9,en;q=0.8"), languages), 1);
    assert_int_equal(accept_language(STR("fr, en;q=0.1"), languages), 0);
    assert_int_equal(accept_language(STR(""), languages), 0);
    assert_true(
        str_eq(media_type(STR("Application/JSON ; charset=utf-8")), STR("Application/JSON")));
    assert_true(str_eq(cookie_get(STR("a=1; b=\"2\"; c=3"), STR("b")), STR("2")));
    assert_null(cookie_get(STR("ab=1"), STR("b")).p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(entity_tags, forget),
        cmocka_unit_test_teardown(lists_of_tags, forget),
        cmocka_unit_test_teardown(tags_of_ours, forget),
        cmocka_unit_test_teardown(dates, forget),
        cmocka_unit_test_teardown(malformed_lists_win, forget),
        cmocka_unit_test_teardown(idempotency_keys, forget),
        cmocka_unit_test_teardown(preferences, forget),
        cmocka_unit_test_teardown(queries, forget),
        cmocka_unit_test_teardown(negotiation, forget),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
