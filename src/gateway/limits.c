#include "gateway/limits.h"

#include "gateway/explain.h"
#include "gateway/shared.h"

#include "conflict/http_date.h"
#include "conflict/rate_limit.h"
#include "dialect/bound.h"
#include "ledger/price.h"
#include "net/network.h"

static struct limit_now now_of(const struct call *c)
{
    uint64_t mono_us = loop_now_us(c->w->loop);
    return counter_now(mono_us, mono_us + c->w->wall_offset_us);
}

static const struct snap_limit *limit_of(const struct limit_item *i)
{
    return (const struct snap_limit *)i->rule;
}

/* ---- what the call may use ---- */

/* The dearest of the model's targets: which one it will be is not known yet. `*ret_unpriced`: the first one whose price is
 * not known; NULL: all are. */
static uint64_t price_bound(struct call *c, int64_t input, int64_t output,
                            const struct snap_target **ret_unpriced)
{
    const struct usage u = {.input = input, .output = output};
    const struct snap_target *was = c->target;
    int64_t most = 0;
    *ret_unpriced = NULL;
    for (uint32_t i = 0; i < c->model->n_targets; i++) {
        c->target = &c->model->targets[i];
        int64_t cost = price_cost(call_price(c), &u);
        *ret_unpriced = cost < 0 && !*ret_unpriced ? c->target : *ret_unpriced;
        most = cost > most ? cost : most;
    }
    c->target = was;
    return (uint64_t)most;
}

struct needs {
    uint64_t amount[LIMIT_WHATS];
    bool unbounded;                     /* how much is written is up to the model */
    int64_t usual;                      /* so much less is usually written, then */
    const struct snap_target *unpriced; /* NULL: what the call may cost is known */
};

/* How much a call may write that does not say so is the model's own bound, or a guess; when less is left, it takes that
 * (limit_item.may_shrink). */
enum { USUAL_OUTPUT = 4096 };

static struct needs needs_of(struct call *c, struct charge *charge)
{
    struct needs n = {.amount = {[LIMIT_REQUESTS] = 1}};
    const struct endpoint *ep = c->ep.endpoint;
    if (ep->work != WORK_COUNT) {
        charge->input = c->form ? 0 : bound_input(c->req->body);
        charge->output = c->weighed ? c->bound : bound_output(ep, c->req->body);
    }
    int64_t output = charge->output;
    if (output < 0) {
        const struct model_facts *f = c->model->facts;
        n.unbounded = true;
        output = f && f->max_output ? f->max_output : USUAL_OUTPUT;
    }
    n.usual = n.unbounded && output > USUAL_OUTPUT ? output - USUAL_OUTPUT : 0;
    n.amount[LIMIT_INPUT_TOKENS] = (uint64_t)charge->input;
    n.amount[LIMIT_OUTPUT_TOKENS] = (uint64_t)output;
    n.amount[LIMIT_TOKENS] = (uint64_t)(charge->input + output);
    if (ep->work != WORK_COUNT) { /* nobody asks money for that */
        n.amount[LIMIT_USD] = price_bound(c, charge->input, output, &n.unpriced);
    }
    return n;
}

static void fill(struct limit_item *i, const struct snap_limit *l, const struct needs *n)
{
    enum limit_what what = l->rule.what;
    i->rule = &l->rule;
    i->may_shrink = n->unbounded && what >= LIMIT_OUTPUT_TOKENS;
    /* What refuses nothing needs no room: it counts what was used. */
    i->amount = l->rule.soft && what != LIMIT_REQUESTS ? 0 : n->amount[what];
    /* A limit is not to stand empty for the longest answer that a model could give; a budget holds even then. */
    if (!l->budget && i->amount && what >= LIMIT_OUTPUT_TOKENS) {
        i->amount -= (uint64_t)n->usual;
    }
}

/* ---- refusing ---- */

/* In words: dollars, or a number. */
static struct str quantity(struct call *c, enum limit_what what, uint64_t n)
{
    static const char *const one[] = {"call at once", "request", "input token", "output token",
                                      "token"};
    struct arena *a = &c->req->arena;
    if (what == LIMIT_USD) {
        return arena_printf(a, "%llu.%06llu US dollars", (unsigned long long)(n / 1000000000),
                            (unsigned long long)(n / 1000 % 1000000));
    }
    if (what == LIMIT_CONCURRENCY && n != 1) {
        return arena_printf(a, "%llu calls at once", (unsigned long long)n);
    }
    return arena_printf(a, "%llu %s%s", (unsigned long long)n, one[what], n == 1 ? "" : "s");
}

static const char *const window_name[] = {"second", "minute", "hour", "day", "month"};

