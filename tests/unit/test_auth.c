/* Passwords, the throttle of sign-in, roles. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "auth/password.h"
#include "auth/role.h"
#include "auth/throttle.h"

static void passwords(void **state)
{
    (void)state;
    struct arena a = {0};
    struct str hash = password_hash(&a, secret_of(STR("correct horse battery")));
    assert_true(str_starts(hash, STR("$argon2id$")));
    assert_true(password_verify(hash, secret_of(STR("correct horse battery"))));
    assert_false(password_verify(hash, secret_of(STR("correct horse batterx"))));
    assert_false(password_verify(STR("$argon2id$nonsense"), secret_of(STR("x"))));
    assert_false(password_verify((struct str){0}, secret_of(STR("x"))));
    struct str again = password_hash(&a, secret_of(STR("correct horse battery")));
    assert_false(str_eq(hash, again)); /* salted */
    const struct str about[] = {STR("ana@example.com")};
    assert_null(password_weakness(secret_of(STR("correct horse battery")), about, 1));
    assert_non_null(password_weakness(secret_of(STR("Ana@Example.com")), about, 1));
    assert_non_null(password_weakness(secret_of(STR("PASSWORD1234")), about, 1));
    assert_non_null(password_weakness(secret_of(STR("zzzzzzzzzzzzz")), about, 1));
    arena_reset(&a);
}

static void failures_cost_time(void **state)
{
    (void)state;
    struct throttle *t = calloc(1, sizeof *t);
    struct str ana = STR("ana"), here = STR("10.0.0.1"), there = STR("10.0.0.2");
    for (int i = 0; i < 4; i++) {
        throttle_failed(t, ana, here, 1000);
        assert_int_equal(throttle_ask(t, ana, here, 1000).wait_ms, 0);
    }
    throttle_failed(t, ana, here, 1000);
    assert_int_equal(throttle_ask(t, ana, there, 1000).wait_ms, 1000);
    assert_int_equal(throttle_ask(t, STR("bob"), here, 1000).wait_ms, 1000);
    assert_int_equal(throttle_ask(t, STR("bob"), there, 1000).wait_ms, 0);
    assert_int_equal(throttle_ask(t, ana, here, 2000).wait_ms, 0);
    for (int i = 0; i < 30; i++) {
        throttle_failed(t, ana, here, 2000);
    }
    assert_int_equal(throttle_ask(t, ana, there, 2000).wait_ms,
                     60000); /* never locked out for long */
    assert_int_equal(throttle_ask(t, STR("bob"), here, 2000).wait_ms, 900000);
    throttle_succeeded(t, ana, here);
    assert_int_equal(throttle_ask(t, ana, there, 2000).wait_ms, 0);
    throttle_failed(t, STR("late"), there, 1000);
    for (int i = 0; i < 4; i++) {
        throttle_failed(t, STR("late"), there, 4000000); /* the first is forgotten by then */
    }
    assert_int_equal(throttle_ask(t, STR("late"), STR("x"), 4000000).wait_ms, 0);
    free(t);
}

static void patterns(void **state)
{
    (void)state;
    static const struct {
        const char *pattern, *permission;
        bool covers;
    } cases[] = {
        {"*", "a.b", true},         {"*", "*", true},      {"a.*", "a.b", true},
        {"a.*", "a.*", true},       {"a.b", "a.b", true},  {"*.read", "a.read", true},
        {"*.read", "*.read", true}, {"a.b", "a.c", false}, {"a.*", "b.c", false},
        {"a.b", "a.*", false},      {"a.*", "*", false},   {"*.read", "a.*", false},
        {"a", "a.b", false},        {"a.b", "a", false},   {"", "a.b", false},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        if (permission_covers(str_of(cases[i].pattern), str_of(cases[i].permission)) !=
            cases[i].covers) {
            fail_msg("%s over %s", cases[i].pattern, cases[i].permission);
        }
    }
}

static void grants_hold_in_their_scope(void **state)
{
    (void)state;
    const struct str *developer, *auditor;
    size_t nd, na;
    const struct str scopes[] = {STR("application.read")};
    struct arena arena = {0};
    struct grants g = {.arena = &arena};
    assert_true(role_builtin(STR("developer"), &developer, &nd));
    assert_true(role_builtin(STR("auditor"), &auditor, &na));
    assert_false(role_builtin(STR("king"), &auditor, &na));
    grants_add(&g, developer, nd, STR("ours"));
    assert_true(grants_may(&g, STR("application.update"), STR("ours")));
    assert_false(grants_may(&g, STR("application.update"), STR("theirs")));
    assert_false(grants_may(&g, STR("application.update"), (struct str){0}));
    assert_false(grants_may(&g, STR("provider.update"), STR("ours")));
    assert_true(grants_may_anywhere(&g, STR("key.rotate")));
    assert_false(grants_may_anywhere(&g, STR("audit.read")));
    grants_add(&g, auditor, na, (struct str){0});
    assert_true(grants_may(&g, STR("audit.read"), (struct str){0}));
    assert_true(grants_may(&g, STR("key.read"), STR("theirs")));
    assert_true(grants_cover(&g, auditor, na, STR("ours")));
    assert_false(grants_cover(&g, developer, nd, STR("theirs")));
    g.scopes = scopes;
    g.n_scopes = 1;
    assert_true(grants_may(&g, STR("application.read"), STR("ours")));
    assert_false(grants_may(&g, STR("application.update"), STR("ours")));
    for (int i = 0; i < 1000; i++) { /* as many as there are: none is forgotten */
        grants_add(&g, developer, nd, arena_printf(&arena, "team-%d", i));
    }
    g.scopes = NULL;
    assert_true(grants_may(&g, STR("application.update"), STR("team-999")));
    arena_reset(&arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(passwords),
        cmocka_unit_test(failures_cost_time),
        cmocka_unit_test(patterns),
        cmocka_unit_test(grants_hold_in_their_scope),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
