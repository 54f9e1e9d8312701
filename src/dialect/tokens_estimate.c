/* The estimate. Tokenizers first cut a text into words, numbers, runs of punctuation and white space, and then
 * each of these into pieces from a vocabulary. The cutting is done here as o200k_base does it, nearly; for the
 * pieces there is an average by the kind and length of what was cut. The averages are a least-squares fit over
 * two million characters of prose in 18 languages, program text and JSON. */
#include "dialect/tokens.h"

enum script {
    LOWER,
    UPPER,
    DIGIT,
    PUNCT,
    SPACE,
    LINE,  /* its end */
    LATIN, /* a letter beyond ASCII */
    GREEK,
    CYRILLIC,
    ARABIC, /* and Hebrew */
    INDIC,
    THAI,
    HAN,
    KANA,
    HANGUL,
    OTHER, /* emoji, symbols, rare scripts */
    NOTHING,
};

/* In thousandths of a token. */
enum {
    WORD = 1034,
    WORD_LETTER_7 = 153,  /* each letter of a word from the 7th on */
    WORD_LETTER_12 = 655, /* ... from the 12th on: compounds */
    LATIN_LETTER = 1076,  /* each such letter breaks a word up */
    CAPITALS = 621,
    CAPITALS_LETTER_4 = 311,
    NUMBER = 972,  /* three digits */
    MARKS = 873,   /* a run of punctuation */
    MARKS_5 = 379, /* each mark of a run from the fifth on */
    GAP = 1087,    /* more than one space: an indent */
    CYRILLIC_WORD = 1559,
    CYRILLIC_LETTER_5 = 122,
};

static unsigned letter_cost(enum script k)
{
    switch (k) {
    case GREEK:
        return 417;
    case ARABIC:
        return 374;
    case INDIC:
        return 360;
    case THAI:
        return 437;
    case HAN:
        return 855;
    case KANA:
        return 780;
    case HANGUL:
        return 793;
    default:
        return 494;
    }
}

/* ---- characters ---- */

static enum script ascii(unsigned char c)
{
    return c >= 'a' && c <= 'z'     ? LOWER
           : c >= 'A' && c <= 'Z'   ? UPPER
           : c >= '0' && c <= '9'   ? DIGIT
           : c == ' ' || c == '\t'  ? SPACE
           : c == '\n' || c == '\r' ? LINE
                                    : PUNCT;
}

static const struct {
    uint32_t end; /* the first code point behind it */
    enum script k;
} blocks[] = {
    {0xc0, PUNCT},    {0x370, LATIN},   {0x400, GREEK},  {0x530, CYRILLIC},   {0x590, OTHER},
    {0x800, ARABIC},  {0x900, OTHER},   {0xe00, INDIC},  {0xf00, THAI},       {0x1100, OTHER},
    {0x1200, HANGUL}, {0x1e00, OTHER},  {0x1f00, LATIN}, {0x2000, GREEK},     {0x2070, PUNCT},
    {0x2e80, OTHER},  {0x3000, HAN},    {0x3040, PUNCT}, {0x3100, KANA},      {0xa000, HAN},
    {0xac00, OTHER},  {0xd7b0, HANGUL}, {0xf900, OTHER}, {0xfb00, HAN},       {0xff00, OTHER},
    {0xfff0, PUNCT},  {0x20000, OTHER}, {0x32000, HAN},  {UINT32_MAX, OTHER},
};

static enum script class_of(uint32_t c)
{
    unsigned i = 0;
    while (c >= blocks[i].end) {
        i++;
    }
    return blocks[i].k;
}

/* The code point of a sequence that is valid, or whatever: only its class matters. */
static uint32_t take_utf8(const char **p, const char *end)
{
    unsigned char first = (unsigned char)**p;
    unsigned more = first >= 0xf0 ? 3 : first >= 0xe0 ? 2 : 1;
    uint32_t c = first & (0x3fU >> more);
    for (++*p; more && *p < end; more--, ++*p) {
        c = c << 6 | ((unsigned char)**p & 0x3f);
    }
    return c;
}

