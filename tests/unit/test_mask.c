/* Masking of bodies and texts: what is replaced, what stays to the byte, and what is refused. */
#include "json/wide.h"
#include "maskbench.h"

#define T(text)                                                                                    \
    {                                                                                              \
        text, sizeof(text) - 1                                                                     \
    }

static struct str body_with(struct mask_call *c, struct str body, const struct mask_members *m,
                            int want)
{
    struct mask_splice *s;
    size_t n;
    struct buf out = {.arena = &arena};
    assert_int_equal(json_scan(body, NULL, 0, NULL, NULL), 0);
    assert_int_equal(mask_body(c, body, m, &s, &n), want);
    mask_splice(body, s, n, &out);
    struct json_error e = {0};
    if (json_scan(buf_str(&out), NULL, 0, NULL, &e) < 0) {
        fail_msg("%s at %zu: %.*s", e.why, e.at, STR_ARG(buf_str(&out)));
    }
    return buf_str(&out);
}

/* Texts are written with ' in place of ". */
static struct str quoted(const char *text)
{
    char *z = arena_dupz(&arena, str_of(text));
    for (char *p = z; *p; p++) {
        *p = *p == '\'' ? '"' : *p;
    }
    return str_of(z);
}

static void body_is(const char *before, const char *after)
{
    struct mask_call c = call_now();
    is(body_with(&c, quoted(before), NULL, 0), quoted(after));
}

static void texts_are_read_through_their_escapes(void **state)
{
    (void)state;
    static const struct {
        const char *before, *after;
    } rows[] = {
        {"joe\\u0040example.com", "[EMAIL]"},
        {"\\u006aoe@example\\u002ecom.", "[EMAIL]."},
        {"\\njoe@example.com\\n", "\\n[EMAIL]\\n"},
        {"\\tJOE@EXAMPLE.COM\\r\\n", "\\t[EMAIL]\\r\\n"},
        {"http:\\/\\/10.1.2.3\\/x", "http:\\/\\/[IP]\\/x"},
        {"\\u00e9 caf\xC3\xA9 \\ud83d\\ude00 joe@x.org \\ud83d\\ude00",
         "\\u00e9 caf\xC3\xA9 \\ud83d\\ude00 [EMAIL] \\ud83d\\ude00"},
        {"\\ud83d joe@x.org \\udc00", "\\ud83d [EMAIL] \\udc00"},
        {"m\\u00fcller@firma.de", "[EMAIL]"},
        {"+1\\u00a0416\\u00a0555\\u00a00123", "[PHONE]"},
        {"\\\"joe@x.org\\\"", "\\\"[EMAIL]\\\""},
        {"\\\\njoe@x.org", "\\\\[EMAIL]"}, /* a backslash and "njoe" */
        {"no\\u0020match here\\u002e", "no\\u0020match here\\u002e"},
    };
    use_all(MASK_REPLACE);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct mask_call c = call_now();
        is(whole(&c, str_of(rows[i].before)), str_of(rows[i].after));
    }
}

static void every_string_of_a_body_is_looked_at(void **state)
{
    (void)state;
    use_all(MASK_REPLACE);
    body_is("'joe@x.org'", "'[EMAIL]'");
    body_is(" [ 1, 'joe@x.org' , {'a' : ['+1 416 555 0123', true, null, 1.50e3]}] ",
            " [ 1, '[EMAIL]' , {'a' : ['[PHONE]', true, null, 1.50e3]}] ");
    body_is("{'joe@x.org': 'names stay', 'n': 4165550123, 'card': 4111111111111111}",
            "{'joe@x.org': 'names stay', 'n': 4165550123, 'card': 4111111111111111}");
    body_is("{'a':'joe@x.org','b':'','c':'x joe@x.org y'}",
            "{'a':'[EMAIL]','b':'','c':'x [EMAIL] y'}");
    /* no detector looks from one string into another */
    body_is("['joe@','x.org','+1 416','555 0123','call','4165550123']",
            "['joe@','x.org','+1 416','555 0123','call','4165550123']");
    body_is("{'url':'data:image/png;base64,iVBORw0KGgo+4912345678901/AKIAABCDEFGHIJKLMNOP=='}",
            "{'url':'data:image/png;base64,iVBORw0KGgo+4912345678901/AKIAABCDEFGHIJKLMNOP=='}");
    body_is("{'url':'data:text/plain;base64,aGVsbG8 joe@x.org'}",
            "{'url':'data:text/plain;base64,aGVsbG8 [EMAIL]'}");
}

