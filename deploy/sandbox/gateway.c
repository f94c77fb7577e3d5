#include "deploy/sandbox/gateway.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/err.h"
#include "common/base/log.h"
#include "deploy/sandbox/gateway_impl.h"
#include "deploy/sandbox/refund.h"

#define CONNECTIONS_MAX 8192
#define IDLE_TIMEOUT_S 120
#define BODY_MAX ((size_t)8192)
#define OUT_MAX ((size_t)8 * 1024 * 1024)
#define LIMIT_DEFAULT 10
#define LIMIT_MAX 100

#define INTENTS "/v1/payment_intents"
#define REFUNDS "/v1/refunds"
#define BANK "/3ds/"
#define CONTROL "/_control"

/* ---- answers ---- */

void gateway_respond(struct http_request *request, unsigned status, const struct buf *body,
                     const struct http_header *header)
{
    struct http_response response = {.status = status,
                                     .content_type = "application/json",
                                     .body = buf_text(body),
                                     .body_len = body->len,
                                     .headers = header,
                                     .header_count = header == NULL ? 0 : 1};
    http_respond(request, &response);
}

void gateway_refuse(struct gateway *gateway, struct http_request *request,
                    const struct answer_error *error, const struct intent *intent)
{
    const struct http_header retry = {"Retry-After", "1"};
    buf_reset(&gateway->out);
    answer_error(error, intent, ledger_salt(gateway->ledger), &gateway->out);
    gateway_respond(request, error->status, &gateway->out, error->status == 429 ? &retry : NULL);
}

void gateway_refuse_missing(struct gateway *g, struct http_request *request, const char *param)
{
    const struct answer_error error = {404, "invalid_request_error", "resource_missing", param,
                                       "There is no such object here."};
    gateway_refuse(g, request, &error, NULL);
}

void gateway_refuse_parameter(struct gateway *g, struct http_request *request, const char *param)
{
    const struct answer_error error = {400, "invalid_request_error", "parameter_invalid_integer",
                                       param, "This is no whole number in its range."};
    gateway_refuse(g, request, &error, NULL);
}

void gateway_refuse_unreadable(struct gateway *g, struct http_request *request)
{
    const struct answer_error error = {500, "api_error", NULL, NULL,
                                       "The ledger cannot be read; see the log."};
    log_error("a record of the ledger cannot be read");
    gateway_refuse(g, request, &error, NULL);
}

/* ---- reading ---- */

static void get_record(struct gateway *g, struct http_request *request, struct ledger_place place,
                       bool refund)
{
    struct record record;
    if (ledger_read(g->ledger, place, &record) < 0) {
        gateway_refuse_unreadable(g, request);
        return;
    }
    buf_reset(&g->out);
    if (refund)
        answer_refund(&record, ledger_salt(g->ledger), &g->out);
    else
        answer_intent(&record.intent, ledger_salt(g->ledger), &g->out);
    record_free(&record);
    gateway_respond(request, 200, &g->out, NULL);
}

static void get_intent(struct gateway *g, struct http_request *request, const char *id)
{
    uint64_t number;
    const struct store_intent *intent = NULL;
    if (record_number(id, "pi_", ledger_salt(g->ledger), &number) == 0)
        intent = store_intent(g->store, number);
    if (intent == NULL)
        gateway_refuse_missing(g, request, "intent");
    else
        get_record(g, request, intent->place, false);
}

static void get_refund(struct gateway *g, struct http_request *request, const char *id)
{
    uint64_t number;
    struct ledger_place place = {0};
    if (record_number(id, "re_", ledger_salt(g->ledger), &number) == 0)
        place = store_refund(g->store, number);
    if (place.len == 0)
        gateway_refuse_missing(g, request, "id");
    else
        get_record(g, request, place, true);
}

int64_t gateway_query_number(struct http_request *request, const char *name, int64_t fallback)
{
    const char *text = http_request_query(request, name);
    if (text == NULL)
        return fallback;
    char *end;
    errno = 0;
    int64_t number = strtoll(text, &end, 10);
    return errno != 0 || end == text || *end != '\0' || number < 0 ? -1 : number;
}

/* Appends up to `limit` intents below number `before`, newest first, none created before `since`.
 */
