#include "cli/startup.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli/ollama.h"
#include "gateway/mask_rules.h"

/* The configuration with what belongs beside it: keys of the data directory, an Ollama that
 * answers. */
int startup_load(struct startup *s, struct snapshot_input *in, struct buf *errors)
{
    struct config *c;
    struct keyfile_entry *kept = NULL;
    size_t n_kept = 0;
    *in = (struct snapshot_input){.generation = s->generation + 1};
    int r = config_load(&in->arena, s->config_path, &s->over, &c, errors);
    if (r < 0) {
        return r;
    }
    r = mask_rules_check(c->policies, c->n_policies, errors);
    if (r < 0) {
        return r;
    }
    r = keyfile_read(&in->arena, c->data, &kept, &n_kept, errors);
    if (r < 0) {
        return r;
    }
    if (c->environment_providers && !s->over.no_environment) {
        ollama_discover(&in->arena, c);
    }
    in->config = c;
    in->keys = kept;
    in->n_keys = n_kept;
    return 0;
}

int startup_tls(struct arena *a, const struct config *c, struct tls_ctx **ret, struct buf *errors)
{
    *ret = NULL;
    if (!c->tls.certificate.n) {
        return 0;
    }
    char *certificate = arena_dupz(a, c->tls.certificate);
    char *key = arena_dupz(a, c->tls.key);
    return tls_server_ctx(certificate, key, ret, errors);
}

static int make_directory(const char *path)
{
    if (mkdir(path, 0700) == 0 || errno == EEXIST) {
        return 0;
    }
    return -errno;
}

/* The data directory belongs to one server: its lock is held as long as the process lives. */
int startup_data(struct startup *s, struct str data)
{
    char *dir = arena_dupz(&s->arena, data);
    for (char *p = dir + 1; *p; p++) {
        if (*p == '/') {
            *p = 0;
            (void)make_directory(dir);
            *p = '/';
        }
    }
    int r = make_directory(dir);
    if (r < 0) {
        fprintf(stderr, "accord serve: the data directory %s cannot be made: %s\n", dir,
                strerror(-r));
        return r;
    }
    char *path = arena_dupz(&s->arena, arena_printf(&s->arena, "%s/accord.pid", dir));
    s->pid_fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0644);
    if (s->pid_fd < 0) {
        fprintf(stderr, "accord serve: %s cannot be written: %s\n", path, strerror(errno));
        return -EACCES;
    }
    if (flock(s->pid_fd, LOCK_EX | LOCK_NB) < 0) {
        fprintf(stderr,
                "accord serve: another server uses the data directory %s; choose another with "
                "--data\n",
                dir);
        return -EBUSY;
    }
    char text[32];
    int n = snprintf(text, sizeof text, "%ld\n", (long)getpid());
    if (ftruncate(s->pid_fd, 0) < 0 || write(s->pid_fd, text, (size_t)n) != n) {
        return -EIO;
    }
    return 0;
}

static void remember_made(struct startup *s, struct str id, struct secret secret)
{
    struct made_key **end = &s->made, *key = arena_zalloc(&s->arena, sizeof *key);
    *key = (struct made_key){.id = arena_dup(&s->arena, id), .secret = secret};
    while (*end) {
        end = &(*end)->next;
    }
    *end = key;
}

static const struct keyfile_entry *kept_key(const struct snapshot_input *in, struct str id)
{
    for (size_t i = 0; i < in->n_keys; i++) {
        if (str_eq(in->keys[i].id, id)) {
            return &in->keys[i];
        }
    }
    return NULL;
}

/* Puts a key in front of those of the key file, in place of one with the same id. */
static void put_key(struct snapshot_input *in, const struct keyfile_entry *key)
{
    struct keyfile_entry *keys = arena_zalloc(&in->arena, (in->n_keys + 1) * sizeof *keys);
    size_t n = 0;
    keys[n++] = *key;
    for (size_t i = 0; i < in->n_keys; i++) {
        if (!str_eq(in->keys[i].id, key->id)) {
            keys[n++] = in->keys[i];
        }
    }
    in->keys = keys;
    in->n_keys = n;
}

static int make_key(struct startup *s, struct snapshot_input *in, struct str id,
                    const struct str *models, size_t n_models)
{
    struct secret secret = key_make(&s->arena);
    struct keyfile_entry key = {
        .id = id, .models = (struct str *)(uintptr_t)models, .n_models = n_models};
    key_digest(secret_reveal(secret), key.digest);
    int r = keyfile_add(in->config->data, id, secret_reveal(secret), models, n_models);
    if (r < 0) {
        fprintf(stderr, "accord serve: the key %.*s cannot be kept in %.*s: %s\n", STR_ARG(id),
                STR_ARG(in->config->data), strerror(-r));
        return r;
    }
    put_key(in, &key);
    remember_made(s, id, secret);
    return 0;
}

/* ACCORD_FIRST_KEY; the declared keys without a secret; and a first key when there is none at all.
 */
int startup_keys(struct startup *s, struct snapshot_input *in)
{
    static const struct str all[] = {{"*", 1}};
    struct str given = str_of(getenv("ACCORD_FIRST_KEY"));
    const struct config *c = in->config;
    int r = 0;
    if (given.n && (given.n < 16 || given.n > KEY_SECRET_MAX)) {
        fprintf(stderr, "accord serve: ACCORD_FIRST_KEY must have 16 to %d characters\n",
                KEY_SECRET_MAX);
        return -EINVAL;
    }
    if (given.n) {
        struct keyfile_entry first = {
            .id = STR("first"), .models = (struct str *)(uintptr_t)all, .n_models = 1};
        key_digest(given, first.digest);
        put_key(in, &first); /* whoever set it knows it: it is not printed */
    }
    for (size_t i = 0; r == 0 && i < c->n_keys; i++) {
        const struct config_key *k = &c->keys[i];
        if (secret_empty(k->secret) && !kept_key(in, k->id)) {
            r = make_key(s, in, k->id, k->models, k->n_models);
        }
    }
    if (r == 0 && in->n_keys == 0 && c->n_keys == 0) {
        r = make_key(s, in, STR("first"), all, 1);
    }
    return r;
}
