/* Telephone numbers: international ones (ITU-T E.164 and E.123: + or 00, country code, 15 digits at most), national
 * ones in the forms that people write them in (North America's plan; a trunk prefix 0 elsewhere), and any
 * grouping behind a word that says so ("Tel.", "mobile", "Handy"). */
#include "policy/mask_near.h"
#include "policy/mask_shape.h"

/* Country codes with the least and most digits behind them, trunk prefix aside. Others have 7 to 12. */
static const struct country {
    uint16_t code;
    uint8_t min, max;
} countries[] = {
    {7, 10, 10},  {20, 8, 10},  {27, 9, 9},   {30, 10, 10}, {31, 9, 9},   {32, 8, 9},  {33, 9, 9},
    {34, 9, 9},   {36, 8, 9},   {39, 8, 11},  {40, 9, 9},   {41, 9, 9},   {43, 7, 13}, {44, 9, 10},
    {45, 8, 8},   {46, 7, 10},  {47, 8, 8},   {48, 9, 9},   {49, 7, 12},  {51, 8, 9},  {52, 10, 10},
    {54, 10, 11}, {55, 10, 11}, {56, 9, 9},   {57, 10, 10}, {58, 10, 10}, {60, 8, 10}, {61, 9, 9},
    {62, 8, 12},  {63, 9, 10},  {64, 8, 10},  {65, 8, 8},   {66, 8, 9},   {81, 9, 10}, {82, 8, 10},
    {84, 9, 10},  {86, 10, 11}, {90, 10, 10}, {91, 10, 10}, {92, 9, 10},  {212, 9, 9}, {213, 8, 9},
    {216, 8, 8},  {234, 8, 10}, {254, 9, 9},  {351, 9, 9},  {352, 6, 11}, {353, 7, 9}, {354, 7, 7},
    {358, 6, 11}, {359, 8, 9},  {370, 8, 8},  {371, 8, 8},  {372, 7, 8},  {380, 9, 9}, {385, 8, 9},
    {386, 8, 8},  {420, 9, 9},  {421, 9, 9},  {852, 8, 8},  {886, 8, 9},  {966, 9, 9}, {971, 8, 9},
    {972, 8, 9},
};

static struct country country_of(const char *d, unsigned n)
{
    unsigned code = 0;
    for (unsigned len = 1; len <= 3 && len < n; len++) {
        code = code * 10 + (unsigned)(d[len - 1] - '0');
        for (size_t i = 0; i < sizeof countries / sizeof *countries; i++) {
            if (countries[i].code == code) {
                return countries[i];
            }
        }
    }
    return (struct country){(uint16_t)code, 7, 12};
}

static unsigned code_len(unsigned code)
{
    return code < 10 ? 1 : code < 100 ? 2 : 3;
}

/* North America: area and exchange are 2xx to 9xx, and no x11 (the NANPA's rules). */
static bool nanp(const char *d)
{
    return d[0] >= '2' && d[3] >= '2' && !(d[1] == '1' && d[2] == '1') &&
           !(d[4] == '1' && d[5] == '1');
}

/* The end of the last group such that all up to it have at most `max` digits; 0: the first has more. */
static size_t cut_at(const struct shape *h, unsigned max, unsigned *ret_n)
{
    unsigned n = 0;
    size_t end = 0;
    for (unsigned i = 0; i < h->n && n + shape_len(h, i) <= max; i++) {
        n += shape_len(h, i);
        end = h->group[i].end;
    }
    *ret_n = n;
    return end;
}

/* Behind a plus sign, or 00 (`skip` of the digits are these). */
static bool international(const struct shape *h, unsigned skip, size_t *ret_to)
{
    const char *d = h->digits + skip;
    unsigned total = h->total - skip, n;
    if (total < 8 || d[0] == '0') {
        return false;
    }
    if (d[0] == '1') {
        *ret_to = cut_at(h, 11 + skip, &n);
        return n == 11 + skip && nanp(d + 1);
    }
    struct country c = country_of(d, total);
    unsigned code = code_len(c.code);
    if (skip && d[code] == '0') {
        return false; /* 00 67 00 61: bytes */
    }
    /* +44 (0)20: the trunk prefix is written for callers from within */
    unsigned trunk = d[code] == '0' && c.code != 39;
    unsigned max = code + c.max + trunk;
    *ret_to = cut_at(h, skip + (max <= 15 + trunk ? max : 15 + trunk), &n);
    return *ret_to && n >= skip + code + c.min;
}

