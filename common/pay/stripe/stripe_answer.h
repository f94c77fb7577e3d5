/*
 * Reads the answers of a gateway that speaks Stripe's PaymentIntents API. Pure. An answer is
 * hostile until shown otherwise: what does not say exactly what is expected is PAY_UNKNOWN.
 */
#ifndef COMMON_PAY_STRIPE_STRIPE_ANSWER_H
#define COMMON_PAY_STRIPE_STRIPE_ANSWER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/attrs.h"
#include "common/pay/pay.h"
#include "common/pay/stripe/stripe_json.h"

/* What a charge asked for, and its intent must therefore be about. */
struct pay_expected {
    const char *order_id;
    int64_t amount;
    const char *currency; /* any case */
};

/* Each fills in outcome, problem, param, intent_id, code, received, action and of_the_api, and
 * nothing else of `ret_answer`. The body needs no NUL. */
void stripe_read_charge(unsigned status, const char *body, size_t len,
                        const struct pay_expected *expected, struct pay_answer *ret_answer);
/* Its state now, whether it could be cancelled or not. */
void stripe_read_cancel(unsigned status, const char *body, size_t len, const char *intent_id,
                        const struct pay_expected *expected, struct pay_answer *ret_answer);
/* The answer to a look at the intent `intent_id`: as pay_get. */
void stripe_read_get(unsigned status, const char *body, size_t len, const char *intent_id,
                     const struct pay_expected *expected, struct pay_answer *ret_answer);

/* As pay_refund and pay_find_refund say; `ret_answer->intent_id` is the refund's. */
void stripe_read_refund(unsigned status, const char *body, size_t len, const char *intent_id,
                        const struct pay_expected *expected, struct pay_answer *ret_answer);
void stripe_read_refunds(unsigned status, const char *body, size_t len, const char *intent_id,
                         const struct pay_expected *expected, struct pay_answer *ret_answer);

struct stripe_list {
    struct pay_intent *intents; /* their strings live in `json` */
    size_t count;
    bool has_more;
    json_t *json;
};

/* 0: `ret_list` is to be freed. ERR_AUTH (401, 403), ERR_UNAVAILABLE (429, 5xx), ERR_REFUSED (other
 * errors), ERR_PARSE (no list, or one with an intent that makes no sense), ERR_NOMEM. */
MUST_CHECK int stripe_read_list(unsigned status, const char *body, size_t len, unsigned limit,
                                struct stripe_list *ret_list);
void stripe_list_free(struct stripe_list *list);

/* Of an intent, wherever it stands: what its status means, and what a success says that was taken
 * (all of the amount, unless it says how much; -1: nonsense). */
enum pay_intent_state stripe_intent_state(const char *status);
int64_t stripe_received(const json_t *intent);

#endif
