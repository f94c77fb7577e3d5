#include "common/base/log_sink.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

/*
 * O_NONBLOCK belongs to the open file, which other processes share (a shell, a sibling): it must
 * not be set there. So a pipe or a terminal is opened again for ourselves, a socket is written with
 * MSG_DONTWAIT, and where neither is possible poll() is asked first. A file is written directly:
 * its position is shared, too, and no file makes its writer wait for a reader.
 */
static struct {
    int fd;
    bool socket;
    bool polled;             /* it may block: ask poll() first */
    char rest[LOG_LINE_MAX]; /* the end of a line that has been taken in part */
    size_t rest_len;
} sink = {.fd = STDERR_FILENO};

void log_sink_open(void)
{
    struct stat info;
    if (fstat(STDERR_FILENO, &info) != 0)
        return;
    sink.socket = S_ISSOCK(info.st_mode);
    if (!S_ISFIFO(info.st_mode) && !(S_ISCHR(info.st_mode) && isatty(STDERR_FILENO)))
        return;
    int own = open("/proc/self/fd/2", O_WRONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
    sink.polled = own < 0; /* as for a pipe of another user */
    if (own >= 0)
        sink.fd = own;
}

static bool takes_now(void)
{
    struct pollfd asked = {.fd = sink.fd, .events = POLLOUT};
    return !sink.polled || (poll(&asked, 1, 0) == 1 && (asked.revents & POLLOUT) != 0);
}

/* How many bytes it took; 0 if none. */
static size_t put(const char *text, size_t len)
{
    ssize_t taken;
    do {
        if (!takes_now())
            return 0;
        taken = sink.socket ? send(sink.fd, text, len, MSG_DONTWAIT | MSG_NOSIGNAL)
                            : write(sink.fd, text, len);
    } while (taken < 0 && errno == EINTR);
    return taken < 0 ? 0 : (size_t)taken;
}

static bool put_rest(void)
{
    if (sink.rest_len == 0)
        return true;
    size_t taken = put(sink.rest, sink.rest_len);
    sink.rest_len -= taken;
    memmove(sink.rest, sink.rest + taken, sink.rest_len);
    return sink.rest_len == 0;
}

bool log_sink_write(const char *line, size_t len)
{
    if (!put_rest())
        return false;
    size_t taken = put(line, len);
    if (taken == 0)
        return false;
    sink.rest_len = len - taken;
    memcpy(sink.rest, line + taken, sink.rest_len);
    return true;
}
