/* The strict JSON scanner: one pass over a whole document (RFC 8259), no tree, no allocation.
 *
 * It accepts exactly what RFC 8259 and RFC 3629 allow (UTF-8, no BOM, at most JSON_DEPTH_MAX
 * levels) and, in the same pass, records where the top-level members are that the caller asks for.
 * It is the only opinion in this program about what is JSON: the tree builder (json/tree.h) uses it
 * too. */
#ifndef JSON_SCAN_H
#define JSON_SCAN_H

#include "base/str.h"

enum { JSON_DEPTH_MAX = 512 };

enum json_type {
    JSON_NONE = 0, /* not there */
    JSON_NULL,
    JSON_FALSE,
    JSON_TRUE,
    JSON_NUMBER,
    JSON_STRING,
    JSON_ARRAY,
    JSON_OBJECT,
};

/* A top-level member that the caller acts on. `name` is set by the caller, the rest by the scan.
 * Slices point into the document. */
struct json_want {
    struct str name;
    enum json_type type; /* of the last one seen; JSON_NONE when absent */
    uint32_t count;      /* how often it stood there, escaped spellings ("mod\u0065l") included */
    bool escaped;        /* one of them was spelled with an escape */
    bool
        cased; /* it stands there in other letters ("Model"): another member, but not for every server */
    struct str key;   /* the last one's key, quotes included */
    struct str value; /* its value, as it stands (a string with its quotes) */
};

struct json_error {
    size_t at;       /* offset of the offending byte; the document's length when it ended early */
    const char *why; /* static text: "a comma or a closing brace is missing" */
};

/* Scans the whole document at `doc`. When its value is an object, fills `want[0..nwant)`; otherwise
 * they stay JSON_NONE. `*ret_top` (may be NULL) is the type of the top-level value. Returns 0, or
 * -EBADMSG with `*ret_error` (may be NULL) filled. */
__attribute__((warn_unused_result)) int json_scan(struct str doc, struct json_want *want,
                                                  size_t nwant, enum json_type *ret_top,
                                                  struct json_error *ret_error);

/* The same scan for a document that is passed on byte for byte: structure, nesting, words and
 * numbers as strictly, and as strictly the names of top-level members and the values of wanted ones
 * that are strings. Of all other texts only the end is looked for; whether their bytes are UTF-8,
 * free of control characters and rightly escaped is for the one who takes them out to judge.
 *
 * Safe, because text cannot pass for structure: a string ends at the first quote that no backslash
 * escapes, and a backslash takes exactly the byte behind it along, in both modes. (A \u and its
 * digits need no more: digits are neither quotes nor backslashes; nor are the bytes of a sequence
 * of UTF-8.) So of every document that json_scan accepts, both see the same strings, the same
 * members and the same values; and what only this one accepts would be accepted by json_scan, with
 * the same members, if the bytes inside of those strings were harmless ones. */
__attribute__((warn_unused_result)) int json_scan_members(struct str doc, struct json_want *want,
                                                          size_t nwant, enum json_type *ret_top,
                                                          struct json_error *ret_error);

/* The text of a JSON string (`quoted` with its quotes, already validated by json_scan) with escapes
 * decoded into `to` (at least quoted.n bytes); returns the length. A lone surrogate becomes U+FFFD.
 * A string that was only passed over (json_scan_members) comes out as something, within bounds.
 * When there is no escape in it, str_from/str_first on the slice is cheaper: json_plain() tells. */
size_t json_unescape(struct str quoted, char *to);

/* Where in a valid document half of a surrogate pair is escaped without the other, which no text can
 * hold (json_unescape() makes U+FFFD of it); -1: nowhere. */
ptrdiff_t json_half_pair(struct str doc);

/* Whether a quoted string holds no escape; `*ret` is then the text between the quotes. */
bool json_plain(struct str quoted, struct str *ret);

/* An integer literal (no fraction, no exponent) as int64: 0, -EINVAL or -ERANGE. */
__attribute__((warn_unused_result)) int json_int(struct str value, int64_t *ret);

/* Iterates over the members of an object span (`{...}`, already validated by json_scan) or the
 * elements of an array span: for (at = 0; json_each(span, &at, &key, &value, &type);). `key` is
 * quoted, and empty for arrays. For small spans such as a usage object. */
bool json_each(struct str span, size_t *at, struct str *key, struct str *value,
               enum json_type *type);

/* The member `name` of an object span (validated), JSON_NONE when absent; the last one when
 * doubled. White space around the object is passed over; another value has no members. */
enum json_type json_member(struct str span, struct str name, struct str *ret_value);

#endif
