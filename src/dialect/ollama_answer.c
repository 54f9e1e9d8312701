/* ollama.chat and ollama.generate, answers. A stream is a JSON object per line, the last one with `done`; a
 * whole answer is one such object. Tool calls come whole. */
#include <time.h>

#include "dialect/ollama.h"

/* ---- reading ---- */

struct ollama_in {
    bool called;
};

/* {"error": "..."}; some servers behind this dialect send OpenAI's object. */
static void read_error(struct arena *a, struct str body, bool json, struct ir_error *e)
{
    struct walk w = walk_at(body);
    struct str key;
    int64_t status = 0;
    if (!json || walk_type(&w) != JSON_OBJECT) {
        return;
    }
    walk_enter(&w);
    while (walk_member(&w, &key)) {
        if (str_eq(key, STR("error")) && walk_type(&w) == JSON_OBJECT) {
            openai_read_error(a, body, json, e);
            return;
        }
        if (str_eq(key, STR("error")) || str_eq(key, STR("message"))) {
            e->message = ir_plain(a, walk_text(&w));
        } else if (str_eq(key, STR("code"))) {
            e->code = ir_plain(a, walk_text(&w));
        } else if (str_eq(key, STR("status")) || str_eq(key, STR("status_code"))) {
            (void)!json_int(walk_value(&w), &status);
        } else {
            walk_value(&w);
        }
    }
    if (e->status == 500 && status >= 400 && status < 600) {
        e->status = (unsigned)status;
    }
}

static void fail(struct ir_in *in, struct str body)
{
    struct ir_error e = {.status = 500};
    read_error(in->arena, body, true, &e);
    ir_fail(in, e.status, e.code, e.message);
}

static void read_call(struct ir_in *in, struct walk *w)
{
    struct ollama_in *s = in->state;
    struct str key, id = {0}, name = {0};
    struct walk args = {0};
    for (bool more = walk_object(w); more && walk_member(w, &key);) {
        if (str_eq(key, STR("id"))) {
            id = walk_text(w);
        } else if (str_eq(key, STR("function"))) {
            for (bool inner = walk_object(w); inner && walk_member(w, &key);) {
                if (str_eq(key, STR("name"))) {
                    name = walk_text(w);
                } else if (str_eq(key, STR("arguments"))) {
                    args = *w;
                    walk_value(w);
                } else {
                    walk_value(w);
                }
            }
        } else {
            walk_value(w);
        }
    }
    if (!name.n && !args.p) {
        return;
    }
    s->called = true;
    if (args.p && walk_type(&args) == JSON_OBJECT) {
        ir_whole_call(in, id, name, walk_value(&args));
    } else {
        ir_open_call(in, id, name);
        ir_delta(in, args.p ? walk_text(&args) : STR(""));
    }
    ir_close(in);
}

/* Thinking is ahead of the text, and calls are behind it, whatever the members' order. */
static void read_message(struct ir_in *in, struct walk *w)
{
    struct str key, content = {0};
    struct walk calls = {0}, images = {0};
    for (bool more = walk_object(w); more && walk_member(w, &key);) {
        if (str_eq(key, STR("content"))) {
            content = walk_text(w);
        } else if (str_eq(key, STR("thinking"))) {
            ir_text(in, IR_THINKING, walk_text(w));
        } else if (str_eq(key, STR("tool_calls"))) {
            calls = *w;
            walk_value(w);
        } else if (str_eq(key, STR("images"))) {
            images = *w;
            walk_value(w);
        } else {
            walk_value(w);
        }
    }
    ir_text(in, IR_TEXT, content);
    for (bool any = images.p && walk_array(&images); any && walk_element(&images);) {
        struct str data = walk_text(&images);
        if (data.n) {
            ir_media(in, IR_IMAGE, ollama_image_type(data), data);
        }
    }
    for (bool any = calls.p && walk_array(&calls); any && walk_element(&calls);) {
        read_call(in, &calls);
    }
}

