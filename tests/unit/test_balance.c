/* Which target of several: scores, the lot among equals, and what is measured. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "policy/balance.h"
#include "policy/load.h"

static uint64_t random_state = 88172645463325252U;

static uint64_t next_random(void)
{
    random_state ^= random_state << 13;
    random_state ^= random_state >> 7;
    random_state ^= random_state << 17;
    return random_state;
}

static struct load *load_new(uint32_t shards)
{
    size_t size = sizeof(struct load) + shards * sizeof(struct load_shard);
    struct load *l = aligned_alloc(64, size);
    assert_non_null(l);
    memset(l, 0, size);
    l->n_shards = shards;
    return l;
}

/* ---- the lot ---- */

static void the_lowest_score_wins_whatever_the_lot(void **state)
{
    (void)state;
    const struct balance_item items[] = {{3, 1000}, {1, 1}, {2, 1000}};
    for (unsigned i = 0; i < 1000; i++) {
        assert_int_equal(balance_pick(items, 3, next_random()), 1);
    }
}

static void equals_share_by_weight(void **state)
{
    (void)state;
    const struct balance_item items[] = {{5, 3}, {9, 50}, {5, 1}, {5, 0}};
    unsigned n[4] = {0};
    for (unsigned i = 0; i < 40000; i++) {
        n[balance_pick(items, 4, next_random())]++;
    }
    assert_in_range(n[0], 29400, 30600);
    assert_in_range(n[2], 9400, 10600);
    assert_int_equal(n[1] + n[3], 0);
}

static void a_weight_of_0_is_the_last_resort(void **state)
{
    (void)state;
    const struct balance_item mixed[] = {{1, 0}, {2, 1}}, none[] = {{2, 0}, {1, 0}, {1, 0}};
    unsigned n[3] = {0};
    for (unsigned i = 0; i < 1000; i++) {
        assert_int_equal(balance_pick(mixed, 2, next_random()), 1);
        n[balance_pick(none, 3, next_random())]++;
    }
    assert_int_equal(n[0], 0);
    assert_true(n[1] > 400 && n[2] > 400);
}

/* ---- scores ---- */

static void latency_counts_with_the_calls_that_wait(void **state)
{
    (void)state;
    assert_true(balance_latency(100, 0) < balance_latency(150, 0));
    assert_true(balance_latency(100, 2) > balance_latency(150, 0));
    /* A new one is tried at once, by one call. */
    assert_true(balance_latency(0, 0) < balance_latency(1, 0));
    assert_true(balance_latency(0, 1) > balance_latency(3600000000U, 1000));
    assert_true(balance_latency(0, 1) < balance_latency(0, 2));
}

static void calls_under_way_count_by_weight(void **state)
{
    (void)state;
    assert_true(balance_busy(0, 1) < balance_busy(1, 1));
    assert_true(balance_busy(5, 3) == balance_busy(1, 1));
    assert_true(balance_busy(0, 0) == balance_busy(0, 1));
}

static void a_price_that_is_not_known_is_last(void **state)
{
    (void)state;
    assert_true(balance_price(0, 0) < balance_price(1, 0));
    assert_true(balance_price(10, 100) < balance_price(50, 10));
    assert_true(balance_price(1000000000, 1000000000) < balance_price(-1, 5));
    assert_true(balance_price(10, -1) == balance_price(10, 0)); /* embeddings write nothing */
    assert_true(balance_price(-1, -1) == balance_price(-1, 7));
}

/* ---- places ---- */

enum { TARGETS = 5, KEYS = 50000 };

static uint32_t place_of(uint64_t key, const uint32_t *weights, uint32_t without)
{
    struct balance_item items[TARGETS];
    uint32_t index[TARGETS], n = 0;
    for (uint32_t i = 0; i < TARGETS; i++) {
        if (i != without) {
            uint64_t target = balance_hash(7, str_make((const char *)&i, sizeof i));
            items[n] = (struct balance_item){balance_place(key, target, weights[i]), weights[i]};
            index[n++] = i;
        }
    }
    return index[balance_pick(items, n, next_random())];
}

static void only_the_share_of_a_lost_target_moves(void **state)
{
    (void)state;
    static const uint32_t weights[TARGETS] = {1, 1, 2, 4, 2};
    unsigned n[TARGETS] = {0}, moved[TARGETS] = {0};
    for (uint64_t k = 0; k < KEYS; k++) {
        uint64_t key = balance_hash(1, str_make((const char *)&k, sizeof k));
        uint32_t at = place_of(key, weights, TARGETS);
        assert_int_equal(at, place_of(key, weights, TARGETS)); /* the lot has no say */
        n[at]++;
        uint32_t then = place_of(key, weights, 3);
        assert_true(at == 3 ? then != 3 : then == at);
        moved[then] += at == 3;
    }
    for (uint32_t i = 0; i < TARGETS; i++) {
        assert_in_range(n[i], KEYS * weights[i] / 10 * 94 / 100,
                        KEYS * weights[i] / 10 * 106 / 100);
        /* What it had is shared among the others by their weights. */
        unsigned share = i == 3 ? 0 : n[3] * weights[i] / 6;
        assert_in_range(moved[i], share * 92 / 100, share * 108 / 100);
    }
}

