#include "http/negotiate.h"

struct str media_type(struct str content_type)
{
    struct str type;
    (void)str_cut(&content_type, ';', &type);
    return str_trim(type);
}

/* Thousandths of `;q=`; 1000 without one, 0 when it cannot be read. */
static unsigned quality(struct str parameters)
{
    struct str one, name;
    while (parameters.n) {
        (void)str_cut(&parameters, ';', &one);
        (void)str_cut(&one, '=', &name);
        if (!str_ieq(str_trim(name), STR("q"))) {
            continue;
        }
        one = str_trim(one);
        unsigned q = 0, unit = 1000;
        for (size_t i = 0; i < one.n && i < 5; i++) {
            if (one.p[i] == '.') {
                continue;
            }
            if (one.p[i] < '0' || one.p[i] > '9') {
                return 0;
            }
            q += (unsigned)(one.p[i] - '0') * unit;
            unit /= 10;
        }
        return q > 1000 ? 1000 : q;
    }
    return 1000;
}

/* How closely a media range names the type: 3 exactly, 2 type/ *, 1 * / *, 0 not. */
static unsigned closeness(struct str range, struct str type)
{
    if (str_eq(range, STR("*/*"))) {
        return 1;
    }
    if (str_ends(range, STR("/*"))) {
        return str_istarts(type, str_first(range, range.n - 1)) ? 2 : 0;
    }
    return str_ieq(range, type) ? 3 : 0;
}

/* The quality that the list gives to one offer: the closest range decides. */
static unsigned quality_of(struct str accept, struct str offer,
                           unsigned (*close)(struct str range, struct str offer))
{
    unsigned best = 0, q = 0;
    struct str one, range;
    while (accept.n) {
        (void)str_cut(&accept, ',', &one);
        (void)str_cut(&one, ';', &range);
        unsigned c = close(str_trim(range), offer);
        if (c > best) {
            best = c;
            q = quality(one);
        }
    }
    return q;
}

static int best_of(struct str accept, const char *const *offers,
                   unsigned (*close)(struct str range, struct str offer))
{
    unsigned best = 0;
    int at = -1;
    for (int i = 0; offers[i]; i++) {
        unsigned q = quality_of(accept, str_of(offers[i]), close);
        if (q > best) {
            best = q;
            at = i;
        }
    }
    return at;
}

int accept_best(struct str accept, const char *const *offers)
{
    return str_trim(accept).n == 0 ? 0 : best_of(accept, offers, closeness);
}

static unsigned language_closeness(struct str range, struct str offer)
{
    if (str_eq(range, STR("*"))) {
        return 1;
    }
    if (range.n > offer.n) {
        return str_istarts(range, offer) && range.p[offer.n] == '-' ? 2 : 0;
    }
    return str_ieq(range, offer) ? 3 : 0;
}

int accept_language(struct str accept, const char *const *offers)
{
    int at = best_of(accept, offers, language_closeness);
    return at < 0 ? 0 : at;
}

struct str cookie_get(struct str field, struct str name)
{
    struct str one, key;
    while (field.n) {
        (void)str_cut(&field, ';', &one);
        one = str_trim(one);
        if (str_cut(&one, '=', &key) && str_eq(key, name)) {
            if (one.n >= 2 && one.p[0] == '"' && one.p[one.n - 1] == '"') {
                one = str_make(one.p + 1, one.n - 2);
            }
            return one.p ? one : STR("");
        }
    }
    return (struct str){0};
}
