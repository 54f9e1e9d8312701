/* gemini.generate, requests. Source: Google's API reference, "GenerateContentRequest" (v1beta).
 *
 * SDKs send the history of a stream back as they got it, a content per chunk: contents of the model in a row
 * are one turn, and its pieces of text or thought one part. Older models have no ids: a call's is made from its
 * place, and a result belongs to the first call of its name that has none yet. */
#include <errno.h>

#include "dialect/generate.h"
#include "dialect/schema.h"

#define TOP_MEMBERS                                                                                \
    IR_MEMBER("labels", metadata, JSON_OBJECT), IR_MEMBER("serviceTier", tier, JSON_STRING),       \
        IR_MEMBER("service_tier", tier, JSON_STRING), IR_MEMBER("store", store, JSON_TRUE)

static const struct ir_member top_members[] = {TOP_MEMBERS, IR_MEMBER_END};

const struct ir_member generate_members[] = {
    TOP_MEMBERS,
    IR_MEMBER("maxOutputTokens", max_tokens, JSON_NUMBER),
    IR_MEMBER("max_output_tokens", max_tokens, JSON_NUMBER),
    IR_MEMBER("temperature", temperature, JSON_NUMBER),
    IR_MEMBER("topP", top_p, JSON_NUMBER),
    IR_MEMBER("top_p", top_p, JSON_NUMBER),
    IR_MEMBER("topK", top_k, JSON_NUMBER),
    IR_MEMBER("top_k", top_k, JSON_NUMBER),
    IR_MEMBER("candidateCount", n, JSON_NUMBER),
    IR_MEMBER("candidate_count", n, JSON_NUMBER),
    IR_MEMBER("seed", seed, JSON_NUMBER),
    IR_MEMBER("presencePenalty", presence_penalty, JSON_NUMBER),
    IR_MEMBER("presence_penalty", presence_penalty, JSON_NUMBER),
    IR_MEMBER("frequencyPenalty", frequency_penalty, JSON_NUMBER),
    IR_MEMBER("frequency_penalty", frequency_penalty, JSON_NUMBER),
    IR_MEMBER("responseLogprobs", logprobs, JSON_TRUE),
    IR_MEMBER("response_logprobs", logprobs, JSON_TRUE),
    IR_MEMBER("logprobs", top_logprobs, JSON_NUMBER),
    IR_MEMBER_END,
};

/* A call of the last turn of the model, until its result is found. */
struct pending {
    struct pending *next;
    struct ir_part *call;
    bool answered, named; /* has a result; the caller gave it an id */
};

struct reader {
    struct ir_call *c;
    unsigned content, calls; /* which content, and how many calls it had */
    struct pending *pending, *last_pending;
    struct buf joined;       /* the text of the part that grows */
    struct ir_part *growing; /* ... and the part; NULL: none does */
    bool new_content;        /* no part of this content was read yet */
};

bool generate_is(struct str key, struct str snake)
{
    size_t at = 0;
    if (str_eq(key, snake)) {
        return true;
    }
    for (size_t i = 0; i < snake.n; i++, at++) {
        char want = snake.p[i];
        if (want == '_' && i + 1 < snake.n) {
            want = (char)(snake.p[++i] & ~0x20);
        }
        if (at >= key.n || key.p[at] != want) {
            return false;
        }
    }
    return at == key.n;
}

struct str generate_base64(struct arena *a, struct str text)
{
    if (text.n == 0 || (!memchr(text.p, '-', text.n) && !memchr(text.p, '_', text.n))) {
        return text;
    }
    char *to = arena_alloc(a, text.n);
    for (size_t i = 0; i < text.n; i++) {
        char c = text.p[i];
        to[i] = c == '-' ? '+' : c == '_' ? '/' : c;
    }
    return str_make(to, text.n);
}

enum ir_kind generate_kind(struct str media_type)
{
    return str_istarts(media_type, STR("image/"))   ? IR_IMAGE
           : str_istarts(media_type, STR("audio/")) ? IR_AUDIO
                                                    : IR_DOCUMENT;
}

/* ---- parts ---- */

