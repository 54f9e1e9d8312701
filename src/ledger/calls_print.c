/* Calls as JSON and as CSV. */
#include "ledger/calls.h"
#include "ledger/row.h"

#include <time.h>

struct cell {
    const char *name;
    size_t at, at_n; /* of texts */
};

#define CELL(name, member)                                                                         \
    {                                                                                              \
        name, offsetof(struct record, member), offsetof(struct record, member##_n)                 \
    }

static const struct cell texts[] = {
    CELL("key", key),
    CELL("application", application),
    CELL("team", team),
    CELL("route", route),
    CELL("model", model),
    CELL("provider", provider),
    CELL("upstream_model", upstream_model),
    CELL("error", code),
};

#define TOKENS(member)                                                                             \
    {                                                                                              \
#member, offsetof(struct record, usage.member), 0                                          \
    }

static const struct cell tokens[] = {
    TOKENS(input),     TOKENS(output),      TOKENS(cache_read),   TOKENS(cache_write),
    TOKENS(reasoning), TOKENS(input_audio), TOKENS(output_audio),
};

enum { TEXTS = sizeof texts / sizeof *texts, TOKEN_KINDS = sizeof tokens / sizeof *tokens };

static struct str text_of(const struct record *r, const struct cell *c)
{
    return str_make((const char *)r + c->at, ((const uint8_t *)r)[c->at_n]);
}

static int64_t tokens_of(const struct record *r, const struct cell *c)
{
    return *(const int64_t *)(const void *)((const char *)r + c->at);
}

void print_usd(struct buf *b, int64_t nusd)
{
    buf_printf(b, "%lld.%09lld", (long long)(nusd / 1000000000), (long long)(nusd % 1000000000));
}

static void print_time(struct buf *b, uint64_t us)
{
    char text[32];
    struct tm tm;
    time_t s = (time_t)(us / 1000000);
    strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%S", gmtime_r(&s, &tm));
    buf_printf(b, "%s.%06uZ", text, (unsigned)(us % 1000000));
}

static void print_ms(struct buf *b, const char *name, uint32_t us)
{
    buf_printf(b, "%s%u.%03u", name, us / 1000, us % 1000);
}

static const char *dialect_name(uint8_t family)
{
    return family < FAMILY_COUNT ? dialect_of(family)->name.p : "";
}

static struct str id_of(const struct record *r)
{
    return str_make(r->request_id, strnlen(r->request_id, sizeof r->request_id));
}

/* ---- JSON ---- */

static void json_usage(struct buf *b, const struct record *r)
{
    const char *comma = ",\"tokens\":{";
    for (size_t i = 0; i < TOKEN_KINDS; i++) {
        int64_t n = tokens_of(r, &tokens[i]);
        if (n >= 0) {
            buf_printf(b, "%s\"%s\":%lld", comma, tokens[i].name, (long long)n);
            comma = ",";
        }
    }
    buf_addz(b, comma[1] ? "" : "}");
}

static void json_cost(struct buf *b, const struct record *r)
{
    if (r->cost_nusd >= 0) {
        buf_addz(b, ",\"cost_usd\":\"");
        print_usd(b, r->cost_nusd);
        buf_printf(b, "\",\"cost_nusd\":%lld", (long long)r->cost_nusd);
    } else {
        buf_addz(b, ",\"cost_usd\":null,\"cost_nusd\":null");
    }
    if (r->price_version) {
        buf_printf(b, ",\"price_version\":\"%08x\"", r->price_version);
    }
}

static void json_latency(struct buf *b, const struct record *r)
{
    print_ms(b, ",\"latency_ms\":{\"total\":", r->total_us);
    print_ms(b, ",\"own\":", r->own_us);
    print_ms(b, ",\"connect\":", r->connect_us);
    if (r->ttft_us) {
        print_ms(b, ",\"first_byte\":", r->ttft_us);
    }
    buf_addc(b, '}');
}

static void json_masked(struct buf *b, const struct record *r)
{
    const char *comma = ",\"masked\":{";
    for (unsigned i = 0; i < MASK_KINDS; i++) {
        bool any = false;
        for (unsigned k = 0; k < MASK_ACTIONS; k++) {
            if (!r->masked[i][k]) {
                continue;
            }
            if (!any) {
                buf_printf(b, "%s\"%s\":{", comma, mask_kind_word((enum mask_kind)i));
            }
            buf_printf(b, "%s\"%s\":%u", any ? "," : "", mask_action_word((enum mask_action)k),
                       r->masked[i][k]);
            any = true;
        }
        buf_addz(b, any ? "}" : "");
        comma = any ? "," : comma;
    }
    buf_addc(b, '}');
}

void call_json(struct buf *b, int64_t seq, const struct record *r)
{
    buf_addz(b, "{\"id\":\"");
    buf_add_json(b, id_of(r));
    buf_printf(b, "\",\"seq\":%lld,\"ended_at\":\"", (long long)seq);
    print_time(b, r->ended_us);
    buf_addc(b, '"');
    for (size_t i = 0; i < TEXTS; i++) {
        struct str s = text_of(r, &texts[i]);
        if (s.n) {
            buf_printf(b, ",\"%s\":\"", texts[i].name);
            buf_add_json(b, s);
            buf_addc(b, '"');
        }
    }
    buf_printf(b, ",\"dialect_in\":\"%s\"", dialect_name(r->dialect_in));
    if (r->dialect_out < FAMILY_COUNT) {
        buf_printf(b, ",\"dialect_out\":\"%s\"", dialect_name(r->dialect_out));
    }
    buf_printf(b, ",\"status\":%u,\"outcome\":\"%s\",\"stream\":%s", r->status,
               outcome_name[r->outcome], r->stream ? "true" : "false");
    json_usage(b, r);
    json_cost(b, r);
    json_latency(b, r);
    buf_printf(b, ",\"bytes_in\":%llu,\"bytes_out\":%llu,\"attempts\":%u",
               (unsigned long long)r->bytes_in, (unsigned long long)r->bytes_out, r->attempts);
    if (r->failed_n) {
        buf_addz(b, ",\"failed_attempts\":");
        row_failed_json(b, r);
    }
    if (r->masked_any) {
        json_masked(b, r);
    }
    buf_addc(b, '}');
}

/* ---- CSV ---- */

void csv_text(struct buf *b, struct str s)
{
    bool formula = s.n && memchr("=+-@\t\r", s.p[0], 6);
    buf_addz(b, formula ? "\"'" : "\"");
    for (size_t i = 0; i < s.n; i++) {
        if (s.p[i] == '"') {
            buf_addc(b, '"');
        }
        buf_addc(b, s.p[i]);
    }
    buf_addc(b, '"');
}

void call_csv_head(struct buf *b)
{
    buf_addz(b, "seq,id,ended_at");
    for (size_t i = 0; i < TEXTS; i++) {
        buf_printf(b, ",%s", texts[i].name);
    }
    buf_addz(b, ",dialect_in,dialect_out,status,outcome,stream,attempts");
    for (size_t i = 0; i < TOKEN_KINDS; i++) {
        buf_printf(b, ",%s_tokens", tokens[i].name);
    }
    buf_addz(b, ",cost_usd,price_version,total_ms,own_ms,connect_ms,first_byte_ms,bytes_in,"
                "bytes_out,masked\r\n");
}

/* email:mask=2 card:block=1 */
static void csv_masked(struct buf *b, const struct record *r)
{
    const char *space = "";
    for (unsigned i = 0; r->masked_any && i < MASK_KINDS * MASK_ACTIONS; i++) {
        unsigned kind = i / MASK_ACTIONS, action = i % MASK_ACTIONS;
        if (r->masked[kind][action]) {
            buf_printf(b, "%s%s:%s=%u", space, mask_kind_word((enum mask_kind)kind),
                       mask_action_word((enum mask_action)action), r->masked[kind][action]);
            space = " ";
        }
    }
}

void call_csv(struct buf *b, int64_t seq, const struct record *r)
{
    buf_printf(b, "%lld,", (long long)seq);
    buf_add(b, id_of(r));
    buf_addc(b, ',');
    print_time(b, r->ended_us);
    for (size_t i = 0; i < TEXTS; i++) {
        struct str s = text_of(r, &texts[i]);
        buf_addc(b, ',');
        if (s.n) {
            csv_text(b, s);
        }
    }
    buf_printf(b, ",%s,%s,%u,%s,%u,%u", dialect_name(r->dialect_in), dialect_name(r->dialect_out),
               r->status, outcome_name[r->outcome], r->stream, r->attempts);
    for (size_t i = 0; i < TOKEN_KINDS; i++) {
        int64_t n = tokens_of(r, &tokens[i]);
        buf_addc(b, ',');
        if (n >= 0) {
            buf_add_i64(b, n);
        }
    }
    buf_addc(b, ',');
    if (r->cost_nusd >= 0) {
        print_usd(b, r->cost_nusd);
    }
    buf_addc(b, ',');
    if (r->price_version) {
        buf_printf(b, "%08x", r->price_version);
    }
    print_ms(b, ",", r->total_us);
    print_ms(b, ",", r->own_us);
    print_ms(b, ",", r->connect_us);
    print_ms(b, ",", r->ttft_us);
    buf_printf(b, ",%llu,%llu,", (unsigned long long)r->bytes_in, (unsigned long long)r->bytes_out);
    csv_masked(b, r);
    buf_addz(b, "\r\n");
}
