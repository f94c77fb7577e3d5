#include "common/shop/event.h"

#include <string.h>

#include "common/base/clock.h"
#include "common/base/err.h"

#define EVENT_SOURCE "/checkout"

static void member_int(struct buf *out, const char *name, int64_t value)
{
    (void)buf_str(out, ",\"");
    (void)buf_str(out, name);
    (void)buf_str(out, "\":");
    (void)buf_int(out, value);
}

static void encode_data(struct buf *out, const struct event *event)
{
    (void)buf_str(out, "\"data\":{\"order_id\":");
    (void)buf_json_str(out, event->order_id);
    (void)buf_json_member(out, "sku", event->sku);
    if (event->quantity > 0)
        member_int(out, "quantity", event->quantity);
    (void)buf_json_member(out, "status", event->status);
    (void)buf_json_member(out, "reason", event->reason);
    if (event->place_in_line > 0)
        member_int(out, "place_in_line", event->place_in_line);
    if (event->has_amount)
        member_int(out, "amount", event->amount);
    (void)buf_json_member(out, "currency", event->currency);
    (void)buf_json_member(out, "reference", event->reference);
    if (event->next_action != NULL) {
        (void)buf_str(out, ",\"next_action\":");
        (void)buf_str(out, event->next_action);
    }
    (void)buf_json_member(out, "payment_problem", event->payment_problem);
    (void)buf_json_member(out, "param", event->param);
    (void)buf_str(out, "}}");
}

int event_encode(struct buf *out, const struct event *event)
{
    char time[CLOCK_RFC3339_SIZE];
    clock_rfc3339(event->time_ms, time);
    (void)buf_str(out, "{\"specversion\":\"1.0\",\"id\":\"");
    (void)buf_int(out, event->id);
    (void)buf_str(out, "\",\"source\":\"" EVENT_SOURCE "\",\"type\":\"checkout.order.");
    (void)buf_str(out, event->status);
    (void)buf_str(out, ".v1\",\"subject\":\"");
    (void)buf_str(out, event->order_id);
    (void)buf_str(out, "\",\"time\":\"");
    (void)buf_str(out, time);
    (void)buf_str(out, "\",\"datacontenttype\":\"application/json\"");
    member_int(out, "sequence", event->sequence);
    (void)buf_json_member(out, "traceparent", event->traceparent);
    (void)buf_char(out, ',');
    encode_data(out, event);
    return out->failed ? ERR_FULL : 0;
}
