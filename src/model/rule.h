/* What a text may look like. One rule serves the file, the REST API, the JSON Schema (`pattern`)
 * and the documentation (`allowed`). */
#ifndef MODEL_RULE_H
#define MODEL_RULE_H

#include "base/arena.h"

struct rule {
    const char *allowed; /* for people: "HOST:PORT, [IPV6]:PORT, :PORT or unix:/PATH" */
    const char *pattern; /* ECMA regular expression for the schema, may be NULL; never stricter than
                            check */
    const char *format;  /* of JSON Schema, such as "date-time"; may be NULL */
    const char *example; /* one that keeps it */
    /* Whether `text` keeps the rule; `*ret` is it in its one tidy form (in `a` when it differs). */
    bool (*check)(struct arena *a, struct str text, struct str *ret);
};

extern const struct rule rule_name;          /* ids of providers, keys, policies */
extern const struct rule rule_model;         /* names that clients use */
extern const struct rule rule_upstream;      /* names of models at a provider */
extern const struct rule rule_model_pattern; /* a name, or a prefix before a final '*' */
extern const struct rule rule_field_name;    /* of an HTTP field (RFC 9110, 5.6.2) */
extern const struct rule rule_value_pattern; /* a value, or the beginning of one followed by '*' */
extern const struct rule rule_base_url;
extern const struct rule rule_listen;
extern const struct rule rule_network; /* of addresses, or "unix" */
extern const struct rule rule_path;    /* of a file or directory */
extern const struct rule rule_secret;  /* a provider's: 1 to 8192 visible characters */
extern const struct rule rule_database_url;
extern const struct rule rule_redis_url;
extern const struct rule rule_usd;        /* of a budget */
extern const struct rule rule_zone;       /* a time zone that this system knows */
extern const struct rule rule_price;      /* US dollars per million tokens */
extern const struct rule rule_key_secret; /* of an application: 16 to 512 visible characters */

/* What people write (rule_people.c). */
extern const struct rule rule_title;
extern const struct rule rule_description;
extern const struct rule rule_email;
extern const struct rule rule_time;       /* RFC 3339, UTC */
extern const struct rule rule_prefix;     /* of a service's paths */
extern const struct rule rule_permission; /* of a role or a token, with '*' */
extern const struct rule rule_password;

/* US dollars, "0.05", as nano-dollars; false: no decimal number above 0 and up to 1,000,000. */
bool usd_parse(struct str usd, uint64_t *ret);

/* Whether a base URL (already checked) points to this machine: localhost, 127.0.0.0/8, ::1. */
bool base_url_is_loopback(struct str url);

#endif