static bool uniform_from(const struct shape *h, unsigned i)
{
    for (unsigned k = i + 1; k < h->n; k++) {
        if (h->group[k].before != h->group[i].before) {
            return false;
        }
    }
    return true;
}

/* [1] NXX NXX XXXX with one kind of gap, or the area code in parentheses. */
static bool north_american(const struct shape *h, size_t *ret_to)
{
    unsigned i = shape_len(h, 0) == 1 && h->digits[0] == '1';
    if (h->n < 3 + i || shape_len(h, i) != 3 || shape_len(h, i + 1) != 3 ||
        shape_len(h, i + 2) != 4 || !nanp(h->digits + i)) {
        return false;
    }
    char gap = shape_gap(h, i + 1), last = shape_gap(h, i + 2);
    bool fits = gap == last ? gap == '-' || gap == '.' || gap == ' '
                            : gap == ')' && (last == '-' || last == ' ' || last == '.');
    char next = shape_gap(h, i + 3);
    *ret_to = h->group[i + 2].end;
    return fits && next != '-' && next != '.' && (next != ' ' || gap == ')' || gap == '-');
}

/* A trunk prefix 0, then groups: 06 12 34 56 78, 030/1234567, (02) 9876 5432, 020 7946 0958, 0171-1234567. */
static bool trunk_groups(const struct shape *h, size_t *ret_to)
{
    unsigned first = shape_len(h, 0);
    if (h->digits[0] != '0' || h->digits[1] == '0' || h->n < 2 || h->n > 6 || first < 2 ||
        first > 5 || h->total < 9 || h->total > 12 || h->on) {
        return false;
    }
    bool pairs = first == 2;
    for (unsigned i = 1; i < h->n; i++) {
        if (shape_len(h, i) < 2 || shape_len(h, i) > (h->n > 2 ? 4U : 8U)) {
            return false;
        }
        pairs &= shape_len(h, i) == 2;
    }
    if (pairs && h->n != 5) {
        return false; /* bytes */
    }
    char gap = shape_gap(h, 1);
    bool date = gap != ')' && first == 2 && shape_len(h, 1) == 2 && shape_len(h, 2) == 4;
    bool fits =
        uniform_from(h, 1) || ((gap == '/' || gap == '-' || gap == ')') && uniform_from(h, 2));
    bool zip = h->n == 2 && first == 5 && shape_len(h, 1) == 4; /* Boston, MA 02110-1301 */
    *ret_to = h->group[h->n - 1].end;
    return fits && !date && !zip && (gap != '.' || h->n >= 4) && (gap != '/' || first >= 3);
}

/* Mobile numbers that are mostly written in one: France, UK, Germany, Australia, the Netherlands, Japan, Korea. */
static bool mobile_in_one(const struct shape *h)
{
    const char *d = h->digits;
    unsigned n = shape_len(h, 0);
    if (h->n > 1 && shape_gap(h, 1) != ' ') {
        return false;
    }
    if (d[0] != '0') {
        return false;
    }
    if (n == 10) {
        return d[1] == '6' || (d[1] == '7' && d[2] >= '3') || (d[1] == '4' && d[2] <= '9');
    }
    if (n == 11) {
        return (d[1] == '7' && d[2] >= '1') || (d[1] == '1' && d[2] >= '5' && d[2] <= '7') ||
               ((d[1] == '7' || d[1] == '8' || d[1] == '9') && d[2] == '0');
    }
    return n == 12 && d[1] == '1' && d[2] >= '5' && d[2] <= '7';
}

