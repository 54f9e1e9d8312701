/* The simulated provider over a socket pair, as the gateway reaches it: what it says in each
 * dialect, what it refuses, its faults, its pace, and its memory when the client is slow or leaves.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

#include "dialect/dialect.h"
#include "gateway/sim.h"
#include "http/sse.h"
#include "json/tree.h"

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
    size_t lent_before; /* by an idle loop */
    size_t lent_max;    /* of the server's memory, while nothing was read */
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
        c->lent_max = loop_pool(c->loop)->lent;
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

/* ---- what is said ---- */

static void every_dialect_echoes_byte_for_byte(void **state)
{
    (void)state;
    static const char *const texts[] = {
        "hello", "Say \"h\xC3\xA9llo\" \xF0\x9F\x98\x80\n\\ and\tgo", "  two  spaces  ", " ",
        "",      "\xE4\xBD\xA0\xE5\xA5\xBD, \xE4\xB8\x96\xE7\x95\x8C"};
    struct client *c = client_new();
    for (enum way way = 0; way < WAYS; way++) {
        for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
            for (int stream = 0; stream < 2; stream++) {
                ask(c, way, "echo", texts[i], 100, stream);
                expect_status(c, 200, "sim");
                struct heard h = stream ? hear_stream(c, way) : hear_whole(c, way);
                assert_string_equal(h.text.p, texts[i]);
                assert_true(h.ended);
                assert_int_equal(h.usage.input, words(texts[i]));
                assert_int_equal(h.usage.output, words(texts[i]));
                buf_free(&h.text);
            }
        }
    }
    client_free(c);
}

static void a_long_word_arrives_whole(void **state)
{
    (void)state;
    char *said = mem_zalloc(30001);
    for (size_t i = 0; i < 30000; i += 3) {
        memcpy(said + i, "\xE2\x82\xAC", 3);
    }
    struct client *c = client_new();
    for (enum way way = 0; way < WAYS; way++) {
        for (int stream = 0; stream < 2; stream++) {
            ask(c, way, "echo", said, 100, stream);
            struct heard h = stream ? hear_stream(c, way) : hear_whole(c, way);
            assert_string_equal(h.text.p, said);
            assert_int_equal(h.usage.output, 1);
            buf_free(&h.text);
        }
    }
    client_free(c);
    free(said);
}

static void lorem_says_so_many_words(void **state)
{
    (void)state;
    static const int lengths[] = {1, 17, 69, 70, 5000};
    struct client *c = client_new();
    for (enum way way = 0; way < WAYS; way++) {
        for (size_t i = 0; i < sizeof lengths / sizeof *lengths; i++) {
            struct heard h[2];
            for (int stream = 0; stream < 2; stream++) {
                ask(c, way, stream ? "lorem" : "sim/lorem", "go", lengths[i], stream);
                h[stream] = stream ? hear_stream(c, way) : hear_whole(c, way);
                assert_int_equal(words(h[stream].text.p), lengths[i]);
                assert_int_equal(h[stream].usage.output, lengths[i]);
                assert_int_equal(h[stream].usage.input, 1);
            }
            assert_string_equal(h[0].text.p, h[1].text.p);
            buf_free(&h[0].text);
            buf_free(&h[1].text);
        }
    }
    call(c, "/chat/completions", NULL, STR("{\"model\":\"lorem\",\"messages\":[]}"));
    struct heard h = hear_whole(c, CHAT);
    assert_int_equal(h.usage.output, 50);
    buf_free(&h.text);
    client_free(c);
}

static void an_echo_stops_at_max_tokens(void **state)
{
    (void)state;
    static const char *const reasons[] = {
        "\"finish_reason\":\"length\"", "\"finish_reason\":\"length\"",
        "\"reason\":\"max_output_tokens\"", "\"stop_reason\":\"max_tokens\"",
        "\"finishReason\":\"MAX_TOKENS\""};
    struct client *c = client_new();
    for (enum way way = 0; way < WAYS; way++) {
        for (int stream = 0; stream < 2; stream++) {
            ask(c, way, "echo", "one  two three", 2, stream);
            expect_status(c, 200, reasons[way]);
            struct heard h = stream ? hear_stream(c, way) : hear_whole(c, way);
            assert_string_equal(h.text.p, "one  two");
            assert_int_equal(h.usage.output, 2);
            buf_free(&h.text);
        }
    }
    client_free(c);
}

