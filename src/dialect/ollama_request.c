/* ollama.chat and ollama.generate, requests. Source: Ollama's API reference and the types of its server.
 *
 * Calls have an id in newer versions only, and results name their tool, not always the call: ids that are not
 * there are made from the call's place ("call_<message>_<n>"), and a result without one answers the first open
 * call of its tool's name. */
#include "dialect/ollama.h"

const struct ir_member ollama_options[] = {
    IR_MEMBER("num_predict", max_tokens, JSON_NUMBER),
    IR_MEMBER("temperature", temperature, JSON_NUMBER),
    IR_MEMBER("top_p", top_p, JSON_NUMBER),
    IR_MEMBER("top_k", top_k, JSON_NUMBER),
    IR_MEMBER("min_p", min_p, JSON_NUMBER),
    IR_MEMBER("seed", seed, JSON_NUMBER),
    IR_MEMBER("presence_penalty", presence_penalty, JSON_NUMBER),
    IR_MEMBER("frequency_penalty", frequency_penalty, JSON_NUMBER),
    IR_MEMBER_END,
};

const struct ir_member ollama_beside[] = {
    IR_MEMBER("logprobs", logprobs, JSON_TRUE),
    IR_MEMBER("top_logprobs", top_logprobs, JSON_NUMBER),
    IR_MEMBER_END,
};

struct str ollama_image_type(struct str base64)
{
    static const struct {
        struct str front, type;
    } types[] = {
        {{"iVBORw0KGgo", 11}, {"image/png", 9}}, {{"/9j/", 4}, {"image/jpeg", 10}},
        {{"\\/9j\\/", 6}, {"image/jpeg", 10}},   {{"R0lGOD", 6}, {"image/gif", 9}},
        {{"UklGR", 5}, {"image/webp", 10}},
    };
    for (size_t i = 0; i < sizeof types / sizeof *types; i++) {
        if (str_starts(base64, types[i].front)) {
            return types[i].type;
        }
    }
    return STR("image/png");
}

/* ---- reading: messages ---- */

/* A call that no result has answered yet. */
struct waiting {
    struct waiting *next;
    const struct ir_part *call;
    bool answered;
};

struct reader {
    struct ir_call *c;
    struct waiting *calls, *last; /* of the newest turn that called */
    unsigned at;                  /* the message's number */
};

struct message {
    struct str role, content, thinking, tool_name, tool_call_id;
    struct ir_part *images, *calls;
};

/* Bare base64; clients that send a data URL, or a URL, are understood. */
static int read_images(struct ir_call *c, struct ir_part **list, struct walk *w, const char *param)
{
    if (walk_type(w) == JSON_NULL) {
        walk_value(w);
        return 0;
    }
    if (walk_type(w) != JSON_ARRAY) {
        return ir_bad(c, "must be an array of base64 texts", "%s", param);
    }
    walk_enter(w);
    while (walk_element(w)) {
        if (walk_type(w) != JSON_STRING) {
            return ir_bad(c, "must hold base64 texts only", "%s", param);
        }
        struct ir_part *p = ir_append_part(c, list, IR_IMAGE);
        struct str text = walk_text(w);
        if (str_istarts(text, STR("http:")) || str_istarts(text, STR("https:"))) {
            p->url = text;
        } else if (!ir_data_url(c->arena, text, &p->media_type, &p->data)) {
            p->data = text;
            p->media_type = ollama_image_type(text);
        }
    }
    return 0;
}

static void read_function(struct ir_call *c, struct ir_part *p, struct walk *w)
{
    struct str key;
    for (bool in = walk_object(w); in && walk_member(w, &key);) {
        if (str_eq(key, STR("name"))) {
            p->name = walk_text(w);
        } else if (str_eq(key, STR("arguments"))) {
            p->args =
                walk_type(w) == JSON_OBJECT ? walk_value(w) : ir_args_in(c->arena, walk_text(w));
        } else {
            walk_value(w); /* index, description */
        }
    }
}

