/* Whatever a caller or an upstream sends, in any dialect: what is written of it in any other one is valid JSON,
 * and a stream's events follow their order. The first three bytes choose the dialects and what is read. */
#include <stdlib.h>
#include <stdio.h>

#include "base/must.h"
#include "dialect/format.h"
#include "dialect/ir_repeat.h"
#include "http/aws_frame.h"
#include "http/sse.h"
#include "json/scan.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must_be_object(struct str text)
{
    enum json_type top;
    if (getenv("SHOW")) {
        fprintf(stderr, "%.*s\n", STR_ARG(text));
    }
    must(json_scan(text, NULL, 0, &top, NULL) == 0 && top == JSON_OBJECT);
}

static const struct format *pick(uint8_t byte)
{
    return format_of((enum format_id)(byte % FORMAT_COUNT));
}

/* ---- requests ---- */

static void request(struct arena *a, const struct format *from, const struct format *to,
                    uint32_t quirks, struct str body)
{
    struct ir_call c;
    ir_call_init(&c, a);
    c.stream = quirks & 1;
    if (!from->read_request || !to->write_request || from->read_request(&c, body) < 0) {
        return;
    }
    ir_call_finish(&c);
    struct ir_target t = {.model = STR("m"), .quirks = quirks, .family = to->family};
    struct buf b = {.arena = a}, again = {.arena = a}, path = {.arena = a};
    to->write_request(&b, &c, &t);
    must_be_object(buf_str(&b));
    to->path(&path, &c, &t);
    must(path.n > 1 && path.p[0] == '/');
    for (const struct ir_list *l = c.dropped; l; l = l->next) {
        for (size_t i = 0; i < l->text.n; i++) {
            must(l->text.p[i] >= ' ' && l->text.p[i] < 0x7f); /* it becomes a header field */
        }
    }
    ir_call_init(&c, a);
    c.stream = quirks & 1;
    must(from->read_request(&c, body) == 0);
    ir_call_finish(&c);
    to->write_request(&again, &c, &t);
    must(str_eq(buf_str(&b), buf_str(&again))); /* the same history gives the same bytes */
}

/* ---- answers ---- */

/* The order of events, and then what the writer makes of them. */
struct judge {
    const struct format *to;
    struct ir_out out;
    bool started, open, finished;
    uint32_t block;
    struct ir_repeat repeat;
};

static void on_event(void *arg, const struct ir_event *e)
{
    struct judge *j = arg;
    ir_repeat_see(&j->repeat, e);
    switch (e->type) {
    case IR_START:
        must(!j->started);
        j->started = true;
        break;
    case IR_BLOCK_START:
        must(j->started && !j->open && !j->finished && e->block == j->block);
        j->open = true;
        must(e->kind != IR_TOOL_CALL || e->id.n);
        break;
    case IR_DELTA:
    case IR_SIGNATURE:
        must(j->open && e->block == j->block);
        break;
    case IR_BLOCK_STOP:
        must(j->open && e->block == j->block);
        j->open = false;
        j->block++;
        break;
    case IR_FINISH:
        must(j->started && !j->open && !j->finished);
        j->finished = true;
        break;
    case IR_USAGE:
    case IR_END:
        break;
    }
    j->to->write_event(&j->out, e);
}

static struct ir_out an_out(struct arena *a, const struct format *to, struct buf *out)
{
    return (struct ir_out){.arena = a,
                           .out = out,
                           .scratch = a,
                           .state = arena_zalloc(a, to->out_state + 16),
                           .model = STR("m"),
                           .id = STR("00000000000000000000000000"),
                           .created_s = 1,
                           .usage_wanted = true,
                           .stream = true,
                           .caller = to->family};
}

static struct ir_in an_in(struct arena *a, const struct format *from)
{
    return (struct ir_in){.arena = a,
                          .state = arena_zalloc(a, from->in_state + 16),
                          .usage = USAGE_NONE,
                          .request_id = "req_00000000000000000000000000"};
}

static void must_be_events(struct arena *a, struct str text)
{
    while (text.n) {
        size_t n = sse_event_end(text.p, text.n, 0);
        must(n > 0);
        struct str data = sse_data(a, str_first(text, n), NULL);
        if (!str_eq(data, STR("[DONE]"))) {
            must_be_object(data);
        }
        text = str_from(text, n);
    }
}

