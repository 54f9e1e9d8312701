/* bedrock.converse, messages as they are written for an upstream. Bedrock is strict: the conversation begins
 * with the user and alternates, no text may be blank, each call is answered in the very next message, results
 * stand first in it, and nothing else may be a result. */
#include "dialect/converse.h"
#include "dialect/ir_talk.h"

static void open_block(struct converse_writer *w, struct str name)
{
    ir_comma(w->b);
    buf_add(w->b, STR("{\""));
    buf_add(w->b, name);
    buf_add(w->b, STR("\":"));
}

/* The models of other vendors refuse cache points and the status of results. */
static bool is_plain_model(const struct converse_writer *w)
{
    return w->vendor == CONVERSE_OTHER || w->vendor == CONVERSE_MISTRAL ||
           w->vendor == CONVERSE_OPENAI;
}

/* Behind what it marks. */
void converse_put_cache_point(struct converse_writer *w, enum ir_cache cache)
{
    if (!cache || w->b->p[w->b->n - 1] == '[') {
        return;
    }
    if (is_plain_model(w)) {
        ir_drop(w->c, STR("cache_control"));
        return;
    }
    if (cache == IR_CACHE_1H && w->vendor == CONVERSE_NOVA) {
        ir_drop(w->c, STR("cache_control.ttl"));
        cache = IR_CACHE_5M;
    }
    open_block(w, STR("cachePoint"));
    buf_add(w->b, cache == IR_CACHE_1H ? STR("{\"type\":\"default\",\"ttl\":\"1h\"}}")
                                       : STR("{\"type\":\"default\"}}"));
}

/* ---- media ---- */

static bool is_s3(struct str url)
{
    return str_starts(url, STR("s3://"));
}

static void put_source(struct converse_writer *w, const struct ir_part *p)
{
    buf_add(w->b, STR(",\"source\":{"));
    if (p->url.n) {
        buf_add(w->b, STR("\"s3Location\":{"));
        ir_put_text(w->b, "uri", p->url);
        buf_addc(w->b, '}');
    } else if (p->text.p) {
        ir_put_text(w->b, "text", p->text);
    } else {
        ir_put_text(w->b, "bytes", p->data);
    }
    buf_addc(w->b, '}');
}

/* What is at another vendor, or at an address that Bedrock does not fetch, cannot go. */
static bool source_can_go(const struct ir_part *p)
{
    return p->file.n ? false : p->url.n ? is_s3(p->url) : p->data.n || !ir_is_blank(p->text);
}

static void put_media(struct converse_writer *w, const struct ir_part *p, struct str name)
{
    struct str format = converse_format_word(w->c->arena, p->kind,
                                             p->media_type.n ? p->media_type : ir_media_of(p->url));
    if (!format.n || !source_can_go(p)) {
        ir_drop(w->c, p->kind == IR_IMAGE ? STR("messages.content[image]")
                                          : STR("messages.content[audio]"));
        return;
    }
    open_block(w, name);
    buf_addc(w->b, '{');
    ir_put_text(w->b, "format", format);
    put_source(w, p);
    buf_add(w->b, STR("}}"));
}

static bool may_stand_in_name(char c)
{
    return (c >= '0' && c <= '9') || ((c | 0x20) >= 'a' && (c | 0x20) <= 'z') || c == '-' ||
           c == '(' || c == ')' || c == '[' || c == ']';
}

/* Letters, digits, single spaces, hyphens, parentheses, brackets; and no name twice in a request. */
static struct str document_name(struct converse_writer *w, struct str title)
{
    enum { NAME_MAX = 180 };
    struct str plain = ir_plain(w->c->arena, title);
    char *to = arena_alloc(w->c->arena, NAME_MAX);
    size_t n = 0;
    for (size_t i = 0; i < plain.n && n < NAME_MAX; i++) {
        char c = plain.p[i] == '\t' || plain.p[i] == '\n' ? ' ' : plain.p[i];
        c = c == ' ' || may_stand_in_name(c) ? c : '-';
        bool again = (c == ' ' || (c == '-' && plain.p[i] != '-')) && n && to[n - 1] == c;
        if (!again && (n || c != ' ')) {
            to[n++] = c;
        }
    }
    while (n && to[n - 1] == ' ') {
        n--;
    }
    struct str name = n ? str_make(to, n) : STR("document"), first = name;
    w->documents++;
    while (!ir_set_add(w->c->arena, &w->names, name)) {
        name = arena_printf(w->c->arena, "%.*s-%u", STR_ARG(first), w->documents);
        first = name;
    }
    return name;
}

