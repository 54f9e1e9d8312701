/* Postal codes, in the forms of UPU S42 for some twenty countries. Most are a few digits, as much else is: those
 * count only where an address stands around them, behind a state (CA 94105), a country (D-10115), a street's
 * number (Hauptstr. 5, 10115 Berlin), or a word that says so (PLZ, ZIP, code postal). */
#include "policy/mask_near.h"
#include "policy/mask_shape.h"

static bool is_upper(int c)
{
    return c >= 'A' && c <= 'Z';
}

/* A word with a capital letter (a town) stands behind a space or comma. */
static bool town_follows(struct text *t, size_t i)
{
    int c = text_at(t, i);
    i += c == ',' && text_at(t, i + 1) == ' ';
    c = text_at(t, i);
    if (c != ' ' && c != '\n') {
        return false;
    }
    c = text_at(t, i + 1);
    int next = text_at(t, i + 2);
    bool latin = c == 0xC3 && next >= 0x80 && next <= 0x9E;
    return latin || (is_upper(c) && (next >= 0x80 || (is_letter(next) && !is_upper(next)) ||
                                     (is_upper(next) && is_upper(text_at(t, i + 3)))));
}

/* A street stands in front, with its number behind or in front of it, and a comma or a new line: "Hauptstr. 5, ",
 * "12 rue de la Paix, ". */
static bool street_in_front(const struct text *t, size_t i)
{
    size_t k = 1;
    while (text_back(t, i, k) == ' ' && k < 4) {
        k++;
    }
    if (text_back(t, i, k) != ',' && text_back(t, i, k) != '\n') {
        return false;
    }
    if (text_near(t, i, 48, NEAR_STREET)) {
        return true;
    }
    k++;
    k += is_letter(text_back(t, i, k)) && is_digit(text_back(t, i, k + 1)); /* 12b */
    unsigned digits = 0;
    while (digits < 4 && is_digit(text_back(t, i, k))) {
        k++;
        digits++;
    }
    return digits && text_near(t, i - k + 1, 40, NEAR_STREET);
}

/* A line of an address, or a comma, in front: weaker, for forms that are little else. */
static bool line_in_front(const struct text *t, size_t i)
{
    int c = text_back(t, i, 1);
    c = c == ' ' ? text_back(t, i, 2) : c;
    return c == ',' || c == '\n';
}

/* "D-", "CH-" and their like. */
static bool country_in_front(const struct text *t, size_t i)
{
    static const char codes[] =
        " A AT B BE CH CZ D DE DK E ES F FI FIN FL FR GR HR I IT L LT LU LV M NL P PL PT S "
        "SE SI SK ";
    char code[8] = " ";
    size_t n = 1, k = 2;
    if (text_back(t, i, 1) != '-') {
        return false;
    }
    while (n < 4 && is_upper(text_back(t, i, k))) {
        k++;
        n++;
    }
    for (size_t j = 1; j < n; j++) {
        code[j] = (char)text_back(t, i, n + 1 - j);
    }
    code[n] = ' ';
    int c = text_back(t, i, k);
    return n > 1 && !is_alnum(c) && c != '-' && str_find(str_of(codes), str_make(code, n + 1)) >= 0;
}

/* "CA 94105", "Portland, OR  97201". */
static bool state_in_front(const struct text *t, size_t i)
{
    static const char states[] = " AL AK AZ AR CA CO CT DE DC FL GA HI ID IL IN IA KS KY LA ME MD "
                                 "MA MI MN MS MO MT NE NV NH NJ NM NY NC ND "
                                 "OH OK OR PA RI SC SD TN TX UT VT VA WA WV WI WY PR VI GU AS MP ";
    size_t k = 1;
    while (k < 3 && (text_back(t, i, k) == ' ' || text_back(t, i, k) == ',')) {
        k++;
    }
    int a = text_back(t, i, k + 1), b = text_back(t, i, k), c = text_back(t, i, k + 2);
    if (k == 1 || !is_upper(a) || !is_upper(b) || is_alnum(c) || c == '-' || c == '_') {
        return false;
    }
    const char code[4] = {' ', (char)a, (char)b, ' '};
    /* words and abbreviations of other things, too: a town's comma must stand in front */
    bool other = str_find(STR(" ID OR IN OK ME HI PR MS AS PA DE AL CO "), str_make(code, 4)) >= 0;
    if (other && (text_back(t, i, k + 2) != ' ' || text_back(t, i, k + 3) != ',')) {
        return false;
    }
    return str_find(str_of(states), str_make(code, 4)) >= 0;
}

