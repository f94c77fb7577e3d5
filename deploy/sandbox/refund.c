#include "deploy/sandbox/refund.h"

#include "common/base/err.h"

#define LIMIT_DEFAULT 10
#define LIMIT_MAX 100

/* Appends up to `limit` refunds below number `before`. */
static int write_page(struct gateway *g, uint64_t before, const uint64_t *intent, int64_t limit)
{
    struct buf *out = &g->out;
    uint64_t number = before;
    bool found = store_refund_before(g->store, intent, &number);
    (void)buf_str(out, "{\"object\":\"list\",\"url\":\"/v1/refunds\",\"data\":[");
    for (int64_t i = 0; i < limit && found; i++) {
        struct record record;
        if (ledger_read(g->ledger, store_refund(g->store, number), &record) < 0)
            return ERR_IO;
        if (i > 0)
            (void)buf_char(out, ',');
        answer_refund(&record, ledger_salt(g->ledger), out);
        record_free(&record);
        found = store_refund_before(g->store, intent, &number);
    }
    (void)buf_str(out, found ? "],\"has_more\":true}" : "],\"has_more\":false}");
    return out->failed ? ERR_FULL : 0;
}

void refund_list(struct gateway *gateway, struct http_request *request)
{
    uint32_t salt = ledger_salt(gateway->ledger);
    int64_t limit = gateway_query_number(request, "limit", LIMIT_DEFAULT);
    const char *after = http_request_query(request, "starting_after");
    const char *id = http_request_query(request, "payment_intent");
    uint64_t before = store_refund_count(gateway->store);
    uint64_t intent = 0;
    if (limit < 1 || limit > LIMIT_MAX) {
        gateway_refuse_parameter(gateway, request, "limit");
        return;
    }
    if (id != NULL && (record_number(id, "pi_", salt, &intent) < 0 ||
                       store_intent(gateway->store, intent) == NULL)) {
        gateway_refuse_missing(gateway, request, "payment_intent");
        return;
    }
    if (after != NULL && (record_number(after, "re_", salt, &before) < 0 ||
                          store_refund(gateway->store, before).len == 0)) {
        gateway_refuse_missing(gateway, request, "starting_after");
        return;
    }
    buf_reset(&gateway->out);
    if (write_page(gateway, before, id == NULL ? NULL : &intent, limit) < 0)
        gateway_refuse_unreadable(gateway, request);
    else
        gateway_respond(request, 200, &gateway->out, NULL);
}
