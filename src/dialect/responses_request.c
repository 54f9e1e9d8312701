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

struct str responses_joined(struct arena *a, struct str space, struct str name)
{
    return space.n ? arena_printf(a, "%.*s__%.*s", STR_ARG(space), STR_ARG(name)) : name;
}

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
};

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
        } else {
            bool quiet = str_eq(key, STR("annotations")) || str_eq(key, STR("logprobs"));
            walk_value(w);
            if (!quiet) {
                ir_drop_found(c, "input.content.", key, "");
            }
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
    }
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
    struct str type, role, call_id, name, space, arguments, input, encrypted;
    struct walk content, output, summary;
};

static void read_item(struct item *k, struct walk *w)
{
    struct str key;
    while (walk_member(w, &key)) {
        struct str *text = str_eq(key, STR("type"))                ? &k->type
                           : str_eq(key, STR("role"))              ? &k->role
                           : str_eq(key, STR("call_id"))           ? &k->call_id
                           : str_eq(key, STR("name"))              ? &k->name
                           : str_eq(key, STR("namespace"))         ? &k->space
                           : str_eq(key, STR("arguments"))         ? &k->arguments
                           : str_eq(key, STR("input"))             ? &k->input
                           : str_eq(key, STR("encrypted_content")) ? &k->encrypted
                                                                   : NULL;
        struct walk *about = str_eq(key, STR("content"))   ? &k->content
                             : str_eq(key, STR("output"))  ? &k->output
                             : str_eq(key, STR("summary")) ? &k->summary
                                                           : NULL;
        if (text) {
            *text = walk_text(w);
        } else {
            if (about) {
                *about = *w;
            }
            walk_value(w); /* id, status and the like */
        }
    }
}

static struct ir_turn *turn_of(struct ir_call *c, enum ir_role role)
{
    return c->last_turn && c->last_turn->role == role ? c->last_turn : ir_add_turn(c, role);
}

static void take(struct ir_turn *t, struct ir_part *list)
{
    if (!list) {
        return;
    }
    if (t->last) {
        t->last->next = list;
    } else {
        t->first = list;
    }
    t->last = list->_last;
}

