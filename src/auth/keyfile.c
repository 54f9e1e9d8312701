/* DATA/keys.jsonl grows at its end, one line per key, and a line counts once its newline is there.
 * A crash in the middle of a write leaves a tail that is no whole line: readers pass over it, and
 * the next writer cuts it off. Whoever writes holds an exclusive flock on the file; readers need
 * none, because what they see before the last newline never changes. */

#include "auth/keyfile.h"

#include <errno.h>
#include <fcntl.h>
#include <sodium.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "json/tree.h"
#include "model/rule.h"

static char *file_path(struct arena *a, struct str data_dir, const char *name)
{
    struct str path = arena_printf(a, "%.*s/%s", STR_ARG(data_dir), name);
    return arena_dupz(a, path);
}

static int read_whole(int fd, struct buf *b)
{
    for (;;) {
        char chunk[16384];
        ssize_t n = read(fd, chunk, sizeof chunk);
        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n <= 0) {
            return n < 0 ? -errno : 0;
        }
        buf_add(b, str_make(chunk, (size_t)n));
        if (b->overflow) {
            return -EFBIG;
        }
    }
}

static int write_whole(int fd, struct str s)
{
    while (s.n) {
        ssize_t n = write(fd, s.p, s.n);
        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n < 0) {
            return -errno;
        }
        s = str_from(s, (size_t)n);
    }
    return 0;
}

static int hex_digest(struct str hex, uint8_t ret[KEY_DIGEST_SIZE])
{
    size_t n = 0;
    const char *end = NULL;
    if (hex.n != 2 * KEY_DIGEST_SIZE ||
        sodium_hex2bin(ret, KEY_DIGEST_SIZE, hex.p, hex.n, NULL, &n, &end) != 0 ||
        n != KEY_DIGEST_SIZE) {
        return -EBADMSG;
    }
    return 0;
}

/* What is wrong with the line, or NULL and the entry. */
static const char *read_entry(struct arena *a, struct str line, struct keyfile_entry *ret)
{
    struct json *j;
    struct json_error error;
    struct str tidy;
    if (json_parse(a, line, &j, &error) < 0) {
        return error.why;
    }
    const struct json *id = json_get(j, STR("id")), *digest = json_get(j, STR("digest"));
    const struct json *models = json_get(j, STR("models"));
    if (!id || id->type != JSON_STRING || !rule_name.check(a, id->text, &tidy)) {
        return "\"id\" is missing or is no id";
    }
    if (!digest || digest->type != JSON_STRING || hex_digest(digest->text, ret->digest) < 0) {
        return "\"digest\" is missing or is not 64 hexadecimal digits";
    }
    if (!models || models->type != JSON_ARRAY || json_count(models) > KEYFILE_MODELS_MAX) {
        return "\"models\" is missing, too long, or no list";
    }
    ret->id = arena_dup(a, id->text);
    ret->models = arena_alloc(a, (json_count(models) + 1) * sizeof *ret->models);
    ret->n_models = 0;
    for (const struct json *m = models->first; m; m = m->next) {
        if (m->type != JSON_STRING || !rule_model_pattern.check(a, m->text, &tidy)) {
            return "one of \"models\" is no pattern of a model's name";
        }
        ret->models[ret->n_models++] = arena_dup(a, m->text);
    }
    return NULL;
}

/* Reads all lines of `text`. `*ret_good` is how much of it stays when the next line is added: a
 * last line without a newline counts only when it is a whole entry. */
static int read_lines(struct arena *a, struct str text, const char *path,
                      struct keyfile_entry **ret, size_t *ret_n, size_t *ret_good,
                      struct buf *errors)
{
    size_t n = 0, cap = 1, number = 0;
    int r = 0;
    for (size_t i = 0; i < text.n; i++) {
        cap += text.p[i] == '\n';
    }
    struct keyfile_entry *all = arena_zalloc(a, cap * sizeof *all);
    *ret_good = text.n;
    for (struct str rest = text, line; rest.n;) {
        bool whole = str_cut(&rest, '\n', &line);
        number++;
        if (str_trim(line).n == 0) {
            continue;
        }
        const char *why = read_entry(a, line, &all[n]);
        if (!why) {
            n++;
        } else if (!whole) {
            *ret_good = (size_t)(line.p - text.p);
        } else {
            buf_printf(errors, "%s:%zu: %s\n", path, number, why);
            r = -EBADMSG;
        }
    }
    *ret = all;
    *ret_n = n;
    return r;
}

