/* What is said in one dialect, written in another and read back, says the same: everything that the dialect in
 * the middle has words for. And a stream's fold is the answer that did not stream. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "dialect/format.h"
#include "http/aws_frame.h"
#include "http/sse.h"
#include "json/scan.h"

/* What a dialect has no words for, one bit each. */
enum {
    NO_SYSTEM_PARTS = 1 << 0, /* instructions are one text */
    NO_IMAGE_URL = 1 << 1,
    NO_IMAGE_IN_RESULT = 1 << 2, /* they follow behind the results */
    NO_ERROR_MARK = 1 << 3,      /* of a result */
    NO_CHOICE = 1 << 4,
    NO_STOP = 1 << 5,
    NO_TOP_K = 1 << 6,
    NO_SEED = 1 << 7,
    NO_PENALTIES = 1 << 8,
    NO_USER = 1 << 9,
    NO_CACHE = 1 << 10,
    NO_SCHEMA = 1 << 11,
    NO_SCHEMA_NAME = 1 << 12,
    NO_PARALLEL = 1 << 13,
    NO_EFFORT_WORD = 1 << 14, /* thinking is asked for by a budget */
    NO_STRICT = 1 << 15,
    NO_IMAGE = 1 << 16,
    NO_DETAIL = 1 << 17,
    NO_RESULT_NAME = 1 << 18,
};

static const struct {
    enum format_id format;
    uint32_t lacks;
    uint32_t quirks; /* of the vendor it is written for */
} dialects[] = {
    {FORMAT_CHAT, NO_IMAGE_IN_RESULT | NO_ERROR_MARK | NO_CACHE, 0},
    {FORMAT_GENERATE,
     NO_ERROR_MARK | NO_CACHE | NO_SCHEMA_NAME | NO_PARALLEL | NO_USER | NO_DETAIL |
         NO_SYSTEM_PARTS,
     QUIRK_GEMINI_3},
    {FORMAT_RESPONSES,
     NO_ERROR_MARK | NO_STOP | NO_TOP_K | NO_SEED | NO_PENALTIES | NO_CACHE | NO_SYSTEM_PARTS |
         NO_STRICT | NO_DETAIL,
     0},
    {FORMAT_MESSAGES, NO_SEED | NO_PENALTIES | NO_SCHEMA_NAME | NO_EFFORT_WORD | NO_DETAIL, 0},
    {FORMAT_CONVERSE,
     NO_IMAGE_URL | NO_TOP_K | NO_SEED | NO_PENALTIES | NO_USER | NO_PARALLEL | NO_EFFORT_WORD |
         NO_DETAIL,
     0},
};

/* ---- the form as a text that can be compared ---- */

struct dump {
    struct buf *b;
    struct str ids[32];
    unsigned n_ids;
    uint32_t lacks;
};

static void line(struct dump *d, const char *what, struct str text)
{
    if (text.n) {
        buf_printf(d->b, "%s=%.*s\n", what, STR_ARG(text));
    }
}

/* Ids may be spelled anew; which belong together may not change. */
static void id_line(struct dump *d, struct str id)
{
    unsigned i = 0;
    while (i < d->n_ids && !str_eq(d->ids[i], id)) {
        i++;
    }
    if (i == d->n_ids) {
        d->ids[d->n_ids++] = id;
    }
    buf_printf(d->b, "id#%u\n", i);
}

static void dump_media(struct dump *d, const struct ir_part *p)
{
    if (d->lacks & NO_IMAGE || (p->url.n && d->lacks & NO_IMAGE_URL)) {
        return;
    }
    buf_addz(d->b, "image\n");
    line(d, "type", p->url.n ? (struct str){0} : p->media_type);
    line(d, "data", p->data);
    line(d, "url", p->url);
    line(d, "detail", d->lacks & NO_DETAIL ? (struct str){0} : p->detail);
}

static void dump_part(struct dump *d, const struct ir_part *p)
{
    switch (p->kind) {
    case IR_TEXT:
        line(d, "text", p->text);
        break;
    case IR_IMAGE:
        dump_media(d, p);
        break;
    case IR_TOOL_CALL:
        id_line(d, p->id);
        line(d, "call", p->name);
        line(d, "args", p->args);
        break;
    case IR_TOOL_RESULT:
        id_line(d, p->id);
        line(d, "result of", p->name);
        if (p->is_error && !(d->lacks & NO_ERROR_MARK)) {
            buf_addz(d->b, "error\n");
        }
        for (const struct ir_part *k = p->parts; k; k = k->next) {
            if (k->kind == IR_TEXT || !(d->lacks & NO_IMAGE_IN_RESULT)) {
                dump_part(d, k);
            }
        }
        break;
    default:
        break;
    }
    if (p->cache && !(d->lacks & NO_CACHE)) {
        buf_printf(d->b, "cache %d\n", (int)p->cache);
    }
}

