/* Embeddings: each dialect's requests and answers in both directions, and the two spellings of vectors. */
#include <errno.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "dialect/embed.h"
#include "dialect/vector.h"
#include "json/scan.h"

static struct arena arena;
static struct ir_call call;
static struct embed_call c;

/* Memory of its own, so that reading outside of it shows. */
static struct str own(struct str s)
{
    return s.n ? arena_dup(&arena, s) : s;
}

static void must_be_json(struct str s)
{
    struct json_error e = {0};
    if (json_scan(s, NULL, 0, NULL, &e) < 0) {
        fail_msg("\"%.*s\": %s at %zu", STR_ARG(s), e.why, e.at);
    }
}

static int read_as(const struct embed_format *f, const char *body)
{
    struct str text = own(str_of(body));
    must_be_json(text);
    ir_call_init(&call, &arena);
    embed_call_init(&c, &call);
    return f->read_request(&c, text);
}

static const struct embed_format *format(enum family f)
{
    return embed_format_of(f, STR("m"));
}

static const struct embed_format *bedrock_cohere(void)
{
    return embed_format_of(FAMILY_BEDROCK, STR("eu.cohere.embed-v4:0"));
}

static void is(struct str have, const char *want)
{
    if (!str_eq(have, str_of(want))) {
        fail_msg("have %.*s\nwant %s", STR_ARG(have), want);
    }
}

static void dropped(const char *want)
{
    struct buf b = {.arena = &arena};
    for (const struct ir_list *l = call.dropped; l; l = l->next) {
        buf_add(&b, l->text);
        buf_add(&b, l->next ? STR(" ") : STR(""));
    }
    is(buf_str(&b), want);
}

/* The request `body` of one dialect as `to` takes it, and where. */
static void becomes(const struct embed_format *from, const char *body,
                    const struct embed_format *to, const char *model, const char *path,
                    const char *want, const char *losses)
{
    struct buf b = {.arena = &arena}, again = {.arena = &arena}, p = {.arena = &arena};
    struct ir_target t = {.model = str_of(model), .family = to->family};
    if (read_as(from, body) < 0) {
        fail_msg("%.*s", STR_ARG(call.bad));
    }
    to->write_request(&b, &c, &t);
    must_be_json(buf_str(&b));
    is(buf_str(&b), want);
    to->path(&p, &c, &t);
    is(buf_str(&p), path);
    dropped(losses);
    assert_int_equal(read_as(from, body), 0);
    to->write_request(&again, &c, &t);
    is(buf_str(&again), want);
}

static void is_wrong(const struct embed_format *f, const char *body, const char *param)
{
    assert_int_equal(read_as(f, body), -EINVAL);
    is(call.bad_param, param);
    assert_true(call.bad.n > call.bad_param.n);
}

/* ---- requests ---- */

