#include "gateway/snapshot_limits.h"

#include "model/names.h"
#include "model/rule.h"
#include "net/loop.h"

struct limits_compiler {
    struct arena *a, *scratch;
    const struct config *config;
    struct limit_now now;
    struct snap_limit *all;
    size_t *first; /* of each policy, in `all`; one more at the end */
    const struct subjects *subjects;
    struct names application; /* what was gathered for keys without a policy of their own */
};

/* ---- from the configuration ---- */

static const char *const what_name[] = {"concurrency",   "requests", "input_tokens",
                                        "output_tokens", "tokens",   "usd"};
static const char *const per_name[] = {"second", "minute", "hour", "day", "month", "nothing"};

/* Limits of a policy that count the same in the same window have counters of their own. */
static unsigned same_before(const struct limits_compiler *c, size_t from, size_t i)
{
    unsigned n = 0;
    for (; from < i; from++) {
        const struct limit_rule *x = &c->all[from].rule, *y = &c->all[i].rule;
        n += x->what == y->what && x->per == y->per && x->zone == y->zone;
    }
    return n;
}

static const enum limit_group group_of[LIMIT_WHATS] = {
    [LIMIT_CONCURRENCY] = LIMIT_GROUPS, [LIMIT_REQUESTS] = GROUP_REQUESTS,
    [LIMIT_INPUT_TOKENS] = GROUP_INPUT, [LIMIT_OUTPUT_TOKENS] = GROUP_OUTPUT,
    [LIMIT_TOKENS] = GROUP_TOKENS,      [LIMIT_USD] = LIMIT_GROUPS};

/* What answers tell of it but for what changes, made once. A month is told as 30 days. */
static void add_lines(struct limits_compiler *c, struct snap_limit *l)
{
    static const uint32_t length_s[] = {1, 60, 3600, 86400, 30 * 86400};
    unsigned long long most = l->rule.at_most;
    const char *openai = l->group == GROUP_REQUESTS ? "requests" : "tokens";
    static const char *const anthropic[LIMIT_GROUPS] = {"requests", "tokens", "input-tokens",
                                                        "output-tokens"};
    l->ratelimit =
        arena_printf(c->a, "ratelimit-policy: \"%.*s\";q=%llu;w=%u\r\nratelimit: \"%.*s\";r=",
                     STR_ARG(l->policy), most, length_s[l->rule.per], STR_ARG(l->policy));
    l->openai = arena_printf(
        c->a, "x-ratelimit-limit-%s: %llu\r\nx-ratelimit-remaining-%s: ", openai, most, openai);
    l->openai_reset = arena_printf(c->a, "\r\nx-ratelimit-reset-%s: ", openai);
    l->anthropic = arena_printf(
        c->a, "anthropic-ratelimit-%s-limit: %llu\r\nanthropic-ratelimit-%s-remaining: ",
        anthropic[l->group], most, anthropic[l->group]);
    l->anthropic_reset =
        arena_printf(c->a, "\r\nanthropic-ratelimit-%s-reset: ", anthropic[l->group]);
}

/* The policy's name is in it, and whom it is about: who moves a policy begins anew. */
static void add_counter(struct limits_compiler *c, const struct config_policy *p, size_t i,
                        struct str zone)
{
    struct snap_limit *l = &c->all[i];
    struct limit_rule *r = &l->rule;
    struct str name =
        arena_printf(c->scratch, "%.*s %d %.*s %s %s %.*s %u", STR_ARG(p->id), (int)p->scope,
                     STR_ARG(p->subject), what_name[r->what], per_name[r->per], STR_ARG(zone),
                     same_before(c, c->first[p - c->config->policies], i));
    l->policy = p->id;
    l->number = (uint16_t)(i - c->first[p - c->config->policies]);
    l->counter = counter_take(name, r->per, r->zone);
    r->counter = &l->counter->limit;
    counter_limit(l->counter, r->at_most, &c->now);
    if (p->scope == SCOPE_ADDRESS) {
        counter_by_address(l->counter);
    }
    l->shared = r->what == LIMIT_CONCURRENCY && counter_lease(l->counter);
    l->group = r->soft ? LIMIT_GROUPS : group_of[r->what];
    if (l->group != LIMIT_GROUPS) {
        add_lines(c, l);
    }
}

