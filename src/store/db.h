/* One small interface over two databases: SQLite in the data directory, PostgreSQL for several
 * processes.
 *
 * A struct db is one connection inside one transaction, in the hands of one job (store.h) on one
 * store thread; nothing here is called from a worker. Statements are constants: each is prepared
 * once per connection and found again by its address.
 *
 * Errors: -EAGAIN: somebody else was faster (lost row, deadlock, broken reference): the job fails
 * with it and is run again from its start. -EEXIST: a unique or primary key is taken (on
 * PostgreSQL the transaction is dead then: write INSERT ... ON CONFLICT DO NOTHING and look at the
 * number of rows instead). -EIO, -ENOSPC, -EROFS: the database is not able to; db_error() says
 * why. */
#ifndef STORE_DB_H
#define STORE_DB_H

#include "base/arena.h"
#include "base/buf.h"

struct db;

enum db_type { DB_NULL, DB_INT, DB_TEXT, DB_BLOB };

struct db_value {
    enum db_type type;
    int64_t i;
    struct str s; /* text and blob */
};

static inline struct db_value db_int(int64_t i)
{
    return (struct db_value){.type = DB_INT, .i = i};
}

static inline struct db_value db_text(struct str s)
{
    return (struct db_value){.type = DB_TEXT, .s = s};
}

static inline struct db_value db_blob(struct str s)
{
    return (struct db_value){.type = DB_BLOB, .s = s};
}

static inline struct db_value db_null(void)
{
    return (struct db_value){.type = DB_NULL};
}

/* Parameters are $1, $2 ... in both databases. */
struct db_stmt {
    const char *sql;
    const char *postgres; /* where it must differ, such as FOR UPDATE; NULL: the same */
};

/* The database's own clock, in microseconds: those of the processes differ. */
#define DB_NOW_SQLITE   "(CAST(strftime('%s', 'now') AS INTEGER) * 1000000)"
#define DB_NOW_POSTGRES "CAST(EXTRACT(EPOCH FROM clock_timestamp()) * 1000000 AS BIGINT)"

struct db_rows {
    size_t n;
    unsigned columns;
    const struct db_value *v; /* n * columns, in the arena */
};

static inline const struct db_value *db_row(const struct db_rows *rows, size_t i)
{
    return rows->v + i * rows->columns;
}

/* Runs a statement that answers rows; they are copied into `a`. */
__attribute__((warn_unused_result)) int db_query(struct db *db, struct arena *a,
                                                 const struct db_stmt *stmt,
                                                 const struct db_value *args, unsigned n_args,
                                                 struct db_rows *ret);

/* Runs a statement that changes rows; `ret_rows` (may be NULL) is how many. */
__attribute__((warn_unused_result)) int db_run(struct db *db, const struct db_stmt *stmt,
                                               const struct db_value *args, unsigned n_args,
                                               int64_t *ret_rows);

/* What the database said of the last error, for the server's log; never for a client. */
const char *db_error(const struct db *db);

#endif
