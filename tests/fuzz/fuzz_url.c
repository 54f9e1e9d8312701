/* URLs: what is taken holds nothing that could end a line or a field of the request, names the same host when it is
 * read again, and a redirect keeps to that. The input is a URL, and behind a newline a Location. */
#include "base/must.h"
#include "http/url.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void look_at(struct arena *a, const struct url *u)
{
    struct url again;
    const char *why;
    must(u->host.n && u->authority.n && u->port && u->target.n && u->target.p[0] == '/');
    for (size_t i = 0; i < u->authority.n; i++) {
        must(u->authority.p[i] > ' ' && u->authority.p[i] < 0x7f &&
             !strchr("/?#@\\", u->authority.p[i]));
    }
    for (size_t i = 0; i < u->target.n; i++) {
        must(u->target.p[i] > ' ' && u->target.p[i] < 0x7f && u->target.p[i] != '#');
    }
    struct str text = arena_printf(a, "%s://%.*s%.*s", u->tls ? "https" : "http",
                                   STR_ARG(u->authority), STR_ARG(u->target));
    if (text.n <= URL_MAX) { /* encoded it may be longer */
        must(url_parse(a, text, &again, &why) == 0);
        must(str_eq(again.host, u->host) && again.port == u->port && again.tls == u->tls &&
             str_eq(again.target, u->target));
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct arena a = {0};
    struct str location = arena_dup(&a, str_make((const char *)data, size)), text;
    struct url u;
    const char *why = NULL;
    str_cut(&location, '\n', &text);
    if (url_parse(&a, text, &u, &why) == 0) {
        look_at(&a, &u);
        if (url_follow(&a, &u, location, &u, &why) == 0) {
            look_at(&a, &u);
        }
    } else {
        must(why);
    }
    arena_reset(&a);
    return 0;
}
