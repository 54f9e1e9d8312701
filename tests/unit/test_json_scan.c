#include <dirent.h>
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/utf8.h"
#include "json/scan.h"
#include "json/span.h"
#include "json/wide.h"

#ifndef SOURCE_ROOT
#define SOURCE_ROOT "."
#endif

#define COUNT(array) (sizeof(array) / sizeof *(array))

/* Runs `body` with every variant of the wide loops that this machine has. */
#define EACH_LEVEL(level)                                                                          \
    for (enum wide_level level = WIDE_PLAIN; level <= WIDE_AVX2; level++)                          \
        if (wide_choose(level))

static bool accepts(struct str doc)
{
    return json_scan(doc, NULL, 0, NULL, NULL) == 0;
}

static void accepts_what_the_rfc_allows(void **state)
{
    (void)state;
    static const char *const docs[] = {
        "{}",
        "[]",
        " [ ] ",
        "\t\r\n{ }\n",
        "null",
        "true",
        "false",
        "0",
        "-0",
        "1",
        "-12",
        "1.5",
        "1e5",
        "1E+5",
        "1e-05",
        "-0.0e0",
        "123456789012345678901234567890",
        "\"\"",
        "\"a\"",
        "\"\\\"\\\\\\/\\b\\f\\n\\r\\t\\u00e9\\uD83D\\uDE00\\ud800\"",
        "\"\x7f\"",
        "\"\xC3\xA9\xE2\x82\xAC\xF0\x9F\x98\x80\"",
        "[1,2,3]",
        "[ 1 , 2 ]",
        "{\"a\":1}",
        "{ \"a\" : 1 , \"b\" : [ { } , [ ] ] }",
        "{\"a\":1,\"a\":2}",
        "[[[]],{}]",
        "{\"\":\"\"}",
        "[null,true,false]",
        "[{\"role\":\"user\",\"content\":\"\"},{\"role\":\"assistant\",\"content\":\"x\"}]",
        "[{\"role\":\"user\",\"content\":\"a sentence of some length\",\"name\":\"b\"}]",
        "[{\"role\": \"user\", \"content\": \"a sentence of words\"}, {\"role\": \"a\"}]",
        "[{\"role\": \"assistant\", \"content\": \"a sentence of words\"}]",
        "[{\"role\":\"user\",\"content\":\"a sentence of "
        "words\"},{\"role\":\"assistant\",\"content\":\"\"}"
        ",{\"role\":\"user\",\"content\":\"caf\xC3\xA9\\n\"}, {\"role\": \"user\", \"content\": "
        "\"abc\"}, 1 ]",
        "{\"a\":{\"role\":\"user\",\"content\":\"a sentence of "
        "words\"},\"b\":[{\"role\":\"user\",\"content\":"
        "\"a sentence of words\"}],\"c\":\"and something behind it\"}",
    };
    EACH_LEVEL(level)
    {
        for (size_t i = 0; i < COUNT(docs); i++) {
            if (!accepts(str_of(docs[i]))) {
                fail_msg("level %d refuses %s", (int)level, docs[i]);
            }
        }
    }
}

