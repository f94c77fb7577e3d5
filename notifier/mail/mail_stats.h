/* Metrics of the mailer. */
#ifndef NOTIFIER_MAIL_MAIL_STATS_H
#define NOTIFIER_MAIL_MAIL_STATS_H

#include "common/service/metrics.h"
#include "notifier/mail/mail_outcome.h"

struct mail_stats {
    struct metric *attempts[MAIL_ENDS];
    struct metric *attempt_seconds;
    struct metric *in_flight;
    struct metric *overdue;
    struct metric *overdue_seconds;
    struct metric *database_up;
};

void mail_stats_init(struct mail_stats *stats, struct metrics *metrics);

#endif
