/* openai.chat, answers as they are read from an upstream. Tolerates what servers of this dialect do: a first
 * chunk that has role and content, finish_reason "" or twice, usage on every chunk, calls without an index. */
#include "dialect/chat.h"
#include "dialect/ir_order.h"
#include "json/walk.h"

struct chat_in {
    struct ir_order order;
    uint32_t calls;     /* seen so far, for those without an index */
    struct str last_id; /* of the newest of them */
    bool called;
};

/* ---- pieces that chunks and whole answers share ---- */

/* content: a text; with Mistral an array of texts and thinking. */
static void read_content(struct ir_in *in, enum ir_kind kind, struct walk *w)
{
    struct str key;
    if (walk_type(w) != JSON_ARRAY) {
        ir_text(in, kind, walk_text(w));
        return;
    }
    walk_enter(w);
    while (walk_element(w)) {
        if (walk_type(w) != JSON_OBJECT) {
            walk_value(w);
            continue;
        }
        walk_enter(w);
        while (walk_member(w, &key)) {
            if (str_eq(key, STR("text"))) {
                ir_text(in, kind, walk_text(w));
            } else if (str_eq(key, STR("thinking"))) {
                read_content(in, IR_THINKING, w);
            } else {
                walk_value(w);
            }
        }
    }
}

static void read_usage(struct ir_in *in, struct walk *w)
{
    struct str span = walk_value(w);
    if (span.p[0] == '{') {
        dialect_openai.usage(span, &in->usage);
        ir_tell_usage(in);
    }
}

static enum ir_finish finish_of(struct str word)
{
    if (ir_is(word, STR("stop"))) {
        return IR_FINISH_STOP;
    }
    if (ir_is(word, STR("length"))) {
        return IR_FINISH_LENGTH;
    }
    if (ir_is(word, STR("tool_calls")) || ir_is(word, STR("function_call"))) {
        return IR_FINISH_TOOLS;
    }
    if (ir_is(word, STR("content_filter"))) {
        return IR_FINISH_FILTER;
    }
    if (ir_is(word, STR("model_length"))) {
        return IR_FINISH_CONTEXT;
    }
    return ir_is(word, STR("error")) ? IR_FINISH_ERROR : IR_FINISH_STOP;
}

static void finish(struct ir_in *in, struct str word)
{
    struct chat_in *s = in->state;
    if (word.n == 0) {
        return;
    }
    enum ir_finish why = finish_of(word);
    ir_order_end(&s->order, in);
    if (why == IR_FINISH_ERROR) {
        ir_fail(in, 502, STR("upstream_error"),
                STR("The provider ended its answer with an error."));
        return;
    }
    ir_finish(in, why == IR_FINISH_STOP && s->called ? IR_FINISH_TOOLS : why, (struct str){0});
}

static void read_error_object(struct ir_in *in, struct str body)
{
    struct ir_error e = {.status = 500};
    openai_read_error(in->arena, body, true, &e);
    ir_fail(in, e.status, e.code, e.message);
}

/* ---- tool calls ---- */

struct piece {
    struct str id, name, args, signature;
    int64_t index;
};

static void read_function(struct ir_in *in, struct piece *p, struct walk *w)
{
    struct str key;
    for (bool more = walk_object(w); more && walk_member(w, &key);) {
        if (str_eq(key, STR("name"))) {
            p->name = walk_text(w);
        } else if (str_eq(key, STR("arguments"))) {
            p->args =
                walk_type(w) == JSON_OBJECT ? ir_args_out(in->arena, walk_value(w)) : walk_text(w);
        } else {
            walk_value(w);
        }
    }
}

static struct str google_signature(struct walk *w)
{
    struct str key, found = {0};
    for (bool in = walk_object(w); in && walk_member(w, &key);) {
        if (str_eq(key, STR("google"))) {
            found = google_signature(w);
        } else if (str_eq(key, STR("thought_signature"))) {
            found = walk_text(w);
        } else {
            walk_value(w);
        }
    }
    return found;
}

