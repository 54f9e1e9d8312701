/* Two kinds of assertion, neither of them for input. must() guards memory safety and stays in every
 * build; check() counts a broken expectation that the program can live with, and the count is shown
 * in /metrics. Both name the place. */
#ifndef BASE_MUST_H
#define BASE_MUST_H

#include <stdbool.h>
#include <stdint.h>

/* For large locals on hot paths that are written before they are read: release builds clear all
 * others. */
#if defined(__has_attribute)
#if __has_attribute(uninitialized)
#define UNINITIALIZED __attribute__((uninitialized))
#endif
#endif
#ifndef UNINITIALIZED
#define UNINITIALIZED
#endif

#define must(cond) (__builtin_expect(!!(cond), 1) ? (void)0 : must_fail(#cond, __FILE__, __LINE__))
#define check(cond)                                                                                \
    (__builtin_expect(!!(cond), 1) ? true : (check_fail(#cond, __FILE__, __LINE__), false))

__attribute__((noreturn, cold)) void must_fail(const char *cond, const char *file, int line);
__attribute__((cold)) void check_fail(const char *cond, const char *file, int line);

/* How many check()s have failed since the start, over all threads. */
uint64_t check_failures(void);

#endif
