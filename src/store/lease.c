#include <errno.h>

#include "store/journal.h"

/* Epochs begin with the clock as well, so that those of a row that was deleted do not come again. */
#define TAKE(now)                                                                                  \
    "INSERT INTO lease (name, holder, epoch, expires_us) VALUES ($1, $2, " now ", " now " + $3) "  \
    "ON CONFLICT (name) DO UPDATE SET holder = $2, epoch = lease.epoch + 1, "                      \
    "expires_us = " now " + $3 WHERE lease.expires_us <= " now " OR lease.holder = $2 "            \
    "RETURNING epoch"
#define KEEP(now)                                                                                  \
    "UPDATE lease SET expires_us = " now " + $4 WHERE name = $1 AND holder = $2 AND epoch = $3 "   \
    "AND expires_us > " now
#define EXPIRE(now) "DELETE FROM lease WHERE expires_us <= " now

int lease_take(struct db *db, struct arena *a, struct str name, struct str holder, int64_t for_us,
               int64_t *ret_epoch)
{
    static const struct db_stmt stmt = {TAKE(DB_NOW_SQLITE), TAKE(DB_NOW_POSTGRES)};
    const struct db_value args[] = {db_text(name), db_text(holder), db_int(for_us)};
    struct db_rows rows;
    int r = db_query(db, a, &stmt, args, 3, &rows);
    if (r < 0) {
        return r;
    }
    if (rows.n == 0) {
        return -EEXIST;
    }
    *ret_epoch = db_row(&rows, 0)[0].i;
    return 0;
}

int lease_keep(struct db *db, struct str name, struct str holder, int64_t epoch, int64_t for_us)
{
    static const struct db_stmt stmt = {KEEP(DB_NOW_SQLITE), KEEP(DB_NOW_POSTGRES)};
    const struct db_value args[] = {db_text(name), db_text(holder), db_int(epoch), db_int(for_us)};
    int64_t n;
    int r = db_run(db, &stmt, args, 4, &n);
    return r < 0 ? r : n ? 0 : -ENOENT;
}

int lease_give(struct db *db, struct str name, struct str holder, int64_t epoch)
{
    static const struct db_stmt stmt = {
        "DELETE FROM lease WHERE name = $1 AND holder = $2 AND epoch = $3", NULL};
    const struct db_value args[] = {db_text(name), db_text(holder), db_int(epoch)};
    return db_run(db, &stmt, args, 3, NULL);
}

int lease_expire(struct db *db)
{
    static const struct db_stmt stmt = {EXPIRE(DB_NOW_SQLITE), EXPIRE(DB_NOW_POSTGRES)};
    return db_run(db, &stmt, NULL, 0, NULL);
}
