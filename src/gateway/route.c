/* Stage 5: which target takes the call, and with which credential: the best priority that has one left, then by
 * weight, passing by those that rest while there are others. */
#include "conflict/rate_limit.h"
#include "gateway/masking.h"
#include "gateway/memory.h"

enum { TARGETS_MAX = 64 };

static bool usable(const struct call *c, const struct snap_target *t)
{
    return translate_plan(c, t) != PLAN_NOT;
}

/* ---- credentials ---- */

static bool credential_rests(const struct call *c, const struct snap_target *t, uint32_t i,
                             uint64_t now)
{
    return health_rests(t->provider->credentials[i].health, now) ||
           health_rests(snap_limit_on(t, c->suffix, i), now);
}

/* Of those that are not in `without` one of the best priority that does not rest, by lot; NULL: all rest. */
static const struct snap_credential *pick_credential(struct call *c, const struct snap_target *t,
                                                     uint64_t without)
{
    const struct snap_provider *p = t->provider;
    uint64_t now = loop_now_ms(c->w->loop);
    const struct snap_credential *best = NULL;
    uint32_t n = 0;
    if (p->n_credentials == 1) {
        return (without & 1) || credential_rests(c, t, 0, now) ? NULL : p->credentials;
    }
    for (uint32_t i = 0; i < p->n_credentials; i++) {
        const struct snap_credential *k = &p->credentials[i];
        if ((without >> i & 1) || (best && k->priority != best->priority) ||
            credential_rests(c, t, i, now)) {
            continue;
        }
        n++;
        best = !best || worker_random(c->w) % n == 0 ? k : best;
    }
    return best;
}

/* All rest: the one that will be back first. */
static const struct snap_credential *soonest(const struct call *c, const struct snap_target *t,
                                             uint64_t *ret_left_ms, bool *ret_told)
{
    const struct snap_provider *p = t->provider;
    uint64_t now = loop_now_ms(c->w->loop);
    const struct snap_credential *best = p->credentials;
    *ret_left_ms = UINT64_MAX;
    for (uint32_t i = 0; i < p->n_credentials; i++) {
        const struct health *h = snap_limit_on(t, c->suffix, i);
        uint64_t limit = health_left_ms(h, now);
        uint64_t own = health_left_ms(p->credentials[i].health, now);
        uint64_t left = limit > own ? limit : own;
        if (left < *ret_left_ms) {
            *ret_left_ms = left;
            *ret_told = limit >= own && atomic_load_explicit(&h->told, memory_order_relaxed);
            best = &p->credentials[i];
        }
    }
    return best;
}

const struct snap_credential *route_other_credential(struct call *c)
{
    const struct snap_provider *p = c->target->provider;
    c->tried_credentials |= (uint64_t)1 << (c->credential - p->credentials);
    return pick_credential(c, c->target, c->tried_credentials);
}

/* ---- targets ---- */

static bool rests(struct call *c, const struct snap_target *t)
{
    uint64_t now = loop_now_ms(c->w->loop);
    return health_rests(t->provider->health, now) || (t->lane && health_rests(t->lane, now)) ||
           !pick_credential(c, t, 0);
}

bool route_others_left(struct call *c)
{
    for (uint32_t i = 0; i < c->model->n_targets && i < TARGETS_MAX; i++) {
        const struct snap_target *t = &c->model->targets[i];
        if (!(c->tried >> i & 1) && usable(c, t) && !rests(c, t)) {
            return true;
        }
    }
    return false;
}

/* What has rested and is still in doubt gets one call at a time, when there is another way. */
static bool may_try(struct call *c, const struct snap_target *t)
{
    uint64_t now = loop_now_ms(c->w->loop);
    struct health *h = t->provider->health;
    if (health_doubtful(h) && !health_probe(h, now)) {
        return false;
    }
    return !t->lane || !health_doubtful(t->lane) || health_probe(t->lane, now);
}

