#include "store/seal.h"

#include <errno.h>
#include <fcntl.h>
#include <sodium.h>
#include <stdio.h>
#include <unistd.h>

#include "base/must.h"

enum {
    NONCE = crypto_aead_xchacha20poly1305_ietf_NPUBBYTES,
    TAG = crypto_aead_xchacha20poly1305_ietf_ABYTES,
    VERSION = 1,
};

struct str seal(const struct sealer *s, struct arena *a, struct str context, struct str plain)
{
    size_t cap = 1 + NONCE + plain.n + TAG;
    uint8_t *to = arena_alloc(a, cap);
    unsigned long long n;
    to[0] = VERSION;
    randombytes_buf(to + 1, NONCE);
    crypto_aead_xchacha20poly1305_ietf_encrypt(to + 1 + NONCE, &n, (const uint8_t *)plain.p,
                                               plain.n, (const uint8_t *)context.p, context.n, NULL,
                                               to + 1, s->key);
    return str_make((char *)to, 1 + NONCE + (size_t)n);
}

int unseal(const struct sealer *s, struct arena *a, struct str context, struct str sealed,
           struct str *ret)
{
    const uint8_t *from = (const uint8_t *)sealed.p;
    unsigned long long n;
    if (sealed.n < 1 + NONCE + TAG || from[0] != VERSION) {
        return -EBADMSG;
    }
    uint8_t *to = arena_alloc(a, sealed.n);
    if (crypto_aead_xchacha20poly1305_ietf_decrypt(to, &n, NULL, from + 1 + NONCE,
                                                   sealed.n - 1 - NONCE, (const uint8_t *)context.p,
                                                   context.n, from + 1, s->key) != 0) {
        return -EBADMSG;
    }
    *ret = str_make((char *)to, (size_t)n);
    return 0;
}

/* ---- the master key ---- */

static int from_hex(struct sealer *s, struct str text)
{
    size_t n;
    text = str_trim(text);
    while (text.n && (text.p[text.n - 1] == '\n' || text.p[text.n - 1] == '\r')) {
        text.n--;
    }
    if (text.n != 2 * MASTER_KEY_SIZE ||
        sodium_hex2bin(s->key, MASTER_KEY_SIZE, text.p, text.n, NULL, &n, NULL) != 0 ||
        n != MASTER_KEY_SIZE) {
        return -EINVAL;
    }
    return 0;
}

static int write_new(struct sealer *s, const char *path)
{
    char hex[2 * MASTER_KEY_SIZE + 1];
    randombytes_buf(s->key, MASTER_KEY_SIZE);
    sodium_bin2hex(hex, sizeof hex, s->key, MASTER_KEY_SIZE);
    hex[2 * MASTER_KEY_SIZE] = '\n';
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd < 0) {
        return -errno;
    }
    int r = write(fd, hex, sizeof hex) == sizeof hex && fsync(fd) == 0 ? 0 : -EIO;
    sodium_memzero(hex, sizeof hex);
    close(fd);
    return r;
}

static int read_file(struct sealer *s, const char *path)
{
    char text[256];
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        return -errno;
    }
    ssize_t n = read(fd, text, sizeof text);
    close(fd);
    int r = n < 0 ? -EIO : from_hex(s, str_make(text, (size_t)n));
    sodium_memzero(text, sizeof text);
    return r;
}

static char *key_path(struct arena *a, const struct store_options *o, const char *suffix)
{
    return arena_dupz(a, arena_printf(a, "%.*s/master.key%s", STR_ARG(o->data_dir), suffix));
}

static int find_key(struct sealer *s, const struct store_options *o, struct arena *a,
                    struct buf *errors)
{
    char *path = key_path(a, o, "");
    if (o->master_key.n) {
        int r = from_hex(s, o->master_key);
        if (r < 0) {
            buf_addz(errors, "ACCORD_MASTER_KEY must be 64 hexadecimal digits\n");
        }
        return r;
    }
    int r = read_file(s, path);
    if (r == -ENOENT) {
        r = write_new(s, path);
    }
    if (r < 0) {
        buf_printf(errors, "%s: the master key cannot be read: %s\n", path,
                   r == -EINVAL ? "it must hold 64 hexadecimal digits" : strerror(-r));
    }
    return r;
}

