/* Base64, piece by piece. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>
#include <sodium.h>

#include "base/base64.h"

/* RFC 4648, 10. */
static void the_standards_own(void **state)
{
    static const char *const pairs[][2] = {{"", ""},
                                           {"f", "Zg=="},
                                           {"fo", "Zm8="},
                                           {"foo", "Zm9v"},
                                           {"foob", "Zm9vYg=="},
                                           {"fooba", "Zm9vYmE="},
                                           {"foobar", "Zm9vYmFy"}};
    (void)state;
    for (size_t i = 0; i < sizeof pairs / sizeof *pairs; i++) {
        struct base64 e = {0};
        char to[16];
        size_t n = base64_add(&e, to, str_of(pairs[i][0]));
        n += base64_end(&e, to + n);
        assert_true(str_eq(str_make(to, n), str_of(pairs[i][1])));
        assert_int_equal(base64_size(strlen(pairs[i][0])), n);
    }
}

/* Any bytes, in pieces of any length, never beyond the room that was promised. */
static void any_pieces(void **state)
{
    unsigned char bytes[400];
    char want[600];
    (void)state;
    for (size_t i = 0; i < sizeof bytes; i++) {
        bytes[i] = (unsigned char)(i * 167 + (i >> 3));
    }
    for (size_t total = 0; total <= sizeof bytes; total += 7) {
        sodium_bin2base64(want, sizeof want, bytes, total, sodium_base64_VARIANT_ORIGINAL);
        for (size_t size = 1; size < 12; size++) {
            struct base64 e = {0};
            char got[600];
            size_t n = 0;
            for (size_t at = 0; at < total; at += size) {
                size_t part = total - at < size ? total - at : size;
                char *to = malloc(base64_size(part + 2)); /* a sanitizer sees its end */
                assert_non_null(to);
                size_t wrote = base64_add(&e, to, str_make((char *)bytes + at, part));
                memcpy(got + n, to, wrote);
                n += wrote;
                free(to);
            }
            n += base64_end(&e, got + n);
            assert_true(str_eq(str_make(got, n), str_of(want)));
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_standards_own),
        cmocka_unit_test(any_pieces),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
