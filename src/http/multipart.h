/* multipart/form-data (RFC 7578) as it passes by: finds the value of one field, the way the server
 * that reads the form will find it, across any split of the bytes, and never holds a file.
 *
 * Strict where readers differ: a field that stands there twice, that comes as a file or under an
 * encoded name, makes the form ambiguous. */
#ifndef HTTP_MULTIPART_H
#define HTTP_MULTIPART_H

#include "base/str.h"

enum { MULTIPART_BOUNDARY_MAX = 70, MULTIPART_HEADER_MAX = 4096, MULTIPART_VALUE_MAX = 256 };

struct multipart {
    struct str field;  /* the name that is looked for */
    uint64_t at;       /* bytes seen */
    uint64_t value_at; /* where the field's value starts, and its length: once found */
    uint32_t value_n;
    bool found;
    bool ended;        /* the closing delimiter came by */
    const char *error; /* why the form is refused; static text */
    uint8_t _state;
    bool _is_field;
    uint32_t _matched; /* bytes of the delimiter */
    uint32_t _delimiter_n, _header_n;
    char _delimiter[MULTIPART_BOUNDARY_MAX + 4]; /* CR LF "--" boundary */
    char _header[MULTIPART_HEADER_MAX];
};

/* Begins; `content_type` is the field's value with its boundary parameter. -EINVAL without a good
 * one. */
__attribute__((warn_unused_result)) int multipart_start(struct multipart *m,
                                                        struct str content_type, struct str field);

/* What stands before each part but the first: CR LF "--" and the boundary. */
struct str multipart_delimiter(const struct multipart *m);

/* Takes the next piece. -EBADMSG once m->error is set. */
__attribute__((warn_unused_result)) int multipart_feed(struct multipart *m, struct str piece);

#endif