struct blob {
    struct str media_type, data, uri, title;
};

/* inlineData or fileData; a media type may have an escaped solidus. */
static void read_blob(struct reader *r, struct blob *b, struct walk *w)
{
    struct str key;
    for (bool in = walk_object(w); in && walk_member(w, &key);) {
        if (generate_is(key, STR("mime_type"))) {
            b->media_type = ir_tidy(r->c->arena, walk_text(w));
        } else if (str_eq(key, STR("data"))) {
            b->data = generate_base64(r->c->arena, ir_tidy(r->c->arena, walk_text(w)));
        } else if (generate_is(key, STR("file_uri"))) {
            b->uri = walk_text(w);
        } else if (generate_is(key, STR("display_name"))) {
            b->title = walk_text(w);
        } else {
            walk_value(w);
        }
    }
}

static void fill_media(struct ir_part *p, const struct blob *b)
{
    p->media_type = b->media_type.n ? b->media_type : ir_media_of(b->uri);
    p->data = b->data;
    p->title = b->title;
    if (str_find(b->uri, STR(":")) >= 0) {
        p->url = b->uri;
    } else {
        p->file = b->uri;
    }
}

/* What one part says, before its members tell what it is. */
struct part {
    struct str text, signature;
    bool has_text, thought;
    struct blob blob;
    bool has_blob;
    struct walk call, result; /* p NULL: it is none */
};

static int read_part_members(struct reader *r, struct part *p, struct walk *w)
{
    struct str key;
    while (walk_member(w, &key)) {
        enum json_type is = walk_type(w);
        if (is == JSON_NULL) {
            walk_value(w);
        } else if (str_eq(key, STR("text"))) {
            p->has_text = is == JSON_STRING;
            p->text = walk_text(w);
        } else if (str_eq(key, STR("thought"))) {
            p->thought = is == JSON_TRUE;
            walk_value(w);
        } else if (generate_is(key, STR("thought_signature"))) {
            p->signature = walk_text(w);
        } else if (generate_is(key, STR("inline_data")) || generate_is(key, STR("file_data"))) {
            p->has_blob = is == JSON_OBJECT;
            read_blob(r, &p->blob, w);
        } else if (generate_is(key, STR("function_call"))) {
            p->call = is == JSON_OBJECT ? *w : p->call;
            walk_value(w);
        } else if (generate_is(key, STR("function_response"))) {
            p->result = is == JSON_OBJECT ? *w : p->result;
            walk_value(w);
        } else {
            ir_drop_found(r->c, "contents.parts.", key, "");
            walk_value(w);
        }
    }
    return 0;
}

/* Adds to the part that grows, or begins one. */
static void add_text(struct reader *r, struct ir_turn *t, enum ir_kind kind, struct str text)
{
    struct ir_part *last = t->last;
    bool joins = last && last->kind == kind && !last->signature.n && t->role == IR_ASSISTANT &&
                 (kind == IR_THINKING || r->new_content);
    if (!joins) {
        ir_add_part(r->c, t, kind)->text = text;
        return;
    }
    if (r->growing != last) {
        r->growing = last;
        r->joined = (struct buf){.arena = r->c->arena};
        buf_add(&r->joined, last->text);
    }
    buf_add(&r->joined, text);
    last->text = buf_str(&r->joined);
}

/* A signature belongs to the text it stands beside. One without a text is that of the thoughts before it, or
 * is all that may be seen of them. */
static void place_text(struct reader *r, struct ir_turn *t, const struct part *p)
{
    enum family issuer = FAMILY_GEMINI;
    struct str signature = {0};
    if (p->signature.n) {
        signature = ir_signature_in(
            r->c->arena, generate_base64(r->c->arena, ir_tidy(r->c->arena, p->signature)),
            FAMILY_GEMINI, &issuer);
    }
    if (p->text.n) {
        add_text(r, t, p->thought && t->role == IR_ASSISTANT ? IR_THINKING : IR_TEXT, p->text);
    } else if (!signature.n || t->role != IR_ASSISTANT) {
        return;
    } else if (!p->thought || !t->last || t->last->kind != IR_THINKING || t->last->signature.n) {
        ir_add_part(r->c, t, IR_THINKING)->redacted = true;
    }
    t->last->issuer = issuer;
    if (signature.n) {
        t->last->signature = signature;
    }
}

