#include <errno.h>

#include "store/journal.h"

int idempotent_get(struct db *db, struct arena *a, struct str scope, struct str key, int64_t now_us,
                   struct idempotent *ret)
{
    static const struct db_stmt stmt = {"SELECT fingerprint, status, fields, body, at_us, "
                                        "expires_us FROM idempotent WHERE scope = $1 "
                                        "AND idempotency_key = $2 AND expires_us > $3",
                                        NULL};
    /* Where others write at the same time, the first with this key is waited for. */
    static const struct db_stmt lock = {
        "SELECT 1", "SELECT pg_advisory_xact_lock(hashtextextended($1 || chr(10) || $2, 0))"};
    const struct db_value args[] = {db_text(scope), db_text(key), db_int(now_us)};
    struct db_rows rows;
    int r = db_run(db, &lock, args, 2, NULL);
    r = r < 0 ? r : db_query(db, a, &stmt, args, 3, &rows);
    if (r < 0) {
        return r;
    }
    if (rows.n == 0) {
        return -ENOENT;
    }
    const struct db_value *v = db_row(&rows, 0);
    *ret = (struct idempotent){.scope = scope,
                               .key = key,
                               .fingerprint = v[0].s,
                               .status = v[1].i,
                               .fields = v[2].s,
                               .body = v[3].s,
                               .at_us = v[4].i,
                               .expires_us = v[5].i};
    return 0;
}

int idempotent_put(struct db *db, const struct idempotent *i)
{
    static const struct db_stmt stmt = {
        "INSERT INTO idempotent (scope, idempotency_key, fingerprint, status, fields, body, at_us, "
        "expires_us) VALUES ($1, $2, $3, $4, $5, $6, $7, $8) ON CONFLICT (scope, idempotency_key) "
        "DO "
        "UPDATE SET fingerprint = $3, status = $4, fields = $5, body = $6, at_us = $7, expires_us "
        "= "
        "$8 WHERE idempotent.expires_us <= $7",
        NULL};
    const struct db_value args[] = {
        db_text(i->scope),  db_text(i->key),  db_blob(i->fingerprint), db_int(i->status),
        db_text(i->fields), db_text(i->body), db_int(i->at_us),        db_int(i->expires_us)};
    int64_t n;
    int r = db_run(db, &stmt, args, 8, &n);
    return r < 0 ? r : n == 0 ? -EAGAIN : 0;
}

int idempotent_expire(struct db *db, int64_t now_us)
{
    static const struct db_stmt stmt = {"DELETE FROM idempotent WHERE expires_us <= $1", NULL};
    struct db_value arg = db_int(now_us);
    return db_run(db, &stmt, &arg, 1, NULL);
}
