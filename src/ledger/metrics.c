#include "ledger/metrics.h"

#include <stdlib.h>

#include "base/utf8.h"

/* Upper edges in microseconds; the OpenTelemetry buckets of GenAI durations with two finer ones
 * below. */
static const uint64_t edge_us[METRIC_BUCKETS - 1] = {
    100,    1000,    10000,   20000,   40000,    80000,    160000,   320000,
    640000, 1280000, 2560000, 5120000, 10240000, 20480000, 81920000,
};

unsigned histogram_bucket(uint64_t us)
{
    unsigned i = 0;
    while (i < METRIC_BUCKETS - 1 && us > edge_us[i]) {
        i++;
    }
    return i;
}

uint64_t histogram_edge_us(unsigned bucket)
{
    return bucket < METRIC_BUCKETS - 1 ? edge_us[bucket] : 0;
}

void histogram_add(struct histogram *h, uint64_t us)
{
    h->bucket[histogram_bucket(us)]++;
    h->sum_us += us;
}

static uint64_t hash(uint64_t h, struct str s)
{
    while (s.n >= 8) {
        uint64_t w;
        memcpy(&w, s.p, 8);
        h = (h ^ w) * 0x9E3779B97F4A7C15U;
        h ^= h >> 32;
        s = str_from(s, 8);
    }
    for (size_t i = 0; i < s.n; i++) {
        h = (h ^ (unsigned char)s.p[i]) * 0x100000001B3U;
    }
    return (h ^ h >> 32) * 31 + s.n;
}

static bool is(const char *p, uint8_t n, struct str s)
{
    return str_eq(str_make(p, n), s);
}

static bool is_of(const struct series *s, struct str route, struct str provider, struct str model)
{
    return is(s->model, s->model_n, model) && is(s->provider, s->provider_n, provider) &&
           is(s->route, s->route_n, route);
}

static uint8_t keep(char *to, struct str s)
{
    if (s.n) { /* an empty slice may be NULL */
        memcpy(to, s.p, s.n);
    }
    return (uint8_t)s.n;
}

struct series *metrics_series(struct metrics *m, struct str route, struct str provider,
                              struct str model)
{
    route = str_first(route, METRIC_LABEL);
    provider = str_first(provider, METRIC_LABEL);
    model = str_first(model, METRIC_LABEL);
    if (m->last && is_of(m->last, route, provider, model)) {
        return m->last; /* most calls are like the one before */
    }
    uint64_t h = hash(hash(hash(0xCBF29CE484222325U, route), provider), model);
    for (struct series *s = m->slot[h % 256]; s; s = s->next) {
        if (s->hash == h && is_of(s, route, provider, model)) {
            m->last = s;
            return s;
        }
    }
    if (m->n_series >= METRIC_SERIES_MAX && !str_eq(model, STR("other"))) {
        return metrics_series(m, STR("other"), STR("other"), STR("other"));
    }
    struct series *s = mem_zalloc(sizeof *s);
    s->hash = h;
    s->route_n = keep(s->route, route);
    s->provider_n = keep(s->provider, provider);
    s->model_n = keep(s->model, model);
    s->next = m->slot[h % 256];
    m->slot[h % 256] = s;
    m->n_series++;
    return s;
}

static void merge_histogram(struct histogram *into, const struct histogram *from)
{
    for (unsigned i = 0; i < METRIC_BUCKETS; i++) {
        into->bucket[i] += from->bucket[i];
    }
    into->sum_us += from->sum_us;
}

