#include "store/driver.h"

int db_query(struct db *db, struct arena *a, const struct db_stmt *stmt,
             const struct db_value *args, unsigned n_args, struct db_rows *ret)
{
    return db->driver->run(db, a, stmt, args, n_args, ret, NULL);
}

int db_run(struct db *db, const struct db_stmt *stmt, const struct db_value *args, unsigned n_args,
           int64_t *ret_rows)
{
    return db->driver->run(db, NULL, stmt, args, n_args, NULL, ret_rows);
}

const char *db_error(const struct db *db)
{
    return db->error;
}
