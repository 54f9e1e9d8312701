/* The first start: the settings, the administrator, and how to become them. */
#include <errno.h>
#include <string.h>

#include "auth/key.h"
#include "platform/write.h"

enum { LINK_DAYS = 7 };

/* Everything in one transaction, so that a start that is cut short leaves nothing half. */
struct first_start {
    struct store_job job; /* first member */
    struct platform *platform;
    struct arena *arena;
    struct str admin_token;
    struct secret link;
};

static int put(struct db *db, struct arena *a, const char *kind, struct str id,
               const char *document, const struct resource_unique *unique,
               const struct resource_digest *digest, const struct resource_reference *reference)
{
    struct json *tree;
    struct json_error e;
    struct resource_refusal why;
    struct resource_write w = {
        .r = {.kind = str_of(kind),
              .id = id,
              .document = str_of(document),
              .managers = STR("{\"\":\"system\"}"),
              .updated_us = (int64_t)clock_wall_us(),
              .updated_by = STR("system"),
              .action = STR("create")},
        .uniques = unique,
        .n_uniques = unique != NULL,
        .digests = digest,
        .n_digests = digest != NULL,
        .references = reference,
        .n_references = reference != NULL,
    };
    if (json_parse(a, w.r.document, &tree, &e) < 0) {
        return -EINVAL;
    }
    document_hash(a, id, tree, &w.r.hash);
    int r = resource_insert(db, a, &w, &why);
    return r;
}

static struct resource_digest digest_of(struct arena *a, struct str secret, int64_t expires_us)
{
    uint8_t *digest = arena_alloc(a, KEY_DIGEST_SIZE);
    key_digest(secret, digest);
    return (struct resource_digest){str_make((char *)digest, KEY_DIGEST_SIZE), expires_us};
}

static int make_admin(struct first_start *f, struct db *db)
{
    struct arena *a = f->arena;
    const struct resource_unique email = {STR("/email"), STR("admin@localhost")};
    int64_t until = (int64_t)clock_wall_us() + (int64_t)LINK_DAYS * 86400 * 1000000;
    f->link = key_make_as(a, LINK_PREFIX);
    struct resource_digest link = digest_of(a, secret_reveal(f->link), until);
    int r = put(db, a, "settings", STR("org"), "{\"session_hours\":12,\"idempotency_hours\":24}",
                NULL, NULL, NULL);
    return r < 0
               ? r
               : put(db, a, "user", STR("admin"),
                     "{\"email\":\"admin@localhost\",\"name\":\"Administrator\",\"role\":\"owner\","
                     "\"state\":\"active\"}",
                     &email, &link, NULL);
}

/* ACCORD_ADMIN_TOKEN holds for as long as it is set to this: another value replaces it. */
static int set_admin_token(struct first_start *f, struct db *db)
{
    struct arena *a = f->arena;
    const struct resource_reference user = {STR("/user"), STR("user"), STR("admin")};
    struct resource_digest digest = digest_of(a, f->admin_token, 0);
    struct resource now;
    struct str kind, id;
    int r = resource_by_digest(db, a, digest.digest, (int64_t)clock_wall_us(), &kind, &id);
    if (r != -ENOENT) {
        return r;
    }
    r = resource_get(db, a, STR("token"), STR("admin-env"), true, &now);
    if (r == 0) {
        struct resource_refusal why;
        struct resource_write w = {
            .r = now, .same_index = true, .digests = &digest, .n_digests = 1};
        w.r.updated_us = (int64_t)clock_wall_us();
        w.r.updated_by = STR("environment");
        w.r.action = STR("rotate");
        return resource_update(db, a, &w, now.revision, &why);
    }
    return r != -ENOENT
               ? r
               : put(db, a, "token", STR("admin-env"),
                     "{\"name\":\"ACCORD_ADMIN_TOKEN\",\"user\":\"admin\",\"scopes\":[\"*\"],"
                     "\"state\":\"active\"}",
                     NULL, &digest, &user);
}

static int run(struct store_job *j, struct db *db)
{
    struct first_start *f = (struct first_start *)j;
    struct resource *users;
    size_t n;
    f->link = (struct secret){0};
    int r = resource_list(db, f->arena, STR("user"), (struct str){0}, 1, &users, &n);
    if (r == 0 && n == 0) {
        r = make_admin(f, db);
    }
    return r < 0 || !f->admin_token.n ? r : set_admin_token(f, db);
}

int platform_first_start(struct platform *p, struct arena *a, struct str admin_token,
                         struct secret *ret_link, struct buf *errors)
{
    struct first_start f = {
        .job = {.run = run, .write = true}, .platform = p, .arena = a, .admin_token = admin_token};
    if (admin_token.n && (admin_token.n < 16 || admin_token.n > KEY_SECRET_MAX)) {
        buf_printf(errors, "ACCORD_ADMIN_TOKEN must have 16 to %d characters\n", KEY_SECRET_MAX);
        return -EINVAL;
    }
    int r = store_run(p->store, &f.job);
    if (r < 0) {
        buf_printf(errors, "the administrator cannot be made: %s\n", strerror(-r));
        return r;
    }
    *ret_link = f.link;
    return 0;
}
