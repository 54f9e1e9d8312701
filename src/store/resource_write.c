/* Writing resources: what may be refused is looked at first, so that a refusal has written nothing;
 * the database's own constraints stand behind it, and a race that meets them runs the job again. */
#include <errno.h>

#include "store/resource.h"
#include "store/row.h"

enum { BLOCKING_SHOWN = 20 };

/* ---- what may be refused ---- */

static int check_uniques(struct db *db, struct arena *a, const struct resource_write *w,
                         struct resource_refusal *refusal)
{
    for (size_t i = 0; i < w->n_uniques; i++) {
        const struct resource_unique *u = &w->uniques[i];
        struct str holder;
        int r = resource_by_unique(db, a, w->r.kind, u->field, u->value, &holder);
        if (r == 0 && !str_eq(holder, w->r.id)) {
            *refusal = (struct resource_refusal){
                .pointer = u->field, .kind = w->r.kind, .id = holder, .value = u->value};
            return -EEXIST;
        }
        if (r < 0 && r != -ENOENT) {
            return r;
        }
    }
    return 0;
}

static int check_references(struct db *db, struct arena *a, const struct resource_write *w,
                            struct resource_refusal *refusal)
{
    /* Of SELECT 1 no document is copied; PostgreSQL keeps what is referred to from being deleted. */
    static const struct db_stmt stmt = {
        "SELECT 1 FROM resource WHERE kind = $1 AND id = $2",
        "SELECT 1 FROM resource WHERE kind = $1 AND id = $2 FOR KEY SHARE"};
    for (size_t i = 0; i < w->n_references; i++) {
        const struct resource_reference *x = &w->references[i];
        const struct db_value args[] = {db_text(x->kind), db_text(x->id)};
        struct db_rows rows;
        int r = db_query(db, a, &stmt, args, 2, &rows);
        if (r < 0) {
            return r;
        }
        if (rows.n == 0) {
            *refusal =
                (struct resource_refusal){.pointer = x->pointer, .kind = x->kind, .id = x->id};
            return -ENOLINK;
        }
    }
    return 0;
}

static int check_unused(struct db *db, struct arena *a, const struct resource_write *w,
                        struct resource_refusal *refusal)
{
    static const struct db_stmt stmt = {"SELECT kind, id, pointer FROM reference WHERE to_kind = "
                                        "$1 AND to_id = $2 AND NOT (kind = $1 "
                                        "AND id = $2) ORDER BY kind, id LIMIT $3",
                                        NULL};
    const struct db_value args[] = {db_text(w->r.kind), db_text(w->r.id), db_int(BLOCKING_SHOWN)};
    struct db_rows rows;
    int r = db_query(db, a, &stmt, args, 3, &rows);
    if (r < 0 || rows.n == 0) {
        return r;
    }
    refusal->blocking = arena_zalloc(a, rows.n * sizeof *refusal->blocking);
    refusal->n_blocking = rows.n;
    for (size_t i = 0; i < rows.n; i++) {
        const struct db_value *v = db_row(&rows, i);
        refusal->blocking[i] =
            (struct resource_reference){.kind = v[0].s, .id = v[1].s, .pointer = v[2].s};
    }
    return -EBUSY;
}

/* ---- what is written beside the row ---- */

static int delete_of(struct db *db, const struct db_stmt *stmt, const struct resource *r)
{
    const struct db_value args[] = {db_text(r->kind), db_text(r->id)};
    return db_run(db, stmt, args, 2, NULL);
}

static int write_uniques(struct db *db, const struct resource_write *w)
{
    static const struct db_stmt stmt = {"INSERT INTO uniq (kind, field, value, id) VALUES ($1, $2, "
                                        "$3, $4) ON CONFLICT DO NOTHING",
                                        NULL};
    for (size_t i = 0; i < w->n_uniques; i++) {
        const struct db_value args[] = {db_text(w->r.kind), db_text(w->uniques[i].field),
                                        db_text(w->uniques[i].value), db_text(w->r.id)};
        int64_t n;
        int r = db_run(db, &stmt, args, 4, &n);
        if (r < 0 || n == 0) {
            return r < 0 ? r : -EAGAIN; /* taken since it was looked at */
        }
    }
    return 0;
}

