/* The budget of retries and the delays before them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "policy/retry.h"

static unsigned take_all(struct retry_budget *b, uint64_t now_ms)
{
    unsigned n = 0;
    while (retry_take(b, RETRY_COST, now_ms)) {
        n++;
        assert_true(n < 1000);
    }
    return n;
}

/* 500 tokens, 14 for each: 35 at once, whatever the clock says at the start. */
static void full_at_first(void **state)
{
    (void)state;
    static const uint64_t starts[] = {0, 1, 1000000, UINT64_MAX / 2};
    for (unsigned i = 0; i < 4; i++) {
        struct retry_budget b = {0};
        assert_int_equal(take_all(&b, starts[i]), 35);
        assert_false(retry_take(&b, RETRY_COST, starts[i]));
    }
}

/* 140 tokens a second are ten retries a second, however often one asks. */
static void time_gives_back(void **state)
{
    (void)state;
    for (uint64_t step_ms = 1; step_ms <= 97; step_ms++) {
        struct retry_budget b = {0};
        take_all(&b, 5000); /* 10 of 500 are left */
        unsigned n = 0;
        uint64_t at = 0;
        while (at < 20000) {
            at += step_ms;
            n += retry_take(&b, RETRY_COST, 5000 + at);
        }
        uint64_t want = (10 * 1000 + at * 140) / 14000;
        assert_in_range(n, want - 1, want); /* what is left over may wait for the next step */
    }
}

static void never_more_than_full(void **state)
{
    (void)state;
    struct retry_budget b = {0};
    take_all(&b, 0);
    assert_int_equal(take_all(&b, 100000), 35);
    assert_int_equal(take_all(&b, 100000 + ((uint64_t)1 << 62)), 35); /* no overflow */
    for (int i = 0; i < 10000; i++) {
        retry_succeeded(&b);
    }
    assert_int_equal(take_all(&b, 100000 + ((uint64_t)1 << 62)), 35);
}

/* Five good calls pay for one retry. */
static void good_calls_give_back(void **state)
{
    (void)state;
    struct retry_budget b = {0};
    take_all(&b, 0); /* 10 are left */
    retry_succeeded(&b);
    assert_false(retry_take(&b, RETRY_COST, 0));
    retry_succeeded(&b);
    assert_true(retry_take(&b, RETRY_COST, 0)); /* 1.6 are left */
    for (int round = 0; round < 100; round++) {
        for (int i = 0; i < 4; i++) {
            retry_succeeded(&b);
            assert_false(retry_take(&b, RETRY_COST, 0));
        }
        retry_succeeded(&b);
        assert_true(retry_take(&b, RETRY_COST, 0));
    }
}

/* After "slow down" a retry is cheaper. */
static void retries_of_the_limited(void **state)
{
    (void)state;
    struct retry_budget b = {0};
    unsigned n = 0;
    while (retry_take(&b, RETRY_COST_LIMITED, 0)) {
        n++;
    }
    assert_int_equal(n, 100);
}

/* Successes before the first retry are not saved up, and break nothing. */
static void good_calls_before_any_retry(void **state)
{
    (void)state;
    struct retry_budget b = {0};
    for (int i = 0; i < 1000; i++) {
        retry_succeeded(&b);
    }
    assert_int_equal(take_all(&b, 77), 35);
}

/* In the long run at most a fifth of the traffic is retried, when the floor of time is left aside. */
static void share_of_the_traffic(void **state)
{
    (void)state;
    struct retry_budget b = {0};
    take_all(&b, 0);
    unsigned retries = 0;
    for (int i = 0; i < 14000; i++) {
        retry_succeeded(&b);
        retries += retry_take(&b, RETRY_COST, 0);
    }
    assert_in_range(retries, 2799, 2801);
}

/* ---- delays ---- */

static uint64_t next_random(uint64_t *seed) /* splitmix64 */
{
    uint64_t z = *seed += 0x9E3779B97F4A7C15U;
    z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9U;
    z = (z ^ z >> 27) * 0x94D049BB133111EBU;
    return z ^ z >> 31;
}

static uint64_t most(unsigned n)
{
    uint64_t ms = 50;
    for (unsigned i = 1; i < n && ms < 2000; i++) {
        ms *= 2;
    }
    return ms < 2000 ? ms : 2000;
}

