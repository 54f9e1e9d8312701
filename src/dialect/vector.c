#include "dialect/vector.h"

#include <errno.h>
#include <float.h>
#include <math.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>

#include "dialect/ir.h"
#include "json/walk.h"

/* ---- one number ---- */

/* Powers of ten that a double holds exactly. */
static const double tens[] = {1e0,  1e1,  1e2,  1e3,  1e4,  1e5,  1e6,  1e7,
                              1e8,  1e9,  1e10, 1e11, 1e12, 1e13, 1e14, 1e15,
                              1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22};
enum { TENS_MAX = 22, DIGITS_MAX = 19 /* as many as 64 bits hold */ };

/* m times 10^exponent; false when that cannot be sworn to. At most three roundings of a double lie behind d
 * (its digits cut, m made a double, the power applied), so it is less than four of its last units off. Its
 * rounding to a float32 is the true value's as well, unless it lies that near to the middle of two floats. */
static bool scale(uint64_t m, int exponent, float *ret)
{
    if (exponent < -TENS_MAX || exponent > TENS_MAX) {
        return false;
    }
    double d = exponent < 0 ? (double)m / tens[-exponent] : (double)m * tens[exponent];
    uint64_t bits;
    memcpy(&bits, &d, sizeof bits);
    const int64_t middle = INT64_C(1) << 28; /* of the 29 bits that a double has more */
    int64_t off = (int64_t)(bits & ((UINT64_C(1) << 29) - 1)) - middle;
    if (m != 0 && ((off > -4 && off < 4) || d < (double)FLT_MIN || d > 1e38)) {
        return false;
    }
    *ret = (float)d;
    return true;
}

float vector_read_float(const char **p, const char *end)
{
    const char *at = *p;
    bool negative = *at == '-';
    uint64_t m = 0;
    unsigned digits = 0;
    int exponent = 0;
    at += negative;
    for (bool fraction = false; at < end; at++) {
        if (*at == '.' && !fraction) {
            fraction = true;
            continue;
        }
        if (*at < '0' || *at > '9') {
            break;
        }
        if (digits == DIGITS_MAX) { /* what follows is below the last unit of a double */
            exponent += !fraction && exponent < 10000;
            continue;
        }
        digits += m != 0 || *at != '0';
        m = m * 10 + (uint64_t)(*at - '0');
        exponent -= fraction && exponent > -10000;
    }
    if (at < end && (*at | 0x20) == 'e') {
        bool down = at + 1 < end && at[1] == '-';
        int e = 0;
        at += at + 1 < end && (at[1] == '-' || at[1] == '+') ? 2 : 1;
        for (; at < end && *at >= '0' && *at <= '9'; at++) {
            e = e < 10000 ? e * 10 + (*at - '0') : e;
        }
        exponent += down ? -e : e;
    }
    float f;
    if (!scale(m, exponent, &f)) {
        f = strtof(*p, NULL);
    } else if (negative) {
        f = -f;
    }
    *p = at;
    return f;
}

/* The digits of m, of which the first stands for 10^top, without zeros at the end. */
static size_t put_digits(char *to, uint64_t m, int top)
{
    char digits[20], *at = to;
    size_t n = u64_print(digits, m);
    while (n > 1 && digits[n - 1] == '0') {
        n--;
    }
    if (top >= -5 && top < 0) {
        *at++ = '0';
        *at++ = '.';
        for (int i = -1; i > top; i--) {
            *at++ = '0';
        }
        memcpy(at, digits, n);
        return (size_t)(at + n - to);
    }
    size_t whole = top < 0 || top > 8 ? 1 : (size_t)top + 1;
    for (size_t i = 0; i < whole || i < n; i++) {
        if (i == whole) {
            *at++ = '.';
        }
        *at++ = i < n ? digits[i] : '0';
    }
    if (top < 0 || top > 8) {
        at += snprintf(at, 6, "e%d", top);
    }
    return (size_t)(at - to);
}

/* The power of ten of the first digit of x, which is above 0 and of the size that embeddings have. */
static int top_of(double x)
{
    int top = 0;
    if (x >= 1) {
        while (x >= tens[top + 1]) {
            top++;
        }
        return top;
    }
    while (x * tens[-top] < 1) {
        top--;
    }
    return top;
}