/* The Netherlands: four digits and two letters ("1012 AB Amsterdam"); not SA, SD, SS. */
static bool dutch(struct look *l, const struct shape *h, size_t *ret_to)
{
    struct text *t = &l->t;
    size_t end = h->group[0].end;
    if (shape_len(h, 0) != 4 || h->n > 1 || h->digits[0] == '0') {
        return false;
    }
    end += text_at(t, end) == ' ';
    int a = text_at(t, end), b = text_at(t, end + 1);
    if (!is_upper(a) || !is_upper(b) || (a == 'S' && (b == 'A' || b == 'D' || b == 'S')) ||
        is_alnum(text_at(t, end + 2))) {
        return false;
    }
    end += 2;
    if (!text_near(t, h->at, 24, NEAR_POSTAL) && !country_in_front(t, h->at) &&
        !(line_in_front(t, h->at) && town_follows(t, end))) {
        return false;
    }
    *ret_to = end;
    return true;
}

/* Groups and gap of the codes that are written in two. */
static bool is_pair(const struct shape *h, unsigned a, unsigned b, char gap)
{
    return h->n >= 2 && shape_len(h, 0) == a && shape_len(h, 1) == b && shape_gap(h, 1) == gap;
}

static bool digits_only(struct look *l, const struct shape *h, size_t *ret_to)
{
    struct text *t = &l->t;
    unsigned n = shape_len(h, 0);
    bool said = text_near(t, h->at, 24, NEAR_POSTAL);
    bool us = is_pair(h, 5, 4, '-'), pl = is_pair(h, 2, 3, '-'), pt = is_pair(h, 4, 3, '-');
    bool br = is_pair(h, 5, 3, '-'), jp = is_pair(h, 3, 4, '-');
    bool se = is_pair(h, 3, 2, ' ');
    size_t end = h->group[us || pl || pt || br || jp || se].end;
    if (us || pl || pt || br || jp || se) {
        if (h->n > 2 && shape_gap(h, 2) != ' ') {
            return false;
        }
        bool line = line_in_front(t, h->at) || street_in_front(t, h->at);
        *ret_to = end;
        return said || (us && state_in_front(t, h->at)) || country_in_front(t, h->at) ||
               ((pl || pt) && line && town_follows(t, end)) ||
               (se && street_in_front(t, h->at) && town_follows(t, end));
    }
    if (n < 4 || n > 6 || (h->n > 1 && shape_gap(h, 1) != ' ')) {
        return false;
    }
    *ret_to = end;
    return said || (n == 5 && state_in_front(t, h->at)) || (n < 6 && country_in_front(t, h->at)) ||
           (n < 6 && street_in_front(t, h->at) && town_follows(t, end));
}

bool number_postal(struct look *l, const struct shape *h, size_t *ret_from, size_t *ret_to)
{
    struct text *t = &l->t;
    int c = text_back(t, h->at, 1);
    if (number_continues(t, h->at, "/.:") || c == '+' || c == '$' ||
        (c == '-' && !country_in_front(t, h->at))) {
        return false;
    }
    if (!dutch(l, h, ret_to) && !digits_only(l, h, ret_to)) {
        return false;
    }
    *ret_from = h->at;
    return !number_goes_on(t, *ret_to);
}

