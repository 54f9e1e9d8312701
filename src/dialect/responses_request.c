/* openai.responses, requests as they are read. Source: OpenAI API reference, "Create a model response". Items
 * that the model said in one turn (reasoning, messages, calls) are one turn here. */
#include <errno.h>

#include "dialect/ir_member.h"
#include "dialect/responses.h"

static const struct ir_member members[] = {
    IR_MEMBER("max_output_tokens", max_tokens, JSON_NUMBER),
    IR_MEMBER("temperature", temperature, JSON_NUMBER),
    IR_MEMBER("top_p", top_p, JSON_NUMBER),
    IR_MEMBER("top_logprobs", top_logprobs, JSON_NUMBER),
    IR_MEMBER("metadata", metadata, JSON_OBJECT),
    IR_MEMBER("parallel_tool_calls", parallel, JSON_TRUE),
    IR_MEMBER("user", end_user, JSON_STRING),
    IR_MEMBER("safety_identifier", end_user, JSON_STRING),
    IR_MEMBER("service_tier", tier, JSON_STRING),
    IR_MEMBER("prompt_cache_key", cache_key, JSON_STRING),
    IR_MEMBER("store", store, JSON_TRUE),
    IR_MEMBER_END,
};

/* ---- content ---- */

static void read_file_data(struct ir_call *c, struct ir_part *p, struct str data)
{
    if (!ir_data_url(c->arena, data, &p->media_type, &p->data)) {
        p->data = data;
        p->media_type = ir_media_of(p->title);
    }
}

static void read_audio(struct ir_part *p, struct walk *w)
{
    struct str key;
    for (bool in = walk_object(w); in && walk_member(w, &key);) {
        if (str_eq(key, STR("data"))) {
            p->data = walk_text(w);
        } else if (str_eq(key, STR("format"))) {
            p->media_type = ir_media_of(walk_text(w));
        } else {
            walk_value(w);
        }
    }
}

struct piece {
    struct str type, text, url, file, data, title, detail, file_url;
    struct walk audio;
    enum ir_cache cache;
};

/* prompt_cache_breakpoint: {"mode": "explicit", "ttl": "30m" or "12h"} */
static enum ir_cache read_breakpoint(struct walk *w)
{
    struct str key;
    enum ir_cache mark = walk_type(w) == JSON_OBJECT ? IR_CACHE_5M : IR_CACHE_NONE;
    for (bool in = walk_object(w); in && walk_member(w, &key);) {
        if (str_eq(key, STR("ttl"))) {
            mark = ir_is(walk_text(w), STR("12h")) ? IR_CACHE_1H : mark;
        } else {
            walk_value(w);
        }
    }
    return mark;
}

static void read_piece(struct ir_call *c, struct piece *k, struct walk *w)
{
    struct str key;
    while (walk_member(w, &key)) {
        if (str_eq(key, STR("type"))) {
            k->type = walk_text(w);
        } else if (str_eq(key, STR("text")) || str_eq(key, STR("refusal"))) {
            k->text = walk_text(w);
        } else if (str_eq(key, STR("image_url"))) {
            k->url = walk_text(w);
        } else if (str_eq(key, STR("file_id"))) {
            k->file = walk_text(w);
        } else if (str_eq(key, STR("file_data"))) {
            k->data = walk_text(w);
        } else if (str_eq(key, STR("file_url"))) {
            k->file_url = walk_text(w);
        } else if (str_eq(key, STR("filename"))) {
            k->title = walk_text(w);
        } else if (str_eq(key, STR("detail"))) {
            k->detail = walk_text(w);
        } else if (str_eq(key, STR("input_audio"))) {
            k->audio = *w;
            walk_value(w);
        } else if (str_eq(key, STR("prompt_cache_breakpoint"))) {
            k->cache = read_breakpoint(w);
        } else {
            responses_drop_member(c, "input.content.", key, w);
        }
    }
}

