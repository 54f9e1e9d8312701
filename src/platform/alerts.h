/* Alerts: what `alerts` of the configuration watches, looked at every two seconds on the control thread, never on the path
 * of a call. What calls do comes out of the roll-ups (asked of the ledger's reader), what budgets have used and how
 * providers are out of the counters that calls themselves go by. Who is told: the log, and webhooks.
 *
 * The state of a rule goes by its id, so that a reload neither forgets it nor tells it again; what fires is kept in the data
 * directory (alerts_kept.c), so that a new process does not either. */
#ifndef PLATFORM_ALERTS_H
#define PLATFORM_ALERTS_H

#include <pthread.h>

#include "gateway/snapshot.h"
#include "ledger/reader.h"
#include "platform/webhook.h"
#include "policy/alert.h"

/* Thousandths: of a percent, or of a millisecond. */
struct alert_value {
    bool known;  /* else there were too few calls */
    bool failed; /* it could not be asked: nothing changes */
    int64_t value;
    char subject[160]; /* whose it is; NUL behind */
};

struct watched {
    struct str id; /* in `_snap` */
    struct alert state;
    struct alert_value last;
    int64_t since_us; /* wall clock; of what fires */
    bool vain;        /* what it names is not there, which the log says once */
    bool told;        /* firing, and no message about it waits any more */
};

/* What fired when the process before this one ended. */
struct alert_kept {
    struct config_alert rule; /* so much of it as a message tells */
    struct watched was;
};

struct alerts {
    struct loop *_loop; /* NULL: not started */
    struct ledger *_ledger;
    struct timer _timer;
    struct reader_job _job;
    bool _busy;
    struct alert_value *_values; /* that are being asked */
    struct snapshot *_next;      /* since the last look */
    struct alert_kept *_kept;    /* until there is a snapshot */
    size_t _n_kept;
    struct arena _kept_arena;
    char _path[4096];
    struct buf _written; /* what the file has */
    bool _unwritable;    /* and that was said */
    struct webhooks hooks;
    void (*_log)(struct str line); /* a line of JSON, LF included */
    pthread_mutex_t _lock;         /* of what follows: the control thread writes it, any reads it */
    struct snapshot *_snap;
    struct watched *_all; /* one for each rule of `_snap` */
    size_t _n;
};

/* `dir`: the data directory. */
void alerts_start(struct alerts *a, struct loop *l, struct ledger *ledger, const char *dir,
                  void (*log)(struct str line));
/* The snapshot from now on. From the control thread. */
void alerts_take(struct alerts *a, struct snapshot *s);
/* After the ledger has ended. One that was never started is allowed. */
void alerts_stop(struct alerts *a);

extern const char *const alert_when_name[];

/* What /metrics tells of them. Any thread; NULL is allowed. */
void alerts_metrics(struct alerts *a, struct buf *b);

/* ---- alerts_kept.c ---- */

/* Reads what fired into `_kept`. 0, or -errno: then nothing is known. */
__attribute__((warn_unused_result)) int alerts_recall(struct alerts *a, const char *dir);
/* Writes what fires, if that has changed. 0, or -errno. */
__attribute__((warn_unused_result)) int alerts_keep(struct alerts *a);

/* ---- alerts_ask.c ---- */

/* Of a rule on calls; on the reader's thread. */
void alert_ask_calls(const struct config_alert *rule, struct reader *r, struct alert_value *ret);
/* Of the others. Any thread. */
void alert_ask_now(const struct config_alert *rule, const struct snapshot *s,
                   struct alert_value *ret);
/* What the rule names and the snapshot does not have: a provider, or a policy with a budget. It may come yet, by the
 * platform; models are whatever clients ask for. Empty: nothing. In `a`. */
struct str alert_misses(const struct config_alert *rule, const struct snapshot *s, struct arena *a);

#endif
