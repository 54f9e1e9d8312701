/* Lists of models in each dialect's shape. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "dialect/catalogue.h"
#include "json/tree.h"

static struct arena arena;

static const struct catalogue_model models[] = {
    {.name = {"big \"one\"", 9},
     .display_name = {"Big", 3},
     .owner = {"acme", 4},
     .created_s = 1709210096, /* 2024-02-29T12:34:56Z */
     .context = 200000,
     .max_output = 64000,
     .known = true,
     .can = CAN_VISION | CAN_TOOLS | CAN_THINKING | CAN_SCHEMA},
    {.name = {"vectors", 7}, .owner = {"acme", 4}, .known = true, .can = CAN_EMBED},
    {.name = {"unknown", 7},
     .owner = {"acme", 4},
     .deprecated_s = 86400,
     .sunset_s = 951827696}, /* 2000-02-29T12:34:56Z */
};
enum { N = sizeof models / sizeof *models };

static struct json *parse(const struct buf *b)
{
    struct json *j = NULL;
    struct json_error e = {0};
    if (json_parse(&arena, buf_str(b), &j, &e) < 0) {
        fail_msg("\"%.*s\": %s at %zu", (int)b->n, b->p, e.why, e.at);
    }
    return j;
}

static struct json *list(enum family shape, const struct catalogue_page *page)
{
    struct buf b = {.arena = &arena};
    catalogue_put_list(&b, shape, models, N, page ? page : &(struct catalogue_page){0});
    return parse(&b);
}

/* The value at the pointer as text: a string's inside, a number, true, false, null; "-": nothing is there. */
static void at(const struct json *j, const char *pointer, const char *want)
{
    const struct json *m = json_at(j, str_of(pointer));
    struct str have = !m                      ? STR("-")
                      : m->type == JSON_NULL  ? STR("null")
                      : m->type == JSON_TRUE  ? STR("true")
                      : m->type == JSON_FALSE ? STR("false")
                      : m->type == JSON_ARRAY ? STR("[]")
                                              : m->text;
    if (!str_eq(have, str_of(want))) {
        fail_msg("%s is \"%.*s\", not \"%s\"", pointer, STR_ARG(have), want);
    }
}

static void openai(void **state)
{
    (void)state;
    struct json *j = list(FAMILY_OPENAI, NULL);
    at(j, "/object", "list");
    at(j, "/data/0/id", "big \"one\"");
    at(j, "/data/0/object", "model");
    at(j, "/data/0/created", "1709210096");
    at(j, "/data/0/owned_by", "acme");
    at(j, "/data/0/context_window", "200000");
    at(j, "/data/0/capabilities/3", "thinking");
    at(j, "/data/1/capabilities/0", "embedding");
    at(j, "/data/2/created", "0");
    at(j, "/data/2/capabilities", "-");
    at(j, "/data/3", "-");
}

static void anthropic(void **state)
{
    (void)state;
    struct json *j = list(FAMILY_ANTHROPIC, NULL);
    at(j, "/data/0/type", "model");
    at(j, "/data/0/display_name", "Big");
    at(j, "/data/0/created_at", "2024-02-29T12:34:56Z");
    at(j, "/data/0/lifecycle", "active");
    at(j, "/data/0/deprecated_at", "null");
    at(j, "/data/0/max_input_tokens", "200000");
    at(j, "/data/0/max_tokens", "64000");
    at(j, "/data/0/capabilities/image_input/supported", "true");
    at(j, "/data/0/capabilities/pdf_input/supported", "false");
    at(j, "/data/0/capabilities/thinking/types/enabled/supported", "true");
    at(j, "/data/0/capabilities/effort/high/supported", "true");
    at(j, "/data/0/capabilities/structured_outputs/supported", "true");
    at(j, "/data/1/capabilities/thinking/supported", "false");
    at(j, "/data/2/capabilities", "null");
    at(j, "/data/2/display_name", "unknown");
    at(j, "/data/2/created_at", "1970-01-01T00:00:00Z");
    at(j, "/data/2/lifecycle", "deprecated");
    at(j, "/data/2/deprecated_at", "1970-01-02T00:00:00Z");
    at(j, "/data/2/retires_at", "2000-02-29T12:34:56Z");
    at(j, "/has_more", "false");
    at(j, "/first_id", "big \"one\"");
    at(j, "/last_id", "unknown");
}