static void a_text_reaches_every_vendor(void **state)
{
    (void)state;
    const struct embed_format *from = format(FAMILY_OPENAI);
    const char *body = "{\"model\":\"x\",\"input\":\"a \\\"b\\\" \\u00e9\",\"dimensions\":256}";
    becomes(from, body, format(FAMILY_OPENAI), "up", "/embeddings",
            "{\"model\":\"up\",\"input\":[\"a \\\"b\\\" \\u00e9\"],\"encoding_format\":\"float\","
            "\"dimensions\":256}",
            "");
    becomes(from, body, format(FAMILY_GEMINI), "gemini-embedding-001",
            "/models/gemini-embedding-001:embedContent",
            "{\"content\":{\"parts\":[{\"text\":\"a \\\"b\\\" \\u00e9\"}]},"
            "\"outputDimensionality\":256}",
            "");
    becomes(from, body, format(FAMILY_COHERE), "embed-v4.0", "/v2/embed",
            "{\"model\":\"embed-v4.0\",\"texts\":[\"a \\\"b\\\" \\u00e9\"],\"input_type\":"
            "\"search_document\",\"embedding_types\":[\"float\"],\"output_dimension\":256}",
            "");
    becomes(
        from, body, format(FAMILY_OLLAMA), "nomic-embed-text", "/api/embed",
        "{\"model\":\"nomic-embed-text\",\"input\":[\"a \\\"b\\\" \\u00e9\"],\"dimensions\":256}",
        "");
    becomes(from, body, embed_format_of(FAMILY_BEDROCK, STR("amazon.titan-embed-text-v2:0")),
            "amazon.titan-embed-text-v2:0", "/model/amazon.titan-embed-text-v2%3A0/invoke",
            "{\"inputText\":\"a \\\"b\\\" \\u00e9\",\"dimensions\":256}", "");
    becomes(from, body, bedrock_cohere(), "cohere.embed-english-v3",
            "/model/cohere.embed-english-v3/invoke",
            "{\"texts\":[\"a \\\"b\\\" \\u00e9\"],\"input_type\":\"search_document\","
            "\"embedding_types\":[\"float\"],\"output_dimension\":256}",
            "");
    assert_null(embed_format_of(FAMILY_ANTHROPIC, STR("m")));
}

static void several_texts_become_a_batch(void **state)
{
    (void)state;
    becomes(format(FAMILY_OPENAI), "{\"input\":[\"a\",\"b\"],\"input_type\":\"query\"}",
            format(FAMILY_GEMINI), "models/g", "/models/g:batchEmbedContents",
            "{\"requests\":[{\"model\":\"models/g\",\"content\":{\"parts\":[{\"text\":\"a\"}]},"
            "\"taskType\":\"RETRIEVAL_QUERY\"},{\"model\":\"models/g\",\"content\":{\"parts\":[{"
            "\"text\":\"b\"}]},\"taskType\":\"RETRIEVAL_QUERY\"}]}",
            "");
    becomes(format(FAMILY_GEMINI),
            "{\"requests\":[{\"model\":\"models/g\",\"content\":{\"parts\":[{\"text\":\"a\"}]},"
            "\"taskType\":\"CLUSTERING\",\"outputDimensionality\":8},{\"model\":\"models/g\","
            "\"content\":{\"role\":\"user\",\"parts\":[{\"text\":\"b\"},{\"text\":\"c\"}]},"
            "\"taskType\":\"CLUSTERING\",\"outputDimensionality\":8}]}",
            format(FAMILY_COHERE), "e", "/v2/embed",
            "{\"model\":\"e\",\"texts\":[\"a\",\"b\\nc\"],\"input_type\":\"clustering\","
            "\"embedding_types\":[\"float\"],\"output_dimension\":8}",
            "");
    assert_false(c.one);
    assert_int_equal(
        embed_format_of(FAMILY_BEDROCK, STR("amazon.titan-embed-text-v2:0"))->max_batch, 1);
}

static void base64_is_asked_for_only_when_it_passes(void **state)
{
    (void)state;
    const char *body = "{\"input\":\"a\",\"encoding_format\":\"base64\"}";
    becomes(format(FAMILY_OPENAI), body, format(FAMILY_OPENAI), "m", "/embeddings",
            "{\"model\":\"m\",\"input\":[\"a\"],\"encoding_format\":\"base64\"}", "");
    becomes(format(FAMILY_OPENAI), body, format(FAMILY_COHERE), "m", "/v2/embed",
            "{\"model\":\"m\",\"texts\":[\"a\"],\"input_type\":\"search_document\","
            "\"embedding_types\":[\"float\"]}",
            "");
    becomes(format(FAMILY_COHERE),
            "{\"texts\":[\"a\"],\"input_type\":\"search_query\",\"embedding_types\":[\"base64\","
            "\"float\"]}",
            format(FAMILY_OPENAI), "m", "/embeddings",
            "{\"model\":\"m\",\"input\":[\"a\"],\"encoding_format\":\"float\"}", "input_type");
}

