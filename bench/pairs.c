/* What the formats alone cost, for each pair of dialects: a request of 1 KiB there and its answer back, and one chunk of
 * a stream back, in microseconds of CPU. What the gateway does around it is the same for all pairs; `bench/run
 * --scenario translated` measures all of it for one of them.
 *
 *   pairs [ROUNDS]          2000
 */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "base/must.h"
#include "dialect/format.h"
#include "http/aws_frame.h"
#include "http/sse.h"
#include "json/scan.h"

enum { CHUNKS = 100, EVENTS_MAX = 4 * CHUNKS, CALLERS = 7 };

static const enum format_id dialects[CALLERS] = {
    FORMAT_CHAT,   FORMAT_RESPONSES, FORMAT_MESSAGES, FORMAT_GENERATE,
    FORMAT_OLLAMA, FORMAT_COHERE,    FORMAT_CONVERSE,
};

/* One of these as each dialect says it. */
struct event {
    struct str name, data;
};
static struct spoken {
    struct str request, answer;
    struct event events[EVENTS_MAX];
    size_t n;
} spoken[FORMAT_COUNT];

static double cpu_us(void)
{
    struct timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec * 1e6 + (double)t.tv_nsec / 1e3;
}

/* ---- the one call that all of it is about ---- */

static struct str chat_request(struct arena *a)
{
    struct buf b = {.arena = a};
    buf_add(&b,
            STR("{\"model\":\"m\",\"max_tokens\":256,\"temperature\":0.5,\"messages\":[{\"role\":"
                "\"system\",\"content\":\"You are terse.\"},{\"role\":\"user\",\"content\":\""));
    while (b.n < 900) {
        buf_add(&b, STR("Tell me of the sea, and of those who cross it. "));
    }
    buf_add(&b, STR("\"},{\"role\":\"assistant\",\"content\":\"It is wide.\"},{\"role\":\"user\","
                    "\"content\":\"Go on.\"}]}"));
    return buf_str(&b);
}

static struct ir_out an_out(struct arena *a, const struct format *to, struct buf *out, bool stream)
{
    return (struct ir_out){.arena = a,
                           .out = out,
                           .scratch = a,
                           .state = arena_zalloc(a, to->out_state + 16),
                           .model = STR("m"),
                           .id = STR("00000000000000000000000000"),
                           .created_s = 1,
                           .usage_wanted = true,
                           .sequence = to == format_of(FORMAT_RESPONSES) ? 0 : -1,
                           .stream = stream,
                           .caller = to->family};
}

static struct ir_in an_in(struct arena *a, const struct format *from, ir_event_fn *event, void *arg)
{
    return (struct ir_in){.arena = a,
                          .event = event,
                          .arg = arg,
                          .state = arena_zalloc(a, from->in_state + 16),
                          .usage = USAGE_NONE,
                          .family = from->family,
                          .request_id = "req_00000000000000000000000000"};
}

static void read_form(struct arena *a, const struct format *from, struct str body,
                      struct ir_call *c)
{
    enum json_type top;
    must(json_scan(body, NULL, 0, &top, NULL) == 0);
    ir_call_init(c, a);
    must(from->read_request(c, body) == 0);
    ir_call_finish(c);
}

static struct str write_form(struct arena *a, const struct format *to, struct ir_call *c)
{
    struct ir_target t = {.model = STR("m"), .family = to->family, .max_output = 4096};
    struct buf b = {.arena = a};
    (void)buf_room(&b, 2048);
    b.n = 0;
    to->write_request(&b, c, &t);
    return buf_str(&b);
}

/* ---- each dialect's own words, made once by its writers ---- */

static size_t frame_end(const struct format *f, struct str text)
{
    return f->framing == FRAMING_LINES    ? ndjson_line_end(text.p, text.n, 0)
           : f->framing == FRAMING_AMAZON ? aws_frame_end(text.p, text.n)
                                          : sse_event_end(text.p, text.n, 0);
}

static struct event event_of(struct arena *a, const struct format *f, struct str frame)
{
    struct event e = {.data = frame};
    if (f->framing == FRAMING_SSE) {
        e.data = sse_data(a, frame, &e.name);
    } else if (f->framing == FRAMING_AMAZON) {
        struct aws_frame aws;
        must(aws_frame_read(frame, &aws) == 0);
        e = (struct event){aws.name, aws.payload};
    }
    return e;
}

