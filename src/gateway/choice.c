#include "gateway/choice.h"

#include "base/must.h"
#include "gateway/explain.h"
#include "gateway/translate.h"
#include "policy/balance.h"

/* ---- credentials ---- */

static bool credential_rests(const struct call *c, const struct snap_target *t, uint32_t i,
                             uint64_t now)
{
    return health_rests(t->provider->credentials[i].health, now) ||
           health_rests(snap_limit_on(t, c->suffix, i), now);
}

/* Of two of the same priority, the n-th by lot; a call that sticks has its own order of them. */
static bool is_better(struct call *c, const struct snap_credential *k,
                      const struct snap_credential *best, uint32_t n)
{
    if (c->sticky) {
        return balance_place(c->sticky, k->place, 1) < balance_place(c->sticky, best->place, 1);
    }
    return worker_random(c->w) % n == 0;
}

const struct snap_credential *choice_credential(struct call *c, const struct snap_target *t,
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
        best = !best || is_better(c, k, best, n) ? k : best;
    }
    return best;
}

const struct snap_credential *choice_soonest(const struct call *c, const struct snap_target *t,
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

/* ---- what speaks against a target ---- */

static bool usable(const struct call *c, const struct snap_target *t)
{
    return translate_plan(c, t) != PLAN_NOT;
}

enum verdict choice_verdict(struct call *c, uint32_t index, uint64_t without)
{
    const struct snap_target *t = &c->model->targets[index];
    uint64_t now = loop_now_ms(c->w->loop);
    if (without >> index & 1) {
        return VERDICT_TRIED;
    }
    if (!usable(c, t)) {
        return VERDICT_DIALECT;
    }
    if (c->unfit >> index & 1) {
        return VERDICT_CONDITION;
    }
    if (health_rests(t->provider->health, now)) {
        return VERDICT_HOST;
    }
    if (t->lane && health_rests(t->lane, now)) {
        return VERDICT_LANE;
    }
    return choice_credential(c, t, 0) ? VERDICT_FIT : VERDICT_CREDENTIALS;
}

static uint32_t n_targets(const struct call *c)
{
    return c->model->n_targets < CHOICE_TARGETS_MAX ? c->model->n_targets : CHOICE_TARGETS_MAX;
}

bool choice_any(const struct call *c)
{
    for (uint32_t i = 0; i < n_targets(c); i++) {
        if (usable(c, &c->model->targets[i])) {
            return true;
        }
    }
    return false;
}

bool choice_left(struct call *c)
{
    for (uint32_t i = 0; i < n_targets(c); i++) {
        if (choice_verdict(c, i, c->tried) == VERDICT_FIT) {
            return true;
        }
    }
    return false;
}

bool choice_wider(struct call *c)
{
    for (uint32_t i = 0; i < n_targets(c); i++) {
        if (c->model->targets[i].reads <= c->target->reads) {
            c->tried |= (uint64_t)1 << i;
        }
    }
    return c->model->widens;
}

/* ---- which of those that fit ---- */

static double price_score(const struct call *c, const struct snap_target *t)
{
    const struct price *p = price_at(t->price, loop_now_us(c->w->loop) + c->w->wall_offset_us);
    return p ? balance_price(p->rate[RATE_INPUT], p->rate[RATE_OUTPUT]) : balance_price(-1, -1);
}

double choice_score(const struct call *c, const struct snap_target *t)
{
    if (c->sticky) {
        return balance_place(c->sticky, t->place, t->weight);
    }
    switch (c->model->balance) {
    case BALANCE_LEAST_LATENCY:
        return balance_latency(load_latency_us(t->load, loop_now_ms(c->w->loop)),
                               load_sum(t->load).running);
    case BALANCE_LEAST_BUSY:
        return balance_busy(load_sum(t->load).running, t->weight);
    case BALANCE_CHEAPEST:
        return price_score(c, t);
    default:
        return 0;
    }
}

const struct snap_target *choice_pick(struct call *c, bool resting, uint64_t without,
                                      uint32_t *ret_index)
{
    struct balance_item items[CHOICE_TARGETS_MAX] UNINITIALIZED;
    uint8_t index[CHOICE_TARGETS_MAX] UNINITIALIZED;
    const struct snap_target *all = c->model->targets;
    uint32_t n = 0;
    for (uint32_t i = 0; i < n_targets(c); i++) {
        if (n && all[i].priority != all[index[0]].priority) {
            break; /* they are sorted by it */
        }
        enum verdict v = choice_verdict(c, i, without);
        if (v == VERDICT_FIT || (resting && v >= VERDICT_HOST)) {
            index[n] = (uint8_t)i;
            items[n++].weight = all[i].weight;
        }
    }
    if (n == 0) {
        return NULL;
    }
    for (uint32_t i = 0; n > 1 && i < n; i++) {
        items[i].score = choice_score(c, &all[index[i]]);
    }
    uint32_t at = n > 1 ? balance_pick(items, n, worker_random(c->w)) : 0;
    *ret_index = index[at];
    return &all[index[at]];
}

bool choice_in_doubt(const struct snap_target *t)
{
    return health_doubtful(t->provider->health) || (t->lane && health_doubtful(t->lane));
}

/* What has rested and is still in doubt gets one call at a time, when there is another way. */
static bool may_try(struct call *c, const struct snap_target *t)
{
    uint64_t now = loop_now_ms(c->w->loop);
    struct health *h = t->provider->health;
    bool (*leave)(struct health *, uint64_t) = c->dry ? health_may_probe : health_probe;
    if (health_doubtful(h) && !leave(h, now)) {
        return false;
    }
    return !t->lane || !health_doubtful(t->lane) || leave(t->lane, now);
}

const struct snap_target *choice_pick_well(struct call *c, uint64_t *without, uint32_t *ret_index)
{
    const struct snap_target *t;
    while ((t = choice_pick(c, false, *without, ret_index)) && !may_try(c, t)) {
        *without |= (uint64_t)1 << *ret_index;
    }
    return t;
}
