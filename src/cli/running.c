#include "cli/running.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/file.h>
#include <unistd.h>

/* Whether some live process holds a lock on the file: a pid file may outlive its server, a lock
 * cannot. Both families of locks count. */
static bool is_locked(int fd)
{
    struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
    if (fcntl(fd, F_GETLK, &lock) == 0 && lock.l_type != F_UNLCK) {
        return true;
    }
    if (flock(fd, LOCK_SH | LOCK_NB) < 0) {
        return errno == EWOULDBLOCK;
    }
    flock(fd, LOCK_UN);
    return false;
}

pid_t running_server(struct arena *a, struct str data)
{
    char *path = arena_dupz(a, arena_printf(a, "%.*s/accord.pid", STR_ARG(data)));
    char text[32];
    uint64_t pid = 0;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        return 0;
    }
    ssize_t n = is_locked(fd) ? read(fd, text, sizeof text) : 0;
    close(fd);
    struct str s = str_make(text, n > 0 ? (size_t)n : 0);
    while (s.n && (s.p[s.n - 1] == '\n' || s.p[s.n - 1] == ' ')) {
        s.n--;
    }
    if (str_to_u64(s, &pid) < 0 || pid < 2 || pid > INT32_MAX) {
        return 0;
    }
    return (pid_t)pid;
}

pid_t running_reload(struct arena *a, struct str data)
{
    pid_t pid = running_server(a, data);
    return pid && kill(pid, SIGHUP) == 0 ? pid : 0;
}
