/* Limits and budgets of several processes that count together in a Redis or Valkey.
 *
 * Each process counts for itself (policy/limit.h), and tells the others how much it has taken in the present window, as
 * a number and not as a difference: to tell it twice, or again after Redis has lost it, changes nothing. In Redis a
 * counter of a window is a hash, "accord:limit:DIGEST:WINDOW", with a field for each process:
 *
 *   ID of the process -> "SEQUENCE TAKEN SETTLED MILLISECONDS"
 *
 * SEQUENCE keeps what comes late from an earlier connection from undoing what came after it. A script writes one's own
 * field and answers with the sum of the others', in one step. Of a process that was not heard of for a minute what is
 * settled counts, as its reservations are gone; of a window that slides, nothing once it is a window old.
 *
 * A process takes at most its lease (or one call) beyond what Redis has confirmed that it knows, and what others have is
 * at most so much more than it knows. So all of them together exceed a limit by at most a lease (or a call) each. A
 * process that has used up its lease while Redis does not answer refuses calls, or goes on for itself (config_shared).
 *
 * One thread; calls only read the numbers that it leaves in their counters. It looks for what has changed every 5 ms
 * (less often the longer that takes), and sends that in pipelines. */
#ifndef GATEWAY_SHARED_H
#define GATEWAY_SHARED_H

#include "gateway/counter.h"

struct config_shared;
struct shared;

/* Called by the thread of shared limits when Redis answers, and when it does not any more and why. */
typedef void (*shared_tell)(bool up, const char *why);

/* NULL is returned, and 0, when nothing is shared. The id of this process is kept in `dir`, so that after a restart it is
 * still the same. 0, -errno, or -EINVAL with a line in `errors`. */
__attribute__((warn_unused_result)) int shared_open(const struct config_shared *c, const char *dir,
                                                    shared_tell tell, struct shared **ret,
                                                    struct buf *errors);
void shared_start(struct shared *s); /* NULL is allowed */
/* Tells what is left to tell, for a second at most. */
void shared_stop(struct shared *s);

/* Whether Redis answers; true when nothing is shared. Any thread. */
bool shared_reachable(void);
struct shared_stats {
    bool on, reachable;
    uint64_t told, failures;
};
struct shared_stats shared_stats(void);

#endif
