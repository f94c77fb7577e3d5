#include "notifier/envelope.h"

#include <jansson.h>
#include <string.h>

#include "common/base/clock.h"
#include "common/base/encode.h"
#include "common/base/err.h"
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
    json_int_t sequence = 0;
    struct envelope envelope = {0};
    int code = ERR_PARSE;
    if (json_unpack(root, "{s:s, s:s, s:s, s:I, s?s, s:{s:s}}", "specversion", &version, "id", &id,
                    "subject", &subject, "sequence", &sequence, "time", &time, "data", "status",
                    &status) == 0 &&
        strcmp(version, "1.0") == 0 && id[0] != '\0' && sequence > 0)
        code = envelope_parse_order(subject, envelope.order);
    if (code == 0) {
        envelope.sequence = sequence;
        if (clock_parse_rfc3339(time, &envelope.time_ms) < 0)
            envelope.time_ms = 0;
        envelope.final = order_state_final(order_state_of(status));
        *ret_envelope = envelope;
    }
    json_decref(root);
    return code;
}
