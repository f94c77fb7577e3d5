/* What follows from an attempt to send a mail. Pure. */
#ifndef NOTIFIER_MAIL_MAIL_OUTCOME_H
#define NOTIFIER_MAIL_MAIL_OUTCOME_H

#include <stdint.h>

#include "common/net/smtp/smtp.h"
#include "notifier/dispatch/dispatch_attempt.h"

enum dispatch_end mail_end_of(const struct smtp_answer *answer);
/* For people, without any address. */
void mail_problem_of(const struct smtp_answer *answer, char ret_text[DISPATCH_PROBLEM_SIZE]);
/* After so many attempts (1 or more): half a minute, doubled with each, an hour at most; between
 * half of that and the whole, as `random` says. */
int64_t mail_retry_ms(int64_t attempts, uint64_t random);

#endif