static void what_is_lost_is_named_as_the_caller_spells_it(void **state)
{
    (void)state;
    becomes(format(FAMILY_GEMINI),
            "{\"content\":{\"parts\":[{\"text\":\"a\"},{\"inlineData\":{\"mimeType\":\"image/png\","
            "\"data\":\"AA==\"}}]},\"taskType\":\"FACT_VERIFICATION\",\"title\":\"t\"}",
            format(FAMILY_OPENAI), "m", "/embeddings",
            "{\"model\":\"m\",\"input\":[\"a\"],\"encoding_format\":\"float\"}",
            "content.parts[inlineData] title taskType");
    becomes(format(FAMILY_COHERE),
            "{\"inputs\":[{\"content\":[{\"type\":\"text\",\"text\":\"a\"},{\"type\":\"image_url\","
            "\"image_url\":{\"url\":\"data:image/png;base64,AA==\"}}]}],\"input_type\":\"image\","
            "\"embedding_types\":[\"int8\",\"ubinary\"],\"truncate\":\"START\",\"max_tokens\":9,"
            "\"priority\":null}",
            format(FAMILY_OLLAMA), "m", "/api/embed", "{\"model\":\"m\",\"input\":[\"a\"]}",
            "inputs.content[image_url] input_type max_tokens truncate embedding_types[int8] "
            "embedding_types[ubinary]");
    becomes(format(FAMILY_OLLAMA),
            "{\"model\":\"m\",\"input\":[\"a\"],\"keep_alive\":\"5m\",\"options\":{\"num_ctx\":9},"
            "\"dimensions\":64,\"truncate\":true}",
            embed_format_of(FAMILY_BEDROCK, STR("amazon.titan-embed-text-v1")),
            "amazon.titan-embed-text-v1", "/model/amazon.titan-embed-text-v1/invoke",
            "{\"inputText\":\"a\"}", "keep_alive options dimensions truncate");
    becomes(format(FAMILY_OPENAI), "{\"input\":\"a\",\"user\":\"u\",\"strange\":1,\"x\":null}",
            format(FAMILY_GEMINI), "m", "/models/m:embedContent",
            "{\"content\":{\"parts\":[{\"text\":\"a\"}]}}", "strange user");
    becomes(embed_format_in(FAMILY_BEDROCK, STR("{\"inputText\":\"a\"}")),
            "{\"inputText\":\"a\",\"normalize\":false,\"embeddingTypes\":[\"float\",\"binary\"]}",
            format(FAMILY_OPENAI), "m", "/embeddings",
            "{\"model\":\"m\",\"input\":[\"a\"],\"encoding_format\":\"float\"}",
            "normalize embedding_types[binary]");
}

static void coheres_models_keep_all_they_have(void **state)
{
    (void)state;
    becomes(bedrock_cohere(),
            "{\"texts\":[\"a\"],\"input_type\":\"classification\",\"embedding_types\":[\"int8\","
            "\"float\"],\"truncate\":\"NONE\"}",
            format(FAMILY_COHERE), "e", "/v2/embed",
            "{\"model\":\"e\",\"texts\":[\"a\"],\"input_type\":\"classification\","
            "\"embedding_types\":[\"float\",\"int8\"],\"truncate\":\"NONE\"}",
            "");
}

