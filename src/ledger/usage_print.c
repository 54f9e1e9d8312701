/* Rows of usage as JSON and as CSV. */
#include "ledger/calls.h"
#include "ledger/usage.h"

#include <time.h>

uint64_t usage_quantile_us(const int64_t *bucket, unsigned percent)
{
    int64_t all = 0, below = 0;
    for (unsigned i = 0; i < METRIC_BUCKETS; i++) {
        all += bucket[i];
    }
    int64_t want = (all * percent + 99) / 100;
    for (unsigned i = 0; i < METRIC_BUCKETS && all; i++) {
        if (below + bucket[i] >= want) {
            uint64_t low = i ? histogram_edge_us(i - 1) : 0, high = histogram_edge_us(i);
            return high ? low + (high - low) * (uint64_t)(want - below) / (uint64_t)bucket[i] : low;
        }
        below += bucket[i];
    }
    return 0;
}

static void print_us(struct buf *b, uint64_t us)
{
    buf_printf(b, "%llu.%03u", (unsigned long long)(us / 1000), (unsigned)(us % 1000));
}

static void print_start(struct buf *b, int64_t s)
{
    char text[32];
    struct tm tm;
    time_t t = (time_t)s;
    strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%SZ", gmtime_r(&t, &tm));
    buf_addz(b, text);
}

static void json_latency(struct buf *b, const char *name, const int64_t *bucket, int64_t sum,
                         int64_t n)
{
    static const unsigned shares[] = {50, 95, 99};
    buf_printf(b, ",\"%s\":{\"mean\":", name);
    print_us(b, n ? (uint64_t)(sum / n) : 0);
    for (size_t i = 0; i < sizeof shares / sizeof *shares; i++) {
        buf_printf(b, ",\"p%u\":", shares[i]);
        print_us(b, usage_quantile_us(bucket, shares[i]));
    }
    buf_addc(b, '}');
}

void usage_json(struct buf *b, const struct usage_query *q, const struct usage_line *row)
{
    const int64_t *m = row->sum;
    buf_addc(b, '{');
    if (q->interval) {
        buf_addz(b, "\"start\":\"");
        print_start(b, row->start_s);
        buf_addz(b, "\",");
    }
    for (unsigned i = 0; i < DIMENSIONS; i++) {
        if (q->by >> i & 1) {
            buf_printf(b, "\"%s\":\"", dimension_name[i]);
            buf_add_json(b, row->name[i]);
            buf_addz(b, "\",");
        }
    }
    buf_printf(b, "\"calls\":%lld,\"errors\":%lld,\"refused\":%lld,\"streams\":%lld",
               (long long)m[MEASURE_calls], (long long)m[MEASURE_errors],
               (long long)m[MEASURE_refused], (long long)m[MEASURE_streams]);
    buf_printf(b,
               ",\"tokens\":{\"input\":%lld,\"output\":%lld,\"cache_read\":%lld,"
               "\"cache_write\":%lld,\"reasoning\":%lld}",
               (long long)m[MEASURE_input_tokens], (long long)m[MEASURE_output_tokens],
               (long long)m[MEASURE_cache_read_tokens], (long long)m[MEASURE_cache_write_tokens],
               (long long)m[MEASURE_reasoning_tokens]);
    buf_addz(b, ",\"cost_usd\":\"");
    print_usd(b, m[MEASURE_cost_nusd]);
    buf_printf(b,
               "\",\"cost_nusd\":%lld,\"cost_unknown\":%lld,\"bytes_in\":%lld,\"bytes_out\":%lld",
               (long long)m[MEASURE_cost_nusd], (long long)m[MEASURE_cost_unknown],
               (long long)m[MEASURE_bytes_in], (long long)m[MEASURE_bytes_out]);
    json_latency(b, "latency_ms", m + MEASURE_duration, m[MEASURE_total_us], m[MEASURE_calls]);
    json_latency(b, "first_byte_ms", m + MEASURE_first, m[MEASURE_first_us], m[MEASURE_first_n]);
    buf_addc(b, '}');
}

void usage_csv_head(struct buf *b, const struct usage_query *q)
{
    buf_addz(b, q->interval ? "start," : "");
    for (unsigned i = 0; i < DIMENSIONS; i++) {
        if (q->by >> i & 1) {
            buf_printf(b, "%s,", dimension_name[i]);
        }
    }
    buf_addz(b, "calls,errors,refused,streams,input_tokens,output_tokens,cache_read_tokens,"
                "cache_write_tokens,reasoning_tokens,cost_usd,cost_unknown,bytes_in,bytes_out,"
                "latency_p50_ms,latency_p95_ms,latency_p99_ms\r\n");
}

void usage_csv(struct buf *b, const struct usage_query *q, const struct usage_line *row)
{
    const int64_t *m = row->sum;
    if (q->interval) {
        print_start(b, row->start_s);
        buf_addc(b, ',');
    }
    for (unsigned i = 0; i < DIMENSIONS; i++) {
        if (q->by >> i & 1) {
            csv_text(b, row->name[i]);
            buf_addc(b, ',');
        }
    }
    for (unsigned i = MEASURE_calls; i <= MEASURE_reasoning_tokens; i++) {
        buf_printf(b, "%lld,", (long long)m[i]);
    }
    print_usd(b, m[MEASURE_cost_nusd]);
    buf_printf(b, ",%lld,%lld,%lld,", (long long)m[MEASURE_cost_unknown],
               (long long)m[MEASURE_bytes_in], (long long)m[MEASURE_bytes_out]);
    print_us(b, usage_quantile_us(m + MEASURE_duration, 50));
    buf_addc(b, ',');
    print_us(b, usage_quantile_us(m + MEASURE_duration, 95));
    buf_addc(b, ',');
    print_us(b, usage_quantile_us(m + MEASURE_duration, 99));
    buf_addz(b, "\r\n");
}