static void refuses_and_says_where(void **state)
{
    (void)state;
    static const struct {
        const char *doc;
        size_t at;
        const char *why; /* a part of it */
    } docs[] = {
        {"", 0, "value is missing"},
        {"  ", 2, "value is missing"},
        {"\xEF\xBB\xBF{}", 0, "value is missing"},
        {"{", 1, "name in quotes"},
        {"[", 1, "value is missing"},
        {"[1", 2, "closing bracket"},
        {"{\"a\":1", 6, "closing brace"},
        {"{\"a\":1]", 6, "closing brace"},
        {"[1}", 2, "closing bracket"},
        {"{\"a\"", 4, "colon"},
        {"{\"a\" 1}", 5, "colon"},
        {"{\"a\":", 5, "value is missing"},
        {"{\"a\":}", 5, "value is missing"},
        {"{\"a\":1,}", 7, "name in quotes"},
        {"{a:1}", 1, "name in quotes"},
        {"{,}", 1, "name in quotes"},
        {"[1,]", 3, "value is missing"},
        {"[,1]", 1, "value is missing"},
        {"[1 2]", 3, "comma"},
        {"[]]", 2, "behind"},
        {"{} x", 3, "behind"},
        {"1 2", 2, "behind"},
        {"nul", 3, "word"},
        {"nulL", 3, "word"},
        {"[tru]", 4, "word"},
        {"truee", 4, "behind"},
        {"NaN", 0, "value is missing"},
        {"01", 1, "zero"},
        {"-", 1, "digits"},
        {"-a", 1, "digits"},
        {"1.", 2, "point"},
        {"1.e5", 2, "point"},
        {".5", 0, "value is missing"},
        {"+1", 0, "value is missing"},
        {"1e", 2, "exponent"},
        {"1e+", 3, "exponent"},
        {"0x1", 1, "behind"},
        {"\"", 1, "not closed"},
        {"\"abc", 4, "not closed"},
        {"\"abc\\", 5, "not closed"},
        {"\"abc\\\"", 6, "not closed"},
        {"\"\\u12", 5, "not closed"},
        {"\"\\x\"", 2, "no such escape"},
        {"\"\\u12g4\"", 5, "hexadecimal"},
        {"\"\\u123\"", 6, "hexadecimal"},
        {"\"a\nb\"", 2, "control"},
        {"\"\x1f\"", 1, "control"},
        {"\"ab\x80\"", 3, "UTF-8"},
        {"\"\xC0\xAF\"", 1, "UTF-8"},
        {"\"\xED\xA0\x80\"", 1, "UTF-8"},
        {"\"\xF4\x90\x80\x80\"", 1, "UTF-8"},
        {"\"\xC3\xA9\xE2\x82\"", 3, "UTF-8"},
        {"\"\xE2\x82", 1, "UTF-8"},
        {"'a'", 0, "value is missing"},
        {"[1]//", 3, "behind"},
        {"[\v1]", 1, "value is missing"},
        {"[1\f]", 2, "comma"},
        {"{\"a\":{\"role\":\"user\",\"content\":\"a "
         "sentence\"},{\"role\":\"user\",\"content\":\"b\"}} ",
         44, "name in quotes"},
        {"[{\"role\":\"user\",\"content\":\"a sentence\"},{\"role\":\"user\",\"content\":\"b\",}]  "
         "    ",
         69, "name in quotes"},
        {"[{\"role\":\"user\",\"content\":\"a sentence\"},{\"role\":\"user\",\"content\":\"b\"]    "
         "       ",
         68, "closing brace"},
        {"[{\"role\":\"user\",\"content\":\"a sentence of some length]", 53, "not closed"},
        {"[{\"role\":\"user\",\"content\":\"a sentence of some length\"]", 53, "closing brace"},
    };
    EACH_LEVEL(level)
    {
        for (size_t i = 0; i < COUNT(docs); i++) {
            struct json_error e = {0};
            int r = json_scan(str_of(docs[i].doc), NULL, 0, NULL, &e);
            if (r != -EBADMSG || e.at != docs[i].at || !strstr(e.why, docs[i].why)) {
                fail_msg("level %d: %s: %d, at %zu: %s", (int)level, docs[i].doc, r, e.at, e.why);
            }
        }
    }
}

static void refuses_nul_bytes(void **state)
{
    (void)state;
    assert_false(accepts(str_make("[1\0]", 4)));
    assert_false(accepts(str_make("[]\0", 3)));
    assert_false(accepts(str_make("\"\0\"", 3)));
    assert_false(accepts(str_make(NULL, 0)));
}

