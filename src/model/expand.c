#include "model/expand.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buf.h"

bool expand_has(struct str text)
{
    return str_find(text, STR("${")) >= 0;
}

static int read_whole(int fd, struct buf *b)
{
    for (;;) {
        char chunk[4096];
        ssize_t n = read(fd, chunk, sizeof chunk);
        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n < 0) {
            return -errno;
        }
        if (n == 0) {
            return 0;
        }
        buf_add(b, str_make(chunk, (size_t)n));
        if (b->overflow) {
            return -EFBIG;
        }
    }
}

int expand_file(struct arena *a, const struct expander *x, struct str path, struct str *ret,
                struct str *ret_why)
{
    struct buf b = {.arena = a, .limit = EXPAND_FILE_MAX};
    struct stat st;
    int fd = -1, r;
    if (path.n == 0 || memchr(path.p, 0, path.n)) {
        *ret_why = STR("the file has no usable path");
        return -EINVAL;
    }
    if (x->no_files) {
        *ret_why = STR("files are not read here");
        return -EINVAL;
    }
    /* Not blocking, so that a pipe nobody writes to is refused below and does not hang the start.
     */
    fd = open(arena_dupz(a, path), O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    if (fd < 0) {
        r = -errno;
    } else if (fstat(fd, &st) < 0) {
        r = -errno;
    } else if (!S_ISREG(st.st_mode)) {
        r = -ENODEV;
    } else {
        r = read_whole(fd, &b);
    }
    if (fd >= 0) {
        close(fd);
    }
    if (r < 0) {
        const char *why = r == -ENODEV  ? "it is not a regular file"
                          : r == -EFBIG ? "it is longer than 64 KiB"
                                        : strerror(-r);
        /* What does not look like a path may be a secret that slipped into its place. */
        bool show = path.p[0] == '/' || path.p[0] == '.';
        struct str name = show ? path : STR("(its name is not shown)");
        *ret_why = arena_printf(a, "the file %.*s cannot be read: %s", STR_ARG(name), why);
        return -EINVAL;
    }
    *ret = buf_str(&b);
    if (ret->n && ret->p[ret->n - 1] == '\n') {
        ret->n--;
        if (ret->n && ret->p[ret->n - 1] == '\r') {
            ret->n--;
        }
    }
    return 0;
}

static bool is_variable(struct str name)
{
    for (size_t i = 0; i < name.n; i++) {
        char c = name.p[i];
        bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
        if (!letter && (i == 0 || c < '0' || c > '9')) {
            return false;
        }
    }
    return name.n > 0;
}

static int expand_one(struct arena *a, const struct expander *x, struct str name, struct str *ret,
                      struct str *ret_why)
{
    if (str_starts(name, STR("file:"))) {
        return expand_file(a, x, str_from(name, 5), ret, ret_why);
    }
    if (!is_variable(name)) {
        *ret_why = STR("between ${ and } stands neither the name of an environment variable nor "
                       "file:/path; write $${ for a plain ${");
        return -EINVAL;
    }
    const char *value = getenv(arena_dupz(a, name));
    if (!value) {
        *ret_why = arena_printf(a, "the environment variable %.*s is not set", STR_ARG(name));
        return -ENOENT;
    }
    *ret = arena_dup(a, str_of(value));
    return 0;
}

int expand(struct arena *a, const struct expander *x, struct str text, struct str *ret,
           struct str *ret_why)
{
    struct buf b = {.arena = a};
    ptrdiff_t at;
    while ((at = str_find(text, STR("${"))) >= 0) {
        struct str rest = str_from(text, (size_t)at + 2), name, value;
        if (at > 0 && text.p[at - 1] == '$') {
            buf_add(&b, str_first(text, (size_t)at - 1));
            buf_add(&b, STR("${"));
            text = rest;
            continue;
        }
        if (!str_cut(&rest, '}', &name)) {
            *ret_why = STR("a ${ has no closing }; write $${ for a plain ${");
            return -EINVAL;
        }
        int r = expand_one(a, x, name, &value, ret_why);
        if (r < 0) {
            return r;
        }
        buf_add(&b, str_first(text, (size_t)at));
        buf_add(&b, value);
        text = rest;
    }
    buf_add(&b, text);
    if (b.overflow) {
        *ret_why = STR("the expanded text is too long");
        return -EINVAL;
    }
    *ret = buf_str(&b);
    return 0;
}
