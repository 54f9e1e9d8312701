/* GET /api/v1/usage: what calls add up to. */
#include "conflict/http_date.h"
#include "ledger/usage.h"
#include "platform/ledger.h"
#include "platform/route.h"

enum { LIMIT_DEFAULT = 1000, LIMIT_MAX = 10000, DAY_S = 86400, PIECES_MAX = 10000 };

static const char *const intervals[] = {"none", "minute", "hour", "day", "month"};

static bool interval_parameter(struct visit *v, struct usage_query *q)
{
    struct str text = query_get(&v->query, STR("interval"));
    for (unsigned i = 0; i < sizeof intervals / sizeof *intervals; i++) {
        if (str_eq(text, str_of(intervals[i]))) {
            q->interval = i;
            return true;
        }
    }
    if (text.p) {
        refuse(v, PROBLEM_BAD_QUERY,
               "interval: \"%.*s\" is not allowed; allowed: none, minute, hour, day, month.",
               STR_ARG(str_first(text, 80)));
    }
    return !text.p;
}

static bool add_dimension(struct usage_query *q, struct str name)
{
    for (unsigned i = 0; i < DIMENSIONS; i++) {
        if (str_eq(name, str_of(dimension_name[i]))) {
            q->by |= 1U << i;
            return true;
        }
    }
    return false;
}

static bool by_parameter(struct visit *v, struct usage_query *q)
{
    struct str rest = query_get(&v->query, STR("by")), one;
    while (rest.n) {
        (void)str_cut(&rest, ',', &one);
        if (!add_dimension(q, one)) {
            refuse(v, PROBLEM_BAD_QUERY,
                   "by: \"%.*s\" is not allowed; allowed: key, application, team, provider, "
                   "model, with commas between them.",
                   STR_ARG(str_first(one, 80)));
            return false;
        }
    }
    return true;
}

static bool time_parameters(struct visit *v, struct usage_query *q)
{
    int64_t to_us = v->now_us, from_us;
    if (!time_parameter(v, "to", &to_us)) {
        return false;
    }
    from_us = to_us - (int64_t)DAY_S * 1000000;
    if (!time_parameter(v, "from", &from_us)) {
        return false;
    }
    q->now_s = v->now_us / 1000000;
    q->from_s = from_us / 1000000;
    q->to_s = (to_us + 999999) / 1000000;
    if (q->from_s >= q->to_s) {
        refuse(v, PROBLEM_BAD_QUERY, "from must be before to.");
        return false;
    }
    usage_align(q);
    if (q->interval == INTERVAL_MINUTE && (q->to_s - q->from_s) / 60 > PIECES_MAX) {
        refuse(v, PROBLEM_BAD_QUERY, "At most %d minutes at once; ask for hours.", PIECES_MAX);
        return false;
    }
    return true;
}

static bool read_query(struct visit *v, struct usage_query *q, bool *ret_csv)
{
    named_parameters(v, q->named);
    q->limit = LIMIT_DEFAULT;
    return interval_parameter(v, q) && by_parameter(v, q) && time_parameters(v, q) &&
           limit_parameter(v, LIMIT_MAX, &q->limit) && format_parameter(v, ret_csv);
}

struct listing {
    struct buf *b;
    const struct usage_query *q;
    size_t n;
};

static void take_json(void *arg, const struct usage_line *line)
{
    struct listing *l = arg;
    buf_addz(l->b, l->n++ ? "," : "");
    usage_json(l->b, l->q, line);
}

static void take_csv(void *arg, const struct usage_line *line)
{
    struct listing *l = arg;
    usage_csv(l->b, l->q, line);
}

/* The times that were really added up. */
static void print_head(struct visit *v, struct buf *b, const struct usage_query *q)
{
    struct str from = time_print(&v->work, q->from_s * 1000000);
    struct str to = time_print(&v->work, q->to_s * 1000000);
    buf_printf(b, "{\"from\":\"%.*s\",\"to\":\"%.*s\",\"interval\":\"%s\",\"items\":[",
               STR_ARG(from), STR_ARG(to), intervals[q->interval]);
}

static int ask_usage(struct visit *v, struct reader *r)
{
    struct buf b = {.arena = &v->work};
    struct usage_query q = {0};
    struct listing l = {.b = &b, .q = &q};
    bool csv, more = false;
    if (!read_query(v, &q, &csv)) {
        return 0;
    }
    bool any = visible_teams(v, &v->work, &q.teams, &q.n_teams);
    if (csv) {
        usage_csv_head(&b, &q);
    } else {
        print_head(v, &b, &q);
    }
    int e = any ? usage_find(r, &q, csv ? take_csv : take_json, &l, &more) : 0;
    if (e < 0) {
        return e;
    }
    if (!csv) {
        buf_printf(&b, "],\"more\":%s}", more ? "true" : "false");
    }
    v->answer.status = 200;
    v->answer.type = csv ? "text/csv; charset=utf-8" : "application/json";
    v->answer.body = buf_str(&b);
    answer_line(v, "cache-control", "private, no-store");
    return 0;
}

int read_usage(struct visit *v, struct db *db)
{
    struct usage_query ignored = {0};
    bool csv;
    (void)db;
    if (have_ledger(v) && read_query(v, &ignored, &csv)) {
        v->question = ask_usage;
    }
    return 0;
}
