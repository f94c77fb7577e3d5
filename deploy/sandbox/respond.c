/* Answers: the body, and the headers that Stripe's answers carry. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "common/base/log.h"
#include "deploy/sandbox/gateway_impl.h"

#define HEADERS_MAX 6
#define REQUEST_ID_SIZE 40

const char *gateway_version(const struct gateway *g, struct http_request *request)
{
    const char *version = http_request_header(request, "Stripe-Version");
    return version == NULL ? g->version : version;
}

static void respond(struct gateway *g, struct http_request *request, unsigned status,
                    const struct buf *body, const struct http_header *more, size_t more_count)
{
    struct http_header headers[HEADERS_MAX];
    char id[REQUEST_ID_SIZE];
    size_t count = 0;
    const char *key = http_request_header(request, "Idempotency-Key");
    (void)snprintf(id, sizeof id, "req_%08x%08" PRIx64, ledger_salt(g->ledger), g->answered++);
    headers[count++] = (struct http_header){"Request-Id", id};
    headers[count++] = (struct http_header){"Stripe-Version", gateway_version(g, request)};
    if (key != NULL && key[0] != '\0')
        headers[count++] = (struct http_header){"Idempotency-Key", key};
    for (size_t i = 0; i < more_count && count < HEADERS_MAX; i++)
        headers[count++] = more[i];
    struct http_response response = {.status = status,
                                     .content_type = "application/json",
                                     .body = buf_text(body),
                                     .body_len = body->len,
                                     .headers = headers,
                                     .header_count = count};
    http_respond(request, &response);
}

void gateway_respond(struct gateway *g, struct http_request *request, unsigned status,
                     const struct buf *body, const struct http_header *header)
{
    respond(g, request, status, body, header, header == NULL ? 0 : 1);
}

/* What Stripe's clients are advised: NULL is no advice. */
static const char *advice(const struct answer_error *error, bool kept)
{
    bool locked = error->code != NULL && (strcmp(error->code, "lock_timeout") == 0 ||
                                          strcmp(error->code, "idempotency_key_in_use") == 0);
    if (locked || (error->status >= 500 && !kept))
        return "true";
    return error->status == 429 || error->status == 409 ? NULL : "false";
}

void gateway_refuse(struct gateway *g, struct http_request *request,
                    const struct answer_error *error, const struct intent *intent, bool kept)
{
    struct http_header headers[2];
    size_t count = 0;
    const char *retry = advice(error, kept);
    if (retry != NULL)
        headers[count++] = (struct http_header){"Stripe-Should-Retry", retry};
    if (error->limit != NULL)
        headers[count++] = (struct http_header){"Stripe-Rate-Limited-Reason", error->limit};
    else if (error->status == 429)
        headers[count++] = (struct http_header){"Retry-After", "1"};
    buf_reset(&g->out);
    answer_refusal(error, intent, ledger_salt(g->ledger), &g->out);
    respond(g, request, error->status, &g->out, headers, count);
}

void gateway_refuse_missing(struct gateway *g, struct http_request *request, const char *param)
{
    const struct answer_error error = {.status = 404,
                                       .type = "invalid_request_error",
                                       .code = "resource_missing",
                                       .param = param,
                                       .message = "There is no such object here."};
    gateway_refuse(g, request, &error, NULL, false);
}

void gateway_refuse_parameter(struct gateway *g, struct http_request *request, const char *param)
{
    const struct answer_error error = {.status = 400,
                                       .type = "invalid_request_error",
                                       .code = "parameter_invalid_integer",
                                       .param = param,
                                       .message = "This is no whole number in its range."};
    gateway_refuse(g, request, &error, NULL, false);
}

void gateway_refuse_unreadable(struct gateway *g, struct http_request *request)
{
    static const struct answer_error error = {
        .status = 500, .type = "api_error", .message = "The ledger cannot be read; see the log."};
    log_error("record of the ledger not read");
    gateway_refuse(g, request, &error, NULL, false);
}
