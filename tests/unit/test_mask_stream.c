/* Streams of masked and restored text: wherever the bytes are cut, what comes out is what the whole text becomes. */
#include "maskbench.h"

/* Texts in which every detector, and many a near miss, meets every kind of border. */
static const char *const texts[] = {
    "Mail anna.schmidt@example.com, Bob <BOB@EXAMPLE.ORG> or call +1 (416) 555-0123 now.",
    "IBAN DE89 3704 0044 0532 0130 00 and card 4111 1111 1111 1111, SIN 046 454 286; SSN "
    "123-45-6789.",
    "a@b.co.uk@c.de x@y a.@b.de .a@b.de 'q@r.st' joe\\u0040example.com "
    "joe@example\\u002Ecom\\njoe@x.org\\tend",
    "Server 192.168.1.10:80, 2001:db8::1, ::ffff:192.0.2.128, 12:34:56, v1.2.3.4 and 10.0.0.1.2",
    "numbers 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20 21 22 23 24 25 26 27 28 29 30 31 "
    "32 33",
    "0123456789012345678901234567890123456789012345678901234567890123456789 +49 30 12345678",
    "Tel. 612 345 678, Handy: 0171-1234567, \\u260e 030/1234567; fax +33 1 23 45 67 89 10 11 12 13",
    "Hauptstr. 5, 10115 Berlin\\nLondon SW1A 2AA, Ottawa K1A 0B1, CA 94105-1234, 1012 LG Amsterdam",
    "M\\u00fcller@Firma.de \\ud83d\\ude00 m\xC3\xBCller@m\xC3\xBCnchen.de \xF0\x9F\x98\x80 "
    "\xE6\x97\xA5\xE6\x9C\xAC \\ud83d x",
    "sk-\\u0070roj-abcdefghij0123456789ABCDEFGHIJ0123456789abcdefghij and AKIA"
    "ABCDEFGHIJKLMNOP, ghp_"
    "abcdefghijklmnopqrstuvwxyz0123456789.",
    "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9."
    "eyJzdWIiOiIxMjM0NTY3ODkwIn0.dozjgNryP4J3jVmNHl0w5N_XgL0n3I9PlFUP0THsR8U!",
    "-----BEGIN RSA PRIVATE "
    "KEY-----\\nMIIEpAIBAAKCAQEA0Z3VS5JJcds3xfn/ygWyF8PbnGy0AHB7MaU+Qz1L2Y4h\\n"
    "Qz1L2Y4hMaU+AHB7\\n-----END RSA PRIVATE KEY----- done",
    "-----BEGIN PRIVATE KEY----- is how a block begins, and no more comes.",
    "employee id: 4711, EMPLOYEE 123456, badge AB123456C; ask Project Falcon or project  falcon, "
    "Falconer",
    "Anna Schmidt, ANNA SCHMIDT-Meier, Annabel, Anna, J\xC3\x9CRGEN, j\xC3\xBCrgen, "
    "\xD0\xB8\xD0\xB2\xD0\xB0\xD0\xBD \xD0\x98\xD0\x92\xD0\x90\xD0\x9D\xD0\xB0",
    "<<begin some words, with many more behind them, to the end>> and <<no end",
    "[EMAIL_1] [email_12] [EMAIL\\\\_3] [EMAIL] [EMAIL_0] [PHONE_1 [[IP_2]] [NOPE_1] "
    "[WORD_123456789012]",
    "ANNA SCHMIDT 4111111111111111@example.com AKIA4111111111111111 +1 416 555 0123 "
    "2001:db8::416-555-0123",
    "tail word",
    "ends in a@b",
    "ends in 416-555",
    "ends in \\",
    "ends in \\u00",
    "ends in \xC3",
    "ends in \\ud83d",
    "ends in sk-",
    "ends in Anna Schm",
    "ends in [EMAIL_",
    "ends in employee 1234",
    "ends +",
    "",
    "x",
};

#define T(text)                                                                                    \
    {                                                                                              \
        text, sizeof(text) - 1                                                                     \
    }
static const struct mask_pattern patterns[] = {
    {T("employee id"), T("employee(?: id)?:? \\d{4,8}\\b"), true},
    {T("badge"), T("\\b[A-Z]{2}\\d{6}[A-Z]\\b"), false},
    {T("angle"), T("<<.*>>"), false},
    {T("line"), T("^IBAN|end$"), false},
};
static const struct str words[] = {T("Anna"), T("Anna Schmidt"), T("project falcon"),
                                   T("J\xC3\xBCrgen"), T("\xD0\x98\xD0\xB2\xD0\xB0\xD0\xBD")};
static const struct mask_words lists[] = {{T("people"), words, 5, false}};

static void use_everything(enum mask_action action)
{
    struct mask_options o = all_with(action);
    o.patterns = patterns;
    o.n_patterns = sizeof patterns / sizeof *patterns;
    o.lists = lists;
    o.n_lists = 1;
    use(&o);
}

