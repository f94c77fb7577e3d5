/* Metrics of the mailer. */
#ifndef NOTIFIER_MAIL_MAIL_STATS_H
#define NOTIFIER_MAIL_MAIL_STATS_H

#include "notifier/dispatch/dispatch_stats.h"

void mail_stats_init(struct dispatch_stats *stats, struct metrics *metrics);

#endif
