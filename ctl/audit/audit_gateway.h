/* The part of an audit that compares the gateway's list with the tables. */
#ifndef CTL_AUDIT_AUDIT_GATEWAY_H
#define CTL_AUDIT_AUDIT_GATEWAY_H

#include <stdint.h>

#include "common/base/attrs.h"
#include "ctl/audit/audit_report.h"
#include "ctl/ctl.h"

/* `since_ms`: only what is not older; 0: all. The settings of the gateway are loaded. Returns an
 * exit code: CTL_FINE also with violations, which are in the report. */
MUST_CHECK int audit_gateway(struct ctl *ctl, int64_t since_ms, struct audit_report *report);

#endif
