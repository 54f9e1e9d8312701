#include "ledger/archive.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "ledger/sql.h"

static void add(struct archive *a, struct partition_name n)
{
    if (a->n == a->cap) {
        a->cap = a->cap ? 2 * a->cap : 16;
        a->all = mem_realloc(a->all, a->cap * sizeof *a->all);
    }
    a->all[a->n++] = n;
}

static int by_first(const void *x, const void *y)
{
    const struct partition_name *a = x, *b = y;
    return (a->first > b->first) - (a->first < b->first);
}

/* A file that a process has begun to make when it ended. */
static bool is_unfinished(struct str name)
{
    return str_ends(name, STR(".db" SQL_NEW)) || str_ends(name, STR(".db" SQL_NEW "-wal")) ||
           str_ends(name, STR(".db" SQL_NEW "-shm")) ||
           str_ends(name, STR(".db" SQL_NEW "-journal"));
}

static void remove_in(const char *dir, const char *name)
{
    char path[PARTITION_PATH];
    snprintf(path, sizeof path, "%s/%s", dir, name);
    unlink(path);
}

int archive_scan(struct archive *a)
{
    struct partition_name n;
    struct dirent **found;
    if (mkdir(a->dir, 0700) < 0 && errno != EEXIST) {
        return -errno;
    }
    int n_found = scandir(a->dir, &found, NULL, NULL);
    if (n_found < 0) {
        return -errno;
    }
    pthread_mutex_lock(&a->lock);
    a->n = 0;
    for (int i = 0; i < n_found; i++) {
        if (partition_parse(str_of(found[i]->d_name), &n)) {
            add(a, n);
        } else if (is_unfinished(str_of(found[i]->d_name))) {
            remove_in(a->dir, found[i]->d_name);
        }
        free(found[i]);
    }
    if (a->n) {
        qsort(a->all, a->n, sizeof *a->all, by_first);
    }
    a->ready = true;
    pthread_mutex_unlock(&a->lock);
    free(found);
    return 0;
}

void archive_add(struct archive *a, struct partition_name n)
{
    pthread_mutex_lock(&a->lock);
    if (!a->n || a->all[a->n - 1].first != n.first) {
        add(a, n);
    }
    a->open = true;
    pthread_mutex_unlock(&a->lock);
}

void archive_closed(struct archive *a)
{
    pthread_mutex_lock(&a->lock);
    a->open = false;
    pthread_mutex_unlock(&a->lock);
}

void archive_committed(struct archive *a, int64_t last_seq)
{
    pthread_mutex_lock(&a->lock);
    a->last_seq = last_seq;
    pthread_mutex_unlock(&a->lock);
}

const struct partition_name *archive_list(struct archive *a, struct arena *to, size_t *ret_n,
                                          int64_t *ret_last_seq)
{
    struct partition_name *all = NULL;
    pthread_mutex_lock(&a->lock);
    if (a->ready) {
        all = arena_alloc(to, (a->n + 1) * sizeof *all);
        if (a->n) {
            memcpy(all, a->all, a->n * sizeof *all);
        }
    }
    *ret_n = a->ready ? a->n : 0;
    *ret_last_seq = a->last_seq;
    pthread_mutex_unlock(&a->lock);
    return all;
}

/* ---- files ---- */

int64_t archive_bytes(struct archive *a)
{
    int64_t bytes = 0;
    pthread_mutex_lock(&a->lock);
    for (size_t i = 0; i < a->n; i++) {
        bytes += partition_bytes(a->dir, &a->all[i]);
    }
    pthread_mutex_unlock(&a->lock);
    return bytes;
}

size_t archive_retain(struct archive *a, int32_t first_day, int64_t max_bytes)
{
    int64_t bytes = max_bytes ? archive_bytes(a) : 0;
    size_t gone = 0;
    pthread_mutex_lock(&a->lock);
    while (gone + a->open < a->n &&
           (a->all[gone].day < first_day || (max_bytes && bytes > max_bytes))) {
        bytes -= max_bytes ? partition_bytes(a->dir, &a->all[gone]) : 0;
        partition_delete(a->dir, &a->all[gone]);
        gone++;
    }
    if (gone) {
        memmove(a->all, a->all + gone, (a->n - gone) * sizeof *a->all);
    }
    a->n -= gone;
    pthread_mutex_unlock(&a->lock);
    return gone;
}