static void dump_tools(struct dump *d, const struct ir_call *c)
{
    for (const struct ir_tool *t = c->tools; t; t = t->next) {
        line(d, "tool", t->name);
        line(d, "description", t->description);
        line(d, "schema", ir_tool_schema(t));
        if (t->strict == IR_YES && !(d->lacks & NO_STRICT)) {
            buf_addz(d->b, "strict\n");
        }
    }
    if (!(d->lacks & NO_CHOICE)) {
        buf_printf(d->b, "choice %d\n", (int)c->choice);
        line(d, "choice", c->choice_tool);
    }
    if (!(d->lacks & NO_PARALLEL)) {
        buf_printf(d->b, "parallel %d\n", (int)c->parallel);
    }
}

static void dump_settings(struct dump *d, const struct ir_call *c)
{
    line(d, "max_tokens", c->max_tokens);
    line(d, "temperature", c->temperature);
    line(d, "top_p", c->top_p);
    line(d, "top_k", d->lacks & NO_TOP_K ? (struct str){0} : c->top_k);
    line(d, "seed", d->lacks & NO_SEED ? (struct str){0} : c->seed);
    if (!(d->lacks & NO_PENALTIES)) {
        line(d, "presence", c->presence_penalty);
        line(d, "frequency", c->frequency_penalty);
    }
    line(d, "user", d->lacks & NO_USER ? (struct str){0} : c->end_user);
    for (const struct ir_list *l = d->lacks & NO_STOP ? NULL : c->stop; l; l = l->next) {
        line(d, "stop", l->text);
    }
    if (!(d->lacks & NO_SCHEMA)) {
        buf_printf(d->b, "format %d\n", (int)c->format);
        line(d, "schema", c->schema);
        line(d, "schema name", d->lacks & NO_SCHEMA_NAME ? (struct str){0} : c->schema_name);
    }
}

static struct str dump(struct arena *a, const struct ir_call *c, uint32_t lacks)
{
    struct buf b = {.arena = a};
    struct dump d = {.b = &b, .lacks = lacks};
    enum ir_role role = IR_SYSTEM;
    for (const struct ir_part *p = c->system; p; p = p->next) {
        if (lacks & NO_SYSTEM_PARTS) {
            buf_printf(&b, "%s%.*s", p == c->system ? "system=" : "\\n\\n", STR_ARG(p->text));
        } else {
            buf_addz(&b, "system\n");
            dump_part(&d, p);
        }
    }
    for (const struct ir_turn *t = c->turns; t; t = t->next) {
        if (t->role != role) {
            buf_printf(&b, "\nturn of %d\n", (int)t->role);
            role = t->role;
        }
        for (const struct ir_part *p = t->first; p; p = p->next) {
            if (p->kind == IR_TOOL_RESULT) {
                dump_part(&d, p);
            }
        }
        for (const struct ir_part *p = t->first; p; p = p->next) {
            for (const struct ir_part *k = p->parts; k && lacks & NO_IMAGE_IN_RESULT; k = k->next) {
                if (k->kind == IR_IMAGE) {
                    dump_part(&d, k);
                }
            }
        }
        for (const struct ir_part *p = t->first; p; p = p->next) {
            if (p->kind != IR_TOOL_RESULT) {
                dump_part(&d, p);
            }
        }
    }
    dump_tools(&d, c);
    dump_settings(&d, c);
    return buf_str(&b);
}

/* ---- round trips ---- */

