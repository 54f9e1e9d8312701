#include <errno.h>

#include "store/journal.h"

#define CONFLICT_COLUMNS "id, at_us, who, kind, resource_id, code, fields, document, retry_count"

int conflict_add(struct db *db, const struct conflict_record *c)
{
    static const struct db_stmt stmt = {"INSERT INTO conflict (" CONFLICT_COLUMNS
                                        ") VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)",
                                        NULL};
    const struct db_value args[] = {
        db_text(c->id),     db_int(c->at_us),        db_text(c->who),
        db_text(c->kind),   db_text(c->resource_id), db_text(c->code),
        db_text(c->fields), db_text(c->document),    db_int(c->retry_count)};
    return db_run(db, &stmt, args, 9, NULL);
}

static struct conflict_record row_conflict(const struct db_value *v)
{
    return (struct conflict_record){v[0].s, v[1].i, v[2].s, v[3].s, v[4].s,
                                    v[5].s, v[6].s, v[7].s, v[8].i};
}

int conflict_get(struct db *db, struct arena *a, struct str id, struct conflict_record *ret)
{
    static const struct db_stmt stmt = {"SELECT " CONFLICT_COLUMNS " FROM conflict WHERE id = $1",
                                        NULL};
    struct db_value arg = db_text(id);
    struct db_rows rows;
    int r = db_query(db, a, &stmt, &arg, 1, &rows);
    if (r < 0) {
        return r;
    }
    if (rows.n == 0) {
        return -ENOENT;
    }
    *ret = row_conflict(db_row(&rows, 0));
    return 0;
}

int conflict_list(struct db *db, struct arena *a, struct str kind, struct str resource_id,
                  struct str who, int64_t before_us, size_t limit, struct conflict_record **ret,
                  size_t *ret_n)
{
    static const struct db_stmt stmt = {
        "SELECT " CONFLICT_COLUMNS " FROM conflict WHERE at_us < $1 AND ($2 = '' OR kind = $2) AND "
        "($3 = '' OR resource_id = $3) AND ($4 = '' OR who = $4) ORDER BY at_us DESC, id LIMIT $5",
        NULL};
    const struct db_value args[] = {db_int(before_us ? before_us : INT64_MAX), db_text(kind),
                                    db_text(resource_id), db_text(who), db_int((int64_t)limit)};
    struct db_rows rows;
    int r = db_query(db, a, &stmt, args, 5, &rows);
    if (r < 0) {
        return r;
    }
    *ret = arena_zalloc(a, (rows.n + 1) * sizeof **ret);
    for (size_t i = 0; i < rows.n; i++) {
        (*ret)[i] = row_conflict(db_row(&rows, i));
    }
    *ret_n = rows.n;
    return 0;
}
