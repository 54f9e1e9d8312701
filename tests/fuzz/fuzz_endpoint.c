/* Paths: whatever stands in them, the answer's slices lie inside, the upstream's path is made of them, and
 * escapes are decoded or refused. The first byte chooses the method. */
#include <stdlib.h>

#include "base/must.h"
#include "dialect/endpoint.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_inside(struct str part, struct str whole)
{
    must(part.n == 0 || (part.p >= whole.p && part.p + part.n <= whole.p + whole.n));
}

static void check_upstream(const struct endpoint_match *m)
{
    static const struct str bases[] = {{"", 0}, {"/v1", 3}, {"/x/v1beta", 9}, {"/openai", 7}};
    for (size_t i = 0; i < sizeof bases / sizeof *bases; i++) {
        size_t room = endpoint_path_room(m, bases[i], m->model);
        char *to = malloc(room);
        must(to);
        struct str path = str_make(to, endpoint_upstream_path(to, m, bases[i], m->model));
        must(path.n <= room);
        must(str_starts(path, bases[i]) && path.n > bases[i].n && path.p[bases[i].n] == '/');
        must(m->endpoint->model_in == MODEL_IN_PATH ? str_ends(path, m->endpoint->path)
                                                    : str_ends(path, m->rest));
        free(to);
    }
}

static int digit(char c)
{
    const char *digits = "0123456789abcdefABCDEF", *at = c ? strchr(digits, c) : NULL;
    return !at ? -1 : (int)(at - digits) < 16 ? (int)(at - digits) : (int)(at - digits) - 6;
}

static void check_decode(struct str s)
{
    char *own = malloc(s.n ? s.n : 1), *to = malloc(s.n ? s.n : 1);
    must(own && to);
    memcpy(own, s.p, s.n);
    ptrdiff_t n = percent_decode(str_make(own, s.n), to);
    size_t at = 0, want = 0;
    bool good = true;
    for (; at < s.n && good; at++, want++) {
        int c = (unsigned char)s.p[at];
        if (c == '%') {
            good = at + 2 < s.n && digit(s.p[at + 1]) >= 0 && digit(s.p[at + 2]) >= 0;
            c = good ? digit(s.p[at + 1]) * 16 + digit(s.p[at + 2]) : 0;
            at += 2;
        }
        must(!good || n < 0 || (unsigned char)to[want] == c);
    }
    must(good ? n == (ptrdiff_t)want : n == -1);
    free(own);
    free(to);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct str methods[] = {
        {"POST", 4}, {"GET", 3}, {"DELETE", 6}, {"HEAD", 4}, {"", 0}};
    if (size == 0) {
        return 0;
    }
    struct str method = methods[data[0] % 5];
    char *own = malloc(size); /* one byte more than the path: none is allocated for an empty one */
    must(own);
    memcpy(own, data + 1, size - 1);
    struct str path = str_make(own, size - 1);
    struct endpoint_match m = endpoint_find(method, path);
    check_inside(m.model, path);
    check_inside(m.rest, path);
    must(!m.endpoint || !m.wrong_method);
    must(!m.endpoint || m.endpoint->route.n > 0);
    if (m.endpoint && m.endpoint->kind == ENDPOINT_CALL) {
        must(str_eq(method, m.endpoint->method) && str_starts(m.rest, STR("/")));
        must(m.endpoint->model_in != MODEL_IN_PATH || m.model.n > 0);
        check_upstream(&m);
    }
    must(!m.wrong_method || endpoint_find(m.allow, path).endpoint);
    check_decode(path);
    free(own);
    return 0;
}