static void place_piece(struct ir_call *c, struct ir_part **list, const struct piece *k)
{
    struct ir_part *p;
    if (ir_is(k->type, STR("input_text")) || ir_is(k->type, STR("output_text")) ||
        ir_is(k->type, STR("text"))) {
        p = ir_append_part(c, list, IR_TEXT);
        p->text = k->text;
    } else if (ir_is(k->type, STR("refusal"))) {
        p = ir_append_part(c, list, IR_REFUSAL);
        p->text = k->text;
    } else if (ir_is(k->type, STR("input_image"))) {
        p = ir_append_part(c, list, IR_IMAGE);
        p->detail = k->detail;
        p->file = k->file;
        if (!ir_data_url(c->arena, k->url, &p->media_type, &p->data)) {
            p->url = k->url;
        }
    } else if (ir_is(k->type, STR("input_file"))) {
        p = ir_append_part(c, list, IR_DOCUMENT);
        p->title = k->title;
        p->file = k->file;
        p->url = k->file_url;
        if (k->data.n) {
            read_file_data(c, p, k->data);
        }
    } else if (ir_is(k->type, STR("input_audio")) && k->audio.p) {
        struct walk w = k->audio;
        p = ir_append_part(c, list, IR_AUDIO);
        read_audio(p, &w);
    } else {
        ir_drop_found(c, "input.content[", k->type, "]");
        return;
    }
    p->cache = k->cache;
}

/* A string, or an array of parts. */
static int read_content(struct ir_call *c, struct ir_part **list, struct walk *w, unsigned i)
{
    if (walk_type(w) == JSON_STRING) {
        ir_append_part(c, list, IR_TEXT)->text = walk_text(w);
        return 0;
    }
    if (walk_type(w) == JSON_NULL) {
        walk_value(w);
        return 0;
    }
    if (walk_type(w) != JSON_ARRAY) {
        return ir_bad(c, "must be a string or an array of parts", "input[%u].content", i);
    }
    walk_enter(w);
    while (walk_element(w)) {
        struct piece k = {0};
        if (walk_type(w) != JSON_OBJECT) {
            return ir_bad(c, "must hold objects with a type", "input[%u].content", i);
        }
        walk_enter(w);
        read_piece(c, &k, w);
        place_piece(c, list, &k);
    }
    return 0;
}

/* ---- items ---- */

struct item {
    struct str type, role, id, status, call_id, name, space, input, encrypted;
    struct walk arguments, content, output, summary, tools;
};

static void read_item(struct ir_call *c, struct item *k, struct walk *w)
{
    struct str key;
    while (walk_member(w, &key)) {
        struct str *text = str_eq(key, STR("type"))                ? &k->type
                           : str_eq(key, STR("role"))              ? &k->role
                           : str_eq(key, STR("id"))                ? &k->id
                           : str_eq(key, STR("status"))            ? &k->status
                           : str_eq(key, STR("call_id"))           ? &k->call_id
                           : str_eq(key, STR("name"))              ? &k->name
                           : str_eq(key, STR("namespace"))         ? &k->space
                           : str_eq(key, STR("input"))             ? &k->input
                           : str_eq(key, STR("encrypted_content")) ? &k->encrypted
                                                                   : NULL;
        struct walk *about = str_eq(key, STR("content"))     ? &k->content
                             : str_eq(key, STR("output"))    ? &k->output
                             : str_eq(key, STR("arguments")) ? &k->arguments
                             : str_eq(key, STR("summary"))   ? &k->summary
                             : str_eq(key, STR("tools"))     ? &k->tools
                                                             : NULL;
        if (text) {
            *text = walk_text(w);
        } else if (about) {
            *about = *w;
            walk_value(w);
        } else {
            responses_drop_member(c, "input.", key, w);
        }
    }
}

static struct ir_turn *turn_of(struct ir_call *c, enum ir_role role)
{
    return c->last_turn && c->last_turn->role == role ? c->last_turn : ir_add_turn(c, role);
}

static int place_message(struct ir_call *c, struct item *k, unsigned i)
{
    struct ir_part *list = NULL;
    int r = k->content.p ? read_content(c, &list, &k->content, i) : 0;
    if (r < 0) {
        return r;
    }
    if (ir_is(k->role, STR("user"))) {
        ir_take_parts(ir_add_turn(c, IR_USER), list);
    } else if (ir_is(k->role, STR("assistant"))) {
        ir_take_parts(turn_of(c, IR_ASSISTANT), list);
    } else if (!ir_is(k->role, STR("system")) && !ir_is(k->role, STR("developer"))) {
        return ir_bad(c, "must be user, assistant, system or developer", "input[%u].role", i);
    } else if (c->turns) {
        ir_take_parts(ir_add_turn(c, IR_SYSTEM), list);
    } else {
        for (; list; list = list->next) {
            if (list->kind == IR_TEXT) {
                ir_add_system(c, list->text)->cache = list->cache;
            } else {
                ir_drop(c, STR("input.content")); /* instructions are texts */
            }
        }
    }
    return 0;
}

