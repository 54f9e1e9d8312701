/* Numbers: cards, social insurance and security numbers, and what the others of mask_*.c find in a shape. */
#include "policy/mask_near.h"
#include "policy/mask_shape.h"

/* Separators of more than one byte: U+00A0, U+202F, U+2011, U+2013. */
static size_t wide_gap(struct text *t, size_t i, char *ret)
{
    if (text_is(t, i, STR("\xC2\xA0"))) {
        *ret = ' ';
        return 2;
    }
    if (text_is(t, i, STR("\xE2\x80\xAF"))) {
        *ret = ' ';
        return 3;
    }
    if (text_is(t, i, STR("\xE2\x80\x91")) || text_is(t, i, STR("\xE2\x80\x93"))) {
        *ret = '-';
        return 3;
    }
    return 0;
}

/* The gap at i when a digit follows it, and that digit's place; 0: none. */
static char read_gap(struct text *t, size_t i, bool *open, size_t *ret)
{
    int c = text_at(t, i);
    char gap = (char)c;
    if (c == ')' && *open) {
        c = text_at(t, ++i);
        i += c == ' ' || c == '-';
        *open = false;
    } else if (c == ' ' || c == '-' || c == '.' || c == '/') {
        i++;
        if (text_at(t, i) == '(') {
            *open = true;
            gap = '(';
            i++;
        }
    } else {
        size_t n = c == 0xC2 || c == 0xE2 ? wide_gap(t, i, &gap) : 0;
        if (n == 0) {
            return 0;
        }
        i += n;
    }
    *ret = i;
    return is_digit(text_at(t, i)) ? gap : 0;
}

static void read_shape(struct text *t, size_t s, struct shape *h)
{
    int c = text_back(t, s, 1);
    bool open = c == '(' || (c == '+' && text_back(t, s, 2) == '(');
    size_t i = s;
    char gap = 0;
    h->at = s;
    h->n = h->total = 0;
    h->on = false;
    h->open = open;
    do {
        size_t from = i;
        while (is_digit(text_at(t, i)) && h->total < SHAPE_DIGITS) {
            h->digits[h->total++] = t->p[i++];
        }
        h->group[h->n].at = from;
        h->group[h->n].end = i;
        h->group[h->n++].before = gap;
        if (h->total == SHAPE_DIGITS && is_digit(text_at(t, i))) {
            h->on = true;
            return;
        }
        gap = read_gap(t, i, &open, &i);
    } while (gap && h->n < SHAPE_GROUPS && h->total < SHAPE_DIGITS);
    h->on = gap != 0;
}

bool shape_is(const struct shape *h, const char *lens, char gap)
{
    unsigned n = 0;
    char want = gap == '*' ? shape_gap(h, 1) : gap;
    for (; lens[n]; n++) {
        if (shape_len(h, n) != (unsigned)(lens[n] - '0') || (n && h->group[n].before != want)) {
            return false;
        }
    }
    return h->n == n && !h->on;
}

bool number_goes_on(struct text *t, size_t end)
{
    int c = text_at(t, end);
    if (c == '-' || c == '.' || c == '_') {
        c = text_at(t, end + 1);
        return is_digit(c) || (is_alnum(c) && text_at(t, end) != '.');
    }
    return is_alnum(c) || c == '@';
}

bool number_continues(const struct text *t, size_t i, const char *gaps)
{
    int c = text_back(t, i, 1), before = text_back(t, i, 2);
    if (is_alnum(c) || c == '_' || c == '@') {
        return true;
    }
    return is_alnum(before) && (c == '-' || c == '+' || is_digit(before)) && strchr(gaps, c);
}

static bool any_of(struct text *t, size_t i, const char *words)
{
    for (const char *w = words; *w; w += strlen(w) + 1) {
        size_t k = 0;
        while (w[k] && lower(text_at(t, i + k)) == (unsigned char)w[k]) {
            k++;
        }
        if (!w[k] && !(is_letter(w[0]) && is_letter(text_at(t, i + k)))) {
            return true;
        }
    }
    return false;
}

static const char units[] =
    "%\0$\0\xE2\x82\xAC\0\xC2\xA3\0\xC2\xA5\0eur\0euro\0euros\0usd\0cad\0gbp\0chf\0jpy\0dollars\0"
    "pounds\0ms\0us\0ns\0kb\0mb\0gb\0tb\0kib\0mib\0gib\0bytes\0octets\0km\0kg\0m\0rows\0"
    "tokens\0items\0units\0people\0habitants\0einwohner\0habitantes\0abitanti\0inhabitants\0"
    "million\0millions\0millionen\0seconds\0requests\0users\0lines\0records\0";

