/*
 * What a form asks for: checks its fields and fills in what will be recorded. Only the form is
 * looked at, no object: what is refused here has not begun to be executed. Pure.
 */
#ifndef DEPLOY_SANDBOX_REQUEST_H
#define DEPLOY_SANDBOX_REQUEST_H

#include <stdbool.h>

#include "common/base/attrs.h"
#include "common/base/buf.h"
#include "deploy/sandbox/answer.h"
#include "deploy/sandbox/form.h"
#include "deploy/sandbox/record.h"

/* What a new intent, or the confirmation of one, asks for besides what is recorded. */
struct request_charge {
    struct intent intent;
    const char *method;   /* id or template; NULL: none */
    const char *customer; /* id; NULL: none */
    bool confirm;
    bool saves;                     /* attach the payment method once it has paid */
    bool any_type;                  /* payment methods of every type are allowed */
    bool may_redirect;              /* and those that redirect, so a return_url is needed */
    const struct form_field *types; /* payment_method_types[…]: see request_allows */
    const struct form *form;
};

/*
 * Each returns 0, or ERR_INVALID with the answer to give in `ret_error`. The texts stay in the form
 * and in `metadata`, which is written anew. (A currency is put into lower case in the form.)
 * `version` is the version of the API that was asked for: it decides what is meant where a form
 * names no types of payment methods.
 */
MUST_CHECK int request_charge(struct form *form, const char *version, struct buf *metadata,
                              struct request_charge *ret_charge, struct answer_error *ret_error);
MUST_CHECK int request_confirm(const struct form *form, struct request_charge *ret_charge,
                               struct answer_error *ret_error);
/* Whether a payment method of this type is allowed. */
bool request_allows(const struct request_charge *charge, const char *type);
MUST_CHECK int request_cancel(const struct form *form, struct answer_error *ret_error);
/* `ret_amount`: 0 for all of it. */
MUST_CHECK int request_capture(const struct form *form, int64_t *ret_amount,
                               struct answer_error *ret_error);
/* Without an amount, `ret_refund->amount` is 0: all that is left. */
MUST_CHECK int request_refund(const struct form *form, struct buf *metadata,
                              struct refund *ret_refund, struct answer_error *ret_error);
/* `ret_token`: the test token that the payment method is made from. */
MUST_CHECK int request_method(const struct form *form, const char **ret_token,
                              struct answer_error *ret_error);
MUST_CHECK int request_customer(const struct form *form, struct buf *metadata,
                                struct customer *ret_customer, struct answer_error *ret_error);
/* A form of an attachment; `ret_customer` is its customer's id. */
MUST_CHECK int request_attach(const struct form *form, const char **ret_customer,
                              struct answer_error *ret_error);

/* Fills in an invalid_request_error of status 400. Returns ERR_INVALID. */
int request_invalid(struct answer_error *error, const char *code, const char *param,
                    const char *message);

#endif
