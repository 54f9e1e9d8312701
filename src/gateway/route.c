/* Stage 5: which target takes the call: the best priority that has one left, then by weight,
 * passing by those that could not be reached a moment ago while there are others. */
#include "conflict/rate_limit.h"
#include "gateway/translate.h"

enum { TARGETS_MAX = 64 };

static bool usable(const struct call *c, const struct snap_target *t)
{
    return translate_plan(c, t) != PLAN_NOT;
}

bool route_others_left(const struct call *c)
{
    for (uint32_t i = 0; i < c->model->n_targets && i < TARGETS_MAX; i++) {
        if (!(c->tried >> i & 1) && usable(c, &c->model->targets[i])) {
            return true;
        }
    }
    return false;
}

static bool is_down(const struct call *c, const struct snap_target *t)
{
    return c->hold->down_until_ms[t->provider->index] > loop_now_ms(c->w->loop);
}

/* One of the untried targets of the best priority, by weight; `ok` says whether down ones count. */
static const struct snap_target *pick(struct call *c, bool down_too, unsigned *ret_index)
{
    const struct snap_model *m = c->model;
    uint64_t total = 0, at;
    if (m->n_targets == 1) {
        const struct snap_target *only = m->targets;
        *ret_index = 0;
        return (c->tried & 1) || !usable(c, only) || (!down_too && is_down(c, only)) ? NULL : only;
    }
    uint32_t priority = 0, n = m->n_targets < TARGETS_MAX ? m->n_targets : TARGETS_MAX;
    for (int round = 0; round < 2; round++) {
        at = round ? worker_random(c->w) % total : 0;
        for (uint32_t i = 0; i < n; i++) {
            const struct snap_target *t = &m->targets[i];
            if ((c->tried >> i & 1) || !usable(c, t) || (!down_too && is_down(c, t)) ||
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
        if (!(c->tried >> i & 1) && usable(c, t) && t->priority == priority) {
            *ret_index = i;
            return t;
        }
    }
    return NULL;
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
    if (!snap_key_may(c->key, c->asked)) {
        e.status = 403;
        e.code = "model_not_allowed";
        return call_fail(c, &e, "The key \"%.*s\" may not use the model \"%.*s\".",
                         STR_ARG(c->key->id), STR_ARG(c->asked));
    }
    if (c->model->sunset_us && c->model->sunset_us <= clock_wall_us()) {
        e.status = 410;
        e.code = "model_retired";
        return call_fail(c, &e, "The model \"%.*s\" is not served any more; see the Link field.",
                         STR_ARG(c->asked));
    }
    return admit_model(c);
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
    c->target = pick(c, false, &index);
    if (!c->target) {
        c->target = pick(c, true, &index);
    }
    if (!c->target) {
        return none_left(c);
    }
    c->tried |= (uint64_t)1 << index;
    c->translated = translate_plan(c, c->target) == PLAN_TRANSLATE;
    return NEXT;
}
