/* The table of header fields: each name is found in any case, and nothing else is. */
#include <ctype.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "http/header.h"

/* In memory that ends with the name. */
static enum header_id id_of(struct str name)
{
    char *own = malloc(name.n ? name.n : 1);
    memcpy(own, name.p, name.n);
    enum header_id id = header_id(str_make(own, name.n));
    free(own);
    return id;
}

static void each_name_in_any_case(void **state)
{
    (void)state;
    for (unsigned id = 1; id < H_COUNT; id++) {
        struct str name = header_name[id];
        char text[64];
        assert_true(name.n > 0 && name.n < sizeof text);
        for (unsigned way = 0; way < 4; way++) {
            bool start = true;
            for (size_t i = 0; i < name.n; i++) {
                char c = name.p[i];
                assert_false(isupper((unsigned char)c));
                bool upper = way == 1 || (way == 2 && start) || (way == 3 && i % 2);
                text[i] = upper ? (char)toupper((unsigned char)c) : c;
                start = c == '-';
            }
            if (id_of(str_make(text, name.n)) != id) {
                fail_msg("\"%.*s\" is not known", (int)name.n, text);
            }
        }
    }
}

/* Shorter by one, longer by one, and with any one character exchanged. */
static void neighbours_are_others(void **state)
{
    (void)state;
    for (unsigned id = 1; id < H_COUNT; id++) {
        struct str name = header_name[id];
        char text[64];
        memcpy(text, name.p, name.n);
        text[name.n] = 'x';
        assert_int_not_equal(id_of(str_make(text, name.n + 1)), id);
        assert_int_not_equal(id_of(str_make(text, name.n - 1)), id);
        for (size_t at = 0; at < name.n; at++) {
            for (unsigned c = 0x21; c < 0x7f; c++) {
                if (tolower((int)c) == name.p[at] || strchr("\"(),/:;<=>?@[\\]{}", (int)c)) {
                    continue; /* the same name, or none: names are tokens */
                }
                text[at] = (char)c;
                enum header_id got = id_of(str_make(text, name.n));
                if (got != H_OTHER) {
                    fail_msg("\"%.*s\" passes for %.*s", (int)name.n, text,
                             STR_ARG(header_name[got]));
                }
            }
            text[at] = name.p[at];
        }
    }
}

static void unknown_names(void **state)
{
    (void)state;
    static const char *const names[] = {"",
                                        "x",
                                        "-",
                                        "x-own",
                                        "hosts",
                                        "accept",
                                        "user-agents",
                                        "content-lengthh",
                                        "x-traceparent",
                                        "x_api_key",
                                        "x-api-key2"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        assert_int_equal(id_of(str_of(names[i])), H_OTHER);
    }
    char text[300];
    memset(text, 'a', sizeof text);
    for (size_t n = 0; n < sizeof text; n++) {
        assert_int_equal(id_of(str_make(text, n)), H_OTHER);
    }
}

/* What must never pass through does not: hop-by-hop fields (RFC 9110, 7.6.1) and secrets. */
static void flags(void **state)
{
    (void)state;
    static const enum header_id hop[] = {H_CONNECTION,
                                         H_KEEP_ALIVE,
                                         H_TE,
                                         H_TRAILER,
                                         H_UPGRADE,
                                         H_TRANSFER_ENCODING,
                                         H_PROXY_CONNECTION,
                                         H_PROXY_AUTHORIZATION,
                                         H_PROXY_AUTHENTICATE};
    static const enum header_id key[] = {H_AUTHORIZATION, H_X_API_KEY, H_X_GOOG_API_KEY, H_API_KEY};
    static const enum header_id through[] = {H_CONTENT_TYPE, H_CONTENT_ENCODING,
                                             H_ANTHROPIC_VERSION, H_RETRY_AFTER, H_X_SHOULD_RETRY};
    for (size_t i = 0; i < sizeof hop / sizeof *hop; i++) {
        assert_int_equal(header_flags[hop[i]], HF_HOP);
    }
    for (size_t i = 0; i < sizeof key / sizeof *key; i++) {
        assert_int_equal(header_flags[key[i]], HF_KEY);
    }
    for (size_t i = 0; i < sizeof through / sizeof *through; i++) {
        assert_int_equal(header_flags[through[i]], 0);
    }
    assert_int_equal(header_flags[H_OTHER], 0);
    assert_int_equal(header_flags[H_HOST], HF_ASK);
    assert_int_equal(header_flags[H_COOKIE], HF_ASK);
    assert_int_equal(header_flags[H_SET_COOKIE], HF_ANSWER);
    assert_int_equal(header_flags[H_CONTENT_LENGTH], HF_ASK | HF_ANSWER);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_name_in_any_case),
        cmocka_unit_test(neighbours_are_others),
        cmocka_unit_test(unknown_names),
        cmocka_unit_test(flags),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
