/* One order of one socket that waits, and what was sent of it. No I/O. */
#ifndef NOTIFIER_PLACE_H
#define NOTIFIER_PLACE_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>

#include "common/base/attrs.h"
#include "common/base/buf.h"
#include "notifier/envelope.h"
#include "notifier/line.h"
#include "notifier/session.h"

#define PLACE_ORDER_SIZE 37 /* a UUID as text, and NUL */

struct watched; /* an item, of places.c */

struct place {
    struct session *session;
    struct watched *item;
    LIST_ENTRY(place) of_session;
    TAILQ_ENTRY(place) of_item;
    TAILQ_ENTRY(place) of_unknown; /* of tickets.c, while it has none */
    unsigned char order[ENVELOPE_ORDER_SIZE];
    int64_t event_id; /* of the event by which it waits */
    int64_t sequence;
    int64_t ticket;    /* 0: not known yet */
    int64_t until_ms;  /* until when it may wait, by the item's clock */
    int asked;         /* of tickets.c: its number in the question; -1: it is in none */
    uint64_t need;     /* the first reading of the line that is new enough for it */
    int64_t shown;     /* the place; 0: none yet */
    bool complete;     /* more than the event that said that it waits */
    int64_t shown_end; /* until when it may wait; 0: nothing was said */
    bool shown_pace;
};

/* What is to be sent. */
struct place_news {
    int64_t place;
    int64_t end_ms; /* wall clock; 0: its clock stands */
    int64_t wait_s; /* estimated; 0: not known */
};

/* Whether there is something to send by this line, whose newest reading is `reading`. */
bool place_news(const struct place *place, const struct line *line, uint64_t reading,
                struct place_news *ret_news);
/* It was sent. */
void place_sent(struct place *place, const struct place_news *news);
/* The CloudEvent. 0, or an error of the buffer. */
MUST_CHECK int place_encode(struct buf *out, const struct place *place, const char *sku,
                            const struct place_news *news, int64_t now_ms);
void place_order_text(const struct place *place, char ret_text[PLACE_ORDER_SIZE]);

#endif
