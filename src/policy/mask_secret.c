/* Secrets: keys of providers, clouds and services, told by the prefixes that their issuers document, and by the
 * length and alphabet of what follows; private key blocks (RFC 7468, RFC 1421, OpenPGP's armour RFC 9580, 6.2);
 * JSON Web Tokens (RFC 7519). Vectorscan finds the prefixes. */
#include "policy/mask_look.h"

enum alphabet { ALNUM, WORD /* base64url */, WORD_DOT, BASE64, HEX, PATH, UPPER };
enum { SECRET_PREFIX_MAX = 24 };
enum form { RUN, ASSIGNED /* behind = or :, the value only */, TOKEN, BLOCK };

static const struct row_of_secret {
    struct str prefix;
    uint8_t alphabet, form;
    uint16_t min, max; /* characters behind the prefix */
} rows[] = {
    {{"sk-", 3}, ALNUM, RUN, 32, 64}, /* OpenAI, of old; DeepSeek and others */
    {{"sk-proj-", 8}, WORD, RUN, 40, 256},
    {{"sk-svcacct-", 11}, WORD, RUN, 40, 256},
    {{"sk-admin-", 9}, WORD, RUN, 40, 256},
    {{"sk-ant-", 7}, WORD, RUN, 40, 256},
    {{"sk-or-v1-", 9}, HEX, RUN, 64, 64},
    {{"sk-accord-", 10}, WORD, RUN, 40, 64}, /* our own: auth/key.h */
    {{"at-accord-", 10}, WORD, RUN, 40, 64},
    {{"se-accord-", 10}, WORD, RUN, 40, 64},
    {{"ln-accord-", 10}, WORD, RUN, 40, 64},
    {{"AIza", 4}, WORD, RUN, 35, 35},
    {{"GOCSPX-", 7}, WORD, RUN, 28, 28},
    {{"ya29.", 5}, WORD, RUN, 30, 512},
    {{"AKIA", 4}, UPPER, RUN, 16, 16},
    {{"ASIA", 4}, UPPER, RUN, 16, 16},
    {{"ABIA", 4}, UPPER, RUN, 16, 16},
    {{"ABSK", 4}, BASE64, RUN, 100, 256}, /* Bedrock */
    {{"secret_access_key", 17}, BASE64, ASSIGNED, 40, 40},
    {{"SECRET_ACCESS_KEY", 17}, BASE64, ASSIGNED, 40, 40},
    {{"SecretAccessKey", 15}, BASE64, ASSIGNED, 40, 40},
    {{"secretAccessKey", 15}, BASE64, ASSIGNED, 40, 40},
    {{"AccountKey", 10}, BASE64, ASSIGNED, 88, 88},
    {{"ghp_", 4}, ALNUM, RUN, 36, 255},
    {{"gho_", 4}, ALNUM, RUN, 36, 255},
    {{"ghu_", 4}, ALNUM, RUN, 36, 255},
    {{"ghs_", 4}, ALNUM, RUN, 36, 255},
    {{"ghr_", 4}, ALNUM, RUN, 36, 255},
    {{"github_pat_", 11}, WORD, RUN, 60, 255},
    {{"glpat-", 6}, WORD_DOT, RUN, 20, 80},
    {{"xoxb-", 5}, WORD, RUN, 20, 255},
    {{"xoxa-", 5}, WORD, RUN, 20, 255},
    {{"xoxp-", 5}, WORD, RUN, 20, 255},
    {{"xoxr-", 5}, WORD, RUN, 20, 255},
    {{"xoxs-", 5}, WORD, RUN, 20, 255},
    {{"xoxe.", 5}, WORD_DOT, RUN, 20, 255},
    {{"xapp-", 5}, WORD, RUN, 20, 255},
    {{"hooks.slack.com/services/", 25}, PATH, RUN, 30, 90},
    {{"sk_live_", 8}, ALNUM, RUN, 16, 255},
    {{"sk_test_", 8}, ALNUM, RUN, 16, 255},
    {{"rk_live_", 8}, ALNUM, RUN, 16, 255},
    {{"rk_test_", 8}, ALNUM, RUN, 16, 255},
    {{"whsec_", 6}, BASE64, RUN, 24, 128},
    {{"hf_", 3}, ALNUM, RUN, 30, 60},
    {{"gsk_", 4}, ALNUM, RUN, 40, 80},
    {{"xai-", 4}, ALNUM, RUN, 60, 120},
    {{"pplx-", 5}, ALNUM, RUN, 40, 80},
    {{"nvapi-", 6}, WORD, RUN, 50, 100},
    {{"r8_", 3}, ALNUM, RUN, 37, 40},
    {{"npm_", 4}, ALNUM, RUN, 36, 36},
    {{"pypi-", 5}, WORD, RUN, 80, 512},
    {{"dckr_pat_", 9}, WORD, RUN, 27, 64},
    {{"dop_v1_", 7}, HEX, RUN, 64, 64},
    {{"hvs.", 4}, WORD, RUN, 24, 255},
    {{"glsa_", 5}, WORD, RUN, 40, 64},
    {{"shpat_", 6}, HEX, RUN, 32, 32},
    {{"SG.", 3}, WORD_DOT, RUN, 60, 80},
    {{"AGE-SECRET-KEY-1", 16}, UPPER, RUN, 58, 58},
    {{"eyJ", 3}, WORD, TOKEN, 0, 0},
    {{"-----BEGIN ", 11}, BASE64, BLOCK, 0, 0},
};