/* The areas of the United Kingdom's codes. */
static bool is_area(const char *p, size_t n)
{
    static const char areas[] = " AB AL B BA BB BD BH BL BN BR BS BT CA CB CF CH CM CO CR CT CV CW "
                                "DA DD DE DG DH DL DN DT DY E EC EH EN EX "
                                "FK FY G GL GU GY HA HD HG HP HR HS HU HX IG IM IP IV JE KA KT KW "
                                "KY L LA LD LE LL LN LS LU M ME MK ML N NE "
                                "NG NN NP NR NW OL OX PA PE PH PL PO PR RG RH RM S SA SE SG SK SL "
                                "SM SN SO SP SR SS ST SW SY TA TD TF TN TQ "
                                "TR TS TW UB W WA WC WD WF WN WR WS WV YO ZE ";
    char code[4] = {' ', p[0], n > 1 ? p[1] : ' ', ' '};
    return str_find(str_of(areas), str_make(code, n + 2)) >= 0;
}

/* "SW1A 1AA": area, district, a space, sector and two letters without C I K M O V. */
static bool british(struct text *t, size_t s, size_t letters, size_t *ret_to)
{
    size_t i = s + 1;
    i += is_digit(text_at(t, i)) || is_upper(text_at(t, i));
    if (!is_area(t->p + s - letters, letters) || text_at(t, i) != ' ' ||
        !is_digit(text_at(t, i + 1))) {
        return false;
    }
    int a = text_at(t, i + 2), b = text_at(t, i + 3), c = text_at(t, i + 4);
    bool unit = b == 'B' && (a == 'G' || a == 'T') && i - s + letters <= 2; /* an M2 with 1TB */
    if (!is_upper(a) || !is_upper(b) || strchr("CIKMOV", a) || strchr("CIKMOV", b) || unit ||
        is_alnum(c) || c == '_') {
        return false;
    }
    *ret_to = i + 4;
    return true;
}

static bool province_in_front(const struct text *t, size_t i)
{
    static const char provinces[] = " AB BC MB NB NL NS NT NU ON PE QC SK YT ";
    const char code[4] = {' ', (char)text_back(t, i, 3), (char)text_back(t, i, 2), ' '};
    return text_back(t, i, 1) == ' ' && !is_alnum(text_back(t, i, 4)) &&
           str_find(str_of(provinces), str_make(code, 4)) >= 0;
}

/* Canada: "K1A 0B1"; no D F I O Q U, nor W and Z in front. */
static bool canadian(struct text *t, size_t s, size_t *ret_to)
{
    bool small = t->p[s - 1] >= 'a';
    size_t i = s + 2;
    int first = t->p[s - 1], c = text_at(t, s + 1), gap = text_at(t, i);
    if (!is_letter(c) || (c >= 'a') != small || strchr("DFIOQUWZdfioquwz", first) ||
        strchr("DFIOQUdfioqu", c)) {
        return false;
    }
    i += gap == ' ' || gap == '-';
    c = text_at(t, i + 1);
    if (!is_digit(text_at(t, i)) || !is_letter(c) || (c >= 'a') != small ||
        strchr("DFIOQUdfioqu", c) || !is_digit(text_at(t, i + 2)) || is_alnum(text_at(t, i + 3)) ||
        text_at(t, i + 3) == '-' || text_at(t, i + 3) == '_') {
        return false;
    }
    bool sure = gap == ' ' && !small;
    if (!sure && !text_near(t, s - 1, 24, NEAR_POSTAL) && !province_in_front(t, s - 1)) {
        return false;
    }
    *ret_to = i + 3;
    return true;
}

bool number_postal_letters(struct look *l, size_t s, size_t *ret_from, size_t *ret_to)
{
    struct text *t = &l->t;
    size_t letters = is_letter(text_back(t, s, 2)) ? 2 : 1, from = s - letters;
    int c = text_back(t, from, 1);
    if (c == '-' || c == '#' || c == '/' || c == '.' || c == '=') {
        return false;
    }
    *ret_from = from;
    if (letters == 1 && canadian(t, s, ret_to)) {
        return true;
    }
    return is_upper(t->p[from]) && is_upper(t->p[s - 1]) && british(t, s, letters, ret_to);
}