static int place_message(struct ir_call *c, struct item *k, unsigned i)
{
    struct ir_part *list = NULL;
    int r = k->content.p ? read_content(c, &list, &k->content, i) : 0;
    if (r < 0) {
        return r;
    }
    if (ir_is(k->role, STR("user"))) {
        take(ir_add_turn(c, IR_USER), list);
    } else if (ir_is(k->role, STR("assistant"))) {
        take(turn_of(c, IR_ASSISTANT), list);
    } else if (!ir_is(k->role, STR("system")) && !ir_is(k->role, STR("developer"))) {
        return ir_bad(c, "must be user, assistant, system or developer", "input[%u].role", i);
    } else if (c->turns) {
        take(ir_add_turn(c, IR_SYSTEM), list);
    } else {
        for (; list; list = list->next) {
            ir_add_system(c, list->text);
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
        p->args = ir_args_in(c->arena, k->arguments);
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

/* Texts of {"type":"summary_text","text":...} and the like, joined. */
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

static void place_reasoning(struct ir_call *c, struct item *k)
{
    struct ir_part *p = ir_add_part(c, turn_of(c, IR_ASSISTANT), IR_THINKING);
    p->text = joined_texts(c, &k->content);
    if (!p->text.n) {
        p->text = joined_texts(c, &k->summary);
    }
    p->signature = ir_signature_in(c->arena, k->encrypted, FAMILY_OPENAI, &p->issuer);
    p->redacted = !p->text.n && p->signature.n;
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
    if (ir_is(k->type, STR("reasoning"))) {
        place_reasoning(c, k);
    } else {
        ir_drop_found(c, "input[", k->type, "]");
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
        read_item(&k, w);
        int r = place_item(c, &k, i);
        if (r < 0) {
            return r;
        }
    }
    return 0;
}

/* ---- tools ---- */

static int read_tools(struct ir_call *c, struct walk *w, struct str space, unsigned depth);

static int read_tool(struct ir_call *c, struct walk *w, struct str space, unsigned depth)
{
    struct str key, type = {0}, name = {0};
    struct ir_tool t = {.space = space};
    struct walk inner = {0};
    for (bool in = walk_object(w); in && walk_member(w, &key);) {
        if (str_eq(key, STR("type"))) {
            type = walk_text(w);
        } else if (str_eq(key, STR("name"))) {
            name = walk_text(w);
        } else if (str_eq(key, STR("description"))) {
            t.description = walk_text(w);
        } else if (str_eq(key, STR("parameters"))) {
            struct str schema = walk_value(w);
            t.schema = schema.p[0] == '{' ? schema : (struct str){0};
        } else if (str_eq(key, STR("strict"))) {
            enum json_type is = walk_type(w);
            t.strict = is == JSON_TRUE ? IR_YES : is == JSON_FALSE ? IR_NO : IR_UNSAID;
            walk_value(w);
        } else {
            if (str_eq(key, STR("tools"))) {
                inner = *w;
            }
            walk_value(w);
        }
    }
    if (ir_is(type, STR("namespace")) && inner.p && depth == 0) {
        return read_tools(c, &inner, name, 1);
    }
    if (!ir_is(type, STR("function")) && !ir_is(type, STR("custom"))) {
        ir_drop_found(c, "tools[", type, "]"); /* run by OpenAI */
        return 0;
    }
    if (!name.n) {
        return ir_bad(c, "must each have a name", "tools");
    }
    struct ir_tool *to = ir_add_tool(c);
    t.bare = space.n ? name : (struct str){0};
    t.name = responses_joined(c->arena, space, name);
    t.freeform = ir_is(type, STR("custom"));
    *to = t;
    return 0;
}

static int read_tools(struct ir_call *c, struct walk *w, struct str space, unsigned depth)
{
    if (walk_type(w) == JSON_NULL) {
        walk_value(w);
        return 0;
    }
    if (walk_type(w) != JSON_ARRAY) {
        return ir_bad(c, "must be an array", "tools");
    }
    walk_enter(w);
    while (walk_element(w)) {
        int r = read_tool(c, w, space, depth);
        if (r < 0) {
            return r;
        }
    }
    return 0;
}

static void read_allowed(struct ir_call *c, struct walk *w)
{
    struct str key;
    for (bool any = walk_array(w); any && walk_element(w);) {
        for (bool in = walk_object(w); in && walk_member(w, &key);) {
            if (str_eq(key, STR("name"))) {
                ir_append(c->arena, &c->choice_among, walk_text(w));
            } else {
                walk_value(w);
            }
        }
    }
}

static int read_choice(struct ir_call *c, struct walk *w)
{
    struct str key, type = {0}, mode = {0}, word;
    if (walk_type(w) == JSON_OBJECT) {
        walk_enter(w);
        while (walk_member(w, &key)) {
            if (str_eq(key, STR("type"))) {
                type = walk_text(w);
            } else if (str_eq(key, STR("name"))) {
                c->choice_tool = walk_text(w);
            } else if (str_eq(key, STR("mode"))) {
                mode = walk_text(w);
            } else if (str_eq(key, STR("tools"))) {
                read_allowed(c, w);
            } else {
                walk_value(w);
            }
        }
        if (ir_is(type, STR("allowed_tools"))) {
            c->choice = ir_is(mode, STR("required")) ? IR_CHOICE_ANY : IR_CHOICE_AUTO;
        } else if (c->choice_tool.n) {
            c->choice = IR_CHOICE_TOOL;
        } else {
            ir_drop_found(c, "tool_choice[", type, "]");
        }
        return 0;
    }
    bool nothing = walk_type(w) == JSON_NULL;
    word = walk_text(w);
    c->choice = ir_is(word, STR("auto"))       ? IR_CHOICE_AUTO
                : ir_is(word, STR("none"))     ? IR_CHOICE_NONE
                : ir_is(word, STR("required")) ? IR_CHOICE_ANY
                                               : IR_CHOICE_UNSAID;
    if (!c->choice && !nothing) {
        return ir_bad(c, "must be auto, none, required or an object that names a tool",
                      "tool_choice");
    }
    return 0;
}

/* ---- the other members ---- */

static void read_format(struct ir_call *c, struct walk *w)
{
    struct str key, type = {0};
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
}

static void read_text(struct ir_call *c, struct walk *w)
{
    struct str key;
    for (bool in = walk_object(w); in && walk_member(w, &key);) {
        if (str_eq(key, STR("format"))) {
            read_format(c, w);
        } else if (str_eq(key, STR("verbosity"))) {
            c->verbosity = walk_text(w);
        } else {
            walk_value(w);
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
            ir_drop_found(c, "reasoning.", key, "");
            walk_value(w);
        }
    }
    return 0;
}

/* They go ahead of all, wherever they stand. */
static void read_instructions(struct ir_call *c, struct walk *w)
{
    struct str text = walk_text(w);
    struct ir_part *p = NULL;
    if (text.n) {
        p = ir_append_part(c, &p, IR_TEXT);
        p->text = text;
        p->next = c->system;
        c->system = p;
        c->_last_system = c->_last_system ? c->_last_system : p;
    }
}

static bool is_quiet(struct str key)
{
    static const char *const names[] = {
        "model",      "stream",     "stream_options",        "include",
        "background", "truncation", "prompt_cache_retention"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        if (str_eq(key, str_of(names[i]))) {
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
        return read_tools(c, w, (struct str){0}, 0);
    }
    if (str_eq(key, STR("tool_choice"))) {
        return read_choice(c, w);
    }
    if (str_eq(key, STR("reasoning"))) {
        return read_reasoning(c, w);
    }
    if (str_eq(key, STR("previous_response_id")) && walk_type(w) != JSON_NULL) {
        return ir_bad(c, "names a response that is not kept here; send the whole input",
                      "previous_response_id");
    }
    if (str_eq(key, STR("text"))) {
        read_text(c, w);
    } else if (str_eq(key, STR("instructions"))) {
        read_instructions(c, w);
    } else {
        enum json_type is = walk_type(w);
        struct str value = walk_value(w);
        bool lost = is != JSON_NULL && !is_quiet(key);
        lost = lost || (str_eq(key, STR("background")) && is == JSON_TRUE);
        lost = lost || (str_eq(key, STR("truncation")) && str_eq(value, STR("\"auto\"")));
        if (lost) {
            ir_drop_found(c, "", key, "");
        }
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
    return input ? 0 : ir_bad(c, "is missing", "input");
}