static void hashes_are_the_same_in_every_process(void **state)
{
    (void)state;
    assert_int_equal(balance_hash(0, STR("")), balance_hash(0, STR("")));
    assert_int_equal(balance_hash(3, STR("session-1")), 0xEE43AF79EBC4D3F5U);
    assert_true(balance_hash(3, STR("session-1")) != balance_hash(4, STR("session-1")));
    assert_true(balance_hash(0, STR("a")) != balance_hash(0, str_make("a\0", 2)));
}

/* ---- what is measured ---- */

static void a_peak_counts_at_once_and_fades(void **state)
{
    (void)state;
    struct load *l = load_new(1);
    assert_int_equal(load_latency_us(l, 1000), 0);
    load_measured(l, 1000, 50000);
    assert_int_equal(load_latency_us(l, 1000), 50000);
    load_measured(l, 1000, 2000000);
    assert_int_equal(load_latency_us(l, 1000), 2000000);
    /* A fast one at the same moment says little, one much later nearly all. */
    load_measured(l, 1000, 50000);
    assert_int_equal(load_latency_us(l, 1000), 2000000);
    load_measured(l, 1000 + LOAD_FADE_MS, 50000);
    assert_in_range(load_latency_us(l, 1000 + LOAD_FADE_MS), 735000 + 31000, 736000 + 32000);
    load_measured(l, 1000 + 20 * LOAD_FADE_MS, 50000);
    assert_in_range(load_latency_us(l, 1000 + 20 * LOAD_FADE_MS), 49990, 50010);
    free(l);
}

/* What was slow once is asked again some day, without anybody asking for it. */
static void what_is_idle_becomes_as_good_as_new(void **state)
{
    (void)state;
    struct load *l = load_new(1);
    uint64_t last = UINT64_MAX;
    load_measured(l, 5000, 3000000);
    for (uint64_t s = 0; s <= 200; s += 10) {
        uint64_t us = load_latency_us(l, 5000 + s * 1000);
        assert_true(us < last || us == 0);
        last = us;
    }
    assert_int_equal(last, 0);
    free(l);
}

static void waiting_only_raises(void **state)
{
    (void)state;
    struct load *l = load_new(1);
    load_measured(l, 1000, 100000);
    load_waited(l, 1000, 10);
    assert_int_equal(load_latency_us(l, 1000), 100000);
    load_waited(l, 1000, LOAD_FAILED_US);
    assert_int_equal(load_latency_us(l, 1000), LOAD_FAILED_US);
    free(l);
}

/* Workers read their clocks at different moments; and 49 days are more than its bits. */
static void clocks_may_differ(void **state)
{
    (void)state;
    struct load *l = load_new(1);
    uint64_t turn = (uint64_t)UINT32_MAX - 3;
    load_measured(l, 1000, 70000);
    assert_int_equal(load_latency_us(l, 990), 70000);
    load_measured(l, turn, 70000);
    assert_in_range(load_latency_us(l, turn + 10), 69800, 70000);
    load_measured(l, turn, UINT64_MAX);
    assert_int_equal(load_latency_us(l, turn), UINT32_MAX);
    free(l);
}

static void calls_of_all_workers_are_added_up(void **state)
{
    (void)state;
    struct load *l = load_new(3);
    for (unsigned i = 0; i < 10; i++) {
        load_begin(l, i % 3);
    }
    load_end(l, 0, false);
    load_end(l, 2, true);
    struct load_sum s = load_sum(l);
    assert_int_equal(s.calls, 10);
    assert_int_equal(s.failed, 1);
    assert_int_equal(s.running, 8);
    free(l);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_lowest_score_wins_whatever_the_lot),
        cmocka_unit_test(equals_share_by_weight),
        cmocka_unit_test(a_weight_of_0_is_the_last_resort),
        cmocka_unit_test(latency_counts_with_the_calls_that_wait),
        cmocka_unit_test(calls_under_way_count_by_weight),
        cmocka_unit_test(a_price_that_is_not_known_is_last),
        cmocka_unit_test(only_the_share_of_a_lost_target_moves),
        cmocka_unit_test(hashes_are_the_same_in_every_process),
        cmocka_unit_test(a_peak_counts_at_once_and_fades),
        cmocka_unit_test(what_is_idle_becomes_as_good_as_new),
        cmocka_unit_test(waiting_only_raises),
        cmocka_unit_test(clocks_may_differ),
        cmocka_unit_test(calls_of_all_workers_are_added_up),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
