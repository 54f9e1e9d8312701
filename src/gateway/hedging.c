#include "gateway/hedging.h"

#include "gateway/again.h"
#include "gateway/kept.h"
#include "gateway/translate.h"
#include "json/tree.h"
#include "policy/hedge.h"

/* What belongs to an attempt and not to the call. */
#define LEG_LIST(X)                                                                                \
    X(const struct snap_target *, target)                                                          \
    X(const struct snap_credential *, credential)                                                  \
    X(uint64_t, tried_credentials)                                                                 \
    X(const struct snap_target *, busy)                                                            \
    X(uint64_t, attempt_us)                                                                        \
    X(uint64_t, begun_ms)                                                                          \
    X(uint64_t, answered_us)                                                                       \
    X(uint64_t, connecting_us)                                                                     \
    X(struct http_up *, up)                                                                        \
    X(struct translation *, tr)                                                                    \
    X(struct held *, held)                                                                         \
    X(struct relay, relay)                                                                         \
    X(struct usage, usage)                                                                         \
    X(uint8_t, outcome)                                                                            \
    X(bool, up_ready)                                                                              \
    X(bool, body_sent)                                                                             \
    X(bool, translated)                                                                            \
    X(bool, array)

struct leg {
#define LEG_MEMBER(type, name) type name;
    LEG_LIST(LEG_MEMBER)
#undef LEG_MEMBER
};

/* In the request's arena. */
struct hedging {
    struct call *c;
    struct leg other; /* the attempt that c does not hold */
    bool runs;        /* both are under way */
    bool inside;      /* c holds the second one, for the time of an event */
    bool *gone;       /* ... set when the call ends in it */
};

static void change_places(struct call *c, struct leg *leg)
{
#define LEG_SWAP(type, name)                                                                       \
    {                                                                                              \
        type mine = c->name;                                                                       \
        c->name = leg->name;                                                                       \
        leg->name = mine;                                                                          \
    }
    LEG_LIST(LEG_SWAP)
#undef LEG_SWAP
}

bool hedging_runs(const struct call *c)
{
    return c->hedging && c->hedging->runs;
}

/* ---- events of the second attempt ---- */

/* False: it is the only one by now, c holds it anyway, and may be gone when the event has been worked on. */
static bool enter(struct hedging *h, bool *gone)
{
    if (!h->runs) {
        return false;
    }
    change_places(h->c, &h->other);
    h->inside = true;
    h->gone = gone;
    return true;
}

static void leave(struct hedging *h)
{
    h->gone = NULL;
    if (h->inside) {
        change_places(h->c, &h->other);
        h->inside = false;
    }
}

static void on_ready(void *owner)
{
    struct hedging *h = owner;
    bool gone = false, in = enter(h, &gone);
    forward_ops.ready(h->c);
    if (in && !gone) {
        leave(h);
    }
}

static void on_head(void *owner, const struct h1_head *head)
{
    struct hedging *h = owner;
    bool gone = false, in = enter(h, &gone);
    forward_ops.head(h->c, head);
    if (in && !gone) {
        leave(h);
    }
}

static void on_body(void *owner, const struct iovec *pieces, int n, bool end)
{
    struct hedging *h = owner;
    bool gone = false, in = enter(h, &gone);
    forward_ops.body(h->c, pieces, n, end);
    if (in && !gone) {
        leave(h);
    }
}

static void on_failed(void *owner, enum http_failure why, enum connect_failure connect,
                      const char *detail)
{
    struct hedging *h = owner;
    struct call *c = h->c;
    bool gone = false, in = enter(h, &gone);
    if (in && why == HTTP_FAIL_STALE) {
        /* Nobody's fault, and not worth a third attempt. */
        c->up = NULL;
        call_failed_attempt(c, "connection_died", 0);
        hedging_lose(c);
    } else {
        forward_ops.failed(c, why, connect, detail);
    }
    if (in && !gone) {
        leave(h);
    }
}

static const struct http_up_ops second_ops = {on_ready, on_head, on_body, on_failed, NULL};

/* ---- its begin ---- */

/* Of calls like this one; NULL: none is hedged. */
static struct hedge *times_of(const struct call *c)
{
    const struct endpoint *ep = c->ep.endpoint;
    bool generates = ep->work == WORK_OTHER && format_of(ep->format);
    return c->stream ? c->target->hedge : generates ? c->target->hedge_whole : NULL;
}

void hedging_begin(struct call *c)
{
    const struct config_hedge *rule = c->model->hedge;
    struct hedge *times = times_of(c);
    if (!c->stream) {
        c->begun_ms = loop_now_ms(c->w->loop);
    }
    if (c->hedging || !rule || !times) {
        return;
    }
    if (c->attempts == 1) {
        hedge_earn(times, (unsigned)rule->budget_percent);
    }
    uint64_t after =
        hedge_after_ms(times, (unsigned)rule->after_percentile, (uint32_t)rule->min_samples);
    if (after) {
        relay_watch(c); /* whose timer this one shares */
        c->hedge_at_ms = c->begun_ms + after;
        loop_timer_within(c->w->loop, &c->timer, after);
    }
}

