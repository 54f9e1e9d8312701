#include "platform/image.h"

#include <errno.h>
#include <stdlib.h>

#include "model/names.h"
#include "platform/world.h"
#include "store/resource.h"

static const struct resource_kind *const kinds[IMAGE_KINDS] = {
    &resource_provider,    &resource_credential, &resource_model,
    &resource_application, &resource_key,        &resource_policy};

/* A resource as it was read; without a document it is gone. */
struct seen {
    size_t kind;
    struct resource r;
    struct resource_secret *secrets;
    size_t n_secrets;
    struct image_digest *digests;
    size_t n_digests, cap_digests;
};

/* What is read in one transaction. */
struct reading {
    struct store_job job; /* first member */
    struct arena arena;
    const struct image *image;
    struct seen *all;
    size_t n, cap;
    int64_t seq;
};

/* ---- reading, on a store thread ---- */

static struct str kind_name(size_t kind)
{
    return str_of(kinds[kind]->kind->name);
}

static struct seen *see(struct reading *r, size_t kind)
{
    if (r->n == r->cap) {
        struct seen *old = r->all;
        r->cap = r->cap ? 2 * r->cap : 64;
        r->all = arena_alloc(&r->arena, r->cap * sizeof *r->all);
        if (r->n) {
            memcpy(r->all, old, r->n * sizeof *old);
        }
    }
    r->all[r->n] = (struct seen){.kind = kind};
    return &r->all[r->n++];
}

static bool has_secrets(size_t kind)
{
    return kind == IMAGE_PROVIDERS || kind == IMAGE_CREDENTIALS;
}

static int read_secrets(struct reading *r, struct db *db, struct seen *s)
{
    return !has_secrets(s->kind) ? 0
                                 : resource_secrets(db, &r->arena, kind_name(s->kind), s->r.id,
                                                    &s->secrets, &s->n_secrets);
}

static void add_digest(struct reading *r, struct seen *s, struct str digest, int64_t expires_us)
{
    if (digest.n != KEY_DIGEST_SIZE) {
        return;
    }
    if (s->n_digests == s->cap_digests) {
        struct image_digest *old = s->digests;
        s->cap_digests = s->cap_digests ? 2 * s->cap_digests : 2;
        s->digests = arena_alloc(&r->arena, s->cap_digests * sizeof *s->digests);
        if (s->n_digests) {
            memcpy(s->digests, old, s->n_digests * sizeof *old);
        }
    }
    struct image_digest *d = &s->digests[s->n_digests++];
    memcpy(d->digest, digest.p, KEY_DIGEST_SIZE);
    d->expires_us = (uint64_t)expires_us;
}

static int read_kind(struct reading *r, struct db *db, size_t kind)
{
    struct resource *all;
    size_t n;
    int e = resource_list(db, &r->arena, kind_name(kind), (struct str){0}, SIZE_MAX >> 1, &all, &n);
    for (size_t i = 0; e == 0 && i < n; i++) {
        struct seen *s = see(r, kind);
        s->r = all[i];
        e = read_secrets(r, db, s);
    }
    return e;
}

/* The digests of all keys, which are the last that were seen. */
static int read_digests(struct reading *r, struct db *db, size_t first)
{
    struct names ids = {.arena = &r->arena};
    struct kind_digest *all;
    size_t n, at;
    int e = kind_digests(db, &r->arena, kind_name(IMAGE_KEYS), &all, &n);
    for (size_t i = first; i < r->n; i++) {
        names_add(&ids, r->all[i].r.id, i, NULL);
    }
    for (size_t i = 0; e == 0 && i < n; i++) {
        if (names_find(&ids, all[i].id, &at)) {
            add_digest(r, &r->all[at], all[i].digest, all[i].expires_us);
        }
    }
    return e;
}

static int read_all(struct reading *r, struct db *db)
{
    int e = 0;
    for (size_t k = 0; e == 0 && k < IMAGE_KINDS; k++) {
        size_t first = r->n;
        e = read_kind(r, db, k);
        if (e == 0 && k == IMAGE_KEYS) {
            e = read_digests(r, db, first);
        }
    }
    return e;
}

static int read_one(struct reading *r, struct db *db, size_t kind, struct str id)
{
    struct seen *s = see(r, kind);
    struct resource_digest *digests = NULL;
    size_t n = 0;
    int e = resource_get(db, &r->arena, kind_name(kind), id, false, &s->r);
    if (e == -ENOENT) {
        s->r = (struct resource){.id = id};
        return 0;
    }
    e = e < 0 ? e : read_secrets(r, db, s);
    if (e == 0 && kind == IMAGE_KEYS) {
        e = resource_digests(db, &r->arena, kind_name(kind), id, &digests, &n);
    }
    for (size_t i = 0; e == 0 && i < n; i++) {
        add_digest(r, s, digests[i].digest, digests[i].expires_us);
    }
    return e;
}

