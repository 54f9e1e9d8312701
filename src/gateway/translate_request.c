/* The way out: the caller's request in the upstream's dialect. */
#include "gateway/exchange.h"
#include "gateway/inline.h"
#include "gateway/masking.h"
#include "gateway/sign.h"
#include "json/judge.h"
#include "json/scan.h"

/* Beyond what is usual: many times the same image, or text that is escaped anew. */
enum { BODY_GROWTH_MAX = 64 * 1024 * 1024 };

enum { HEAD_USUAL = 768 };

static enum format_id format_at(const struct snap_provider *p)
{
    if (p->family == FAMILY_OPENAI && p->api == API_RESPONSES) {
        return FORMAT_RESPONSES;
    }
    return format_of_family(p->family);
}

/* Whether a provider of the caller's own dialect has the endpoint itself. */
static bool has_endpoint(const struct call *c, const struct snap_provider *p, enum format_id format)
{
    if (p->family != FAMILY_OPENAI || p->sim) {
        return true;
    }
    if (format == FORMAT_RESPONSES) {
        return p->api == API_RESPONSES ||
               (p->api == API_ANY && !(p->quirks & QUIRK_NO_RESPONSES) && !lacking_responses(c, p));
    }
    return format != FORMAT_CHAT || p->api != API_RESPONSES;
}

bool translate_same_family(const struct snap_provider *p, enum family f)
{
    return p->sim ? f == FAMILY_OPENAI || f == FAMILY_ANTHROPIC || f == FAMILY_GEMINI
                  : p->family == f;
}

enum plan translate_plan(const struct call *c, const struct snap_target *t)
{
    const struct endpoint *ep = c->ep.endpoint;
    const struct snap_provider *p = t->provider;
    if (p->family == ep->family && ep->format == FORMAT_CHAT && p->api == API_ANY && !c->marked) {
        return PLAN_PASS; /* nearly always */
    }
    if (ep->work) {
        return exchange_plan(c, t);
    }
    enum format_id from = ep->format, to = format_at(p);
    if (translate_same_family(t->provider, ep->family) && has_endpoint(c, t->provider, from) &&
        !c->marked && from != FORMAT_OLLAMA_GENERATE) {
        return PLAN_PASS;
    }
    if (from == FORMAT_NONE || !format_of(from) || !format_of(to)) {
        return translate_same_family(t->provider, ep->family) ? PLAN_PASS : PLAN_NOT;
    }
    return PLAN_TRANSLATE;
}

static struct translation *begin(struct call *c)
{
    const struct endpoint *ep = c->ep.endpoint;
    struct translation *tr = c->tr;
    struct buf body = tr ? tr->body : (struct buf){0};
    if (!tr) {
        tr = c->tr = arena_alloc(&c->req->arena, sizeof *tr);
    }
    /* What is no conversation says errors as the conversations of its family do. */
    *tr = (struct translation){.caller =
                                   format_of(ep->work ? format_of_family(ep->family) : ep->format),
                               .upstream = format_of(format_at(c->target->provider)),
                               .body = body};
    if (c->marked && !ep->work && translate_same_family(c->target->provider, tr->caller->family) &&
        has_endpoint(c, c->target->provider, ep->format)) {
        tr->upstream = tr->caller; /* only because foreign signatures must not go along */
    }
    tr->version = tr->upstream->version;
    ir_call_init(&tr->form, &c->req->input);
    tr->form.stream = c->stream;
    tr->form.own = tr->upstream == tr->caller;
    return tr;
}

/* Names that vendors do not take are spelled anew in requests; answers say them as the caller knows them. */
static void note_renamed(struct call *c, struct translation *tr)
{
    for (const struct ir_tool *t = tr->form.tools; t; t = t->next) {
        struct str there = ir_function_name(&c->req->input, t->name);
        if (there.p != t->name.p) {
            struct renamed *r = arena_alloc(&c->req->arena, sizeof *r);
            *r = (struct renamed){.next = tr->renamed,
                                  .here = arena_dup(&c->req->arena, t->name),
                                  .there = arena_dup(&c->req->arena, there)};
            tr->renamed = r;
        }
    }
}

