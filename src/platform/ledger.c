#include "platform/ledger.h"

#include "conflict/http_date.h"
#include "platform/route.h"

bool have_ledger(struct visit *v)
{
    if (!ledger_reader(v->platform->gateway->ledger)) {
        refuse(v, PROBLEM_NOT_FOUND, "Calls are not recorded here: ledger.keep_days is 0.");
        return false;
    }
    return true;
}

bool visible_teams(const struct visit *v, struct arena *a, const struct str **ret, size_t *ret_n)
{
    struct str permission = str_of(v->route->permission);
    const struct grants *g = &v->who.grants;
    struct str *teams = arena_alloc(a, (g->n + 1) * sizeof *teams);
    *ret = NULL;
    *ret_n = 0;
    if (grants_may(g, permission, (struct str){0})) {
        return true;
    }
    for (size_t i = 0; i < g->n; i++) {
        if (g->all[i].team.n && grants_may(g, permission, g->all[i].team)) {
            teams[(*ret_n)++] = arena_dup(a, g->all[i].team);
        }
    }
    *ret = teams;
    return *ret_n > 0;
}

void named_parameters(const struct visit *v, struct str named[DIMENSIONS])
{
    for (unsigned i = 0; i < DIMENSIONS; i++) {
        named[i] = query_get(&v->query, str_of(dimension_name[i]));
    }
}

bool time_parameter(struct visit *v, const char *name, int64_t *ret)
{
    struct str text = query_get(&v->query, str_of(name));
    if (text.p && (time_parse(text, ret) < 0 || *ret <= 0)) {
        refuse(v, PROBLEM_BAD_QUERY,
               "%s: \"%.*s\" is not allowed; allowed: a time in UTC such as "
               "2027-01-31T18:00:00Z.",
               name, STR_ARG(str_first(text, 80)));
        return false;
    }
    return true;
}

bool limit_parameter(struct visit *v, size_t max, size_t *ret)
{
    struct str text = query_get(&v->query, STR("limit"));
    uint64_t n = *ret;
    if (text.p && (str_to_u64(text, &n) < 0 || n < 1 || n > max)) {
        refuse(v, PROBLEM_BAD_QUERY, "limit must be a number from 1 to %zu.", max);
        return false;
    }
    *ret = (size_t)n;
    return true;
}

bool format_parameter(struct visit *v, bool *ret_csv)
{
    struct str text = query_get(&v->query, STR("format"));
    *ret_csv = str_eq(text, STR("csv"));
    if (text.p && !*ret_csv && !str_eq(text, STR("json"))) {
        refuse(v, PROBLEM_BAD_QUERY, "format: \"%.*s\" is not allowed; allowed: json, csv.",
               STR_ARG(str_first(text, 80)));
        return false;
    }
    return true;
}

/* 429, or 4xx. */
static bool status_parameter(struct visit *v, struct calls_filter *f)
{
    struct str text = query_get(&v->query, STR("status"));
    uint64_t n = 0;
    if (!text.p) {
        return true;
    }
    bool class =
        text.n == 3 && text.p[0] >= '1' && text.p[0] <= '5' && str_eq(str_from(text, 1), STR("xx"));
    if (!class && (str_to_u64(text, &n) < 0 || n < 100 || n > 599)) {
        refuse(v, PROBLEM_BAD_QUERY, "status: \"%.*s\" is not allowed; allowed: 429, 4xx.",
               STR_ARG(str_first(text, 80)));
        return false;
    }
    unsigned from = class ? (unsigned)(text.p[0] - '0') * 100 : (unsigned)n;
    f->status_from = from;
    f->status_to = class ? from + 99 : from;
    return true;
}

static bool outcome_parameter(struct visit *v, struct calls_filter *f)
{
    struct str text = query_get(&v->query, STR("outcome"));
    struct buf all = {.arena = &v->work};
    for (int i = 0; i < OUTCOMES; i++) {
        if (str_eq(text, str_of(outcome_name[i]))) {
            f->outcome = i;
            return true;
        }
        buf_printf(&all, "%s%s", i ? ", " : "", outcome_name[i]);
    }
    if (text.p) {
        refuse(v, PROBLEM_BAD_QUERY, "outcome: \"%.*s\" is not allowed; allowed: %.*s.",
               STR_ARG(str_first(text, 80)), STR_ARG(buf_str(&all)));
    }
    return !text.p;
}

bool calls_parameters(struct visit *v, struct calls_filter *ret)
{
    struct calls_filter f = {.outcome = -1};
    named_parameters(v, f.named);
    f.route = query_get(&v->query, STR("route"));
    if (!time_parameter(v, "from", &f.from_us) || !time_parameter(v, "to", &f.to_us) ||
        !status_parameter(v, &f) || !outcome_parameter(v, &f) ||
        !flag_parameter(v, "errors", &f.bad)) {
        return false;
    }
    *ret = f;
    return true;
}
