/* The dialects' words for errors and tokens. Usage arithmetic as in the vendors' references: what is
 * included in what differs between them, and ours is one: input with the cached, output with the reasoning. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "http/sse.h"
#include "dialect/dialect.h"
#include "json/tree.h"

static struct json *parse(struct arena *a, struct str text)
{
    struct json *j = NULL;
    struct json_error e = {0};
    if (json_parse(a, text, &j, &e) < 0) {
        fail_msg("\"%.*s\": %s at %zu", STR_ARG(text), e.why, e.at);
    }
    return j;
}

static void member_is(const struct json *j, const char *pointer, enum json_type type,
                      const char *want)
{
    const struct json *m = json_at(j, str_of(pointer));
    if (!m || m->type != type || (want && !str_eq(m->text, str_of(want)))) {
        fail_msg("%s is %s \"%.*s\" instead of \"%s\"", pointer, m ? "there," : "not there,",
                 m ? (int)m->text.n : 0, m ? m->text.p : "", want ? want : "(any)");
    }
}

/* ---- errors ---- */

static const struct {
    unsigned status;
    const char *openai, *anthropic, *gemini;
} words[] = {
    {400, "invalid_request_error", "invalid_request_error", "INVALID_ARGUMENT"},
    {401, "authentication_error", "authentication_error", "UNAUTHENTICATED"},
    {402, "billing_error", "billing_error", "INVALID_ARGUMENT"},
    {403, "permission_error", "permission_error", "PERMISSION_DENIED"},
    {404, "invalid_request_error", "not_found_error", "NOT_FOUND"},
    {405, "invalid_request_error", "invalid_request_error", "INVALID_ARGUMENT"},
    {409, "conflict_error", "invalid_request_error", "ABORTED"},
    {413, "invalid_request_error", "request_too_large", "INVALID_ARGUMENT"},
    {429, "rate_limit_error", "rate_limit_error", "RESOURCE_EXHAUSTED"},
    {500, "server_error", "api_error", "INTERNAL"},
    {501, "server_error", "api_error", "UNIMPLEMENTED"},
    {502, "server_error", "api_error", "UNAVAILABLE"},
    {503, "server_error", "overloaded_error", "UNAVAILABLE"},
    {504, "server_error", "timeout_error", "DEADLINE_EXCEEDED"},
    {529, "server_error", "overloaded_error", "INTERNAL"},
};

/* Text that tries to end the string, the line and the event it stands in. */
#define HOSTILE         "a\"b\\c\n\ndata: {}\r\n\x01\x7f\xff\xc3\xa9\xe2\x80\xa8</script>"
#define HOSTILE_DECODED "a\"b\\c\n\ndata: {}\r\n\x01\x7f\xef\xbf\xbd\xc3\xa9\xe2\x80\xa8</script>"

static struct api_error an_error(unsigned status)
{
    return (struct api_error){.status = status,
                              .code = STR("model_not_found"),
                              .message = STR(HOSTILE),
                              .param = STR("mo\"del"),
                              .request_id = STR("req_\"1"),
                              .sequence = -1};
}

static void check_openai(const struct json *j, size_t i)
{
    member_is(j, "/error/message", JSON_STRING, HOSTILE_DECODED);
    member_is(j, "/error/type", JSON_STRING, words[i].openai);
    member_is(j, "/error/param", JSON_STRING, "mo\"del");
    member_is(j, "/error/code", JSON_STRING, "model_not_found");
}

static void check_anthropic(const struct json *j, size_t i)
{
    member_is(j, "/type", JSON_STRING, "error");
    member_is(j, "/error/type", JSON_STRING, words[i].anthropic);
    member_is(j, "/error/message", JSON_STRING, HOSTILE_DECODED);
    member_is(j, "/error/details/error_code", JSON_STRING, "model_not_found");
    member_is(j, "/request_id", JSON_STRING, "req_\"1");
}

