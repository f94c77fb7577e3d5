/* The events_url of each buyer: the notifier's address with a short-lived ticket. A ticket is
 * signed once and used again for the first half of its life. */
#ifndef PRODUCER_EVENT_TICKETS_H
#define PRODUCER_EVENT_TICKETS_H

#include <stdint.h>

#include "common/base/attrs.h"
#include "common/base/buf.h"
#include "common/identity/jwt.h"

struct event_tickets;

/* `events_url` is copied; `jwt` must outlive the tickets. NULL: no memory. */
struct event_tickets *event_tickets_new(struct jwt *jwt, const char *events_url, int64_t ttl_s);
void event_tickets_free(struct event_tickets *tickets); /* NULL is allowed */

/* Appends the URL as a JSON string, or null if no ticket can be made. The websocket may stay as
 * long as the buyer's own token is valid. */
void event_tickets_encode(struct event_tickets *tickets, const struct jwt_claims *buyer,
                          int64_t now_s, struct buf *out);

#endif
