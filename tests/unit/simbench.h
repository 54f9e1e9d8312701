/* What the tests of the simulated provider share: a client at the other end of a socket pair, as
 * the gateway has it, and ways to ask and to read in every dialect. */
#ifndef TESTS_SIMBENCH_H
#define TESTS_SIMBENCH_H

#include <malloc.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

#include "dialect/dialect.h"
#include "gateway/sim.h"
#include "http/sse.h"
#include "json/tree.h"

/* Not every test uses all of it. */
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wunused-function"

#if defined(__SANITIZE_ADDRESS__)
#define SANITIZED 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define SANITIZED 1
#endif
#endif
#ifdef SANITIZED
size_t __sanitizer_get_current_allocated_bytes(void);
#endif

/* Bytes of memory in use by the whole program. */
static size_t memory_held(void)
{
#ifdef SANITIZED
    return __sanitizer_get_current_allocated_bytes();
#else
    struct mallinfo2 m = mallinfo2();
    return m.uordblks + m.hblkhd;
#endif
}

/* ---- a client ---- */

enum ending { OPEN, COMPLETE, CUT_OFF };

struct client {
    struct loop *loop;
    struct http_server *server;
    struct stream *stream;
    struct timer timer;
    struct buf in;
    struct buf body; /* without its framing */
    struct h1_head head;
    struct h1_field fields[H1_FIELDS_MAX];
    enum ending ending;
    uint64_t begun_us, first_us, took_us;
    size_t leave_at;   /* bytes after which the client closes; 0: never */
    uint64_t patience; /* ms without a byte before it gives up; 0: 5 s */
    uint64_t read_after_ms;
    size_t lent_before;       /* by an idle loop */
    size_t held_before, held; /* while nothing was read yet */
};

/* Takes the framing off; OPEN while there is more to come. */
static enum ending unframe(struct client *c)
{
    const char *why;
    c->head.fields = c->fields;
    int n = h1_answer(&c->head, c->in.p, c->in.n, 65536, M_POST, &why);
    assert_true(n >= 0);
    if (n == 0) {
        return OPEN;
    }
    c->body.n = 0;
    const char *p = c->in.p + n, *end = c->in.p + c->in.n;
    if (c->head.body == BODY_LENGTH) {
        buf_add(&c->body, str_make(p, (size_t)(end - p)));
        return c->body.n == c->head.length ? COMPLETE : OPEN;
    }
    assert_int_equal(c->head.body, BODY_CHUNKED);
    struct h1_chunked chunked = {0};
    struct str piece;
    int k;
    while ((k = h1_chunked(&chunked, &p, end, &piece)) == CHUNK_DATA) {
        buf_add(&c->body, piece);
    }
    assert_true(k >= 0);
    return k == CHUNK_END ? COMPLETE : OPEN;
}

static void stop(struct client *c, enum ending ending)
{
    c->ending = ending;
    c->took_us = clock_us() - c->begun_us;
    loop_stop(c->loop);
}

static void on_data(void *owner, char *p, size_t n)
{
    struct client *c = owner;
    if (!c->first_us) {
        c->first_us = clock_us() - c->begun_us;
    }
    buf_add(&c->in, str_make(p, n));
    loop_timer(c->loop, &c->timer, c->patience ? c->patience : 5000);
    if (c->leave_at && c->in.n >= c->leave_at) {
        stop(c, OPEN);
    } else if (c->in.n >= 5 && memcmp(c->in.p + c->in.n - 5, "0\r\n\r\n", 5) == 0) {
        stop(c, unframe(c));
    } else if (c->in.n < 65536 && unframe(c) == COMPLETE) {
        stop(c, COMPLETE);
    }
}

static void on_eof(void *owner)
{
    struct client *c = owner;
    enum ending e = c->in.n ? unframe(c) : OPEN;
    stop(c, e == OPEN ? CUT_OFF : e);
}

static void on_error(void *owner, int err)
{
    (void)err;
    on_eof(owner);
}

static void on_drained(void *owner)
{
    (void)owner;
}

