/*
 * The SQL of this version, in one folder: numbered files NNN_name.sql (tables; each is applied once
 * and never edited), functions/ (applied again when its text changes; functions/list gives the
 * order), and baseline.sha256: the files of the state that precedes the first numbered one.
 */
#ifndef CTL_SQL_FILES_H
#define CTL_SQL_FILES_H

#include <stddef.h>

#include "common/base/attrs.h"
#include "common/base/buf.h"

#define SQL_FILE_NAME_SIZE 128
#define SQL_FILE_MAX ((size_t)4 * 1024 * 1024)
#define SQL_CHECKSUM_SIZE 65

struct sql_file {
    int version;                   /* NNN; 0: a function file */
    char name[SQL_FILE_NAME_SIZE]; /* without the folder */
    struct buf text;
};

/* A file that a database of the baseline has recorded. */
struct sql_baseline {
    char checksum[SQL_CHECKSUM_SIZE];
    char name[SQL_FILE_NAME_SIZE];
};

struct sql_files {
    char *dir;
    struct sql_file *files; /* numbered, by version; at least one */
    size_t count;
    struct sql_file *functions; /* in the order of the list; may be none */
    size_t function_count;
    struct sql_baseline *baseline; /* may be none */
    size_t baseline_count;
};

/*
 * Reads the folder `dir`; NULL: the installed one beside this program (../share/checkout/sql), else
 * the source's. 0, or ERR_NOT_FOUND, ERR_INVALID, ERR_IO, ERR_NOMEM with a line in `ret_problem`.
 */
MUST_CHECK int sql_files_read(const char *dir, struct sql_files *ret_files,
                              struct buf *ret_problem);
void sql_files_free(struct sql_files *files);

#endif
