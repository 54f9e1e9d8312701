/* What the routes about calls and usage share. */
#ifndef PLATFORM_LEDGER_H
#define PLATFORM_LEDGER_H

#include "ledger/calls.h"
#include "platform/visit.h"

/* Whether there is a ledger; else it is refused. */
bool have_ledger(struct visit *v);
/* The teams for whose calls the asker has the route's permission, in `a`; NULL: all calls. False: none. */
bool visible_teams(const struct visit *v, struct arena *a, const struct str **ret, size_t *ret_n);
/* key, application, team, provider and model of the query; p NULL where one is not there. */
void named_parameters(const struct visit *v, struct str named[DIMENSIONS]);
/* `from` or `to`, in microseconds; not there: `*ret` stays. False: refused. */
bool time_parameter(struct visit *v, const char *name, int64_t *ret);
/* `limit`; not there: `*ret` stays. False: refused. */
bool limit_parameter(struct visit *v, size_t max, size_t *ret);
/* `format`: json (or not there) or csv. False: refused. */
bool format_parameter(struct visit *v, bool *ret_csv);
/* All that say which calls are meant. False: refused. */
bool calls_parameters(struct visit *v, struct calls_filter *ret);

#endif