static void finish(struct ir_in *in, struct str reason)
{
    const struct ollama_in *s = in->state;
    enum ir_finish why = ir_is(reason, STR("length")) ? IR_FINISH_LENGTH : IR_FINISH_STOP;
    if (why == IR_FINISH_STOP && s->called) {
        why = IR_FINISH_TOOLS; /* the reason is "stop" also when tools were called */
    }
    ir_finish(in, why, (struct str){0});
}

static void read_line(struct ir_in *in, struct str data)
{
    struct walk w = walk_at(data), message = {0};
    struct str key, model = {0}, reason = {0};
    int64_t input = -1, output = -1;
    bool done = false;
    if (walk_type(&w) != JSON_OBJECT) {
        return;
    }
    walk_enter(&w);
    while (walk_member(&w, &key)) {
        if (str_eq(key, STR("message"))) {
            message = w;
            walk_value(&w);
        } else if (str_eq(key, STR("model"))) {
            model = walk_text(&w);
        } else if (str_eq(key, STR("done"))) {
            done = walk_type(&w) == JSON_TRUE;
            walk_value(&w);
        } else if (str_eq(key, STR("done_reason"))) {
            reason = walk_text(&w);
        } else if (str_eq(key, STR("prompt_eval_count"))) {
            (void)!json_int(walk_value(&w), &input);
        } else if (str_eq(key, STR("eval_count"))) {
            (void)!json_int(walk_value(&w), &output);
        } else if (str_eq(key, STR("logprobs"))) {
            in->lost += walk_type(&w) != JSON_NULL;
            walk_value(&w);
        } else if (str_eq(key, STR("error"))) {
            struct str what = walk_value(&w);
            if (what.p[0] == '{' || (what.p[0] == '"' && what.n > 2)) {
                fail(in, data);
                return;
            }
        } else {
            walk_value(&w);
        }
    }
    if (in->finished) {
        return;
    }
    ir_start(in, (struct str){0}, model);
    if (message.p) {
        read_message(in, &message);
    }
    if (input >= 0 || output >= 0) {
        in->usage.input = input >= 0 ? input : in->usage.input;
        in->usage.output = output >= 0 ? output : in->usage.output;
        ir_tell_usage(in);
    }
    if (done) {
        finish(in, reason);
        in->ended = true;
    }
}

static void read_event(struct ir_in *in, struct str name, struct str data, bool json)
{
    (void)name;
    if (json) {
        read_line(in, data);
    }
}

/* Asked for a whole answer, a server need not say that it is done. */
static void read_answer(struct ir_in *in, struct str body)
{
    read_line(in, body);
    if (in->blocks && !in->finished && !in->failed) {
        finish(in, (struct str){0});
    }
}

/* ---- writing ---- */

struct ollama_out {
    struct str front; /* of every line, up to the text's opening quote */
    struct str back;  /* what ends a text (or thinking) and the object it stands in */
    struct buf args;  /* of the open call: calls go out whole */
    struct str id, name;
    uint32_t calls;
    bool generate;
    enum ir_finish finish;
};

static struct str reason_of(enum ir_finish f)
{
    return f == IR_FINISH_LENGTH || f == IR_FINISH_CONTEXT ? STR("length") : STR("stop");
}

static void put_front(struct ir_out *o, struct buf *b)
{
    struct tm tm = {0};
    time_t at = (time_t)o->created_s;
    char text[32];
    gmtime_r(&at, &tm);
    strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%SZ", &tm);
    buf_add(b, STR("{\"model\":\""));
    buf_add(b, o->model);
    buf_add(b, STR("\",\"created_at\":\""));
    buf_add(b, str_of(text));
    buf_add(b, STR("\","));
}