/* Some answers say again what was asked: the caller's own words, not those that went out. */
static void read_echo(struct call *c, struct translation *tr)
{
    struct ir_call *echo = arena_alloc(&c->req->input, sizeof *echo);
    ir_call_init(echo, &c->req->input);
    echo->stream = tr->form.stream;
    echo->own = tr->form.own;
    kept_tell(c, echo);
    if (tr->caller->read_request(echo, masking_clear(c)) == 0) {
        ir_call_finish(echo);
        echo->schemas = c->w->schemas;
        tr->echo = echo;
    }
}

/* The body's texts are taken out, so they must be good; when it was shaped, only its structure was looked at. */
enum next translate_check_body(struct call *c)
{
    struct json_error err;
    enum json_type top;
    if (c->body_scanned && json_texts_are_good(c->req->body)) {
        return NEXT;
    }
    if (json_scan(c->req->body, NULL, 0, &top, &err) < 0) {
        struct call_error e = {.status = 400, .code = "invalid_json", .outcome = OUTCOME_REFUSED};
        return call_fail(c, &e, "The request body is not valid JSON: %s (at byte %zu).", err.why,
                         err.at);
    }
    if (top != JSON_OBJECT) {
        struct call_error e = {.status = 400, .code = "invalid_json", .outcome = OUTCOME_REFUSED};
        return call_fail(c, &e, "The request body must be a JSON object.");
    }
    return NEXT;
}

static enum next read_form(struct call *c, struct translation *tr)
{
    bool work = c->ep.endpoint->work != WORK_OTHER;
    enum next n = translate_check_body(c);
    if (n != NEXT) {
        return n;
    }
    if ((work ? exchange_read(c) : tr->caller->read_request(&tr->form, c->req->body)) < 0) {
        struct call_error e = {.status = 400,
                               .code = "invalid_request",
                               .param = arena_dupz(&c->req->arena, tr->form.bad_param),
                               .outcome = OUTCOME_REFUSED};
        return call_fail(c, &e, "%.*s.", STR_ARG(tr->form.bad));
    }
    if (work) {
        return NEXT;
    }
    ir_call_finish(&tr->form);
    tr->form.schemas = c->w->schemas;
    note_renamed(c, tr);
    if (tr->form.keep && masking_clear(c).n) {
        read_echo(c, tr);
    }
    return NEXT;
}

/* What was lost, as a field of the answer; a caller who wants nothing lost is refused. */
static enum next tell_losses(struct call *c, struct translation *tr)
{
    struct buf b = {.arena = &c->req->arena};
    if (!tr->form.dropped) {
        return NEXT;
    }
    buf_add(&b, STR("accord-dropped: "));
    for (const struct ir_list *l = tr->form.dropped; l; l = l->next) {
        buf_add(&b, l->text);
        buf_add(&b, l->next ? STR(", ") : STR("\r\n"));
    }
    tr->dropped = buf_str(&b);
    if (str_ieq(h1_find(c->req->head, STR("accord-loss")), STR("strict"))) {
        struct str names = str_from(tr->dropped, 16);
        struct call_error e = {.status = 422, .code = "not_carried", .outcome = OUTCOME_REFUSED};
        return call_fail(c, &e,
                         "The provider \"%.*s\" cannot be told: %.*s. Without accord-loss: strict "
                         "the call is made without it.",
                         STR_ARG(c->target->provider->id), (int)names.n - 2, names.p);
    }
    c->w->metrics.translated_lossy++;
    return NEXT;
}

/* The conversation as it is to be read: with what came before it, and what it names by URL. */
static enum next read_conversation(struct call *c, struct translation *tr)
{
    enum next n = NEXT;
    if (tr->caller == format_of(FORMAT_RESPONSES) && tr->upstream != tr->caller) {
        masking_lift(c);
        n = kept_enter(c); /* others keep their own */
        n = n == NEXT ? masking_cover(c) : n;
    }
    kept_tell(c, &tr->form);
    n = n == NEXT ? read_form(c, tr) : n;
    return n == NEXT ? inline_urls(c, tr) : n;
}

static struct ir_target target_of(const struct call *c)
{
    const struct snap_target *at = c->target;
    struct ir_target t = {.model = call_upstream_model(c),
                          .family = c->tr->upstream->family,
                          .quirks = at->quirks,
                          .max_output = at->max_output};
    if (!at->model.n || t.family != at->provider->family) {
        t.quirks = at->provider->quirks | vendor_model_quirks(t.family, t.model);
        t.max_output = vendor_model_output(t.model);
    }
    return t;
}

