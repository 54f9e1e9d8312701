#include "conflict/http_date.h"
#include "model/resource_kind.h"

#define RATE(which, member, text)                                                                  \
    .name = (member), .help = (text), .type = FIELD_TEXT, .number = true, .rule = &rule_price,     \
    .at = AT(config_price, rate) + (which) * sizeof(struct str)

static const struct field price_fields[] = {
    {RATE(RATE_INPUT, "input", "Of input tokens, in US dollars per million."), .required = true},
    {RATE(RATE_OUTPUT, "output", "Of output tokens."),
     .fallback_help = "not known, and so is the cost of a call that has any"},
    {RATE(RATE_CACHE_READ, "cache_read", "Of input that a prompt cache had."),
     .fallback_help = "that of input"},
    {RATE(RATE_CACHE_WRITE, "cache_write", "Of input that went into one."),
     .fallback_help = "that of input"},
    {RATE(RATE_CACHE_WRITE_1H, "cache_write_1h", "Of input that went into one for an hour."),
     .fallback_help = "twice that of input"},
    {RATE(RATE_REASONING, "reasoning", "Of output that was thought."),
     .fallback_help = "that of output"},
    {RATE(RATE_INPUT_AUDIO, "input_audio", "Of input that was heard."),
     .fallback_help = "that of input"},
    {RATE(RATE_OUTPUT_AUDIO, "output_audio", "Of output that was spoken."),
     .fallback_help = "that of output"},
    {.name = "from",
     .help = "From when on it counts; of several prices the latest one that has begun.",
     .fallback_help = "ever since",
     .type = FIELD_TEXT,
     .unique = true,
     .rule = &rule_time,
     .at = AT(config_price, from)},
};

static const struct kind kind_price = {
    .name = "price",
    .help = "What tokens cost.",
    .size = sizeof(struct config_price),
    KIND_FIELDS(price_fields),
};

static const struct field condition_fields[] = {
    {.name = "header",
     .help = "The name of a header that the call has.",
     .type = FIELD_TEXT,
     .rule = &rule_field_name,
     .at = AT(config_condition, header)},
    {.name = "metadata",
     .help = "The name of a member that `metadata` of the request has.",
     .type = FIELD_TEXT,
     .rule = &rule_value_pattern,
     .at = AT(config_condition, metadata)},
    {.name = "is",
     .help = "What the header or the member says: a value, or the beginning of one followed by "
             "'*'; of several, any.",
     .fallback_help = "anything",
     .type = FIELD_TEXTS,
     .one_or_many = true,
     .rule = &rule_value_pattern,
     .min = 1,
     .max = 64,
     .at = AT(config_condition, is),
     .at_n = AT(config_condition, n_is)},
    {.name = "model",
     .help = "The name that the client asks for, which may be an alias: a name, or the beginning "
             "of one followed by '*'; of several, any.",
     .type = FIELD_TEXTS,
     .one_or_many = true,
     .rule = &rule_model_pattern,
     .min = 1,
     .max = 64,
     .at = AT(config_condition, models),
     .at_n = AT(config_condition, n_models)},
    {.name = "min_tokens",
     .help = "So many tokens the request has at least, by an estimate: a quarter of its bytes.",
     .type = FIELD_INT,
     .min = 0,
     .max = 1000000000,
     .fallback_help = "no bound",
     .at = AT(config_condition, min_tokens)},
    {.name = "max_tokens",
     .help = "So many at most.",
     .type = FIELD_INT,
     .min = 0,
     .max = 1000000000,
     .fallback_help = "no bound",
     .at = AT(config_condition, max_tokens)},
};

