#include "model/mistake.h"

#include <stdlib.h>

static void add_path(struct buf *b, const struct path *path)
{
    if (!path || !path->up) {
        return;
    }
    add_path(b, path->up);
    if (!path->name.p) {
        buf_printf(b, "[%zu]", path->index);
        return;
    }
    if (b->n) {
        buf_addc(b, '.');
    }
    /* A name that came from the outside may hold anything; the line must stay one line. */
    buf_add_json(b, str_first(path->name, 80));
}

struct str path_text(struct arena *a, const struct path *path)
{
    struct buf b = {.arena = a};
    add_path(&b, path);
    return buf_str(&b);
}

static void add_pointer(struct buf *b, const struct path *path)
{
    if (!path || !path->up) {
        return;
    }
    add_pointer(b, path->up);
    if (path->name.p) {
        json_pointer_add(b, str_first(path->name, 200));
    } else {
        buf_printf(b, "/%zu", path->index);
    }
}

static struct str path_pointer(struct arena *a, const struct path *path)
{
    struct buf b = {.arena = a};
    add_pointer(&b, path);
    return buf_str(&b);
}

__attribute__((format(printf, 5, 0))) static void add(struct mistakes *m, uint32_t line,
                                                      uint32_t column, const struct path *path,
                                                      const char *fmt, va_list ap)
{
    if (m->n++ >= MISTAKES_MAX) {
        return;
    }
    struct mistake *x = arena_zalloc(m->arena, sizeof *x);
    x->line = line;
    x->column = column;
    x->path = path_text(m->arena, path);
    x->pointer = path_pointer(m->arena, path);
    x->text = arena_vprintf(m->arena, fmt, ap);
    if (m->last) {
        m->last->next = x;
    } else {
        m->first = x;
    }
    m->last = x;
}

void mistake_add(struct mistakes *m, const struct json *at, const struct path *path,
                 const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    add(m, at ? at->line : 0, at ? at->column : 0, path, fmt, ap);
    va_end(ap);
}

void mistake_add_key(struct mistakes *m, const struct json *at, const struct path *path,
                     const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    add(m, at->key_line, at->key_column, path, fmt, ap);
    va_end(ap);
}

void mistake_add_at(struct mistakes *m, uint32_t line, uint32_t column, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    add(m, line, column, NULL, fmt, ap);
    va_end(ap);
}

struct placed {
    const struct mistake *mistake;
    size_t order;
};

static int by_place(const void *a, const void *b)
{
    const struct placed *x = a, *y = b;
    if (x->mistake->line != y->mistake->line) {
        return x->mistake->line < y->mistake->line ? -1 : 1;
    }
    if (x->mistake->column != y->mistake->column) {
        return x->mistake->column < y->mistake->column ? -1 : 1;
    }
    return x->order < y->order ? -1 : 1;
}

void mistakes_print(struct buf *b, const struct mistakes *m, struct str source)
{
    size_t kept = m->n < MISTAKES_MAX ? m->n : MISTAKES_MAX, n = 0;
    struct placed *all = arena_alloc(m->arena, (kept + 1) * sizeof *all);
    for (const struct mistake *x = m->first; x; x = x->next) {
        all[n] = (struct placed){x, n};
        n++;
    }
    qsort(all, n, sizeof *all, by_place);
    for (size_t i = 0; i < n; i++) {
        const struct mistake *x = all[i].mistake;
        if (source.n && x->line) {
            buf_add(b, source);
            buf_printf(b, ":%u:%u: ", x->line, x->column);
        }
        if (x->path.n) {
            buf_add(b, x->path);
            buf_addz(b, ": ");
        }
        buf_add(b, x->text);
        buf_addc(b, '\n');
    }
    if (m->n > n) {
        buf_printf(b, "and %zu more\n", m->n - n);
    }
}

const char *nearest_word(struct str word, const char *const *words)
{
    const char *best = NULL;
    unsigned best_distance = 3; /* more than two slips is another word */
    for (; *words; words++) {
        unsigned d = str_distance(word, str_of(*words));
        size_t n = strlen(*words);
        bool alike = 2 * d <= (n > word.n ? n : word.n); /* "big" is not a slip for "sim" */
        if (d < best_distance && alike && d < word.n && d < n) {
            best_distance = d;
            best = *words;
        }
    }
    return best;
}
