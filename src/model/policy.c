#include "model/resource_kind.h"

static const char *const whats[] = {"concurrency",   "requests", "input_tokens",
                                    "output_tokens", "tokens",   NULL};
static const char *const pers[] = {"second", "minute", "hour", "day", "month", NULL};
static const char *const priorities[] = {"low", "normal", "high", NULL};
static const char *const unpriced[] = {"pass", "refuse", NULL};

#define PER_HELP                                                                                   \
    "The window: second, minute and hour slide, day and month are those of the calendar."
#define ZONE(owner)                                                                                \
    {                                                                                              \
        .name = "time_zone", .help = "Whose days and months.", .fallback_help = "UTC",             \
        .type = FIELD_TEXT, .rule = &rule_zone, .at = AT(owner, time_zone)                         \
    }
#define SOFT(owner)                                                                                \
    {                                                                                              \
        .name = "soft", .help = "Nothing is refused, answers beyond it tell so in a header.",      \
        .type = FIELD_BOOL, .at = AT(owner, soft)                                                  \
    }

static const struct field limit_fields[] = {
    {.name = "what",
     .help = "What is counted: calls, their tokens, or with concurrency calls that run at the "
             "same time.",
     .type = FIELD_CHOICE,
     .required = true,
     .choices = whats,
     .at = AT(config_limit, what)},
    {.name = "at_most",
     .help = "How many there may be.",
     .type = FIELD_INT,
     .required = true,
     .min = 1,
     .max = 1000000000000,
     .at = AT(config_limit, at_most)},
    {.name = "per",
     .help = PER_HELP " Not of concurrency.",
     .type = FIELD_CHOICE,
     .choices = pers,
     .at = AT(config_limit, per)},
    ZONE(config_limit),
    SOFT(config_limit),
};

static void check_zone(struct kind_reader *r, const struct json *j, const struct path *path,
                       enum limit_per per, struct str zone)
{
    if (zone.n && per != PER_DAY && per != PER_MONTH) {
        mistake_add(r->mistakes, j, path, "time_zone is for day and month only");
    }
}

static void finish_limit(struct kind_reader *r, const struct json *j, const struct path *path,
                         void *to)
{
    struct config_limit *l = to;
    const struct json *per = json_get(j, STR("per"));
    bool given = per && per->type != JSON_NULL;
    if (l->what == LIMIT_CONCURRENCY) {
        l->per = PER_NOTHING;
        if (given) {
            mistake_add(r->mistakes, j, path, "concurrency has no window: leave per out");
        }
    } else if (!given) {
        mistake_add(r->mistakes, j, path,
                    "per is missing; allowed: second, minute, hour, day, month");
    }
    check_zone(r, j, path, l->per, l->time_zone);
}

static const struct kind kind_limit = {
    .name = "limit",
    .help = "How much of something there may be.",
    .size = sizeof(struct config_limit),
    KIND_FIELDS(limit_fields),
    .finish = finish_limit,
};

static const struct field budget_fields[] = {
    {.name = "usd",
     .help = "US dollars.",
     .type = FIELD_TEXT,
     .number = true,
     .rule = &rule_usd,
     .at = AT(config_budget, usd)},
    {.name = "requests",
     .help = "Calls.",
     .type = FIELD_INT,
     .min = 1,
     .max = 1000000000000,
     .at = AT(config_budget, requests)},
    {.name = "tokens",
     .help = "Tokens, read and written.",
     .type = FIELD_INT,
     .min = 1,
     .max = 1000000000000,
     .at = AT(config_budget, tokens)},
    {.name = "per",
     .help = PER_HELP,
     .type = FIELD_CHOICE,
     .required = true,
     .choices = pers,
     .at = AT(config_budget, per)},
    ZONE(config_budget),
    SOFT(config_budget),
    {.name = "unpriced",
     .help = "What becomes of calls whose price is not known when usd is given: they are refused, "
             "or pass and are charged nothing.",
     .type = FIELD_CHOICE,
     .choices = unpriced,
     .fallback = "refuse",
     .at = AT(config_budget, unpriced)},
};