static void finish_condition(struct kind_reader *r, const struct json *j, const struct path *path,
                             void *to)
{
    const struct config_condition *c = to;
    bool tokens = c->min_tokens || c->max_tokens;
    if ((c->header.n > 0) + (c->metadata.n > 0) + (c->n_models > 0) + tokens != 1) {
        mistake_add(r->mistakes, j, path,
                    "exactly one is needed of {header: NAME}, {metadata: NAME}, {model: PATTERN} "
                    "and {min_tokens: N, max_tokens: N}; write a list for several");
    } else if (c->n_is && !c->header.n && !c->metadata.n) {
        mistake_add(r->mistakes, j, path, "is belongs to header or metadata: leave it out");
    } else if (c->max_tokens && c->max_tokens < c->min_tokens) {
        struct path at = {.up = path, .name = STR("max_tokens")};
        mistake_add(r->mistakes, json_get(j, at.name), &at,
                    "%lld is below min_tokens; allowed: %lld or more", (long long)c->max_tokens,
                    (long long)c->min_tokens);
    }
}

static const struct kind kind_condition = {
    .name = "condition",
    .help = "What must hold of a call: exactly one of header, metadata, model and tokens.",
    .size = sizeof(struct config_condition),
    KIND_FIELDS(condition_fields),
    .finish = finish_condition,
};

static const struct field target_fields[] = {
    {.name = "provider",
     .help = "The id of the provider that answers.",
     .type = FIELD_REFERENCE,
     .required = true,
     .kind = &kind_provider,
     .rule = &rule_name,
     .at = AT(config_target, provider_id),
     .at_n = AT(config_target, provider),
     .indexed = true},
    {.name = "model",
     .help = "The name of the model at that provider.",
     .type = FIELD_TEXT,
     .required = true,
     .rule = &rule_upstream,
     .at = AT(config_target, model)},
    {.name = "weight",
     .help = "Its share of the calls among the targets of the same priority; 0 takes none.",
     .type = FIELD_INT,
     .min = 0,
     .max = 1000,
     .fallback = "1",
     .at = AT(config_target, weight)},
    {.name = "priority",
     .help = "Targets of priority 1 are used first; the next ones when none of those is left.",
     .type = FIELD_INT,
     .min = 1,
     .max = 100,
     .fallback = "1",
     .at = AT(config_target, priority)},
    {.name = "price",
     .help = "What it costs, when that is not what its vendor asks of everybody; one price, or "
             "several with dates.",
     .type = FIELD_OBJECTS,
     .kind = &kind_price,
     .shorthand = "input",
     .max = 100,
     .at = AT(config_target, prices),
     .at_n = AT(config_target, n_prices)},
    {.name = "when",
     .help = "It takes only calls of which all this holds.",
     .fallback_help = "any call",
     .type = FIELD_OBJECTS,
     .one_or_many = true,
     .kind = &kind_condition,
     .max = 16,
     .at = AT(config_target, when),
     .at_n = AT(config_target, n_when)},
};

static const struct kind kind_target = {
    .name = "target",
    .help = "A model at a provider.",
    .size = sizeof(struct config_target),
    KIND_FIELDS(target_fields),
};

const char *const balance_name[] = {"weighted", "least_latency", "least_busy", "cheapest", NULL};
const char *const sticky_name[STICKY_COUNT + 1] = {"key", "session", "cache_key", "prefix", NULL};

static bool check_sticky(struct arena *a, struct str s, struct str *ret)
{
    (void)a;
    *ret = s;
    for (size_t i = 0; sticky_name[i]; i++) {
        if (str_eq(s, str_of(sticky_name[i]))) {
            return true;
        }
    }
    return false;
}

static const struct rule rule_sticky = {
    .allowed = "key, session, cache_key or prefix",
    .pattern = "^(key|session|cache_key|prefix)$",
    .example = "session",
    .check = check_sticky,
};