/* One of the untried targets of the best priority, by weight; `any`: also those that rest. */
static const struct snap_target *pick(struct call *c, bool any, uint64_t without,
                                      unsigned *ret_index)
{
    const struct snap_model *m = c->model;
    uint64_t total = 0, at;
    if (m->n_targets == 1) {
        const struct snap_target *only = m->targets;
        *ret_index = 0;
        return (without & 1) || !usable(c, only) || (!any && rests(c, only)) ? NULL : only;
    }
    uint32_t priority = 0, n = m->n_targets < TARGETS_MAX ? m->n_targets : TARGETS_MAX;
    for (int round = 0; round < 2; round++) {
        at = round ? worker_random(c->w) % total : 0;
        for (uint32_t i = 0; i < n; i++) {
            const struct snap_target *t = &m->targets[i];
            if ((without >> i & 1) || !usable(c, t) || (!any && rests(c, t)) ||
                (total && t->priority != priority)) {
                continue;
            }
            priority = t->priority;
            if (!round) {
                total += t->weight ? t->weight : 0;
                total += total == 0; /* a weight of 0 alone still serves as the last resort */
            } else if (at < t->weight || n == 1) {
                *ret_index = i;
                return t;
            } else {
                at -= t->weight;
            }
        }
        if (!total) {
            return NULL;
        }
    }
    /* Only targets of weight 0 were left at this priority. */
    for (uint32_t i = 0; i < n; i++) {
        const struct snap_target *t = &m->targets[i];
        if (!(without >> i & 1) && usable(c, t) && t->priority == priority &&
            (any || !rests(c, t))) {
            *ret_index = i;
            return t;
        }
    }
    return NULL;
}

/* One that does not rest, or is let through to see how it does. */
static const struct snap_target *pick_well(struct call *c, unsigned *ret_index)
{
    uint64_t without = c->tried;
    const struct snap_target *t;
    while ((t = pick(c, false, without, ret_index)) && !may_try(c, t)) {
        without |= (uint64_t)1 << *ret_index;
    }
    return t;
}

bool route_rival(struct call *c)
{
    unsigned index = 0;
    const struct snap_target *t = pick_well(c, &index);
    const struct snap_credential *k = t ? pick_credential(c, t, 0) : route_other_credential(c);
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

static enum next take_credential(struct call *c)
{
    uint64_t left = 0;
    bool told = false;
    c->tried_credentials = 0;
    c->credential = pick_credential(c, c->target, 0);
    if (!c->credential) {
        c->credential = soonest(c, c->target, &left, &told);
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

static enum next find_model(struct call *c)
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
    n = n == NEXT ? admit_model(c) : n;
    return n == NEXT && c->hold->snap->maskings ? masking_request(c) : n;
}

static enum next none_left(struct call *c)
{
    struct call_error e = {.status = 503,
                           .code = "no_target",
                           .outcome = OUTCOME_UPSTREAM_FAILED,
                           .retry_after_ms =
                               (uint32_t)retry_after_spread(1000, worker_random(c->w)),
                           .should_retry = true};
    for (uint32_t i = 0; i < c->model->n_targets; i++) {
        if (usable(c, &c->model->targets[i])) {
            return call_fail(c, &e, "No target of the model \"%.*s\" can be reached now.",
                             STR_ARG(c->asked));
        }
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

enum next stage_route(struct call *c)
{
    unsigned index = 0;
    if (c->conversation.n) {
        enum next n = conversation_enter(c);
        if (n != NEXT) {
            return n;
        }
    }
    if (!c->model) {
        enum next n = find_model(c);
        if (n != NEXT) {
            return n;
        }
    }
    if (memory_concerns(c)) {
        enum next n = memory_enter(c);
        if (n != NEXT) {
            return n;
        }
    }
    c->target = pick_well(c, &index);
    if (!c->target) {
        c->target = pick(c, true, c->tried, &index);
    }
    if (!c->target) {
        return none_left(c);
    }
    c->tried |= (uint64_t)1 << index;
    c->translated = translate_plan(c, c->target) == PLAN_TRANSLATE;
    return take_credential(c);
}