int keyfile_read(struct arena *a, struct str data_dir, struct keyfile_entry **ret, size_t *ret_n,
                 struct buf *errors)
{
    char *path = file_path(a, data_dir, "keys.jsonl");
    struct buf text = {.arena = a, .limit = KEYFILE_SIZE_MAX};
    struct keyfile_entry *all = NULL;
    size_t n = 0, good;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    int r = fd < 0 ? -errno : read_whole(fd, &text);
    if (fd >= 0) {
        close(fd);
    }
    if (r == -ENOENT) {
        r = 0;
    } else if (r < 0) {
        buf_printf(errors, "%s: cannot be read: %s\n", path, strerror(-r));
    } else {
        r = read_lines(a, buf_str(&text), path, &all, &n, &good, errors);
    }
    if (r == 0) {
        *ret = all;
        *ret_n = n;
    }
    return r;
}

bool keyfile_has(struct str data_dir, struct str id)
{
    struct arena a = {0};
    struct buf errors = {.arena = &a};
    struct keyfile_entry *all;
    size_t n;
    bool found = false;
    if (keyfile_read(&a, data_dir, &all, &n, &errors) == 0) {
        for (size_t i = 0; i < n; i++) {
            found = found || str_eq(all[i].id, id);
        }
    }
    arena_reset(&a);
    return found;
}

static void add_line(struct buf *b, struct str id, struct str secret, const struct str *models,
                     size_t n_models)
{
    uint8_t digest[KEY_DIGEST_SIZE];
    char hex[2 * KEY_DIGEST_SIZE + 1], now[32];
    struct tm tm;
    time_t t = time(NULL);
    key_digest(secret, digest);
    sodium_bin2hex(hex, sizeof hex, digest, sizeof digest);
    gmtime_r(&t, &tm);
    strftime(now, sizeof now, "%Y-%m-%dT%H:%M:%SZ", &tm);
    buf_addz(b, "{\"id\":\"");
    buf_add_json(b, id);
    buf_printf(b, "\",\"digest\":\"%s\",\"models\":[", hex);
    for (size_t i = 0; i < n_models; i++) {
        buf_addz(b, i ? ",\"" : "\"");
        buf_add_json(b, models[i]);
        buf_addc(b, '"');
    }
    buf_printf(b, "],\"created_at\":\"%s\"}\n", now);
}

/* Under the lock: nobody else writes. */
static int append(struct arena *a, int fd, const char *path, struct str id, struct str secret,
                  const struct str *models, size_t n_models)
{
    struct buf text = {.arena = a, .limit = KEYFILE_SIZE_MAX}, line = {.arena = a};
    struct buf errors = {.arena = a};
    struct keyfile_entry *all = NULL;
    size_t n = 0, good = 0;
    int r = read_whole(fd, &text);
    if (r == 0) {
        r = read_lines(a, buf_str(&text), path, &all, &n, &good, &errors);
    }
    if (r < 0) {
        return r;
    }
    for (size_t i = 0; i < n; i++) {
        if (str_eq(all[i].id, id)) {
            return -EEXIST;
        }
    }
    if (good < text.n && ftruncate(fd, (off_t)good) < 0) {
        return -errno;
    }
    if (good && text.p[good - 1] != '\n') {
        buf_addc(&line, '\n');
    }
    add_line(&line, id, secret, models, n_models);
    if (lseek(fd, 0, SEEK_END) < 0) {
        return -errno;
    }
    r = write_whole(fd, buf_str(&line));
    if (r == 0 && fsync(fd) < 0) {
        r = -errno;
    }
    if (r < 0) { /* half a line must not stay in front of the next one */
        (void)!ftruncate(fd, (off_t)good);
    }
    return r;
}

/* The name of a new file is durable once its directory is. */
static int sync_dir(struct arena *a, struct str data_dir)
{
    int fd = open(arena_dupz(a, data_dir), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int r = fd < 0 || fsync(fd) < 0 ? -errno : 0;
    if (fd >= 0) {
        close(fd);
    }
    return r;
}

static int lock(int fd)
{
    while (flock(fd, LOCK_EX) < 0) {
        if (errno != EINTR) {
            return -errno;
        }
    }
    return 0;
}

int keyfile_add(struct str data_dir, struct str id, struct str secret, const struct str *models,
                size_t n_models)
{
    struct arena a = {0};
    struct str tidy;
    char *path = file_path(&a, data_dir, "keys.jsonl");
    int fd = -1, r;
    if (!rule_name.check(&a, id, &tidy) || secret.n > KEY_SECRET_MAX) {
        r = -EINVAL;
        goto out;
    }
    if (mkdir(arena_dupz(&a, data_dir), 0700) < 0 && errno != EEXIST) {
        r = -errno;
        goto out;
    }
    fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    r = fd < 0 ? -errno : lock(fd);
    if (r == 0) {
        r = append(&a, fd, path, id, secret, models, n_models);
    }
    if (r == 0) {
        r = sync_dir(&a, data_dir);
    }
out:
    if (fd >= 0) {
        close(fd);
    }
    arena_reset(&a);
    return r;
}
