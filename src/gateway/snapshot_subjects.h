/* Below snapshot_compile.c: which policies are about whom. All that policies say is looked up here: limits, retries,
 * masking, what is kept. */
#ifndef GATEWAY_SNAPSHOT_SUBJECTS_H
#define GATEWAY_SNAPSHOT_SUBJECTS_H

#include "model/config.h"
#include "model/names.h"

enum { SUBJECTS_NONE = -1, SCOPES = SCOPE_ADDRESS + 1 };

struct subjects {
    const struct config *config;
    struct names _of[SCOPES]; /* the first policy about it */
    int64_t *_next;           /* by policy: the next one about the same */
};

/* Of all policies of the configuration, in `scratch`. */
void subjects_compile(struct subjects *s, const struct config *c, struct arena *scratch);

/* The policies about one subject, as indexes in the configuration and in its order:
 *   for (int64_t i = subjects_first(...); i >= 0; i = subjects_next(s, i))
 * Of the organisation and of addresses there is one subject, whatever is passed; of others an empty one has none. */
int64_t subjects_first(const struct subjects *s, enum policy_scope scope, struct str subject);
static inline int64_t subjects_next(const struct subjects *s, int64_t i)
{
    return s->_next[i];
}

/* The last of them that says something; NULL: none does. */
const struct config_policy *subjects_last(const struct subjects *s, enum policy_scope scope,
                                          struct str subject,
                                          bool (*says)(const struct config_policy *p));

#endif