static void wrong_requests_are_named(void **state)
{
    (void)state;
    const struct embed_format *openai = format(FAMILY_OPENAI), *gemini = format(FAMILY_GEMINI);
    is_wrong(openai, "{\"input\":[1,2,3]}", "input");
    assert_true(str_find(call.bad, STR("token numbers")) > 0);
    is_wrong(openai, "{\"input\":[[1,2],[3]]}", "input");
    is_wrong(openai, "{\"input\":[]}", "input");
    is_wrong(openai, "{\"input\":null}", "input");
    is_wrong(openai, "{\"input\":{}}", "input");
    is_wrong(openai, "{\"input\":[\"a\",true]}", "input");
    is_wrong(openai, "{\"input\":\"a\",\"encoding_format\":\"hex\"}", "encoding_format");
    is_wrong(openai, "{\"input\":\"a\",\"dimensions\":\"8\"}", "dimensions");
    is_wrong(gemini, "{\"content\":{\"parts\":[{\"inlineData\":{}}]}}", "content.parts");
    is_wrong(gemini, "{\"requests\":[{\"taskType\":\"CLUSTERING\"}]}", "requests[0]");
    is_wrong(
        gemini,
        "{\"requests\":[{\"content\":{\"parts\":[{\"text\":\"a\"}]}},{\"content\":{\"parts\":[{"
        "\"text\":\"b\"}]},\"outputDimensionality\":3}]}",
        "requests[1]");
    is_wrong(format(FAMILY_COHERE), "{\"images\":[\"data:,\"]}", "images");
    is_wrong(format(FAMILY_COHERE),
             "{\"inputs\":[{\"content\":[{\"type\":\"image_url\",\"image_url\":{}}]}]}",
             "inputs[0]");
    is_wrong(format(FAMILY_COHERE), "{\"texts\":[\"a\"],\"embedding_types\":[\"int4\"]}",
             "embedding_types");
    is_wrong(format(FAMILY_OLLAMA), "{\"prompt\":1}", "prompt");
    is_wrong(format(FAMILY_BEDROCK), "{\"inputText\":[\"a\"]}", "inputText");
    assert_ptr_equal(embed_format_in(FAMILY_BEDROCK, own(STR("\n{ \"inputText\":\"a\"} "))),
                     format(FAMILY_BEDROCK));
    assert_ptr_equal(embed_format_in(FAMILY_BEDROCK, own(STR("\n{ \"texts\":[\"a\"]} "))),
                     bedrock_cohere());
}

/* ---- answers ---- */

static struct embed_answer answer;

static int take(const struct embed_format *f, const char *body)
{
    struct str text = own(str_of(body));
    must_be_json(text);
    return f->read_answer(&answer, text);
}

static int answers(const struct embed_format *from, const char *body)
{
    embed_answer_init(&answer, &arena);
    return take(from, body);
}

/* The answer that was read, to the caller whose request was read. */
static void gives(const struct embed_format *to, const char *want)
{
    struct buf b = {.arena = &arena};
    struct embed_out o = {.model = STR("mine"), .id = STR("7"), .spare = &arena};
    assert_int_equal(to->write_answer(&b, &c, &answer, &o), 0);
    must_be_json(buf_str(&b));
    is(buf_str(&b), want);
}

static void vectors_pass_as_they_stand(void **state)
{
    (void)state;
    assert_int_equal(read_as(format(FAMILY_OPENAI), "{\"input\":[\"a\",\"b\"]}"), 0);
    assert_int_equal(answers(format(FAMILY_GEMINI),
                             "{\"embeddings\":[{\"values\":[0.10,-2E-3]},{\"values\":[ 1 ,0]}],"
                             "\"usageMetadata\":{\"promptTokenCount\":4}}"),
                     0);
    assert_true(embed_is_whole(&answer, c.n));
    gives(
        format(FAMILY_OPENAI),
        "{\"object\":\"list\",\"data\":[{\"object\":\"embedding\",\"index\":0,\"embedding\":[0.10,"
        "-2E-3]},{\"object\":\"embedding\",\"index\":1,\"embedding\":[ 1 ,0]}],\"id\":\"7\","
        "\"model\":\"mine\",\"usage\":{\"prompt_tokens\":4,\"total_tokens\":4}}");
    gives(format(FAMILY_COHERE),
          "{\"id\":\"7\",\"embeddings\":{\"float\":[[0.10,-2E-3],[ 1 ,0]]},\"texts\":[\"a\",\"b\"],"
          "\"meta\":{\"api_version\":{\"version\":\"2\"},\"billed_units\":{\"input_tokens\":4}},"
          "\"response_type\":\"embeddings_by_type\"}");
    gives(format(FAMILY_OLLAMA),
          "{\"model\":\"mine\",\"embeddings\":[[0.10,-2E-3],[ 1 ,0]],\"prompt_eval_count\":4}");
    gives(format(FAMILY_GEMINI),
          "{\"embeddings\":[{\"values\":[0.10,-2E-3]},{\"values\":[ 1 ,0]}],\"usageMetadata\":{"
          "\"promptTokenCount\":4,\"totalTokenCount\":4}}");
}

