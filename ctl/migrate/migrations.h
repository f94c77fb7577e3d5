/* The SQL that was applied to a database, compared with the files. */
#ifndef CTL_MIGRATIONS_H
#define CTL_MIGRATIONS_H

#include <stdbool.h>
#include <stddef.h>

#include "common/base/attrs.h"
#include "ctl/ctl.h"
#include "ctl/migrate/sql_files.h"

enum migration_state {
    MIGRATION_MISSING, /* not applied yet */
    MIGRATION_PRESENT,
    MIGRATION_CHANGED,  /* applied, but with other content: an error, but of a function file */
    MIGRATION_ACCEPTED, /* the files of the baseline made the same */
};

struct migrations {
    enum migration_state *states;    /* one for each numbered file */
    enum migration_state *functions; /* one for each function file */
    bool functions_due; /* some text differs from the applied one, or their rights are missing */
    bool unknown;       /* it holds files of an older state, and not all of the baseline's */
    int newest;         /* highest number that was applied; 0: none */
};

/* Compares. The tables may be absent: nothing was applied. 0 or CTL_FAILED (see ctl_try_query). */
MUST_CHECK int migrations_compare(struct ctl *ctl, const struct sql_files *files,
                                  struct migrations *ret_migrations);
void migrations_free(struct migrations *migrations);

#endif