static void a_gemini_stream_without_sse_is_one_array(void **state)
{
    (void)state;
    struct client *c = client_new();
    struct arena a = {0};
    call(c, "/v1/models/echo:streamGenerateContent", NULL,
         STR("{\"contents\":[{\"parts\":[{\"text\":\"a b c\"}]}]}"));
    struct json *j = parse(&a, buf_str(&c->body));
    assert_int_equal(json_count(j), 4);
    assert_true(str_eq(at(j->last, "/candidates/0/finishReason"), STR("STOP")));
    call(c, "/v1/models/fault:streamGenerateContent", NULL,
         STR("{\"contents\":[{\"parts\":[{\"text\":\"error_in_stream=2\"}]}]}"));
    j = parse(&a, buf_str(&c->body));
    assert_int_equal(json_count(j), 3);
    assert_true(str_eq(at(j->last, "/error/status"), STR("UNAVAILABLE")));
    arena_reset(&a);
    client_free(c);
}

static void a_conversation_is_answered_at_its_end(void **state)
{
    (void)state;
    static const struct {
        const char *path, *body, *pointer, *says;
        const char *input;
    } rows[] = {
        {"/chat/completions",
         "{\"model\":\"echo\",\"messages\":[{\"role\":\"system\",\"content\":\"be kind\"},"
         "{\"role\":\"user\",\"content\":\"one\"},{\"role\":\"assistant\",\"content\":\"two\"},"
         "{\"role\":\"user\",\"content\":[{\"type\":\"text\",\"text\":\"three\"},"
         "{\"type\":\"image_url\",\"image_url\":{\"url\":\"data:\"}},{\"type\":\"text\",\"text\":"
         "\"four\"}]}]}",
         "/choices/0/message/content", "three\nfour", "\"prompt_tokens\":6,"},
        {"/v1/messages",
         "{\"model\":\"echo\",\"max_tokens\":9,\"system\":[{\"type\":\"text\",\"text\":\"be "
         "kind\"}],\"messages\":["
         "{\"role\":\"user\",\"content\":\"one\"},{\"role\":\"assistant\",\"content\":[{\"type\":"
         "\"tool_use\"}]},"
         "{\"role\":\"user\",\"content\":[{\"type\":\"tool_result\",\"content\":\"two\"},"
         "{\"type\":\"tool_result\",\"content\":[{\"type\":\"text\",\"text\":\"three\"}]}]}]}",
         "/content/0/text", "two\nthree", "\"input_tokens\":5,"},
        {"/responses",
         "{\"model\":\"echo\",\"instructions\":\"be "
         "kind\",\"input\":[{\"role\":\"user\",\"content\":\"one\"},"
         "{\"type\":\"function_call\",\"name\":\"f\"},{\"type\":\"function_call_output\","
         "\"output\":\"two\"},"
         "{\"type\":\"function_call_output\",\"output\":\"three\"}]}",
         "/output/0/content/0/text", "two\nthree", "\"input_tokens\":5,"},
        {"/v1beta/models/echo:generateContent",
         "{\"system_instruction\":{\"parts\":[{\"text\":\"be "
         "kind\"}]},\"contents\":[{\"parts\":[{\"text\":\"one\"}]},"
         "{\"role\":\"model\",\"parts\":[{\"functionCall\":{\"name\":\"f\"}}]},{\"role\":\"user\","
         "\"parts\":["
         "{\"functionResponse\":{\"name\":\"f\",\"response\":{\"result\":\"two\"}}},"
         "{\"functionResponse\":{\"name\":\"f\",\"response\":{\"x\": 3}}}]}]}",
         "/candidates/0/content/parts/0/text", "two\n{\"x\":3}", "\"promptTokenCount\":5,"},
    };
    struct client *c = client_new();
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct arena a = {0};
        call(c, rows[i].path, NULL, str_of(rows[i].body));
        expect_status(c, 200, rows[i].input);
        struct json *j = parse(&a, buf_str(&c->body));
        assert_true(str_eq(at(j, rows[i].pointer), str_of(rows[i].says)));
        arena_reset(&a);
    }
    client_free(c);
}