static int place_call(struct ir_call *c, const struct item *k, bool freeform, unsigned i)
{
    if (!k->call_id.n || !k->name.n) {
        return ir_bad(c, "must have a call_id and a name", "input[%u]", i);
    }
    struct ir_part *p = ir_add_part(c, turn_of(c, IR_ASSISTANT), IR_TOOL_CALL);
    p->id = k->call_id;
    p->name = responses_joined(c->arena, k->space, k->name);
    p->freeform = freeform;
    if (freeform) {
        struct buf b = {.arena = c->arena};
        buf_addc(&b, '{');
        ir_put_text(&b, "input", k->input.p ? k->input : STR(""));
        buf_addc(&b, '}');
        p->args = buf_str(&b);
    } else {
        /* a string by the reference; some clients send the object itself */
        struct walk w = k->arguments;
        p->args = !w.p                           ? STR("{}")
                  : walk_type(&w) == JSON_OBJECT ? walk_value(&w)
                                                 : ir_args_in(c->arena, walk_text(&w));
    }
    return 0;
}

static int place_output(struct ir_call *c, struct item *k, unsigned i)
{
    if (!k->call_id.n) {
        return ir_bad(c, "is missing", "input[%u].call_id", i);
    }
    struct ir_turn *t = c->last_turn;
    if (!t || t->role != IR_USER || !t->last || t->last->kind != IR_TOOL_RESULT) {
        t = ir_add_turn(c, IR_USER);
    }
    struct ir_part *p = ir_add_part(c, t, IR_TOOL_RESULT);
    p->id = k->call_id;
    return k->output.p ? read_content(c, &p->parts, &k->output, i) : 0;
}

/* Texts of {"type":"summary_text","text":...} and the like, joined; p is NULL when there is none. */
static struct str joined_texts(struct ir_call *c, struct walk *w)
{
    struct str key, only = {0};
    struct buf b = {.arena = c->arena};
    unsigned n = 0;
    for (bool any = w->p && walk_array(w); any && walk_element(w);) {
        for (bool in = walk_object(w); in && walk_member(w, &key);) {
            if (!str_eq(key, STR("text"))) {
                walk_value(w);
                continue;
            }
            struct str text = walk_text(w);
            if (n++ == 0) {
                only = text;
            } else {
                buf_add(&b, n == 2 ? only : STR(""));
                buf_add(&b, STR("\\n\\n"));
                buf_add(&b, text);
            }
        }
    }
    return n > 1 ? buf_str(&b) : only;
}

/* One with an id only stands for what OpenAI has kept. An empty summary text tells thinking that was left out
 * from such that may not be seen. */
static void place_reasoning(struct ir_call *c, struct item *k)
{
    struct str text = joined_texts(c, &k->content);
    text = text.n ? text : joined_texts(c, &k->summary);
    if (!text.n && !k->encrypted.n) {
        ir_drop(c, STR("input[reasoning]"));
        return;
    }
    struct ir_part *p = ir_add_part(c, turn_of(c, IR_ASSISTANT), IR_THINKING);
    p->text = text;
    p->signature = ir_signature_in(c->arena, k->encrypted, FAMILY_OPENAI, &p->issuer);
    p->redacted = !text.p && p->signature.n;
}

static int place_item(struct ir_call *c, struct item *k, unsigned i)
{
    if (ir_is(k->type, STR("message")) || (!k->type.n && k->role.n)) {
        return place_message(c, k, i);
    }
    if (ir_is(k->type, STR("function_call"))) {
        return place_call(c, k, false, i);
    }
    if (ir_is(k->type, STR("custom_tool_call"))) {
        return place_call(c, k, true, i);
    }
    if (ir_is(k->type, STR("function_call_output")) ||
        ir_is(k->type, STR("custom_tool_call_output"))) {
        return place_output(c, k, i);
    }
    if (ir_is(k->type, STR("additional_tools")) && k->tools.p) {
        return responses_read_tools(c, &k->tools);
    }
    if (ir_is(k->type, STR("reasoning"))) {
        place_reasoning(c, k);
    } else {
        ir_drop_found(c, "input[", k->type.n ? k->type : STR("item_reference"), "]");
    }
    return 0;
}

