/* A slice of text that somebody else owns: a pointer and a length, never NUL-terminated by promise.
 *
 * Everything parsed from the wire is a struct str into the buffer it arrived in. A slice is valid
 * as long as that buffer is; what must outlive it is copied into an arena (arena_dup). */
#ifndef BASE_STR_H
#define BASE_STR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct str {
    const char *p;
    size_t n;
};

#define STR(literal) ((struct str){"" literal, sizeof(literal) - 1})
/* For printf: printf("%.*s", STR_ARG(s)). */
#define STR_ARG(s) (int)(s).n, (s).p

static inline struct str str_of(const char *z)
{
    return z ? (struct str){z, strlen(z)} : (struct str){0};
}

static inline struct str str_make(const char *p, size_t n)
{
    return (struct str){p, n};
}

static inline bool str_eq(struct str a, struct str b)
{
    /* b.n, because b is mostly a literal: its length is known and no call is made */
    return a.n == b.n && (b.n == 0 || memcmp(a.p, b.p, b.n) == 0);
}

static inline bool str_starts(struct str s, struct str prefix)
{
    return s.n >= prefix.n && (prefix.n == 0 || memcmp(s.p, prefix.p, prefix.n) == 0);
}

static inline bool str_ends(struct str s, struct str suffix)
{
    return s.n >= suffix.n &&
           (suffix.n == 0 || memcmp(s.p + s.n - suffix.n, suffix.p, suffix.n) == 0);
}

/* The slice from offset `at` on; empty when `at` is past the end. */
static inline struct str str_from(struct str s, size_t at)
{
    return at >= s.n ? (struct str){s.p ? s.p + s.n : NULL, 0} : (struct str){s.p + at, s.n - at};
}

static inline struct str str_first(struct str s, size_t n)
{
    return (struct str){s.p, n < s.n ? n : s.n};
}

/* ASCII case-insensitive equality, as header names and methods' tokens need it (RFC 9110, 5.1). */
bool str_ieq(struct str a, struct str b);
bool str_istarts(struct str s, struct str prefix);

/* Removes spaces and tabs at both ends (OWS of RFC 9110, 5.6.3). */
struct str str_trim(struct str s);

/* Position of `c`, or -1. */
ptrdiff_t str_chr(struct str s, char c);

/* Position of `needle` in `s`, or -1. */
ptrdiff_t str_find(struct str s, struct str needle);

/* Cuts `s` at the first `c`: `head` gets what is before, `s` becomes what is after; without `c`,
 * head is all and `s` becomes empty. Returns whether `c` was found. */
bool str_cut(struct str *s, char c, struct str *head);

/* Decimal digits only, the whole slice, no sign: 0 or -EINVAL / -ERANGE. */
__attribute__((warn_unused_result)) int str_to_u64(struct str s, uint64_t *ret);

/* Number of single-character edits between a and b, capped at 64 characters each: for "did you
 * mean". */
unsigned str_distance(struct str a, struct str b);

#endif
