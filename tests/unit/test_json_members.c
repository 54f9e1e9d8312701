/* json_scan_members: as strict as json_scan about everything but the text in strings that nobody
 * here takes out. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

#include "json/scan.h"
#include "json/judge.h"
#include "json/wide.h"

#define COUNT(array) (sizeof(array) / sizeof *(array))

/* Runs `body` with every variant of the wide loops that this machine has. */
#define EACH_LEVEL(level)                                                                          \
    for (enum wide_level level = WIDE_PLAIN; level <= WIDE_AVX2; level++)                          \
        if (wide_choose(level))

/* Both sides of the sizes from which on blocks are read. */
static struct str padded(const char *doc, size_t spaces)
{
    static char room[1024];
    int n = snprintf(room, sizeof room, "%*s%s", (int)spaces, "", doc);
    return str_make(room, (size_t)n);
}

static bool accepts(struct str doc)
{
    return json_scan_members(doc, NULL, 0, NULL, NULL) == 0;
}

static void leaves_texts_to_others(void **state)
{
    (void)state;
    static const char *const docs[] = {
        "[\"a\nb\"]",
        "[\"\x01\x1f\"]",
        "[\"\x80\xff\xC0\xAF\"]",
        "[\"\\x\\u12\\u\"]",
        "\"\xE2\x82\"",
        "{\"a\":\"\\q\",\"b\":{\"\x80\":\"\t\"}}",
        "[{\"role\":\"user\",\"content\":\"\\q\x80\"},{\"role\":\"user\",\"content\":\"\n\"}]",
    };
    EACH_LEVEL(level)
    {
        for (size_t i = 0; i < COUNT(docs); i++) {
            for (size_t spaces = 0; spaces < 140; spaces += 35) {
                struct str doc = padded(docs[i], spaces);
                assert_int_equal(json_scan(doc, NULL, 0, NULL, NULL), -EBADMSG);
                assert_true(accepts(doc));
                assert_false(json_texts_are_good(doc));
            }
        }
    }
}

/* All texts at once are judged as the scan judges them one by one. */
static void judges_all_texts_at_once(void **state)
{
    (void)state;
    static const char *const docs[] = {
        "{}",
        "{\"a\":\"plain\",\"b\":[1,true,null]}",
        "[\"\\\"\\\\\\/\\b\\f\\n\\r\\t\\u00e9\\uD83D\\ude00\"]",
        "[\"M\xC3\xBCnchen \xE2\x80\x93 \xF0\x9F\x98\x80\",\"\x7F\"]",
        "[\"\\n\xC3\xBC\\n\xC3\xBC\\\\\",\"\xE6\xBC\xA2\xE5\xAD\x97\"]",
    };
    EACH_LEVEL(level)
    {
        for (size_t i = 0; i < COUNT(docs); i++) {
            for (size_t spaces = 0; spaces < 140; spaces++) {
                struct str doc = padded(docs[i], spaces);
                assert_int_equal(json_scan(doc, NULL, 0, NULL, NULL), 0);
                assert_true(json_texts_are_good(doc));
            }
        }
        assert_false(
            json_texts_are_good(STR("{\n}"))); /* which control character, it cannot tell */
        assert_false(json_texts_are_good(STR("")));
    }
}

static void is_as_strict_about_all_else(void **state)
{
    (void)state;
    static const struct {
        const char *doc;
        size_t at;
    } docs[] = {
        {"", 0},
        {"{", 1},
        {"[1", 2},
        {"{\"a\":1]", 6},
        {"{\"a\" 1}", 5},
        {"{\"a\":1,}", 7},
        {"{\"a\":{\"b\":1,}}", 12},
        {"[1 2]", 3},
        {"[01]", 2},
        {"[1.]", 3},
        {"[tru]", 4},
        {"[]]", 2},
        {"\"abc", 4},
        {"[\"abc\\\"]", 8},
        {"[\"abc\\", 6},
        {"[\"a\"\"b\"]", 4},
        {"[\"a\\\\\\\"]", 8},
        {"[\"a\\\\\"\\\"]", 6},
        /* the names of the top level are judged */
        {"{\"a\nb\":1}", 3},
        {"{\"a\\q\":1}", 4},
        {"{\"\x80\":1}", 2},
        {"{\"\\u00g0\":1}", 6},
        {"[{\"role\":\"user\",\"content\":\"a\"},{\"role\":\"user\",\"content\":\"b\",}]", 60},
    };
    EACH_LEVEL(level)
    {
        for (size_t i = 0; i < COUNT(docs); i++) {
            for (size_t spaces = 0; spaces < 140; spaces += 35) {
                struct json_error e = {0};
                int r = json_scan_members(padded(docs[i].doc, spaces), NULL, 0, NULL, &e);
                if (r != -EBADMSG || e.at != docs[i].at + spaces) {
                    fail_msg("level %d: %s: %d, at %zu", (int)level, docs[i].doc, r, e.at);
                }
            }
        }
    }
}