static void allows_so_many_levels_and_no_more(void **state)
{
    (void)state;
    char doc[2 * JSON_DEPTH_MAX + 2];
    for (size_t levels = JSON_DEPTH_MAX; levels <= JSON_DEPTH_MAX + 1; levels++) {
        memset(doc, '[', levels);
        memset(doc + levels, ']', levels);
        struct json_error e;
        int r = json_scan(str_make(doc, 2 * levels), NULL, 0, NULL, &e);
        assert_int_equal(r, levels > JSON_DEPTH_MAX ? -EBADMSG : 0);
        if (r < 0) {
            assert_int_equal(e.at, JSON_DEPTH_MAX);
        }
    }
}

static void a_message_is_a_level_too(void **state)
{
    (void)state;
    static const char message[] = "{\"role\":\"user\",\"content\":\"0123456789\"}";
    char doc[2 * JSON_DEPTH_MAX + sizeof message];
    for (size_t around = JSON_DEPTH_MAX - 1; around <= JSON_DEPTH_MAX; around++) {
        memset(doc, '[', around);
        memcpy(doc + around, message, sizeof message - 1);
        memset(doc + around + sizeof message - 1, ']', around);
        assert_int_equal(accepts(str_make(doc, 2 * around + sizeof message - 1)),
                         around < JSON_DEPTH_MAX);
    }
}

static void finds_wanted_members(void **state)
{
    (void)state;
    struct json_want w[] = {
        {.name = STR("model")}, {.name = STR("stream")}, {.name = STR("n")},
        {.name = STR("tools")}, {.name = STR("absent")}, {.name = STR("o")},
        {.name = STR("x")},     {.name = STR("")},
    };
    struct str doc = STR(" { \"model\" : \"m\\u00e9\" , \"messages\":[{\"model\":1,\"absent\":2}],"
                         "\"stream\":true,\"n\":-1.5e3 ,\"tools\":[ 1, [2] ],\"o\":{\"absent\":{}},"
                         "\"x\":null,\"\":false}");
    enum json_type top = JSON_NONE;
    EACH_LEVEL(level)
    {
        assert_int_equal(json_scan(doc, w, COUNT(w), &top, NULL), 0);
        assert_int_equal(top, JSON_OBJECT);
        static const char *const values[] = {"\"m\\u00e9\"", "true", "-1.5e3",
                                             "[ 1, [2] ]",   NULL,   "{\"absent\":{}}",
                                             "null",         "false"};
        static const enum json_type types[] = {JSON_STRING, JSON_TRUE,   JSON_NUMBER, JSON_ARRAY,
                                               JSON_NONE,   JSON_OBJECT, JSON_NULL,   JSON_FALSE};
        for (size_t i = 0; i < COUNT(w); i++) {
            assert_int_equal(w[i].type, types[i]);
            assert_int_equal(w[i].count, types[i] != JSON_NONE);
            assert_false(w[i].escaped);
            if (types[i] != JSON_NONE) {
                assert_true(str_eq(w[i].value, str_of(values[i])));
                assert_int_equal(w[i].key.n, w[i].name.n + 2);
            }
        }
        assert_ptr_equal(w[0].key.p, doc.p + 3);
    }
}

