/* From what was sent to what is written: the document in its one form, its secrets, its hash. */
#include <errno.h>
#include <sodium.h>

#include "auth/key.h"
#include "auth/password.h"
#include "conflict/http_date.h"
#include "json/canonical.h"
#include "platform/write.h"

void strip_metadata(struct json *tree)
{
    static const char *const names[] = {"id",         "revision",   "etag",       "created_at",
                                        "created_by", "updated_at", "updated_by", "action"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        json_remove(tree, str_of(names[i]));
    }
}

struct json *own_fields(struct visit *v, const struct resource *r)
{
    struct json *j;
    struct json_error e;
    return r->document.n && json_parse(&v->work, r->document, &j, &e) == 0
               ? j
               : json_new(&v->work, JSON_OBJECT);
}

const struct json *setting(struct visit *v, struct db *db, const char *name)
{
    struct resource r;
    return resource_get(db, &v->work, STR("settings"), STR("org"), false, &r) == 0
               ? json_get(own_fields(v, &r), str_of(name))
               : NULL;
}

int64_t setting_int(struct visit *v, struct db *db, const char *name, int64_t fallback)
{
    const struct json *j = setting(v, db, name);
    int64_t n;
    return j && json_int(j->text, &n) == 0 ? n : fallback;
}

void document_hash(struct arena *a, struct str id, const struct json *tree, struct str *ret)
{
    uint8_t hash[crypto_generichash_BYTES_MIN];
    struct buf b = {.arena = a};
    char hex[9];
    buf_add(&b, id);
    buf_addc(&b, '\n');
    json_canonical(&b, tree);
    crypto_generichash(hash, sizeof hash, (const uint8_t *)b.p, b.n, NULL, 0);
    sodium_bin2hex(hex, sizeof hex, hash, 4);
    *ret = arena_dup(a, str_make(hex, 8));
}

/* ---- merge rules ---- */

static void add_rules(struct arena *a, const struct kind *k, struct str at, struct merge_rule *to,
                      size_t cap, size_t *n)
{
    for (size_t i = 0; i < k->n_fields && *n < cap; i++) {
        const struct field *f = &k->fields[i];
        struct str pointer = arena_printf(a, "%.*s/%s", STR_ARG(at), f->name);
        if (f->type == FIELD_TEXTS) {
            to[(*n)++] = (struct merge_rule){pointer, MERGE_SET, {0}};
        } else if (f->type == FIELD_OBJECTS && f->merge_key) {
            to[(*n)++] = (struct merge_rule){pointer, MERGE_KEYED, str_of(f->merge_key)};
            add_rules(a, f->kind, arena_printf(a, "%.*s/*", STR_ARG(pointer)), to, cap, n);
        } else if (f->type == FIELD_OBJECT) {
            add_rules(a, f->kind, pointer, to, cap, n);
        }
    }
}

struct merge_rules kind_merge_rules(const struct resource_kind *k, struct arena *a)
{
    enum { RULES = 64 };
    struct merge_rule *all = arena_zalloc(a, RULES * sizeof *all);
    size_t n = 0;
    add_rules(a, k->kind, (struct str){0}, all, RULES, &n);
    return (struct merge_rules){all, n};
}

/* ---- what is not sent, but stays ---- */

static const struct json *element_of(const struct json *list, const struct field *f,
                                     const struct json *like)
{
    const struct json *name = f->merge_key ? json_get(like, str_of(f->merge_key)) : NULL;
    for (const struct json *c = name && list ? list->first : NULL; c; c = c->next) {
        const struct json *n = json_get(c, str_of(f->merge_key));
        if (n && str_eq(n->text, name->text)) {
            return c;
        }
    }
    return NULL;
}

