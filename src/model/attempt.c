/* What bounds an attempt, in the words of providers and models: its deadlines, how the host of a provider is
 * watched, and when a second one is made beside it. */
#include "model/resource_kind.h"

#define DAY_MS 86400000
#define DEADLINE(field, text)                                                                      \
    {                                                                                              \
        .name = #field, .help = text " 0: what a wider setting says.", .type = FIELD_INT,          \
        .max = DAY_MS, .fallback = "0", .at = AT(config_deadlines, field)                          \
    }
#define FIRST_TOKEN                                                                                \
    DEADLINE(first_token_ms, "From an attempt's begin to the first content of a stream.")
#define BETWEEN_TOKENS DEADLINE(between_tokens_ms, "Between two pieces of content of a stream.")

static const struct field provider_timeout_fields[] = {
    DEADLINE(connect_ms, "To connect, TLS included."),
    FIRST_TOKEN,
    BETWEEN_TOKENS,
};

const struct kind kind_provider_timeouts = {
    .name = "set of a provider's deadlines",
    .help = "Deadlines of a provider, in milliseconds; they count ahead of those of the server.",
    .size = sizeof(struct config_deadlines),
    KIND_FIELDS(provider_timeout_fields),
};

static const struct field model_timeout_fields[] = {
    FIRST_TOKEN,
    BETWEEN_TOKENS,
    DEADLINE(total_ms, "A whole call."),
};

const struct kind kind_model_timeouts = {
    .name = "set of a model's deadlines",
    .help = "Deadlines of a model, in milliseconds; they count ahead of those of its providers.",
    .size = sizeof(struct config_deadlines),
    KIND_FIELDS(model_timeout_fields),
};

static const struct field health_fields[] = {
    {.name = "path",
     .help = "What is asked, from the root of its host; an answer of 200 to 299 says that it is "
             "well.",
     .type = FIELD_TEXT,
     .required = true,
     .rule = &rule_prefix,
     .at = AT(config_health, path)},
    {.name = "every_ms",
     .help = "The time between two checks, give or take a tenth.",
     .type = FIELD_INT,
     .min = 100,
     .max = 3600000,
     .fallback = "10000",
     .at = AT(config_health, every_ms)},
    {.name = "timeout_ms",
     .help = "How long an answer may take.",
     .type = FIELD_INT,
     .min = 10,
     .max = 60000,
     .fallback = "2000",
     .at = AT(config_health, timeout_ms)},
    {.name = "failures",
     .help = "So many checks in a row must fail until its host rests.",
     .type = FIELD_INT,
     .min = 1,
     .max = 100,
     .fallback = "2",
     .at = AT(config_health, failures)},
};

const struct kind kind_health = {
    .name = "health check",
    .help = "A question that a provider is asked every so often, by one worker.",
    .size = sizeof(struct config_health),
    KIND_FIELDS(health_fields),
};

static const struct field hedge_fields[] = {
    {.name = "after_percentile",
     .help = "A second attempt begins when there is no content after the time in which so many "
             "percent of the target's streams had some, or of its whole answers had begun.",
     .type = FIELD_INT,
     .min = 50,
     .max = 99,
     .fallback = "95",
     .at = AT(config_hedge, after_percentile)},
    {.name = "budget_percent",
     .help = "At most so many second attempts per hundred calls.",
     .type = FIELD_INT,
     .min = 1,
     .max = 100,
     .fallback = "5",
     .at = AT(config_hedge, budget_percent)},
    {.name = "min_samples",
     .help = "Of so many streams of a target, or whole answers, the time must be known before one "
             "of them is hedged.",
     .type = FIELD_INT,
     .min = 10,
     .max = 1000,
     .fallback = "50",
     .at = AT(config_hedge, min_samples)},
};

const struct kind kind_hedge = {
    .name = "rule of hedging",
    .help = "When a second target is asked beside a slow one. The first that brings content "
            "answers, the other is cancelled.",
    .size = sizeof(struct config_hedge),
    KIND_FIELDS(hedge_fields),
};