static bool is_kept(struct str name, size_t *ret)
{
    for (size_t k = 0; k < IMAGE_KINDS; k++) {
        if (str_eq(name, kind_name(k))) {
            *ret = k;
            return true;
        }
    }
    return false;
}

/* Each resource once, however often it has changed. */
static int read_changes(struct reading *r, struct db *db)
{
    enum { PIECE = 200 };
    struct names ids[IMAGE_KINDS];
    struct change *all;
    size_t n = PIECE, kind;
    int64_t after = r->image->seq;
    int e = 0;
    for (size_t k = 0; k < IMAGE_KINDS; k++) {
        ids[k] = (struct names){.arena = &r->arena};
    }
    while (e == 0 && n == PIECE) {
        e = change_list(db, &r->arena, (struct str){0}, after, PIECE, &all, &n);
        for (size_t i = 0; e == 0 && i < n; i++) {
            if (is_kept(all[i].kind, &kind) && names_add(&ids[kind], all[i].id, 0, NULL)) {
                e = read_one(r, db, kind, all[i].id);
            }
            after = all[i].seq;
        }
    }
    return e;
}

static int read_store(struct store_job *j, struct db *db)
{
    struct reading *r = (struct reading *)j;
    arena_reset(&r->arena);
    r->all = NULL;
    r->n = r->cap = 0;
    int e = change_last(db, &r->seq);
    if (e == 0 && (!r->image->_filled || r->seq != r->image->seq)) {
        e = r->image->_filled ? read_changes(r, db) : read_all(r, db);
    }
    return e;
}

/* ---- items ---- */

struct image_item *image_hold(struct image_item *i)
{
    atomic_fetch_add_explicit(&i->_refs, 1, memory_order_relaxed);
    return i;
}

void image_drop(struct image_item *i)
{
    if (i && atomic_fetch_sub_explicit(&i->_refs, 1, memory_order_acq_rel) == 1) {
        arena_reset(&i->_arena);
        free(i);
    }
}

static void left_out(const struct seen *s, struct buf *errors, struct str why)
{
    buf_printf(errors, "the %s \"%.*s\" of the platform is left out: %.*s\n",
               kinds[s->kind]->kind->name, STR_ARG(s->r.id), STR_ARG(why));
}

static void *decoded(struct arena *a, const struct seen *s, struct buf *errors)
{
    struct arena scratch = {0};
    struct mistakes m = {.arena = &scratch};
    struct json *tree;
    struct json_error e;
    struct document d;
    int x = json_parse(a, arena_dup(a, s->r.document), &tree, &e);
    x = x < 0 ? x : document_read(a, kinds[s->kind], arena_dup(a, s->r.id), tree, &m, &d);
    if (x < 0) {
        left_out(s, errors, m.first ? m.first->text : STR("it is not JSON"));
    }
    arena_reset(&scratch);
    return x < 0 ? NULL : d.decoded;
}

static struct secret unsealed(struct store *store, struct arena *a, const struct seen *s,
                              struct str name, struct buf *errors)
{
    struct str plain = {0};
    for (size_t i = 0; i < s->n_secrets; i++) {
        if (str_eq(s->secrets[i].name, name)) {
            struct str context = arena_printf(a, "%s/%.*s%.*s", kinds[s->kind]->kind->name,
                                              STR_ARG(s->r.id), STR_ARG(name));
            if (store_unseal(store, a, context, s->secrets[i].sealed, &plain) < 0) {
                left_out(s, errors, STR("its secret cannot be unsealed"));
            }
        }
    }
    return secret_of(plain);
}

static void unseal_provider(struct store *store, struct image_item *i, const struct seen *s,
                            struct buf *errors)
{
    struct config_provider *p = i->decoded;
    p->origin = STR("platform");
    for (size_t k = 0; k < p->n_credentials; k++) {
        struct buf name = {.arena = &i->_arena};
        buf_addz(&name, "/credential");
        json_pointer_add(&name, p->credentials[k].id);
        buf_addz(&name, "/secret");
        p->credentials[k].secret = unsealed(store, &i->_arena, s, buf_str(&name), errors);
    }
}

static struct image_item *new_item(const struct seen *s, size_t behind)
{
    struct image_item *i = mem_zalloc(sizeof *i + behind);
    i->_refs = 1;
    i->declared = is_declared(&s->r);
    return i;
}

static char *put(char **at, const void *from, size_t n)
{
    char *to = *at;
    if (n) {
        memcpy(to, from, n);
    }
    *at += n;
    return to;
}

