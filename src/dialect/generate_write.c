/* gemini.generate, requests as they are written for an upstream: contents, and the path. */
#include "dialect/generate.h"
#include "json/scan.h"

enum { ORDERED_MAX = 256 };

struct writer {
    struct buf *b;
    struct ir_call *c;
    const struct ir_target *t;
    bool any;                    /* a content was written */
    bool open, model;            /* one is open, and it is the model's */
    const struct ir_turn *asked; /* the model's turn whose calls the results that come answer */
};

static bool is(const struct writer *w, enum quirk q)
{
    return w->t->quirks & q;
}

/* ---- parts ---- */

/* Before each part: contents of one role in a row are one content, and none is empty. */
static void begin_part(struct writer *w, bool model)
{
    if (w->open && w->model != model) {
        buf_add(w->b, STR("]}"));
        w->open = false;
    }
    ir_comma(w->b);
    if (!w->open) {
        buf_add(w->b, model ? STR("{\"role\":\"model\",\"parts\":[")
                            : STR("{\"role\":\"user\",\"parts\":["));
        w->open = w->any = true;
        w->model = model;
    }
    buf_addc(w->b, '{');
}

static void end_part(struct writer *w)
{
    buf_addc(w->b, '}');
}

/* A signature goes back to who made it, and to nobody else. */
static bool is_own(const struct writer *w, const struct ir_part *p)
{
    return p->signature.n && p->issuer == w->t->family;
}

static void put_signature(struct writer *w, const struct ir_part *p)
{
    if (is_own(w, p)) {
        ir_put_text(w->b, "thoughtSignature", p->signature);
    }
}

static void put_text(struct writer *w, bool model, const struct ir_part *p)
{
    if (p->text.n) {
        begin_part(w, model);
        ir_put_text(w->b, "text", p->text);
        put_signature(w, p);
        end_part(w);
    }
}

static struct str media_type_of(const struct ir_part *p)
{
    if (p->media_type.n) {
        return p->media_type;
    }
    struct str url = p->url, path;
    str_cut(&url, '?', &path);
    struct str guess = ir_media_of(p->title.n ? p->title : path);
    return guess.n               ? guess
           : p->kind == IR_IMAGE ? STR("image/jpeg")
           : p->kind == IR_AUDIO ? STR("audio/wav")
                                 : STR("application/pdf");
}

/* Files of Google's own API are named by their address or "files/...". */
static bool is_google_file(struct str file)
{
    return str_starts(file, STR("files/")) || str_starts(file, STR("https:"));
}

static void put_media(struct writer *w, const struct ir_part *p)
{
    struct str uri = p->url.n ? p->url : p->file;
    if (p->kind == IR_DOCUMENT && p->text.n) {
        put_text(w, false, p);
        return;
    }
    if (!p->data.n && (!uri.n || (!p->url.n && !is_google_file(uri)))) {
        ir_drop(w->c, STR("messages.content[file_id]"));
        return;
    }
    begin_part(w, false);
    buf_add(w->b, p->data.n ? STR("\"inlineData\":{") : STR("\"fileData\":{"));
    ir_put_text(w->b, "mimeType", media_type_of(p));
    if (p->data.n) {
        ir_put_text(w->b, "data", p->data);
    } else {
        ir_put_text(w->b, "fileUri", uri);
    }
    buf_addc(w->b, '}');
    end_part(w);
}

static void note_cache(struct writer *w, const struct ir_part *p)
{
    if (p->cache) {
        ir_drop(w->c, STR("cache_control"));
    }
}

/* ---- results ---- */

static bool is_media(const struct ir_part *p)
{
    return (p->kind == IR_IMAGE || p->kind == IR_DOCUMENT || p->kind == IR_AUDIO) && !p->text.n;
}

/* What a result says, as one text. */
static struct str result_text(struct writer *w, const struct ir_part *r)
{
    struct str only = {0};
    struct buf b = {.arena = w->c->arena};
    for (const struct ir_part *p = r->parts; p; p = p->next) {
        if (!p->text.n) {
            continue;
        }
        if (only.n) {
            if (!b.n) {
                buf_add(&b, only);
            }
            buf_add(&b, STR("\\n"));
            buf_add(&b, p->text);
        }
        only = only.n ? only : p->text;
    }
    return b.n ? buf_str(&b) : only;
}

/* The JSON object that a text is; empty when it is none. */
static struct str object_of(struct writer *w, struct str escaped)
{
    struct str plain = {0};
    enum json_type top;
    if (escaped.n && (escaped.p[0] == '{' || escaped.p[0] == '\\' || escaped.p[0] == ' ')) {
        plain = str_trim(ir_plain(w->c->arena, escaped));
    }
    bool object = plain.n && json_scan(plain, NULL, 0, &top, NULL) == 0 && top == JSON_OBJECT;
    return object ? plain : (struct str){0};
}

