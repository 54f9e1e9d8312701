#include "ledger/rollup.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "ledger/sql.h"
#include "model/names.h"

const char *const dimension_name[DIMENSIONS] = {"key", "application", "team", "provider", "model"};
const int64_t rollup_seconds[ROLLUP_LEVELS] = {60, 3600, 86400};

/* A row that waits: of one minute. */
struct entry {
    int64_t minute_s;
    struct str name[DIMENSIONS]; /* in the batch */
    int64_t sum[MEASURES];
};

struct rollup {
    sqlite3 *db;
    sqlite3_stmt *upsert, *insert_name, *note;
    struct arena arena;
    struct names ids; /* in `arena`: of names in the file */
    struct arena batch;
    struct names index; /* in `batch`: by minute and names */
    struct entry **all;
    size_t n, cap;
    int64_t last_seq;
};

const char *measure_name(unsigned measure, char *to)
{
    static const char *const names[] = {
#define NAME_OF(name) #name,
        MEASURE_LIST(NAME_OF)
#undef NAME_OF
    };
    if (measure < MEASURE_duration) {
        return names[measure];
    }
    bool first = measure >= MEASURE_first;
    snprintf(to, 24, "%s_%u", first ? "first" : "duration",
             measure - (first ? MEASURE_first : MEASURE_duration));
    return to;
}

/* ---- the file ---- */

static void table_text(struct buf *b)
{
    char name[24];
    buf_addz(b, "CREATE TABLE IF NOT EXISTS names(id INTEGER PRIMARY KEY, name TEXT NOT NULL "
                "UNIQUE) STRICT;"
                "CREATE TABLE IF NOT EXISTS meta(name TEXT PRIMARY KEY, value INTEGER) STRICT, "
                "WITHOUT ROWID;"
                "CREATE TABLE IF NOT EXISTS usage(level INTEGER, start INTEGER");
    for (unsigned i = 0; i < DIMENSIONS; i++) {
        buf_printf(b, ", %s INTEGER", dimension_name[i]);
    }
    for (unsigned i = 0; i < MEASURES; i++) {
        buf_printf(b, ", %s INTEGER", measure_name(i, name));
    }
    buf_addz(b, ", PRIMARY KEY(level, start, key, application, team, provider, model)) STRICT, "
                "WITHOUT ROWID;");
    buf_addc(b, 0);
}

static void upsert_text(struct buf *b)
{
    char name[24];
    buf_addz(b, "INSERT INTO usage VALUES(?1, ?2");
    for (unsigned i = 3; i < 3 + DIMENSIONS + MEASURES; i++) {
        buf_printf(b, ",?%u", i);
    }
    buf_addz(b, ") ON CONFLICT DO UPDATE SET ");
    for (unsigned i = 0; i < MEASURES; i++) {
        const char *m = measure_name(i, name);
        buf_printf(b, "%s%s = %s + excluded.%s", i ? ", " : "", m, m, m);
    }
    buf_addc(b, 0);
}

static int load_names(struct rollup *r)
{
    sqlite3_stmt *st;
    int step, e = sql_prepare(r->db, "SELECT id, name FROM names", &st);
    if (e < 0) {
        return e;
    }
    while ((step = sqlite3_step(st)) == SQLITE_ROW) {
        names_add(&r->ids, arena_dup(&r->arena, sql_text(st, 1)),
                  (size_t)sqlite3_column_int64(st, 0), NULL);
    }
    e = step == SQLITE_DONE ? 0 : sql_error(r->db);
    sqlite3_finalize(st);
    return e;
}

static int prepare_all(struct rollup *r, const char *path)
{
    struct buf table = {0}, upsert = {0};
    table_text(&table);
    upsert_text(&upsert);
    int e = sql_create(path, table.p, &r->db);
    e = e < 0 ? e : sql_prepare(r->db, upsert.p, &r->upsert);
    e = e < 0 ? e : sql_prepare(r->db, "INSERT INTO names VALUES(?1, ?2)", &r->insert_name);
    e = e < 0 ? e
              : sql_prepare(r->db, "INSERT OR REPLACE INTO meta VALUES('applied', ?1)", &r->note);
    buf_free(&table);
    buf_free(&upsert);
    return e;
}

int rollup_open(const char *dir, struct rollup **ret, int64_t *ret_applied)
{
    char path[4096];
    struct rollup *r = mem_zalloc(sizeof *r);
    r->ids.arena = &r->arena;
    r->index.arena = &r->batch;
    snprintf(path, sizeof path, "%s/usage.db", dir);
    int e = prepare_all(r, path);
    e = e < 0 ? e : load_names(r);
    e = e < 0 ? e : sql_int(r->db, "SELECT value FROM meta WHERE name = 'applied'", ret_applied);
    if (e < 0) {
        rollup_close(r);
        return e;
    }
    *ret = r;
    return 0;
}

void rollup_close(struct rollup *r)
{
    if (r) {
        sql_close(r->db);
        arena_reset(&r->arena);
        arena_reset(&r->batch);
        free(r->all);
        free(r);
    }
}

/* ---- adding up ---- */