/* There may be very many of them: all of one in one piece of the size that it needs. */
static struct image_item *key_item(const struct seen *s, struct buf *errors)
{
    struct arena scratch = {0};
    const struct config_key none = {0}, *k = decoded(&scratch, s, errors);
    const struct config_key *from = k ? k : &none;
    size_t text = s->r.id.n + from->application.n, n_models = from->n_models;
    for (size_t i = 0; i < n_models; i++) {
        text += from->models[i].n;
    }
    struct image_item *item = new_item(s, sizeof *from + n_models * sizeof *from->models +
                                              s->n_digests * sizeof *s->digests + text);
    char *at = (char *)(item + 1);
    struct config_key *to = (void *)put(&at, &none, sizeof none);
    to->models = (void *)put(&at, from->models, n_models * sizeof *from->models);
    item->digests = (void *)put(&at, s->digests, s->n_digests * sizeof *s->digests);
    item->id = to->id = str_make(put(&at, s->r.id.p, s->r.id.n), s->r.id.n);
    for (size_t i = 0; i < n_models; i++) {
        to->models[i] = str_make(put(&at, from->models[i].p, from->models[i].n), from->models[i].n);
    }
    to->n_models = n_models;
    to->application =
        str_make(put(&at, from->application.p, from->application.n), from->application.n);
    item->n_digests = s->n_digests;
    item->decoded = k ? to : NULL;
    arena_reset(&scratch);
    return item;
}

/* Likewise; only whose it is matters. */
static struct image_item *application_item(const struct seen *s, struct buf *errors)
{
    struct arena scratch = {0};
    const struct application none = {0}, *a = decoded(&scratch, s, errors);
    struct str id = s->r.id, team = a ? a->team : none.team;
    struct image_item *item = new_item(s, sizeof none + id.n + team.n);
    char *at = (char *)(item + 1);
    struct application *to = (void *)put(&at, &none, sizeof none);
    item->id = str_make(put(&at, id.p, id.n), id.n);
    to->team = str_make(put(&at, team.p, team.n), team.n);
    item->decoded = a ? to : NULL;
    arena_reset(&scratch);
    return item;
}

static struct image_item *item_of(struct store *store, const struct seen *s, struct buf *errors)
{
    if (s->kind == IMAGE_KEYS) {
        return key_item(s, errors);
    }
    if (s->kind == IMAGE_APPLICATIONS) {
        return application_item(s, errors);
    }
    struct image_item *i = new_item(s, 0);
    i->id = arena_dup(&i->_arena, s->r.id);
    if (i->declared) { /* the file, not the store, says what it is */
        return i;
    }
    i->decoded = decoded(&i->_arena, s, errors);
    if (i->decoded && s->kind == IMAGE_PROVIDERS) {
        unseal_provider(store, i, s, errors);
    } else if (i->decoded && s->kind == IMAGE_CREDENTIALS) {
        struct pool_credential *c = i->decoded;
        c->secret = unsealed(store, &i->_arena, s, STR("/secret"), errors);
    }
    return i;
}

/* ---- lists ---- */

static int compare(struct str a, struct str b)
{
    int r = memcmp(a.p, b.p, a.n < b.n ? a.n : b.n);
    return r ? r : (a.n > b.n) - (a.n < b.n);
}

/* The first item whose id is not smaller. */
static size_t place_of(const struct image_list *l, struct str id)
{
    size_t low = 0, high = l->n;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (compare(l->items[middle]->id, id) < 0) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

const struct image_item *image_find(const struct image *m, enum image_kind kind, struct str id)
{
    const struct image_list *l = &m->all[kind];
    size_t at = place_of(l, id);
    return at < l->n && str_eq(l->items[at]->id, id) ? l->items[at] : NULL;
}

/* `i` in place of what has its id; NULL: nothing is there any more. */
static void replace(struct image_list *l, struct str id, struct image_item *i)
{
    size_t at = place_of(l, id), behind = l->n - at;
    bool there = behind && str_eq(l->items[at]->id, id);
    if (there) {
        struct image_item *old = l->items[at];
        l->items[at] = i;
        if (!i) {
            memmove(&l->items[at], &l->items[at + 1], (behind - 1) * sizeof *l->items);
            l->n--;
        }
        image_drop(old); /* `id` may be its own */
        return;
    }
    if (!i) {
        return;
    }
    if (l->n == l->_cap) {
        l->_cap = l->_cap ? 2 * l->_cap : 16;
        l->items = mem_realloc(l->items, l->_cap * sizeof *l->items);
    }
    memmove(&l->items[at + 1], &l->items[at], behind * sizeof *l->items);
    l->items[at] = i;
    l->n++;
}

int image_refresh(struct image *m, struct store *s, bool *ret_matters, struct buf *errors)
{
    struct reading r = {.job = {.run = read_store}, .image = m};
    int e = store_run(s, &r.job);
    if (e == 0) {
        for (size_t i = 0; i < r.n; i++) {
            const struct seen *x = &r.all[i];
            bool gone = !x->r.document.n;
            replace(&m->all[x->kind], x->r.id, gone ? NULL : item_of(s, x, errors));
        }
        *ret_matters = r.n > 0;
        m->seq = r.seq;
        m->_filled = true;
    }
    arena_reset(&r.arena);
    return e;
}

void image_free(struct image *m)
{
    for (size_t k = 0; k < IMAGE_KINDS; k++) {
        for (size_t i = 0; i < m->all[k].n; i++) {
            image_drop(m->all[k].items[i]);
        }
        free(m->all[k].items);
    }
    *m = (struct image){0};
}