/* Secrets that are not sent again are kept: they stand in the present state as masks. */
static void carry_secrets(struct arena *a, const struct kind *k, struct json *to,
                          const struct json *own)
{
    for (size_t i = 0; to->type == JSON_OBJECT && i < k->n_fields; i++) {
        const struct field *f = &k->fields[i];
        const struct json *had = json_get(own, str_of(f->name));
        struct json *has = json_get(to, str_of(f->name));
        if (f->type == FIELD_SECRET && !has && had) {
            json_set(to, str_of(f->name), json_clone(a, had));
        } else if (f->type == FIELD_OBJECT && has && had) {
            carry_secrets(a, f->kind, has, had);
        } else if (f->type == FIELD_OBJECTS && has && has->type == JSON_ARRAY) {
            for (struct json *c = has->first; c; c = c->next) {
                const struct json *before = element_of(had, f, c);
                if (before) {
                    carry_secrets(a, f->kind, c, before);
                }
            }
        }
    }
}

static void wrong(struct mistakes *m, const struct field *f, const char *why)
{
    struct path root = {0}, at = {.up = &root, .name = str_of(f->name)};
    mistake_add(m, NULL, &at, "%s", why);
}

static bool same_or_empty(const struct json *a, const struct json *b)
{
    bool no_a = !a || a->type == JSON_NULL, no_b = !b || b->type == JSON_NULL;
    return no_a || no_b ? no_a && no_b : json_equal(a, b);
}

/* What the server sets may be repeated, not changed; what is immutable stays as it was created. */
static void carry_read_only(struct writing *w, struct json *given, const struct json *own,
                            struct mistakes *m)
{
    struct arena *a = &w->v->work;
    for (size_t i = 0; i < w->kind->kind->n_fields; i++) {
        const struct field *f = &w->kind->kind->fields[i];
        struct str name = str_of(f->name);
        const struct json *had = json_get(own, name), *has = json_get(given, name);
        if (f->read_only) {
            if (has && has->type != JSON_NULL && !same_or_empty(has, had)) {
                wrong(m, f,
                      str_eq(name, STR("state")) ? "is changed by actions, not by writing it"
                                                 : "is set by the server");
            } else if (had && !has) {
                json_set(given, name, json_clone(a, had));
            }
        } else if (f->immutable && w->exists && w->mode != WRITE_CREATE &&
                   !same_or_empty(has, had) && (has || w->mode != WRITE_REPLACE || f->required)) {
            wrong(m, f, "cannot be changed once it is set; create another one instead");
        }
    }
}

static void refuse_invalid(struct writing *w, const struct mistakes *m)
{
    struct visit *v = w->v;
    struct json *errors = json_new(&v->work, JSON_ARRAY);
    for (const struct mistake *x = m->first; x; x = x->next) {
        struct json *e = json_new(&v->work, JSON_OBJECT);
        json_set(e, STR("pointer"),
                 json_new_str(&v->work, arena_printf(&v->work, "#%.*s", STR_ARG(x->pointer))));
        json_set(e, STR("detail"), json_new_str(&v->work, x->text));
        json_append(errors, e);
    }
    struct str where = m->first ? m->first->path : (struct str){0};
    struct str text = m->first ? m->first->text : (struct str){0};
    refuse(v, PROBLEM_INVALID, "%.*s%s%.*s%s", STR_ARG(where), where.n ? ": " : "", STR_ARG(text),
           m->n > 1 ? " (and more, see errors)" : "");
    json_set(refusal_members(v), STR("errors"), errors);
}

int complete_document(struct writing *w, struct json *given, struct document *ret)
{
    struct arena *a = &w->v->work;
    struct mistakes m = {.arena = a};
    if (given->type != JSON_OBJECT) {
        struct path root = {0};
        mistake_add(&m, NULL, &root, "the body must be an object that describes %s %s",
                    article_of(w->kind->kind->name), w->kind->kind->name);
        refuse_invalid(w, &m);
        return 0;
    }
    struct json *own = w->own;
    if (!w->exists && w->kind->states) {
        own = json_new(a, JSON_OBJECT);
        json_set(own, STR("state"), json_new_str(a, str_of(w->kind->states[0])));
    }
    carry_secrets(a, w->kind->kind, given, own);
    carry_read_only(w, given, own, &m);
    if (document_read(a, w->kind, w->id, given, &m, ret) < 0 || m.n) {
        refuse_invalid(w, &m);
    }
    return 0;
}

