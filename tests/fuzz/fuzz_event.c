/* Messages on a buyer's channel in Redis. What is taken for an event has an order, a number and a
 * state. */
#include "tests/fuzz/fuzz.h"

#include <jansson.h>

#include "notifier/envelope.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *text = exact(data, size);
    struct envelope envelope;
    memset(&envelope, 0x5a, sizeof envelope);
    if (envelope_parse(text, size, &envelope) == 0) {
        json_t *root = json_loadb(text, size, JSON_REJECT_DUPLICATES, NULL);
        const char *subject = json_string_value(json_object_get(root, "subject"));
        unsigned char order[ENVELOPE_ORDER_SIZE];
        MUST(envelope.sequence > 0 && subject != NULL && strlen(subject) == 36);
        MUST(envelope.sequence == json_integer_value(json_object_get(root, "sequence")));
        MUST(envelope_parse_order(subject, order) == 0 &&
             memcmp(order, envelope.order, sizeof order) == 0);
        json_decref(root);
    }
    free(text);
    return 0;
}
