/* Stage 8: what the call cost, and what it held is given back. */
#include "gateway/again.h"
#include "gateway/translate.h"
#include "ledger/price.h"

const struct price *call_price(struct call *c)
{
    const struct snap_target *t = c->target;
    if (!t) {
        return NULL;
    }
    if (t->model.n || t->price) {
        return price_at(t->price, loop_now_us(c->w->loop) + c->w->wall_offset_us);
    }
    /* A provider that takes any name: what the client named is known only now. */
    struct price *p = arena_alloc(&c->req->arena, sizeof *p);
    return facts_price(t->provider->vendor, call_upstream_model(c), p) ? p : NULL;
}

/* What was not sent to a provider, and what it refused, is not charged by it, nor is the counting of tokens by any
 * vendor. An answer that broke off may have been. */
static bool is_free(const struct call *c)
{
    bool told = c->usage.input >= 0 || c->usage.output >= 0;
    return !c->target || !c->forwarded_us || c->ep.endpoint->work == WORK_COUNT ||
           (!told && (c->outcome == OUTCOME_REFUSED || c->outcome == OUTCOME_UPSTREAM_ERROR ||
                      c->outcome == OUTCOME_UPSTREAM_FAILED));
}

/* Once: where a budget is charged before the last bytes go out, the rest of the call changes nothing in it. */
void call_settle_cost(struct call *c)
{
    if (c->cost_settled) {
        return;
    }
    c->cost_settled = true;
    if (is_free(c)) {
        c->cost_nusd = 0;
        return;
    }
    c->price = call_price(c);
    c->cost_nusd = price_cost(c->price, &c->usage);
}

/* Whether the last attempt was none: it counts against its target. */
static bool has_failed(const struct call *c)
{
    return c->outcome == OUTCOME_UPSTREAM_FAILED || c->outcome == OUTCOME_TIMEOUT ||
           c->outcome == OUTCOME_CUT ||
           (c->outcome == OUTCOME_UPSTREAM_ERROR && (c->status == 429 || c->status >= 500));
}

/* A translated stream that broke off, or whose client left: what it had told until then counts, as it does where
 * events pass as they are. */
static void take_told(struct call *c)
{
    if (c->tr && c->tr->begun && c->usage.input < 0 && c->usage.output < 0) {
        c->usage = c->tr->in.usage;
    }
}

enum next stage_settle(struct call *c)
{
    route_attempt_ended(c, has_failed(c));
    take_told(c);
    if (c->outcome == OUTCOME_OK && c->answered_us && c->credential) {
        again_worked(c);
    }
    call_settle_cost(c);
    if (c->admitted) {
        admit_release(c);
        c->w->metrics.inflight--;
    }
    return NEXT;
}
