/* What follows from an attempt to deliver a webhook. Pure. */
#ifndef NOTIFIER_HOOKS_HOOK_OUTCOME_H
#define NOTIFIER_HOOKS_HOOK_OUTCOME_H

#include <stddef.h>
#include <stdint.h>

#include "common/net/http/curl_exchange.h"
#include "notifier/dispatch/dispatch_attempt.h"

#define HOOK_ANSWER_SIZE 201 /* what is kept of an answer, with NUL */

/* 2xx: sent. Everything else is tried again. */
enum dispatch_end hook_end_of(const struct curl_response *response);
/* For people, without any address. */
void hook_problem_of(const struct curl_response *response, char ret_text[DISPATCH_PROBLEM_SIZE]);
/* For how long the endpoint wants to be left alone: Retry-After, or 5 s if it says that it is
 * overloaded (429, 502, 504). */
int64_t hook_hold_ms(const struct curl_response *response);
/* After so many tries (1 or more): 5 s, then longer up to a day; between half of that and the
 * whole, as `random` says. */
int64_t hook_retry_ms(int64_t tries, uint64_t random);
/* The first bytes of an answer; whatever is no visible ASCII becomes a "?". */
void hook_answer_of(const char *body, size_t len, char ret_text[HOOK_ANSWER_SIZE]);

#endif
