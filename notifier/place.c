#include "notifier/place.h"

#include <inttypes.h>
#include <stdio.h>

#include "common/base/clock.h"
#include "common/base/encode.h"
#include "common/base/err.h"

#define END_JITTER_MS 999 /* an end that moved by less is the same one */

static bool same_end(int64_t one_ms, int64_t other_ms)
{
    int64_t apart_ms = one_ms > other_ms ? one_ms - other_ms : other_ms - one_ms;
    return (one_ms == 0) == (other_ms == 0) && apart_ms <= END_JITTER_MS;
}

bool place_news(const struct place *place, const struct line *line, uint64_t reading,
                struct place_news *ret_news)
{
    if (place->ticket == 0 || reading < place->need)
        return false;
    int64_t at = line_place(line, place->ticket);
    if (at == 0)
        return false;
    if (place->shown > 0 && at > place->shown)
        at = place->shown;
    struct place_news news = {.place = at};
    if (line->news.behind_ms != LINE_CLOCK_STANDS) {
        news.end_ms = place->until_ms + line->news.behind_ms;
        news.wait_s = (at * line->news.pace_ms + 999) / 1000;
    }
    *ret_news = news;
    return !place->complete || at < place->shown || !same_end(news.end_ms, place->shown_end) ||
           (news.wait_s > 0) != place->shown_pace;
}

void place_sent(struct place *place, const struct place_news *news)
{
    place->shown = news->place;
    place->complete = true;
    place->shown_end = news->end_ms;
    place->shown_pace = news->wait_s > 0;
}

void place_order_text(const struct place *place, char ret_text[PLACE_ORDER_SIZE])
{
    char *at = ret_text;
    for (size_t i = 0; i < sizeof place->order; i++) {
        if (i == 4 || i == 6 || i == 8 || i == 10)
            *at++ = '-';
        hex_put(place->order[i], at);
        at += 2;
    }
    *at = '\0';
}

int place_encode(struct buf *out, const struct place *place, const char *sku,
                 const struct place_news *news, int64_t now_ms)
{
    char order[PLACE_ORDER_SIZE];
    char time[CLOCK_RFC3339_SIZE];
    place_order_text(place, order);
    clock_rfc3339(now_ms, time);
    (void)buf_printf(out,
                     "{\"specversion\":\"1.0\",\"id\":\"%" PRId64 ".%" PRId64
                     "\",\"source\":\"/checkout\",\"type\":\"checkout.order.place.v1\","
                     "\"subject\":\"%s\",\"time\":\"%s\",\"datacontenttype\":\"application/json\","
                     "\"sequence\":%" PRId64 ",\"data\":{\"order_id\":\"%s\",\"sku\":\"%s\","
                     "\"status\":\"waiting\",\"place_in_line\":%" PRId64,
                     place->event_id, now_ms, order, time, place->sequence, order, sku,
                     news->place);
    if (news->end_ms > 0) {
        clock_rfc3339(news->end_ms, time);
        (void)buf_printf(out, ",\"expires_at\":\"%s\"", time);
    }
    if (news->wait_s > 0)
        (void)buf_printf(out, ",\"estimated_wait_s\":%" PRId64, news->wait_s);
    (void)buf_str(out, "}}");
    return out->failed ? ERR_FULL : 0;
}
