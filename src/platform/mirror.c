/* What is declared elsewhere, as resources of the platform: the providers, models, keys and policies
 * of the file, of the environment and of the key file. They belong to whoever declares them. */
#include <errno.h>
#include <string.h>

#include "model/names.h"
#include "model/resource_kind.h"
#include "platform/world.h"
#include "platform/write.h"

struct declared {
    const struct resource_kind *kind;
    struct str id, manager;
    struct json *tree;
};

struct mirroring {
    struct store_job job; /* first member */
    struct arena arena;
    const struct config_base *base;
    struct declared *all;
    size_t n;
    struct names names; /* "kind/id" of all */
    struct buf *errors;
    struct buf notes;
};

/* ---- what there is to declare ---- */

static struct str manager_of(struct arena *a, const struct config *c, struct str origin)
{
    if (str_starts(origin, STR("environment"))) {
        return STR("environment");
    }
    if (str_starts(origin, STR("built in")) || !c->path.n) {
        return STR("built-in");
    }
    return arena_printf(a, "file:%.*s", STR_ARG(c->path));
}

static struct str name_of(struct arena *a, struct str kind, struct str id)
{
    return arena_printf(a, "%.*s/%.*s", STR_ARG(kind), STR_ARG(id));
}

static void declare(struct mirroring *m, const struct resource_kind *k, const void *decoded,
                    struct str id, struct str manager)
{
    struct json *tree = kind_encode(&m->arena, k->kind, decoded);
    json_remove(tree, STR("id"));
    json_remove(tree, STR("origin"));
    for (size_t i = 0; i < k->kind->n_fields; i++) {
        if (k->kind->fields[i].hashed) {
            json_remove(tree, str_of(k->kind->fields[i].name));
        }
    }
    if (k->states) {
        json_set(tree, STR("state"), json_new_str(&m->arena, str_of(k->states[0])));
    }
    names_add(&m->names, name_of(&m->arena, str_of(k->kind->name), id), m->n, NULL);
    m->all[m->n++] = (struct declared){k, id, manager, tree};
}

static void gather(struct mirroring *m)
{
    const struct config *c = m->base->config;
    struct str file = manager_of(&m->arena, c, (struct str){0});
    m->all = arena_zalloc(&m->arena, (c->n_providers + c->n_models + c->n_keys + c->n_policies +
                                      m->base->n_keys + 1) *
                                         sizeof *m->all);
    for (size_t i = 0; i < c->n_providers; i++) {
        declare(m, &resource_provider, &c->providers[i], c->providers[i].id,
                manager_of(&m->arena, c, c->providers[i].origin));
    }
    for (size_t i = 0; i < c->n_models; i++) {
        declare(m, &resource_model, &c->models[i], c->models[i].id, file);
    }
    for (size_t i = 0; i < c->n_keys; i++) {
        declare(m, &resource_key, &c->keys[i], c->keys[i].id, file);
    }
    for (size_t i = 0; i < m->base->n_keys; i++) {
        const struct keyfile_entry *e = &m->base->keys[i];
        const struct config_key k = {.id = e->id, .models = e->models, .n_models = e->n_models};
        if (!names_find(&m->names, name_of(&m->arena, STR("key"), e->id), NULL)) {
            declare(m, &resource_key, &k, e->id, STR("file:keys.jsonl"));
        }
    }
    for (size_t i = 0; i < c->n_policies; i++) {
        declare(m, &resource_policy, &c->policies[i], c->policies[i].id, file);
    }
}

/* ---- into the store ---- */

static int index_of(struct mirroring *m, const struct declared *d, struct resource_write *w)
{
    struct mistakes mistakes = {.arena = &m->arena};
    struct document doc;
    if (document_read(&m->arena, d->kind, d->id, d->tree, &mistakes, &doc) < 0) {
        return -EINVAL;
    }
    struct resource_reference *all = arena_zalloc(&m->arena, (doc.n_references + 1) * sizeof *all);
    for (size_t i = 0; i < doc.n_references; i++) {
        all[i] = (struct resource_reference){
            doc.references[i].pointer, str_of(doc.references[i].kind->name), doc.references[i].id};
    }
    struct resource_unique *uniques =
        arena_zalloc(&m->arena, (doc.n_uniques + 1) * sizeof *uniques);
    for (size_t i = 0; i < doc.n_uniques; i++) {
        uniques[i] = (struct resource_unique){doc.uniques[i].field, doc.uniques[i].value};
    }
    w->references = all;
    w->n_references = doc.n_references;
    w->uniques = uniques;
    w->n_uniques = doc.n_uniques;
    return 0;
}

