/* International bank account numbers: ISO 13616, in one or in groups, with the length that the country's registry
 * entry has and the check digits of ISO/IEC 7064 (mod 97-10). */
#include "policy/mask_look.h"

static unsigned iban_length(char a, char b)
{
    /* SWIFT's registry: country, length */
    static const char countries[] = "AD24AE23AL28AT20AZ28BA20BE16BG22BH22BI27BR29BY28CH21CR22CY28CZ"
                                    "24DE22DJ27DK18DO28EE20EG29ES24FI18FK18"
                                    "FO18FR27GB22GE22GI23GL18GR27GT28HN28HR21HU28IE22IL23IQ23IS26IT"
                                    "27JO30KW30KZ20LB28LC32LI21LT20LU20LV21"
                                    "LY25MC27MD24ME22MK19MN20MR27MT31MU30NI28NL18NO15OM23PK24PL28PS"
                                    "29PT25QA29RO24RS22RU33SA24SC31SD18SE24"
                                    "SI19SK24SM27SO23ST25SV28TL23TN24TR26UA29VA22VG24XK20YE30";
    for (size_t i = 0; i + 3 < sizeof countries; i += 4) {
        if (countries[i] == a && countries[i + 1] == b) {
            return (unsigned)(countries[i + 2] - '0') * 10 + (unsigned)(countries[i + 3] - '0');
        }
    }
    return 0;
}

static unsigned add(unsigned rest, int c)
{
    return is_digit(c) ? (rest * 10 + (unsigned)(c - '0')) % 97
                       : (rest * 100 + (unsigned)((c & ~0x20) - 'A' + 10)) % 97;
}

bool number_iban(struct look *l, size_t s, size_t *ret_from, size_t *ret_to)
{
    struct text *t = &l->t;
    if (text_back(t, s, 2) < 0 || !is_letter(text_back(t, s, 2)) || !is_digit(text_at(t, s + 1))) {
        return false;
    }
    const char *p = t->p + s;
    char a = (char)(p[-2] & ~0x20), b = (char)(p[-1] & ~0x20);
    unsigned want = iban_length(a, b), have = 4, rest = 0;
    size_t i = s + 2;
    while (want && have < want) {
        int c = text_at(t, i);
        i += c == ' ' || c == '-';
        c = text_at(t, i);
        if (!is_alnum(c)) {
            return false;
        }
        rest = add(rest, c);
        have++;
        i++;
    }
    rest = add(add(add(add(rest, a), b), p[0]), want ? p[1] : '0');
    if (!want || rest != 1 || is_alnum(text_at(t, i))) {
        return false;
    }
    *ret_from = s - 2;
    *ret_to = i;
    return true;
}
