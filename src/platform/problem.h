/* Answers that refuse: application/problem+json (RFC 9457) with the plain members `status`,
 * `error`, `message` and `path` always there, so that a plain client understands them. Each problem
 * is one row: its code, its status, its title, and what to do about it in plain words; GET
 * /problems/NAME explains it to people and programs. */
#ifndef PLATFORM_PROBLEM_H
#define PLATFORM_PROBLEM_H

#include "base/buf.h"
#include "json/tree.h"

/* Whether trying again can help (CONFLICT.md, ruling 8). */
enum retry_class { RETRY_NEVER, RETRY_UNCHANGED, RETRY_AFTER_REFETCH, RETRY_AFTER_MERGE };

enum problem_id {
    PROBLEM_BAD_REQUEST,
    PROBLEM_MALFORMED_JSON,
    PROBLEM_MALFORMED_PATCH,
    PROBLEM_MALFORMED_FIELD,
    PROBLEM_BAD_QUERY,
    PROBLEM_IDEMPOTENCY_KEY_INVALID,
    PROBLEM_IDEMPOTENCY_KEY_REQUIRED,
    PROBLEM_CONFLICTING_CONDITIONS,
    PROBLEM_UNAUTHENTICATED,
    PROBLEM_SIGN_IN_FAILED,
    PROBLEM_FORBIDDEN,
    PROBLEM_CSRF,
    PROBLEM_NOT_FOUND,
    PROBLEM_METHOD_NOT_ALLOWED,
    PROBLEM_NOT_ACCEPTABLE,
    PROBLEM_ALREADY_EXISTS,
    PROBLEM_EDIT_CONFLICT,
    PROBLEM_STALE_REVISION,
    PROBLEM_STALE_BASE,
    PROBLEM_INVALID_STATE,
    PROBLEM_IN_USE,
    PROBLEM_MANAGED_ELSEWHERE,
    PROBLEM_PATCH_TEST_FAILED,
    PROBLEM_IDEMPOTENCY_IN_PROGRESS,
    PROBLEM_IDEMPOTENCY_UNCERTAIN,
    PROBLEM_PRECONDITION_FAILED,
    PROBLEM_TOO_LARGE,
    PROBLEM_UNSUPPORTED_MEDIA_TYPE,
    PROBLEM_INVALID,
    PROBLEM_IDEMPOTENCY_MISMATCH,
    PROBLEM_PRECONDITION_REQUIRED,
    PROBLEM_TOO_MANY_ATTEMPTS,
    PROBLEM_INTERNAL,
    PROBLEM_UNAVAILABLE,
    PROBLEM_OUTCOME_UNKNOWN,
    PROBLEM_COUNT
};

struct problem_type {
    unsigned status;
    const char *code;
    enum retry_class retry;
    const char *title;    /* English */
    const char *title_zh; /* Chinese */
    const char *what;     /* what has happened, for people */
    const char *remedy;   /* what to do about it */
};

extern const struct problem_type problem_types[PROBLEM_COUNT];

/* The row of "already-exists" or "already_exists"; NULL. */
const struct problem_type *problem_named(struct str name);
/* "already-exists" */
struct str problem_slug(struct arena *a, const struct problem_type *t);
/* Its `type`; `base` is "http://host:port". */
struct str problem_uri(struct arena *a, const struct problem_type *t, struct str base);
const char *retry_class_name(enum retry_class c);

/* The page of /problems/NAME. */
void problem_page_html(struct buf *b, const struct problem_type *t);
void problem_page_json(struct buf *b, const struct problem_type *t, struct str base);

#endif
