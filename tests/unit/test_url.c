/* URLs that are fetched, and where a redirect leads to. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "http/url.h"

#define EIGHT(x) x x x x x x x x

/* authority NULL: refused. */
static const struct {
    const char *text, *host, *authority, *target;
    unsigned port;
    bool tls;
} cases[] = {
    {"http://a.test/x.png", "a.test", "a.test", "/x.png", 80, false},
    {"HTTPS://A.Test", "a.test", "a.test", "/", 443, true},
    {"https://a.test:443/x", "a.test", "a.test", "/x", 443, true},
    {"https://a.test:80/x", "a.test", "a.test:80", "/x", 80, true},
    {"http://a.test:8080?q=1#part", "a.test", "a.test:8080", "/?q=1", 8080, false},
    {"http://a.test:/x", "a.test", "a.test", "/x", 80, false},
    {"http://[2001:DB8::1]/x", "2001:db8::1", "[2001:db8::1]", "/x", 80, false},
    {"http://[::1]:81/x", "::1", "[::1]:81", "/x", 81, false},
    {"http://127.0.0.1/", "127.0.0.1", "127.0.0.1", "/", 80, false},
    {"http://a_b-c.test./", "a_b-c.test.", "a_b-c.test.", "/", 80, false},
    {"  http://a.test/x ", "a.test", "a.test", "/x", 80, false},
    {"http://a.test/a b/\xc3\xa9\"?q=<\xc3\xa9>", "a.test", "a.test",
     "/a%20b/%C3%A9%22?q=%3C%C3%A9%3E", 80, false},
    {"http://a.test/%2e%41?a%20b", "a.test", "a.test", "/%2e%41?a%20b", 80, false},
    {"http://a.test/a/./b/../../c", "a.test", "a.test", "/c", 80, false},
    {"http://a.test/../../etc/..", "a.test", "a.test", "/", 80, false},
    {"http://a.test/a/..?../x", "a.test", "a.test", "/?../x", 80, false},
    {"http://a.test\\@b.test/x", "a.test", "a.test", "/%5C@b.test/x", 80, false},
    {"http://user:pass@a.test/", NULL, NULL, NULL, 0, false},
    {"http://@a.test/", NULL, NULL, NULL, 0, false},
    {"http://a.test:80@b.test/", NULL, NULL, NULL, 0, false},
    {"ftp://a.test/", NULL, NULL, NULL, 0, false},
    {"file:///etc/passwd", NULL, NULL, NULL, 0, false},
    {"//a.test/", NULL, NULL, NULL, 0, false},
    {"http:/a.test/", NULL, NULL, NULL, 0, false},
    {"", NULL, NULL, NULL, 0, false},
    {"http://", NULL, NULL, NULL, 0, false},
    {"http:///x", NULL, NULL, NULL, 0, false},
    {"http://:80/x", NULL, NULL, NULL, 0, false},
    {"http://a.test:0/", NULL, NULL, NULL, 0, false},
    {"http://a.test:65536/", NULL, NULL, NULL, 0, false},
    {"http://a.test:8x/", NULL, NULL, NULL, 0, false},
    {"http://a.test:-1/", NULL, NULL, NULL, 0, false},
    {"http://a%2etest/", NULL, NULL, NULL, 0, false},
    {"http://a test/", NULL, NULL, NULL, 0, false},
    {"http://\xc3\xa9.test/", NULL, NULL, NULL, 0, false},
    {"http://[::1/", NULL, NULL, NULL, 0, false},
    {"http://[::1]x/", NULL, NULL, NULL, 0, false},
    {"http://[fe80::1%25eth0]/", NULL, NULL, NULL, 0, false},
    {"http://[]/", NULL, NULL, NULL, 0, false},
    {"http://::1/", NULL, NULL, NULL, 0, false},
    {"http://a.test/x\r\nhost: b", NULL, NULL, NULL, 0, false},
    {"http://a.test/\tx", NULL, NULL, NULL, 0, false},
    {"http://" EIGHT("aaaaaaaa") EIGHT("aaaaaaaa") EIGHT("aaaaaaaa") EIGHT("aaaaaaaa") "/", NULL,
     NULL, NULL, 0, false},
};

static void expect(struct str got, const char *want, const char *of)
{
    if (!str_eq(got, str_of(want))) {
        fail_msg("\"%.*s\" instead of \"%s\", of %s", STR_ARG(got), want, of);
    }
}

static void parsed(void **state)
{
    struct arena a = {0};
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct url u;
        const char *why = NULL;
        int r = url_parse(&a, str_of(cases[i].text), &u, &why);
        if ((r == 0) != (cases[i].authority != NULL)) {
            fail_msg("%s: %d, %s", cases[i].text, r, why);
        }
        if (r < 0) {
            assert_non_null(why);
            continue;
        }
        expect(u.host, cases[i].host, cases[i].text);
        expect(u.authority, cases[i].authority, cases[i].text);
        expect(u.target, cases[i].target, cases[i].text);
        assert_int_equal(u.port, cases[i].port);
        assert_int_equal(u.tls, cases[i].tls);
    }
    arena_reset(&a);
}

static void too_long(void **state)
{
    struct arena a = {0};
    struct url u;
    const char *why;
    char text[URL_MAX + 2] = "http://a.test/";
    (void)state;
    memset(text + 14, 'x', sizeof text - 14);
    assert_int_equal(url_parse(&a, str_make(text, URL_MAX), &u, &why), 0);
    assert_true(url_parse(&a, str_make(text, URL_MAX + 1), &u, &why) < 0);
    arena_reset(&a);
}

/* RFC 3986, 5.4, and redirects as servers send them. */
static void followed(void **state)
{
    static const char *const to[][2] = {
        {"g", "http a:81 /b/c/g"},
        {"./g", "http a:81 /b/c/g"},
        {"g/", "http a:81 /b/c/g/"},
        {"/g", "http a:81 /g"},
        {"//g", "http g /"},
        {"?y", "http a:81 /b/c/d?y"},
        {"g?y/../x", "http a:81 /b/c/g?y/../x"},
        {"", "http a:81 /b/c/d?q"},
        {"#s", "http a:81 /b/c/d?q"},
        {"../g", "http a:81 /b/g"},
        {"../../../g", "http a:81 /g"},
        {"..", "http a:81 /b/"},
        {"https://B.test:444/x", "https b.test:444 /x"},
        {"//169.254.169.254/latest", "http 169.254.169.254 /latest"},
        {"g:h", NULL},
        {"ftp://b/", NULL},
        {"http://", NULL},
        {"https://u@b/", NULL},
        {"javascript:x", NULL},
    };
    struct arena a = {0};
    struct url base;
    const char *why;
    (void)state;
    assert_int_equal(url_parse(&a, STR("http://a:81/b/c/d?q"), &base, &why), 0);
    for (size_t i = 0; i < sizeof to / sizeof *to; i++) {
        struct url u = base;
        int r = url_follow(&a, &u, str_of(to[i][0]), &u, &why);
        if ((r == 0) != (to[i][1] != NULL)) {
            fail_msg("%s: %d", to[i][0], r);
        }
        if (r == 0) {
            expect(arena_printf(&a, "%s %.*s %.*s", u.tls ? "https" : "http", STR_ARG(u.authority),
                                STR_ARG(u.target)),
                   to[i][1], to[i][0]);
        } else {
            expect(u.authority, "a:81", to[i][0]); /* as it was */
        }
    }
    arena_reset(&a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(parsed),
        cmocka_unit_test(too_long),
        cmocka_unit_test(followed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