static void finish_budget(struct kind_reader *r, const struct json *j, const struct path *path,
                          void *to)
{
    struct config_budget *b = to;
    if ((b->usd.n > 0) + (b->requests > 0) + (b->tokens > 0) != 1) {
        mistake_add(r->mistakes, j, path, "exactly one is needed of usd, requests and tokens");
    }
    check_zone(r, j, path, b->per, b->time_zone);
}

static const struct kind kind_budget = {
    .name = "budget",
    .help = "How much may be used in a time.",
    .size = sizeof(struct config_budget),
    KIND_FIELDS(budget_fields),
    .finish = finish_budget,
};

static const struct field applies_fields[] = {
    {.name = "org",
     .help = "Everybody together: true.",
     .type = FIELD_BOOL,
     .at = AT(config_applies, org)},
    {.name = "address",
     .help = "Each client address by itself: true. IPv6 counts by /64.",
     .type = FIELD_BOOL,
     .at = AT(config_applies, address)},
    {.name = "key",
     .help = "The id of a key, declared under keys or kept in the data directory.",
     .type = FIELD_REFERENCE,
     .kind = &kind_key,
     .rule = &rule_name,
     .at = AT(config_applies, key)},
    {.name = "model",
     .help = "The id of a model that is declared under models.",
     .type = FIELD_REFERENCE,
     .kind = &kind_model,
     .rule = &rule_model,
     .at = AT(config_applies, model)},
    {.name = "team",
     .help = "The id of a team.",
     .type = FIELD_REFERENCE,
     .platform = true,
     .kind = &kind_team,
     .rule = &rule_name,
     .at = AT(config_applies, team)},
    {.name = "service",
     .help = "The id of a service.",
     .type = FIELD_REFERENCE,
     .platform = true,
     .kind = &kind_service,
     .rule = &rule_name,
     .at = AT(config_applies, service)},
    {.name = "application",
     .help = "The id of an application.",
     .type = FIELD_REFERENCE,
     .platform = true,
     .kind = &kind_application,
     .rule = &rule_name,
     .at = AT(config_applies, application)},
};

static void finish_applies(struct kind_reader *r, const struct json *j, const struct path *path,
                           void *to)
{
    const struct config_applies *x = to;
    int n = x->org + x->address + (x->key.n > 0) + (x->model.n > 0) + (x->team.n > 0) +
            (x->service.n > 0) + (x->application.n > 0);
    if (n != 1) {
        mistake_add(r->mistakes, j, path,
                    "exactly one is needed of {org: true}, {address: true}, {key: ID}%s",
                    r->platform ? ", {model: ID}, {team: ID}, {service: ID} and {application: ID}"
                                : " and {model: ID}");
    }
}

static const struct kind kind_applies = {
    .name = "scope",
    .help = "Exactly one of its fields, naming whom the policy is about.",
    .size = sizeof(struct config_applies),
    KIND_FIELDS(applies_fields),
    .finish = finish_applies,
};

static const struct field retry_fields[] = {
    {.name = "attempts",
     .help = "At most so many, the first one included; 0: what a wider policy says, and 3 when "
             "none does.",
     .type = FIELD_INT,
     .fallback = "0",
     .max = 10,
     .at = AT(config_retry, attempts)},
    {.name = "deadline_ms",
     .help = "No attempt begins later than so many milliseconds after the call; 0: what a wider "
             "policy says, and as long as a call may take when none does.",
     .type = FIELD_INT,
     .fallback = "0",
     .max = 3600000,
     .at = AT(config_retry, deadline_ms)},
};

static const struct kind kind_retry = {
    .name = "retry",
    .help = "How often and how long a call is tried.",
    .size = sizeof(struct config_retry),
    KIND_FIELDS(retry_fields),
};

static const char *const cache_scopes[] = {"team", "key", NULL};