static const char chat_request[] =
    "{\"model\":\"m\",\"messages\":["
    "{\"role\":\"system\",\"content\":\"Be brief \\u00e9 \\\"x\\\".\"},"
    "{\"role\":\"user\",\"content\":[{\"type\":\"text\",\"text\":\"What is this? \\ud83d\\ude00\"},"
    "{\"type\":\"image_url\",\"image_url\":{\"url\":\"data:image/"
    "png;base64,iVBORw0K\",\"detail\":\"low\"}},"
    "{\"type\":\"image_url\",\"image_url\":{\"url\":\"https://x.test/a.jpg\"}}]},"
    "{\"role\":\"assistant\",\"content\":\"I look.\",\"tool_calls\":["
    "{\"id\":\"call_A\",\"type\":\"function\",\"function\":{\"name\":\"look\","
    "\"arguments\":\"{\\\"at\\\": 1.50, \\\"s\\\":\\\"a\\\\\\\"b\\\"}\"}},"
    "{\"id\":\"call_B\",\"type\":\"function\",\"function\":{\"name\":\"wait\",\"arguments\":\"\"}}]"
    "},"
    "{\"role\":\"tool\",\"tool_call_id\":\"call_A\",\"content\":\"a cat\"},"
    "{\"role\":\"tool\",\"tool_call_id\":\"call_B\",\"content\":\"done\"},"
    "{\"role\":\"user\",\"content\":\"And now?\"}],"
    "\"tools\":[{\"type\":\"function\",\"function\":{\"name\":\"look\",\"description\":\"Looks.\","
    "\"parameters\":{\"type\":\"object\",\"properties\":{\"at\":{\"type\":\"number\"},"
    "\"s\":{\"type\":\"string\"}},\"required\":[\"at\"]}}},"
    "{\"type\":\"function\",\"function\":{\"name\":\"wait\"}}],"
    "\"tool_choice\":{\"type\":\"function\",\"function\":{\"name\":\"look\"}},"
    "\"parallel_tool_calls\":false,\"max_tokens\":100,\"temperature\":0.7,\"top_p\":0.95,\"top_k\":"
    "40,"
    "\"seed\":7,\"presence_penalty\":0.25,\"frequency_penalty\":0.125,\"stop\":[\"END\",\"\\n\\n\"]"
    ","
    "\"user\":\"u-1\",\"response_format\":{\"type\":\"json_schema\",\"json_schema\":{\"name\":"
    "\"thing\","
    "\"schema\":{\"type\":\"object\",\"properties\":{\"a\":{\"type\":\"string\"}},\"required\":["
    "\"a\"]}}}}";

static const char messages_request[] =
    "{\"model\":\"m\",\"max_tokens\":4000,\"system\":[{\"type\":\"text\",\"text\":\"One.\"},"
    "{\"type\":\"text\",\"text\":\"Two.\",\"cache_control\":{\"type\":\"ephemeral\"}}],"
    "\"messages\":["
    "{\"role\":\"user\",\"content\":\"Hi\"},{\"role\":\"user\",\"content\":\"there\"},"
    "{\"role\":\"assistant\",\"content\":[{\"type\":\"text\",\"text\":\"Let me see.\"},"
    "{\"type\":\"tool_use\",\"id\":\"toolu_1\",\"name\":\"see\",\"input\":{\"x\":[1,2,{\"y\":null}]"
    "}}]},"
    "{\"role\":\"user\",\"content\":[{\"type\":\"text\",\"text\":\"Here.\"},"
    "{\"type\":\"tool_result\",\"tool_use_id\":\"toolu_1\",\"is_error\":true,\"content\":["
    "{\"type\":\"text\",\"text\":\"broken\"},{\"type\":\"image\",\"source\":{\"type\":\"base64\","
    "\"media_type\":\"image/jpeg\",\"data\":\"/9j/4AAQ\"}}]}]}],"
    "\"tools\":[{\"name\":\"see\",\"description\":\"Sees.\",\"input_schema\":{\"type\":\"object\","
    "\"properties\":{\"x\":{\"type\":\"array\",\"items\":{\"type\":\"integer\"}}}}}],"
    "\"tool_choice\":{\"type\":\"any\"},\"temperature\":1,\"stop_sequences\":[\"STOP\"],"
    "\"metadata\":{\"user_id\":\"u-2\"}}";

static void read_with(struct arena *a, struct ir_call *c, const struct format *f, struct str body)
{
    enum json_type top;
    struct json_error e = {0};
    ir_call_init(c, a);
    if (json_scan(body, NULL, 0, &top, &e) < 0) {
        fail_msg("%.*s: %s at %zu of %.*s", STR_ARG(f->name), e.why, e.at, STR_ARG(body));
    }
    if (f->read_request(c, body) < 0) {
        fail_msg("%.*s: %.*s in %.*s", STR_ARG(f->name), STR_ARG(c->bad), STR_ARG(body));
    }
    ir_call_finish(c);
}

