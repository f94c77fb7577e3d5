/* Refunds and disputes that the gateway has: which of our payments have some that are not recorded.
 */
#ifndef CTL_AUDIT_AUDIT_RETURNS_H
#define CTL_AUDIT_AUDIT_RETURNS_H

#include <stdint.h>

#include "common/base/attrs.h"
#include "common/pay/pay.h"
#include "ctl/audit/audit_report.h"
#include "ctl/ctl.h"

/* Lists those since `since_s` (by the gateway's clock; 0: all), has the owners of the orders record
 * what they do not know, and reports what they have not recorded then. A CTL_* exit code. */
MUST_CHECK int audit_returns(struct ctl *ctl, struct pay *pay, int64_t since_s,
                             struct audit_report *report);

#endif
