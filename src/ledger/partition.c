#include "ledger/partition.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "ledger/row.h"
#include "model/names.h"

enum { SECONDS_PER_DAY = 86400, INDEXED = 3 };

struct partition {
    struct partition_name name;
    sqlite3 *db;
    sqlite3_stmt *insert, *insert_name, *insert_masked, *note;
    struct arena arena;
    struct names names; /* in `arena` */
    struct buf scratch;
    int64_t rows;
};

bool partition_parse(struct str file, struct partition_name *ret)
{
    struct tm tm = {0};
    char text[64];
    uint64_t first;
    if (file.n >= sizeof text || !str_ends(file, STR(".db")) || file.n < 15) {
        return false;
    }
    memcpy(text, file.p, file.n);
    text[file.n] = 0;
    char *end = strptime(text, "%Y-%m-%d.", &tm);
    struct str number = str_first(str_from(file, end ? (size_t)(end - text) : file.n),
                                  end ? file.n - 3 - (size_t)(end - text) : 0);
    if (str_to_u64(number, &first) < 0 || first > INT64_MAX) {
        return false;
    }
    *ret = (struct partition_name){(int32_t)(timegm(&tm) / SECONDS_PER_DAY), (int64_t)first};
    return true;
}

void partition_path(char *to, size_t cap, const char *dir, const struct partition_name *n)
{
    char day[16];
    struct tm tm;
    time_t t = (time_t)n->day * SECONDS_PER_DAY;
    strftime(day, sizeof day, "%Y-%m-%d", gmtime_r(&t, &tm));
    snprintf(to, cap, "%s/%s.%012lld.db", dir, day, (long long)n->first);
}

/* ---- files ---- */

static const char *const parts[] = {"", "-wal", "-shm"};

int64_t partition_bytes(const char *dir, const struct partition_name *n)
{
    char path[PARTITION_PATH], part[PARTITION_PATH + 8];
    struct stat st;
    int64_t bytes = 0;
    partition_path(path, sizeof path, dir, n);
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
        snprintf(part, sizeof part, "%s%s", path, parts[i]);
        bytes += stat(part, &st) == 0 ? (int64_t)st.st_blocks * 512 : 0;
    }
    return bytes;
}

void partition_delete(const char *dir, const struct partition_name *n)
{
    char path[PARTITION_PATH], part[PARTITION_PATH + 8];
    partition_path(path, sizeof path, dir, n);
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
        snprintf(part, sizeof part, "%s%s", path, parts[i]);
        unlink(part);
    }
}

/* ---- names ---- */

static int load_names(struct partition *p)
{
    sqlite3_stmt *st;
    int step, r = sql_prepare(p->db, "SELECT id, name FROM names", &st);
    if (r < 0) {
        return r;
    }
    while ((step = sqlite3_step(st)) == SQLITE_ROW) {
        names_add(&p->names, arena_dup(&p->arena, sql_text(st, 1)),
                  (size_t)sqlite3_column_int64(st, 0), NULL);
    }
    r = step == SQLITE_DONE ? 0 : sql_error(p->db);
    sqlite3_finalize(st);
    return r;
}

static int64_t number_of(void *arg, struct str name)
{
    struct partition *p = arg;
    size_t id;
    if (names_find(&p->names, name, &id)) {
        return (int64_t)id;
    }
    id = p->names.n + 1;
    sqlite3_bind_int64(p->insert_name, 1, (int64_t)id);
    sql_bind_text(p->insert_name, 2, name);
    int r = sql_step(p->insert_name);
    if (r < 0) {
        return r;
    }
    names_add(&p->names, arena_dup(&p->arena, name), id, NULL);
    return (int64_t)id;
}

/* ---- opening ---- */

static int open_file(struct partition *p, const char *path)
{
    struct buf b = {0};
    buf_addz(&b, "BEGIN;");
    row_tables(&b);
    buf_addz(&b, "COMMIT");
    buf_addc(&b, 0);
    int r = sql_create(path, b.p, &p->db);
    buf_free(&b);
    return r;
}

static int prepare_all(struct partition *p)
{
    struct buf b = {0};
    row_insert(&b);
    buf_addc(&b, 0);
    int r = sql_prepare(p->db, b.p, &p->insert);
    buf_free(&b);
    r = r < 0 ? r : sql_prepare(p->db, "INSERT INTO names VALUES(?1, ?2)", &p->insert_name);
    r = r < 0 ? r : sql_prepare(p->db, ROW_INSERT_MASKED, &p->insert_masked);
    return r < 0 ? r
                 : sql_prepare(p->db, "INSERT OR REPLACE INTO meta VALUES('spool-' || ?1, ?2)",
                               &p->note);
}