static void counts_doubled_and_escaped_spellings(void **state)
{
    (void)state;
    struct json_want w[] = {{.name = STR("model")}, {.name = STR("\xC3\xA9\xF0\x9F\x98\x80")}};
    struct str doc = STR("{\"model\":1,\"mod\\u0065l\":[2],\"mode\\u006C\":\"3\",\"modex\":4,"
                         "\"\\u00e9\\uD83D\\uDE00\":5,\"mod\\u0065\":6,\"m\\odel\":7}");
    assert_int_equal(json_scan(doc, w, 2, NULL, NULL), -EBADMSG); /* \o is no escape */
    doc = STR("{\"model\":1,\"mod\\u0065l\":[2],\"mode\\u006C\":\"3\",\"modex\":4,"
              "\"\\u00e9\\uD83D\\uDE00\":5,\"mod\\u0065\":6}");
    assert_int_equal(json_scan(doc, w, 2, NULL, NULL), 0);
    assert_int_equal(w[0].count, 3);
    assert_true(w[0].escaped);
    assert_int_equal(w[0].type, JSON_STRING);
    assert_true(str_eq(w[0].value, STR("\"3\"")));
    assert_true(str_eq(w[0].key, STR("\"mode\\u006C\"")));
    assert_int_equal(w[1].count, 1);
    assert_true(w[1].escaped);
    doc = STR("{\"\xC3\xA9\xF0\x9F\x98\x80\":1}");
    assert_int_equal(json_scan(doc, w, 2, NULL, NULL), 0);
    assert_int_equal(w[0].count, 0);
    assert_int_equal(w[0].type, JSON_NONE);
    assert_int_equal(w[1].count, 1);
    assert_false(w[1].escaped);
}

static void wants_stay_none_in_other_documents(void **state)
{
    (void)state;
    struct json_want w = {.name = STR("a"), .count = 7, .type = JSON_TRUE};
    enum json_type top;
    assert_int_equal(json_scan(STR("[{\"a\":1}]"), &w, 1, &top, NULL), 0);
    assert_int_equal(top, JSON_ARRAY);
    assert_int_equal(w.type, JSON_NONE);
    assert_int_equal(w.count, 0);
    assert_int_equal(json_scan(STR("\"a\""), &w, 1, &top, NULL), 0);
    assert_int_equal(top, JSON_STRING);
}

static void finds_names_longer_than_a_word_has_bits(void **state)
{
    (void)state;
    char doc[300], name[200];
    memset(name, 'n', sizeof name);
    for (size_t n = 60; n < sizeof name; n++) {
        struct json_want w[] = {{.name = str_make(name, n)}, {.name = str_make(name, n - 1)}};
        int len = snprintf(doc, sizeof doc, "{\"%.*s\":1}", (int)n, name);
        assert_int_equal(json_scan(str_make(doc, (size_t)len), w, 2, NULL, NULL), 0);
        assert_int_equal(w[0].count, 1);
        assert_int_equal(w[1].count, 0);
    }
}

/* Two pages, with nothing readable in front of them or behind. */
static char *guarded_pages(size_t *ret_size)
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    char *p = mmap(NULL, 4 * page, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    assert_ptr_not_equal(p, MAP_FAILED);
    assert_int_equal(mprotect(p + page, 2 * page, PROT_READ | PROT_WRITE), 0);
    *ret_size = 2 * page;
    return p + page;
}

static void release_pages(char *p, size_t size)
{
    munmap(p - size / 2, 2 * size);
}

/* Every special byte at every place of a string of every length around the block sizes, at both
 * edges of readable memory. */
static void strings_of_every_length_at_the_edges_of_memory(void **state)
{
    (void)state;
    size_t size;
    char *pages = guarded_pages(&size);
    static const struct {
        const char *put;
        bool good;
    } specials[] = {{"", true},      {"\\n", true},       {"\\\"", true},
                    {"\x1f", false}, {"\xC3\xA9", true},  {"\xE2\x82\xAC", true},
                    {"\x80", false}, {"\xE2\x82", false}, {"\\u0041", true},
                    {"\\q", false}};
    EACH_LEVEL(level)
    {
        for (size_t n = 0; n < 270; n++) {
            for (size_t i = 0; i < COUNT(specials); i++) {
                size_t put = strlen(specials[i].put), doc_n = n + put + 4;
                for (size_t at = n > 150 ? n - 70 : 0; at <= n; at += 1 + at / 40) {
                    char *ends[] = {pages, pages + size - doc_n};
                    for (size_t k = 0; k < 2; k++) {
                        char *doc = ends[k];
                        memset(doc, 'a', doc_n);
                        memcpy(doc + 2 + at, specials[i].put, put);
                        doc[0] = '[';
                        doc[1] = doc[doc_n - 2] = '"';
                        doc[doc_n - 1] = ']';
                        assert_int_equal(accepts(str_make(doc, doc_n)), specials[i].good);
                        assert_false(accepts(str_make(doc, doc_n - 1)));
                    }
                }
            }
        }
    }
    release_pages(pages, size);
}