/* ---- tools ---- */

#define SCHEMA                                                                                     \
    "{\"type\":\"object\",\"$defs\":{\"unit\":{\"enum\":[\"c\",\"f\"]}},\"properties\":{\"city\":" \
    "{\"type\":"                                                                                   \
    "\"string\"},\"days\":{\"type\":\"integer\",\"minimum\":3},\"unit\":{\"$ref\":\"#/$defs/"      \
    "unit\"},\"at\":{"                                                                             \
    "\"type\":\"array\",\"minItems\":2,\"items\":{\"anyOf\":[{\"type\":\"number\"},{\"type\":"     \
    "\"null\"}]}},"                                                                                \
    "\"not\":{\"type\":\"string\"}},\"required\":[\"city\",\"days\",\"unit\",\"at\"]}"
#define SAMPLE "{\"city\":\"sim\",\"days\":3,\"unit\":\"c\",\"at\":[1,1]}"

/* The arguments that a stream of a chat, of messages and of Responses pieces together. */
static void hear_arguments(struct client *c, const char *pointer, struct buf *ret)
{
    struct str rest = buf_str(&c->body);
    size_t n;
    while ((n = sse_event_end(rest.p, rest.n, 0)) > 0) {
        struct arena a = {0};
        struct str data = sse_data(&a, str_first(rest, n), NULL);
        rest = str_from(rest, n);
        if (!str_eq(data, STR("[DONE]"))) {
            buf_add(ret, at(parse(&a, data), pointer));
        }
        arena_reset(&a);
    }
    buf_addc(ret, 0);
}

static void tools_are_called_when_they_must_be(void **state)
{
    (void)state;
    static const struct {
        const char *path, *request, *whole, *piece;
        const char *finish;
    } rows[] = {
        {"/chat/completions",
         "\"messages\":[{\"role\":\"user\",\"content\":\"%s\"}],\"tools\":[{\"type\":\"function\","
         "\"function\":{\"name\":\"get\",\"parameters\":" SCHEMA "}}],\"tool_choice\":%s",
         "/choices/0/message/tool_calls/0/function/arguments",
         "/choices/0/delta/tool_calls/0/function/arguments", "\"finish_reason\":\"tool_calls\""},
        {"/messages",
         "\"max_tokens\":9,\"messages\":[{\"role\":\"user\",\"content\":\"%s\"}],\"tools\":[{"
         "\"name\":\"get\","
         "\"input_schema\":" SCHEMA "}],\"tool_choice\":%s",
         "/content/0/input", "/delta/partial_json", "\"stop_reason\":\"tool_use\""},
        {"/responses",
         "\"input\":\"%s\",\"tools\":[{\"type\":\"function\",\"name\":\"get\","
         "\"parameters\":" SCHEMA "}],\"tool_choice\":%s",
         "/output/0/arguments", "/delta", "\"type\":\"function_call\""},
    };
    static const char *const forced[] = {"\"required\"", "{\"type\":\"any\"}", "\"required\""};
    static const char *const automatic[] = {"\"auto\"", "{\"type\":\"auto\"}", "\"auto\""};
    struct client *c = client_new();
    for (size_t i = 0; i < 3; i++) {
        for (int k = 0; k < 4; k++) {
            struct arena a = {0};
            struct buf body = {0}, got = {0};
            bool stream = k & 1, asked = k & 2;
            buf_printf(&body, "{\"model\":\"echo\",\"stream\":%s,", stream ? "true" : "false");
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
            buf_printf(&body, rows[i].request,
                       asked ? "call get {\\\"city\\\": \\\"Os lo\\\",\\n\\\"n\\\":[1.50]}"
                             : "hello",
                       asked ? automatic[i] : forced[i]);
#pragma GCC diagnostic pop
            buf_addc(&body, '}');
            call(c, rows[i].path, NULL, buf_str(&body));
            expect_status(c, 200, rows[i].finish);
            if (stream) {
                hear_arguments(c, rows[i].piece, &got);
            } else {
                const struct json *v = json_at(parse(&a, buf_str(&c->body)), str_of(rows[i].whole));
                assert_non_null(v);
                if (v->type == JSON_OBJECT) {
                    json_print(&got, v, 0);
                } else {
                    buf_add(&got, v->text);
                }
                buf_addc(&got, 0);
            }
            assert_string_equal(got.p, asked ? "{\"city\":\"Os lo\",\"n\":[1.50]}" : SAMPLE);
            buf_free(&body);
            buf_free(&got);
            arena_reset(&a);
        }
    }
    call(c, "/v1beta/models/echo:streamGenerateContent?alt=sse", NULL,
         STR("{\"contents\":[{\"parts\":[{\"text\":\"x\"}]}],\"tools\":[{\"functionDeclarations\":["
             "{\"name\":"
             "\"get\",\"parameters\":{\"type\":\"OBJECT\",\"properties\":{\"a\":{\"type\":"
             "\"BOOLEAN\"}},"
             "\"required\":[\"a\"]}}]}],\"toolConfig\":{\"functionCallingConfig\":{\"mode\":"
             "\"ANY\"}}}"));
    expect_status(c, 200, "\"functionCall\":{\"id\":\"sim_");
    expect_status(c, 200,
                  "\"name\":\"get\",\"args\":{\"a\":true}}}],\"role\":\"model\"},"
                  "\"finishReason\":\"STOP\"");
    client_free(c);
}

