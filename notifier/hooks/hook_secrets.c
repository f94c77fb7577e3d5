#include "notifier/hooks/hook_secrets.h"

#include <errno.h>
#include <fcntl.h>
#include <openssl/crypto.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "common/base/err.h"
#include "common/base/log.h"
#include "notifier/hooks/hook_limits.h"

#define LOOK_MS 1000
#define REMIND_MS 60000
#define PATH_SIZE 4096
#define YOUNG_S 3 /* a file that is so new may change within one tick of its clock */

struct secret_file {
    char endpoint[HOOK_NAME_SIZE];
    struct hook_keys *keys; /* NULL: none yet */
    bool read;
    uint64_t looked_ms;
    uint64_t logged_ms;
    struct stat status; /* when it was last read */
};

struct hook_secrets {
    const char *folder;
    struct secret_file files[HOOK_ENDPOINTS_MAX];
    size_t count;
    size_t next; /* the one that gives way when there is no room */
};

struct hook_secrets *hook_secrets_new(const char *folder)
{
    struct hook_secrets *secrets = calloc(1, sizeof *secrets);
    if (secrets != NULL)
        secrets->folder = folder;
    return secrets;
}

void hook_secrets_free(struct hook_secrets *secrets)
{
    if (secrets == NULL)
        return;
    for (size_t i = 0; i < secrets->count; i++)
        hook_keys_free(secrets->files[i].keys);
    free(secrets);
}

void hook_secrets_reread(struct hook_secrets *secrets)
{
    for (size_t i = 0; i < secrets->count; i++)
        secrets->files[i].read = false;
}

static struct secret_file *file_of(struct hook_secrets *secrets, const char *endpoint)
{
    for (size_t i = 0; i < secrets->count; i++)
        if (strcmp(secrets->files[i].endpoint, endpoint) == 0)
            return &secrets->files[i];
    struct secret_file *file = &secrets->files[secrets->next];
    secrets->next = (secrets->next + 1) % HOOK_ENDPOINTS_MAX;
    if (secrets->count < HOOK_ENDPOINTS_MAX)
        secrets->count++;
    hook_keys_free(file->keys);
    *file = (struct secret_file){0};
    (void)snprintf(file->endpoint, sizeof file->endpoint, "%s", endpoint);
    return file;
}

/* Reads up to `size` bytes of a regular file. The problem, or NULL. */
static const char *read_text(const char *path, char *text, size_t size, size_t *ret_len)
{
    struct stat status;
    const char *problem = NULL;
    ssize_t len = 0;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0)
        return strerror(errno);
    if (fstat(fd, &status) != 0 || !S_ISREG(status.st_mode))
        problem = "it is no regular file";
    else if ((len = read(fd, text, size)) < 0)
        problem = strerror(errno);
    else if ((size_t)len == size)
        problem = "it is too long";
    (void)close(fd); /* only read */
    *ret_len = problem == NULL ? (size_t)len : 0;
    return problem;
}

static void reread(struct secret_file *file, const char *path)
{
    char text[HOOK_KEYS_BYTES_MAX + 1];
    size_t len = 0;
    struct hook_keys *keys = NULL;
    const char *problem = read_text(path, text, sizeof text, &len);
    if (problem == NULL && hook_keys_parse(text, len, &keys, &problem) == ERR_NOMEM)
        problem = "out of memory";
    OPENSSL_cleanse(text, sizeof text);
    if (keys != NULL) {
        hook_keys_free(file->keys);
        file->keys = keys;
        file->read = true;
        log_info("keys of an endpoint read", LOG_STR("endpoint", file->endpoint));
        return;
    }
    file->read = false;
    if (log_due(&file->logged_ms, REMIND_MS))
        log_error("keys of an endpoint refused", LOG_STR("endpoint", file->endpoint),
                  LOG_STR("problem", problem), LOG_BOOL("previous_keys", file->keys != NULL));
}

static bool has_changed(const struct stat *was, const struct stat *is)
{
    return was->st_dev != is->st_dev || was->st_ino != is->st_ino || was->st_size != is->st_size ||
           was->st_mtim.tv_sec != is->st_mtim.tv_sec ||
           was->st_mtim.tv_nsec != is->st_mtim.tv_nsec ||
           is->st_mtim.tv_sec + YOUNG_S > clock_wall_ms() / 1000;
}

const struct hook_keys *hook_secrets_find(struct hook_secrets *secrets, const char *endpoint)
{
    struct secret_file *file = file_of(secrets, endpoint);
    char path[PATH_SIZE];
    struct stat status = {0};
    uint64_t now_ms = clock_mono_ms();
    if (file->read && now_ms < file->looked_ms + LOOK_MS)
        return file->keys;
    file->looked_ms = now_ms;
    (void)snprintf(path, sizeof path, "%s/%s", secrets->folder, endpoint);
    (void)stat(path, &status); /* the read says what is wrong with it */
    if (!file->read || has_changed(&file->status, &status)) {
        file->status = status;
        reread(file, path);
    }
    return file->keys;
}