static int write_page(struct gateway *g, uint64_t before, int64_t since, int64_t limit)
{
    struct buf *out = &g->out;
    uint64_t next = before;
    (void)buf_str(out, "{\"object\":\"list\",\"url\":\"" INTENTS "\",\"data\":[");
    for (int64_t i = 0; i < limit && next > 0; i++, next--) {
        const struct store_intent *intent = store_intent(g->store, next - 1);
        struct record record;
        if (intent->created < since)
            break;
        if (ledger_read(g->ledger, intent->place, &record) < 0)
            return ERR_IO;
        if (i > 0)
            (void)buf_char(out, ',');
        answer_intent(&record.intent, ledger_salt(g->ledger), out);
        record_free(&record);
    }
    bool more = next > 0 && store_intent(g->store, next - 1)->created >= since;
    (void)buf_str(out, more ? "],\"has_more\":true}" : "],\"has_more\":false}");
    return out->failed ? ERR_FULL : 0;
}

static void list_intents(struct gateway *g, struct http_request *request)
{
    int64_t limit = gateway_query_number(request, "limit", LIMIT_DEFAULT);
    int64_t since = gateway_query_number(request, "created[gte]", 0);
    const char *after = http_request_query(request, "starting_after");
    uint64_t before = store_intent_count(g->store);
    if (limit < 1 || limit > LIMIT_MAX) {
        gateway_refuse_parameter(g, request, "limit");
        return;
    }
    if (since < 0) {
        gateway_refuse_parameter(g, request, "created[gte]");
        return;
    }
    if (after != NULL && (record_number(after, "pi_", ledger_salt(g->ledger), &before) < 0 ||
                          store_intent(g->store, before) == NULL)) {
        gateway_refuse_missing(g, request, "starting_after");
        return;
    }
    buf_reset(&g->out);
    if (write_page(g, before, since, limit) < 0)
        gateway_refuse_unreadable(g, request);
    else
        gateway_respond(request, 200, &g->out, NULL);
}

/* ---- the control ---- */

static void show_control(struct gateway *g, struct http_request *request)
{
    const char *order = http_request_query(request, "order_id");
    buf_reset(&g->out);
    (void)buf_char(&g->out, '{');
    faults_write(&g->faults, &g->out);
    size_t open = http_server_pending(g->http) - 1; /* without this one */
    (void)buf_printf(&g->out,
                     ",\"intents\":%" PRIu64 ",\"requests\":%" PRIu64 ",\"replays\":%" PRIu64
                     ",\"open\":%zu",
                     store_intent_count(g->store), g->requests, g->replays, open);
    if (order != NULL)
        (void)buf_printf(&g->out, ",\"order_requests\":%u", store_asked(g->store, order));
    (void)buf_char(&g->out, '}');
    gateway_respond(request, 200, &g->out, NULL);
}

static void set_control(struct gateway *g, struct http_request *request)
{
    size_t len;
    const char *body = http_request_body(request, &len);
    char text[256];
    struct buf problem = {.data = text, .cap = sizeof text, .max = sizeof text - 1};
    text[0] = '\0';
    if (faults_read(&g->faults, body, len, &problem) == 0) {
        log_info("the control was changed", LOG_STR("to", body));
        show_control(g, request);
        return;
    }
    const struct answer_error error = {400, "invalid_request_error", NULL, NULL,
                                       problem.failed ? "a member is no control" : text};
    gateway_refuse(g, request, &error, NULL);
}

/* ---- the bank's page ---- */

/* Where a test buyer approves or declines; then the browser goes back to the shop. */
static void show_bank(struct gateway *g, struct http_request *request, const char *id)
{
    static const char page[] =
        "<!doctype html><html lang=en><meta charset=utf-8>"
        "<meta name=viewport content='width=device-width'><title>Test bank</title><style>"
        "body{font:18px/1.5 system-ui,sans-serif;background:#eef2f6;color:#1b2733;display:grid;"
        "place-items:center;min-height:100vh;margin:0}main{background:#fff;padding:2rem 2.5rem;"
        "border-radius:1rem;box-shadow:0 6px 24px #0002;text-align:center;max-width:22rem}"
        "h1{font-size:1.2rem;margin:0 0 .5rem}small{color:#5b6875}"
        "button{font:inherit;padding:.6rem 1.4rem;margin:1rem .3rem 0;border-radius:.6rem;"
        "border:1px solid #1b2733;background:#fff;cursor:pointer}"
        "#approve{background:#1b2733;color:#fff}</style>"
        "<main><h1>Test bank</h1><p>A shop asks for<br><b>%" PRId64 " %s</b><br>"
        "<small>in the smallest unit; no money moves</small></p>"
        "<button id=approve>Approve</button><button id=decline>Decline</button></main>"
        "<script>for (const b of document.querySelectorAll('button')) b.onclick = async "
        "() => { await fetch('', {method: 'POST', headers: {'Content-Type': "
        "'application/x-www-form-urlencoded'}, body: 'outcome=' + b.id}); location.replace(";
    uint64_t number;
    struct record record;
    const struct store_intent *intent = NULL;
    if (record_number(id, "pi_", ledger_salt(g->ledger), &number) == 0)
        intent = store_intent(g->store, number);
    if (intent == NULL || ledger_read(g->ledger, intent->place, &record) < 0) {
        gateway_refuse_missing(g, request, "intent");
        return;
    }
    const char *back = record.intent.return_url == NULL ? "about:blank" : record.intent.return_url;
    buf_reset(&g->out);
    (void)buf_printf(&g->out, page, record.intent.amount, record.intent.currency);
    (void)buf_json_str(&g->out, back);
    (void)buf_str(&g->out, "); };</script></html>");
    record_free(&record);
    const struct http_response response = {.status = 200,
                                           .content_type = "text/html; charset=utf-8",
                                           .body = buf_text(&g->out),
                                           .body_len = g->out.len};
    http_respond(request, &response);
}

