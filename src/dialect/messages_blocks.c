/* anthropic.messages, messages as they are written for an upstream: turns of one role are one message, results
 * come first in the one behind their calls, each call has one, blank texts are left out. */
#include <sodium.h>

#include "dialect/ir_talk.h"
#include "dialect/messages.h"

void messages_put_cache(struct messages_writer *w, enum ir_cache cache)
{
    if (cache) {
        ir_put_value(w->b, "cache_control",
                     cache == IR_CACHE_1H ? STR("{\"type\":\"ephemeral\",\"ttl\":\"1h\"}")
                                          : STR("{\"type\":\"ephemeral\"}"));
    }
}

static void open_block(struct messages_writer *w, struct str type)
{
    ir_comma(w->b);
    buf_add(w->b, STR("{\"type\":\""));
    buf_add(w->b, type);
    buf_addc(w->b, '"');
}

static void close_block(struct messages_writer *w, const struct ir_part *p)
{
    messages_put_cache(w, p->cache);
    buf_addc(w->b, '}');
}

/* ---- parts ---- */

static bool is_http(struct str url)
{
    return str_istarts(url, STR("http://")) || str_istarts(url, STR("https://"));
}

static void put_source(struct messages_writer *w, const struct ir_part *p)
{
    struct buf *b = w->b;
    buf_add(b, STR(",\"source\":{"));
    if (p->file.n) {
        ir_put_text(b, "type", STR("file"));
        ir_put_text(b, "file_id", p->file);
    } else if (p->url.n) {
        ir_put_text(b, "type", STR("url"));
        ir_put_text(b, "url", p->url);
    } else if (p->text.p) {
        ir_put_text(b, "type", STR("text"));
        ir_put_text(b, "media_type", STR("text/plain"));
        ir_put_text(b, "data", p->text);
    } else {
        ir_put_text(b, "type", STR("base64"));
        ir_put_text(b, "media_type", p->media_type);
        ir_put_text(b, "data", p->data);
    }
    buf_addc(b, '}');
}

static bool image_can_go(const struct ir_part *p)
{
    static const char *const types[] = {"image/png", "image/jpeg", "image/gif", "image/webp"};
    if (p->file.n) {
        return false; /* an id at another vendor */
    }
    if (p->url.n) {
        return is_http(p->url);
    }
    for (size_t i = 0; i < sizeof types / sizeof *types; i++) {
        if (ir_is(p->media_type, str_of(types[i]))) {
            return p->data.n > 0;
        }
    }
    return false;
}

/* A text file in base64 goes as text. */
static struct str decoded_text(struct ir_call *c, const struct ir_part *p)
{
    struct str data = ir_plain(c->arena, p->data);
    char *to = arena_alloc(c->arena, data.n + 1);
    size_t n;
    if (sodium_base642bin((unsigned char *)to, data.n, data.p, data.n, "\r\n ", &n, NULL,
                          sodium_base64_VARIANT_ORIGINAL) != 0) {
        return (struct str){0};
    }
    return ir_escape(c->arena, str_make(to, n));
}

static void put_document(struct messages_writer *w, const struct ir_part *p)
{
    struct ir_part d = *p;
    bool pdf = ir_is(d.media_type, STR("application/pdf")) || d.url.n;
    if (d.data.n && !pdf) {
        bool text =
            str_starts(d.media_type, STR("text/")) || ir_is(d.media_type, STR("application/json"));
        d.text = text ? decoded_text(w->c, &d) : (struct str){0};
    }
    if (d.file.n || (!d.text.p && !(pdf && (d.data.n || is_http(d.url))))) {
        ir_drop(w->c, STR("messages.content[document]"));
        return;
    }
    open_block(w, STR("document"));
    put_source(w, &d);
    if (d.title.n) {
        ir_put_text(w->b, "title", d.title);
    }
    close_block(w, p);
}

