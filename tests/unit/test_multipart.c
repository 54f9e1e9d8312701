/* multipart/form-data (RFC 7578): which value of a field the reader finds, and what it refuses. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "http/multipart.h"

#define TYPE                "multipart/form-data; boundary=xyz"
#define PART(headers, body) "--xyz\r\n" headers "\r\n\r\n" body "\r\n"
#define FIELD(name, value)  PART("Content-Disposition: form-data; name=\"" name "\"", value)
#define FILE_OF(body)       PART("Content-Disposition: form-data; name=\"file\"; filename=\"a\"", body)
#define END                 "--xyz--\r\n"

static const struct {
    const char *form;
    const char *value; /* NULL: not found */
    bool refused;
} cases[] = {
    {FIELD("model", "m") END, "m", false},
    {FILE_OF("x") FIELD("model", "whisper-1") END, "whisper-1", false},
    {"preamble\r\n" FIELD("model", "m") END "epilogue --xyz", "m", false},
    {PART("content-DISPOSITION:form-data;name=model", "m") END, "m", false},
    {PART("X-Other: name=\"model\"\r\nContent-Disposition: form-data; name=\"n\"", "m") END, NULL,
     false},
    {FILE_OF("\r\n--xy\r\nContent-Disposition: form-data; name=\"model\"\r\n\r\nm\r\n") END, NULL,
     false},
    {FILE_OF("\r\r\n-\r\n--\r\n--x") FIELD("model", "m") END, "m", false},
    {FIELD("prompt", "name=\"model\"\r\n\r\nm") END, NULL, false},
    {FIELD("model", "a\r\nb") END, "a\r\nb", false},
    {FIELD("model", "a") FIELD("model", "b") END, NULL, true},
    {FIELD("model", "") END, NULL, true},
    {PART("Content-Disposition: form-data; name=\"model\"; filename=\"f\"", "m") END, NULL, true},
    {PART("Content-Disposition: form-data; name*=utf-8''model", "m") END, NULL, true},
    {PART("Content-Disposition: form-data; name=\"a\"; name=\"model\"", "m") END, NULL, true},
    {PART("Content-Disposition: form-data; name=\"mo\\del\"", "m") END, NULL, true},
    {PART("Content-Disposition: form-data;\r\n name=\"model\"", "m") END, NULL, true},
    {"--xyz junk\r\n", NULL, true},
};

static void read_form(struct multipart *m, struct str form, size_t cut)
{
    assert_int_equal(multipart_start(m, STR(TYPE), STR("model")), 0);
    if (multipart_feed(m, str_first(form, cut)) == 0) {
        (void)!multipart_feed(m, str_from(form, cut));
    }
}

static void test_the_field_is_found_however_the_form_is_split(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct str form = str_of(cases[i].form);
        for (size_t cut = 0; cut <= form.n; cut++) {
            struct multipart m;
            read_form(&m, form, cut);
            assert_int_equal(m.error != NULL, cases[i].refused);
            if (cases[i].value) {
                struct str value = str_of(cases[i].value);
                assert_true(m.found && m.ended);
                assert_int_equal(m.value_n, value.n);
                assert_memory_equal(form.p + m.value_at, value.p, value.n);
            } else if (!cases[i].refused) {
                assert_false(m.found);
            }
        }
    }
}

static void test_a_boundary_is_needed(void **state)
{
    struct multipart m;
    (void)state;
    assert_int_equal(multipart_start(&m, STR("multipart/form-data; boundary=\"a b\""), STR("x")),
                     0);
    assert_true(multipart_start(&m, STR("multipart/form-data"), STR("x")) < 0);
    assert_true(multipart_start(&m, STR("multipart/form-data; boundary="), STR("x")) < 0);
    assert_true(multipart_start(&m, STR("multipart/form-data; boundary=\"a"), STR("x")) < 0);
    assert_true(multipart_start(&m, STR("multipart/form-data; boundary=a; boundary=b"), STR("x")) <
                0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_field_is_found_however_the_form_is_split),
        cmocka_unit_test(test_a_boundary_is_needed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