static int place_call(struct reader *r, struct ir_turn *t, struct part *part)
{
    struct str key;
    struct ir_part *p = ir_add_part(r->c, t, IR_TOOL_CALL);
    struct walk *w = &part->call;
    walk_enter(w);
    while (walk_member(w, &key)) {
        if (str_eq(key, STR("name"))) {
            p->name = walk_text(w);
        } else if (str_eq(key, STR("id"))) {
            p->id = walk_text(w);
        } else if (str_eq(key, STR("args"))) {
            struct str args = walk_value(w);
            p->args = args.p[0] == '{' ? args : p->args;
        } else {
            walk_value(w);
        }
    }
    if (!p->name.n) {
        return ir_bad(r->c, "must have a name", "contents[%u].parts.functionCall", r->content);
    }
    struct pending *open = arena_zalloc(r->c->arena, sizeof *open);
    open->call = p;
    open->named = p->id.n > 0;
    if (!p->id.n) {
        p->id = arena_printf(r->c->arena, "call_%u_%u", r->content, r->calls);
    }
    r->calls++;
    p->args = p->args.n ? p->args : STR("{}");
    if (part->signature.n) {
        struct arena *a = r->c->arena;
        p->signature = ir_signature_in(a, generate_base64(a, ir_tidy(a, part->signature)),
                                       FAMILY_GEMINI, &p->issuer);
    }
    if (r->pending) {
        r->last_pending->next = open;
    } else {
        r->pending = open;
    }
    r->last_pending = open;
    return 0;
}

/* ---- results ---- */

/* Which call a result answers: that of its id, or the first of its name (any of them, when none has it) that
 * has no result yet. */
enum { PENDING_MAX = 1024 };

static struct pending *find_call(struct reader *r, struct str id, struct str name)
{
    struct pending *of_name = NULL, *any = NULL;
    unsigned n = 0;
    while (r->pending && r->pending->answered) {
        r->pending = r->pending->next;
    }
    for (struct pending *p = r->pending; p && n < PENDING_MAX; p = p->next, n++) {
        if (id.n && str_eq(p->call->id, id)) {
            return p;
        }
        if (!p->answered && !(id.n && p->named)) {
            any = any ? any : p;
            of_name = of_name || !str_eq(p->call->name, name) ? of_name : p;
        }
    }
    return of_name ? of_name : name.n ? NULL : any;
}

/* {"result": ...}, {"output": ...} and {"error": ...} are wrappings where nothing else is beside. */
static void read_response(struct reader *r, struct ir_part *p, struct walk *w)
{
    struct str key, value, whole = walk_value(w);
    enum json_type type;
    size_t at = 0;
    bool wrapped = whole.p[0] == '{' && json_each(whole, &at, &key, &value, &type);
    bool error = wrapped && str_eq(key, STR("\"error\""));
    wrapped =
        error || (wrapped && (str_eq(key, STR("\"result\"")) || str_eq(key, STR("\"output\""))));
    struct str more;
    if (wrapped && json_each(whole, &at, &key, &more, &type)) {
        wrapped = error = false;
    }
    struct str said = wrapped ? value : whole;
    p->is_error = error;
    ir_append_part(r->c, &p->parts, IR_TEXT)->text =
        said.p[0] == '"' ? str_make(said.p + 1, said.n - 2) : ir_args_out(r->c->arena, said);
}

static void read_result_parts(struct reader *r, struct ir_part *p, struct walk *w)
{
    struct str key;
    for (bool more = walk_array(w); more && walk_element(w);) {
        for (bool in = walk_object(w); in && walk_member(w, &key);) {
            if (!generate_is(key, STR("inline_data")) && !generate_is(key, STR("file_data"))) {
                ir_drop_found(r->c, "functionResponse.parts.", key, "");
                walk_value(w);
                continue;
            }
            struct blob b = {0};
            read_blob(r, &b, w);
            fill_media(ir_append_part(r->c, &p->parts, generate_kind(b.media_type)), &b);
        }
    }
}