static void check_gemini(const struct json *j, size_t i)
{
    char code[8];
    snprintf(code, sizeof code, "%u", words[i].status);
    member_is(j, "/error/code", JSON_NUMBER, code);
    member_is(j, "/error/message", JSON_STRING, HOSTILE_DECODED);
    member_is(j, "/error/status", JSON_STRING, words[i].gemini);
    member_is(j, "/error/details/0/reason", JSON_STRING, "model_not_found");
}

static void check_ollama(const struct json *j, size_t i)
{
    (void)i;
    member_is(j, "/error", JSON_STRING, HOSTILE_DECODED);
}

static void check_cohere(const struct json *j, size_t i)
{
    (void)i;
    member_is(j, "/message", JSON_STRING, HOSTILE_DECODED);
}

static void (*const checks[FAMILY_COUNT])(const struct json *, size_t) = {
    [FAMILY_OPENAI] = check_openai, [FAMILY_ANTHROPIC] = check_anthropic,
    [FAMILY_GEMINI] = check_gemini, [FAMILY_OLLAMA] = check_ollama,
    [FAMILY_COHERE] = check_cohere, [FAMILY_BEDROCK] = check_cohere, /* the same member */
};

static void errors(void **state)
{
    (void)state;
    for (int f = 0; f < FAMILY_COUNT; f++) {
        const struct dialect *d = dialect_of((enum family)f);
        assert_int_equal(d->family, f);
        assert_true(d->name.n > 0);
        for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
            struct arena a = {0};
            struct buf b = {.arena = &a};
            struct api_error e = an_error(words[i].status);
            d->error(&b, &e);
            checks[f](parse(&a, buf_str(&b)), i);
            arena_reset(&a);
        }
    }
}

/* One whole event, whose data is the error. */
static void error_events(void **state)
{
    (void)state;
    for (int f = 0; f < FAMILY_BEDROCK; f++) { /* whose events are frames */
        const struct dialect *d = dialect_of((enum family)f);
        for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
            struct arena a = {0};
            struct buf b = {.arena = &a};
            struct api_error e = an_error(words[i].status);
            d->error_event(&b, &e);
            struct str name = {0}, data;
            if (f == FAMILY_OLLAMA) {
                assert_int_equal(ndjson_line_end(b.p, b.n, 0), b.n);
                data = buf_str(&b);
            } else {
                assert_int_equal(sse_event_end(b.p, b.n, 0), b.n);
                data = sse_data(&a, buf_str(&b), &name);
            }
            struct json *j = parse(&a, data);
            if (f == FAMILY_COHERE) { /* its SDK knows an error of the last event only */
                member_is(j, "/type", JSON_STRING, "message-end");
                member_is(j, "/delta/finish_reason", JSON_STRING, "ERROR");
                member_is(j, "/delta/error", JSON_STRING, HOSTILE_DECODED);
            } else {
                checks[f](j, i);
            }
            /* The official SDK of Anthropic sees named events only, the others' take any. */
            assert_true(str_eq(name, f == FAMILY_ANTHROPIC ? STR("error")
                                     : f == FAMILY_COHERE  ? STR("message-end")
                                                           : STR("")));
            arena_reset(&a);
        }
    }
}

/* In a stream of Responses events are numbered, and what is said of an error stands flat in them. */
static void numbered_error_event(void **state)
{
    (void)state;
    struct arena a = {0};
    struct buf b = {.arena = &a};
    struct api_error e = an_error(502);
    struct str name;
    e.sequence = 17;
    dialect_openai.error_event(&b, &e);
    assert_int_equal(sse_event_end(b.p, b.n, 0), b.n);
    struct json *j = parse(&a, sse_data(&a, buf_str(&b), &name));
    assert_true(str_eq(name, STR("error")));
    member_is(j, "/type", JSON_STRING, "error");
    member_is(j, "/sequence_number", JSON_NUMBER, "17");
    member_is(j, "/code", JSON_STRING, "model_not_found");
    member_is(j, "/message", JSON_STRING, HOSTILE_DECODED);
    member_is(j, "/error/message", JSON_STRING, HOSTILE_DECODED);
    member_is(j, "/error/type", JSON_STRING, "server_error");
    arena_reset(&a);
}

