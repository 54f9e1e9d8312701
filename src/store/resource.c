/* Reading resources. */
#include "store/resource.h"

#include <errno.h>

#include "store/row.h"

/* The only row of a query, or -ENOENT. */
static int query_one(struct db *db, struct arena *a, const struct db_stmt *stmt,
                     const struct db_value *args, unsigned n, struct resource *ret)
{
    struct db_rows rows;
    int r = db_query(db, a, stmt, args, n, &rows);
    if (r < 0) {
        return r;
    }
    if (rows.n == 0) {
        return -ENOENT;
    }
    *ret = row_resource(db_row(&rows, 0));
    return 0;
}

int resource_get(struct db *db, struct arena *a, struct str kind, struct str id, bool lock,
                 struct resource *ret)
{
#define SELECT_ONE "SELECT " RESOURCE_COLUMNS " FROM resource WHERE kind = $1 AND id = $2"
    static const struct db_stmt get = {SELECT_ONE, NULL};
    static const struct db_stmt locked = {SELECT_ONE, SELECT_ONE " FOR UPDATE"};
    const struct db_value args[] = {db_text(kind), db_text(id)};
    return query_one(db, a, lock ? &locked : &get, args, 2, ret);
}

int resource_at(struct db *db, struct arena *a, struct str kind, struct str id, int64_t revision,
                struct resource *ret)
{
    static const struct db_stmt stmt = {"SELECT " RESOURCE_COLUMNS
                                        " FROM revision WHERE kind = $1 AND id = $2"
                                        " AND revision = $3",
                                        NULL};
    const struct db_value args[] = {db_text(kind), db_text(id), db_int(revision)};
    return query_one(db, a, &stmt, args, 3, ret);
}

int resource_last(struct db *db, struct str kind, struct str id, int64_t *ret)
{
    static const struct db_stmt stmt = {
        "SELECT COALESCE(MAX(revision), 0) FROM (SELECT revision FROM resource WHERE kind = $1 AND "
        "id = $2 UNION ALL SELECT revision FROM tombstone WHERE kind = $1 AND id = $2) AS "
        "all_of_it",
        NULL};
    const struct db_value args[] = {db_text(kind), db_text(id)};
    struct arena a = {0};
    struct db_rows rows;
    int r = db_query(db, &a, &stmt, args, 2, &rows);
    if (r == 0) {
        *ret = rows.n ? db_row(&rows, 0)[0].i : 0;
    }
    arena_reset(&a);
    return r;
}

int resource_list(struct db *db, struct arena *a, struct str kind, struct str after, size_t limit,
                  struct resource **ret, size_t *ret_n)
{
    static const struct db_stmt stmt = {"SELECT " RESOURCE_COLUMNS
                                        " FROM resource WHERE kind = $1 AND id > $2"
                                        " ORDER BY id LIMIT $3",
                                        NULL};
    const struct db_value args[] = {db_text(kind), db_text(after), db_int((int64_t)limit)};
    return query_resources(db, a, &stmt, args, 3, ret, ret_n);
}

int resource_history(struct db *db, struct arena *a, struct str kind, struct str id, int64_t before,
                     size_t limit, struct resource **ret, size_t *ret_n)
{
    static const struct db_stmt stmt = {"SELECT " RESOURCE_COLUMNS
                                        " FROM revision WHERE kind = $1 AND id = $2"
                                        " AND revision < $3 ORDER BY revision DESC LIMIT $4",
                                        NULL};
    const struct db_value args[] = {db_text(kind), db_text(id), db_int(before ? before : INT64_MAX),
                                    db_int((int64_t)limit)};
    return query_resources(db, a, &stmt, args, 4, ret, ret_n);
}

int resource_referring(struct db *db, struct arena *a, struct str kind, struct str to_kind,
                       struct str to_id, struct resource **ret, size_t *ret_n)
{
    static const struct db_stmt stmt = {
        "SELECT " RESOURCE_COLUMNS " FROM resource WHERE kind = $1 AND id IN (SELECT id FROM "
        "reference WHERE to_kind = $2 AND to_id = $3 AND kind = $1) ORDER BY id",
        NULL};
    const struct db_value args[] = {db_text(kind), db_text(to_kind), db_text(to_id)};
    return query_resources(db, a, &stmt, args, 3, ret, ret_n);
}

