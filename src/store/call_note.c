#include <errno.h>

#include "store/journal.h"

/* A process lives as long as it keeps the lease that has its name; where no database is shared there are no leases, and
 * whoever looks is the only process there is. */
#define LIVES(now)                                                                                 \
    "EXISTS (SELECT 1 FROM lease WHERE lease.name = call_note.holder AND lease.expires_us > " now  \
    ")"
#define BEGIN(now)                                                                                 \
    "INSERT INTO call_note (name, payload, owner, call, holder, state, begun_us, expires_us, "     \
    "type, lines, origin, body) VALUES ($1, $2, $3, $4, $5, 0, $6, $7, '', '', '', NULL) "         \
    "ON CONFLICT (name) DO UPDATE SET payload = $2, owner = $3, call = $4, holder = $5, state = "  \
    "0, begun_us = $6, expires_us = $7, type = '', lines = '', origin = '', body = NULL "          \
    "WHERE call_note.expires_us <= $6 AND (call_note.state <> 0 OR NOT " LIVES(now) ")"
#define FIND(now)                                                                                  \
    "SELECT payload, owner, call, holder, state, begun_us, expires_us, type, lines, origin, "      \
    "body, CASE WHEN " LIVES(now) " THEN 1 ELSE 0 END FROM call_note WHERE name = $1"

static void read_row(const struct db_value *v, struct call_note *ret)
{
    ret->payload = v[0].s;
    ret->owner = v[1].s;
    ret->call = v[2].s;
    ret->holder = v[3].s;
    ret->state = (enum call_note_state)v[4].i;
    ret->begun_us = v[5].i;
    ret->expires_us = v[6].i;
    ret->type = v[7].s;
    ret->lines = v[8].s;
    ret->origin = v[9].s;
    ret->kept = v[10].type == DB_BLOB;
    ret->body = v[10].s;
    ret->lives = v[11].i;
}

int call_note_begin(struct db *db, struct arena *a, const struct call_note *n,
                    struct call_note *ret)
{
    static const struct db_stmt begin = {BEGIN(DB_NOW_SQLITE), BEGIN(DB_NOW_POSTGRES)},
                                find = {FIND(DB_NOW_SQLITE), FIND(DB_NOW_POSTGRES)};
    const struct db_value args[] = {db_blob(n->name),     db_blob(n->payload), db_text(n->owner),
                                    db_text(n->call),     db_text(n->holder),  db_int(n->begun_us),
                                    db_int(n->expires_us)};
    struct db_rows rows;
    int64_t changed;
    int r = db_run(db, &begin, args, 7, &changed);
    if (r < 0 || changed) {
        return r;
    }
    r = db_query(db, a, &find, args, 1, &rows);
    if (r < 0) {
        return r;
    }
    if (rows.n == 0) {
        return -EAGAIN; /* it went in between */
    }
    *ret = (struct call_note){.name = n->name};
    read_row(db_row(&rows, 0), ret);
    return -EEXIST;
}

int call_note_end(struct db *db, const struct call_note *n)
{
    static const struct db_stmt stmt = {
        "UPDATE call_note SET state = $3, expires_us = $4, type = $5, lines = $6, origin = $7, "
        "body = $8 WHERE name = $1 AND call = $2",
        NULL};
    const struct db_value args[] = {db_blob(n->name),   db_text(n->call),
                                    db_int(n->state),   db_int(n->expires_us),
                                    db_text(n->type),   db_text(n->lines),
                                    db_text(n->origin), n->kept ? db_blob(n->body) : db_null()};
    return db_run(db, &stmt, args, 8, NULL);
}

int call_note_drop(struct db *db, struct str name, struct str call)
{
    static const struct db_stmt stmt = {"DELETE FROM call_note WHERE name = $1 AND call = $2",
                                        NULL};
    const struct db_value args[] = {db_blob(name), db_text(call)};
    return db_run(db, &stmt, args, 2, NULL);
}

int call_note_expire(struct db *db, int64_t now_us, int64_t limit, int64_t *ret_n)
{
    /* One that has begun may run for longer than answers are kept. */
    static const struct db_stmt stmt = {
        "DELETE FROM call_note WHERE name IN (SELECT name FROM call_note WHERE expires_us <= $1 "
        "AND (state <> 0 OR begun_us <= $2) ORDER BY expires_us LIMIT $3)",
        NULL};
    const struct db_value args[] = {db_int(now_us), db_int(now_us - CALL_NOTE_RUNS_US),
                                    db_int(limit)};
    return db_run(db, &stmt, args, 3, ret_n);
}
