/* What a form asks for: checks its fields and fills in what will be recorded. Pure. */
#ifndef DEPLOY_SANDBOX_REQUEST_H
#define DEPLOY_SANDBOX_REQUEST_H

#include "common/base/attrs.h"
#include "common/base/buf.h"
#include "deploy/sandbox/answer.h"
#include "deploy/sandbox/card.h"
#include "deploy/sandbox/form.h"
#include "deploy/sandbox/record.h"

/*
 * Each returns 0, or ERR_INVALID with the answer to give in `ret_error`. The texts stay in the form
 * and in `metadata`, which is written anew. (A currency is put into lower case in the form.)
 */
MUST_CHECK int request_charge(struct form *form, struct buf *metadata, struct intent *ret_intent,
                              struct card *ret_card, struct answer_error *ret_error);
MUST_CHECK int request_cancel(const struct form *form, struct answer_error *ret_error);
/* Without an amount, all that is left of the intent is refunded. */
MUST_CHECK int request_refund(const struct form *form, const struct intent *intent,
                              struct buf *metadata, struct refund *ret_refund,
                              struct answer_error *ret_error);

#endif