/* ---- secrets ---- */

static void add_secret(struct writing *w, struct str name, struct str plain, struct str last4)
{
    struct arena *a = &w->v->work;
    struct resource_secret *all = (struct resource_secret *)(uintptr_t)w->out.secrets;
    struct str sealed = {0};
    if (plain.n) {
        struct str context =
            arena_printf(a, "%s/%.*s%.*s", w->kind->kind->name, STR_ARG(w->id), STR_ARG(name));
        sealed = store_seal(w->v->platform->store, a, context, plain);
    }
    all[w->out.n_secrets++] = (struct resource_secret){name, sealed, last4};
}

static bool kept(const struct resource_secret *had, size_t n, struct str name, struct str mask)
{
    for (size_t i = 0; i < n; i++) {
        if (str_eq(had[i].name, name)) {
            return mask.n == 4 || str_eq(str_from(mask, 4), had[i].last4);
        }
    }
    return false;
}

static int wrong_mask(struct writing *w, struct str name)
{
    struct mistakes m = {.arena = &w->v->work};
    struct path root = {0}, at = {.up = &root, .name = str_from(name, 1)};
    mistake_add(&m, NULL, &at,
                "this is the mask of a secret, not a secret; send the secret itself, "
                "or leave the field out to keep what is there");
    refuse_invalid(w, &m);
    return 0;
}

static struct str last4_of(struct secret s)
{
    struct str text = secret_reveal(s);
    return text.n >= 12 ? str_from(text, text.n - 4) : (struct str){0};
}

static int hash_password(struct writing *w, const struct document_secret *s)
{
    struct arena *a = &w->v->work;
    const struct json *email = json_get(w->doc.tree, STR("email"));
    const struct json *name = json_get(w->doc.tree, STR("name"));
    const struct str about[] = {email ? email->text : (struct str){0},
                                name ? name->text : (struct str){0}, w->id};
    const char *weak = password_weakness(s->secret, about, 3);
    if (weak) {
        struct mistakes m = {.arena = a};
        struct path root = {0}, at = {.up = &root, .name = STR("password")};
        mistake_add(&m, NULL, &at, "%s", weak);
        refuse_invalid(w, &m);
        return 0;
    }
    add_secret(w, s->name, password_hash(a, s->secret), (struct str){0});
    return 0;
}

int write_secrets_of(struct writing *w)
{
    struct arena *a = &w->v->work;
    struct resource_secret *had;
    size_t n;
    int r = resource_secrets(w->db, a, str_of(w->kind->kind->name), w->id, &had, &n);
    if (r < 0) {
        return r;
    }
    w->out.secrets = arena_zalloc(a, (w->doc.n_secrets + n + 1) * sizeof *w->out.secrets);
    for (size_t i = 0; i < w->doc.n_secrets; i++) {
        const struct document_secret *s = &w->doc.secrets[i];
        struct str text = secret_reveal(s->secret);
        if (s->hashed) {
            if (w->kind->issues == ISSUED_NONE && hash_password(w, s) == 0 && w->v->refusal.set) {
                return 0;
            }
        } else if (!secret_is_mask(text)) {
            add_secret(w, s->name, text, last4_of(s->secret));
        } else if (!kept(had, n, s->name, text)) {
            return wrong_mask(w, s->name);
        }
    }
    for (size_t i = 0; i < n; i++) { /* those whose place is gone; a hash stays */
        size_t k = 0;
        while (k < w->doc.n_secrets && !str_eq(w->doc.secrets[k].name, had[i].name)) {
            k++;
        }
        if (k == w->doc.n_secrets && !str_eq(had[i].name, STR("/password"))) {
            add_secret(w, had[i].name, (struct str){0}, (struct str){0});
        }
    }
    return 0;
}
