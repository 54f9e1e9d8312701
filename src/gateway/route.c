/* Stage 5: the model, whether the call may have it, and which of its targets takes the call (choice.c), with which
 * credential. */
#include "conflict/rate_limit.h"
#include "gateway/choice.h"
#include "gateway/explain.h"
#include "gateway/masking.h"
#include "gateway/memory.h"
#include "gateway/translate.h"

const struct snap_credential *route_other_credential(struct call *c)
{
    const struct snap_provider *p = c->target->provider;
    c->tried_credentials |= (uint64_t)1 << (c->credential - p->credentials);
    return choice_credential(c, c->target, c->tried_credentials);
}

bool route_others_left(struct call *c)
{
    return choice_left(c);
}

bool route_rival(struct call *c)
{
    uint32_t index = 0;
    uint64_t without = c->tried;
    const struct snap_target *t = choice_pick_well(c, &without, &index);
    const struct snap_credential *k = t ? choice_credential(c, t, 0) : route_other_credential(c);
    if (!k) {
        return false;
    }
    if (t) {
        c->target = t;
        c->tried |= (uint64_t)1 << index;
        c->tried_credentials = 0;
        c->translated = translate_plan(c, t) == PLAN_TRANSLATE;
    }
    c->credential = k;
    return true;
}

/* Everything rests. A vendor that has said when it takes calls again is not asked before. */
static enum next wait_for_limit(struct call *c, uint64_t left_ms)
{
    struct call_error e = {.status = 429,
                           .code = "upstream_rate_limited",
                           .outcome = OUTCOME_UPSTREAM_FAILED,
                           .retry_after_ms =
                               (uint32_t)(left_ms < UINT32_MAX ? left_ms : UINT32_MAX),
                           .should_retry = true};
    return call_fail(
        c, &e,
        "The provider \"%.*s\" takes no more calls of \"%.*s\" from us for now; it has said when "
        "it will.",
        STR_ARG(c->target->provider->id), STR_ARG(c->asked));
}

enum next route_take_credential(struct call *c)
{
    uint64_t left = 0;
    bool told = false;
    c->tried_credentials = 0;
    c->credential = choice_credential(c, c->target, 0);
    if (!c->credential) {
        c->credential = choice_soonest(c, c->target, &left, &told);
    }
    return told && left ? wait_for_limit(c, left) : NEXT;
}

/* Whether this call may have the model that was found. */
static enum next check_model(struct call *c)
{
    struct call_error e = {.outcome = OUTCOME_REFUSED, .param = "model"};
    if (!snap_key_may(c->key, c->asked)) {
        e.status = 403;
        e.code = "model_not_allowed";
        return call_fail(c, &e, "The key \"%.*s\" may not use the model \"%.*s\".",
                         STR_ARG(c->key->id), STR_ARG(c->asked));
    }
    enum family family = c->model->targets[0].provider->family;
    bool in_path = c->suffix.n && (family == FAMILY_GEMINI || family == FAMILY_BEDROCK);
    if (in_path && !shape_stays_in_place(c->suffix)) {
        e.status = 400;
        e.code = "invalid_model";
        return call_fail(
            c, &e,
            "The provider takes models in a path, and the model's name holds a control "
            "character or a \"..\".");
    }
    if (c->model->sunset_us && c->model->sunset_us <= clock_wall_us()) {
        e.status = 410;
        e.code = "model_retired";
        struct str next = c->model->successor;
        return call_fail(c, &e, "The model \"%.*s\" is not served any more%s%.*s%s.",
                         STR_ARG(c->asked), next.n ? "; its successor is \"" : "", STR_ARG(next),
                         next.n ? "\"" : "");
    }
    return NEXT;
}

enum next route_model(struct call *c)
{
    struct call_error e = {.outcome = OUTCOME_REFUSED, .param = "model"};
    if (c->asked.n == 0) {
        e.status = 400;
        e.code = "missing_model";
        return call_fail(c, &e,
                         "\"model\" is missing. The models of this gateway are listed at "
                         "/v1/models.");
    }
    c->model = snapshot_model(c->hold->snap, c->asked, &c->suffix);
    if (!c->model && call_picked_model(c->asked).p != c->asked.p) {
        c->asked = call_picked_model(c->asked);
        c->model = snapshot_model(c->hold->snap, c->asked, &c->suffix);
    }
    if (!c->model) {
        e.status = 404;
        e.code = "model_not_found";
        return call_fail(c, &e,
                         "The model \"%.*s\" is not known here. The models of this gateway are "
                         "listed at /v1/models; \"provider/name\" reaches any model of a "
                         "provider.",
                         STR_ARG(c->asked));
    }
    enum next n = check_model(c);
    return n == NEXT && c->model->looks ? traits_read(c) : n;
}