static void there_and_back(enum format_id first, const char *text, enum format_id middle,
                           uint32_t lacks, uint32_t quirks)
{
    struct arena a = {0};
    struct ir_call c, again;
    const struct format *f = format_of(middle);
    struct buf b = {.arena = &a};
    read_with(&a, &c, format_of(first), str_of(text));
    struct str before = dump(&a, &c, lacks);
    struct ir_target t = {.model = STR("m"), .family = f->family, .quirks = quirks};
    f->write_request(&b, &c, &t);
    read_with(&a, &again, f, buf_str(&b));
    struct str after = dump(&a, &again, lacks);
    if (!str_eq(before, after)) {
        size_t at = 0;
        while (at < before.n && at < after.n && before.p[at] == after.p[at]) {
            at++;
        }
        print_message("the difference begins with\n%.*s\nand\n%.*s\n",
                      (int)(before.n - at < 80 ? before.n - at : 80), before.p + at,
                      (int)(after.n - at < 80 ? after.n - at : 80), after.p + at);
        fail_msg("through %.*s:\n%.*s\nbecame\n%.*s\nas\n%.*s", STR_ARG(f->name), STR_ARG(before),
                 STR_ARG(after), STR_ARG(buf_str(&b)));
    }
    arena_reset(&a);
}

static void requests_survive(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof dialects / sizeof *dialects; i++) {
        there_and_back(FORMAT_CHAT, chat_request, dialects[i].format, dialects[i].lacks,
                       dialects[i].quirks);
        there_and_back(FORMAT_MESSAGES, messages_request, dialects[i].format, dialects[i].lacks,
                       dialects[i].quirks);
    }
}

/* ---- answers: whole and streamed, in and out of each dialect ---- */

struct sink {
    const struct format *to;
    struct ir_out out;
};

static void to_writer(void *arg, const struct ir_event *e)
{
    struct sink *s = arg;
    s->to->write_event(&s->out, e);
}

static void dump_answer(struct buf *b, const struct ir_answer *a)
{
    for (const struct ir_part *p = a->parts; p; p = p->next) {
        buf_printf(b, "%d %.*s|%.*s|%.*s\n", (int)p->kind, STR_ARG(p->name),
                   STR_ARG(p->kind == IR_TOOL_CALL ? (struct str){0} : p->text), STR_ARG(p->args));
    }
    buf_printf(b, "finish %d usage %lld %lld %lld\n", (int)a->finish, (long long)a->usage.input,
               (long long)a->usage.output,
               (long long)(a->usage.cache_read > 0 ? a->usage.cache_read : 0));
}

/* The answer as the form has it. */
static void make_answer(ir_event_fn *emit, void *arg)
{
    struct usage u = {.input = 30, .output = 20, .cache_read = 8, .cache_write = 0, .reasoning = 0};
    static const struct ir_event events[] = {
        {.type = IR_START,
         .id = {"x", 1},
         .model = {"m", 1},
         .usage = {-1, -1, -1, -1, -1, -1, -1, -1}},
        {.type = IR_BLOCK_START, .kind = IR_TEXT, .block = 0},
        {.type = IR_DELTA, .kind = IR_TEXT, .block = 0, .text = {"Hello \\\"", 8}},
        {.type = IR_DELTA, .kind = IR_TEXT, .block = 0, .text = {"w\\u00f6rld", 10}},
        {.type = IR_BLOCK_STOP, .kind = IR_TEXT, .block = 0},
        {.type = IR_BLOCK_START,
         .kind = IR_TOOL_CALL,
         .block = 1,
         .id = {"call_1", 6},
         .name = {"f", 1}},
        {.type = IR_DELTA, .kind = IR_TOOL_CALL, .block = 1, .text = {"{\\\"a\\\":", 7}},
        {.type = IR_DELTA, .kind = IR_TOOL_CALL, .block = 1, .text = {"[1,2]}", 6}},
        {.type = IR_BLOCK_STOP, .kind = IR_TOOL_CALL, .block = 1},
        {.type = IR_BLOCK_START,
         .kind = IR_TOOL_CALL,
         .block = 2,
         .id = {"call_2", 6},
         .name = {"g", 1}},
        {.type = IR_BLOCK_STOP, .kind = IR_TOOL_CALL, .block = 2},
    };
    for (size_t i = 0; i < sizeof events / sizeof *events; i++) {
        emit(arg, &events[i]);
    }
    emit(arg, &(struct ir_event){.type = IR_FINISH, .finish = IR_FINISH_TOOLS, .usage = u});
    emit(arg, &(struct ir_event){.type = IR_END, .usage = u});
}

