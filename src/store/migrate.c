#include <errno.h>

#include "net/loop.h"
#include "store/driver.h"

struct migration {
    int64_t number;
    const char *name, *sql;
};

#include "migrations.h"

enum { MIGRATIONS = sizeof migrations / sizeof *migrations };

int64_t migrations_known(void)
{
    return MIGRATIONS;
}

/* Types and words that PostgreSQL calls otherwise. */
static const struct {
    struct str word, postgres;
} dialect[] = {
    {{"INTEGER", 7}, {"BIGINT", 6}},
    {{"BLOB", 4}, {"BYTEA", 5}},
    {{"TEXT", 4}, {"TEXT COLLATE \"C\"", 16}}, /* ids in the order of their bytes */
    {{"STRICT", 6}, {"", 0}},
};

static bool is_word(char c)
{
    return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || c == '_';
}

static void add_word(struct buf *b, struct str word)
{
    for (size_t i = 0; i < sizeof dialect / sizeof *dialect; i++) {
        if (str_eq(word, dialect[i].word)) {
            buf_add(b, dialect[i].postgres);
            return;
        }
    }
    buf_add(b, word);
}

static void translate(struct buf *b, struct str sql)
{
    while (sql.n) {
        size_t n = 0;
        while (n < sql.n && is_word(sql.p[n])) {
            n++;
        }
        if (n) {
            add_word(b, str_first(sql, n));
        } else {
            buf_addc(b, sql.p[0]);
            n = 1;
        }
        sql = str_from(sql, n);
    }
}

static bool is_postgres(const struct db *db)
{
    return str_eq(str_of(db->driver->name), STR("postgresql"));
}

static int apply(struct db *db, const char *sql)
{
    struct buf b = {0};
    if (is_postgres(db)) {
        translate(&b, str_of(sql));
    } else {
        buf_addz(&b, sql);
    }
    buf_addc(&b, 0);
    int r = db->driver->script(db, b.p);
    buf_free(&b);
    return r;
}

static int present_number(struct db *db, struct arena *a, int64_t *ret)
{
    static const struct db_stmt stmt = {"SELECT COALESCE(MAX(number), 0) FROM schema_version",
                                        NULL};
    struct db_rows rows;
    int r = db_query(db, a, &stmt, NULL, 0, &rows);
    if (r == 0) {
        *ret = db_row(&rows, 0)[0].i;
    }
    return r;
}

static int apply_from(struct db *db, int64_t have)
{
    static const struct db_stmt stmt = {
        "INSERT INTO schema_version (number, name, at_us) VALUES ($1, $2, $3)", NULL};
    int r = 0;
    for (size_t i = 0; r == 0 && i < MIGRATIONS; i++) {
        if (migrations[i].number <= have) {
            continue;
        }
        const struct db_value args[] = {db_int(migrations[i].number),
                                        db_text(str_of(migrations[i].name)),
                                        db_int((int64_t)clock_wall_us())};
        r = apply(db, migrations[i].sql);
        r = r < 0 ? r : db_run(db, &stmt, args, 3, NULL);
    }
    return r;
}

/* One process at a time; SQLite's BEGIN IMMEDIATE has seen to it already. */
static int lock(struct db *db)
{
    return is_postgres(db) ? db->driver->script(db, "SELECT pg_advisory_xact_lock(4090);"
                                                    "CREATE SCHEMA IF NOT EXISTS accord")
                           : 0;
}

int migrate(struct db *db, int64_t *ret_schema, struct buf *errors)
{
    struct arena a = {0};
    int64_t have = 0;
    int r = db->driver->begin(db, true);
    r = r < 0 ? r : lock(db);
    r = r < 0
            ? r
            : apply(db, "CREATE TABLE IF NOT EXISTS schema_version (number INTEGER PRIMARY KEY NOT "
                        "NULL, name TEXT NOT NULL, at_us INTEGER NOT NULL) STRICT");
    r = r < 0 ? r : present_number(db, &a, &have);
    if (r == 0 && have > MIGRATIONS) {
        buf_printf(
            errors,
            "the state was written by a newer version of Accord (schema %lld, this one knows "
            "%d); start that version, or restore a backup that was made before\n",
            (long long)have, (int)MIGRATIONS);
        db->driver->rollback(db);
        arena_reset(&a);
        return -EINVAL;
    }
    r = r < 0 ? r : apply_from(db, have);
    r = r < 0 ? r : db->driver->commit(db);
    if (r < 0) {
        buf_printf(errors, "the state cannot be brought to schema %d: %s\n", (int)MIGRATIONS,
                   db_error(db));
        db->driver->rollback(db);
    } else {
        *ret_schema = MIGRATIONS;
    }
    arena_reset(&a);
    return r;
}
