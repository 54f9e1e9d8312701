/* Reading rows of the tables, for the files of this folder. */
#ifndef STORE_ROW_H
#define STORE_ROW_H

#include "store/resource.h"

#define RESOURCE_COLUMNS                                                                           \
    "kind, id, revision, hash, document, managers, created_us, created_by, updated_us, "           \
    "updated_by, action"

/* From columns in the order of RESOURCE_COLUMNS. */
static inline struct resource row_resource(const struct db_value *v)
{
    return (struct resource){
        .kind = v[0].s,
        .id = v[1].s,
        .revision = v[2].i,
        .hash = v[3].s,
        .document = v[4].s,
        .managers = v[5].s,
        .created_us = v[6].i,
        .created_by = v[7].s,
        .updated_us = v[8].i,
        .updated_by = v[9].s,
        .action = v[10].s,
    };
}

/* All rows of a query for RESOURCE_COLUMNS. */
static inline int query_resources(struct db *db, struct arena *a, const struct db_stmt *stmt,
                                  const struct db_value *args, unsigned n, struct resource **ret,
                                  size_t *ret_n)
{
    struct db_rows rows;
    int r = db_query(db, a, stmt, args, n, &rows);
    if (r < 0) {
        return r;
    }
    struct resource *all = arena_zalloc(a, (rows.n + 1) * sizeof *all);
    for (size_t i = 0; i < rows.n; i++) {
        all[i] = row_resource(db_row(&rows, i));
    }
    *ret = all;
    *ret_n = rows.n;
    return 0;
}

/* tail.c: the next number of a gap-free sequence; `*ret_hash` (may be NULL) is the hash before. */
int tail_next(struct db *db, struct arena *a, const char *name, int64_t *ret_seq,
              struct str *ret_hash);
int tail_set_hash(struct db *db, const char *name, struct str hash);

#endif
