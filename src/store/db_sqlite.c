/* SQLite: write-ahead log, synchronous=FULL, one connection that writes. */
#include <errno.h>
#include <fcntl.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/must.h"
#include "store/driver.h"

enum { STATEMENTS = 256, BUSY_MS = 10000 };

struct sqlite {
    struct db db;
    sqlite3 *handle;
    struct {
        const struct db_stmt *key;
        sqlite3_stmt *stmt;
    } cache[STATEMENTS]; /* by the statement's address, open addressing */
    size_t n;
};

static struct sqlite *of(struct db *db)
{
    return (struct sqlite *)db; /* its first member */
}

static int fail(struct sqlite *s, int code)
{
    snprintf(s->db.error, sizeof s->db.error, "%s", sqlite3_errmsg(s->handle));
    switch (code & 0xff) {
    case SQLITE_FULL:
        return -ENOSPC;
    case SQLITE_READONLY:
    case SQLITE_CANTOPEN:
    case SQLITE_PERM:
        return -EROFS;
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
        return -EAGAIN;
    case SQLITE_CONSTRAINT:
        return code == SQLITE_CONSTRAINT_FOREIGNKEY ? -EAGAIN : -EEXIST;
    default:
        return errno == ENOSPC && (code & 0xff) == SQLITE_IOERR ? -ENOSPC : -EIO;
    }
}

/* ---- statements ---- */

static int prepared(struct sqlite *s, const struct db_stmt *stmt, sqlite3_stmt **ret)
{
    size_t i = ((uintptr_t)stmt / sizeof *stmt) * 0x9E3779B1U % STATEMENTS;
    while (s->cache[i].key && s->cache[i].key != stmt) {
        i = (i + 1) % STATEMENTS;
    }
    if (!s->cache[i].key) {
        must(s->n < STATEMENTS - 1); /* statements are constants of this program */
        int r = sqlite3_prepare_v3(s->handle, stmt->sql, -1, SQLITE_PREPARE_PERSISTENT,
                                   &s->cache[i].stmt, NULL);
        if (r != SQLITE_OK) {
            return fail(s, sqlite3_extended_errcode(s->handle));
        }
        s->cache[i].key = stmt;
        s->n++;
    }
    *ret = s->cache[i].stmt;
    return 0;
}

static const char *bytes(struct str s)
{
    return s.p ? s.p : "";
}

/* $1, $2 ... are names to SQLite; each is bound by its name, so that one may stand twice. */
static void bind(sqlite3_stmt *st, const struct db_value *args, unsigned n)
{
    for (unsigned i = 0; i < n; i++) {
        char name[16];
        snprintf(name, sizeof name, "$%u", i + 1);
        int at = sqlite3_bind_parameter_index(st, name);
        if (!at) {
            continue;
        }
        switch (args[i].type) {
        case DB_NULL:
            sqlite3_bind_null(st, at);
            break;
        case DB_INT:
            sqlite3_bind_int64(st, at, args[i].i);
            break;
        case DB_TEXT:
            sqlite3_bind_text64(st, at, bytes(args[i].s), args[i].s.n, SQLITE_STATIC, SQLITE_UTF8);
            break;
        case DB_BLOB:
            sqlite3_bind_blob64(st, at, bytes(args[i].s), args[i].s.n, SQLITE_STATIC);
            break;
        }
    }
}

static struct db_value column(struct arena *a, sqlite3_stmt *st, int i)
{
    const void *p;
    switch (sqlite3_column_type(st, i)) {
    case SQLITE_INTEGER:
        return db_int(sqlite3_column_int64(st, i));
    case SQLITE_TEXT:
        p = sqlite3_column_text(st, i);
        return db_text(arena_dup(a, str_make(p, (size_t)sqlite3_column_bytes(st, i))));
    case SQLITE_BLOB:
        p = sqlite3_column_blob(st, i);
        return db_blob(arena_dup(a, str_make(p, (size_t)sqlite3_column_bytes(st, i))));
    default:
        return db_null();
    }
}

static void add_row(struct arena *a, sqlite3_stmt *st, struct db_rows *rows, size_t *cap,
                    struct db_value **v)
{
    if (rows->n == *cap) {
        size_t more = *cap ? *cap * 2 : 4;
        struct db_value *all = arena_alloc(a, more * rows->columns * sizeof *all);
        if (rows->n) {
            memcpy(all, *v, rows->n * rows->columns * sizeof *all);
        }
        *v = all;
        *cap = more;
    }
    for (unsigned c = 0; c < rows->columns; c++) {
        (*v)[rows->n * rows->columns + c] = column(a, st, (int)c);
    }
    rows->n++;
}

