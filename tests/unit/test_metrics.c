/* Metrics: series and their cap, sums over workers, and the text that Prometheus reads. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/utf8.h"
#include "ledger/metrics.h"

static struct str text_of(const struct metrics *m, struct buf *b)
{
    b->n = 0;
    metrics_print(b, m);
    assert_false(b->overflow);
    return buf_str(b);
}

/* The value of the sample with that name and those labels, "accord_x{...}"; fails when absent. */
static double sample(struct str text, const char *name)
{
    char line[512];
    snprintf(line, sizeof line, "\n%s ", name);
    ptrdiff_t at = str_find(text, str_of(line));
    if (at < 0) {
        fail_msg("%s is not there", name);
    }
    return strtod(text.p + at + strlen(line), NULL);
}

/* ---- the text format, 0.0.4, line by line ---- */

struct format {
    char family[128];
    bool histogram;
    unsigned samples;
};

static size_t name_len(struct str s)
{
    size_t n = 0;
    while (n < s.n && (s.p[n] == '_' || (s.p[n] >= 'a' && s.p[n] <= 'z'))) {
        n++;
    }
    return n;
}

/* {name="value",...}: the length, braces included. */
static size_t labels_len(struct str s)
{
    size_t at = 1;
    for (;;) {
        size_t n = name_len(str_from(s, at));
        assert_true(n > 0);
        at += n;
        assert_true(str_starts(str_from(s, at), STR("=\"")));
        at += 2;
        while (at < s.n && s.p[at] != '"') {
            if (s.p[at] == '\\') {
                at++;
                assert_true(s.p[at] == '\\' || s.p[at] == '"' || s.p[at] == 'n');
            }
            size_t len = utf8_len(s.p + at, s.n - at);
            assert_true(len > 0);
            at += len;
        }
        assert_true(at + 1 < s.n);
        at++;
        if (s.p[at] == '}') {
            return at + 1;
        }
        assert_int_equal(s.p[at], ',');
        at++;
    }
}

static void check_sample(struct format *f, struct str line)
{
    size_t n = name_len(line);
    struct str name = str_first(line, n), family = str_of(f->family);
    assert_true(str_starts(name, family));
    struct str suffix = str_from(name, family.n);
    assert_true(f->histogram ? str_eq(suffix, STR("_bucket")) || str_eq(suffix, STR("_sum")) ||
                                   str_eq(suffix, STR("_count"))
                             : suffix.n == 0);
    if (n < line.n && line.p[n] == '{') {
        n += labels_len(str_from(line, n));
    }
    assert_true(n + 1 < line.n && line.p[n] == ' ');
    char number[64] = "", *end;
    memcpy(number, line.p + n + 1, line.n - n - 1);
    assert_true(strtod(number, &end) >= 0);
    assert_int_equal(*end, 0);
    f->samples++;
}

static void check_format(struct str text)
{
    struct format f = {0};
    struct str line;
    assert_true(text.n > 0 && text.p[text.n - 1] == '\n');
    struct str rest = str_first(text, text.n - 1);
    char seen[64][128];
    unsigned n_seen = 0;
    while (rest.n) {
        str_cut(&rest, '\n', &line);
        assert_true(line.n > 0);
        if (str_starts(line, STR("# HELP "))) {
            struct str name = str_first(str_from(line, 7), name_len(str_from(line, 7)));
            snprintf(f.family, sizeof f.family, "%.*s", STR_ARG(name));
            for (unsigned i = 0; i < n_seen; i++) {
                assert_string_not_equal(seen[i], f.family); /* each family stands in one place */
            }
            memcpy(seen[n_seen++], f.family, sizeof f.family);
        } else if (str_starts(line, STR("# TYPE "))) {
            struct str name = str_first(str_from(line, 7), strlen(f.family));
            assert_true(str_eq(name, str_of(f.family)));
            struct str type = str_from(line, 8 + name.n);
            f.histogram = str_eq(type, STR("histogram"));
            assert_true(f.histogram || str_eq(type, STR("counter")) || str_eq(type, STR("gauge")));
            assert_true(!str_eq(type, STR("counter")) || str_ends(name, STR("_total")));
        } else {
            check_sample(&f, line);
        }
    }
    assert_true(f.samples > 0);
}

