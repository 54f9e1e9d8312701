/* Which partitions there are: written by the writer and by the care thread, read by whoever queries. Any thread. */
#ifndef LEDGER_ARCHIVE_H
#define LEDGER_ARCHIVE_H

#include <pthread.h>

#include "ledger/partition.h"

struct archive {
    char *dir;
    pthread_mutex_t lock;
    struct partition_name *all; /* by their first calls; the last one may be open */
    size_t n, cap;
    bool open;        /* it is */
    bool ready;       /* they were looked up */
    int64_t last_seq; /* of the last call that was committed */
};

/* Makes the directory (mode 0700) and finds what is in it. 0 or -errno. */
__attribute__((warn_unused_result)) int archive_scan(struct archive *a);
void archive_add(struct archive *a, struct partition_name n); /* a new one, which is open */
void archive_closed(struct archive *a); /* the last one is not open any more */
void archive_committed(struct archive *a, int64_t last_seq);
/* A copy in the arena; NULL and 0 while they were not looked up. */
const struct partition_name *archive_list(struct archive *a, struct arena *to, size_t *ret_n,
                                          int64_t *ret_last_seq);
/* Forgets and deletes the oldest ones: those of days before `first_day`, and as many as are needed to have at most
 * `max_bytes` (0: no bound). Never the open one. Returns how many. */
size_t archive_retain(struct archive *a, int32_t first_day, int64_t max_bytes);
/* Of all files, in bytes. */
int64_t archive_bytes(struct archive *a);

#endif