static enum next write_form(struct call *c, struct translation *tr)
{
    struct ir_target t = target_of(c);
    if (tr->exchange) {
        return exchange_write(c, &t);
    }
    tr->upstream->write_request(&tr->body, &tr->form, &t);
    tr->upstream->path(&tr->path, &tr->form, &t);
    return NEXT;
}

enum next translate_request(struct call *c)
{
    bool goes_on = exchange_goes_on(c);
    struct translation *tr = goes_on ? c->tr : begin(c);
    enum next n = goes_on                ? NEXT
                  : c->ep.endpoint->work ? read_form(c, tr)
                                         : read_conversation(c, tr);
    if (n != NEXT) {
        return n;
    }
    size_t room = c->req->body.n + c->req->body.n / 4 + inline_size(c) + 512;
    /* What was written for the last attempt has been sent, or never will be: its room serves again. */
    tr->body = (struct buf){.arena = &c->req->input,
                            .limit = room + BODY_GROWTH_MAX,
                            .p = tr->body.p,
                            .cap = tr->body.cap};
    tr->path = (struct buf){.arena = &c->req->input, .p = tr->path.p, .cap = tr->path.cap};
    (void)buf_room(&tr->body, room); /* grown once, mostly */
    tr->body.n = 0;
    n = write_form(c, tr);
    if (n != NEXT) {
        return n;
    }
    if (tr->body.overflow) {
        struct call_error e = {
            .status = 413, .code = "request_too_large", .outcome = OUTCOME_REFUSED};
        return call_fail(c, &e, "The request is too large when it is translated to %.*s.",
                         STR_ARG(tr->upstream->name));
    }
    return goes_on ? NEXT : tell_losses(c, tr);
}

/* The caller's own fields are words of another dialect; few mean the same everywhere. */
static void add_fields(struct buf *b, const struct h1_head *h)
{
    static const enum header_id passed[] = {H_USER_AGENT, H_TRACEPARENT, H_TRACESTATE, H_BAGGAGE};
    for (size_t i = 0; i < sizeof passed / sizeof *passed; i++) {
        struct str value = h1_get(h, passed[i]);
        if (value.n) {
            buf_add(b, header_name[passed[i]]);
            buf_add(b, STR(": "));
            buf_add(b, value);
            buf_add(b, STR("\r\n"));
        }
    }
}

/* The path at the upstream, the version in front of it where its base URL has none. */
static void add_target(struct buf *b, const struct call *c)
{
    const struct translation *tr = c->tr;
    struct str base = c->target->provider->base_path, path = buf_str(&tr->path);
    buf_add(b, base);
    if (endpoint_has_version(base)) {
        /* /v2 and then /v2/chat: it stands there already */
        ptrdiff_t slash = path.n > 1 ? str_chr(str_from(path, 1), '/') : -1;
        struct str first = str_first(path, slash < 0 ? 0 : (size_t)slash + 1);
        path = first.n && str_ends(base, first) ? str_from(path, first.n) : path;
    } else {
        buf_add(b, tr->version);
    }
    buf_add(b, path);
}

struct str translate_head_for(struct call *c)
{
    const struct translation *tr = c->tr;
    const struct snap_provider *p = c->target->provider;
    struct buf b = {.arena = &c->req->input};
    (void)buf_room(&b, HEAD_USUAL + c->credential->fields.n); /* grown once, mostly */
    b.n = 0;
    buf_add(&b, STR("POST "));
    buf_add(&b, p->absolute);
    size_t target = b.n;
    add_target(&b, c);
    size_t target_n = b.n - target;
    buf_add(&b, STR(" HTTP/1.1\r\n"));
    buf_add(&b, c->credential->fields);
    if (c->credential->aws) {
        struct iovec body = {tr->body.p, tr->body.n};
        buf_add(&b, sign_request(c, str_make(b.p + target, target_n), &body, 1));
    }
    if (p->family == FAMILY_ANTHROPIC) {
        buf_add(&b, STR("anthropic-version: 2023-06-01\r\n"));
    }
    add_fields(&b, c->req->head);
    buf_add(&b, STR("content-type: application/json\r\ncontent-length: "));
    buf_add_u64(&b, tr->body.n);
    buf_add(&b, STR("\r\n\r\n"));
    return buf_str(&b);
}
