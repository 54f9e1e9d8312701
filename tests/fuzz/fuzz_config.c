/* The configuration's reader: whatever the text, it answers with a configuration or with mistakes,
 * and what it accepts can be printed, and read again to the same. */
#include "base/must.h"
#include "model/config.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    static const struct config_overrides over = {.no_environment = true, .no_files = true};
    struct arena a = {0};
    struct buf errors = {.arena = &a}, printed = {.arena = &a}, again = {.arena = &a};
    struct config *c = NULL, *d = NULL;
    int r = config_load_text(&a, STR("x"), str_make((const char *)data, n), &over, &c, &errors);
    must((r == 0) == (c != NULL));
    must((r == 0) == (errors.n == 0));
    if (c) {
        /* Masked secrets are shorter than keys may be; without any, the text is a configuration. */
        bool secrets = false;
        for (size_t i = 0; i < c->n_keys; i++) {
            secrets = secrets || !secret_empty(c->keys[i].secret);
        }
        config_print(&printed, c);
        must(!printed.overflow);
        if (!secrets) {
            r = config_load_text(&a, STR("x"), buf_str(&printed), &over, &d, &errors);
            must(r == 0 && errors.n == 0);
            must(d->n_providers == c->n_providers && d->n_models == c->n_models);
            for (size_t i = 0; i < c->n_providers; i++) { /* other lines, and masked secrets */
                must(d->providers[i].n_credentials == c->providers[i].n_credentials);
                d->providers[i].credentials = c->providers[i].credentials;
                c->providers[i].origin = d->providers[i].origin;
            }
            for (size_t i = 0; i < c->n_keys; i++) {
                c->keys[i].origin = d->keys[i].origin;
            }
            printed.n = 0;
            config_print(&printed, c);
            config_print(&again, d);
            must(printed.n == again.n && memcmp(printed.p, again.p, again.n) == 0);
        }
    }
    arena_reset(&a);
    return 0;
}
