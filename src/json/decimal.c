#include "json/decimal.h"

char decimal_digit(const struct decimal *d, size_t i)
{
    return i < d->whole.n ? d->whole.p[i] : d->fraction.p[i - d->whole.n];
}

struct decimal decimal_of(struct str spelled)
{
    struct decimal d = {.negative = spelled.n && spelled.p[0] == '-'};
    struct str rest = str_from(spelled, d.negative), mantissa;
    if (!str_cut(&rest, 'e', &mantissa)) {
        rest = mantissa;
        (void)str_cut(&rest, 'E', &mantissa);
    }
    (void)str_cut(&mantissa, '.', &d.whole);
    d.fraction = mantissa;

    bool down = rest.n && rest.p[0] == '-';
    uint64_t exponent = 0;
    if (rest.n) {
        struct str digits = str_from(rest, down || rest.p[0] == '+');
        d.huge = str_to_u64(digits, &exponent) < 0 || exponent > (uint64_t)1 << 60;
    }
    d.exponent = d.huge ? 0 : down ? -(int64_t)exponent : (int64_t)exponent;

    d.to = d.whole.n + d.fraction.n;
    while (d.to > 0 && decimal_digit(&d, d.to - 1) == '0') {
        d.to--;
    }
    while (d.from < d.to && decimal_digit(&d, d.from) == '0') {
        d.from++;
    }
    d.exponent += (int64_t)d.whole.n - (int64_t)d.to;
    return d;
}
