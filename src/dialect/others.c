/* Ollama and Cohere: Accord answers their clients' errors in their own shape; calls themselves are
 * refused until they can be translated. */
#include "dialect/dialect.h"
#include "json/scan.h"

static unsigned status(unsigned s, struct str code)
{
    (void)code;
    return s;
}

static void one_member(struct buf *b, struct str name, const struct api_error *e)
{
    buf_add(b, STR("{\""));
    buf_add(b, name);
    buf_add(b, STR("\":\""));
    buf_add_json(b, e->message);
    buf_add(b, STR("\",\"code\":\""));
    buf_add_json(b, e->code);
    buf_add(b, STR("\""));
    api_error_operation(b, e);
    buf_add(b, STR("}"));
}

static void ollama_error(struct buf *b, const struct api_error *e)
{
    one_member(b, STR("error"), e);
}

static void ollama_event(struct buf *b, const struct api_error *e)
{
    ollama_error(b, e);
    buf_addc(b, '\n');
}

static void cohere_error(struct buf *b, const struct api_error *e)
{
    one_member(b, STR("message"), e);
}

/* Official SDKs know an error only as the last event's; what has no known type they pass over. */
static void cohere_event(struct buf *b, const struct api_error *e)
{
    buf_add(b, STR("event: message-end\ndata: {\"type\":\"message-end\",\"delta\":{"
                   "\"finish_reason\":\"ERROR\",\"error\":\""));
    buf_add_json(b, e->message);
    buf_add(b, STR("\"}}\n\n"));
}

/* The counts are members of the answer itself, which is the object read here. */
static void ollama_usage(struct str object, struct usage *u)
{
    static const struct usage_row rows[] = {
        {QUOTED("prompt_eval_count"), offsetof(struct usage, input), NULL},
        {QUOTED("eval_count"), offsetof(struct usage, output), NULL},
        {{0}, 0, NULL},
    };
    usage_read(object, rows, u);
}

static bool ollama_line(struct str data, struct usage *u)
{
    struct str value;
    ollama_usage(data, u);
    return json_member(data, STR("done"), &value) == JSON_TRUE;
}

/* `tokens` counts what the model read and wrote, `billed_units` what of it is paid for. */
static void cohere_usage(struct str object, struct usage *u)
{
    struct told {
        struct usage u;
        int64_t billed_input, billed_output;
    } t = {USAGE_NONE, -1, -1};
    static const struct usage_row tokens[] = {
        {QUOTED("input_tokens"), offsetof(struct told, u.input), NULL},
        {QUOTED("output_tokens"), offsetof(struct told, u.output), NULL},
        {{0}, 0, NULL},
    };
    static const struct usage_row billed[] = {
        {QUOTED("input_tokens"), offsetof(struct told, billed_input), NULL},
        {QUOTED("output_tokens"), offsetof(struct told, billed_output), NULL},
        {{0}, 0, NULL},
    };
    static const struct usage_row rows[] = {
        {QUOTED("tokens"), 0, tokens},
        {QUOTED("billed_units"), 0, billed},
        {QUOTED("cached_tokens"), offsetof(struct told, u.cache_read), NULL},
        {{0}, 0, NULL},
    };
    usage_read(object, rows, &t);
    int64_t input = t.u.input >= 0 ? t.u.input : t.billed_input;
    int64_t output = t.u.output >= 0 ? t.u.output : t.billed_output;
    u->input = input >= 0 ? input : u->input;
    u->output = output >= 0 ? output : u->output;
    u->cache_read = t.u.cache_read >= 0 ? t.u.cache_read : u->cache_read;
}

static bool cohere_end(struct str data, struct usage *u)
{
    struct str type, delta, value;
    if (json_member(data, STR("type"), &type) != JSON_STRING ||
        !str_eq(type, STR("\"message-end\""))) {
        return false;
    }
    if (json_member(data, STR("delta"), &delta) == JSON_OBJECT &&
        json_member(delta, STR("usage"), &value) == JSON_OBJECT) {
        cohere_usage(value, u);
    }
    return true;
}

const struct dialect dialect_ollama = {
    .family = FAMILY_OLLAMA,
    .name = {"ollama", 6},
    .count_members = {{"prompt_eval_count", 17}, {"eval_count", 10}},
    .error = ollama_error,
    .error_event = ollama_event,
    .status = status,
    .usage = ollama_usage,
    .event = ollama_line,
};

const struct dialect dialect_cohere = {
    .family = FAMILY_COHERE,
    .name = {"cohere", 6},
    .usage_member = {"usage", 5},
    .error = cohere_error,
    .error_event = cohere_event,
    .status = status,
    .usage = cohere_usage,
    .event = cohere_end,
};