static int run(struct db *db, struct arena *a, const struct db_stmt *stmt,
               const struct db_value *args, unsigned n_args, struct db_rows *ret,
               int64_t *ret_changed)
{
    struct sqlite *s = of(db);
    struct db_rows rows = {0};
    struct db_value *v = NULL;
    sqlite3_stmt *st = NULL;
    size_t cap = 0;
    int r = prepared(s, stmt, &st), step;
    if (r < 0) {
        return r;
    }
    bind(st, args, n_args);
    rows.columns = (unsigned)sqlite3_column_count(st);
    errno = 0;
    while ((step = sqlite3_step(st)) == SQLITE_ROW) {
        if (ret) {
            add_row(a, st, &rows, &cap, &v);
        }
    }
    r = step == SQLITE_DONE ? 0 : fail(s, sqlite3_extended_errcode(s->handle));
    sqlite3_reset(st);
    sqlite3_clear_bindings(st);
    rows.v = v;
    if (r == 0 && ret) {
        *ret = rows;
    }
    if (r == 0 && ret_changed) {
        *ret_changed = sqlite3_changes64(s->handle);
    }
    return r;
}

static int script(struct db *db, const char *sql)
{
    struct sqlite *s = of(db);
    errno = 0;
    int r = sqlite3_exec(s->handle, sql, NULL, NULL, NULL);
    return r == SQLITE_OK ? 0 : fail(s, sqlite3_extended_errcode(s->handle));
}

/* ---- transactions ---- */

static int plain(struct db *db, const struct db_stmt *stmt)
{
    return run(db, NULL, stmt, NULL, 0, NULL, NULL);
}

static int begin(struct db *db, bool write)
{
    static const struct db_stmt immediate = {"BEGIN IMMEDIATE", NULL}, deferred = {"BEGIN", NULL};
    return plain(db, write ? &immediate : &deferred);
}

static int commit(struct db *db)
{
    static const struct db_stmt stmt = {"COMMIT", NULL};
    return plain(db, &stmt);
}

static void rollback(struct db *db)
{
    static const struct db_stmt stmt = {"ROLLBACK", NULL};
    if (!sqlite3_get_autocommit(of(db)->handle)) { /* some errors have rolled back already */
        (void)!plain(db, &stmt);
    }
}

static int savepoint(struct db *db)
{
    static const struct db_stmt stmt = {"SAVEPOINT job", NULL};
    return plain(db, &stmt);
}

static int release(struct db *db)
{
    static const struct db_stmt stmt = {"RELEASE job", NULL};
    return plain(db, &stmt);
}

static int rollback_to(struct db *db)
{
    static const struct db_stmt stmt = {"ROLLBACK TO job", NULL};
    int r = plain(db, &stmt);
    return r < 0 ? r : release(db);
}

static void close_db(struct db *db)
{
    struct sqlite *s = of(db);
    for (size_t i = 0; i < STATEMENTS; i++) {
        sqlite3_finalize(s->cache[i].stmt);
    }
    sqlite3_close(s->handle);
    free(s);
}

static const struct db_driver driver = {
    .name = "sqlite",
    .begin = begin,
    .commit = commit,
    .rollback = rollback,
    .savepoint = savepoint,
    .release = release,
    .rollback_to = rollback_to,
    .run = run,
    .script = script,
    .close = close_db,
};

void db_sqlite_checkpoint(struct db *db)
{
    sqlite3_wal_checkpoint_v2(of(db)->handle, NULL, SQLITE_CHECKPOINT_PASSIVE, NULL, NULL);
}

/* The file is made by us, so that nobody else can read it from its first moment. */
static int make_private(const char *path)
{
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (fd < 0) {
        return -errno;
    }
    close(fd);
    return 0;
}

int db_sqlite_open(const char *path, bool create, struct db **ret, struct buf *errors)
{
    struct sqlite *s = mem_zalloc(sizeof *s);
    s->db.driver = &driver;
    int r = create ? make_private(path) : 0;
    if (r < 0) {
        buf_printf(errors, "%s: the state cannot be opened for writing: %s\n", path, strerror(-r));
        free(s);
        return r;
    }
    if (sqlite3_open_v2(path, &s->handle, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX, NULL) !=
        SQLITE_OK) {
        r = s->handle ? fail(s, sqlite3_extended_errcode(s->handle)) : -ENOMEM;
    } else {
        sqlite3_extended_result_codes(s->handle, 1);
        sqlite3_busy_timeout(s->handle, BUSY_MS);
        r = script(&s->db, "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL;"
                           "PRAGMA foreign_keys=ON; PRAGMA trusted_schema=OFF;"
                           "PRAGMA wal_autocheckpoint=20000;");
    }
    if (r < 0) {
        buf_printf(errors, "%s: the state cannot be opened: %s\n", path, s->db.error);
        close_db(&s->db);
        return r;
    }
    *ret = &s->db;
    return 0;
}