static int place_result(struct reader *r, struct ir_turn *t, struct walk *w)
{
    struct str key, id = {0};
    struct ir_part *p = ir_add_part(r->c, t, IR_TOOL_RESULT);
    struct walk parts = {0};
    walk_enter(w);
    while (walk_member(w, &key)) {
        if (str_eq(key, STR("name"))) {
            p->name = walk_text(w);
        } else if (str_eq(key, STR("id"))) {
            id = walk_text(w);
        } else if (str_eq(key, STR("response"))) {
            read_response(r, p, w);
        } else if (str_eq(key, STR("parts"))) {
            parts = *w;
            walk_value(w);
        } else {
            ir_drop_found(r->c, "functionResponse.", key, "");
            walk_value(w);
        }
    }
    if (parts.p) {
        read_result_parts(r, p, &parts);
    }
    struct pending *call = find_call(r, id, p->name);
    if (call) {
        call->answered = true;
        p->id = call->call->id;
        p->name = p->name.n ? p->name : call->call->name;
    } else {
        p->id = id.n ? id : arena_printf(r->c->arena, "call_%u_%u", r->content, r->calls++);
    }
    if (!p->name.n) {
        return ir_bad(r->c, "must have a name", "contents[%u].parts.functionResponse", r->content);
    }
    return 0;
}

/* ---- contents ---- */

static int read_part(struct reader *r, struct ir_turn *t, struct walk *w)
{
    struct part p = {0};
    if (walk_type(w) == JSON_STRING) {
        add_text(r, t, IR_TEXT, walk_text(w));
        return 0;
    }
    if (walk_type(w) != JSON_OBJECT) {
        return ir_bad(r->c, "must hold objects", "contents[%u].parts", r->content);
    }
    walk_enter(w);
    int e = read_part_members(r, &p, w);
    if (e < 0) {
        return e;
    }
    if (p.call.p) {
        if (t->role != IR_ASSISTANT) {
            return ir_bad(r->c, "may stand in a content of the model only",
                          "contents[%u].parts.functionCall", r->content);
        }
        return place_call(r, t, &p);
    }
    if (p.result.p) {
        if (t->role != IR_USER) {
            return ir_bad(r->c, "may stand in a content of the user only",
                          "contents[%u].parts.functionResponse", r->content);
        }
        return place_result(r, t, &p.result);
    }
    if (p.has_blob) {
        fill_media(ir_add_part(r->c, t, generate_kind(p.blob.media_type)), &p.blob);
    } else if (p.has_text || p.signature.n) {
        place_text(r, t, &p);
    }
    return 0;
}

/* parts: an array; the SDKs' shorthand of one part is taken, too. */
static int read_parts(struct reader *r, struct ir_turn *t, struct walk *w)
{
    if (walk_type(w) == JSON_NULL) {
        walk_value(w);
        return 0;
    }
    if (walk_type(w) != JSON_ARRAY) {
        return read_part(r, t, w);
    }
    walk_enter(w);
    while (walk_element(w)) {
        int e = read_part(r, t, w);
        if (e < 0) {
            return e;
        }
        r->new_content = false;
    }
    return 0;
}

/* The turn of a content: the model's are one where they follow each other. */
static struct ir_turn *turn_of(struct reader *r, enum ir_role role)
{
    struct ir_turn *last = r->c->last_turn;
    if (last && last->role == role && role == IR_ASSISTANT) {
        return last;
    }
    if (role == IR_ASSISTANT) {
        r->pending = r->last_pending = NULL;
    }
    return ir_add_turn(r->c, role);
}

/* Takes the last turn away again. */
static void drop_turn(struct ir_call *c, struct ir_turn *before)
{
    c->last_turn = before;
    if (before) {
        before->next = NULL;
    } else {
        c->turns = NULL;
    }
}