static void a_schema_that_grows_without_end_is_refused(void **state)
{
    (void)state;
    struct client *c = client_new();
    struct buf body = {0};
    buf_addz(
        &body,
        "{\"model\":\"echo\",\"max_tokens\":1,\"messages\":[],\"tool_choice\":{\"type\":\"any\"},"
        "\"tools\":[{\"name\":\"t\",\"input_schema\":{\"type\":\"object\",\"properties\":{");
    for (int i = 0; i < 50; i++) {
        buf_printf(&body, "%s\"p%d\":{\"$ref\":\"#\"}", i ? "," : "", i);
    }
    buf_addz(&body, "},\"required\":[");
    for (int i = 0; i < 50; i++) {
        buf_printf(&body, "%s\"p%d\"", i ? "," : "", i);
    }
    buf_addz(&body, "]}}]}");
    call(c, "/v1/messages", NULL, buf_str(&body));
    expect_status(c, 400, "too large");
    buf_free(&body);
    client_free(c);
}

/* ---- the rest of the endpoints ---- */

static void embeddings_are_the_same_in_both_encodings(void **state)
{
    (void)state;
    struct client *c = client_new();
    struct arena a = {0};
    call(c, "/v1/embeddings", NULL,
         STR("{\"model\":\"echo\",\"input\":[\"hi you\",\"\",\"a b c\"],\"dimensions\":3}"));
    struct json *j = parse(&a, buf_str(&c->body));
    assert_int_equal(json_count(json_at(j, STR("/data"))), 3);
    assert_int_equal(json_count(json_at(j, STR("/data/2/embedding"))), 3);
    assert_true(str_eq(at(j, "/usage/prompt_tokens"), STR("5")));
    call(c, "/v1/embeddings", NULL,
         STR("{\"model\":\"echo\",\"input\":[7,8],\"dimensions\":1,\"encoding_format\":"
             "\"base64\"}"));
    j = parse(&a, buf_str(&c->body));
    /* one dimension: 1.0 or -1.0, little-endian float32 */
    assert_true(str_eq(at(j, "/data/0/embedding"), STR("AACAPw==")) ||
                str_eq(at(j, "/data/0/embedding"), STR("AACAvw==")));
    assert_true(str_eq(at(j, "/usage/prompt_tokens"), STR("2")));
    call(c, "/v1/models/echo:batchEmbedContents", NULL,
         STR("{\"requests\":[{\"content\":{\"parts\":[{\"text\":\"hi "
             "you\"}]},\"outputDimensionality\":3},"
             "{\"content\":{\"parts\":[{\"text\":\"x\"}]},\"outputDimensionality\":3}]}"));
    struct json *k = parse(&a, arena_dup(&a, buf_str(&c->body)));
    assert_int_equal(json_count(json_at(k, STR("/embeddings"))), 2);
    call(c, "/v1/embeddings", NULL,
         STR("{\"model\":\"echo\",\"input\":\"hi you\",\"dimensions\":3}"));
    j = parse(&a, buf_str(&c->body));
    assert_true(
        json_equal(json_at(j, STR("/data/0/embedding")), json_at(k, STR("/embeddings/0/values"))));
    arena_reset(&a);
    client_free(c);
}

