/* A provider of OpenAI's family may have no /responses, and only its answer tells: 404 or 405, for a reason that
 * has nothing to do with what was asked for. Then the same call goes to its /chat/completions by translation;
 * nothing of it was done, and nothing has been sent to the caller. When that is answered, this worker remembers,
 * and for some minutes such calls go there at once.
 *
 *   404 ── the answer is held back, head and body ─┬─ of a model, or of what the call names: it passes
 *                                                  └─ else: forward again, translated
 */
#include "dialect/chat.h"
#include "gateway/translate.h"
#include "json/scan.h"

enum {
    LACKING_MS = 10 * 60 * 1000,
    BODY_MAX = 64 * 1024, /* some servers say it in a page; what is longer is something else */
};

struct lacking {
    struct h1_head *head;
    struct buf body;
};

bool lacking_responses(const struct call *c, const struct snap_provider *p)
{
    return c->lacks == p || c->hold->no_responses_until_ms[p->index] > loop_now_ms(c->w->loop);
}

/* An answer to /responses by which a provider may say that it has none. `api` tells of the others. */
static bool may_tell(const struct call *c, unsigned status)
{
    const struct snap_provider *p = c->target->provider;
    bool asked = c->translated ? c->tr->upstream == format_of(FORMAT_RESPONSES)
                               : c->ep.endpoint->format == FORMAT_RESPONSES;
    return (status == 404 || status == 405) && asked && !c->lacks && !c->not_lacking &&
           c->ep.endpoint->format == FORMAT_RESPONSES && p->family == FAMILY_OPENAI && !p->sim &&
           p->api == API_ANY;
}

/* Whether a text has one of the words in it; both in lower case. */
static bool has_word(struct str text, const char *const *words)
{
    for (; *words; words++) {
        if (str_find(text, str_of(*words)) >= 0) {
            return true;
        }
    }
    return false;
}

static struct str lower(struct arena *a, struct str s)
{
    char *to = arena_alloc(a, s.n + 1);
    for (size_t i = 0; i < s.n; i++) {
        to[i] = s.p[i] >= 'A' && s.p[i] <= 'Z' ? (char)(s.p[i] | 0x20) : s.p[i];
    }
    return str_make(to, s.n);
}

/* Whether the error is about something that the call names: the model, or what the provider keeps. */
static bool is_about_the_call(struct call *c, struct str body)
{
    static const char *const in_code[] = {"model", "deployment", "response",     "prompt",
                                          "item",  "file",       "conversation", NULL};
    static const char *const in_message[] = {"model", "deployment", "with id", NULL};
    struct arena *a = &c->req->arena;
    struct ir_error e = {.status = 404};
    enum json_type top;
    openai_read_error(a, body, json_scan(body, NULL, 0, &top, NULL) == 0, &e);
    struct str model = call_upstream_model(c);
    return e.param.n || has_word(lower(a, e.code), in_code) ||
           has_word(lower(a, e.message), in_message) ||
           (model.n && str_find(e.message, model) >= 0);
}

bool lacking_is_told(struct call *c, unsigned status, struct str body)
{
    return may_tell(c, status) && (status == 405 || !is_about_the_call(c, body));
}

void lacking_again(struct call *c)
{
    c->lacks = c->target->provider;
    c->lacking = NULL;
    c->translated = true;
    c->outcome = OUTCOME_OK;
    call_back_to(c, STAGE_forward);
    call_run(c);
}

void lacking_learn(struct call *c, unsigned status)
{
    if (c->lacks && c->lacks == c->target->provider && status != 404 && status != 405) {
        c->hold->no_responses_until_ms[c->lacks->index] = loop_now_ms(c->w->loop) + LACKING_MS;
    }
}

bool lacking_holds_back(struct call *c, const struct h1_head *h)
{
    if (!may_tell(c, h->status)) {
        return false;
    }
    c->lacking = arena_alloc(&c->req->arena, sizeof *c->lacking);
    *c->lacking = (struct lacking){.head = http_keep_head(&c->req->arena, h),
                                   .body = {.arena = &c->req->arena}};
    return true;
}

/* It passes after all: what was held back, and what comes. */
static void pass(struct call *c, bool end)
{
    struct lacking *l = c->lacking;
    struct iovec v = {l->body.p, l->body.n};
    c->lacking = NULL;
    c->not_lacking = true;
    relay_head(c, l->head);
    relay_body(c, &v, l->body.n > 0, end);
}

void lacking_body(struct call *c, const struct iovec *pieces, int n, bool end)
{
    struct lacking *l = c->lacking;
    for (int i = 0; i < n; i++) {
        buf_add(&l->body, str_make(pieces[i].iov_base, pieces[i].iov_len));
    }
    bool whole = end && l->body.n <= BODY_MAX;
    if (whole && lacking_is_told(c, l->head->status, buf_str(&l->body))) {
        lacking_again(c);
    } else if (end || l->body.n > BODY_MAX) {
        pass(c, end);
    } else {
        relay_watch(c);
    }
}
