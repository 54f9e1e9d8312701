/* gemini.generate, answers as they are read from an upstream. A chunk of a stream and a whole answer have one
 * shape; a stream has no last event of its own. */
#include "dialect/generate.h"

struct generate_in {
    bool called;
};

/* ---- parts ---- */

struct part {
    struct str text, signature, media_type, data;
    struct str id, name, args;
    bool thought, called;
};

static void read_call(struct part *p, struct walk *w)
{
    struct str key;
    p->called = walk_type(w) == JSON_OBJECT;
    for (bool in = walk_object(w); in && walk_member(w, &key);) {
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
}

static void read_blob(struct ir_in *in, struct part *p, struct walk *w)
{
    struct str key;
    for (bool more = walk_object(w); more && walk_member(w, &key);) {
        if (generate_is(key, STR("mime_type"))) {
            p->media_type = walk_text(w);
        } else if (str_eq(key, STR("data"))) {
            p->data = generate_base64(in->arena, walk_text(w));
        } else {
            walk_value(w);
        }
    }
}

static void read_part_members(struct ir_in *in, struct part *p, struct walk *w)
{
    struct str key;
    while (walk_member(w, &key)) {
        if (str_eq(key, STR("text"))) {
            p->text = walk_text(w);
        } else if (str_eq(key, STR("thought"))) {
            p->thought = walk_type(w) == JSON_TRUE;
            walk_value(w);
        } else if (generate_is(key, STR("thought_signature"))) {
            p->signature = walk_text(w);
        } else if (generate_is(key, STR("function_call"))) {
            read_call(p, w);
        } else if (generate_is(key, STR("inline_data"))) {
            read_blob(in, p, w);
        } else {
            in->lost += walk_type(w) != JSON_NULL; /* executableCode and the like */
            walk_value(w);
        }
    }
}

/* A thought of which nothing may be seen: all dialects can carry it. */
static void hide(struct ir_in *in, struct str signature)
{
    if (signature.n) {
        ir_close(in);
        ir_open(in, IR_THINKING);
        ir_signature(in, signature, FAMILY_GEMINI, true);
        ir_close(in);
    }
}

/* A signature of thoughts that are not shown comes with the text behind them, or alone at the end. */
static void sign(struct ir_in *in, const struct part *p)
{
    if (!in->open || in->open_kind != IR_THINKING || !p->thought) {
        hide(in, p->signature);
    } else if (p->signature.n) {
        ir_signature(in, p->signature, FAMILY_GEMINI, false);
        ir_close(in); /* what comes behind it is another one's */
    }
}

/* The signature of a call goes with it, and ahead of it as well: not all dialects' calls can hold one. */
static void read_whole_call(struct ir_in *in, const struct part *p)
{
    struct generate_in *s = in->state;
    s->called = true;
    hide(in, p->signature);
    ir_whole_call(in, p->id, p->name, p->args.n ? p->args : STR("{}"));
    ir_signature(in, p->signature, FAMILY_GEMINI, false);
    ir_close(in);
}

static void read_part(struct ir_in *in, struct walk *w)
{
    struct part p = {0};
    if (!walk_object(w)) {
        return;
    }
    read_part_members(in, &p, w);
    if (p.called) {
        read_whole_call(in, &p);
        return;
    }
    if (p.data.n) {
        bool audio = generate_kind(p.media_type) == IR_AUDIO;
        ir_media(in, audio ? IR_AUDIO : IR_IMAGE, p.media_type, p.data);
        return; /* signed images are not sent back */
    }
    ir_text(in, p.thought ? IR_THINKING : IR_TEXT, p.text);
    sign(in, &p);
}

static void read_content(struct ir_in *in, struct walk *w)
{
    struct str key;
    for (bool more = walk_object(w); more && walk_member(w, &key);) {
        if (!str_eq(key, STR("parts"))) {
            walk_value(w);
            continue;
        }
        for (bool parts = walk_array(w); parts && walk_element(w);) {
            read_part(in, w);
        }
    }
}

/* ---- the end ---- */

static const struct {
    struct str word;
    enum ir_finish finish;
} reasons[] = {
    {{"STOP", 4}, IR_FINISH_STOP},
    {{"MAX_TOKENS", 10}, IR_FINISH_LENGTH},
    {{"SAFETY", 6}, IR_FINISH_FILTER},
    {{"RECITATION", 10}, IR_FINISH_FILTER},
    {{"LANGUAGE", 8}, IR_FINISH_FILTER},
    {{"BLOCKLIST", 9}, IR_FINISH_FILTER},
    {{"PROHIBITED_CONTENT", 18}, IR_FINISH_FILTER},
    {{"SPII", 4}, IR_FINISH_FILTER},
    {{"MODEL_ARMOR", 11}, IR_FINISH_FILTER},
    {{"IMAGE_SAFETY", 12}, IR_FINISH_FILTER},
    {{"IMAGE_PROHIBITED_CONTENT", 24}, IR_FINISH_FILTER},
    {{"IMAGE_RECITATION", 16}, IR_FINISH_FILTER},
    {{"OTHER", 5}, IR_FINISH_ERROR},
    {{"IMAGE_OTHER", 11}, IR_FINISH_ERROR},
    {{"NO_IMAGE", 8}, IR_FINISH_ERROR},
    {{"MALFORMED_FUNCTION_CALL", 23}, IR_FINISH_ERROR},
    {{"MALFORMED_RESPONSE", 18}, IR_FINISH_ERROR},
    {{"UNEXPECTED_TOOL_CALL", 20}, IR_FINISH_ERROR},
    {{"TOO_MANY_TOOL_CALLS", 19}, IR_FINISH_ERROR},
    {{"MISSING_THOUGHT_SIGNATURE", 25}, IR_FINISH_ERROR},
};

/* A reason that is not known yet is none of an error's: STOP. */
static enum ir_finish finish_of(struct str word)
{
    for (size_t i = 0; i < sizeof reasons / sizeof *reasons; i++) {
        if (ir_is(word, reasons[i].word)) {
            return reasons[i].finish;
        }
    }
    return IR_FINISH_STOP;
}

static void finish(struct ir_in *in, enum ir_finish why)
{
    const struct generate_in *s = in->state;
    ir_finish(in, why == IR_FINISH_STOP && s->called ? IR_FINISH_TOOLS : why, (struct str){0});
}

static void count_lost(struct ir_in *in, struct walk *w)
{
    struct str value = walk_value(w);
    in->lost += value.n > 2; /* not {}, [] */
}

static void read_candidate(struct ir_in *in, struct walk *w, struct str *ret_reason)
{
    struct str key, reason = {0};
    struct walk content = {0};
    int64_t index = 0;
    for (bool more = walk_object(w); more && walk_member(w, &key);) {
        if (str_eq(key, STR("content"))) {
            content = *w;
            walk_value(w);
        } else if (generate_is(key, STR("finish_reason"))) {
            reason = walk_text(w);
        } else if (str_eq(key, STR("index"))) {
            (void)!json_int(walk_value(w), &index);
        } else if (walk_type(w) != JSON_NULL && (generate_is(key, STR("grounding_metadata")) ||
                                                 generate_is(key, STR("citation_metadata")) ||
                                                 generate_is(key, STR("url_context_metadata")))) {
            count_lost(in, w);
        } else {
            walk_value(w);
        }
    }
    if (index != 0 || in->finished) {
        return; /* other answers of candidateCount; repeated ends */
    }
    if (content.p) {
        read_content(in, &content);
    }
    if (reason.n && !ir_is(reason, STR("FINISH_REASON_UNSPECIFIED"))) {
        *ret_reason = reason;
    }
}

static bool is_blocked(struct walk *w)
{
    struct str key, reason = {0};
    for (bool more = walk_object(w); more && walk_member(w, &key);) {
        if (generate_is(key, STR("block_reason"))) {
            reason = walk_text(w);
        } else {
            walk_value(w);
        }
    }
    return reason.n && !ir_is(reason, STR("BLOCK_REASON_UNSPECIFIED"));
}

/* ---- errors ---- */

/* "17s", "0.5s" */
static uint32_t duration_ms(struct str s)
{
    uint64_t ms = 0, scale = 1000;
    bool fraction = false;
    for (size_t i = 0; i < s.n && s.p[i] != 's'; i++) {
        if (s.p[i] == '.') {
            fraction = true;
        } else if (s.p[i] < '0' || s.p[i] > '9') {
            return 0;
        } else if (!fraction) {
            ms = ms * 10 + (uint64_t)(s.p[i] - '0') * 1000;
        } else {
            scale /= 10;
            ms += (uint64_t)(s.p[i] - '0') * scale;
        }
        if (ms > UINT32_MAX) {
            return UINT32_MAX;
        }
    }
    return (uint32_t)ms;
}

/* google.rpc.RetryInfo has retryDelay, ErrorInfo has reason. */
static void read_details(struct arena *a, struct ir_error *e, struct walk *w)
{
    struct str key;
    for (bool any = walk_array(w); any && walk_element(w);) {
        for (bool in = walk_object(w); in && walk_member(w, &key);) {
            if (str_eq(key, STR("retryDelay"))) {
                e->retry_after_ms = duration_ms(walk_text(w));
            } else if (str_eq(key, STR("reason")) && walk_type(w) == JSON_STRING) {
                e->code = ir_plain(a, walk_text(w));
            } else {
                walk_value(w);
            }
        }
    }
}

static void read_error_object(struct arena *a, struct ir_error *e, struct walk *w)
{
    struct str key, status = {0};
    struct walk details = {0};
    int64_t code;
    for (bool in = walk_object(w); in && walk_member(w, &key);) {
        if (str_eq(key, STR("message"))) {
            e->message = ir_plain(a, walk_text(w));
        } else if (str_eq(key, STR("status"))) {
            status = ir_plain(a, walk_text(w));
        } else if (str_eq(key, STR("code"))) {
            if (json_int(walk_value(w), &code) == 0 && code >= 400 && code < 600 &&
                e->status == 500) {
                e->status = (unsigned)code;
            }
        } else if (str_eq(key, STR("details"))) {
            details = *w;
            walk_value(w);
        } else {
            walk_value(w);
        }
    }
    e->code = status;
    if (details.p) {
        read_details(a, e, &details);
    }
}

/* {"error":{...}}, and the same in an array, as streams without alt=sse have it. */
static void read_error(struct arena *a, struct str body, bool json, struct ir_error *e)
{
    struct str key;
    if (!json) {
        return;
    }
    struct walk w = walk_at(body);
    if (walk_type(&w) == JSON_ARRAY) {
        walk_enter(&w);
        if (!walk_element(&w)) {
            return;
        }
    }
    for (bool in = walk_object(&w); in && walk_member(&w, &key);) {
        if (!str_eq(key, STR("error"))) {
            walk_value(&w);
        } else if (walk_type(&w) == JSON_STRING) {
            e->message = ir_plain(a, walk_text(&w));
        } else {
            read_error_object(a, e, &w);
        }
    }
}

static void fail(struct ir_in *in, struct walk *w)
{
    struct ir_error e = {.status = 500};
    read_error_object(in->arena, &e, w);
    bool first = !in->failed;
    ir_fail(in, e.status, e.code, e.message);
    if (first) {
        in->error.retry_after_ms = e.retry_after_ms;
    }
}

/* ---- chunks and whole answers ---- */

static bool same(const struct usage *a, const struct usage *b)
{
    return a->input == b->input && a->output == b->output && a->cache_read == b->cache_read &&
           a->reasoning == b->reasoning;
}

struct chunk {
    struct walk candidates, feedback, error;
    struct str usage, id, model;
};

static void read_chunk_members(struct chunk *c, struct walk *w)
{
    struct str key;
    while (walk_member(w, &key)) {
        enum json_type is = walk_type(w);
        if (str_eq(key, STR("candidates"))) {
            c->candidates = *w;
            walk_value(w);
        } else if (generate_is(key, STR("usage_metadata"))) {
            c->usage = walk_value(w);
        } else if (generate_is(key, STR("response_id"))) {
            c->id = walk_text(w);
        } else if (generate_is(key, STR("model_version"))) {
            c->model = walk_text(w);
        } else if (generate_is(key, STR("prompt_feedback"))) {
            c->feedback = *w;
            walk_value(w);
        } else if (str_eq(key, STR("error")) && is == JSON_OBJECT) {
            c->error = *w;
            walk_value(w);
        } else {
            walk_value(w);
        }
    }
}

static void read_chunk(struct ir_in *in, struct walk *w)
{
    struct chunk c = {0};
    struct usage before = in->usage;
    struct str reason = {0};
    if (!walk_object(w)) {
        return;
    }
    read_chunk_members(&c, w);
    if (c.error.p) {
        fail(in, &c.error);
        return;
    }
    if (c.usage.n && c.usage.p[0] == '{') {
        dialect_gemini.usage(c.usage, &in->usage);
    }
    bool told = !in->started || same(&before, &in->usage);
    ir_start(in, c.id, c.model);
    for (bool any = c.candidates.p && walk_array(&c.candidates);
         any && walk_element(&c.candidates);) {
        read_candidate(in, &c.candidates, &reason);
    }
    if (!told) {
        ir_tell_usage(in);
    }
    if (reason.n) {
        finish(in, finish_of(reason));
    } else if (c.feedback.p && is_blocked(&c.feedback)) {
        finish(in, IR_FINISH_FILTER);
    }
}

static void read_event(struct ir_in *in, struct str name, struct str data, bool json)
{
    (void)name;
    if (json) {
        struct walk w = walk_at(data);
        read_chunk(in, &w);
    }
}

/* An object, or the array of a stream. */
static void read_answer(struct ir_in *in, struct str body)
{
    struct walk w = walk_at(body);
    const struct generate_in *s = in->state;
    if (walk_type(&w) == JSON_ARRAY) {
        walk_enter(&w);
        while (walk_element(&w) && !in->failed) {
            read_chunk(in, &w);
        }
    } else {
        read_chunk(in, &w);
    }
    if (in->failed || in->finished) {
        return;
    }
    if (in->blocks == 0) {
        ir_fail(in, 502, STR("upstream_error"), STR("The provider's answer has no candidate."));
        return;
    }
    ir_finish(in, s->called ? IR_FINISH_TOOLS : IR_FINISH_STOP, (struct str){0});
}

const struct format format_generate = {
    .name = {"gemini.generate", 15},
    .family = FAMILY_GEMINI,
    .framing = FRAMING_SSE,
    .stream_type = {"text/event-stream", 17},
    .version = {"/v1beta", 7},
    .in_state = sizeof(struct generate_in),
    .out_state = GENERATE_OUT_STATE,
    .data_only = true,
    .read_request = generate_read_request,
    .write_request = generate_write_request,
    .path = generate_path,
    .read_event = read_event,
    .read_answer = read_answer,
    .read_error = read_error,
    .write_event = generate_write_event,
    .write_answer = generate_write_answer,
};