static void large_embeddings_go_out_in_pieces(void **state)
{
    (void)state;
    struct client *c = client_new();
    struct buf body = {0};
    struct arena a = {0};
    buf_addz(
        &body,
        "{\"model\":\"echo\",\"dimensions\":3072,\"encoding_format\":\"base64\",\"input\":[\"a\"");
    for (int i = 1; i < 256; i++) {
        buf_addz(&body, ",\"b\"");
    }
    buf_addz(&body, "]}");
    call(c, "/embeddings", NULL, buf_str(&body));
    struct json *j = parse(&a, buf_str(&c->body));
    assert_int_equal(json_count(json_at(j, STR("/data"))), 256);
    assert_int_equal(at(j, "/data/255/embedding").n, 3072 * 4 / 3 * 4);
    buf_free(&body);
    arena_reset(&a);
    client_free(c);
}

static void tokens_are_counted_and_texts_moderated(void **state)
{
    (void)state;
    struct client *c = client_new();
    call(c, "/v1/messages/count_tokens", NULL,
         STR("{\"model\":\"echo\",\"system\":\"a "
             "b\",\"messages\":[{\"role\":\"user\",\"content\":\"c d e\"}]}"));
    expect_status(c, 200, "{\"input_tokens\":5}");
    call(c, "/v1beta/models/sim%2Fecho:countTokens", NULL,
         STR("{\"contents\":[{\"parts\":[{\"text\":\"c d e\"}]}]}"));
    expect_status(c, 200, "{\"totalTokens\":3,");
    call(c, "/v1/moderations", NULL, STR("{\"model\":\"echo\",\"input\":[\"tea\",\"violence\"]}"));
    expect_status(c, 200, "\"results\":[{\"flagged\":false,");
    expect_status(c, 200, ",{\"flagged\":true,");
    client_free(c);
}

/* ---- refusals ---- */

