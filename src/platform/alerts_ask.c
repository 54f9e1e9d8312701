/* What rules watch, as numbers. */
#include <stdio.h>

#include "ledger/usage.h"
#include "platform/alerts.h"

/* ---- calls ---- */

static void take_line(void *arg, const struct usage_line *line)
{
    struct usage_line *to = arg;
    *to = *line;
}

/* Calls that we refused say nothing of how providers do. */
static int64_t error_rate(const int64_t *sum, int64_t calls)
{
    return calls ? (sum[MEASURE_errors] - sum[MEASURE_refused]) * 100000 / calls : 0;
}

void alert_ask_calls(const struct config_alert *rule, struct reader *r, struct alert_value *ret)
{
    int64_t now_s = (int64_t)(clock_wall_us() / 1000000);
    struct usage_line line = {0};
    struct usage_query q = {
        .from_s = now_s - rule->window_s, .to_s = now_s + 1, .now_s = now_s, .limit = 1};
    bool more;
    q.named[DIMENSION_PROVIDER].p = rule->provider.n ? rule->provider.p : NULL;
    q.named[DIMENSION_PROVIDER].n = rule->provider.n;
    q.named[DIMENSION_MODEL].p = rule->model.n ? rule->model.p : NULL;
    q.named[DIMENSION_MODEL].n = rule->model.n;
    usage_align(&q);
    *ret = (struct alert_value){.failed = usage_find(r, &q, take_line, &line, &more) < 0};
    int64_t calls = line.sum[MEASURE_calls] - line.sum[MEASURE_refused];
    snprintf(ret->subject, sizeof ret->subject, "%.*s%s%.*s", STR_ARG(rule->provider),
             rule->provider.n && rule->model.n ? "/" : "", STR_ARG(rule->model));
    ret->known = calls >= rule->min_calls;
    if (rule->when == ALERT_ERROR_RATE) {
        ret->value = error_rate(line.sum, calls);
    } else if (rule->when == ALERT_LATENCY_P95) {
        ret->value = (int64_t)usage_quantile_us(line.sum + MEASURE_duration, 95);
    } else if (line.sum[MEASURE_calls]) {
        ret->value = line.sum[MEASURE_total_us] / line.sum[MEASURE_calls];
    }
}

/* ---- budgets: the one that most is used of ---- */

static void ask_budgets(const struct config_alert *rule, const struct snapshot *s,
                        struct alert_value *ret)
{
    const struct limit_now now = counter_now(clock_us(), clock_wall_us());
    for (size_t i = 0; i < s->n_limits; i++) {
        const struct snap_limit *l = &s->limits[i];
        if (!l->budget || (rule->policy.n && !str_eq(rule->policy, l->policy))) {
            continue;
        }
        double share = (double)limit_settled_by_all(&l->rule, &now) / (double)l->rule.at_most;
        int64_t value = share < 1e9 ? (int64_t)(share * 100000) : INT64_MAX;
        if (!ret->known || value > ret->value) {
            ret->known = true;
            ret->value = value;
            snprintf(ret->subject, sizeof ret->subject, "%.*s", STR_ARG(l->policy));
        }
    }
}

/* ---- providers: one whose breaker, or that of a model there, is open ---- */

static bool is_meant(const struct config_alert *rule, const struct snap_provider *p)
{
    return !rule->provider.n || str_eq(rule->provider, p->id);
}

static void ask_lanes(const struct config_alert *rule, const struct snap_model *m,
                      struct alert_value *ret)
{
    for (uint32_t i = 0; i < m->n_targets; i++) {
        const struct snap_target *t = &m->targets[i];
        if (is_meant(rule, t->provider) && t->lane && health_doubtful(t->lane)) {
            ret->value = 1000;
            snprintf(ret->subject, sizeof ret->subject, "%.*s/%.*s", STR_ARG(t->provider->id),
                     STR_ARG(t->model));
        }
    }
}

static void ask_providers(const struct config_alert *rule, const struct snapshot *s,
                          struct alert_value *ret)
{
    ret->known = true;
    for (size_t i = 0; i < s->n_models; i++) {
        ask_lanes(rule, &s->models[i], ret);
    }
    for (size_t i = 0; i < s->n_providers; i++) {
        const struct snap_provider *p = &s->providers[i];
        if (is_meant(rule, p) && p->health && health_doubtful(p->health)) {
            ret->value = 1000;
            snprintf(ret->subject, sizeof ret->subject, "%.*s", STR_ARG(p->id));
        }
    }
}

void alert_ask_now(const struct config_alert *rule, const struct snapshot *s,
                   struct alert_value *ret)
{
    *ret = (struct alert_value){0};
    if (rule->when == ALERT_BUDGET_USED) {
        ask_budgets(rule, s, ret);
    } else {
        ask_providers(rule, s, ret);
    }
}

/* ---- what is not there ---- */

static bool has_provider(const struct snapshot *s, struct str id)
{
    for (size_t i = 0; i < s->n_providers; i++) {
        if (str_eq(s->providers[i].id, id)) {
            return true;
        }
    }
    return false;
}

static bool has_budget(const struct snapshot *s, struct str policy)
{
    for (size_t i = 0; i < s->n_limits; i++) {
        if (s->limits[i].budget && str_eq(s->limits[i].policy, policy)) {
            return true;
        }
    }
    return false;
}

struct str alert_misses(const struct config_alert *rule, const struct snapshot *s, struct arena *a)
{
    if (rule->provider.n && !has_provider(s, rule->provider)) {
        return arena_printf(a, "there is no provider \"%.*s\"", STR_ARG(rule->provider));
    }
    if (rule->policy.n && !has_budget(s, rule->policy)) {
        return arena_printf(a, "there is no policy \"%.*s\" with a budget", STR_ARG(rule->policy));
    }
    return (struct str){0};
}
