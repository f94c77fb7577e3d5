#include "producer/webhook/webhook.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/clock.h"
#include "common/base/err.h"
#include "common/base/log.h"
#include "producer/respond.h"
#include "producer/webhook/webhook_record.h"
#include "producer/webhook/webhook_signature.h"

static const struct pg_statement hear_gateway = {
    "producer_hear_gateway",
    "select checkout.hear_gateway($1::text, $2::text, $3::uuid, $4::text, $5::text, $6::text)", 6};

/* What may change an order. The gateway's older versions tell of refunds by charge.refund.updated.
 */
static const char *const types[] = {
    "payment_intent.succeeded", "payment_intent.payment_failed",
    "payment_intent.canceled",  "charge.refunded",
    "charge.refund.updated",    "refund.created",
    "refund.updated",           "refund.failed",
    "charge.dispute.created",   "charge.dispute.updated",
    "charge.dispute.closed",
};

struct hook {
    struct api *api;
    struct http_request *request;
    char order_id[IDS_ORDER_SIZE]; /* "": the event names none */
};

/* ---- the event ---- */

static bool copy_word(const json_t *object, const char *name, char ret_word[WEBHOOK_WORD_SIZE])
{
    const char *text = json_string_value(json_object_get(object, name));
    size_t len = text == NULL ? 0
                              : strspn(text, "abcdefghijklmnopqrstuvwxyz0123456789_."
                                             "ABCDEFGHIJKLMNOPQRSTUVWXYZ-");
    if (len == 0 || len >= WEBHOOK_WORD_SIZE || text[len] != '\0')
        return false;
    memcpy(ret_word, text, len + 1);
    return true;
}

/* The intent that the object is, or is about; there it may stand itself in the place of its id. */
static void read_intent(const json_t *about, struct webhook_event *event)
{
    const json_t *intent = json_object_get(about, "payment_intent");
    if (strncmp(event->type, "payment_intent.", 15) == 0)
        (void)copy_word(about, "id", event->intent);
    else if (json_is_object(intent))
        (void)copy_word(intent, "id", event->intent);
    else
        (void)copy_word(about, "payment_intent", event->intent);
}

static bool may_matter(const char *type)
{
    for (size_t i = 0; i < ARRAY_LEN(types); i++)
        if (strcmp(types[i], type) == 0)
            return true;
    return false;
}

int webhook_read(const char *body, size_t len, struct webhook_event *ret_event)
{
    json_t *root = json_loadb(body, len, JSON_REJECT_DUPLICATES, NULL);
    const json_t *about = json_object_get(json_object_get(root, "data"), "object");
    const json_t *metadata = json_object_get(about, "metadata");
    const char *order = json_string_value(json_object_get(metadata, "order_id"));
    struct webhook_event event = {.live = json_is_true(json_object_get(root, "livemode"))};
    bool whole = copy_word(root, "id", event.id) && copy_word(root, "type", event.type);
    int code = whole ? 0 : ERR_PARSE;
    if (order != NULL && ids_well_formed(order))
        memcpy(event.order_id, order, IDS_ORDER_SIZE);
    (void)copy_word(about, "id", event.object);
    (void)copy_word(about, "status", event.status);
    read_intent(about, &event);
    event.matters =
        may_matter(event.type) && (event.order_id[0] != '\0' || event.intent[0] != '\0');
    json_decref(root);
    if (code == 0)
        *ret_event = event;
    return code;
}

/* ---- the call ---- */

static void refuse(struct api *api, struct http_request *request, enum problem_type type,
                   const char *detail)
{
    respond_plain_problem(api, request, STATS_WEBHOOK, type, detail);
}

static void respond_received(struct api *api, struct http_request *request)
{
    buf_reset(&api->out);
    (void)buf_str(&api->out, "{\"received\":true}");
    const struct http_header header = {"Cache-Control", "no-store"};
    respond_json(api, request, STATS_WEBHOOK, 200, &api->out, &header, 1);
}

static void thank(struct api *api, struct http_request *request)
{
    webhook_record_add(api->webhooks, WEBHOOK_TAKEN);
    respond_received(api, request);
}

static void requested(const struct pg_result *result, void *arg)
{
    struct hook *hook = arg;
    if (pg_status(result) == PG_OK) {
        thank(hook->api, hook->request);
    } else {
        if (pg_status(result) == PG_ERROR)
            log_error("webhook not recorded", LOG_STR("order_id", hook->order_id),
                      LOG_STR("request_id", http_request_id(hook->request)),
                      LOG_STR("problem", pg_message(result)));
        refuse(hook->api, hook->request, PROBLEM_DATABASE_UNAVAILABLE, "send it again");
    }
    free(hook);
}

static const char *text_or_null(const char *text)
{
    return text[0] == '\0' ? NULL : text;
}

static void record(struct api *api, struct http_request *request, const struct webhook_event *event)
{
    struct hook *hook = calloc(1, sizeof *hook);
    if (hook == NULL) {
        refuse(api, request, PROBLEM_OVERLOADED, "out of memory");
        return;
    }
    *hook = (struct hook){.api = api, .request = request};
    memcpy(hook->order_id, event->order_id, sizeof hook->order_id);
    const char *params[] = {event->id,
                            event->type,
                            text_or_null(event->order_id),
                            text_or_null(event->intent),
                            text_or_null(event->object),
                            text_or_null(event->status)};
    if (pg_query(api->sessions.writes, &hear_gateway, params, requested, hook) == 0)
        return;
    refuse(api, request, PROBLEM_DATABASE_UNAVAILABLE, "send it again");
    free(hook);
}

/* Whether the event may be about the shop's money: test payments are not. */
static bool mode_fits(const struct api *api, const struct webhook_event *event)
{
    return api->webhook_mode[0] == '\0' ||
           strcmp(api->webhook_mode, event->live ? "true" : "false") == 0;
}

static bool is_signed(struct api *api, struct http_request *request, const char *body, size_t len)
{
    struct buf signature;
    buf_init(&signature, HEADER_LIST_MAX);
    int code = webhook_verify(api->webhook_secret, api->webhook_secret_len,
                              http_request_list(request, "Stripe-Signature", &signature), body, len,
                              clock_wall_ms() / 1000);
    buf_free(&signature);
    if (code == ERR_NOMEM) {
        refuse(api, request, PROBLEM_OVERLOADED, "out of memory");
    } else if (code < 0) {
        webhook_record_add(api->webhooks, code == ERR_TIMEOUT ? WEBHOOK_TOO_OLD : WEBHOOK_UNSIGNED);
        refuse(api, request, PROBLEM_INVALID_REQUEST, "the signature is missing, wrong or too old");
    }
    return code == 0;
}

void webhook_post(struct api *api, struct http_request *request)
{
    size_t len;
    const char *body = http_request_body(request, &len);
    struct webhook_event event;
    if (http_request_body_too_large(request)) {
        webhook_record_add(api->webhooks, WEBHOOK_UNREADABLE);
        refuse(api, request, PROBLEM_TOO_LARGE, "an event has at most 1 MiB");
        return;
    }
    if (!is_signed(api, request, body, len))
        return;
    if (webhook_read(body, len, &event) < 0) {
        webhook_record_add(api->webhooks, WEBHOOK_UNREADABLE);
        respond_received(api, request); /* the gateway cannot send it better */
    } else if (!mode_fits(api, &event)) {
        webhook_record_add(api->webhooks, WEBHOOK_OTHER_MODE);
        respond_received(api, request);
    } else if (!event.matters) {
        thank(api, request); /* nothing of ours */
    } else {
        record(api, request, &event);
    }
}
