#include "gateway/exchange.h"

#include <errno.h>

#include "dialect/embed.h"
#include "dialect/rerank.h"
#include "dialect/tokens.h"

enum { KEPT_MAX = 256 * 1024 * 1024 /* of answers that wait for the next ones */ };

struct embedding {
    const struct embed_format *caller, *upstream;
    struct embed_call call;
    struct embed_answer answer;
    struct ir_list *all, *next; /* texts; those whose vectors have not come */
    uint32_t n, sent;           /* how many all are, and how many of them have been sent */
    size_t kept;                /* bytes of answers that wait for the next ones */
};

struct reranking {
    const struct rerank_format *caller, *upstream;
    struct rerank_call call;
};

struct counting {
    const struct tokens_format *caller, *upstream; /* upstream NULL: it cannot count */
};

struct exchange {
    const struct snap_target *target;
    union {
        struct embedding embed;
        struct reranking rerank;
        struct counting count;
    };
};

static enum endpoint_work work_of(const struct call *c)
{
    return c->ep.endpoint->work;
}

/* ---- which way ---- */

/* What the provider counts with; NULL: nothing. */
static const struct tokens_format *counter_of(const struct snap_provider *p)
{
    bool has = !p->sim && (p->family != FAMILY_OPENAI || (p->quirks & QUIRK_COUNTS_TOKENS));
    return has ? tokens_format_of_family(p->family) : NULL;
}

/* Whether a provider of the caller's own family has the endpoint. */
static bool has_own(const struct snap_provider *p, const struct endpoint *ep)
{
    if (p->sim) {
        bool counts = ep->family == FAMILY_ANTHROPIC || ep->family == FAMILY_GEMINI;
        return ep->work != WORK_COUNT || counts;
    }
    return ep->work != WORK_COUNT || counter_of(p);
}

/* Gemini's bodies may name the model again, and it must be the path's. */
static bool names_another_model(const struct call *c, const struct snap_target *t)
{
    return c->ep.endpoint->family == FAMILY_GEMINI && t->model.n && !str_eq(t->model, c->asked) &&
           str_find(c->req->body, STR("\"model\"")) >= 0;
}

enum plan exchange_plan(const struct call *c, const struct snap_target *t)
{
    const struct endpoint *ep = c->ep.endpoint;
    const struct snap_provider *p = t->provider;
    if (translate_same_family(p, ep->family) && has_own(p, ep) && !c->marked &&
        !names_another_model(c, t)) {
        return PLAN_PASS;
    }
    switch (ep->work) {
    case WORK_EMBED:
        return embed_format_of(p->family, (struct str){0}) ? PLAN_TRANSLATE : PLAN_NOT;
    case WORK_RERANK:
        return rerank_format_of(p->family) ? PLAN_TRANSLATE : PLAN_NOT;
    default:
        return PLAN_TRANSLATE;
    }
}

/* ---- embeddings ---- */

static int read_embedding(struct call *c, struct embedding *e)
{
    struct translation *tr = c->tr;
    const struct snap_provider *p = c->target->provider;
    e->caller = embed_format_in(c->ep.endpoint->family, c->req->body);
    e->upstream = embed_format_of(p->family, call_upstream_model(c));
    embed_call_init(&e->call, &tr->form);
    embed_answer_init(&e->answer, &c->req->arena);
    int r = e->caller->read_request(&e->call, c->req->body);
    e->all = e->next = e->call.texts;
    e->n = e->call.n;
    return r;
}

static uint32_t vectors(const struct embed_answer *a)
{
    return a->sets[EMBED_FLOAT].n > a->sets[EMBED_BASE64].n ? a->sets[EMBED_FLOAT].n
                                                            : a->sets[EMBED_BASE64].n;
}

