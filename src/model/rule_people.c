/* Rules of what people write: names, descriptions, addresses, times. */
#include "model/rule.h"

#include "base/utf8.h"

/* Well-formed UTF-8 without control characters, counted in characters; line breaks if allowed. */
static bool is_prose(struct str s, size_t max, bool lines)
{
    size_t n = 0;
    for (size_t i = 0; i < s.n; n++) {
        size_t len = utf8_len(s.p + i, s.n - i);
        unsigned char c = (unsigned char)s.p[i];
        bool control = c < 0x20 ? !(lines && (c == '\n' || c == '\t')) : c == 0x7f;
        if (!len || control || (c == 0xC2 && (unsigned char)s.p[i + 1] < 0xA0)) {
            return false;
        }
        i += len;
    }
    return n <= max;
}

static bool check_title(struct arena *a, struct str s, struct str *ret)
{
    (void)a;
    *ret = s;
    return s.n > 0 && str_trim(s).n == s.n && is_prose(s, 120, false);
}

const struct rule rule_title = {
    .allowed = "1 to 120 characters on one line, no spaces at its ends",
    .pattern = "^\\S(.{0,118}\\S)?$",
    .example = "Weather",
    .check = check_title,
};

static bool check_description(struct arena *a, struct str s, struct str *ret)
{
    (void)a;
    *ret = s;
    return is_prose(s, 4000, true);
}

const struct rule rule_description = {
    .allowed = "at most 4000 characters",
    .pattern = "^[\\s\\S]{0,4000}$",
    .example = "Forecasts for Canada",
    .check = check_description,
};

static bool is_label(struct str s)
{
    if (s.n < 1 || s.n > 63 || s.p[0] == '-' || s.p[s.n - 1] == '-') {
        return false;
    }
    for (size_t i = 0; i < s.n; i++) {
        char c = s.p[i];
        if (!((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
              c == '-')) {
            return false;
        }
    }
    return true;
}

/* What WHATWG's HTML calls a valid e-mail address (input type=email). */
static bool check_email(struct arena *a, struct str s, struct str *ret)
{
    struct str local, host = s, label;
    (void)a;
    *ret = s;
    if (s.n > 254 || !str_cut(&host, '@', &local) || local.n < 1 || local.n > 64 || host.n == 0) {
        return false;
    }
    for (size_t i = 0; i < local.n; i++) {
        unsigned char c = (unsigned char)local.p[i];
        if (c <= 0x20 || c >= 0x7f || memchr("\"(),:;<>@[\\]", c, 12)) {
            return false;
        }
    }
    while (host.n) {
        bool more = str_cut(&host, '.', &label);
        if (!is_label(label) || (more && host.n == 0)) {
            return false;
        }
    }
    return true;
}

const struct rule rule_email = {
    .allowed = "an e-mail address such as ana@example.com",
    .pattern = "^[^\\s@]+@[A-Za-z0-9.-]+$",
    .format = "email",
    .example = "ana@example.com",
    .check = check_email,
};

static bool digits(struct str s, size_t at, size_t n, int min, int max)
{
    int v = 0;
    for (size_t i = at; i < at + n; i++) {
        if (s.p[i] < '0' || s.p[i] > '9') {
            return false;
        }
        v = v * 10 + (s.p[i] - '0');
    }
    return v >= min && v <= max;
}

/* RFC 3339 in UTC, to the second or with a fraction. */
static bool check_time(struct arena *a, struct str s, struct str *ret)
{
    static const int days[] = {31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    (void)a;
    *ret = s;
    if (s.n < 20 || s.n > 30 || s.p[4] != '-' || s.p[7] != '-' || s.p[10] != 'T' ||
        s.p[13] != ':' || s.p[16] != ':' || s.p[s.n - 1] != 'Z' || !digits(s, 0, 4, 1970, 9999) ||
        !digits(s, 5, 2, 1, 12) || !digits(s, 11, 2, 0, 23) || !digits(s, 14, 2, 0, 59) ||
        !digits(s, 17, 2, 0, 59)) {
        return false;
    }
    int month = (s.p[5] - '0') * 10 + s.p[6] - '0', year = 0;
    for (int i = 0; i < 4; i++) {
        year = year * 10 + s.p[i] - '0';
    }
    bool leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
    int last = month == 2 && !leap ? 28 : days[month - 1];
    if (!digits(s, 8, 2, 1, last)) {
        return false;
    }
    return s.n == 20 || (s.p[19] == '.' && s.n > 21 && digits(s, 20, s.n - 21, 0, 999999999));
}

const struct rule rule_time = {
    .allowed = "a time in UTC such as 2027-01-31T18:00:00Z",
    .pattern = "^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(\\.[0-9]{1,9})?Z$",
    .format = "date-time",
    .example = "2027-01-31T18:00:00Z",
    .check = check_time,
};

static bool check_prefix(struct arena *a, struct str s, struct str *ret)
{
    (void)a;
    *ret = s;
    if (s.n < 2 || s.n > 200 || s.p[0] != '/' || s.p[s.n - 1] == '/' ||
        str_find(s, STR("//")) >= 0 || str_find(s, STR("/.")) >= 0) {
        return false;
    }
    for (size_t i = 0; i < s.n; i++) {
        char c = s.p[i];
        if (!((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
              memchr("/-._~", c, 5))) {
            return false;
        }
    }
    return true;
}

const struct rule rule_prefix = {
    .allowed = "a path such as /weather/v1: letters, digits, '-', '.', '_', '~' between slashes",
    .pattern = "^(/[A-Za-z0-9_~-][A-Za-z0-9._~-]*)+$",
    .example = "/weather/v1",
    .check = check_prefix,
};

static bool check_permission(struct arena *a, struct str s, struct str *ret)
{
    (void)a;
    *ret = s;
    if (s.n < 1 || s.n > 64) {
        return false;
    }
    for (size_t i = 0; i < s.n; i++) {
        if (!((s.p[i] >= 'a' && s.p[i] <= 'z') || memchr("._*-", s.p[i], 4))) {
            return false;
        }
    }
    return true;
}

const struct rule rule_permission = {
    .allowed = "a permission such as application.update, application.* or *",
    .pattern = "^[a-z._*-]{1,64}$",
    .example = "application.read",
    .check = check_permission,
};

static bool check_password(struct arena *a, struct str s, struct str *ret)
{
    (void)a;
    *ret = s;
    return s.n >= 12 && s.n <= 1024 && is_prose(s, 256, false);
}

const struct rule rule_password = {
    .allowed = "12 to 256 characters",
    .pattern = "^.{12,256}$",
    .example = "correct horse battery",
    .check = check_password,
};
