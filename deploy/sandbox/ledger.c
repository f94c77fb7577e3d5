#include "deploy/sandbox/ledger.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "common/base/encode.h"
#include "common/base/err.h"
#include "common/base/log.h"

/* Under load, syncs begin so far apart (each costs as much as several charges), unless so many
 * records wait already. A record alone never waits. */
#define SYNC_APART_MS 3
#define SYNC_ENOUGH 32
#define OPENED_MAX 64                          /* bytes of a ledger's first record, at most */
#define WAITING_MAX ((size_t)64 * 1024 * 1024) /* bytes that wait for the next sync, at most */

TAILQ_HEAD(wait_list, ledger_wait);

struct ledger {
    struct loop *loop;
    struct ledger_options options;
    int fd;
    uint32_t salt;
    uint64_t end; /* of all that was appended */
    struct loop_hook *hook;
    struct buf gathering;
    struct wait_list gatherers;
    size_t gathered;   /* records in `gathering` */
    size_t synced;     /* records in the last batch */
    uint64_t begun_ms; /* when it was */
    struct loop_timer *pace;
    bool writing; /* the thread has the next three */
    struct buf batch;
    struct wait_list waiters;
    int error; /* errno of the thread; 0: none */
    bool broken;
    struct buf line; /* of ledger_read */
};

/* ---- group commit ---- */

static int write_all(int fd, const char *data, size_t len)
{
    while (len > 0) {
        ssize_t written = write(fd, data, len);
        if (written < 0 && errno == EINTR)
            continue;
        if (written < 0)
            return errno;
        data += written;
        len -= (size_t)written;
    }
    return fdatasync(fd) == 0 ? 0 : errno;
}

/* In a thread. */
static void write_batch(void *arg)
{
    struct ledger *l = arg;
    l->error = write_all(l->fd, l->batch.data, l->batch.len);
}

static void break_down(struct ledger *l, int error)
{
    log_error("ledger not written; stopping, so that no answer is lost",
              LOG_STR("problem", strerror(error)), LOG_STR("file", l->options.path));
    l->broken = true;
    l->options.broken(l->options.arg);
}

static void batch_written(void *arg)
{
    struct ledger *l = arg;
    l->writing = false;
    if (l->error != 0) {
        break_down(l, l->error);
        return;
    }
    buf_reset(&l->batch);
    struct ledger_wait *wait;
    while ((wait = TAILQ_FIRST(&l->waiters)) != NULL) {
        TAILQ_REMOVE(&l->waiters, wait, link);
        wait->cb(wait->arg);
    }
}

/* Whether more records should gather first; then `pace` brings the loop back here. */
static bool too_soon(struct ledger *l, uint64_t now_ms)
{
    if (l->synced <= 1 || l->gathered >= SYNC_ENOUGH || now_ms >= l->begun_ms + SYNC_APART_MS)
        return false;
    if (!loop_timer_active(l->pace))
        loop_timer_start(l->pace, l->begun_ms + SYNC_APART_MS - now_ms, 0);
    return true;
}

/* Before the loop waits: what this turn has gathered goes out together. */
static void flush(void *arg)
{
    struct ledger *l = arg;
    if (l->writing || l->broken || l->gathering.len == 0)
        return;
    uint64_t now_ms = clock_mono_ms();
    if (too_soon(l, now_ms))
        return;
    l->begun_ms = now_ms;
    l->synced = l->gathered;
    l->gathered = 0;
    struct buf empty = l->batch;
    l->batch = l->gathering;
    l->gathering = empty;
    TAILQ_CONCAT(&l->waiters, &l->gatherers, link);
    l->writing = true;
    if (loop_background(l->loop, write_batch, batch_written, l) < 0) {
        l->writing = false;
        break_down(l, ENOMEM);
    }
}

/* The loop has turned, which is all. */
static void wake(void *arg)
{
    (void)arg;
}

int ledger_append(struct ledger *ledger, const struct record *record, struct ledger_wait *wait,
                  struct ledger_place *ret_place)
{
    size_t before = ledger->gathering.len;
    bool written = !ledger->broken && record_write(record, &ledger->gathering) == 0;
    size_t len = ledger->gathering.len - before;
    if (!written || len > RECORD_MAX) {
        ledger->gathering.len = before;
        ledger->gathering.failed = false;
        return ERR_FULL;
    }
    *ret_place = (struct ledger_place){ledger->end, (uint32_t)(len - 1)};
    ledger->end += len;
    ledger->gathered++;
    TAILQ_INSERT_TAIL(&ledger->gatherers, wait, link);
    return 0;
}

