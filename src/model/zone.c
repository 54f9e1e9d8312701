#include "model/zone.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/must.h"
#include "base/arena.h"

/* A table ends somewhere; behind it a rule counts (RFC 8536, 3.3), which is worked out into changes up to this year, so
 * that there is one way to look. */
enum { LAST_YEAR = 2100, FIRST_YEAR = 1970, CHANGES_MAX = 4000, FILE_MAX = 256 * 1024 };
enum { HOUR_S = 3600, DAY_S = 86400 };

struct change {
    int64_t at;
    int32_t offset; /* from UTC, from then on */
};

struct zone {
    size_t n;
    int32_t first; /* the offset before all changes */
    struct change change[];
};

/* ---- the calendar ---- */

/* Days of the proleptic Gregorian calendar, by months that begin in March. */
static int64_t day_of(int64_t year, int64_t month, int64_t day)
{
    year -= month <= 2;
    int64_t era = (year >= 0 ? year : year - 399) / 400, of_era = year - era * 400;
    int64_t of_year = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1;
    return era * 146097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719468;
}

static int64_t month_of(int64_t day)
{
    day += 719468;
    int64_t era = (day >= 0 ? day : day - 146096) / 146097, of_era = day - era * 146097;
    int64_t year = (of_era - of_era / 1460 + of_era / 36524 - of_era / 146096) / 365;
    int64_t of_year = of_era - (365 * year + year / 4 - year / 100);
    int64_t march = (5 * of_year + 2) / 153; /* 0: March */
    int64_t month = march < 10 ? march + 2 : march - 10;
    return (year + era * 400 + (month <= 1) - 1970) * 12 + month;
}