static void on_patience(struct timer *t)
{
    struct client *c = (struct client *)((char *)t - offsetof(struct client, timer));
    if (c->read_after_ms) {
        c->held = memory_held() - c->held_before;
        c->read_after_ms = 0;
        stream_resume(c->stream);
        loop_timer(c->loop, &c->timer, 5000);
        return;
    }
    if (c->in.n) {
        unframe(c);
    }
    stop(c, OPEN);
}

static const struct stream_ops client_ops = {on_data, on_eof, on_error, on_drained};

static struct client *client_new(void)
{
    struct client *c = mem_zalloc(sizeof *c);
    c->loop = loop_new();
    c->server = sim_new(c->loop);
    c->lent_before = loop_pool(c->loop)->lent;
    c->timer.fire = on_patience;
    return c;
}

static void call(struct client *c, const char *path, const char *headers, struct str body)
{
    struct stream *theirs;
    struct buf head = {0};
    assert_int_equal(stream_pair(c->loop, &c->stream, &theirs), 0);
    http_serve(c->server, theirs);
    stream_own(c->stream, &client_ops, c);
    buf_printf(&head, "POST %s HTTP/1.1\r\nhost: sim\r\ncontent-length: %zu\r\n%s\r\n", path,
               body.n, headers ? headers : "");
    struct iovec v[2] = {{head.p, head.n}, {(void *)(uintptr_t)body.p, body.n}};
    c->in.n = c->body.n = 0;
    c->first_us = 0;
    c->held_before = memory_held();
    c->begun_us = clock_us();
    assert_int_equal(stream_write(c->stream, v, 2), 0);
    buf_free(&head);
    if (c->read_after_ms) {
        loop_timer(c->loop, &c->timer, c->read_after_ms);
    } else {
        stream_resume(c->stream);
        loop_timer(c->loop, &c->timer, c->patience ? c->patience : 5000);
    }
    loop_run(c->loop);
    timer_clear(&c->timer);
    stream_close(c->stream);
    buf_addc(&c->body, 0);
    c->body.n--;
}

static void after_a_moment(struct timer *t)
{
    struct client *c = (struct client *)((char *)t - offsetof(struct client, timer));
    loop_stop(c->loop);
}

/* Every call gives its memory back, whatever became of it. */
static void client_free(struct client *c)
{
    c->timer.fire = after_a_moment;
    for (int i = 0; i < 100 && http_open(c->server); i++) {
        loop_timer(c->loop, &c->timer, 10);
        loop_run(c->loop);
    }
    assert_int_equal(http_open(c->server), 0);
    assert_int_equal(loop_pool(c->loop)->lent, c->lent_before);
    http_server_free(c->server);
    buf_free(&c->in);
    buf_free(&c->body);
    loop_free(c->loop);
    free(c);
}

/* ---- asking in any dialect ---- */

enum way { CHAT, COMPLETIONS, RESPONSES, MESSAGES, GENERATE, WAYS };

static const struct dialect *dialects[WAYS] = {&dialect_openai, &dialect_openai, &dialect_openai,
                                               &dialect_anthropic, &dialect_gemini};

/* Asks sim/`model` the text `said`. */
static void ask(struct client *c, enum way way, const char *model, const char *said, int max,
                bool stream)
{
    static const char *const paths[] = {"/chat/completions", "/v1/completions", "/responses",
                                        "/v1/messages"};
    static const char *const maxes[] = {"max_completion_tokens", "max_tokens", "max_output_tokens",
                                        "max_tokens"};
    static const char *const texts[] = {"\"messages\":[{\"role\":\"user\",\"content\":\"",
                                        "\"prompt\":\"", "\"input\":\"",
                                        "\"messages\":[{\"role\":\"user\",\"content\":\""};
    static const char *const ends[] = {"\"}]", "\"", "\"", "\"}]"};
    struct buf body = {0};
    char path[100];
    if (way == GENERATE) {
        snprintf(path, sizeof path, "/v1beta/models/%s:%s", model,
                 stream ? "streamGenerateContent?alt=sse" : "generateContent");
        buf_printf(
            &body,
            "{\"generationConfig\":{\"maxOutputTokens\":%d},\"contents\":[{\"role\":\"user\","
            "\"parts\":[{\"text\":\"",
            max);
        buf_add_json(&body, str_of(said));
        buf_addz(&body, "\"}]}]}");
    } else {
        snprintf(path, sizeof path, "%s", paths[way]);
        buf_printf(&body, "{\"model\":\"%s\",\"%s\":%d,%s", model, maxes[way], max,
                   stream ? "\"stream\":true," : "");
        buf_addz(&body, way == CHAT || way == COMPLETIONS
                            ? "\"stream_options\":{\"include_usage\":true},"
                            : "");
        buf_addz(&body, texts[way]);
        buf_add_json(&body, str_of(said));
        buf_addz(&body, ends[way]);
        buf_addc(&body, '}');
    }
    call(c, path, NULL, buf_str(&body));
    buf_free(&body);
}