static void begin(struct ir_out *o, bool generate)
{
    struct ollama_out *s = o->state;
    struct buf b = {.arena = o->arena};
    put_front(o, &b);
    buf_add(&b, generate ? STR("\"response\":\"")
                         : STR("\"message\":{\"role\":\"assistant\",\"content\":\""));
    s->front = buf_str(&b);
    s->back = generate ? STR("\"") : STR("\"}");
    s->generate = generate;
    s->args.arena = o->arena;
}

static void put_usage(struct buf *b, const struct usage *u)
{
    if (u->input >= 0) {
        ir_put_i64(b, "prompt_eval_count", u->input);
    }
    if (u->output >= 0) {
        ir_put_i64(b, "eval_count", u->output);
    }
}

/* A line break between the tokens of arguments would end the line that they stand in. */
static void put_args(struct buf *b, struct str args)
{
    size_t from = b->n;
    buf_add(b, args.n ? args : STR("{}"));
    for (char *p = b->p + from; p < b->p + b->n; p++) {
        *p = *p == '\n' || *p == '\r' ? ' ' : *p;
    }
}

static void put_call(struct ir_out *o, uint32_t index, struct str id, struct str name,
                     struct str args)
{
    struct buf *b = o->out;
    buf_addc(b, '{');
    ir_put_text(b, "id", ir_id(o->scratch, id, IR_ID_ANY));
    buf_add(b, STR(",\"function\":{"));
    ir_put_i64(b, "index", index);
    ir_put_text(b, "name", name);
    ir_put_name(b, "arguments");
    put_args(b, args);
    buf_add(b, STR("}}"));
}

static void write_text(struct ir_out *o, const struct ir_event *e)
{
    const struct ollama_out *s = o->state;
    buf_add(o->out, s->front);
    if (e->kind == IR_THINKING) {
        buf_add(o->out, STR("\",\"thinking\":\""));
    }
    buf_add(o->out, e->text);
    buf_add(o->out, s->back);
    buf_add(o->out, STR(",\"done\":false}\n"));
}

static void write_delta(struct ir_out *o, const struct ir_event *e)
{
    struct ollama_out *s = o->state;
    if (e->kind == IR_TOOL_CALL) {
        buf_add(&s->args, e->text);
    } else if (e->kind != IR_IMAGE && e->kind != IR_AUDIO) {
        write_text(o, e);
    }
}

static void write_block_start(struct ir_out *o, const struct ir_event *e)
{
    struct ollama_out *s = o->state;
    if (e->kind == IR_IMAGE || e->kind == IR_AUDIO || (e->kind == IR_TOOL_CALL && s->generate)) {
        o->lost++;
    } else if (e->kind == IR_TOOL_CALL) {
        s->args.n = 0;
        s->id = arena_dup(o->arena, e->id);
        s->name = arena_dup(o->arena, e->name);
    }
}

static void write_block_stop(struct ir_out *o, const struct ir_event *e)
{
    struct ollama_out *s = o->state;
    if (e->kind != IR_TOOL_CALL || s->generate) {
        return;
    }
    buf_add(o->out, s->front);
    buf_add(o->out, STR("\",\"tool_calls\":["));
    put_call(o, s->calls++, s->id, s->name, ir_args_in(o->scratch, buf_str(&s->args)));
    buf_add(o->out, STR("]},\"done\":false}\n"));
}

static void write_end(struct ir_out *o, const struct usage *u)
{
    const struct ollama_out *s = o->state;
    buf_add(o->out, s->front);
    buf_add(o->out, s->back);
    buf_add(o->out, STR(",\"done\":true,\"done_reason\":\""));
    buf_add(o->out, reason_of(s->finish));
    buf_addc(o->out, '"');
    put_usage(o->out, u);
    buf_add(o->out, STR("}\n"));
}

