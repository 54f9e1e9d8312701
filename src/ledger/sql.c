#include "ledger/sql.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

enum { BUSY_MS = 5000 };

int sql_error(sqlite3 *db)
{
    switch (sqlite3_errcode(db) & 0xff) {
    case SQLITE_FULL:
        return -ENOSPC;
    case SQLITE_READONLY:
    case SQLITE_CANTOPEN:
    case SQLITE_PERM:
        return -EROFS;
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
        return -EAGAIN;
    case SQLITE_ERROR: /* our statements are right: a table is not there, because the process died before it was made */
        return -ENOENT;
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
        return -EBADMSG;
    default:
        return -EIO;
    }
}

static int open_as(const char *path, int flags, const char *pragmas, sqlite3 **ret)
{
    sqlite3 *db = NULL;
    int r = 0;
    if (sqlite3_open_v2(path, &db, flags | SQLITE_OPEN_NOMUTEX, NULL) != SQLITE_OK) {
        r = db ? sql_error(db) : -ENOMEM;
    } else {
        sqlite3_busy_timeout(db, BUSY_MS);
        r = sql_run(db, pragmas);
    }
    if (r < 0) {
        sqlite3_close(db);
        return r;
    }
    *ret = db;
    return 0;
}

int sql_create(const char *path, sqlite3 **ret)
{
    /* Made by us, so that nobody else can read it from its first moment. */
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (fd < 0) {
        return -errno;
    }
    close(fd);
    return open_as(path, SQLITE_OPEN_READWRITE,
                   "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL; PRAGMA trusted_schema=OFF;",
                   ret);
}

int sql_open(const char *path, sqlite3 **ret)
{
    /* Not SQLITE_OPEN_READONLY, which cannot make the shared memory of a log that nobody has open. */
    return open_as(path, SQLITE_OPEN_READWRITE,
                   "PRAGMA query_only=ON; PRAGMA cache_size=-512; PRAGMA mmap_size=268435456;"
                   "PRAGMA trusted_schema=OFF;",
                   ret);
}

void sql_close(sqlite3 *db)
{
    sqlite3_stmt *st;
    while (db && (st = sqlite3_next_stmt(db, NULL))) {
        sqlite3_finalize(st);
    }
    sqlite3_close(db);
}

int sql_run(sqlite3 *db, const char *text)
{
    return sqlite3_exec(db, text, NULL, NULL, NULL) == SQLITE_OK ? 0 : sql_error(db);
}

int sql_prepare(sqlite3 *db, const char *text, sqlite3_stmt **ret)
{
    return sqlite3_prepare_v3(db, text, -1, SQLITE_PREPARE_PERSISTENT, ret, NULL) == SQLITE_OK
               ? 0
               : sql_error(db);
}

int sql_step(sqlite3_stmt *st)
{
    int r = sqlite3_step(st) == SQLITE_DONE ? 0 : sql_error(sqlite3_db_handle(st));
    sqlite3_reset(st);
    return r;
}

int sql_int(sqlite3 *db, const char *text, int64_t *ret)
{
    sqlite3_stmt *st;
    int r = sql_prepare(db, text, &st);
    if (r < 0) {
        return r;
    }
    int step = sqlite3_step(st);
    *ret = step == SQLITE_ROW ? sqlite3_column_int64(st, 0) : 0;
    r = step == SQLITE_ROW || step == SQLITE_DONE ? 0 : sql_error(db);
    sqlite3_finalize(st);
    return r;
}
