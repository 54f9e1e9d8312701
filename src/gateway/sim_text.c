/* What is said: an echo or lorem ipsum, word by word. A piece is a word with the white space before
 * it, so that the pieces together are the text, byte for byte. */
#include "gateway/sim_call.h"

/* Begins with its space, so that it can be said over and over. */
static const struct str passage = {" Lorem ipsum dolor sit amet, consectetur adipiscing elit, sed "
                                   "do eiusmod tempor incididunt ut labore"
                                   " et dolore magna aliqua. Ut enim ad minim veniam, quis nostrud "
                                   "exercitation ullamco laboris nisi ut"
                                   " aliquip ex ea commodo consequat. Duis aute irure dolor in "
                                   "reprehenderit in voluptate velit esse"
                                   " cillum dolore eu fugiat nulla pariatur. Excepteur sint "
                                   "occaecat cupidatat non proident, sunt in"
                                   " culpa qui officia deserunt mollit anim id est laborum.",
                                   446};

/* The longest start of `s` with at most `max` bytes that ends where a character ends. */
static struct str whole_characters(struct str s, size_t max)
{
    size_t n = s.n < max ? s.n : max;
    while (n && n < s.n && (s.p[n] & 0xC0) == 0x80) {
        n--;
    }
    return str_first(s, n);
}

/* White space, then a word; what follows the last word goes with it. */
static struct str first_word(struct str s)
{
    struct str room = whole_characters(s, SIM_PIECE_MAX);
    size_t n = 0;
    while (n < room.n && sim_is_space(room.p[n])) {
        n++;
    }
    while (n < room.n && !sim_is_space(room.p[n])) {
        n++;
    }
    size_t end = n;
    while (end < room.n && sim_is_space(room.p[end])) {
        end++;
    }
    return str_first(s, end == s.n ? end : n);
}

/* Keeps as many words as are allowed. */
static void truncate(struct sim_call *c)
{
    uint64_t words = 0;
    bool in_word = false;
    for (size_t i = 0; i < c->text.n; i++) {
        bool space = sim_is_space(c->text.p[i]);
        if (!space && !in_word && words++ == (uint64_t)c->max_tokens) {
            while (i > 0 && sim_is_space(c->text.p[i - 1])) {
                i--;
            }
            c->text.n = i;
            c->truncated = true;
            return;
        }
        in_word = !space;
    }
}

bool sim_choose_text(struct sim_call *c, const char *max_name)
{
    if (c->tool.n) {
        c->output_tokens = 1 + sim_words(c->text);
        return true;
    }
    if (c->model != SIM_ECHO) {
        if (c->max_tokens > SIM_WORDS_MAX) {
            return sim_refuse(c, 400, "invalid_value", max_name,
                              "\"%s\" must be at most %d for simulated text.", max_name,
                              SIM_WORDS_MAX);
        }
        c->text = passage;
        c->lorem = true;
        c->output_tokens = c->max_tokens < 0 ? SIM_WORDS_DEFAULT : (uint64_t)c->max_tokens;
        return true;
    }
    c->text = buf_str(&c->said);
    if (c->max_tokens >= 0) {
        truncate(c);
    }
    c->output_tokens = sim_words(c->text);
    return true;
}

void sim_rewind(struct sim_call *c)
{
    c->text_at = 0;
    c->word_at = 0;
}

bool sim_more(const struct sim_call *c)
{
    if (c->items) {
        return c->word_at < c->n_items;
    }
    return c->lorem ? c->word_at < c->output_tokens : c->text_at < c->text.n;
}

static void next_lorem(struct sim_call *c)
{
    if (c->text_at == c->text.n) {
        c->text_at = 0;
    }
    c->piece = first_word(str_from(c->text, c->text_at));
    c->text_at += c->piece.n;
    if (c->word_at++ == 0) {
        c->piece = str_from(c->piece, 1);
    }
}

void sim_next(struct sim_call *c)
{
    if (c->items) {
        c->item = c->items[c->word_at++];
        return;
    }
    if (c->lorem) {
        next_lorem(c);
        return;
    }
    struct str rest = str_from(c->text, c->text_at);
    bool inside = c->text_at && !sim_is_space(c->text.p[c->text_at - 1]) && !sim_is_space(*rest.p);
    c->piece = c->tool.n ? whole_characters(rest, SIM_FRAGMENT) : first_word(rest);
    c->word_at += sim_words(c->piece) - inside;
    c->text_at += c->piece.n;
}

void sim_write_piece(struct sim_call *c, struct buf *b)
{
    buf_add_json(b, c->piece);
}

void sim_string(struct buf *b, struct str text)
{
    buf_addc(b, '"');
    buf_add_json(b, text);
    buf_addc(b, '"');
}
