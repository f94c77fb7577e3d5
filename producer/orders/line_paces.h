/*
 * How fast the waitlists move that buyers ask about: what consumers say on each one's channel in
 * Redis. An item is listened to from the first question about it until two minutes after the last,
 * so a question costs no call of a server. Advisory: what is not known, or was said long ago, is
 * left out.
 */
#ifndef PRODUCER_ORDERS_LINE_PACES_H
#define PRODUCER_ORDERS_LINE_PACES_H

#include <stddef.h>
#include <stdint.h>

#include "common/base/loop.h"

#define LINE_PACES_MAX 1024       /* items at once; of further ones nothing is known */
#define LINE_PACES_OLD_MS 12000   /* a consumer speaks each 5 s: two were missed */
#define LINE_PACES_KEEP_MS 120000 /* after the last question */

struct line_paces;

/* Subscribes to, or leaves, the channel of that name. */
struct line_paces_channels {
    int (*listen)(const char *channel, void *arg);
    void (*unlisten)(const char *channel, void *arg);
    void *arg;
};

/* NULL: no memory. */
struct line_paces *line_paces_new(struct loop *loop, const struct line_paces_channels *channels);
/* Leaves no channel: its connection ends, too. NULL is allowed. */
void line_paces_free(struct line_paces *paces);

/* About how many seconds the order at this place (1: the next) of the item's waitlist waits for its
 * turn; 0: not known (yet). */
int64_t line_paces_wait_s(struct line_paces *paces, const char *sku, int64_t place);
/* A message on a channel of a waitlist; it may be anything. */
void line_paces_heard(struct line_paces *paces, const char *channel, size_t channel_len,
                      const char *message, size_t len);

#endif