static void empty_errors(void **state)
{
    (void)state;
    for (int f = 0; f < FAMILY_COUNT; f++) {
        struct arena a = {0};
        struct buf b = {.arena = &a};
        dialect_of((enum family)f)->error(&b, &(struct api_error){.status = 500});
        struct json *j = parse(&a, buf_str(&b));
        if (f == FAMILY_OPENAI) {
            member_is(j, "/error/param", JSON_NULL, NULL);
        }
        arena_reset(&a);
    }
}

static void statuses(void **state)
{
    (void)state;
    for (int f = 0; f < FAMILY_COUNT; f++) {
        const struct dialect *d = dialect_of((enum family)f);
        for (unsigned s = 400; s < 600; s++) {
            assert_int_equal(d->status(s, STR("x")), s);
        }
        assert_int_equal(d->status(403, STR("model_not_allowed")),
                         f == FAMILY_ANTHROPIC ? 400 : 403);
    }
}

/* A ping is a whole event without data, or one that its family's SDK knows and ignores. */
static void pings(void **state)
{
    (void)state;
    for (int f = 0; f < FAMILY_COUNT; f++) {
        struct str ping = dialect_of((enum family)f)->ping, name;
        struct arena a = {0};
        if (ping.n) {
            assert_int_equal(sse_event_end(ping.p, ping.n, 0), ping.n);
            struct str data = sse_data(&a, ping, &name);
            if (f == FAMILY_ANTHROPIC) {
                assert_true(str_eq(name, STR("ping")));
                member_is(parse(&a, data), "/type", JSON_STRING, "ping");
            } else {
                assert_true(data.n == 0 && name.n == 0);
            }
        }
        arena_reset(&a);
    }
}

/* ---- usage ---- */

static void usage_is(const struct usage *u, const struct usage *want, const char *text)
{
    if (u->input != want->input || u->output != want->output || u->cache_read != want->cache_read ||
        u->cache_write != want->cache_write || u->reasoning != want->reasoning ||
        u->cache_write_1h != want->cache_write_1h || u->input_audio != want->input_audio ||
        u->output_audio != want->output_audio) {
        fail_msg("%s: input %ld output %ld cache_read %ld cache_write %ld reasoning %ld "
                 "cache_write_1h %ld input_audio %ld output_audio %ld",
                 text, (long)u->input, (long)u->output, (long)u->cache_read, (long)u->cache_write,
                 (long)u->reasoning, (long)u->cache_write_1h, (long)u->input_audio,
                 (long)u->output_audio);
    }
}