static const struct field cache_fields[] = {
    {.name = "ttl_s",
     .help = "For how many seconds an answer is given again to the same question; 0: none is.",
     .type = FIELD_INT,
     .required = true,
     .max = 2592000,
     .at = AT(config_cache, ttl_s)},
    {.name = "scope",
     .help = "Whose questions are the same: those of all keys of a team (a key without one stands "
             "for itself), or of one key.",
     .type = FIELD_CHOICE,
     .choices = cache_scopes,
     .fallback = "team",
     .at = AT(config_cache, scope)},
    {.name = "coalesce",
     .help =
         "Of identical calls at the same time one goes to the provider, and all get its answer. "
         "Without it, of those only that are to have the same answer (temperature 0 and a seed).",
     .type = FIELD_BOOL,
     .at = AT(config_cache, coalesce)},
};

static const struct kind kind_cache = {
    .name = "cache",
    .help = "Answers that are given again to who asks exactly the same.",
    .size = sizeof(struct config_cache),
    KIND_FIELDS(cache_fields),
};

static const char *const recorded[] = {"none", "errors", "all", NULL};

static const struct field bodies_fields[] = {
    {.name = "record",
     .help = "Of which calls the bodies are kept: of none, of those that went wrong, or of all.",
     .type = FIELD_CHOICE,
     .choices = recorded,
     .fallback = "none",
     .at = AT(config_bodies, record)},
    {.name = "share_percent",
     .help = "Of how many of these calls, in percent; which ones is left to chance.",
     .type = FIELD_INT,
     .fallback = "100",
     .max = 100,
     .at = AT(config_bodies, share_percent)},
    {.name = "max_bytes",
     .help = "How much is kept of each body; the rest is cut off.",
     .type = FIELD_INT,
     .fallback = "65536",
     .min = 1,
     .max = 1 << 20,
     .at = AT(config_bodies, max_bytes)},
    {.name = "keep_days",
     .help = "For how many days; never longer than the records of calls (ledger.keep_days).",
     .type = FIELD_INT,
     .fallback = "7",
     .min = 1,
     .max = 36500,
     .at = AT(config_bodies, keep_days)},
};

static const struct kind kind_bodies = {
    .name = "bodies",
    .help = "What callers asked and were answered, kept sealed beside the ledger.",
    .size = sizeof(struct config_bodies),
    KIND_FIELDS(bodies_fields),
};

static const struct field policy_fields[] = {
    {.name = "id",
     .help = "A name for it, shown in answers that refuse a call.",
     .type = FIELD_TEXT,
     .required = true,
     .unique = true,
     .rule = &rule_name,
     .at = AT(config_policy, id)},
    {.name = "applies_to",
     .help = "Whom it is about.",
     .example = "{\"org\": true}",
     .type = FIELD_OBJECT,
     .required = true,
     .kind = &kind_applies,
     .at = AT(config_policy, applies_to)},
    {.name = "limits",
     .help = "What is limited.",
     .type = FIELD_OBJECTS,
     .kind = &kind_limit,
     .max = 16,
     .at = AT(config_policy, limits),
     .at_n = AT(config_policy, n_limits)},
    {.name = "budgets",
     .help = "What may be used; beyond it calls are refused with 402.",
     .type = FIELD_OBJECTS,
     .kind = &kind_budget,
     .max = 16,
     .at = AT(config_policy, budgets),
     .at_n = AT(config_policy, n_budgets)},
    {.name = "masking",
     .help = "Personal data and secrets in calls, and what becomes of them.",
     .type = FIELD_OBJECT,
     .kind = &kind_masking,
     .optional = true,
     .at = AT(config_policy, masking),
     .at_n = AT(config_policy, masking.given)},
    {.name = "priority",
     .help =
         "Whose calls are refused first when the server has too much to do: low ones, high ones "
         "last. That of the key counts, then of its application, its team, of everybody.",
     .type = FIELD_CHOICE,
     .choices = priorities,
     .fallback_help = "what a wider policy says, and normal when none does",
     .at = AT(config_policy, priority)},
    {.name = "retry",
     .help = "How often a call is tried, and how long.",
     .type = FIELD_OBJECT,
     .kind = &kind_retry,
     .optional = true,
     .at = AT(config_policy, retry),
     .at_n = AT(config_policy, retry.given)},
    {.name = "cache",
     .help =
         "Answers that are given again. Of several policies the key's counts, then those of its "
         "application and team, then the model's, then everybody's.",
     .type = FIELD_OBJECT,
     .kind = &kind_cache,
     .optional = true,
     .at = AT(config_policy, cache),
     .at_n = AT(config_policy, cache.given)},
    {.name = "bodies",
     .help = "What is kept of requests and answers, as masking leaves them; nothing without it. Of "
             "several policies the key's counts, then those of its application and team, then the "
             "model's, then everybody's.",
     .type = FIELD_OBJECT,
     .kind = &kind_bodies,
     .optional = true,
     .at = AT(config_policy, bodies),
     .at_n = AT(config_policy, bodies.given)},
};

