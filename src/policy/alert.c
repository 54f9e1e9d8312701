#include "policy/alert.h"

const char *const alert_phase_name[] = {"ok", "pending", "firing"};

static enum alert_change when_firing(struct alert *a, const struct alert_bounds *b, bool calm,
                                     uint64_t now_ms)
{
    if (!calm) {
        a->calm_ms = 0;
        return ALERT_NOTHING;
    }
    a->calm_ms = a->calm_ms ? a->calm_ms : now_ms;
    if (now_ms - a->calm_ms < b->for_ms) {
        return ALERT_NOTHING;
    }
    *a = (struct alert){0};
    return ALERT_RESOLVED;
}

enum alert_change alert_step(struct alert *a, const struct alert_bounds *b, bool known,
                             int64_t value, uint64_t now_ms)
{
    if (a->phase == ALERT_FIRING) {
        return when_firing(a, b, !known || value <= b->clear, now_ms);
    }
    if (!known || value <= b->above) {
        *a = (struct alert){0};
        return ALERT_NOTHING;
    }
    if (a->phase == ALERT_WELL) {
        *a = (struct alert){.phase = ALERT_PENDING, .since_ms = now_ms};
    }
    if (now_ms - a->since_ms < b->for_ms) {
        return ALERT_NOTHING;
    }
    a->phase = ALERT_FIRING;
    return ALERT_FIRED;
}
