/* What policies say about masking, compiled. One compilation stands for each different thing that is to be looked
 * for; it is kept as long as a snapshot has it, so that a change elsewhere compiles nothing. */
#ifndef GATEWAY_MASK_RULES_H
#define GATEWAY_MASK_RULES_H

#include "model/config.h"
#include "policy/mask.h"

struct mask_rules {
    uint32_t refs; /* under a lock */
    struct mask_rules *next;
    struct mask_policy *policy;
    size_t n;
    char text[]; /* what it was compiled from */
};

/* All that `n` policies look for, each with the strictest action that one of them gives it (block, then mask, tokenise,
 * report). `answers_only`: of those that look at answers. 0 with a reference in `*ret` (NULL: there is nothing to
 * look for); or as mask_compile(). Any thread. */
__attribute__((warn_unused_result)) int mask_rules_of(const struct config_policy *const *policies,
                                                      size_t n, bool answers_only,
                                                      struct mask_rules **ret, struct buf *errors);
void mask_rules_unref(struct mask_rules *r); /* NULL is allowed; any thread */

/* Whether each policy by itself can be compiled; else -EINVAL and lines in `errors`. */
__attribute__((warn_unused_result)) int mask_rules_check(const struct config_policy *policies,
                                                         size_t n, struct buf *errors);

#endif
