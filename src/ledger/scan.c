#include "ledger/scan.h"

#include "ledger/row.h"

int scan_open(const char *dir, struct partition_name n, sqlite3 **ret)
{
    char path[PARTITION_PATH];
    partition_path(path, sizeof path, dir, &n);
    return sql_open(path, ret);
}

int64_t scan_after(sqlite3 *db, int64_t after, size_t n, scan_take *take, void *arg)
{
    struct buf b = {0};
    struct record r;
    sqlite3_stmt *st;
    int64_t seq, count = 0;
    int step;
    row_select(&b);
    buf_printf(&b, "WHERE seq > %lld ORDER BY seq LIMIT %zu", (long long)after, n);
    buf_addc(&b, 0);
    int e = sql_prepare(db, b.p, &st);
    buf_free(&b);
    if (e < 0) {
        return e;
    }
    while ((step = sqlite3_step(st)) == SQLITE_ROW) {
        row_read(st, &seq, &r);
        take(arg, seq, &r);
        count++;
    }
    e = step == SQLITE_DONE ? 0 : sql_error(db);
    sqlite3_finalize(st);
    return e < 0 ? e : count;
}

int scan_spool(sqlite3 *db, int64_t spool, int64_t *ret)
{
    struct buf b = {0};
    buf_printf(&b, "SELECT value FROM meta WHERE name = 'spool-%lld'", (long long)spool);
    buf_addc(&b, 0);
    int r = sql_int(db, b.p, ret);
    buf_free(&b);
    return r;
}