/* Forms of their own: Brazil (11) 91234-5678, Russia 8 (495) 123-45-67, China 138 0013 8000, India 98765 43210. */
static bool of_one_country(const struct shape *h, size_t *ret_to)
{
    static const struct {
        const char *lens, *gaps, *first;
    } forms[] = {
        {"254", ")-", ""},  {"244", ")-", ""},  {"13322", "()--", "8"}, {"13322", " )--", "8"},
        {"344", "  ", "1"}, {"344", "--", "1"}, {"344", "--", "010"},
    };
    for (size_t i = 0; i < sizeof forms / sizeof *forms; i++) {
        unsigned n = (unsigned)strlen(forms[i].lens);
        bool fits =
            h->n == n && !h->on && memcmp(h->digits, forms[i].first, strlen(forms[i].first)) == 0;
        for (unsigned k = 0; fits && k < n; k++) {
            fits = shape_len(h, k) == (unsigned)(forms[i].lens[k] - '0') &&
                   (k == 0 || shape_gap(h, k) == forms[i].gaps[k - 1]);
        }
        if (fits && (forms[i].first[0] != '1' || (h->digits[1] >= '3' && h->total == 11))) {
            *ret_to = h->group[n - 1].end;
            return true;
        }
    }
    return false;
}

bool number_is_called(const struct text *t, size_t i)
{
    return text_near(t, i, 24, NEAR_PHONE);
}

/* Behind such a word: 7 to 13 digits, that are no date, price or time. */
static bool said_to_be(struct look *l, const struct shape *h, size_t *ret_to)
{
    unsigned n;
    size_t end = cut_at(h, 13, &n);
    bool date = h->n >= 3 && (shape_is(h, "422", '*') || shape_is(h, "224", '*'));
    bool decimal = h->n == 2 && shape_gap(h, 1) == '.';
    bool years = h->n == 2 && shape_len(h, 0) == 4 && shape_len(h, 1) == 4 &&
                 shape_gap(h, 1) == '-' && (h->digits[0] == '1' || h->digits[0] == '2');
    if (n < (h->n == 1 ? 9 : 7) || date || decimal || years || !number_is_called(&l->t, h->at) ||
        number_is_labelled(&l->t, h->at)) {
        return false;
    }
    *ret_to = end;
    return true;
}

static bool national(struct look *l, const struct shape *h, size_t *ret_to)
{
    struct text *t = &l->t;
    bool known = h->total >= 9 && (north_american(h, ret_to) || trunk_groups(h, ret_to) ||
                                   of_one_country(h, ret_to));
    if (!known && h->total >= 10 && mobile_in_one(h)) {
        *ret_to = h->group[0].end;
        known = true;
    }
    bool bytes = shape_len(h, 0) == 2 && shape_len(h, 1) == 2 && text_back(t, h->at, 1) == ' ' &&
                 is_digit(text_back(t, h->at, 2)); /* 02 01 04 03 06 05 */
    if (known && !bytes && !number_is_labelled(t, h->at) && !number_is_amount(t, h->at, *ret_to)) {
        return true;
    }
    return said_to_be(l, h, ret_to);
}

bool number_phone(struct look *l, const struct shape *h, size_t *ret_from, size_t *ret_to)
{
    struct text *t = &l->t;
    size_t from = h->at;
    unsigned open = 0;
    for (unsigned i = 1; h->open && i < h->n; i++) {
        open |= h->group[i].before == ')'; /* or the parenthesis is the sentence's */
    }
    bool found, plus = text_back(t, from, 1) == '+';
    if (h->total < 7) {
        return false;
    }
    if (plus) {
        from -= 1;
        int c = text_back(t, from, 1);
        found = !is_alnum(c) && c != '+' && c != ')' && international(h, 0, ret_to);
        from -= open;
    } else if (text_back(t, from, 2) == '+' && text_back(t, from, 1) == '(') {
        from -= 2;
        found = !is_alnum(text_back(t, from, 1)) && international(h, 0, ret_to);
    } else if (number_continues(t, from, "-./+,:")) {
        return false;
    } else {
        found = h->n > 1 && h->total >= 11 && h->digits[0] == '0' && h->digits[1] == '0' &&
                international(h, 2, ret_to);
        found = found || national(l, h, ret_to);
        from -= open;
    }
    if (!found || number_goes_on(t, *ret_to)) {
        return false;
    }
    *ret_from = from;
    return true;
}
