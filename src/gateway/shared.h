/* Limits and budgets of several processes that count together, in a Redis or in PostgreSQL (carrier.h).
 *
 * Each process counts for itself (policy/limit.h), and tells the others how much it has taken in the present window, as
 * a number and not as a difference: to tell it twice, or again after it was lost, changes nothing. What is told has a
 * number that rises, which keeps what comes late from an earlier connection from undoing what came after it. The answer
 * is the sum of what the others have told.
 *
 * A process takes at most its lease (or one call) beyond what the carrier has confirmed that it knows, and what others have is
 * at most so much more than it knows. So all of them together exceed a limit by at most a lease (or a call) each. A
 * process that has used up its lease while the carrier does not answer refuses calls, or goes on for itself (config_shared).
 *
 * Calls at once are shared in the same way: what is taken are those under way, and nothing of them is ever settled, so a
 * process that dies gives them back when it counts as gone.
 *
 * One thread; calls only read the numbers that it leaves in their counters. It looks for what has changed every 5 ms
 * (less often the longer that takes), and sends that in pipelines. */
#ifndef GATEWAY_SHARED_H
#define GATEWAY_SHARED_H

#include "gateway/counter.h"

struct config_shared;
struct shared;

/* Called by the thread of shared limits when the carrier of that name answers, and when it does not any more and why. */
typedef void (*shared_tell)(const char *name, bool up, const char *why);

/* NULL is returned, and 0, when nothing is shared. `database`: the URL of PostgreSQL, empty when there is none. The id of
 * this process is kept in `dir`, so that after a restart it is still the same. 0, -errno, or -EINVAL with a line in
 * `errors`. */
__attribute__((warn_unused_result)) int shared_open(const struct config_shared *c,
                                                    struct str database, const char *dir,
                                                    shared_tell tell, struct shared **ret,
                                                    struct buf *errors);
void shared_start(struct shared *s); /* NULL is allowed */
/* Tells what is left to tell, for a second at most. */
void shared_stop(struct shared *s);

/* Whether the carrier answers; true when nothing is shared. Any thread. */
bool shared_reachable(void);
struct shared_stats {
    bool on, reachable;
    uint64_t told, failures;
};
struct shared_stats shared_stats(void);

#endif