static const struct {
    enum family family;
    const char *text;
    struct usage want; /* input, output, cache_read, cache_write, reasoning */
} usages[] = {
    {FAMILY_OPENAI, "{}", {-1, -1, -1, -1, -1, -1, -1, -1}},
    {FAMILY_OPENAI,
     "{\"prompt_tokens\":10,\"completion_tokens\":5,\"total_tokens\":15}",
     {10, 5, -1, -1, -1, -1, -1, -1}},
    /* the cached are in the prompt, the reasoning in the completion */
    {FAMILY_OPENAI,
     "{\"prompt_tokens\":100,\"completion_tokens\":50,\"prompt_tokens_details\":{\"cached_tokens\":"
     "80,"
     "\"cache_write_tokens\":7,\"audio_tokens\":0},\"completion_tokens_details\":{\"reasoning_"
     "tokens\":30,"
     "\"audio_tokens\":1}}",
     {100, 50, 80, 7, 30, -1, 0, 1}},
    {FAMILY_OPENAI, /* responses */
     "{\"input_tokens\":100,\"input_tokens_details\":{\"cached_tokens\":80},\"output_tokens\":50,"
     "\"output_tokens_details\":{\"reasoning_tokens\":30},\"total_tokens\":150}",
     {100, 50, 80, -1, 30, -1, -1, -1}},
    {FAMILY_OPENAI,
     "{\"prompt_tokens\":8,\"total_tokens\":8}",
     {8, -1, -1, -1, -1, -1, -1, -1}}, /* embeddings */
    {FAMILY_OPENAI,
     "{\"prompt_tokens\":null,\"completion_tokens\":\"5\"}",
     {-1, -1, -1, -1, -1, -1, -1, -1}},
    {FAMILY_OPENAI,
     "{\"prompt_tokens\":-3,\"completion_tokens\":1.5}",
     {-1, -1, -1, -1, -1, -1, -1, -1}},
    {FAMILY_OPENAI,
     "{\"prompt_tokens\":99999999999999999999,\"completion_tokens\":0}",
     {-1, 0, -1, -1, -1, -1, -1, -1}},
    {FAMILY_OPENAI,
     "{\"prompt_tokens_details\":null,\"x\":{\"prompt_tokens\":7}}",
     {-1, -1, -1, -1, -1, -1, -1, -1}},
    {FAMILY_OPENAI, "{\"prompt_tokens\":1,\"prompt_tokens\":2}", {2, -1, -1, -1, -1, -1, -1, -1}},
    {FAMILY_ANTHROPIC, "{}", {-1, -1, -1, -1, -1, -1, -1, -1}},
    {FAMILY_ANTHROPIC,
     "{\"input_tokens\":10,\"output_tokens\":5}",
     {10, 5, -1, -1, -1, -1, -1, -1}},
    /* what the cache read and wrote comes on top */
    {FAMILY_ANTHROPIC,
     "{\"input_tokens\":10,\"cache_creation_input_tokens\":200,\"cache_read_input_tokens\":3000,"
     "\"cache_creation\":{\"ephemeral_5m_input_tokens\":200,\"ephemeral_1h_input_tokens\":0},"
     "\"output_tokens\":5,\"service_tier\":\"standard\"}",
     {3210, 5, 3000, 200, -1, 0, -1, -1}},
    {FAMILY_ANTHROPIC,
     "{\"cache_read_input_tokens\":0,\"input_tokens\":4,\"output_tokens\":1}",
     {4, 1, 0, -1, -1, -1, -1, -1}},
    {FAMILY_ANTHROPIC,
     "{\"input_tokens\":4,\"output_tokens\":100,\"output_tokens_details\":{\"thinking_tokens\":60}"
     "}",
     {4, 100, -1, -1, 60, -1, -1, -1}},
    {FAMILY_ANTHROPIC,
     "{\"input_tokens\":10,\"cache_creation_input_tokens\":200,\"cache_creation\":{"
     "\"ephemeral_5m_input_tokens\":50,\"ephemeral_1h_input_tokens\":150},\"output_tokens\":5}",
     {210, 5, -1, 200, -1, 150, -1, -1}},
    {FAMILY_ANTHROPIC, "{\"output_tokens\":7}", {-1, 7, -1, -1, -1, -1, -1, -1}},
    {FAMILY_GEMINI, "{}", {-1, -1, -1, -1, -1, -1, -1, -1}},
    {FAMILY_GEMINI,
     "{\"promptTokenCount\":10,\"candidatesTokenCount\":5,\"totalTokenCount\":15}",
     {10, 5, -1, -1, -1, -1, -1, -1}},
    /* the cached are in the prompt; tool use comes on top; thoughts on top of the candidates */
    {FAMILY_GEMINI,
     "{\"promptTokenCount\":100,\"cachedContentTokenCount\":80,\"toolUsePromptTokenCount\":7,"
     "\"candidatesTokenCount\":20,\"thoughtsTokenCount\":30,\"totalTokenCount\":157,"
     "\"promptTokensDetails\":[{\"modality\":\"TEXT\",\"tokenCount\":100}]}",
     {107, 50, 80, -1, 30, -1, -1, -1}},
    {FAMILY_GEMINI,
     "{\"promptTokenCount\":10,\"thoughtsTokenCount\":30}",
     {10, 30, -1, -1, 30, -1, -1, -1}},
    {FAMILY_GEMINI,
     "{\"promptTokenCount\":40,\"candidatesTokenCount\":9,\"promptTokensDetails\":[{\"modality\":"
     "\"TEXT\",\"tokenCount\":8},{\"tokenCount\":32,\"modality\":\"AUDIO\"}],"
     "\"candidatesTokensDetails\":[{\"modality\":\"AUDIO\",\"tokenCount\":7}]}",
     {40, 9, -1, -1, -1, -1, 32, 7}},
    {FAMILY_GEMINI, "{\"promptTokenCount\":10}", {10, -1, -1, -1, -1, -1, -1, -1}},
    {FAMILY_OLLAMA, "{\"prompt_eval_count\":10}", {10, -1, -1, -1, -1, -1, -1, -1}},
    {FAMILY_COHERE, "{\"tokens\":{\"input_tokens\":10}}", {10, -1, -1, -1, -1, -1, -1, -1}},
};

