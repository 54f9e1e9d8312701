#include "json/judge.h"

#include "json/escape.h"
#include "json/wide.h"

bool json_texts_are_good(struct str doc)
{
    const char *p = doc.p, *start = doc.p, *end = doc.p + doc.n;
    struct window w = {0};
    if (doc.n == 0) {
        return false;
    }
    while ((p = window_next(&w, wide.odd, p, start, end)) < end) {
        unsigned char c = (unsigned char)*p;
        if (c == '\\') {
            size_t n = escape_len(p, end);
            if (n == 0) {
                return false;
            }
            p += n;
        } else if (c < 0x20 || !(p = wide.utf8(p, end))) {
            return false;
        }
    }
    return true;
}
