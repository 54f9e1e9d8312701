/* What calls cost, against sums worked out by hand from the vendors' lists. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "ledger/price.h"
#include "model/facts.h"

static struct price known(const char *vendor, const char *model)
{
    struct price p;
    if (!facts_price(str_of(vendor), str_of(model), &p)) {
        fail_msg("no price of %s of %s", model, vendor);
    }
    return p;
}

/* Input, output, cache_read, cache_write, reasoning, cache_write_1h, input_audio, output_audio. */
static const struct {
    const char *vendor, *model;
    struct usage u;
    int64_t nusd;
} worked[] = {
    /* $0.15 and $0.60: 1000 * 150 + 500 * 600 nano-dollars */
    {"openai", "gpt-4o-mini", {1000, 500, -1, -1, -1, -1, -1, -1}, 450000},
    /* 800 of the 1000 at $0.075: 200 * 150 + 800 * 75 + 500 * 600 */
    {"openai", "gpt-4o-mini", {1000, 500, 800, -1, -1, -1, -1, -1}, 390000},
    /* what was thought has no price of its own: that of output */
    {"openai", "gpt-4o-mini", {0, 500, -1, -1, 200, -1, -1, -1}, 300000},
    /* 100 fresh at $5, 3000 read at $0.50, 200 written at $6.25, 10 out at $25 */
    {"anthropic", "claude-opus-4-5", {3300, 10, 3000, 200, -1, -1, -1, -1}, 3500000},
    /* 150 of the 200 for an hour, at twice $5: 100*5000 + 3000*500 + 150*10000 + 50*6250 + 10*25000 */
    {"anthropic", "claude-opus-4-5", {3300, 10, 3000, 200, -1, 150, -1, -1}, 4062500},
    /* at the bound of the tier still $1.25 and $10, above it all of it $2.50 and $15 */
    {"google", "gemini-2.5-pro", {200000, 100, -1, -1, -1, -1, -1, -1}, 251000000},
    {"google", "gemini-2.5-pro", {200001, 100, -1, -1, -1, -1, -1, -1}, 501502500},
    /* cached ones count for the tier, at its own $0.25 */
    {"google", "gemini-2.5-pro", {200001, 0, 200000, -1, -1, -1, -1, -1}, 50002500},
    /* heard: $1 instead of $0.30 */
    {"google", "gemini-2.5-flash", {100, 0, -1, -1, -1, -1, 40, -1}, 58000},
    /* reasoning of its own price, $4 instead of $1.20 */
    {"alibaba", "qwen-plus", {0, 100, -1, -1, 60, -1, -1, -1}, 288000},
    /* $0.05: 50 nano-dollars a token */
    {"alibaba", "qwen-flash", {1, 0, -1, -1, -1, -1, -1, -1}, 50},
    /* another vendor, and a name that holds a slash: 75 + 600 */
    {"openrouter", "openai/gpt-4o-mini", {1, 1, 1, -1, -1, -1, -1, -1}, 675},
    /* nothing was read or written */
    {"openai", "gpt-4o-mini", {0, 0, -1, -1, -1, -1, -1, -1}, 0},
};

static void calls_cost_what_the_lists_say(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof worked / sizeof *worked; i++) {
        struct price p = known(worked[i].vendor, worked[i].model);
        int64_t cost = price_cost(&p, &worked[i].u);
        if (cost != worked[i].nusd) {
            fail_msg("row %zu, %s: %lld instead of %lld", i, worked[i].model, (long long)cost,
                     (long long)worked[i].nusd);
        }
    }
}

static void a_sum_is_rounded_up_once(void **state)
{
    struct price p = {.rate = {1, 1, -1, -1, -1, -1, -1, -1}};
    struct usage u = USAGE_NONE;
    (void)state;
    u.input = 1;
    u.output = 1;
    assert_int_equal(price_cost(&p, &u), 1); /* 2 pico-dollars, not twice a nano-dollar */
    u.input = 999;
    assert_int_equal(price_cost(&p, &u), 1);
    u.input = 1000;
    assert_int_equal(price_cost(&p, &u), 2);
}