static void a_single_text_has_its_own_answer(void **state)
{
    (void)state;
    assert_int_equal(read_as(format(FAMILY_GEMINI), "{\"content\":{\"parts\":[{\"text\":\"a\"}]}}"),
                     0);
    assert_int_equal(answers(format(FAMILY_OLLAMA), "{\"embeddings\":[[1,2]]}"), 0);
    gives(format(FAMILY_GEMINI), "{\"embedding\":{\"values\":[1,2]}}");
    assert_int_equal(read_as(format(FAMILY_OLLAMA), "{\"model\":\"m\",\"prompt\":\"a\"}"), 0);
    gives(format(FAMILY_OLLAMA), "{\"embedding\":[1,2]}");
    assert_int_equal(read_as(format(FAMILY_BEDROCK), "{\"inputText\":\"a\"}"), 0);
    gives(format(FAMILY_BEDROCK), "{\"embedding\":[1,2],\"inputTextTokenCount\":0,"
                                  "\"embeddingsByType\":{\"float\":[1,2]}}");
}

static void base64_and_numbers_become_each_other(void **state)
{
    (void)state;
    /* 1, -0.5, 0.1, 16777216 */
    const char *base64 = "AACAPwAAAL/NzMw9AACASw==";
    assert_int_equal(
        read_as(format(FAMILY_OPENAI), "{\"input\":\"a\",\"encoding_format\":\"base64\"}"), 0);
    assert_int_equal(answers(format(FAMILY_COHERE),
                             "{\"id\":\"i\",\"embeddings\":{\"float\":[[1,-0.5,0.1,1.6777216e7]]},"
                             "\"meta\":{\"billed_units\":{\"input_tokens\":3.0}}}"),
                     0);
    struct buf want = {.arena = &arena};
    buf_printf(&want,
               "{\"object\":\"list\",\"data\":[{\"object\":\"embedding\",\"index\":0,\"embedding\":"
               "\"%s\"}],\"id\":\"7\",\"model\":\"mine\",\"usage\":{\"prompt_tokens\":3,\"total_"
               "tokens\":3}}%c",
               base64, 0);
    gives(format(FAMILY_OPENAI), want.p);

    assert_int_equal(read_as(format(FAMILY_COHERE),
                             "{\"texts\":[\"a\"],\"embedding_types\":[\"float\",\"base64\"]}"),
                     0);
    assert_int_equal(
        answers(format(FAMILY_OPENAI),
                "{\"data\":[{\"index\":0,\"embedding\":\"AACAPwAAAL\\/NzMw9AACASw==\"}]}"),
        0);
    gives(
        format(FAMILY_COHERE),
        "{\"id\":\"7\",\"embeddings\":{\"float\":[[1,-0.5,0.1,16777216]],\"base64\":["
        "\"AACAPwAAAL\\/NzMw9AACASw==\"]},\"texts\":[\"a\"],\"meta\":{\"api_version\":{\"version\":"
        "\"2\"}},\"response_type\":\"embeddings_by_type\"}");
}

