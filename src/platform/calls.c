/* GET /api/v1/calls and /calls/{id}: what the ledger has of calls; /calls/{id}/body: what was asked and answered. */
#include <errno.h>

#include "ledger/bodies.h"
#include "platform/ledger.h"
#include "platform/route.h"

enum { LIMIT_DEFAULT = 50, LIMIT_MAX = 500, LIMIT_EXPORT = 10000 };

struct listing {
    struct buf *b;
    size_t n, max;
    int64_t last; /* that is shown */
    bool more;
};

/* One more than a page is looked for, to know whether there is one. */
static bool is_on_page(struct listing *l, int64_t seq)
{
    l->more = l->n == l->max;
    l->n += !l->more;
    l->last = l->more ? l->last : seq;
    return !l->more;
}

static void take_json(void *arg, int64_t seq, const struct record *r)
{
    struct listing *l = arg;
    if (is_on_page(l, seq)) {
        buf_addz(l->b, l->n > 1 ? "," : "");
        call_json(l->b, seq, r);
    }
}

static void take_csv(void *arg, int64_t seq, const struct record *r)
{
    struct listing *l = arg;
    if (is_on_page(l, seq)) {
        call_csv(l->b, seq, r);
    }
}

static bool read_filter(struct visit *v, struct calls_filter *f, bool *ret_csv)
{
    struct str cursor = query_get(&v->query, STR("cursor"));
    uint64_t before = 0;
    if (!calls_parameters(v, f) || !format_parameter(v, ret_csv)) {
        return false;
    }
    f->limit = *ret_csv ? LIMIT_EXPORT : LIMIT_DEFAULT;
    if (!limit_parameter(v, *ret_csv ? LIMIT_EXPORT : LIMIT_MAX, &f->limit)) {
        return false;
    }
    if (cursor.p && (str_to_u64(cursor, &before) < 0 || before > INT64_MAX)) {
        refuse(v, PROBLEM_BAD_QUERY, "cursor must be one that a list answered.");
        return false;
    }
    f->before = (int64_t)before;
    return true;
}

static int ask_list(struct visit *v, struct reader *r)
{
    struct buf b = {.arena = &v->work};
    struct listing l = {.b = &b};
    struct calls_filter f = {0};
    int64_t next = 0;
    bool csv, any = true;
    if (!read_filter(v, &f, &csv)) {
        return 0;
    }
    l.max = f.limit++;
    any = visible_teams(v, &v->work, &f.teams, &f.n_teams);
    if (csv) {
        call_csv_head(&b);
    } else {
        buf_addz(&b, "{\"items\":[");
    }
    int e = any ? calls_find(r, &f, csv ? take_csv : take_json, &l, &next) : 0;
    if (e < 0) {
        return e;
    }
    next = l.more ? l.last : next;
    if (!csv) {
        buf_addc(&b, ']');
        if (next) {
            buf_printf(&b, ",\"next_cursor\":\"%lld\"", (long long)next);
        }
        buf_addc(&b, '}');
    } else if (next) {
        answer_line(v, "accord-next-cursor", "%lld", (long long)next);
    }
    v->answer.status = 200;
    v->answer.type = csv ? "text/csv; charset=utf-8" : "application/json";
    v->answer.body = buf_str(&b);
    answer_line(v, "cache-control", "private, no-store");
    return 0;
}

int list_calls(struct visit *v, struct db *db)
{
    struct calls_filter ignored;
    bool csv;
    (void)db;
    if (have_ledger(v) && read_filter(v, &ignored, &csv)) {
        v->question = ask_list;
    }
    return 0;
}

static bool is_of(const struct record *r, const struct str *teams, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (str_eq(teams[i], str_make(r->team, r->team_n))) {
            return true;
        }
    }
    return !teams;
}

