/* The routes of the platform. One table: the path, who may, what does it, and what the description
 * of the API says of it. A row without an access does not compile. */
#ifndef PLATFORM_ROUTE_H
#define PLATFORM_ROUTE_H

#include "platform/visit.h"

enum access {
    ACCESS_PUBLIC = 1, /* anybody */
    ACCESS_KNOWN,      /* anybody who is known */
    ACCESS_VERB,       /* the permission KIND.verb, looked at again on the object */
    ACCESS_PERMISSION, /* the permission of the row */
};

enum {
    ROUTE_WRITE = 1,    /* its job writes */
    ROUTE_BODY = 2,     /* it takes a body */
    ROUTE_NO_STORE = 4, /* answered on the worker */
    ROUTE_STREAM = 8,   /* the answer goes on: watch */
    ROUTE_ACTION = 16,  /* one for each action of the kind */
};

struct route {
    enum h1_method method;
    const char *path; /* behind /api/v1: "/{kind}/{id}/history/{revision}" */
    enum access access;
    const char *permission; /* the verb, or the whole permission */
    visit_handler *handler;
    unsigned flags;
    const char *name;       /* operationId, of kinds with the kind's name in place of * */
    const char *summary;    /* the same */
    const char *parameters; /* of its query, spaces between; {field}: any member of the kind */
};

extern const struct route routes[];
extern const size_t n_routes;

enum route_found { ROUTE_FOUND, ROUTE_NOWHERE, ROUTE_WRONG_METHOD };

/* Finds the route of v->path and v->head.method; fills v->route, v->kind and v->args. `allow` gets
 * the methods of the path when it is there with others. */
enum route_found route_find(struct visit *v, struct buf *allow);

/* Whether the kind has that route: what there is one of is neither created nor deleted. */
bool route_of_kind(const struct route *r, const struct resource_kind *k);

/* The handlers. */
visit_handler list_resources, read_resource, read_history, read_revision, read_diff;
visit_handler create_resource, replace_resource, patch_resource, delete_resource;
visit_handler restore_resource, act_on_resource, read_action;
visit_handler watch_resources;
visit_handler read_me, sign_in, sign_out, change_password, redeem_link;
visit_handler list_calls, read_call, watch_calls, read_usage;
visit_handler read_call_body, delete_call_body;
visit_handler read_alerts;
visit_handler explain_call, read_routing_state;
visit_handler list_audit, list_conflicts, read_conflict, read_status, read_openapi;

#endif
