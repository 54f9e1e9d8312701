/* What tests of masking share: policies, and texts before and after. */
#ifndef TESTS_MASKBENCH_H
#define TESTS_MASKBENCH_H

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "json/scan.h"
#include "policy/mask.h"

static struct arena arena;
static struct pool pool;
static struct mask_scratch *scratch;
static struct mask_policy *policy;

static inline int reset(void **state)
{
    (void)state;
    arena_reset(&arena);
    policy = mask_policy_free(policy);
    return 0;
}

static inline struct mask_options all_with(enum mask_action action)
{
    struct mask_options o = {0};
    for (unsigned i = 0; i < MASK_KINDS; i++) {
        o.action[i] = action;
    }
    return o;
}

static inline void use(const struct mask_options *o)
{
    struct buf errors = {.arena = &arena};
    policy = mask_policy_free(policy);
    if (mask_compile(o, &policy, &errors) < 0) {
        fail_msg("%.*s", STR_ARG(buf_str(&errors)));
    }
    assert_int_equal(mask_scratch_fit(&scratch, policy), 0);
}

static inline void use_all(enum mask_action action)
{
    struct mask_options o = all_with(action);
    use(&o);
}

static inline struct mask_call call_now(void)
{
    return (struct mask_call){.policy = policy, .scratch = scratch, .arena = &arena};
}

/* The whole text at once. */
static inline struct str whole(struct mask_call *c, struct str text)
{
    struct mask_splice *s;
    size_t n;
    struct buf out = {.arena = &arena};
    assert_true(mask_text(c, text, &s, &n) >= 0);
    mask_splice(text, s, n, &out);
    return buf_str(&out);
}

static inline void is(struct str have, struct str want)
{
    if (!str_eq(have, want)) {
        fail_msg("\n  is   %.*s\n  not  %.*s", STR_ARG(have), STR_ARG(want));
    }
}

#endif