static int ask_one(struct visit *v, struct reader *r)
{
    struct buf b = {.arena = &v->work};
    const struct str *teams;
    struct record call;
    int64_t seq;
    size_t n;
    int e =
        visible_teams(v, &v->work, &teams, &n) ? calls_get(r, v->args[0], &seq, &call) : -ENOENT;
    if (e == -ENOENT || (e == 0 && !is_of(&call, teams, n))) {
        refuse(v, PROBLEM_NOT_FOUND, "There is no call \"%.*s\".",
               STR_ARG(str_first(v->args[0], 80)));
        return 0;
    }
    if (e == 0) {
        call_json(&b, seq, &call);
        if (bodies_has(v->platform->gateway->bodies, v->args[0])) {
            b.n--; /* one more member */
            buf_addz(&b, ",\"body\":true}");
        }
        v->answer.status = 200;
        v->answer.type = "application/json";
        v->answer.body = buf_str(&b);
        answer_line(v, "cache-control", "private, no-cache");
    }
    return e;
}

int read_call(struct visit *v, struct db *db)
{
    (void)db;
    if (have_ledger(v)) {
        v->question = ask_one;
    }
    return 0;
}

/* ---- bodies ---- */

static void no_call(struct visit *v)
{
    refuse(v, PROBLEM_NOT_FOUND, "There is no call \"%.*s\".", STR_ARG(str_first(v->args[0], 80)));
}

/* Whether the asker may have to do with the body of the call: who has the permission only for teams is told by the
 * ledger whose call it was. False: refused. `*ret_known`: the ledger has the call. */
static bool is_theirs(struct visit *v, struct reader *r, bool *ret_known)
{
    const struct str *teams;
    struct record call;
    int64_t seq;
    size_t n;
    bool any = visible_teams(v, &v->work, &teams, &n);
    *ret_known = calls_get(r, v->args[0], &seq, &call) == 0;
    if (!any || (teams && !(*ret_known && is_of(&call, teams, n)))) {
        no_call(v);
        return false;
    }
    return true;
}

/* Negative: it could not be asked. */
static int refuse_body(struct visit *v, int e, bool known)
{
    if (e == -EBADMSG) {
        refuse(v, PROBLEM_NOT_FOUND,
               "The body of this call cannot be opened: it was sealed under another key, or is "
               "damaged.");
    } else if (e == -ENOENT && known) {
        refuse(v, PROBLEM_NOT_FOUND,
               "No body of this call is kept: no policy asked for it, it could not be written, or "
               "it is gone by now (its keep_days, ledger.bodies_max_bytes, deleted).");
    } else if (e == -ENOENT) {
        no_call(v);
    } else {
        return e;
    }
    return 0;
}

static int ask_body(struct visit *v, struct reader *r)
{
    bool known;
    if (!is_theirs(v, r, &known)) {
        return 0;
    }
    int e = bodies_get(v->platform->gateway->bodies, &v->work, v->args[0], &v->answer.body);
    if (e < 0) {
        return refuse_body(v, e, known);
    }
    v->answer.status = 200;
    v->answer.type = "application/json";
    answer_line(v, "cache-control", "private, no-store");
    return 0;
}

static int ask_forget(struct visit *v, struct reader *r)
{
    bool known;
    if (!is_theirs(v, r, &known)) {
        return 0;
    }
    int e = bodies_forget(v->platform->gateway->bodies, v->args[0]);
    if (e < 0) {
        return refuse_body(v, e, known);
    }
    answer_empty(v, 204);
    return 0;
}

/* Who asks is written down before anything is shown or deleted, and when that is not possible, neither is. */
static int begin_body(struct visit *v, struct db *db, const char *action, visit_question *question)
{
    enum { REQUEST_ID_MAX = 64 };
    if (!have_ledger(v)) {
        return 0;
    }
    if (v->args[0].n > REQUEST_ID_MAX) {
        no_call(v);
        return 0;
    }
    const struct audit e = {.at_us = v->now_us,
                            .who = v->who.name,
                            .address = v->address,
                            .request_id = str_of(v->id),
                            .action = str_of(action),
                            .kind = STR("call"),
                            .id = v->args[0]};
    v->question = question;
    return audit_add(db, &v->work, &e);
}

int read_call_body(struct visit *v, struct db *db)
{
    return begin_body(v, db, "read_body", ask_body);
}

int delete_call_body(struct visit *v, struct db *db)
{
    return begin_body(v, db, "delete_body", ask_forget);
}
