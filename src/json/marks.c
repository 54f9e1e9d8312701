#include "json/marks.h"

struct marks_escapes marks_find_escapes(uint64_t quotes, uint64_t slashes, uint64_t carry, size_t n)
{
    while (slashes) {
        unsigned i = (unsigned)__builtin_ctzll(slashes);
        uint64_t bit = 1ULL << i, next = bit << 1;
        slashes &= ~bit;
        bool in_string = __builtin_parityll(quotes & (bit - 1)) != (carry != 0);
        if (in_string) {
            slashes &= ~next;
            quotes &= ~next;
            if (i + 1 == n) {
                return (struct marks_escapes){quotes, true};
            }
        }
    }
    return (struct marks_escapes){quotes, false};
}