/* What a caller takes out is sound, whatever the mode. */
static void judges_the_strings_that_are_wanted(void **state)
{
    (void)state;
    static const struct {
        const char *doc;
        bool good;
    } docs[] = {
        {"{\"model\":\"m\\u00e9\"}", true},
        {"{\"model\":\"m\\q\"}", false},
        {"{\"mod\\u0065l\":\"m\\u12\"}", false},
        {"{\"model\":\"\x80\"}", false},
        {"{\"model\":\"a name that is longer than half a block of bytes\n\"}", false},
        {"{\"other\":\"\x80\"}", true},
        {"{\"model\":[\"\x80\"]}", true},
        {"{\"other\":{\"model\":\"\x80\"}}", true},
    };
    EACH_LEVEL(level)
    {
        for (size_t i = 0; i < COUNT(docs); i++) {
            for (size_t spaces = 0; spaces < 140; spaces += 35) {
                struct json_want w = {.name = STR("model")};
                int r = json_scan_members(padded(docs[i].doc, spaces), &w, 1, NULL, NULL);
                if ((r == 0) != docs[i].good) {
                    fail_msg("level %d: %s: %d", (int)level, docs[i].doc, r);
                }
            }
        }
    }
}

static void finds_what_the_strict_scan_finds(void **state)
{
    (void)state;
    struct str doc = STR(
        "{\"model\":\"m\\u00e9\",\"messages\":[{\"role\":\"system\",\"content\":\"a \\\"b\\\\\"},"
        "{\"role\":\"user\",\"content\":\"\\\\\\\"},{\\\"\"},{\"role\":\"assistant\",\"content\":"
        "\"a text of more than sixty-four bytes, so that blocks are read, \\\\\"}],"
        "\"mod\\u0065l\":1,\"stream\":true,\"n\":-1.5e3,\"\":{\"model\":2}}");
    EACH_LEVEL(level)
    {
        struct json_want a[] = {{.name = STR("model")},  {.name = STR("messages")},
                                {.name = STR("stream")}, {.name = STR("n")},
                                {.name = STR("")},       {.name = STR("role")}};
        struct json_want b[COUNT(a)];
        memcpy(b, a, sizeof a);
        enum json_type top;
        assert_int_equal(json_scan(doc, a, COUNT(a), NULL, NULL), 0);
        assert_int_equal(json_scan_members(doc, b, COUNT(b), &top, NULL), 0);
        assert_int_equal(top, JSON_OBJECT);
        assert_int_equal(b[0].count, 2);
        assert_true(b[0].escaped);
        assert_int_equal(b[5].count, 0);
        for (size_t i = 0; i < COUNT(a); i++) {
            assert_int_equal(a[i].type, b[i].type);
            assert_int_equal(a[i].count, b[i].count);
            assert_ptr_equal(a[i].value.p, b[i].value.p);
            assert_int_equal(a[i].value.n, b[i].value.n);
            assert_ptr_equal(a[i].key.p, b[i].key.p);
        }
    }
}

/* Texts of every length with runs of backslashes at their end, at both edges of readable memory. */
static void ends_texts_where_they_end(void **state)
{
    (void)state;
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    char *map = mmap(NULL, 3 * page, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    assert_ptr_not_equal(map, MAP_FAILED);
    char *pages = map + page;
    assert_int_equal(mprotect(pages, page, PROT_READ | PROT_WRITE), 0);
    EACH_LEVEL(level)
    {
        for (size_t n = 0; n < 200; n++) {
            for (size_t slashes = 0; slashes < 5 && slashes <= n; slashes++) {
                size_t doc_n = n + 4;
                char *at[] = {pages, pages + page - doc_n};
                for (size_t k = 0; k < 2; k++) {
                    char *doc = at[k];
                    memset(doc, 'a', doc_n);
                    memset(doc + 2 + n - slashes, '\\', slashes);
                    doc[0] = '[';
                    doc[1] = doc[doc_n - 2] = '"';
                    doc[doc_n - 1] = ']';
                    assert_int_equal(accepts(str_make(doc, doc_n)), slashes % 2 == 0);
                    assert_false(accepts(str_make(doc, doc_n - 1)));
                    assert_false(accepts(str_make(doc, doc_n - 2)));
                }
            }
        }
    }
    munmap(map, 3 * page);
}

/* A string that was passed over only is decoded to something, and never beyond its room. */
static void decodes_what_was_not_judged(void **state)
{
    (void)state;
    static const char *const texts[] = {"\"\\u\"",         "\"\\u12\"",       "\"\\uzzzz\"",
                                        "\"\\q\"",         "\"\\ud800\\u1\"", "\"\\ud83d\\uzzzz\"",
                                        "\"\\u\\u\\u\\u\""};
    for (size_t i = 0; i < COUNT(texts); i++) {
        size_t n = strlen(texts[i]);
        char *quoted = malloc(n), *to = malloc(n);
        assert_true(quoted && to);
        memcpy(quoted, texts[i], n);
        assert_true(json_unescape(str_make(quoted, n), to) <= n);
        free(quoted);
        free(to);
    }
}

static int best_level(void **state)
{
    (void)state;
    return wide_choose(WIDE_AVX2) || wide_choose(WIDE_SSE2) || wide_choose(WIDE_PLAIN) ? 0 : -1;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(leaves_texts_to_others, best_level),
        cmocka_unit_test_teardown(is_as_strict_about_all_else, best_level),
        cmocka_unit_test_teardown(judges_the_strings_that_are_wanted, best_level),
        cmocka_unit_test_teardown(finds_what_the_strict_scan_finds, best_level),
        cmocka_unit_test_teardown(ends_texts_where_they_end, best_level),
        cmocka_unit_test(judges_all_texts_at_once),
        cmocka_unit_test(decodes_what_was_not_judged),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
