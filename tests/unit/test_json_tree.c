#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

#include "json/tree.h"

#define COUNT(array) (sizeof(array) / sizeof *(array))

static struct arena arena;

static int forget(void **state)
{
    (void)state;
    arena_reset(&arena);
    return 0;
}

static struct json *parsed(const char *doc)
{
    struct json *j;
    struct json_error e;
    if (json_parse(&arena, str_of(doc), &j, &e) < 0) {
        fail_msg("%s: at %zu: %s", doc, e.at, e.why);
    }
    return j;
}

static void expect_print(const struct json *j, unsigned indent, const char *text)
{
    struct buf b = {.arena = &arena};
    json_print(&b, j, indent);
    if (!str_eq(buf_str(&b), str_of(text))) {
        fail_msg("%.*s instead of %s", STR_ARG(buf_str(&b)), text);
    }
}

static void prints_what_it_parsed(void **state)
{
    (void)state;
    static const struct {
        const char *doc, *print;
    } cases[] = {
        {"null", "null"},
        {" true ", "true"},
        {"-1.50e+3", "-1.50e+3"},
        {"123456789012345678901234567890", "123456789012345678901234567890"},
        {"\"\"", "\"\""},
        {"\"a\\/\\u0041\\u000a\\\"\"", "\"a/A\\n\\\"\""},
        {"[ ]", "[]"},
        {"{ }", "{}"},
        {"[[],{},[[ ]]]", "[[],{},[[]]]"},
        {"{ \"b\" : 1 , \"a\" : [ 1 , 2 , { \"c\" : false } ] , \"\" : \"x\" }",
         "{\"b\":1,\"a\":[1,2,{\"c\":false}],\"\":\"x\"}"},
        {"{\"\\u00e9\":\"\\ud83d\\ude00\"}", "{\"\xC3\xA9\":\"\xF0\x9F\x98\x80\"}"},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        expect_print(parsed(cases[i].doc), 0, cases[i].print);
    }
}

static void prints_indented(void **state)
{
    (void)state;
    expect_print(parsed("{\"a\":[1,{\"b\":[]}],\"c\":{}}"), 2,
                 "{\n  \"a\": [\n    1,\n    {\n      \"b\": []\n    }\n  ],\n  \"c\": {}\n}");
}

static void knows_lines_and_columns(void **state)
{
    (void)state;
    struct json *j = parsed("{\n  \"a\": 1,\n\t\"\xC3\xA9\xE2\x82\xAC\" : [\n true]\n}");
    assert_int_equal(j->line, 1);
    assert_int_equal(j->column, 1);
    const struct json *a = json_get(j, STR("a"));
    assert_int_equal(a->key_line, 2);
    assert_int_equal(a->key_column, 3);
    assert_int_equal(a->line, 2);
    assert_int_equal(a->column, 8);
    assert_int_equal(a->next->key_column, 2);
    assert_int_equal(a->next->line, 3);
    assert_int_equal(a->next->column, 9); /* columns count characters */
    assert_int_equal(a->next->first->line, 4);
    assert_int_equal(a->next->first->column, 2);
}

static void refuses_doubled_names(void **state)
{
    (void)state;
    static const struct {
        const char *doc;
        size_t at;
    } cases[] = {
        {"{\"a\":1,\"a\":2}", 7},
        {"{\"a\":1,\"\\u0061\":2}", 7},
        {"[{\"x\":{\"b\":1,\"a\":2,\n\"\xC3\xA9\":3, \"a\":2,\"b\":1}}]", 28},
        {"{\"\":1,\"\":2}", 6},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct json *j;
        struct json_error e;
        assert_int_equal(json_parse(&arena, str_of(cases[i].doc), &j, &e), -EBADMSG);
        assert_int_equal(e.at, cases[i].at);
        assert_non_null(strstr(e.why, "twice"));
        assert_int_equal(json_parse(&arena, str_of(cases[i].doc), &j, NULL), -EBADMSG);
    }
    expect_print(parsed("{\"a\":{\"a\":{\"a\":1}}}"), 0, "{\"a\":{\"a\":{\"a\":1}}}");
}

