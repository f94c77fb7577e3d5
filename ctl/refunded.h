/* Which payments went back whole, by the gateway's list of refunds. */
#ifndef CTL_REFUNDED_H
#define CTL_REFUNDED_H

#include <stdbool.h>
#include <stdint.h>

#include "common/base/attrs.h"
#include "common/pay/pay.h"
#include "ctl/audit/audit_captures.h"
#include "ctl/ctl.h"

/* Reads the list back to `since_s` (0: all of it) and adds to `refunded`, which starts as zeros;
 * audit_captures_free after it. 0, or the ERR_* of the gateway. */
MUST_CHECK int refunded_read(struct ctl *ctl, struct pay *pay, int64_t since_s,
                             struct audit_captures *refunded);
/* Whether one refund, which has not failed, returned this much of the payment. */
bool refunded_has(struct audit_captures *refunded, const char *intent_id, int64_t amount);

#endif
