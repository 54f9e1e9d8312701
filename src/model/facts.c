#include "model/facts.h"

struct vendor_host {
    struct str host, vendor;
};

#define TEXT(s)                                                                                    \
    {                                                                                              \
        s, sizeof(s) - 1                                                                           \
    }
#include "known_models.h"

enum { FACTS = sizeof facts / sizeof *facts, HOSTS = sizeof hosts / sizeof *hosts };

struct str facts_vendor(struct str host)
{
    for (unsigned i = 0; i < HOSTS; i++) {
        if (str_ieq(hosts[i].host, host)) {
            return hosts[i].vendor;
        }
    }
    if (str_ends(host, STR(".openai.azure.com"))) {
        return STR("azure");
    }
    if (str_ends(host, STR(".amazonaws.com"))) {
        return STR("amazon-bedrock");
    }
    return str_ends(host, STR("aiplatform.googleapis.com")) ? STR("google-vertex")
                                                            : (struct str){0};
}

/* In the order of the table: byte by byte, the shorter first. */
static int compare(struct str a, struct str b)
{
    size_t n = a.n < b.n ? a.n : b.n;
    int r = n ? memcmp(a.p, b.p, n) : 0;
    return r ? r : (a.n > b.n) - (a.n < b.n);
}

/* The first row of that name, or FACTS. */
static unsigned find_name(struct str model)
{
    unsigned low = 0, high = FACTS;
    while (low < high) {
        unsigned middle = (low + high) / 2;
        if (compare(facts[middle].model, model) < 0) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low < FACTS && str_eq(facts[low].model, model) ? low : FACTS;
}

static const struct model_facts *find_exactly(unsigned first, struct str vendor, struct str model)
{
    for (unsigned i = first; i < FACTS && str_eq(facts[i].model, model); i++) {
        if (str_eq(facts[i].vendor, vendor)) {
            return &facts[i];
        }
    }
    return NULL;
}

static const struct model_facts *find(struct str vendor, struct str model)
{
    unsigned first = find_name(model);
    const struct model_facts *found = find_exactly(first, vendor, model);
    return found || first == FACTS ? found : &facts[first];
}

bool facts_price(struct str vendor, struct str model, struct price *ret)
{
    const struct model_facts *f = find_exactly(find_name(model), vendor, model);
    if (!f || (f->rate[RATE_INPUT] < 0 && f->rate[RATE_OUTPUT] < 0)) {
        return false;
    }
    *ret = (struct price){.tiers = known_tiers + f->tier, .n_tiers = f->n_tiers};
    for (unsigned i = 0; i < RATES; i++) {
        ret->rate[i] = f->rate[i];
    }
    ret->version = price_version(ret);
    return true;
}

const struct model_facts *facts_find(struct str vendor, struct str model)
{
    const struct model_facts *found = find(vendor, model);
    ptrdiff_t claude = str_find(model, STR("claude-"));
    if (!found && claude > 0) {
        found = find(vendor, str_from(model, (size_t)claude));
    }
    for (size_t i = 0; !found && i < model.n; i++) {
        if (model.p[i] == '/') {
            found = find(vendor, str_from(model, i + 1));
        }
    }
    return found;
}
