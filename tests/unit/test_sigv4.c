/* AWS Signature Version 4: the vectors that AWS has published ("aws-sig-v4-test-suite"), and requests of
 * Bedrock as botocore signs them with the clock held. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "dialect/sigv4.h"

#define SECRET "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"
#define TOKEN                                                                                      \
    "AQoDYXdzEPT//////////"                                                                        \
    "wEXAMPLEtc764bNrC9SAPBSM22wDOk4x4HIZ8j4FZTwdQWLWsKWHGBuFqwAeMicRXmxfpSPfI"                    \
    "eoIYRqTflfKD8YUuwthAx7mSEI/qkPpKPi/"                                                          \
    "kMcGdQrmGdeehM4IC1NtBmUpp2wUE8phUZampKsburEDy0KPkyQDYwT7WZ"                                   \
    "0wq5VSXDvp75YU9HFvlRd8Tx6q6fE8YQcHNVXAkiY9q6d+xo0rKwT38xVqr7ZD0u0iPPkUL64lIZbqBAz+"           \
    "scqKmlzm8FD"                                                                                  \
    "rypNC9Yjc8fPOLn9FX9KSYvKTr4rvx3iSIlTJabIQwj2ICCR/oLxBA=="
#define PLAIN "-._~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"

static struct str hex(struct arena *a, const unsigned char *p, size_t n)
{
    struct buf b = {.arena = a};
    for (size_t i = 0; i < n; i++) {
        buf_printf(&b, "%02x", p[i]);
    }
    return buf_str(&b);
}

static void text_is(struct str got, struct str want)
{
    if (!str_eq(got, want)) {
        fail_msg("\"%.*s\" instead of \"%.*s\"", STR_ARG(got), STR_ARG(want));
    }
}

static struct str fields(struct arena *a, struct sigv4 s, struct str body)
{
    struct buf b = {.arena = a};
    char hash[SIGV4_HASH_N], date[SIGV4_DATE_N];
    unsigned char key[SIGV4_KEY_N];
    sigv4_hash(body, hash);
    sigv4_date(s.at_s, date);
    s.body_hash = str_make(hash, sizeof hash);
    assert_int_equal(sigv4_key(secret_of(STR(SECRET)), str_make(date, 8), s.region, s.service, key),
                     0);
    sigv4_add_fields(&b, a, &s, key);
    return buf_str(&b);
}

static void published(void **state)
{
    (void)state;
    static const struct {
        const char *name, *method, *path, *query, *token, *signature;
    } vectors[] = {
        {"get-vanilla", "GET", "/", "", "",
         "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31"},
        {"post-vanilla", "POST", "/", "", "",
         "5da7c1a2acd57cee7505fc6676e4e544621c30862966e37dddb68e92efbe5d6b"},
        {"get-relative", "GET", "/example/..", "", "",
         "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31"},
        {"get-slash-dot-slash", "GET", "/./", "", "",
         "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31"},
        {"get-slash-pointless-dot", "GET", "/./example", "", "",
         "ef75d96142cf21edca26f06005da7988e4f8dc83a165a80865db7089db637ec5"},
        {"get-slashes", "GET", "//example//", "", "",
         "9a624bd73a37c9a373b5312afbebe7a714a789de108f0bdfe846570885f57e84"},
        {"get-utf8", "GET", "/\xe1\x88\xb4", "", "",
         "8318018e0b0f223aa2bbf98705b62bb787dc9c0e678f255a891fd03141be5d85"},
        {"get-space", "GET", "/example space/", "", "",
         "652487583200325589f1fba4c7e578f72c47cb61beeca81406b39ddec1366741"},
        {"get-vanilla-empty-query-key", "GET", "/", "Param1=value1", "",
         "a67d582fa61cc504c4bae71f336f98b97f1ea3c7a6bfe1b6e45aec72011b9aeb"},
        {"get-vanilla-query-order-key-case", "GET", "/", "Param2=value2&Param1=value1", "",
         "b97d918cfa904a5beff61c982a1b6f458b799221646efd99d3219ec94cdf2500"},
        {"get-vanilla-query-order-value", "GET", "/", "Param1=value2&Param1=value1", "",
         "5772eed61e12b33fae39ee5e7012498b51d56abc0abb7c60486157bd471c4694"},
        {"get-vanilla-utf8-query", "GET", "/", "\xe1\x88\xb4=bar", "",
         "2cdec8eed098649ff3a119c94853b13c643bcf08f8b0a1d91e12c9027818dd04"},
        {"get-vanilla-query-unreserved", "GET", "/", PLAIN "=" PLAIN, "",
         "9c3e54bfcdf0b19771a7f523ee5669cdf59bc7cc0884027167c21bb143a40197"},
        {"post-sts-header-before", "POST", "/", "", TOKEN,
         "85d96828115b5dc0cfc3bd16ad9e210dd772bbebba041836c64533a82be05ead"},
    };
    for (size_t i = 0; i < sizeof vectors / sizeof *vectors; i++) {
        struct arena a = {0};
        struct sigv4 s = {.method = str_of(vectors[i].method),
                          .path = str_of(vectors[i].path),
                          .query = str_of(vectors[i].query),
                          .host = STR("example.amazonaws.com"),
                          .region = STR("us-east-1"),
                          .service = STR("service"),
                          .access_key = STR("AKIDEXAMPLE"),
                          .session_token = str_of(vectors[i].token),
                          .at_s = 1440938160};
        struct str got = fields(&a, s, STR(""));
        struct str want = arena_printf(
            &a,
            "authorization: AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20150830/us-east-1/service/"
            "aws4_request, SignedHeaders=host;x-amz-date%s, Signature=%s\r\nx-amz-date: "
            "20150830T123600Z\r\n%s%s%s",
            *vectors[i].token ? ";x-amz-security-token" : "", vectors[i].signature,
            *vectors[i].token ? "x-amz-security-token: " : "", vectors[i].token,
            *vectors[i].token ? "\r\n" : "");
        if (!str_eq(got, want)) {
            fail_msg("%s:\n%.*s instead of\n%.*s", vectors[i].name, STR_ARG(got), STR_ARG(want));
        }
        arena_reset(&a);
    }
}

/* IAM User Guide, "Derive a signing key". */
static void keys(void **state)
{
    (void)state;
    struct arena a = {0};
    unsigned char key[SIGV4_KEY_N];
    assert_int_equal(
        sigv4_key(secret_of(STR(SECRET)), STR("20150830"), STR("us-east-1"), STR("iam"), key), 0);
    text_is(hex(&a, key, sizeof key),
            STR("c4afb1cc5771d871763a393e44b703571b55cc28424d1a5e86da6ed3c154a4b9"));
    char *longer = arena_zalloc(&a, 513);
    assert_true(
        sigv4_key(secret_of(str_make(longer, 513)), STR("20150830"), STR("r"), STR("s"), key) < 0);
    assert_int_equal(
        sigv4_key(secret_of(str_make(longer, 512)), STR("20150830"), STR("r"), STR("s"), key), 0);
    arena_reset(&a);
}

