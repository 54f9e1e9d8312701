/* Stage 8: what the call cost, and what it held is given back. */
#include "gateway/call.h"

enum next stage_settle(struct call *c)
{
    if (c->admitted) {
        admit_release(c);
        c->w->metrics.inflight--;
    }
    return NEXT;
}
