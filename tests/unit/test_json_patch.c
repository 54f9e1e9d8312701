/* JSON Patch and merge patch: the cases of json-patch-tests and of RFC 7396, Appendix A. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "json/patch.h"

static struct arena arena;

static struct json *parse(const char *text)
{
    struct json *j = NULL;
    struct json_error e;
    assert_int_equal(json_parse(&arena, str_of(text), &j, &e), 0);
    return j;
}

static int forget(void **state)
{
    (void)state;
    arena_reset(&arena);
    return 0;
}

static void patches(void **state)
{
    (void)state;
    static const struct {
        const char *doc, *patch, *result; /* NULL: refused with `code` */
        int code;
        size_t operation;
    } cases[] = {
        {"{}", "[]", "{}", 0, 0},
        {"{\"a\":1}", "[{\"op\":\"add\",\"path\":\"/b\",\"value\":2}]", "{\"a\":1,\"b\":2}", 0, 0},
        {"[1,3]", "[{\"op\":\"add\",\"path\":\"/1\",\"value\":2}]", "[1,2,3]", 0, 0},
        {"[1]", "[{\"op\":\"add\",\"path\":\"/-\",\"value\":2}]", "[1,2]", 0, 0},
        {"[1,2]",
         "[{\"op\":\"remove\",\"path\":\"/1\"},{\"op\":\"add\",\"path\":\"/-\",\"value\":3}]",
         "[1,3]", 0, 0},
        {"[1]", "[{\"op\":\"replace\",\"path\":\"/0\",\"value\":{}}]", "[{}]", 0, 0},
        {"{\"a\":{\"b\":1}}", "[{\"op\":\"move\",\"from\":\"/a/b\",\"path\":\"/c\"}]",
         "{\"a\":{},\"c\":1}", 0, 0},
        {"{\"a/b\":{\"m~n\":1}}", "[{\"op\":\"test\",\"path\":\"/a~1b/m~0n\",\"value\":1.0}]",
         "{\"a/b\":{\"m~n\":1}}", 0, 0},
        {"{\"a\":1}", "[{\"op\":\"replace\",\"path\":\"\",\"value\":[1]}]", "[1]", 0, 0},
        {"{}", "{}", NULL, -EBADMSG, 0},
        {"{}", "[{\"op\":\"nope\",\"path\":\"\"}]", NULL, -EBADMSG, 0},
        {"{}", "[{\"op\":\"add\",\"path\":\"/a\"}]", NULL, -EBADMSG, 0},
        {"{}", "[{\"op\":\"add\",\"path\":\"a\",\"value\":1}]", NULL, -EBADMSG, 0},
        {"{}", "[{\"op\":\"add\",\"path\":\"/~2\",\"value\":1}]", NULL, -EBADMSG, 0},
        {"{\"a\":1}",
         "[{\"op\":\"test\",\"path\":\"/a\",\"value\":1},{\"op\":\"remove\",\"path\":\"/b\"}]",
         NULL, -ENOENT, 1},
        {"{\"a\":1}", "[{\"op\":\"add\",\"path\":\"/a/b\",\"value\":1}]", NULL, -ENOENT, 0},
        {"[1]", "[{\"op\":\"add\",\"path\":\"/2\",\"value\":1}]", NULL, -ENOENT, 0},
        {"[1]", "[{\"op\":\"replace\",\"path\":\"/00\",\"value\":1}]", NULL, -ENOENT, 0},
        {"{\"a\":{}}", "[{\"op\":\"move\",\"from\":\"/a\",\"path\":\"/a/b\"}]", NULL, -ENOENT, 0},
        {"{\"a\":1}", "[{\"op\":\"test\",\"path\":\"/a\",\"value\":\"1\"}]", NULL, -ECANCELED, 0},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct json *result = NULL;
        struct json_patch_error e = {0};
        int r = json_patch(&arena, parse(cases[i].doc), parse(cases[i].patch), &result, &e);
        if (r != cases[i].code ||
            (cases[i].result && !json_equal(result, parse(cases[i].result))) ||
            (!cases[i].result && (e.operation != cases[i].operation || e.message.n == 0))) {
            fail_msg("%s: %d %.*s", cases[i].patch, r, STR_ARG(e.message));
        }
    }
}

static void a_failed_patch_changes_nothing(void **state)
{
    (void)state;
    struct json *doc = parse("{\"a\":[1,2]}"), *result = NULL;
    struct json_patch_error e;
    struct json *patch =
        parse("[{\"op\":\"remove\",\"path\":\"/a/0\"},{\"op\":\"remove\",\"path\":\"/b\"}]");
    assert_int_equal(json_patch(&arena, doc, patch, &result, &e), -ENOENT);
    assert_null(result);
    assert_true(json_equal(doc, parse("{\"a\":[1,2]}")));
}