/* Texts, images and documents: what turns and results both hold. */
static void put_plain_part(struct messages_writer *w, const struct ir_part *p)
{
    switch (p->kind) {
    case IR_TEXT:
    case IR_REFUSAL:
        if (!ir_leave_blank(w->c, p->text)) {
            ir_comma(w->b);
            buf_add(w->b, STR("{\"type\":\"text\",\"text\":\""));
            buf_add(w->b, p->text);
            buf_addc(w->b, '"');
            close_block(w, p);
        }
        break;
    case IR_IMAGE:
        if (image_can_go(p)) {
            open_block(w, STR("image"));
            put_source(w, p);
            close_block(w, p);
        } else {
            ir_drop(w->c, STR("messages.content[image]"));
        }
        break;
    case IR_DOCUMENT:
        put_document(w, p);
        break;
    case IR_AUDIO:
        ir_drop(w->c, STR("messages.content[audio]"));
        break;
    default:
        break;
    }
}

static void put_result(struct messages_writer *w, const struct ir_part *p)
{
    open_block(w, STR("tool_result"));
    ir_put_text(w->b, "tool_use_id", ir_id(w->c->arena, p->id, IR_ID_ANTHROPIC));
    const struct ir_part *only = p->parts;
    if (only && !only->next && only->kind == IR_TEXT && !only->cache) {
        ir_put_text(w->b, "content", ir_leave_blank(w->c, only->text) ? STR("") : only->text);
    } else if (only) {
        buf_add(w->b, STR(",\"content\":["));
        for (const struct ir_part *k = p->parts; k; k = k->next) {
            put_plain_part(w, k);
        }
        buf_addc(w->b, ']');
    }
    if (p->is_error) {
        ir_put_bool(w->b, "is_error", true);
    }
    close_block(w, p);
}

static void put_call(struct messages_writer *w, const struct ir_part *p)
{
    open_block(w, STR("tool_use"));
    ir_put_text(w->b, "id", ir_id(w->c->arena, p->id, IR_ID_ANTHROPIC));
    ir_put_text(w->b, "name", ir_function_name(w->c->arena, p->name));
    ir_put_value(w->b, "input", p->args);
    close_block(w, p);
}

/* Only what Anthropic itself has signed may come back. */
static bool is_ours(const struct ir_part *p)
{
    return p->kind == IR_THINKING && p->issuer == FAMILY_ANTHROPIC && p->signature.n;
}

static void put_thinking(struct messages_writer *w, const struct ir_part *p)
{
    if (!is_ours(p)) {
        ir_drop(w->c, STR("messages.thinking"));
        return;
    }
    open_block(w, p->redacted ? STR("redacted_thinking") : STR("thinking"));
    if (p->redacted) {
        ir_put_text(w->b, "data", p->signature);
    } else {
        ir_put_text(w->b, "thinking", p->text.p ? p->text : STR(""));
        ir_put_text(w->b, "signature", p->signature);
    }
    close_block(w, p);
}

/* ---- messages ---- */

static bool says(const void *writer, const struct ir_part *p)
{
    (void)writer;
    return p->kind == IR_THINKING                        ? is_ours(p)
           : p->kind == IR_TEXT || p->kind == IR_REFUSAL ? !ir_is_blank(p->text)
                                                         : p->kind != IR_AUDIO;
}

static void put_part(struct messages_writer *w, const struct ir_part *p)
{
    switch (p->kind) {
    case IR_TOOL_CALL:
        put_call(w, p);
        break;
    case IR_THINKING:
        put_thinking(w, p);
        break;
    default:
        put_plain_part(w, p);
        break;
    }
}

/* A result without its call may not stand as one: its content is kept as the user's. */
static void put_orphan(struct messages_writer *w, const struct ir_part *p)
{
    ir_drop(w->c, STR("messages.content[tool_result]"));
    for (const struct ir_part *k = p->parts; k; k = k->next) {
        put_plain_part(w, k);
    }
}

/* Results of the calls that were asked for in the message before, then those that are missing. */
static void put_results(struct messages_writer *w, const struct ir_talk *k,
                        const struct ir_group *g, const struct ir_group *before)
{
    struct ir_due due = ir_talk_due(k, before);
    for (struct ir_spot s = {0}; due.open && ir_talk_step(k, g, &s);) {
        if (s.p->kind == IR_TOOL_RESULT && ir_due_take(k, &due, s.p)) {
            put_result(w, s.p);
        }
    }
    for (struct ir_spot s = {0}; due.open && ir_talk_step(k, before, &s);) {
        if (ir_due_is_open(w->c, &due, s.p)) {
            struct ir_part text = {.kind = IR_TEXT, .text = IR_NO_RESULT};
            put_result(w, &(struct ir_part){.id = s.p->id, .is_error = true, .parts = &text});
        }
    }
}

