#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>

#include "base/str.h"

static const struct str none = {0};

static void slices_compare(void **state)
{
    (void)state;
    assert_true(str_eq(STR("abc"), str_of("abc")));
    assert_false(str_eq(STR("abc"), STR("abd")));
    assert_false(str_eq(STR("abc"), STR("ab")));
    assert_true(str_eq(none, STR("")));
    assert_true(str_eq(str_of(NULL), none));
    assert_true(str_eq(str_make("a\0b", 3), STR("a\0b")));
    assert_false(str_eq(STR("a\0b"), STR("a\0c")));

    assert_true(str_starts(STR("abc"), STR("ab")));
    assert_true(str_starts(STR("abc"), none));
    assert_true(str_starts(none, none));
    assert_false(str_starts(STR("ab"), STR("abc")));
    assert_false(str_starts(STR("abc"), STR("b")));
    assert_true(str_ends(STR("abc"), STR("bc")));
    assert_true(str_ends(STR("abc"), none));
    assert_true(str_ends(none, none));
    assert_false(str_ends(STR("bc"), STR("abc")));
    assert_false(str_ends(STR("abc"), STR("b")));
}

static void case_is_ascii_only(void **state)
{
    (void)state;
    assert_true(str_ieq(STR("Content-Type"), STR("cONTENT-tYPE")));
    assert_false(str_ieq(STR("Content-Type"), STR("Content_Type")));
    assert_false(str_ieq(STR("abc"), STR("abcd")));
    assert_true(str_ieq(none, STR("")));
    assert_true(str_istarts(STR("Bearer x"), STR("bearer ")));
    assert_false(str_istarts(STR("bear"), STR("bearer")));
    /* Neighbours that differ by bit 5 as well and are no letters. */
    for (int c = 0; c < 256; c++) {
        for (int d = 0; d < 256; d++) {
            char a = (char)c, b = (char)d;
            int lc = c >= 'A' && c <= 'Z' ? c + 32 : c, ld = d >= 'A' && d <= 'Z' ? d + 32 : d;
            assert_int_equal(str_ieq(str_make(&a, 1), str_make(&b, 1)), lc == ld);
        }
    }
}

static void slices_are_cut(void **state)
{
    (void)state;
    struct str s = STR("hello");
    assert_true(str_eq(str_from(s, 2), STR("llo")));
    assert_true(str_eq(str_from(s, 0), s));
    assert_int_equal(str_from(s, 5).n, 0);
    assert_int_equal(str_from(s, 500).n, 0);
    assert_int_equal(str_from(none, 5).n, 0);
    assert_true(str_eq(str_first(s, 2), STR("he")));
    assert_true(str_eq(str_first(s, 50), s));

    struct str rest = STR("a,b,,c"), head;
    static const char *const parts[] = {"a", "b", "", "c"};
    for (int i = 0; i < 4; i++) {
        assert_int_equal(str_cut(&rest, ',', &head), i < 3);
        assert_true(str_eq(head, str_of(parts[i])));
    }
    assert_int_equal(rest.n, 0);
    rest = none;
    assert_false(str_cut(&rest, ',', &head));
    assert_int_equal(head.n, 0);
    rest = STR(",");
    assert_true(str_cut(&rest, ',', &head));
    assert_int_equal(head.n + rest.n, 0);

    assert_true(str_eq(str_trim(STR(" \t a b\t ")), STR("a b")));
    assert_int_equal(str_trim(STR(" \t ")).n, 0);
    assert_int_equal(str_trim(none).n, 0);
    assert_true(str_eq(str_trim(STR("\ra\n")), STR("\ra\n"))); /* OWS is not all that is white */
}

static void things_are_found(void **state)
{
    (void)state;
    assert_int_equal(str_chr(STR("abcb"), 'b'), 1);
    assert_int_equal(str_chr(STR("abc"), 'x'), -1);
    assert_int_equal(str_chr(none, 'x'), -1);
    assert_int_equal(str_chr(STR("a\0b"), 'b'), 2);
    assert_int_equal(str_find(STR("aabaabaaa"), STR("abaaa")), 4);
    assert_int_equal(str_find(STR("abc"), STR("abcd")), -1);
    assert_int_equal(str_find(STR("abc"), STR("c")), 2);
    assert_int_equal(str_find(STR("abc"), none), 0);
    assert_int_equal(str_find(none, STR("a")), -1);
    /* What lies behind the slice is not looked at. */
    assert_int_equal(str_find(str_make("ab\r\n", 3), STR("\r\n")), -1);
}

static void numbers_are_strict(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        int result;
        uint64_t value;
    } cases[] = {
        {"0", 0, 0},
        {"7", 0, 7},
        {"007", 0, 7},
        {"65535", 0, 65535},
        {"18446744073709551615", 0, UINT64_MAX},
        {"18446744073709551616", -ERANGE, 0},
        {"18446744073709551620", -ERANGE, 0},
        {"99999999999999999999999", -ERANGE, 0},
        {"", -EINVAL, 0},
        {"-1", -EINVAL, 0},
        {"+1", -EINVAL, 0},
        {" 1", -EINVAL, 0},
        {"1 ", -EINVAL, 0},
        {"0x10", -EINVAL, 0},
        {"1e3", -EINVAL, 0},
        {"1.0", -EINVAL, 0},
        {"\xc2\xb2", -EINVAL, 0},
        {"/", -EINVAL, 0},
        {":", -EINVAL, 0},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        uint64_t v = 12345;
        assert_int_equal(str_to_u64(str_of(cases[i].text), &v), cases[i].result);
        assert_int_equal(v, cases[i].result ? 12345 : cases[i].value); /* written on success only */
    }
}

static void distances_are_edits(void **state)
{
    (void)state;
    static const struct {
        const char *a, *b;
        unsigned distance;
    } cases[] = {
        {"", "", 0},
        {"", "abc", 3},
        {"abc", "", 3},
        {"abc", "abc", 0},
        {"ABC", "abc", 0},
        {"kitten", "sitting", 3},
        {"listen", "lisen", 1},
        {"lsiten", "listen", 2},
        {"base_url", "baseurl", 1},
        {"a", "b", 1},
        {"model", "models", 1},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct str a = str_of(cases[i].a), b = str_of(cases[i].b);
        assert_int_equal(str_distance(a, b), cases[i].distance);
        assert_int_equal(str_distance(b, a), cases[i].distance);
    }
    /* Long ones are compared by their beginning only: bounded work. */
    char x[200], y[200];
    memset(x, 'x', sizeof x);
    memset(y, 'x', sizeof y);
    y[199] = 'y';
    assert_int_equal(str_distance(str_make(x, 200), str_make(y, 200)), 0);
    memset(y, 'y', sizeof y);
    assert_int_equal(str_distance(str_make(x, 200), str_make(y, 200)), 64);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(slices_compare),     cmocka_unit_test(case_is_ascii_only),
        cmocka_unit_test(slices_are_cut),     cmocka_unit_test(things_are_found),
        cmocka_unit_test(numbers_are_strict), cmocka_unit_test(distances_are_edits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