bool number_is_amount(struct text *t, size_t i, size_t end)
{
    int b = text_back(t, i, 1);
    size_t space = b == ' ';
    b = text_back(t, i, 1 + space);
    int b2 = text_back(t, i, 2 + space), b3 = text_back(t, i, 3 + space);
    bool money = b == '$' || ((b == 0xA3 || b == 0xA5) && b2 == 0xC2) ||
                 (b == 0xAC && b2 == 0x82 && b3 == 0xE2) || text_near(t, i, 4, NEAR_MONEY);
    int c = text_at(t, end);
    if (money || (c == ',' && is_digit(text_at(t, end + 1)))) {
        return true;
    }
    size_t k = c == ' ' ? 1 : c == 0xC2 && text_at(t, end + 1) == 0xA0 ? 2 : 0;
    return any_of(t, end + k, units);
}

bool number_is_labelled(const struct text *t, size_t i)
{
    int c = text_back(t, i, 1);
    if (c == '#' || c == '=' || c == '`') {
        return true;
    }
    return text_near(t, i, 24, NEAR_OTHER);
}

bool luhn(const char *digits, unsigned n)
{
    unsigned sum = 0;
    for (unsigned i = 0; i < n; i++) {
        unsigned d = (unsigned)(digits[n - 1 - i] - '0');
        d <<= i & 1;
        sum += d > 9 ? d - 9 : d;
    }
    return sum % 10 == 0;
}

static unsigned number_of(const char *digits, unsigned n)
{
    unsigned v = 0;
    for (unsigned i = 0; i < n; i++) {
        v = v * 10 + (unsigned)(digits[i] - '0');
    }
    return v;
}

/* The ranges that networks issue (ISO/IEC 7812-1 issuer numbers), with the lengths that go with them. */
static bool card_issued(const char *d, unsigned n)
{
    static const struct {
        uint16_t low, high; /* of the first four digits */
        uint8_t min, max;
    } ranges[] = {
        {4000, 4999, 13, 19}, {5100, 5599, 16, 16}, {2221, 2720, 16, 16}, {3400, 3499, 15, 15},
        {3700, 3799, 15, 15}, {3000, 3059, 14, 16}, {3600, 3699, 14, 16}, {3800, 3999, 14, 16},
        {6011, 6011, 16, 19}, {6440, 6599, 16, 19}, {3528, 3589, 16, 19}, {6200, 6299, 16, 19},
        {5018, 5018, 16, 19}, {5020, 5020, 16, 19}, {5038, 5038, 16, 19}, {6304, 6304, 16, 19},
        {6759, 6763, 16, 19}, {2200, 2204, 16, 19},
    };
    unsigned first = number_of(d, 4);
    for (size_t i = 0; i < sizeof ranges / sizeof *ranges; i++) {
        if (first >= ranges[i].low && first <= ranges[i].high) {
            bool visa = first / 1000 == 4;
            return n >= ranges[i].min && n <= ranges[i].max && !(visa && n % 3 != 1);
        }
    }
    return false;
}

/* The groups, from the first on, that a card is written in: all digits in one, fours, or 4-6-5 and 4-6-4. */
static unsigned card_groups(const struct shape *h)
{
    unsigned first = shape_len(h, 0), second = shape_len(h, 1), third = shape_len(h, 2);
    if (first >= 13) {
        return 1;
    }
    char gap = shape_gap(h, 1);
    if (first != 4 || (gap != ' ' && gap != '-') || shape_gap(h, 2) != gap) {
        return 0;
    }
    if (second == 6 && (third == 5 || third == 4)) {
        return 3;
    }
    if (second != 4 || third != 4 || shape_gap(h, 3) != gap || shape_len(h, 3) > 4) {
        return 0;
    }
    bool fifth = shape_len(h, 3) == 4 && shape_len(h, 4) == 3 && shape_gap(h, 4) == gap;
    return shape_len(h, 3) == 4 ? (fifth ? 5 : 4) : 0;
}

/* A payment card: ISO/IEC 7812, Luhn's check digit (annex B), an issuer that exists. */
static bool number_card(struct look *l, const struct shape *h, size_t *ret_to)
{
    unsigned groups = card_groups(h), n = 0;
    for (unsigned i = 0; i < groups; i++) {
        n += shape_len(h, i);
    }
    while (groups && (!card_issued(h->digits, n) || !luhn(h->digits, n))) {
        /* 19 digits in fives groups are also a card of 16 and a number */
        if (groups != 5) {
            return false;
        }
        n -= shape_len(h, --groups);
    }
    if (n == 0 || n > SHAPE_DIGITS) {
        return false;
    }
    size_t end = h->group[groups - 1].end;
    if (number_continues(&l->t, h->at, "-./") || number_goes_on(&l->t, end)) {
        return false;
    }
    if (groups == 1 && (n == 14 || n > 16) && !text_near(&l->t, h->at, 40, NEAR_CARD)) {
        return false; /* so long, they are mostly identifiers; one in ten passes Luhn */
    }
    *ret_to = end;
    return true;
}