static int write_references(struct db *db, const struct resource_write *w)
{
    static const struct db_stmt stmt = {"INSERT INTO reference (kind, id, pointer, to_kind, to_id) "
                                        "VALUES ($1, $2, $3, $4, $5)",
                                        NULL};
    int r = 0;
    for (size_t i = 0; r == 0 && i < w->n_references; i++) {
        const struct resource_reference *x = &w->references[i];
        const struct db_value args[] = {db_text(w->r.kind), db_text(w->r.id), db_text(x->pointer),
                                        db_text(x->kind), db_text(x->id)};
        r = db_run(db, &stmt, args, 5, NULL);
    }
    return r;
}

static int write_secrets(struct db *db, const struct resource_write *w)
{
    static const struct db_stmt put = {"INSERT INTO secret (kind, id, name, sealed, last4) VALUES "
                                       "($1, $2, $3, $4, $5) ON CONFLICT "
                                       "(kind, id, name) DO UPDATE SET sealed = $4, last4 = $5",
                                       NULL};
    static const struct db_stmt remove = {
        "DELETE FROM secret WHERE kind = $1 AND id = $2 AND name = $3", NULL};
    int r = 0;
    for (size_t i = 0; r == 0 && i < w->n_secrets; i++) {
        const struct resource_secret *s = &w->secrets[i];
        const struct db_value args[] = {db_text(w->r.kind), db_text(w->r.id), db_text(s->name),
                                        db_blob(s->sealed), db_text(s->last4)};
        r = s->sealed.n ? db_run(db, &put, args, 5, NULL) : db_run(db, &remove, args, 3, NULL);
    }
    return r;
}

static int write_digests(struct db *db, const struct resource_write *w)
{
    static const struct db_stmt put = {
        "INSERT INTO digest (digest, kind, id, expires_us) VALUES ($1, $2, $3, $4) ON CONFLICT "
        "(digest) DO UPDATE SET expires_us = $4 WHERE digest.kind = $2 AND digest.id = $3",
        NULL};
    static const struct db_stmt remove = {"DELETE FROM digest WHERE kind = $1 AND id = $2", NULL};
    int r = w->keep_digests ? 0 : delete_of(db, &remove, &w->r);
    for (size_t i = 0; r == 0 && i < w->n_digests; i++) {
        const struct db_value args[] = {db_blob(w->digests[i].digest), db_text(w->r.kind),
                                        db_text(w->r.id), db_int(w->digests[i].expires_us)};
        int64_t n;
        r = db_run(db, &put, args, 4, &n);
        r = r == 0 && n == 0 ? -EAGAIN : r; /* somebody else's since it was looked at */
    }
    return r;
}

static int write_change(struct db *db, struct arena *a, const struct resource *x)
{
    static const struct db_stmt stmt = {"INSERT INTO change (seq, kind, id, revision, action, who, "
                                        "at_us) VALUES ($1, $2, $3, $4, $5, "
                                        "$6, $7)",
                                        NULL};
    int64_t seq;
    int r = tail_next(db, a, "change", &seq, NULL);
    if (r < 0) {
        return r;
    }
    const struct db_value args[] = {
        db_int(seq),        db_text(x->kind),       db_text(x->id),       db_int(x->revision),
        db_text(x->action), db_text(x->updated_by), db_int(x->updated_us)};
    return db_run(db, &stmt, args, 7, NULL);
}

static void resource_args(const struct resource *x, struct db_value args[11])
{
    const struct db_value all[] = {
        db_text(x->kind),       db_text(x->id),         db_int(x->revision),
        db_text(x->hash),       db_text(x->document),   db_text(x->managers),
        db_int(x->created_us),  db_text(x->created_by), db_int(x->updated_us),
        db_text(x->updated_by), db_text(x->action),
    };
    memcpy(args, all, sizeof all);
}

static int write_revision(struct db *db, const struct resource *x)
{
    static const struct db_stmt stmt = {"INSERT INTO revision (" RESOURCE_COLUMNS
                                        ") VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)",
                                        NULL};
    struct db_value args[11];
    resource_args(x, args);
    return db_run(db, &stmt, args, 11, NULL);
}

static int write_rest(struct db *db, struct arena *a, struct resource_write *w)
{
    int r = write_revision(db, &w->r);
    r = r < 0 ? r : write_secrets(db, w);
    r = r < 0 ? r : write_digests(db, w);
    return r < 0 ? r : write_change(db, a, &w->r);
}

/* ---- the three ---- */

