#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#include "json/skim.h"
#include "json/wide.h"

#define COUNT(array) (sizeof(array) / sizeof *(array))

static const struct {
    struct str doc, name;
    const char *value; /* NULL: not found */
    bool done;
} cases[] = {
    {STR("{\"usage\":{\"in\":1,\"out\":[2,{}]}}"), STR("usage"), "{\"in\":1,\"out\":[2,{}]}", true},
    {STR(" {\"a\":1 , \"usage\" : 12 , \"b\":2} "), STR("usage"), "12", true},
    {STR("{\"usage\":12}"), STR("usage"), "12", true},
    {STR("{\"usage\":null\n}"), STR("usage"), "null", true},
    {STR("{\"usage\": \"a}\\\"b\",\"c\":1}"), STR("usage"), "\"a}\\\"b\"", true},
    {STR("{\"usage\":[]}"), STR("usage"), "[]", true},
    {STR("{\"usage\":\"\"}"), STR("usage"), "\"\"", true},
    /* text and deeper members are not mistaken for it */
    {STR("{\"a\":{\"usage\":1},\"b\":\"\\\"usage\\\":2,\",\"c\":[{\"usage\":3}]}"), STR("usage"),
     NULL, true},
    {STR("{\"a\":\"usage\",\"b\":1}"), STR("usage"), NULL, true},
    {STR("{\"a\":\"\\\\\",\"usage\":1}"), STR("usage"), "1", true},
    {STR("{\"a\":\"\\\\\\\"\",\"usage\":1}"), STR("usage"), "1", true},
    {STR("{\"usag\":1,\"usages\":2,\"Usage\":3,\"us\\u0061ge\":4}"), STR("usage"), NULL, true},
    {STR("{\"usage\":1,\"usage\":2}"), STR("usage"), "2", true},
    {STR("{\"usage\":1,\"usage\":{}}"), STR("usage"), "{}", true},
    {STR("{\"\":7}"), STR(""), "7", true},
    /* of each element, when the document is an array */
    {STR("[{\"usage\":1},{\"a\":{\"usage\":9}}\n,{\"usage\":[2]},{\"b\":1}]"), STR("usage"), "[2]",
     true},
    {STR("[[{\"usage\":1}]]"), STR("usage"), NULL, true},
    {STR("[\"usage\",1]"), STR("usage"), NULL, true},
    /* the last string of that name is not the member */
    {STR("{\"usage\":{\"in\":1},\"a\":{\"usage\":2}}"), STR("usage"), "{\"in\":1}", true},
    {STR("{\"usage\":{\"in\":1},\"a\":[{\"usage\":2}],\"b\":3}"), STR("usage"), "{\"in\":1}", true},
    {STR("{\"usage\":{\"in\":1},\"some_text\":\"usage\"}"), STR("usage"), "{\"in\":1}", true},
    {STR("{\"usage\":{\"in\":1},\"a_text\":\"\\\"usage\"}"), STR("usage"), "{\"in\":1}", true},
    {STR("{\"usage\":{\"in\":1},\"text\":\"say \\\"usage\\\": 2\"}  "), STR("usage"), "{\"in\":1}",
     true},
    /* cut off */
    {STR("{\"usage\":12"), STR("usage"), NULL, false},
    {STR("{\"usage\":{\"a\":1}"), STR("usage"), "{\"a\":1}", false},
    {STR("{\"usage\":1,\"usage\":{\"a\""), STR("usage"), NULL, false},
    {STR("{\"usage"), STR("usage"), NULL, false},
    /* no container, nothing at all, something behind it */
    {STR("\"usage\""), STR("usage"), NULL, true},
    {STR("  "), STR("usage"), NULL, false},
    {STR(""), STR("usage"), NULL, false},
    {STR("{}{\"usage\":1}"), STR("usage"), NULL, true},
    {STR("{\"id\":\"chatcmpl-123\",\"object\":\"chat.completion\",\"created\":1700000000,"
         "\"choices\":[{"
         "\"index\":0,\"message\":{\"role\":\"assistant\",\"content\":\"Some text, \\\"quoted\\\" "
         "and "
         "with {braces} and [brackets], long enough for several registers in a row, and more\"},"
         "\"finish_reason\":\"stop\"}],\"usage\":{\"prompt_tokens\":9,\"completion_tokens\":12,"
         "\"total_tokens\":21},\"system_fingerprint\":\"fp\"}"),
     STR("usage"), "{\"prompt_tokens\":9,\"completion_tokens\":12,\"total_tokens\":21}", true},
};

static struct json_skim fresh(struct str name)
{
    return (struct json_skim){.name = name};
}

static void expect(size_t i, const struct json_skim *s)
{
    const char *value = cases[i].value;
    bool same = !value            ? true
                : s->from_value.n ? str_starts(s->from_value, str_of(value))
                                  : str_eq(str_make(s->keep, s->n), str_of(value));
    if (s->found != (value != NULL) || !same || s->done != cases[i].done || s->too_long) {
        fail_msg("%.*s: found %d done %d: %.*s", STR_ARG(cases[i].doc), s->found, s->done,
                 (int)s->n, s->keep);
    }
}

/* Each piece in memory of its own, so that the sanitizer sees a read outside of it. */
static void feed(struct json_skim *s, struct str piece)
{
    char *own = malloc(piece.n ? piece.n : 1);
    if (piece.n) {
        memcpy(own, piece.p, piece.n);
    }
    json_skim(s, str_make(own, piece.n));
    free(own);
}