/* A social insurance number of Canada: nine digits, Luhn's check digit; none starts with 0 or 8. */
static bool number_sin(struct look *l, const struct shape *h, size_t *ret_to)
{
    bool plain = shape_len(h, 0) == 9 && (h->n == 1 || shape_gap(h, 1) != '-');
    bool grouped = !plain && (shape_is(h, "333", ' ') || shape_is(h, "333", '-'));
    if ((!plain && !grouped) || h->digits[0] == '0' || h->digits[0] == '8' || !luhn(h->digits, 9) ||
        number_continues(&l->t, h->at, grouped ? "-./ +," : "-./+,")) {
        return false;
    }
    size_t end = h->group[plain ? 0 : 2].end;
    if (number_goes_on(&l->t, end)) {
        return false;
    }
    if (!text_near(&l->t, h->at, 40, NEAR_SIN)) {
        if (plain || number_is_labelled(&l->t, h->at) || number_is_amount(&l->t, h->at, end) ||
            text_near(&l->t, h->at, 24, NEAR_SSN) || number_is_called(&l->t, h->at)) {
            return false;
        }
    }
    *ret_to = end;
    return true;
}

/* A social security number of the USA as the SSA assigns them: no area 000, 666 or 9xx, no group 00, no serial
 * 0000; or an ITIN (area 9xx, group 50 to 65, 70 to 88, 90 to 92, 94 to 99). */
static bool number_ssn(struct look *l, const struct shape *h, size_t *ret_to)
{
    bool dashes = shape_is(h, "324", '-'), spaces = shape_is(h, "324", ' ');
    bool plain = shape_len(h, 0) == 9 && (h->n == 1 || shape_gap(h, 1) != '-');
    if (!dashes && !spaces && !plain) {
        return false;
    }
    unsigned area = number_of(h->digits, 3), group = number_of(h->digits + 3, 2);
    bool itin = area >= 900 && group >= 50 && group != 66 && group != 67 && group != 68 &&
                group != 69 && group != 89 && group != 93;
    if (area == 0 || area == 666 || (area >= 900 && !itin) || group == 0 ||
        number_of(h->digits + 5, 4) == 0 || number_continues(&l->t, h->at, "-./+")) {
        return false;
    }
    size_t end = h->group[plain ? 0 : 2].end;
    if (number_goes_on(&l->t, end)) {
        return false;
    }
    if (!text_near(&l->t, h->at, 40, NEAR_SSN)) {
        if (!dashes || number_is_labelled(&l->t, h->at)) {
            return false;
        }
    }
    *ret_to = end;
    return true;
}

static bool try_shape(struct look *l, const struct shape *h)
{
    size_t from = h->at, to;
    enum mask_kind kind;
    if (look_wants(l, MASK_IP) && number_ip4(l, h, &to)) {
        kind = MASK_IP;
    } else if (look_wants(l, MASK_CARD) && number_card(l, h, &to)) {
        kind = MASK_CARD;
    } else if (look_wants(l, MASK_SSN) && number_ssn(l, h, &to)) {
        kind = MASK_SSN;
    } else if (look_wants(l, MASK_SIN) && number_sin(l, h, &to)) {
        kind = MASK_SIN;
    } else if (look_wants(l, MASK_PHONE) && number_phone(l, h, &from, &to)) {
        kind = MASK_PHONE;
    } else if (look_wants(l, MASK_POSTAL) && number_postal(l, h, &from, &to)) {
        kind = MASK_POSTAL;
    } else {
        return false;
    }
    look_found(l, SOURCE_NUMBER, kind, kind, from, to);
    return true;
}

/* Up to two letters stand in front: an IBAN or a postal code may, nothing else. */
static void try_letters(struct look *l, size_t s)
{
    size_t from, to;
    if (look_wants(l, MASK_IBAN) && number_iban(l, s, &from, &to)) {
        look_found(l, SOURCE_NUMBER, MASK_IBAN, MASK_IBAN, from, to);
    } else if (look_wants(l, MASK_POSTAL) && number_postal_letters(l, s, &from, &to)) {
        look_found(l, SOURCE_NUMBER, MASK_POSTAL, MASK_POSTAL, from, to);
    }
}

void find_number(struct look *l, size_t s)
{
    struct text *t = &l->t;
    int c = text_back(t, s, 1);
    if (is_letter(c)) {
        size_t letters = is_letter(text_back(t, s, 2)) ? 2 : 1;
        c = text_back(t, s, letters + 1);
        if (is_alnum(c) || c == '_' || s - letters < l->resume[SOURCE_NUMBER]) {
            return;
        }
        try_letters(l, s);
        look_starved(l, s - letters);
        return;
    }
    struct shape UNINITIALIZED h;
    read_shape(t, s, &h);
    if (h.total >= 4) {
        try_shape(l, &h);
    }
    size_t back = c == '+' || c == '(' ? 1 : 0;
    back += back && (text_back(t, s, 2) == '+' || text_back(t, s, 2) == '(') ? 1 : 0;
    look_starved(l, s - back);
}
