/* Gemini generateContent and its relatives. */
#include "dialect/dialect.h"
#include "json/scan.h"

/* google.rpc.Code names by HTTP status. */
static struct str status_name(unsigned status)
{
    switch (status) {
    case 401:
        return STR("UNAUTHENTICATED");
    case 403:
        return STR("PERMISSION_DENIED");
    case 404:
    case 410:
        return STR("NOT_FOUND");
    case 409:
        return STR("ABORTED");
    case 429:
        return STR("RESOURCE_EXHAUSTED");
    case 501:
        return STR("UNIMPLEMENTED");
    case 502:
    case 503:
        return STR("UNAVAILABLE");
    case 504:
        return STR("DEADLINE_EXCEEDED");
    default:
        return status >= 500 ? STR("INTERNAL") : STR("INVALID_ARGUMENT");
    }
}

static void error(struct buf *b, const struct api_error *e)
{
    buf_add(b, STR("{\"error\":{\"code\":"));
    buf_add_u64(b, e->status);
    buf_add(b, STR(",\"message\":\""));
    buf_add_json(b, e->message);
    buf_add(b, STR("\",\"status\":\""));
    buf_add(b, status_name(e->status));
    buf_add(b, STR("\",\"details\":[{\"@type\":\"type.googleapis.com/google.rpc.ErrorInfo\","
                   "\"reason\":\""));
    buf_add_json(b, e->code);
    buf_add(b, STR("\",\"domain\":\"accord\""));
    if (e->operation.n) { /* its metadata are texts */
        buf_add(b, STR(",\"metadata\":{\"operation_ref\":\""));
        buf_add_json(b, e->operation);
        buf_add(b, STR("\",\"safe_new_key\":\"false\",\"retry_class\":\""));
        buf_add(b, e->retry_class);
        buf_add(b, STR("\"}"));
    }
    buf_add(b, STR("}]}}"));
}

static void error_event(struct buf *b, const struct api_error *e)
{
    buf_add(b, STR("data: "));
    error(b, e);
    buf_add(b, STR("\n\n"));
}

static unsigned status(unsigned s, struct str code)
{
    (void)code;
    return s;
}

/* The tokens of {"modality": "AUDIO", "tokenCount": 3} in such a list of an object; -1: it has none. */
static int64_t audio_of(struct str object, struct str list)
{
    static const struct usage_row rows[] = {{QUOTED("tokenCount"), 0, NULL}, {{0}, 0, NULL}};
    struct str all;
    int64_t n = -1;
    ptrdiff_t at =
        json_member(object, list, &all) == JSON_ARRAY ? str_find(all, STR("\"AUDIO\"")) : -1;
    if (at < 0) {
        return -1;
    }
    while (at > 0 && all.p[at] != '{') {
        at--;
    }
    struct str rest = str_from(all, (size_t)at);
    ptrdiff_t end = str_chr(rest, '}');
    usage_read(str_first(rest, end < 0 ? rest.n : (size_t)end + 1), rows, &n);
    return n;
}

/* Few calls have any, so most objects are looked at once. */
static void usage_audio(struct str object, struct usage *u)
{
    if (str_find(object, STR("\"AUDIO\"")) >= 0) {
        u->input_audio = audio_of(object, STR("promptTokensDetails"));
        u->output_audio = audio_of(object, STR("candidatesTokensDetails"));
    }
}

/* promptTokenCount includes the cached part; toolUsePromptTokenCount comes on top of it;
 * candidatesTokenCount excludes the thoughts. */
static void usage(struct str object, struct usage *u)
{
    struct told {
        int64_t prompt, tool, candidates, thoughts, cached;
    } t = {-1, 0, -1, -1, u->cache_read};
    static const struct usage_row rows[] = {
        {QUOTED("promptTokenCount"), offsetof(struct told, prompt), NULL},
        {QUOTED("toolUsePromptTokenCount"), offsetof(struct told, tool), NULL},
        {QUOTED("candidatesTokenCount"), offsetof(struct told, candidates), NULL},
        {QUOTED("thoughtsTokenCount"), offsetof(struct told, thoughts), NULL},
        {QUOTED("cachedContentTokenCount"), offsetof(struct told, cached), NULL},
        {{0}, 0, NULL},
    };
    usage_read(object, rows, &t);
    usage_audio(object, u);
    u->cache_read = t.cached;
    if (t.prompt >= 0) {
        u->input = t.prompt + t.tool;
    }
    if (t.thoughts >= 0) {
        u->reasoning = t.thoughts;
    }
    if (t.candidates >= 0 || t.thoughts >= 0) {
        u->output = (t.candidates > 0 ? t.candidates : 0) + (t.thoughts > 0 ? t.thoughts : 0);
    }
}

/* There is no last event: a stream that has told a finishReason and then ends has ended well. */
static bool event(struct str data, struct usage *u)
{
    struct str value, candidate, key;
    enum json_type type;
    bool finished = false;
    if (json_member(data, STR("usageMetadata"), &value) == JSON_OBJECT) {
        usage(value, u);
    }
    if (json_member(data, STR("candidates"), &value) == JSON_ARRAY) {
        for (size_t at = 0; json_each(value, &at, &key, &candidate, &type);) {
            struct str reason;
            finished =
                finished || (type == JSON_OBJECT &&
                             json_member(candidate, STR("finishReason"), &reason) == JSON_STRING);
        }
    }
    return finished || json_member(data, STR("promptFeedback"), &value) == JSON_OBJECT;
}

const struct dialect dialect_gemini = {
    .family = FAMILY_GEMINI,
    .name = {"gemini", 6},
    .usage_member = {"usageMetadata", 13},
    .ping = {": ping\n\n", 8},
    .error = error,
    .error_event = error_event,
    .status = status,
    .usage = usage,
    .event = event,
};
