/* Metrics of the mailer. */
#ifndef NOTIFIER_MAIL_MAIL_STATS_H
#define NOTIFIER_MAIL_MAIL_STATS_H

#include "common/service/metrics.h"
#include "notifier/dispatch/dispatcher.h"

void mail_stats_init(struct dispatch_stats *stats, struct metrics *metrics);

#endif