/* ---- its check value ---- */

static const struct db_stmt get_check = {"SELECT value FROM fact WHERE name = 'master'", NULL};

static int keep_check(struct sealer *s, struct db *db, struct arena *a)
{
    static const struct db_stmt put = {"INSERT INTO fact (name, value) VALUES ('master', $1) ON "
                                       "CONFLICT (name) DO UPDATE SET value = "
                                       "$1",
                                       NULL};
    struct db_value v = db_blob(seal(s, a, STR("master"), STR("accord")));
    return db_run(db, &put, &v, 1, NULL);
}

static bool opens(struct sealer *s, struct arena *a, const struct db_rows *check)
{
    struct str plain;
    return unseal(s, a, STR("master"), db_row(check, 0)[0].s, &plain) == 0;
}

/* A rotation that was cut short after its commit has left its key beside the old one. */
static bool takes_new_key(struct sealer *s, const struct store_options *o, struct arena *a,
                          const struct db_rows *check)
{
    char *path = key_path(a, o, ""), *beside = key_path(a, o, ".new");
    return !o->master_key.n && read_file(s, beside) == 0 && opens(s, a, check) &&
           rename(beside, path) == 0;
}

/* What is sealed under the key for this: it opens, or the key is another one. */
static int check_key(struct sealer *s, struct db *db, const struct store_options *o,
                     struct arena *a, struct buf *errors)
{
    struct db_rows rows;
    int r = db_query(db, a, &get_check, NULL, 0, &rows);
    if (r == 0 && rows.n == 0) {
        r = db->driver->begin(db, true);
        r = r < 0 ? r : keep_check(s, db, a);
        r = r < 0 ? r : db->driver->commit(db);
    } else if (r == 0 && !opens(s, a, &rows) && !takes_new_key(s, o, a, &rows)) {
        buf_addz(errors,
                 "the master key is not the one that the secrets here were sealed with; set "
                 "ACCORD_MASTER_KEY or DATA/master.key to that one\n");
        return -EINVAL;
    }
    if (r < 0) {
        buf_printf(errors, "the master key cannot be checked: %s\n", db_error(db));
    }
    return r;
}

int seal_open(struct sealer *s, struct db *db, const struct store_options *o, struct buf *errors)
{
    struct arena a = {0};
    s->key = sodium_malloc(MASTER_KEY_SIZE);
    must(s->key);
    int r = find_key(s, o, &a, errors);
    r = r < 0 ? r : check_key(s, db, o, &a, errors);
    arena_reset(&a);
    return r;
}

/* ---- keys for data that is too much to be sealed anew ---- */

static int read_data_key(const struct sealer *s, struct db *db, struct arena *a, struct str name,
                         struct sealer *ret)
{
    static const struct db_stmt get = {"SELECT value FROM fact WHERE name = $1", NULL};
    const struct db_value arg = db_text(name);
    struct db_rows rows;
    struct str plain;
    int r = db_query(db, a, &get, &arg, 1, &rows);
    if (r < 0 || rows.n == 0) {
        return r < 0 ? r : -ENOENT;
    }
    if (unseal(s, a, name, db_row(&rows, 0)[0].s, &plain) < 0 || plain.n != MASTER_KEY_SIZE) {
        return -EBADMSG;
    }
    memcpy(ret->key, plain.p, plain.n);
    sodium_memzero((char *)(uintptr_t)plain.p, plain.n);
    return 0;
}

int seal_data_key(const struct sealer *s, struct db *db, struct str purpose, bool make,
                  struct sealer *ret)
{
    static const struct db_stmt put = {
        "INSERT INTO fact (name, value) VALUES ($1, $2) ON CONFLICT (name) DO NOTHING", NULL};
    struct arena a = {0};
    struct str name = arena_printf(&a, "key:%.*s", STR_ARG(purpose));
    must(ret->key || (ret->key = sodium_malloc(MASTER_KEY_SIZE)));
    int r = read_data_key(s, db, &a, name, ret);
    if (r == -ENOENT && make) {
        randombytes_buf(ret->key, MASTER_KEY_SIZE);
        const struct db_value args[] = {
            db_text(name), db_blob(seal(s, &a, name, str_make((char *)ret->key, MASTER_KEY_SIZE)))};
        r = db_run(db, &put, args, 2, NULL);
        r = r < 0 ? r
                  : read_data_key(s, db, &a, name, ret); /* another process may have been first */
    }
    arena_reset(&a);
    return r;
}

