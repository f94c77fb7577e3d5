/* How the sandbox behaves apart from faults: by default as Stripe's API does. Pure. */
#ifndef DEPLOY_SANDBOX_SETTING_H
#define DEPLOY_SANDBOX_SETTING_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "common/base/attrs.h"
#include "common/base/buf.h"

/* What the account lets charges do. */
#define SETTING_CHARGES_MAP(X)                                                                     \
    X(OK, "ok")                                                                                    \
    X(REFUSED, "refused")           /* 400 without code and param: the account's own fault */      \
    X(UNAUTHORIZED, "unauthorized") /* 401 */                                                      \
    X(FORBIDDEN, "forbidden")       /* 403: a restricted key */

/* What becomes of refunds. */
#define SETTING_REFUNDS_MAP(X)                                                                     \
    X(OK, "ok")                                                                                    \
    X(NO_BALANCE, "no-balance") /* 400 without code */                                             \
    X(DISPUTED, "disputed")     /* 400: the charge is disputed */                                  \
    X(PENDING, "pending")       /* they succeed later */                                           \
    X(FAILING, "failing")       /* they succeed at once, and fail later */                         \
    X(UNAUTHORIZED, "unauthorized")                                                                \
    X(FORBIDDEN, "forbidden")

enum setting_charges {
#define SETTING_ENUM(name, text) CHARGES_##name,
    SETTING_CHARGES_MAP(SETTING_ENUM)
#undef SETTING_ENUM
};

enum setting_refunds {
#define SETTING_ENUM(name, text) REFUNDS_##name,
    SETTING_REFUNDS_MAP(SETTING_ENUM)
#undef SETTING_ENUM
};

struct settings {
    enum setting_charges charges;
    enum setting_refunds refunds;
    uint32_t processing_ms;  /* until what is under way ends */
    uint32_t list_late_ms;   /* until a new intent is in lists */
    uint32_t key_seconds;    /* until an idempotency key is forgotten */
    uint32_t rate_endpoint;  /* requests a second to one endpoint; 0: no limit */
    uint32_t rate_all;       /* and to all together */
    uint32_t missing_method; /* HTTP status of a payment method that is not there: 404 or 400 */
    double keep_refused;     /* chance that a 4xx about objects is the result of its key */
    double keep_invalid;     /* and one about the form alone */
    bool consume;            /* payment methods can be used once */
    bool amounts;            /* least and most amounts, steps, currencies */
    bool return_url;         /* asked for where payment methods may redirect */
    bool livemode;           /* test payment methods are refused, objects say so */
    bool cancel_processing;  /* a debit under way can be cancelled */
    bool all_events;         /* also payment_intent.created, charge.succeeded and charge.failed */
};

/* As Stripe's API is. */
void settings_init(struct settings *settings);
/* Ends what only plays an account in trouble: charges, refunds, list_late_ms. */
void settings_calm(struct settings *settings);
/*
 * Changes what `name` says. "truthful" sets consume, amounts, return_url, missing_method and
 * keep_refused together: false is the gateway that we once imagined. ERR_NOT_FOUND: there is no
 * such setting; ERR_PARSE with a line in `ret_problem`.
 */
MUST_CHECK int settings_read(struct settings *settings, const char *name, const json_t *value,
                             struct buf *ret_problem);
/* Appends ,"name":value for each. */
void settings_write(const struct settings *settings, struct buf *out);

#endif
