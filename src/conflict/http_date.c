#include "conflict/http_date.h"

#include <errno.h>

static const char months[] = "JanFebMarAprMayJunJulAugSepOctNovDec";
static const char days[] = "SunMonTueWedThuFriSat";
static const char *const long_days[] = {"Sunday",   "Monday", "Tuesday", "Wednesday",
                                        "Thursday", "Friday", "Saturday"};

struct civil {
    int64_t year;
    unsigned month, day, hour, minute, second; /* month and day from 1 */
};

static bool is_leap(int64_t y)
{
    return (y % 4 == 0 && y % 100 != 0) || y % 400 == 0;
}

static unsigned days_of(int64_t year, unsigned month)
{
    static const unsigned char n[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    return month == 2 && is_leap(year) ? 29 : n[month - 1];
}

/* Days since 1970-01-01; years are counted from March, so that the leap day is the last one. */
static int64_t days_since_epoch(const struct civil *c)
{
    int64_t y = c->year - (c->month <= 2), m = (c->month + 9) % 12;
    return 365 * y + y / 4 - y / 100 + y / 400 + (m * 153 + 2) / 5 + c->day - 1 - 719468;
}

static int seconds_of(const struct civil *c, int64_t *ret)
{
    if (c->year < 0 || c->year > 9999 || c->month < 1 || c->month > 12 || c->day < 1 ||
        c->day > days_of(c->year, c->month) || c->hour > 23 || c->minute > 59 || c->second > 60) {
        return -EBADMSG;
    }
    *ret = days_since_epoch(c) * 86400 + c->hour * 3600 + c->minute * 60 + c->second;
    return 0;
}

static struct civil civil_of(int64_t s)
{
    int64_t z = (s >= 0 ? s : s - 86399) / 86400, left = s - z * 86400;
    z += 719468;
    int64_t era = (z >= 0 ? z : z - 146096) / 146097, of_era = z - era * 146097;
    int64_t year = (of_era - of_era / 1460 + of_era / 36524 - of_era / 146096) / 365;
    int64_t of_year = of_era - (365 * year + year / 4 - year / 100), m = (5 * of_year + 2) / 153;
    return (struct civil){
        .year = year + era * 400 + (m >= 10),
        .month = (unsigned)(m < 10 ? m + 3 : m - 9),
        .day = (unsigned)(of_year - (153 * m + 2) / 5 + 1),
        .hour = (unsigned)(left / 3600),
        .minute = (unsigned)(left / 60 % 60),
        .second = (unsigned)(left % 60),
    };
}

/* ---- reading by a form: letters stand for themselves, or for what is read ----
 * d day, D day with a space for a leading zero, b month's name, Y year, y its two digits, H M S. */

static bool number(struct str *s, size_t n, unsigned *ret)
{
    unsigned v = 0;
    if (s->n < n) {
        return false;
    }
    for (size_t i = 0; i < n; i++) {
        if (s->p[i] < '0' || s->p[i] > '9') {
            return false;
        }
        v = v * 10 + (unsigned)(s->p[i] - '0');
    }
    *s = str_from(*s, n);
    *ret = v;
    return true;
}

static bool month_name(struct str *s, unsigned *ret)
{
    for (unsigned m = 0; m < 12 && s->n >= 3; m++) {
        if (memcmp(s->p, months + 3 * m, 3) == 0) {
            *ret = m + 1;
            *s = str_from(*s, 3);
            return true;
        }
    }
    return false;
}

static bool read_one(char form, struct str *s, struct civil *c)
{
    unsigned year;
    switch (form) {
    case 'd':
        return number(s, 2, &c->day);
    case 'D':
        if (s->n && s->p[0] == ' ') {
            *s = str_from(*s, 1);
            return number(s, 1, &c->day);
        }
        return number(s, 2, &c->day);
    case 'b':
        return month_name(s, &c->month);
    case 'Y':
    case 'y':
        if (!number(s, form == 'Y' ? 4 : 2, &year)) {
            return false;
        }
        c->year = year;
        return true;
    case 'H':
        return number(s, 2, &c->hour);
    case 'M':
        return number(s, 2, &c->minute);
    case 'S':
        return number(s, 2, &c->second);
    default:
        if (!s->n || s->p[0] != form) {
            return false;
        }
        *s = str_from(*s, 1);
        return true;
    }
}

static bool read_form(const char *form, struct str s, struct civil *c)
{
    for (; *form; form++) {
        if (!read_one(*form, &s, c)) {
            return false;
        }
    }
    return s.n == 0;
}

static bool take_day_name(struct str *s, bool whole)
{
    for (unsigned i = 0; i < 7; i++) {
        struct str name = whole ? str_of(long_days[i]) : str_make(days + 3 * i, 3);
        if (str_starts(*s, name)) {
            *s = str_from(*s, name.n);
            return true;
        }
    }
    return false;
}

int http_date_parse(struct str text, int64_t now_s, int64_t *ret_s)
{
    struct civil c = {0};
    struct str s = text;
    if (!str_ends(s, STR(" GMT"))) { /* asctime has no zone */
        return take_day_name(&s, false) && read_form(" b D H:M:S Y", s, &c) ? seconds_of(&c, ret_s)
                                                                            : -EBADMSG;
    }
    s = str_first(s, s.n - 4);
    struct str rest = s;
    if (take_day_name(&rest, false) && read_form(", d b Y H:M:S", rest, &c)) {
        return seconds_of(&c, ret_s);
    }
    rest = s;
    c = (struct civil){0};
    if (!take_day_name(&rest, true) || !read_form(", d-b-y H:M:S", rest, &c)) {
        return -EBADMSG;
    }
    int64_t this_year = civil_of(now_s).year;
    c.year += this_year / 100 * 100;
    c.year -= c.year > this_year + 50 ? 100 : 0;
    return seconds_of(&c, ret_s);
}

struct str http_date_print(struct arena *a, int64_t s)
{
    struct civil c = civil_of(s);
    int64_t days_on = days_since_epoch(&c);
    unsigned weekday = (unsigned)(((days_on + 4) % 7 + 7) % 7); /* 1970-01-01 was a Thursday */
    return arena_printf(a, "%.3s, %02u %.3s %04lld %02u:%02u:%02u GMT", days + 3 * weekday, c.day,
                        months + 3 * (c.month - 1), (long long)c.year, c.hour, c.minute, c.second);
}

struct str time_print(struct arena *a, int64_t us)
{
    int64_t below = us % 1000000 < 0; /* before 1970 the fraction still counts forward */
    struct civil c = civil_of(us / 1000000 - below);
    unsigned fraction = (unsigned)(us % 1000000 + below * 1000000);
    if (fraction == 0) {
        return arena_printf(a, "%04lld-%02u-%02uT%02u:%02u:%02uZ", (long long)c.year, c.month,
                            c.day, c.hour, c.minute, c.second);
    }
    return arena_printf(a, "%04lld-%02u-%02uT%02u:%02u:%02u.%06uZ", (long long)c.year, c.month,
                        c.day, c.hour, c.minute, c.second, fraction);
}

int time_parse(struct str text, int64_t *ret_us)
{
    struct civil c = {0};
    int64_t s, fraction = 0, unit = 100000;
    if (text.n < 20 || text.p[text.n - 1] != 'Z' || !read_form("Y-", str_first(text, 5), &c)) {
        return -EBADMSG;
    }
    struct str at = str_from(text, 5);
    struct str date = str_first(at, 5), clock = str_make(at.p + 5, 9);
    if (!number(&date, 2, &c.month) || !read_form("-d", date, &c) ||
        !read_form("TH:M:S", clock, &c) || seconds_of(&c, &s) < 0) {
        return -EBADMSG;
    }
    struct str rest = str_make(text.p + 19, text.n - 20);
    if (rest.n && (rest.p[0] != '.' || rest.n == 1)) {
        return -EBADMSG;
    }
    for (size_t i = 1; i < rest.n; i++, unit /= 10) {
        if (rest.p[i] < '0' || rest.p[i] > '9') {
            return -EBADMSG;
        }
        fraction += (rest.p[i] - '0') * unit;
    }
    *ret_us = s * 1000000 + fraction;
    return 0;
}
