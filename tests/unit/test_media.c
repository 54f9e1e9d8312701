/* What an answer may be taken for. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "dialect/media.h"

#define PNG  "\x89PNG\r\n\x1a\n\0\0\0\rIHDR"
#define WEBP "RIFF\x10\0\0\0WEBPVP8 "
#define DOCX "application/vnd.openxmlformats-officedocument.wordprocessingml.document"

static const struct {
    enum ir_kind kind;
    const char *wanted, *declared;
    enum media media;
} declared[] = {
    {IR_IMAGE, "", "image/png", MEDIA_BINARY},
    {IR_IMAGE, "", "IMAGE/JPG; q=1", MEDIA_BINARY},
    {IR_IMAGE, "", "image/heic", MEDIA_BINARY},
    {IR_IMAGE, "", "", MEDIA_BINARY},
    {IR_IMAGE, "", "application/octet-stream", MEDIA_BINARY},
    {IR_IMAGE, "", "binary/octet-stream", MEDIA_BINARY},
    {IR_IMAGE, "", "image/svg+xml", MEDIA_REFUSED},
    {IR_IMAGE, "", "image/tiff", MEDIA_REFUSED},
    {IR_IMAGE, "", "text/html; charset=utf-8", MEDIA_REFUSED},
    {IR_IMAGE, "", "text/plain", MEDIA_REFUSED},
    {IR_IMAGE, "", "application/pdf", MEDIA_REFUSED},
    {IR_IMAGE, "", "audio/wav", MEDIA_REFUSED},
    {IR_DOCUMENT, "", "application/pdf", MEDIA_BINARY},
    {IR_DOCUMENT, "", DOCX, MEDIA_BINARY},
    {IR_DOCUMENT, "", "text/plain;charset=UTF-8", MEDIA_TEXT},
    {IR_DOCUMENT, "", "text/csv", MEDIA_TEXT},
    {IR_DOCUMENT, "", "application/json", MEDIA_TEXT},
    {IR_DOCUMENT, "", "text/html", MEDIA_REFUSED},
    {IR_DOCUMENT, "text/html", "text/html", MEDIA_TEXT},
    {IR_DOCUMENT, "", "image/png", MEDIA_REFUSED},
    {IR_DOCUMENT, "", "application/zip", MEDIA_REFUSED},
    {IR_AUDIO, "", "audio/x-wav", MEDIA_BINARY},
    {IR_AUDIO, "", "text/plain", MEDIA_REFUSED},
};

static void as_declared(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof declared / sizeof *declared; i++) {
        enum media m = media_declared(declared[i].kind, str_of(declared[i].wanted),
                                      str_of(declared[i].declared));
        if (m != declared[i].media) {
            fail_msg("%zu: %s is %d", i, declared[i].declared, m);
        }
    }
}

#define F(text) text, sizeof(text) - 1

static const struct {
    enum ir_kind kind;
    const char *declared, *front;
    size_t n;
    const char *found;
} fronts[] = {
    {IR_IMAGE, "image/png", F(PNG), "image/png"},
    {IR_IMAGE, "image/jpeg", F("\xff\xd8\xff\xe0"), "image/jpeg"},
    {IR_IMAGE, "image/gif", F("GIF89a.."), "image/gif"},
    {IR_IMAGE, "image/webp", F(WEBP), "image/webp"},
    {IR_IMAGE, "image/heic",
     F("\0\0\0\x18"
       "ftypheic\0\0"),
     "image/heic"},
    {IR_IMAGE, "image/heif",
     F("\0\0\0\x18"
       "ftypmif1\0\0"),
     "image/heif"},
    {IR_IMAGE, "image/jpeg", F(WEBP), "image/webp"}, /* the bytes know better */
    {IR_IMAGE, "", F(PNG), "image/png"},
    {IR_IMAGE, "application/octet-stream", F(PNG), "image/png"},
    {IR_IMAGE, "image/png", F("<html><body>Sign in"), ""},
    {IR_IMAGE, "image/png", F("%PDF-1.7"), ""},
    {IR_IMAGE, "image/png", F("\x89PN"), ""},
    {IR_IMAGE, "image/png", F(""), ""},
    {IR_IMAGE, "image/webp", F("RIFF\x10\0\0\0WAVEfmt "), ""},
    {IR_IMAGE, "", F("root:x:0:0:"), ""},
    {IR_DOCUMENT, "application/pdf", F("%PDF-1.7"), "application/pdf"},
    {IR_DOCUMENT, "", F("%PDF-1.7"), "application/pdf"},
    {IR_DOCUMENT, "application/pdf", F("<!doctype html>"), ""},
    {IR_DOCUMENT, "application/pdf", F("PK\3\4...."), ""},
    {IR_DOCUMENT, DOCX, F("PK\3\4...."), DOCX},
    {IR_DOCUMENT, DOCX, F("%PDF-1.7"), ""},
    {IR_DOCUMENT, "", F("PK\3\4...."), ""}, /* any archive */
    {IR_AUDIO, "audio/wav", F("RIFF\x10\0\0\0WAVEfmt "), "audio/wav"},
    {IR_AUDIO, "audio/mp3", F("ID3\4"), "audio/mpeg"},
    {IR_AUDIO, "audio/mpeg", F("\xff\xfb\x90"), "audio/mpeg"},
    {IR_AUDIO, "audio/wav", F("OggS"), ""},
};

static void as_the_bytes_say(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof fronts / sizeof *fronts; i++) {
        char *own = malloc(fronts[i].n + 1);
        assert_non_null(own);
        memcpy(own, fronts[i].front, fronts[i].n);
        char *tight = realloc(own, fronts[i].n ? fronts[i].n : 1); /* a sanitizer sees its end */
        assert_non_null(tight);
        struct str found =
            media_found(fronts[i].kind, str_of(fronts[i].declared), str_make(tight, fronts[i].n));
        if (!str_eq(found, str_of(fronts[i].found))) {
            fail_msg("%zu: %s is taken for \"%.*s\"", i, fronts[i].declared, STR_ARG(found));
        }
        free(tight);
    }
}

static void texts(void **state)
{
    struct arena a = {0};
    (void)state;
    assert_true(str_eq(media_text(&a, STR("\xef\xbb\xbfsay \"\xc3\xa9\"\n")),
                       STR("say \\\"\xc3\xa9\\\"\\n")));
    assert_null(media_text(&a, STR("caf\xe9")).p);
    assert_null(media_text(&a, STR("a\0b")).p);
    arena_reset(&a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(as_declared),
        cmocka_unit_test(as_the_bytes_say),
        cmocka_unit_test(texts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
