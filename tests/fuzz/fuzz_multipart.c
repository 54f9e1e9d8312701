/* The multipart reader: any split of the bytes finds the same field, and what it finds lies in the
 * form. */
#include <stdlib.h>

#include "base/must.h"
#include "http/multipart.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void read_in_pieces(struct multipart *m, struct str form, size_t step)
{
    must(multipart_start(m, STR("multipart/form-data; boundary=b"), STR("model")) == 0);
    for (size_t at = 0; at < form.n; at += step) {
        if (multipart_feed(m, str_first(str_from(form, at), step)) < 0) {
            must(m->error);
            return;
        }
    }
    must(m->at == form.n);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 1) {
        return 0;
    }
    struct str form = str_make((const char *)data + 1, size - 1);
    struct multipart whole, pieces, any;
    read_in_pieces(&whole, form, form.n + 1);
    read_in_pieces(&pieces, form, (size_t)data[0] + 1);
    must(whole.found == pieces.found && whole.ended == pieces.ended);
    must(!whole.error == !pieces.error);
    if (whole.found) {
        must(whole.value_at == pieces.value_at && whole.value_n == pieces.value_n);
        must(whole.value_at + whole.value_n <= form.n);
    }
    /* The input as a Content-Type. */
    (void)!multipart_start(&any, form, STR("model"));
    return 0;
}
