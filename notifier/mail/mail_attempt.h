/* One attempt to send a mail, from its claim to its record. */
#ifndef NOTIFIER_MAIL_MAIL_ATTEMPT_H
#define NOTIFIER_MAIL_MAIL_ATTEMPT_H

#include <stddef.h>
#include <stdint.h>

#include "common/base/buf.h"
#include "common/net/pg/pg_result.h"
#include "common/shop/ids.h"
#include "notifier/dispatch/dispatch_attempt.h"
#include "notifier/mail/mail_text.h"

#define MAIL_ADDRESS_SIZE 255

/* The columns of checkout.claim_mails, as c, in this order, and the order's trace. */
#define MAIL_CLAIM_COLUMNS                                                                         \
    "mail_id, attempt, kind, address, locale, order_id, title, quantity, amount, currency,"        \
    " reference, reason, created_ms, age_ms, action_until_ms,"                                     \
    " (select o.traceparent from checkout.orders o where o.order_id = c.order_id)"

struct mail_attempt {
    struct dispatch_attempt base;
    struct mailer *mailer;
    int64_t age_ms; /* since a server first heard of it */
    char order_id[IDS_ORDER_SIZE];
    char to[MAIL_ADDRESS_SIZE];
    struct buf message;
    size_t server; /* the one that it is at */
    size_t servers_tried;
    struct smtp_call *call; /* NULL: it is not at a server */
};

/* Of a row of a claim. An attempt whose mail cannot be written has ended already: DISPATCH_FAILED.
 * NULL: no memory. */
struct mail_attempt *mail_attempt_new(const struct pg_result *result, int row,
                                      const struct templates *templates,
                                      const struct mail_shop *shop);
/* Forgets its call, if it is at a server. */
void mail_attempt_free(struct mail_attempt *attempt);
#endif
