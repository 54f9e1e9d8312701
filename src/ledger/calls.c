#include "ledger/calls.h"

#include <errno.h>

#include "ledger/row.h"

enum { SEARCH_US = 30000 };

#define US_PER_DAY (INT64_C(86400) * 1000000)

/* A search in one partition. */
struct search {
    const struct calls_filter *f;
    sqlite3 *db;
    struct buf text;
    bool indexed; /* one condition may be looked up by its index: the others are not to compete */
    bool none;    /* nothing of this partition can fit */
};

static int look_up(sqlite3 *db, struct str name, int64_t *ret)
{
    sqlite3_stmt *st;
    int r = sql_prepare(db, "SELECT id FROM names WHERE name = ?1", &st);
    if (r < 0) {
        return r;
    }
    sql_bind_text(st, 1, name);
    int step = sqlite3_step(st);
    *ret = step == SQLITE_ROW ? sqlite3_column_int64(st, 0) : 0;
    r = step == SQLITE_ROW || step == SQLITE_DONE ? 0 : sql_error(db);
    sqlite3_finalize(st);
    return r;
}

/* Names were cut to what a record holds. */
static int add_name(struct search *s, const char *column, struct str name, size_t cap)
{
    int64_t id = 0;
    if (!name.p) {
        return 0;
    }
    int r = name.n ? look_up(s->db, str_first(name, cap), &id) : 0;
    if (r < 0) {
        return r;
    }
    if (!name.n) {
        buf_printf(&s->text, " AND +%s IS NULL", column);
    } else if (!id) {
        s->none = true;
    } else {
        buf_printf(&s->text, " AND %s%s = %lld", s->indexed ? "+" : "", column, (long long)id);
        s->indexed = true;
    }
    return 0;
}

/* The rarest first: the first one is looked up by its index. */
static int add_names(struct search *s)
{
    static const enum dimension order[] = {DIMENSION_KEY, DIMENSION_APPLICATION, DIMENSION_TEAM,
                                           DIMENSION_MODEL, DIMENSION_PROVIDER};
    int r = 0;
    for (size_t i = 0; r == 0 && i < DIMENSIONS; i++) {
        enum dimension d = order[i];
        r = add_name(s, dimension_name[d], s->f->named[d],
                     d == DIMENSION_MODEL ? RECORD_NAME : RECORD_ID);
    }
    if (r == 0 && s->f->route.p) {
        s->indexed = true; /* it has none */
        r = add_name(s, "route", s->f->route, RECORD_WORD);
    }
    return r;
}

static int add_teams(struct search *s)
{
    const char *comma = " AND +team IN (";
    bool any = false;
    int64_t id;
    for (size_t i = 0; i < s->f->n_teams; i++) {
        int r = look_up(s->db, s->f->teams[i], &id);
        if (r < 0) {
            return r;
        }
        if (id) {
            buf_printf(&s->text, "%s%lld", comma, (long long)id);
            comma = ",";
            any = true;
        }
    }
    buf_addz(&s->text, any ? ")" : "");
    s->none = s->none || !any;
    return 0;
}

static void add_numbers(struct search *s)
{
    const struct calls_filter *f = s->f;
    if (f->from_us) {
        buf_printf(&s->text, " AND ended_us >= %lld", (long long)f->from_us);
    }
    if (f->to_us) {
        buf_printf(&s->text, " AND ended_us < %lld", (long long)f->to_us);
    }
    if (f->status_from || f->status_to) {
        buf_printf(&s->text, " AND status BETWEEN %u AND %u", f->status_from, f->status_to);
    }
    if (f->outcome >= 0) {
        buf_printf(&s->text, " AND outcome = %d", f->outcome);
    }
    if (f->bad || f->outcome > OUTCOME_OK || f->status_from >= 400) {
        buf_addz(&s->text, s->indexed ? " AND +bad = 1" : " AND bad = 1");
    }
    if (f->before) {
        buf_printf(&s->text, " AND seq < %lld", (long long)f->before);
    }
    if (f->after) {
        buf_printf(&s->text, " AND seq > %lld", (long long)f->after);
    }
}

static int make_text(struct search *s, size_t limit)
{
    row_select(&s->text);
    buf_addz(&s->text, "WHERE 1");
    int r = add_names(s);
    r = r < 0 || !s->f->teams ? r : add_teams(s);
    add_numbers(s);
    buf_printf(&s->text, " ORDER BY seq%s LIMIT %zu", s->f->oldest_first ? "" : " DESC", limit);
    buf_addc(&s->text, 0);
    return r;
}

/* Whether the partition can hold calls of that time. */
static int is_in_time(const struct calls_filter *f, struct partition_name n, sqlite3 *db, bool *ret)
{
    int64_t min_us = 0;
    /* Calls go into the partition of the day on which they are written, or, from the spool, a later one. */
    *ret = !f->from_us || n.day >= f->from_us / US_PER_DAY;
    if (*ret && f->to_us && n.day >= f->to_us / US_PER_DAY) {
        int r = sql_int(db, "SELECT value FROM meta WHERE name = 'min_us'", &min_us);
        *ret = min_us < f->to_us; /* 0: not closed yet */
        return r;
    }
    return 0;
}