/* ---- filling ---- */

static uint64_t next_random(uint64_t *seed)
{
    return *seed = *seed * 6364136223846793005U + 1442695040888963407U;
}

static const char *const models[] = {"gpt-5", "claude", "", "a\"b\\c\nd", "\xc3\xa9\xff\x80"};

/* The same calls go to `one` and, spread, to `many`. */
static void fill(struct metrics *one, struct metrics *many, unsigned n_many, unsigned calls)
{
    uint64_t seed = 1;
    for (unsigned i = 0; i < calls; i++) {
        struct metrics *to[2] = {one, &many[next_random(&seed) >> 33 & (n_many - 1)]};
        uint64_t r = next_random(&seed) >> 20;
        for (int k = 0; k < 2; k++) {
            struct series *s = metrics_series(
                to[k], STR("openai.chat"), r & 1 ? STR("openai") : STR("b"), str_of(models[r % 5]));
            s->by_class[r % 6]++;
            histogram_add(&s->duration, r % 200000000);
            histogram_add(&s->overhead, r % 300);
            histogram_add(&s->ttft, r % 5000000);
            s->tokens[r % 5] += r % 1000;
            s->no_usage += r % 3 == 0;
            to[k]->retries[r % RETRY_REASONS]++;
            to[k]->fallbacks += r % 7 == 0;
            to[k]->refused_by_limit += r % 11 == 0;
            to[k]->unauthenticated += r % 13 == 0;
            to[k]->client_gone += r % 17 == 0;
            to[k]->upstream_cut += r % 19 == 0;
            to[k]->inflight += r % 3 == 0 ? 1 : 0;
            to[k]->records_dropped += r % 23 == 0;
        }
    }
}

