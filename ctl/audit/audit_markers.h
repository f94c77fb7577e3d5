/* The markers of admission in Redis, against the tables: accepted orders of which nothing is left
 * anywhere else. */
#ifndef CTL_AUDIT_AUDIT_MARKERS_H
#define CTL_AUDIT_AUDIT_MARKERS_H

#include "common/base/attrs.h"
#include "ctl/audit/audit_report.h"
#include "ctl/ctl.h"

/*
 * Counts the markers older than 5 min, and those whose order PostgreSQL does not know: it is queued
 * still, was not accepted (503 accept-unknown), or was lost. No violations: a marker alone does not
 * show a 202. Without CHECKOUT_REDIS_URL, or with Redis away, nothing is counted. CTL_FAILED: the
 * database failed, which is printed.
 */
MUST_CHECK int audit_markers(struct ctl *ctl, struct audit_report *report);

#endif