static void delays_stay_in_range(void **state)
{
    (void)state;
    static const uint64_t randoms[] = {0, 1, 50, 51, 1999, 2000, 2001, UINT32_MAX, UINT64_MAX};
    static const unsigned attempts[] = {1, 2, 3, 4, 5, 6, 7, 8, 20, 63, 64, 65, 1000, UINT32_MAX};
    for (unsigned a = 0; a < sizeof attempts / sizeof *attempts; a++) {
        for (unsigned i = 0; i < sizeof randoms / sizeof *randoms; i++) {
            assert_in_range(retry_delay_ms(attempts[a], randoms[i]), 0, most(attempts[a]));
        }
        assert_int_equal(retry_delay_ms(attempts[a], most(attempts[a])), most(attempts[a]));
    }
    assert_in_range(retry_delay_ms(0, UINT64_MAX), 0, 50);
}

/* Full jitter: every delay of the range equally often. Chi-square over up to 51 cells with a fixed seed;
 * the bound is the 99.99 % quantile for 50 degrees of freedom. */
static void delays_are_uniform(void **state)
{
    (void)state;
    enum { CELLS = 51, DRAWS = 200000 };
    for (unsigned n = 1; n <= 8; n++) {
        uint64_t seed = 42 + n, range = most(n) + 1;
        double count[CELLS] = {0}, chi = 0;
        for (int i = 0; i < DRAWS; i++) {
            count[retry_delay_ms(n, next_random(&seed)) * CELLS / range]++;
        }
        for (uint64_t c = 0; c < CELLS; c++) {
            /* how many of the delays fall into this cell */
            uint64_t from = (c * range + CELLS - 1) / CELLS,
                     to = ((c + 1) * range + CELLS - 1) / CELLS;
            double want = DRAWS * (double)(to - from) / (double)range;
            chi += (count[c] - want) * (count[c] - want) / want;
        }
        assert_true(chi < 101.0);
        assert_true(chi > 15.0); /* nor more even than chance makes it */
    }
}

static int by_size(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return x < y ? -1 : x > y;
}

/* The largest distance between how `n` sorted delays are distributed and U(0, most): Kolmogorov and Smirnov's
 * statistic. Delays are whole milliseconds, so each stands for the middle of its own. */
static double ks_distance(const uint64_t *sorted, int n, uint64_t most_ms)
{
    double worst = 0, range = (double)most_ms + 1;
    for (int i = 0; i < n; i++) {
        if (i + 1 < n && sorted[i + 1] == sorted[i]) {
            continue; /* the last of those that are equal: so many are not larger */
        }
        double seen = (double)(i + 1) / n, want = ((double)sorted[i] + 1) / range;
        double d = seen > want ? seen - want : want - seen;
        worst = d > worst ? d : worst;
    }
    return worst;
}

/* CONFLICT.md M10: 10,000 delays before each attempt pass a test for U(0, min(cap, base * 2^n)) at 1 %; delays with
 * half the jitter, or with a range that is off by a twentieth, do not. */
static void delays_pass_for_full_jitter(void **state)
{
    (void)state;
    enum { DELAYS = 10000 };
    static uint64_t delay[DELAYS], half[DELAYS];
    const double bound = 1.628 / 100; /* the 99 % quantile over the root of 10,000 */
    for (unsigned n = 1; n <= 8; n++) {
        uint64_t seed = 7 + n;
        for (int i = 0; i < DELAYS; i++) {
            delay[i] = retry_delay_ms(n, next_random(&seed));
            half[i] = most(n) / 2 + delay[i] / 2;
        }
        qsort(delay, DELAYS, sizeof *delay, by_size);
        qsort(half, DELAYS, sizeof *half, by_size);
        assert_true(ks_distance(delay, DELAYS, most(n)) < bound);
        assert_true(ks_distance(half, DELAYS, most(n)) > bound);
        assert_true(ks_distance(delay, DELAYS, most(n) + most(n) / 20) > bound);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(full_at_first),          cmocka_unit_test(time_gives_back),
        cmocka_unit_test(never_more_than_full),   cmocka_unit_test(good_calls_give_back),
        cmocka_unit_test(retries_of_the_limited), cmocka_unit_test(good_calls_before_any_retry),
        cmocka_unit_test(share_of_the_traffic),   cmocka_unit_test(delays_stay_in_range),
        cmocka_unit_test(delays_are_uniform),     cmocka_unit_test(delays_pass_for_full_jitter),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
