#include "ctl/migrate/sql_files.h"

#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/base/encode.h"
#include "common/base/err.h"

#define INSTALLED "/../share/checkout/sql"
#define FILES_MAX 999
#define FUNCTIONS "functions/"
#define LIST FUNCTIONS "list"
#define BASELINE "baseline.sha256"

/* The version of NNN_name.sql, 0 if the name is none of these. */
static int version_of(const char *name)
{
    size_t len = strlen(name);
    if (len < 9 || len >= SQL_FILE_NAME_SIZE || strspn(name, "0123456789") != 3 || name[3] != '_' ||
        strcmp(name + len - 4, ".sql") != 0)
        return 0;
    return (name[0] - '0') * 100 + (name[1] - '0') * 10 + (name[2] - '0');
}

/* The default folder; owned by the caller, NULL: no memory. */
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

/* Reads `dir`/`folder``file->name`. */
static int read_file(const char *dir, const char *folder, struct sql_file *file,
                     struct buf *problem)
{
    char path[PATH_MAX];
    char block[16384];
    (void)snprintf(path, sizeof path, "%s/%s%s", dir, folder, file->name);
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
        memcpy(file->name, entry->d_name, strlen(entry->d_name)); /* fits: version_of has checked */
    }
    qsort(files->files, files->count, sizeof *files->files, by_version);
    for (size_t i = 0; i < files->count; i++) {
        if (i > 0 && files->files[i].version == files->files[i - 1].version) {
            (void)buf_printf(problem, "%s: %s and %s have the same number", files->dir,
                             files->files[i - 1].name, files->files[i].name);
            return ERR_INVALID;
        }
        int code = read_file(files->dir, "", &files->files[i], problem);
        if (code < 0)
            return code;
    }
    if (files->count > 0)
        return 0;
    (void)buf_printf(problem, "%s holds no NNN_name.sql", files->dir);
    return ERR_NOT_FOUND;
}

/* Whether an optional file exists: without it the folder has no such part. */
static bool has(const struct sql_files *files, const char *name)
{
    char path[PATH_MAX];
    (void)snprintf(path, sizeof path, "%s/%s", files->dir, name);
    return access(path, F_OK) == 0;
}

/* Calls `line` with each line of a text file of the folder. 0 or a negative ERR_*. */
static int each_line(struct sql_files *files, const char *name, struct buf *problem,
                     int (*line)(struct sql_files *files, char *text, struct buf *problem))
{
    struct sql_file list = {.version = 0};
    (void)snprintf(list.name, sizeof list.name, "%s", name);
    int code = read_file(files->dir, "", &list, problem);
    char *rest = code < 0 ? NULL : list.text.data;
    while (code == 0 && rest != NULL) {
        char *text = strsep(&rest, "\n");
        if (text[0] != '\0' && text[0] != '#')
            code = line(files, text, problem);
    }
    buf_free(&list.text);
    return code;
}

static int add_function(struct sql_files *files, char *name, struct buf *problem)
{
    if (strlen(name) >= SQL_FILE_NAME_SIZE || files->function_count == FILES_MAX ||
        strchr(name, '/') != NULL) {
        (void)buf_printf(problem, "%s/" LIST ": %.80s is no name of a function file", files->dir,
                         name);
        return ERR_INVALID;
    }
    struct sql_file *file = &files->functions[files->function_count++];
    (void)snprintf(file->name, sizeof file->name, "%s", name);
    return read_file(files->dir, FUNCTIONS, file, problem);
}

static bool listed(const struct sql_files *files, const char *name)
{
    for (size_t i = 0; i < files->function_count; i++)
        if (strcmp(files->functions[i].name, name) == 0)
            return true;
    return false;
}

/* A function file that is not in the list would silently never be applied. */
static int refuse_unlisted(const struct sql_files *files, struct buf *problem)
{
    char path[PATH_MAX];
    (void)snprintf(path, sizeof path, "%s/" FUNCTIONS, files->dir);
    DIR *stream = opendir(path);
    int code = stream == NULL ? ERR_IO : 0;
    const struct dirent *entry;
    while (code == 0 && (entry = readdir(stream)) != NULL) {
        size_t len = strlen(entry->d_name);
        if (len > 4 && strcmp(entry->d_name + len - 4, ".sql") == 0 &&
            !listed(files, entry->d_name))
            code = ERR_INVALID;
        if (code < 0)
            (void)buf_printf(problem, "%s%s is not in " LIST, path, entry->d_name);
    }
    if (stream != NULL)
        (void)closedir(stream); /* only read */
    else
        (void)buf_printf(problem, "cannot read the folder %s: %s", path, strerror(errno));
    return code;
}

/* A line as of sha256sum: 64 digits, two spaces, the name. */
static int add_baseline(struct sql_files *files, char *text, struct buf *problem)
{
    const size_t digits = SQL_CHECKSUM_SIZE - 1;
    if (!hex_valid(text, digits) || strncmp(text + digits, "  ", 2) != 0 ||
        strlen(text + digits + 2) >= SQL_FILE_NAME_SIZE || files->baseline_count == FILES_MAX) {
        (void)buf_printf(problem, "%s/" BASELINE " holds a line that is no checksum", files->dir);
        return ERR_INVALID;
    }
    struct sql_baseline *file = &files->baseline[files->baseline_count++];
    text[digits] = '\0';
    (void)snprintf(file->checksum, sizeof file->checksum, "%s", text);
    (void)snprintf(file->name, sizeof file->name, "%s", text + digits + 2);
    return 0;
}

static int read_parts(struct sql_files *files, DIR *stream, struct buf *problem)
{
    int code = list(stream, files, problem);
    if (code == 0 && has(files, LIST)) {
        code = each_line(files, LIST, problem, add_function);
        if (code == 0)
            code = refuse_unlisted(files, problem);
    }
    if (code == 0 && has(files, BASELINE))
        code = each_line(files, BASELINE, problem, add_baseline);
    return code;
}

int sql_files_read(const char *dir, struct sql_files *ret_files, struct buf *ret_problem)
{
    struct sql_files files = {.dir = dir == NULL ? usual_dir() : strdup(dir)};
    files.files = calloc(FILES_MAX, sizeof *files.files);
    files.functions = calloc(FILES_MAX, sizeof *files.functions);
    files.baseline = calloc(FILES_MAX, sizeof *files.baseline);
    if (files.dir == NULL || files.files == NULL || files.functions == NULL ||
        files.baseline == NULL) {
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
        code = read_parts(&files, stream, ret_problem);
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
    for (size_t i = 0; i < files->function_count; i++)
        buf_free(&files->functions[i].text);
    free(files->files);
    free(files->functions);
    free(files->baseline);
    free(files->dir);
    *files = (struct sql_files){0};
}
