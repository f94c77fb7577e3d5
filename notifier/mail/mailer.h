/*
 * Sends mails by SMTP: the transport of those that a dispatcher claims. A mail that is sent again,
 * because the record of its attempt was lost, has the same Message-ID.
 */
#ifndef NOTIFIER_MAIL_MAILER_H
#define NOTIFIER_MAIL_MAILER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/loop.h"
#include "common/net/smtp/smtp.h"
#include "notifier/dispatch/dispatcher.h"
#include "notifier/mail/mail_stats.h"
#include "notifier/mail/mail_text.h"

struct mailer;

/* Strings and pointers outlive the mailer. */
struct mailer_options {
    struct loop *loop;
    const char *database_url;
    const struct smtp_url *servers;
    size_t server_count;
    bool tls; /* STARTTLS is a must; with a login it always is */
    const char *ca_file;
    const char *name;    /* of this host, for EHLO */
    uint32_t timeout_ms; /* of an attempt at one server */
    size_t inflight;
    int64_t per_address; /* in an hour */
    int64_t give_up_ms;
    struct mail_shop shop;
    const struct templates *templates;
    struct dispatch_stats *stats;
    const char *place; /* the admin address, for its heartbeat */
    bool (*ready)(void *arg, struct buf *ret_why);
    void *ready_arg;
};

/* NULL: no memory. */
struct mailer *mailer_new(const struct mailer_options *options);
/* Attempts under way end without a record: they are made again. NULL is allowed. */
void mailer_free(struct mailer *mailer);
struct dispatcher *mailer_dispatcher(const struct mailer *mailer);

#endif
