/* What is known of models that vendors sell: how much they read and write, what they can, what they cost. From the data of
 * models.dev (MIT licence, models.LICENSE), compiled in from models.tsv; a model that is not there is just not
 * known. */
#ifndef MODEL_FACTS_H
#define MODEL_FACTS_H

#include "model/tariff.h"

enum model_can {
    CAN_VISION = 1 << 0,
    CAN_TOOLS = 1 << 1,
    CAN_THINKING = 1 << 2,
    CAN_EMBED = 1 << 3,     /* it makes vectors, and no conversation */
    CAN_RERANK = 1 << 4,    /* it orders documents, and no more */
    CAN_DOCUMENTS = 1 << 5, /* reads PDF */
    CAN_AUDIO = 1 << 6,     /* hears */
    CAN_SCHEMA = 1 << 7,    /* answers in a JSON Schema */
};

struct model_facts {
    struct str vendor, model;
    uint32_t can;           /* bits of enum model_can */
    int64_t context;        /* tokens that it reads; 0: not known */
    int64_t max_output;     /* tokens that it writes; 0: not known */
    int64_t released_s;     /* 0: not known */
    int32_t rate[RATES];    /* pico-dollars per token; -1: not known */
    uint16_t tier, n_tiers; /* of the table's tiers */
};

/* Who sells at a host ("api.openai.com": "openai"); empty when nobody is known there. */
struct str facts_vendor(struct str host);

/* The vendor's model, NULL when it is not known. A vendor that is empty or does not have it: any vendor's model of
 * that name, since what a model can does not depend on who sells it; "vendor/" and Amazon's "eu.anthropic." may
 * stand ahead of the name. */
const struct model_facts *facts_find(struct str vendor, struct str model);

/* What this vendor itself asks for exactly this model; false when that is not known. Another vendor's price of a model
 * of the same name is none, nor is that of a name that only resembles it. */
bool facts_price(struct str vendor, struct str model, struct price *ret);

#endif
