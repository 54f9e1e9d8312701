#include "conflict/request_fields.h"

#include <errno.h>

#include "conflict/structured.h"

enum { KEY_MAX = 255 };

static bool is_bare(struct str s)
{
    for (size_t i = 0; i < s.n; i++) {
        if (s.p[i] < 0x21 || s.p[i] > 0x7e || strchr("\",;\\", s.p[i])) {
            return false;
        }
    }
    return true;
}

int idempotency_key(struct arena *a, struct str value, struct str *ret)
{
    struct str key = str_trim(value);
    struct sf_item item;
    if (key.n && key.p[0] == '"') {
        if (sf_read_item(a, &key, 1, &item) < 0 || item.n_parameters) {
            return -EBADMSG;
        }
        key = item.text;
        if (str_chr(key, ' ') >= 0) {
            return -EBADMSG;
        }
    } else if (!is_bare(key)) {
        return -EBADMSG;
    }
    if (key.n == 0 || key.n > KEY_MAX) {
        return -EBADMSG;
    }
    *ret = arena_dup(a, key);
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
