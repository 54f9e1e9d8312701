/* Which call a method and a path mean: the endpoints of all dialects, with every alias that real
 * clients use (with and without /v1, doubled /v1, vendor prefixes, deployments). */
#ifndef DIALECT_ENDPOINT_H
#define DIALECT_ENDPOINT_H

#include "dialect/format_id.h"

enum endpoint_kind {
    ENDPOINT_CALL,   /* goes to a model */
    ENDPOINT_MODELS, /* the list of models, or one of them */
    ENDPOINT_SHOW,   /* one model, named in the body */
    ENDPOINT_VERSION,
    ENDPOINT_KEPT,  /* a response that was kept */
    ENDPOINT_LATER, /* known, but answered 501 */
};

/* What is asked for where it is no conversation, and can be translated all the same (embed.h, rerank.h,
 * tokens.h). */
enum endpoint_work { WORK_OTHER, WORK_EMBED, WORK_RERANK, WORK_COUNT };

enum model_in { MODEL_IN_BODY, MODEL_IN_PATH, MODEL_IN_FORM, MODEL_NOWHERE };
enum stream_by {
    STREAM_NEVER,
    STREAM_BY_MEMBER,
    STREAM_UNLESS_FALSE, /* by the member as well, true when it is not there */
    STREAM_ALWAYS,
};

struct endpoint {
    struct str route; /* its name in metrics and logs: "openai.chat" */
    struct str path;  /* behind the version: "/chat/completions"; a final '*' stands for more */
    struct str method;
    enum endpoint_kind kind;
    enum family family;
    enum model_in model_in;
    enum stream_by stream;
    bool usage_option;     /* has stream_options.include_usage */
    enum format_id format; /* of calls that can be translated; FORMAT_NONE */
    enum endpoint_work work;
};

struct endpoint_match {
    const struct endpoint *endpoint; /* NULL: nothing here */
    bool wrong_method;               /* the path exists with another method: */
    struct str allow;                /* this one */
    struct str model;   /* MODEL_IN_PATH, or a deployment's name; as it stands, escaped */
    struct str rest;    /* the path behind the version, without the vendor's prefix */
    struct str version; /* "v1" or "v1beta" as it stood, or empty */
};

struct endpoint_match endpoint_find(struct str method, struct str path);

/* Writes the path to use at an upstream of the family whose base URL has path `base`: base, version where
 * the base does not name one, and `rest` with the model in it replaced by `model` for MODEL_IN_PATH. `to`
 * has room for endpoint_path_room() bytes; returns how many were written. */
size_t endpoint_upstream_path(char *to, const struct endpoint_match *m, struct str base,
                              struct str model);
size_t endpoint_path_room(const struct endpoint_match *m, struct str base, struct str model);

/* Whether a base URL's path ends in a version, which it then names for all paths: "/v1", "/v1beta",
 * "/openai/v4". */
bool endpoint_has_version(struct str base);

/* Percent-decodes into `to` (s.n bytes of room); -1 when an escape is malformed, else the length.
 */
ptrdiff_t percent_decode(struct str s, char *to);

#endif
