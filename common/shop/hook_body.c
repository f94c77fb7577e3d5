#include "common/shop/hook_body.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "common/base/clock.h"
#include "common/base/err.h"

/* Changes of state, then what happened at the gateway (checkout.returns). */
const char *const hook_types[] = {
    "order.waiting",
    "order.reserved",
    "order.confirmed",
    "order.rejected",
    "order.cancelled",
    "order.refunded",
    "order.partly_refunded",
    "order.refund_failed",
    "order.disputed",
    "order.dispute_won",
    "order.dispute_lost",
    "order.dispute_closed",
    NULL,
};

void hook_id(const struct hook_event *event, int64_t delivery, char ret_id[HOOK_ID_SIZE])
{
    if (event->event_id == 0)
        (void)snprintf(ret_id, HOOK_ID_SIZE, "test_%" PRId64, delivery);
    else
        (void)snprintf(ret_id, HOOK_ID_SIZE, "evt_%" PRId64, event->event_id);
}

static void add_data(const struct hook_event *event, struct buf *out)
{
    (void)buf_printf(out, "\"event_id\":\"%" PRId64 "\"", event->event_id);
    (void)buf_json_member(out, "order_id", event->order_id);
    if (event->sequence > 0)
        (void)buf_printf(out, ",\"sequence\":%" PRId64, event->sequence);
    (void)buf_json_member(out, "status", event->type + strlen(HOOK_TYPE_PREFIX));
    (void)buf_json_member(out, "reason", event->reason);
    (void)buf_json_member(out, "user_id", event->user_id);
    (void)buf_json_member(out, "sku", event->sku);
    if (event->quantity > 0)
        (void)buf_printf(out, ",\"quantity\":%" PRId64, event->quantity);
    if (event->has_amount)
        (void)buf_printf(out, ",\"amount\":%" PRId64, event->amount);
    (void)buf_json_member(out, "currency", event->currency);
    (void)buf_json_member(out, "reference", event->reference);
}

int hook_body(const struct hook_event *event, struct buf *out)
{
    char time[CLOCK_RFC3339_SIZE];
    clock_rfc3339(event->time_ms, time);
    (void)buf_printf(out, "{\"type\":\"%s\",\"timestamp\":\"%s\",\"data\":{", event->type, time);
    if (event->event_id != 0)
        add_data(event, out);
    int code = buf_str(out, "}}");
    return code == 0 && out->failed ? ERR_FULL : code;
}
