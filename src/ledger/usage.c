#include "ledger/usage.h"

#include <errno.h>
#include <time.h>

static int64_t first_of_month(int64_t s, bool next)
{
    struct tm tm;
    time_t t = (time_t)s;
    gmtime_r(&t, &tm);
    tm.tm_hour = tm.tm_min = tm.tm_sec = 0;
    tm.tm_mday = 1;
    tm.tm_mon += next;
    return (int64_t)timegm(&tm);
}

/* The finest level that is kept of that time, but no finer than the interval. */
static int64_t unit_at(const struct usage_query *q, int64_t s)
{
    int level = q->interval > INTERVAL_MINUTE ? (int)q->interval - 1 : ROLLUP_MINUTE;
    int64_t days = (q->now_s - s) / rollup_seconds[ROLLUP_DAY];
    int kept = days >= ROLLUP_HOUR_DAYS     ? ROLLUP_DAY
               : days >= ROLLUP_MINUTE_DAYS ? ROLLUP_HOUR
                                            : ROLLUP_MINUTE;
    return rollup_seconds[level > kept ? level : kept];
}

void usage_align(struct usage_query *q)
{
    if (q->interval == INTERVAL_MONTH) {
        int64_t to = first_of_month(q->to_s, false);
        q->from_s = first_of_month(q->from_s, false);
        q->to_s = to == q->to_s ? to : first_of_month(q->to_s, true);
        return;
    }
    int64_t from = unit_at(q, q->from_s), to = unit_at(q, q->to_s);
    q->from_s -= q->from_s % from;
    q->to_s += (to - q->to_s % to) % to;
}

/* ---- the statement ---- */

/* Rows of the coarsest levels that make up the time exactly. */
static void add_piece(struct buf *b, int64_t from, int64_t to, int level)
{
    int64_t unit = rollup_seconds[level];
    int64_t first = from + (unit - from % unit) % unit, end = to - to % unit;
    if (from >= to) {
        return;
    }
    if (level > ROLLUP_MINUTE && first >= end) {
        add_piece(b, from, to, level - 1);
        return;
    }
    if (level > ROLLUP_MINUTE) {
        add_piece(b, from, first, level - 1);
        add_piece(b, end, to, level - 1);
    }
    buf_printf(b, "%s SELECT * FROM usage WHERE level = %d AND start >= %lld AND start < %lld",
               b->p[b->n - 1] == '(' ? "" : " UNION ALL", level, (long long)first, (long long)end);
}

static int coarsest(enum usage_interval i)
{
    return i == INTERVAL_MINUTE ? ROLLUP_MINUTE : i == INTERVAL_HOUR ? ROLLUP_HOUR : ROLLUP_DAY;
}

static void add_start(struct buf *b, const struct usage_query *q)
{
    if (q->interval == INTERVAL_NONE) {
        buf_addz(b, "0");
    } else if (q->interval == INTERVAL_MONTH) {
        buf_addz(b, "CAST(strftime('%s', start, 'unixepoch', 'start of month') AS INTEGER)");
    } else {
        long long unit = rollup_seconds[q->interval - 1];
        buf_printf(b, "start - start %% %lld", unit);
    }
}

static void add_filters(struct buf *b, const struct usage_query *q)
{
    buf_addz(b, " WHERE 1");
    for (unsigned i = 0; i < DIMENSIONS; i++) {
        if (q->named[i].p && q->named[i].n) {
            buf_printf(b, " AND %s = (SELECT id FROM names WHERE name = ?%u)", dimension_name[i],
                       i + 1);
        } else if (q->named[i].p) {
            buf_printf(b, " AND %s = 0", dimension_name[i]);
        }
    }
    for (size_t i = 0; q->teams && i < q->n_teams; i++) {
        buf_printf(b, "%s(SELECT id FROM names WHERE name = ?%zu)", i ? "," : " AND team IN (",
                   DIMENSIONS + 1 + i);
    }
    buf_addz(b, q->teams ? q->n_teams ? ")" : " AND 0" : "");
}