static int compare_lines(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

/* The order of series is that of their making: compared are the lines, sorted. */
static void same_lines(struct str a, struct str b)
{
    static char *lines[2][20000];
    size_t n[2] = {0};
    struct arena mem = {0};
    for (int k = 0; k < 2; k++) {
        struct str rest = k ? b : a, line;
        while (rest.n) {
            str_cut(&rest, '\n', &line);
            assert_true(n[k] < 20000);
            lines[k][n[k]++] = arena_dupz(&mem, line);
        }
        qsort(lines[k], n[k], sizeof **lines, compare_lines);
    }
    assert_int_equal(n[0], n[1]);
    for (size_t i = 0; i < n[0]; i++) {
        assert_string_equal(lines[0][i], lines[1][i]);
    }
    arena_reset(&mem);
}

static void merged_is_the_sum(void **state)
{
    (void)state;
    static struct metrics one, many[4], sum;
    struct buf a = {0}, b = {0};
    fill(&one, many, 4, 5000);
    for (int i = 0; i < 4; i++) {
        metrics_merge(&sum, &many[i]);
    }
    assert_int_equal(sum.n_series, one.n_series);
    same_lines(text_of(&one, &a), text_of(&sum, &b));
    struct metrics empty = {0};
    metrics_merge(&sum, &empty); /* of nothing: nothing changes */
    same_lines(text_of(&one, &a), text_of(&sum, &b));
    for (int i = 0; i < 4; i++) {
        metrics_free(&many[i]);
    }
    metrics_free(&one);
    metrics_free(&sum);
    buf_free(&a);
    buf_free(&b);
}

/* ---- series ---- */

static void one_series_per_combination(void **state)
{
    (void)state;
    struct metrics m = {0};
    struct series *s = metrics_series(&m, STR("a"), STR("b"), STR("c"));
    assert_ptr_equal(metrics_series(&m, STR("a"), STR("b"), STR("c")), s);
    assert_ptr_not_equal(metrics_series(&m, STR("ab"), STR(""), STR("c")), s);
    assert_ptr_not_equal(metrics_series(&m, STR("a"), STR("bc"), STR("")), s);
    assert_ptr_not_equal(metrics_series(&m, STR("b"), STR("a"), STR("c")), s);
    assert_int_equal(m.n_series, 4);
    struct str none = {0};
    assert_ptr_equal(metrics_series(&m, none, none, none),
                     metrics_series(&m, STR(""), STR(""), STR("")));
    assert_int_equal(m.n_series, 5);
    /* Labels are cut, and the cut ones are one series. */
    char text[200];
    memset(text, 'x', sizeof text);
    s = metrics_series(&m, STR("a"), STR("b"), str_make(text, 150));
    assert_ptr_equal(metrics_series(&m, STR("a"), STR("b"), str_make(text, 160)), s);
    assert_int_equal(s->model_n, METRIC_LABEL);
    metrics_free(&m);
}

static void cap_of_series(void **state)
{
    (void)state;
    struct metrics m = {0}, sum = {0};
    enum { MODELS = 5000, CALLS = 2 * MODELS };
    for (unsigned i = 0; i < CALLS; i++) {
        char model[32];
        int n = snprintf(model, sizeof model, "model-%u", i % MODELS);
        metrics_series(&m, STR("openai.chat"), STR("p"), str_make(model, (size_t)n))->by_class[2]++;
    }
    assert_in_range(m.n_series, METRIC_SERIES_MAX, METRIC_SERIES_MAX + 1);
    struct series *other = metrics_series(&m, STR("other"), STR("other"), STR("other"));
    assert_int_equal(other->by_class[2], CALLS - 2 * METRIC_SERIES_MAX);
    metrics_merge(&sum, &m); /* the sum is capped too, and no call is lost */
    struct metrics second = {0};
    for (unsigned i = 0; i < MODELS; i++) {
        char model[32];
        int n = snprintf(model, sizeof model, "second-%u", i);
        metrics_series(&second, STR("r"), STR("p"), str_make(model, (size_t)n))->by_class[2]++;
    }
    metrics_merge(&sum, &second);
    assert_in_range(sum.n_series, METRIC_SERIES_MAX, METRIC_SERIES_MAX + 1);
    uint64_t calls = 0;
    for (unsigned i = 0; i < 256; i++) {
        for (const struct series *s = sum.slot[i]; s; s = s->next) {
            calls += s->by_class[2];
        }
    }
    assert_int_equal(calls, CALLS + MODELS);
    metrics_free(&m);
    metrics_free(&second);
    metrics_free(&sum);
}

/* ---- histograms ---- */

static void edges_of_buckets(void **state)
{
    (void)state;
    static const uint64_t edges[] = {100,     1000,    10000,    20000,    40000,
                                     80000,   160000,  320000,   640000,   1280000,
                                     2560000, 5120000, 10240000, 20480000, 81920000};
    for (unsigned i = 0; i < METRIC_BUCKETS - 1; i++) {
        struct histogram h = {0};
        histogram_add(&h, edges[i]); /* le: the edge itself belongs below */
        assert_int_equal(h.bucket[i], 1);
        histogram_add(&h, edges[i] + 1);
        assert_int_equal(h.bucket[i + 1], 1);
        assert_int_equal(h.sum_us, 2 * edges[i] + 1);
    }
    struct histogram h = {0};
    histogram_add(&h, 0);
    histogram_add(&h, UINT64_MAX / 2);
    assert_int_equal(h.bucket[0], 1);
    assert_int_equal(h.bucket[METRIC_BUCKETS - 1], 1);
}

#define SERIES "{route=\"openai.chat\",provider=\"openai\",model=\"gpt-5\""

static void histograms_in_text(void **state)
{
    (void)state;
    struct metrics m = {0};
    struct buf b = {0};
    struct series *s = metrics_series(&m, STR("openai.chat"), STR("openai"), STR("gpt-5"));
    histogram_add(&s->duration, 50);
    histogram_add(&s->duration, 15000);
    histogram_add(&s->duration, 15001);
    histogram_add(&s->duration, 100000000);
    struct str text = text_of(&m, &b);
    check_format(text);
    assert_true(sample(text, "accord_request_duration_seconds_bucket" SERIES ",le=\"0.0001\"}") ==
                1);
    assert_true(sample(text, "accord_request_duration_seconds_bucket" SERIES ",le=\"0.01\"}") == 1);
    assert_true(sample(text, "accord_request_duration_seconds_bucket" SERIES ",le=\"0.02\"}") == 3);
    assert_true(sample(text, "accord_request_duration_seconds_bucket" SERIES ",le=\"81.92\"}") ==
                3);
    assert_true(sample(text, "accord_request_duration_seconds_bucket" SERIES ",le=\"+Inf\"}") == 4);
    assert_true(sample(text, "accord_request_duration_seconds_count" SERIES "}") == 4);
    assert_true(sample(text, "accord_request_duration_seconds_sum" SERIES "}") == 100.030051);
    assert_true(sample(text, "accord_overhead_seconds_count" SERIES "}") == 0);
    metrics_free(&m);
    buf_free(&b);
}

static void counters_in_text(void **state)
{
    (void)state;
    struct metrics m = {0};
    struct buf b = {0};
    struct series *s = metrics_series(&m, STR("openai.chat"), STR("openai"), STR("gpt-5"));
    s->by_class[2] = 7;
    s->by_class[5] = UINT64_MAX;
    s->by_class[0] = 1;
    s->tokens[0] = 11;
    s->tokens[4] = 13;
    s->no_usage = 3;
    m.retries[RETRY_STALE] = 5;
    m.inflight = -1; /* may be so for a moment in a sum over workers */
    struct str text = text_of(&m, &b);
    check_format(text);
    assert_true(sample(text, "accord_requests_total" SERIES ",status_class=\"2xx\"}") == 7);
    assert_true(sample(text, "accord_requests_total" SERIES ",status_class=\"gone\"}") == 1);
    assert_true(str_find(text, STR("status_class=\"5xx\"} 18446744073709551615\n")) > 0);
    assert_true(str_find(text, STR("status_class=\"4xx\"")) < 0);
    assert_true(sample(text, "accord_tokens_total" SERIES ",type=\"input\"}") == 11);
    assert_true(sample(text, "accord_tokens_total" SERIES ",type=\"reasoning\"}") == 13);
    assert_true(sample(text, "accord_usage_missing_total" SERIES "}") == 3);
    assert_true(sample(text, "accord_retries_total{reason=\"stale_connection\"}") == 5);
    assert_true(sample(text, "accord_inflight") == 0);
    metrics_free(&m);
    buf_free(&b);
}

/* Whatever a label holds, cut characters included, the text stays well-formed. */
static void hostile_labels(void **state)
{
    (void)state;
    struct metrics m = {0};
    struct buf b = {0};
    for (unsigned c = 0; c < 256; c++) {
        char text[METRIC_LABEL + 8];
        memset(text, (int)c, sizeof text);
        metrics_series(&m, STR("r"), STR("p"), str_make(text, 1))->by_class[2]++;
        metrics_series(&m, STR("r"), str_make(text, 3), STR("m"))->by_class[2]++;
        metrics_series(&m, STR("r"), STR("p"), str_make(text, sizeof text))->by_class[2]++;
    }
    for (size_t at = METRIC_LABEL - 4; at <= METRIC_LABEL; at++) { /* a character across the cut */
        char text[METRIC_LABEL + 8];
        memset(text, 'x', sizeof text);
        memcpy(text + at, "\xf0\x9f\x98\x80", 4);
        metrics_series(&m, STR("r"), STR("p"), str_make(text, sizeof text))->by_class[2]++;
    }
    check_format(text_of(&m, &b));
    metrics_free(&m);
    buf_free(&b);
}

static void nothing_yet(void **state)
{
    (void)state;
    struct metrics m = {0};
    struct buf b = {0};
    struct str text = text_of(&m, &b);
    check_format(text);
    assert_true(sample(text, "accord_inflight") == 0);
    assert_true(sample(text, "accord_client_gone_total") == 0);
    metrics_free(&m);
    buf_free(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(merged_is_the_sum),  cmocka_unit_test(one_series_per_combination),
        cmocka_unit_test(cap_of_series),      cmocka_unit_test(edges_of_buckets),
        cmocka_unit_test(histograms_in_text), cmocka_unit_test(counters_in_text),
        cmocka_unit_test(hostile_labels),     cmocka_unit_test(nothing_yet),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