static void what_cannot_be_simulated_is_refused(void **state)
{
    (void)state;
#define CHAT_SAYING(text)                                                                          \
    "{\"model\":\"fault\",\"messages\":[{\"role\":\"user\",\"content\":\"" text "\"}]}"
    static const struct {
        const char *path, *headers, *body;
        unsigned status;
        const char *part;
    } rows[] = {
        {"/chat/completions", NULL, "{\"model\":", 400, "not valid JSON"},
        {"/chat/completions", NULL, "[]", 400, "must be a JSON object"},
        {"/chat/completions", NULL, "", 400, "not valid JSON"},
        {"/chat/completions", NULL, "{\"messages\":[]}", 400, "\\\"model\\\" must be"},
        {"/chat/completions", NULL, "{\"model\":\"gpt\"}", 404, "no model \\\"gpt\\\""},
        {"/chat/completions", NULL, "{\"model\":\"echo\"}", 400, "\"param\":\"messages\""},
        {"/chat/completions", NULL, "{\"model\":\"echo\",\"messages\":[1]}", 400, "needs a"},
        {"/chat/completions", NULL, "{\"model\":\"echo\",\"messages\":[],\"n\":2}", 400,
         "\"param\":\"n\""},
        {"/chat/completions", NULL, "{\"model\":\"echo\",\"messages\":[],\"max_tokens\":0}", 400,
         "max_tokens"},
        {"/chat/completions", NULL, "{\"model\":\"lorem\",\"messages\":[],\"max_tokens\":100001}",
         400, "at most 100000"},
        {"/chat/completions", NULL,
         "{\"model\":\"echo\",\"messages\":[],\"tool_choice\":\"required\"}", 400, "offers none"},
        {"/v1/messages", NULL, "{\"model\":\"echo\",\"messages\":[]}", 400, "max_tokens"},
        {"/v1/messages", NULL, "{\"model\":\"gpt\",\"messages\":[]}", 404,
         "\"type\":\"not_found_error\""},
        {"/v1beta/models/gpt:generateContent", NULL, "{}", 404, "\"status\":\"NOT_FOUND\""},
        {"/v1beta/models/%zz:generateContent", NULL, "{}", 400, "malformed"},
        {"/v1beta/models/echo:generateContent", NULL, "{}", 400, "contents"},
        {"/embeddings", NULL, "{\"model\":\"echo\",\"input\":\"a\",\"dimensions\":4000}", 400,
         "3072"},
        {"/embeddings", NULL, "{\"model\":\"echo\",\"input\":[]}", 400, "input"},
        {"/embeddings", NULL, "{\"model\":\"echo\",\"input\":{}}", 400, "input"},
        {"/embeddings", NULL, "{\"model\":\"echo\",\"input\":\"a\",\"encoding_format\":\"x\"}", 400,
         "base64"},
        {"/images/generations", NULL, "{\"model\":\"echo\"}", 404, "does not answer POST /images"},
        {"/nowhere", NULL, "{}", 404, "does not answer"},
        {"/chat/completions", NULL, CHAT_SAYING("statuss=500"), 400, "did you mean \\\"status\\\""},
        {"/chat/completions", NULL, CHAT_SAYING("zebra=500"), 400,
         "knows no \\\"zebra\\\". It knows"},
        {"/chat/completions", NULL, CHAT_SAYING("status=200"), 400, "from 400 to 599"},
        {"/chat/completions", NULL, CHAT_SAYING("status=x"), 400, "not \\\"x\\\""},
        {"/chat/completions", NULL, CHAT_SAYING("status="), 400, "status"},
        {"/chat/completions", NULL, CHAT_SAYING("cut_after=b"), 400, "of bytes"},
        {"/chat/completions", NULL, CHAT_SAYING("latency_ms=600001"), 400, "600000"},
        {"/chat/completions", NULL, CHAT_SAYING("status=99999999999999999999"), 400, "status"},
        {"/chat/completions", "sim-nonsense: 1\r\n", CHAT_SAYING("hi"), 400, "nonsense"},
        {"/chat/completions", "Sim-First-Token-MS: -1\r\n", CHAT_SAYING("hi"), 400,
         "first_token_ms"},
        {"/chat/completions", "sim-status: 500\r\n", "{\"model\":\"echo\",\"messages\":[]}", 400,
         "by sim/fault only"},
    };
    struct client *c = client_new();
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        call(c, rows[i].path, rows[i].headers, str_of(rows[i].body));
        expect_status(c, rows[i].status, rows[i].part);
    }
    client_free(c);
}

/* ---- faults ---- */

static void errors_are_those_of_the_dialect(void **state)
{
    (void)state;
    static const char *const shapes[] = {
        "\"type\":\"rate_limit_error\"", "\"code\":\"rate_limit_exceeded\"", "\"param\":null",
        "{\"type\":\"error\",\"error\":{", "\"retryDelay\":\"1.050s\""};
    struct client *c = client_new();
    for (enum way way = 0; way < WAYS; way++) {
        for (int stream = 0; stream < 2; stream++) {
            ask(c, way, "fault", "please status=429 and retry_after_ms=1050", 9, stream);
            expect_status(c, 429, shapes[way]);
            assert_true(str_eq(h1_get(&c->head, H_RETRY_AFTER), STR("2")));
            assert_true(str_eq(h1_find(&c->head, STR("retry-after-ms")), STR("1050")));
            assert_true(str_eq(h1_find(&c->head, STR("accord-simulated")), STR("true")));
        }
    }
    client_free(c);
}