static void what_is_not_known_is_never_0(void **state)
{
    struct price p = known("openai", "gpt-4o-mini"),
                 input_only = {.rate = {20000, -1, -1, -1, -1, -1, -1, -1}};
    struct usage none = USAGE_NONE, both = USAGE_NONE, input = USAGE_NONE;
    (void)state;
    both.input = both.output = input.input = 5;
    assert_int_equal(price_cost(NULL, &both), -1);
    assert_int_equal(price_cost(&p, &none), -1);
    assert_int_equal(price_cost(&input_only, &both), -1);
    assert_int_equal(price_cost(&input_only, &input), 100); /* embeddings */
    /* A vendor's model without a price, and a price that another vendor has of that name. */
    struct price ret;
    assert_false(facts_price(STR("cohere"), STR("c4ai-aya-expanse-32b"), &ret));
    assert_true(facts_price(STR("openai"), STR("gpt-4o-mini"), &ret));
    assert_false(facts_price(STR("groq"), STR("gpt-4o-mini"), &ret));
    assert_false(facts_price(STR(""), STR("gpt-4o-mini"), &ret));
    assert_non_null(
        facts_find(STR("groq"), STR("gpt-4o-mini"))); /* what it can is known all the same */
}

static void parts_larger_than_their_whole_are_cut(void **state)
{
    struct price p = {.rate = {1000, 2000, 100, -1, -1, 3000, -1, -1}};
    struct usage u = {10, 5, 50, 50, 9, 99, 7, 7};
    (void)state;
    assert_int_equal(price_cost(&p, &u), 10 * 100 / 1000 + 5 * 3000 / 1000);
}

static void the_largest_numbers_end_at_the_largest_sum(void **state)
{
    struct price p = {.rate = {INT64_MAX, INT64_MAX, -1, -1, -1, -1, -1, -1}};
    struct usage u = {INT64_MAX, INT64_MAX, INT64_MAX, -1, -1, -1, -1, -1};
    (void)state;
    assert_int_equal(price_cost(&p, &u), INT64_MAX);
    u.cache_write = u.cache_write_1h = 4;
    u.cache_read = -1;
    assert_int_equal(price_cost(&p, &u), -1); /* twice that is no number: not known */
}

static void prices_are_read_exactly(void **state)
{
    static const struct {
        const char *text;
        int64_t pico; /* -1: refused */
    } all[] = {
        {"0.05", 50000},   {"3", 3000000},    {"0", 0},
        {"0.000001", 1},   {"1.0", 1000000},  {"1000000", 1000000000000},
        {"0.0000001", -1}, {"1000000.1", -1}, {"-1", -1},
        {"1e3", -1},       {".5", -1},        {"1.", -1},
        {"", -1},          {"1.2.3", -1},     {"00000001", -1},
    };
    (void)state;
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        int64_t pico = -1;
        bool read = price_parse(str_of(all[i].text), &pico);
        assert_int_equal(pico, all[i].pico);
        assert_int_equal(read, all[i].pico >= 0);
    }
}

static void a_version_tells_prices_apart(void **state)
{
    struct price a = known("google", "gemini-2.5-pro"), b = a;
    struct price_tier tier = a.tiers[0];
    (void)state;
    assert_int_equal(a.version, price_version(&b));
    b.from_us = 7; /* when it counts is not what it is */
    assert_int_equal(a.version, price_version(&b));
    b.rate[RATE_OUTPUT]++;
    assert_int_not_equal(a.version, price_version(&b));
    b = a;
    tier.above++;
    b.tiers = &tier;
    assert_int_not_equal(a.version, price_version(&b));
}

static void a_price_prints_as_it_is_written(void **state)
{
    struct price p = known("google", "gemini-2.5-pro");
    struct buf b = {0};
    (void)state;
    price_print(&b, &p);
    buf_addc(&b, 0);
    assert_string_equal(
        b.p, "{\"input\":\"1.25\",\"output\":\"10\",\"cache_read\":\"0.125\",\"tiers\":[{"
             "\"above\":200000,\"input\":\"2.5\",\"output\":\"15\",\"cache_read\":\"0.25\"}]}");
    buf_free(&b);
}

static void the_price_of_the_time_counts(void **state)
{
    struct price first = {.from_us = 0, .version = 1},
                 second = {.from_us = 100, .before = &first, .version = 2};
    struct price late = {.from_us = 200};
    (void)state;
    assert_ptr_equal(price_at(&second, 99), &first);
    assert_ptr_equal(price_at(&second, 100), &second);
    assert_null(price_at(&late, 199));
    assert_null(price_at(NULL, 199));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(calls_cost_what_the_lists_say),
        cmocka_unit_test(a_sum_is_rounded_up_once),
        cmocka_unit_test(what_is_not_known_is_never_0),
        cmocka_unit_test(parts_larger_than_their_whole_are_cut),
        cmocka_unit_test(the_largest_numbers_end_at_the_largest_sum),
        cmocka_unit_test(prices_are_read_exactly),
        cmocka_unit_test(a_version_tells_prices_apart),
        cmocka_unit_test(a_price_prints_as_it_is_written),
        cmocka_unit_test(the_price_of_the_time_counts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