static int32_t offset_at(const struct zone *z, int64_t time_s)
{
    size_t low = 0, high = z ? z->n : 0;
    while (low < high) {
        size_t middle = (low + high) / 2;
        if (z->change[middle].at <= time_s) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low ? z->change[low - 1].offset : z ? z->first : 0;
}

static int64_t floor_days(int64_t s)
{
    return s >= 0 ? s / DAY_S : -((-s + DAY_S - 1) / DAY_S);
}

int64_t zone_day(const struct zone *z, int64_t time_s)
{
    return floor_days(time_s + offset_at(z, time_s));
}

int64_t zone_month(const struct zone *z, int64_t time_s)
{
    return month_of(zone_day(z, time_s));
}

/* The first second whose day is not an earlier one; midnight itself may be skipped. */
int64_t zone_day_begins(const struct zone *z, int64_t day)
{
    int64_t local = day * DAY_S, low = local - DAY_S, high = local + DAY_S;
    int64_t guess = local - offset_at(z, local - offset_at(z, local));
    if (zone_day(z, guess) == day && zone_day(z, guess - 1) == day - 1) {
        return guess;
    }
    while (low < high) {
        int64_t middle = low + (high - low) / 2;
        if (zone_day(z, middle) < day) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

int64_t zone_month_begins(const struct zone *z, int64_t month)
{
    int64_t year = 1970 + (month >= 0 ? month / 12 : -((-month + 11) / 12));
    return zone_day_begins(z, day_of(year, month - (year - 1970) * 12 + 1, 1));
}

/* ---- the rule behind the table: EST5EDT,M3.2.0,M11.1.0 ---- */

struct rule_day {
    char kind; /* 'M', 'J' or 'n' */
    int64_t month, week, day, time_s;
};

static bool read_number(struct str *s, int64_t most, int64_t *ret)
{
    size_t n = 0;
    int64_t v = 0;
    while (n < s->n && n < 4 && s->p[n] >= '0' && s->p[n] <= '9') {
        v = v * 10 + (s->p[n++] - '0');
    }
    *s = str_from(*s, n);
    *ret = v;
    return n > 0 && v <= most;
}

static bool skip(struct str *s, char c)
{
    if (s->n && s->p[0] == c) {
        *s = str_from(*s, 1);
        return true;
    }
    return false;
}

/* [+-]H[H[H]][:MM[:SS]] */
static bool read_time(struct str *s, int64_t *ret)
{
    bool minus = skip(s, '-');
    int64_t h, m = 0, sec = 0;
    if (!minus) {
        skip(s, '+');
    }
    if (!read_number(s, 167, &h) || (skip(s, ':') && !read_number(s, 59, &m)) ||
        (skip(s, ':') && !read_number(s, 59, &sec))) {
        return false;
    }
    *ret = (h * HOUR_S + m * 60 + sec) * (minus ? -1 : 1);
    return true;
}

static bool skip_name(struct str *s)
{
    struct str name;
    if (skip(s, '<')) {
        return str_cut(s, '>', &name);
    }
    size_t n = 0;
    while (n < s->n && ((s->p[n] | 0x20) >= 'a' && (s->p[n] | 0x20) <= 'z')) {
        n++;
    }
    *s = str_from(*s, n);
    return n >= 3;
}

static bool read_day(struct str *s, struct rule_day *ret)
{
    *ret = (struct rule_day){.kind = 'n', .time_s = 2 * HOUR_S};
    bool fine;
    if (skip(s, 'M')) {
        ret->kind = 'M';
        fine = read_number(s, 12, &ret->month) && ret->month >= 1 && skip(s, '.') &&
               read_number(s, 5, &ret->week) && ret->week >= 1 && skip(s, '.') &&
               read_number(s, 6, &ret->day);
    } else {
        ret->kind = skip(s, 'J') ? 'J' : 'n';
        fine = read_number(s, 365, &ret->day);
    }
    return fine && (!skip(s, '/') || read_time(s, &ret->time_s));
}

static bool is_leap(int64_t year)
{
    return year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
}

/* Local midnight and the rule's time, in seconds, as if it were UTC. */
static int64_t rule_time(const struct rule_day *r, int64_t year)
{
    int64_t day;
    if (r->kind != 'M') { /* J counts 1 to 365 and knows no February 29 */
        day = day_of(year, 1, 1) + r->day;
        if (r->kind == 'J') {
            day -= 1 - (is_leap(year) && r->day >= 60);
        }
    } else {
        int64_t first = day_of(year, r->month, 1);
        int64_t next = r->month == 12 ? day_of(year + 1, 1, 1) : day_of(year, r->month + 1, 1);
        int64_t weekday = ((first + 4) % 7 + 7) % 7; /* 1970-01-01 was a Thursday */
        day = first + (r->day - weekday + 7) % 7 + 7 * (r->week - 1);
        day -= day >= next ? 7 : 0;
    }
    return day * DAY_S + r->time_s;
}

static bool add_change(struct zone *z, int64_t at, int64_t offset)
{
    if (z->n && at <= z->change[z->n - 1].at) {
        return true; /* the table has it */
    }
    if (z->n == CHANGES_MAX) {
        return false;
    }
    z->change[z->n++] = (struct change){at, (int32_t)offset};
    return true;
}

static bool read_rule(struct zone *z, struct str s)
{
    int64_t std, dst;
    struct rule_day begins, ends;
    if (s.n == 0) {
        return true;
    }
    if (!skip_name(&s) || !read_time(&s, &std)) {
        return false;
    }
    std = -std; /* POSIX counts westward */
    if (s.n == 0) {
        return z->n > 0 || (z->first = (int32_t)std, true);
    }
    dst = std + HOUR_S;
    if (!skip_name(&s)) {
        return false;
    }
    if (s.n && s.p[0] != ',') {
        if (!read_time(&s, &dst)) {
            return false;
        }
        dst = -dst;
    }
    if (!skip(&s, ',') || !read_day(&s, &begins) || !skip(&s, ',') || !read_day(&s, &ends)) {
        return false;
    }
    for (int64_t year = FIRST_YEAR; year <= LAST_YEAR; year++) {
        int64_t on = rule_time(&begins, year) - std, off = rule_time(&ends, year) - dst;
        bool north = on < off;
        if (!add_change(z, north ? on : off, north ? dst : std) ||
            !add_change(z, north ? off : on, north ? std : dst)) {
            return false;
        }
    }
    return true;
}

/* ---- the table ---- */

static int64_t big_endian(const char *p, unsigned n)
{
    uint64_t v = (unsigned char)p[0] & 0x80 ? UINT64_MAX : 0;
    for (unsigned i = 0; i < n; i++) {
        v = v << 8 | (unsigned char)p[i];
    }
    return (int64_t)v;
}

enum { HEAD = 44 };

/* How many there are of each, in the order of the file's head. */
struct counts {
    size_t isut, isstd, leap, time, type, chars;
};

static bool read_head(struct str s, struct counts *ret)
{
    if (s.n < HEAD || memcmp(s.p, "TZif", 4) != 0) {
        return false;
    }
    size_t all[6];
    for (unsigned i = 0; i < 6; i++) {
        int64_t v = big_endian(s.p + 20 + 4 * i, 4);
        if (v < 0 || v > FILE_MAX) {
            return false;
        }
        all[i] = (size_t)v;
    }
    *ret = (struct counts){all[0], all[1], all[2], all[3], all[4], all[5]};
    return true;
}

static size_t block_size(const struct counts *c, size_t time)
{
    return c->time * (time + 1) + c->type * 6 + c->chars + c->leap * (time + 4) + c->isstd +
           c->isut;
}

static bool read_changes(struct zone *z, struct str s, const struct counts *c)
{
    const char *times = s.p, *types = times + c->time * 8, *offsets = types + c->time;
    if (c->type == 0) {
        return false;
    }
    z->first = (int32_t)big_endian(offsets, 4);
    for (size_t i = 0; i < c->time; i++) {
        size_t type = (unsigned char)types[i];
        if (type >= c->type ||
            !add_change(z, big_endian(times + 8 * i, 8), big_endian(offsets + 6 * type, 4))) {
            return false;
        }
    }
    return true;
}

struct zone *zone_parse(struct str s)
{
    struct counts c;
    struct str rule;
    if (!read_head(s, &c) || s.p[4] < '2') { /* version 1 has 32 bits only, and no rule */
        return NULL;
    }
    s = str_from(s, HEAD + block_size(&c, 4));
    if (!read_head(s, &c) || s.n < HEAD + block_size(&c, 8) + 2) {
        return NULL;
    }
    struct zone *z = mem_zalloc(sizeof *z + CHANGES_MAX * sizeof z->change[0]);
    struct str behind = str_from(s, HEAD + block_size(&c, 8) + 1);
    if (!read_changes(z, str_from(s, HEAD), &c) || !str_cut(&behind, '\n', &rule) ||
        !read_rule(z, rule)) {
        free(z);
        return NULL;
    }
    return mem_realloc(z, sizeof *z + z->n * sizeof z->change[0]);
}

/* ---- the system's ---- */

static bool is_name(struct str name)
{
    if (name.n == 0 || name.n > 60 || name.p[0] == '/' || str_find(name, STR("..")) >= 0) {
        return false;
    }
    for (size_t i = 0; i < name.n; i++) {
        char c = name.p[i], l = (char)(c | 0x20);
        if (!((l >= 'a' && l <= 'z') || (c >= '0' && c <= '9') || (c && strchr("/_-+", c)))) {
            return false;
        }
    }
    return true;
}

static struct zone *read_zone(struct str name)
{
    char path[128], *bytes;
    struct zone *z = NULL;
    snprintf(path, sizeof path, "/usr/share/zoneinfo/%.*s", STR_ARG(name));
    FILE *f = fopen(path, "rbe");
    if (!f) {
        return NULL;
    }
    bytes = mem_zalloc(FILE_MAX);
    z = zone_parse(str_make(bytes, fread(bytes, 1, FILE_MAX, f)));
    fclose(f);
    free(bytes);
    return z;
}

const struct zone *zone_find(struct str name)
{
    static const struct zone utc;
    static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
    static struct kept {
        struct kept *next;
        struct zone *zone;
        char name[64];
    } * all;
    if (str_eq(name, STR("UTC"))) {
        return &utc;
    }
    if (!is_name(name)) {
        return NULL;
    }
    pthread_mutex_lock(&lock);
    struct kept *k = all;
    while (k && !str_eq(name, str_of(k->name))) {
        k = k->next;
    }
    struct zone *z = k ? k->zone : read_zone(name);
    if (!k && z) {
        k = mem_zalloc(sizeof *k);
        *k = (struct kept){.next = all, .zone = z};
        memcpy(k->name, name.p, name.n);
        all = k;
    }
    pthread_mutex_unlock(&lock);
    return z;
}
