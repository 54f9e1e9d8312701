/*
 * A slow disk, preloaded into the program under test: whoever waits for the disk (fsync, fdatasync)
 * waits SLOW_SYNC_MS longer (100), and whoever writes to a file at a place (pwrite, as databases do)
 * SLOW_WRITE_US longer (0).
 */
#include <dlfcn.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

static void wait_us(const char *name, long usual, long unit)
{
    const char *text = getenv(name);
    long us = (text ? strtol(text, NULL, 10) : usual) * unit;
    struct timespec t = {us / 1000000, us % 1000000 * 1000};
    if (us > 0) {
        nanosleep(&t, NULL);
    }
}

int fsync(int fd)
{
    static int (*real)(int);
    real = real ? real : (int (*)(int))dlsym(RTLD_NEXT, "fsync");
    wait_us("SLOW_SYNC_MS", 100, 1000);
    return real(fd);
}

int fdatasync(int fd)
{
    static int (*real)(int);
    real = real ? real : (int (*)(int))dlsym(RTLD_NEXT, "fdatasync");
    wait_us("SLOW_SYNC_MS", 100, 1000);
    return real(fd);
}

ssize_t pwrite64(int fd, const void *p, size_t n, off64_t at)
{
    static ssize_t (*real)(int, const void *, size_t, off64_t);
    real =
        real ? real : (ssize_t(*)(int, const void *, size_t, off64_t))dlsym(RTLD_NEXT, "pwrite64");
    wait_us("SLOW_WRITE_US", 0, 1);
    return real(fd, p, n, at);
}