static struct ir_out an_out(struct arena *a, const struct format *f, struct buf *text, bool stream)
{
    return (struct ir_out){.arena = a,
                           .out = text,
                           .scratch = a,
                           .state = arena_zalloc(a, f->out_state + 16),
                           .model = STR("m"),
                           .id = STR("00000000000000000000000000"),
                           .usage_wanted = true,
                           .stream = stream,
                           .caller = f->family};
}

static struct str read_whole(struct arena *a, const struct format *f, struct str body)
{
    struct ir_fold fold = {.arena = a};
    struct ir_in in = {.arena = a,
                       .event = ir_fold_event,
                       .arg = &fold,
                       .state = arena_zalloc(a, f->in_state + 16),
                       .usage = USAGE_NONE,
                       .request_id = "req_00000000000000000000000000"};
    struct buf b = {.arena = a};
    f->read_answer(&in, body);
    assert_true(in.finished && !in.failed);
    fold.answer.usage = in.usage;
    dump_answer(&b, &fold.answer);
    return buf_str(&b);
}

static void answers_survive(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof dialects / sizeof *dialects; i++) {
        const struct format *f = format_of(dialects[i].format);
        struct arena a = {0};
        struct buf text = {.arena = &a}, want = {.arena = &a};
        struct ir_fold fold = {.arena = &a};
        make_answer(ir_fold_event, &fold);
        dump_answer(&want, &fold.answer);
        struct ir_out out = an_out(&a, f, &text, false);
        f->write_answer(&out, &fold.answer);
        struct str got = read_whole(&a, f, buf_str(&text));
        if (!str_eq(got, buf_str(&want))) {
            fail_msg("%.*s: %.*s\nbecame\n%.*s\nby\n%.*s", STR_ARG(f->name),
                     STR_ARG(buf_str(&want)), STR_ARG(got), STR_ARG(buf_str(&text)));
        }
        arena_reset(&a);
    }
}

/* Reads a stream's bytes as the gateway does. */
static void read_stream(struct arena *a, const struct format *f, struct ir_in *in, struct str bytes)
{
    while (bytes.n) {
        size_t n = f->framing == FRAMING_SSE     ? sse_event_end(bytes.p, bytes.n, 0)
                   : f->framing == FRAMING_LINES ? ndjson_line_end(bytes.p, bytes.n, 0)
                                                 : aws_frame_end(bytes.p, bytes.n);
        assert_true(n > 0 && n <= bytes.n);
        struct str name = {0}, data = str_first(bytes, n);
        if (f->framing == FRAMING_SSE) {
            data = sse_data(a, data, &name);
        } else if (f->framing == FRAMING_AMAZON) {
            struct aws_frame frame;
            assert_int_equal(aws_frame_read(data, &frame), 0);
            name = frame.name;
            data = frame.payload;
        }
        enum json_type top;
        data = str_trim(data);
        f->read_event(in, name, data, json_scan(data, NULL, 0, &top, NULL) == 0);
        bytes = str_from(bytes, n);
    }
}

static void streams_survive(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof dialects / sizeof *dialects; i++) {
        const struct format *f = format_of(dialects[i].format);
        struct arena a = {0};
        struct buf bytes = {.arena = &a}, want = {.arena = &a}, got = {.arena = &a};
        struct ir_fold first = {.arena = &a}, second = {.arena = &a, .copy = true};
        make_answer(ir_fold_event, &first);
        dump_answer(&want, &first.answer);
        struct sink s = {.to = f, .out = an_out(&a, f, &bytes, true)};
        make_answer(to_writer, &s);
        struct ir_in in = {.arena = &a,
                           .event = ir_fold_event,
                           .arg = &second,
                           .state = arena_zalloc(&a, f->in_state + 16),
                           .usage = USAGE_NONE,
                           .request_id = "req_00000000000000000000000000"};
        read_stream(&a, f, &in, buf_str(&bytes));
        second.answer.usage = in.usage;
        dump_answer(&got, &second.answer);
        if (!in.finished || in.failed || !str_eq(buf_str(&got), buf_str(&want))) {
            fail_msg("%.*s (finished %d, failed %d):\n%.*s\nbecame\n%.*s\nby\n%.*s",
                     STR_ARG(f->name), in.finished, in.failed, STR_ARG(buf_str(&want)),
                     STR_ARG(buf_str(&got)), STR_ARG(buf_str(&bytes)));
        }
        arena_reset(&a);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(requests_survive),
        cmocka_unit_test(answers_survive),
        cmocka_unit_test(streams_survive),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