void metrics_merge(struct metrics *into, const struct metrics *from)
{
    for (unsigned i = 0; i < 256; i++) {
        for (const struct series *s = from->slot[i]; s; s = s->next) {
            struct series *t = metrics_series(into, str_make(s->route, s->route_n),
                                              str_make(s->provider, s->provider_n),
                                              str_make(s->model, s->model_n));
            for (unsigned k = 0; k < 6; k++) {
                t->by_class[k] += s->by_class[k];
            }
            for (unsigned k = 0; k < 5; k++) {
                t->tokens[k] += s->tokens[k];
            }
            t->no_usage += s->no_usage;
            t->cost_nusd += s->cost_nusd;
            t->no_cost += s->no_cost;
            merge_histogram(&t->duration, &s->duration);
            merge_histogram(&t->overhead, &s->overhead);
            merge_histogram(&t->ttft, &s->ttft);
        }
    }
    for (unsigned k = 0; k < RETRY_REASONS; k++) {
        into->retries[k] += from->retries[k];
    }
    for (unsigned k = 0; k < RESPONSE_LOST; k++) {
        into->responses_lost[k] += from->responses_lost[k];
    }
    for (unsigned k = 0; k < MASK_KINDS; k++) {
        for (unsigned a = 0; a < MASK_ACTIONS; a++) {
            into->masked[k][a] += from->masked[k][a];
        }
    }
    into->notes_lost += from->notes_lost;
    for (unsigned k = 0; k < MEMORY_EVENTS; k++) {
        into->memory[k] += from->memory[k];
    }
    into->masking_failures[0] += from->masking_failures[0];
    into->masking_failures[1] += from->masking_failures[1];
    into->responses_kept += from->responses_kept;
    into->fallbacks += from->fallbacks;
    into->hedges += from->hedges;
    into->hedges_won += from->hedges_won;
    into->checks[0] += from->checks[0];
    into->checks[1] += from->checks[1];
    into->unpriced += from->unpriced;
    into->refused_by_limit += from->refused_by_limit;
    into->unauthenticated += from->unauthenticated;
    into->client_gone += from->client_gone;
    into->upstream_cut += from->upstream_cut;
    for (unsigned i = 0; i < PRIORITIES; i++) {
        into->shed[i] += from->shed[i];
    }
    into->inflight += from->inflight;
    into->records_dropped += from->records_dropped;
    into->translated_lossy += from->translated_lossy;
    into->inlined += from->inlined;
    into->inline_failures += from->inline_failures;
}

void metrics_free(struct metrics *m)
{
    for (unsigned i = 0; i < 256; i++) {
        while (m->slot[i]) {
            struct series *s = m->slot[i];
            m->slot[i] = s->next;
            free(s);
        }
    }
}

/* ---- printing ---- */

static void label(struct buf *b, const char *name, const char *p, size_t n)
{
    buf_addz(b, name);
    buf_add(b, STR("=\""));
    for (size_t i = 0, len; i < n; i += len) {
        len = utf8_len(p + i, n - i);
        if (len == 0) { /* a name that was cut or never was UTF-8: the format allows nothing else */
            len = 1;
            buf_add(b, STR("\xEF\xBF\xBD"));
            continue;
        }
        if (p[i] == '"' || p[i] == '\\') {
            buf_addc(b, '\\');
        }
        buf_add(b, (unsigned char)p[i] < 0x20 ? STR(" ") : str_make(p + i, len));
    }
    buf_addc(b, '"');
}

static void labels(struct buf *b, const struct series *s)
{
    buf_addc(b, '{');
    label(b, "route", s->route, s->route_n);
    label(b, ",provider", s->provider, s->provider_n);
    label(b, ",model", s->model, s->model_n);
}

static void seconds(struct buf *b, uint64_t us)
{
    buf_printf(b, "%llu.%06llu", (unsigned long long)(us / 1000000),
               (unsigned long long)(us % 1000000));
}

static void print_histogram(struct buf *b, const struct series *s, const char *name,
                            const struct histogram *h)
{
    uint64_t count = 0;
    for (unsigned i = 0; i < METRIC_BUCKETS; i++) {
        count += h->bucket[i];
        buf_printf(b, "accord_%s_bucket", name);
        labels(b, s);
        buf_add(b, STR(",le=\""));
        if (i < METRIC_BUCKETS - 1) {
            buf_printf(b, "%g", (double)edge_us[i] / 1e6);
        } else {
            buf_add(b, STR("+Inf"));
        }
        buf_printf(b, "\"} %llu\n", (unsigned long long)count);
    }
    buf_printf(b, "accord_%s_sum", name);
    labels(b, s);
    buf_add(b, STR("} "));
    seconds(b, h->sum_us);
    buf_printf(b, "\naccord_%s_count", name);
    labels(b, s);
    buf_printf(b, "} %llu\n", (unsigned long long)count);
}

static void head(struct buf *b, const char *name, const char *type, const char *help)
{
    buf_printf(b, "# HELP accord_%s %s\n# TYPE accord_%s %s\n", name, help, name, type);
}

#define EACH_SERIES(m, s)                                                                          \
    for (unsigned i_ = 0; i_ < 256; i_++)                                                          \
        for (const struct series *s = (m)->slot[i_]; s; s = s->next)

