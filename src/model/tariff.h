/* What a model costs: US dollars per token in whole pico-dollars, so that $0.05 per million tokens is 50,000 and no
 * sum is ever rounded on the way. From the table of known models (facts.h), from accord.yaml or from the platform;
 * what was charged by is found again by the version, which is made of the prices alone. */
#ifndef MODEL_TARIFF_H
#define MODEL_TARIFF_H

#include "base/arena.h"
#include "base/buf.h"

/* Kinds of tokens with prices of their own, the column of tools/embed.py in each. */
#define RATE_LIST(X)                                                                               \
    X(INPUT, input)                                                                                \
    X(OUTPUT, output)                                                                              \
    X(CACHE_READ, cache_read)         /* read from a prompt cache: a part of the input */          \
    X(CACHE_WRITE, cache_write)       /* put into one, likewise */                                 \
    X(CACHE_WRITE_1H, cache_write_1h) /* ... for an hour: a part of those */                       \
    X(REASONING, reasoning)           /* a part of the output */                                   \
    X(INPUT_AUDIO, input_audio)       /* parts of both */                                          \
    X(OUTPUT_AUDIO, output_audio)

enum rate {
#define RATE_NAME(upper, lower) RATE_##upper,
    RATE_LIST(RATE_NAME)
#undef RATE_NAME
        RATES
};

extern const char *const rate_name[RATES]; /* "input" */

/* Instead of the others when a call reads more than `above` tokens. */
struct price_tier {
    int64_t above;
    int64_t rate[RATES];
};

struct price {
    int64_t rate[RATES];            /* pico-dollars per token; -1: not known */
    const struct price_tier *tiers; /* by `above`, the smallest first */
    uint32_t n_tiers;
    uint32_t version;           /* never 0 */
    uint64_t from_us;           /* wall clock, from when on it counts */
    const struct price *before; /* what counted until then; NULL: nothing is known of that time */
};

/* The version of these prices: the same for the same numbers, in every process. */
uint32_t price_version(const struct price *p);

/* The one that counts at that time, or NULL. */
static inline const struct price *price_at(const struct price *newest, uint64_t wall_us)
{
    while (newest && newest->from_us > wall_us) {
        newest = newest->before;
    }
    return newest;
}

/* US dollars per million tokens, "0.05", as pico-dollars per token. False: no decimal number, or one of more than six
 * digits behind the point, or above 1,000,000. */
bool price_parse(struct str usd, int64_t *ret);

/* {"input":"0.05","output":"0.4", ...}: US dollars per million tokens, what is known of it. */
void price_print(struct buf *b, const struct price *p);

#endif