static void speak(struct arena *a, enum format_id id, struct ir_call *call)
{
    const struct format *f = format_of(id);
    struct spoken *s = &spoken[id];
    struct buf whole = {.arena = a}, stream = {.arena = a};
    struct ir_out w = an_out(a, f, &whole, false), o = an_out(a, f, &stream, true);
    struct ir_fold fold = {.arena = a, .copy = true};
    struct usage usage = USAGE_NONE;
    usage.input = 200;
    usage.output = CHUNKS;
    struct ir_event all[CHUNKS + 5] = {
        {.type = IR_START, .id = STR("x1"), .model = STR("m"), .usage = usage},
        {.type = IR_BLOCK_START, .kind = IR_TEXT}};
    size_t n = 2;
    for (unsigned i = 0; i < CHUNKS; i++) {
        all[n++] = (struct ir_event){.type = IR_DELTA, .kind = IR_TEXT, .text = STR(" and waves")};
    }
    all[n++] = (struct ir_event){.type = IR_BLOCK_STOP, .kind = IR_TEXT};
    all[n++] = (struct ir_event){.type = IR_FINISH, .finish = IR_FINISH_STOP, .usage = usage};
    all[n++] = (struct ir_event){.type = IR_END, .usage = usage};
    for (size_t i = 0; i < n; i++) {
        ir_fold_event(&fold, &all[i]);
        f->write_event(&o, &all[i]);
    }
    f->write_answer(&w, &fold.answer);
    s->request = write_form(a, f, call);
    s->answer = buf_str(&whole);
    struct str text = buf_str(&stream);
    while (text.n) {
        size_t len = frame_end(f, text);
        must(len > 0 && s->n < EVENTS_MAX);
        s->events[s->n++] = event_of(a, f, str_first(text, len));
        text = str_from(text, len);
    }
}

/* ---- measuring ---- */

static void call(struct arena *a, const struct format *caller, const struct format *upstream,
                 struct str body, struct str answer)
{
    struct ir_call c;
    enum json_type top;
    read_form(a, caller, body, &c);
    write_form(a, upstream, &c);
    struct ir_fold fold = {.arena = a};
    struct ir_in in = an_in(a, upstream, ir_fold_event, &fold);
    struct buf out = {.arena = a};
    struct ir_out o = an_out(a, caller, &out, false);
    must(json_scan(answer, NULL, 0, &top, NULL) == 0);
    upstream->read_answer(&in, answer);
    must(in.finished && !in.failed);
    (void)buf_room(&out, answer.n + 512);
    out.n = 0;
    caller->write_answer(&o, &fold.answer);
}

struct writing {
    const struct format *to;
    struct ir_out out;
};

static void write_event(void *arg, const struct ir_event *e)
{
    struct writing *w = arg;
    w->to->write_event(&w->out, e);
    w->out.out->n = 0; /* sent */
}

static void stream(struct arena *a, const struct format *caller, const struct format *upstream,
                   const struct spoken *s)
{
    struct buf text = {.arena = a};
    struct writing w = {caller, an_out(a, caller, &text, true)};
    struct ir_in in = an_in(a, upstream, write_event, &w);
    (void)buf_room(&text, 4096);
    text.n = 0;
    for (size_t i = 0; i < s->n; i++) {
        enum json_type top;
        struct str data = str_trim(s->events[i].data);
        bool json = json_scan(data, NULL, 0, &top, NULL) == 0 && top == JSON_OBJECT;
        upstream->read_event(&in, s->events[i].name, data, json);
    }
    must(in.finished && !in.failed);
}

/* The least of five, since what disturbs only adds. */
static double least(struct arena *a, const struct format *caller, const struct format *upstream,
                    bool chunks, int rounds)
{
    enum format_id from = format_of_route(caller->name), to = format_of_route(upstream->name);
    double best = 1e9;
    for (int k = 0; k < 5; k++) {
        double begun = cpu_us();
        for (int i = 0; i < rounds; i++) {
            if (chunks) {
                stream(a, caller, upstream, &spoken[to]);
            } else {
                call(a, caller, upstream, spoken[from].request, spoken[to].answer);
            }
            arena_reset(a);
        }
        double us = (cpu_us() - begun) / rounds / (chunks ? CHUNKS : 1);
        best = us < best ? us : best;
    }
    return best;
}

static double table(const char *title, bool chunks, int rounds)
{
    struct pool pool = {0};
    struct arena a = {.pool = &pool};
    double most = 0;
    printf("%s\n%-20s", title, "caller \\ upstream");
    for (int u = 0; u < CALLERS; u++) {
        printf(" %9.9s", format_of(dialects[u])->name.p);
    }
    for (int c = 0; c < CALLERS; c++) {
        printf("\n%-20s", format_of(dialects[c])->name.p);
        for (int u = 0; u < CALLERS; u++) {
            double us = least(&a, format_of(dialects[c]), format_of(dialects[u]), chunks, rounds);
            most = us > most ? us : most;
            printf(" %9.2f", us);
        }
    }
    printf("\nmost: %.2f\n\n", most);
    return most;
}

int main(int argc, char **argv)
{
    int rounds = argc > 1 ? atoi(argv[1]) : 2000;
    struct arena a = {0};
    struct ir_call form;
    read_form(&a, format_of(FORMAT_CHAT), chat_request(&a), &form);
    for (int i = 0; i < CALLERS; i++) {
        speak(&a, dialects[i], &form);
    }
    table("a call of 1 KiB, us", false, rounds);
    table("a chunk of a stream, us", true, rounds / 20 + 1);
    return 0;
}
