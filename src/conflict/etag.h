/* Entity tags (RFC 9110, 8.8.3) and the lists of them in If-Match and If-None-Match (13.1). Pure. */
#ifndef CONFLICT_ETAG_H
#define CONFLICT_ETAG_H

#include "base/arena.h"

struct etag {
    bool weak;
    struct str opaque; /* with its quotes: "41-9f2c01aa" */
};

/* One whole tag, nothing around it. -EBADMSG. */
__attribute__((warn_unused_result)) int etag_parse(struct str text, struct etag *ret);

bool etag_strong_eq(struct etag a, struct etag b); /* 8.8.3.2: If-Match */
bool etag_weak_eq(struct etag a, struct etag b);   /* If-None-Match */

/* The lines of an If-Match or If-None-Match field. */
struct etag_list {
    const struct str *lines; /* values, in their order */
    size_t n;
};

enum etag_match {
    ETAG_ABSENT,    /* there is no such field */
    ETAG_MALFORMED, /* `"a", *`, abc, w/"a": whatever it asks for, it is not known: fail closed */
    ETAG_ANY,       /* * */
    ETAG_FOUND,     /* one of them is the tag */
    ETAG_OTHER,     /* none of them is */
};

/* Looks for `tag`: strongly or weakly compared. A list is read to its end, whatever was found. */
enum etag_match etag_match(const struct etag_list *list, struct etag tag, bool strongly);

/* ---- the tags of our resources: "REVISION-HASH8", strong ---- */

struct str etag_make(struct arena *a, int64_t revision, struct str hash8);
/* The revision in a tag of ours; false when it is none. */
bool etag_revision(struct str tag, int64_t *ret_revision, struct str *ret_hash8);

#endif
