/* Changes to a tree that come as documents: JSON Patch (RFC 6902) and merge patch (RFC 7396). Pure;
 * the tree that is given is never changed, and what fails changes nothing (RFC 5789, 2). */
#ifndef JSON_PATCH_H
#define JSON_PATCH_H

#include "json/tree.h"

enum {
    JSON_PATCH_OPS_MAX = 1000,
    JSON_PATCH_NODES_MAX = 100000 /* made by `copy`: a few of them can double a document each */
};

struct json_patch_error {
    size_t operation;    /* index in the patch */
    struct str op, path; /* as they stand in it; may be empty */
    struct str message;  /* what is wrong and what would be right */
};

/* 0, or with `*ret_error`:
 *   -EBADMSG    the patch is malformed: no list, an unknown op, a member missing, a bad pointer
 *   -ENOENT     it changes or reads what is not there
 *   -ECANCELED  a `test` failed
 *   -E2BIG      more operations or a larger result than the limits above */
__attribute__((warn_unused_result)) int json_patch(struct arena *a, const struct json *doc,
                                                   const struct json *patch, struct json **ret,
                                                   struct json_patch_error *ret_error);

/* `target` may be NULL (nothing was there). Never fails. */
struct json *json_merge_patch(struct arena *a, const struct json *target, const struct json *patch);

#endif
