/* Reading calls out of one partition. A scan belongs to one thread. */
#ifndef LEDGER_SCAN_H
#define LEDGER_SCAN_H

#include "ledger/partition.h"
#include "ledger/sql.h"

/* Opens the partition for reading. */
__attribute__((warn_unused_result)) int scan_open(const char *dir, struct partition_name n,
                                                  sqlite3 **ret);

/* Calls with a number above `after`, in their order, at most `n`; `take` is told each. Returns how many, or -errno. */
typedef void scan_take(void *arg, int64_t seq, const struct record *r);
__attribute__((warn_unused_result)) int64_t scan_after(sqlite3 *db, int64_t after, size_t n,
                                                       scan_take *take, void *arg);

/* Up to where the partition has calls of a spool; 0: none. */
__attribute__((warn_unused_result)) int scan_spool(sqlite3 *db, int64_t spool, int64_t *ret);

#endif