/* As many as one request holds, as if there were no others. */
static void write_embedding(struct call *c, struct embedding *e, const struct ir_target *t)
{
    struct translation *tr = c->tr;
    uint32_t most = e->upstream->max_batch ? e->upstream->max_batch : UINT32_MAX, n = 1;
    struct ir_list *last = e->next, *rest;
    while (last->next && n < most) {
        last = last->next;
        n++;
    }
    rest = last->next;
    last->next = NULL;
    e->call.texts = e->next;
    e->call.n = n;
    e->upstream->write_request(&tr->body, &e->call, t);
    e->upstream->path(&tr->path, &e->call, t);
    tr->version = e->upstream->version;
    e->sent = vectors(&e->answer) + n;
    last->next = rest;
    e->call.texts = e->all;
    e->call.n = e->n;
}

static enum exchanged put_embedding(struct call *c, struct embedding *e)
{
    struct translation *tr = c->tr;
    struct embed_out out = {.model = tr->out.model, .id = tr->out.id, .spare = &c->w->scratch};
    bool told = e->answer.tokens >= 0;
    if (!told) {
        e->answer.tokens = embed_tokens_estimate(&e->call);
    }
    if (e->caller->write_answer(&tr->text, &e->call, &e->answer, &out) < 0) {
        return EXCHANGE_MALFORMED;
    }
    if (tr->text.overflow) {
        return EXCHANGE_TOO_LARGE;
    }
    tr->estimated = !told;
    c->usage.input = e->answer.tokens;
    return EXCHANGE_WHOLE;
}

/* What is malformed leaves no trace: the same texts may be asked about again. */
static enum exchanged take_embedding(struct call *c, struct embedding *e, struct str body)
{
    struct embed_answer before = e->answer;
    enum exchanged done = e->sent < e->n ? EXCHANGE_MORE : EXCHANGE_WHOLE;
    if (done == EXCHANGE_MORE) {
        e->kept += body.n;
        if (e->kept > KEPT_MAX) {
            return EXCHANGE_TOO_LARGE;
        }
        body = arena_dup(&c->req->arena, body); /* it must outlast the next ones */
    }
    if (e->upstream->read_answer(&e->answer, body) < 0 || vectors(&e->answer) != e->sent ||
        !embed_is_whole(&e->answer, e->sent)) {
        done = EXCHANGE_MALFORMED;
    } else if (done == EXCHANGE_WHOLE) {
        done = put_embedding(c, e);
    }
    if (done == EXCHANGE_MALFORMED) {
        e->answer = before;
    }
    for (uint32_t i = vectors(&before); done == EXCHANGE_MORE && i < e->sent; i++) {
        e->next = e->next->next;
    }
    return done;
}

/* ---- reranking ---- */

static int read_reranking(struct call *c, struct reranking *r)
{
    r->caller = rerank_format_of(c->ep.endpoint->family);
    r->upstream = rerank_format_of(c->target->provider->family);
    rerank_call_init(&r->call, &c->tr->form);
    return r->caller->read_request(&r->call, c->req->body);
}

static void write_reranking(struct call *c, struct reranking *r, const struct ir_target *t)
{
    r->upstream->write_request(&c->tr->body, &r->call, t);
    buf_add(&c->tr->path, r->upstream->path);
    c->tr->version = r->upstream->version;
}

static enum exchanged take_reranking(struct call *c, struct reranking *r, struct str body)
{
    struct rerank_answer answer;
    struct rerank_out out = {.model = c->tr->out.model, .id = c->tr->out.id};
    rerank_answer_init(&answer, &c->req->arena);
    if (r->upstream->read_answer(&answer, &r->call, body) < 0) {
        return EXCHANGE_MALFORMED;
    }
    /* Cohere bills searches and tells no tokens; nobody of its dialect expects them. */
    if (answer.tokens < 0 && r->caller->family != FAMILY_COHERE) {
        answer.tokens = rerank_tokens_estimate(&r->call);
        c->tr->estimated = true;
    }
    c->usage.input = answer.tokens;
    r->caller->write_answer(&c->tr->text, &r->call, &answer, &out);
    return EXCHANGE_WHOLE;
}

/* ---- counting tokens ---- */

