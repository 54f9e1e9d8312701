#include "policy/mask_lib.h"

#include <dlfcn.h>
#include <errno.h>

struct hs_library hs;
struct pcre_library pcre;

struct function {
    const char *name;
    void **to;
};

static int load(const char *library, const struct function *all, size_t n, const char *package,
                struct buf *errors)
{
    void *handle = dlopen(library, RTLD_NOW | RTLD_LOCAL); /* kept as long as the process */
    for (size_t i = 0; handle && i < n; i++) {
        *all[i].to = dlsym(handle, all[i].name);
        handle = *all[i].to ? handle : NULL;
    }
    if (!handle) {
        buf_printf(
            errors,
            "masking needs a library that cannot be loaded (%s); on Debian: apt install %s\n",
            dlerror(), package);
        return -ENOENT;
    }
    return 0;
}

int mask_lib_load(struct buf *errors)
{
    static const struct function hs_all[] = {
#define HS_ROW(name) {"hs_" #name, (void **)&hs.name},
        HS_FUNCTIONS(HS_ROW)
#undef HS_ROW
    };
    static const struct function pcre_all[] = {
#define PCRE_ROW(name) {"pcre2_" #name "_8", (void **)&pcre.name},
        PCRE_FUNCTIONS(PCRE_ROW)
#undef PCRE_ROW
    };
    static bool loaded;
    if (loaded) {
        return 0;
    }
    int r = load("libhs.so.5", hs_all, sizeof hs_all / sizeof *hs_all, "libvectorscan5", errors);
    if (r == 0) {
        r = load("libpcre2-8.so.0", pcre_all, sizeof pcre_all / sizeof *pcre_all, "libpcre2-8-0",
                 errors);
    }
    loaded = r == 0;
    return r;
}