static void vectors_stand_in_the_order_of_their_index(void **state)
{
    (void)state;
    assert_int_equal(read_as(format(FAMILY_OLLAMA), "{\"input\":[\"a\",\"b\",\"c\"]}"), 0);
    assert_int_equal(
        answers(format(FAMILY_OPENAI),
                "{\"data\":[{\"embedding\":[2],\"index\":2},{\"index\":0,\"embedding\":[0]},"
                "{\"index\":1,\"embedding\":[1]}],\"usage\":{\"total_tokens\":5}}"),
        0);
    gives(format(FAMILY_OLLAMA),
          "{\"model\":\"mine\",\"embeddings\":[[0],[1],[2]],\"prompt_eval_count\":5}");
    /* none told: as they come */
    assert_int_equal(
        answers(format(FAMILY_OPENAI),
                "{\"data\":[{\"embedding\":[2]},{\"embedding\":[0]},{\"embedding\":[1]}]}"),
        0);
    gives(format(FAMILY_OLLAMA), "{\"model\":\"mine\",\"embeddings\":[[2],[0],[1]]}");
}

static void several_answers_become_one(void **state)
{
    (void)state;
    const struct embed_format *titan = format(FAMILY_BEDROCK);
    assert_int_equal(read_as(format(FAMILY_OPENAI), "{\"input\":[\"a\",\"b\"]}"), 0);
    assert_int_equal(answers(titan, "{\"embedding\":[1],\"inputTextTokenCount\":2,"
                                    "\"embeddingsByType\":{\"float\":[1]}}"),
                     0);
    assert_false(embed_is_whole(&answer, c.n));
    assert_int_equal(take(titan, "{\"embedding\":[2],\"inputTextTokenCount\":3}"), 0);
    assert_true(embed_is_whole(&answer, c.n));
    assert_int_equal(answer.tokens, 5);
    assert_true(str_eq(answer.sets[EMBED_FLOAT].at[1], STR("[2]")));
}

static void older_shapes_are_read(void **state)
{
    (void)state;
    assert_int_equal(read_as(format(FAMILY_OPENAI), "{\"input\":[\"a\",\"b\"]}"), 0);
    assert_int_equal(answers(bedrock_cohere(),
                             "{\"embeddings\":[[1],[2]],\"id\":\"x\",\"response_type\":"
                             "\"embeddings_floats\",\"texts\":[\"a\",\"b\"]}"),
                     0);
    assert_true(embed_is_whole(&answer, c.n));
    assert_int_equal(answer.tokens, -1);
    assert_int_equal(answers(format(FAMILY_OLLAMA), "{\"embedding\":[1]}"), 0);
    assert_false(embed_is_whole(&answer, c.n)); /* one for two */
}

static void strange_answers_are_refused(void **state)
{
    (void)state;
    static const struct {
        enum family f;
        const char *body;
    } strange[] = {
        {FAMILY_OPENAI, "[]"},
        {FAMILY_OPENAI, "{\"data\":[]}"},
        {FAMILY_OPENAI, "{\"data\":[1]}"},
        {FAMILY_OPENAI, "{\"data\":[{\"index\":0}]}"},
        {FAMILY_OPENAI, "{\"data\":[{\"index\":1,\"embedding\":[1]}]}"},
        {FAMILY_OPENAI,
         "{\"data\":[{\"index\":1,\"embedding\":[1]},{\"index\":1,\"embedding\":[1]}]}"},
        {FAMILY_OPENAI,
         "{\"data\":[{\"index\":1,\"embedding\":[1]},{\"index\":0,\"embedding\":\"AA==\"}]}"},
        {FAMILY_GEMINI, "{\"embeddings\":[]}"},
        {FAMILY_GEMINI, "{\"embedding\":{\"values\":\"x\"}}"},
        {FAMILY_COHERE, "{\"embeddings\":{\"float\":[1]}}"},
        {FAMILY_COHERE, "{\"message\":\"no\"}"},
        {FAMILY_OLLAMA, "{\"embeddings\":[{}]}"},
        {FAMILY_OLLAMA, "{\"embeddings\":[[]]}"},
        {FAMILY_OLLAMA, "{\"embeddings\":[[1,null]]}"},
        {FAMILY_OLLAMA, "{\"embeddings\":[[true]]}"},
        {FAMILY_OLLAMA, "{\"embeddings\":[[1,[2]]]}"},
        {FAMILY_BEDROCK, "{\"embedding\":\"AA==\"}"},
    };
    for (size_t i = 0; i < sizeof strange / sizeof *strange; i++) {
        if (answers(format(strange[i].f), strange[i].body) != -EBADMSG) {
            fail_msg("%s was taken", strange[i].body);
        }
    }
    assert_int_equal(
        read_as(format(FAMILY_OPENAI), "{\"input\":\"a\",\"encoding_format\":\"base64\"}"), 0);
    assert_int_equal(answers(format(FAMILY_OLLAMA), "{\"embeddings\":[[1,1e999]]}"), 0);
    struct buf b = {.arena = &arena};
    struct embed_out o = {.model = STR("m"), .id = STR("7"), .spare = &arena};
    assert_int_equal(format(FAMILY_OPENAI)->write_answer(&b, &c, &answer, &o), -EBADMSG);
}