static int read_input(struct ir_call *c, struct walk *w)
{
    if (walk_type(w) == JSON_STRING) {
        ir_add_part(c, ir_add_turn(c, IR_USER), IR_TEXT)->text = walk_text(w);
        return 0;
    }
    if (walk_type(w) != JSON_ARRAY) {
        return ir_bad(c, "must be a string or an array of items", "input");
    }
    walk_enter(w);
    for (unsigned i = 0; walk_element(w); i++) {
        struct item k = {0};
        if (walk_type(w) != JSON_OBJECT) {
            return ir_bad(c, "must be an object", "input[%u]", i);
        }
        walk_enter(w);
        read_item(c, &k, w);
        int r = place_item(c, &k, i);
        if (r < 0) {
            return r;
        }
    }
    return 0;
}

/* ---- the other members ---- */

static int read_format(struct ir_call *c, struct walk *w)
{
    struct str key, type = {0};
    bool given = walk_type(w) == JSON_OBJECT;
    for (bool in = walk_object(w); in && walk_member(w, &key);) {
        if (str_eq(key, STR("type"))) {
            type = walk_text(w);
        } else if (str_eq(key, STR("name"))) {
            c->schema_name = walk_text(w);
        } else if (str_eq(key, STR("description"))) {
            c->schema_description = walk_text(w);
        } else if (str_eq(key, STR("schema"))) {
            struct str schema = walk_value(w);
            c->schema = schema.p[0] == '{' ? schema : (struct str){0};
        } else if (str_eq(key, STR("strict"))) {
            enum json_type is = walk_type(w);
            c->schema_strict = is == JSON_TRUE ? IR_YES : is == JSON_FALSE ? IR_NO : IR_UNSAID;
            walk_value(w);
        } else {
            walk_value(w);
        }
    }
    c->format = ir_is(type, STR("json_schema")) && c->schema.n ? IR_FORMAT_SCHEMA
                : ir_is(type, STR("json_object")) || ir_is(type, STR("json_schema"))
                    ? IR_FORMAT_JSON
                : ir_is(type, STR("text")) ? IR_FORMAT_TEXT
                                           : IR_FORMAT_UNSAID;
    if (given && !c->format) {
        return ir_bad(c, "must be text, json_object or json_schema", "text.format.type");
    }
    return 0;
}

static int read_text(struct ir_call *c, struct walk *w)
{
    struct str key;
    int r = 0;
    for (bool in = walk_object(w); in && r == 0 && walk_member(w, &key);) {
        if (str_eq(key, STR("format"))) {
            r = read_format(c, w);
        } else if (str_eq(key, STR("verbosity"))) {
            c->verbosity = walk_text(w);
        } else {
            responses_drop_member(c, "text.", key, w);
        }
    }
    return r;
}

/* What else is wanted in the answer. Reasoning's signature comes in any case. */
static void read_include(struct ir_call *c, struct walk *w)
{
    for (bool any = walk_array(w); any && walk_element(w);) {
        struct str what = walk_text(w);
        if (!ir_is(what, STR("reasoning.encrypted_content"))) {
            ir_drop_found(c, "include[", what, "]");
        }
    }
}

static int read_reasoning(struct ir_call *c, struct walk *w)
{
    struct str key;
    for (bool in = walk_object(w); in && walk_member(w, &key);) {
        if (str_eq(key, STR("effort"))) {
            bool given = walk_type(w) != JSON_NULL;
            c->effort = ir_effort_of(walk_text(w));
            if (given && !c->effort) {
                return ir_bad(c, "must be none, minimal, low, medium, high, xhigh or max",
                              "reasoning.effort");
            }
        } else if (str_eq(key, STR("summary")) || str_eq(key, STR("generate_summary"))) {
            c->show_thinking = walk_type(w) == JSON_STRING ? IR_YES : c->show_thinking;
            walk_value(w);
        } else {
            responses_drop_member(c, "reasoning.", key, w);
        }
    }
    return 0;
}

/* They go ahead of all, wherever they stand. */
static int read_instructions(struct ir_call *c, struct walk *w)
{
    if (walk_type(w) != JSON_STRING && walk_type(w) != JSON_NULL) {
        return ir_bad(c, "must be a string", "instructions");
    }
    struct str text = walk_text(w);
    struct ir_part *p = NULL;
    if (text.n) {
        p = ir_append_part(c, &p, IR_TEXT);
        p->text = text;
        p->next = c->system;
        c->system = p;
        c->_last_system = c->_last_system ? c->_last_system : p;
    }
    return 0;
}

