#include "base/must.h"

#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

static _Atomic uint64_t failures;

void must_fail(const char *cond, const char *file, int line)
{
    fprintf(stderr, "accord: %s:%d: must(%s) does not hold; stopping\n", file, line, cond);
    abort();
}

void check_fail(const char *cond, const char *file, int line)
{
    /* The first hundred are worth reading; the rest are worth counting. */
    if (atomic_fetch_add_explicit(&failures, 1, memory_order_relaxed) < 100) {
        fprintf(stderr, "accord: %s:%d: check(%s) does not hold\n", file, line, cond);
    }
}

uint64_t check_failures(void)
{
    return atomic_load_explicit(&failures, memory_order_relaxed);
}