/* ---- vectors ---- */

static float of_bits(uint32_t bits)
{
    float f;
    memcpy(&f, &bits, sizeof f);
    return f;
}

static uint32_t bits_of(float f)
{
    uint32_t bits;
    memcpy(&bits, &f, sizeof bits);
    return bits;
}

static void prints_as(float f, const char *want)
{
    char text[VECTOR_FLOAT_ROOM];
    is(str_make(text, vector_print_float(text, f)), want);
}

static void floats_are_printed_in_the_fewest_digits(void **state)
{
    (void)state;
    prints_as(0, "0");
    prints_as(-0.0f, "-0.0");
    prints_as(1, "1");
    prints_as(-0.1f, "-0.1");
    prints_as(0.0230642557f, "0.023064256");
    prints_as(9.999999e-1f, "0.9999999");
    prints_as(1.00000012f, "1.0000001");
    prints_as(123456789.0f, "123456790");
    prints_as(1.5e-6f, "1.5e-6");
    prints_as(3.4028235e38f, "3.4028235e+38");
    prints_as(1e-45f, "1e-45");
}

static void reads_as(const char *text, float want)
{
    struct str s = arena_printf(&arena, "%s]", text);
    const char *p = s.p;
    float have = vector_read_float(&p, s.p + s.n);
    assert_ptr_equal(p, s.p + s.n - 1);
    if (bits_of(have) != bits_of(want)) {
        fail_msg("%s is read as %.9g, not %.9g", text, (double)have, (double)want);
    }
}

/* Where a double in between would be rounded twice, and every size of a number. */
static void numbers_are_read_as_strtof_reads_them(void **state)
{
    (void)state;
    static const char *const texts[] = {
        "0",
        "-0",
        "-0.0",
        "1",
        "0.1",
        "-1.5E+2",
        "1e-7",
        "16777217",
        "16777219",
        "1.00000005960464477539062500000001",
        "1.000000059604644775390625",
        "1.00000005960464477539062499999999",
        "0.000000000000000000000000000001",
        "-0.012345678901234567",
        "123456789012345678901234567890",
        "1e39",
        "-1e400",
        "1e-400",
        "1.17549429e-38",
        "7e-46",
        "0.1e1",
        "100000000000000000000000000000000000000000e-40",
    };
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        reads_as(texts[i], strtof(texts[i], NULL));
    }
}

