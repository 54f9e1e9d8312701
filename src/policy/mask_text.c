/* What detectors ask about the text around a candidate. */
#include "base/utf8.h"
#include "policy/mask_look.h"

bool text_is(struct text *t, size_t i, struct str s)
{
    for (size_t k = 0; k < s.n; k++) {
        if (text_at(t, i + k) != (unsigned char)s.p[k]) {
            return false;
        }
    }
    return true;
}

static bool wordy(const char *p, size_t n)
{
    unsigned char c = (unsigned char)*p;
    if (c < 0x80) {
        return is_alnum(c) || c == '_';
    }
    /* U+00C0 is C3 80, U+1FFF is E1 BF BF; U+00D7 and U+00F7 are signs */
    return n > 1 && c >= 0xC3 && c <= 0xE1 && !(c == 0xC3 && (p[1] & 0x1F) == 0x17);
}

bool wordy_before(const struct text *t, size_t i)
{
    size_t k = 1;
    while (k < 4 && text_back(t, i, k) >= 0 && (text_back(t, i, k) & 0xC0) == 0x80) {
        k++;
    }
    return text_back(t, i, k) >= 0 && wordy(t->p + i - k, k);
}

bool wordy_after(struct text *t, size_t i)
{
    int c = text_at(t, i);
    return c >= 0 && wordy(t->p + i, t->hi - i);
}

/* Two-byte letters whose other case is two bytes long as well: code points that differ by `step`. */
static uint32_t folded(uint32_t c)
{
    if ((c >= 0xC0 && c <= 0xDE && c != 0xD7) || (c >= 0x391 && c <= 0x3A9 && c != 0x3A2) ||
        (c >= 0x410 && c <= 0x42F)) {
        return c + 32;
    }
    if (c >= 0x400 && c <= 0x40F) {
        return c + 80;
    }
    bool even = (c >= 0x100 && c <= 0x12F) || (c >= 0x132 && c <= 0x137) ||
                (c >= 0x14A && c <= 0x177) || (c >= 0x218 && c <= 0x21B);
    bool odd = (c >= 0x139 && c <= 0x148) || (c >= 0x179 && c <= 0x17E);
    return (even && c % 2 == 0) || (odd && c % 2 == 1) ? c + 1 : c;
}

static uint32_t two_bytes(const char *p)
{
    return (uint32_t)(p[0] & 0x1F) << 6 | (uint32_t)(p[1] & 0x3F);
}

static void put_two(char *to, uint32_t c)
{
    to[0] = (char)(0xC0 | c >> 6);
    to[1] = (char)(0x80 | (c & 0x3F));
}

void mask_fold(struct str s, char *to)
{
    for (size_t i = 0; i < s.n;) {
        size_t k = utf8_len(s.p + i, s.n - i);
        if (k == 2) {
            put_two(to + i, folded(two_bytes(s.p + i)));
        } else if (k > 2) {
            memcpy(to + i, s.p + i, k);
        } else {
            k = 1;
            to[i] = (char)lower((unsigned char)s.p[i]);
        }
        i += k;
    }
}

bool mask_fold_other(const char *p, char other[2])
{
    uint32_t c = two_bytes(p);
    for (uint32_t back = 1; back <= 80; back++) {
        if (back <= c && folded(c - back) == c) {
            put_two(other, c - back);
            return true;
        }
    }
    return false;
}