int resource_insert(struct db *db, struct arena *a, struct resource_write *w,
                    struct resource_refusal *refusal)
{
    static const struct db_stmt insert = {
        "INSERT INTO resource (" RESOURCE_COLUMNS
        ") VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11) ON CONFLICT DO NOTHING",
        NULL};
    struct db_value args[11];
    int64_t last, n;
    int r = resource_last(db, w->r.kind, w->r.id, &last);
    r = r < 0 ? r : check_uniques(db, a, w, refusal);
    r = r < 0 ? r : check_references(db, a, w, refusal);
    if (r < 0) {
        return r;
    }
    w->r.revision = last + 1;
    w->r.created_us = w->r.updated_us;
    w->r.created_by = w->r.updated_by;
    resource_args(&w->r, args);
    r = db_run(db, &insert, args, 11, &n);
    if (r == 0 && n == 0) {
        *refusal = (struct resource_refusal){.kind = w->r.kind, .id = w->r.id, .value = w->r.id};
        return -EEXIST;
    }
    r = r < 0 ? r : write_uniques(db, w);
    r = r < 0 ? r : write_references(db, w);
    return r < 0 ? r : write_rest(db, a, w);
}

int resource_update(struct db *db, struct arena *a, struct resource_write *w, int64_t expected,
                    struct resource_refusal *refusal)
{
    /* The compare: the row is written only while it is in the state that was decided on. */
    static const struct db_stmt update = {
        "UPDATE resource SET revision = $3, hash = $4, document = $5, managers = $6, updated_us = "
        "$7, "
        "updated_by = $8, action = $9 WHERE kind = $1 AND id = $2 AND revision = $10",
        NULL};
    static const struct db_stmt drop_uniques = {"DELETE FROM uniq WHERE kind = $1 AND id = $2",
                                                NULL};
    static const struct db_stmt drop_references = {
        "DELETE FROM reference WHERE kind = $1 AND id = $2", NULL};
    int64_t n;
    int r = w->same_index ? 0 : check_uniques(db, a, w, refusal);
    r = r < 0 || w->same_index ? r : check_references(db, a, w, refusal);
    if (r < 0) {
        return r;
    }
    w->r.revision = expected + 1;
    const struct db_value args[] = {db_text(w->r.kind),      db_text(w->r.id),
                                    db_int(w->r.revision),   db_text(w->r.hash),
                                    db_text(w->r.document),  db_text(w->r.managers),
                                    db_int(w->r.updated_us), db_text(w->r.updated_by),
                                    db_text(w->r.action),    db_int(expected)};
    r = db_run(db, &update, args, 10, &n);
    if (r < 0 || n == 0) {
        return r < 0 ? r : -EAGAIN;
    }
    if (!w->same_index) {
        r = delete_of(db, &drop_uniques, &w->r);
        r = r < 0 ? r : delete_of(db, &drop_references, &w->r);
        r = r < 0 ? r : write_uniques(db, w);
        r = r < 0 ? r : write_references(db, w);
    }
    return r < 0 ? r : write_rest(db, a, w);
}

int resource_delete(struct db *db, struct arena *a, struct resource_write *w, int64_t expected,
                    struct resource_refusal *refusal)
{
    static const struct db_stmt remove = {
        "DELETE FROM resource WHERE kind = $1 AND id = $2 AND revision = $3", NULL};
    static const struct db_stmt bury = {
        "INSERT INTO tombstone (kind, id, revision) VALUES ($1, $2, $3) ON CONFLICT (kind, id) DO "
        "UPDATE SET revision = $3",
        NULL};
    int64_t n;
    int r = check_unused(db, a, w, refusal);
    if (r < 0) {
        return r;
    }
    const struct db_value args[] = {db_text(w->r.kind), db_text(w->r.id), db_int(expected)};
    r = db_run(db, &remove, args, 3, &n);
    if (r < 0 || n == 0) {
        return r < 0 ? r : -EAGAIN;
    }
    w->r.revision = expected + 1;
    w->r.document = w->r.hash = (struct str){0};
    const struct db_value grave[] = {db_text(w->r.kind), db_text(w->r.id), db_int(w->r.revision)};
    r = db_run(db, &bury, grave, 3, NULL);
    r = r < 0 ? r : write_revision(db, &w->r);
    return r < 0 ? r : write_change(db, a, &w->r);
}

int resource_prune(struct db *db, struct str kind, struct str id, int64_t keep)
{
    static const struct db_stmt stmt = {
        "DELETE FROM revision WHERE kind = $1 AND id = $2 AND revision <= "
        "(SELECT MAX(revision) FROM revision WHERE kind = $1 AND id = $2) - $3",
        NULL};
    const struct db_value args[] = {db_text(kind), db_text(id), db_int(keep)};
    return db_run(db, &stmt, args, 3, NULL);
}