static void write_any(struct ir_out *o, const struct ir_event *e, bool generate)
{
    struct ollama_out *s = o->state;
    switch (e->type) {
    case IR_START:
        begin(o, generate);
        break;
    case IR_BLOCK_START:
        write_block_start(o, e);
        break;
    case IR_DELTA:
        write_delta(o, e);
        break;
    case IR_BLOCK_STOP:
        write_block_stop(o, e);
        break;
    case IR_SIGNATURE:
        o->lost++;
        break;
    case IR_FINISH:
        s->finish = e->finish;
        break;
    case IR_END:
        write_end(o, &e->usage);
        break;
    case IR_USAGE:
        break;
    }
}

static void write_event(struct ir_out *o, const struct ir_event *e)
{
    write_any(o, e, false);
}

static void write_generate_event(struct ir_out *o, const struct ir_event *e)
{
    write_any(o, e, true);
}

/* All texts of one or two kinds in one string, as their pieces would add up in a stream. */
static void put_joined(struct buf *b, const char *name, const struct ir_answer *a,
                       enum ir_kind kind, enum ir_kind or)
{
    ir_put_name(b, name);
    buf_addc(b, '"');
    for (const struct ir_part *p = a->parts; p; p = p->next) {
        if (p->kind == kind || p->kind == or) {
            buf_add(b, p->text);
        }
    }
    buf_addc(b, '"');
}

/* Text and thinking; what has no place is counted. */
static void put_texts(struct ir_out *o, const char *name, const struct ir_answer *a, bool calls)
{
    bool thinking = false;
    for (const struct ir_part *p = a->parts; p; p = p->next) {
        thinking = thinking || (p->kind == IR_THINKING && p->text.n);
        o->lost += p->kind == IR_IMAGE || p->kind == IR_AUDIO || p->signature.n ||
                   (p->kind == IR_TOOL_CALL && !calls);
    }
    put_joined(o->out, name, a, IR_TEXT, IR_REFUSAL);
    if (thinking) {
        put_joined(o->out, "thinking", a, IR_THINKING, IR_THINKING);
    }
}

static void put_back(struct ir_out *o, const struct ir_answer *a)
{
    buf_add(o->out, STR(",\"done\":true,\"done_reason\":\""));
    buf_add(o->out, reason_of(a->finish));
    buf_addc(o->out, '"');
    put_usage(o->out, &a->usage);
    buf_addc(o->out, '}');
}

static void write_answer(struct ir_out *o, const struct ir_answer *a)
{
    struct buf *b = o->out;
    uint32_t calls = 0;
    put_front(o, b);
    buf_add(b, STR("\"message\":{\"role\":\"assistant\""));
    put_texts(o, "content", a, true);
    for (const struct ir_part *p = a->parts; p; p = p->next) {
        if (p->kind == IR_TOOL_CALL) {
            buf_add(b, calls ? STR(",") : STR(",\"tool_calls\":["));
            put_call(o, calls++, p->id, p->name, p->args);
        }
    }
    buf_add(b, calls ? STR("]}") : STR("}"));
    put_back(o, a);
}

static void write_generate_answer(struct ir_out *o, const struct ir_answer *a)
{
    put_front(o, o->out);
    put_texts(o, "response", a, false);
    put_back(o, a);
}

#define SHARED                                                                                     \
    .family = FAMILY_OLLAMA, .framing = FRAMING_LINES,                                             \
    .stream_type = {"application/x-ndjson", 20}, .in_state = sizeof(struct ollama_in),             \
    .out_state = sizeof(struct ollama_out), .data_only = true, .path = ollama_path,                \
    .write_request = ollama_write_request, .read_event = read_event, .read_answer = read_answer,   \
    .read_error = read_error

const struct format format_ollama = {
    .name = {"ollama.chat", 11},
    .read_request = ollama_read_request,
    .write_event = write_event,
    .write_answer = write_answer,
    SHARED,
};

/* To callers only: what goes to an Ollama, and comes back, is a chat. */
const struct format format_ollama_generate = {
    .name = {"ollama.generate", 15},
    .read_request = ollama_read_generate,
    .write_event = write_generate_event,
    .write_answer = write_generate_answer,
    SHARED,
};
