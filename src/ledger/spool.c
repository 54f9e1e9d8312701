#include "ledger/spool.h"

#include <errno.h>
#include <fcntl.h>
#include <sodium.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

enum { FORM = 1 };

struct header {
    char magic[8];
    uint32_t form, size;
    int64_t id;
};

static const char magic[8] = "accordsp";

/* ---- the header ---- */

static int write_header(struct spool *s)
{
    struct header h = {.form = FORM, .size = sizeof(struct record), .id = s->id};
    memcpy(h.magic, magic, sizeof magic);
    return pwrite(s->fd, &h, sizeof h, 0) == (ssize_t)sizeof h ? 0 : -EIO;
}

static int begin_anew(struct spool *s)
{
    s->written = s->read = 0;
    do {
        randombytes_buf(&s->id, sizeof s->id);
        s->id &= INT64_MAX;
    } while (!s->id);
    return write_header(s);
}

/* A record that was written ends with a request id; the room behind the last one is zeros. */
static bool is_there(const struct record *r)
{
    return r->request_id[0] && r->outcome < OUTCOMES && r->key_n <= RECORD_ID &&
           r->application_n <= RECORD_ID && r->team_n <= RECORD_ID && r->provider_n <= RECORD_ID &&
           r->model_n <= RECORD_NAME && r->upstream_model_n <= RECORD_NAME &&
           r->route_n <= RECORD_WORD && r->code_n <= RECORD_WORD && r->failed_n <= RECORD_FAILED;
}

static int64_t place(int64_t at)
{
    return (int64_t)sizeof(struct header) + at;
}

/* Where the records of the last process end. */
static int64_t find_end(struct spool *s)
{
    struct record r;
    int64_t at = 0;
    while (pread(s->fd, &r, sizeof r, place(at)) == (ssize_t)sizeof r && is_there(&r)) {
        at += (int64_t)sizeof r;
    }
    return at;
}

static bool is_ours(const struct header *h)
{
    return memcmp(h->magic, magic, sizeof magic) == 0 && h->form == FORM &&
           h->size == sizeof(struct record) && h->id > 0;
}

/* Zeros behind what is there, to the end that it may have; not where that would take much of the disk. Without that
 * room it is written as far as the disk allows. */
static void take_room(struct spool *s)
{
    enum { SHARE = 20 };
    struct statvfs fs;
    if (fstatvfs(s->fd, &fs) == 0 &&
        (uint64_t)s->max_bytes < fs.f_bavail * (uint64_t)fs.f_frsize / SHARE) {
        (void)!posix_fallocate(s->fd, 0, place(s->max_bytes));
    }
}

int spool_open(struct spool *s, const char *dir, int64_t max_bytes)
{
    char path[4096], aside[4096 + 8];
    struct header h;
    struct stat st;
    snprintf(path, sizeof path, "%s/spool", dir);
    s->max_bytes = max_bytes / (int64_t)sizeof(struct record) * (int64_t)sizeof(struct record);
    s->fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (s->fd < 0) {
        return -errno;
    }
    int r = 0;
    if (fstat(s->fd, &st) == 0 && st.st_size > 0 &&
        (pread(s->fd, &h, sizeof h, 0) != (ssize_t)sizeof h || !is_ours(&h))) {
        snprintf(aside, sizeof aside, "%s.old", path);
        close(s->fd);
        s->fd = rename(path, aside) == 0 ? open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600) : -1;
        r = s->fd < 0 ? -errno : begin_anew(s);
    } else if (st.st_size > 0) {
        s->id = h.id;
        s->written = find_end(s);
        /* What was noted of the old id may be of records that are not there any more. */
        r = s->written ? 0 : begin_anew(s);
    } else {
        r = begin_anew(s);
    }
    if (r < 0) {
        spool_close(s);
        return r;
    }
    take_room(s);
    return 0;
}

void spool_close(struct spool *s)
{
    if (s->fd >= 0) {
        close(s->fd);
    }
    s->fd = -1;
}

/* ---- records ---- */

size_t spool_add(struct spool *s, const struct record *all, size_t n)
{
    pthread_mutex_lock(&s->lock);
    int64_t room = s->fd < 0 ? 0 : (s->max_bytes - s->written) / (int64_t)sizeof *all;
    n = room < (int64_t)n ? (size_t)room : n;
    size_t bytes = n * sizeof *all;
    ssize_t w = bytes ? pwrite(s->fd, all, bytes, place(s->written)) : 0;
    n = w < 0 ? 0 : (size_t)w / sizeof *all; /* half a one is written over by the next */
    s->written += (int64_t)(n * sizeof *all);
    pthread_mutex_unlock(&s->lock);
    return n;
}

size_t spool_take(struct spool *s, struct record *to, size_t n, int64_t *ret_at)
{
    pthread_mutex_lock(&s->lock);
    int64_t left = s->fd < 0 ? 0 : (s->written - s->read) / (int64_t)sizeof *to;
    n = left < (int64_t)n ? (size_t)left : n;
    ssize_t got = n ? pread(s->fd, to, n * sizeof *to, place(s->read)) : 0;
    n = got < 0 ? 0 : (size_t)got / sizeof *to;
    *ret_at = s->read + (int64_t)(n * sizeof *to);
    pthread_mutex_unlock(&s->lock);
    return n;
}

void spool_done(struct spool *s, int64_t at)
{
    pthread_mutex_lock(&s->lock);
    s->read = at;
    if (s->read == s->written && s->written) {
        /* Empty first: what stands there must not be read again under the new id. */
        if (ftruncate(s->fd, place(0)) == 0 && begin_anew(s) == 0) {
            take_room(s);
        } else {
            spool_close(s);
        }
    }
    pthread_mutex_unlock(&s->lock);
}

void spool_skip(struct spool *s, int64_t at)
{
    pthread_mutex_lock(&s->lock);
    at = at < s->written ? at : s->written;
    s->read = at > s->read ? at : s->read;
    pthread_mutex_unlock(&s->lock);
    if (at) {
        spool_done(s, s->read);
    }
}

bool spool_is_empty(struct spool *s)
{
    pthread_mutex_lock(&s->lock);
    bool empty = s->fd < 0 || s->read == s->written;
    pthread_mutex_unlock(&s->lock);
    return empty;
}
