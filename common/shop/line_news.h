/* How the waitlist of an item stands, as it goes through Redis: tickets and counts, no ids. */
#ifndef COMMON_SHOP_LINE_NEWS_H
#define COMMON_SHOP_LINE_NEWS_H

#include <stddef.h>
#include <stdint.h>

#include "common/base/attrs.h"
#include "common/base/buf.h"

#define LINE_NEWS_MAX 512 /* bytes of one message */
#define LINE_CLOCK_STANDS (-1)

struct line_news {
    int64_t head;      /* the lowest ticket that waits; `next` where none does */
    int64_t next;      /* the ticket that the next order draws; never falls */
    int64_t waiting;   /* so many of them wait */
    int64_t behind_ms; /* the item's clock behind the database's; or LINE_CLOCK_STANDS */
    int64_t pace_ms;   /* about so long takes one step forward; 0: not known */
};

/* How many have left the line since it began; never falls. */
int64_t line_news_left(const struct line_news *news);

/* Appends the JSON text. 0 or ERR_FULL, ERR_NOMEM. */
MUST_CHECK int line_news_encode(struct buf *out, const struct line_news *news);
/* ERR_PARSE: it is none, or one that cannot be true. */
MUST_CHECK int line_news_parse(const char *text, size_t len, struct line_news *ret_news);

#endif
