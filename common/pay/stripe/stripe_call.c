/* Calls at a gateway that speaks Stripe's API, whatever they are about. */
#include <stdio.h>
#include <string.h>

#include "common/pay/stripe/stripe_impl.h"
#include "common/shop/job.h"

#define ANSWER_MAX ((size_t)256 * 1024)
#define LIST_ANSWER_MAX ((size_t)4 * 1024 * 1024)
#define KEY_MAX 255

struct stripe_call *stripe_take_call(struct stripe *stripe, void *arg)
{
    struct stripe_call *call = SLIST_FIRST(&stripe->idle);
    if (call == NULL)
        return NULL;
    SLIST_REMOVE_HEAD(&stripe->idle, link);
    stripe->inflight++;
    call->arg = arg;
    return call;
}

void stripe_give_back(struct stripe_call *call)
{
    SLIST_INSERT_HEAD(&call->stripe->idle, call, link);
    call->stripe->inflight--;
}

void stripe_trace(struct stripe *stripe, const char *traceparent)
{
    buf_reset(&stripe->trace);
    if (traceparent != NULL && job_traceparent_valid(traceparent, strlen(traceparent)))
        (void)buf_printf(&stripe->trace, "traceparent: %s", traceparent);
}

/* Sends `form` (NULL: a GET) to `url`, with the key in stripe->key if there is one. */
int stripe_send(struct stripe_call *call, const char *url, const struct buf *form,
                curl_done_cb done)
{
    struct stripe *stripe = call->stripe;
    const char *headers[7] = {buf_text(&stripe->authorization),
                              "Accept: application/json",
                              form == NULL ? NULL
                                           : "Content-Type: application/x-www-form-urlencoded",
                              NULL,
                              NULL,
                              NULL,
                              NULL};
    size_t count = form == NULL ? 2 : 3;
    if (stripe->version.len > 0)
        headers[count++] = buf_text(&stripe->version);
    if (stripe->key.len > 0)
        headers[count++] = buf_text(&stripe->key);
    if (stripe->trace.len > 0)
        headers[count] = buf_text(&stripe->trace);
    struct curl_request request = {.method = form == NULL ? "GET" : "POST",
                                   .url = url,
                                   .headers = headers,
                                   .body = form == NULL ? NULL : buf_text(form),
                                   .body_len = form == NULL ? 0 : form->len,
                                   .timeout_ms = stripe->timeout_ms,
                                   .response_max = form == NULL ? LIST_ANSWER_MAX : ANSWER_MAX};
    int code = curl_call_start(stripe->client, &request, done, call, NULL);
    buf_reset(&stripe->trace);
    if (code < 0)
        stripe_give_back(call);
    return code;
}

/* Before the body is read: what every answer has, and all that there is if no answer came. */
void stripe_read_transport(const struct curl_response *response, struct pay_answer *ret_answer)
{
    *ret_answer = (struct pay_answer){.outcome = PAY_UNKNOWN,
                                      .http_status = response->status,
                                      .sent = response->connected,
                                      .replayed = response->code == 0 && response->replayed,
                                      .retry_after_s = response->retry_after_s,
                                      .date_s = response->date_s};
    if (response->code != 0)
        (void)snprintf(ret_answer->code, sizeof ret_answer->code, "%s", response->reason);
}

/* The call is idle again before its callback, which may free everything. */
void stripe_finish(struct stripe_call *call, const struct pay_answer *answer)
{
    pay_answer_cb cb = call->cb;
    void *arg = call->arg;
    stripe_give_back(call);
    cb(answer, arg);
}

/* A header's value: visible ASCII only. */
bool stripe_key_valid(const char *key)
{
    size_t len = 0;
    while (key[len] > ' ' && key[len] <= '~')
        len++;
    return len > 0 && len <= KEY_MAX && key[len] == '\0';
}
