/* The signature of the gateway's events: Stripe-Signature. Pure. */
#ifndef PRODUCER_WEBHOOK_SIGNATURE_H
#define PRODUCER_WEBHOOK_SIGNATURE_H

#include <stddef.h>
#include <stdint.h>

#include "common/base/attrs.h"

#define WEBHOOK_BODY_MAX ((size_t)1024 * 1024)
#define WEBHOOK_TOLERANCE_S 300

/* Whether `header` ("t=<Unix seconds>,v1=<hex>,…") signs the body now: one of its v1 is the
 * HMAC-SHA-256 of "<t>.<body>". 0; ERR_TIMEOUT: it is too old or too new; ERR_AUTH: it does not;
 * ERR_NOMEM. */
MUST_CHECK int webhook_verify(const char *secret, size_t secret_len, const char *header,
                              const char *body, size_t body_len, int64_t now_s);

#endif
