/* Members of JSON objects whose value is masked for their name: "password", "userPassword", "DB_PASSWORD". Names are
 * compared without case, underscores, hyphens, spaces and dots. Long words also count at the end of a name; short ones,
 * which other words end in too, only as the whole of it. */
#include <errno.h>

#include "json/scan.h"
#include "policy/mask_look.h"

enum { NAME_MAX_BYTES = 64 };

/* "*": also at the end of a longer name. */
static const char *const built_in[] = {
    "*password",
    "*passwd",
    "*passphrase",
    "*passwort",
    "*motdepasse",
    "*contrasena",
    "*secret",
    "*secretkey",
    "*apikey",
    "*apisecret",
    "*privatekey",
    "*accesskey",
    "*accesstoken",
    "*refreshtoken",
    "*authtoken",
    "*bearertoken",
    "*idtoken",
    "*sessiontoken",
    "authorization",
    "*credential",
    "*connectionstring",
    "pwd",
    "*clientsecret",
    "ssn",
    "*socialsecuritynumber",
    "sin",
    "*socialinsurancenumber",
    "nas",
    "*cardnumber",
    "*creditcard",
    "cvv",
    "cvc",
    "cvv2",
    "*securitycode",
    "pin",
    "*pincode",
    "iban",
    "*accountnumber",
    "*routingnumber",
    "*passportnumber",
    "*passportno",
    "*driverslicense",
    "*driverlicense",
    "*taxid",
    "*nationalid",
    "*dateofbirth",
    "dob",
    "*birthdate",
    "*mothersmaidenname",
};

static unsigned end_bit(const char *end)
{
    return ((unsigned char)end[-1] * 31U + (unsigned char)end[-2]) & 1023;
}

static bool is_filler(char c)
{
    return c == '_' || c == '-' || c == ' ' || c == '.';
}

/* A name without its fillers, in lower case; 0 when it is too long for any of ours. */
static size_t normalise(struct str s, char *to)
{
    size_t n = 0;
    for (size_t i = 0; i < s.n; i++) {
        if (!is_filler(s.p[i])) {
            if (n == NAME_MAX_BYTES) {
                return 0;
            }
            to[n++] = s.p[i];
        }
    }
    mask_fold(str_make(to, n), to);
    return n;
}

static int add_name(struct mask_policy *p, struct str s, bool at_end)
{
    char name[NAME_MAX_BYTES];
    size_t n = normalise(s, name);
    if (n < 2) {
        return -EINVAL;
    }
    char *kept = arena_alloc(&p->arena, n + 1);
    *kept = at_end ? '*' : '=';
    memcpy(kept + 1, name, n);
    p->names[p->n_names++] = str_make(kept, n + 1);
    unsigned at = end_bit(name + n);
    p->name_ends[at >> 6] |= 1ULL << (at & 63);
    return 0;
}

int mask_names_compile(struct mask_policy *p, const struct mask_options *o, struct buf *errors)
{
    size_t own = sizeof built_in / sizeof *built_in;
    if (p->action[MASK_FIELD] == MASK_OFF) {
        return 0;
    }
    if (o->n_names > MASK_NAMES_MAX) {
        buf_printf(errors, "more than %d names of members\n", MASK_NAMES_MAX);
        return -EINVAL;
    }
    p->names = arena_alloc(&p->arena, (own + o->n_names) * sizeof *p->names);
    for (size_t i = 0; i < own; i++) {
        bool at_end = *built_in[i] == '*';
        must(add_name(p, str_of(built_in[i] + at_end), at_end) == 0);
    }
    for (size_t i = 0; i < o->n_names; i++) {
        if (add_name(p, o->names[i], false) < 0) {
            buf_printf(errors, "name of a member \"%.*s\": not 2 to %d letters and digits\n",
                       STR_ARG(o->names[i]), NAME_MAX_BYTES);
            return -EINVAL;
        }
    }
    return 0;
}

static bool is_listed(const struct mask_policy *p, struct str name)
{
    for (size_t i = 0; i < p->n_names; i++) {
        struct str s = str_from(p->names[i], 1);
        if (*p->names[i].p == '*' ? str_ends(name, s) : str_eq(name, s)) {
            return true;
        }
    }
    return false;
}

/* The last two bytes tell most names apart, as they stand. */
static bool may_be_listed(const struct mask_policy *p, struct str name)
{
    const char *end = name.p + name.n;
    if (is_filler(end[-1]) || is_filler(end[-2]) || (unsigned char)(end[-1] | end[-2]) >= 0x80 ||
        end[-2] == '\\') {
        return true;
    }
    const char low[2] = {(char)lower((unsigned char)end[-2]), (char)lower((unsigned char)end[-1])};
    unsigned at = end_bit(low + 2);
    return p->name_ends[at >> 6] >> (at & 63) & 1;
}

bool mask_name_is_sensitive(const struct mask_policy *p, struct str name)
{
    char plain[6 * NAME_MAX_BYTES + 2], low[NAME_MAX_BYTES];
    bool escaped = memchr(name.p, '\\', name.n) != NULL;
    if (p->n_names == 0 || name.n < 2 || name.n > 6 * NAME_MAX_BYTES ||
        (!escaped && !may_be_listed(p, name))) {
        return false;
    }
    if (escaped) {
        /* the quotes of the name stand around it in its document */
        size_t n = json_unescape(str_make(name.p - 1, name.n + 2), plain);
        name = str_make(plain, n);
    }
    size_t n = normalise(name, low);
    return n >= 2 && is_listed(p, str_make(low, n));
}