static void faults_come_where_they_were_asked_for(void **state)
{
    (void)state;
    struct client *c = client_new();
    for (enum way way = 0; way < WAYS; way++) {
        ask(c, way, "fault", "cut_after=3", 9, true);
        assert_int_equal(c->ending, CUT_OFF);
        struct heard h = hear_stream(c, way);
        assert_int_equal(h.events, 3);
        assert_false(h.ended);
        buf_free(&h.text);
        ask(c, way, "fault", "cut_after=100b", 9, true);
        assert_int_equal(c->ending, CUT_OFF);
        assert_int_equal(c->body.n, 100);
        ask(c, way, "fault", "cut_after=100", 9, false);
        assert_int_equal(c->ending, CUT_OFF);
        assert_int_equal(c->body.n, 100);
        ask(c, way, "fault", "cut_after=0", 9, false);
        assert_int_equal(c->ending, CUT_OFF);
        assert_int_equal(c->in.n, 0);
        ask(c, way, "fault", "error_in_stream=2", 9, true);
        assert_int_equal(c->ending, COMPLETE);
        assert_non_null(strstr(c->body.p, "This error 503 is simulated"));
        ask(c, way, "fault", "no_end=1", 9, true);
        assert_int_equal(c->ending, COMPLETE);
        h = hear_stream(c, way);
        assert_false(h.ended);
        assert_int_equal(words(h.text.p), 9);
        buf_free(&h.text);
        ask(c, way, "fault", "no_usage=1", 9, true);
        h = hear_stream(c, way);
        assert_true(h.ended);
        assert_int_equal(h.usage.output, -1);
        buf_free(&h.text);
        ask(c, way, "fault", "html=1 status=502", 9, true);
        expect_status(c, 502, "<!doctype html>");
    }
    client_free(c);
}

static void malformed_json_is_malformed(void **state)
{
    (void)state;
    struct client *c = client_new();
    for (enum way way = 0; way < WAYS; way++) {
        ask(c, way, "fault", "malformed=1", 9, false);
        assert_int_equal(c->ending, COMPLETE);
        assert_true(json_scan(buf_str(&c->body), NULL, 0, NULL, NULL) < 0);
        ask(c, way, "fault", "malformed=2", 9, true);
        struct str rest = buf_str(&c->body);
        for (int event = 1; event <= 3; event++) {
            struct arena a = {0};
            size_t n = sse_event_end(rest.p, rest.n, 0);
            struct str data = sse_data(&a, str_first(rest, n), NULL);
            rest = str_from(rest, n);
            assert_int_equal(json_scan(data, NULL, 0, NULL, NULL) < 0, event == 2);
            arena_reset(&a);
        }
    }
    client_free(c);
}

static void a_stalled_answer_waits_for_its_client(void **state)
{
    (void)state;
    struct client *c = client_new();
    c->patience = 60;
    ask(c, CHAT, "fault", "stall_after=2", 9, true);
    assert_int_equal(c->ending, OPEN);
    struct heard h = hear_stream(c, CHAT);
    assert_int_equal(h.events, 2);
    buf_free(&h.text);
    ask(c, CHAT, "fault", "stall_after=20", 9, false);
    assert_int_equal(c->ending, OPEN);
    assert_int_equal(c->body.n, 20);
    ask(c, CHAT, "fault", "stall_after=0", 9, true);
    assert_int_equal(c->ending, OPEN);
    assert_int_equal(c->head.status, 200);
    assert_int_equal(c->body.n, 0);
    client_free(c);
}

/* ---- pace ---- */