/* Which call a piece without an index belongs to: an id that is new begins another one. */
static int64_t guess_index(struct ir_in *in, const struct piece *p)
{
    struct chat_in *s = in->state;
    if (s->calls == 0 || (p->id.n && !str_eq(p->id, s->last_id))) {
        s->last_id = arena_dup(in->arena, p->id);
        s->calls++;
    }
    return (int64_t)s->calls - 1;
}

static void read_calls(struct ir_in *in, struct walk *w)
{
    struct chat_in *s = in->state;
    struct str key;
    for (bool any = walk_array(w); any && walk_element(w);) {
        struct piece p = {.index = -1};
        for (bool more = walk_object(w); more && walk_member(w, &key);) {
            if (str_eq(key, STR("index"))) {
                (void)!json_int(walk_value(w), &p.index);
            } else if (str_eq(key, STR("id"))) {
                p.id = walk_text(w);
            } else if (str_eq(key, STR("function"))) {
                read_function(in, &p, w);
            } else if (str_eq(key, STR("extra_content"))) {
                p.signature = google_signature(w);
            } else {
                walk_value(w);
            }
        }
        if (p.index < 0 || p.index > INT32_MAX) {
            p.index = guess_index(in, &p);
        }
        s->called = true;
        ir_order_add(&s->order, in, (uint32_t)p.index, p.id, p.name, p.args);
        ir_order_sign(&s->order, in, (uint32_t)p.index, p.signature, FAMILY_GEMINI);
    }
}

/* delta or message. Order in the answer is: thinking, text, refusal, calls, whatever the members' order. */
static void read_message(struct ir_in *in, struct walk *w)
{
    struct str key;
    struct walk content = {0}, refusal = {0}, calls = {0}, old_call = {0};
    for (bool more = walk_object(w); more && walk_member(w, &key);) {
        if (str_eq(key, STR("content"))) {
            content = *w;
            walk_value(w);
        } else if (str_eq(key, STR("reasoning_content")) || str_eq(key, STR("reasoning"))) {
            ir_text(in, IR_THINKING, walk_text(w));
        } else if (str_eq(key, STR("tool_calls"))) {
            calls = *w;
            walk_value(w);
        } else if (str_eq(key, STR("refusal"))) {
            refusal = *w;
            walk_value(w);
        } else if (str_eq(key, STR("function_call"))) {
            old_call = *w;
            walk_value(w);
        } else {
            walk_value(w);
        }
    }
    if (content.p) {
        read_content(in, IR_TEXT, &content);
    }
    if (refusal.p) {
        ir_text(in, IR_REFUSAL, walk_text(&refusal));
    }
    if (calls.p) {
        read_calls(in, &calls);
    }
    if (old_call.p && walk_type(&old_call) == JSON_OBJECT) {
        struct chat_in *s = in->state;
        struct piece p = {0};
        read_function(in, &p, &old_call);
        s->called = true;
        ir_order_add(&s->order, in, 0, p.id, p.name, p.args);
    }
}

static void read_choice(struct ir_in *in, struct walk *w)
{
    struct str key, reason = {0};
    struct walk message = {0};
    int64_t index = 0;
    for (bool more = walk_object(w); more && walk_member(w, &key);) {
        if (str_eq(key, STR("delta")) || str_eq(key, STR("message"))) {
            message = *w;
            walk_value(w);
        } else if (str_eq(key, STR("finish_reason"))) {
            reason = walk_text(w);
        } else if (str_eq(key, STR("index"))) {
            (void)!json_int(walk_value(w), &index);
        } else {
            walk_value(w);
        }
    }
    if (index != 0 || in->finished) {
        return; /* other answers of n; repeated ends */
    }
    if (message.p) {
        read_message(in, &message);
    }
    finish(in, reason);
}