static const struct zone *zone_of(enum limit_per per, struct str name)
{
    return name.n && limit_is_calendar(per) ? zone_find(name) : NULL;
}

static size_t add_limits(struct limits_compiler *c, const struct config_policy *p, size_t n)
{
    for (size_t i = 0; i < p->n_limits; i++) {
        const struct config_limit *from = &p->limits[i];
        c->all[n].rule = (struct limit_rule){.what = from->what,
                                             .per = from->per,
                                             .soft = from->soft,
                                             .at_most = (uint64_t)from->at_most,
                                             .zone = zone_of(from->per, from->time_zone)};
        add_counter(c, p, n++, from->time_zone);
    }
    for (size_t i = 0; i < p->n_budgets; i++) {
        const struct config_budget *from = &p->budgets[i];
        struct limit_rule r = {.what = from->usd.n      ? LIMIT_USD
                                       : from->requests ? LIMIT_REQUESTS
                                                        : LIMIT_TOKENS,
                               .per = from->per,
                               .soft = from->soft,
                               .at_most = (uint64_t)(from->requests + from->tokens),
                               .zone = zone_of(from->per, from->time_zone)};
        (void)usd_parse(from->usd, &r.at_most); /* was checked when it was read */
        c->all[n].rule = r;
        c->all[n].budget = true;
        c->all[n].refuse_unpriced = from->unpriced == UNPRICED_REFUSE;
        add_counter(c, p, n++, from->time_zone);
    }
    return n;
}

static const struct network *proxies_of(const struct config *c, struct arena *a)
{
    struct network *all = arena_zalloc(a, (c->n_trusted_proxies + 1) * sizeof *all);
    for (size_t i = 0; i < c->n_trusted_proxies; i++) {
        (void)network_read(c->trusted_proxies[i], &all[i]); /* was checked when it was read */
    }
    return all;
}

static const struct snap_limits *gathered(struct limits_compiler *c,
                                          const enum policy_scope *scopes,
                                          const struct str *subjects, size_t n);

struct limits_compiler *limits_compile(struct snapshot *s, const struct subjects *subjects,
                                       struct arena *a, struct arena *scratch)
{
    const struct config *cfg = s->config;
    struct limits_compiler *c = arena_zalloc(scratch, sizeof *c);
    size_t n = 0;
    *c = (struct limits_compiler){.a = a,
                                  .scratch = scratch,
                                  .config = cfg,
                                  .subjects = subjects,
                                  .now = counter_now(clock_us(), clock_wall_us())};
    for (size_t i = 0; i < cfg->n_policies; i++) {
        n += cfg->policies[i].n_limits + cfg->policies[i].n_budgets;
    }
    c->all = arena_zalloc(a, (n + 1) * sizeof *c->all);
    c->first = arena_zalloc(scratch, (cfg->n_policies + 1) * sizeof *c->first);
    c->application.arena = scratch;
    for (size_t i = 0; i < cfg->n_policies; i++) {
        c->first[i + 1] = add_limits(c, &cfg->policies[i], c->first[i]);
    }
    s->limits = c->all;
    s->n_limits = n;
    s->full_load = cfg->limits.max_inflight ? (uint32_t)cfg->limits.max_inflight : 1 << 30;
    s->of_addresses = gathered(c, (enum policy_scope[]){SCOPE_ADDRESS}, &(struct str){0}, 1);
    s->proxies = proxies_of(cfg, a);
    return c;
}

/* ---- who they hold for ---- */

struct gathering {
    const struct snap_limit **at_once, **windows;
    uint32_t n_at_once, n_windows;
    bool tokens;
};

static bool has_limits(const struct limits_compiler *c, enum policy_scope scope, struct str subject)
{
    int64_t i = subjects_first(c->subjects, scope, subject);
    while (i >= 0 && c->first[i] == c->first[i + 1]) {
        i = subjects_next(c->subjects, i);
    }
    return i >= 0;
}

