/* Below policy/mask_look.h: groups of digits in a row ("(416) 555-0123"), as all detectors of numbers see them. */
#ifndef POLICY_MASK_SHAPE_H
#define POLICY_MASK_SHAPE_H

#include "policy/mask_look.h"

enum { SHAPE_GROUPS = 8, SHAPE_DIGITS = 20 };

/* What stands between two groups: one of ' ' (also no-break and narrow spaces), '-' (also U+2011 and U+2013), '.',
 * '/', ')' (a parenthesis closes, perhaps with a space or hyphen behind it), '(' (one opens). */
struct shape {
    size_t at; /* the first digit */
    unsigned n;
    struct {
        size_t at, end;
        char before; /* what is between the group in front and it; 0 for the first */
    } group[SHAPE_GROUPS];
    unsigned total;            /* digits of all groups */
    char digits[SHAPE_DIGITS]; /* in a row */
    bool on;                   /* there are more groups or digits than these */
    bool open;                 /* a parenthesis stands in front of the first group */
};

static inline unsigned shape_len(const struct shape *h, unsigned i)
{
    return i < h->n ? (unsigned)(h->group[i].end - h->group[i].at) : 0;
}

static inline char shape_gap(const struct shape *h, unsigned i)
{
    return i < h->n ? h->group[i].before : 0;
}

/* Whether the groups are as long as `lens` says (a digit each), followed by none; the gaps all `gap`, or with '*'
 * all alike. */
bool shape_is(const struct shape *h, const char *lens, char gap);

/* A letter, a digit, or one of "_-." with such behind it, continues the number at `end`. */
bool number_goes_on(struct text *t, size_t end);
/* A letter, digit or underscore stands in front of i, or one of the characters of `gaps` behind a digit (of hyphens
 * and plus signs also behind a letter). */
bool number_continues(const struct text *t, size_t i, const char *gaps);
/* A sign or code of a currency stands in front of i; a unit, currency or per cent sign behind `end`. */
bool number_is_amount(struct text *t, size_t i, size_t end);
/* It is said to be another kind of number: an order, a ticket, a part ... */
bool number_is_labelled(const struct text *t, size_t i);
/* It is said to be a telephone's. */
bool number_is_called(const struct text *t, size_t i);
bool luhn(const char *digits, unsigned n);

#endif