static int read_calls(struct reader *r, struct ir_part **list, struct walk *w)
{
    struct ir_call *c = r->c;
    struct str key;
    if (walk_type(w) == JSON_NULL) {
        walk_value(w);
        return 0;
    }
    if (walk_type(w) != JSON_ARRAY) {
        return ir_bad(c, "must be an array", "messages[%u].tool_calls", r->at);
    }
    walk_enter(w);
    for (unsigned n = 0; walk_element(w); n++) {
        struct ir_part *p = ir_append_part(c, list, IR_TOOL_CALL);
        for (bool in = walk_object(w); in && walk_member(w, &key);) {
            if (str_eq(key, STR("id"))) {
                p->id = walk_text(w);
            } else if (str_eq(key, STR("function"))) {
                read_function(c, p, w);
            } else {
                walk_value(w); /* type */
            }
        }
        if (!p->name.n) {
            return ir_bad(c, "must each have a function with a name", "messages[%u].tool_calls",
                          r->at);
        }
        if (!p->id.n) {
            p->id = arena_printf(c->arena, "call_%u_%u", r->at, n);
        }
        if (!p->args.n) {
            p->args = STR("{}");
        }
    }
    return 0;
}

static int read_message_member(struct reader *r, struct message *m, struct str key, struct walk *w)
{
    struct ir_call *c = r->c;
    if (str_eq(key, STR("role"))) {
        m->role = walk_text(w);
    } else if (str_eq(key, STR("content"))) {
        if (walk_type(w) != JSON_STRING && walk_type(w) != JSON_NULL) {
            return ir_bad(c, "must be a string", "messages[%u].content", r->at);
        }
        m->content = walk_text(w);
    } else if (str_eq(key, STR("thinking"))) {
        m->thinking = walk_text(w);
    } else if (str_eq(key, STR("images"))) {
        return read_images(c, &m->images, w, "messages.images");
    } else if (str_eq(key, STR("tool_calls"))) {
        return read_calls(r, &m->calls, w);
    } else if (str_eq(key, STR("tool_name")) || str_eq(key, STR("name"))) {
        m->tool_name = walk_text(w);
    } else if (str_eq(key, STR("tool_call_id"))) {
        m->tool_call_id = walk_text(w);
    } else {
        bool nothing = walk_type(w) == JSON_NULL;
        walk_value(w);
        if (!nothing) {
            ir_drop_found(c, "messages.", key, "");
        }
    }
    return 0;
}

static void await_results(struct reader *r, const struct ir_part *calls)
{
    r->calls = r->last = NULL;
    for (; calls; calls = calls->next) {
        struct waiting *w = arena_zalloc(r->c->arena, sizeof *w);
        w->call = calls;
        if (r->last) {
            r->last->next = w;
        } else {
            r->calls = w;
        }
        r->last = w;
    }
}

/* The call that a result answers: by its id, else the first open one of that name, else the first open one,
 * if the result says nothing. */
enum { WAITING_MAX = 1024 }; /* so far is looked for it */

static const struct ir_part *answered_by(struct reader *r, const struct message *m)
{
    struct waiting *found = NULL;
    unsigned n = 0;
    while (r->calls && r->calls->answered) {
        r->calls = r->calls->next;
    }
    for (struct waiting *w = r->calls; w && n < WAITING_MAX; w = w->next, n++) {
        if (m->tool_call_id.n && str_eq(w->call->id, m->tool_call_id)) {
            found = w;
            break;
        }
        if (!found && !w->answered &&
            (m->tool_name.n ? str_eq(w->call->name, m->tool_name) : !m->tool_call_id.n)) {
            found = w;
        }
    }
    if (found) {
        found->answered = true;
    }
    return found ? found->call : NULL;
}

/* Results of one turn stand in messages of their own; here they are parts of one turn. */
static int place_result(struct reader *r, struct message *m)
{
    struct ir_call *c = r->c;
    struct ir_turn *t = c->last_turn;
    const struct ir_part *call = answered_by(r, m);
    if (!t || t->role != IR_USER || !t->last || t->last->kind != IR_TOOL_RESULT) {
        t = ir_add_turn(c, IR_USER);
    }
    struct ir_part *p = ir_add_part(c, t, IR_TOOL_RESULT);
    p->id = call ? call->id : m->tool_call_id.n ? m->tool_call_id : m->tool_name;
    p->name = call ? call->name : m->tool_name;
    if (m->content.n) {
        ir_append_part(c, &p->parts, IR_TEXT)->text = m->content;
    }
    if (m->images) {
        struct ir_part **end = &p->parts;
        while (*end) {
            end = &(*end)->next;
        }
        *end = m->images;
    }
    if (!p->id.n) {
        return ir_bad(c, "is missing: a tool's message says which tool it is of",
                      "messages[%u].tool_name", r->at);
    }
    return 0;
}

