#include "ledger/price.h"

enum { PICO_PER_NANO = 1000 };

/* A sum of tokens times rates. */
struct sum {
    int64_t pico;
    bool unknown, huge;
};

static void charge(struct sum *s, int64_t tokens, int64_t rate)
{
    int64_t part;
    if (tokens <= 0) {
        return;
    }
    if (rate < 0) {
        s->unknown = true;
    } else if (__builtin_mul_overflow(tokens, rate, &part) ||
               __builtin_add_overflow(s->pico, part, &s->pico)) {
        s->huge = true;
    }
}

/* Takes a part out of what is left of its whole: vendors have told parts larger than it. */
static int64_t take(int64_t *left, int64_t part)
{
    part = part < 0 ? 0 : part < *left ? part : *left;
    *left -= part;
    return part;
}

static int64_t rate_or(const int64_t *rate, enum rate which, int64_t otherwise)
{
    return rate[which] >= 0 ? rate[which] : otherwise;
}

static void charge_input(struct sum *s, const int64_t *rate, const struct usage *u)
{
    int64_t left = u->input, plain = rate[RATE_INPUT];
    int64_t hour = plain < 0 || plain > INT64_MAX / 2 ? -1 : 2 * plain;
    charge(s, take(&left, u->cache_read), rate_or(rate, RATE_CACHE_READ, plain));
    int64_t written = take(&left, u->cache_write);
    charge(s, take(&written, u->cache_write_1h), rate_or(rate, RATE_CACHE_WRITE_1H, hour));
    charge(s, written, rate_or(rate, RATE_CACHE_WRITE, plain));
    charge(s, take(&left, u->input_audio), rate_or(rate, RATE_INPUT_AUDIO, plain));
    charge(s, left, plain);
}

static void charge_output(struct sum *s, const int64_t *rate, const struct usage *u)
{
    int64_t left = u->output, plain = rate[RATE_OUTPUT];
    charge(s, take(&left, u->reasoning), rate_or(rate, RATE_REASONING, plain));
    charge(s, take(&left, u->output_audio), rate_or(rate, RATE_OUTPUT_AUDIO, plain));
    charge(s, left, plain);
}

int64_t price_cost(const struct price *p, const struct usage *u)
{
    struct sum s = {0};
    if (!p || (u->input < 0 && u->output < 0)) {
        return -1;
    }
    const int64_t *rate = p->rate;
    for (uint32_t i = 0; i < p->n_tiers && u->input > p->tiers[i].above; i++) {
        rate = p->tiers[i].rate;
    }
    if (u->input > 0) {
        charge_input(&s, rate, u);
    }
    if (u->output > 0) {
        charge_output(&s, rate, u);
    }
    if (s.unknown) {
        return -1;
    }
    return s.huge ? INT64_MAX : s.pico / PICO_PER_NANO + (s.pico % PICO_PER_NANO != 0);
}