static void dates(void **state)
{
    (void)state;
    static const struct {
        int64_t at_s;
        const char *want;
    } all[] = {
        {0, "19700101T000000Z"},          {1440938160, "20150830T123600Z"},
        {1709164799, "20240228T235959Z"}, {1709164800, "20240229T000000Z"},
        {1798761599, "20261231T235959Z"},
    };
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        char got[SIGV4_DATE_N];
        sigv4_date(all[i].at_s, got);
        text_is(str_make(got, sizeof got), str_of(all[i].want));
    }
}

#define BODY STR("{\"messages\":[{\"role\":\"user\",\"content\":[{\"text\":\"hi\"}]}]}")

/* Made by botocore 1.44.8, its clock held at 2026-11-27 01:02:03. */
static void as_botocore(void **state)
{
    (void)state;
    struct arena a = {0};
    struct sigv4 s = {.method = STR("POST"),
                      .path = STR("/model/us.anthropic.claude-sonnet-4-20250514-v1%3A0/converse"),
                      .host = STR("bedrock-runtime.us-east-1.amazonaws.com"),
                      .region = STR("us-east-1"),
                      .service = STR("bedrock"),
                      .access_key = STR("AKIDEXAMPLE"),
                      .at_s = 1795741323};
    struct str got = fields(&a, s, BODY), line;
    str_cut(&got, '\r', &line);
    text_is(line, STR("authorization: AWS4-HMAC-SHA256 "
                      "Credential=AKIDEXAMPLE/20261127/us-east-1/bedrock/aws4_request, "
                      "SignedHeaders=host;x-amz-date, Signature="
                      "98996afbe818cfb360ee8503afea148f4c3bca7480e2f6f9a4a67d4f60d76ec7"));

    s.path = STR("/model/us.anthropic.claude-sonnet-4-20250514-v1%3A0/converse-stream");
    s.session_token = STR("AQoDYXdzEPT//////////wEXAMPLE==");
    s.tell_hash = true;
    text_is(fields(&a, s, BODY),
            STR("authorization: AWS4-HMAC-SHA256 "
                "Credential=AKIDEXAMPLE/20261127/us-east-1/bedrock/aws4_request, "
                "SignedHeaders=host;x-amz-content-sha256;x-amz-date;x-amz-security-token, "
                "Signature=8f0ef134cbcdd64a4ffd60339829bafb4642bd7ebbf60f51b6368d4008476a61\r\n"
                "x-amz-date: 20261127T010203Z\r\n"
                "x-amz-security-token: AQoDYXdzEPT//////////wEXAMPLE==\r\n"
                "x-amz-content-sha256: "
                "c3335e07d6e89650bf94cb98664be69f8774dbc3198df221f113db0a59ea14f0\r\n"));

    s.path = STR("/base/model/arn%3Aaws%3Abedrock%3Aus-east-1%3A123456789012%3A"
                 "application-inference-profile%2Fabc/converse");
    s.query = STR("b=1&a=%20x&a=&c");
    s.host = STR("localhost:4566");
    s.region = STR("eu-west-3");
    s.session_token = (struct str){0};
    s.tell_hash = false;
    got = fields(&a, s, BODY);
    str_cut(&got, '\r', &line);
    text_is(line, STR("authorization: AWS4-HMAC-SHA256 "
                      "Credential=AKIDEXAMPLE/20261127/eu-west-3/bedrock/aws4_request, "
                      "SignedHeaders=host;x-amz-date, Signature="
                      "9ebbf7b623bcca03e7984fa0eb6e691467ecc39b0c359872f4cb05a58d508518"));
    arena_reset(&a);
}