static int place_message(struct reader *r, struct message *m)
{
    struct ir_call *c = r->c;
    if (ir_is(m->role, STR("user"))) {
        struct ir_turn *t = ir_add_turn(c, IR_USER);
        ir_take_parts(t, m->images); /* they stand ahead of the text in the model's prompt, too */
        if (m->content.n || !m->images) {
            ir_add_part(c, t, IR_TEXT)->text = m->content;
        }
    } else if (ir_is(m->role, STR("assistant"))) {
        struct ir_turn *t = ir_add_turn(c, IR_ASSISTANT);
        if (m->thinking.n) {
            struct ir_part *p = ir_add_part(c, t, IR_THINKING);
            p->text = m->thinking;
            p->issuer = FAMILY_OLLAMA;
        }
        if (m->content.n || !m->calls) {
            ir_add_part(c, t, IR_TEXT)->text = m->content;
        }
        await_results(r, m->calls);
        ir_take_parts(t, m->calls);
    } else if (ir_is(m->role, STR("tool"))) {
        return place_result(r, m);
    } else if (ir_is(m->role, STR("system"))) {
        if (c->turns) {
            ir_add_part(c, ir_add_turn(c, IR_SYSTEM), IR_TEXT)->text = m->content;
        } else if (m->content.n) {
            ir_add_system(c, m->content);
        }
    } else {
        return ir_bad(c, "must be system, user, assistant or tool", "messages[%u].role", r->at);
    }
    return 0;
}

static int read_messages(struct ir_call *c, struct walk *w)
{
    struct reader r = {.c = c};
    struct str key;
    if (walk_type(w) != JSON_ARRAY) {
        return ir_bad(c, "must be an array", "messages");
    }
    walk_enter(w);
    for (; walk_element(w); r.at++) {
        struct message m = {0};
        if (walk_type(w) != JSON_OBJECT) {
            return ir_bad(c, "must be an object", "messages[%u]", r.at);
        }
        walk_enter(w);
        while (walk_member(w, &key)) {
            int e = read_message_member(&r, &m, key, w);
            if (e < 0) {
                return e;
            }
        }
        int e = place_message(&r, &m);
        if (e < 0) {
            return e;
        }
    }
    return 0;
}

/* ---- reading: the rest ---- */

static int read_options(struct ir_call *c, struct walk *w)
{
    struct str key;
    if (walk_type(w) != JSON_OBJECT) {
        bool nothing = walk_type(w) == JSON_NULL;
        walk_value(w);
        return nothing ? 0 : ir_bad(c, "must be an object", "options");
    }
    walk_enter(w);
    while (walk_member(w, &key)) {
        int r = ir_read_member(c, ollama_options, "options.", key, w);
        if (r == 0 && str_eq(key, STR("stop"))) {
            r = ir_read_stop(c, "options.stop", w);
        } else if (r == 0) {
            bool nothing = walk_type(w) == JSON_NULL;
            walk_value(w);
            if (!nothing) {
                ir_drop_found(c, "options.", key, "");
            }
        }
        if (r < 0) {
            return r;
        }
    }
    if (c->max_tokens.n && c->max_tokens.p[0] == '-') {
        c->max_tokens = (struct str){0}; /* -1: no limit, -2: as the context allows */
    }
    return 0;
}

/* "json", or a schema; "" is as absent. */
static int read_format(struct ir_call *c, struct walk *w)
{
    enum json_type is = walk_type(w);
    if (is == JSON_OBJECT) {
        c->format = IR_FORMAT_SCHEMA;
        c->schema = walk_value(w);
        return 0;
    }
    struct str word = walk_text(w);
    if (ir_is(word, STR("json"))) {
        c->format = IR_FORMAT_JSON;
    } else if (word.n || (is != JSON_STRING && is != JSON_NULL)) {
        return ir_bad(c, "must be \"json\" or a JSON Schema", "format");
    }
    return 0;
}

