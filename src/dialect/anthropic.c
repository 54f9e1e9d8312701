/* Anthropic Messages. */
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
    case 404:
    case 410:
        return STR("not_found_error");
    case 413:
        return STR("request_too_large");
    case 429:
        return STR("rate_limit_error");
    case 504:
        return STR("timeout_error");
    case 503:
    case 529:
        return STR("overloaded_error");
    default:
        return status >= 500 ? STR("api_error") : STR("invalid_request_error");
    }
}

static void error(struct buf *b, const struct api_error *e)
{
    buf_add(b, STR("{\"type\":\"error\",\"error\":{\"type\":\""));
    buf_add(b, type_of(e->status));
    buf_add(b, STR("\",\"message\":\""));
    buf_add_json(b, e->message);
    buf_add(b, STR("\",\"details\":{\"error_code\":\""));
    buf_add_json(b, e->code);
    buf_add(b, STR("\""));
    api_error_operation(b, e);
    buf_add(b, STR("}},\"request_id\":\""));
    buf_add_json(b, e->request_id);
    buf_add(b, STR("\"}"));
}

/* Events are named; a nameless one is not seen by the official SDK. */
static void error_event(struct buf *b, const struct api_error *e)
{
    buf_add(b, STR("event: error\ndata: "));
    error(b, e);
    buf_add(b, STR("\n\n"));
}

/* Agents expect a denied model as an invalid request. */
static unsigned status(unsigned s, struct str code)
{
    return str_eq(code, STR("model_not_allowed")) ? 400 : s;
}

/* input_tokens excludes what the cache read or wrote; ours includes it. */
static void usage(struct str object, struct usage *u)
{
    struct told {
        struct usage u;
        int64_t fresh;
    } t = {*u, -1};
    static const struct usage_row output[] = {
        {QUOTED("thinking_tokens"), offsetof(struct told, u.reasoning), NULL},
        {{0}, 0, NULL},
    };
    static const struct usage_row creation[] = {
        {QUOTED("ephemeral_1h_input_tokens"), offsetof(struct told, u.cache_write_1h), NULL},
        {{0}, 0, NULL},
    };
    static const struct usage_row rows[] = {
        {QUOTED("input_tokens"), offsetof(struct told, fresh), NULL},
        {QUOTED("output_tokens"), offsetof(struct told, u.output), NULL},
        {QUOTED("cache_read_input_tokens"), offsetof(struct told, u.cache_read), NULL},
        {QUOTED("cache_creation_input_tokens"), offsetof(struct told, u.cache_write), NULL},
        {QUOTED("cache_creation"), 0, creation},
        {QUOTED("output_tokens_details"), 0, output},
        {{0}, 0, NULL},
    };
    usage_read(object, rows, &t);
    *u = t.u;
    if (t.fresh >= 0) {
        u->input = t.fresh + (u->cache_read > 0 ? u->cache_read : 0) +
                   (u->cache_write > 0 ? u->cache_write : 0);
    }
}

/* message_start carries the usage inside its message, message_delta beside its delta, cumulative.
 */
static bool event(struct str data, struct usage *u)
{
    struct str value, message;
    if (json_member(data, STR("usage"), &value) == JSON_OBJECT) {
        usage(value, u);
    }
    if (json_member(data, STR("message"), &message) == JSON_OBJECT &&
        json_member(message, STR("usage"), &value) == JSON_OBJECT) {
        usage(value, u);
    }
    return json_member(data, STR("type"), &value) == JSON_STRING &&
           str_eq(value, STR("\"message_stop\""));
}

const struct dialect dialect_anthropic = {
    .family = FAMILY_ANTHROPIC,
    .name = {"anthropic", 9},
    .usage_member = {"usage", 5},
    .ping = {"event: ping\ndata: {\"type\": \"ping\"}\n\n", 36},
    .error = error,
    .error_event = error_event,
    .status = status,
    .usage = usage,
    .event = event,
};
