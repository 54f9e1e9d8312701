/* Stage 9: what is remembered of the call: a record in the ring, and the metrics. */
#include "gateway/masking_call.h"
#include "gateway/memory.h"

static uint32_t clip_us(uint64_t us)
{
    return us < UINT32_MAX ? (uint32_t)us : UINT32_MAX;
}

static struct str provider_of(const struct call *c)
{
    return c->target ? c->target->provider->id : c->remembered ? memory_source(c) : (struct str){0};
}

/* The model as a label: what the client said only when it is a name of ours, so that clients cannot
 * make series at will by inventing names. */
static struct str model_label(const struct call *c)
{
    if (!c->model) {
        return (struct str){0};
    }
    return c->status && c->status < 400 && c->asked.n ? c->asked : c->model->name;
}

static void count_tokens(struct series *s, const struct call *c)
{
    const int64_t told[5] = {c->usage.input, c->usage.output, c->usage.cache_read,
                             c->usage.cache_write, c->usage.reasoning};
    for (unsigned i = 0; i < 5; i++) {
        if (told[i] > 0) {
            s->tokens[i] += (uint64_t)told[i];
        }
    }
    if (c->outcome == OUTCOME_OK && c->usage.input < 0 && c->usage.output < 0 && c->target) {
        s->no_usage++;
    }
    if (c->cost_nusd < 0) {
        s->no_cost++;
    } else {
        s->cost_nusd += (uint64_t)c->cost_nusd;
    }
}

static void count(struct call *c, uint64_t total_us, uint64_t ttft_us)
{
    struct metrics *m = &c->w->metrics;
    struct series *s = metrics_series(m, c->ep.endpoint->route, provider_of(c), model_label(c));
    s->by_class[c->status ? c->status / 100 % 6 : 0]++;
    histogram_add(&s->duration, total_us);
    histogram_add(&s->overhead, c->own_us);
    if (c->stream && c->answered_us) {
        histogram_add(&s->ttft, ttft_us);
    }
    count_tokens(s, c);
}

#define TEXT(r, field, text) (r)->field##_n = record_text((r)->field, sizeof(r)->field, (text))

static void tell_who(const struct call *c, struct record *r)
{
    if (c->key) {
        TEXT(r, key, c->key->id);
        TEXT(r, application, c->key->application);
        TEXT(r, team, c->key->team);
    }
}

static void tell_target(const struct call *c, struct record *r)
{
    r->dialect_in = (uint8_t)c->ep.endpoint->family;
    r->dialect_out = FAMILY_COUNT;
    TEXT(r, provider, provider_of(c));
    if (c->target) {
        r->dialect_out = (uint8_t)c->target->provider->family;
        TEXT(r, upstream_model, call_upstream_model(c));
    } else if (c->remembered) {
        TEXT(r, upstream_model, c->memory->origin);
    }
}

/* The last RECORD_FAILED of them, the newest first. */
static void tell_failed(const struct call *c, struct record *r)
{
    for (const struct failed_attempt *f = c->failed; f && r->failed_n < RECORD_FAILED;
         f = f->before) {
        struct record_attempt *a = &r->failed[r->failed_n++];
        a->at_us = clip_us(f->at_us > c->req->begun_us ? f->at_us - c->req->begun_us : 0);
        a->status = f->status;
        TEXT(a, provider, f->target->provider->id);
        TEXT(a, why, str_of(f->why));
    }
}

/* Of what was looked through, how much was found and what was done with it. */
static void tell_masked(const struct masking *m, struct record *r)
{
    for (unsigned i = 0; i < MASK_KINDS; i++) {
        for (unsigned k = 0; k < MASK_ACTIONS; k++) {
            uint32_t n = m->call.acted[i][k] + m->answer.acted[i][k];
            r->masked[i][k] = n < UINT16_MAX ? (uint16_t)n : UINT16_MAX;
            r->masked_any = r->masked_any || n;
        }
    }
}

/* The slot holds what was there before: every member is set, texts by their length. */
static void push(struct call *c, uint64_t now_us, uint64_t total_us, uint64_t ttft_us)
{
    struct worker *w = c->w;
    struct record *r = record_next(w->ring);
    if (!r) {
        w->metrics.records_dropped++;
        return;
    }
    memset(r, 0, offsetof(struct record, key));
    r->ended_us = now_us + w->wall_offset_us;
    memcpy(r->request_id, c->id, sizeof r->request_id);
    r->usage = c->usage;
    r->cost_nusd = c->cost_nusd;
    r->price_version = c->price ? c->price->version : 0;
    r->bytes_in = c->req->bytes_in;
    r->bytes_out = c->req->bytes_out;
    r->total_us = clip_us(total_us);
    r->ttft_us = clip_us(ttft_us);
    r->own_us = c->own_us;
    r->connect_us = c->connect_us;
    r->status = c->status;
    r->outcome = c->outcome;
    r->attempts = c->attempts;
    r->stream = c->stream;
    /* Behind a provider's name any other may stand: it is one when the upstream has taken it. */
    r->known_model = c->model && (!c->suffix.n || (c->status && c->status < 400));
    tell_who(c, r);
    tell_target(c, r);
    tell_failed(c, r);
    if (c->masking) {
        tell_masked(c->masking, r);
    }
    TEXT(r, model, c->asked);
    TEXT(r, route, c->ep.endpoint->route);
    if (c->code) {
        TEXT(r, code, str_of(c->code));
    }
    record_push(w->ring);
}

void call_failed_attempt(struct call *c, const char *why, unsigned status)
{
    struct failed_attempt *f = arena_alloc(&c->req->arena, sizeof *f);
    *f = (struct failed_attempt){.before = c->failed,
                                 .target = c->target,
                                 .why = why,
                                 .at_us = loop_now_us(c->w->loop),
                                 .status = (uint16_t)status};
    c->failed = f;
}

enum next stage_record(struct call *c)
{
    if (!c->ep.endpoint) {
        return NEXT; /* health, metrics and what is not there: no calls */
    }
    uint64_t now_us = loop_now_us(c->w->loop);
    uint64_t begun = c->req->begun_us ? c->req->begun_us : now_us;
    uint64_t total_us = now_us > begun ? now_us - begun : 0;
    uint64_t ttft_us = c->answered_us > begun ? c->answered_us - begun : 0;
    if (!c->answered_us) {
        c->own_us = clip_us(total_us);
    }
    count(c, total_us, ttft_us);
    push(c, now_us, total_us, ttft_us);
    return NEXT;
}
