#include "dialect/media.h"

#include "base/utf8.h"

/* How files of these types begin: `magic` at `at`, and `then` behind it at 8. */
static const struct format_sign {
    enum ir_kind kind;
    struct str type;
    unsigned at;
    struct str magic, then;
} signs[] = {
    {IR_IMAGE, {"image/png", 9}, 0, {"\x89PNG\r\n\x1a\n", 8}, {0}},
    {IR_IMAGE, {"image/jpeg", 10}, 0, {"\xff\xd8\xff", 3}, {0}},
    {IR_IMAGE, {"image/gif", 9}, 0, {"GIF87a", 6}, {0}},
    {IR_IMAGE, {"image/gif", 9}, 0, {"GIF89a", 6}, {0}},
    {IR_IMAGE, {"image/webp", 10}, 0, {"RIFF", 4}, {"WEBP", 4}},
    {IR_IMAGE, {"image/heic", 10}, 4, {"ftyp", 4}, {"heic", 4}},
    {IR_IMAGE, {"image/heic", 10}, 4, {"ftyp", 4}, {"heix", 4}},
    {IR_IMAGE, {"image/heic", 10}, 4, {"ftyp", 4}, {"hevc", 4}},
    {IR_IMAGE, {"image/heic", 10}, 4, {"ftyp", 4}, {"heim", 4}},
    {IR_IMAGE, {"image/heif", 10}, 4, {"ftyp", 4}, {"mif1", 4}},
    {IR_IMAGE, {"image/heif", 10}, 4, {"ftyp", 4}, {"msf1", 4}},
    {IR_DOCUMENT, {"application/pdf", 15}, 0, {"%PDF-", 5}, {0}},
    {IR_DOCUMENT, {"application/msword", 18}, 0, {"\xd0\xcf\x11\xe0", 4}, {0}},
    {IR_DOCUMENT, {"application/vnd.ms-excel", 24}, 0, {"\xd0\xcf\x11\xe0", 4}, {0}},
    {IR_DOCUMENT,
     {"application/vnd.openxmlformats-officedocument.wordprocessingml.document", 71},
     0,
     {"PK\x03\x04", 4},
     {0}},
    {IR_DOCUMENT,
     {"application/vnd.openxmlformats-officedocument.spreadsheetml.sheet", 65},
     0,
     {"PK\x03\x04", 4},
     {0}},
    {IR_AUDIO, {"audio/wav", 9}, 0, {"RIFF", 4}, {"WAVE", 4}},
    {IR_AUDIO, {"audio/flac", 10}, 0, {"fLaC", 4}, {0}},
    {IR_AUDIO, {"audio/ogg", 9}, 0, {"OggS", 4}, {0}},
    {IR_AUDIO, {"audio/mpeg", 10}, 0, {"ID3", 3}, {0}},
    {IR_AUDIO, {"audio/mpeg", 10}, 0, {"\xff\xfb", 2}, {0}},
    {IR_AUDIO, {"audio/mpeg", 10}, 0, {"\xff\xf3", 2}, {0}},
    {IR_AUDIO, {"audio/mpeg", 10}, 0, {"\xff\xf2", 2}, {0}},
    {IR_AUDIO, {"audio/aac", 9}, 0, {"\xff\xf1", 2}, {0}},
    {IR_AUDIO, {"audio/aac", 9}, 0, {"\xff\xf9", 2}, {0}},
};

enum { SIGNS = sizeof signs / sizeof *signs };

/* Names that servers use for some of them. */
static const struct {
    struct str alias, type;
} aliases[] = {
    {{"image/jpg", 9}, {"image/jpeg", 10}},
    {{"image/pjpeg", 11}, {"image/jpeg", 10}},
    {{"image/x-png", 11}, {"image/png", 9}},
    {{"application/x-pdf", 17}, {"application/pdf", 15}},
    {{"audio/mp3", 9}, {"audio/mpeg", 10}},
    {{"audio/x-wav", 11}, {"audio/wav", 9}},
    {{"audio/wave", 10}, {"audio/wav", 9}},
    {{"audio/vnd.wave", 14}, {"audio/wav", 9}},
    {{"audio/x-flac", 12}, {"audio/flac", 10}},
    {{"application/ogg", 15}, {"audio/ogg", 9}},
    {{"audio/x-aac", 11}, {"audio/aac", 9}},
};

