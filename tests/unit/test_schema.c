/* JSON Schema as Gemini takes it: what is said in other words, what is lost and named, what has a bound. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include <cmocka.h>

#include "base/buf.h"
#include "dialect/schema.h"
#include "json/scan.h"

static struct arena arena;

static int reset(void **state)
{
    (void)state;
    arena_reset(&arena);
    return 0;
}

static struct schema compile(const char *source, enum schema_use use)
{
    struct str s = str_of(source);
    assert_int_equal(json_scan(s, NULL, 0, NULL, NULL), 0);
    struct schema out = schema_compile(&arena, s, use);
    if (out.text.n && json_scan(out.text, NULL, 0, NULL, NULL) < 0) {
        fail_msg("no JSON: %.*s", STR_ARG(out.text));
    }
    return out;
}

static void is(struct str have, const char *want, const char *source)
{
    if (!str_eq(have, str_of(want))) {
        fail_msg("%s\n  became %.*s\n  not    %s", source, STR_ARG(have), want);
    }
}

static const struct {
    const char *source, *want, *lost;
} answers[] = {
    /* references, and what stands beside them */
    {"{\"$defs\":{\"a\":{\"type\":\"string\",\"description\":\"x\"}},\"$ref\":\"#/$defs/a\"}",
     "{\"type\":\"string\",\"description\":\"x\"}", ""},
    {"{\"type\":\"object\",\"properties\":{\"p\":{\"$ref\":\"#/$defs/"
     "a~1%62\",\"description\":\"mine\"}},"
     "\"$defs\":{\"a/b\":{\"type\":\"integer\",\"description\":\"its\"}}}",
     "{\"type\":\"object\",\"properties\":{\"p\":{\"type\":\"integer\",\"description\":\"mine\"}}}",
     ""},
    {"{\"type\":\"object\",\"properties\":{\"a\":{\"$ref\":\"#/properties/b/anyOf/1\"},"
     "\"b\":{\"anyOf\":[{\"type\":\"string\"},{\"type\":\"number\"}]}}}",
     "{\"type\":\"object\",\"properties\":{\"a\":{\"type\":\"number\"},"
     "\"b\":{\"anyOf\":[{\"type\":\"string\"},{\"type\":\"number\"}]}}}",
     ""},
    {"{\"type\":\"object\",\"properties\":{\"p\":{\"$ref\":\"#/$defs/none\"}}}",
     "{\"type\":\"object\",\"properties\":{\"p\":{\"type\":\"string\"}}}", "$ref,type"},
    {"{\"type\":\"object\",\"properties\":{\"p\":{\"$ref\":\"http://x/y\",\"type\":\"boolean\"}}}",
     "{\"type\":\"object\",\"properties\":{\"p\":{\"type\":\"boolean\"}}}", "$ref"},
    /* recursion is cut off where it enters itself */
    {"{\"type\":\"object\",\"properties\":{\"n\":{\"type\":\"integer\"},\"next\":{\"$ref\":\"#\"}}"
     "}",
     "{\"type\":\"object\",\"properties\":{\"n\":{\"type\":\"integer\"},\"next\":{\"type\":"
     "\"object\"}}}",
     "$ref"},
    {"{\"$ref\":\"#/$defs/"
     "t\",\"$defs\":{\"t\":{\"type\":\"object\",\"properties\":{\"kids\":{\"type\":"
     "\"array\",\"items\":{\"$ref\":\"#/$defs/t\"}}}}}}",
     "{\"type\":\"object\",\"properties\":{\"kids\":{\"type\":\"array\",\"items\":{\"type\":"
     "\"object\"}}}}",
     "$ref"},
    {"{\"$ref\":\"#/$defs/a\",\"$defs\":{\"a\":{\"$ref\":\"#/$defs/b\"},\"b\":{\"$ref\":\"#/$defs/"
     "a\"}}}",
     "{\"type\":\"string\"}", "type"},
    {"{\"$ref\":\"#/$defs/v\",\"$defs\":{\"v\":{\"anyOf\":[{\"type\":\"string\"},{\"$ref\":\"#/"
     "$defs/v\"}]}}}",
     "{\"anyOf\":[{\"type\":\"string\"},{\"type\":\"string\"}]}", "$ref,type"},
    /* const and enum */
    {"{\"const\":\"a\"}", "{\"type\":\"string\",\"enum\":[\"a\"]}", ""},
    {"{\"const\":5}", "{\"type\":\"integer\",\"minimum\":5,\"maximum\":5}", ""},
    {"{\"const\":true}", "{\"type\":\"boolean\"}", "const"},
    {"{\"enum\":[\"a\",null,\"\"]}", "{\"type\":\"string\",\"nullable\":true,\"enum\":[\"a\"]}",
     "enum"},
    {"{\"type\":\"integer\",\"enum\":[1,2]}", "{\"type\":\"integer\"}", "enum"},
    /* types */
    {"{\"type\":[\"string\",\"null\"],\"minLength\":1}",
     "{\"type\":\"string\",\"nullable\":true,\"minLength\":1}", ""},
    {"{\"type\":[\"string\",\"integer\"],\"minimum\":1,\"maxLength\":3,\"description\":\"d\"}",
     "{\"anyOf\":[{\"type\":\"string\",\"description\":\"d\",\"maxLength\":3},{\"type\":"
     "\"integer\","
     "\"description\":\"d\",\"minimum\":1}]}",
     ""},
    {"{\"description\":\"anything\"}", "{\"type\":\"string\",\"description\":\"anything\"}",
     "type"},
    {"{\"type\":\"array\"}", "{\"type\":\"array\",\"items\":{\"type\":\"string\"}}", "items"},
    {"{\"type\":\"array\",\"prefixItems\":[{\"type\":\"string\"},{\"type\":\"number\"}]}",
     "{\"type\":\"array\",\"items\":{\"anyOf\":[{\"type\":\"string\"},{\"type\":\"number\"}]}}",
     "prefixItems"},
    /* anyOf, oneOf, allOf */
    {"{\"anyOf\":[{\"type\":\"string\"},{\"type\":\"null\"}],\"description\":\"d\",\"default\":"
     "null}",
     "{\"type\":\"string\",\"description\":\"d\",\"nullable\":true,\"default\":null}", ""},
    {"{\"oneOf\":[{\"type\":\"string\"},{\"type\":\"integer\",\"description\":\"own\"},{\"const\":"
     "null}],"
     "\"description\":\"d\"}",
     "{\"anyOf\":[{\"type\":\"string\",\"description\":\"d\",\"nullable\":true},{\"type\":"
     "\"integer\","
     "\"description\":\"own\",\"nullable\":true}]}",
     ""},
    {"{\"type\":\"object\",\"properties\":{\"a\":{\"type\":\"string\"}},\"anyOf\":[{\"required\":["
     "\"a\"]},"
     "{\"properties\":{\"b\":{\"type\":\"boolean\"}}}]}",
     "{\"anyOf\":[{\"type\":\"object\",\"properties\":{\"a\":{\"type\":\"string\"}},\"required\":["
     "\"a\"]},"
     "{\"type\":\"object\",\"properties\":{\"b\":{\"type\":\"boolean\"},\"a\":{\"type\":\"string\"}"
     "}}]}",
     ""},
    {"{\"allOf\":[{\"type\":\"object\",\"properties\":{\"a\":{\"type\":\"string\"}},\"required\":["
     "\"a\"]},"
     "{\"properties\":{\"a\":{\"minLength\":2},\"b\":{\"type\":\"integer\"}},\"required\":[\"b\","
     "\"a\"]}]}",
     "{\"type\":\"object\",\"properties\":{\"a\":{\"type\":\"string\",\"minLength\":2},\"b\":{"
     "\"type\":"
     "\"integer\"}},\"required\":[\"a\",\"b\"]}",
     ""},
    {"{\"type\":\"string\",\"minLength\":1,\"allOf\":[{\"minLength\":2}]}",
     "{\"type\":\"string\",\"minLength\":1}", "allOf"},
    /* bounds */
    {"{\"type\":\"integer\",\"exclusiveMinimum\":0,\"exclusiveMaximum\":10}",
     "{\"type\":\"integer\",\"minimum\":1,\"maximum\":9}", ""},
    {"{\"type\":\"number\",\"exclusiveMinimum\":0.5,\"multipleOf\":0.25}",
     "{\"type\":\"number\",\"minimum\":0.5}", "multipleOf,exclusiveMinimum"},
    /* formats, examples, and words that say nothing about a value */
    {"{\"type\":\"string\",\"format\":\"uri\"}", "{\"type\":\"string\"}", "format"},
    {"{\"type\":\"string\",\"format\":\"date-time\",\"$comment\":\"c\"}",
     "{\"type\":\"string\",\"format\":\"date-time\"}", ""},
    {"{\"type\":\"string\",\"examples\":[\"a\",\"b\"]}", "{\"type\":\"string\",\"example\":\"a\"}",
     "examples"},
    {"{\"type\":\"object\",\"properties\":{\"a\":{\"type\":\"string\"}},\"additionalProperties\":"
     "false,"
     "\"patternProperties\":{\"^x\":{}},\"propertyNames\":{\"pattern\":\"x\"},\"x,y\\\"z\":1}",
     "{\"type\":\"object\",\"properties\":{\"a\":{\"type\":\"string\"}}}",
     "patternProperties,propertyNames,x_y__z"},
    {"{\"type\":\"object\",\"additionalProperties\":{\"type\":\"string\"}}",
     "{\"type\":\"object\"}", "additionalProperties"},
    {"{\"type\":\"object\",\"properties\":{\"a\":{\"type\":\"string\"}},\"required\":[\"a\",\"b\"]"
     "}",
     "{\"type\":\"object\",\"properties\":{\"a\":{\"type\":\"string\"}},\"required\":[\"a\"]}",
     "required"},
    /* what is wrong by itself is not made worse */
    {"{\"type\":7,\"properties\":[],\"required\":{},\"enum\":1,\"items\":true,\"anyOf\":{},"
     "\"allOf\":1,"
     "\"$ref\":[]}",
     NULL, NULL},
    {"{\"anyOf\":[true,1,\"x\"]}", NULL, NULL},
};

