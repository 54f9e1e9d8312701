/* The audit trail: append-only, each entry's hash covers the one before and all its members. */
#include <errno.h>
#include <sodium.h>

#include "store/journal.h"
#include "store/row.h"

enum { HASH = 32 };

/* Each member with its length in front, so that no two entries look alike. */
static void hash_text(crypto_generichash_state *h, struct str s)
{
    uint64_t n = s.n;
    crypto_generichash_update(h, (const uint8_t *)&n, sizeof n);
    crypto_generichash_update(h, (const uint8_t *)s.p, s.n);
}

static void hash_entry(const struct audit *e, struct str before, uint8_t ret[HASH])
{
    crypto_generichash_state h;
    const int64_t numbers[] = {e->seq, e->at_us};
    crypto_generichash_init(&h, NULL, 0, HASH);
    hash_text(&h, before);
    crypto_generichash_update(&h, (const uint8_t *)numbers, sizeof numbers);
    const struct str texts[] = {e->who, e->address, e->request_id, e->action, e->kind,
                                e->id,  e->before,  e->after,      e->note};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        hash_text(&h, texts[i]);
    }
    crypto_generichash_final(&h, ret, HASH);
}

#define AUDIT_COLUMNS                                                                              \
    "seq, at_us, who, address, request_id, action, kind, id, before, after, note, hash"

int audit_add(struct db *db, struct arena *a, const struct audit *given)
{
    static const struct db_stmt stmt = {
        "INSERT INTO audit (" AUDIT_COLUMNS
        ") VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)",
        NULL};
    struct audit e = *given;
    struct str before;
    uint8_t hash[HASH];
    int r = tail_next(db, a, "audit", &e.seq, &before);
    if (r < 0) {
        return r;
    }
    hash_entry(&e, before, hash);
    e.hash = str_make((char *)hash, HASH);
    const struct db_value args[] = {db_int(e.seq),      db_int(e.at_us),       db_text(e.who),
                                    db_text(e.address), db_text(e.request_id), db_text(e.action),
                                    db_text(e.kind),    db_text(e.id),         db_text(e.before),
                                    db_text(e.after),   db_text(e.note),       db_blob(e.hash)};
    r = db_run(db, &stmt, args, 12, NULL);
    return r < 0 ? r : tail_set_hash(db, "audit", e.hash);
}

static struct audit row_audit(const struct db_value *v)
{
    return (struct audit){
        .seq = v[0].i,
        .at_us = v[1].i,
        .who = v[2].s,
        .address = v[3].s,
        .request_id = v[4].s,
        .action = v[5].s,
        .kind = v[6].s,
        .id = v[7].s,
        .before = v[8].s,
        .after = v[9].s,
        .note = v[10].s,
        .hash = v[11].s,
    };
}

int audit_list(struct db *db, struct arena *a, struct str who, struct str kind, struct str id,
               int64_t before, size_t limit, struct audit **ret, size_t *ret_n)
{
    static const struct db_stmt stmt = {
        "SELECT " AUDIT_COLUMNS
        " FROM audit WHERE seq < $1 AND ($2 = '' OR who = $2) AND ($3 = '' OR "
        "kind = $3) AND ($4 = '' OR id = $4) ORDER BY seq DESC LIMIT $5",
        NULL};
    const struct db_value args[] = {db_int(before ? before : INT64_MAX), db_text(who),
                                    db_text(kind), db_text(id), db_int((int64_t)limit)};
    struct db_rows rows;
    int r = db_query(db, a, &stmt, args, 5, &rows);
    if (r < 0) {
        return r;
    }
    *ret = arena_zalloc(a, (rows.n + 1) * sizeof **ret);
    for (size_t i = 0; i < rows.n; i++) {
        (*ret)[i] = row_audit(db_row(&rows, i));
    }
    *ret_n = rows.n;
    return 0;
}

/* The chain from `*seq` on, a piece at a time; `hash` is carried along. */
static int verify_piece(struct db *db, struct arena *a, int64_t *seq, uint8_t hash[HASH],
                        bool *ret_more)
{
    enum { PIECE = 500 };
    static const struct db_stmt stmt = {
        "SELECT " AUDIT_COLUMNS " FROM audit WHERE seq > $1 ORDER BY seq LIMIT $2", NULL};
    const struct db_value args[] = {db_int(*seq), db_int(PIECE)};
    struct db_rows rows;
    int r = db_query(db, a, &stmt, args, 2, &rows);
    for (size_t i = 0; r == 0 && i < rows.n; i++) {
        struct audit e = row_audit(db_row(&rows, i));
        uint8_t expected[HASH];
        hash_entry(&e, str_make((char *)hash, *seq ? HASH : 0), expected);
        if (e.seq != *seq + 1 || e.hash.n != HASH || memcmp(expected, e.hash.p, HASH) != 0) {
            *seq = *seq + 1;
            return -EBADMSG;
        }
        memcpy(hash, expected, HASH);
        *seq = e.seq;
    }
    *ret_more = r == 0 && rows.n == PIECE;
    return r;
}

int audit_verify(struct db *db, int64_t *ret_seq)
{
    static const struct db_stmt tail = {"SELECT seq, hash FROM tail WHERE name = 'audit'", NULL};
    struct arena a = {0};
    struct db_rows rows;
    uint8_t hash[HASH] = {0};
    int64_t seq = 0;
    bool more = true;
    int r = 0;
    while (r == 0 && more) {
        r = verify_piece(db, &a, &seq, hash, &more);
        arena_reset(&a);
    }
    /* The last entries may have been cut off: the tail remembers them. */
    r = r < 0 ? r : db_query(db, &a, &tail, NULL, 0, &rows);
    if (r == 0 && (rows.n != 1 || db_row(&rows, 0)[0].i != seq)) {
        seq++;
        r = -EBADMSG;
    }
    arena_reset(&a);
    *ret_seq = seq;
    return r;
}
