/* Ollama and Cohere: Accord answers their clients' errors in their own shape; calls themselves are
 * refused until they can be translated. */
#include "dialect/dialect.h"

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
    buf_add(b, STR("\"}"));
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

static void cohere_event(struct buf *b, const struct api_error *e)
{
    buf_add(b, STR("data: "));
    cohere_error(b, e);
    buf_add(b, STR("\n\n"));
}

/* AWS puts the exception's name into a field; SDKs read the message from either spelling. */
static void bedrock_error(struct buf *b, const struct api_error *e)
{
    one_member(b, STR("message"), e);
}

static void no_usage(struct str object, struct usage *u)
{
    (void)object;
    (void)u;
}

static bool no_event(struct str data, struct usage *u)
{
    (void)data;
    (void)u;
    return false;
}

const struct dialect dialect_ollama = {
    .family = FAMILY_OLLAMA,
    .name = {"ollama", 6},
    .error = ollama_error,
    .error_event = ollama_event,
    .status = status,
    .usage = no_usage,
    .event = no_event,
};

const struct dialect dialect_cohere = {
    .family = FAMILY_COHERE,
    .name = {"cohere", 6},
    .error = cohere_error,
    .error_event = cohere_event,
    .status = status,
    .usage = no_usage,
    .event = no_event,
};

/* Bedrock Runtime API reference, "Common Errors" and those of Converse. */
static struct str bedrock_error_name(unsigned s)
{
    switch (s) {
    case 400:
    case 413:
    case 422:
        return STR("ValidationException");
    case 401:
    case 402:
    case 403:
        return STR("AccessDeniedException");
    case 404:
    case 410:
        return STR("ResourceNotFoundException");
    case 409:
        return STR("ConflictException");
    case 408:
    case 504:
        return STR("ModelTimeoutException");
    case 429:
        return STR("ThrottlingException");
    case 503:
    case 529:
        return STR("ServiceUnavailableException");
    default:
        return s >= 500 ? STR("InternalServerException") : STR("ValidationException");
    }
}

const struct dialect dialect_bedrock = {
    .family = FAMILY_BEDROCK,
    .name = {"bedrock", 7},
    .error = bedrock_error,
    .error_name = bedrock_error_name,
    .error_event = bedrock_error,
    .status = status,
    .usage = no_usage,
    .event = no_event,
};
