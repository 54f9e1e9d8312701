/* The journal of counters: what was settled survives the process.
 *
 * A file `limits.journal` in the data directory: "accord limits 1\n", then records of 48 bytes, the machine's byte
 * order:
 *
 *   digest 16   of the counter's name
 *   when    8   of a day or a month its number; else when the slot begins, microseconds since 1970
 *   amount  8   what is settled in that slot: all of it, not what was added, so that a record may stand twice
 *   per     4   enum limit_per
 *   last    4   in which tick of the slot something was settled last
 *   check   8   over all that
 *
 * The last record of a slot counts. A record that is not whole or whose check is wrong is passed over: what an earlier
 * one says of its slot was true some milliseconds before. Another format needs another check.
 *
 * One thread writes: 5 ms after something was settled, so that a process that is killed has lost at most what was
 * settled in its last 5 ms (and the time of one write); it counts too little then, never too much. Another one brings
 * it onto the disk, once a second, and nobody waits for that: a machine that loses its power may have lost so much.
 * When it has grown fourfold the file is written anew beside itself, and takes the old one's place once it is on the
 * disk; until then what comes is written into both. */
#ifndef GATEWAY_COUNTER_JOURNAL_H
#define GATEWAY_COUNTER_JOURNAL_H

#include "gateway/counter.h"

struct counter_journal;

/* Reads the journal of the directory into the counters and writes it anew. 0 or -errno. Before any thread counts. */
__attribute__((warn_unused_result)) int
counter_journal_open(const char *dir, const struct limit_now *now, struct counter_journal **ret);
/* Writes what has changed; `sync`: onto the disk, too. What cannot be written is tried again with the next `sync`. Not
 * while the threads run. */
void counter_journal_flush(struct counter_journal *j, const struct limit_now *now, bool sync);

/* The threads that do so from now on; stopping flushes, and closes. */
void counter_journal_start(struct counter_journal *j);
void counter_journal_stop(struct counter_journal *j); /* NULL is allowed */

/* How often something could not be written, and whether the file was damaged when it was read, over the process's life. */
uint64_t counter_journal_failures(void);

#endif