static uint32_t next_random(uint32_t *seed)
{
    *seed = *seed * 1664525 + 1013904223;
    return *seed >> 8;
}

/* The UTF-8 variants agree with utf8_len about random mixtures that are nearly right. */
static void utf8_agrees_with_the_plain_reading(void **state)
{
    (void)state;
    static const char *const pieces[] = {
        "a",
        "bc",
        "plain text that is longer than a register",
        "\xC2\x80",
        "\xDF\xBF",
        "\xE0\xA0\x80",
        "\xED\x9F\xBF",
        "\xEF\xBF\xBF",
        "\xF0\x90\x80\x80",
        "\xF4\x8F\xBF\xBF",
        "\xE6\xBC\xA2\xE5\xAD\x97\xE3\x81\x8B\xE3\x81\xAA",
        "\"",
        "\\",
        "\n",
        /* wrong ones from here on */
        "\x80",
        "\xC0\x80",
        "\xC1\xBF",
        "\xC3",
        "\xE0\x9F\xBF",
        "\xED\xA0\x80",
        "\xE2\x82",
        "\xF0\x8F\xBF\xBF",
        "\xF4\x90\x80\x80",
        "\xF5\x80\x80\x80",
        "\xF0\x9F\x98",
        "\xFF",
    };
    enum { RIGHT = 14 };
    uint32_t seed = 7;
    char text[512];
    for (int round = 0; round < 20000; round++) {
        size_t n = 0, count = next_random(&seed) % 40;
        for (size_t i = 0; i < count; i++) {
            bool wrong = next_random(&seed) % 64 == 0;
            const char *piece = pieces[next_random(&seed) % (wrong ? COUNT(pieces) : RIGHT - 3)];
            size_t len = strlen(piece);
            if (n + len > sizeof text) {
                break;
            }
            memcpy(text + n, piece, len);
            n += len;
        }
        assert_true(wide_choose(WIDE_PLAIN));
        const char *expected = wide.utf8(text, text + n);
        EACH_LEVEL(level)
        {
            assert_ptr_equal(wide.utf8(text, text + n), expected);
        }
    }
}

/* Every sequence of one to three bytes behind 30 bytes of text, so that it lies over a seam. */
static void utf8_knows_every_short_sequence(void **state)
{
    (void)state;
    char text[96];
    memset(text, 'a', sizeof text);
    for (uint32_t bytes = 0x8000; bytes < 0x1000000; bytes += bytes % 7 + 1) {
        char *at = text + 30;
        at[0] = (char)(bytes >> 16);
        at[1] = (char)(bytes >> 8);
        at[2] = (char)bytes;
        assert_true(wide_choose(WIDE_PLAIN));
        const char *expected = wide.utf8(text, text + sizeof text);
        EACH_LEVEL(level)
        {
            assert_ptr_equal(wide.utf8(text, text + sizeof text), expected);
        }
    }
}