static void put_result(struct writer *w, const struct ir_part *p)
{
    struct str text = result_text(w, p), object = object_of(w, text);
    begin_part(w, false);
    buf_add(w->b, STR("\"functionResponse\":{"));
    ir_put_text(w->b, "id", ir_id(w->c->arena, p->id, IR_ID_ANY));
    ir_put_text(w->b, "name",
                p->name.n ? generate_function_name(w->c->arena, p->name) : STR("function"));
    ir_put_name(w->b, "response");
    if (object.n && !p->is_error) {
        buf_add(w->b, object);
    } else {
        buf_addc(w->b, '{');
        ir_put_name(w->b, p->is_error ? "error" : "result");
        if (object.n) {
            buf_add(w->b, object);
        } else {
            buf_addc(w->b, '"');
            buf_add(w->b, text);
            buf_addc(w->b, '"');
        }
        buf_addc(w->b, '}');
    }
    buf_addc(w->b, '}');
    end_part(w);
    note_cache(w, p);
}

static void put_result_media(struct writer *w, const struct ir_part *r)
{
    for (const struct ir_part *p = r->kind == IR_TOOL_RESULT ? r->parts : NULL; p; p = p->next) {
        if (is_media(p)) {
            put_media(w, p);
        }
    }
}

/* Results of the turns of a user in a row. */
struct results {
    const struct ir_part *of[ORDERED_MAX];
    unsigned n;
    bool more; /* than have room: they stay as they are */
};

static void collect(struct results *r, const struct ir_turn *first, const struct ir_turn *end)
{
    for (const struct ir_turn *t = first; t != end; t = t->next) {
        for (const struct ir_part *p = t->first; p; p = p->next) {
            if (p->kind != IR_TOOL_RESULT) {
                continue;
            }
            if (r->n == ORDERED_MAX) {
                r->more = true;
                return;
            }
            r->of[r->n++] = p;
        }
    }
}

static void put_in_order(struct writer *w, struct results *r)
{
    for (const struct ir_part *p = w->asked ? w->asked->first : NULL; p; p = p->next) {
        for (unsigned i = 0; p->kind == IR_TOOL_CALL && i < r->n; i++) {
            if (r->of[i] && str_eq(r->of[i]->id, p->id)) {
                put_result(w, r->of[i]);
                r->of[i] = NULL;
                break;
            }
        }
    }
    for (unsigned i = 0; i < r->n; i++) {
        if (r->of[i]) {
            put_result(w, r->of[i]);
        }
    }
}

/* Results in the order of the calls, then what they hold besides text. */
static void put_results(struct writer *w, const struct ir_turn *first, const struct ir_turn *end)
{
    struct results r;
    r.n = 0;
    r.more = false;
    collect(&r, first, end);
    if (!r.n) {
        return;
    }
    if (!r.more) {
        put_in_order(w, &r);
    }
    for (const struct ir_turn *t = first; t != end; t = t->next) {
        for (const struct ir_part *p = t->first; r.more && p; p = p->next) {
            if (p->kind == IR_TOOL_RESULT) {
                put_result(w, p);
            }
        }
    }
    for (const struct ir_turn *t = first; t != end; t = t->next) {
        for (const struct ir_part *p = t->first; p; p = p->next) {
            put_result_media(w, p);
        }
    }
}

/* ---- turns ---- */

/* Turns of the user, and instructions in the middle, which this dialect has no role for. */
static void put_users(struct writer *w, const struct ir_turn *first, const struct ir_turn *end)
{
    put_results(w, first, end);
    for (const struct ir_turn *t = first; t != end; t = t->next) {
        for (const struct ir_part *p = t->first; p; p = p->next) {
            if (p->kind == IR_TOOL_RESULT) {
                continue;
            }
            note_cache(w, p);
            if (p->kind == IR_TEXT || p->kind == IR_REFUSAL) {
                put_text(w, false, p);
            } else {
                put_media(w, p);
            }
        }
    }
}

/* Calls that Gemini 3 did not make itself have no signature, which it refuses; this text is the way that its
 * documentation names. In all turns, not only in the current one: what was sent before stays the same, and
 * with it the prompt cache. */
#define NO_SIGNATURE "skip_thought_signature_validator"

struct call_state {
    bool first_seen;      /* of the turn's calls */
    struct str signature; /* from thinking of which nothing may be seen */
};

static void put_call(struct writer *w, const struct ir_part *p, struct call_state *s)
{
    begin_part(w, true);
    buf_add(w->b, STR("\"functionCall\":{"));
    ir_put_text(w->b, "id", ir_id(w->c->arena, p->id, IR_ID_ANY));
    ir_put_text(w->b, "name", generate_function_name(w->c->arena, p->name));
    ir_put_value(w->b, "args", p->args);
    buf_addc(w->b, '}');
    if (is_own(w, p)) {
        put_signature(w, p);
    } else if (s->signature.n) {
        ir_put_text(w->b, "thoughtSignature", s->signature);
    } else if (is(w, QUIRK_GEMINI_3) && !s->first_seen) {
        ir_put_text(w->b, "thoughtSignature", STR(NO_SIGNATURE));
    }
    s->signature = (struct str){0};
    s->first_seen = true;
    end_part(w);
}