static void make_text(struct buf *b, const struct usage_query *q)
{
    char name[24];
    buf_addz(b, "SELECT ");
    add_start(b, q);
    buf_addz(b, " AS begins");
    for (unsigned i = 0; i < DIMENSIONS; i++) {
        if (q->by >> i & 1) {
            buf_printf(b, ", (SELECT name FROM names WHERE id = %s)", dimension_name[i]);
        }
    }
    for (unsigned i = 0; i < MEASURES; i++) {
        buf_printf(b, ", sum(%s)", measure_name(i, name));
    }
    buf_addz(b, " FROM (");
    add_piece(b, q->from_s, q->to_s, coarsest(q->interval));
    buf_addz(b, b->p[b->n - 1] == '(' ? "SELECT * FROM usage WHERE 0)" : ")");
    add_filters(b, q);
    buf_addz(b, " GROUP BY begins");
    for (unsigned i = 0; i < DIMENSIONS; i++) {
        if (q->by >> i & 1) {
            buf_printf(b, ", %s", dimension_name[i]);
        }
    }
    buf_printf(b, " ORDER BY begins, sum(cost_nusd) DESC, sum(calls) DESC LIMIT %zu", q->limit + 1);
    buf_addc(b, 0);
}

static void read_row(sqlite3_stmt *st, const struct usage_query *q, struct usage_line *row)
{
    int at = 1;
    *row = (struct usage_line){.start_s = sqlite3_column_int64(st, 0)};
    for (unsigned i = 0; i < DIMENSIONS; i++) {
        if (q->by >> i & 1) {
            row->name[i] = sql_text(st, at++);
        }
    }
    for (unsigned i = 0; i < MEASURES; i++) {
        row->sum[i] = sqlite3_column_int64(st, at++);
    }
}

static int run(sqlite3 *db, const struct usage_query *q, usage_take *take, void *arg,
               bool *ret_more)
{
    struct buf text = {0};
    struct usage_line row;
    sqlite3_stmt *st;
    size_t n = 0;
    int step;
    make_text(&text, q);
    int r = sql_prepare(db, text.p, &st);
    buf_free(&text);
    if (r < 0) {
        return r;
    }
    for (unsigned i = 0; i < DIMENSIONS; i++) {
        size_t cap = i == DIMENSION_MODEL ? RECORD_NAME : RECORD_ID; /* what a record holds */
        sql_bind_text(st, (int)i + 1, str_first(q->named[i], cap));
    }
    for (size_t i = 0; i < q->n_teams; i++) {
        sql_bind_text(st, (int)(DIMENSIONS + 1 + i), q->teams[i]);
    }
    while ((step = sqlite3_step(st)) == SQLITE_ROW && n < q->limit) {
        read_row(st, q, &row);
        take(arg, &row);
        n++;
    }
    *ret_more = step == SQLITE_ROW;
    r = step == SQLITE_ROW || step == SQLITE_DONE ? 0 : sql_error(db);
    sqlite3_finalize(st);
    return r;
}

static int find_once(struct reader *reader, const struct usage_query *q, usage_take *take,
                     void *arg, bool *ret_more)
{
    sqlite3 *db;
    int r = reader_usage(reader, &db);
    if (r == 0 && (r = run(db, q, take, arg, ret_more)) < 0) {
        reader_forget(reader, db);
    }
    return r;
}

struct counted {
    usage_take *take;
    void *arg;
    size_t n;
};

static void count_row(void *arg, const struct usage_line *row)
{
    struct counted *c = arg;
    c->n++;
    c->take(c->arg, row);
}

int usage_find(struct reader *reader, const struct usage_query *q, usage_take *take, void *arg,
               bool *ret_more)
{
    struct counted c = {take, arg, 0};
    *ret_more = false;
    int r = find_once(reader, q, count_row, &c, ret_more);
    if (r == -EAGAIN && c.n == 0) { /* what was told cannot be taken back */
        r = find_once(reader, q, count_row, &c, ret_more);
    }
    return r == -ENOENT ? 0 : r; /* there are none yet */
}