static void must_be_lines(struct str text)
{
    struct str line;
    while (text.n) {
        str_cut(&text, '\n', &line);
        must_be_object(line);
    }
}

static void must_be_frames(struct str text)
{
    while (text.n) {
        struct aws_frame f;
        size_t n = aws_frame_end(text.p, text.n);
        must(n > 0 && n <= text.n);
        must(aws_frame_read(str_first(text, n), &f) == 0);
        must(f.type == AWS_FRAME_EVENT && f.name.n);
        must_be_object(f.payload);
        text = str_from(text, n);
    }
}

/* One event a line, its name ahead of a tab. */
static void read_line(const struct format *from, struct ir_in *in, struct str line)
{
    struct str name;
    if (!str_cut(&line, '\t', &name)) {
        line = name;
        name = (struct str){0};
    }
    enum json_type top;
    bool json = json_scan(line, NULL, 0, &top, NULL) == 0 && top == JSON_OBJECT;
    if (json || (line.n && line.p[0] != '{')) {
        from->read_event(in, name, line, json);
    }
}

/* All of it, in the other dialect; `repeat`: events like the one before are not read. */
static struct str stream(struct arena *a, const struct format *from, const struct format *to,
                         struct str text, bool repeat)
{
    struct buf out = {.arena = a};
    struct judge j = {.to = to, .out = an_out(a, to, &out)};
    struct ir_in in = an_in(a, from);
    in.event = on_event;
    in.arg = &j;
    while (text.n && !in.failed && !in.ended) {
        struct str frame = text, line;
        size_t n = repeat ? ir_repeat_take(&j.repeat, text.p, text.n, &line) : 0;
        if (n) {
            ir_delta(&in, line);
            text = str_from(text, n);
            continue;
        }
        j.repeat.events = 0;
        str_cut(&text, '\n', &line);
        read_line(from, &in, line);
        ir_repeat_note(&j.repeat, a, str_first(frame, (size_t)(text.p - frame.p)));
    }
    if (in.finished && !in.failed) {
        on_event(&j, &(struct ir_event){.type = IR_END, .usage = in.usage});
    }
    return buf_str(&out);
}

static void streams(struct arena *a, const struct format *from, const struct format *to,
                    struct str text)
{
    struct str out = stream(a, from, to, text, false);
    must(str_eq(out, stream(a, from, to, text, true)));
    if (to->framing == FRAMING_SSE) {
        must_be_events(a, out);
    } else if (to->framing == FRAMING_LINES) {
        must_be_lines(out);
    } else if (to->framing == FRAMING_AMAZON) {
        must_be_frames(out);
    }
}

static void whole(struct arena *a, const struct format *from, const struct format *to,
                  struct str body)
{
    struct buf out = {.arena = a};
    struct ir_out o = an_out(a, to, &out);
    struct ir_fold fold = {.arena = a};
    struct ir_in in = an_in(a, from);
    o.stream = false;
    in.event = ir_fold_event;
    in.arg = &fold;
    from->read_answer(&in, body);
    if (in.finished && !in.failed) {
        to->write_answer(&o, &fold.answer);
        must_be_object(buf_str(&out));
    }
}

static void error(struct arena *a, const struct format *from, struct str body)
{
    enum json_type top;
    struct ir_error e = {.status = 500};
    bool json = json_scan(body, NULL, 0, &top, NULL) == 0;
    from->read_error(a, body, json, &e);
    must(e.status >= 400 && e.status < 600);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 4) {
        return 0;
    }
    const struct format *from = pick(data[0]), *to = pick(data[1]);
    uint8_t what = data[2];
    struct arena a = {0};
    /* Its own memory, so that reading outside of it shows. */
    char *own = malloc(size - 3);
    must(own);
    memcpy(own, data + 3, size - 3);
    struct str text = str_make(own, size - 3);
    enum json_type top;
    bool object = json_scan(text, NULL, 0, &top, NULL) == 0 && top == JSON_OBJECT;
    if (from && to) {
        if (what % 4 == 0 && object) {
            request(&a, from, to, (uint32_t)what * 2654435761U >> 8, text);
        } else if (what % 4 == 1 && object && from->read_answer) {
            whole(&a, from, to, text);
        } else if (what % 4 == 2 && from->read_event) {
            streams(&a, from, to, text);
        } else if (what % 4 == 3 && from->read_error) {
            error(&a, from, text);
        }
    }
    free(own);
    arena_reset(&a);
    return 0;
}
