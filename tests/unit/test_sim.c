/* What the simulated provider says, in each dialect. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "simbench.h"

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
    };
    signal(SIGPIPE, SIG_IGN); /* as the server does */
    return cmocka_run_group_tests(tests, NULL, NULL);
}