static int read_counting(struct call *c, struct counting *k)
{
    k->caller = tokens_format_of_route(c->ep.endpoint->route);
    k->upstream = counter_of(c->target->provider);
    int r = tokens_read_request(k->caller, &c->tr->form, c->req->body);
    if (r == 0) {
        ir_call_finish(&c->tr->form);
        c->tr->form.schemas = c->w->schemas;
    }
    return r;
}

static void put_estimate(struct call *c, const struct counting *k)
{
    struct translation *tr = c->tr;
    tr->estimated = true;
    tokens_write_answer(k->caller, &tr->text,
                        tokens_estimate_for(&tr->form, c->target->provider->family));
}

/* The answer to a call that no upstream was asked about. */
static enum next answer_estimate(struct call *c, const struct counting *k)
{
    struct translation *tr = c->tr;
    tr->text = (struct buf){.arena = &c->req->arena};
    put_estimate(c, k);
    c->status = 200;
    http_head(c->req, 200, (int64_t)tr->text.n);
    http_field(c->req, STR("content-type"), STR("application/json"));
    http_field(c->req, STR("date"), http_date(http_server_of(c->req)));
    call_own_fields(c);
    http_lines(c->req, TRANSLATE_ESTIMATED);
    http_send_str(c->req, buf_str(&tr->text), true);
    return DONE;
}

static enum next write_counting(struct call *c, struct counting *k, const struct ir_target *t)
{
    struct translation *tr = c->tr;
    if (!k->upstream) {
        return answer_estimate(c, k);
    }
    if (tokens_write_request(k->upstream, &tr->body, &tr->form, t) < 0) {
        return answer_estimate(c, k);
    }
    tokens_path(k->upstream, &tr->path, t);
    tr->version = k->upstream->version;
    return NEXT;
}

static enum exchanged take_counting(struct call *c, const struct counting *k, struct str body)
{
    int64_t n = tokens_read_answer(k->upstream, body);
    if (n < 0) {
        return EXCHANGE_MALFORMED;
    }
    tokens_write_answer(k->caller, &c->tr->text, n);
    return EXCHANGE_WHOLE;
}

bool exchange_without(struct call *c, unsigned status)
{
    struct counting *k = &c->tr->exchange->count;
    /* Amazon refuses to count for models that are not Claude's with a 400. */
    bool cannot = status == 404 || status == 405 || status == 501 ||
                  (status == 400 && k->upstream->family == FAMILY_BEDROCK);
    if (work_of(c) != WORK_COUNT || !cannot) {
        return false;
    }
    put_estimate(c, k);
    return true;
}

/* ---- all of them ---- */

int exchange_read(struct call *c)
{
    struct exchange *x = c->tr->exchange = arena_zalloc(&c->req->input, sizeof *x);
    x->target = c->target;
    c->tr->form.keep = true; /* answers look at the request again */
    switch (work_of(c)) {
    case WORK_EMBED:
        return read_embedding(c, &x->embed);
    case WORK_RERANK:
        return read_reranking(c, &x->rerank);
    default:
        return read_counting(c, &x->count);
    }
}

bool exchange_goes_on(const struct call *c)
{
    return c->tr && c->tr->exchange && c->tr->exchange->target == c->target;
}

enum next exchange_write(struct call *c, const struct ir_target *t)
{
    struct exchange *x = c->tr->exchange;
    switch (work_of(c)) {
    case WORK_EMBED:
        write_embedding(c, &x->embed, t);
        return NEXT;
    case WORK_RERANK:
        write_reranking(c, &x->rerank, t);
        return NEXT;
    default:
        return write_counting(c, &x->count, t);
    }
}

enum exchanged exchange_take(struct call *c, struct str body)
{
    struct exchange *x = c->tr->exchange;
    switch (work_of(c)) {
    case WORK_EMBED:
        return take_embedding(c, &x->embed, body);
    case WORK_RERANK:
        return take_reranking(c, &x->rerank, body);
    default:
        return take_counting(c, &x->count, body);
    }
}