/* ---- routes ---- */

static bool authorized(const struct gateway *g, struct http_request *request)
{
    static const char scheme[] = "Bearer ";
    const char *value = http_request_header(request, "Authorization");
    if (value == NULL || strncmp(value, scheme, sizeof scheme - 1) != 0 ||
        value[sizeof scheme - 1] == '\0')
        return false;
    return g->secret_key[0] == '\0' || strcmp(value + sizeof scheme - 1, g->secret_key) == 0;
}

static void refuse_route(struct gateway *g, struct http_request *request)
{
    const struct answer_error error = {404, "invalid_request_error", NULL, NULL,
                                       "Unrecognized request URL or method."};
    gateway_refuse(g, request, &error, NULL);
}

static void refuse_key(struct gateway *g, struct http_request *request)
{
    const struct answer_error error = {401, "invalid_request_error", NULL, NULL,
                                       "Invalid API key provided."};
    gateway_refuse(g, request, &error, NULL);
}

/* Answers a request that reads or cancels in a wrong way, as the faults want it; false: not now. */
static bool fail_read(struct gateway *g, struct http_request *request)
{
    static const struct answer_error many = {429, "invalid_request_error", "rate_limit", NULL,
                                             "Too many requests hit the API too quickly."};
    static const struct answer_error broken = {500, "api_error", NULL, NULL, "Something broke."};
    static const char html[] = "<html><body>{\"object\":\"list\",\"data\":[]</body></html>";
    const struct http_response garbage = {
        .status = 200, .content_type = "text/html", .body = html, .body_len = sizeof html - 1};
    enum fault fault = faults_pick_read(&g->faults);
    if (fault == FAULT_RESET)
        http_abort(request, NULL, 0);
    else if (fault == FAULT_GARBAGE)
        http_respond(request, &garbage);
    else if (fault != FAULT_NONE)
        gateway_refuse(g, request, fault == FAULT_429 ? &many : &broken, NULL);
    return fault != FAULT_NONE;
}

static void route_get(struct gateway *g, struct http_request *request, const char *path)
{
    if (strcmp(path, CONTROL) == 0)
        show_control(g, request);
    else if (fail_read(g, request))
        return;
    else if (strcmp(path, INTENTS) == 0)
        list_intents(g, request);
    else if (strncmp(path, INTENTS "/", sizeof INTENTS) == 0)
        get_intent(g, request, path + sizeof INTENTS);
    else if (strcmp(path, REFUNDS) == 0)
        refund_list(g, request);
    else if (strncmp(path, REFUNDS "/", sizeof REFUNDS) == 0)
        get_refund(g, request, path + sizeof REFUNDS);
    else
        refuse_route(g, request);
}

static void route_post(struct gateway *g, struct http_request *request, const char *path)
{
    static const char cancel[] = "/cancel";
    size_t len = strlen(path);
    if (strcmp(path, INTENTS) == 0) {
        payment_charge(g, request);
    } else if (strcmp(path, REFUNDS) == 0) {
        payment_refund(g, request);
    } else if (strcmp(path, CONTROL) == 0) {
        set_control(g, request);
    } else if (strncmp(path, INTENTS "/", sizeof INTENTS) == 0 &&
               len - sizeof INTENTS < RECORD_ID_SIZE + sizeof cancel && len > sizeof cancel &&
               strcmp(path + len - (sizeof cancel - 1), cancel) == 0) {
        char id[2 * RECORD_ID_SIZE] = {0};
        memcpy(id, path + sizeof INTENTS, len - sizeof INTENTS - (sizeof cancel - 1));
        if (!fail_read(g, request))
            payment_cancel(g, request, id);
    } else {
        refuse_route(g, request);
    }
}

