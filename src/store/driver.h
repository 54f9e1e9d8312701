/* What a database must be able to do for the store. One struct db is one connection, used by one
 * thread. A driver allocates a struct of its own that begins with struct db. */
#ifndef STORE_DRIVER_H
#define STORE_DRIVER_H

#include "store/db.h"

struct db_driver {
    const char *name; /* "sqlite" */
    int (*begin)(struct db *db, bool write);
    int (*commit)(struct db *db); /* negative: nothing was committed; -ECONNRESET: not known */
    void (*rollback)(
        struct db *db); /* also after an error; a dead connection is made anew by begin */
    int (*savepoint)(struct db *db); /* one level */
    int (*release)(struct db *db);
    int (*rollback_to)(struct db *db); /* and release */
    /* `ret` NULL: no rows are wanted. `ret_changed` may be NULL. */
    int (*run)(struct db *db, struct arena *a, const struct db_stmt *stmt,
               const struct db_value *args, unsigned n_args, struct db_rows *ret,
               int64_t *ret_changed);
    int (*script)(struct db *db, const char *sql); /* several statements, for migrations */
    void (*close)(struct db *db);
};

struct db {
    const struct db_driver *driver;
    char error[256];
    bool aside; /* what is written is of no interest to those who watch: they are not told */
};

/* Opens PATH; it is made (mode 0600) when `create`. */
__attribute__((warn_unused_result)) int db_sqlite_open(const char *path, bool create,
                                                       struct db **ret, struct buf *errors);

/* Moves what is in the log into the database, as far as nobody is in the way. A commit does that
 * itself only when the log has become very long. */
void db_sqlite_checkpoint(struct db *db);

/* Connects to postgresql://... ; later losses are mended by begin(). */
__attribute__((warn_unused_result)) int db_postgres_open(struct str url, struct db **ret,
                                                         struct buf *errors);
/* Commits of other processes: LISTEN, what has come since it was asked last, and the socket to wait on
 * (-1: not connected; listen again). For a connection of its own. */
int db_postgres_listen(struct db *db);
bool db_postgres_heard(struct db *db);
int db_postgres_socket(const struct db *db);

/* The number of the last migration that this program has. */
int64_t migrations_known(void);
/* Applies what is missing, under a lock. -EINVAL: the database is newer than this program. */
__attribute__((warn_unused_result)) int migrate(struct db *db, int64_t *ret_schema,
                                                struct buf *errors);

#endif