/* " until ...Z", of a day or a month: a window that slides has no such moment. */
static struct str until(struct call *c, const struct limit_rule *r, const struct limit_now *now)
{
    struct arena *a = &c->req->arena;
    if (!limit_is_calendar(r->per)) {
        return STR("");
    }
    uint64_t end_s = (now->wall_us + limit_reset_us(r, now) + 500000) / 1000000;
    struct str end = time_print(a, (int64_t)end_s * 1000000);
    return arena_printf(a, " until %.*s", STR_ARG(end));
}

static enum next refuse_budget(struct call *c, const struct snap_limit *l,
                               const struct limit_item *i, const struct limit_now *now)
{
    const struct limit_rule *r = &l->rule;
    uint64_t settled = limit_settled_by_all(r, now), least = i->may_shrink ? 1 : i->amount;
    struct str most = quantity(c, r->what, r->at_most), used = quantity(c, r->what, settled);
    struct call_error e = {.status = 402, .code = "budget_exceeded", .outcome = OUTCOME_REFUSED};
    /* Calls under way have reserved the rest, and most give some of it back. */
    if (r->what != LIMIT_REQUESTS && settled + least <= r->at_most) {
        e.should_retry = true;
        e.retry_after_ms = (uint32_t)retry_after_spread(1000, worker_random(c->w));
        return call_fail(c, &e,
                         "The budget of policy %.*s, %.*s per %s, is reserved by calls under way "
                         "(%.*s are used). Try again when some of them have ended.",
                         STR_ARG(l->policy), STR_ARG(most), window_name[r->per], STR_ARG(used));
    }
    if (settled >= r->at_most || r->what == LIMIT_REQUESTS) {
        struct str end = until(c, r, now);
        return call_fail(c, &e, "The budget of policy %.*s, %.*s per %s, is used up%.*s.",
                         STR_ARG(l->policy), STR_ARG(most), window_name[r->per], STR_ARG(end));
    }
    struct str need = quantity(c, r->what, i->amount);
    return call_fail(c, &e,
                     "The budget of policy %.*s, %.*s per %s, has no room for this call: %.*s are "
                     "used, and it may come to %.*s. Let it write less (max_tokens).",
                     STR_ARG(l->policy), STR_ARG(most), window_name[r->per], STR_ARG(used),
                     STR_ARG(need));
}

/* Not all at once: those who were refused together are told times up to a sixteenth (and a tenth of a second) later. */
static uint64_t spread_ms(struct call *c, uint64_t wait_us)
{
    uint64_t ms = (wait_us + 999) / 1000;
    return ms + worker_random(c->w) % (ms / 16 + 100);
}

static enum next refuse_rate(struct call *c, const struct snap_limit *l, const struct limit_item *i,
                             uint64_t wait_us, const struct limit_now *now)
{
    const struct limit_rule *r = &l->rule;
    struct str most = quantity(c, r->what, r->at_most), need = quantity(c, r->what, i->amount);
    bool never = wait_us == LIMIT_NEVER;
    uint64_t ms = never ? limit_reset_us(r, now) / 1000 + 1 : spread_ms(c, wait_us);
    struct call_error e = {.status = 429,
                           .code = "rate_limit_exceeded",
                           .outcome = OUTCOME_REFUSED,
                           .retry_after_ms = (uint32_t)(ms < UINT32_MAX ? ms : UINT32_MAX),
                           .should_retry = !never};
    if (never) {
        return call_fail(c, &e,
                         "This call may come to %.*s, and policy %.*s allows %.*s per %s. Make it "
                         "smaller, or let it write less (max_tokens).",
                         STR_ARG(need), STR_ARG(l->policy), STR_ARG(most), window_name[r->per]);
    }
    return call_fail(c, &e,
                     "Policy %.*s allows %.*s per %s, and there is no room for this call (%.*s). "
                     "Try again in %.3f seconds.",
                     STR_ARG(l->policy), STR_ARG(most), window_name[r->per], STR_ARG(need),
                     (double)wait_us / 1e6);
}

static enum next refuse_unpriced(struct call *c, const struct snap_limit *l,
                                 const struct snap_target *t)
{
    if (c->dry) {
        c->dry->limit = l;
    }
    struct call_error e = {
        .status = 402, .code = "price_unknown", .param = "model", .outcome = OUTCOME_REFUSED};
    struct str name = t->model.n ? t->model : c->suffix;
    return call_fail(c, &e,
                     "What the model \"%.*s\" costs is not known (%.*s at the provider %.*s), and "
                     "policy %.*s has a budget in dollars. Declare the model with a price at this "
                     "target (models[].targets[].price), or let such calls pass uncharged "
                     "(unpriced: pass in the budget).",
                     STR_ARG(c->asked), STR_ARG(name), STR_ARG(t->provider->id),
                     STR_ARG(l->policy));
}

