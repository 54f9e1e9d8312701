#include "gateway/snapshot_lifecycle.h"

#include "conflict/http_date.h"
#include "conflict/lifecycle.h"
#include "http/query.h"

/* Escaped: a model's name may hold what no link may (RFC 8288, 3). */
static struct str model_link(struct arena *a, struct str name)
{
    struct buf b = {.arena = a};
    buf_addz(&b, "/v1/models/");
    url_encode(&b, name);
    return buf_str(&b);
}

void compile_lifecycle(struct arena *a, const struct config_model *from, struct snap_model *m)
{
    struct buf b = {.arena = a};
    int64_t deprecated_us = 0, sunset_us = 0;
    if (!from->deprecated_at.n && !from->sunset_at.n) {
        return;
    }
    (void)!time_parse(from->deprecated_at, &deprecated_us); /* 0 when it is not given */
    (void)!time_parse(from->sunset_at, &sunset_us);
    struct lifecycle l = {.deprecated_s = deprecated_us / 1000000,
                          .sunset_s = sunset_us / 1000000,
                          .about = from->notice};
    if (!l.about.n) {
        l.about = model_link(a, from->id);
    }
    l.successor = from->successor.n ? model_link(a, from->successor) : l.successor;
    m->successor = from->successor;
    lifecycle_fields(&b, &l);
    m->lifecycle = buf_str(&b);
    m->deprecated_us = (uint64_t)deprecated_us;
    m->sunset_us = (uint64_t)sunset_us;
}
