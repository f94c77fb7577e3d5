/* What follows from an attempt to send a mail. Pure. */
#ifndef NOTIFIER_MAIL_MAIL_OUTCOME_H
#define NOTIFIER_MAIL_MAIL_OUTCOME_H

#include <stdbool.h>
#include <stdint.h>

#include "common/net/smtp/smtp.h"
#include "notifier/dispatch/dispatch_attempt.h"

/* DISPATCH_UNAVAILABLE: it says nothing of the mail, but that no mail can leave there. */
enum dispatch_end mail_end_of(const struct smtp_answer *answer);
/* Whether the server wants fewer mails for now: it says so of itself (421, 432, 454, an enhanced
 * status 4.3.x or 4.4.x), or will not hear of any recipient. */
bool mail_server_busy(const struct smtp_answer *answer);
/* Whether the server refuses by its rules (5.7.x): it relays nothing for us, say, or trusts our
 * sender's domain not. */
bool mail_refused_by_policy(const struct smtp_answer *answer);
/* For people, without any address. */
void mail_problem_of(const struct smtp_answer *answer, char ret_text[DISPATCH_PROBLEM_SIZE]);
/* After so many attempts (1 or more): half a minute, doubled with each, an hour at most; between
 * half of that and the whole, as `random` says. */
int64_t mail_retry_ms(int64_t attempts, uint64_t random);

#endif