int resource_secrets(struct db *db, struct arena *a, struct str kind, struct str id,
                     struct resource_secret **ret, size_t *ret_n)
{
    static const struct db_stmt stmt = {
        "SELECT name, sealed, last4 FROM secret WHERE kind = $1 AND "
        "id = $2 ORDER BY name",
        NULL};
    const struct db_value args[] = {db_text(kind), db_text(id)};
    struct db_rows rows;
    int r = db_query(db, a, &stmt, args, 2, &rows);
    if (r < 0) {
        return r;
    }
    struct resource_secret *all = arena_zalloc(a, (rows.n + 1) * sizeof *all);
    for (size_t i = 0; i < rows.n; i++) {
        const struct db_value *v = db_row(&rows, i);
        all[i] = (struct resource_secret){v[0].s, v[1].s, v[2].s};
    }
    *ret = all;
    *ret_n = rows.n;
    return 0;
}

int resource_digests(struct db *db, struct arena *a, struct str kind, struct str id,
                     struct resource_digest **ret, size_t *ret_n)
{
    static const struct db_stmt stmt = {
        "SELECT digest, expires_us FROM digest WHERE kind = $1 AND id = $2", NULL};
    const struct db_value args[] = {db_text(kind), db_text(id)};
    struct db_rows rows;
    int r = db_query(db, a, &stmt, args, 2, &rows);
    if (r < 0) {
        return r;
    }
    struct resource_digest *all = arena_zalloc(a, (rows.n + 1) * sizeof *all);
    for (size_t i = 0; i < rows.n; i++) {
        all[i] = (struct resource_digest){db_row(&rows, i)[0].s, db_row(&rows, i)[1].i};
    }
    *ret = all;
    *ret_n = rows.n;
    return 0;
}

int kind_digests(struct db *db, struct arena *a, struct str kind, struct kind_digest **ret,
                 size_t *ret_n)
{
    static const struct db_stmt stmt = {
        "SELECT id, digest, expires_us FROM digest WHERE kind = $1 ORDER BY id", NULL};
    struct db_value arg = db_text(kind);
    struct db_rows rows;
    int r = db_query(db, a, &stmt, &arg, 1, &rows);
    if (r < 0) {
        return r;
    }
    struct kind_digest *all = arena_zalloc(a, (rows.n + 1) * sizeof *all);
    for (size_t i = 0; i < rows.n; i++) {
        const struct db_value *v = db_row(&rows, i);
        all[i] = (struct kind_digest){v[0].s, v[1].s, v[2].i};
    }
    *ret = all;
    *ret_n = rows.n;
    return 0;
}

int resource_by_digest(struct db *db, struct arena *a, struct str digest, int64_t now_us,
                       struct str *ret_kind, struct str *ret_id)
{
    static const struct db_stmt stmt = {"SELECT kind, id FROM digest WHERE digest = $1 AND "
                                        "(expires_us = 0 OR expires_us > $2)",
                                        NULL};
    const struct db_value args[] = {db_blob(digest), db_int(now_us)};
    struct db_rows rows;
    int r = db_query(db, a, &stmt, args, 2, &rows);
    if (r < 0) {
        return r;
    }
    if (rows.n == 0) {
        return -ENOENT;
    }
    *ret_kind = db_row(&rows, 0)[0].s;
    *ret_id = db_row(&rows, 0)[1].s;
    return 0;
}

int resource_by_unique(struct db *db, struct arena *a, struct str kind, struct str field,
                       struct str value, struct str *ret_id)
{
    static const struct db_stmt stmt = {
        "SELECT id FROM uniq WHERE kind = $1 AND field = $2 AND value = $3", NULL};
    const struct db_value args[] = {db_text(kind), db_text(field), db_text(value)};
    struct db_rows rows;
    int r = db_query(db, a, &stmt, args, 3, &rows);
    if (r < 0) {
        return r;
    }
    if (rows.n == 0) {
        return -ENOENT;
    }
    *ret_id = db_row(&rows, 0)[0].s;
    return 0;
}
