#include "http/aws_frame.h"

#include <errno.h>

enum { SUM_N = 4, HEADER_STRING = 7 };

/* ---- CRC32 (ISO-HDLC, as in zlib), eight bytes at a time ---- */

static uint32_t sums[8][256];

__attribute__((constructor)) static void make_sums(void)
{
    for (uint32_t i = 0; i < 256; i++) {
        uint32_t s = i;
        for (int bit = 0; bit < 8; bit++) {
            s = s >> 1 ^ (s & 1 ? 0xedb88320 : 0);
        }
        sums[0][i] = s;
    }
    for (uint32_t i = 0; i < 256; i++) {
        for (int k = 1; k < 8; k++) {
            sums[k][i] = sums[k - 1][i] >> 8 ^ sums[0][sums[k - 1][i] & 255];
        }
    }
}

static uint32_t crc32_of(const char *p, size_t n)
{
    uint32_t s = ~0U;
    for (; n >= 8; n -= 8, p += 8) {
        uint32_t low, high;
        memcpy(&low, p, 4);
        memcpy(&high, p + 4, 4);
        low ^= s;
        s = sums[7][low & 255] ^ sums[6][low >> 8 & 255] ^ sums[5][low >> 16 & 255] ^
            sums[4][low >> 24] ^ sums[3][high & 255] ^ sums[2][high >> 8 & 255] ^
            sums[1][high >> 16 & 255] ^ sums[0][high >> 24];
    }
    for (; n; n--, p++) {
        s = s >> 8 ^ sums[0][(s ^ (unsigned char)*p) & 255];
    }
    return ~s;
}

/* ---- numbers ---- */

static uint32_t get_u32(const char *p)
{
    uint32_t v;
    memcpy(&v, p, sizeof v);
    return __builtin_bswap32(v);
}

static void put_u32(char *p, size_t value)
{
    uint32_t v = __builtin_bswap32((uint32_t)value);
    memcpy(p, &v, sizeof v);
}

/* ---- reading ---- */

size_t aws_frame_size(const char *p)
{
    size_t all = get_u32(p), headers = get_u32(p + 4);
    bool sound = get_u32(p + 8) == crc32_of(p, 8) && all <= AWS_FRAME_MAX &&
                 all >= AWS_FRAME_PRELUDE + SUM_N && headers <= all - AWS_FRAME_PRELUDE - SUM_N;
    return sound ? all : 0;
}

size_t aws_frame_end(const char *p, size_t n)
{
    if (n < AWS_FRAME_PRELUDE) {
        return 0;
    }
    size_t all = aws_frame_size(p);
    if (all == 0) {
        return AWS_FRAME_BAD;
    }
    if (n < all) {
        return 0;
    }
    return get_u32(p + all - SUM_N) == crc32_of(p, all - SUM_N) ? all : AWS_FRAME_BAD;
}

/* The value of a header of this type, off the front of `rest`; false when it is cut off or unknown. */
static bool take_value(struct str *rest, unsigned char type, struct str *ret)
{
    static const unsigned char fixed[] = {0, 0, 1, 2, 4, 8, 0, 0, 8, 16};
    size_t n;
    if (type >= sizeof fixed) {
        return false;
    }
    if (type == 6 || type == HEADER_STRING) {
        if (rest->n < 2) {
            return false;
        }
        n = (size_t)(unsigned char)rest->p[0] << 8 | (unsigned char)rest->p[1];
        *rest = str_from(*rest, 2);
    } else {
        n = fixed[type];
    }
    if (rest->n < n) {
        return false;
    }
    *ret = str_first(*rest, n);
    *rest = str_from(*rest, n);
    return true;
}

static bool take_header(struct str *rest, struct str *ret_name, unsigned char *ret_type,
                        struct str *ret_value)
{
    size_t n = (unsigned char)rest->p[0];
    if (n == 0 || rest->n < 1 + n + 1) {
        return false;
    }
    *ret_name = str_make(rest->p + 1, n);
    *ret_type = (unsigned char)rest->p[1 + n];
    *rest = str_from(*rest, 1 + n + 1);
    return take_value(rest, *ret_type, ret_value);
}

int aws_frame_read(struct str frame, struct aws_frame *ret)
{
    struct aws_frame f = {0};
    struct str name, value, event = {0}, exception = {0}, code = {0};
    unsigned char type;
    if (frame.n < AWS_FRAME_PRELUDE + SUM_N ||
        get_u32(frame.p + 4) > frame.n - AWS_FRAME_PRELUDE - SUM_N) {
        return -EBADMSG;
    }
    struct str rest = str_make(frame.p + AWS_FRAME_PRELUDE, get_u32(frame.p + 4));
    const char *behind = rest.p + rest.n;
    while (rest.n) {
        if (!take_header(&rest, &name, &type, &value)) {
            return -EBADMSG;
        }
        if (type != HEADER_STRING) {
            continue;
        }
        if (str_eq(name, STR(":event-type"))) {
            event = value;
        } else if (str_eq(name, STR(":exception-type"))) {
            exception = value;
        } else if (str_eq(name, STR(":error-code"))) {
            code = value;
        } else if (str_eq(name, STR(":error-message"))) {
            f.message = value;
        } else if (str_eq(name, STR(":message-type"))) {
            f.type = str_eq(value, STR("exception")) ? AWS_FRAME_EXCEPTION
                     : str_eq(value, STR("error"))   ? AWS_FRAME_ERROR
                                                     : AWS_FRAME_EVENT;
        }
    }
    f.name = f.type == AWS_FRAME_EVENT ? event : f.type == AWS_FRAME_EXCEPTION ? exception : code;
    f.payload = str_make(behind, (size_t)(frame.p + frame.n - SUM_N - behind));
    *ret = f;
    return 0;
}

/* ---- writing ---- */

static void put_header(struct buf *b, struct str name, struct str value)
{
    char *at = buf_room(b, 1 + name.n + 3 + value.n);
    if (!at) {
        return;
    }
    *at++ = (char)name.n;
    memcpy(at, name.p, name.n);
    at += name.n;
    *at++ = HEADER_STRING;
    *at++ = (char)(value.n >> 8);
    *at++ = (char)value.n;
    if (value.n) {
        memcpy(at, value.p, value.n);
    }
}

size_t aws_frame_begin(struct buf *b, enum aws_frame_type type, struct str name)
{
    static const struct {
        struct str header, type;
    } words[] = {
        [AWS_FRAME_EVENT] = {{":event-type", 11}, {"event", 5}},
        [AWS_FRAME_EXCEPTION] = {{":exception-type", 15}, {"exception", 9}},
        [AWS_FRAME_ERROR] = {{":error-code", 11}, {"error", 5}},
    };
    size_t at = b->n;
    char *prelude = buf_room(b, AWS_FRAME_PRELUDE);
    if (prelude) {
        memset(prelude, 0, AWS_FRAME_PRELUDE);
    }
    put_header(b, words[type].header, str_first(name, 255));
    put_header(b, STR(":content-type"), STR("application/json"));
    put_header(b, STR(":message-type"), words[type].type);
    if (prelude && !b->overflow) {
        put_u32(b->p + at + 4, b->n - at - AWS_FRAME_PRELUDE);
    }
    return at;
}

void aws_frame_finish(struct buf *b, size_t at)
{
    char *sum = buf_room(b, SUM_N);
    if (!sum || b->overflow) {
        return;
    }
    char *p = b->p + at;
    size_t n = b->n - at;
    put_u32(p, n);
    put_u32(p + 8, crc32_of(p, 8));
    put_u32(p + n - SUM_N, crc32_of(p, n - SUM_N));
}