static void copies_cannot_explode(void **state)
{
    (void)state;
    struct json *patch = json_new(&arena, JSON_ARRAY), *result;
    struct json_patch_error e;
    for (int i = 0; i < 60; i++) { /* each doubles the document */
        json_append(patch, parse("{\"op\":\"copy\",\"from\":\"\",\"path\":\"/a\"}"));
    }
    assert_int_equal(json_patch(&arena, parse("{\"a\":1,\"b\":[1,2,3,4]}"), patch, &result, &e), 0);
    patch = json_new(&arena, JSON_ARRAY);
    for (int i = 0; i < 60; i++) {
        json_append(patch, parse("{\"op\":\"copy\",\"from\":\"\",\"path\":\"/-\"}"));
    }
    assert_int_equal(json_patch(&arena, parse("[1,2]"), patch, &result, &e), -E2BIG);
}

/* RFC 7396, Appendix A. */
static void merge_patches(void **state)
{
    (void)state;
    static const char *const cases[][3] = {
        {"{\"a\":\"b\"}", "{\"a\":\"c\"}", "{\"a\":\"c\"}"},
        {"{\"a\":\"b\"}", "{\"b\":\"c\"}", "{\"a\":\"b\",\"b\":\"c\"}"},
        {"{\"a\":\"b\"}", "{\"a\":null}", "{}"},
        {"{\"a\":\"b\",\"b\":\"c\"}", "{\"a\":null}", "{\"b\":\"c\"}"},
        {"{\"a\":[\"b\"]}", "{\"a\":\"c\"}", "{\"a\":\"c\"}"},
        {"{\"a\":\"c\"}", "{\"a\":[\"b\"]}", "{\"a\":[\"b\"]}"},
        {"{\"a\":{\"b\":\"c\"}}", "{\"a\":{\"b\":\"d\",\"c\":null}}", "{\"a\":{\"b\":\"d\"}}"},
        {"{\"a\":[{\"b\":\"c\"}]}", "{\"a\":[1]}", "{\"a\":[1]}"},
        {"[\"a\",\"b\"]", "[\"c\",\"d\"]", "[\"c\",\"d\"]"},
        {"{\"a\":\"b\"}", "[\"c\"]", "[\"c\"]"},
        {"{\"a\":\"foo\"}", "null", "null"},
        {"{\"a\":\"foo\"}", "\"bar\"", "\"bar\""},
        {"{\"e\":null}", "{\"a\":1}", "{\"e\":null,\"a\":1}"},
        {"[1,2]", "{\"a\":\"b\",\"c\":null}", "{\"a\":\"b\"}"},
        {"{}", "{\"a\":{\"bb\":{\"ccc\":null}}}", "{\"a\":{\"bb\":{}}}"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct json *result = json_merge_patch(&arena, parse(cases[i][0]), parse(cases[i][1]));
        assert_true(json_equal(result, parse(cases[i][2])));
    }
}

/* ---- json-patch-tests ---- */

static struct str read_suite(const char *name)
{
    const char *shared = getenv("ACCORD_SHARED");
    char path[1024];
    snprintf(path, sizeof path, "%s%s/data/json-patch-tests/%s", shared ? "" : SOURCE_ROOT,
             shared ? shared : "/../shared", name);
    FILE *f = fopen(path, "rb");
    if (!f) {
        print_message("json-patch-tests is not at %s\n", path);
        skip();
    }
    static char bytes[1 << 20];
    size_t n = fread(bytes, 1, sizeof bytes, f);
    fclose(f);
    while (n > 0 && bytes[n - 1] != ']') { /* json_each() takes the bare value */
        n--;
    }
    return arena_dup(&arena, str_make(bytes, n));
}

static bool as_expected(const struct json *c)
{
    const struct json *expected = json_get(c, STR("expected")), *error = json_get(c, STR("error"));
    struct json *result = NULL;
    struct json_patch_error e;
    int r = json_patch(&arena, json_get(c, STR("doc")), json_get(c, STR("patch")), &result, &e);
    return error ? r < 0 : r == 0 && (!expected || json_equal(result, expected));
}

/* Each case is parsed by itself: one of them has a doubled member name, which no document of ours
 * may have, and must not take the others along. */
static size_t run_suite(const char *name)
{
    struct str suite = read_suite(name), key, value;
    enum json_type type;
    struct json_error e;
    struct json *c;
    size_t at = 0, ran = 0;
    assert_int_equal(json_scan(suite, NULL, 0, &type, &e), 0);
    while (json_each(suite, &at, &key, &value, &type)) {
        if (json_parse(&arena, value, &c, &e) < 0) {
            assert_string_equal(e.why, "a member's name stands twice in this object");
        } else if (json_get(c, STR("patch")) && !json_get(c, STR("disabled")) && !as_expected(c)) {
            fail_msg("%s: %.*s", name, STR_ARG(value));
        }
        ran++;
    }
    return ran;
}

static void agrees_with_json_patch_tests(void **state)
{
    (void)state;
    assert_true(run_suite("tests.json") + run_suite("spec_tests.json") > 100);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(patches, forget),
        cmocka_unit_test_teardown(a_failed_patch_changes_nothing, forget),
        cmocka_unit_test_teardown(copies_cannot_explode, forget),
        cmocka_unit_test_teardown(merge_patches, forget),
        cmocka_unit_test_teardown(agrees_with_json_patch_tests, forget),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
