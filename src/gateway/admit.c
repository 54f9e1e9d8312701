/* Stage 3: is there room for one more call; and, once the model is known, for what it may use. */
#include "conflict/rate_limit.h"
#include "gateway/explain.h"
#include "gateway/limits.h"

static int64_t others_of(const struct snap_limit *l)
{
    return l->shared ? (int64_t)atomic_load(&l->counter->limit.others) : 0;
}

/* Whether the other processes know of so many calls, but for the lease (shared.h). */
static bool is_known(const struct snap_limit *l, int64_t running)
{
    const struct limit_counter *n = &l->counter->limit;
    uint64_t lease = l->shared ? atomic_load(&n->lease) : 0;
    return !lease || running < (int64_t)(atomic_load(&n->known) + lease);
}

static bool take(struct call *c, const struct snap_limit *l)
{
    _Atomic int64_t *running = &l->counter->running;
    /* Ahead of what is known, which shared.c lowers before it looks how many there are. */
    int64_t was = atomic_fetch_add(running, 1);
    if (was + others_of(l) < (int64_t)l->rule.at_most && (l->rule.soft || is_known(l, was))) {
        return true;
    }
    if (l->rule.soft) {
        c->crowded = l;
        atomic_fetch_add_explicit(&l->counter->exceeded, 1, memory_order_relaxed);
        return true;
    }
    atomic_fetch_sub_explicit(running, 1, memory_order_relaxed);
    return false;
}

static void give(const struct snap_limits *all, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++) {
        atomic_fetch_sub_explicit(&all->at_once[i]->counter->running, 1, memory_order_relaxed);
    }
}

static enum next refuse(struct call *c, const struct snap_limit *l)
{
    /* Between one and two seconds, so that those who were refused together do not come back
     * together. */
    struct call_error e = {.status = 429,
                           .code = "concurrency_limit",
                           .outcome = OUTCOME_REFUSED,
                           .retry_after_ms =
                               (uint32_t)retry_after_spread(1000, worker_random(c->w)),
                           .should_retry = true};
    if (c->dry) {
        c->dry->limit = l;
    } else {
        c->w->metrics.refused_by_limit++;
        atomic_fetch_add_explicit(&l->counter->refused, 1, memory_order_relaxed);
    }
    if (l->shared && atomic_load(&l->counter->running) + others_of(l) < (int64_t)l->rule.at_most) {
        return limits_refuse_leased(c, l);
    }
    return call_fail(
        c, &e,
        "Policy %.*s allows %lld calls at once, and that many are under way. Try again "
        "when one has ended.",
        STR_ARG(l->policy), (long long)l->rule.at_most);
}

/* All or none. */
static enum next take_all(struct call *c, const struct snap_limits *all, bool *ret_taken)
{
    for (uint32_t i = 0; i < all->n_at_once; i++) {
        if (!take(c, all->at_once[i])) {
            give(all, i);
            return refuse(c, all->at_once[i]);
        }
    }
    *ret_taken = true;
    return NEXT;
}

/* There is too much to do: who matters least is told to come back, before anything is done for it. */
static enum next shed(struct call *c)
{
    struct call_error e = {.status = 503,
                           .code = "overloaded",
                           .outcome = OUTCOME_REFUSED,
                           .retry_after_ms =
                               (uint32_t)retry_after_spread(1000, worker_random(c->w)),
                           .should_retry = true};
    c->w->metrics.shed[c->key->priority]++;
    return call_fail(c, &e,
                     "The server has more to do than it can, and calls of this priority wait. Try "
                     "again later.");
}

enum next stage_admit(struct call *c)
{
    if ((uint64_t)c->w->metrics.inflight + c->w->late_load >= c->key->shed_at) {
        return shed(c);
    }
    c->w->metrics.inflight++;
    c->admitted = true;
    const struct snap_limits *l = c->key->limits;
    return l && l->n_at_once ? take_all(c, l, &c->limited_key) : NEXT;
}

enum next admit_model(struct call *c)
{
    const struct snap_limits *l = c->model->limits;
    enum next n = l && l->n_at_once && !c->limited_model ? take_all(c, l, &c->limited_model) : NEXT;
    return n == NEXT && (l || c->key->limits || c->hold->snap->of_addresses) && !c->charge
               ? limits_reserve(c)
               : n;
}

static enum next look(struct call *c, const struct snap_limits *all)
{
    for (uint32_t i = 0; all && i < all->n_at_once; i++) {
        const struct snap_limit *l = all->at_once[i];
        int64_t running = atomic_load(&l->counter->running);
        if (!l->rule.soft &&
            (running + others_of(l) >= (int64_t)l->rule.at_most || !is_known(l, running))) {
            return refuse(c, l);
        }
    }
    return NEXT;
}

enum next admit_dry(struct call *c)
{
    enum next n = look(c, c->key->limits);
    n = n == NEXT ? look(c, c->model->limits) : n;
    return n == NEXT ? limits_reserve(c) : n;
}

void admit_release(struct call *c)
{
    if (c->limited_key) {
        give(c->key->limits, c->key->limits->n_at_once);
    }
    if (c->limited_model) {
        give(c->model->limits, c->model->limits->n_at_once);
    }
    c->limited_key = c->limited_model = false;
    if (c->charge) {
        limits_settle(c);
    }
}