static void put_document(struct converse_writer *w, const struct ir_part *p)
{
    struct str type = p->media_type;
    if (!type.n) {
        type = ir_media_of(p->url.n ? p->url : p->title);
    }
    struct str format = p->text.p ? STR("txt") : (struct str){0};
    if (type.n) {
        format = converse_format_word(w->c->arena, IR_DOCUMENT, type);
    }
    if (!format.n || !source_can_go(p)) {
        ir_drop(w->c, STR("messages.content[document]"));
        return;
    }
    open_block(w, STR("document"));
    buf_addc(w->b, '{');
    ir_put_text(w->b, "format", format);
    ir_put_text(w->b, "name", document_name(w, p->title));
    put_source(w, p);
    buf_add(w->b, STR("}}"));
    w->has_document = true;
}

/* ---- parts ---- */

static void put_text(struct converse_writer *w, struct str text)
{
    if (!ir_leave_blank(w->c, text)) {
        ir_comma(w->b);
        buf_addc(w->b, '{');
        ir_put_text(w->b, "text", text);
        buf_addc(w->b, '}');
        w->has_text = true;
    }
}

/* Texts, images and documents: what messages and results both hold. */
static void put_plain_part(struct converse_writer *w, const struct ir_part *p)
{
    switch (p->kind) {
    case IR_TEXT:
    case IR_REFUSAL:
        put_text(w, p->text);
        break;
    case IR_IMAGE:
        put_media(w, p, STR("image"));
        break;
    case IR_AUDIO:
        put_media(w, p, STR("audio"));
        break;
    case IR_DOCUMENT:
        put_document(w, p);
        break;
    default:
        break;
    }
}

static void put_call(struct converse_writer *w, const struct ir_part *p)
{
    open_block(w, STR("toolUse"));
    buf_addc(w->b, '{');
    ir_put_text(w->b, "toolUseId", ir_id(w->c->arena, p->id, IR_ID_ANTHROPIC));
    ir_put_text(w->b, "name", ir_function_name(w->c->arena, p->name));
    ir_put_value(w->b, "input", p->args);
    buf_add(w->b, STR("}}"));
    w->calls = true;
}

static void open_result(struct converse_writer *w, struct str id)
{
    open_block(w, STR("toolResult"));
    buf_addc(w->b, '{');
    ir_put_text(w->b, "toolUseId", ir_id(w->c->arena, id, IR_ID_ANTHROPIC));
    buf_add(w->b, STR(",\"content\":["));
}

static void close_result(struct converse_writer *w, bool is_error)
{
    buf_addc(w->b, ']');
    if (is_error && !is_plain_model(w)) {
        ir_put_text(w->b, "status", STR("error"));
    }
    buf_add(w->b, STR("}}"));
}

static void put_result(struct converse_writer *w, const struct ir_part *p)
{
    enum ir_cache cache = p->cache;
    bool has_text = w->has_text, has_document = w->has_document;
    open_result(w, p->id);
    for (const struct ir_part *k = p->parts; k; k = k->next) {
        if (k->kind == IR_AUDIO) {
            ir_drop(w->c, STR("messages.content[audio]"));
        } else {
            put_plain_part(w, k);
        }
        cache = k->cache > cache ? k->cache : cache;
    }
    if (p->is_error && is_plain_model(w)) {
        ir_drop(w->c, STR("tool_result.is_error"));
    }
    close_result(w, p->is_error);
    w->has_text = has_text;
    w->has_document = has_document;
    converse_put_cache_point(w, cache);
}

/* What Bedrock itself has given, and for Anthropic's models only what is signed. */
static bool thinking_can_go(const struct converse_writer *w, const struct ir_part *p)
{
    bool signed_only = w->vendor == CONVERSE_ANTHROPIC || w->vendor == CONVERSE_UNKNOWN;
    return p->issuer == w->t->family && (p->signature.n || (p->text.n && !signed_only));
}

static void put_thinking(struct converse_writer *w, const struct ir_part *p)
{
    if (!thinking_can_go(w, p)) {
        ir_drop(w->c, STR("messages.thinking"));
        return;
    }
    open_block(w, STR("reasoningContent"));
    if (p->redacted) {
        buf_addc(w->b, '{');
        ir_put_text(w->b, "redactedContent", p->signature);
        buf_add(w->b, STR("}}"));
        return;
    }
    buf_add(w->b, STR("{\"reasoningText\":{"));
    ir_put_text(w->b, "text", p->text.p ? p->text : STR(""));
    if (p->signature.n) {
        ir_put_text(w->b, "signature", p->signature);
    }
    buf_add(w->b, STR("}}}"));
}

