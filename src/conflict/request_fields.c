#include "conflict/request_fields.h"

#include <errno.h>

enum { KEY_MAX = 255 };

int idempotency_key(struct arena *a, struct str value, struct str *ret)
{
    struct {
        char p[KEY_MAX];
        size_t n;
    } key = {.n = 0};
    struct str s = str_trim(value);
    bool quoted = s.n >= 2 && s.p[0] == '"';
    if (quoted && s.p[s.n - 1] != '"') {
        return -EBADMSG;
    }
    for (size_t i = quoted; i < s.n - quoted; i++) {
        char c = s.p[i];
        if (quoted && c == '\\') {
            if (++i >= s.n - 1 || (s.p[i] != '"' && s.p[i] != '\\')) {
                return -EBADMSG;
            }
            c = s.p[i];
        } else if (c < 0x21 || c > 0x7e || c == '"' || (!quoted && memchr(",;\\", c, 3))) {
            return -EBADMSG;
        }
        if (key.n == KEY_MAX) {
            return -EBADMSG;
        }
        key.p[key.n++] = c;
    }
    if (key.n == 0) {
        return -EBADMSG;
    }
    *ret = arena_dup(a, str_make(key.p, key.n));
    return 0;
}

static struct str unquoted(struct str s)
{
    s = str_trim(s);
    return s.n >= 2 && s.p[0] == '"' && s.p[s.n - 1] == '"' ? str_make(s.p + 1, s.n - 2) : s;
}

static void preference(struct prefer *p, struct str one)
{
    struct str name, value = one;
    (void)str_cut(&value, '=', &name);
    name = str_trim(name);
    value = unquoted(value);
    uint64_t n;
    if (str_ieq(name, STR("conflict"))) {
        p->merge = str_ieq(value, STR("merge"));
    } else if (str_ieq(name, STR("base"))) {
        p->base = value;
    } else if (str_ieq(name, STR("return"))) {
        p->minimal = str_ieq(value, STR("minimal"));
    } else if (str_ieq(name, STR("wait")) && str_to_u64(value, &n) == 0 && n <= 3600) {
        p->wait_s = (int64_t)n;
    }
}

void prefer_line(struct prefer *p, struct str line)
{
    struct str one, part;
    while (line.n) {
        (void)str_cut(&line, ',', &one);
        while (one.n) { /* a preference and its parameters: none of ours has a comma in quotes */
            (void)str_cut(&one, ';', &part);
            preference(p, part);
        }
    }
}
