#include "conflict/lifecycle.h"

#include "conflict/http_date.h"

static void link_to(struct buf *b, const char **comma, struct str target, const char *relation)
{
    buf_printf(b, "%s<%.*s>; rel=\"%s\"", *comma, STR_ARG(target), relation);
    *comma = ", ";
}

void lifecycle_fields(struct buf *b, const struct lifecycle *l)
{
    const char *comma = "link: ";
    struct arena a = {0};
    if (!l->deprecated_s && !l->sunset_s) {
        return;
    }
    if (l->deprecated_s) {
        buf_printf(b, "deprecation: @%lld\r\n", (long long)l->deprecated_s);
    }
    if (l->sunset_s) {
        buf_printf(b, "sunset: %.*s\r\n", STR_ARG(http_date_print(&a, l->sunset_s)));
    }
    if (l->deprecated_s && l->about.n) {
        link_to(b, &comma, l->about, "deprecation");
    }
    if (l->sunset_s && l->about.n) {
        link_to(b, &comma, l->about, "sunset");
    }
    if (l->successor.n) {
        link_to(b, &comma, l->successor, "successor-version");
    }
    if (*comma == ',') {
        buf_addz(b, "\r\n");
    }
    arena_reset(&a);
}
