/*
 * Asks PostgreSQL each second what time it is there, which sales open later or have closed, and
 * which items ask for a challenge. One reading of its clock serves the stamp of an order and the
 * refusal at the API.
 */
#ifndef PRODUCER_TIMEKEEPER_H
#define PRODUCER_TIMEKEEPER_H

#include <stdint.h>

#include "common/base/attrs.h"
#include "producer/api.h"
#include "producer/sale_windows.h"

struct timekeeper;

/* NULL: no memory. `api` must outlive it; it asks as soon as api->sessions.reads is connected. */
struct timekeeper *timekeeper_new(struct api *api);
void timekeeper_free(struct timekeeper *timekeeper); /* NULL is allowed; after pg_close */

/* The session is new: asks at once. */
void timekeeper_connected(struct timekeeper *timekeeper);

/* The time at which an order that comes now is accepted: the database's as last measured, since
 * 1970. */
int64_t timekeeper_now_ms(const struct timekeeper *timekeeper);
/* Whether an item is on sale at that time, as far as it is known. */
enum sale_state timekeeper_judge(const struct timekeeper *timekeeper, const char *sku,
                                 int64_t accepted_ms, int64_t *ret_opens_ms);
/* The challenge that the item asks for, valid until the next turn of the loop; NULL: none is known.
 */
const char *timekeeper_challenge(const struct timekeeper *timekeeper, const char *sku);

#endif