static void finds_the_member_in_one_piece(void **state)
{
    (void)state;
    for (enum wide_level level = WIDE_PLAIN; level <= WIDE_AVX2; level++) {
        for (size_t i = 0; wide_choose(level) && i < COUNT(cases); i++) {
            struct json_skim s = fresh(cases[i].name);
            feed(&s, cases[i].doc);
            expect(i, &s);
        }
    }
}

static void finds_the_member_from_the_end(void **state)
{
    (void)state;
    for (enum wide_level level = WIDE_PLAIN; level <= WIDE_AVX2; level++) {
        for (size_t i = 0; wide_choose(level) && i < COUNT(cases); i++) {
            struct str doc = cases[i].doc;
            struct json_skim s = fresh(cases[i].name);
            char *own = malloc(doc.n + 1);
            memcpy(own, doc.p, doc.n);
            json_skim_whole(&s, str_make(own, doc.n));
            expect(i, &s);
            free(own);
        }
    }
}

static void finds_the_member_in_any_two_pieces(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        for (size_t cut = 0; cut <= cases[i].doc.n; cut++) {
            struct json_skim s = fresh(cases[i].name);
            feed(&s, str_first(cases[i].doc, cut));
            feed(&s, str_from(cases[i].doc, cut));
            expect(i, &s);
        }
    }
}

static void finds_the_member_in_any_three_pieces(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        for (size_t a = 0; a <= cases[i].doc.n; a++) {
            for (size_t b = a; b <= cases[i].doc.n && b < a + 40; b++) {
                struct json_skim s = fresh(cases[i].name);
                feed(&s, str_first(cases[i].doc, a));
                feed(&s, str_first(str_from(cases[i].doc, a), b - a));
                feed(&s, str_from(cases[i].doc, b));
                expect(i, &s);
            }
        }
    }
}

static void finds_the_member_byte_by_byte(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct json_skim s = fresh(cases[i].name);
        for (size_t at = 0; at < cases[i].doc.n; at++) {
            feed(&s, str_first(str_from(cases[i].doc, at), 1));
        }
        expect(i, &s);
    }
}

/* A string value of `n` bytes with its quotes, in pieces of `step`. */
static struct json_skim skim_value_of(size_t n, size_t step)
{
    static const char head[] = "{\"v\":", tail[] = ",\"w\":1}";
    static char doc[4096];
    size_t len = 0;
    memcpy(doc, head, sizeof head - 1);
    len += sizeof head - 1;
    memset(doc + len, 'x', n);
    doc[len] = doc[len + n - 1] = '"';
    len += n;
    memcpy(doc + len, tail, sizeof tail - 1);
    len += sizeof tail - 1;
    struct json_skim s = fresh(STR("v"));
    for (size_t at = 0; at < len; at += step) {
        feed(&s, str_first(str_from(str_make(doc, len), at), step));
    }
    return s;
}

static void says_when_a_value_is_too_long(void **state)
{
    (void)state;
    for (size_t step = 1; step < 3000; step = step * 3 + 1) {
        for (size_t n = JSON_SKIM_KEEP - 1; n <= JSON_SKIM_KEEP + 200; n += n / 500) {
            struct json_skim s = skim_value_of(n, step);
            bool fits = n <= JSON_SKIM_KEEP;
            assert_int_equal(s.found, fits);
            assert_int_equal(s.too_long, !fits);
            assert_int_equal(s.n, fits ? n : 0);
            assert_true(s.done);
        }
    }
}

static void a_short_value_behind_a_long_one_wins(void **state)
{
    (void)state;
    struct json_skim s = fresh(STR("v"));
    static char text[3 * JSON_SKIM_KEEP];
    memset(text, 'x', sizeof text);
    feed(&s, STR("{\"v\":\""));
    feed(&s, str_make(text, sizeof text));
    feed(&s, STR("\""));
    assert_true(s.too_long);
    assert_false(s.found);
    feed(&s, STR(",\"v\":1}"));
    assert_true(s.found);
    assert_false(s.too_long);
    assert_true(str_eq(str_make(s.keep, s.n), STR("1")));
}

static void tells_long_names_apart(void **state)
{
    (void)state;
    char name[63], doc[200];
    memset(name, 'n', sizeof name);
    for (size_t n = 60; n < 80; n++) {
        for (size_t cut = 0; cut < n + 6; cut++) {
            memset(doc, 'n', sizeof doc);
            memcpy(doc, "{\"", 2);
            memcpy(doc + 2 + n, "\":1}", 4);
            struct json_skim s = fresh(str_make(name, sizeof name));
            feed(&s, str_make(doc, cut));
            feed(&s, str_make(doc + cut, n + 6 - cut));
            assert_int_equal(s.found, n == sizeof name);
        }
    }
}

static void follows_deep_nesting(void **state)
{
    (void)state;
    struct json_skim s = fresh(STR("v"));
    feed(&s, STR("{\"a\":"));
    for (int i = 0; i < 100000; i++) {
        feed(&s, i % 2 ? STR("{\"v\":") : STR("["));
    }
    for (int i = 100000; i-- > 0;) {
        feed(&s, i % 2 ? STR("}") : STR("]"));
    }
    assert_false(s.found);
    feed(&s, STR(",\"v\":true}"));
    assert_true(s.found);
    assert_true(s.done);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(finds_the_member_in_one_piece),
        cmocka_unit_test(finds_the_member_from_the_end),
        cmocka_unit_test(finds_the_member_in_any_two_pieces),
        cmocka_unit_test(finds_the_member_in_any_three_pieces),
        cmocka_unit_test(finds_the_member_byte_by_byte),
        cmocka_unit_test(says_when_a_value_is_too_long),
        cmocka_unit_test(a_short_value_behind_a_long_one_wins),
        cmocka_unit_test(tells_long_names_apart),
        cmocka_unit_test(follows_deep_nesting),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
