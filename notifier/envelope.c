#include "notifier/envelope.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/clock.h"
#include "common/base/encode.h"
#include "common/base/err.h"
#include "common/base/parse.h"
#include "common/shop/event.h"
#include "common/shop/status.h"

#define UUID_LEN 36

int envelope_parse_order(const char *text, unsigned char ret_order[ENVELOPE_ORDER_SIZE])
{
    unsigned char order[ENVELOPE_ORDER_SIZE];
    if (strlen(text) != UUID_LEN)
        return ERR_PARSE;
    size_t at = 0;
    for (size_t n = 0; n < sizeof order; n++) {
        if (at == 8 || at == 13 || at == 18 || at == 23)
            if (text[at++] != '-')
                return ERR_PARSE;
        int byte = hex_byte(text + at);
        if (byte < 0)
            return ERR_PARSE;
        order[n] = (unsigned char)byte;
        at += 2;
    }
    memcpy(ret_order, order, sizeof order);
    return 0;
}

void envelope_set_line(struct envelope *envelope, const char *status, const char *sku)
{
    enum order_state state = order_state_of(status);
    envelope->final = order_state_final(state);
    envelope->waits = state == ORDER_STATE_WAITING;
    envelope->sku[0] = '\0';
    if (sku != NULL && strlen(sku) <= JOB_SKU_MAX)
        (void)snprintf(envelope->sku, sizeof envelope->sku, "%s", sku);
}

int envelope_parse(const char *text, size_t len, struct envelope *ret_envelope)
{
    if (len > ENVELOPE_TEXT_MAX)
        return ERR_PARSE;
    json_t *root = json_loadb(text, len, JSON_REJECT_DUPLICATES, NULL);
    if (root == NULL)
        return ERR_PARSE;
    const char *version = NULL;
    const char *id = NULL;
    const char *subject = NULL;
    const char *status = NULL;
    const char *time = "";
    const char *sku = NULL;
    const char *trace = "";
    json_int_t sequence = 0;
    json_int_t place = 0;
    struct envelope envelope = {0};
    int code = ERR_PARSE;
    if (json_unpack(root, "{s:s, s:s, s:s, s:I, s?s, s?s, s:{s:s, s?s, s?I}}", "specversion",
                    &version, "id", &id, "subject", &subject, "sequence", &sequence, "time", &time,
                    "traceparent", &trace, "data", "status", &status, "sku", &sku, "place_in_line",
                    &place) == 0 &&
        strcmp(version, "1.0") == 0 && id[0] != '\0' && sequence > 0)
        code = envelope_parse_order(subject, envelope.order);
    if (code == 0) {
        envelope.sequence = sequence;
        if (clock_parse_rfc3339(time, &envelope.time_ms) < 0)
            envelope.time_ms = 0;
        envelope.place = place > 0 ? place : 0;
        if (parse_int(id, 1, INT64_MAX, &envelope.id) < 0)
            envelope.id = 0;
        (void)snprintf(envelope.order_id, sizeof envelope.order_id, "%s", subject);
        (void)snprintf(envelope.traceparent, sizeof envelope.traceparent, "%s", trace);
        envelope_set_line(&envelope, status, sku);
        *ret_envelope = envelope;
    }
    json_decref(root);
    return code;
}

int envelope_without_place(const char *text, size_t len, struct buf *out)
{
    json_t *root = json_loadb(text, len, JSON_REJECT_DUPLICATES, NULL);
    json_t *data = json_object_get(root, "data");
    int code = ERR_PARSE;
    if (json_object_del(data, "place_in_line") == 0) {
        char *changed = json_dumps(root, JSON_COMPACT);
        code = changed == NULL ? ERR_NOMEM : buf_str(out, changed);
        free(changed);
    }
    json_decref(root);
    return code;
}
