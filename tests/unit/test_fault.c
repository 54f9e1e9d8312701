/* Whose fault an answer is, and how what was at fault rests and comes back. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "policy/fault.h"
#include "policy/health.h"

static struct fault of(unsigned status, const char *code, uint32_t retry_after_ms, bool should)
{
    struct fault_answer a = {.status = status,
                             .code = str_of(code),
                             .retry_after_ms = retry_after_ms,
                             .should_retry = should};
    return fault_of_answer(&a);
}

/* status, code; whose fault; same, credential, target. */
static const struct {
    unsigned status;
    const char *code;
    enum fault_at at;
    bool same, credential, target;
} rows[] = {
    {400, "context_length_exceeded", FAULT_REQUEST, false, false, false},
    {401, "invalid_api_key", FAULT_CREDENTIAL, false, true, true},
    {402, "", FAULT_CREDENTIAL, false, true, true},
    {403, "", FAULT_LIMIT, false, true, true},
    {404, "model_not_found", FAULT_LANE, false, false, true},
    {404, "not_found_error", FAULT_LANE, false, false, true},
    {404, "previous_response_not_found", FAULT_REQUEST, false, false, false},
    {404, "invalid_request_error", FAULT_REQUEST, false, false, false},
    {408, "", FAULT_LANE, true, false, true},
    {409, "already_exists", FAULT_REQUEST, false, false, false},
    {409, "conversation_locked", FAULT_LOCK, true, false, false},
    {413, "", FAULT_REQUEST, false, false, false},
    {422, "", FAULT_REQUEST, false, false, false},
    {425, "", FAULT_LANE, true, false, true},
    {429, "rate_limit_exceeded", FAULT_LIMIT, true, true, true},
    {429, "insufficient_quota", FAULT_CREDENTIAL, false, true, true},
    {500, "", FAULT_LANE, true, false, true},
    {501, "", FAULT_REQUEST, false, false, false},
    {502, "", FAULT_LANE, true, false, true},
    {503, "", FAULT_LANE, true, false, true},
    {504, "", FAULT_LANE, true, false, true},
    {529, "overloaded_error", FAULT_LANE, true, false, true},
};

static void too_long(void **state)
{
    (void)state;
    struct fault_answer a = {.status = 400, .too_long = true};
    struct fault f = fault_of_answer(&a);
    assert_int_equal(f.at, FAULT_REQUEST);
    assert_true(f.target && f.wider && !f.same && !f.credential);
    a.status = 422; /* what it is too long for is not said */
    assert_false(fault_of_answer(&a).target);
    static const char *const say_so[] = {
        "This model's maximum context length is 8192 tokens.",
        "prompt is too long: 210000 tokens > 200000 maximum",
        "The input token count (9) exceeds the maximum number of tokens allowed (8).",
        "Input is too long for requested model."};
    for (size_t i = 0; i < sizeof say_so / sizeof *say_so; i++) {
        assert_true(fault_is_too_long(STR(""), str_of(say_so[i])));
    }
    assert_true(fault_is_too_long(STR("context_length_exceeded"), STR("")));
    assert_false(fault_is_too_long(STR("invalid_request_error"), STR("max_tokens is too long")));
    assert_false(fault_is_too_long(STR(""), STR("")));
}

static void each_status(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct fault f = of(rows[i].status, rows[i].code, 0, false);
        if (f.at != rows[i].at || f.same != rows[i].same || f.credential != rows[i].credential ||
            f.target != rows[i].target) {
            fail_msg("%u %s: %d %d %d %d", rows[i].status, rows[i].code, f.at, f.same, f.credential,
                     f.target);
        }
    }
}

static void what_the_vendor_says_counts(void **state)
{
    (void)state;
    struct fault f = of(429, "", 1500, false);
    assert_true(f.told);
    assert_int_equal(f.rest_ms, 1500);
    assert_int_equal(f.wait_ms, 1500);
    assert_false(of(429, "", 0, false).told);
    assert_int_equal(of(429, "", UINT32_MAX, false).rest_ms, 3600000);
    assert_int_equal(of(409, "", 0, true).at, FAULT_LOCK);
    assert_int_equal(of(409, "", 70, false).wait_ms, 70);
    assert_int_equal(of(503, "", 70, false).wait_ms, 70);
}

static void rests_until_its_time(void **state)
{
    (void)state;
    struct health h = {0};
    assert_false(health_rests(&h, 1000));
    health_failed(&h, 1000, 500, true);
    assert_true(health_rests(&h, 1499));
    assert_int_equal(health_left_ms(&h, 1100), 400);
    assert_false(health_rests(&h, 1500));
    /* A call that was under way ends well: the vendor's word stands. */
    health_worked(&h);
    assert_true(health_rests(&h, 1499));
}

static void the_vendor_knows_best(void **state)
{
    (void)state;
    struct health h = {0};
    for (int i = 0; i < 3 * HEALTH_FAILURES; i++) {
        health_failed(&h, 1000, 50, true);
    }
    assert_int_equal(health_left_ms(&h, 1000), 50);
}

static void opens_after_failures_in_a_row(void **state)
{
    (void)state;
    struct health h = {0};
    for (int i = 0; i < HEALTH_FAILURES - 1; i++) {
        health_failed(&h, 100, 0, false);
        assert_false(health_rests(&h, 100));
    }
    health_worked(&h);
    for (int i = 0; i < HEALTH_FAILURES - 1; i++) {
        health_failed(&h, 100, 0, false);
    }
    assert_false(health_rests(&h, 100));
    health_failed(&h, 100, 0, false);
    assert_true(health_rests(&h, 100 + HEALTH_OPEN_MS - 1));
    assert_false(health_rests(&h, 100 + HEALTH_OPEN_MS));
    assert_true(health_doubtful(&h));
}

static void one_probe_at_a_time(void **state)
{
    (void)state;
    struct health h = {0};
    uint64_t now = 1000, open = HEALTH_OPEN_MS;
    for (int i = 0; i < HEALTH_FAILURES; i++) {
        health_failed(&h, now, 0, false);
    }
    for (int round = 0; round < 8; round++) {
        assert_true(health_rests(&h, now + open - 1));
        now += open;
        assert_false(health_rests(&h, now));
        assert_true(health_probe(&h, now));
        assert_false(health_probe(&h, now));
        assert_false(health_probe(&h, now + HEALTH_PROBE_MS - 1));
        health_failed(&h, now, 0, false);
        open = open * 2 < HEALTH_OPEN_MAX_MS ? open * 2 : HEALTH_OPEN_MAX_MS;
    }
    now += open;
    assert_true(health_probe(&h, now));
    assert_true(health_probe(&h, now + HEALTH_PROBE_MS)); /* the first one never came back */
    health_worked(&h);
    assert_false(health_doubtful(&h) || health_rests(&h, now));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(too_long),
        cmocka_unit_test(each_status),
        cmocka_unit_test(what_the_vendor_says_counts),
        cmocka_unit_test(rests_until_its_time),
        cmocka_unit_test(the_vendor_knows_best),
        cmocka_unit_test(opens_after_failures_in_a_row),
        cmocka_unit_test(one_probe_at_a_time),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
