#include "store/backup.h"

#include <errno.h>
#include <fcntl.h>
#include <sqlite3.h>
#include <sys/stat.h>
#include <unistd.h>

#include "store/driver.h"

enum { BUSY_MS = 10000, PAGES = 1000 };

static int fail(struct buf *errors, const char *path, sqlite3 *db)
{
    buf_printf(errors, "%s: %s\n", path, db ? sqlite3_errmsg(db) : "out of memory");
    return -EIO;
}

static int open_file(const char *path, int flags, sqlite3 **ret, struct buf *errors)
{
    if (sqlite3_open_v2(path, ret, flags, NULL) != SQLITE_OK) {
        int r = fail(errors, path, *ret);
        sqlite3_close(*ret);
        *ret = NULL;
        return r;
    }
    sqlite3_busy_timeout(*ret, BUSY_MS);
    return 0;
}

/* All pages; other connections may go on in between, and what they change is copied again. */
static int copy(sqlite3 *from, sqlite3 *to, const char *path, struct buf *errors)
{
    sqlite3_backup *b = sqlite3_backup_init(to, "main", from, "main");
    int r = SQLITE_OK;
    if (!b) {
        return fail(errors, path, to);
    }
    do {
        r = sqlite3_backup_step(b, PAGES);
        if (r == SQLITE_BUSY || r == SQLITE_LOCKED) {
            sqlite3_sleep(5);
        }
    } while (r == SQLITE_OK || r == SQLITE_BUSY || r == SQLITE_LOCKED);
    sqlite3_backup_finish(b);
    return r == SQLITE_DONE ? 0 : fail(errors, path, to);
}

static int make_private(const char *path, int flags, struct buf *errors)
{
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | flags, 0600);
    if (fd < 0) {
        int r = -errno;
        buf_printf(errors, "%s: %s\n", path, strerror(-r));
        return r;
    }
    close(fd);
    return 0;
}

int backup_save(const char *from, const char *to, struct buf *errors)
{
    sqlite3 *x = NULL, *y = NULL;
    int r = open_file(from, SQLITE_OPEN_READONLY, &x, errors);
    r = r < 0 ? r : make_private(to, O_EXCL, errors);
    r = r < 0 ? r : open_file(to, SQLITE_OPEN_READWRITE, &y, errors);
    r = r < 0 ? r : copy(x, y, to, errors);
    if (r == 0 && sqlite3_exec(y, "PRAGMA journal_mode=DELETE", NULL, NULL, NULL) != SQLITE_OK) {
        r = fail(errors, to, y);
    }
    sqlite3_close(x);
    sqlite3_close(y);
    return r;
}

/* The first column of a query's first row as a number; -1 when it cannot be had. */
static int64_t ask(sqlite3 *db, const char *sql)
{
    sqlite3_stmt *st = NULL;
    int64_t n = -1;
    if (sqlite3_prepare_v2(db, sql, -1, &st, NULL) == SQLITE_OK && sqlite3_step(st) == SQLITE_ROW) {
        n = sqlite3_column_int64(st, 0);
    }
    sqlite3_finalize(st);
    return n;
}

static int check_state(sqlite3 *db, const char *path, struct buf *errors)
{
    int64_t schema = ask(db, "SELECT MAX(number) FROM schema_version");
    if (schema < 1 ||
        ask(db, "SELECT COUNT(*) FROM pragma_quick_check WHERE quick_check = 'ok'") != 1) {
        buf_printf(errors, "%s: is no backup of Accord, or is damaged\n", path);
        return -EINVAL;
    }
    if (schema > migrations_known()) {
        buf_printf(errors,
                   "%s: was made by a newer version of Accord (schema %lld, this one knows "
                   "%lld)\n",
                   path, (long long)schema, (long long)migrations_known());
        return -EINVAL;
    }
    return 0;
}

int backup_load(const char *from, const char *to, struct buf *errors)
{
    sqlite3 *x = NULL, *y = NULL;
    int r = open_file(from, SQLITE_OPEN_READONLY, &x, errors);
    r = r < 0 ? r : check_state(x, from, errors);
    r = r < 0 ? r : make_private(to, 0, errors);
    r = r < 0 ? r : open_file(to, SQLITE_OPEN_READWRITE, &y, errors);
    r = r < 0 ? r : copy(x, y, to, errors);
    sqlite3_close(x);
    sqlite3_close(y);
    return r;
}