static uint32_t take_hex(const char **p, const char *end)
{
    uint32_t c = 0;
    for (int i = 0; i < 4 && *p < end; i++, ++*p) {
        unsigned char h = (unsigned char)**p;
        c = c << 4 | (h <= '9' ? h & 15U : (h & 7U) + 9);
    }
    return c;
}

/* The class of the character at `*p`, whose escapes are read; `*p` moves behind it. */
static enum script take(const char **p, const char *end)
{
    unsigned char c = (unsigned char)**p;
    if (c >= 0x80) {
        return class_of(take_utf8(p, end));
    }
    ++*p;
    if (c != '\\' || *p == end) {
        return ascii(c);
    }
    c = (unsigned char)*(*p)++;
    if (c == 'n' || c == 'r') {
        return LINE;
    }
    if (c == 't') {
        return SPACE;
    }
    if (c != 'u') {
        return PUNCT;
    }
    uint32_t point = take_hex(p, end);
    if (point >= 0xd800 && point < 0xdc00 && end - *p >= 6 && **p == '\\') {
        *p += 2;
        point = 0x10000 + ((point & 0x3ff) << 10 | (take_hex(p, end) & 0x3ff));
    }
    return point < 0x80 ? ascii((unsigned char)point) : class_of(point);
}

/* ---- texts ---- */

struct reader {
    const char *p, *end;
    enum script
        k; /* of the character that comes next, which is taken already; NOTHING at the end */
};

static void step(struct reader *r)
{
    r->k = r->p < r->end ? take(&r->p, r->end) : NOTHING;
}

static uint64_t above(uint64_t n, uint64_t limit)
{
    return n > limit ? n - limit : 0;
}

/* Capitals and what follows them: "Word", "word", "WORD", and in "WORDName" too few to matter. */
static uint64_t take_word(struct reader *r)
{
    uint64_t n = 0, latin = 0;
    for (; r->k == UPPER; step(r)) {
        n++;
    }
    if (n >= 2 && r->k != LOWER && r->k != LATIN) {
        return CAPITALS + above(n, 3) * CAPITALS_LETTER_4;
    }
    for (; r->k == LOWER || r->k == LATIN; step(r)) {
        n++;
        latin += r->k == LATIN;
    }
    return WORD + above(n < 11 ? n : 11, 6) * WORD_LETTER_7 + above(n, 11) * WORD_LETTER_12 +
           latin * LATIN_LETTER;
}

/* One space belongs to the word behind it, and the end of a line to the punctuation before it. */
static uint64_t take_space(struct reader *r)
{
    uint64_t spaces = 0;
    for (; r->k == SPACE || r->k == LINE; step(r)) {
        spaces += r->k == SPACE;
    }
    return spaces > 1 ? GAP : 0;
}

static uint64_t take_run(struct reader *r)
{
    enum script k = r->k;
    uint64_t n = 0;
    for (; r->k == k; step(r)) {
        n++;
    }
    switch (k) {
    case DIGIT:
        return (n + 2) / 3 * NUMBER;
    case PUNCT:
        return MARKS + above(n, 4) * MARKS_5;
    case CYRILLIC:
        return CYRILLIC_WORD + above(n, 4) * CYRILLIC_LETTER_5;
    default:
        return n * letter_cost(k);
    }
}

int64_t tokens_of_text(struct str escaped)
{
    if (!escaped.n) {
        return 0;
    }
    struct reader r = {.p = escaped.p, .end = escaped.p + escaped.n};
    uint64_t sum = 0;
    step(&r);
    while (r.k != NOTHING) {
        sum += r.k == LOWER || r.k == UPPER || r.k == LATIN ? take_word(&r)
               : r.k == SPACE || r.k == LINE                ? take_space(&r)
                                                            : take_run(&r);
    }
    return (int64_t)((sum + 999) / 1000);
}

/* ---- a whole request ---- */

