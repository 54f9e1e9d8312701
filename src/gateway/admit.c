/* Stage 3: is there room for one more call. */
#include "conflict/rate_limit.h"
#include "gateway/call.h"

static bool take(const struct snap_limit *l)
{
    if (atomic_fetch_add_explicit(l->now, 1, memory_order_relaxed) < l->at_most) {
        return true;
    }
    atomic_fetch_sub_explicit(l->now, 1, memory_order_relaxed);
    return false;
}

static void give(const struct snap_limit *l)
{
    atomic_fetch_sub_explicit(l->now, 1, memory_order_relaxed);
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
    c->w->metrics.refused_by_limit++;
    return call_fail(
        c, &e,
        "Policy %.*s allows %lld calls at once, and that many are under way. Try again "
        "when one has ended.",
        STR_ARG(l->policy), (long long)l->at_most);
}

enum next stage_admit(struct call *c)
{
    c->w->metrics.inflight++;
    c->admitted = true;
    const struct snap_limit *org = c->hold->snap->org_limit, *key = c->key->limit;
    if (org) {
        if (!take(org)) {
            return refuse(c, org);
        }
        c->limited_org = true;
    }
    if (key) {
        if (!take(key)) {
            return refuse(c, key);
        }
        c->limited_key = true;
    }
    return NEXT;
}

enum next admit_model(struct call *c)
{
    const struct snap_limit *l = c->model->limit;
    if (!l || c->limited_model) {
        return NEXT;
    }
    if (!take(l)) {
        return refuse(c, l);
    }
    c->limited_model = true;
    return NEXT;
}

void admit_release(struct call *c)
{
    if (c->limited_org) {
        give(c->hold->snap->org_limit);
    }
    if (c->limited_key) {
        give(c->key->limit);
    }
    if (c->limited_model) {
        give(c->model->limit);
    }
    c->limited_org = c->limited_key = c->limited_model = false;
}
