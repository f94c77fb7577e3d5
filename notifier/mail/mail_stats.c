#include "notifier/mail/mail_stats.h"

static struct metric *attempts(struct metrics *m, const char *labels)
{
    return metrics_counter(m, "checkout_mail_attempts_total",
                           "Attempts to send a mail, by what came of them.", labels);
}

void mail_stats_init(struct dispatch_stats *stats, struct metrics *m)
{
    dispatch_stats_attempts(stats, m, attempts);
    stats->attempt_seconds = metrics_histogram(m, "checkout_mail_attempt_seconds",
                                               "From an attempt's beginning to its end.", NULL);
    stats->in_flight =
        metrics_gauge(m, "checkout_mails_in_flight", "Mails that are being sent now.", NULL);
    stats->overdue =
        metrics_gauge(m, "checkout_mails_overdue", "Mails of all mailers that are due.", NULL);
    stats->overdue_seconds =
        metrics_gauge(m, "checkout_mails_overdue_seconds",
                      "How long the oldest of the mails that are due has been due.", NULL);
    stats->database_up = metrics_server_up(m, METRICS_DATABASE);
}
