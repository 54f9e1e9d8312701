#include "model/tariff.h"

#include <stdio.h>

const char *const rate_name[RATES] = {
#define NAME_OF(upper, lower) #lower,
    RATE_LIST(NAME_OF)
#undef NAME_OF
};

static uint64_t mix(uint64_t h, int64_t v)
{
    h = (h ^ (uint64_t)v) * 0x9E3779B97F4A7C15U;
    return h ^ h >> 32;
}

uint32_t price_version(const struct price *p)
{
    uint64_t h = 1;
    for (unsigned i = 0; i < RATES; i++) {
        h = mix(h, p->rate[i]);
    }
    for (uint32_t t = 0; t < p->n_tiers; t++) {
        h = mix(h, p->tiers[t].above);
        for (unsigned i = 0; i < RATES; i++) {
            h = mix(h, p->tiers[t].rate[i]);
        }
    }
    uint32_t version = (uint32_t)(h ^ h >> 32);
    return version ? version : 1;
}

bool price_parse(struct str usd, int64_t *ret)
{
    enum { DIGITS = 6, MILLION = 1000000 };
    struct str whole, fraction = usd;
    uint64_t dollars, millionths = 0;
    bool point = str_cut(&fraction, '.', &whole);
    if (str_to_u64(whole, &dollars) < 0 || dollars > MILLION || whole.n > 7) {
        return false;
    }
    if (point && (fraction.n > DIGITS || str_to_u64(fraction, &millionths) < 0)) {
        return false;
    }
    for (size_t i = fraction.n; point && i < DIGITS; i++) {
        millionths *= 10;
    }
    uint64_t pico = dollars * MILLION + millionths;
    if (pico > (uint64_t)MILLION * MILLION) {
        return false;
    }
    *ret = (int64_t)pico;
    return true;
}

static void print_usd(struct buf *b, int64_t pico)
{
    char text[32];
    int n = snprintf(text, sizeof text, "%lld.%06lld", (long long)(pico / 1000000),
                     (long long)(pico % 1000000));
    while (text[n - 1] == '0') {
        n--;
    }
    buf_add(b, str_make(text, (size_t)(text[n - 1] == '.' ? n - 1 : n)));
}

static void print_rates(struct buf *b, const int64_t *rate)
{
    const char *comma = "";
    for (unsigned i = 0; i < RATES; i++) {
        if (rate[i] >= 0) {
            buf_printf(b, "%s\"%s\":\"", comma, rate_name[i]);
            print_usd(b, rate[i]);
            buf_addc(b, '"');
            comma = ",";
        }
    }
}

void price_print(struct buf *b, const struct price *p)
{
    buf_addc(b, '{');
    print_rates(b, p->rate);
    for (uint32_t i = 0; i < p->n_tiers; i++) {
        buf_printf(b, "%s{\"above\":%lld,", i ? "," : ",\"tiers\":[", (long long)p->tiers[i].above);
        print_rates(b, p->tiers[i].rate);
        buf_addc(b, '}');
    }
    buf_addz(b, p->n_tiers ? "]}" : "}");
}