bool ledger_idle(const struct ledger *ledger)
{
    return !ledger->writing && ledger->gathering.len == 0;
}

int ledger_read(struct ledger *ledger, struct ledger_place place, struct record *ret_record)
{
    struct buf *line = &ledger->line;
    buf_reset(line);
    if (line->cap <= place.len) {
        char *grown = place.len > RECORD_MAX ? NULL : realloc(line->data, RECORD_MAX + 1);
        if (grown == NULL)
            return ERR_NOMEM;
        line->data = grown;
        line->cap = RECORD_MAX + 1;
    }
    ssize_t got = pread(ledger->fd, line->data, place.len, (off_t)place.offset);
    if (got < 0 || (size_t)got != place.len)
        return ERR_IO;
    line->data[place.len] = '\0';
    return record_read(line->data, place.len, ret_record);
}

uint32_t ledger_salt(const struct ledger *ledger)
{
    return ledger->salt;
}

/* ---- opening ---- */

static int say(struct buf *problem, int code, const char *path, const char *what)
{
    (void)buf_printf(problem, "the ledger %s %s", path, what);
    return code;
}

static int seen_errno(struct buf *problem, const char *path, const char *what)
{
    (void)buf_printf(problem, "the ledger %s %s: %s", path, what, strerror(errno));
    return ERR_IO;
}

/* Whether an intact record begins anywhere in the lines of `text`. */
static bool holds_record(const char *text, size_t len)
{
    const char *end = text + len;
    const char *newline;
    for (const char *p = text; (newline = memchr(p, '\n', (size_t)(end - p))) != NULL;
         p = newline + 1) {
        struct record record;
        if (record_read(p, (size_t)(newline - p), &record) == 0) {
            record_free(&record);
            return true;
        }
    }
    return false;
}

static int cut(struct ledger *l, size_t good, size_t size, struct buf *problem)
{
    log_warning("last record of the ledger was torn, as by a crash; cut it off",
                LOG_INT("bytes", size - good), LOG_STR("file", l->options.path));
    if (ftruncate(l->fd, (off_t)good) != 0 || fsync(l->fd) != 0)
        return seen_errno(problem, l->options.path, "cannot be cut");
    return 0;
}

/* The file begins with the one that opens it. */
static int load_record(struct ledger *l, const char *line, struct ledger_place place)
{
    struct record record;
    int code = place.len > RECORD_MAX ? ERR_PARSE : record_read(line, place.len, &record);
    if (code < 0)
        return code;
    bool opened = record.kind == RECORD_OPENED;
    if (opened != (place.offset == 0))
        code = ERR_INVALID;
    else if (opened)
        l->salt = record.salt;
    else
        code = l->options.load(&record, place, l->options.arg);
    record_free(&record);
    return code;
}

/* Loads records up to the first that is none; `ret_good`: the bytes before it. */
static int load_records(struct ledger *l, const char *text, size_t size, size_t *ret_good,
                        struct buf *problem)
{
    const char *p = text;
    const char *newline;
    int code = 0;
    while ((newline = memchr(p, '\n', size - (size_t)(p - text))) != NULL) {
        struct ledger_place place = {(uint64_t)(p - text), (uint32_t)(newline - p)};
        code = load_record(l, p, place);
        if (code < 0)
            break;
        p = newline + 1;
    }
    *ret_good = (size_t)(p - text);
    if (code == 0 || code == ERR_PARSE)
        return 0;
    (void)buf_printf(problem, "the ledger %s has a record at byte %zu that cannot be used: %s",
                     l->options.path, *ret_good, err_text(code));
    return code;
}

/* Whether a file without a whole record may be a ledger whose first record was torn, and not
 * somebody's other file. */
static bool begins_ledger(const char *text, size_t size)
{
    size_t checksum = size < 16 ? size : 16;
    if (size >= OPENED_MAX || memchr(text, '\n', size) != NULL)
        return false;
    return hex_valid(text, checksum) && (size <= 16 || text[16] == ' ') &&
           (size <= 17 || text[17] == '{');
}