static void print_requests(struct buf *b, const struct metrics *m)
{
    static const char *const class_name[6] = {"gone", "1xx", "2xx", "3xx", "4xx", "5xx"};
    head(b, "requests_total", "counter", "Calls that ended, by class of the status sent.");
    EACH_SERIES(m, s)
    {
        for (unsigned k = 0; k < 6; k++) {
            if (s->by_class[k]) {
                buf_add(b, STR("accord_requests_total"));
                labels(b, s);
                buf_printf(b, ",status_class=\"%s\"} %llu\n", class_name[k],
                           (unsigned long long)s->by_class[k]);
            }
        }
    }
}

static void print_tokens(struct buf *b, const struct metrics *m)
{
    static const char *const type[5] = {"input", "output", "cache_read", "cache_write",
                                        "reasoning"};
    head(b, "tokens_total", "counter",
         "Tokens as upstreams told them; input includes the cached ones, output the reasoning.");
    EACH_SERIES(m, s)
    {
        for (unsigned k = 0; k < 5; k++) {
            if (s->tokens[k]) {
                buf_add(b, STR("accord_tokens_total"));
                labels(b, s);
                buf_printf(b, ",type=\"%s\"} %llu\n", type[k], (unsigned long long)s->tokens[k]);
            }
        }
    }
    head(b, "usage_missing_total", "counter", "Good answers whose upstream told no tokens.");
    EACH_SERIES(m, s)
    {
        if (s->no_usage) {
            buf_add(b, STR("accord_usage_missing_total"));
            labels(b, s);
            buf_printf(b, "} %llu\n", (unsigned long long)s->no_usage);
        }
    }
}

static void print_cost(struct buf *b, const struct metrics *m)
{
    head(b, "cost_usd_total", "counter", "What calls cost in US dollars, where that is known.");
    EACH_SERIES(m, s)
    {
        if (s->cost_nusd) {
            buf_add(b, STR("accord_cost_usd_total"));
            labels(b, s);
            buf_printf(b, "} %llu.%09llu\n", (unsigned long long)(s->cost_nusd / 1000000000),
                       (unsigned long long)(s->cost_nusd % 1000000000));
        }
    }
    head(b, "cost_unknown_total", "counter",
         "Calls whose cost is not known: their model has no price, or no tokens were told.");
    EACH_SERIES(m, s)
    {
        if (s->no_cost) {
            buf_add(b, STR("accord_cost_unknown_total"));
            labels(b, s);
            buf_printf(b, "} %llu\n", (unsigned long long)s->no_cost);
        }
    }
}

static void single(struct buf *b, const char *name, const char *type, const char *help, uint64_t v)
{
    head(b, name, type, help);
    buf_printf(b, "accord_%s %llu\n", name, (unsigned long long)v);
}

static void print_responses(struct buf *b, const struct metrics *m)
{
    static const char *const why[RESPONSE_LOST] = {"size", "backlog", "store"};
    single(b, "responses_kept_total", "counter", "Responses that were kept.", m->responses_kept);
    head(b, "responses_not_kept_total", "counter", "Responses that could not be kept.");
    for (unsigned k = 0; k < RESPONSE_LOST; k++) {
        buf_printf(b, "accord_responses_not_kept_total{reason=\"%s\"} %llu\n", why[k],
                   (unsigned long long)m->responses_lost[k]);
    }
}

/* Only of what has been found. */
static void print_masked(struct buf *b, const struct metrics *m)
{
    head(b, "masked_total", "counter", "Personal data and secrets that were found in calls.");
    for (unsigned k = 0; k < MASK_KINDS; k++) {
        for (unsigned a = 0; a < MASK_ACTIONS; a++) {
            if (m->masked[k][a]) {
                buf_printf(b, "accord_masked_total{detector=\"%s\",action=\"%s\"} %llu\n",
                           mask_kind_word((enum mask_kind)k), mask_action_word((enum mask_action)a),
                           (unsigned long long)m->masked[k][a]);
            }
        }
    }
    head(b, "masking_failures_total", "counter", "Calls that could not be looked through.");
    buf_printf(b, "accord_masking_failures_total{result=\"refused\"} %llu\n",
               (unsigned long long)m->masking_failures[0]);
    buf_printf(b, "accord_masking_failures_total{result=\"passed\"} %llu\n",
               (unsigned long long)m->masking_failures[1]);
}

