/* Records of calls: the line in the access log, and the ring they pass through. */
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "json/tree.h"
#include "ledger/record.h"

static struct record a_record(void)
{
    struct record r = {.ended_us = 1795342800123456, /* 2026-11-22T10:20:00.123456Z */
                       .request_id = "req_01JD0000000000000000000000",
                       .usage = USAGE_NONE,
                       .status = 200,
                       .attempts = 1};
    return r;
}

/* Prints into memory of just the size that is promised to be enough; one line, one JSON object. */
static struct json *print(struct arena *a, const struct record *r)
{
    char *line = malloc(RECORD_LINE_MAX);
    size_t n = record_print(r, line);
    assert_in_range(n, 2, RECORD_LINE_MAX);
    assert_int_equal(line[n - 1], '\n');
    for (size_t i = 0; i < n - 1; i++) {
        assert_true((unsigned char)line[i] >= 0x20 && (unsigned char)line[i] < 0x7f);
    }
    struct str text = arena_dup(a, str_make(line, n - 1));
    free(line);
    struct json *j = NULL;
    struct json_error e = {0};
    if (json_parse(a, text, &j, &e) < 0) {
        fail_msg("\"%.*s\": %s at %zu", STR_ARG(text), e.why, e.at);
    }
    assert_int_equal(j->type, JSON_OBJECT);
    return j;
}

static void member_is(const struct json *j, const char *name, enum json_type type, const char *want)
{
    const struct json *m = json_get(j, str_of(name));
    if (!m || m->type != type || !str_eq(m->text, str_of(want))) {
        fail_msg("%s is \"%.*s\" instead of \"%s\"", name, m ? (int)m->text.n : 0,
                 m ? m->text.p : "", want);
    }
}

static void all_members(void **state)
{
    (void)state;
    struct arena a = {0};
    struct record r = a_record();
    r.usage = (struct usage){100, 50, 80, 0, 30, 0, 0, 0};
    r.bytes_in = 1234;
    r.bytes_out = UINT64_MAX;
    r.total_us = 1234567;
    r.ttft_us = 1000;
    r.own_us = 42;
    r.status = 503;
    r.attempts = 3;
    r.stream = 1;
    r.key_n = record_text(r.key, sizeof r.key, STR("first"));
    r.model_n = record_text(r.model, sizeof r.model, STR("gpt-5"));
    r.provider_n = record_text(r.provider, sizeof r.provider, STR("openai"));
    r.upstream_model_n = record_text(r.upstream_model, sizeof r.upstream_model, STR("gpt-5-2026"));
    r.route_n = record_text(r.route, sizeof r.route, STR("openai.chat"));
    r.outcome = OUTCOME_CUT;
    r.application_n = record_text(r.application, sizeof r.application, STR("shop"));
    r.team_n = record_text(r.team, sizeof r.team, STR("core"));
    r.code_n = record_text(r.code, sizeof r.code, STR("upstream_cut"));
    r.cost_nusd = 450000;
    r.price_version = 7;
    struct json *j = print(&a, &r);
    static const struct {
        const char *name;
        enum json_type type;
        const char *want;
    } want[] = {
        {"ts", JSON_STRING, "2026-11-22T10:20:00.123Z"},
        {"level", JSON_STRING, "info"},
        {"msg", JSON_STRING, "call"},
        {"request_id", JSON_STRING, "req_01JD0000000000000000000000"},
        {"key_id", JSON_STRING, "first"},
        {"route", JSON_STRING, "openai.chat"},
        {"provider", JSON_STRING, "openai"},
        {"model", JSON_STRING, "gpt-5"},
        {"upstream_model", JSON_STRING, "gpt-5-2026"},
        {"status", JSON_NUMBER, "503"},
        {"outcome", JSON_STRING, "upstream_cut"},
        {"application", JSON_STRING, "shop"},
        {"team", JSON_STRING, "core"},
        {"error", JSON_STRING, "upstream_cut"},
        {"cost_nusd", JSON_NUMBER, "450000"},
        {"stream", JSON_TRUE, ""},
        {"dur_ms", JSON_NUMBER, "1234.567"},
        {"ttft_ms", JSON_NUMBER, "1.000"},
        {"own_ms", JSON_NUMBER, "0.042"},
        {"input_tokens", JSON_NUMBER, "100"},
        {"output_tokens", JSON_NUMBER, "50"},
        {"cache_read_tokens", JSON_NUMBER, "80"},
        {"cache_write_tokens", JSON_NUMBER, "0"},
        {"reasoning_tokens", JSON_NUMBER, "30"},
        {"attempts", JSON_NUMBER, "3"},
        {"bytes_in", JSON_NUMBER, "1234"},
        {"bytes_out", JSON_NUMBER, "18446744073709551615"},
    };
    for (size_t i = 0; i < sizeof want / sizeof *want; i++) {
        member_is(j, want[i].name, want[i].type, want[i].want);
    }
    assert_int_equal(json_count(j), sizeof want / sizeof *want);
    arena_reset(&a);
}