static void usage_of_answers(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof usages / sizeof *usages; i++) {
        struct usage u = USAGE_NONE;
        dialect_of(usages[i].family)->usage(str_of(usages[i].text), &u);
        usage_is(&u, &usages[i].want, usages[i].text);
    }
}

/* ---- streams ---- */

struct step {
    const char *data;
    bool ends;
    struct usage want; /* after this event */
};

static void run_stream(enum family family, const struct step *s, size_t n)
{
    struct usage u = USAGE_NONE;
    for (size_t i = 0; i < n; i++) {
        bool ends = dialect_of(family)->event(str_of(s[i].data), &u);
        if (ends != s[i].ends) {
            fail_msg("%s %s the stream", s[i].data, ends ? "ends" : "does not end");
        }
        usage_is(&u, &s[i].want, s[i].data);
    }
}
#define RUN(family, steps) run_stream(family, steps, sizeof steps / sizeof *steps)

static void stream_of_chat(void **state)
{
    (void)state;
    static const struct step s[] = {
        {"{\"choices\":[{\"delta\":{\"role\":\"assistant\"}}],\"usage\":null}",
         false,
         {-1, -1, -1, -1, -1, -1, -1, -1}},
        {"{\"choices\":[{\"delta\":{\"content\":\"\\\"usage\\\":{\\\"prompt_tokens\\\":9}\"}}]}",
         false,
         {-1, -1, -1, -1, -1, -1, -1, -1}},
        {"{\"choices\":[],\"usage\":{\"prompt_tokens\":3,\"completion_tokens\":1}}",
         false,
         {3, 1, -1, -1, -1, -1, -1, -1}},
        {"{\"choices\":[],\"usage\":{\"completion_tokens\":2,\"completion_tokens_details\":"
         "{\"reasoning_tokens\":1}}}",
         false,
         {3, 2, -1, -1, 1, -1, -1, -1}}, /* cumulative, and what was told stays */
    };
    RUN(FAMILY_OPENAI, s);
}

static void stream_of_responses(void **state)
{
    (void)state;
    static const struct step s[] = {
        {"{\"type\":\"response.created\",\"response\":{\"usage\":null}}",
         false,
         {-1, -1, -1, -1, -1, -1, -1, -1}},
        {"{\"type\":\"response.output_text.delta\",\"delta\":\"response.completed\"}",
         false,
         {-1, -1, -1, -1, -1, -1, -1, -1}},
        {"{\"response\":{\"usage\":{\"input_tokens\":5,\"output_tokens\":2,\"input_tokens_"
         "details\":"
         "{\"cached_tokens\":4}}},\"type\":\"response.completed\"}",
         true,
         {5, 2, 4, -1, -1, -1, -1, -1}},
        {"{\"type\":\"response.incomplete\"}", true, {5, 2, 4, -1, -1, -1, -1, -1}},
        {"{\"type\":\"response.failed\"}", true, {5, 2, 4, -1, -1, -1, -1, -1}},
        {"{\"type\":\"error\"}", false, {5, 2, 4, -1, -1, -1, -1, -1}},
    };
    RUN(FAMILY_OPENAI, s);
}

