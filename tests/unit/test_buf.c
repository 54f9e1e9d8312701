#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <inttypes.h>
#include <stdio.h>

#include "base/buf.h"
#include "base/utf8.h"

static void expect(struct buf *b, const char *text)
{
    if (!str_eq(buf_str(b), str_of(text))) {
        fail_msg("\"%.*s\" is not \"%s\"", STR_ARG(buf_str(b)), text);
    }
    b->n = 0;
}

static void text_is_added(void **state)
{
    (void)state;
    struct arena a = {0};
    struct buf bufs[] = {{0}, {.arena = &a}};
    for (int i = 0; i < 2; i++) {
        struct buf *b = &bufs[i];
        assert_int_equal(buf_str(b).n, 0);
        buf_add(b, STR("one"));
        buf_addc(b, ' ');
        buf_addz(b, "two ");
        buf_addz(b, NULL);
        buf_add(b, (struct str){0});
        buf_add_u64(b, 3);
        buf_printf(b, " %s %d%%", "four", 5);
        buf_printf(b, "%s", "");
        expect(b, "one two 3 four 5%");
        /* Grown over many blocks, all of it is still there. */
        for (int k = 0; k < 10000; k++) {
            buf_printf(b, "%05d", k);
        }
        assert_int_equal(b->n, 50000);
        for (int k = 0; k < 10000; k++) {
            char five[12];
            snprintf(five, sizeof five, "%05d", k);
            assert_memory_equal(b->p + 5 * (size_t)k, five, 5);
        }
        assert_false(b->overflow);
        buf_free(b);
        assert_null(b->p);
        buf_addz(b, "again");
        expect(b, "again");
        buf_free(b);
    }
    arena_reset(&a);
}

static void limits_hold(void **state)
{
    (void)state;
    struct buf b = {.limit = 10};
    buf_addz(&b, "0123456789");
    assert_false(b.overflow);
    assert_int_equal(b.n, 10);
    buf_addc(&b, 'x');
    assert_true(b.overflow);
    assert_int_equal(b.n, 10);
    assert_null(buf_room(&b, 1));
    buf_free(&b);
    assert_false(b.overflow);
    assert_int_equal(b.limit, 10); /* the limit stays for the next use */

    /* What does not fit is not added at all, and nothing is added after it. */
    buf_addz(&b, "abc");
    buf_addz(&b, "0123456789");
    buf_addz(&b, "d");
    assert_true(b.overflow);
    assert_true(str_eq(buf_str(&b), STR("abc")));
    buf_free(&b);
    buf_printf(&b, "%s", "0123456789abcdef");
    assert_true(b.overflow);
    assert_int_equal(b.n, 0);
    buf_free(&b);
    assert_null(buf_room(&b, SIZE_MAX));
    assert_true(b.overflow);
    buf_free(&b);

    /* The last growth stops at the limit, and printed text keeps within it. */
    struct buf grown = {.limit = 300};
    assert_non_null(buf_room(&grown, 250));
    buf_printf(&grown, "%05d", 12345);
    assert_true(str_eq(str_from(buf_str(&grown), 250), STR("12345")));
    buf_printf(&grown, "%044d", 1);
    assert_int_equal(grown.n, 299);
    assert_non_null(buf_room(&grown, 1));
    assert_false(grown.overflow);
    assert_null(buf_room(&grown, 1));
    assert_int_equal(grown.n, 300);
    buf_free(&grown);

    /* A text that stands elsewhere is copied before anything is added. */
    char three[3] = "abc";
    struct arena a = {0};
    struct buf foreign = {.p = three, .n = sizeof three, .arena = &a};
    buf_addc(&foreign, 'd');
    assert_true(str_eq(buf_str(&foreign), STR("abcd")));
    arena_reset(&a);

    struct buf large = {0}; /* no limit given: 64 MiB */
    assert_null(buf_room(&large, ((size_t)64 << 20) + 1));
    assert_true(large.overflow);
    buf_free(&large);
}

static void numbers_are_printed(void **state)
{
    (void)state;
    static const uint64_t values[] = {0,
                                      1,
                                      9,
                                      10,
                                      11,
                                      99,
                                      100,
                                      12345,
                                      999999999,
                                      1000000000,
                                      4294967295,
                                      4294967296,
                                      9999999999999999999U,
                                      10000000000000000000U,
                                      UINT64_MAX,
                                      (uint64_t)INT64_MAX,
                                      (uint64_t)INT64_MAX + 1};
    struct buf b = {0};
    for (size_t i = 0; i < sizeof values / sizeof *values; i++) {
        char expected[32];
        snprintf(expected, sizeof expected, "%" PRIu64, values[i]);
        buf_add_u64(&b, values[i]);
        expect(&b, expected);
        snprintf(expected, sizeof expected, "%" PRId64, (int64_t)values[i]);
        buf_add_i64(&b, (int64_t)values[i]);
        expect(&b, expected);
    }
    buf_add_i64(&b, INT64_MIN);
    expect(&b, "-9223372036854775808");
    buf_free(&b);
}