/* true, false, or how much. */
static int read_think(struct ir_call *c, struct walk *w)
{
    enum json_type is = walk_type(w);
    struct str word = walk_text(w);
    if (is == JSON_TRUE) {
        c->budget = IR_BUDGET_DYNAMIC;
    } else if (is == JSON_FALSE) {
        c->effort = IR_EFFORT_NONE;
    } else if (is != JSON_NULL) {
        c->effort = ir_effort_of(word);
        if (!c->effort) {
            return ir_bad(c, "must be true, false, low, medium or high", "think");
        }
    }
    if (is != JSON_NULL) {
        c->show_thinking = c->effort == IR_EFFORT_NONE ? IR_UNSAID : IR_YES;
    }
    return 0;
}

/* What says nothing is not lost: null, false, "" and []. */
static bool is_empty(struct str value)
{
    return value.p[0] == 'n' || value.p[0] == 'f' || str_eq(value, STR("\"\"")) ||
           str_eq(value, STR("[]"));
}

/* Members that both endpoints have. */
static int read_common(struct ir_call *c, struct str key, struct walk *w)
{
    if (str_eq(key, STR("model")) || str_eq(key, STR("stream"))) {
        walk_value(w); /* the gateway's own */
    } else if (str_eq(key, STR("options"))) {
        return read_options(c, w);
    } else if (str_eq(key, STR("format"))) {
        return read_format(c, w);
    } else if (str_eq(key, STR("think"))) {
        return read_think(c, w);
    } else {
        int r = ir_read_member(c, ollama_beside, "", key, w);
        if (r == 0 && !is_empty(walk_value(w))) {
            ir_drop_found(c, "", key, ""); /* keep_alive, template, context, raw, suffix ... */
        }
        return r < 0 ? r : 0;
    }
    return 0;
}

int ollama_read_request(struct ir_call *c, struct str body)
{
    struct walk w = walk_at(body);
    struct str key;
    bool messages = false;
    c->caller = FORMAT_OLLAMA;
    c->spelled = ollama_options;
    walk_enter(&w);
    while (walk_member(&w, &key)) {
        int r;
        if (str_eq(key, STR("messages"))) {
            messages = true;
            r = read_messages(c, &w);
        } else if (str_eq(key, STR("tools"))) {
            r = chat_read_tools(c, &w);
        } else {
            r = read_common(c, key, &w);
        }
        if (r < 0) {
            return r;
        }
    }
    return messages ? 0 : ir_bad(c, "is missing", "messages");
}

/* A conversation of one turn. */
int ollama_read_generate(struct ir_call *c, struct str body)
{
    struct walk w = walk_at(body);
    struct str key, prompt = {0};
    struct ir_part *images = NULL;
    c->caller = FORMAT_OLLAMA;
    c->spelled = ollama_options;
    walk_enter(&w);
    while (walk_member(&w, &key)) {
        int r = 0;
        if (str_eq(key, STR("prompt")) || str_eq(key, STR("system"))) {
            if (walk_type(&w) != JSON_STRING && walk_type(&w) != JSON_NULL) {
                return ir_bad(c, "must be a string", "%.*s", STR_ARG(key));
            }
            struct str text = walk_text(&w);
            if (key.p[0] == 'p') {
                prompt = text;
            } else if (text.n) {
                ir_add_system(c, text);
            }
        } else if (str_eq(key, STR("images"))) {
            r = read_images(c, &images, &w, "images");
        } else {
            r = read_common(c, key, &w);
        }
        if (r < 0) {
            return r;
        }
    }
    if (!prompt.n && !images) {
        return ir_bad(c, "is missing", "prompt");
    }
    struct ir_turn *t = ir_add_turn(c, IR_USER);
    ir_take_parts(t, images);
    if (prompt.n) {
        ir_add_part(c, t, IR_TEXT)->text = prompt;
    }
    return 0;
}