static const struct field model_fields[] = {
    {.name = "id",
     .help = "The name that clients ask for.",
     .type = FIELD_TEXT,
     .required = true,
     .unique = true,
     .rule = &rule_model,
     .at = AT(config_model, id)},
    {.name = "aliases",
     .help = "Other names for the same.",
     .type = FIELD_TEXTS,
     .rule = &rule_model,
     .at = AT(config_model, aliases),
     .at_n = AT(config_model, n_aliases)},
    {.name = "targets",
     .help = "Who answers.",
     .type = FIELD_OBJECTS,
     .required = true,
     .kind = &kind_target,
     .min = 1,
     .max = 64,
     .at = AT(config_model, targets),
     .at_n = AT(config_model, n_targets)},
    {.name = "balance",
     .help = "Which target of the best priority takes a call: by lot and weight; the one that "
             "begins its answers soonest; the one with the fewest calls under way for its weight; "
             "the one that costs least. Among equals the lot decides.",
     .type = FIELD_CHOICE,
     .choices = balance_name,
     .fallback = "weighted",
     .at = AT(config_model, balance)},
    {.name = "sticky",
     .help = "Calls that agree in this go to the same target, as long as it is well: the caller's "
             "key; the session (x-session-id and the like, the conversation, metadata.session_id, "
             "metadata.user_id, user); prompt_cache_key; the beginning of the conversation. Of "
             "several the first that a call has; a call that has none is balanced.",
     .fallback_help = "none",
     .type = FIELD_TEXTS,
     .one_or_many = true,
     .rule = &rule_sticky,
     .max = STICKY_COUNT,
     .at = AT(config_model, sticky),
     .at_n = AT(config_model, n_sticky)},
    {.name = "deprecated_at",
     .help = "From when on it should not be used any more; its answers say so in Deprecation.",
     .type = FIELD_TEXT,
     .rule = &rule_time,
     .at = AT(config_model, deprecated_at)},
    {.name = "sunset_at",
     .help = "From when on calls are answered 410; until then answers say so in Sunset.",
     .type = FIELD_TEXT,
     .rule = &rule_time,
     .at = AT(config_model, sunset_at)},
    {.name = "successor",
     .help = "The name of the model that takes its place.",
     .type = FIELD_TEXT,
     .rule = &rule_model,
     .at = AT(config_model, successor)},
    {.name = "notice",
     .help = "The URL of a page that tells about its end.",
     .type = FIELD_TEXT,
     .rule = &rule_base_url,
     .at = AT(config_model, notice)},
    {.name = "timeouts",
     .help = "Its deadlines in milliseconds, ahead of those of its providers.",
     .type = FIELD_OBJECT,
     .kind = &kind_model_timeouts,
     .at = AT(config_model, timeouts)},
    {.name = "hedge",
     .help = "Calls whose answer is late to begin are asked of a second target, too; without it "
             "none are.",
     .type = FIELD_OBJECT,
     .kind = &kind_hedge,
     .optional = true,
     .at = AT(config_model, hedge),
     .at_n = AT(config_model, hedge.given)},
};

static void finish_model(struct kind_reader *r, const struct json *j, const struct path *path,
                         void *to)
{
    const struct config_model *m = to;
    struct path at = {.up = path, .name = STR("sunset_at")};
    int64_t deprecated, sunset;
    if (m->deprecated_at.n && m->sunset_at.n && time_parse(m->deprecated_at, &deprecated) == 0 &&
        time_parse(m->sunset_at, &sunset) == 0 && sunset < deprecated) {
        mistake_add(r->mistakes, json_get(j, at.name), &at,
                    "\"%.*s\" is before deprecated_at; allowed: that time or a later one",
                    STR_ARG(m->sunset_at));
    }
}

const struct kind kind_model = {
    .name = "model",
    .help = "A name that clients use, and who answers to it.",
    .size = sizeof(struct config_model),
    KIND_FIELDS(model_fields),
    .finish = finish_model,
};

const struct resource_kind resource_model = {
    .kind = &kind_model,
    .plural = "models",
    .id_prefix = "model_",
    .id_rule = &rule_model,
    .also_named = "aliases",
    .in_file = true,
};