static int search_once(struct reader *reader, struct partition_name n, const struct calls_filter *f,
                       size_t limit, calls_take *take, void *arg, size_t *ret_n, int64_t *ret_last)
{
    struct search s = {.f = f};
    struct record record;
    sqlite3_stmt *st = NULL;
    bool in_time = false;
    int step = SQLITE_DONE, r = reader_partition(reader, n, &s.db);
    if (r < 0) {
        return r;
    }
    r = is_in_time(f, n, s.db, &in_time);
    if (r == 0 && in_time) {
        r = make_text(&s, limit);
    }
    if (r == 0 && in_time && !s.none) {
        r = sql_prepare(s.db, s.text.p, &st);
    }
    while (st && (step = sqlite3_step(st)) == SQLITE_ROW) {
        row_read(st, ret_last, &record);
        take(arg, *ret_last, &record);
        ++*ret_n;
    }
    r = r < 0 || step == SQLITE_DONE ? r : sql_error(s.db);
    sqlite3_finalize(st);
    buf_free(&s.text);
    if (r < 0) {
        reader_forget(reader, s.db);
    }
    return r;
}

static int search(struct reader *reader, struct partition_name n, const struct calls_filter *f,
                  size_t limit, calls_take *take, void *arg, size_t *ret_n, int64_t *ret_last)
{
    size_t before = *ret_n;
    int r = search_once(reader, n, f, limit, take, arg, ret_n, ret_last);
    return r == -EAGAIN && *ret_n == before
               ? search_once(reader, n, f, limit, take, arg, ret_n, ret_last)
               : r;
}

static bool is_beyond(const struct calls_filter *f, const struct partition_name *all, size_t n,
                      size_t i)
{
    return (f->before && all[i].first >= f->before) ||
           (f->after && i + 1 < n && all[i + 1].first <= f->after + 1);
}

int calls_find(struct reader *reader, const struct calls_filter *f, calls_take *take, void *arg,
               int64_t *ret_next)
{
    struct arena a = {0};
    size_t n, found = 0;
    int64_t newest, last = 0;
    uint64_t until = clock_us() + SEARCH_US;
    int r = 0;
    const struct partition_name *all = archive_list(reader_archive(reader), &a, &n, &newest);
    *ret_next = 0;
    for (size_t k = 0; r == 0 && k < n; k++) {
        size_t i = f->oldest_first ? k : n - 1 - k;
        if (is_beyond(f, all, n, i)) {
            continue;
        }
        if (clock_us() > until) { /* goes on with this partition */
            *ret_next = f->oldest_first ? all[i].first - 1
                        : i + 1 < n     ? all[i + 1].first
                                        : newest + 1;
            break;
        }
        r = search(reader, all[i], f, f->limit - found, take, arg, &found, &last);
        if (r == -ENOENT || r == -EROFS || r == -EBADMSG) {
            r = 0; /* dropped a moment ago, or broken: the others can be read */
        }
        if (found == f->limit) {
            *ret_next = last;
            break;
        }
    }
    arena_reset(&a);
    return r;
}

static int get_once(struct reader *reader, struct partition_name n, const char *text, struct str id,
                    int64_t *ret_seq, struct record *ret)
{
    sqlite3 *db;
    sqlite3_stmt *st = NULL;
    int step = SQLITE_DONE, r = reader_partition(reader, n, &db);
    if (r < 0) {
        return r;
    }
    r = sql_prepare(db, text, &st);
    if (r == 0) {
        sql_bind_text(st, 1, id);
        step = sqlite3_step(st);
    }
    if (step == SQLITE_ROW) {
        row_read(st, ret_seq, ret);
    } else if (r == 0) {
        r = step == SQLITE_DONE ? -ENOENT : sql_error(db);
    }
    sqlite3_finalize(st);
    if (r < 0 && step != SQLITE_DONE) {
        reader_forget(reader, db);
    }
    return r;
}

int calls_get(struct reader *reader, struct str id, int64_t *ret_seq, struct record *ret)
{
    struct arena a = {0};
    struct buf text = {.arena = &a};
    size_t n;
    int64_t newest;
    int r = -ENOENT;
    const struct partition_name *all = archive_list(reader_archive(reader), &a, &n, &newest);
    row_select(&text);
    buf_printf(&text, "WHERE request = %u AND request_id = ?1", row_request_hash(id));
    buf_addc(&text, 0);
    for (size_t i = n; i > 0 && r < 0; i--) { /* one that cannot be read hides none of the others */
        r = get_once(reader, all[i - 1], text.p, id, ret_seq, ret);
        r = r == -EAGAIN ? get_once(reader, all[i - 1], text.p, id, ret_seq, ret) : r;
    }
    arena_reset(&a);
    return r < 0 ? -ENOENT : r;
}
