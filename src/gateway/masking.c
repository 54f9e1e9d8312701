#include "gateway/masking_call.h"

#include "gateway/mask_rules.h"
#include "json/scan.h"
#include "json/walk.h"

enum { PATH_MAX_BYTES = 200, PATH_NAME_MAX = 40 };

/* ---- refusals ---- */

static enum next fail(struct call *c)
{
    struct call_error e = {
        .status = 503, .code = MASKING_FAILED.p, .outcome = OUTCOME_REFUSED, .should_retry = false};
    return call_fail(c, &e, "%s",
                     "The request could not be looked through for personal data, and a policy lets "
                     "nothing go that was not.");
}

static enum next cannot_look(struct call *c, const char *what)
{
    struct call_error e = {.status = 422, .code = "not_maskable", .outcome = OUTCOME_REFUSED};
    return call_fail(c, &e,
                     "%s cannot be looked through for personal data, and a policy lets nothing go "
                     "that was not.",
                     what);
}

/* What cannot be looked into goes all the same, or not: the policy says so. */
static bool may_pass(struct call *c)
{
    const struct snap_masking *m = c->masking->policy;
    bool pass = m->pass || (m->rules && !mask_policy_acts(m->rules->policy) &&
                            (!m->answers || !mask_policy_acts(m->answers->policy)));
    c->w->metrics.masking_failures[pass]++;
    return pass;
}

struct str masking_blocked_by(struct arena *a, uint32_t blocked)
{
    struct buf b = {.arena = a};
    for (unsigned i = 0; i < MASK_KINDS; i++) {
        if (blocked >> i & 1) {
            buf_addz(&b, b.n ? ", " : "");
            buf_addz(&b, mask_kind_word((enum mask_kind)i));
        }
    }
    return buf_str(&b);
}

/* messages[1].content: where the byte at `at` stands in a valid document. */
static struct str path_at(struct arena *a, struct str body, size_t at)
{
    struct buf b = {.arena = a};
    struct walk w = walk_at(body);
    const char *place = body.p + at;
    bool inside = true;
    while (inside && b.n < PATH_MAX_BYTES && walk_type(&w) != JSON_STRING) {
        bool object = walk_type(&w) == JSON_OBJECT;
        struct str key, value;
        inside = false;
        if (!object && walk_type(&w) != JSON_ARRAY) {
            break;
        }
        walk_enter(&w);
        for (size_t i = 0; !inside && (object ? walk_member(&w, &key) : walk_element(&w)); i++) {
            value = walk_value(&w);
            if (place < value.p || place >= value.p + value.n) {
                continue;
            }
            if (object) {
                buf_addz(&b, b.n ? "." : "");
                buf_add(&b, str_first(key, key.n < PATH_NAME_MAX ? key.n : PATH_NAME_MAX));
            } else {
                buf_printf(&b, "[%zu]", i);
            }
            w = walk_at(value);
            inside = true;
        }
    }
    return buf_str(&b);
}

static enum next refuse_blocked(struct call *c)
{
    const struct mask_call *m = &c->masking->call;
    struct arena *a = &c->req->arena;
    struct str path = path_at(a, c->masking->clear, m->blocked_at);
    struct str detectors = masking_blocked_by(a, m->blocked);
    struct call_error e = {.status = 422,
                           .code = MASKING_BLOCKED.p,
                           .param = arena_dupz(a, path),
                           .outcome = OUTCOME_REFUSED};
    return call_fail(c, &e,
                     "The request holds what a policy does not let go (found by: %.*s), first in "
                     "%.*s.",
                     STR_ARG(detectors), STR_ARG(path));
}

/* ---- the body ---- */

/* Where a byte of the clear body stands in the masked one. */
static size_t moved(const struct masking *m, size_t at)
{
    size_t to = at;
    for (size_t i = 0; i < m->n_spans && m->spans[i].at < at; i++) {
        to = to + m->spans[i].with.n - m->spans[i].n;
    }
    return to;
}

static void put_masked(struct call *c)
{
    struct masking *m = c->masking;
    size_t room = moved(m, m->clear.n);
    struct buf b = {.arena = &c->req->input};
    (void)buf_room(&b, room + 1);
    b.n = 0;
    mask_splice(m->clear, m->spans, m->n_spans, &b);
    m->masked = c->req->body = buf_str(&b);
    if (m->member.n) {
        c->member = str_make(b.p + moved(m, (size_t)(m->member.p - m->clear.p)), m->member.n);
    }
    for (unsigned i = 0; i < c->n_splices; i++) {
        c->splice[i] = m->splice[i];
        c->splice[i].at = (uint32_t)moved(m, m->splice[i].at);
    }
}

/* Looks through the clear body. */
static enum next look(struct call *c)
{
    static const struct str model = {"model", 5};
    struct masking *m = c->masking;
    bool named = m->member.n && c->ep.endpoint->model_in == MODEL_IN_BODY;
    struct mask_members members = {.top = &model, .n_top = named};
    memset(m->call.counts, 0, sizeof m->call.counts);
    memset(m->call.acted, 0, sizeof m->call.acted);
    m->call.blocked = 0;
    m->n_spans = 0;
    m->looked = false;
    if (!m->policy->rules || c->w->masks_unfit) {
        return may_pass(c) ? NEXT : fail(c);
    }
    int r = mask_body(&m->call, m->clear, &members, &m->spans, &m->n_spans);
    if (r < 0) {
        m->n_spans = 0;
        return may_pass(c) ? NEXT : fail(c);
    }
    m->looked = r == 0;
    return r > 0 ? refuse_blocked(c) : NEXT;
}

