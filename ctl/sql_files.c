#include "ctl/sql_files.h"

#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/base/err.h"

#define INSTALLED "/../share/checkout/sql"
#define FILES_MAX 999

/* The version of NNN_name.sql, 0 if the name is none of these. */
static int version_of(const char *name)
{
    size_t len = strlen(name);
    if (len < 9 || len >= SQL_FILE_NAME_SIZE || strspn(name, "0123456789") != 3 || name[3] != '_' ||
        strcmp(name + len - 4, ".sql") != 0)
        return 0;
    return (name[0] - '0') * 100 + (name[1] - '0') * 10 + (name[2] - '0');
}

/* The folder to read when none is given; owned by the caller, NULL: no memory. */
static char *usual_dir(void)
{
    char path[PATH_MAX];
    ssize_t len = readlink("/proc/self/exe", path, sizeof path - sizeof INSTALLED);
    if (len > 0) {
        path[len] = '\0';
        char *slash = strrchr(path, '/');
        if (slash != NULL) {
            memcpy(slash, INSTALLED, sizeof INSTALLED);
            if (access(path, R_OK | X_OK) == 0)
                return strdup(path);
        }
    }
    return strdup(CHECKOUT_SQL_SOURCE);
}

static int read_file(const char *dir, struct sql_file *file, struct buf *problem)
{
    char path[PATH_MAX];
    char block[16384];
    (void)snprintf(path, sizeof path, "%s/%s", dir, file->name);
    buf_init(&file->text, SQL_FILE_MAX);
    FILE *stream = fopen(path, "re");
    if (stream == NULL) {
        (void)buf_printf(problem, "cannot read %s: %s", path, strerror(errno));
        return ERR_IO;
    }
    size_t len;
    while ((len = fread(block, 1, sizeof block, stream)) > 0)
        (void)buf_append(&file->text, block, len); /* a failure sticks to the buffer */
    bool failed = ferror(stream) != 0;
    (void)fclose(stream); /* only read */
    if (!failed && !file->text.failed && strlen(buf_text(&file->text)) == file->text.len)
        return 0;
    (void)buf_printf(problem, "%s: %s", path,
                     failed              ? "cannot be read"
                     : file->text.failed ? "is too large"
                                         : "holds a NUL byte");
    return failed ? ERR_IO : ERR_INVALID;
}

static int by_version(const void *a, const void *b)
{
    return ((const struct sql_file *)a)->version - ((const struct sql_file *)b)->version;
}

static int list(DIR *stream, struct sql_files *files, struct buf *problem)
{
    const struct dirent *entry;
    while ((entry = readdir(stream)) != NULL) {
        int version = version_of(entry->d_name);
        if (version == 0 || files->count == FILES_MAX)
            continue;
        struct sql_file *file = &files->files[files->count++];
        file->version = version;
        memcpy(file->name, entry->d_name, strlen(entry->d_name)); /* fits: version_of looked */
    }
    qsort(files->files, files->count, sizeof *files->files, by_version);
    for (size_t i = 0; i < files->count; i++) {
        if (i > 0 && files->files[i].version == files->files[i - 1].version) {
            (void)buf_printf(problem, "%s: %s and %s have the same number", files->dir,
                             files->files[i - 1].name, files->files[i].name);
            return ERR_INVALID;
        }
        int code = read_file(files->dir, &files->files[i], problem);
        if (code < 0)
            return code;
    }
    if (files->count > 0)
        return 0;
    (void)buf_printf(problem, "%s holds no NNN_name.sql", files->dir);
    return ERR_NOT_FOUND;
}

int sql_files_read(const char *dir, struct sql_files *ret_files, struct buf *ret_problem)
{
    struct sql_files files = {.dir = dir == NULL ? usual_dir() : strdup(dir)};
    files.files = calloc(FILES_MAX, sizeof *files.files);
    if (files.dir == NULL || files.files == NULL) {
        sql_files_free(&files);
        (void)buf_str(ret_problem, "out of memory");
        return ERR_NOMEM;
    }
    DIR *stream = opendir(files.dir);
    int code = ERR_NOT_FOUND;
    if (stream == NULL)
        (void)buf_printf(ret_problem, "cannot read the folder %s: %s (--dir names another)",
                         files.dir, strerror(errno));
    else
        code = list(stream, &files, ret_problem);
    if (stream != NULL)
        (void)closedir(stream); /* only read */
    if (code < 0)
        sql_files_free(&files);
    else
        *ret_files = files;
    return code;
}

void sql_files_free(struct sql_files *files)
{
    for (size_t i = 0; i < files->count; i++)
        buf_free(&files->files[i].text);
    free(files->files);
    free(files->dir);
    *files = (struct sql_files){0};
}
