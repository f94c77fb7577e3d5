/* One attempt to send a mail, from its claim to its record. */
#ifndef NOTIFIER_MAIL_MAIL_ATTEMPT_H
#define NOTIFIER_MAIL_MAIL_ATTEMPT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/queue.h>

#include "common/base/buf.h"
#include "common/net/pg/pg_result.h"
#include "common/shop/ids.h"
#include "notifier/mail/mail_outcome.h"
#include "notifier/mail/mail_text.h"

#define MAIL_ADDRESS_SIZE 255

/* The columns of checkout.claim_mails in this order. */
#define MAIL_CLAIM_COLUMNS                                                                         \
    "mail_id, attempt, kind, address, locale, order_id, title, quantity, amount, currency,"        \
    " reference, reason, created_ms, age_ms, action_until_ms"

struct mail_attempt {
    TAILQ_ENTRY(mail_attempt) link;
    void *owner;
    int64_t mail_id;
    int64_t number; /* of the attempt, from 1 */
    int64_t age_ms; /* of the mail */
    char order_id[IDS_ORDER_SIZE];
    char to[MAIL_ADDRESS_SIZE];
    struct buf message;
    uint64_t began_ms;
    size_t servers_tried;
    struct smtp_call *call; /* NULL: it is not at a server */
    bool ended;             /* the following is to be recorded */
    bool recording;         /* and is on its way */
    enum mail_end end;
    int64_t retry_ms; /* of MAIL_AGAIN */
    char problem[MAIL_PROBLEM_SIZE];
};

/* Of a row of a claim. An attempt whose mail cannot be written has ended already: MAIL_FAILED.
 * NULL: no memory. */
struct mail_attempt *mail_attempt_new(const struct pg_result *result, int row,
                                      const struct templates *templates,
                                      const struct mail_shop *shop);
/* Not while it is at a server. */
void mail_attempt_free(struct mail_attempt *attempt);
/* Ends it as `end` says; a mail that has been tried for longer than give_up_ms fails. */
void mail_attempt_end(struct mail_attempt *attempt, enum mail_end end, int64_t give_up_ms,
                      uint64_t random);

#endif
