/* Amazon Bedrock. */
#include "dialect/bedrock.h"
#include "http/aws_frame.h"
#include "json/scan.h"

static const struct {
    unsigned status;
    struct str name;
} exceptions[] = {
    {400, {"ValidationException", 19}},
    {429, {"ThrottlingException", 19}},
    {500, {"InternalServerException", 23}},
    {503, {"ServiceUnavailableException", 27}},
    {403, {"AccessDeniedException", 21}},
    {404, {"ResourceNotFoundException", 25}},
    {408, {"ModelTimeoutException", 21}},
    {424, {"ModelErrorException", 19}},
    {409, {"ConflictException", 17}},
    /* read only: others stand for their statuses above */
    {424, {"ModelStreamErrorException", 25}},
    {429, {"ModelNotReadyException", 22}},
    {400, {"ServiceQuotaExceededException", 29}},
    {403, {"UnrecognizedClientException", 27}},
    {403, {"InvalidSignatureException", 25}},
    {403, {"ExpiredTokenException", 21}},
    {500, {"InternalFailure", 15}},
    {500, {"InternalError", 13}},
};

struct str bedrock_exception(unsigned status)
{
    for (size_t i = 0; i < sizeof exceptions / sizeof *exceptions; i++) {
        if (exceptions[i].status == status) {
            return exceptions[i].name;
        }
    }
    switch (status) {
    case 401:
    case 402:
        return STR("AccessDeniedException");
    case 410:
        return STR("ResourceNotFoundException");
    case 504:
        return STR("ModelTimeoutException");
    case 529:
        return STR("ServiceUnavailableException");
    default:
        return status >= 500 ? STR("InternalServerException") : STR("ValidationException");
    }
}

unsigned bedrock_exception_status(struct str name)
{
    for (size_t i = 0; i < sizeof exceptions / sizeof *exceptions; i++) {
        if (str_ieq(exceptions[i].name, name)) {
            return exceptions[i].status;
        }
    }
    return 0;
}

static unsigned status(unsigned s, struct str code)
{
    (void)code;
    return s;
}

static void error(struct buf *b, const struct api_error *e)
{
    buf_add(b, STR("{\"message\":\""));
    buf_add_json(b, e->message);
    buf_add(b, STR("\",\"code\":\""));
    buf_add_json(b, e->code);
    buf_add(b, STR("\""));
    api_error_operation(b, e);
    buf_add(b, STR("}"));
}

/* Streams know five exceptions; SDKs show the message of no other. */
static struct str stream_exception(unsigned s)
{
    switch (s) {
    case 429:
        return STR("throttlingException");
    case 503:
    case 529:
        return STR("serviceUnavailableException");
    case 408:
    case 424:
    case 502:
    case 504:
        return STR("modelStreamErrorException");
    default:
        return s >= 500 ? STR("internalServerException") : STR("validationException");
    }
}

static void error_event(struct buf *b, const struct api_error *e)
{
    size_t at = aws_frame_begin(b, AWS_FRAME_EXCEPTION, stream_exception(e->status));
    error(b, e);
    aws_frame_finish(b, at);
}

/* inputTokens excludes what the cache read or wrote; ours includes it. */
static void usage(struct str object, struct usage *u)
{
    struct told {
        struct usage u;
        int64_t fresh;
    } t = {*u, -1};
    static const struct usage_row rows[] = {
        {QUOTED("inputTokens"), offsetof(struct told, fresh), NULL},
        {QUOTED("outputTokens"), offsetof(struct told, u.output), NULL},
        {QUOTED("cacheReadInputTokens"), offsetof(struct told, u.cache_read), NULL},
        {QUOTED("cacheWriteInputTokens"), offsetof(struct told, u.cache_write), NULL},
        {{0}, 0, NULL},
    };
    usage_read(object, rows, &t);
    *u = t.u;
    if (t.fresh >= 0) {
        u->input = t.fresh + (u->cache_read > 0 ? u->cache_read : 0) +
                   (u->cache_write > 0 ? u->cache_write : 0);
    }
}

/* The last event is `metadata`, which alone has tokens. */
static bool event(struct str data, struct usage *u)
{
    struct str value;
    if (json_member(data, STR("usage"), &value) != JSON_OBJECT) {
        return false;
    }
    usage(value, u);
    return true;
}

const struct dialect dialect_bedrock = {
    .family = FAMILY_BEDROCK,
    .name = {"bedrock", 7},
    .usage_member = {"usage", 5},
    .error = error,
    .error_name = bedrock_exception,
    .error_event = error_event,
    .status = status,
    .usage = usage,
    .event = event,
};