/* There is room, but the other processes do not know yet what was taken here. */
static bool is_leased(const struct limit_item *i)
{
    return atomic_load(&i->rule->counter->lease) && i->left &&
           (i->amount <= i->left || i->may_shrink);
}

enum next limits_refuse_leased(struct call *c, const struct snap_limit *l)
{
    enum { SOON_MS = 50, LATER_MS = 1000 };
    bool soon = shared_reachable();
    struct call_error e = {.status = soon ? 429 : 503,
                           .code = soon ? "limit_busy" : "limits_unreachable",
                           .outcome = OUTCOME_REFUSED,
                           .retry_after_ms = (uint32_t)retry_after_spread(soon ? SOON_MS : LATER_MS,
                                                                          worker_random(c->w)),
                           .should_retry = true};
    return call_fail(c, &e,
                     soon ? "Policy %.*s is shared by several servers, and they do not know yet of "
                            "the calls before this one. Try again."
                          : "Policy %.*s is shared by several servers, which cannot hear of each "
                            "other at this time. Try again later.",
                     STR_ARG(l->policy));
}

static enum next refuse(struct call *c, const struct limit_item *i, const struct limit_now *now)
{
    const struct snap_limit *l = limit_of(i);
    struct charge *charge = c->charge;
    charge->n = 0;
    charge->refused = l;
    charge->wait_us = limit_wait_us(&l->rule, i->may_shrink ? 1 : i->amount, now);
    if (c->dry) {
        c->dry->limit = l;
    } else {
        atomic_fetch_add_explicit(&l->counter->refused, 1, memory_order_relaxed);
        c->w->metrics.refused_by_limit++;
    }
    if (is_leased(i)) {
        return limits_refuse_leased(c, l);
    }
    return l->budget ? refuse_budget(c, l, i, now) : refuse_rate(c, l, i, charge->wait_us, now);
}

/* ---- reserving ---- */

/* Limits of addresses count in a place of the address: the call has rules of its own, which lead there. */
static const struct snap_limit *of_address(struct call *c, const struct snap_limit *l,
                                           const uint8_t address[16], const struct limit_now *now)
{
    struct snap_limit *own = arena_alloc(&c->req->arena, sizeof *own);
    *own = *l;
    own->rule.counter = address_table_find(l->counter->addresses, address, &l->rule, now);
    return own;
}

enum { KEY_LIMITS, MODEL_LIMITS, ADDRESS_LIMITS, SOURCES };

struct sources {
    const struct snap_limits *of[SOURCES]; /* NULL: none */
    size_t n;                              /* windows */
    bool tokens;
};

static struct sources sources_of(const struct call *c)
{
    struct sources s = {
        .of = {c->key->limits, c->model->limits, c->hold->snap->of_addresses},
    };
    if (c->dry) { /* it comes from nowhere */
        s.of[ADDRESS_LIMITS] = NULL;
    }
    for (unsigned i = 0; i < SOURCES; i++) {
        s.n += s.of[i] ? s.of[i]->n_windows : 0;
        s.tokens = s.tokens || (s.of[i] && s.of[i]->tokens);
    }
    return s;
}

static struct charge *charge_new(struct call *c, size_t n)
{
    struct charge *charge =
        arena_zalloc(&c->req->arena, sizeof *charge + n * sizeof charge->items[0]);
    c->charge = charge;
    return charge;
}

static void note_exceeded(struct charge *charge)
{
    for (size_t i = 0; i < charge->n; i++) {
        if (charge->items[i].exceeded) {
            charge->soft_exceeded = true;
            atomic_fetch_add_explicit(&limit_of(&charge->items[i])->counter->exceeded, 1,
                                      memory_order_relaxed);
        }
    }
}

enum next limits_reserve(struct call *c)
{
    const struct sources all = sources_of(c);
    struct limit_now now = now_of(c);
    uint8_t address[16];
    size_t k = 0;
    if (all.n == 0) {
        return NEXT;
    }
    struct charge *charge = charge_new(c, all.n);
    struct needs needs = {.amount = {[LIMIT_REQUESTS] = 1}};
    if (all.tokens) {
        needs = needs_of(c, charge);
    }
    if (all.of[ADDRESS_LIMITS]) {
        caller_address(c, address);
        address_cut(address);
    }
    for (unsigned which = 0; which < SOURCES; which++) {
        for (uint32_t i = 0; all.of[which] && i < all.of[which]->n_windows; i++) {
            const struct snap_limit *l = all.of[which]->windows[i];
            if (needs.unpriced && l->rule.what == LIMIT_USD && l->refuse_unpriced &&
                !l->rule.soft) {
                return refuse_unpriced(c, l, needs.unpriced);
            }
            fill(&charge->items[k++], which == ADDRESS_LIMITS ? of_address(c, l, address, &now) : l,
                 &needs);
        }
    }
    size_t taken =
        c->dry ? limit_look(charge->items, all.n, &now) : limit_reserve(charge->items, all.n, &now);
    if (taken < all.n) {
        return refuse(c, &charge->items[taken], &now);
    }
    if (!c->dry) {
        charge->n = all.n;
        note_exceeded(charge);
    }
    return NEXT;
}

