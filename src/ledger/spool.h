/* The spool: where records go that cannot wait in memory any longer, because the partitions cannot be written or not
 * fast enough. A file of records as they stand in memory, DATA/ledger/spool, of bounded size; it is read again when
 * the partitions can be written, also by the next process. Any thread.
 *
 *   header: "accordsp", version of the record's form, size of a record, a random number that names this spool
 *   records
 *
 * Room for all of it is taken when it is opened and the disk has plenty, so that it can be written when the disk has
 * become full. */
#ifndef LEDGER_SPOOL_H
#define LEDGER_SPOOL_H

#include <pthread.h>

#include "ledger/record.h"

struct spool {
    pthread_mutex_t lock;
    int fd; /* -1: there is none */
    int64_t id;
    int64_t written, read; /* bytes behind the header */
    int64_t max_bytes;
};

/* Opens or makes it; one that another version of this program has written is renamed aside. */
__attribute__((warn_unused_result)) int spool_open(struct spool *s, const char *dir,
                                                   int64_t max_bytes);
void spool_close(struct spool *s);
/* How many of these could be kept: the first ones. */
size_t spool_add(struct spool *s, const struct record *all, size_t n);
/* Reads up to `n` of the oldest that were not read. `*ret_at` is what spool_done() is to be told. */
size_t spool_take(struct spool *s, struct record *to, size_t n, int64_t *ret_at);
/* Everything up to `at` is kept elsewhere. When that is all there is, it is empty again, under another id. */
void spool_done(struct spool *s, int64_t at);
/* The next process goes on behind what the last one has kept elsewhere. */
void spool_skip(struct spool *s, int64_t at);
bool spool_is_empty(struct spool *s);

#endif