/* "image/jpg; q=1" is image/jpeg. */
static struct str type_of(struct str content_type)
{
    struct str type;
    str_cut(&content_type, ';', &type);
    type = str_trim(type);
    for (size_t i = 0; i < sizeof aliases / sizeof *aliases; i++) {
        if (str_ieq(type, aliases[i].alias)) {
            return aliases[i].type;
        }
    }
    return type;
}

/* Stores that know no types send everything as bytes: then these alone tell. */
static bool is_untold(struct str type)
{
    return type.n == 0 || str_ieq(type, STR("application/octet-stream")) ||
           str_ieq(type, STR("binary/octet-stream"));
}

static bool is_text(struct str type)
{
    return str_istarts(type, STR("text/")) || str_ieq(type, STR("application/json")) ||
           str_ieq(type, STR("application/xml"));
}

enum media media_declared(enum ir_kind kind, struct str wanted, struct str content_type)
{
    struct str type = type_of(content_type);
    if (is_untold(type)) {
        return MEDIA_BINARY;
    }
    for (unsigned i = 0; i < SIGNS; i++) {
        if (signs[i].kind == kind && str_ieq(signs[i].type, type)) {
            return MEDIA_BINARY;
        }
    }
    /* Pages about signing in and about errors are HTML: who wants HTML says so. */
    bool html = str_ieq(type, STR("text/html")) && !str_ieq(type_of(wanted), STR("text/html"));
    return kind == IR_DOCUMENT && is_text(type) && !html ? MEDIA_TEXT : MEDIA_REFUSED;
}

static bool begins(const struct format_sign *s, struct str front)
{
    return str_starts(str_from(front, s->at), s->magic) && str_starts(str_from(front, 8), s->then);
}

struct str media_found(enum ir_kind kind, struct str content_type, struct str front)
{
    struct str type = type_of(content_type);
    bool any = kind == IR_IMAGE || is_untold(type);
    for (unsigned i = 0; i < SIGNS; i++) {
        /* Of the office's formats the bytes tell the container alone. */
        bool told = signs[i].kind != IR_DOCUMENT || signs[i].magic.n > 4;
        if (signs[i].kind == kind && begins(&signs[i], front) &&
            (str_ieq(signs[i].type, type) || (any && told))) {
            return signs[i].type;
        }
    }
    return (struct str){0};
}

struct str media_taken(enum ir_kind kind)
{
    switch (kind) {
    case IR_IMAGE:
        return STR("image/png, image/jpeg, image/gif, image/webp, image/heic, image/heif");
    case IR_AUDIO:
        return STR("audio/wav, audio/mpeg, audio/flac, audio/ogg, audio/aac");
    default:
        return STR("application/pdf, text/*, application/json, application/xml, "
                   "application/msword, application/vnd.ms-excel, "
                   "application/vnd.openxmlformats-officedocument.*");
    }
}

struct str media_text(struct arena *a, struct str bytes)
{
    if (str_starts(bytes, STR("\xef\xbb\xbf"))) {
        bytes = str_from(bytes, 3);
    }
    for (size_t i = 0; i < bytes.n;) {
        size_t n = utf8_len(bytes.p + i, bytes.n - i);
        if (n == 0 || bytes.p[i] == 0) {
            return (struct str){0};
        }
        i += n;
    }
    struct buf b = {.arena = a, .limit = SIZE_MAX / 4};
    (void)buf_room(&b, bytes.n + bytes.n / 16 + 64); /* grown once, mostly */
    b.n = 0;
    buf_add_json(&b, bytes);
    return buf_str(&b);
}
