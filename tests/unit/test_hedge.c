/* Percentiles of the time to first content, and the budget of second attempts. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "policy/hedge.h"

static void percentiles_are_at_most_an_eighth_too_long(void **state)
{
    (void)state;
    static const uint64_t scales[] = {1, 3, 10, 77, 500, 1000};
    for (unsigned s = 0; s < sizeof scales / sizeof *scales; s++) {
        struct hedge h = {0};
        for (uint64_t i = 1; i <= 100; i++) {
            hedge_add(&h, i * scales[s]);
        }
        for (unsigned p = 50; p <= 99; p++) {
            uint64_t exact = p * scales[s];
            assert_in_range(hedge_after_ms(&h, p, 100), exact, exact + exact / 8 + 2);
        }
    }
}

static void too_few_say_nothing(void **state)
{
    (void)state;
    struct hedge h = {0};
    assert_int_equal(hedge_after_ms(&h, 95, 0), 0);
    for (int i = 0; i < 49; i++) {
        hedge_add(&h, 10);
    }
    assert_int_equal(hedge_after_ms(&h, 95, 50), 0);
    hedge_add(&h, 10);
    assert_in_range(hedge_after_ms(&h, 95, 50), 10, 12);
}

static void any_time_has_a_place(void **state)
{
    (void)state;
    static const uint64_t times[] = {0, 1, 2, 1 << 19, (1 << 20) - 1, 1 << 20, UINT64_MAX};
    for (unsigned i = 0; i < sizeof times / sizeof *times; i++) {
        struct hedge h = {0};
        hedge_add(&h, times[i]);
        assert_true(hedge_after_ms(&h, 99, 1) > 0);
    }
}

static void what_was_is_forgotten(void **state)
{
    (void)state;
    struct hedge h = {0};
    for (int i = 0; i < 10 * HEDGE_WINDOW; i++) {
        hedge_add(&h, 10);
    }
    for (int i = 0; i < 10 * HEDGE_WINDOW; i++) {
        hedge_add(&h, 1000);
    }
    assert_in_range(hedge_after_ms(&h, 50, 50), 1000, 1130);
    assert_in_range(hedge_after_ms(&h, 95, 50), 1000, 1130);
    assert_true(h.n < HEDGE_WINDOW);
}

/* Nothing at first; then so many of a hundred, and at most a burst at once. */
static void budget_is_a_share_of_the_calls(void **state)
{
    (void)state;
    for (unsigned percent = 1; percent <= 100; percent += 3) {
        struct hedge h = {0};
        unsigned taken = 0;
        assert_false(hedge_take(&h));
        for (int i = 0; i < 10000; i++) {
            hedge_earn(&h, percent);
            taken += hedge_take(&h);
        }
        assert_int_equal(taken, 100 * percent);
        for (int i = 0; i < 10000; i++) {
            hedge_earn(&h, percent);
        }
        for (taken = 0; hedge_take(&h); taken++) {
        }
        assert_in_range(taken, HEDGE_BURST - 1, HEDGE_BURST);
        hedge_give(&h);
        assert_true(hedge_take(&h));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(percentiles_are_at_most_an_eighth_too_long),
        cmocka_unit_test(too_few_say_nothing),
        cmocka_unit_test(any_time_has_a_place),
        cmocka_unit_test(what_was_is_forgotten),
        cmocka_unit_test(budget_is_a_share_of_the_calls),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
