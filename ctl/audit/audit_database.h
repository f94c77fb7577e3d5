/* The part of an audit that asks the tables: one snapshot, check by check. */
#ifndef CTL_AUDIT_AUDIT_DATABASE_H
#define CTL_AUDIT_AUDIT_DATABASE_H

#include <stdint.h>

#include "common/base/attrs.h"
#include "ctl/audit/audit_report.h"
#include "ctl/ctl.h"

/* Runs all checks; work that is open for longer than `older_ms` counts as stuck. Returns an exit
 * code: CTL_FINE also with violations, which are in the report. */
MUST_CHECK int audit_database(struct ctl *ctl, int64_t older_ms, struct audit_report *report);

#endif