static void print_shed(struct buf *b, const struct metrics *m)
{
    static const char *const names[PRIORITIES] = {"low", "normal", "high"};
    head(b, "shed_total", "counter", "Calls refused because the server had too much to do.");
    for (unsigned i = 0; i < PRIORITIES; i++) {
        buf_printf(b, "accord_shed_total{priority=\"%s\"} %llu\n", names[i],
                   (unsigned long long)m->shed[i]);
    }
}

static void print_memory(struct buf *b, const struct metrics *m)
{
    static const char *const how[MEMORY_EVENTS] = {"hit", "coalesced", "idempotent_replay", "miss"};
    head(b, "memory_calls_total", "counter",
         "Calls that were answered from memory (hit, coalesced, idempotent_replay), and those "
         "under a "
         "policy with a cache that were not (miss).");
    for (unsigned k = 0; k < MEMORY_EVENTS; k++) {
        buf_printf(b, "accord_memory_calls_total{result=\"%s\"} %llu\n", how[k],
                   (unsigned long long)m->memory[k]);
    }
    single(b, "idempotency_notes_lost_total", "counter",
           "Calls under an Idempotency-Key whose begin or end could not be written down.",
           m->notes_lost);
}

void metrics_print(struct buf *b, const struct metrics *m)
{
    print_requests(b, m);
    head(b, "request_duration_seconds", "histogram",
         "From the request's head to the answer's end.");
    EACH_SERIES(m, s)
    {
        print_histogram(b, s, "request_duration_seconds", &s->duration);
    }
    head(b, "overhead_seconds", "histogram", "Our own share of it, without waiting.");
    EACH_SERIES(m, s)
    {
        print_histogram(b, s, "overhead_seconds", &s->overhead);
    }
    head(b, "time_to_first_token_seconds", "histogram",
         "Until the first byte of a streamed answer.");
    EACH_SERIES(m, s)
    {
        print_histogram(b, s, "time_to_first_token_seconds", &s->ttft);
    }
    print_tokens(b, m);
    print_cost(b, m);
    head(b, "retries_total", "counter", "Attempts beyond the first.");
    buf_printf(b, "accord_retries_total{reason=\"stale_connection\"} %llu\n",
               (unsigned long long)m->retries[RETRY_STALE]);
    buf_printf(b, "accord_retries_total{reason=\"connect\"} %llu\n",
               (unsigned long long)m->retries[RETRY_CONNECT]);
    buf_printf(b, "accord_retries_total{reason=\"answer\"} %llu\n",
               (unsigned long long)m->retries[RETRY_ANSWER]);
    single(b, "fallbacks_total", "counter", "Calls that went on to another target.", m->fallbacks);
    single(b, "hedges_total", "counter", "Second attempts beside one that was slow.", m->hedges);
    single(b, "hedges_won_total", "counter", "Those that were the answer.", m->hedges_won);
    head(b, "health_checks_total", "counter", "Questions to providers whether they are well.");
    buf_printf(b, "accord_health_checks_total{result=\"failed\"} %llu\n",
               (unsigned long long)m->checks[0]);
    buf_printf(b, "accord_health_checks_total{result=\"well\"} %llu\n",
               (unsigned long long)m->checks[1]);
    single(b, "limited_total", "counter", "Calls refused by a limit.", m->refused_by_limit);
    print_shed(b, m);
    single(b, "limited_unpriced_total", "counter",
           "Calls under limits whose cost is not known: no budget of money was charged.",
           m->unpriced);
    single(b, "unauthenticated_total", "counter", "Requests without a valid key.",
           m->unauthenticated);
    single(b, "client_gone_total", "counter", "Calls whose client left before the end.",
           m->client_gone);
    single(b, "upstream_cut_total", "counter", "Answers that broke off at the upstream.",
           m->upstream_cut);
    single(b, "inflight", "gauge", "Calls under way.", m->inflight > 0 ? (uint64_t)m->inflight : 0);
    single(b, "records_dropped_total", "counter", "Records that found the ring full.",
           m->records_dropped);
    single(b, "translated_lossy_total", "counter",
           "Calls of which something could not be said in the upstream's dialect.",
           m->translated_lossy);
    single(b, "fetched_total", "counter",
           "Images and documents fetched for upstreams that take no URLs.", m->inlined);
    single(b, "fetch_failures_total", "counter", "Those that could not be fetched.",
           m->inline_failures);
    print_masked(b, m);
    print_memory(b, m);
    print_responses(b, m);
}
