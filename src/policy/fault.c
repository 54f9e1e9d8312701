#include "policy/fault.h"

enum {
    HOST_REST_MS = 2000,
    DEAD_REST_MS = 60000,   /* a credential that is refused */
    QUOTA_REST_MS = 600000, /* ... or without money */
    LIMIT_REST_MS = 1000,   /* a limit of which nobody said when it ends */
    GONE_REST_MS = 60000,   /* a model that is not there */
    TOLD_MAX_MS = 3600000,
};

static bool is_about_money(struct str code)
{
    return str_eq(code, STR("insufficient_quota")) || str_eq(code, STR("billing_error")) ||
           str_eq(code, STR("billing_hard_limit_reached")) ||
           str_eq(code, STR("credit_balance_too_low"));
}

static struct fault limited(const struct fault_answer *a)
{
    struct fault f = {.at = FAULT_LIMIT, .same = true, .credential = true, .target = true};
    if (is_about_money(a->code)) {
        return (struct fault){
            .at = FAULT_CREDENTIAL, .credential = true, .target = true, .rest_ms = QUOTA_REST_MS};
    }
    f.told = a->retry_after_ms > 0;
    f.rest_ms = !f.told                           ? LIMIT_REST_MS
                : a->retry_after_ms > TOLD_MAX_MS ? TOLD_MAX_MS
                                                  : a->retry_after_ms;
    f.wait_ms = f.rest_ms;
    return f;
}

/* A lock ends by itself; that something else has changed, or is there already, does not. */
static struct fault conflict(const struct fault_answer *a)
{
    bool lock = a->should_retry || a->retry_after_ms || str_eq(a->code, STR("conversation_locked"));
    return (struct fault){
        .at = lock ? FAULT_LOCK : FAULT_REQUEST, .same = lock, .wait_ms = a->retry_after_ms};
}

/* What is not there is something that the call names, and no model: other calls find theirs. */
static bool is_about_the_call(const struct fault_answer *a)
{
    static const struct str named[] = {
        {"response", 8}, {"prompt", 6}, {"item", 4}, {"file", 4}, {"conversation", 12}};
    for (size_t i = 0; i < sizeof named / sizeof *named; i++) {
        if (str_find(a->code, named[i]) >= 0) {
            return true;
        }
    }
    return (a->param.n && !str_eq(a->param, STR("model"))) ||
           str_eq(a->code, STR("invalid_request_error"));
}

bool fault_is_too_long(struct str code, struct str message)
{
    static const struct str words[] = {
        {"maximum context length", 22}, /* of OpenAI, and of those who serve in its manner */
        {"prompt is too long", 18},
        {"exceeds the maximum number of tokens", 36},
        {"Input is too long", 17}};
    if (str_eq(code, STR("context_length_exceeded"))) {
        return true;
    }
    for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
        if (str_find(message, words[i]) >= 0) {
            return true;
        }
    }
    return false;
}

static struct fault judge(const struct fault_answer *a)
{
    switch (a->status) {
    case 400:
        return (struct fault){.at = FAULT_REQUEST, .target = a->too_long, .wider = a->too_long};
    case 401:
    case 402:
        return (struct fault){.at = FAULT_CREDENTIAL,
                              .credential = true,
                              .target = true,
                              .rest_ms = a->status == 402 ? QUOTA_REST_MS : DEAD_REST_MS};
    case 403: /* often of one model only */
        return (struct fault){
            .at = FAULT_LIMIT, .credential = true, .target = true, .rest_ms = DEAD_REST_MS};
    case 404:
        return is_about_the_call(a)
                   ? (struct fault){.at = FAULT_REQUEST}
                   : (struct fault){.at = FAULT_LANE, .target = true, .rest_ms = GONE_REST_MS};
    case 408:
    case 425:
        return (struct fault){
            .at = FAULT_LANE, .same = true, .target = true, .wait_ms = a->retry_after_ms};
    case 409:
        return conflict(a);
    case 429:
        return limited(a);
    default:
        if (a->status >= 500 && a->status != 501 && a->status != 505) {
            return (struct fault){
                .at = FAULT_LANE, .same = true, .target = true, .wait_ms = a->retry_after_ms};
        }
        return (struct fault){.at = FAULT_REQUEST};
    }
}

struct fault fault_of_answer(const struct fault_answer *a)
{
    struct fault f = judge(a);
    f.same = f.same && !a->enough;
    f.status = (uint16_t)a->status;
    return f;
}

struct fault fault_of_connecting(void)
{
    return (struct fault){.at = FAULT_HOST, .same = true, .target = true, .rest_ms = HOST_REST_MS};
}

struct fault fault_of_silence(void)
{
    return (struct fault){.at = FAULT_LANE, .same = true, .target = true};
}

struct fault fault_of_waiting(void)
{
    return (struct fault){.at = FAULT_LANE, .target = true};
}