/* Tokens that nobody told are not there; 0 is a number. */
static void unknown_tokens(void **state)
{
    (void)state;
    struct arena a = {0};
    struct record r = a_record();
    struct json *j = print(&a, &r);
    assert_null(json_get(j, STR("input_tokens")));
    assert_null(json_get(j, STR("reasoning_tokens")));
    member_is(j, "stream", JSON_FALSE, "");
    r.usage.output = 0;
    j = print(&a, &r);
    member_is(j, "output_tokens", JSON_NUMBER, "0");
    assert_null(json_get(j, STR("input_tokens")));
    arena_reset(&a);
}

static void times(void **state)
{
    (void)state;
    static const struct {
        uint64_t us;
        const char *want;
    } want[] = {
        {0, "1970-01-01T00:00:00.000Z"},
        {1, "1970-01-01T00:00:00.000Z"},
        {951782400000000, "2000-02-29T00:00:00.000Z"},
        {951782400999999, "2000-02-29T00:00:00.999Z"},
        {951782399007000, "2000-02-28T23:59:59.007Z"}, /* back, and to another second */
        {4102444800000000, "2100-01-01T00:00:00.000Z"},
    };
    for (size_t i = 0; i < sizeof want / sizeof *want; i++) {
        struct arena a = {0};
        struct record r = a_record();
        r.ended_us = want[i].us;
        member_is(print(&a, &r), "ts", JSON_STRING, want[i].want);
        arena_reset(&a);
    }
}

/* Every byte, at every place of a field, comes out as one character of a valid string. */
static void hostile_bytes(void **state)
{
    (void)state;
    for (unsigned c = 0; c < 256; c++) {
        for (size_t at = 0; at < RECORD_NAME; at++) {
            struct arena a = {0};
            struct record r = a_record();
            memset(r.model, 'm', sizeof r.model);
            r.model[at] = (char)c;
            r.model_n = RECORD_NAME;
            struct json *j = print(&a, &r);
            const struct json *m = json_get(j, STR("model"));
            assert_int_equal(m->type, JSON_STRING);
            assert_true(m->text.n == RECORD_NAME || (c >= 0x80 && m->text.n == RECORD_NAME + 1));
            assert_int_equal((unsigned char)m->text.p[at], c < 0x80 ? c : 0xC0 | c >> 6);
            assert_int_equal(m->text.p[0], at ? 'm' : m->text.p[0]);
            arena_reset(&a);
        }
    }
}

/* The longest line there can be fits. */
static void longest_line(void **state)
{
    (void)state;
    static const unsigned char bytes[] = {0x00, 0xff, '"', '\n'};
    for (size_t i = 0; i < sizeof bytes; i++) {
        struct arena a = {0};
        struct record r;
        memset(&r, bytes[i], sizeof r);
        memset(r.request_id, 'r', sizeof r.request_id);
        r.ended_us = 253402300799999999; /* the last of the year 9999 */
        r.usage = (struct usage){INT64_MAX, INT64_MAX, INT64_MAX, INT64_MAX,
                                 INT64_MAX, INT64_MAX, INT64_MAX, INT64_MAX};
        r.bytes_in = r.bytes_out = UINT64_MAX;
        r.total_us = r.ttft_us = r.own_us = UINT32_MAX;
        r.status = UINT16_MAX;
        r.outcome = OUTCOME_UPSTREAM_FAILED;
        r.attempts = 255;
        r.stream = 0;
        r.key_n = r.application_n = r.team_n = r.provider_n = RECORD_ID;
        r.model_n = r.upstream_model_n = RECORD_NAME;
        r.route_n = r.code_n = RECORD_WORD;
        r.cost_nusd = INT64_MAX;
        r.price_version = 1;
        struct json *j = print(&a, &r);
        member_is(j, "dur_ms", JSON_NUMBER, "4294967.295");
        member_is(j, "input_tokens", JSON_NUMBER, "9223372036854775807");
        assert_int_equal(json_get(j, STR("request_id"))->text.n, sizeof r.request_id);
        arena_reset(&a);
    }
}

/* Lengths of a field on all sides of a vector's. */
static void lengths_of_text(void **state)
{
    (void)state;
    for (size_t n = 0; n <= 2 * RECORD_NAME; n++) {
        struct arena a = {0};
        struct record r = a_record();
        char text[2 * RECORD_NAME];
        memset(text, 'x', sizeof text);
        memset(r.model, '"', sizeof r.model); /* what stands behind the text is not printed */
        r.model_n = record_text(r.model, sizeof r.model, str_make(text, n));
        assert_int_equal(r.model_n, n < RECORD_NAME ? n : RECORD_NAME);
        assert_int_equal(json_get(print(&a, &r), STR("model"))->text.n, r.model_n);
        arena_reset(&a);
    }
    char to[4];
    assert_int_equal(record_text(to, sizeof to, (struct str){0}), 0);
}

