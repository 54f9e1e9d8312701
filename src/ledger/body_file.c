#include "ledger/body_file.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

enum { PAGE = 4096, LOG_PAGES = 4000 };

/* ---- which there are ---- */

struct files {
    struct partition_name *all; /* those that go first in front */
    size_t n;
};

static int by_day(const void *x, const void *y)
{
    const struct partition_name *a = x, *b = y;
    int day = (a->day > b->day) - (a->day < b->day);
    return day ? day : (a->first > b->first) - (a->first < b->first);
}

static struct files list(const char *dir, struct arena *a)
{
    struct files f = {0};
    struct dirent **found;
    int n = scandir(dir, &found, NULL, NULL);
    if (n < 0) {
        return f;
    }
    f.all = arena_alloc(a, ((size_t)n + 1) * sizeof *f.all);
    for (int i = 0; i < n; i++) {
        f.n += partition_parse(str_of(found[i]->d_name), &f.all[f.n]);
        free(found[i]);
    }
    free(found);
    qsort(f.all, f.n, sizeof *f.all, by_day);
    return f;
}

static bool same(const struct partition_name *a, const struct partition_name *b)
{
    return a->day == b->day && a->first == b->first;
}

/* ---- writing ---- */

void body_file_close(struct body_file *f)
{
    sql_close(f->db);
    *f = (struct body_file){0};
}

static int open_one(struct body_file *f, const char *dir, struct partition_name n,
                    int64_t file_bytes)
{
    char path[PARTITION_PATH], log[64];
    int64_t pages = file_bytes / PAGE / 4; /* the log beside it counts, too */
    partition_path(path, sizeof path, dir, &n);
    int r =
        sql_create(path,
                   "CREATE TABLE IF NOT EXISTS bodies(request TEXT PRIMARY KEY, sealed BLOB NOT "
                   "NULL) STRICT",
                   &f->db);
    snprintf(log, sizeof log, "PRAGMA wal_autocheckpoint=%d",
             (int)(pages < 1           ? 1
                   : pages < LOG_PAGES ? pages
                                       : LOG_PAGES));
    r = r < 0 ? r : sql_run(f->db, log);
    r = r < 0 ? r : sql_prepare(f->db, "INSERT OR REPLACE INTO bodies VALUES(?1, ?2)", &f->insert);
    f->name = n;
    f->bytes = partition_bytes(dir, &n);
    if (r < 0) {
        body_file_close(f);
    }
    return r;
}

static int make_dir(const char *dir)
{
    return mkdir(dir, 0700) < 0 && errno != EEXIST ? -errno : 0;
}

int body_file_for(struct body_file *f, const char *dir, int32_t day, int64_t file_bytes, bool fresh)
{
    struct arena a = {0};
    struct partition_name n = {day, 0};
    if (f->db && f->name.day == day && f->bytes < file_bytes && !fresh) {
        return 0;
    }
    body_file_close(f);
    int r = make_dir(dir);
    struct files files = list(dir, &a);
    for (size_t i = 0; i < files.n; i++) {
        n = files.all[i].day == day ? files.all[i] : n;
    }
    arena_reset(&a);
    if (n.first == 0 || fresh || partition_bytes(dir, &n) >= file_bytes) {
        n.first++;
    }
    return r < 0 ? r : open_one(f, dir, n, file_bytes);
}

int body_file_add(struct body_file *f, struct str request, struct str sealed)
{
    sql_bind_text(f->insert, 1, request);
    sqlite3_bind_blob64(f->insert, 2, sealed.p, sealed.n, SQLITE_STATIC);
    f->bytes += (int64_t)sealed.n;
    return sql_step(f->insert);
}

/* ---- asking ---- */

/* 1: it is there, in `*ret`; 0: it is not. */
static int look(sqlite3 *db, struct arena *a, struct str request, struct str *ret)
{
    sqlite3_stmt *st;
    int r = sql_prepare(db, "SELECT sealed FROM bodies WHERE request = ?1", &st);
    if (r < 0) {
        return r;
    }
    sql_bind_text(st, 1, request);
    int step = sqlite3_step(st);
    r = step == SQLITE_ROW ? 1 : step == SQLITE_DONE ? 0 : sql_error(db);
    if (r > 0) {
        const void *p = sqlite3_column_blob(st, 0);
        *ret = arena_dup(a, str_make(p, (size_t)sqlite3_column_bytes(st, 0)));
    }
    sqlite3_finalize(st);
    return r;
}

/* A file that is gone by now, or that nobody can read, has it not. */
static int find(const char *dir, struct arena *a, struct str request, struct str *ret,
                struct partition_name *ret_file)
{
    struct files files = list(dir, a);
    char path[PARTITION_PATH];
    int worst = -ENOENT;
    for (size_t i = files.n; i-- > 0;) {
        sqlite3 *db = NULL;
        partition_path(path, sizeof path, dir, &files.all[i]);
        int r = sql_open(path, &db);
        r = r < 0 ? r : look(db, a, request, ret);
        sql_close(db);
        if (r > 0) {
            *ret_file = files.all[i];
            return 0;
        }
        worst = r < 0 && r != -EBADMSG && r != -EROFS && r != -ENOENT ? r : worst;
    }
    return worst;
}

int body_file_get(const char *dir, struct arena *a, struct str request, struct str *ret)
{
    struct partition_name ignored;
    return find(dir, a, request, ret, &ignored);
}

/* Nothing of it stays: neither in a free page nor in the log. */
static int overwrite(sqlite3 *db, struct str request)
{
    sqlite3_stmt *st;
    int r = sql_run(db, "PRAGMA secure_delete=ON");
    r = r < 0 ? r : sql_prepare(db, "DELETE FROM bodies WHERE request = ?1", &st);
    if (r < 0) {
        return r;
    }
    sql_bind_text(st, 1, request);
    r = sql_step(st);
    sqlite3_finalize(st);
    return r < 0 ? r : sql_run(db, "PRAGMA wal_checkpoint(TRUNCATE)");
}

int body_file_forget(const char *dir, struct str request)
{
    struct arena a = {0};
    struct partition_name n;
    struct str ignored;
    char path[PARTITION_PATH];
    sqlite3 *db = NULL;
    int r = find(dir, &a, request, &ignored, &n);
    arena_reset(&a);
    if (r < 0) {
        return r;
    }
    partition_path(path, sizeof path, dir, &n);
    r = sql_write(path, &db);
    r = r < 0 ? r : overwrite(db, request);
    sql_close(db);
    return r;
}

/* ---- retention ---- */

int64_t body_files_retain(const char *dir, int32_t today, int64_t max_bytes,
                          const struct body_file *open)
{
    struct arena a = {0};
    struct files files = list(dir, &a);
    int64_t bytes = 0;
    for (size_t i = 0; i < files.n; i++) {
        bytes += partition_bytes(dir, &files.all[i]);
    }
    for (size_t i = 0; i < files.n; i++) {
        bool is_open = open->db && same(&files.all[i], &open->name);
        if (!is_open && (files.all[i].day < today || bytes > max_bytes)) {
            bytes -= partition_bytes(dir, &files.all[i]);
            partition_delete(dir, &files.all[i]);
        }
    }
    arena_reset(&a);
    return bytes;
}
