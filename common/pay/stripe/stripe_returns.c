/* Lists of refunds and disputes at a gateway that speaks Stripe's API. */
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/err.h"
#include "common/pay/stripe/stripe_impl.h"
#include "common/pay/stripe/stripe_json.h"

#define LIMIT 100

/* A word of the gateway's for people; what does not look like one is none. */
static const char *word_at(const json_t *object, const char *name)
{
    const char *text = stripe_string(object, name);
    size_t len = text == NULL ? 0 : strspn(text, "abcdefghijklmnopqrstuvwxyz0123456789_");
    return len > 0 && len < PAY_CODE_MAX && text[len] == '\0' ? text : NULL;
}

static bool read_one(const json_t *object, enum pay_return_kind kind, struct pay_return *ret_return)
{
    bool refund = kind == PAY_RETURN_REFUND;
    const json_t *amount = json_object_get(object, "amount");
    *ret_return = (struct pay_return){
        .id = stripe_string(object, "id"),
        .intent_id = stripe_string(object, "payment_intent"),
        .amount = json_integer_value(amount),
        .currency = word_at(object, "currency"),
        .status = word_at(object, "status"),
        .reason = refund && word_at(object, "failure_reason") != NULL
                      ? word_at(object, "failure_reason")
                      : word_at(object, "reason"),
        .order_id = stripe_string(json_object_get(object, "metadata"), "order_id"),
        .created_s = json_integer_value(json_object_get(object, "created")),
    };
    bool whole = stripe_string_is(object, "object", refund ? "refund" : "dispute") &&
                 json_is_integer(amount) && ret_return->amount >= 0 && ret_return->id != NULL &&
                 stripe_id_valid(ret_return->id) && ret_return->currency != NULL &&
                 ret_return->status != NULL;
    if (ret_return->intent_id != NULL && !stripe_id_valid(ret_return->intent_id))
        whole = false;
    return whole;
}

static int read_list(const json_t *root, enum pay_return_kind kind, struct pay_return *items,
                     size_t *ret_count, bool *ret_more)
{
    const json_t *data = stripe_page_items(root, LIMIT, ret_more);
    if (data == NULL)
        return ERR_PARSE;
    for (size_t i = 0; i < json_array_size(data); i++)
        if (!read_one(json_array_get(data, i), kind, &items[i]))
            return ERR_PARSE;
    *ret_count = json_array_size(data);
    return 0;
}

static void listed(const struct curl_response *response, void *arg)
{
    struct stripe_call *call = arg;
    pay_returns_cb cb = call->returns_cb;
    void *cb_arg = call->arg;
    struct pay_return items[LIMIT];
    struct pay_returns page = {.code = response->code, .items = items, .date_s = response->date_s};
    json_t *root = NULL;
    if (page.code == 0)
        page.code = stripe_page_status(response->status);
    if (page.code == 0) {
        root = json_loadb(response->body, response->body_len, JSON_REJECT_DUPLICATES, NULL);
        page.code = read_list(root, call->kind, items, &page.count, &page.has_more);
    }
    stripe_give_back(call);
    cb(&page, cb_arg);
    json_decref(root);
}

int stripe_returns(struct pay *pay, enum pay_return_kind kind, const char *intent_id,
                   const char *starting_after, pay_returns_cb cb, void *arg)
{
    struct stripe *stripe = (struct stripe *)pay;
    if ((intent_id != NULL && !stripe_id_valid(intent_id)) ||
        (starting_after != NULL && !stripe_id_valid(starting_after)))
        return ERR_INVALID;
    struct stripe_call *call = stripe_take_call(stripe, arg);
    if (call == NULL)
        return ERR_FULL;
    call->returns_cb = cb;
    call->kind = kind;
    buf_reset(&stripe->key);
    buf_reset(&stripe->url);
    (void)buf_printf(&stripe->url, "%s?limit=%d",
                     kind == PAY_RETURN_REFUND ? stripe->refunds_url : stripe->disputes_url, LIMIT);
    if (intent_id != NULL)
        (void)buf_printf(&stripe->url, "&payment_intent=%s", intent_id);
    if (starting_after != NULL)
        (void)buf_printf(&stripe->url, "&starting_after=%s", starting_after);
    return stripe_send(call, buf_text(&stripe->url), NULL, listed);
}
