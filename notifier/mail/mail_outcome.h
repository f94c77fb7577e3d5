/* What follows from an attempt to send a mail. Pure. */
#ifndef NOTIFIER_MAIL_MAIL_OUTCOME_H
#define NOTIFIER_MAIL_MAIL_OUTCOME_H

#include <stdint.h>

#include "common/net/smtp/smtp.h"

#define MAIL_PROBLEM_SIZE 200

enum mail_end {
    MAIL_SENT,
    MAIL_AGAIN,       /* later: the server does not take it now, or its answer was lost */
    MAIL_FAILED,      /* for ever */
    MAIL_UNAVAILABLE, /* there is no server to send it by: another one may do */
    MAIL_ENDS
};

enum mail_end mail_end_of(const struct smtp_answer *answer);
/* The word in metrics. */
const char *mail_end_word(enum mail_end end);
/* For people, without any address. */
void mail_problem_of(const struct smtp_answer *answer, char ret_text[MAIL_PROBLEM_SIZE]);
/* After so many attempts (1 or more): half a minute, doubled with each, an hour at most; between
 * half of that and the whole, as `random` says. */
int64_t mail_retry_ms(int64_t attempts, uint64_t random);

#endif