static void measure(int64_t *sum, const struct record *c)
{
    bool bad = c->outcome != OUTCOME_OK || c->status < 200 || c->status >= 400;
    const int64_t told[5] = {c->usage.input, c->usage.output, c->usage.cache_read,
                             c->usage.cache_write, c->usage.reasoning};
    sum[MEASURE_calls]++;
    sum[MEASURE_errors] += bad;
    sum[MEASURE_refused] += c->outcome == OUTCOME_REFUSED;
    sum[MEASURE_streams] += c->stream;
    for (unsigned i = 0; i < 5; i++) {
        sum[MEASURE_input_tokens + i] += told[i] > 0 ? told[i] : 0;
    }
    sum[MEASURE_cost_nusd] += c->cost_nusd > 0 ? c->cost_nusd : 0;
    sum[MEASURE_cost_unknown] += c->cost_nusd < 0;
    sum[MEASURE_bytes_in] += (int64_t)c->bytes_in;
    sum[MEASURE_bytes_out] += (int64_t)c->bytes_out;
    sum[MEASURE_total_us] += c->total_us;
    sum[MEASURE_own_us] += c->own_us;
    sum[MEASURE_duration + histogram_bucket(c->total_us)]++;
    if (c->ttft_us) {
        sum[MEASURE_first_us] += c->ttft_us;
        sum[MEASURE_first_n]++;
        sum[MEASURE_first + histogram_bucket(c->ttft_us)]++;
    }
}

/* The minute and the names, each behind its length, in one piece. */
static size_t key_of(char *to, int64_t minute_s, const struct str *names)
{
    size_t n = sizeof minute_s;
    memcpy(to, &minute_s, n);
    for (unsigned i = 0; i < DIMENSIONS; i++) {
        to[n++] = (char)names[i].n;
        if (names[i].n) {
            memcpy(to + n, names[i].p, names[i].n);
            n += names[i].n;
        }
    }
    return n;
}

static struct entry *new_entry(struct rollup *r, struct str key, int64_t minute_s,
                               const struct str *names)
{
    if (r->n == r->cap) {
        r->cap = r->cap ? 2 * r->cap : 64;
        r->all = mem_realloc(r->all, r->cap * sizeof *r->all);
    }
    struct entry *e = arena_zalloc(&r->batch, sizeof *e);
    e->minute_s = minute_s;
    for (unsigned i = 0; i < DIMENSIONS; i++) {
        e->name[i] = arena_dup(&r->batch, names[i]);
    }
    names_add(&r->index, arena_dup(&r->batch, key), r->n, NULL);
    r->all[r->n++] = e;
    return e;
}

void rollup_add(struct rollup *r, int64_t seq, const struct record *c)
{
    char key[8 + DIMENSIONS + 4 * RECORD_ID + RECORD_NAME];
    int64_t minute_s = (int64_t)(c->ended_us / 60000000) * 60;
    /* A name that only a client made up is none: there would be no end of them. */
    struct str names[DIMENSIONS] = {
        [DIMENSION_KEY] = str_make(c->key, c->key_n),
        [DIMENSION_APPLICATION] = str_make(c->application, c->application_n),
        [DIMENSION_TEAM] = str_make(c->team, c->team_n),
        [DIMENSION_PROVIDER] = str_make(c->provider, c->provider_n),
        [DIMENSION_MODEL] = str_make(c->model, c->known_model ? c->model_n : 0),
    };
    struct str whole = str_make(key, key_of(key, minute_s, names));
    size_t at;
    struct entry *e =
        names_find(&r->index, whole, &at) ? r->all[at] : new_entry(r, whole, minute_s, names);
    measure(e->sum, c);
    r->last_seq = seq;
}

size_t rollup_waiting(const struct rollup *r)
{
    return r->n;
}

/* ---- writing ---- */

static int number_of(struct rollup *r, struct str name, int64_t *ret)
{
    size_t id;
    if (!names_find(&r->ids, name, &id)) {
        id = r->ids.n + 1;
        sqlite3_bind_int64(r->insert_name, 1, (int64_t)id);
        sql_bind_text(r->insert_name, 2, name);
        int e = sql_step(r->insert_name);
        if (e < 0) {
            return e;
        }
        names_add(&r->ids, arena_dup(&r->arena, name), id, NULL);
    }
    *ret = (int64_t)id;
    return 0;
}

static int write_entry(struct rollup *r, const struct entry *x)
{
    int e = 0;
    for (unsigned i = 0; e == 0 && i < DIMENSIONS; i++) {
        int64_t id = 0; /* the empty one */
        e = x->name[i].n ? number_of(r, x->name[i], &id) : 0;
        sqlite3_bind_int64(r->upsert, (int)(3 + i), id);
    }
    for (unsigned i = 0; i < MEASURES; i++) {
        sqlite3_bind_int64(r->upsert, (int)(3 + DIMENSIONS + i), x->sum[i]);
    }
    for (int level = 0; e == 0 && level < ROLLUP_LEVELS; level++) {
        sqlite3_bind_int64(r->upsert, 1, level);
        sqlite3_bind_int64(r->upsert, 2, x->minute_s - x->minute_s % rollup_seconds[level]);
        e = sql_step(r->upsert);
    }
    return e;
}

int rollup_flush(struct rollup *r)
{
    int e = r->n ? sql_run(r->db, "BEGIN") : 0;
    for (size_t i = 0; e == 0 && i < r->n; i++) {
        e = write_entry(r, r->all[i]);
    }
    if (e == 0 && r->n) {
        sqlite3_bind_int64(r->note, 1, r->last_seq);
        e = sql_step(r->note);
        e = e < 0 ? e : sql_run(r->db, "COMMIT");
    }
    if (e == 0) {
        arena_reset(&r->batch);
        r->index = (struct names){.arena = &r->batch};
        r->n = 0;
    }
    return e;
}

int rollup_forget(struct rollup *r, int64_t minutes_before, int64_t hours_before)
{
    char text[256];
    snprintf(text, sizeof text,
             "DELETE FROM usage WHERE level = 0 AND start < %lld;"
             "DELETE FROM usage WHERE level = 1 AND start < %lld",
             (long long)minutes_before, (long long)hours_before);
    return sql_run(r->db, text);
}
