/* The value of a JSON number, whatever its spelling: 1.0, 10e-1 and 1 are one. */
#ifndef JSON_DECIMAL_H
#define JSON_DECIMAL_H

#include "base/str.h"

/* A number as sign, digits without zeros at either end, and the power of ten of the last digit. */
struct decimal {
    bool negative;
    struct str whole, fraction; /* as spelled */
    size_t from, to;            /* of whole and fraction in a row: the significant ones */
    int64_t exponent;
    bool huge; /* an exponent that no arithmetic here holds */
};

struct decimal decimal_of(struct str spelled);
/* Digit `i` of [from, to). */
char decimal_digit(const struct decimal *d, size_t i);

#endif