static void json_is_escaped(void **state)
{
    (void)state;
    static const struct {
        const char *text, *escaped;
    } cases[] = {
        {"", ""},
        {"plain", "plain"},
        {"\"\\/", "\\\"\\\\/"},
        {"a\nb\rc\td", "a\\nb\\rc\\td"},
        {"\x01\x08\x1f\x7f", "\\u0001\\u0008\\u001f\\u007f"},
        {"gr\xc3\xbc\xc3\x9f \xe2\x82\xac \xf0\x9f\x98\x80",
         "gr\xc3\xbc\xc3\x9f \xe2\x82\xac \xf0\x9f\x98\x80"},
        {"a\xff"
         "b",
         "a\xef\xbf\xbd"
         "b"},
        {"\xc3", "\xef\xbf\xbd"},
        {"\xe2\x82", "\xef\xbf\xbd\xef\xbf\xbd"},
        {"\xc0\x80", "\xef\xbf\xbd\xef\xbf\xbd"},
        {"\xed\xa0\x80", "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd"},
        {"\xf5\x80\x80\x80x", "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbdx"},
        {"\"", "\\\""},
        {"end\\", "end\\\\"},
    };
    struct buf b = {0};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        buf_add_json(&b, str_of(cases[i].text));
        expect(&b, cases[i].escaped);
    }
    buf_add_json(&b, (struct str){0});
    buf_add_json(&b, str_make("a\0b", 3));
    expect(&b, "a\\u0000b");
    buf_free(&b);
}

/* RFC 3629's table, written down as ranges. */
static size_t well_formed(const unsigned char *s, size_t n)
{
    static const struct {
        unsigned char first, last, low, high;
        size_t len;
    } rows[] = {
        {0x00, 0x7f, 0, 0, 1},       {0xc2, 0xdf, 0x80, 0xbf, 2}, {0xe0, 0xe0, 0xa0, 0xbf, 3},
        {0xe1, 0xec, 0x80, 0xbf, 3}, {0xed, 0xed, 0x80, 0x9f, 3}, {0xee, 0xef, 0x80, 0xbf, 3},
        {0xf0, 0xf0, 0x90, 0xbf, 4}, {0xf1, 0xf3, 0x80, 0xbf, 4}, {0xf4, 0xf4, 0x80, 0x8f, 4},
    };
    for (size_t i = 0; n && i < sizeof rows / sizeof *rows; i++) {
        if (s[0] < rows[i].first || s[0] > rows[i].last) {
            continue;
        }
        if (n < rows[i].len || (rows[i].len > 1 && (s[1] < rows[i].low || s[1] > rows[i].high))) {
            return 0;
        }
        for (size_t k = 2; k < rows[i].len; k++) {
            if (s[k] < 0x80 || s[k] > 0xbf) {
                return 0;
            }
        }
        return rows[i].len;
    }
    return 0;
}

static void utf8_is_exact(void **state)
{
    (void)state;
    static const unsigned char edge[] = {0x00, 0x41, 0x7f, 0x80, 0x8f, 0x90, 0x9f,
                                         0xa0, 0xbf, 0xc0, 0xc2, 0xf4, 0xff};
    enum { EDGES = sizeof edge };
    for (unsigned a = 0; a < 256; a++) {
        for (unsigned b = 0; b < 256; b++) {
            for (unsigned k = 0; k < EDGES * EDGES; k++) {
                unsigned char s[4] = {(unsigned char)a, (unsigned char)b, edge[k / EDGES],
                                      edge[k % EDGES]};
                size_t n = 1 + k % 4;
                if (utf8_len((const char *)s, n) != well_formed(s, n)) {
                    fail_msg("%02x %02x %02x %02x (%zu)", s[0], s[1], s[2], s[3], n);
                }
            }
        }
    }
    assert_int_equal(utf8_len("x", 0), 0);
    for (uint32_t cp = 0; cp <= 0x10FFFF; cp++) {
        char s[4];
        if (cp >= 0xD800 && cp <= 0xDFFF) {
            continue;
        }
        size_t n = utf8_put(s, cp);
        assert_int_equal(n, cp < 0x80 ? 1 : cp < 0x800 ? 2 : cp < 0x10000 ? 3 : 4);
        if (utf8_len(s, n) != n) {
            fail_msg("U+%04X", cp);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(text_is_added),       cmocka_unit_test(limits_hold),
        cmocka_unit_test(numbers_are_printed), cmocka_unit_test(json_is_escaped),
        cmocka_unit_test(utf8_is_exact),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