static void names_of_members_are_masked_with_their_values(void **state)
{
    (void)state;
    use_all(MASK_REPLACE);
    body_is("{'password':'hunter2','PassWord':'x','user_password':'y','DB-PASSWORD':'z','passwords'"
            ":'w'}",
            "{'password':'[FIELD]','PassWord':'[FIELD]','user_password':'[FIELD]','DB-PASSWORD':'["
            "FIELD]',"
            "'passwords':'w'}");
    body_is("{'ssn':123456789,'SSN':'','pin':-1.5e3,'cvv':null,'pinned':12,'max_tokens':5,'"
            "business':'x'}",
            "{'ssn':'[FIELD]','SSN':'','pin':'[FIELD]','cvv':null,'pinned':12,'max_tokens':5,'"
            "business':'x'}");
    body_is("{'p\\u0061ssword':'a\\nb','apiKey':['k1','k2',3],'secret':{'type':'string'}}",
            "{'p\\u0061ssword':'[FIELD]','apiKey':['[FIELD]','[FIELD]','[FIELD]'],'secret':{'type':"
            "'string'}}");
    struct mask_options o = {.action[MASK_FIELD] = MASK_REPLACE};
    static const struct str names[] = {T("Employee-Number"),
                                       T("Stra\xC3\x9F"
                                         "e"),
                                       T("\xC3\x96rt")};
    o.names = names;
    o.n_names = 3;
    use(&o);
    body_is("{'employee_number':7,'employeeNumber':'8','number':9,'stra\xC3\x9F"
            "e':'x','\xC3\xB6rt':'y'}",
            "{'employee_number':'[FIELD]','employeeNumber':'[FIELD]','number':9,'stra\xC3\x9F"
            "e':'[FIELD]',"
            "'\xC3\xB6rt':'[FIELD]'}");
}

/* The arguments of tools are JSON within a string. */
static void documents_within_strings_are_read(void **state)
{
    (void)state;
    use_all(MASK_TOKENISE);
    struct mask_call c = call_now();
    struct str before =
        STR("{\"arguments\":\"{\\\"to\\\":\\\"joe@x.org\\\",\\\"text\\\":\\\"a\\\\njim@x.org\\\","
            "\\\"pin\\\": 12,"
            "\\\"password\\\":\\\"q\\\\\\\"w\\\"}\",\"text\":\"{not json: joe@x.org}\"}");
    struct str after = STR("{\"arguments\":\"{\\\"to\\\":\\\"[EMAIL_1]\\\",\\\"text\\\":\\\"a\\\\n["
                           "EMAIL_2]\\\",\\\"pin\\\": "
                           "\\\"[FIELD_1]\\\",\\\"password\\\":\\\"[FIELD_2]\\\"}\",\"text\":\"{"
                           "not json: [EMAIL_1]}\"}");
    struct str masked = body_with(&c, before, NULL, 0);
    is(masked, after);
    /* and back: what is a text in the inner document is escaped for both; a number has become a text */
    struct mask_splice *s;
    size_t n;
    struct buf out = {.arena = &arena};
    assert_int_equal(mask_restore_body(&c, masked, &s, &n), 0);
    mask_splice(masked, s, n, &out);
    is(buf_str(&out), STR("{\"arguments\":\"{\\\"to\\\":\\\"joe@x.org\\\",\\\"text\\\":"
                          "\\\"a\\\\njim@x.org\\\",\\\"pin\\\": "
                          "\\\"12\\\",\\\"password\\\":\\\"q\\\\\\\"w\\\"}\",\"text\":\"{not json: "
                          "joe@x.org}\"}"));
}