static void read_top(struct ir_in *in, struct str data)
{
    struct walk w = walk_at(data);
    struct str key, id = {0}, model = {0};
    struct walk choices = {0}, usage = {0};
    if (walk_type(&w) != JSON_OBJECT) {
        return;
    }
    walk_enter(&w);
    while (walk_member(&w, &key)) {
        if (str_eq(key, STR("choices"))) {
            choices = w;
            walk_value(&w);
        } else if (str_eq(key, STR("usage"))) {
            usage = w;
            walk_value(&w);
        } else if (str_eq(key, STR("id"))) {
            id = walk_text(&w);
        } else if (str_eq(key, STR("model"))) {
            model = walk_text(&w);
        } else if (str_eq(key, STR("error")) && walk_type(&w) != JSON_NULL) {
            read_error_object(in, data);
            return;
        } else {
            walk_value(&w);
        }
    }
    ir_start(in, id, model);
    for (bool any = choices.p && walk_array(&choices); any && walk_element(&choices);) {
        read_choice(in, &choices);
    }
    if (usage.p) {
        read_usage(in, &usage);
    }
}

static void read_event(struct ir_in *in, struct str name, struct str data, bool json)
{
    if (json && ir_is(name, STR("error"))) {
        read_error_object(in, data);
    } else if (json) {
        read_top(in, data);
    } else if (str_eq(str_trim(data), STR("[DONE]"))) {
        in->ended = true;
    }
}

static void read_answer(struct ir_in *in, struct str body)
{
    read_top(in, body);
}

/* ---- errors ---- */

static unsigned status_of_word(struct str word)
{
    static const struct {
        struct str part;
        unsigned status;
    } words[] = {
        {{"rate_limit", 10}, 429},      {{"insufficient_quota", 18}, 429},
        {{"overloaded", 10}, 529},      {{"authentication", 14}, 401},
        {{"invalid_api_key", 15}, 401}, {{"permission", 10}, 403},
        {{"not_found", 9}, 404},        {{"invalid_request", 15}, 400},
        {{"context_length", 14}, 400},  {{"unavailable", 11}, 503},
        {{"timeout", 7}, 504},
    };
    for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
        if (str_find(word, words[i].part) >= 0) {
            return words[i].status;
        }
    }
    return 0;
}

/* {"error":{"message","type","param","code"}}, {"error":"text"}, {"message":...} and {"detail":...}. */
void openai_read_error(struct arena *a, struct str body, bool json, struct ir_error *e)
{
    struct walk w = walk_at(body);
    struct str key, type = {0}, code = {0};
    if (!json || walk_type(&w) != JSON_OBJECT) {
        return;
    }
    walk_enter(&w);
    while (walk_member(&w, &key)) {
        if (str_eq(key, STR("error")) && walk_type(&w) == JSON_OBJECT) {
            openai_read_error(a, walk_value(&w), true, e);
            return;
        }
        if (str_eq(key, STR("message")) || str_eq(key, STR("error"))) {
            e->message = ir_plain(a, walk_text(&w));
        } else if (str_eq(key, STR("detail"))) {
            e->message = walk_type(&w) == JSON_STRING ? ir_plain(a, walk_text(&w)) : walk_value(&w);
        } else if (str_eq(key, STR("type"))) {
            type = ir_plain(a, walk_text(&w));
        } else if (str_eq(key, STR("param"))) {
            e->param = ir_plain(a, walk_text(&w));
        } else if (str_eq(key, STR("code"))) {
            int64_t number = 0;
            if (walk_type(&w) == JSON_NUMBER) {
                if (json_int(walk_value(&w), &number) == 0 && number >= 400 && number < 600 &&
                    e->status == 500) {
                    e->status = (unsigned)number;
                }
            } else {
                code = ir_plain(a, walk_text(&w));
            }
        } else {
            walk_value(&w);
        }
    }
    e->code = code.n ? code : type;
    unsigned guess = status_of_word(code);
    guess = guess ? guess : status_of_word(type);
    if (e->status == 500 && guess) {
        e->status = guess;
    }
}

const struct format format_chat = {
    .name = {"openai.chat", 11},
    .family = FAMILY_OPENAI,
    .framing = FRAMING_SSE,
    .stream_type = {"text/event-stream", 17},
    .in_state = sizeof(struct chat_in),
    .out_state = CHAT_OUT_STATE,
    .read_request = chat_read_request,
    .write_request = chat_write_request,
    .path = chat_path,
    .read_event = read_event,
    .read_answer = read_answer,
    .read_error = openai_read_error,
    .write_event = chat_write_event,
    .write_answer = chat_write_answer,
};
