/* The detectors against the labelled lines of data/mask_corpus.txt: how much of what they find is right (precision),
 * and how much of what is there they find (recall). A line is text with what must be found in double braces,
 * {{kind:...}}; everything else must not be found, to the byte. */
#include "maskbench.h"

enum { LINES_MIN = 500, EACH_MIN = 15, SPANS_MAX = 32 };

struct span {
    size_t from, to;
    unsigned kind;
};

static struct tally {
    unsigned right, wrong, missed;
} tallies[MASK_KINDS];
static unsigned lines, clean_lines;

static struct str corpus(void)
{
    struct buf b = {.arena = &arena};
    FILE *f = fopen(SOURCE_ROOT "/tests/unit/data/mask_corpus.txt", "r");
    assert_non_null(f);
    for (int c; (c = getc(f)) != EOF;) {
        if (c != '~') { /* keys are cut in two there, so that nobody takes them for real ones */
            buf_addc(&b, (char)c);
        }
    }
    fclose(f);
    return buf_str(&b);
}

/* Takes the labels out of a line. */
static size_t unlabel(struct str line, struct buf *text, struct span *ret)
{
    size_t n = 0;
    for (ptrdiff_t at; (at = str_find(line, STR("{{"))) >= 0;) {
        struct str word, rest = str_from(line, (size_t)at + 2);
        enum mask_kind kind;
        buf_add(text, str_first(line, (size_t)at));
        assert_true(str_cut(&rest, ':', &word));
        if (mask_kind_of(word, &kind) < 0) {
            fail_msg("no kind: %.*s", STR_ARG(line));
        }
        ptrdiff_t end = str_find(rest, STR("}}"));
        assert_true(end > 0 && n < SPANS_MAX);
        ret[n++] = (struct span){text->n, text->n + (size_t)end, kind};
        buf_add(text, str_first(rest, (size_t)end));
        line = str_from(rest, (size_t)end + 2);
    }
    buf_add(text, line);
    return n;
}

/* [EMAIL] and its like tell what was found where. */
static size_t found(struct str text, struct span *ret)
{
    struct mask_call c = call_now();
    struct mask_splice *s;
    size_t n;
    assert_int_equal(mask_text(&c, text, &s, &n), 0);
    assert_true(n <= SPANS_MAX);
    for (size_t i = 0; i < n; i++) {
        char word[MASK_LABEL_MAX];
        size_t len = s[i].with.n - 2;
        for (size_t k = 0; k < len; k++) {
            char l = s[i].with.p[k + 1];
            word[k] = (char)(l == '_' ? l : l | 0x20);
        }
        enum mask_kind kind;
        assert_int_equal(mask_kind_of(str_make(word, len), &kind), 0);
        ret[i] = (struct span){s[i].at, s[i].at + s[i].n, kind};
    }
    return n;
}

static bool among(const struct span *one, const struct span *all, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (all[i].from == one->from && all[i].to == one->to && all[i].kind == one->kind) {
            return true;
        }
    }
    return false;
}

static void judge_line(struct str line)
{
    struct buf text = {.arena = &arena};
    struct span want[SPANS_MAX], have[SPANS_MAX];
    size_t n_want = unlabel(line, &text, want), n_have = found(buf_str(&text), have);
    bool shown = false;
    lines++;
    clean_lines += n_want == 0;
    for (size_t i = 0; i < n_have; i++) {
        bool right = among(&have[i], want, n_want);
        tallies[have[i].kind].right += right;
        tallies[have[i].kind].wrong += !right;
        shown |= !right;
    }
    for (size_t i = 0; i < n_want; i++) {
        bool there = among(&want[i], have, n_have);
        tallies[want[i].kind].missed += !there;
        shown |= !there;
    }
    if (shown) {
        print_message("  %.*s\n", STR_ARG(line));
        for (size_t i = 0; i < n_have; i++) {
            print_message("      found %s \"%.*s\"\n", mask_kind_word(have[i].kind),
                          (int)(have[i].to - have[i].from), text.p + have[i].from);
        }
    }
}

static void precision_and_recall(void **state)
{
    (void)state;
    use_all(MASK_REPLACE);
    struct str line, rest = corpus();
    while (rest.n) {
        str_cut(&rest, '\n', &line);
        if (line.n && line.p[0] != '#') {
            judge_line(line);
        }
    }
    print_message("%u lines, %u of them with nothing to find\n", lines, clean_lines);
    assert_true(lines >= LINES_MIN);
    bool enough = true;
    for (unsigned i = 0; i < MASK_FIELD; i++) {
        const struct tally *t = &tallies[i];
        double precision = (double)t->right / (t->right + t->wrong);
        double recall = (double)t->right / (t->right + t->missed);
        print_message("%-12s %4u labelled, precision %.3f, recall %.3f\n",
                      mask_kind_word((enum mask_kind)i), t->right + t->missed, precision, recall);
        enough &= t->right + t->missed >= EACH_MIN && precision >= 0.98 && recall >= 0.97;
    }
    assert_true(enough);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(precision_and_recall, reset),
    };
    int r = cmocka_run_group_tests(tests, NULL, NULL);
    mask_scratch_free(scratch);
    pool_trim(&pool, 0);
    return r;
}