static void add(struct mask_stream *s, struct str piece, struct buf *out)
{
    /* its own memory, so that a look behind its end is seen */
    char *own = malloc(piece.n + !piece.n);
    assert_non_null(own);
    memcpy(own, piece.p, piece.n);
    assert_true(mask_stream_add(s, str_make(own, piece.n), out) >= 0);
    free(own);
}

/* Cut at a and b. */
static struct str cut(struct mask_call *c, struct str text, size_t a, size_t b)
{
    struct mask_stream s = {.call = c, .pool = &pool};
    struct buf out = {.arena = &arena};
    add(&s, str_first(text, a), &out);
    add(&s, str_make(text.p + a, b - a), &out);
    add(&s, str_from(text, b), &out);
    assert_true(mask_stream_end(&s, &out) >= 0);
    return buf_str(&out);
}

static void same_counts(const struct mask_call *a, const struct mask_call *b, struct str text)
{
    if (memcmp(a->counts, b->counts, sizeof a->counts) != 0) {
        fail_msg("counts differ: %.*s", STR_ARG(text));
    }
}

static void any_cut_is_the_whole(void **state)
{
    (void)state;
    for (enum mask_action action = MASK_REPORT; action <= MASK_BLOCK; action++) {
        use_everything(action);
        for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
            struct str text = str_of(texts[i]);
            struct mask_call once = call_now();
            struct str want = whole(&once, text);
            for (size_t a = 0; a <= text.n; a++) {
                struct mask_call c = call_now();
                size_t b = a + 1 + a % 7 < text.n ? a + 1 + a % 7 : text.n;
                is(cut(&c, text, a, b), want);
                same_counts(&c, &once, text);
            }
            if (action == MASK_REPORT) {
                is(want, text);
            }
        }
    }
}

static uint64_t seed = 88172645463325252ULL;
static uint64_t random_u64(void)
{
    seed ^= seed << 13;
    seed ^= seed >> 7;
    return seed ^= seed << 17;
}

/* Pieces of the texts in a row, in pieces of 1 to 40 bytes; many times. */
static void long_texts_in_random_pieces(void **state)
{
    (void)state;
    use_everything(MASK_TOKENISE);
    for (unsigned round = 0; round < 400; round++) {
        struct buf b = {.arena = &arena};
        for (unsigned k = 0; k < 12; k++) {
            struct str t = str_of(texts[random_u64() % (sizeof texts / sizeof *texts)]);
            size_t from = t.n ? random_u64() % t.n / 2 : 0;
            t = str_from(t, from);
            buf_add(&b, str_first(t, random_u64() % (t.n + 1)));
            buf_add(&b, random_u64() % 3 ? STR(" ") : STR(""));
        }
        struct str text = buf_str(&b);
        struct mask_call once = call_now(), c = call_now();
        struct str want = whole(&once, text);
        struct mask_stream s = {.call = &c, .pool = &pool};
        struct buf out = {.arena = &arena};
        for (struct str rest = text; rest.n;) {
            struct str piece = str_first(rest, 1 + random_u64() % 40);
            add(&s, piece, &out);
            rest = str_from(rest, piece.n);
        }
        assert_true(mask_stream_end(&s, &out) >= 0);
        if (!str_eq(buf_str(&out), want)) {
            fail_msg("\n  of   %.*s\n  is   %.*s\n  not  %.*s", STR_ARG(text),
                     STR_ARG(buf_str(&out)), STR_ARG(want));
        }
        arena_reset(&arena);
    }
}

/* A stream holds back the word that may become an address, and nothing else; nothing at all when there is no such
 * detector. */
static void passes_at_once(void **state)
{
    (void)state;
    static const struct {
        const char *piece, *passed;
    } steps[] = {
        {"Hello there, wor", "Hello there, "},
        {"ld. ", "world. "},
        {"We are 12 ", "We are "},
        {"people, not few.", "12 people, not "},
        {" (", "few. "},
        {"so it ", "(so it "},
        {"is\\n", "is\\n"},
        {"\xE6\x97\xA5\xE6\x9C\xAC\xE3\x80\x82", "\xE6\x97\xA5\xE6\x9C\xAC\xE3\x80\x82"},
    };
    use_all(MASK_REPLACE);
    struct mask_call c = call_now();
    struct mask_stream s = {.call = &c, .pool = &pool};
    for (size_t i = 0; i < sizeof steps / sizeof *steps; i++) {
        struct buf out = {.arena = &arena};
        add(&s, str_of(steps[i].piece), &out);
        is(buf_str(&out), str_of(steps[i].passed));
    }
    mask_stream_drop(&s);

    struct mask_options o = {.action[MASK_CARD] = MASK_REPLACE};
    use(&o);
    c = call_now();
    s.call = &c;
    struct buf out = {.arena = &arena};
    add(&s, STR("joe@example.com and a wor"), &out);
    is(buf_str(&out), STR("joe@example.com and a wor"));
    mask_stream_drop(&s);
}