static void other_words(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof answers / sizeof *answers; i++) {
        struct schema s = compile(answers[i].source, SCHEMA_ANSWER);
        if (answers[i].want) {
            is(s.text, answers[i].want, answers[i].source);
            is(s.lost, answers[i].lost, answers[i].source);
        }
    }
}

static const char *const unchanged[] = {
    "{\"type\": \"object\", \"properties\" : "
    "{\"a\":{\"type\":\"STRING\",\"enum\":[\"x\"],\"title\":\"t\"},"
    "\"b\":{\"type\":\"array\",\"items\":{\"type\":\"integer\",\"format\":\"int32\"},\"minItems\":"
    "1},"
    "\"c\":{\"anyOf\":[{\"type\":\"string\"},{\"type\":\"boolean\",\"nullable\":true}]}},"
    "\"required\":[\"a\"],\"propertyOrdering\":[\"a\",\"b\"] }",
    "{\"type\":\"object\",\"properties\":{\"d\":{\"type\":\"object\"},\"n\":{\"type\":\"number\","
    "\"minimum\":"
    "1e2,\"default\":3}}}",
};

static void no_change_is_byte_for_byte(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof unchanged / sizeof *unchanged; i++) {
        struct schema s = compile(unchanged[i], SCHEMA_PARAMETERS);
        assert_ptr_equal(s.text.p, unchanged[i]);
        assert_int_equal(s.lost.n, 0);
    }
}