/* Dialects whose calls carry no signature keep it in thinking ahead of them. */
static bool goes_to_call(const struct writer *w, const struct ir_part *p)
{
    const struct ir_part *next = p->next;
    return p->redacted && next && next->kind == IR_TOOL_CALL &&
           (!is_own(w, next) || str_eq(next->signature, p->signature));
}

static void put_thinking(struct writer *w, const struct ir_part *p, struct call_state *s)
{
    if (p->issuer != w->t->family || (p->redacted && !p->signature.n)) {
        ir_drop(w->c, STR("messages.thinking"));
    } else if (goes_to_call(w, p)) {
        s->signature = p->signature;
    } else if (p->redacted) {
        begin_part(w, true);
        buf_add(w->b, STR("\"text\":\"\""));
        put_signature(w, p);
        end_part(w);
    } else if (p->text.n) {
        begin_part(w, true);
        ir_put_text(w->b, "text", p->text);
        ir_put_bool(w->b, "thought", true);
        put_signature(w, p);
        end_part(w);
    }
}

static void put_model(struct writer *w, const struct ir_turn *t)
{
    struct call_state s = {0};
    for (const struct ir_part *p = t->first; p; p = p->next) {
        note_cache(w, p);
        switch (p->kind) {
        case IR_TEXT:
        case IR_REFUSAL:
            put_text(w, true, p);
            break;
        case IR_THINKING:
            put_thinking(w, p, &s);
            break;
        case IR_TOOL_CALL:
            put_call(w, p, &s);
            break;
        default:
            ir_drop(w->c, p->kind == IR_AUDIO   ? STR("messages.content[audio]")
                          : p->kind == IR_IMAGE ? STR("messages.content[image]")
                                                : STR("messages.content[document]"));
            break;
        }
    }
    w->asked = t;
}

static void put_contents(struct writer *w, bool system_too)
{
    buf_add(w->b, STR("\"contents\":["));
    for (const struct ir_part *p = system_too ? w->c->system : NULL; p; p = p->next) {
        put_text(w, false, p);
    }
    for (const struct ir_turn *t = w->c->turns; t;) {
        if (t->role == IR_ASSISTANT) {
            put_model(w, t);
            t = t->next;
            continue;
        }
        const struct ir_turn *end = t;
        while (end && end->role != IR_ASSISTANT) {
            end = end->next;
        }
        put_users(w, t, end);
        t = end;
    }
    if (!w->any) { /* one part at least is demanded */
        begin_part(w, false);
        buf_add(w->b, STR("\"text\":\" \""));
        end_part(w);
    }
    buf_add(w->b, STR("]}]"));
}

static void put_system(struct writer *w)
{
    size_t before = w->b->n;
    bool any = false;
    buf_add(w->b, STR(",\"systemInstruction\":{\"parts\":["));
    for (const struct ir_part *p = w->c->system; p; p = p->next) {
        note_cache(w, p);
        if (p->text.n) {
            ir_comma(w->b);
            buf_addc(w->b, '{');
            ir_put_text(w->b, "text", p->text);
            buf_addc(w->b, '}');
            any = true;
        }
    }
    buf_add(w->b, STR("]}"));
    if (!any) {
        w->b->n = before;
    }
}

void generate_write_request(struct buf *b, struct ir_call *c, const struct ir_target *t)
{
    struct writer w = {.b = b, .c = c, .t = t};
    buf_addc(b, '{');
    put_contents(&w, !c->turns); /* which may not be empty */
    if (c->turns) {
        put_system(&w);
    }
    generate_put_config(b, c, t);
    buf_addc(b, '}');
}

/* ---- the path ---- */

static void put_escaped(struct buf *b, struct str s)
{
    static const char digits[] = "0123456789ABCDEF";
    for (size_t i = 0; i < s.n; i++) {
        unsigned char ch = (unsigned char)s.p[i];
        bool plain = (ch >= '0' && ch <= '9') || ((ch | 0x20) >= 'a' && (ch | 0x20) <= 'z') ||
                     (ch && strchr("-._~/@", ch));
        if (plain) {
            buf_addc(b, (char)ch);
        } else {
            buf_addc(b, '%');
            buf_addc(b, digits[ch >> 4]);
            buf_addc(b, digits[ch & 15]);
        }
    }
}

void generate_path(struct buf *b, const struct ir_call *c, const struct ir_target *t)
{
    bool whole = str_starts(t->model, STR("models/")) || str_starts(t->model, STR("tunedModels/"));
    buf_add(b, whole ? STR("/") : STR("/models/"));
    put_escaped(b, t->model);
    buf_add(b, c->stream ? STR(":streamGenerateContent?alt=sse") : STR(":generateContent"));
}