/* Without a place to put them they are only counted. */
static void gather(const struct limits_compiler *c, enum policy_scope scope, struct str subject,
                   struct gathering *g)
{
    const struct subjects *all = c->subjects;
    for (int64_t i = subjects_first(all, scope, subject); i >= 0; i = subjects_next(all, i)) {
        for (size_t k = c->first[i]; k < c->first[i + 1]; k++) {
            const struct snap_limit *l = &c->all[k];
            bool at_once = l->rule.what == LIMIT_CONCURRENCY;
            if (g->windows && at_once) {
                g->at_once[g->n_at_once] = l;
            } else if (g->windows) {
                g->windows[g->n_windows] = l;
            }
            g->n_at_once += at_once;
            g->n_windows += !at_once;
            g->tokens = g->tokens || (!at_once && l->rule.what != LIMIT_REQUESTS);
        }
    }
}

static const struct snap_limits *gathered(struct limits_compiler *c,
                                          const enum policy_scope *scopes,
                                          const struct str *subjects, size_t n)
{
    struct gathering g = {0};
    for (size_t i = 0; i < n; i++) {
        gather(c, scopes[i], subjects[i], &g);
    }
    if (g.n_at_once + g.n_windows == 0) {
        return NULL;
    }
    struct gathering put = {.at_once = arena_alloc(c->a, (g.n_at_once + 1) * sizeof *put.at_once),
                            .windows = arena_alloc(c->a, (g.n_windows + 1) * sizeof *put.windows)};
    for (size_t i = 0; i < n; i++) {
        gather(c, scopes[i], subjects[i], &put);
    }
    struct snap_limits *ret = arena_alloc(c->a, sizeof *ret);
    *ret = (struct snap_limits){.at_once = put.at_once,
                                .windows = put.windows,
                                .n_at_once = put.n_at_once,
                                .n_windows = put.n_windows,
                                .tokens = put.tokens};
    return ret;
}

const struct snap_limits *limits_of_key(struct limits_compiler *c, struct str key,
                                        struct str application, struct str team)
{
    static const enum policy_scope scopes[] = {SCOPE_ORG, SCOPE_TEAM, SCOPE_APPLICATION, SCOPE_KEY};
    const struct str subjects[] = {{0}, team, application, key};
    size_t kept;
    if (has_limits(c, SCOPE_KEY, key)) {
        return gathered(c, scopes, subjects, 4);
    }
    /* There may be very many such keys. */
    if (names_find(&c->application, application, &kept)) {
        return (const struct snap_limits *)kept;
    }
    const struct snap_limits *l = gathered(c, scopes, subjects, 3);
    names_add(&c->application, application, (size_t)l, NULL);
    return l;
}

static bool says_priority(const struct config_policy *p)
{
    return p->priority != PRIORITIES;
}

enum priority priority_of_key(const struct limits_compiler *c, struct str key,
                              struct str application, struct str team)
{
    static const enum policy_scope scopes[] = {SCOPE_KEY, SCOPE_APPLICATION, SCOPE_TEAM, SCOPE_ORG};
    const struct str subjects[] = {key, application, team, {0}};
    const struct config_policy *found = NULL;
    for (size_t k = 0; k < 4 && !found; k++) { /* of several for one the last counts */
        found = subjects_last(c->subjects, scopes[k], subjects[k], says_priority);
    }
    return found ? found->priority : PRIORITY_NORMAL;
}

uint32_t load_of_priority(uint32_t full, enum priority p)
{
    static const unsigned percent[PRIORITIES] = {
        [PRIORITY_LOW] = 75, [PRIORITY_NORMAL] = 90, [PRIORITY_HIGH] = 100};
    uint64_t load = ((uint64_t)full * percent[p] + 99) / 100;
    return (uint32_t)load;
}

const struct snap_limits *limits_of_models(struct limits_compiler *c, const struct str *models,
                                           size_t n)
{
    enum policy_scope *scopes = arena_alloc(c->scratch, (n + 1) * sizeof *scopes);
    for (size_t i = 0; i < n; i++) {
        scopes[i] = SCOPE_MODEL;
    }
    return gathered(c, scopes, models, n);
}