/* Also quickly: a sender chooses how many members there are. */
static void finds_one_doubled_name_among_many(void **state)
{
    (void)state;
    enum { MEMBERS = 200000 };
    struct buf b = {0};
    buf_addc(&b, '{');
    for (int i = 0; i < MEMBERS; i++) {
        buf_printf(&b, "\"m%d\":%d,", i, i);
    }
    size_t at = b.n;
    buf_addz(&b, "\"m77\":0}");
    struct json *j;
    struct json_error e;
    assert_int_equal(json_parse(&arena, buf_str(&b), &j, &e), -EBADMSG);
    assert_int_equal(e.at, at);
    memcpy(b.p + at, "\"n77\"", 5);
    assert_int_equal(json_parse(&arena, buf_str(&b), &j, &e), 0);
    assert_int_equal(json_count(j), MEMBERS + 1);
    buf_free(&b);
}

static void refuses_what_the_scanner_refuses(void **state)
{
    (void)state;
    struct json *j = NULL;
    struct json_error e;
    assert_int_equal(json_parse(&arena, STR("[1,]"), &j, &e), -EBADMSG);
    assert_int_equal(e.at, 3);
    assert_null(j);
}

static void parses_the_deepest_document(void **state)
{
    (void)state;
    char doc[2 * JSON_DEPTH_MAX + 1] = "";
    memset(doc, '[', JSON_DEPTH_MAX);
    memset(doc + JSON_DEPTH_MAX, ']', JSON_DEPTH_MAX);
    struct json *j = parsed(doc);
    expect_print(j, 0, doc);
    assert_true(json_equal(j, json_clone(&arena, j)));
}

static void gets_sets_and_removes(void **state)
{
    (void)state;
    struct json *j = parsed("{\"a\":1,\"b\":2,\"c\":3}");
    assert_null(json_get(NULL, STR("a")));
    assert_null(json_get(json_get(j, STR("a")), STR("a")));
    assert_null(json_get(j, STR("d")));
    json_set(j, STR("c"), json_new_str(&arena, STR("x")));
    json_set(j, STR("a"), json_new_bool(&arena, true));
    struct json *b = json_set(j, STR("b"), json_new(&arena, JSON_NULL));
    assert_ptr_equal(json_set(j, STR("b"), b), b);
    json_set(j, STR("d"), json_new_int(&arena, INT64_MIN));
    expect_print(j, 0, "{\"a\":true,\"b\":null,\"c\":\"x\",\"d\":-9223372036854775808}");
    assert_true(json_remove(j, STR("d")));
    assert_false(json_remove(j, STR("d")));
    assert_true(json_remove(j, STR("a")));
    json_set(j, STR("e"), json_new(&arena, JSON_ARRAY));
    json_append(json_get(j, STR("e")), json_new_int(&arena, 5));
    json_append(json_get(j, STR("e")), json_new_int(&arena, 6));
    expect_print(j, 0, "{\"b\":null,\"c\":\"x\",\"e\":[5,6]}");
    assert_true(json_remove(j, STR("c")));
    assert_true(json_remove(j, STR("e")));
    assert_true(json_remove(j, STR("b")));
    json_set(j, STR("z"), json_new_bool(&arena, false));
    expect_print(j, 0, "{\"z\":false}");
    assert_int_equal(json_count(j), 1);
    assert_int_equal(json_count(NULL), 0);
}

static void a_clone_stands_alone(void **state)
{
    (void)state;
    char doc[] = "{\"a\":[\"text\",12],\"b\":{\"c\":null}}";
    struct arena own = {0};
    struct json *j = parsed(doc), *copy = json_clone(&own, j);
    assert_true(json_equal(j, copy));
    json_set(j, STR("a"), json_new_int(&arena, 1));
    memset(doc, '#', sizeof doc - 1);
    expect_print(copy, 0, "{\"a\":[\"text\",12],\"b\":{\"c\":null}}");
    assert_int_equal(json_get(copy, STR("b"))->column, 22);
    arena_reset(&own);
}