/* What an upstream that keeps its own responses is told as it stands: it changes nothing of how an answer is
 * read. */
static bool take_own(struct ir_call *c, struct str key, struct walk *w)
{
    static const struct str names[] = {
        {"previous_response_id", 20}, {"conversation", 12}, {"prompt", 6},
        {"context_management", 18},   {"truncation", 10},   {"max_tool_calls", 14}};
    for (size_t i = 0; c->own && i < sizeof names / sizeof *names; i++) {
        if (str_eq(key, names[i])) {
            walk_value(w);
            ir_append(c->arena, &c->own_members, str_make(key.p - 1, (size_t)(w->p - (key.p - 1))));
            return true;
        }
    }
    return false;
}

static int read_other(struct ir_call *c, struct str key, struct walk *w)
{
    if (str_eq(key, STR("input"))) {
        return read_input(c, w);
    }
    if (str_eq(key, STR("tools"))) {
        return responses_read_tools(c, w);
    }
    if (str_eq(key, STR("tool_choice"))) {
        return responses_read_choice(c, w);
    }
    if (str_eq(key, STR("reasoning"))) {
        return read_reasoning(c, w);
    }
    if (take_own(c, key, w)) {
        return 0;
    }
    if (str_eq(key, STR("previous_response_id")) && walk_type(w) != JSON_NULL) {
        return ir_bad(c, "names a response that is not kept here; send the whole input",
                      "previous_response_id");
    }
    if (str_eq(key, STR("text"))) {
        return read_text(c, w);
    }
    if (str_eq(key, STR("instructions"))) {
        return read_instructions(c, w);
    }
    if (str_eq(key, STR("include"))) {
        read_include(c, w);
    } else if (str_eq(key, STR("model")) || str_eq(key, STR("stream")) ||
               str_eq(key, STR("stream_options"))) {
        walk_value(w); /* the gateway's own */
    } else if (str_eq(key, STR("truncation"))) {
        if (ir_is(walk_text(w), STR("auto"))) {
            ir_drop(c, STR("truncation")); /* the other word is what happens anyway */
        }
    } else {
        responses_drop_member(c, "", key, w);
    }
    return 0;
}

static void note_echo(struct responses_echo *e, struct str key, struct str value)
{
    static const struct {
        struct str name;
        uint16_t at;
    } rows[] = {
#define ROW(spelled, member)                                                                       \
    {{spelled, sizeof(spelled) - 1}, offsetof(struct responses_echo, member)}
        ROW("instructions", instructions),
        ROW("tools", tools),
        ROW("tool_choice", tool_choice),
        ROW("temperature", temperature),
        ROW("top_p", top_p),
        ROW("top_logprobs", top_logprobs),
        ROW("parallel_tool_calls", parallel),
        ROW("text", text),
        ROW("reasoning", reasoning),
        ROW("metadata", metadata),
        ROW("store", store),
        ROW("max_output_tokens", max_output_tokens),
        ROW("truncation", truncation),
        ROW("user", user),
        ROW("service_tier", tier),
        ROW("prompt_cache_key", cache_key),
        ROW("safety_identifier", safety),
        ROW("previous_response_id", previous),
#undef ROW
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        if (str_eq(key, rows[i].name)) {
            *(struct str *)(void *)((char *)e + rows[i].at) = value;
        }
    }
}

int responses_read_request(struct ir_call *c, struct str body)
{
    struct walk w = walk_at(body);
    struct str key;
    struct responses_echo *echo = arena_zalloc(c->arena, sizeof *echo);
    c->caller = FORMAT_RESPONSES;
    c->spelled = members;
    c->extra = echo;
    c->keep = true;
    bool input = false;
    walk_enter(&w);
    while (walk_member(&w, &key)) {
        const char *value = w.p;
        input = input || str_eq(key, STR("input"));
        int r = ir_read_member(c, members, "", key, &w);
        r = r ? r : read_other(c, key, &w);
        if (r < 0) {
            return r;
        }
        note_echo(echo, key, str_make(value, (size_t)(w.p - value)));
    }
    if (c->follows.n) {
        echo->previous = c->follows;
    }
    if (c->kept != IR_UNSAID) {
        echo->store = c->kept == IR_YES ? STR("true") : STR("false");
        c->store = IR_UNSAID; /* it is not the upstream's to do */
    }
    return input || c->own ? 0 : ir_bad(c, "is missing", "input");
}