/* Of an address only what has a window: there may be very many of them. */
static void check_address(struct kind_reader *r, const struct json *j, const struct path *path,
                          const struct config_policy *p)
{
    if (p->masking.given || p->retry.given || p->cache.given || p->bodies.given) {
        mistake_add(
            r->mistakes, j, path,
            "masking, retry, cache and bodies are not about addresses; put them into a policy of "
            "org, key or model");
    }
    for (size_t i = 0; i < p->n_limits; i++) {
        if (p->limits[i].what == LIMIT_CONCURRENCY) {
            mistake_add(r->mistakes, j, path,
                        "concurrency of an address is not supported by this version; limit its "
                        "requests per second");
        }
    }
}

static void finish(struct kind_reader *r, const struct json *j, const struct path *path, void *to)
{
    struct config_policy *p = to;
    const struct {
        enum policy_scope scope;
        struct str subject;
    } subjects[] = {
        {SCOPE_KEY, p->applies_to.key},
        {SCOPE_MODEL, p->applies_to.model},
        {SCOPE_TEAM, p->applies_to.team},
        {SCOPE_SERVICE, p->applies_to.service},
        {SCOPE_APPLICATION, p->applies_to.application},
    };
    p->scope = p->applies_to.address ? SCOPE_ADDRESS : SCOPE_ORG;
    for (size_t i = 0; i < sizeof subjects / sizeof *subjects; i++) {
        if (subjects[i].subject.n) {
            p->scope = subjects[i].scope;
            p->subject = subjects[i].subject;
        }
    }
    if (p->scope == SCOPE_ADDRESS) {
        check_address(r, j, path, p);
    }
    const struct json *priority = json_get(j, STR("priority"));
    if (!priority || priority->type == JSON_NULL) {
        p->priority = PRIORITIES;
    } else if (p->scope == SCOPE_MODEL || p->scope == SCOPE_SERVICE || p->scope == SCOPE_ADDRESS) {
        mistake_add(r->mistakes, priority, path,
                    "priority is about who calls: put it into a policy of org, team, application "
                    "or key");
    }
    if (p->cache.given && p->scope == SCOPE_SERVICE) {
        mistake_add(r->mistakes, j, path, "cache of a service is not supported by this version");
    }
    if (p->retry.given && p->scope == SCOPE_SERVICE) {
        mistake_add(r->mistakes, j, path, "retry of a service is not supported by this version");
    }
    if (p->bodies.given && p->scope == SCOPE_SERVICE) {
        mistake_add(r->mistakes, j, path, "bodies of a service are not supported by this version");
    }
    if (p->masking.given && p->scope == SCOPE_SERVICE) {
        mistake_add(r->mistakes, j, path, "masking of a service is not supported by this version");
    }
}

const struct kind kind_policy = {
    .name = "policy",
    .help =
        "Limits, budgets, retries, masking, caches and kept bodies, attached to everybody, to a "
        "key or to a model.",
    .size = sizeof(struct config_policy),
    KIND_FIELDS(policy_fields),
    .finish = finish,
};

const struct resource_kind resource_policy = {
    .kind = &kind_policy,
    .plural = "policies",
    .id_prefix = "pol_",
    .id_rule = &rule_name,
    .in_file = true,
};
