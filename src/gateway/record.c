/* Stage 9: what is remembered of the call: a record in the ring, and the metrics. */
#include "gateway/call.h"

static struct str outcome_name(const struct call *c)
{
    switch ((enum outcome)c->outcome) {
    case OUTCOME_OK:
        return STR("ok");
    case OUTCOME_REFUSED:
        return STR("refused");
    case OUTCOME_UPSTREAM_ERROR:
        return STR("upstream_error");
    case OUTCOME_UPSTREAM_FAILED:
        return STR("upstream_failed");
    case OUTCOME_CUT:
        return STR("upstream_cut");
    case OUTCOME_CLIENT_GONE:
        return STR("client_gone");
    case OUTCOME_TIMEOUT:
        return STR("timeout");
    }
    return STR("");
}

static uint32_t clip_us(uint64_t us)
{
    return us < UINT32_MAX ? (uint32_t)us : UINT32_MAX;
}

static struct str provider_of(const struct call *c)
{
    return c->target ? c->target->provider->id : (struct str){0};
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

static void push(struct call *c, uint64_t now_us, uint64_t total_us, uint64_t ttft_us)
{
    struct worker *w = c->w;
    struct record *r = record_next(w->ring);
    if (!r) {
        w->metrics.records_dropped++;
        return;
    }
    r->ended_us = now_us + w->wall_offset_us;
    memcpy(r->request_id, c->id, sizeof r->request_id);
    r->usage = c->usage;
    r->bytes_in = c->req->bytes_in;
    r->bytes_out = c->req->bytes_out;
    r->total_us = clip_us(total_us);
    r->ttft_us = clip_us(ttft_us);
    r->own_us = c->own_us;
    r->status = c->status;
    r->attempts = c->attempts;
    r->stream = c->stream;
    r->key_n = record_text(r->key, sizeof r->key, c->key ? c->key->id : (struct str){0});
    r->model_n = record_text(r->model, sizeof r->model, c->asked);
    r->provider_n = record_text(r->provider, sizeof r->provider, provider_of(c));
    r->upstream_model_n = record_text(r->upstream_model, sizeof r->upstream_model,
                                      !c->target           ? (struct str){0}
                                      : c->target->model.n ? c->target->model
                                      : c->suffix.n        ? c->suffix
                                                           : c->asked);
    r->route_n = record_text(r->route, sizeof r->route, c->ep.endpoint->route);
    r->outcome_n = record_text(r->outcome, sizeof r->outcome, outcome_name(c));
    record_push(w->ring);
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
