/* Whether something has been wrong for long enough to tell somebody, and well again for long enough to say so. Between
 * `above` and `clear` nothing changes, so that what swings around one number is told once. Values and a clock in,
 * transitions out.
 *
 *   WELL ── above ──▶ PENDING ── for as long as `for_ms` ──▶ FIRING ── at most `clear`, for as long ──▶ WELL
 *     └───────────────────┘ not above any more */
#ifndef POLICY_ALERT_H
#define POLICY_ALERT_H

#include "base/str.h"

enum alert_phase { ALERT_WELL, ALERT_PENDING, ALERT_FIRING };
extern const char *const alert_phase_name[];

enum alert_change { ALERT_NOTHING, ALERT_FIRED, ALERT_RESOLVED };

struct alert_bounds {
    int64_t above, clear; /* clear <= above */
    uint64_t for_ms;
};

/* Zero: well. */
struct alert {
    enum alert_phase phase;
    uint64_t since_ms; /* of what may become, or is, firing */
    uint64_t calm_ms;  /* firing: since when it is at most `clear`; 0: it is not */
};

/* `known`: there is a value. What has none (there were too few calls) counts as well. */
enum alert_change alert_step(struct alert *a, const struct alert_bounds *b, bool known,
                             int64_t value, uint64_t now_ms);

#endif
