/* The migrations of this version: files NNN_name.sql in one folder. */
#ifndef CTL_SQL_FILES_H
#define CTL_SQL_FILES_H

#include <stddef.h>

#include "common/base/attrs.h"
#include "common/base/buf.h"

#define SQL_FILE_NAME_SIZE 128
#define SQL_FILE_MAX ((size_t)4 * 1024 * 1024)

struct sql_file {
    int version; /* NNN */
    char name[SQL_FILE_NAME_SIZE];
    struct buf text;
};

struct sql_files {
    char *dir;
    struct sql_file *files; /* by version */
    size_t count;
};

/*
 * Reads the folder `dir`; NULL: the installed one beside this program (../share/checkout/sql), else
 * the source's. 0, or ERR_NOT_FOUND, ERR_INVALID, ERR_IO, ERR_NOMEM with a line in `ret_problem`.
 */
MUST_CHECK int sql_files_read(const char *dir, struct sql_files *ret_files,
                              struct buf *ret_problem);
void sql_files_free(struct sql_files *files);

#endif