void masking_lift(struct call *c)
{
    struct masking *m = c->masking;
    if (m && m->masked.n && c->req->body.p == m->masked.p) {
        c->req->body = m->clear;
        c->member = m->member;
        memcpy(c->splice, m->splice, sizeof m->splice);
    }
}

enum next masking_cover(struct call *c)
{
    struct masking *m = c->masking;
    if (!m) {
        return NEXT;
    }
    if (c->req->body.p != m->clear.p) {
        m->clear = c->req->body;
        m->member = c->member;
        memcpy(m->splice, c->splice, sizeof m->splice);
        m->masked = (struct str){0};
        enum next n = look(c);
        if (n != NEXT) {
            return n;
        }
    }
    if (m->n_spans) {
        put_masked(c);
    }
    if (m->call._vault || m->policy->answers) {
        c->marked = c->marked || !m->call.one_way;
    }
    return NEXT;
}

struct str masking_clear(const struct call *c)
{
    return c->masking && c->masking->masked.n ? c->masking->clear : (struct str){0};
}

/* ---- the stage ---- */

/* Endpoints whose answers are told as events, and so can be looked into. */
static bool answers_in_events(const struct endpoint *ep)
{
    return ep->format != FORMAT_NONE;
}

/* ... and those in whose answers a model writes no text. */
static bool answers_no_text(const struct endpoint *ep)
{
    return ep->work == WORK_RERANK || ep->work == WORK_COUNT ||
           (ep->work == WORK_EMBED && ep->family != FAMILY_BEDROCK) ||
           str_eq(ep->route, STR("openai.moderations")) || str_eq(ep->route, STR("openai.speech"));
}

/* An upstream that keeps the conversation has tokens of earlier calls in it, which must not be taken for new ones. */
static uint32_t first_number(struct call *c)
{
    struct str id;
    bool follows = c->ep.endpoint->format == FORMAT_RESPONSES &&
                   (c->conversation.n ||
                    json_member(c->req->body, STR("previous_response_id"), &id) == JSON_STRING);
    return follows ? 1000 + (uint32_t)(worker_random(c->w) % 99990000) : 0;
}

enum next masking_request(struct call *c)
{
    const struct snapshot *s = c->hold->snap;
    const struct endpoint *ep = c->ep.endpoint;
    const struct snap_masking *policy =
        &s->maskings[c->key->masking * (size_t)s->masking_models + c->model->masking];
    if (!policy->on || c->masking) {
        return NEXT;
    }
    struct masking *m = c->masking = arena_zalloc(&c->req->arena, sizeof *m);
    m->policy = policy;
    m->call = (struct mask_call){.policy = policy->rules ? policy->rules->policy : NULL,
                                 .scratch = c->w->masks,
                                 .arena = &c->req->arena,
                                 .one_way = !answers_in_events(ep)};
    m->answer = m->call;
    m->answer.policy = policy->answers && !c->w->masks_unfit ? policy->answers->policy : NULL;
    m->answer.one_way = true;
    if (c->form) {
        return may_pass(c) ? NEXT : cannot_look(c, "A form");
    }
    if (policy->answers && !answers_in_events(ep) && !answers_no_text(ep) && !may_pass(c)) {
        return cannot_look(c, "What this endpoint answers");
    }
    enum next n = translate_check_body(c);
    if (n != NEXT) {
        return n;
    }
    m->call.first = first_number(c);
    return masking_cover(c);
}

enum next masking_text(struct call *c, struct str *text)
{
    struct masking *m = c->masking;
    struct mask_splice *spans;
    size_t n;
    if (!m || !m->call.policy) {
        return NEXT;
    }
    int r = mask_text(&m->call, *text, &spans, &n);
    m->looked = m->looked && r == 0;
    if (r < 0) {
        return may_pass(c) ? NEXT : fail(c);
    }
    if (r > 0) {
        struct call_error e = {
            .status = 422, .code = MASKING_BLOCKED.p, .outcome = OUTCOME_REFUSED};
        return call_fail(c, &e,
                         "A document that the request names holds what a policy does not let go.");
    }
    struct buf b = {.arena = &c->req->input};
    mask_splice(*text, spans, n, &b);
    *text = n ? buf_str(&b) : *text;
    return NEXT;
}

/* ---- what is told of it ---- */

void masking_field(struct call *c)
{
    const struct masking *m = c->masking;
    struct buf b = {.arena = &c->req->arena};
    for (unsigned i = 0; i < MASK_KINDS; i++) {
        uint64_t n = m->call.counts[i] + m->answer.counts[i];
        if (n) {
            buf_addz(&b, b.n ? ", " : "accord-masked: ");
            buf_printf(&b, "%s=%llu", mask_kind_word((enum mask_kind)i), (unsigned long long)n);
        }
    }
    if (b.n) {
        buf_addz(&b, "\r\n");
        http_lines(c->req, buf_str(&b));
    }
}

void masking_end(struct call *c)
{
    struct masking *m = c->masking;
    mask_stream_drop(&m->stream);
    for (unsigned i = 0; i < MASK_KINDS; i++) {
        for (unsigned k = 0; k < MASK_ACTIONS; k++) {
            c->w->metrics.masked[i][k] += m->call.acted[i][k] + m->answer.acted[i][k];
        }
    }
}

void masking_fit(struct worker *w, const struct snapshot *s)
{
    w->masks_unfit = false;
    for (size_t i = 0; i < s->n_maskings; i++) {
        const struct mask_rules *of[] = {s->maskings[i].rules, s->maskings[i].answers};
        for (unsigned k = 0; k < 2; k++) {
            if (of[k] && mask_scratch_fit(&w->masks, of[k]->policy) < 0) {
                w->masks_unfit = true;
            }
        }
    }
}