static void members_can_be_chosen(void **state)
{
    (void)state;
    use_all(MASK_REPLACE);
    static const struct str only[] = {T("content"), T("system")}, skip[] = {T("id"), T("data")};
    struct str body = quoted(
        "{'user':'joe@x.org','system':'joe@x.org','messages':[{'name':'joe@x.org','content':"
        "[{'text':'joe@x.org','id':'joe@x.org','source':{'data':'joe@x.org','x':'joe@x.org'}}]}]}");
    struct mask_call c = call_now();
    is(body_with(&c, body,
                 &(struct mask_members){.only = only, .skip = skip, .n_only = 2, .n_skip = 2}, 0),
       quoted(
           "{'user':'joe@x.org','system':'[EMAIL]','messages':[{'name':'joe@x.org','content':"
           "[{'text':'[EMAIL]','id':'joe@x.org','source':{'data':'joe@x.org','x':'[EMAIL]'}}]}]}"));
    is(body_with(&c, body, &(struct mask_members){.skip = skip, .n_skip = 2}, 0),
       quoted(
           "{'user':'[EMAIL]','system':'[EMAIL]','messages':[{'name':'[EMAIL]','content':"
           "[{'text':'[EMAIL]','id':'joe@x.org','source':{'data':'joe@x.org','x':'[EMAIL]'}}]}]}"));
}

static void each_action_does_its_own(void **state)
{
    (void)state;
    struct mask_options o = {
        .action = {[MASK_EMAIL] = MASK_TOKENISE,
                   [MASK_PHONE] = MASK_REPORT,
                   [MASK_IP] = MASK_REPLACE,
                   [MASK_CARD] = MASK_BLOCK},
    };
    use(&o);
    struct mask_call c = call_now();
    struct str text = STR("joe@x.org +1 416 555 0123 10.1.2.3 DE89370400440532013000");
    is(whole(&c, text), STR("[EMAIL_1] +1 416 555 0123 [IP] DE89370400440532013000"));
    assert_int_equal(c.counts[MASK_EMAIL], 1);
    assert_int_equal(c.counts[MASK_PHONE], 1);
    assert_int_equal(c.counts[MASK_IP], 1);
    assert_int_equal(c.counts[MASK_IBAN], 0);
    assert_int_equal(c.blocked, 0);
    is(body_with(&c, STR("[\"4111 1111 1111 1111\"]"), NULL, 1), STR("[\"[CARD]\"]"));
    assert_int_equal(c.blocked, 1U << MASK_CARD);

    use_all(MASK_OFF);
    assert_false(mask_policy_is_on(policy));
    c = call_now();
    is(whole(&c, text), text);
}

static void a_value_has_one_token_in_a_call(void **state)
{
    (void)state;
    use_all(MASK_TOKENISE);
    struct mask_call c = call_now();
    is(whole(&c, STR("a@x.org b@x.org a@x.org A@x.org a\\u0040x.org 10.1.2.3")),
       STR("[EMAIL_1] [EMAIL_2] [EMAIL_1] [EMAIL_3] [EMAIL_1] [IP_1]"));
    is(body_with(&c, STR("[\"b@x.org\"]"), NULL, 0), STR("[\"[EMAIL_2]\"]"));
    /* what the user wrote as a token is none of ours, and comes back as it was */
    is(whole(&c, STR("[EMAIL_1] [email_1] [EMAIL_x]")), STR("[EMAIL_4] [EMAIL_5] [EMAIL_x]"));
    struct mask_restore r = {.call = &c};
    struct buf out = {.arena = &arena};
    mask_restore_add(&r, STR("[EMAIL_4] is [EMAIL_1], [EMAIL_5]"), &out);
    mask_restore_end(&r, &out);
    is(buf_str(&out), STR("[EMAIL_1] is a@x.org, [email_1]"));
    struct mask_call other = call_now();
    is(whole(&other, STR("z@x.org")), STR("[EMAIL_1]"));
}

/* Many values: tables grow, and every token leads back. */
static void many_values_are_kept(void **state)
{
    (void)state;
    use_all(MASK_TOKENISE);
    struct mask_call c = call_now();
    for (unsigned i = 1; i <= 3000; i++) {
        struct str want = arena_printf(&arena, "[EMAIL_%u]", i);
        is(whole(&c, arena_printf(&arena, "u%u@x.org", i)), want);
    }
    for (unsigned i = 1; i <= 3000; i += 7) {
        struct mask_restore r = {.call = &c};
        struct buf out = {.arena = &arena};
        mask_restore_add(&r, arena_printf(&arena, "<[EMAIL_%u]>", i), &out);
        mask_restore_end(&r, &out);
        is(buf_str(&out), arena_printf(&arena, "<u%u@x.org>", i));
    }
}