/* What the vendors say of everything that is no text. Anthropic: width times height / 750, at most about 1600 an
 * image; 1500 to 3000 a page; 346 for the text that explains tools. Gemini: 258 an image or page, 32 a second.
 * OpenAI: 85 and 170 for each of the tiles, which are 4 in a square one (detail low: 85); 3 and a role for each
 * message, 3 for the answer's beginning; 10 a second of sound. */
static const struct weights {
    int64_t image, image_low, page, second, turn, frame, tools, tool;
} weights[FAMILY_COUNT] = {
    [FAMILY_OPENAI] = {765, 85, 1000, 10, 4, 3, 0, 8},
    [FAMILY_ANTHROPIC] = {1600, 1600, 2250, 10, 4, 3, 346, 8},
    [FAMILY_GEMINI] = {258, 258, 258, 32, 2, 0, 0, 8},
    [FAMILY_OLLAMA] = {765, 765, 1000, 10, 4, 3, 0, 8},
    [FAMILY_COHERE] = {765, 765, 1000, 10, 4, 3, 0, 8},
    [FAMILY_BEDROCK] = {1600, 1600, 2250, 10, 4, 3, 346, 8},
};

/* Bytes of base64 for a page of a usual PDF, and for a second of sound, pressed or not. */
enum { PAGE_BYTES = 80000, SECOND_BYTES = 21000, SECOND_BYTES_WAV = 43000 };

static int64_t units(struct str data, int64_t size)
{
    return 1 + (int64_t)data.n / size; /* by URL or id: one */
}

static int64_t of_part(const struct ir_part *p, const struct weights *v, bool thinking)
{
    int64_t sum = 0;
    switch (p->kind) {
    case IR_TEXT:
    case IR_REFUSAL:
        return tokens_of_text(p->text);
    case IR_THINKING:
        return thinking ? tokens_of_text(p->text) : 0;
    case IR_IMAGE:
        return ir_is(p->detail, STR("low")) ? v->image_low : v->image;
    case IR_DOCUMENT:
        return tokens_of_text(p->title) +
               (p->text.n ? tokens_of_text(p->text) : v->page * units(p->data, PAGE_BYTES));
    case IR_AUDIO:
        return v->second * units(p->data, str_ends(p->media_type, STR("wav")) ? SECOND_BYTES_WAV
                                                                              : SECOND_BYTES);
    case IR_TOOL_CALL:
        return v->tool + tokens_of_text(p->name) + tokens_of_text(p->args);
    case IR_TOOL_RESULT:
        for (const struct ir_part *in = p->parts; in; in = in->next) {
            sum += of_part(in, v, thinking);
        }
        return v->tool + sum;
    }
    return 0;
}

/* Thinking of turns that are answered already is taken out by the vendors. */
static const struct ir_turn *last_question(const struct ir_call *c)
{
    const struct ir_turn *found = NULL;
    for (const struct ir_turn *t = c->turns; t; t = t->next) {
        if (t->role == IR_USER && t->first && t->first->kind != IR_TOOL_RESULT) {
            found = t;
        }
    }
    return found;
}

int64_t tokens_estimate_for(const struct ir_call *c, enum family f)
{
    const struct weights *v = &weights[f < FAMILY_COUNT ? f : FAMILY_OPENAI];
    const struct ir_turn *question = last_question(c);
    bool thinking = !question;
    int64_t sum = v->frame + (c->system ? v->turn : 0);
    for (const struct ir_part *p = c->system; p; p = p->next) {
        sum += of_part(p, v, false);
    }
    for (const struct ir_turn *t = c->turns; t; t = t->next) {
        sum += v->turn;
        thinking |= t == question;
        for (const struct ir_part *p = t->first; p; p = p->next) {
            sum += of_part(p, v, thinking);
        }
    }
    for (const struct ir_tool *t = c->tools; t; t = t->next) {
        sum += v->tool + tokens_of_text(t->name) + tokens_of_text(t->description) +
               tokens_of_text(t->schema);
    }
    return sum + (c->tools ? v->tools : 0) + tokens_of_text(c->schema);
}

int64_t tokens_estimate(const struct ir_call *c)
{
    return tokens_estimate_for(c, FAMILY_OPENAI);
}
