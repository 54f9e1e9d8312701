/* OpenAI: chat completions, completions, responses, embeddings and the rest of /v1. */
#include "dialect/dialect.h"
#include "json/scan.h"

static struct str type_of(unsigned status)
{
    switch (status) {
    case 401:
        return STR("authentication_error");
    case 402:
        return STR("billing_error");
    case 403:
        return STR("permission_error");
    case 409:
        return STR("conflict_error");
    case 429:
        return STR("rate_limit_error");
    default:
        return status >= 500 ? STR("server_error") : STR("invalid_request_error");
    }
}

static void error_member(struct buf *b, const struct api_error *e)
{
    buf_add(b, STR("\"error\":{\"message\":\""));
    buf_add_json(b, e->message);
    buf_add(b, STR("\",\"type\":\""));
    buf_add(b, type_of(e->status));
    buf_add(b, STR("\",\"param\":"));
    if (e->param.n) {
        buf_addc(b, '"');
        buf_add_json(b, e->param);
        buf_addc(b, '"');
    } else {
        buf_add(b, STR("null"));
    }
    buf_add(b, STR(",\"code\":\""));
    buf_add_json(b, e->code);
    buf_add(b, STR("\""));
    api_error_operation(b, e);
    buf_add(b, STR("}"));
}

static void error_object(struct buf *b, const struct api_error *e)
{
    buf_add(b, STR("{"));
    error_member(b, e);
    buf_add(b, STR("}"));
}

static void error_event(struct buf *b, const struct api_error *e)
{
    if (e->sequence < 0) {
        buf_add(b, STR("data: "));
        error_object(b, e);
        buf_add(b, STR("\n\n"));
        return;
    }
    /* Responses: a flat, numbered event; the member `error` beside it is what older SDKs raise on.
     */
    buf_add(b, STR("event: error\ndata: {\"type\":\"error\",\"sequence_number\":"));
    buf_add_i64(b, e->sequence);
    buf_add(b, STR(",\"code\":\""));
    buf_add_json(b, e->code);
    buf_add(b, STR("\",\"message\":\""));
    buf_add_json(b, e->message);
    buf_add(b, STR("\",\"param\":null,"));
    error_member(b, e);
    buf_add(b, STR("}\n\n"));
}
static unsigned status(unsigned s, struct str code)
{
    (void)code;
    return s;
}

/* Chat: prompt_tokens (cached included) and completion_tokens (reasoning included). Responses and
 * embeddings: input_tokens, output_tokens, the details under other names. */
static void usage(struct str object, struct usage *u)
{
    static const struct usage_row input[] = {
        {QUOTED("cached_tokens"), offsetof(struct usage, cache_read), NULL},
        {QUOTED("audio_tokens"), offsetof(struct usage, input_audio), NULL},
        {QUOTED("cache_write_tokens"), offsetof(struct usage, cache_write), NULL},
        {{0}, 0, NULL},
    };
    static const struct usage_row output[] = {
        {QUOTED("reasoning_tokens"), offsetof(struct usage, reasoning), NULL},
        {QUOTED("audio_tokens"), offsetof(struct usage, output_audio), NULL},
        {QUOTED("accepted_prediction_tokens"), 0, usage_nothing},
        {QUOTED("rejected_prediction_tokens"), 0, usage_nothing},
        {{0}, 0, NULL},
    };
    static const struct usage_row rows[] = {
        {QUOTED("prompt_tokens"), offsetof(struct usage, input), NULL},
        {QUOTED("completion_tokens"), offsetof(struct usage, output), NULL},
        {QUOTED("total_tokens"), 0, usage_nothing},
        {QUOTED("prompt_tokens_details"), 0, input},
        {QUOTED("completion_tokens_details"), 0, output},
        {QUOTED("input_tokens"), offsetof(struct usage, input), NULL},
        {QUOTED("input_tokens_details"), 0, input},
        {QUOTED("output_tokens"), offsetof(struct usage, output), NULL},
        {QUOTED("output_tokens_details"), 0, output},
        {{0}, 0, NULL},
    };
    usage_read(object, rows, u);
}

/* Responses ends with response.completed, response.incomplete or response.failed; chat with [DONE],
 * which is no JSON and is seen by the relay. */
static bool event(struct str data, struct usage *u)
{
    struct str value, response;
    if (json_member(data, STR("usage"), &value) == JSON_OBJECT) {
        usage(value, u);
    }
    if (json_member(data, STR("response"), &response) == JSON_OBJECT &&
        json_member(response, STR("usage"), &value) == JSON_OBJECT) {
        usage(value, u);
    }
    if (json_member(data, STR("type"), &value) == JSON_STRING) {
        return str_eq(value, STR("\"response.completed\"")) ||
               str_eq(value, STR("\"response.incomplete\"")) ||
               str_eq(value, STR("\"response.failed\""));
    }
    return false;
}

const struct dialect dialect_openai = {
    .family = FAMILY_OPENAI,
    .name = {"openai", 6},
    .usage_member = {"usage", 5},
    .ping = {": ping\n\n", 8},
    .error = error_object,
    .error_event = error_event,
    .status = status,
    .usage = usage,
    .event = event,
};