static void of_two_that_overlap_no_byte_is_left(void **state)
{
    (void)state;
    static const struct mask_pattern patterns[] = {{T("order"), T("order \\d{3}"), true}};
    struct mask_options o = all_with(MASK_REPLACE);
    o.patterns = patterns;
    o.n_patterns = 1;
    use(&o);
    struct mask_call c = call_now();
    is(whole(&c, STR("call about order 416 555 0123")), STR("call about [ORDER] 555 0123"));
    is(whole(&c, STR("sk-abcdefghij0123456789ABCDEFGHIJ0123456789@example.com")), STR("[EMAIL]"));
}

static void words_and_patterns_of_users(void **state)
{
    (void)state;
    static const struct mask_pattern patterns[] = {
        {T("employee id"), T("emp-\\d{4}"), true}, {T("badge"), T("\\b[A-Z]{2}\\d{6}\\b"), false},
        {T("Quoted"), T("\\Qa.b"), false},         {T("long"), T("<<.*>>"), false},
        {T("line"), T("^TOP.{3}$"), false},
    };
    static const struct str people[] = {T("Anna"), T("Anna Schmidt"), T("J\xC3\xBCrgen"), T("C++")};
    static const struct str codes[] = {T("Falcon")};
    static const struct mask_words lists[] = {{T("people"), people, 4, false},
                                              {T("codes"), codes, 1, true}};
    struct mask_options o = {.action = {[MASK_PATTERN] = MASK_REPLACE, [MASK_WORD] = MASK_REPLACE},
                             .patterns = patterns,
                             .n_patterns = 5,
                             .lists = lists,
                             .n_lists = 2};
    static const struct {
        const char *before, *after;
    } rows[] = {
        {"EMP-1234 emp-12 emp-12345", "[EMPLOYEE_ID] emp-12 [EMPLOYEE_ID]5"},
        {"AB123456 ab123456 AB1234567 xAB123456", "[BADGE] ab123456 AB1234567 xAB123456"},
        {"a.b axb", "[QUOTED] axb"},
        {"<<x>> y>> <<z", "[LONG] <<z"},
        {"TOPxyz\\nTOPx\\nTOPabc", "[LINE]\\nTOPx\\n[LINE]"},
        {"ANNA anna Annabel Hanna Anna-Lena Anna Schmidt",
         "[PEOPLE] [PEOPLE] Annabel Hanna [PEOPLE]-Lena [PEOPLE]"},
        {"J\xC3\x9CRGEN j\\u00fcrgen J\xC3\xBCrgens", "[PEOPLE] [PEOPLE] J\xC3\xBCrgens"},
        {"C++11 and C++, c++.", "[PEOPLE]11 and [PEOPLE], [PEOPLE]."},
        {"Falcon FALCON", "[CODES] FALCON"},
    };
    use(&o);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct mask_call c = call_now();
        is(whole(&c, str_of(rows[i].before)), str_of(rows[i].after));
    }
    /* no match is longer than the bound */
    struct mask_call c = call_now();
    struct buf b = {.arena = &arena};
    buf_add(&b, STR("<<"));
    for (unsigned i = 0; i < MASK_WIDTH_MAX; i++) {
        buf_addc(&b, 'x');
    }
    buf_add(&b, STR(">>"));
    is(whole(&c, buf_str(&b)), buf_str(&b));
}

static void refused(const struct mask_options *o, const char *want)
{
    struct mask_policy *p = NULL;
    struct buf errors = {.arena = &arena};
    assert_int_equal(mask_compile(o, &p, &errors), -EINVAL);
    assert_null(p);
    if (str_find(buf_str(&errors), str_of(want)) < 0) {
        fail_msg("no \"%s\" in: %.*s", want, STR_ARG(buf_str(&errors)));
    }
}

