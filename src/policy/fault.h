/* Whose fault an answer is, and what may be tried after it. Numbers in, decisions out.
 *
 * Sources: the status codes of RFC 9110 and RFC 6585; OpenAI "Error codes", Anthropic "Errors" (529), Gemini
 * "Troubleshooting" (RESOURCE_EXHAUSTED), Amazon Bedrock "Common errors". */
#ifndef POLICY_FAULT_H
#define POLICY_FAULT_H

#include "base/str.h"

enum fault_at {
    FAULT_NOBODY,     /* it went well */
    FAULT_REQUEST,    /* whoever takes it will answer the same */
    FAULT_HOST,       /* cannot be reached */
    FAULT_LANE,       /* this model at this provider: errors, stalls, is not there */
    FAULT_CREDENTIAL, /* refused, or without money */
    FAULT_LIMIT,      /* this credential has used up what it may of this model */
    FAULT_LOCK,       /* somebody else holds what the call needs, for a moment */
};

struct fault {
    enum fault_at at;
    bool same;        /* the same target may be asked again, after a pause */
    bool credential;  /* another credential of it may be asked, at once */
    bool target;      /* another target may be asked, at once */
    bool wider;       /* ... but only one that is known to read more */
    uint32_t rest_ms; /* how long what is at fault is left alone; 0: failures are only counted */
    uint32_t wait_ms; /* the least pause before `same`; 0: none was asked for */
    bool told;        /* rest_ms is the vendor's own word */
    uint16_t status;  /* that was answered; 0: nothing was */
    const char *why;  /* a code that says more than `at`, for records; NULL: none */
};

struct fault_answer {
    unsigned status;
    struct str code;         /* the error's code or type, plain; empty: not known */
    struct str param;        /* the member that it is about; empty: not told */
    uint32_t retry_after_ms; /* 0: not told */
    bool should_retry;       /* x-should-retry: true */
    bool too_long;           /* the request is longer than the model reads */
    bool enough; /* x-should-retry: false, as another gateway says after tries of its own */
};

/* Whether an error says that the request is longer than its model reads, by its code or, where vendors have none for
 * that, by its words (OpenAI and vLLM; Anthropic; Google; Amazon). */
bool fault_is_too_long(struct str code, struct str message);
/* Of an answer with a status of 400 and above. */
struct fault fault_of_answer(const struct fault_answer *a);
/* No connection could be made; nothing was sent. */
struct fault fault_of_connecting(void);
/* The answer did not come, broke off before anything of it was passed on, or was none. */
struct fault fault_of_silence(void);
/* No answer within the time for its first byte: asking the same one again would only add to it. */
struct fault fault_of_waiting(void);

#endif
