/* Differences and three-way merges, by example and by property. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include <cmocka.h>

#include "conflict/diff.h"
#include "json/canonical.h"
#include "json/patch.h"

static struct arena arena;

static const struct merge_rule rule_list[] = {
    {{"/targets", 8}, MERGE_KEYED, {"id", 2}},
    {{"/tags", 5}, MERGE_SET, {0}},
    {{"/targets/*/words", 16}, MERGE_SET, {0}},
};
static const struct merge_rules rules = {rule_list, 3};

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

static void canonical_form(void **state)
{
    (void)state;
    static const char *const cases[][2] = {
        {"{\"b\":1,\"a\":2}", "{\"a\":2,\"b\":1}"},
        {"[1.0,10e-1,1,-0,0.0e9]", "[1,1,1,0,0]"},
        {"[1e30,12345678901234567890123,0.00120,-1.5]",
         "[1e30,12345678901234567890123e0,12e-4,-15e-1]"},
        {"[100000000000000000000]", "[100000000000000000000]"},
        {"\"\\u00e9\\/\\n\"", "\"é/\\n\""},
        /* U+10000 is D800 DC00 in UTF-16, and so before U+E000. */
        {"{\"\xEE\x80\x80\":1,\"\xF0\x90\x80\x80\":2}",
         "{\"\xF0\x90\x80\x80\":2,\"\xEE\x80\x80\":1}"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct buf b = {.arena = &arena};
        json_canonical(&b, parse(cases[i][0]));
        buf_addc(&b, 0);
        assert_string_equal(b.p, cases[i][1]);
    }
}

static void differences(void **state)
{
    (void)state;
    struct changes c = {.arena = &arena};
    diff(&c,
         parse("{\"a\":1,\"b\":{\"c\":2},\"l\":[1],\"targets\":[{\"id\":\"x\",\"w\":1},{\"id\":"
               "\"y\"}]}"),
         parse("{\"a\":1,\"b\":{\"c\":3,\"d\":4},\"l\":[2],\"targets\":[{\"id\":\"y\"},{\"id\":"
               "\"x\",\"w\":2}]}"),
         &rules);
    assert_int_equal(c.n, 4);
    assert_true(str_eq(c.all[0].pointer, STR("/b/c")));
    assert_true(str_eq(c.all[1].pointer, STR("/b/d")) && !c.all[1].from);
    assert_true(str_eq(c.all[2].pointer, STR("/l")));
    assert_true(str_eq(c.all[3].pointer, STR("/targets/x/w")));
}

static void merges(void **state)
{
    (void)state;
    static const struct {
        const char *base, *theirs, *yours, *merged;
        const char *conflict; /* its pointer */
    } cases[] = {
        {"{\"a\":1,\"b\":1}", "{\"a\":2,\"b\":1}", "{\"a\":1,\"b\":2}", "{\"a\":2,\"b\":2}", NULL},
        {"{\"a\":1}", "{\"a\":2}", "{\"a\":3}", "{\"a\":2}", "/a"},
        {"{\"a\":1}", "{\"a\":2}", "{\"a\":2}", "{\"a\":2}", NULL},
        {"{\"a\":1}", "{}", "{\"a\":2}", "{}", "/a"},
        {"{\"a\":1}", "{\"a\":2}", "{}", "{\"a\":2}", "/a"},
        {"{}", "{\"a\":{\"x\":1}}", "{\"a\":{\"y\":2}}", "{\"a\":{\"x\":1,\"y\":2}}", NULL},
        {"{\"l\":[1]}", "{\"l\":[1,2]}", "{\"l\":[1,3]}", "{\"l\":[1,2]}", "/l"},
        {"{\"tags\":[\"a\",\"b\"]}", "{\"tags\":[\"b\",\"c\"]}", "{\"tags\":[\"a\",\"b\",\"d\"]}",
         "{\"tags\":[\"b\",\"c\",\"d\"]}", NULL},
        {"{\"targets\":[{\"id\":\"x\",\"w\":1},{\"id\":\"y\",\"w\":1}]}",
         "{\"targets\":[{\"id\":\"y\",\"w\":1},{\"id\":\"x\",\"w\":2},{\"id\":\"z\"}]}",
         "{\"targets\":[{\"id\":\"x\",\"w\":1},{\"id\":\"y\",\"w\":5},{\"id\":\"q\"}]}",
         "{\"targets\":[{\"id\":\"y\",\"w\":5},{\"id\":\"x\",\"w\":2},{\"id\":\"z\"},{\"id\":\"q\"}"
         "]}",
         NULL},
        {"{\"targets\":[{\"id\":\"x\",\"w\":1}]}", "{\"targets\":[]}",
         "{\"targets\":[{\"id\":\"x\",\"w\":2}]}", "{\"targets\":[]}", "/targets/x"},
        {"{\"targets\":[{\"id\":\"x\",\"words\":[\"a\"]}]}",
         "{\"targets\":[{\"id\":\"x\",\"words\":[\"a\",\"b\"]}]}",
         "{\"targets\":[{\"id\":\"x\",\"words\":[\"a\",\"c\"]}]}",
         "{\"targets\":[{\"id\":\"x\",\"words\":[\"a\",\"b\",\"c\"]}]}", NULL},
        {"1", "2", "3", "2", ""},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct merge m;
        merge3(&arena, parse(cases[i].base), parse(cases[i].theirs), parse(cases[i].yours), &rules,
               &m);
        if (!json_equal(m.merged, parse(cases[i].merged)) ||
            m.n_conflicts != (cases[i].conflict != NULL) ||
            (m.n_conflicts && !str_eq(m.conflicts[0].pointer, str_of(cases[i].conflict)))) {
            struct buf b = {.arena = &arena};
            json_print(&b, m.merged, 0);
            fail_msg("case %zu: %.*s, %zu conflicts", i, STR_ARG(buf_str(&b)), m.n_conflicts);
        }
    }
}

/* ---- properties on random documents ---- */

static uint64_t seed;

static unsigned roll(unsigned n)
{
    seed = seed * 6364136223846793005U + 1442695040888963407U;
    return (unsigned)(seed >> 33) % n;
}

static struct json *random_tree(int depth)
{
    static const char *const names[] = {"a", "b", "tags", "targets", "x/y", "~"};
    struct json *j;
    switch (depth > 0 ? roll(6) : roll(3)) {
    case 0:
        return json_new_int(&arena, roll(4));
    case 1:
        return json_new_bool(&arena, roll(2));
    case 2:
        return json_new_str(&arena, roll(2) ? STR("p") : STR("q"));
    case 3:
        j = json_new(&arena, JSON_ARRAY);
        for (unsigned i = roll(4); i > 0; i--) {
            json_append(j, random_tree(depth - 1));
        }
        return j;
    default:
        j = json_new(&arena, JSON_OBJECT);
        for (unsigned i = roll(5); i > 0; i--) {
            json_set(j, str_of(names[roll(6)]), random_tree(depth - 1));
        }
        return j;
    }
}

static struct json *mutated(const struct json *from)
{
    struct json *j = json_clone(&arena, from);
    if (j->type != JSON_OBJECT || roll(4) == 0) {
        return random_tree(2);
    }
    for (struct json *c = j->first; c; c = c->next) {
        if (roll(3) == 0) {
            return json_set(j, c->key, mutated(c)), j;
        }
    }
    json_set(j, roll(2) ? STR("a") : STR("new"), random_tree(2));
    return j;
}

static void the_patch_of_a_difference_makes_it(void **state)
{
    (void)state;
    seed = (uint64_t)time(NULL);
    print_message("seed %llu\n", (unsigned long long)seed);
    for (int i = 0; i < 3000; i++, arena_reset(&arena)) {
        struct json *a = random_tree(4), *b = roll(3) ? mutated(a) : random_tree(4), *made;
        struct json_patch_error e;
        assert_int_equal(json_patch(&arena, a, diff_patch(&arena, a, b), &made, &e), 0);
        assert_true(json_equal(made, b));
    }
}

static void laws_of_merging(void **state)
{
    (void)state;
    seed = (uint64_t)time(NULL) + 1;
    print_message("seed %llu\n", (unsigned long long)seed);
    for (int i = 0; i < 3000; i++, arena_reset(&arena)) {
        struct json *base = random_tree(4), *x = mutated(base), *y = mutated(base);
        struct merge m, n;
        merge3(&arena, base, x, base, &rules, &m);
        assert_true(m.n_conflicts == 0 && json_equal(m.merged, x));
        merge3(&arena, base, base, x, &rules, &m);
        assert_true(m.n_conflicts == 0 && json_equal(m.merged, x));
        merge3(&arena, base, x, x, &rules, &m);
        assert_true(m.n_conflicts == 0 && json_equal(m.merged, x));
        merge3(&arena, base, x, y, NULL, &m);
        merge3(&arena, base, y, x, NULL, &n);
        assert_int_equal(m.n_conflicts, n.n_conflicts);
        if (m.n_conflicts == 0) {
            assert_true(json_equal(m.merged, n.merged));
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(canonical_form, forget),
        cmocka_unit_test_teardown(differences, forget),
        cmocka_unit_test_teardown(merges, forget),
        cmocka_unit_test_teardown(the_patch_of_a_difference_makes_it, forget),
        cmocka_unit_test_teardown(laws_of_merging, forget),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