size_t vector_print_float(char *to, float f)
{
    size_t sign = f < 0;
    double x = f < 0 ? -(double)f : (double)f;
    if (x == 0) {
        struct str zero = signbit(f) ? STR("-0.0") : STR("0"); /* "-0" is read as an integer */
        memcpy(to, zero.p, zero.n);
        return zero.n;
    }
    *to = '-';
    /* Up to six digits any float32 keeps, so fewer need not be tried; nine are always enough. */
    for (int digits = 6; x > 1e-9 && x < 1e9 && digits <= 9; digits++) {
        int top = top_of(x), exponent = digits - 1 - top;
        double scaled = exponent < 0 ? x / tens[-exponent] : x * tens[exponent];
        uint64_t m = (uint64_t)(scaled + 0.5);
        float back;
        if (scale(m, -exponent, &back) && back == (f < 0 ? -f : f)) {
            top += m >= (uint64_t)tens[digits]; /* 9.99999 became 10.0000 */
            return sign + put_digits(to + sign, m, top);
        }
    }
    char text[VECTOR_FLOAT_ROOM];
    int n = 0;
    for (int digits = 1; digits <= 9; digits++) {
        n = snprintf(text, sizeof text, "%.*g", digits, (double)f);
        if (strtof(text, NULL) == f) {
            break;
        }
    }
    memcpy(to, text, (size_t)n);
    return (size_t)n;
}

/* ---- whole vectors ---- */

static bool is_finite(float f)
{
    return f >= -FLT_MAX && f <= FLT_MAX;
}

static void put_bytes(unsigned char *to, float f)
{
    uint32_t word;
    memcpy(&word, &f, sizeof word);
    to[0] = (unsigned char)word;
    to[1] = (unsigned char)(word >> 8);
    to[2] = (unsigned char)(word >> 16);
    to[3] = (unsigned char)(word >> 24);
}

static float take_bytes(const unsigned char *from)
{
    uint32_t word =
        from[0] | (uint32_t)from[1] << 8 | (uint32_t)from[2] << 16 | (uint32_t)from[3] << 24;
    float f;
    memcpy(&f, &word, sizeof f);
    return f;
}

/* Both in pieces of so many floats, whose bytes are whole groups of base64. */
enum { PIECE = 192, PIECE_BYTES = PIECE * 4, PIECE_TEXT = PIECE_BYTES / 3 * 4 };

static void encode(struct buf *b, const unsigned char *bytes, size_t n)
{
    size_t text = sodium_base64_encoded_len(n, sodium_base64_VARIANT_ORIGINAL);
    char *at = buf_room(b, text); /* with the NUL that it writes */
    if (at) {
        sodium_bin2base64(at, text, bytes, n, sodium_base64_VARIANT_ORIGINAL);
        b->n--;
    }
}

int vector_to_base64(struct buf *b, struct str numbers)
{
    struct walk w = walk_at(numbers);
    unsigned char bytes[PIECE_BYTES];
    size_t n = 0;
    for (bool more = walk_array(&w); more && walk_element(&w);) {
        if (walk_type(&w) != JSON_NUMBER) {
            return -EBADMSG;
        }
        float f = vector_read_float(&w.p, w.end);
        if (!is_finite(f)) {
            return -EBADMSG;
        }
        put_bytes(bytes + n, f);
        n += 4;
        if (n == PIECE_BYTES) {
            encode(b, bytes, n);
            n = 0;
        }
    }
    if (n) {
        encode(b, bytes, n);
    }
    return 0;
}

static int decode(struct buf *b, struct str text)
{
    unsigned char bytes[PIECE_BYTES];
    size_t n;
    int variant = text.n % 4 == 0 ? sodium_base64_VARIANT_ORIGINAL
                                  : sodium_base64_VARIANT_ORIGINAL_NO_PADDING;
    if (sodium_base642bin(bytes, sizeof bytes, text.p, text.n, NULL, &n, NULL, variant) != 0 ||
        n % 4 != 0) {
        return -EBADMSG;
    }
    for (size_t i = 0; i < n; i += 4) {
        float f = take_bytes(bytes + i);
        char *at = buf_room(b, VECTOR_FLOAT_ROOM);
        if (!is_finite(f)) {
            return -EBADMSG;
        }
        if (at) {
            size_t used = vector_print_float(at, f);
            at[used] = ',';
            b->n -= VECTOR_FLOAT_ROOM - used - 1;
        }
    }
    return 0;
}

int vector_to_numbers(struct buf *b, struct arena *scratch, struct str base64)
{
    struct str text = ir_plain(scratch, base64); /* some servers escape each slash */
    buf_addc(b, '[');
    while (text.n) {
        int r = decode(b, str_first(text, PIECE_TEXT));
        if (r < 0) {
            return r;
        }
        text = str_from(text, PIECE_TEXT);
    }
    if (b->n && b->p[b->n - 1] == ',') {
        b->n--;
    }
    buf_addc(b, ']');
    return 0;
}