/* What is held back is bounded, whatever comes. */
static void holds_back_no_more_than_a_pattern(void **state)
{
    (void)state;
    static const char *const parts[] = {
        "a", "1", "1 ", "MIIE", "<<a", "::", "\\u0061", "Anna ", ".", "-", "\xC3\xA9", "["};
    use_everything(MASK_REPLACE);
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
        struct mask_call c = call_now();
        struct mask_stream s = {.call = &c, .pool = &pool};
        struct buf out = {.arena = &arena};
        size_t in = 0, most = 0;
        if (i == 3) {
            add(&s,
                STR("-----BEGIN PRIVATE "
                    "KEY-----\\n"),
                &out);
        }
        for (unsigned k = 0; k < 5000; k++) {
            add(&s, str_of(parts[i]), &out);
            in += strlen(parts[i]);
            most = in > out.n && in - out.n > most ? in - out.n : most;
        }
        assert_true(i == 3 || most <= 6 * MASK_WIDTH_MAX);
        assert_true(s._held_n <= MASK_LONG_MAX + 64);
        assert_true(mask_stream_end(&s, &out) >= 0);
        arena_reset(&arena);
    }
    assert_int_equal(pool.lent, 0);
}

static struct str restored(const struct mask_call *c, struct str text, size_t a, size_t b)
{
    struct mask_restore r = {.call = c};
    struct buf out = {.arena = &arena};
    mask_restore_add(&r, str_first(text, a), &out);
    mask_restore_add(&r, str_make(text.p + a, b - a), &out);
    mask_restore_add(&r, str_from(text, b), &out);
    mask_restore_end(&r, &out);
    return buf_str(&out);
}

static void tokens_are_restored_at_any_cut(void **state)
{
    (void)state;
    use_all(MASK_TOKENISE);
    struct mask_call c = call_now();
    is(whole(&c, STR("Joe@Example.com, +1 416 555 0123, joe@example.com, Joe@Example.com")),
       STR("[EMAIL_1], [PHONE_1], [EMAIL_2], [EMAIL_1]"));
    struct str answer = STR(
        "[[EMAIL_1]] [email_2] [Phone\\\\_1] [EMAIL_3] [EMAIL_01] [EMAIL_1 [EMAIL_12] [ [PHONE_1]["
        "EMAIL_2] [POSTAL_CODE_1] [EMAIL_");
    struct str want = STR("[Joe@Example.com] joe@example.com +1 416 555 0123 [EMAIL_3] [EMAIL_01] "
                          "[EMAIL_1 [EMAIL_12] [ "
                          "+1 416 555 0123joe@example.com [POSTAL_CODE_1] [EMAIL_");
    for (size_t a = 0; a <= answer.n; a++) {
        for (size_t b = a; b <= answer.n; b++) {
            is(restored(&c, answer, a, b), want);
        }
    }
}

/* A failure is told, and stays. */
static void fails_closed(void **state)
{
    (void)state;
    use_everything(MASK_REPLACE);
    struct mask_call c = call_now();
    struct mask_stream s = {.call = &c, .pool = &pool};
    struct buf out = {.arena = &arena};
    assert_int_equal(mask_stream_add(&s, STR("joe@exam"), &out), 0);
    size_t before = out.n;
    mask_scratch_free(scratch);
    scratch = NULL;
    struct mask_options nothing = {0};
    struct mask_policy *own = policy;
    policy = NULL;
    use(&nothing); /* a scratch that was not made for the first policy */
    c.scratch = scratch;
    assert_true(mask_stream_add(&s, STR("ple.com secret"), &out) < 0);
    assert_int_equal(out.n, before);
    assert_true(mask_stream_add(&s, STR("more"), &out) < 0);
    assert_true(mask_stream_end(&s, &out) < 0);
    assert_int_equal(out.n, before);
    struct mask_splice *spliced;
    size_t n;
    assert_true(mask_text(&c, STR("joe@example.com"), &spliced, &n) < 0);
    mask_policy_free(own);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(any_cut_is_the_whole, reset),
        cmocka_unit_test_teardown(long_texts_in_random_pieces, reset),
        cmocka_unit_test_teardown(passes_at_once, reset),
        cmocka_unit_test_teardown(holds_back_no_more_than_a_pattern, reset),
        cmocka_unit_test_teardown(tokens_are_restored_at_any_cut, reset),
        cmocka_unit_test_teardown(fails_closed, reset),
    };
    int r = cmocka_run_group_tests(tests, NULL, NULL);
    mask_scratch_free(scratch);
    pool_trim(&pool, 0);
    return r;
}