static int put(struct mirroring *m, struct db *db, struct declared *d)
{
    struct arena *a = &m->arena;
    struct resource now;
    struct resource_refusal why = {0};
    struct buf text = {.arena = a};
    json_print(&text, d->tree, 0);
    struct resource_write w = {.r = {.kind = str_of(d->kind->kind->name),
                                     .id = d->id,
                                     .document = buf_str(&text),
                                     .updated_us = (int64_t)clock_wall_us(),
                                     .updated_by = d->manager}};
    w.r.managers = arena_printf(a, DECLARED_MARK "\"\":\"%.*s\"}", STR_ARG(d->manager));
    document_hash(a, d->id, d->tree, &w.r.hash);
    int r = resource_get(db, a, w.r.kind, d->id, true, &now);
    if (r == 0 && str_eq(now.hash, w.r.hash) && str_eq(now.managers, w.r.managers)) {
        return 0;
    }
    if (r < 0 && r != -ENOENT) {
        return r;
    }
    bool exists = r == 0;
    if (index_of(m, d, &w) < 0) {
        return 0; /* what the file allows and the platform does not: it is not shown there */
    }
    w.r.action = exists ? STR("declare") : STR("create");
    r = exists ? resource_update(db, a, &w, now.revision, &why) : resource_insert(db, a, &w, &why);
    return r == -ENOLINK || r == -EEXIST ? 0 : r;
}

/* What is not declared any more goes; what others refer to stays, and is the platform's from now
 * on. */
static int remove_old(struct mirroring *m, struct db *db, const struct resource_kind *k)
{
    struct arena *a = &m->arena;
    struct resource *all;
    size_t n;
    int r = resource_list(db, a, str_of(k->kind->name), (struct str){0}, SIZE_MAX >> 1, &all, &n);
    for (size_t i = 0; r == 0 && i < n; i++) {
        struct resource_refusal why = {0};
        if (!is_declared(&all[i]) ||
            names_find(&m->names, name_of(a, all[i].kind, all[i].id), NULL)) {
            continue;
        }
        struct resource_write w = {.r = all[i], .same_index = true};
        w.r.updated_us = (int64_t)clock_wall_us();
        w.r.action = STR("delete");
        r = resource_delete(db, a, &w, all[i].revision, &why);
        if (r == -EBUSY) {
            w.r = all[i];
            w.r.updated_us = (int64_t)clock_wall_us();
            w.r.action = STR("release");
            w.r.managers = STR("{\"\":\"system\"}");
            r = resource_update(db, a, &w, all[i].revision, &why);
            buf_printf(
                &m->notes,
                "the %s \"%.*s\" is not declared any more, but %.*s \"%.*s\" refers to it; it "
                "stays, and belongs to the platform now\n",
                k->kind->name, STR_ARG(all[i].id), STR_ARG(why.blocking[0].kind),
                STR_ARG(why.blocking[0].id));
        }
    }
    return r;
}

static int run(struct store_job *j, struct db *db)
{
    static const struct resource_kind *const last_first[] = {&resource_policy, &resource_key,
                                                             &resource_model, &resource_provider};
    struct mirroring *m = (struct mirroring *)j;
    int r = 0;
    m->notes.n = 0;
    for (size_t i = 0; r == 0 && i < sizeof last_first / sizeof *last_first; i++) {
        r = remove_old(m, db, last_first[i]);
    }
    for (size_t i = 0; r == 0 && i < m->n; i++) {
        r = put(m, db, &m->all[i]);
    }
    return r;
}

int world_declare(struct world *w, struct config_base *base, struct buf *errors)
{
    struct mirroring m = {.job = {.run = run, .write = true}, .base = base, .errors = errors};
    m.names.arena = &m.arena;
    gather(&m);
    int r = store_run(w->platform->store, &m.job);
    if (r < 0) {
        buf_printf(errors, "what is declared cannot be kept in the store: %s\n", strerror(-r));
        config_base_unref(base);
    } else {
        buf_add(errors, buf_str(&m.notes));
        config_base_unref(w->base);
        w->base = base;
    }
    buf_free(&m.notes);
    arena_reset(&m.arena);
    return r;
}