void hedging_content(struct call *c)
{
    struct hedge *times = times_of(c);
    c->hedge_at_ms = 0;
    if (times && c->begun_ms) {
        hedge_add(times, loop_now_ms(c->w->loop) - c->begun_ms);
    }
}

static bool is(const struct json *j, enum json_type type)
{
    return j && j->type == type;
}

/* Tools that the caller runs himself have no type in some dialects, and one of these in the others. */
static bool runs_tools(const struct json *body)
{
    const struct json *tools = json_get(body, STR("tools"));
    for (const struct json *t = is(tools, JSON_ARRAY) ? tools->first : NULL; t; t = t->next) {
        const struct json *type = is(t, JSON_OBJECT) ? json_get(t, STR("type")) : NULL;
        if (type && !str_eq(type->text, STR("function")) && !str_eq(type->text, STR("custom"))) {
            return true;
        }
    }
    return json_get(body, STR("mcp_servers")) != NULL;
}

/* Whether the provider would do or keep something twice, or goes on from what is kept. Read only when a second attempt
 * is due. */
static bool leaves_something(struct call *c)
{
    const struct json *store;
    struct json *body;
    if (json_parse(&c->req->input, c->req->body, &body, NULL) < 0 || !is(body, JSON_OBJECT)) {
        return true;
    }
    store = json_get(body, STR("store"));
    if (c->ep.endpoint->format == FORMAT_RESPONSES &&
        (!is(store, JSON_FALSE) || is(json_get(body, STR("previous_response_id")), JSON_STRING) ||
         memmem(c->req->body.p, c->req->body.n, "item_reference", strlen("item_reference")))) {
        return true;
    }
    return is(store, JSON_TRUE) || is(json_get(body, STR("background")), JSON_TRUE) ||
           runs_tools(body);
}

/* Whether a second attempt could harm nobody. */
static bool is_harmless(struct call *c)
{
    return !c->conversation.n && !(c->kept && c->kept->wanted) && !c->masking && !c->inlining &&
           c->ep.endpoint->work == WORK_OTHER && format_of(c->ep.endpoint->format) &&
           !h1_find(c->req->head, STR("idempotency-key")).n && !leaves_something(c);
}

/* Whether nothing is decided about the first one: it is silent, or its stream has only begun. */
static bool is_open(const struct call *c)
{
    bool begins =
        (c->held && c->relay.mode == RELAY_EVENTS) || (c->tr && c->tr->reading == READ_EVENTS);
    return c->up && !c->relay.content_ms && (!c->answered_us || begins);
}

/* c holds the empty leg of the second attempt. */
static bool open_second(struct call *c, struct hedging *h)
{
    if (!route_rival(c)) {
        return false;
    }
    if (c->translated) {
        /* What this target cannot be told is no reason to refuse a call that another has taken. */
        c->hushed = true;
        bool fits = translate_request(c) == NEXT;
        c->hushed = false;
        if (!fits) {
            return false;
        }
    }
    route_attempt_begun(c);
    c->begun_ms = loop_now_ms(c->w->loop);
    forward_open(c, &second_ops, h);
    return true;
}

void hedging_start(struct call *c)
{
    struct hedge *budget = times_of(c);
    c->hedge_at_ms = 0;
    if (!is_open(c) || !again_possible(c) || !again_left(c) || !is_harmless(c) ||
        !hedge_take(budget)) {
        return;
    }
    struct hedging *h = arena_zalloc(&c->req->arena, sizeof *h);
    uint64_t tried = c->tried;
    *h = (struct hedging){.c = c,
                          .other = {.target = c->target,
                                    .credential = c->credential,
                                    .tried_credentials = c->tried_credentials,
                                    .translated = c->translated,
                                    .usage = USAGE_NONE}};
    change_places(c, &h->other);
    bool open = open_second(c, h);
    change_places(c, &h->other);
    if (!open) {
        c->tried = tried;
        hedge_give(budget);
        return;
    }
    c->hedging = h;
    h->runs = true;
    c->w->metrics.hedges++;
}

/* ---- its end ---- */

static void stop_running(struct hedging *h)
{
    h->runs = h->inside = false;
}

void hedging_lose(struct call *c)
{
    struct hedging *h = c->hedging;
    route_attempt_ended(c, true);
    again_forget(c);
    change_places(c, &h->other);
    stop_running(h);
    loop_timer_within(c->w->loop, &c->timer, 1); /* its deadlines, and the bound of what is held */
}

void hedging_settle(struct call *c)
{
    struct hedging *h = c->hedging;
    if (!h || !h->runs) {
        return;
    }
    bool second = h->inside;
    change_places(c, &h->other);
    if (second && c->target->hedge && times_of(c)) {
        /* So long at least: left out, only the fast ones would count. */
        hedge_add(times_of(c), loop_now_ms(c->w->loop) - c->begun_ms);
    }
    call_failed_attempt(c, "hedged", 0);
    route_attempt_ended(c, false); /* so long at least it would have taken */
    again_forget(c);
    change_places(c, &h->other);
    stop_running(h);
    c->w->metrics.hedges_won += second;
}

void hedging_end(struct call *c)
{
    if (c->hedging && c->hedging->gone) {
        *c->hedging->gone = true;
    }
    hedging_settle(c);
}
