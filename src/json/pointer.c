/* JSON Pointer (RFC 6901). */
#include "json/tree.h"

/* Whether an escaped token says `key`: ~0 is a tilde, ~1 a slash, any other tilde an error. */
static bool token_is(struct str token, struct str key)
{
    size_t at = 0;
    for (size_t i = 0; i < token.n; i++) {
        char c = token.p[i];
        if (c == '~') {
            if (++i == token.n || (token.p[i] != '0' && token.p[i] != '1')) {
                return false;
            }
            c = token.p[i] == '0' ? '~' : '/';
        }
        if (at == key.n || key.p[at++] != c) {
            return false;
        }
    }
    return at == key.n;
}

static const struct json *member(const struct json *object, struct str token)
{
    const struct json *m = object->first;
    while (m && !token_is(token, m->key)) {
        m = m->next;
    }
    return m;
}

/* Digits without a leading zero (4); "-", the element behind the last one, never resolves. */
static const struct json *element(const struct json *array, struct str token)
{
    uint64_t index;
    if (str_to_u64(token, &index) < 0 || (token.n > 1 && token.p[0] == '0')) {
        return NULL;
    }
    const struct json *e = array->first;
    while (e && index-- > 0) {
        e = e->next;
    }
    return e;
}

struct json *json_at(const struct json *j, struct str pointer)
{
    while (j && pointer.n > 0) {
        if (pointer.p[0] != '/') {
            return NULL;
        }
        struct str rest = str_from(pointer, 1), token;
        pointer = str_cut(&rest, '/', &token) ? str_make(rest.p - 1, rest.n + 1) : (struct str){0};
        j = j->type == JSON_OBJECT  ? member(j, token)
            : j->type == JSON_ARRAY ? element(j, token)
                                    : NULL;
    }
    return (struct json *)j;
}

void json_pointer_add(struct buf *b, struct str token)
{
    buf_addc(b, '/');
    for (size_t i = 0; i < token.n; i++) {
        if (token.p[i] == '~') {
            buf_add(b, STR("~0"));
        } else if (token.p[i] == '/') {
            buf_add(b, STR("~1"));
        } else {
            buf_addc(b, token.p[i]);
        }
    }
}
