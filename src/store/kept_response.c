#include <errno.h>

#include "store/journal.h"

int kept_response_put(struct db *db, const struct kept_response *k)
{
    static const struct db_stmt stmt = {
        "INSERT INTO kept_response (id, owner, created_us, expires_us, items, input, response) "
        "VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT (owner, id) DO UPDATE SET created_us = "
        "$3, "
        "expires_us = $4, items = $5, input = $6, response = $7",
        NULL};
    const struct db_value args[] = {db_text(k->id),        db_text(k->owner), db_int(k->created_us),
                                    db_int(k->expires_us), db_text(k->items), db_text(k->input),
                                    db_text(k->response)};
    return db_run(db, &stmt, args, 7, NULL);
}

int kept_response_get(struct db *db, struct arena *a, struct str owner, struct str id,
                      int64_t now_us, enum kept_part part, struct str *ret)
{
    static const struct db_stmt stmts[] = {
        [KEPT_ITEMS] = {"SELECT items FROM kept_response WHERE owner = $1 AND id = $2 AND "
                        "expires_us > $3",
                        NULL},
        [KEPT_INPUT] = {"SELECT input FROM kept_response WHERE owner = $1 AND id = $2 AND "
                        "expires_us > $3",
                        NULL},
        [KEPT_RESPONSE] = {"SELECT response FROM kept_response WHERE owner = $1 AND id = $2 AND "
                           "expires_us > $3",
                           NULL},
    };
    const struct db_value args[] = {db_text(owner), db_text(id), db_int(now_us)};
    struct db_rows rows;
    int r = db_query(db, a, &stmts[part], args, 3, &rows);
    if (r < 0) {
        return r;
    }
    if (rows.n == 0) {
        return -ENOENT;
    }
    *ret = db_row(&rows, 0)[0].s;
    return 0;
}

int kept_response_delete(struct db *db, struct str owner, struct str id, int64_t now_us)
{
    static const struct db_stmt stmt = {
        "DELETE FROM kept_response WHERE owner = $1 AND id = $2 AND expires_us > $3", NULL};
    const struct db_value args[] = {db_text(owner), db_text(id), db_int(now_us)};
    int64_t n;
    int r = db_run(db, &stmt, args, 3, &n);
    return r < 0 ? r : n == 0 ? -ENOENT : 0;
}

int kept_response_expire(struct db *db, int64_t now_us, int64_t limit, int64_t *ret_n)
{
    static const struct db_stmt stmt = {
        "DELETE FROM kept_response WHERE (owner, id) IN (SELECT owner, id FROM kept_response WHERE "
        "expires_us <= $1 ORDER BY expires_us LIMIT $2)",
        NULL};
    const struct db_value args[] = {db_int(now_us), db_int(limit)};
    return db_run(db, &stmt, args, 2, ret_n);
}
