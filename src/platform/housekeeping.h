/* What time makes superfluous: answers kept for repeats, sessions that are over, responses past their
 * lifetime, and, when the settings say so, old states. Belongs to the control thread; the work is the store's. */
#ifndef PLATFORM_HOUSEKEEPING_H
#define PLATFORM_HOUSEKEEPING_H

#include "platform/platform.h"

struct housekeeping {
    struct store_job _job; /* first member */
    struct platform *_platform;
    struct loop *_loop;
    struct timer _timer;
    int64_t _seq, _keep; /* of the last change that was looked at, and by which setting */
    int64_t _next_seq, _next_keep;
    bool _more, _busy;
};

/* Begins a second from now, and goes on every minute. */
void housekeeping_start(struct housekeeping *h, struct platform *p, struct loop *loop);
/* Before the store is closed; what the store has of it must be done. */
void housekeeping_stop(struct housekeeping *h);

#endif