static void finders_agree_with_the_plain_loops(void **state)
{
    (void)state;
    static const char alphabet[] = "abc \"\\{}[]\x01\x02\x1f\x20\x7f\x80\xff,:";
    uint32_t seed = 3;
    char text[300];
    for (int round = 0; round < 5000; round++) {
        size_t n = next_random(&seed) % sizeof text;
        for (size_t i = 0; i < n; i++) {
            bool odd = next_random(&seed) % 60 == 0;
            text[i] = odd ? alphabet[next_random(&seed) % (sizeof alphabet - 1)] : 'x';
        }
        size_t from = n ? next_random(&seed) % n : 0;
        const char *text_stop = NULL, *quote_stop = NULL, *odd_stop = NULL;
        EACH_LEVEL(level)
        {
            struct window t = wide.text(text + from, text, text + n);
            struct window q = wide.quotes(text + from, text, text + n);
            const char *t_stop = t.bits ? t.base + __builtin_ctzll(t.bits) : text + n;
            struct window o = wide.odd(text + from, text, text + n);
            const char *o_stop = o.bits ? o.base + __builtin_ctzll(o.bits) : text + n;
            const char *q_stop = q.bits ? q.base + __builtin_ctzll(q.bits) : text + n;
            if (level == WIDE_PLAIN) {
                text_stop = t_stop;
                quote_stop = q_stop;
                odd_stop = o_stop;
            }
            assert_ptr_equal(o_stop, odd_stop);
            assert_ptr_equal(t_stop, text_stop);
            assert_ptr_equal(q_stop, quote_stop);
        }
    }
}

/* What is passed over may hold what looks like its end, at any place of a block. */
static void containers_and_texts_end(void **state)
{
    (void)state;
    char text[600];
    for (int n = 0; n < 200; n++) {
        int len = snprintf(text, sizeof text,
                           "[{\"a\":\"%*s\\\"}]\",\"b\":[[],{\"}\":\"\\\\\"}]},1]", n, "");
        for (int tail = 0; tail < 70; tail += 23) {
            struct str doc = {.n = (size_t)(len + tail)};
            char *own = malloc(doc.n);
            assert_non_null(own);
            memcpy(own, text, (size_t)len);
            memset(own + len, ']', (size_t)tail);
            doc.p = own;
            EACH_LEVEL(level)
            {
                assert_ptr_equal(json_container_end(doc.p, doc.p + doc.n), doc.p + len);
                assert_ptr_equal(json_text_end(doc.p + 7, doc.p + doc.n), doc.p + 7 + n + 5);
            }
            free(own);
        }
    }
}

static void decodes_escapes(void **state)
{
    (void)state;
    static const struct {
        struct str quoted, text;
    } cases[] = {
        {STR("\"\""), STR("")},
        {STR("\"plain\""), STR("plain")},
        {STR("\"\\\"\\\\\\/\\b\\f\\n\\r\\t\""), STR("\"\\/\b\f\n\r\t")},
        {STR("\"a\\u0041\\u00e9\\u20AC\""), STR("aA\xC3\xA9\xE2\x82\xAC")},
        {STR("\"\\uD83D\\uDE00!\""), STR("\xF0\x9F\x98\x80!")},
        {STR("\"\\uD83D\""), STR("\xEF\xBF\xBD")},
        {STR("\"\\uDE00\\uD83D\""), STR("\xEF\xBF\xBD\xEF\xBF\xBD")},
        {STR("\"\\uD83D\\u0041\""), STR("\xEF\xBF\xBD"
                                        "A")},
        {STR("\"\\uD83D\\\\uDE00\""), STR("\xEF\xBF\xBD\\uDE00")},
        {STR("\"\\u0000\""), STR("\0")},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        assert_true(accepts(cases[i].quoted));
        char to[64];
        assert_int_equal(json_unescape(cases[i].quoted, to), cases[i].text.n);
        assert_memory_equal(to, cases[i].text.p, cases[i].text.n);
        struct str plain = {0};
        bool escaped = str_chr(cases[i].quoted, '\\') >= 0;
        assert_int_equal(json_plain(cases[i].quoted, &plain), !escaped);
        if (!escaped) {
            assert_true(str_eq(plain, cases[i].text));
        }
    }
}

