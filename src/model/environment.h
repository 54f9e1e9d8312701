/* Providers that are there because the environment holds an API key for them. The table behind it
 * is generated from providers.tsv and models.tsv. */
#ifndef MODEL_ENVIRONMENT_H
#define MODEL_ENVIRONMENT_H

#include "model/config.h"
#include "model/mistake.h"

/* Fills `to` (room for environment_max()) and returns how many there are. A base URL in the
 * environment that cannot be used is a mistake. */
size_t environment_providers(struct arena *a, struct mistakes *m, struct config_provider *to);
size_t environment_max(void);
/* The variable that would make the provider of that id; empty: none does. */
struct str environment_variable(struct str id);

#endif
