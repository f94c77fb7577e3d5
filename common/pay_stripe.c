#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/buf.h"
#include "common/curl.h"
#include "common/err.h"
#include "common/pay.h"
#include "common/pay_stripe_answer.h"

#define URL_MAX 2048
#define HEADER_MAX 4200
#define FORM_MAX 8192
#define ANSWER_MAX (64U * 1024)
#define LIST_ANSWER_MAX (1024U * 1024)
#define CONNECTIONS_MAX 64
#define CONNECT_TIMEOUT_MS 5000
#define ORDER_ID_SIZE 64
#define CURRENCY_SIZE 8

struct pay {
    struct curl_client *client;
    char *base_url;
    char *authorization; /* the whole header line */
    unsigned inflight_max;
    uint32_t timeout_ms;
    size_t inflight;
    struct buf form;
};

enum call_kind { CALL_CHARGE, CALL_CANCEL, CALL_LIST };

struct pay_call {
    struct pay *pay;
    enum call_kind kind;
    pay_answer_cb answered;
    pay_list_cb listed;
    void *arg;
    char order_id[ORDER_ID_SIZE];
    int64_t amount;
    char currency[CURRENCY_SIZE];
    struct curl_call *http;
    struct pay_call *next, *previous; /* all in flight, to free them when cancelled */
};

const char *pay_outcome_text(enum pay_outcome outcome)
{
    static const char *const texts[] = {
        [PAY_SUCCEEDED] = "succeeded", [PAY_DECLINED] = "declined",
        [PAY_BAD_INPUT] = "bad_input", [PAY_REQUIRES_ACTION] = "requires_action",
        [PAY_UNKNOWN] = "unknown",     [PAY_MISCONFIGURED] = "misconfigured",
    };
    return texts[outcome];
}

/* Calls in flight, of all gateways (there is one in a program). */
static struct pay_call *calls;

static void add_call(struct pay_call *call)
{
    call->next = calls;
    if (calls != NULL)
        calls->previous = call;
    calls = call;
    call->pay->inflight++;
}

static void free_call(struct pay_call *call)
{
    if (call->previous != NULL)
        call->previous->next = call->next;
    else
        calls = call->next;
    if (call->next != NULL)
        call->next->previous = call->previous;
    call->pay->inflight--;
    free(call);
}

struct pay *pay_new(struct loop *loop, const struct pay_options *options)
{
    struct pay *pay = calloc(1, sizeof *pay);
    if (pay == NULL)
        return NULL;
    struct curl_options client = {.ca_file = options->ca_file,
                                  .connections_max = options->inflight_max < CONNECTIONS_MAX
                                                         ? options->inflight_max
                                                         : CONNECTIONS_MAX,
                                  .connect_timeout_ms = CONNECT_TIMEOUT_MS};
    pay->inflight_max = options->inflight_max;
    pay->timeout_ms = options->timeout_ms;
    pay->base_url = strdup(options->base_url);
    buf_init(&pay->form, FORM_MAX);
    struct buf line;
    buf_init(&line, HEADER_MAX);
    (void)buf_printf(&line, "Authorization: Bearer %s", options->secret_key);
    pay->authorization = line.data; /* ours now */
    pay->client = curl_client_new(loop, &client);
    if (pay->base_url == NULL || line.failed || pay->client == NULL) {
        pay_free(pay);
        return NULL;
    }
    size_t len = strlen(pay->base_url);
    if (len > 0 && pay->base_url[len - 1] == '/')
        pay->base_url[len - 1] = '\0';
    return pay;
}

void pay_free(struct pay *pay)
{
    if (pay == NULL)
        return;
    for (struct pay_call *call = calls, *next; call != NULL; call = next) {
        next = call->next;
        if (call->pay == pay) {
            curl_call_cancel(call->http);
            free_call(call);
        }
    }
    curl_client_free(pay->client);
    buf_free(&pay->form);
    if (pay->authorization != NULL)
        explicit_bzero(pay->authorization, strlen(pay->authorization));
    free(pay->authorization);
    free(pay->base_url);
    free(pay);
}

size_t pay_inflight(const struct pay *pay)
{
    return pay->inflight;
}

/* ---- answers ---- */

static void no_answer(const struct curl_response *response, struct pay_answer *ret_answer)
{
    const char *code = response->code == ERR_TIMEOUT       ? "timeout"
                       : response->code == ERR_FULL        ? "answer_too_long"
                       : response->code == ERR_UNAVAILABLE ? "unreachable"
                                                           : "connection_lost";
    *ret_answer = (struct pay_answer){.outcome = PAY_UNKNOWN, .sent = response->connected};
    (void)snprintf(ret_answer->code, sizeof ret_answer->code, "%s", code);
}

static void answered(const struct curl_response *response, void *arg)
{
    struct pay_call *call = arg;
    struct pay_answer answer;
    struct pay_expected expected = {call->order_id, call->amount, call->currency};
    if (response->code < 0)
        no_answer(response, &answer);
    else if (call->kind == CALL_CHARGE)
        pay_stripe_read_charge(response->status, response->body, response->body_len, &expected,
                               &answer);
    else
        pay_stripe_read_cancel(response->status, response->body, response->body_len, &expected,
                               &answer);
    answer.retry_after_s = response->retry_after_s;
    pay_answer_cb cb = call->answered;
    void *cb_arg = call->arg;
    free_call(call); /* so that the callback finds room for its next call */
    cb(&answer, cb_arg);
}

static void listed(const struct curl_response *response, void *arg)
{
    struct pay_call *call = arg;
    pay_list_cb cb = call->listed;
    void *cb_arg = call->arg;
    free_call(call);
    if (response->code < 0)
        cb(response->code, NULL, 0, false, cb_arg);
    else
        (void)pay_stripe_read_list(response->status, response->body, response->body_len, cb,
                                   cb_arg);
}