static void compares(void **state)
{
    (void)state;
    static const struct {
        const char *a, *b;
        bool same;
    } cases[] = {
        {"1", "1", true},
        {"1", "2", false},
        {"1", "\"1\"", false},
        {"1", "1.0", true},
        {"1", "10e-1", true},
        {"100", "1E2", true},
        {"100", "1e+2", true},
        {"0.001", "1e-3", true},
        {"12.30", "1230e-2", true},
        {"-1", "1", false},
        {"0", "-0", true},
        {"0", "0.0e99", true},
        {"0", "1", false},
        {"1", "10", false},
        {"101", "11", false},
        {"1e99999999999999999999", "1e99999999999999999999", true},
        {"1e99999999999999999999", "1", false},
        {"0e99999999999999999999", "0", true},
        {"9007199254740993", "9007199254740992", false},
        {"\"a\"", "\"\\u0061\"", true},
        {"\"a\"", "\"b\"", false},
        {"null", "null", true},
        {"true", "false", false},
        {"[1,2]", "[1,2]", true},
        {"[1,2]", "[2,1]", false},
        {"[1,2]", "[1,2,3]", false},
        {"{\"a\":1,\"b\":2}", "{\"b\":2.0,\"a\":1}", true},
        {"{\"a\":1,\"b\":2}", "{\"a\":1,\"c\":2}", false},
        {"{}", "[]", false},
        {"{\"a\":1}", "{}", false},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        const struct json *a = parsed(cases[i].a), *b = parsed(cases[i].b);
        if (json_equal(a, b) != cases[i].same || json_equal(b, a) != cases[i].same) {
            fail_msg("%s and %s", cases[i].a, cases[i].b);
        }
    }
    assert_true(json_equal(NULL, NULL));
    assert_false(json_equal(NULL, parsed("null")));
}

/* The examples of RFC 6901, section 5, and what must not resolve. */
static void resolves_pointers(void **state)
{
    (void)state;
    const struct json *j =
        parsed("{\"foo\":[\"bar\",\"baz\"],\"\":0,\"a/b\":1,\"c%d\":2,\"e^f\":3,"
               "\"g|h\":4,\"i\\\\j\":5,\"k\\\"l\":6,\" \":7,\"m~n\":8,\"~1\":9}");
    assert_ptr_equal(json_at(j, STR("")), j);
    assert_int_equal(json_at(j, STR("/foo"))->type, JSON_ARRAY);
    assert_true(str_eq(json_at(j, STR("/foo/0"))->text, STR("bar")));
    assert_true(str_eq(json_at(j, STR("/foo/1"))->text, STR("baz")));
    static const char *const members[] = {"/",     "/a~1b", "/c%d", "/e^f",  "/g|h",
                                          "/i\\j", "/k\"l", "/ ",   "/m~0n", "/~01"};
    for (size_t i = 0; i < COUNT(members); i++) {
        char n[2] = {(char)('0' + i), 0};
        assert_true(str_eq(json_at(j, str_of(members[i]))->text, str_of(n)));
    }
    static const char *const nowhere[] = {
        "foo",     "/foo/2", "/foo/-",  "/foo/01", "/foo/0/0",
        "/foo/",   "/nope",  "/m~n",    "/m~2n",   "/m~",
        "/foo/+1", "//",     "/foo/ 1", "/foo/1x", "/foo/99999999999999999999"};
    for (size_t i = 0; i < COUNT(nowhere); i++) {
        if (json_at(j, str_of(nowhere[i]))) {
            fail_msg("%s", nowhere[i]);
        }
    }
    assert_null(json_at(NULL, STR("")));
}

static void builds_pointers(void **state)
{
    (void)state;
    struct buf b = {.arena = &arena};
    json_pointer_add(&b, STR("a/b"));
    json_pointer_add(&b, STR("m~n"));
    json_pointer_add(&b, STR(""));
    json_pointer_add(&b, STR("~1"));
    assert_true(str_eq(buf_str(&b), STR("/a~1b/m~0n//~01")));
    const struct json *j = parsed("{\"a/b\":{\"m~n\":{\"\":{\"~1\":5}}}}");
    assert_true(str_eq(json_at(j, buf_str(&b))->text, STR("5")));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(prints_what_it_parsed, forget),
        cmocka_unit_test_teardown(prints_indented, forget),
        cmocka_unit_test_teardown(knows_lines_and_columns, forget),
        cmocka_unit_test_teardown(refuses_doubled_names, forget),
        cmocka_unit_test_teardown(finds_one_doubled_name_among_many, forget),
        cmocka_unit_test_teardown(refuses_what_the_scanner_refuses, forget),
        cmocka_unit_test_teardown(parses_the_deepest_document, forget),
        cmocka_unit_test_teardown(gets_sets_and_removes, forget),
        cmocka_unit_test_teardown(a_clone_stands_alone, forget),
        cmocka_unit_test_teardown(compares, forget),
        cmocka_unit_test_teardown(resolves_pointers, forget),
        cmocka_unit_test_teardown(builds_pointers, forget),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
