/* Addresses of mail: RFC 5321, 4.1.2 without quoted local parts and address literals, and with letters of Latin
 * scripts as RFC 6531 allows them. */
#include "policy/mask_look.h"

enum { LOCAL_MAX = 64 /* RFC 5321, 4.5.3.1.1 */, DOMAIN_MAX = 190, LABEL_MAX = 63 };

/* The length of a letter of U+00C0 to U+024F at i (two bytes), or that ends there. */
static bool latin(int lead, int follow)
{
    return lead >= 0xC3 && lead <= 0xC9 && follow >= 0x80 && follow <= 0xBF;
}

static bool is_local(int c)
{
    return is_alnum(c) || c == '.' || c == '_' || c == '-' || c == '+' || c == '%' || c == '\'';
}

/* Where the run of characters of a local part starts that ends at i; i when there is none, or it is too long. */
static size_t local_start(const struct look *l, size_t i)
{
    const struct text *t = &l->t;
    size_t s = i, least = l->resume[SOURCE_EMAIL];
    while (s > least && i - s <= LOCAL_MAX) {
        int c = text_back(t, s, 1);
        if (is_local(c)) {
            s--;
        } else if (s - 1 > least && latin(text_back(t, s, 2), c)) {
            s -= 2;
        } else {
            break;
        }
    }
    if (i - s > LOCAL_MAX) {
        return i;
    }
    while (s < i && (t->p[s] == '.' || t->p[s] == '\'' || t->p[s] == '-' || t->p[s] == '+')) {
        s++;
    }
    return s;
}

/* Names of files for screens of double density ("icon@2x.png"), and code, look like domains. */
static bool is_file(struct str tld)
{
    static const char files[] =
        " png jpg jpeg gif svg webp ico pdf js mjs jsx ts tsx css scss less json html "
        "htm xml yaml yml toml txt csv exe dll so zip gz tgz tar deb rpm jar java cpp "
        "hpp rb go php log lock conf ini ";
    char word[12];
    if (tld.n > 5) {
        return false;
    }
    word[0] = ' ';
    for (size_t i = 0; i < tld.n; i++) {
        word[i + 1] = (char)lower((unsigned char)tld.p[i]);
    }
    word[tld.n + 1] = ' ';
    return str_find(str_of(files), str_make(word, tld.n + 2)) >= 0;
}

/* The end of the label at i; i when there is none. */
static size_t label_end(struct text *t, size_t i)
{
    size_t from = i, end = i;
    for (;;) {
        int c = text_at(t, i);
        if (is_alnum(c)) {
            end = ++i;
        } else if (latin(c, c >= 0xC3 ? text_at(t, i + 1) : 0)) {
            end = i += 2;
        } else if (c == '-' && i > from) {
            i++;
        } else {
            return end;
        }
        if (i - from > LABEL_MAX) {
            return from;
        }
    }
}

static bool is_top(const struct text *t, size_t from, size_t end)
{
    if (end - from < 2 || end - from > 24) {
        return str_starts(str_make(t->p + from, end - from), STR("xn--"));
    }
    for (size_t i = from; i < end; i++) {
        if (is_digit((unsigned char)t->p[i]) || t->p[i] == '-') {
            return str_starts(str_make(t->p + from, end - from), STR("xn--"));
        }
    }
    return !is_file(str_make(t->p + from, end - from));
}

static size_t domain_end(struct text *t, size_t i)
{
    size_t from = i, good = i;
    for (unsigned labels = 1; i - from < DOMAIN_MAX; labels++) {
        size_t end = label_end(t, i);
        if (end == i) {
            break;
        }
        good = labels > 1 && is_top(t, i, end) ? end : good;
        if (text_at(t, end) != '.') {
            break;
        }
        i = end + 1;
    }
    return good;
}

void find_email(struct look *l, size_t i)
{
    struct text *t = &l->t;
    size_t from = local_start(l, i);
    if (from == i || t->p[i - 1] == '.') {
        return;
    }
    size_t end = domain_end(t, i + 1);
    /* user@host of a version control system, a call in a program */
    bool code = end > i + 1 &&
                (text_at(t, end) == '(' || (i - from == 3 && memcmp(t->p + from, "git", 3) == 0));
    if (end > i + 1 && !code) {
        look_found(l, SOURCE_EMAIL, MASK_EMAIL, MASK_EMAIL, from, end);
    }
    look_starved(l, from);
}

size_t email_tail(const struct look *l)
{
    return local_start(l, l->t.hi);
}