static void stream_of_messages(void **state)
{
    (void)state;
    static const struct step s[] = {
        {"{\"type\":\"message_start\",\"message\":{\"usage\":{\"input_tokens\":10,"
         "\"cache_read_input_tokens\":100,\"cache_creation_input_tokens\":20,\"output_tokens\":1}}"
         "}",
         false,
         {130, 1, 100, 20, -1, -1, -1, -1}},
        {"{\"type\":\"content_block_delta\",\"delta\":{\"text\":\"message_stop\"}}",
         false,
         {130, 1, 100, 20, -1, -1, -1, -1}},
        {"{\"type\":\"ping\"}", false, {130, 1, 100, 20, -1, -1, -1, -1}},
        {"{\"type\":\"message_delta\",\"delta\":{},\"usage\":{\"output_tokens\":15}}",
         false,
         {130, 15, 100, 20, -1, -1, -1, -1}},
        /* cumulative: the input once more, without counting the cache twice */
        {"{\"type\":\"message_delta\",\"usage\":{\"input_tokens\":10,\"output_tokens\":16}}",
         false,
         {130, 16, 100, 20, -1, -1, -1, -1}},
        {"{\"type\":\"message_delta\",\"usage\":{\"input_tokens\":12,\"cache_read_input_tokens\":"
         "110,"
         "\"cache_creation_input_tokens\":0,\"output_tokens\":17}}",
         false,
         {122, 17, 110, 0, -1, -1, -1, -1}},
        {"{\"type\":\"message_stop\"}", true, {122, 17, 110, 0, -1, -1, -1, -1}},
    };
    RUN(FAMILY_ANTHROPIC, s);
}

static void stream_of_gemini(void **state)
{
    (void)state;
    static const struct step s[] = {
        {"{\"candidates\":[{\"content\":{\"parts\":[{\"text\":\"finishReason\"}]}}],"
         "\"usageMetadata\":"
         "{\"promptTokenCount\":4,\"thoughtsTokenCount\":6}}",
         false,
         {4, 6, -1, -1, 6, -1, -1, -1}},
        {"{\"candidates\":[{\"finishReason\":null},7]}", false, {4, 6, -1, -1, 6, -1, -1, -1}},
        {"{\"candidates\":[{},{\"finishReason\":\"STOP\"}],\"usageMetadata\":{\"promptTokenCount\":"
         "4,"
         "\"candidatesTokenCount\":3,\"thoughtsTokenCount\":6}}",
         true,
         {4, 9, -1, -1, 6, -1, -1, -1}},
        {"{\"promptFeedback\":{\"blockReason\":\"SAFETY\"}}", true, {4, 9, -1, -1, 6, -1, -1, -1}},
        {"{\"error\":{\"code\":500}}", false, {4, 9, -1, -1, 6, -1, -1, -1}},
    };
    RUN(FAMILY_GEMINI, s);
}

static void events_that_are_no_objects(void **state)
{
    (void)state;
    static const char *const data[] = {"{}", "{\"usage\":[]}", "{\"usage\":7,\"type\":null}",
                                       "{\"message\":[],\"response\":\"x\",\"candidates\":{}}"};
    static const struct usage none = USAGE_NONE;
    for (int f = 0; f < FAMILY_COUNT; f++) {
        for (size_t i = 0; i < sizeof data / sizeof *data; i++) {
            struct usage u = USAGE_NONE;
            assert_false(dialect_of((enum family)f)->event(str_of(data[i]), &u));
            usage_is(&u, &none, data[i]);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(errors),
        cmocka_unit_test(error_events),
        cmocka_unit_test(numbered_error_event),
        cmocka_unit_test(empty_errors),
        cmocka_unit_test(statuses),
        cmocka_unit_test(pings),
        cmocka_unit_test(usage_of_answers),
        cmocka_unit_test(stream_of_chat),
        cmocka_unit_test(stream_of_responses),
        cmocka_unit_test(stream_of_messages),
        cmocka_unit_test(stream_of_gemini),
        cmocka_unit_test(events_that_are_no_objects),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