static int load_text(struct ledger *l, const char *text, size_t size, struct buf *problem)
{
    size_t good;
    int code = load_records(l, text, size, &good, problem);
    if (code < 0)
        return code;
    l->end = good;
    if (good == size)
        return 0;
    if (good == 0 && !begins_ledger(text, size))
        return say(problem, ERR_PARSE, l->options.path, "is no ledger");
    if (holds_record(text + good, size - good)) {
        (void)buf_printf(problem,
                         "the ledger %s is damaged at byte %zu, before its end; put a copy of it "
                         "back, or start with a new file",
                         l->options.path, good);
        return ERR_PARSE;
    }
    return cut(l, good, size, problem);
}

static int load_file(struct ledger *l, struct buf *problem)
{
    struct stat status;
    if (fstat(l->fd, &status) != 0)
        return seen_errno(problem, l->options.path, "cannot be read");
    size_t size = (size_t)status.st_size;
    if (size == 0)
        return 0;
    char *text = mmap(NULL, size, PROT_READ, MAP_PRIVATE, l->fd, 0);
    if (text == MAP_FAILED)
        return seen_errno(problem, l->options.path, "cannot be read");
    int code = load_text(l, text, size, problem);
    (void)munmap(text, size);
    return code;
}

/* So that a new file's name is durable. */
static int sync_directory(const char *path)
{
    char *copy = strdup(path);
    if (copy == NULL)
        return -1;
    int fd = open(dirname(copy), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int result = fd < 0 ? -1 : fsync(fd);
    if (fd >= 0)
        (void)close(fd);
    free(copy);
    return result;
}

static int begin_file(struct ledger *l, struct buf *problem)
{
    struct record first = {.kind = RECORD_OPENED, .salt = l->options.salt};
    l->salt = first.salt;
    if (record_write(&first, &l->batch) < 0)
        return ERR_NOMEM;
    int error = write_all(l->fd, l->batch.data, l->batch.len);
    l->end = l->batch.len;
    buf_reset(&l->batch);
    if (error == 0 && sync_directory(l->options.path) == 0)
        return 0;
    errno = error == 0 ? errno : error;
    return seen_errno(problem, l->options.path, "cannot be written");
}

static int open_file(struct ledger *l, struct buf *problem)
{
    const char *path = l->options.path;
    l->fd = open(path, O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    if (l->fd < 0)
        return seen_errno(problem, path, "cannot be opened");
    if (flock(l->fd, LOCK_EX | LOCK_NB) != 0)
        return errno == EWOULDBLOCK
                   ? say(problem, ERR_CONFLICT, path, "is in use by another process")
                   : seen_errno(problem, path, "cannot be locked");
    int code = load_file(l, problem);
    if (code == 0 && l->end == 0)
        code = begin_file(l, problem);
    return code;
}

int ledger_open(struct loop *loop, const struct ledger_options *options, struct ledger **ret_ledger,
                struct buf *ret_problem)
{
    struct ledger *l = calloc(1, sizeof *l);
    if (l == NULL)
        return say(ret_problem, ERR_NOMEM, options->path, "cannot be loaded: no memory");
    l->loop = loop;
    l->options = *options;
    buf_init(&l->gathering, WAITING_MAX);
    buf_init(&l->batch, WAITING_MAX);
    buf_init(&l->line, RECORD_MAX);
    TAILQ_INIT(&l->gatherers);
    TAILQ_INIT(&l->waiters);
    l->hook = loop_hook_new(loop, flush, l);
    l->pace = loop_timer_new(loop, wake, l);
    int code = l->hook == NULL || l->pace == NULL
                   ? say(ret_problem, ERR_NOMEM, options->path, "found no memory")
                   : open_file(l, ret_problem);
    if (code < 0)
        ledger_close(l);
    else
        *ret_ledger = l;
    return code;
}

void ledger_close(struct ledger *ledger)
{
    if (ledger == NULL)
        return;
    loop_hook_free(ledger->hook);
    loop_timer_free(ledger->pace);
    if (ledger->fd >= 0)
        (void)close(ledger->fd);
    buf_free(&ledger->gathering);
    buf_free(&ledger->batch);
    buf_free(&ledger->line);
    free(ledger);
}
