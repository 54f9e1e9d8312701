#include "conflict/etag.h"

#include <errno.h>

/* etagc = %x21 / %x23-7E / obs-text */
static bool is_etagc(unsigned char c)
{
    return c == 0x21 || (c >= 0x23 && c != 0x7f);
}

/* Takes a tag off the front of `s`. */
static int take(struct str *s, struct etag *ret)
{
    struct etag t = {.weak = str_starts(*s, STR("W/"))};
    struct str rest = str_from(*s, t.weak ? 2 : 0);
    size_t n = 1;
    if (rest.n < 2 || rest.p[0] != '"') {
        return -EBADMSG;
    }
    while (n < rest.n && is_etagc((unsigned char)rest.p[n])) {
        n++;
    }
    if (n == rest.n || rest.p[n] != '"') {
        return -EBADMSG;
    }
    t.opaque = str_first(rest, n + 1);
    *s = str_from(rest, n + 1);
    *ret = t;
    return 0;
}

int etag_parse(struct str text, struct etag *ret)
{
    struct etag t;
    if (take(&text, &t) < 0 || text.n) {
        return -EBADMSG;
    }
    *ret = t;
    return 0;
}

bool etag_strong_eq(struct etag a, struct etag b)
{
    return !a.weak && !b.weak && str_eq(a.opaque, b.opaque);
}

bool etag_weak_eq(struct etag a, struct etag b)
{
    return str_eq(a.opaque, b.opaque);
}

/* One line of the list (RFC 9110, 5.6.1): empty elements are allowed. */
static enum etag_match match_line(struct str line, struct etag tag, bool strongly, size_t *tags)
{
    enum etag_match found = ETAG_OTHER;
    line = str_trim(line);
    while (line.n) {
        struct etag t;
        if (line.p[0] == ',') {
            line = str_trim(str_from(line, 1));
            continue;
        }
        if (take(&line, &t) < 0) {
            return ETAG_MALFORMED;
        }
        line = str_trim(line);
        if (line.n && line.p[0] != ',') {
            return ETAG_MALFORMED;
        }
        ++*tags;
        if (strongly ? etag_strong_eq(t, tag) : etag_weak_eq(t, tag)) {
            found = ETAG_FOUND;
        }
    }
    return found;
}

enum etag_match etag_match(const struct etag_list *list, struct etag tag, bool strongly)
{
    enum etag_match found = ETAG_OTHER;
    size_t tags = 0;
    if (list->n == 0) {
        return ETAG_ABSENT;
    }
    if (list->n == 1 && str_eq(str_trim(list->lines[0]), STR("*"))) {
        return ETAG_ANY;
    }
    for (size_t i = 0; i < list->n; i++) {
        enum etag_match m = match_line(list->lines[i], tag, strongly, &tags);
        if (m == ETAG_MALFORMED) {
            return m;
        }
        found = m == ETAG_FOUND ? m : found;
    }
    return tags ? found : ETAG_MALFORMED;
}

struct str etag_make(struct arena *a, int64_t revision, struct str hash8)
{
    return arena_printf(a, "\"%lld-%.*s\"", (long long)revision, STR_ARG(hash8));
}

bool etag_revision(struct str tag, int64_t *ret_revision, struct str *ret_hash8)
{
    struct etag t;
    uint64_t n;
    if (etag_parse(tag, &t) < 0 || t.weak) {
        return false;
    }
    struct str hash = str_make(t.opaque.p + 1, t.opaque.n - 2), revision;
    if (!str_cut(&hash, '-', &revision) || str_to_u64(revision, &n) < 0 || n > INT64_MAX ||
        hash.n != 8) {
        return false;
    }
    *ret_revision = (int64_t)n;
    *ret_hash8 = hash;
    return true;
}
