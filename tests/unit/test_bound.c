/* What a request may come to, read out of its body. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "dialect/bound.h"
#include "dialect/tokens.h"

static int64_t output(const char *path, const char *body)
{
    struct endpoint_match m = endpoint_find(STR("POST"), str_of(path));
    assert_non_null(m.endpoint);
    return bound_output(m.endpoint, str_of(body));
}

static void bounds_of_each_dialect(void **state)
{
    (void)state;
    static const struct {
        const char *path, *body;
        int64_t want;
    } cases[] = {
        {"/v1/chat/completions", "{\"max_tokens\":5}", 5},
        {"/v1/chat/completions", "{\"max_tokens\":5,\"max_completion_tokens\":7}", 7},
        {"/v1/chat/completions", "{\"n\":3,\"max_tokens\":5}", 15},
        {"/v1/chat/completions", "{\"n\":1000000000,\"max_tokens\":1000000000}", 1 << 30},
        {"/v1/chat/completions", "{\"n\":3}", -1},
        {"/v1/chat/completions", "{\"max_tokens\":null}", -1},
        {"/v1/chat/completions", "{\"max_tokens\":5,\"max_tokens\":6}", -1},
        {"/v1/chat/completions", "{\"max\\u005ftokens\":5}", -1},
        {"/v1/chat/completions", "{\"max_tokens\":\"5\"}", -1},
        {"/v1/chat/completions", "{\"max_tokens\":-5}", -1},
        {"/v1/chat/completions", "{\"max_tokens\":1.5}", -1},
        {"/v1/chat/completions", "{\"max_tokens\":99999999999}", -1},
        {"/v1/chat/completions", "{\"metadata\":{\"max_tokens\":5}}", -1},
        {"/v1/chat/completions", "{\"messages\":[{\"content\":\"\\\"max_tokens\\\":1\"}]}", -1},
        {"/v1/completions", "{\"max_tokens\":5,\"best_of\":2}", 10},
        {"/v1/completions", "{\"max_tokens\":5,\"prompt\":\"a\"}", 5},
        {"/v1/completions", "{\"max_tokens\":5,\"prompt\":[\"a\",\"b\",\"c\"]}", 15},
        {"/v1/completions", "{\"max_tokens\":5,\"n\":2,\"prompt\":[[1,2],[3]]}", 20},
        {"/v1/completions", "{\"max_tokens\":5,\"prompt\":[1,2,3]}", 5},
        {"/v1/completions", "{\"max_tokens\":5,\"prompt\":[]}", 5},
        {"/v1/completions", "{\"max_tokens\":5,\"prompt\":[\"a\"],\"prompt\":[]}", -1},
        {"/v1/chat/completions", "{\"max_tokens\":5,\"Max_Tokens\":6}", -1},
        {"/v1/chat/completions", "{\"MAX_\\u0054OKENS\":6}", -1},
        {"/v1/completions", "{\"prompt\":[\"a\",\"b\"]}", -1},
        {"/v1/responses", "{\"max_output_tokens\":9,\"prompt\":{\"id\":\"p\"}}", 9},
        {"/v1/responses", "{\"max_output_tokens\":9}", 9},
        {"/v1/messages", "{\"max_tokens\":9,\"n\":4}", 9},
        {"/v2/chat", "{\"max_tokens\":9}", 9},
        {"/v1beta/models/m:generateContent", "{\"generationConfig\":{\"maxOutputTokens\":9}}", 9},
        {"/v1beta/models/m:generateContent",
         "{\"generation_config\":{\"max_output_tokens\":9,\"candidate_count\":2}}", 18},
        {"/v1beta/models/m:generateContent",
         "{\"generationConfig\":{\"maxOutputTokens\":9},\"generation_config\":{}}", -1},
        {"/v1beta/models/m:generateContent", "{\"generationConfig\":[]}", -1},
        {"/v1beta/models/m:generateContent", "{}", -1},
        {"/api/chat", "{\"options\":{\"num_predict\":9}}", 9},
        {"/api/chat", "{\"options\":{\"num_predict\":-1}}", -1},
        {"/model/m/converse", "{\"inferenceConfig\":{\"maxTokens\":9}}", 9},
        {"/v1/embeddings", "{\"input\":\"x\"}", 0},
        {"/v1/messages/count_tokens", "{\"max_tokens\":9}", 0},
        {"/v1/audio/transcriptions", "--x\r\n", -1},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        int64_t got = output(cases[i].path, cases[i].body);
        if (got != cases[i].want) {
            fail_msg("%s %s: %lld", cases[i].path, cases[i].body, (long long)got);
        }
    }
}

/* A body is about as many tokens as the better estimate says; an image in it is not its bytes. */
static void input_is_about_right(void **state)
{
    (void)state;
    static const char prose[] =
        "{\"model\":\"m\",\"messages\":[{\"role\":\"user\",\"content\":\"The committee met on "
        "Thursday to discuss whether the harbour should be dredged before winter, and after four "
        "hours decided that nobody knew enough about the currents to say.\"}]}";
    int64_t rough = bound_input(str_of(prose)), fine = tokens_of_text(str_of(prose));
    assert_true(rough > fine / 2 && rough < fine * 2);
    enum { IMAGE = 400000 };
    char *body = malloc(IMAGE + 100);
    memcpy(body, "{\"image_url\":\"data:image/png;base64,", 35);
    for (size_t i = 35; i < IMAGE; i++) {
        body[i] = "ABCDwxyz0189+/"[i * 7 % 14];
    }
    memcpy(body + IMAGE, "\"}", 2);
    int64_t image = bound_input(str_make(body, IMAGE + 2));
    assert_true(image > 1000 && image < 3000);
    memset(body + 35, ' ', IMAGE - 35); /* as prose of that length it is all of it */
    assert_true(bound_input(str_make(body, IMAGE + 2)) > IMAGE / 5);
    free(body);
    assert_true(bound_input(STR("")) > 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bounds_of_each_dialect),
        cmocka_unit_test(input_is_about_right),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