/* Foreign thinking, for one, is not written. */
static bool says(const void *writer, const struct ir_part *p)
{
    const struct converse_writer *w = writer;
    return p->kind == IR_THINKING                        ? thinking_can_go(w, p)
           : p->kind == IR_TEXT || p->kind == IR_REFUSAL ? !ir_is_blank(p->text)
                                                         : p->kind == IR_TOOL_CALL;
}

/* ---- messages ---- */

/* A result without its call may not stand as one: its content is kept as the user's. */
static void put_orphan(struct converse_writer *w, const struct ir_part *p)
{
    ir_drop(w->c, STR("messages.content[tool_result]"));
    for (const struct ir_part *k = p->parts; k; k = k->next) {
        put_plain_part(w, k);
    }
}

static void put_part(struct converse_writer *w, const struct ir_part *p)
{
    switch (p->kind) {
    case IR_TOOL_CALL:
        put_call(w, p);
        break;
    case IR_THINKING:
        put_thinking(w, p);
        return; /* no cache point behind it */
    default:
        put_plain_part(w, p);
        break;
    }
    converse_put_cache_point(w, p->cache);
}

static void put_assistant(struct converse_writer *w, const struct ir_talk *k,
                          const struct ir_group *g)
{
    for (struct ir_spot s = {0}; ir_talk_step(k, g, &s);) {
        if (s.p->kind == IR_IMAGE || s.p->kind == IR_AUDIO || s.p->kind == IR_DOCUMENT) {
            ir_drop(w->c, s.p->kind == IR_IMAGE   ? STR("messages.content[image]")
                          : s.p->kind == IR_AUDIO ? STR("messages.content[audio]")
                                                  : STR("messages.content[document]"));
        } else {
            put_part(w, s.p);
        }
    }
}

/* Results of the calls that were asked for in the message before, then those that are missing. */
static void put_results(struct converse_writer *w, const struct ir_talk *k,
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
            open_result(w, s.p->id);
            buf_addc(w->b, '{');
            ir_put_text(w->b, "text", IR_NO_RESULT);
            buf_addc(w->b, '}');
            close_result(w, true);
        }
    }
}

static void put_user(struct converse_writer *w, const struct ir_talk *k, const struct ir_group *g,
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
    if (w->b->n == empty || (w->has_document && !w->has_text)) {
        put_text(w, STR(".")); /* a document may not stand without a text */
    }
}

/* Calls at the end of it all, which nothing answers: the conversation cannot stop there. */
static void put_last_results(struct converse_writer *w, const struct ir_talk *k,
                             const struct ir_group *last)
{
    static const struct ir_group nothing;
    if (last->from && last->from->role == IR_ASSISTANT && ir_talk_due(k, last).open) {
        buf_add(w->b, STR(",{\"role\":\"user\",\"content\":["));
        put_results(w, k, &nothing, last);
        buf_add(w->b, STR("]}"));
    }
}

void converse_put_messages(struct converse_writer *w)
{
    struct ir_talk k = {.c = w->c, .says = says, .writer = w};
    struct ir_group before = {0};
    const struct ir_turn *t = ir_talk_on(&k, w->c->turns);
    buf_add(w->b, STR("\"messages\":["));
    if (!t || t->role != IR_USER) {
        buf_add(w->b, STR("{\"role\":\"user\",\"content\":[{\"text\":\".\"}]}"));
    }
    while (t) {
        struct ir_group g = ir_talk_group(&k, t);
        w->has_text = w->has_document = false;
        ir_comma(w->b);
        if (t->role == IR_USER) {
            buf_add(w->b, STR("{\"role\":\"user\",\"content\":["));
            put_user(w, &k, &g, &before);
        } else {
            buf_add(w->b, STR("{\"role\":\"assistant\",\"content\":["));
            put_assistant(w, &k, &g);
        }
        buf_add(w->b, STR("]}"));
        before = g;
        t = g.end;
    }
    put_last_results(w, &k, &before);
    buf_addc(w->b, ']');
}

/* ---- instructions ---- */

static void put_system_part(struct converse_writer *w, const struct ir_part *p)
{
    if (p->kind == IR_TEXT) {
        put_text(w, p->text);
        converse_put_cache_point(w, p->cache);
    }
}

/* Those from the middle of the conversation stand behind those ahead of it. */
void converse_put_system(struct converse_writer *w)
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
