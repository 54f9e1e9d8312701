/* Sources: Anthropic API reference, "Count tokens"; Gemini API reference, "models.countTokens"; OpenAI API
 * reference, "Get input token counts"; Amazon Bedrock API reference, "CountTokens". */
#include "dialect/tokens.h"

#include <errno.h>

#include "dialect/embed_rows.h"
#include "dialect/format.h"

#define TEXT(s)                                                                                    \
    {                                                                                              \
        s, sizeof(s) - 1                                                                           \
    }

static const struct tokens_format rows[] = {
    {
        .name = TEXT("anthropic.count_tokens"),
        .family = FAMILY_ANTHROPIC,
        .version = TEXT("/v1"),
        .format = FORMAT_MESSAGES,
        .path = TEXT("/messages/count_tokens"),
        .members = TEXT("model messages system tools tool_choice thinking output_config "
                        "cache_control context_management mcp_servers"),
        .count = TEXT("input_tokens"),
        .answer = TEXT("{\"input_tokens\":"),
    },
    {
        .name = TEXT("gemini.count_tokens"),
        .family = FAMILY_GEMINI,
        .version = TEXT("/v1beta"),
        .format = FORMAT_GENERATE,
        .model_path = TEXT("/models/"),
        .path = TEXT(":countTokens"),
        .wrap = TEXT("{\"generateContentRequest\":"),
        .wrap_end = TEXT("}"),
        .count = TEXT("totalTokens"),
        .answer = TEXT("{\"totalTokens\":"),
    },
    {
        .name = TEXT("openai.count_tokens"),
        .family = FAMILY_OPENAI,
        .format = FORMAT_RESPONSES,
        .path = TEXT("/responses/input_tokens"),
        .members = TEXT("model input instructions tools tool_choice text reasoning "
                        "parallel_tool_calls truncation previous_response_id conversation"),
        .count = TEXT("input_tokens"),
        .answer = TEXT("{\"object\":\"response.input_tokens\",\"input_tokens\":"),
    },
    {
        .name = TEXT("bedrock.count_tokens"),
        .family = FAMILY_BEDROCK,
        .format = FORMAT_CONVERSE,
        .model_path = TEXT("/model/"),
        .path = TEXT("/count-tokens"),
        .wrap = TEXT("{\"input\":{\"converse\":"),
        .wrap_end = TEXT("}}"),
        .members = TEXT("messages system toolConfig additionalModelRequestFields"),
        .count = TEXT("inputTokens"),
        .answer = TEXT("{\"inputTokens\":"),
    },
};
enum { ROWS = sizeof rows / sizeof *rows };

const struct tokens_format *tokens_format_of_route(struct str route)
{
    for (unsigned i = 0; i < ROWS; i++) {
        if (str_eq(rows[i].name, route)) {
            return &rows[i];
        }
    }
    return NULL;
}

const struct tokens_format *tokens_format_of_family(enum family f)
{
    for (unsigned i = 0; i < ROWS; i++) {
        if (rows[i].family == f) {
            return &rows[i];
        }
    }
    return NULL;
}

/* ---- requests ---- */

/* The object that stands in the body as `name`; else the body itself. */
static struct str inner_object(struct str body, struct str name)
{
    struct str value = embed_member(body, name);
    return value.n && *value.p == '{' ? value : body;
}

int tokens_read_request(const struct tokens_format *f, struct ir_call *c, struct str body)
{
    const struct format *format = format_of(f->format);
    if (!format || !format->read_request) {
        return -ENOSYS;
    }
    if (f->format == FORMAT_GENERATE) {
        body = inner_object(body, STR("generateContentRequest"));
    } else if (f->format == FORMAT_CONVERSE) {
        body = inner_object(inner_object(body, STR("input")), STR("converse"));
    }
    return format->read_request(c, body);
}

static bool counts(const struct tokens_format *f, struct str name)
{
    struct str rest = f->members, word;
    while (rest.n) {
        str_cut(&rest, ' ', &word);
        if (str_eq(word, name)) {
            return true;
        }
    }
    return !f->members.n;
}

int tokens_write_request(const struct tokens_format *f, struct buf *b, struct ir_call *c,
                         const struct ir_target *t)
{
    const struct format *format = format_of(f->format);
    struct buf whole = {.arena = c->arena};
    struct str key;
    if (!format || !format->write_request) {
        return -ENOSYS;
    }
    format->write_request(&whole, c, t);
    buf_add(b, f->wrap);
    buf_addc(b, '{');
    if (f->format == FORMAT_GENERATE) { /* elsewhere it stands in the path alone */
        ir_put_name(b, "model");
        buf_add(b, str_starts(t->model, STR("models/")) ? STR("\"") : STR("\"models/"));
        buf_add_json(b, t->model);
        buf_addc(b, '"');
    }
    struct walk w = walk_at(buf_str(&whole));
    for (bool in = !whole.overflow && walk_object(&w); in && walk_member(&w, &key);) {
        struct str value = walk_value(&w);
        if (counts(f, key)) {
            ir_comma(b);
            buf_addc(b, '"');
            buf_add(b, key);
            buf_add(b, STR("\":"));
            buf_add(b, value);
        }
    }
    buf_addc(b, '}');
    buf_add(b, f->wrap_end);
    b->overflow |= whole.overflow;
    return 0;
}

void tokens_path(const struct tokens_format *f, struct buf *b, const struct ir_target *t)
{
    const struct str front = STR("models/");
    buf_add(b, f->model_path);
    if (f->model_path.n) {
        embed_add_model(b, str_starts(t->model, front) ? str_from(t->model, front.n) : t->model);
    }
    buf_add(b, f->path);
}

/* ---- answers ---- */

int64_t tokens_read_answer(const struct tokens_format *f, struct str body)
{
    struct walk w = walk_at(body);
    struct str key;
    int64_t n = -1;
    for (bool in = walk_object(&w); in && walk_member(&w, &key);) {
        if (str_eq(key, f->count)) {
            embed_read_count(&w, &n);
        } else {
            walk_value(&w);
        }
    }
    return n;
}

void tokens_write_answer(const struct tokens_format *f, struct buf *b, int64_t n)
{
    buf_add(b, f->answer);
    buf_add_i64(b, n);
    buf_addc(b, '}');
}