size_t secret_rows(void)
{
    return sizeof rows / sizeof *rows;
}

struct str secret_prefix(size_t i)
{
    return rows[i].prefix;
}

static bool in(enum alphabet a, int c)
{
    switch (a) {
    case ALNUM:
        return is_alnum(c);
    case WORD:
        return is_alnum(c) || c == '_' || c == '-';
    case WORD_DOT:
        return is_alnum(c) || c == '_' || c == '-' || c == '.';
    case BASE64:
        return is_alnum(c) || c == '+' || c == '/' || c == '=';
    case HEX:
        return is_hex(c);
    case PATH:
        return is_alnum(c) || c == '/';
    case UPPER:
        return (c >= 'A' && c <= 'Z') || is_digit(c);
    }
    return false;
}

static size_t run_end(struct text *t, size_t i, enum alphabet a, size_t max)
{
    size_t from = i;
    while (i - from <= max && in(a, text_at(t, i))) {
        i++;
    }
    return i;
}

/* "sk-proj-xxxxxxxx" and "your-key-here" are no secrets. */
static bool looks_random(const char *p, size_t n)
{
    uint64_t seen[4] = {0};
    unsigned different = 0, digits = 0;
    for (size_t i = 0; i < n; i++) {
        unsigned char c = (unsigned char)p[i];
        uint64_t bit = 1ULL << (c & 63);
        different += !(seen[c >> 6] & bit);
        seen[c >> 6] |= bit;
        digits += is_digit(c);
    }
    return different >= 8 && (digits || n >= 30);
}

static void find_run(struct look *l, const struct row_of_secret *r, size_t from, size_t i)
{
    struct text *t = &l->t;
    if (r->form == ASSIGNED) {
        size_t gap = i;
        while (i - gap < 8 && text_at(t, i) >= 0 && strchr(" \t=:\"'>", text_at(t, i))) {
            i++;
        }
        from = i;
        if (i == gap) {
            return;
        }
    }
    size_t end = run_end(t, i, r->alphabet, r->max);
    if (r->alphabet == WORD_DOT && end > i && t->p[end - 1] == '.') {
        end--; /* of the sentence */
    }
    if (end - i >= r->min && end - i <= r->max && looks_random(t->p + i, end - i) &&
        !is_alnum(text_at(t, end))) {
        look_found(l, SOURCE_SECRET, MASK_SECRET, MASK_SECRET, from, end);
    }
}

/* Header and payload are JSON objects ("eyJ" is {" in base64); a signature, or the three more parts of JWE. */
static void find_jwt(struct look *l, size_t from, size_t i)
{
    struct text *t = &l->t;
    size_t end = run_end(t, i, WORD, MASK_LONG_MAX / 4);
    if (end - i < 8 || text_at(t, end) != '.') {
        return;
    }
    size_t second = end + 1;
    end = run_end(t, second, WORD, MASK_LONG_MAX / 2);
    if (end - second < 8 || text_at(t, end) != '.') {
        return;
    }
    bool object = text_at(t, second) == 'e' && text_at(t, second + 1) == 'y';
    size_t parts = 2;
    for (; parts < 5 && text_at(t, end) == '.' && in(WORD, text_at(t, end + 1)); parts++) {
        size_t at = end + 1;
        end = run_end(t, at, WORD, MASK_LONG_MAX / 8);
    }
    if (object || parts == 5) {
        look_found(l, SOURCE_SECRET, MASK_SECRET, MASK_SECRET, from, end);
    }
}