static void parameters_are_an_object(void **state)
{
    (void)state;
    assert_int_equal(compile("{\"type\":\"object\",\"properties\":{}}", SCHEMA_PARAMETERS).text.n,
                     0);
    assert_int_equal(
        compile("{\"$schema\":\"x\",\"type\":\"object\",\"additionalProperties\":false}",
                SCHEMA_PARAMETERS)
            .text.n,
        0);
    is(compile("{\"type\":\"object\",\"additionalProperties\":true}", SCHEMA_PARAMETERS).text,
       "{\"type\":\"object\"}", "a free object");
    const char *either =
        "{\"oneOf\":[{\"type\":\"object\",\"properties\":{\"a\":{\"type\":\"string\"}},"
        "\"required\":[\"a\"]},{\"type\":\"object\",\"properties\":{\"b\":{\"type\":"
        "\"integer\"}},\"required\":[\"b\"]}]}";
    struct schema s = compile(either, SCHEMA_PARAMETERS);
    is(s.text,
       "{\"type\":\"object\",\"properties\":{\"a\":{\"type\":\"string\"},\"b\":{\"type\":"
       "\"integer\"}}}",
       either);
    is(s.lost, "anyOf", either);
}

/* ---- bounds ---- */

static double seconds(void)
{
    struct timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

/* Each definition has ten of the next: 10^12 strings, were it not for the bound. */
static void a_bomb_of_references_is_bounded(void **state)
{
    (void)state;
    struct buf b = {.arena = &arena};
    buf_addz(&b, "{\"$ref\":\"#/$defs/d0\",\"$defs\":{");
    for (int i = 0; i < 12; i++) {
        buf_printf(&b, "\"d%d\":{\"type\":\"object\",\"properties\":{", i);
        for (int j = 0; j < 10; j++) {
            buf_printf(&b, "%s\"p%d\":{\"$ref\":\"#/$defs/d%d\"}", j ? "," : "", j, i + 1);
        }
        buf_addz(&b, "}},");
    }
    buf_addz(&b, "\"d12\":{\"type\":\"string\"}}}");
    buf_addc(&b, 0);
    double from = seconds();
    struct schema s = compile(b.p, SCHEMA_ANSWER);
    assert_true(s.text.n < 4 << 20);
    assert_true(str_find(s.lost, STR("nesting")) >= 0);
    assert_true(seconds() - from < 5);
}

static void many_names_are_bounded(void **state)
{
    (void)state;
    struct buf b = {.arena = &arena};
    buf_addz(&b, "{\"x\":1,\"type\":\"object\",\"properties\":{");
    for (int i = 0; i < 50000; i++) {
        buf_printf(&b, "%s\"property_%d\":{\"type\":\"string\"}", i ? "," : "", i);
    }
    buf_addz(&b, "},\"required\":[");
    for (int i = 50000; i-- > 0;) {
        buf_printf(&b, "\"property_%d\"%s", i, i ? "," : "");
    }
    buf_addz(&b, "]}");
    buf_addc(&b, 0);
    double from = seconds();
    struct schema s = compile(b.p, SCHEMA_PARAMETERS);
    assert_true(s.text.n > 0 && str_find(s.lost, STR("required")) >= 0);
    assert_true(seconds() - from < 5);
}

static void deep_nesting_is_bounded(void **state)
{
    (void)state;
    struct buf b = {.arena = &arena};
    for (int i = 0; i < 200; i++) {
        buf_addz(&b, "{\"type\":\"array\",\"items\":");
    }
    buf_addz(&b, "{\"type\":\"string\"}");
    for (int i = 0; i < 200; i++) {
        buf_addc(&b, '}');
    }
    buf_addc(&b, 0);
    is(compile(b.p, SCHEMA_ANSWER).lost, "nesting", "200 arrays");
}

/* ---- the cache ---- */

static void the_cache_says_the_same(void **state)
{
    (void)state;
    struct schema_cache *cache = schema_cache_new();
    for (int round = 0; round < 2; round++) {
        for (size_t i = 0; i < sizeof answers / sizeof *answers; i++) {
            struct str source = str_of(answers[i].source);
            for (int use = SCHEMA_PARAMETERS; use <= SCHEMA_ANSWER; use++) {
                struct schema want = schema_compile(&arena, source, (enum schema_use)use);
                struct schema s = schema_for_gemini(&arena, cache, source, (enum schema_use)use);
                assert_true(str_eq(s.text, want.text));
                assert_true(str_eq(s.lost, want.lost));
            }
        }
    }
    struct str same = str_of(unchanged[0]), copy = arena_dup(&arena, same);
    schema_for_gemini(&arena, cache, same, SCHEMA_PARAMETERS);
    assert_ptr_equal(schema_for_gemini(&arena, cache, copy, SCHEMA_PARAMETERS).text.p, copy.p);
    assert_null(schema_cache_free(cache));
    assert_null(schema_cache_free(NULL));
}

/* More than it has room for, and each found right after it was put in. */
static void the_cache_is_bounded(void **state)
{
    (void)state;
    struct schema_cache *cache = schema_cache_new();
    struct arena a = {0};
    for (int i = 0; i < 3000; i++) {
        struct str source = arena_printf(&a, "{\"const\":\"%d\",\"description\":\"%2000d\"}", i, i);
        struct schema s = schema_for_gemini(&a, cache, source, SCHEMA_ANSWER);
        struct str first = arena_dup(&a, s.text);
        s = schema_for_gemini(&a, cache, source, SCHEMA_ANSWER);
        assert_true(str_eq(first, s.text));
        assert_true(str_find(s.text, arena_printf(&a, "[\"%d\"]", i)) > 0);
        arena_reset(&a);
    }
    schema_cache_free(cache);
}

/* ---- the way back ---- */

static void back_to_json_schema(void **state)
{
    (void)state;
    static const char *const pairs[][2] = {
        {"{\"type\":\"OBJECT\",\"properties\":{\"type\":{\"type\":\"STRING\",\"nullable\":true,"
         "\"enum\":["
         "\"a\"],\"format\":\"enum\"}},\"propertyOrdering\":[\"type\"]}",
         "{\"type\":\"object\",\"properties\":{\"type\":{\"type\":[\"string\",\"null\"],\"enum\":["
         "\"a\",null]"
         "}}}"},
        {"{\"type\":\"ARRAY\",\"items\":{\"type\":\"INTEGER\"},\"minItems\":\"2\",\"example\":[1]}",
         "{\"type\":\"array\",\"items\":{\"type\":\"integer\"},\"minItems\":2,\"examples\":[[1]]}"},
        {"{\"anyOf\":[{\"type\":\"STRING\"},{\"type\":\"NUMBER\"}],\"nullable\":true}",
         "{\"anyOf\":[{\"type\":\"string\"},{\"type\":\"number\"},{\"type\":\"null\"}]}"},
    };
    for (size_t i = 0; i < sizeof pairs / sizeof *pairs; i++) {
        is(schema_from_gemini(&arena, str_of(pairs[i][0])), pairs[i][1], pairs[i][0]);
    }
    struct str plain = STR("{\"type\":\"object\",\"properties\":{\"a\":{\"type\" : \"string\"}}}");
    assert_ptr_equal(schema_from_gemini(&arena, plain).p, plain.p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(other_words, reset),
        cmocka_unit_test_teardown(no_change_is_byte_for_byte, reset),
        cmocka_unit_test_teardown(parameters_are_an_object, reset),
        cmocka_unit_test_teardown(a_bomb_of_references_is_bounded, reset),
        cmocka_unit_test_teardown(many_names_are_bounded, reset),
        cmocka_unit_test_teardown(deep_nesting_is_bounded, reset),
        cmocka_unit_test_teardown(the_cache_says_the_same, reset),
        cmocka_unit_test_teardown(the_cache_is_bounded, reset),
        cmocka_unit_test_teardown(back_to_json_schema, reset),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