static enum next find_model(struct call *c)
{
    enum next n = route_model(c);
    n = n == NEXT ? admit_model(c) : n;
    return n == NEXT && c->hold->snap->maskings ? masking_request(c) : n;
}

enum next route_none_left(struct call *c)
{
    struct call_error e = {.status = 503,
                           .code = "no_target",
                           .outcome = OUTCOME_UPSTREAM_FAILED,
                           .retry_after_ms =
                               (uint32_t)retry_after_spread(1000, worker_random(c->w)),
                           .should_retry = true};
    if (choice_any(c) && c->unfit && !c->tried) {
        e = (struct call_error){
            .status = 400, .code = "no_target_fits", .outcome = OUTCOME_REFUSED};
        return call_fail(c, &e,
                         "No target of the model \"%.*s\" takes a call like this one: each has a "
                         "condition that does not hold. Its operator sees which with \"accord "
                         "explain\".",
                         STR_ARG(c->asked));
    }
    if (choice_any(c)) {
        return call_fail(c, &e, "No target of the model \"%.*s\" can be reached now.",
                         STR_ARG(c->asked));
    }
    e = (struct call_error){.status = 501,
                            .code = "dialect_not_translated",
                            .param = "model",
                            .outcome = OUTCOME_REFUSED};
    const struct snap_provider *p = c->model->targets[0].provider;
    return call_fail(
        c, &e,
        "The model \"%.*s\" is served by the provider \"%.*s\", which speaks another "
        "dialect than %.*s, and %.*s is not translated. Call it through the endpoint of "
        "its own dialect.",
        STR_ARG(c->asked), STR_ARG(p->id), STR_ARG(call_dialect(c)->name),
        STR_ARG(c->ep.endpoint->route));
}

/* ---- what the target has to do ---- */

/* Latency decides between targets: where there is one, nobody asks. */
static bool is_measured(const struct call *c)
{
    return c->model->n_targets > 1;
}

void route_attempt_begun(struct call *c)
{
    c->busy = c->target;
    c->attempt_us = loop_now_us(c->w->loop);
    load_begin(c->busy->load, c->w->index);
}

void route_answered(struct call *c)
{
    if (c->busy && c->attempt_us && is_measured(c)) {
        uint64_t at = c->stream ? clock_us() : c->answered_us; /* a head alone is no answer yet */
        load_measured(c->busy->load, at / 1000, at > c->attempt_us ? at - c->attempt_us : 0);
        c->attempt_us = 0;
    }
}

void route_attempt_ended(struct call *c, bool failed)
{
    if (!c->busy) {
        return;
    }
    if (is_measured(c) && (failed || c->attempt_us)) {
        uint64_t now = loop_now_us(c->w->loop), since = c->attempt_us ? c->attempt_us : now;
        uint64_t us = now > since ? now - since : 0;
        load_waited(c->busy->load, now / 1000, failed && us < LOAD_FAILED_US ? LOAD_FAILED_US : us);
    }
    load_end(c->busy->load, c->w->index, failed);
    c->busy = NULL;
}

/* ---- the stage ---- */

enum next stage_route(struct call *c)
{
    uint32_t index = 0;
    uint64_t without;
    enum next n = NEXT;
    route_attempt_ended(c, true); /* of an attempt that another follows */
    if (c->conversation.n) {
        n = conversation_enter(c);
        if (n != NEXT) {
            return n;
        }
    }
    if (!c->model) {
        n = find_model(c);
        if (n != NEXT) {
            return n;
        }
    }
    if (memory_concerns(c)) {
        n = memory_enter(c);
        if (n != NEXT) {
            return n;
        }
    }
    without = c->tried;
    c->target = choice_pick_well(c, &without, &index);
    if (!c->target) {
        c->target = choice_pick(c, true, c->tried, &index);
    }
    if (!c->target) {
        return route_none_left(c);
    }
    c->tried |= (uint64_t)1 << index;
    c->translated = translate_plan(c, c->target) == PLAN_TRANSLATE;
    n = route_take_credential(c);
    if (n == NEXT) {
        route_attempt_begun(c);
    }
    return n;
}
