/* SQLite as the ledger uses it: files of its own that one thread writes and one reads. */
#ifndef LEDGER_SQL_H
#define LEDGER_SQL_H

#include <sqlite3.h>

#include "base/str.h"

/* Ends the name of a file that is being made; what is found under such a name was never finished. */
#define SQL_NEW ".new"

/* Opens a file for writing: a log ahead of it, no sync at each commit; what was committed survives the death of the
 * process. One that is not there is made: whole under another name, mode 0600, then renamed. `tables`: statements that
 * make what is in it, and may be run again. 0 or -errno. */
__attribute__((warn_unused_result)) int sql_create(const char *path, const char *tables,
                                                   sqlite3 **ret);
/* The same of a file that is there. */
__attribute__((warn_unused_result)) int sql_write(const char *path, sqlite3 **ret);
/* Opens a file that is there for reading only. */
__attribute__((warn_unused_result)) int sql_open(const char *path, sqlite3 **ret);
void sql_close(sqlite3 *db); /* NULL is allowed */

/* Statements without rows. 0 or -errno. */
__attribute__((warn_unused_result)) int sql_run(sqlite3 *db, const char *text);
/* A statement to be run many times; the text may be freed. */
__attribute__((warn_unused_result)) int sql_prepare(sqlite3 *db, const char *text,
                                                    sqlite3_stmt **ret);
/* Runs a prepared statement that answers nothing, and makes it ready again. */
__attribute__((warn_unused_result)) int sql_step(sqlite3_stmt *st);
/* The first column of the first row; 0 when there is none or it is null. */
__attribute__((warn_unused_result)) int sql_int(sqlite3 *db, const char *text, int64_t *ret);
/* The database's last error as -errno. -EAGAIN: the same may be asked once more. */
int sql_error(sqlite3 *db);

/* Who is told, on any thread, of I/O errors, of what is corrupt and of what cannot be opened, with SQLite's extended
 * code; of all databases of the process. Before the first one is opened. 0; -EBUSY: it is too late. */
typedef void sql_tell(int code, const char *text);
__attribute__((warn_unused_result)) int sql_log(sql_tell *tell);

static inline struct str sql_text(sqlite3_stmt *st, int column)
{
    const void *p = sqlite3_column_text(st, column);
    return str_make(p, (size_t)sqlite3_column_bytes(st, column));
}

/* Bound for as long as the step: the text is not copied. */
static inline void sql_bind_text(sqlite3_stmt *st, int at, struct str s)
{
    sqlite3_bind_text64(st, at, s.p ? s.p : "", s.n, SQLITE_STATIC, SQLITE_UTF8);
}

#endif