static void bad_patterns_are_refused_with_their_place(void **state)
{
    (void)state;
    static const struct {
        const char *regex, *want;
    } rows[] = {
        {"a(b", "pattern \"mine\": at offset 3: missing closing parenthesis"},
        {"ab[z", "pattern \"mine\": at offset 4: missing terminating ]"},
        {"x*", "pattern \"mine\": at offset 0: it matches the empty text"},
        {"(?<=a)b", "at offset 0: "},
        {"abc(?=d)", "at offset 3: "},
        {"(a)\\1", "pattern \"mine\": at offset 3: back references"},
        {"ab\\Acd", "at offset 2: \\A"},
        {"ab\\zcd", "at offset 2: \\A"},
        {"(?x)a b", "at offset 0: of the inline options only i and s"},
        {"a(?-m:^b)", "at offset 1: of the inline options"},
        {"(*UTF8)a", "at offset 0: verbs"},
        {"a{600}", "its shortest match is longer than 512 bytes"},
        {"", "it is empty"},
        {"\xFF", "pattern \"mine\": at offset 0: UTF-8 error"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct mask_pattern one = {T("mine"), str_of(rows[i].regex), false};
        struct mask_options o = {
            .action[MASK_PATTERN] = MASK_REPLACE, .patterns = &one, .n_patterns = 1};
        refused(&o, rows[i].want);
    }
    static const struct mask_pattern twice[] = {{T("a"), T("x"), false}, {T("A"), T("y"), false}},
                                     mail[] = {{T("email"), T("x"), false}},
                                     odd[] = {{T("1st"), T("x"), false}};
    refused(&(struct mask_options){.action[MASK_PATTERN] = MASK_REPLACE,
                                   .patterns = twice,
                                   .n_patterns = 2},
            "pattern \"A\": the name is taken");
    refused(&(struct mask_options){.action[MASK_PATTERN] = MASK_REPLACE,
                                   .patterns = mail,
                                   .n_patterns = 1},
            "the name is taken");
    refused(&(struct mask_options){.action[MASK_PATTERN] = MASK_REPLACE,
                                   .patterns = odd,
                                   .n_patterns = 1},
            "a name is a letter");
    static const struct str bad[] = {T("ok"), T("")};
    static const struct mask_words list = {T("people"), bad, 2, false};
    refused(&(struct mask_options){.action[MASK_WORD] = MASK_REPLACE, .lists = &list, .n_lists = 1},
            "word list \"people\": word 2 is empty");
    static const struct str name = T("_");
    refused(
        &(struct mask_options){.action[MASK_FIELD] = MASK_REPLACE, .names = &name, .n_names = 1},
        "name of a member \"_\"");
}

/* Where nothing comes back, what would be tokenised is replaced, and what looks like a token is none. */
static void one_way_replaces(void **state)
{
    (void)state;
    use_all(MASK_TOKENISE);
    struct mask_call c = call_now();
    c.one_way = true;
    is(body_with(&c, quoted("{'a':'joe@x.org, [EMAIL_1]'}"), NULL, 0),
       quoted("{'a':'[EMAIL], [EMAIL_1]'}"));
    assert_int_equal(c.acted[MASK_EMAIL][MASK_REPLACE], 1);
    assert_null(c._vault);
}

static void tokens_are_counted_from_where_they_are_told_to(void **state)
{
    (void)state;
    use_all(MASK_TOKENISE);
    struct mask_call c = call_now();
    c.first = 5000;
    is(body_with(&c, quoted("{'a':'joe@x.org, ann@x.org'}"), NULL, 0),
       quoted("{'a':'[EMAIL_5001], [EMAIL_5002]'}"));
}

static void members_of_the_outermost_object_only(void **state)
{
    (void)state;
    use_all(MASK_REPLACE);
    static const struct str top = T("model");
    struct mask_call c = call_now();
    is(body_with(&c, quoted("{'x':[{'model':'joe@x.org'}],'model':'joe@x.org'}"),
                 &(struct mask_members){.top = &top, .n_top = 1}, 0),
       quoted("{'x':[{'model':'[EMAIL]'}],'model':'joe@x.org'}"));
}

static void each_pattern_may_have_its_own_action(void **state)
{
    (void)state;
    static const struct mask_pattern two[] = {{T("a"), T("AA[0-9]"), false},
                                              {T("b"), T("BB[0-9]"), false}};
    static const enum mask_action of[] = {MASK_REPORT, MASK_BLOCK};
    use(&(struct mask_options){.action[MASK_PATTERN] = MASK_REPORT,
                               .patterns = two,
                               .n_patterns = 2,
                               .pattern_actions = of});
    struct mask_call c = call_now();
    is(body_with(&c, quoted("{'x':'AA1'}"), NULL, 0), quoted("{'x':'AA1'}"));
    is(body_with(&c, quoted("{'x':'AA1 BB2'}"), NULL, 1), quoted("{'x':'AA1 [B]'}"));
    assert_int_equal(c.blocked_at, strlen("{'x':'AA1 "));
}

/* A pattern that tries too long is a failure, and no silence. */
static void endless_patterns_fail(void **state)
{
    (void)state;
    static const struct mask_pattern one = {T("slow"), T("(?:a|a|a)+b|c"), false};
    struct mask_options o = {
        .action[MASK_PATTERN] = MASK_REPLACE, .patterns = &one, .n_patterns = 1};
    use(&o);
    struct mask_call c = call_now();
    struct mask_splice *s;
    size_t n;
    assert_int_equal(mask_text(&c, STR("aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa c"), &s, &n),
                     -E2BIG);
    assert_int_equal(n, 0);
}

/* The same on machines with and without wide registers. */
static void all_widths_find_the_same(void **state)
{
    (void)state;
    use_all(MASK_REPLACE);
    struct str want = {0};
    enum wide_level best = wide.level;
    for (enum wide_level level = WIDE_PLAIN; level <= WIDE_AVX2; level++) {
        if (!wide_choose(level)) {
            continue;
        }
        struct buf b = {.arena = &arena};
        for (unsigned i = 0; i < 200; i++) {
            buf_printf(&b, "%.*s\\n%u joe%u@x.org, 10.1.2.%u;", (int)(i % 67),
                       "the quick brown fox jumps over the lazy dog, and over the hedge, too", i, i,
                       i % 256);
        }
        struct mask_call c = call_now();
        struct str have = whole(&c, buf_str(&b));
        assert_int_equal(c.counts[MASK_EMAIL], 200);
        assert_int_equal(c.counts[MASK_IP], 200);
        if (want.n) {
            is(have, want);
        }
        want = have;
    }
    assert_true(wide_choose(best));
}

static void words_of_the_configuration(void **state)
{
    (void)state;
    enum mask_kind kind;
    enum mask_action action;
    for (unsigned i = 0; i < MASK_KINDS; i++) {
        assert_int_equal(mask_kind_of(str_of(mask_kind_word((enum mask_kind)i)), &kind), 0);
        assert_int_equal(kind, i);
    }
    assert_int_equal(mask_kind_of(STR("nothing"), &kind), -EINVAL);
    assert_int_equal(mask_action_of(STR("tokenise"), &action), 0);
    assert_int_equal(action, MASK_TOKENISE);
    assert_int_equal(mask_action_of(STR("eat"), &action), -EINVAL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(texts_are_read_through_their_escapes, reset),
        cmocka_unit_test_teardown(every_string_of_a_body_is_looked_at, reset),
        cmocka_unit_test_teardown(names_of_members_are_masked_with_their_values, reset),
        cmocka_unit_test_teardown(documents_within_strings_are_read, reset),
        cmocka_unit_test_teardown(members_can_be_chosen, reset),
        cmocka_unit_test_teardown(each_action_does_its_own, reset),
        cmocka_unit_test_teardown(a_value_has_one_token_in_a_call, reset),
        cmocka_unit_test_teardown(many_values_are_kept, reset),
        cmocka_unit_test_teardown(of_two_that_overlap_no_byte_is_left, reset),
        cmocka_unit_test_teardown(words_and_patterns_of_users, reset),
        cmocka_unit_test_teardown(bad_patterns_are_refused_with_their_place, reset),
        cmocka_unit_test_teardown(endless_patterns_fail, reset),
        cmocka_unit_test_teardown(one_way_replaces, reset),
        cmocka_unit_test_teardown(tokens_are_counted_from_where_they_are_told_to, reset),
        cmocka_unit_test_teardown(members_of_the_outermost_object_only, reset),
        cmocka_unit_test_teardown(each_pattern_may_have_its_own_action, reset),
        cmocka_unit_test_teardown(all_widths_find_the_same, reset),
        cmocka_unit_test_teardown(words_of_the_configuration, reset),
    };
    int r = cmocka_run_group_tests(tests, NULL, NULL);
    mask_scratch_free(scratch);
    pool_trim(&pool, 0);
    return r;
}