enum next limits_stranger(struct call *c)
{
    const struct snap_limits *all = c->hold->snap->of_addresses;
    const struct needs needs = {.amount = {[LIMIT_REQUESTS] = 1}};
    struct limit_now now = now_of(c);
    struct charge *charge = charge_new(c, all->n_windows);
    uint8_t address[16];
    size_t n = 0;
    caller_address(c, address);
    address_cut(address);
    for (uint32_t i = 0; i < all->n_windows; i++) {
        if (all->windows[i]->rule.what == LIMIT_REQUESTS) {
            fill(&charge->items[n++], of_address(c, all->windows[i], address, &now), &needs);
        }
    }
    size_t taken = limit_reserve(charge->items, n, &now);
    if (taken < n) {
        return refuse(c, &charge->items[taken], &now);
    }
    for (size_t i = 0; i < n; i++) {
        limit_settle(&charge->items[i], 1, &now);
    }
    c->charge = NULL; /* the answer tells nothing of it */
    return NEXT;
}

/* ---- settling ---- */

/* An answer that told no tokens, or broke off before it could: what came by, roughly. */
static int64_t written(const struct call *c)
{
    enum { BYTES_PER_TOKEN = 4, BYTES_PER_EVENT = 200 };
    if (!c->stream) {
        return (int64_t)(c->req->bytes_out / BYTES_PER_TOKEN);
    }
    return c->relay.events ? (int64_t)c->relay.events
                           : (int64_t)(c->req->bytes_out / BYTES_PER_EVENT);
}

/* Whether the endpoint's answers usually tell tokens, or are made of them. */
static bool is_text(const struct endpoint *ep)
{
    return ep->format < FORMAT_NONE || ep->work == WORK_EMBED || ep->work == WORK_RERANK ||
           str_eq(ep->route, STR("openai.completions"));
}

/* `*ret_exact`: it is what was told. */
static struct usage used_of(const struct call *c, bool *ret_exact)
{
    struct usage u = c->usage;
    bool told = u.input >= 0 || u.output >= 0;
    *ret_exact = true;
    bool broken = c->outcome == OUTCOME_CUT || c->outcome == OUTCOME_CLIENT_GONE ||
                  c->outcome == OUTCOME_TIMEOUT;
    if (!told && !broken && c->outcome != OUTCOME_OK) {
        u.input = u.output = 0; /* the provider refused it */
    } else if ((broken || u.input < 0 || u.output < 0) && is_text(c->ep.endpoint)) {
        *ret_exact = false;
        if (u.input < 0) {
            u.input = c->charge->input;
        }
        if (broken || u.output < 0) { /* what Anthropic tells at first is the beginning only */
            int64_t w = c->ep.endpoint->work == WORK_OTHER ? written(c) : 0;
            u.output = u.output > w ? u.output : w;
        }
    }
    u.input = u.input > 0 ? u.input : 0;
    u.output = u.output > 0 ? u.output : 0;
    return u;
}

void limits_settle_told(struct call *c)
{
    if (c->charge && (c->usage.input >= 0 || c->usage.output >= 0)) {
        limits_settle(c);
    }
}

void limits_settle(struct call *c)
{
    struct charge *charge = c->charge;
    if (charge->settled) {
        return;
    }
    charge->settled = true;
    const struct limit_now now = now_of(c);
    uint64_t used[LIMIT_WHATS] = {0};
    used[LIMIT_REQUESTS] = c->remembered;
    if (c->forwarded_us && c->target) {
        bool exact;
        struct usage u = used_of(c, &exact);
        call_settle_cost(c);
        int64_t cost = exact ? c->cost_nusd : price_cost(call_price(c), &u);
        c->w->metrics.unpriced += cost < 0;
        used[LIMIT_REQUESTS] = 1;
        used[LIMIT_INPUT_TOKENS] = (uint64_t)u.input;
        used[LIMIT_OUTPUT_TOKENS] = (uint64_t)u.output;
        used[LIMIT_TOKENS] = (uint64_t)(u.input + u.output);
        used[LIMIT_USD] = cost > 0 ? (uint64_t)cost : 0;
    }
    for (size_t i = 0; i < charge->n; i++) {
        struct limit_item *x = &charge->items[i];
        enum limit_what what = x->rule->what;
        limit_settle(x, used[what], &now);
        if (used[what]) {
            counter_changed(limit_of(x)->counter);
        }
    }
}
