/* A partition: a file with the calls of a day, or of a part of it when there are very many. While it is open it has
 * no index but the order in which calls came; once closed it gets them, and never changes again.
 *
 *   DATA/ledger/2026-11-28.000000000001.db      day, number of its first call
 *
 * The writer thread's, but for what says otherwise. */
#ifndef LEDGER_PARTITION_H
#define LEDGER_PARTITION_H

#include "base/arena.h"
#include "ledger/record.h"

struct partition;

enum { PARTITION_ROWS = 250000, PARTITION_NAMES = 65536, PARTITION_PATH = 4096 };

/* What its name says. */
struct partition_name {
    int32_t day; /* since 1970 */
    int64_t first;
};
/* False: it is not the name of one. */
bool partition_parse(struct str file, struct partition_name *ret);
void partition_path(char *to, size_t cap, const char *dir, const struct partition_name *n);
/* What its file and the log beside it take on the disk; and both are deleted. Any thread. */
int64_t partition_bytes(const char *dir, const struct partition_name *n);
void partition_delete(const char *dir, const struct partition_name *n);

/* Opens the partition for writing, makes it when it is new. `*ret_next` is the number of its next call. */
__attribute__((warn_unused_result)) int partition_open(const char *dir, struct partition_name n,
                                                       struct partition **ret, int64_t *ret_next);
/* Writes calls in one transaction, all or none; after an error it must be closed. `spool` (with `spool_at`) is noted
 * in it when it is not 0: up to where that spool has been read. */
__attribute__((warn_unused_result)) int partition_write(struct partition *p, int64_t first_seq,
                                                        const struct record *all, size_t n,
                                                        int64_t spool, int64_t spool_at);
/* No more calls go into it. */
bool partition_is_full(const struct partition *p);
struct partition_name partition_name(const struct partition *p);
void partition_close(struct partition *p); /* NULL is allowed */

/* Gives a closed one its indexes, unless it has them. Any thread. */
__attribute__((warn_unused_result)) int partition_index(const char *dir, struct partition_name n);

#endif
