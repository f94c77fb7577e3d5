/* What a refund must be, whoever asks for it: the API, or the dashboard. Pure. */
#ifndef DEPLOY_SANDBOX_REFUND_H
#define DEPLOY_SANDBOX_REFUND_H

#include "common/base/attrs.h"
#include "deploy/sandbox/record.h"

/* Whether it can refund so much of the intent; amount 0 becomes all that is left. 0, or ERR_INVALID
 * with the answer in `ret_error`. */
MUST_CHECK int refund_check(const struct intent *intent, int64_t *amount,
                            struct answer_error *ret_error);

#endif
