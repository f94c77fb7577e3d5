#include "notifier/mail/mail_attempt.h"

#include <stdio.h>
#include <stdlib.h>

#include "common/base/err.h"
#include "common/net/smtp/smtp.h"

enum {
    COLUMN_ID,
    COLUMN_ATTEMPT,
    COLUMN_KIND,
    COLUMN_ADDRESS,
    COLUMN_LOCALE,
    COLUMN_ORDER,
    COLUMN_TITLE,
    COLUMN_QUANTITY,
    COLUMN_AMOUNT,
    COLUMN_CURRENCY,
    COLUMN_REFERENCE,
    COLUMN_REASON,
    COLUMN_CREATED,
    COLUMN_AGE,
    COLUMN_ACT_UNTIL,
    COLUMN_TRACEPARENT,
};

static int write_mail(struct mail_attempt *attempt, const struct pg_result *result, int row,
                      const struct templates *templates, const struct mail_shop *shop)
{
    const struct mail mail = {
        .kind = mail_kind_of(pg_text(result, row, COLUMN_KIND)),
        .to = attempt->to,
        .locale = pg_text_or_null(result, row, COLUMN_LOCALE),
        .order_id = attempt->order_id,
        .title = pg_text(result, row, COLUMN_TITLE),
        .quantity = pg_int(result, row, COLUMN_QUANTITY),
        .has_amount = !pg_null(result, row, COLUMN_AMOUNT),
        .amount = pg_int(result, row, COLUMN_AMOUNT),
        .currency = pg_text_or_null(result, row, COLUMN_CURRENCY),
        .reference = pg_text_or_null(result, row, COLUMN_REFERENCE),
        .reason = pg_text_or_null(result, row, COLUMN_REASON),
        .created_ms = pg_int(result, row, COLUMN_CREATED),
        .act_until_ms = pg_int(result, row, COLUMN_ACT_UNTIL),
    };
    if (mail.kind == MAIL_KINDS)
        return ERR_INVALID;
    return mail_text_build(templates, shop, &mail, &attempt->message);
}

struct mail_attempt *mail_attempt_new(const struct pg_result *result, int row,
                                      const struct templates *templates,
                                      const struct mail_shop *shop)
{
    struct mail_attempt *attempt = calloc(1, sizeof *attempt);
    if (attempt == NULL)
        return NULL;
    attempt->base.id = pg_int(result, row, COLUMN_ID);
    attempt->base.number = pg_int(result, row, COLUMN_ATTEMPT);
    attempt->age_ms = pg_int(result, row, COLUMN_AGE);
    buf_init(&attempt->message, MAIL_TEXT_MAX);
    (void)snprintf(attempt->order_id, sizeof attempt->order_id, "%s",
                   pg_text(result, row, COLUMN_ORDER));
    attempt->base.order_id = attempt->order_id;
    (void)snprintf(attempt->base.traceparent, sizeof attempt->base.traceparent, "%s",
                   pg_text(result, row, COLUMN_TRACEPARENT));
    (void)snprintf(attempt->to, sizeof attempt->to, "%s", pg_text(result, row, COLUMN_ADDRESS));
    int code = write_mail(attempt, result, row, templates, shop);
    if (code == ERR_NOMEM) {
        mail_attempt_free(attempt);
        return NULL;
    }
    if (code < 0) {
        attempt->base.ended = true;
        attempt->base.end = DISPATCH_FAILED;
        (void)snprintf(attempt->base.problem, sizeof attempt->base.problem,
                       "the mail cannot be written: %s", err_text(code));
    }
    return attempt;
}

void mail_attempt_free(struct mail_attempt *attempt)
{
    if (attempt->call != NULL)
        smtp_forget(attempt->call);
    buf_free(&attempt->message);
    free(attempt);
}
