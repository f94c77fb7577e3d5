#include "producer/webhook.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/clock.h"
#include "common/base/err.h"
#include "common/base/hmac.h"
#include "common/base/log.h"
#include "common/base/parse.h"
#include "producer/respond.h"

#define STAMP_DIGITS_MAX 15

static const struct pg_statement request_webhook = {
    "producer_request_webhook", "select checkout.request_webhook($1::uuid, $2::text, $3::text)", 3};

struct hook {
    struct api *api;
    struct http_request *request;
};

/* ---- the signature ---- */

/* The digits of the first t= of the header; 0 digits: there is none. */
static size_t find_stamp(const char *header, const char **ret_stamp)
{
    for (const char *part = header; *part != '\0';) {
        size_t len = strcspn(part, ",");
        size_t digits = strncmp(part, "t=", 2) == 0 ? strspn(part + 2, "0123456789") : 0;
        if (digits > 0 && digits <= STAMP_DIGITS_MAX && digits + 2 == len) {
            *ret_stamp = part + 2;
            return digits;
        }
        part += len + (part[len] == ',');
    }
    return 0;
}

static bool any_matches(const char *header, const char expected[HMAC_HEX_SIZE])
{
    bool found = false;
    for (const char *part = header; *part != '\0';) {
        size_t len = strcspn(part, ",");
        if (len == 3 + HMAC_HEX_SIZE - 1 && strncmp(part, "v1=", 3) == 0)
            found = hmac_equal(part + 3, expected, HMAC_HEX_SIZE - 1) || found;
        part += len + (part[len] == ',');
    }
    return found;
}

int webhook_verify(const char *secret, size_t secret_len, const char *header, const char *body,
                   size_t body_len, int64_t now_s)
{
    const char *stamp = "";
    size_t digits = header == NULL ? 0 : find_stamp(header, &stamp);
    if (digits == 0)
        return ERR_AUTH;
    int64_t signed_s;
    (void)parse_digits(stamp, &signed_s);
    if (signed_s < now_s - WEBHOOK_TOLERANCE_S || signed_s > now_s + WEBHOOK_TOLERANCE_S)
        return ERR_AUTH;
    struct buf text;
    char expected[HMAC_HEX_SIZE];
    buf_init(&text, STAMP_DIGITS_MAX + 1 + WEBHOOK_BODY_MAX);
    (void)buf_append(&text, stamp, digits);
    (void)buf_char(&text, '.');
    (void)buf_append(&text, body, body_len);
    int code = text.failed ? ERR_NOMEM
                           : hmac_sha256_hex(secret, secret_len, text.data, text.len, expected);
    buf_free(&text);
    if (code < 0)
        return code;
    return any_matches(header, expected) ? 0 : ERR_AUTH;
}

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

int webhook_read(const char *body, size_t len, struct webhook_event *ret_event)
{
    json_t *root = json_loadb(body, len, JSON_REJECT_DUPLICATES, NULL);
    const json_t *about = json_object_get(json_object_get(root, "data"), "object");
    const json_t *metadata = json_object_get(about, "metadata");
    const char *order = json_string_value(json_object_get(metadata, "order_id"));
    struct webhook_event event = {0};
    int code = copy_word(root, "id", event.id) && copy_word(root, "type", event.type) &&
                       json_is_object(about)
                   ? 0
                   : ERR_PARSE;
    if (order != NULL && ids_well_formed(order))
        memcpy(event.order_id, order, IDS_ORDER_SIZE);
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

static void thank(struct api *api, struct http_request *request)
{
    buf_reset(&api->out);
    (void)buf_str(&api->out, "{\"received\":true}");
    respond_json(api, request, STATS_WEBHOOK, 200, &api->out, NULL, 0);
}

static void requested(const struct pg_result *result, void *arg)
{
    struct hook *hook = arg;
    if (pg_status(result) == PG_OK) {
        thank(hook->api, hook->request);
    } else {
        if (pg_status(result) == PG_ERROR)
            log_error("webhook not recorded", LOG_STR("problem", pg_message(result)));
        refuse(hook->api, hook->request, PROBLEM_DATABASE_UNAVAILABLE, "send it again");
    }
    free(hook);
}

static void record(struct api *api, struct http_request *request, const struct webhook_event *event)
{
    struct hook *hook = calloc(1, sizeof *hook);
    if (hook == NULL) {
        refuse(api, request, PROBLEM_OVERLOADED, "out of memory");
        return;
    }
    *hook = (struct hook){api, request};
    const char *params[] = {event->order_id, event->id, event->type};
    if (pg_query(api->pg, &request_webhook, params, requested, hook) == 0)
        return;
    refuse(api, request, PROBLEM_DATABASE_UNAVAILABLE, "send it again");
    free(hook);
}

void webhook_post(struct api *api, struct http_request *request)
{
    size_t len;
    const char *body = http_request_body(request, &len);
    struct webhook_event event;
    if (http_request_body_too_large(request)) {
        refuse(api, request, PROBLEM_TOO_LARGE, "an event has at most 64 KiB");
        return;
    }
    int code = webhook_verify(api->webhook_secret, api->webhook_secret_len,
                              http_request_header(request, "Stripe-Signature"), body, len,
                              clock_wall_ms() / 1000);
    if (code == ERR_AUTH)
        refuse(api, request, PROBLEM_INVALID_REQUEST, "the signature is missing, wrong or too old");
    else if (code < 0)
        refuse(api, request, PROBLEM_OVERLOADED, "out of memory");
    else if (webhook_read(body, len, &event) < 0)
        refuse(api, request, PROBLEM_INVALID_REQUEST, "it is no event");
    else if (event.order_id[0] == '\0' || strncmp(event.type, "payment_intent.", 15) != 0)
        thank(api, request); /* nothing of ours */
    else
        record(api, request, &event);
}
