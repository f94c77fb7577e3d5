#include "common/identity/key_file.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "common/base/err.h"
#include "common/base/log.h"

#define LOOK_MS 1000
#define REMIND_MS 60000
#define YOUNG_S 3 /* a file that is so new may change within one tick of its clock */
#define PROBLEM_MAX 512

/* What shows that a file is another one, or was written to. */
struct stamp {
    dev_t device;
    ino_t inode;
    off_t size;
    struct timespec modified;
};

struct key_file {
    struct key_file_listener listener;
    char *path;
    struct loop_timer *timer;
    struct loop_signal *hangup;
    struct stamp stamp; /* of the file when it was last read */
    bool young;         /* it was, so it is read again even if its stamp stays */
    bool good;
    char *text; /* what was last read; NULL: it could not be */
    size_t len;
    uint64_t remind_ms; /* when a bad file is logged again */
};

/* ---- reading ---- */

static int complain(struct buf *problem, const char *path, const char *why)
{
    buf_reset(problem);
    (void)buf_printf(problem, "cannot use the keys in \"%.200s\": %s", path, why);
    return ERR_CONFIG;
}

/* Reads from `fd` until its end into *ret_text (owned by the caller), one byte more than a set may
 * have at most. */
static int read_all(int fd, char **ret_text, size_t *ret_len)
{
    char *text = malloc(KEY_SET_BYTES_MAX + 1);
    size_t len = 0;
    if (text == NULL)
        return ERR_NOMEM;
    while (len <= KEY_SET_BYTES_MAX) {
        ssize_t got = read(fd, text + len, KEY_SET_BYTES_MAX + 1 - len);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0) {
            int error = errno;
            free(text);
            errno = error;
            return ERR_IO;
        }
        if (got == 0)
            break;
        len += (size_t)got;
    }
    *ret_text = text;
    *ret_len = len;
    return 0;
}

/* A pipe would keep us waiting: only a regular file is read. */
static int load(const char *path, char **ret_text, size_t *ret_len, struct buf *problem)
{
    struct stat status;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0)
        return complain(problem, path, strerror(errno));
    int code = fstat(fd, &status) == 0 && S_ISREG(status.st_mode)
                   ? read_all(fd, ret_text, ret_len)
                   : complain(problem, path, "it is no regular file");
    if (code == ERR_IO)
        code = complain(problem, path, strerror(errno));
    (void)close(fd); /* only read */
    return code;
}

static int parse(const char *path, const char *text, size_t len, struct key_set **ret_keys,
                 struct buf *problem)
{
    const char *why = NULL;
    int code = key_set_parse(text, len, ret_keys, &why);
    return code == ERR_PARSE ? complain(problem, path, why) : code;
}

/* ---- watching ---- */

static void judge(struct key_file *file, bool good, const char *problem)
{
    uint64_t now_ms = clock_mono_ms();
    if (!good && (file->good || now_ms >= file->remind_ms)) {
        log_error("token keys refused; keeping the previous keys", LOG_STR("problem", problem));
        file->remind_ms = now_ms + REMIND_MS;
    }
    if (good && !file->good)
        log_info("token keys are good again", LOG_STR("file", file->path));
    file->good = good;
    file->listener.judged(good, file->listener.arg);
}

static void report(struct key_file *file, struct key_set *keys)
{
    log_info("token keys read", LOG_INT("keys", key_set_count(keys)),
             LOG_INT("ignored", key_set_ignored(keys)));
    if (key_set_ignored(keys) > 0)
        log_warning("token keys ignored", LOG_INT("keys", key_set_ignored(keys)),
                    LOG_STR("first", key_set_ignored_reason(keys)));
    file->listener.changed(keys, file->listener.arg);
}

/* Takes a new content. The previous text is compared, so that a touched file costs nothing. */
static int take(struct key_file *file, char *text, size_t len, struct buf *problem)
{
    struct key_set *keys = NULL;
    bool same = file->text != NULL && file->len == len && memcmp(file->text, text, len) == 0;
    if (same && file->good) {
        free(text);
        return 0;
    }
    int code = parse(file->path, text, len, &keys, problem);
    free(file->text);
    file->text = text;
    file->len = len;
    if (code == 0)
        report(file, keys);
    return code;
}

static struct stamp stamp_of(const struct stat *status)
{
    return (struct stamp){.device = status->st_dev,
                          .inode = status->st_ino,
                          .size = status->st_size,
                          .modified = status->st_mtim};
}

static bool stamps_equal(const struct stamp *a, const struct stamp *b)
{
    return a->device == b->device && a->inode == b->inode && a->size == b->size &&
           a->modified.tv_sec == b->modified.tv_sec && a->modified.tv_nsec == b->modified.tv_nsec;
}

/* Reads the file. The stamp is taken before, so what is written meanwhile is noticed. As load(). */
static int read_file(struct key_file *file, struct buf *problem)
{
    struct stat status = {0};
    char *text = NULL;
    size_t len = 0;
    if (stat(file->path, &status) == 0)
        file->stamp = stamp_of(&status);
    file->young = status.st_mtim.tv_sec + YOUNG_S > clock_wall_ms() / 1000;
    int code = load(file->path, &text, &len, problem);
    return code == 0 ? take(file, text, len, problem) : code;
}

static void reread(struct key_file *file)
{
    struct buf problem;
    buf_init(&problem, PROBLEM_MAX);
    int code = read_file(file, &problem);
    judge(file, code == 0, code == ERR_NOMEM ? err_text(code) : buf_text(&problem));
    buf_free(&problem);
}

static void look(void *arg)
{
    struct key_file *file = arg;
    struct stat status;
    struct stamp now = {0};
    if (stat(file->path, &status) == 0)
        now = stamp_of(&status);
    if (file->young || !file->good || !stamps_equal(&now, &file->stamp))
        reread(file);
}

static void hung_up(void *arg)
{
    struct key_file *file = arg;
    log_info("SIGHUP: reading the token keys again");
    reread(file);
}

int key_file_open(struct loop *loop, const char *path, const struct key_file_listener *listener,
                  struct key_file **ret_file, struct buf *problem)
{
    struct key_file *file = calloc(1, sizeof *file);
    if (file == NULL)
        return ERR_NOMEM;
    file->listener = *listener;
    file->path = strdup(path);
    file->timer = loop_timer_new(loop, look, file);
    file->hangup = loop_signal_new(loop, SIGHUP, hung_up, file);
    int code = file->path == NULL || file->timer == NULL || file->hangup == NULL
                   ? ERR_NOMEM
                   : read_file(file, problem);
    if (code < 0) {
        key_file_close(file);
        return code;
    }
    file->good = true;
    listener->judged(true, listener->arg);
    loop_timer_start(file->timer, LOOK_MS, LOOK_MS);
    *ret_file = file;
    return 0;
}

void key_file_close(struct key_file *file)
{
    if (file == NULL)
        return;
    loop_timer_free(file->timer);
    loop_signal_free(file->hangup);
    free(file->path);
    free(file->text);
    free(file);
}