/* ---- the ring ---- */

static void full_ring(void **state)
{
    (void)state;
    struct record_ring *r = aligned_alloc(_Alignof(struct record_ring), sizeof *r);
    memset(r, 0, sizeof *r);
    atomic_store(&r->head, UINT32_MAX - 100); /* the counters wrap */
    atomic_store(&r->tail, UINT32_MAX - 100);
    for (unsigned round = 0; round < 3; round++) {
        for (unsigned i = 0; i < RING_RECORDS; i++) {
            struct record *slot = record_next(r);
            assert_non_null(slot);
            assert_ptr_equal(record_next(r), slot); /* not taken until it is pushed */
            slot->bytes_in = i;
            record_push(r);
        }
        for (unsigned i = 1; i <= 5; i++) {
            assert_null(record_next(r));
            assert_int_equal(r->dropped, round * 5 + i);
        }
        uint32_t tail = atomic_load(&r->tail);
        for (unsigned i = 0; i < RING_RECORDS; i++) {
            assert_int_equal(r->slot[(tail + i) % RING_RECORDS].bytes_in, i);
        }
        atomic_store(&r->tail, tail + RING_RECORDS);
    }
    free(r);
}

enum { THROUGH = 200000 };

static void *consume(void *arg)
{
    struct record_ring *r = arg;
    uint64_t want = 0;
    while (want < THROUGH) {
        uint32_t tail = atomic_load_explicit(&r->tail, memory_order_relaxed);
        if (tail == atomic_load_explicit(&r->head, memory_order_acquire)) {
            sched_yield();
            continue;
        }
        struct record *slot = &r->slot[tail % RING_RECORDS];
        if (slot->bytes_in != want || slot->bytes_out != ~want) {
            return "a record was torn or out of order";
        }
        want++;
        atomic_store_explicit(&r->tail, tail + 1, memory_order_release);
    }
    return NULL;
}

static void across_threads(void **state)
{
    (void)state;
    struct record_ring *r = aligned_alloc(_Alignof(struct record_ring), sizeof *r);
    memset(r, 0, sizeof *r);
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, consume, r), 0);
    for (uint64_t i = 0; i < THROUGH;) {
        struct record *slot = record_next(r);
        if (!slot) {
            sched_yield();
            continue;
        }
        slot->bytes_in = i;
        slot->bytes_out = ~i;
        record_push(r);
        i++;
    }
    void *why;
    assert_int_equal(pthread_join(thread, &why), 0);
    if (why) {
        fail_msg("%s", (char *)why);
    }
    free(r);
}

/* ---- the ledger: what is pushed stands in the file, line by line ---- */

static void through_the_ledger(void **state)
{
    (void)state;
    char path[] = "/tmp/accord-record-XXXXXX";
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    struct record_ring *rings[2];
    for (int i = 0; i < 2; i++) {
        rings[i] = aligned_alloc(_Alignof(struct record_ring), sizeof **rings);
        memset(rings[i], 0, sizeof **rings);
    }
    struct ledger *l = NULL;
    assert_int_equal(ledger_start(path, NULL, rings, 2, &l), 0);
    enum { EACH = 3000 };
    for (unsigned i = 0; i < EACH; i++) {
        for (int w = 0; w < 2; w++) {
            struct record *slot;
            while (!(slot = record_next(rings[w]))) {
                sched_yield();
            }
            *slot = a_record();
            slot->bytes_in = i;
            slot->bytes_out = (uint64_t)w;
            record_push(rings[w]);
        }
    }
    ledger_stop(l);
    FILE *f = fdopen(fd, "r");
    char line[RECORD_LINE_MAX];
    uint64_t next[2] = {0};
    while (fgets(line, sizeof line, f)) {
        struct arena a = {0};
        struct json *j = NULL;
        assert_int_equal(json_parse(&a, str_of(line), &j, NULL), 0);
        int64_t in, w;
        assert_int_equal(json_int(json_get(j, STR("bytes_in"))->text, &in), 0);
        assert_int_equal(json_int(json_get(j, STR("bytes_out"))->text, &w), 0);
        assert_int_equal(in, next[w]++); /* each worker's in its order, none missing */
        arena_reset(&a);
    }
    assert_int_equal(next[0], EACH);
    assert_int_equal(next[1], EACH);
    fclose(f);
    remove(path);
    free(rings[0]);
    free(rings[1]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(all_members),
        cmocka_unit_test(unknown_tokens),
        cmocka_unit_test(times),
        cmocka_unit_test(hostile_bytes),
        cmocka_unit_test(longest_line),
        cmocka_unit_test(lengths_of_text),
        cmocka_unit_test(full_ring),
        cmocka_unit_test(across_threads),
        cmocka_unit_test(through_the_ledger),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
