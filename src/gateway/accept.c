/* Stage 1: which endpoint does the request mean. */
#include "gateway/call.h"

static enum next not_here(struct call *c, struct str method, struct str path)
{
    struct call_error e = {.outcome = OUTCOME_REFUSED};
    if (c->ep.wrong_method) {
        e.status = 405;
        e.code = "method_not_allowed";
        return call_fail(c, &e, "%.*s is not allowed on %.*s.", STR_ARG(method), STR_ARG(path));
    }
    e.status = 404;
    e.code = "not_found";
    return call_fail(
        c, &e,
        "Nothing answers at %.*s. Model calls go to /v1/chat/completions, /v1/responses, "
        "/v1/messages, /v1beta/models/{model}:generateContent, /api/chat, /v2/chat or "
        "/model/{model}/converse; the list of models is at "
        "/v1/models.",
        (int)(path.n < 200 ? path.n : 200), path.p);
}

enum next stage_accept(struct call *c)
{
    const struct h1_head *h = c->req->head;
    struct str method = h1_slice(h, h->method_at, h->method_n);
    struct str path = h1_slice(h, h->path, h->path_n);
    if (h->method == M_GET || h->method == M_HEAD) {
        enum next n = page_health(c, path);
        if (n != NEXT) {
            return n;
        }
    }
    c->ep = endpoint_find(h->method == M_HEAD ? STR("GET") : method, path);
    if (!c->ep.endpoint && h->method != M_GET && h->method != M_HEAD && is_page(path)) {
        c->ep.wrong_method = true;
        c->ep.allow = STR("GET, HEAD");
    }
    if (h->upgrade && h->method == M_GET) {
        /* Clients that may speak WebSocket here fall back to plain HTTP on 426. */
        struct call_error e = {
            .status = 426, .code = "upgrade_required", .outcome = OUTCOME_REFUSED};
        return call_fail(c, &e,
                         "WebSocket is not spoken here; send the request as POST over HTTP/1.1.");
    }
    if (!c->ep.endpoint) {
        const struct gateway *g = c->w->gateway;
        if (g->visits && g->visits->claims(path)) {
            g->visits->begin(g->visits_arg, c);
            return WAIT;
        }
        return not_here(c, method, path);
    }
    return NEXT;
}
