/* The change feed, and the numbers of what is gap-free. */
#include <errno.h>

#include "store/row.h"

int tail_next(struct db *db, struct arena *a, const char *name, int64_t *ret_seq,
              struct str *ret_hash)
{
    static const struct db_stmt stmt = {
        "UPDATE tail SET seq = seq + 1 WHERE name = $1 RETURNING seq, hash", NULL};
    struct db_value arg = db_text(str_of(name));
    struct db_rows rows;
    int r = db_query(db, a, &stmt, &arg, 1, &rows);
    if (r < 0) {
        return r;
    }
    if (rows.n != 1) {
        return -EIO;
    }
    *ret_seq = db_row(&rows, 0)[0].i;
    if (ret_hash) {
        *ret_hash = db_row(&rows, 0)[1].s;
    }
    return 0;
}

int tail_set_hash(struct db *db, const char *name, struct str hash)
{
    static const struct db_stmt stmt = {"UPDATE tail SET hash = $2 WHERE name = $1", NULL};
    const struct db_value args[] = {db_text(str_of(name)), db_blob(hash)};
    return db_run(db, &stmt, args, 2, NULL);
}

#define CHANGE_COLUMNS "seq, kind, id, revision, action, who, at_us"

int change_list(struct db *db, struct arena *a, struct str kind, int64_t after, size_t limit,
                struct change **ret, size_t *ret_n)
{
    static const struct db_stmt all = {
        "SELECT " CHANGE_COLUMNS " FROM change WHERE seq > $1 ORDER BY seq LIMIT $2", NULL};
    static const struct db_stmt of_kind = {"SELECT " CHANGE_COLUMNS
                                           " FROM change WHERE seq > $1 AND kind = $3"
                                           " ORDER BY seq LIMIT $2",
                                           NULL};
    const struct db_value args[] = {db_int(after), db_int((int64_t)limit), db_text(kind)};
    struct db_rows rows;
    int r =
        kind.n ? db_query(db, a, &of_kind, args, 3, &rows) : db_query(db, a, &all, args, 2, &rows);
    if (r < 0) {
        return r;
    }
    struct change *list = arena_zalloc(a, (rows.n + 1) * sizeof *list);
    for (size_t i = 0; i < rows.n; i++) {
        const struct db_value *v = db_row(&rows, i);
        list[i] = (struct change){v[0].i, v[1].s, v[2].s, v[3].i, v[4].s, v[5].s, v[6].i};
    }
    *ret = list;
    *ret_n = rows.n;
    return 0;
}

int change_last(struct db *db, int64_t *ret)
{
    static const struct db_stmt stmt = {"SELECT seq FROM tail WHERE name = 'change'", NULL};
    struct arena a = {0};
    struct db_rows rows;
    int r = db_query(db, &a, &stmt, NULL, 0, &rows);
    if (r == 0) {
        *ret = rows.n ? db_row(&rows, 0)[0].i : 0;
    }
    arena_reset(&a);
    return r;
}
