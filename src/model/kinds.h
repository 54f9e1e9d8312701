/* The kinds of resources there are, and the document that holds them. */
#ifndef MODEL_KINDS_H
#define MODEL_KINDS_H

#include "model/config.h"
#include "model/kind.h"

extern const struct kind kind_provider;
extern const struct kind kind_model;
extern const struct kind kind_key;
extern const struct kind kind_policy;
extern const struct kind kind_masking; /* of a policy */
extern const struct kind kind_provider_timeouts, kind_model_timeouts;
extern const struct kind kind_health;   /* of a provider */
extern const struct kind kind_hedge;    /* of a model */
extern const struct kind kind_alerts;   /* of accord.yaml */
extern const struct kind kind_settings; /* accord.yaml itself; decoded as struct config */

/* Where a provider answers when its base_url is not given; empty when there is no such place. */
struct str provider_default_url(enum provider_dialect d);

#endif
