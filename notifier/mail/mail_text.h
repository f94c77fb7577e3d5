/* From what the database knows of a mail to the mail itself. Pure. */
#ifndef NOTIFIER_MAIL_MAIL_TEXT_H
#define NOTIFIER_MAIL_MAIL_TEXT_H

#include <stdbool.h>
#include <stdint.h>

#include "common/base/attrs.h"
#include "common/base/buf.h"
#include "notifier/mail/template.h"
#include "notifier/mail/templates.h"

#define MAIL_TEXT_MAX ((size_t)512 * 1024) /* bytes of one mail */

/* What the shop says of itself. Strings are not owned. */
struct mail_shop {
    const char *from;
    const char *name;     /* "": the host of the address */
    const char *page_url; /* "": mails have no link */
};

/* Strings are not owned; NULL: absent. */
struct mail {
    enum mail_kind kind;
    const char *to;
    const char *locale;
    const char *order_id;
    const char *title;
    int64_t quantity;
    bool has_amount;
    int64_t amount; /* minor units */
    const char *currency;
    const char *reference;
    const char *reason;   /* why it was rejected: a word of common/shop/status.h */
    int64_t created_ms;   /* when what it tells happened */
    int64_t act_until_ms; /* until when its buyer may act at the bank; 0: absent */
};

/* The names that templates may use, without values. */
extern const struct template_value mail_text_names[];

/* Appends the mail as SMTP carries it. The same mail always gives the same bytes. 0, ERR_FULL or
 * ERR_INVALID. */
MUST_CHECK int mail_text_build(const struct templates *templates, const struct mail_shop *shop,
                               const struct mail *mail, struct buf *out);

#endif
