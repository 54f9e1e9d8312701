/* HTTP/1.1 message heads and the chunked coding (RFC 9112), strict: what is ambiguous is refused,
 * never repaired. Pure: bytes in, numbers out. */
#ifndef HTTP_H1_H
#define HTTP_H1_H

#include <sys/types.h>

#include "http/header.h"

enum { H1_FIELDS_MAX = 128 };

/* A field as offsets into the head, so that a head can be moved by changing `base`. A field's whole
 * line, CRLF included, is [name, end). */
struct h1_field {
    uint32_t name, value, value_n, end;
    uint16_t name_n;
    uint16_t id; /* enum header_id */
};

enum h1_method {
    M_OTHER,
    M_GET,
    M_HEAD,
    M_POST,
    M_PUT,
    M_PATCH,
    M_DELETE,
    M_OPTIONS,
};

enum h1_body {
    BODY_NONE,
    BODY_LENGTH,
    BODY_CHUNKED,
    BODY_TO_CLOSE, /* answers only */
};

/* The bytes of the head before. Callers repeat theirs, and a line means what its bytes mean: one that stands
 * there as it did in the last head need not be parsed again. Zero is the initial state; it belongs to one struct
 * h1_head and its fields, which stay as they were between two heads. It holds what callers sent, keys included, so it
 * is printed nowhere. */
enum { H1_MEMO_BYTES = 2048 };
struct h1_memo {
    uint32_t n; /* 0: there is none */
    uint32_t n_fields;
    enum h1_body body; /* as its fields say, whatever its answer's status says to it */
    bool keep_alive;
    char bytes[H1_MEMO_BYTES];
};

struct h1_head {
    const char *base;
    uint32_t n; /* bytes of the head, the empty line included */
    uint32_t n_fields;
    struct h1_field *fields; /* H1_FIELDS_MAX of room, the caller's */
    struct h1_memo *memo;    /* the caller's; NULL: none */
    enum h1_method method;
    uint32_t method_n; /* the method's name is at base + method_at */
    uint32_t method_at;
    uint32_t target, target_n; /* requests: as it stands */
    uint32_t path, path_n;     /* the path part of it, without query */
    uint32_t query, query_n;   /* behind '?', possibly empty */
    uint16_t status;           /* answers */
    uint8_t minor;             /* HTTP/1.minor */
    bool keep_alive;
    bool expect_continue;
    bool nominates; /* Connection names fields besides close and keep-alive */
    bool upgrade;   /* Connection names upgrade */
    enum h1_body body;
    uint64_t length;      /* BODY_LENGTH */
    uint16_t at[H_COUNT]; /* 1 + index of the first field with that id; 0: absent */
};

/* Parses a head at p[0..n). Returns its length, 0 when it is not complete yet, or a refusal:
 * -400, -414 (target over `max`), -431 (head over `max`, or too many fields), -505, -417, -501.
 * `*ret_why` is then one static sentence. A leading empty line is skipped (RFC 9112, 2.2). */
__attribute__((warn_unused_result)) int h1_request(struct h1_head *h, const char *p, size_t n,
                                                   size_t max, const char **ret_why);

/* The same for an answer to a request with `method`; refusals are -EBADMSG and -EMSGSIZE. */
__attribute__((warn_unused_result)) int h1_answer(struct h1_head *h, const char *p, size_t n,
                                                  size_t max, enum h1_method method,
                                                  const char **ret_why);

static inline struct str h1_slice(const struct h1_head *h, uint32_t at, uint32_t n)
{
    return str_make(h->base + at, n);
}

static inline struct str h1_name(const struct h1_head *h, const struct h1_field *f)
{
    return h1_slice(h, f->name, f->name_n);
}

static inline struct str h1_value(const struct h1_head *h, const struct h1_field *f)
{
    return h1_slice(h, f->value, f->value_n);
}

/* The first field with that id; empty (p NULL) when absent. */
struct str h1_get(const struct h1_head *h, enum header_id id);
/* The first field with that name, in any case; for fields that are not in the table. */
struct str h1_find(const struct h1_head *h, struct str name);
/* Whether the list value of `id` holds `token`, over all its lines (RFC 9110, 5.6.1). */
bool h1_has_token(const struct h1_head *h, enum header_id id, struct str token);

/* The chunked coding, piece by piece. Zero is the initial state. */
struct h1_chunked {
    uint64_t left; /* of the present chunk */
    uint32_t state;
    uint32_t line; /* bytes of the present size line or trailer section */
};

enum h1_chunk { CHUNK_MORE, CHUNK_DATA, CHUNK_END };

/* Reads on at *p (before `end`): CHUNK_DATA with a piece of content, CHUNK_MORE when the input is
 * used up, CHUNK_END behind the trailer section (dropped; at most 8 KiB). -EBADMSG when malformed;
 * a size line is at most 256 bytes, its extensions included. */
int h1_chunked(struct h1_chunked *c, const char **p, const char *end, struct str *ret_piece);

#endif