static void put_user(struct messages_writer *w, const struct ir_talk *k, const struct ir_group *g,
                     const struct ir_group *before)
{
    size_t empty = w->b->n;
    struct ir_due due = ir_talk_due(k, before);
    put_results(w, k, g, before);
    for (struct ir_spot s = {0}; ir_talk_step(k, g, &s);) {
        if (s.p->kind != IR_TOOL_RESULT) {
            put_part(w, s.p);
        } else if (!ir_due_take(k, &due, s.p)) {
            put_orphan(w, s.p);
        }
    }
    if (w->b->n == empty) {
        buf_add(w->b, STR("{\"type\":\"text\",\"text\":\".\"}"));
    }
}

/* One that turns out to say nothing is taken back: no message may be empty. */
static void put_assistant(struct messages_writer *w, const struct ir_talk *k,
                          const struct ir_group *g)
{
    size_t before = w->b->n;
    ir_comma(w->b);
    buf_add(w->b, STR("{\"role\":\"assistant\",\"content\":["));
    size_t empty = w->b->n;
    for (struct ir_spot s = {0}; ir_talk_step(k, g, &s);) {
        put_part(w, s.p);
    }
    if (w->b->n == empty) {
        w->b->n = before;
    } else {
        buf_add(w->b, STR("]}"));
    }
}

/* Calls at the end of it all, which nothing answers: the conversation cannot stop there. */
static void put_last_results(struct messages_writer *w, const struct ir_talk *k,
                             const struct ir_group *last)
{
    static const struct ir_group nothing;
    if (last->from && last->from->role == IR_ASSISTANT && ir_talk_due(k, last).open) {
        buf_add(w->b, STR(",{\"role\":\"user\",\"content\":["));
        put_results(w, k, &nothing, last);
        buf_add(w->b, STR("]}"));
    }
}

void messages_put_messages(struct messages_writer *w)
{
    struct ir_talk k = {.c = w->c, .says = says, .writer = w};
    struct ir_group before = {0};
    const struct ir_turn *t = ir_talk_on(&k, w->c->turns);
    buf_add(w->b, STR(",\"messages\":["));
    if (!t || t->role != IR_USER) {
        buf_add(w->b, STR("{\"role\":\"user\",\"content\":[{\"type\":\"text\",\"text\":\".\"}]}"));
    }
    while (t) {
        struct ir_group g = ir_talk_group(&k, t);
        if (t->role == IR_USER) {
            ir_comma(w->b);
            buf_add(w->b, STR("{\"role\":\"user\",\"content\":["));
            put_user(w, &k, &g, &before);
            buf_add(w->b, STR("]}"));
        } else {
            put_assistant(w, &k, &g);
        }
        before = g;
        t = g.end;
    }
    put_last_results(w, &k, &before);
    buf_addc(w->b, ']');
}

/* ---- instructions ---- */

static void put_system_part(struct messages_writer *w, const struct ir_part *p)
{
    if (p->kind == IR_TEXT) {
        put_plain_part(w, p);
    }
}

/* Instructions, those from the middle of the conversation behind those ahead of it. */
void messages_put_system(struct messages_writer *w)
{
    size_t before = w->b->n;
    buf_add(w->b, STR(",\"system\":["));
    size_t empty = w->b->n;
    for (const struct ir_part *p = w->c->system; p; p = p->next) {
        put_system_part(w, p);
    }
    for (const struct ir_turn *t = w->c->turns; t; t = t->next) {
        for (const struct ir_part *p = t->role == IR_SYSTEM ? t->first : NULL; p; p = p->next) {
            put_system_part(w, p);
        }
    }
    if (w->b->n == empty) {
        w->b->n = before;
    } else {
        buf_addc(w->b, ']');
    }
}