/* ---- another key ---- */

static int reseal(struct sealer *from, struct sealer *to, struct db *db, struct arena *a,
                  const struct db_value *row)
{
    static const struct db_stmt put = {
        "UPDATE secret SET sealed = $4 WHERE kind = $1 AND id = $2 AND name = $3", NULL};
    struct str context =
        arena_printf(a, "%.*s/%.*s%.*s", STR_ARG(row[0].s), STR_ARG(row[1].s), STR_ARG(row[2].s));
    struct str plain;
    if (unseal(from, a, context, row[3].s, &plain) < 0) {
        return -EBADMSG;
    }
    const struct db_value args[] = {row[0], row[1], row[2], db_blob(seal(to, a, context, plain))};
    return db_run(db, &put, args, 4, NULL);
}

/* What was sealed under a key of its own needs no more: that key is sealed anew. */
static int reseal_data_keys(struct sealer *from, struct sealer *to, struct db *db, struct arena *a)
{
    static const struct db_stmt all = {"SELECT name, value FROM fact WHERE name LIKE 'key:%'",
                                       NULL};
    static const struct db_stmt put = {"UPDATE fact SET value = $2 WHERE name = $1", NULL};
    struct db_rows rows;
    int r = db_query(db, a, &all, NULL, 0, &rows);
    for (size_t i = 0; r == 0 && i < rows.n; i++) {
        const struct db_value *row = db_row(&rows, i);
        struct str plain;
        if (unseal(from, a, row[0].s, row[1].s, &plain) < 0) {
            return -EBADMSG;
        }
        const struct db_value args[] = {row[0], db_blob(seal(to, a, row[0].s, plain))};
        sodium_memzero((char *)(uintptr_t)plain.p, plain.n);
        r = db_run(db, &put, args, 2, NULL);
    }
    return r;
}

static int reseal_all(struct sealer *from, struct sealer *to, struct db *db, struct arena *a,
                      size_t *ret_n)
{
    static const struct db_stmt all = {"SELECT kind, id, name, sealed FROM secret", NULL};
    static const struct db_stmt forget = {"DELETE FROM idempotent WHERE body LIKE 'sealed:%'",
                                          NULL};
    struct db_rows rows;
    int r = db_query(db, a, &all, NULL, 0, &rows);
    for (size_t i = 0; r == 0 && i < rows.n; i++) {
        r = reseal(from, to, db, a, db_row(&rows, i));
    }
    *ret_n = r == 0 ? rows.n : 0;
    r = r < 0 ? r : reseal_data_keys(from, to, db, a);
    r = r < 0 ? r : db_run(db, &forget, NULL, 0, NULL);
    return r < 0 ? r : keep_check(to, db, a);
}

int seal_rotate(struct sealer *s, struct db *db, const struct store_options *o, size_t *ret_n)
{
    struct arena a = {0};
    struct sealer to = {.key = sodium_malloc(MASTER_KEY_SIZE)};
    char *path = key_path(&a, o, ""), *beside = key_path(&a, o, ".new");
    must(to.key);
    unlink(beside);
    int r = write_new(&to, beside);
    r = r < 0 ? r : db->driver->begin(db, true);
    if (r == 0) {
        r = reseal_all(s, &to, db, &a, ret_n);
        r = r < 0 ? r : db->driver->commit(db);
        if (r < 0) {
            db->driver->rollback(db);
        }
    }
    if (r == 0 && rename(beside, path) < 0) {
        r = -errno;
    }
    seal_close(&to);
    arena_reset(&a);
    return r;
}

void seal_close(struct sealer *s)
{
    sodium_free(s->key);
    s->key = NULL;
}