static void the_pace_is_kept(void **state)
{
    (void)state;
    struct client *c = client_new();
    struct str stream =
        STR("{\"model\":\"lorem\",\"max_tokens\":11,\"stream\":true,\"messages\":[]}");
    struct str whole = STR("{\"model\":\"lorem\",\"max_tokens\":10,\"messages\":[]}");
    const char *pace = "sim-first-token-ms: 50\r\nSim-Tokens-Per-Second: 100\r\n";
    call(c, "/chat/completions", pace, stream); /* 50 ms, then ten intervals of 10 ms */
    assert_int_equal(c->ending, COMPLETE);
    assert_in_range(c->took_us, 145000, 1000000); /* the loop counts in ms */
    assert_in_range(c->first_us, 0, 45000);       /* the role comes at once */
    call(c, "/chat/completions", pace, whole);
    assert_int_equal(c->ending, COMPLETE);
    assert_in_range(c->first_us, 145000, 1000000);
    ask(c, MESSAGES, "fault", "latency_ms=80", 9, true);
    assert_in_range(c->first_us, 75000, 1000000);
    client_free(c);
}

/* ---- memory ---- */

static void a_slow_client_costs_little_memory(void **state)
{
    (void)state;
    struct client *c = client_new();
    for (enum way way = 0; way < WAYS; way++) {
        for (int stream = 0; stream < 2; stream++) {
            c->read_after_ms = 40;
            ask(c, way, "lorem", "go", 100000, stream);
            assert_int_equal(c->ending, COMPLETE);
            assert_in_range(c->lent_max, 1, 256 * 1024);
            struct heard h = stream ? hear_stream(c, way) : hear_whole(c, way);
            assert_int_equal(words(h.text.p), 100000);
            assert_int_equal(h.usage.output, 100000);
            buf_free(&h.text);
        }
    }
    client_free(c);
}

static void a_client_may_leave_at_any_point(void **state)
{
    (void)state;
    static const size_t places[] = {1, 100, 300, 700, 2000, 40000, 300000};
    struct client *c = client_new();
    for (enum way way = 0; way < WAYS; way++) {
        for (size_t i = 0; i < sizeof places / sizeof *places; i++) {
            for (int stream = 0; stream < 2; stream++) {
                c->leave_at = places[i];
                ask(c, way, "lorem", "go", 20000, stream);
            }
        }
    }
    c->leave_at = 0;
    c->patience = 20;
    ask(c, CHAT, "fault", "latency_ms=5000", 20, true); /* before the answer */
    ask(c, CHAT, "fault", "first_token_ms=5000", 20, true);
    ask(c, CHAT, "fault", "tokens_per_second=1", 20, true);
    client_free(c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_dialect_echoes_byte_for_byte),
        cmocka_unit_test(a_long_word_arrives_whole),
        cmocka_unit_test(lorem_says_so_many_words),
        cmocka_unit_test(an_echo_stops_at_max_tokens),
        cmocka_unit_test(a_gemini_stream_without_sse_is_one_array),
        cmocka_unit_test(a_conversation_is_answered_at_its_end),
        cmocka_unit_test(tools_are_called_when_they_must_be),
        cmocka_unit_test(a_schema_that_grows_without_end_is_refused),
        cmocka_unit_test(embeddings_are_the_same_in_both_encodings),
        cmocka_unit_test(large_embeddings_go_out_in_pieces),
        cmocka_unit_test(tokens_are_counted_and_texts_moderated),
        cmocka_unit_test(what_cannot_be_simulated_is_refused),
        cmocka_unit_test(errors_are_those_of_the_dialect),
        cmocka_unit_test(faults_come_where_they_were_asked_for),
        cmocka_unit_test(malformed_json_is_malformed),
        cmocka_unit_test(a_stalled_answer_waits_for_its_client),
        cmocka_unit_test(the_pace_is_kept),
        cmocka_unit_test(a_slow_client_costs_little_memory),
        cmocka_unit_test(a_client_may_leave_at_any_point),
    };
    signal(SIGPIPE, SIG_IGN); /* as the server does */
    return cmocka_run_group_tests(tests, NULL, NULL);
}
