/* Reranking in both dialects, and the shapes in which servers answer it. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "dialect/rerank.h"
#include "json/scan.h"

static struct arena arena;
static struct ir_call call;
static struct rerank_call c;
static struct rerank_answer answer;

static struct str own(const char *s)
{
    struct str text = arena_dup(&arena, str_of(s));
    assert_int_equal(json_scan(text, NULL, 0, NULL, NULL), 0);
    return text;
}

static const struct rerank_format *format(enum family f)
{
    return rerank_format_of(f);
}

static int read_as(enum family f, const char *body)
{
    ir_call_init(&call, &arena);
    rerank_call_init(&c, &call);
    return format(f)->read_request(&c, own(body));
}

static void is(struct str have, const char *want)
{
    if (!str_eq(have, str_of(want))) {
        fail_msg("have %.*s\nwant %s", STR_ARG(have), want);
    }
}

static void becomes(enum family from, const char *body, enum family to, const char *want,
                    const char *losses)
{
    struct buf b = {.arena = &arena}, lost = {.arena = &arena};
    struct ir_target t = {.model = STR("up"), .family = to};
    if (read_as(from, body) < 0) {
        fail_msg("%.*s", STR_ARG(call.bad));
    }
    format(to)->write_request(&b, &c, &t);
    is(buf_str(&b), want);
    for (const struct ir_list *l = call.dropped; l; l = l->next) {
        buf_add(&lost, l->text);
        buf_addc(&lost, ' ');
    }
    is(buf_str(&lost), losses);
}

static void is_wrong(const char *body, const char *param)
{
    assert_int_equal(read_as(FAMILY_OPENAI, body), -EINVAL);
    is(call.bad_param, param);
}

static int answers(enum family f, const char *body)
{
    rerank_answer_init(&answer, &arena);
    return format(f)->read_answer(&answer, &c, own(body));
}

static void gives(enum family f, const char *want)
{
    struct buf b = {.arena = &arena};
    struct rerank_out o = {.model = STR("mine"), .id = STR("7")};
    format(f)->write_answer(&b, &c, &answer, &o);
    assert_int_equal(json_scan(buf_str(&b), NULL, 0, NULL, NULL), 0);
    is(buf_str(&b), want);
}

static void requests_cross(void **state)
{
    (void)state;
    becomes(
        FAMILY_COHERE,
        "{\"model\":\"x\",\"query\":\"q \\\"1\\\"\",\"documents\":[\"a\",{\"text\":\"b\",\"id\":1},"
        "{\"title\":\"c\"}],\"top_n\":2,\"max_tokens_per_doc\":512,\"priority\":1}",
        FAMILY_OPENAI,
        "{\"model\":\"up\",\"query\":\"q \\\"1\\\"\",\"documents\":[\"a\",\"b\","
        "\"{\\\"title\\\":\\\"c\\\"}\"],\"top_n\":2,\"return_documents\":false}",
        "priority max_tokens_per_doc ");
    becomes(FAMILY_OPENAI,
            "{\"model\":\"x\",\"query\":{\"text\":\"q\"},\"documents\":[\"a\"],\"top_k\":1,"
            "\"return_documents\":true,\"truncate_prompt_tokens\":9,\"user\":null}",
            FAMILY_COHERE,
            "{\"model\":\"up\",\"query\":\"q\",\"documents\":[\"a\"],\"top_n\":1,"
            "\"max_tokens_per_doc\":9}",
            "");
    assert_null(rerank_format_of(FAMILY_GEMINI));
    assert_true(rerank_tokens_estimate(&c) >= 2);
}

static void wrong_requests_are_named(void **state)
{
    (void)state;
    is_wrong("{\"documents\":[\"a\"]}", "query");
    is_wrong("{\"query\":\"q\"}", "documents");
    is_wrong("{\"query\":\"q\",\"documents\":[]}", "documents");
    is_wrong("{\"query\":\"q\",\"documents\":\"a\"}", "documents");
    is_wrong("{\"query\":\"q\",\"documents\":[\"a\",1]}", "documents[1]");
    is_wrong("{\"query\":[],\"documents\":[\"a\"]}", "query");
    is_wrong("{\"query\":\"q\",\"documents\":[\"a\"],\"top_n\":\"1\"}", "top_n");
}

static void answers_cross(void **state)
{
    (void)state;
    assert_int_equal(read_as(FAMILY_OPENAI, "{\"query\":\"q\",\"documents\":[\"a\",{\"text\":\"b\","
                                            "\"n\":1}]}"),
                     0);
    assert_int_equal(answers(FAMILY_COHERE,
                             "{\"id\":\"i\",\"results\":[{\"index\":1,\"relevance_score\":0.90},"
                             "{\"index\":0,\"relevance_score\":1e-7}],\"meta\":{\"billed_units\":{"
                             "\"search_units\":1},\"tokens\":{\"input_tokens\":12.0}}}"),
                     0);
    assert_int_equal(answer.search_units, 1);
    gives(FAMILY_OPENAI,
          "{\"id\":\"i\",\"model\":\"mine\",\"results\":[{\"index\":1,\"relevance_score\":0.90,"
          "\"document\":{\"text\":\"b\",\"n\":1}},{\"index\":0,\"relevance_score\":1e-7,"
          "\"document\":{"
          "\"text\":\"a\"}}],\"usage\":{\"total_tokens\":12}}");
    gives(FAMILY_COHERE,
          "{\"id\":\"i\",\"results\":[{\"index\":1,\"relevance_score\":0.90},{\"index\":0,"
          "\"relevance_score\":1e-7}],\"meta\":{\"api_version\":{\"version\":\"2\"},\"billed_"
          "units\":{"
          "\"search_units\":1},\"tokens\":{\"input_tokens\":12}}}");
    c.with_documents = IR_NO;
    gives(FAMILY_OPENAI,
          "{\"id\":\"i\",\"model\":\"mine\",\"results\":[{\"index\":1,\"relevance_score\":0.90},{"
          "\"index\":0,\"relevance_score\":1e-7}],\"usage\":{\"total_tokens\":12}}");
}

static void every_servers_shape_is_read(void **state)
{
    (void)state;
    static const char *const shapes[] = {
        /* Jina, vLLM */
        "{\"id\":\"r\",\"model\":\"m\",\"usage\":{\"total_tokens\":5},\"results\":[{\"index\":1,"
        "\"document\":{\"text\":\"b\"},\"relevance_score\":0.5}]}",
        /* Voyage */
        "{\"object\":\"list\",\"data\":[{\"relevance_score\":0.5,\"index\":1}],\"model\":\"m\","
        "\"usage\":{\"total_tokens\":5}}",
        /* text-embeddings-inference */
        "[{\"index\":1,\"score\":0.5,\"text\":\"b\"}]",
    };
    assert_int_equal(read_as(FAMILY_COHERE, "{\"query\":\"q\",\"documents\":[\"a\",\"b\"]}"), 0);
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++) {
        assert_int_equal(answers(FAMILY_OPENAI, shapes[i]), 0);
        assert_int_equal(answer.n, 1);
        assert_int_equal(answer.results[0].index, 1);
        is(answer.results[0].score, "0.5");
    }
    assert_int_equal(answer.tokens, -1);
}

static void results_that_are_none_are_refused(void **state)
{
    (void)state;
    static const char *const strange[] = {
        "{}",
        "{\"results\":3}",
        "{\"results\":[{\"index\":2,\"relevance_score\":1}]}",
        "{\"results\":[{\"index\":-1,\"relevance_score\":1}]}",
        "{\"results\":[{\"index\":0,\"relevance_score\":\"1\"}]}",
        "[1]",
        ("{\"results\":[{\"index\":0,\"score\":1},{\"index\":0,\"score\":1},{\"index\":0,\"score\":"
         "1}]}"),
    };
    assert_int_equal(read_as(FAMILY_COHERE, "{\"query\":\"q\",\"documents\":[\"a\",\"b\"]}"), 0);
    for (size_t i = 0; i < sizeof strange / sizeof *strange; i++) {
        if (answers(FAMILY_OPENAI, strange[i]) != -EBADMSG) {
            fail_msg("%s was taken", strange[i]);
        }
    }
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
        cmocka_unit_test(requests_cross),
        cmocka_unit_test(wrong_requests_are_named),
        cmocka_unit_test(answers_cross),
        cmocka_unit_test(every_servers_shape_is_read),
        cmocka_unit_test(results_that_are_none_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, forget);
}
