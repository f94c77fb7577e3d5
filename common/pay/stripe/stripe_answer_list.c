/* Pages of the list of intents. */
#include <stdlib.h>
#include <string.h>

#include "common/base/err.h"
#include "common/base/parse.h"
#include "common/pay/stripe/stripe_answer.h"

/* Values of metadata are text. */
static int64_t quantity_of(const json_t *metadata)
{
    const char *text = stripe_string(metadata, "quantity");
    int64_t quantity = 0;
    if (parse_int(text, 1, INT32_MAX, &quantity) < 0)
        return 0;
    return quantity;
}

static int read_item(const json_t *item, struct pay_intent *ret_intent)
{
    const json_t *amount = json_object_get(item, "amount");
    const json_t *created = json_object_get(item, "created");
    const json_t *metadata = json_object_get(item, "metadata");
    const char *status = stripe_string(item, "status");
    *ret_intent = (struct pay_intent){
        .id = stripe_string(item, "id"),
        .order_id = stripe_string(metadata, "order_id"),
        .state = status == NULL ? PAY_INTENT_OPEN : stripe_intent_state(status),
        .amount = json_integer_value(amount),
        .received = stripe_received(item),
        .currency = stripe_string(item, "currency"),
        .created_s = json_integer_value(created),
        .sku = stripe_string(metadata, "sku"),
        .quantity = quantity_of(metadata),
        .reference = stripe_string(metadata, "reference"),
        .customer = stripe_string(metadata, "customer"),
    };
    if (ret_intent->state == PAY_INTENT_SUCCEEDED && ret_intent->received < 0)
        return ERR_PARSE;
    bool good = stripe_string_is(item, "object", "payment_intent") && json_is_integer(amount) &&
                json_is_integer(created) && ret_intent->id != NULL &&
                stripe_id_valid(ret_intent->id) && status != NULL && ret_intent->currency != NULL;
    return good ? 0 : ERR_PARSE;
}

static int read_items(const json_t *root, unsigned limit, struct stripe_list *list)
{
    const json_t *data = stripe_page_items(root, limit, &list->has_more);
    if (data == NULL)
        return ERR_PARSE;
    list->count = json_array_size(data);
    list->intents = calloc(list->count + 1, sizeof *list->intents);
    if (list->intents == NULL)
        return ERR_NOMEM;
    for (size_t i = 0; i < list->count; i++)
        if (read_item(json_array_get(data, i), &list->intents[i]) < 0)
            return ERR_PARSE;
    return 0;
}

int stripe_read_list(unsigned status, const char *body, size_t len, unsigned limit,
                     struct stripe_list *ret_list)
{
    int code = stripe_page_status(status);
    if (code < 0)
        return code;
    json_t *root = json_loadb(body, len, JSON_REJECT_DUPLICATES, NULL);
    struct stripe_list list = {.json = root};
    code = read_items(root, limit, &list);
    if (code < 0)
        stripe_list_free(&list);
    else
        *ret_list = list;
    return code;
}

void stripe_list_free(struct stripe_list *list)
{
    free(list->intents);
    json_decref(list->json);
    *list = (struct stripe_list){0};
}
