#include "notifier/hooks/hook_attempt.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "common/base/err.h"

#define URL_MAX ((size_t)2048)

enum {
    COLUMN_ID,
    COLUMN_ATTEMPT,
    COLUMN_TRIES,
    COLUMN_ENDPOINT,
    COLUMN_URL,
    COLUMN_EVENT,
    COLUMN_ORDER,
    COLUMN_SEQUENCE,
    COLUMN_TYPE,
    COLUMN_REASON,
    COLUMN_AMOUNT,
    COLUMN_AT,
    COLUMN_AGE,
    COLUMN_USER,
    COLUMN_SKU,
    COLUMN_QUANTITY,
    COLUMN_CURRENCY,
    COLUMN_REFERENCE,
    COLUMN_TRACEPARENT,
};

static struct hook_event event_of(const struct pg_result *result, int row)
{
    return (struct hook_event){
        .event_id = pg_int(result, row, COLUMN_EVENT),
        .type = pg_text(result, row, COLUMN_TYPE),
        .time_ms = pg_int(result, row, COLUMN_AT),
        .order_id = pg_text_or_null(result, row, COLUMN_ORDER),
        .sequence = pg_int(result, row, COLUMN_SEQUENCE),
        .reason = pg_text_or_null(result, row, COLUMN_REASON),
        .user_id = pg_text_or_null(result, row, COLUMN_USER),
        .sku = pg_text_or_null(result, row, COLUMN_SKU),
        .quantity = pg_int(result, row, COLUMN_QUANTITY),
        .has_amount = !pg_null(result, row, COLUMN_AMOUNT),
        .amount = pg_int(result, row, COLUMN_AMOUNT),
        .currency = pg_text_or_null(result, row, COLUMN_CURRENCY),
        .reference = pg_text_or_null(result, row, COLUMN_REFERENCE),
    };
}

struct hook_attempt *hook_attempt_new(const struct pg_result *result, int row)
{
    struct hook_attempt *attempt = calloc(1, sizeof *attempt);
    const struct hook_event event = event_of(result, row);
    if (attempt == NULL)
        return NULL;
    attempt->base.id = pg_int(result, row, COLUMN_ID);
    attempt->base.number = pg_int(result, row, COLUMN_ATTEMPT);
    attempt->tries = pg_int(result, row, COLUMN_TRIES);
    attempt->age_ms = pg_int(result, row, COLUMN_AGE);
    attempt->test = event.event_id == 0;
    (void)snprintf(attempt->endpoint, sizeof attempt->endpoint, "%s",
                   pg_text(result, row, COLUMN_ENDPOINT));
    (void)snprintf(attempt->order_id, sizeof attempt->order_id, "%s",
                   pg_text(result, row, COLUMN_ORDER));
    attempt->base.order_id = attempt->order_id;
    (void)snprintf(attempt->base.traceparent, sizeof attempt->base.traceparent, "%s",
                   pg_text(result, row, COLUMN_TRACEPARENT));
    hook_id(&event, attempt->base.id, attempt->id);
    buf_init(&attempt->url, URL_MAX);
    buf_init(&attempt->body, HOOK_BODY_MAX);
    if (buf_str(&attempt->url, pg_text(result, row, COLUMN_URL)) == 0 &&
        hook_body(&event, &attempt->body) == 0)
        return attempt;
    hook_attempt_free(attempt);
    return NULL;
}

void hook_attempt_free(struct hook_attempt *attempt)
{
    if (attempt->call != NULL)
        curl_call_cancel(attempt->call);
    buf_free(&attempt->url);
    buf_free(&attempt->body);
    free(attempt);
}

int hook_attempt_headers(const struct hook_attempt *attempt, const struct hook_keys *keys,
                         int64_t timestamp_s, struct buf *text,
                         const char *ret_lines[HOOK_HEADERS_MAX + 1])
{
    struct buf signature;
    size_t starts[HOOK_HEADERS_MAX];
    size_t count = 0;
    buf_init(&signature, HOOK_HEADERS_BYTES);
    int code = hook_keys_sign(keys, attempt->id, timestamp_s, buf_text(&attempt->body),
                              attempt->body.len, &signature);
    starts[count++] = text->len;
    (void)buf_printf(text, "Content-Type: application/json%c", '\0');
    starts[count++] = text->len;
    (void)buf_printf(text, "Expect:%c", '\0'); /* libcurl sends none then */
    starts[count++] = text->len;
    (void)buf_printf(text, "webhook-id: %s%c", attempt->id, '\0');
    starts[count++] = text->len;
    (void)buf_printf(text, "webhook-timestamp: %" PRId64 "%c", timestamp_s, '\0');
    starts[count++] = text->len;
    (void)buf_printf(text, "webhook-signature: %s%c", buf_text(&signature), '\0');
    if (attempt->base.traceparent[0] != '\0') {
        starts[count++] = text->len;
        (void)buf_printf(text, "traceparent: %s%c", attempt->base.traceparent, '\0');
    }
    buf_free(&signature);
    for (size_t i = 0; i < count; i++)
        ret_lines[i] = buf_text(text) + starts[i];
    ret_lines[count] = NULL;
    return code == 0 && text->failed ? ERR_FULL : code;
}
