#include "conflict/precondition.h"

#include "conflict/http_date.h"

static bool since(struct str field, const struct conditions *c, const struct present *now,
                  int64_t *ret_s)
{
    return field.p && !c->doubled_since && http_date_parse(str_trim(field), now->now_s, ret_s) == 0;
}

static struct judgement failed(struct judgement j, const char *field)
{
    j.verdict = VERDICT_FAILED;
    j.field = field;
    return j;
}

/* Step 3: If-None-Match. */
static struct judgement none_match(enum condition_method method, enum etag_match m,
                                   const struct present *now, struct judgement j)
{
    bool hit = m == ETAG_ANY ? now->exists : m == ETAG_FOUND && now->exists;
    if (!hit) {
        return j;
    }
    if (method == CONDITION_READ) {
        j.verdict = VERDICT_NOT_MODIFIED;
        j.field = "If-None-Match";
        return j;
    }
    return failed(j, "If-None-Match");
}

struct judgement precondition(enum condition_method method, const struct conditions *c,
                              const struct present *now)
{
    struct judgement j = {.verdict = VERDICT_PROCEED};
    enum etag_match match = etag_match(&c->if_match, now->tag, true);
    enum etag_match none = etag_match(&c->if_none_match, now->tag, false);
    int64_t at;
    if (match == ETAG_MALFORMED || none == ETAG_MALFORMED) {
        j.verdict = VERDICT_MALFORMED;
        j.field = match == ETAG_MALFORMED ? "If-Match" : "If-None-Match";
        return j;
    }
    if (method == CONDITION_CREATE) { /* a list has no state of its own to be compared */
        return j;
    }
    j.unconditional = match == ETAG_ANY;
    j.conditional = match != ETAG_ABSENT || none != ETAG_ABSENT;
    if (!now->exists && method != CONDITION_PUT) {
        j.verdict = VERDICT_NOT_FOUND; /* 13.2.1: the answer would not be a 2xx without it */
        return j;
    }
    /* Steps 1 and 2. */
    if (match == ETAG_OTHER || (match != ETAG_ABSENT && !now->exists)) {
        return failed(j, "If-Match");
    }
    if (match == ETAG_ABSENT && since(c->if_unmodified_since, c, now, &at)) {
        j.conditional = true;
        if (!now->exists || now->modified_s > at) {
            return failed(j, "If-Unmodified-Since");
        }
    }
    /* Steps 3 and 4. */
    if (none != ETAG_ABSENT) {
        return none_match(method, none, now, j);
    }
    if (method == CONDITION_READ && since(c->if_modified_since, c, now, &at) &&
        now->modified_s <= at) {
        j.verdict = VERDICT_NOT_MODIFIED;
        j.field = "If-Modified-Since";
    }
    return j;
}
