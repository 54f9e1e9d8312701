/* A provider of OpenAI's family may have no /responses, and only its answer tells: 404 or 405, for a reason that
 * has nothing to do with what was asked for. Then the same call goes to its /chat/completions by translation;
 * nothing of it was done, and nothing has been sent to the caller. When that is answered, this worker remembers,
 * and for some minutes such calls go there at once.
 *
 *   404 ── the answer is held back (held.c) ─┬─ of a model, or of what the call names: it passes
 *                                            └─ else: forward again, translated
 */
#include "dialect/chat.h"
#include "gateway/again.h"
#include "gateway/translate.h"
#include "json/scan.h"

enum { LACKING_MS = 10 * 60 * 1000 };

bool lacking_responses(const struct call *c, const struct snap_provider *p)
{
    return c->lacks == p || c->hold->no_responses_until_ms[p->index] > loop_now_ms(c->w->loop);
}

bool lacking_may_tell(const struct call *c, unsigned status)
{
    const struct snap_provider *p = c->target->provider;
    bool asked = c->translated ? c->tr->upstream == format_of(FORMAT_RESPONSES)
                               : c->ep.endpoint->format == FORMAT_RESPONSES;
    return (status == 404 || status == 405) && asked && !c->lacks &&
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
    return lacking_may_tell(c, status) && (status == 405 || !is_about_the_call(c, body));
}

void lacking_again(struct call *c)
{
    again_forget(c);
    c->lacks = c->target->provider;
    c->translated = true;
    call_back_to(c, STAGE_forward);
    call_run(c);
}

void lacking_learn(struct call *c, unsigned status)
{
    if (c->lacks && c->lacks == c->target->provider && status != 404 && status != 405) {
        c->hold->no_responses_until_ms[c->lacks->index] = loop_now_ms(c->w->loop) + LACKING_MS;
    }
}