/* White space, also as the two characters \n that environment files have. */
static size_t skip_blank(struct text *t, size_t i, size_t limit)
{
    while (i < limit) {
        int c = text_at(t, i);
        if (c == '\\' && (text_at(t, i + 1) == 'n' || text_at(t, i + 1) == 'r')) {
            i += 2;
        } else if (c == '\n' || c == '\r' || c == ' ' || c == '\t') {
            i++;
        } else {
            break;
        }
    }
    return i;
}

/* "-----BEGIN RSA PRIVATE KEY-----": behind it; 0: another block. */
static size_t block_begins(struct text *t, size_t i)
{
    size_t from = i;
    while (i - from < 40 && (in(UPPER, text_at(t, i)) || text_at(t, i) == ' ')) {
        i++;
    }
    bool private = str_find(str_make(t->p + from, i - from), STR("PRIVATE KEY")) >= 0;
    return private && text_is(t, i, STR("-----")) ? i + 5 : 0;
}

/* To the end line, or, without one, as far as it looks like a key. */
static void find_block(struct look *l, size_t from, size_t i)
{
    struct text *t = &l->t;
    size_t key = 0, end = 0, limit = from + MASK_LONG_MAX;
    i = block_begins(t, i);
    while (i && i < limit) {
        i = skip_blank(t, i, limit);
        if (text_is(t, i, STR("-----END "))) {
            size_t line = run_end(t, i + 9, UPPER, 20);
            for (unsigned k = 0; k < 4 && text_at(t, line) == ' '; k++) {
                line = run_end(t, line + 1, UPPER, 20);
            }
            end = text_is(t, line, STR("-----")) ? line + 5 : line;
            key = 32;
            break;
        }
        size_t run = run_end(t, i, BASE64, limit > i ? limit - i : 0);
        if (text_at(t, run) == '-' || (text_at(t, run) == ':' && run > i)) {
            size_t line = i; /* "DEK-Info: AES-128-CBC,..." */
            while (line - i < 120 && text_at(t, line) > 0 && text_at(t, line) != '\n') {
                line++;
            }
            if (text_at(t, line) != '\n') {
                break;
            }
            i = line;
            continue;
        }
        if (run == i || (run - i < 16 && text_at(t, run) == ' ')) {
            break; /* prose */
        }
        key += run - i;
        end = i = run;
    }
    if (key >= 32) {
        look_found(l, SOURCE_SECRET, MASK_SECRET, MASK_SECRET, from, end);
    }
}

void find_secret(struct look *l, uint32_t id, size_t end)
{
    struct text *t = &l->t;
    const struct row_of_secret *r = &rows[id];
    if (end - t->lo < r->prefix.n) {
        return;
    }
    size_t from = end - r->prefix.n;
    int c = text_back(t, from, 1);
    bool inside = is_alnum(c) || (c == '_' && r->form != ASSIGNED);
    if (from < l->resume[SOURCE_SECRET] || (inside && r->form != ASSIGNED && r->form != BLOCK)) {
        return;
    }
    if (r->form == TOKEN) {
        find_jwt(l, from, end);
    } else if (r->form == BLOCK) {
        find_block(l, from, end);
    } else {
        find_run(l, r, from, end);
    }
    look_starved(l, from);
}

/* Pairs of bytes, in a table with false friends: most texts end in none that a prefix begins with. */
static unsigned pair(const char *p)
{
    return ((unsigned char)p[0] * 37U + (unsigned char)p[1]) & 1023;
}

void secret_compile(struct mask_policy *p)
{
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        unsigned at = pair(rows[i].prefix.p), first = (unsigned char)rows[i].prefix.p[0];
        p->secret_pairs[at >> 6] |= 1ULL << (at & 63);
        p->secret_first[first >> 6] |= 1ULL << (first & 63);
    }
}

size_t secret_tail(const struct look *l, size_t from)
{
    const struct text *t = &l->t;
    const struct mask_policy *policy = l->policy;
    size_t n = t->hi - from < SECRET_PREFIX_MAX ? t->hi - from : SECRET_PREFIX_MAX;
    for (; n; n--) {
        const char *p = t->p + t->hi - n;
        unsigned at = n > 1 ? pair(p) : 0, first = (unsigned char)*p;
        if (n > 1 ? !(policy->secret_pairs[at >> 6] >> (at & 63) & 1)
                  : !(policy->secret_first[first >> 6] >> (first & 63) & 1)) {
            continue;
        }
        for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
            if (rows[i].prefix.n > n && memcmp(rows[i].prefix.p, p, n) == 0) {
                return t->hi - n;
            }
        }
    }
    return t->hi;
}