static void any_float_comes_back_as_it_was(void **state)
{
    (void)state;
    uint64_t s = 88172645463325252U;
    for (int i = 0; i < 200000; i++) {
        s ^= s << 13;
        s ^= s >> 7;
        s ^= s << 17;
        float f = i % 2 ? (float)(int32_t)s / 2147483648.0f : of_bits((uint32_t)s);
        char text[VECTOR_FLOAT_ROOM + 1];
        if (!isfinite(f)) {
            continue;
        }
        size_t n = vector_print_float(text, f);
        assert_true(n < VECTOR_FLOAT_ROOM);
        text[n] = 0;
        must_be_json(str_make(text, n));
        assert_int_equal(bits_of(strtof(text, NULL)), bits_of(f));
        if (i % 16 == 0) {
            reads_as(text, f);
            char longer[40];
            snprintf(longer, sizeof longer, "%.17g", (double)f * 1.0000000001);
            reads_as(longer, strtof(longer, NULL));
        }
    }
}

/* Longer than a piece, at every remainder of a group of base64. */
static void long_vectors_come_back_whole(void **state)
{
    (void)state;
    for (int n = 0; n < 800; n += n < 8 ? 1 : 191) {
        struct buf numbers = {.arena = &arena}, base64 = {.arena = &arena},
                   back = {.arena = &arena};
        buf_addc(&numbers, '[');
        for (int i = 0; i < n; i++) {
            buf_printf(&numbers, "%s0.%d", i ? "," : "", i * 2 + 1);
        }
        buf_addc(&numbers, ']');
        assert_int_equal(vector_to_base64(&base64, buf_str(&numbers)), 0);
        assert_int_equal(base64.n, (size_t)(n * 4 + 2) / 3 * 4);
        assert_int_equal(vector_to_numbers(&back, &arena, buf_str(&base64)), 0);
        assert_true(str_eq(buf_str(&numbers), buf_str(&back)));
    }
}

static void what_is_no_vector_is_refused(void **state)
{
    (void)state;
    struct buf b = {.arena = &arena};
    static const char *const base64[] = {
        "AA",      "AAAA",    "AAAA!AAA", "AADAfw==" /* NaN */, "AACAfw==" /* infinite */,
        "AACAPw=", "AAAAAA=A"};
    static const char *const numbers[] = {"[1,\"2\"]", "[[1]]", "[1e99]", "[true]"};
    for (size_t i = 0; i < sizeof base64 / sizeof *base64; i++) {
        if (vector_to_numbers(&b, &arena, own(str_of(base64[i]))) != -EBADMSG) {
            fail_msg("%s was taken", base64[i]);
        }
    }
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++) {
        assert_int_equal(vector_to_base64(&b, own(str_of(numbers[i]))), -EBADMSG);
    }
    assert_int_equal(vector_to_numbers(&b, &arena, STR("AACAPw")), 0); /* without its padding */
}

static int forget(void **state)
{
    (void)state;
    arena_reset(&arena);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_text_reaches_every_vendor),
        cmocka_unit_test(several_texts_become_a_batch),
        cmocka_unit_test(base64_is_asked_for_only_when_it_passes),
        cmocka_unit_test(what_is_lost_is_named_as_the_caller_spells_it),
        cmocka_unit_test(coheres_models_keep_all_they_have),
        cmocka_unit_test(wrong_requests_are_named),
        cmocka_unit_test(vectors_pass_as_they_stand),
        cmocka_unit_test(a_single_text_has_its_own_answer),
        cmocka_unit_test(base64_and_numbers_become_each_other),
        cmocka_unit_test(vectors_stand_in_the_order_of_their_index),
        cmocka_unit_test(several_answers_become_one),
        cmocka_unit_test(older_shapes_are_read),
        cmocka_unit_test(strange_answers_are_refused),
        cmocka_unit_test(floats_are_printed_in_the_fewest_digits),
        cmocka_unit_test(numbers_are_read_as_strtof_reads_them),
        cmocka_unit_test(any_float_comes_back_as_it_was),
        cmocka_unit_test(long_vectors_come_back_whole),
        cmocka_unit_test(what_is_no_vector_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, forget);
}
