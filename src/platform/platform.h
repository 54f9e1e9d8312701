/* The platform: the REST API under /api/v1 and what belongs to it, as the gateway's visits. */
#ifndef PLATFORM_PLATFORM_H
#define PLATFORM_PLATFORM_H

#include "auth/throttle.h"
#include "gateway/worker.h"
#include "platform/problem.h"
#include "store/store.h"

#include <pthread.h>

enum { KINDS_COUNTED = 40 };

struct platform {
    struct store *store;
    struct gateway *gateway;
    struct alerts *alerts; /* NULL until the server runs */
    bool tls;              /* clients speak TLS: cookies are Secure, links are https */
    pthread_mutex_t throttle_lock;
    struct throttle throttle;
    _Atomic uint64_t conflicts[KINDS_COUNTED + 1][PROBLEM_COUNT]; /* by kind (the last: none that is
                                                                     known) and problem */
    /* Visits whose answers wait until the workers know of their change. */
    pthread_mutex_t waiting_lock;
    struct visit *waiting;
    _Atomic int64_t applied_seq; /* the last change that all workers know of */
};

extern const struct visit_ops platform_visits;

/* metrics.c: counts a refused write; prints what /metrics tells of the platform. Any thread. */
void platform_count_conflict(struct platform *p, struct str kind, enum problem_id id);
void platform_metrics(void *arg, struct buf *b);

void platform_init(struct platform *p, struct store *s, struct gateway *g, bool tls);

/* All workers run a snapshot that has every change up to `seq`. From the control thread. */
void platform_applied(struct platform *p, int64_t seq);

/* The first start: makes the settings, the administrator, and a one-time link to set a password,
 * when there is no user yet. `admin_token` (ACCORD_ADMIN_TOKEN, may be empty) is made the secret of
 * the administrator's token "admin-env". `*ret_link` is empty when there was nothing to make. */
__attribute__((warn_unused_result)) int platform_first_start(struct platform *p, struct arena *a,
                                                             struct str admin_token,
                                                             struct secret *ret_link,
                                                             struct buf *errors);

#endif