/* ---- calls ---- */

/* Appends name=value, with value percent-encoded as application/x-www-form-urlencoded. */
static void field(struct buf *form, const char *name, const char *value)
{
    if (form->len > 0)
        (void)buf_char(form, '&');
    (void)buf_str(form, name);
    (void)buf_char(form, '=');
    static const char hex[] = "0123456789ABCDEF";
    for (const char *p = value; *p != '\0'; p++) {
        unsigned char c = (unsigned char)*p;
        bool safe = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                    c == '-' || c == '_' || c == '.';
        if (safe) {
            (void)buf_char(form, *p);
        } else {
            const char escape[] = {'%', hex[c >> 4], hex[c & 15]};
            (void)buf_append(form, escape, sizeof escape);
        }
    }
}

static void number_field(struct buf *form, const char *name, int64_t value)
{
    char text[24];
    (void)snprintf(text, sizeof text, "%" PRId64, value);
    field(form, name, text);
}

static struct pay_call *new_call(struct pay *pay, enum call_kind kind, void *arg)
{
    struct pay_call *call = calloc(1, sizeof *call);
    if (call != NULL) {
        call->pay = pay;
        call->kind = kind;
        call->arg = arg;
        add_call(call);
    }
    return call;
}

/* Sends it; frees the call on failure. `key`: the idempotency key, or NULL. */
static int send_call(struct pay_call *call, const char *method, const char *path, const char *key)
{
    struct pay *pay = call->pay;
    char url[URL_MAX];
    char key_line[HEADER_MAX];
    int url_len = snprintf(url, sizeof url, "%s%s", pay->base_url, path);
    int key_len =
        snprintf(key_line, sizeof key_line, "Idempotency-Key: %s", key == NULL ? "" : key);
    const char *headers[] = {pay->authorization, key == NULL ? NULL : key_line, NULL};
    struct curl_request request = {.method = method,
                                   .url = url,
                                   .headers = headers,
                                   .body = buf_text(&pay->form),
                                   .body_len = pay->form.len,
                                   .timeout_ms = pay->timeout_ms,
                                   .response_max =
                                       call->kind == CALL_LIST ? LIST_ANSWER_MAX : ANSWER_MAX};
    int code = ERR_INVALID;
    if (url_len > 0 && (size_t)url_len < sizeof url && key_len > 0 &&
        (size_t)key_len < sizeof key_line && !pay->form.failed)
        code = curl_call_start(pay->client, &request, call->kind == CALL_LIST ? listed : answered,
                               call, &call->http);
    if (code < 0)
        free_call(call);
    return code;
}

/* Room for one more call about `charge`. */
static int charge_call(struct pay *pay, enum call_kind kind, const struct pay_charge *charge,
                       pay_answer_cb cb, void *arg, struct pay_call **ret_call)
{
    if (pay->inflight >= pay->inflight_max)
        return ERR_FULL;
    struct pay_call *call = new_call(pay, kind, arg);
    if (call == NULL)
        return ERR_NOMEM;
    call->answered = cb;
    call->amount = charge->amount;
    (void)snprintf(call->order_id, sizeof call->order_id, "%s", charge->order_id);
    (void)snprintf(call->currency, sizeof call->currency, "%s", charge->currency);
    buf_reset(&pay->form);
    *ret_call = call;
    return 0;
}

int pay_charge(struct pay *pay, const struct pay_charge *charge, pay_answer_cb cb, void *arg)
{
    struct pay_call *call;
    int code = charge_call(pay, CALL_CHARGE, charge, cb, arg, &call);
    if (code < 0)
        return code;
    struct buf *form = &pay->form;
    number_field(form, "amount", charge->amount);
    field(form, "currency", charge->currency);
    field(form, "payment_method", charge->payment_method);
    field(form, "confirm", "true");
    field(form, "automatic_payment_methods[enabled]", "true");
    field(form, "automatic_payment_methods[allow_redirects]", "never");
    field(form, "description", charge->order_id);
    field(form, "metadata[order_id]", charge->order_id);
    number_field(form, "metadata[shard]", charge->shard);
    if (charge->receipt_email != NULL)
        field(form, "receipt_email", charge->receipt_email);
    return send_call(call, "POST", "/v1/payment_intents", charge->idempotency_key);
}

int pay_cancel(struct pay *pay, const struct pay_charge *charge, const char *intent_id,
               pay_answer_cb cb, void *arg)
{
    struct pay_call *call;
    int code = charge_call(pay, CALL_CANCEL, charge, cb, arg, &call);
    if (code < 0)
        return code;
    char path[URL_MAX];
    (void)snprintf(path, sizeof path, "/v1/payment_intents/%s/cancel", intent_id);
    return send_call(call, "POST", path, NULL);
}

int pay_list(struct pay *pay, int64_t created_from_s, const char *starting_after, unsigned limit,
             pay_list_cb cb, void *arg)
{
    struct pay_call *call = new_call(pay, CALL_LIST, arg);
    if (call == NULL)
        return ERR_NOMEM;
    call->listed = cb;
    struct buf *query = &pay->form; /* a query is encoded like a form */
    buf_reset(query);
    number_field(query, "limit", limit);
    if (created_from_s > 0)
        number_field(query, "created[gte]", created_from_s);
    if (starting_after != NULL)
        field(query, "starting_after", starting_after);
    char path[URL_MAX];
    (void)snprintf(path, sizeof path, "/v1/payment_intents?%s", buf_text(query));
    return send_call(call, "GET", path, NULL);
}
