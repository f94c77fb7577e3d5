/* Who pays a charge, and by what: its payment method and its customer. */
#ifndef DEPLOY_SANDBOX_PAYMENT_METHOD_H
#define DEPLOY_SANDBOX_PAYMENT_METHOD_H

#include "common/base/attrs.h"
#include "deploy/sandbox/payment.h"

/* Finds the payment method and the customer that payment->charge names, or the ones that the intent
 * has already; fills in payment->card and the intent's numbers. False: it has been refused. */
MUST_CHECK bool payment_method_find(struct payment *payment);
/* Uses the payment method: a template is cloned, one without a customer is consumed (unless it is
 * only named, not charged). Fills in record.method. False: it has been refused. */
MUST_CHECK bool payment_method_use(struct payment *payment);
/* The record of a use could not be written. */
void payment_method_undo(struct payment *payment);

#endif
