/*
 * How often a payment that waits for its buyer, or for a bank, is looked at. All that wait share
 * five looks a second: the more of them, the rarer. Where the gateway's webhooks come, a look is
 * only a net below them: once a minute at the most. Pure; times are monotonic.
 */
#ifndef CONSUMER_GATEWAY_LOOK_PACE_H
#define CONSUMER_GATEWAY_LOOK_PACE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define LOOK_PACE_FIRST_MS 1000 /* the backoff of looks, without webhooks */
#define LOOK_PACE_MAX_MS 15000
#define LOOK_PACE_SOON 2 /* so many looks follow soon behind a webhook, which may be too early */

/* Whether webhooks come: the newest came at `hinted_ms` (0: none ever). */
bool look_pace_hints_come(int64_t hinted_ms, int64_t now_ms);
/* The next look, with `waiting` payments in all. */
uint64_t look_pace_ms(size_t waiting, bool hints_come, uint32_t backoff_ms);
/* The next one, if the last one failed: webhooks tell nothing about that. */
uint64_t look_pace_failed_ms(size_t waiting, uint32_t backoff_ms);
/* Behind a webhook, while `soon` such looks are left. */
uint64_t look_pace_soon_ms(unsigned soon);

#endif