int partition_open(const char *dir, struct partition_name n, struct partition **ret,
                   int64_t *ret_next)
{
    char path[PARTITION_PATH];
    struct partition *p = mem_zalloc(sizeof *p);
    int64_t last = 0;
    p->name = n;
    p->names.arena = &p->arena;
    partition_path(path, sizeof path, dir, &n);
    int r = open_file(p, path);
    r = r < 0 ? r : prepare_all(p);
    r = r < 0 ? r : load_names(p);
    r = r < 0 ? r : sql_int(p->db, "SELECT max(seq) FROM calls", &last);
    r = r < 0 ? r : sql_int(p->db, "SELECT count(*) FROM calls", &p->rows);
    if (r < 0) {
        partition_close(p);
        return r;
    }
    *ret_next = last ? last + 1 : n.first;
    *ret = p;
    return 0;
}

void partition_close(struct partition *p)
{
    if (p) {
        sql_close(p->db);
        arena_reset(&p->arena);
        buf_free(&p->scratch);
        free(p);
    }
}

/* ---- writing ---- */

static int write_all(struct partition *p, int64_t seq, const struct record *all, size_t n)
{
    int r = 0;
    for (size_t i = 0; r == 0 && i < n; i++) {
        r = row_bind(p->insert, seq + (int64_t)i, &all[i], number_of, p, &p->scratch);
        r = r < 0 ? r : sql_step(p->insert);
        if (r == 0 && all[i].masked_any) {
            r = row_add_masked(p->insert_masked, seq + (int64_t)i, &all[i]);
        }
    }
    return r;
}

static int note_spool(struct partition *p, int64_t spool, int64_t at)
{
    if (!spool) {
        return 0;
    }
    sqlite3_bind_int64(p->note, 1, spool);
    sqlite3_bind_int64(p->note, 2, at);
    return sql_step(p->note);
}

int partition_write(struct partition *p, int64_t first_seq, const struct record *all, size_t n,
                    int64_t spool, int64_t spool_at)
{
    int r = sql_run(p->db, "BEGIN");
    r = r < 0 ? r : write_all(p, first_seq, all, n);
    r = r < 0 ? r : note_spool(p, spool, spool_at);
    r = r < 0 ? r : sql_run(p->db, "COMMIT");
    if (r == 0) {
        p->rows += (int64_t)n;
    }
    return r;
}

bool partition_is_full(const struct partition *p)
{
    return p->rows >= PARTITION_ROWS || p->names.n >= PARTITION_NAMES;
}

struct partition_name partition_name(const struct partition *p)
{
    return p->name;
}

/* ---- indexes ---- */

int partition_index(const char *dir, struct partition_name n)
{
    char path[PARTITION_PATH];
    int64_t version;
    sqlite3 *db;
    partition_path(path, sizeof path, dir, &n);
    int r = sql_write(path, &db);
    if (r < 0) {
        return r;
    }
    r = sql_int(db, "PRAGMA user_version", &version);
    if (r == 0 && version != INDEXED) { /* an older one lacks a table, too */
        struct buf tables = {0};
        row_tables(&tables);
        buf_addc(&tables, 0);
        r = sql_run(db, tables.p);
        buf_free(&tables);
    }
    if (r == 0 && version != INDEXED) {
        r = sql_run(db, "BEGIN;"
                        "CREATE INDEX IF NOT EXISTS calls_key ON calls(key);"
                        "CREATE INDEX IF NOT EXISTS calls_application ON calls(application);"
                        "CREATE INDEX IF NOT EXISTS calls_team ON calls(team);"
                        "CREATE INDEX IF NOT EXISTS calls_provider ON calls(provider);"
                        "CREATE INDEX IF NOT EXISTS calls_model ON calls(model);"
                        "CREATE INDEX IF NOT EXISTS calls_bad ON calls(seq) WHERE bad = 1;"
                        "CREATE INDEX IF NOT EXISTS calls_request ON calls(request);"
                        "INSERT OR REPLACE INTO meta SELECT 'min_us', min(ended_us) FROM calls;"
                        "PRAGMA user_version=3; COMMIT;"
                        "PRAGMA wal_checkpoint(TRUNCATE);");
    }
    sql_close(db);
    return r;
}
