/* Applying SQL files: all that are due in one transaction, which also records them. */
#ifndef CTL_SQL_APPLY_H
#define CTL_SQL_APPLY_H

#include "common/base/attrs.h"
#include "ctl/ctl.h"
#include "ctl/migrate/sql_files.h"

/* An exit code between these functions: another session kept a table locked. Nothing was printed;
 * the transaction is to be rolled back, and may be tried again. */
enum { SQL_APPLY_BUSY = 3 };

/* Begins and ends the transaction. CTL_FINE, SQL_APPLY_BUSY, or CTL_FAILED after printing the
 * problem. A session that ends without a commit applies nothing. */
MUST_CHECK int sql_apply_begin(struct ctl *ctl);
MUST_CHECK int sql_apply_commit(struct ctl *ctl);
MUST_CHECK int sql_apply_roll_back(struct ctl *ctl);

/* Applies a file and records it. As above; the problem names the file and the line. */
MUST_CHECK int sql_apply_file(struct ctl *ctl, const struct sql_file *file);
/* Records a numbered file without applying it. As above. */
MUST_CHECK int sql_apply_remember(struct ctl *ctl, const struct sql_file *file);

#endif