static int read_content(struct reader *r, struct walk *w)
{
    struct str key, role = {0};
    struct walk parts = {0};
    if (walk_type(w) != JSON_OBJECT) {
        return ir_bad(r->c, "must be an object with a role and parts", "contents[%u]", r->content);
    }
    walk_enter(w);
    while (walk_member(w, &key)) {
        if (str_eq(key, STR("role"))) {
            role = walk_text(w);
        } else if (str_eq(key, STR("parts"))) {
            parts = *w;
            walk_value(w);
        } else {
            ir_drop_found(r->c, "contents.", key, "");
            walk_value(w);
        }
    }
    bool model = ir_is(role, STR("model"));
    if (role.n && !model && !ir_is(role, STR("user")) && !ir_is(role, STR("function"))) {
        return ir_bad(r->c, "must be user or model", "contents[%u].role", r->content);
    }
    if (!parts.p) {
        return 0;
    }
    r->calls = 0;
    r->new_content = true;
    struct ir_turn *before = r->c->last_turn, *t = turn_of(r, model ? IR_ASSISTANT : IR_USER);
    int e = read_parts(r, t, &parts);
    if (e == 0 && model && !t->first) {
        drop_turn(r->c, before); /* streams end in a content with an empty text */
    }
    return e;
}

static int read_contents(struct reader *r, struct walk *w)
{
    if (walk_type(w) == JSON_OBJECT) {
        return read_content(r, w);
    }
    if (walk_type(w) != JSON_ARRAY) {
        return ir_bad(r->c, "must be an array", "contents");
    }
    walk_enter(w);
    for (; walk_element(w); r->content++) {
        int e = read_content(r, w);
        if (e < 0) {
            return e;
        }
    }
    return 0;
}

/* A string, a content, an array of parts, or one part. */
static void read_system(struct ir_call *c, struct walk *w)
{
    struct str key;
    if (walk_type(w) == JSON_STRING) {
        ir_add_system(c, walk_text(w));
        return;
    }
    if (walk_type(w) == JSON_ARRAY) {
        walk_enter(w);
        while (walk_element(w)) {
            read_system(c, w);
        }
        return;
    }
    for (bool in = walk_object(w); in && walk_member(w, &key);) {
        if (str_eq(key, STR("parts"))) {
            read_system(c, w);
        } else if (str_eq(key, STR("text"))) {
            struct str text = walk_text(w);
            if (text.n) {
                ir_add_system(c, text);
            }
        } else {
            bool told = str_eq(key, STR("role")) || walk_type(w) == JSON_NULL;
            walk_value(w);
            if (!told) {
                ir_drop_found(c, "systemInstruction.", key, "");
            }
        }
    }
}

/* ---- the whole ---- */

static int read_member(struct reader *r, struct str key, struct walk *w, bool *ret_contents)
{
    struct ir_call *c = r->c;
    int e = ir_read_member(c, top_members, "", key, w);
    if (e) {
        return e;
    }
    if (walk_type(w) == JSON_NULL || str_eq(key, STR("model")) || str_eq(key, STR("stream"))) {
        walk_value(w); /* the gateway's own */
    } else if (str_eq(key, STR("contents"))) {
        *ret_contents = true;
        return read_contents(r, w);
    } else if (generate_is(key, STR("system_instruction"))) {
        read_system(c, w);
    } else if (str_eq(key, STR("tools"))) {
        return generate_read_tools(c, w);
    } else if (generate_is(key, STR("tool_config"))) {
        return generate_read_choice(c, w);
    } else if (generate_is(key, STR("generation_config"))) {
        return generate_read_config(c, w);
    } else {
        ir_drop_found(c, "", key, "");
        walk_value(w);
    }
    return 0;
}

int generate_read_request(struct ir_call *c, struct str body)
{
    struct reader r = {.c = c};
    struct walk w = walk_at(body);
    struct str key;
    bool contents = false;
    c->caller = FORMAT_GENERATE;
    c->spelled = generate_members;
    walk_enter(&w);
    while (walk_member(&w, &key)) {
        int e = read_member(&r, key, &w, &contents);
        if (e < 0) {
            return e;
        }
    }
    if (!contents) {
        return ir_bad(c, "is missing", "contents");
    }
    return c->turns ? 0 : ir_bad(c, "must hold a content", "contents");
}