static void handle(struct http_request *request, void *arg)
{
    struct gateway *g = arg;
    const char *method = http_request_method(request);
    const char *path = http_request_path(request);
    if (strncmp(path, BANK, sizeof BANK - 1) == 0 && strcmp(method, "GET") == 0)
        show_bank(g, request, path + sizeof BANK - 1);
    else if (strncmp(path, BANK, sizeof BANK - 1) == 0 && strcmp(method, "POST") == 0 &&
             !http_request_body_too_large(request))
        payment_authenticate(g, request, path + sizeof BANK - 1); /* a buyer has no key of ours */
    else if (!authorized(g, request))
        refuse_key(g, request);
    else if (strcmp(method, "GET") == 0)
        route_get(g, request, path);
    else if (strcmp(method, "POST") != 0)
        refuse_route(g, request);
    else if (http_request_body_too_large(request))
        gateway_refuse_parameter(g, request, NULL);
    else
        route_post(g, request, path);
}

/* ---- the gateway ---- */

static int load(const struct record *record, struct ledger_place place, void *arg)
{
    struct gateway *g = arg;
    return store_load(g->store, record, place);
}

static void broken(void *arg)
{
    struct gateway *g = arg;
    g->broken(g->broken_arg);
}

static int open_http(struct gateway *g, const struct gateway_options *options, struct buf *problem)
{
    const struct http_options http = {.host = options->host,
                                      .port = options->port,
                                      .connections_max = CONNECTIONS_MAX,
                                      .idle_timeout_s = IDLE_TIMEOUT_S,
                                      .body_max = BODY_MAX,
                                      .tls_certificate = options->tls_certificate,
                                      .tls_key = options->tls_key};
    int code = http_server_open(g->loop, &http, handle, g, &g->http);
    if (code < 0)
        (void)buf_printf(problem, "cannot serve on %s:%u: %s", options->host, options->port,
                         code == ERR_NOMEM ? "out of memory" : strerror(errno));
    return code;
}

int gateway_open(struct loop *loop, const struct gateway_options *options,
                 struct gateway **ret_gateway, struct buf *ret_problem)
{
    struct gateway *g = calloc(1, sizeof *g);
    if (g == NULL)
        return ERR_NOMEM;
    g->loop = loop;
    g->secret_key = options->secret_key;
    g->tls = options->tls_certificate != NULL;
    g->broken = options->broken;
    g->broken_arg = options->arg;
    TAILQ_INIT(&g->open);
    TAILQ_INIT(&g->idle);
    buf_init(&g->out, OUT_MAX);
    faults_init(&g->faults, options->seed);
    g->faults.latency_ms = options->latency_ms;
    g->store = store_new();
    const struct ledger_options ledger = {.path = options->ledger,
                                          .salt = (uint32_t)(options->seed ^ options->seed >> 32),
                                          .load = load,
                                          .broken = broken,
                                          .arg = g};
    int code = g->store == NULL ? ERR_NOMEM : ledger_open(loop, &ledger, &g->ledger, ret_problem);
    if (code == 0 && options->webhook_url != NULL) {
        g->webhooks = webhooks_new(loop, options->webhook_url, options->webhook_secret);
        code = g->webhooks == NULL ? ERR_NOMEM : 0;
    }
    if (code == 0)
        code = open_http(g, options, ret_problem);
    if (code < 0)
        gateway_close(g);
    else
        *ret_gateway = g;
    return code;
}

uint16_t gateway_port(const struct gateway *gateway)
{
    return http_server_port(gateway->http);
}

void gateway_drain(struct gateway *gateway, loop_cb done, void *arg)
{
    gateway->draining = true;
    gateway->drained = done;
    gateway->drained_arg = arg;
    http_server_drain(gateway->http);
    payment_drain(gateway);
}

void gateway_close(struct gateway *gateway)
{
    if (gateway == NULL)
        return;
    http_server_close(gateway->http);
    payment_free_all(gateway);
    webhooks_free(gateway->webhooks);
    ledger_close(gateway->ledger);
    store_free(gateway->store);
    buf_free(&gateway->out);
    free(gateway);
}