static void access_keys(void **state)
{
    (void)state;
    static const char *const all[][2] = {
        {"AWS4-HMAC-SHA256 Credential=AKID/20150830/us-east-1/bedrock/aws4_request, "
         "SignedHeaders=host, Signature=aa",
         "AKID"},
        {"aws4-hmac-sha256  SignedHeaders=host,Signature=aa,Credential=AKID/d/r/s/aws4_request",
         "AKID"},
        {"AWS4-HMAC-SHA256 Credential=a/b/d/r/s/t", "a/b"},
        {"AWS4-HMAC-SHA256 Credential=/d/r/s/t", ""},
        {"AWS4-HMAC-SHA256 Credential=AKID/d/r/s", ""},
        {"AWS4-HMAC-SHA256 Credential=", ""},
        {"AWS4-HMAC-SHA256 Credential", ""},
        {"AWS4-HMAC-SHA256", ""},
        {"AWS4-HMAC-SHA256Credential=AKID/d/r/s/t", ""},
        {"Bearer Credential=AKID/d/r/s/t", ""},
        {"", ""},
    };
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        text_is(sigv4_access_key(str_of(all[i][0])), str_of(all[i][1]));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(published),   cmocka_unit_test(keys),        cmocka_unit_test(dates),
        cmocka_unit_test(as_botocore), cmocka_unit_test(access_keys),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
