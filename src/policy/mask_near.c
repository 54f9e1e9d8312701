/* Words that say, shortly in front of a number, what it is. A word is in lower case and starts where no letter or digit
 * stands in front; "$" at its end: no letter, digit or underscore follows; "!": nothing but signs and spaces does;
 * "*" in front: it may be the end of another word. */
#include "policy/mask_near.h"

enum { REACH_MAX = 48, WORDS_MAX = 96 };

static const char *const lists[NEAR_LISTS] = {
    [NEAR_PHONE] =
        "phone|telephone|tel$|tel.|mobile|cell|fax|call$|call me|dial|whatsapp|sms$|text me|ring "
        "me|signal$|hotline|"
        "téléphone|tél$|portable|appel|joindre "
        "au|telefon|handy|mobil|ruf|durchwahl|erreichbar|móvil|movil|"
        "teléfono|celular|llámame|llame|cellulare|chiama|gsm$|bel$|ligue|telemóvel|"
        "komórk|puh$|puhelin|tlf$|"
        "тел|电话|手机|電話|携帯|휴대|전화|",
    [NEAR_POSTAL] =
        "zip$|zip code|zipcode|zip-code|postal code|postalcode|post code|postcode|code postal|cp!|"
        "postleitzahl|plz$|cap!|codice postale|código postal|codigo postal|cep$|pin "
        "code|pincode|pin!|"
        "postnummer|postnr|postinumero|kod pocztowy|psč|邮编|郵便番号|〒|индекс|",
    [NEAR_STREET] =
        "*str!|*straße!|*strasse!|*weg!|*platz!|*allee!|*gasse!|*ring!|*damm!|*ufer!|rue$|"
        "avenue$|av.|bd$|"
        "boulevard$|place$|chemin$|impasse$|quai$|via$|viale$|piazza$|corso$|largo$|"
        "calle$|avenida$|plaza$|"
        "paseo$|carrer$|rua$|travessa$|ul.|ulica$|al.|*gatan!|*vägen!|*torg!|*straat!|*"
        "laan!|*plein!|*kade!|"
        "*gracht!|*vej!|*gade!|*gata!|*veien!|*katu!|*utca!|",
    [NEAR_SIN] = "sin$|nas$|n.a.s|social insurance|assurance sociale|assurance-sociale|",
    [NEAR_SSN] = "ssn|social security|social-security|soc sec|soc. sec|itin$|taxpayer id|",
    [NEAR_CARD] = "card|carte|karte|kreditkarte|tarjeta|carta|cart|pan$|",
    [NEAR_OTHER] = "order|invoice|ticket|ref|sku|part|item|case|tracking|track|serial|build|"
                   "version|id$|ids$|commande|"
                   "facture|bestell|rechnung|auftrag|pedido|factura|ordine|fattura|isbn|issn|doi|"
                   "ean|gtin|upc|batch|"
                   "lot$|code$|parcel|shipment|sendung|colis|artikel|account|konto|compte|contract|"
                   "contrat|vertrag|"
                   "policy|timestamp|epoch|model|transaction|commit|revision|port$|pid$|bug|issue|"
                   "pr$|isin|siren|siret|"
                   "vat$|range|checksum|crc|size|total|sum$|amount|balance|population|merge|buffer|"
                   "bytes|订单|注文|",
    [NEAR_VERSION] = "version|versión|versione|vers|ver$|v$|release|build|firmware|driver|update|"
                     "upgrade|patch|section|"
                     "chapter|clause|§|rev$|sdk|assembly|package|dotnet|chrome|oid$|版本|",
    [NEAR_HOST] = "ip$|ipv4|server|host|address|adresse|addr|ping|dns|from|client|peer|nameserver|"
                  "gateway|inet|login|"
                  "resolver|router|remote|whois|connect|block|via$|dirección|indirizzo|",
    [NEAR_MONEY] = "eur$|usd$|cad$|gbp$|chf$|",
};

struct near_word {
    const char *p;
    uint8_t n, next; /* the next word with the same first byte, its index + 1 */
    bool whole, last, end;
};

/* Filled by near_compile() before the first policy is there, and read only from then on. */
static struct near_list {
    struct near_word words[WORDS_MAX];
    uint8_t first[256]; /* index + 1 */
    unsigned n;
} compiled[NEAR_LISTS];

static void add_word(struct near_list *l, struct str s)
{
    struct near_word *w = &l->words[l->n++];
    must(l->n < WORDS_MAX);
    w->end = *s.p == '*';
    w->whole = s.p[s.n - 1] == '$';
    w->last = s.p[s.n - 1] == '!';
    w->p = s.p + w->end;
    w->n = (uint8_t)(s.n - w->end - w->whole - w->last);
    uint8_t *first = &l->first[(unsigned char)*w->p];
    w->next = *first;
    *first = (uint8_t)l->n;
}

void near_compile(void)
{
    static bool ready;
    for (unsigned i = 0; i < NEAR_LISTS && !ready; i++) {
        struct str word, rest = str_of(lists[i]);
        while (rest.n) {
            str_cut(&rest, '|', &word);
            add_word(&compiled[i], word);
        }
    }
    ready = true;
}

static bool stands_at(const struct near_word *w, const char *p, size_t n, int in_front)
{
    if (w->n > n || memcmp(p, w->p, w->n) != 0) {
        return false;
    }
    if (!w->end && is_letter((unsigned char)*w->p) && is_alnum(in_front)) {
        return false;
    }
    for (size_t i = w->n; w->last && i < n; i++) {
        if (is_letter((unsigned char)p[i]) || p[i] == '_' || (unsigned char)p[i] >= 0x80) {
            return false;
        }
    }
    return !w->whole || w->n == n || !(is_alnum((unsigned char)p[w->n]) || p[w->n] == '_');
}

bool text_near(const struct text *t, size_t i, size_t reach, enum near_list_id list)
{
    const struct near_list *l = &compiled[list];
    char UNINITIALIZED low[REACH_MAX];
    size_t n = 0, have = i - t->lo;
    have = have < reach ? have : reach;
    have = have < REACH_MAX ? have : REACH_MAX;
    while (n < have && !is_digit((unsigned char)t->p[i - n - 1])) {
        n++;
        low[REACH_MAX - n] = (char)lower((unsigned char)t->p[i - n]);
    }
    const char *p = low + REACH_MAX - n;
    int in_front = text_back(t, i, n + 1);
    for (size_t k = 0; k < n; k++) {
        for (unsigned w = l->first[(unsigned char)p[k]]; w; w = l->words[w - 1].next) {
            if (stands_at(&l->words[w - 1], p + k, n - k, in_front)) {
                return true;
            }
        }
        in_front = (unsigned char)p[k];
    }
    return false;
}
