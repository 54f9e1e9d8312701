#include <errno.h>

#include "store/journal.h"

int session_add(struct db *db, const struct session *s)
{
    static const struct db_stmt stmt = {"INSERT INTO session (digest, who, csrf, created_us, "
                                        "expires_us, address, agent) VALUES ($1, "
                                        "$2, $3, $4, $5, $6, $7)",
                                        NULL};
    const struct db_value args[] = {
        db_blob(s->digest),    db_text(s->user),    db_blob(s->csrf), db_int(s->created_us),
        db_int(s->expires_us), db_text(s->address), db_text(s->agent)};
    return db_run(db, &stmt, args, 7, NULL);
}

int session_get(struct db *db, struct arena *a, struct str digest, int64_t now_us,
                struct session *ret)
{
    static const struct db_stmt stmt = {
        "SELECT digest, who, csrf, created_us, expires_us, address, "
        "agent FROM session WHERE digest = $1 AND expires_us > $2",
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
    const struct db_value *v = db_row(&rows, 0);
    *ret = (struct session){v[0].s, v[1].s, v[2].s, v[3].i, v[4].i, v[5].s, v[6].s};
    return 0;
}

int session_end(struct db *db, struct str user, struct str digest, struct str except)
{
    static const struct db_stmt one = {"DELETE FROM session WHERE who = $1 AND digest = $2", NULL};
    static const struct db_stmt all = {"DELETE FROM session WHERE who = $1 AND digest <> $2", NULL};
    const struct db_value args[] = {db_text(user), db_blob(digest.n ? digest : except)};
    return db_run(db, digest.n ? &one : &all, args, 2, NULL);
}

int session_expire(struct db *db, int64_t now_us)
{
    static const struct db_stmt stmt = {"DELETE FROM session WHERE expires_us <= $1", NULL};
    struct db_value arg = db_int(now_us);
    return db_run(db, &stmt, &arg, 1, NULL);
}