static void reads_integers(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        int r;
        int64_t v;
    } cases[] = {
        {"0", 0, 0},
        {"-0", 0, 0},
        {"42", 0, 42},
        {"-42", 0, -42},
        {"9223372036854775807", 0, INT64_MAX},
        {"-9223372036854775808", 0, INT64_MIN},
        {"9223372036854775808", -ERANGE, 0},
        {"-9223372036854775809", -ERANGE, 0},
        {"99999999999999999999", -ERANGE, 0},
        {"1.0", -EINVAL, 0},
        {"1e3", -EINVAL, 0},
        {"99999999999999999999.5", -EINVAL, 0},
        {"", -EINVAL, 0},
        {"-", -EINVAL, 0},
        {"\"1\"", -EINVAL, 0},
        {"01", -EINVAL, 0},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        int64_t v = 0;
        assert_int_equal(json_int(str_of(cases[i].text), &v), cases[i].r);
        assert_true(v == cases[i].v);
    }
}

static void iterates_over_spans(void **state)
{
    (void)state;
    struct str span = STR("{ \"a\" : 1 ,\"b\":\"}\\\"\" , \"c\":{\"x\":[1,{\"y\":\"]\"}]},\"d\":[],"
                          "\"e\":null }");
    assert_true(accepts(span));
    static const char *const keys[] = {"\"a\"", "\"b\"", "\"c\"", "\"d\"", "\"e\""};
    static const char *const values[] = {"1", "\"}\\\"\"", "{\"x\":[1,{\"y\":\"]\"}]}", "[]",
                                         "null"};
    size_t n = 0;
    struct str key, value;
    enum json_type type;
    for (size_t at = 0; json_each(span, &at, &key, &value, &type); n++) {
        assert_true(str_eq(key, str_of(keys[n])));
        assert_true(str_eq(value, str_of(values[n])));
    }
    assert_int_equal(n, 5);
    n = 0;
    for (size_t at = 0; json_each(STR("[ 1,[2 ] , true]"), &at, &key, &value, &type); n++) {
        assert_int_equal(key.n, 0);
        assert_int_equal(type, n == 0 ? JSON_NUMBER : n == 1 ? JSON_ARRAY : JSON_TRUE);
    }
    assert_int_equal(n, 3);
    size_t at = 0;
    assert_false(json_each(STR("[ ]"), &at, &key, &value, &type));
    assert_false(json_each(STR("{}"), &at, &key, &value, &type));
}

static void finds_a_member_of_a_span(void **state)
{
    (void)state;
    struct str span = STR("{\"n\":1,\"deep\":{\"m\":5},\"n\":2,\"\\u006d\":\"x\"}");
    struct str value = {0};
    assert_int_equal(json_member(span, STR("n"), &value), JSON_NUMBER);
    assert_true(str_eq(value, STR("2")));
    assert_int_equal(json_member(span, STR("m"), &value), JSON_STRING);
    assert_true(str_eq(value, STR("\"x\"")));
    assert_int_equal(json_member(span, STR("o"), &value), JSON_NONE);
    assert_int_equal(json_member(STR("{}"), STR("o"), &value), JSON_NONE);
}

/* JSONTestSuite: y_ must be accepted, n_ refused, i_ is ours to choose. */
/* As documents come over the wire; each in memory of its own, so that reading outside of it shows. */
static void finds_a_member_of_a_document(void **state)
{
    (void)state;
    static const struct {
        const char *document;
        enum json_type type;
    } cases[] = {
        {"{\"n\":1} ", JSON_NUMBER},
        {"\n\t {\"n\":1}", JSON_NUMBER},
        {" {\"m\":2,\"n\":1}\r\n", JSON_NUMBER},
        {" {} ", JSON_NONE},
        {"\"\\\"n\\\":1 aaaa\"", JSON_NONE},
        {"[{\"n\":1}]", JSON_NONE},
        {"7", JSON_NONE},
        {"  ", JSON_NONE},
        {"", JSON_NONE},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        size_t n = strlen(cases[i].document);
        char *own = malloc(n + !n);
        struct str value = {0};
        memcpy(own, cases[i].document, n);
        assert_int_equal(json_member(str_make(own, n), STR("n"), &value), cases[i].type);
        assert_true(cases[i].type == JSON_NONE || str_eq(value, STR("1")));
        free(own);
    }
}