static void gemini(void **state)
{
    (void)state;
    struct json *j = list(FAMILY_GEMINI, NULL);
    at(j, "/models/0/name", "models/big \"one\"");
    at(j, "/models/0/displayName", "Big");
    at(j, "/models/0/inputTokenLimit", "200000");
    at(j, "/models/0/outputTokenLimit", "64000");
    at(j, "/models/0/supportedGenerationMethods/0", "generateContent");
    at(j, "/models/0/thinking", "true");
    at(j, "/models/1/supportedGenerationMethods/0", "embedContent");
    at(j, "/models/1/inputTokenLimit", "-");
    at(j, "/models/2/supportedGenerationMethods/2", "countTokens");
    at(j, "/nextPageToken", "-");
}

static void ollama(void **state)
{
    (void)state;
    struct json *j = list(FAMILY_OLLAMA, NULL);
    at(j, "/models/0/name", "big \"one\"");
    at(j, "/models/0/model", "big \"one\"");
    at(j, "/models/0/modified_at", "2024-02-29T12:34:56Z");
    at(j, "/models/0/details/family", "acme");
    at(j, "/models/1/capabilities/0", "embedding");
    assert_int_equal(json_at(j, STR("/models/1/digest"))->text.n, 64);
    struct buf b = {.arena = &arena};
    catalogue_put_show(&b, &models[0]);
    j = parse(&b);
    at(j, "/capabilities/0", "completion");
    at(j, "/capabilities/1", "tools");
    at(j, "/model_info/general.architecture", "accord");
    at(j, "/model_info/accord.context_length", "200000");
}

static void cohere(void **state)
{
    (void)state;
    struct json *j = list(FAMILY_COHERE, NULL);
    at(j, "/models/0/endpoints/0", "chat");
    at(j, "/models/0/context_length", "200000");
    at(j, "/models/0/features/0", "tools");
    at(j, "/models/1/endpoints/0", "embed");
    at(j, "/models/2/is_deprecated", "true");
    at(j, "/next_page_token", "-");
}

static void one_model(void **state)
{
    (void)state;
    struct buf b = {.arena = &arena};
    catalogue_put_model(&b, FAMILY_OPENAI, &models[1]);
    struct json *j = parse(&b);
    at(j, "/id", "vectors");
    at(j, "/max_output_tokens", "-");
}

static void lists_come_in_pages(void **state)
{
    (void)state;
    struct json *j = list(FAMILY_ANTHROPIC, &(struct catalogue_page){.limit = 2});
    at(j, "/data/1/id", "vectors");
    at(j, "/data/2", "-");
    at(j, "/has_more", "true");
    at(j, "/last_id", "vectors");
    j = list(FAMILY_ANTHROPIC, &(struct catalogue_page){.limit = 2, .after = STR("vectors")});
    at(j, "/data/0/id", "unknown");
    at(j, "/data/1", "-");
    at(j, "/has_more", "false");
    j = list(FAMILY_ANTHROPIC, &(struct catalogue_page){.limit = 1, .before = STR("unknown")});
    at(j, "/data/0/id", "vectors");
    at(j, "/has_more", "true");
    j = list(FAMILY_ANTHROPIC, &(struct catalogue_page){.after = STR("gone")});
    at(j, "/data", "[]");
    at(j, "/data/0", "-");
    at(j, "/first_id", "null");
    at(j, "/has_more", "false");
    j = list(FAMILY_GEMINI, &(struct catalogue_page){.limit = 1, .after = STR("big \"one\"")});
    at(j, "/models/0/name", "models/vectors");
    at(j, "/nextPageToken", "vectors");
    j = list(FAMILY_COHERE, &(struct catalogue_page){.limit = 2});
    at(j, "/next_page_token", "vectors");
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
        cmocka_unit_test(openai),
        cmocka_unit_test(anthropic),
        cmocka_unit_test(gemini),
        cmocka_unit_test(ollama),
        cmocka_unit_test(cohere),
        cmocka_unit_test(one_model),
        cmocka_unit_test(lists_come_in_pages),
    };
    return cmocka_run_group_tests(tests, NULL, forget);
}