/* ---- reading answers ---- */

static struct json *parse(struct arena *a, struct str text)
{
    struct json *j;
    struct json_error err;
    if (json_parse(a, text, &j, &err) < 0) {
        fail_msg("%s at byte %zu of: %.*s", err.why, err.at, STR_ARG(text));
    }
    return j;
}

static struct str at(const struct json *j, const char *pointer)
{
    const struct json *v = json_at(j, str_of(pointer));
    return v ? v->text : STR("");
}

static const char *const whole_text[] = {"/choices/0/message/content", "/choices/0/text",
                                         "/output/0/content/0/text", "/content/0/text",
                                         "/candidates/0/content/parts/0/text"};
static const char *const piece_text[] = {"/choices/0/delta/content", "/choices/0/text", "/delta",
                                         "/delta/text", "/candidates/0/content/parts/0/text"};

struct heard {
    struct buf text;
    struct usage usage;
    size_t events;
    bool ended;
};

/* Reads a stream as the gateway does: every event's data is JSON, usage by the dialect's own
 * reader. */
static struct heard hear_stream(struct client *c, enum way way)
{
    struct heard h = {.usage = USAGE_NONE};
    struct str rest = buf_str(&c->body), name;
    while (rest.n) {
        struct arena a = {0};
        size_t n = sse_event_end(rest.p, rest.n, 0);
        if (n == 0) {
            break;
        }
        struct str data = sse_data(&a, str_first(rest, n), &name);
        rest = str_from(rest, n);
        h.events++;
        if (str_eq(data, STR("[DONE]"))) {
            h.ended = true;
        } else {
            struct json *j = parse(&a, data);
            bool delta =
                way != RESPONSES || str_eq(at(j, "/type"), STR("response.output_text.delta"));
            if (name.n) {
                assert_true(str_eq(name, at(j, "/type")));
            }
            if (way == RESPONSES) {
                uint64_t sequence;
                assert_int_equal(str_to_u64(at(j, "/sequence_number"), &sequence), 0);
                assert_int_equal(sequence, h.events - 1);
            }
            if (delta) {
                buf_add(&h.text, at(j, piece_text[way]));
            }
            h.ended = dialects[way]->event(data, &h.usage) || h.ended;
        }
        arena_reset(&a);
    }
    assert_int_equal(rest.n, 0);
    buf_addc(&h.text, 0);
    return h;
}

static struct heard hear_whole(struct client *c, enum way way)
{
    struct arena a = {0};
    struct heard h = {.usage = USAGE_NONE};
    struct json *j = parse(&a, buf_str(&c->body));
    struct str usage;
    buf_add(&h.text, at(j, whole_text[way]));
    assert_int_equal(json_member(buf_str(&c->body), dialects[way]->usage_member, &usage),
                     JSON_OBJECT);
    dialects[way]->usage(usage, &h.usage);
    h.ended = true;
    buf_addc(&h.text, 0);
    arena_reset(&a);
    return h;
}

static size_t words(const char *z)
{
    size_t n = 0;
    for (bool in = false; *z; z++) {
        bool space = strchr(" \t\r\n\v\f", *z);
        n += !space && !in;
        in = !space;
    }
    return n;
}

static void expect_status(struct client *c, unsigned status, const char *part)
{
    assert_int_equal(c->ending, COMPLETE);
    if (c->head.status != status || !strstr(c->body.p, part)) {
        fail_msg("%u %s: not %u with \"%s\"", c->head.status, c->body.p, status, part);
    }
}

#pragma GCC diagnostic pop

#endif
