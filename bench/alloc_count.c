/*
 * Counts what a program asks of malloc and its relatives: preloaded, it passes each call on to
 * the allocator that the program has. The counts stand in the file that BENCH_ALLOC_FILE names,
 * mapped and shared, so the bench reads them while the program runs.
 */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

struct counts {
    _Atomic uint64_t allocations; /* malloc, calloc, realloc and the aligned ones */
    _Atomic uint64_t frees;
    _Atomic uint64_t bytes;
};

static struct counts before_file;
static struct counts *counts = &before_file;

static void *(*next_malloc)(size_t);
static void *(*next_calloc)(size_t, size_t);
static void *(*next_realloc)(void *, size_t);
static void (*next_free)(void *);
static void *(*next_aligned_alloc)(size_t, size_t);
static int (*next_posix_memalign)(void **, size_t, size_t);

/* dlsym() itself allocates before we know where to; it gets zeroed bytes from here. */
static _Alignas(16) char bootstrap[16384];
static size_t bootstrap_used;

static void *from_bootstrap(size_t size)
{
    size_t rounded = (size + 15) & ~(size_t)15;
    if (rounded > sizeof(bootstrap) - bootstrap_used) {
        return NULL;
    }
    void *p = bootstrap + bootstrap_used;
    bootstrap_used += rounded;
    return p;
}

static int is_bootstrap(const void *p)
{
    uintptr_t at = (uintptr_t)p;
    return at >= (uintptr_t)bootstrap && at < (uintptr_t)bootstrap + sizeof(bootstrap);
}

static void find_next(void)
{
    static int looking;
    if (looking) {
        return;
    }
    looking = 1;
    /* ISO C has no cast from an object pointer to a function pointer; POSIX grants the copy. */
    void *found[6] = {
        dlsym(RTLD_NEXT, "malloc"),        dlsym(RTLD_NEXT, "calloc"),
        dlsym(RTLD_NEXT, "realloc"),       dlsym(RTLD_NEXT, "free"),
        dlsym(RTLD_NEXT, "aligned_alloc"), dlsym(RTLD_NEXT, "posix_memalign"),
    };
    memcpy(&next_calloc, &found[1], sizeof(void *));
    memcpy(&next_realloc, &found[2], sizeof(void *));
    memcpy(&next_free, &found[3], sizeof(void *));
    memcpy(&next_aligned_alloc, &found[4], sizeof(void *));
    memcpy(&next_posix_memalign, &found[5], sizeof(void *));
    memcpy(&next_malloc, &found[0], sizeof(void *));
}

static void count(size_t size)
{
    atomic_fetch_add_explicit(&counts->allocations, 1, memory_order_relaxed);
    atomic_fetch_add_explicit(&counts->bytes, size, memory_order_relaxed);
}

__attribute__((constructor)) static void open_file(void)
{
    const char *path = getenv("BENCH_ALLOC_FILE");
    int fd = path ? open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600) : -1;
    if (fd < 0) {
        return;
    }
    if (ftruncate(fd, sizeof(struct counts)) == 0) {
        void *p = mmap(NULL, sizeof(struct counts), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
        if (p != MAP_FAILED) {
            struct counts *file = p;
            /* Processes that share the file add to it. */
            atomic_fetch_add(&file->allocations, before_file.allocations);
            atomic_fetch_add(&file->frees, before_file.frees);
            atomic_fetch_add(&file->bytes, before_file.bytes);
            counts = file;
        }
    }
    close(fd);
}

void *malloc(size_t size)
{
    if (!next_malloc) {
        find_next();
        if (!next_malloc) {
            return from_bootstrap(size);
        }
    }
    count(size);
    return next_malloc(size);
}

void *calloc(size_t n, size_t size)
{
    if (!next_calloc) {
        find_next();
        if (!next_calloc) {
            return from_bootstrap(n * size);
        }
    }
    count(n * size);
    return next_calloc(n, size);
}

void *realloc(void *p, size_t size)
{
    if (is_bootstrap(p)) {
        void *copy = malloc(size);
        if (copy) {
            size_t rest = (size_t)(bootstrap + sizeof(bootstrap) - (char *)p);
            memcpy(copy, p, size < rest ? size : rest);
        }
        return copy;
    }
    if (!next_realloc) {
        find_next();
    }
    count(size);
    return next_realloc(p, size);
}

void free(void *p)
{
    if (!p || is_bootstrap(p)) {
        return;
    }
    if (!next_free) {
        find_next();
    }
    atomic_fetch_add_explicit(&counts->frees, 1, memory_order_relaxed);
    next_free(p);
}

void *aligned_alloc(size_t alignment, size_t size)
{
    if (!next_aligned_alloc) {
        find_next();
    }
    count(size);
    return next_aligned_alloc(alignment, size);
}

int posix_memalign(void **ret_p, size_t alignment, size_t size)
{
    if (!next_posix_memalign) {
        find_next();
    }
    count(size);
    return next_posix_memalign(ret_p, alignment, size);
}
