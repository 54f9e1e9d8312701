#include "ledger/sql.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <stdio.h>
#include <unistd.h>

enum { BUSY_MS = 5000, PATH_CAP = 4096 };

/* ---- errors ---- */

static sql_tell *teller;

static void on_log(void *arg, int code, const char *text)
{
    int kind = code & 0xff;
    (void)arg;
    if (kind == SQLITE_IOERR || kind == SQLITE_CORRUPT || kind == SQLITE_NOTADB ||
        kind == SQLITE_CANTOPEN) {
        teller(code, text);
    }
}

int sql_log(sql_tell *tell)
{
    teller = tell;
    return sqlite3_config(SQLITE_CONFIG_LOG, on_log, NULL) == SQLITE_OK ? 0 : -EBUSY;
}

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
    case SQLITE_PROTOCOL: /* another one was opening or closing the log just then */
    case SQLITE_SCHEMA:
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

/* ---- opening ---- */

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

int sql_write(const char *path, sqlite3 **ret)
{
    return open_as(path, SQLITE_OPEN_READWRITE,
                   "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL; PRAGMA trusted_schema=OFF;",
                   ret);
}

static void remove_all(const char *path)
{
    static const char *const parts[] = {"", "-wal", "-shm", "-journal"};
    char part[PATH_CAP];
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
        snprintf(part, sizeof part, "%s%s", path, parts[i]);
        unlink(part);
    }
}

/* So that nobody else can read it from its first moment. SQLite must not have it open: a process that closes any
 * descriptor of a file loses all its locks on it. */
static int make_empty(const char *path)
{
    int fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    return fd < 0 ? -errno : close(fd) < 0 ? -errno : 0;
}

static int rename_synced(const char *from, const char *to)
{
    char dir[PATH_CAP];
    snprintf(dir, sizeof dir, "%s", to);
    if (rename(from, to) < 0) {
        return -errno;
    }
    int fd = open(dirname(dir), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0) {
        return -errno;
    }
    int r = fsync(fd) < 0 ? -errno : 0;
    close(fd);
    return r;
}

/* Whoever reads finds no database or a whole one, never one that is being made. */
static int make(const char *path, const char *tables)
{
    char beside[PATH_CAP];
    sqlite3 *db;
    snprintf(beside, sizeof beside, "%s" SQL_NEW, path);
    remove_all(beside);
    int r = make_empty(beside);
    r = r < 0 ? r : sql_write(beside, &db);
    if (r == 0) {
        r = sql_run(db, tables);
        sql_close(db); /* its log goes with the last connection */
    }
    if (r == 0) {
        remove_all(path); /* the log of one that somebody has deleted would be taken for its own */
        r = rename_synced(beside, path);
    }
    if (r < 0) {
        remove_all(beside);
    }
    return r;
}

int sql_create(const char *path, const char *tables, sqlite3 **ret)
{
    sqlite3 *db;
    bool there = access(path, F_OK) == 0 || errno != ENOENT;
    int r = there ? 0 : make(path, tables);
    r = r < 0 ? r : sql_write(path, &db);
    if (r == 0 && there && (r = sql_run(db, tables)) < 0) {
        sql_close(db);
    }
    if (r == 0) {
        *ret = db;
    }
    return r;
}

int sql_open(const char *path, sqlite3 **ret)
{
    /* Not SQLITE_OPEN_READONLY, which cannot make the shared memory of a log that nobody has open. */
    return open_as(path, SQLITE_OPEN_READWRITE,
                   "PRAGMA query_only=ON; PRAGMA cache_size=-512; PRAGMA mmap_size=268435456;"
                   "PRAGMA trusted_schema=OFF;",
                   ret);
}

/* ---- statements ---- */

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