static void agrees_with_json_test_suite(void **state)
{
    (void)state;
    const char *shared = getenv("ACCORD_SHARED");
    char dir[1024], path[2048];
    snprintf(dir, sizeof dir, "%s%s/data/JSONTestSuite/test_parsing", shared ? "" : SOURCE_ROOT,
             shared ? shared : "/../shared");
    DIR *d = opendir(dir);
    if (!d) {
        print_message("JSONTestSuite is not at %s\n", dir);
        skip();
    }
    size_t files = 0;
    for (struct dirent *entry; (entry = readdir(d));) {
        if (!strchr("yni", entry->d_name[0]) || entry->d_name[1] != '_') {
            continue;
        }
        snprintf(path, sizeof path, "%s/%s", dir, entry->d_name);
        FILE *f = fopen(path, "rb");
        assert_non_null(f);
        static char bytes[1 << 20];
        size_t n = fread(bytes, 1, sizeof bytes, f);
        fclose(f);
        char *exact = malloc(n ? n : 1); /* so that the sanitizer sees an over-read */
        memcpy(exact, bytes, n);
        EACH_LEVEL(level)
        {
            bool ok = accepts(str_make(exact, n));
            if (entry->d_name[0] != 'i' && ok != (entry->d_name[0] == 'y')) {
                fail_msg("%s: %s", entry->d_name, ok ? "accepted" : "refused");
            }
        }
        free(exact);
        files++;
    }
    closedir(d);
    assert_true(files > 300);
}

static int best_level(void **state)
{
    (void)state;
    return wide_choose(WIDE_AVX2) || wide_choose(WIDE_SSE2) || wide_choose(WIDE_PLAIN) ? 0 : -1;
}

static void half_pairs(void **state)
{
    (void)state;
    static const struct {
        const char *doc;
        ptrdiff_t at;
    } cases[] = {
        {"\"\"", -1},          {"\"\\ud83d\\ude00\"", -1}, {"\"\\ufffd\"", -1},
        {"\"\\\\ud83d\"", -1}, /* a backslash, and text */
        {"\"\\ud83d\"", 1},    {"[1,\"a\\n\\ude00\"]", 7}, {"\"\\ud83d\\ud83d\\ude00\"", 1},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        assert_int_equal(json_half_pair(str_of(cases[i].doc)), cases[i].at);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(half_pairs),
        cmocka_unit_test_teardown(accepts_what_the_rfc_allows, best_level),
        cmocka_unit_test_teardown(refuses_and_says_where, best_level),
        cmocka_unit_test(refuses_nul_bytes),
        cmocka_unit_test(allows_so_many_levels_and_no_more),
        cmocka_unit_test(a_message_is_a_level_too),
        cmocka_unit_test_teardown(finds_wanted_members, best_level),
        cmocka_unit_test(counts_doubled_and_escaped_spellings),
        cmocka_unit_test(wants_stay_none_in_other_documents),
        cmocka_unit_test(finds_names_longer_than_a_word_has_bits),
        cmocka_unit_test_teardown(strings_of_every_length_at_the_edges_of_memory, best_level),
        cmocka_unit_test_teardown(utf8_agrees_with_the_plain_reading, best_level),
        cmocka_unit_test_teardown(utf8_knows_every_short_sequence, best_level),
        cmocka_unit_test_teardown(finders_agree_with_the_plain_loops, best_level),
        cmocka_unit_test(containers_and_texts_end),
        cmocka_unit_test(decodes_escapes),
        cmocka_unit_test(reads_integers),
        cmocka_unit_test(iterates_over_spans),
        cmocka_unit_test(finds_a_member_of_a_span),
        cmocka_unit_test(finds_a_member_of_a_document),
        cmocka_unit_test_teardown(agrees_with_json_test_suite, best_level),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
