#include "store/libpq.h"

#include <dlfcn.h>
#include <errno.h>

struct libpq pq;

int libpq_load(struct buf *errors)
{
    static const char library[] = "libpq.so.5";
    static const struct {
        const char *name;
        void **to;
    } all[] = {
#define LIBPQ_ROW(name) {"PQ" #name, (void **)&pq.name},
        LIBPQ_FUNCTIONS(LIBPQ_ROW)
#undef LIBPQ_ROW
    };
    static bool loaded;
    if (loaded) {
        return 0;
    }
    void *handle = dlopen(library, RTLD_NOW | RTLD_LOCAL); /* kept as long as the process */
    for (size_t i = 0; handle && i < sizeof all / sizeof *all; i++) {
        *all[i].to = dlsym(handle, all[i].name);
        handle = *all[i].to ? handle : NULL;
    }
    if (!handle) {
        buf_printf(errors,
                   "database.url: PostgreSQL needs its client library, which cannot be loaded "
                   "(%s); on Debian: apt install libpq5\n",
                   dlerror());
        return -ENOENT;
    }
    loaded = true;
    return 0;
}
