/* What answers without a key: health. */
#include "gateway/call.h"

#include "http/h1.h"

static struct str json_type(void)
{
    return STR("application/json");
}

static const struct {
    struct str path;
    bool ready;
} health[] = {
    {{"/healthz", 8}, false},          {{"/health", 7}, false}, {{"/health/liveliness", 18}, false},
    {{"/health/liveness", 16}, false}, {{"/readyz", 7}, true},  {{"/health/readiness", 17}, true},
};

static bool is_root(struct str path)
{
    return str_eq(path, STR("/")) || str_eq(path, STR("/api/hello"));
}

bool is_page(struct str path)
{
    bool found = is_root(path) || str_eq(path, STR("/metrics"));
    for (size_t i = 0; !found && i < sizeof health / sizeof *health; i++) {
        found = str_eq(path, health[i].path);
    }
    return found;
}

enum next page_health(struct call *c, struct str path)
{
    if (str_eq(path, STR("/metrics"))) {
        return page_metrics(c);
    }
    if (is_root(path)) {
        return call_reply(c, 200, json_type(),
                          STR("{\"name\":\"accord\",\"version\":\"" ACCORD_VERSION "\"}"));
    }
    for (size_t i = 0; i < sizeof health / sizeof *health; i++) {
        if (str_eq(path, health[i].path)) {
            bool draining = health[i].ready && c->w->gateway->draining;
            return call_reply(c, draining ? 503 : 200, json_type(),
                              draining ? STR("{\"status\":\"draining\"}")
                                       : STR("{\"status\":\"ok\"}"));
        }
    }
    return NEXT;
}
