/* When an alert is told, and when its end: with a clock of our own. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "policy/alert.h"

static const struct alert_bounds bounds = {.above = 50, .clear = 40, .for_ms = 60};

static enum alert_change step(struct alert *a, int64_t value, uint64_t now_ms)
{
    return alert_step(a, &bounds, true, value, now_ms);
}

static void it_must_last(void **state)
{
    struct alert a = {0};
    (void)state;
    assert_int_equal(step(&a, 51, 100), ALERT_NOTHING);
    assert_int_equal(a.phase, ALERT_PENDING);
    assert_int_equal(step(&a, 99, 159), ALERT_NOTHING);
    assert_int_equal(step(&a, 50, 159), ALERT_NOTHING); /* not above: from the beginning */
    assert_int_equal(a.phase, ALERT_WELL);
    assert_int_equal(step(&a, 51, 200), ALERT_NOTHING);
    assert_int_equal(step(&a, 51, 259), ALERT_NOTHING);
    assert_int_equal(step(&a, 51, 260), ALERT_FIRED);
    assert_int_equal(step(&a, 51, 900), ALERT_NOTHING); /* told once */
}

static void what_swings_around_the_bound_is_told_once(void **state)
{
    struct alert a = {0};
    unsigned fired = 0, resolved = 0;
    (void)state;
    for (uint64_t now = 0; now < 10000; now += 10) {
        enum alert_change c = step(&a, now / 10 % 2 || now < 100 ? 60 : 45, now);
        fired += c == ALERT_FIRED;
        resolved += c == ALERT_RESOLVED;
    }
    assert_int_equal(fired, 1);
    assert_int_equal(resolved, 0);
}

static void its_end_must_last_too(void **state)
{
    struct alert a = {0};
    (void)state;
    (void)step(&a, 60, 100);
    assert_int_equal(step(&a, 60, 160), ALERT_FIRED);
    assert_int_equal(step(&a, 40, 200), ALERT_NOTHING);
    assert_int_equal(step(&a, 41, 250), ALERT_NOTHING); /* above `clear`: from the beginning */
    assert_int_equal(step(&a, 0, 260), ALERT_NOTHING);
    assert_int_equal(step(&a, 0, 319), ALERT_NOTHING);
    assert_int_equal(step(&a, 0, 320), ALERT_RESOLVED);
    assert_int_equal(a.phase, ALERT_WELL);
    assert_int_equal(step(&a, 0, 400), ALERT_NOTHING);
}

static void without_a_value_it_is_well(void **state)
{
    struct alert a = {0};
    (void)state;
    (void)step(&a, 60, 100);
    assert_int_equal(alert_step(&a, &bounds, false, 60, 170), ALERT_NOTHING);
    assert_int_equal(a.phase, ALERT_WELL);
    (void)step(&a, 60, 200);
    assert_int_equal(step(&a, 60, 260), ALERT_FIRED);
    assert_int_equal(alert_step(&a, &bounds, false, 0, 300), ALERT_NOTHING);
    assert_int_equal(alert_step(&a, &bounds, false, 0, 360), ALERT_RESOLVED);
}

static void at_once_when_nothing_is_to_last(void **state)
{
    const struct alert_bounds now = {.above = 0, .clear = 0};
    struct alert a = {0};
    (void)state;
    assert_int_equal(alert_step(&a, &now, true, 1, 5), ALERT_FIRED);
    assert_int_equal(alert_step(&a, &now, true, 0, 5), ALERT_RESOLVED);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(it_must_last),
        cmocka_unit_test(what_swings_around_the_bound_is_told_once),
        cmocka_unit_test(its_end_must_last_too),
        cmocka_unit_test(without_a_value_it_is_well),
        cmocka_unit_test(at_once_when_nothing_is_to_last),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
