#include "notifier/hooks/hooks.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/base/backoff.h"
#include "common/base/clock.h"
#include "common/base/err.h"
#include "common/base/log.h"
#include "common/net/address_public.h"
#include "common/net/http/curl.h"
#include "notifier/hooks/hook_attempt.h"

#define ANSWER_MAX 4096
#define LEASE_SPARE_MS 30000
#define CONNECT_MS 5000
#define RETRY_AFTER_MAX_S 3600
#define FILL_PAGE "128"    /* events of a shard and endpoint, in one transaction */
#define FILL_MOST "10000"  /* an endpoint with so many due deliveries is given no more */
#define KEEP_ROWS "100000" /* ended deliveries of an endpoint, at most */
#define SHOW_MS 10000
#define FORGET_MS 60000
#define LOG_EACH_MS 10000
#define NUMBER_SIZE 24

static const struct pg_statement claim_statement = {
    "claim_hooks",
    "select " HOOK_CLAIM_COLUMNS " from checkout.claim_hooks($1::text, $2::bigint, $3::integer) c",
    3};
static const struct pg_statement finish_statement = {
    "finish_hook",
    "select checkout.finish_hook($1::bigint, $2::integer, $3::text, $4::text, $5::bigint,"
    " $6::integer, $7::integer, $8::text, $9::bigint, $10::bigint)",
    10};
static const struct pg_statement overdue_statement = {
    "hooks_overdue", "select hooks, oldest_s from checkout.hooks_overdue()", 0};
static const struct pg_statement fill_statement = {
    "fill_hooks", "select checkout.fill_hooks(" FILL_PAGE ", " FILL_MOST ")", 0};
static const struct pg_statement show_statement = {
    "hooks_now", "select endpoint, due, oldest_ms, paused is not null from checkout.hooks_now()",
    0};
static const struct pg_statement forget_statement = {
    "forget_hooks", "select checkout.forget_hooks($1::bigint, " KEEP_ROWS ")", 1};

struct hooks {
    struct hooks_options options;
    struct dispatcher *dispatcher;
    struct curl_client *client;
    struct pg *pg; /* the dispatcher's, while a fill goes on */
    bool filling;  /* each is on its way */
    bool showing;
    bool forgetting;
    uint64_t shown_ms;
    uint64_t forgot_ms;
    uint64_t logged_ms;
    struct backoff dice; /* only for its random numbers */
};

static uint64_t roll(struct hooks *hooks)
{
    return (uint64_t)backoff_next(&hooks->dice) * UINT64_C(2654435761);
}

/* ---- the attempt ---- */

static void record(const struct dispatch_attempt *base, struct dispatch_params *params)
{
    const struct hook_attempt *attempt = (const void *)base;
    dispatch_param_int(params, base->id);
    dispatch_param_int(params, base->number);
    dispatch_param_text(params, dispatch_state_word(base->end));
    dispatch_param_text(params, base->problem[0] == '\0' ? NULL : base->problem);
    dispatch_param_int(params, base->retry_ms);
    if (attempt->status > 0)
        dispatch_param_int(params, attempt->status);
    else
        dispatch_param_text(params, NULL);
    dispatch_param_int(params, attempt->duration_ms);
    dispatch_param_text(params, attempt->status > 0 ? attempt->answer : NULL);
    dispatch_param_int(params, attempt->hold_ms);
    dispatch_param_int(params, attempt->hooks->options.pause_after_ms);
}

static void log_end(const struct dispatch_attempt *base)
{
    const struct hook_attempt *attempt = (const void *)base;
    if (base->end == DISPATCH_SENT)
        log_debug("webhook delivered", LOG_STR("endpoint", attempt->endpoint),
                  LOG_STR("id", attempt->id), LOG_INT("attempt", base->number));
    else if (base->end == DISPATCH_FAILED)
        log_warning("webhook failed", LOG_STR("endpoint", attempt->endpoint),
                    LOG_STR("id", attempt->id), LOG_STR("order_id", attempt->order_id),
                    LOG_TRACE(base->traceparent), LOG_INT("attempt", base->number),
                    LOG_STR("problem", base->problem));
    else
        log_info("webhook not delivered; will retry", LOG_STR("endpoint", attempt->endpoint),
                 LOG_STR("id", attempt->id), LOG_STR("order_id", attempt->order_id),
                 LOG_TRACE(base->traceparent), LOG_INT("attempt", base->number),
                 LOG_INT("in_ms", base->retry_ms), LOG_STR("problem", base->problem));
}

/* A test is made once. */
static void end_attempt(struct hook_attempt *attempt, enum dispatch_end end)
{
    struct hooks *hooks = attempt->hooks;
    int64_t retry_ms = hook_retry_ms(attempt->tries, roll(hooks));
    attempt->duration_ms = (int64_t)(clock_mono_ms() - attempt->base.began_ms);
    if (retry_ms < attempt->hold_ms)
        retry_ms = attempt->hold_ms;
    dispatch_attempt_end(&attempt->base, end, retry_ms, attempt->age_ms,
                         attempt->test ? 0 : hooks->options.give_up_ms);
    dispatcher_ended(&attempt->base);
}

static void answered(const struct curl_response *response, void *arg)
{
    struct hook_attempt *attempt = arg;
    enum dispatch_end end = hook_end_of(response);
    attempt->call = NULL;
    attempt->hold_ms = hook_hold_ms(response);
    if (end != DISPATCH_SENT)
        hook_problem_of(response, attempt->base.problem);
    if (response->code == 0) {
        attempt->status = response->status;
        hook_answer_of(response->body, response->body_len, attempt->answer);
    }
    end_attempt(attempt, end);
}

static int start_call(struct hooks *hooks, struct hook_attempt *attempt,
                      const struct hook_keys *keys)
{
    const char *lines[HOOK_HEADERS_MAX + 1];
    struct buf headers;
    buf_init(&headers, HOOK_HEADERS_BYTES);
    int code = hook_attempt_headers(attempt, keys, clock_wall_ms() / 1000, &headers, lines);
    const struct curl_request request = {.method = "POST",
                                         .url = buf_text(&attempt->url),
                                         .headers = lines,
                                         .body = buf_text(&attempt->body),
                                         .body_len = attempt->body.len,
                                         .timeout_ms = hooks->options.timeout_ms,
                                         .response_max = ANSWER_MAX,
                                         .cut = true};
    if (code == 0)
        code = curl_call_start(hooks->client, &request, answered, attempt, &attempt->call);
    buf_free(&headers);
    return code;
}

static void try_once(struct dispatch_attempt *base, void *arg)
{
    struct hooks *hooks = arg;
    struct hook_attempt *attempt = (struct hook_attempt *)base;
    const struct hook_keys *keys = hook_secrets_find(hooks->options.secrets, attempt->endpoint);
    const char *problem = NULL;
    if (keys == NULL)
        problem = "no good file of its keys in CHECKOUT_HOOKS_SECRETS";
    else if (!hooks->options.plain_http && strncmp(buf_text(&attempt->url), "https://", 8) != 0)
        problem = "its URL is not https://, and CHECKOUT_HOOKS_HTTP is false";
    int code = problem == NULL ? start_call(hooks, attempt, keys) : 0;
    if (code < 0)
        problem = err_text(code);
    if (problem == NULL)
        return;
    (void)snprintf(base->problem, sizeof base->problem, "%s", problem);
    end_attempt(attempt, DISPATCH_UNAVAILABLE);
}

/* ---- the claim ---- */

/* Each endpoint has places of its own, which PostgreSQL counts. */
static bool may_claim(size_t count, struct dispatch_params *params, void *arg)
{
    const struct hooks *hooks = arg;
    (void)count;
    dispatch_param_text(params, dispatcher_name(hooks->dispatcher));
    dispatch_param_int(params, 2 * (int64_t)hooks->options.timeout_ms + LEASE_SPARE_MS);
    dispatch_param_int(params, (int64_t)hooks->options.inflight);
    return true;
}

static struct dispatch_attempt *make(const struct pg_result *result, int row, void *arg)
{
    struct hook_attempt *attempt = hook_attempt_new(result, row);
    if (attempt == NULL)
        return NULL;
    attempt->hooks = arg;
    return &attempt->base;
}

static void free_attempt(struct dispatch_attempt *attempt)
{
    hook_attempt_free((struct hook_attempt *)attempt);
}

/* ---- rows for events ---- */

static void fill(struct hooks *hooks);

static void refused(struct hooks *hooks, const struct pg_result *result, const char *event)
{
    if (pg_status(result) == PG_ERROR && log_due(&hooks->logged_ms, LOG_EACH_MS))
        log_error(event, LOG_STR("problem", pg_message(result)));
}

static void filled(const struct pg_result *result, void *arg)
{
    struct hooks *hooks = arg;
    hooks->filling = false;
    refused(hooks, result, "events not read for webhooks");
    if (pg_status(result) != PG_OK)
        return;
    dispatcher_wake(hooks->dispatcher);
    if (pg_bool(result, 0, 0))
        fill(hooks);
}

static void fill(struct hooks *hooks)
{
    if (!hooks->filling)
        hooks->filling = pg_query(hooks->pg, &fill_statement, NULL, filled, hooks) == 0;
}

static void shown(const struct pg_result *result, void *arg)
{
    struct hooks *hooks = arg;
    hooks->showing = false;
    if (pg_status(result) == PG_OK)
        hook_stats_show(hooks->options.stats, result);
}

static void forgotten(const struct pg_result *result, void *arg)
{
    struct hooks *hooks = arg;
    hooks->forgetting = false;
    refused(hooks, result, "old deliveries not forgotten");
}

static void tick(struct pg *pg, void *arg)
{
    struct hooks *hooks = arg;
    uint64_t now_ms = clock_mono_ms();
    char keep[NUMBER_SIZE];
    const char *const params[] = {keep};
    hooks->pg = pg;
    fill(hooks);
    if (!hooks->showing && now_ms >= hooks->shown_ms + SHOW_MS) {
        hooks->shown_ms = now_ms;
        hooks->showing = pg_query(pg, &show_statement, NULL, shown, hooks) == 0;
    }
    if (!hooks->forgetting && now_ms >= hooks->forgot_ms + FORGET_MS) {
        hooks->forgot_ms = now_ms;
        (void)snprintf(keep, sizeof keep, "%" PRId64, hooks->options.keep_ms);
        hooks->forgetting = pg_query(pg, &forget_statement, params, forgotten, hooks) == 0;
    }
}

static const struct dispatch_transport transport = {
    .rows = "webhooks",
    .span = "deliver webhook",
    .claim = &claim_statement,
    .finish = &finish_statement,
    .overdue = &overdue_statement,
    .may_claim = may_claim,
    .make = make,
    .try_once = try_once,
    .record = record,
    .log_end = log_end,
    .free_attempt = free_attempt,
    .tick = tick,
};

/* ---- life ---- */

static bool may_connect(const struct sockaddr *socket, void *arg)
{
    const struct hooks *hooks = arg;
    struct address address;
    return address_of_socket(socket, &address) == 0 &&
           (address_is_public(&address) || networks_hold(hooks->options.allowed, &address));
}

static bool open_parts(struct hooks *hooks)
{
    const struct hooks_options *options = &hooks->options;
    size_t inflight = options->inflight * HOOK_ENDPOINTS_MAX;
    const struct curl_options curl = {
        .ca_file = options->ca_file,
        .connections_max = (unsigned)inflight,
        .connect_timeout_ms = options->timeout_ms < CONNECT_MS ? options->timeout_ms : CONNECT_MS,
        .retry_after_max_s = RETRY_AFTER_MAX_S,
        .may_connect = may_connect,
        .may_connect_arg = hooks};
    const struct dispatcher_options dispatcher = {.loop = options->loop,
                                                  .database_url = options->database_url,
                                                  .application_name = "checkout-webhooks",
                                                  .transport = &transport,
                                                  .arg = hooks,
                                                  .inflight = inflight,
                                                  .stats = &options->stats->dispatch,
                                                  .program = "webhooks",
                                                  .place = options->place,
                                                  .ready = options->ready,
                                                  .ready_arg = options->ready_arg};
    hooks->client = curl_client_new(options->loop, &curl);
    if (hooks->client != NULL)
        hooks->dispatcher = dispatcher_new(&dispatcher);
    return hooks->dispatcher != NULL;
}

struct hooks *hooks_new(const struct hooks_options *options)
{
    struct hooks *hooks = calloc(1, sizeof *hooks);
    if (hooks == NULL)
        return NULL;
    hooks->options = *options;
    backoff_init(&hooks->dice, UINT32_MAX, UINT32_MAX, (uint64_t)getpid() ^ clock_mono_us());
    if (!open_parts(hooks)) {
        hooks_free(hooks);
        return NULL;
    }
    return hooks;
}

void hooks_free(struct hooks *hooks)
{
    if (hooks == NULL)
        return;
    dispatcher_free(hooks->dispatcher); /* cancels the calls */
    curl_client_free(hooks->client);
    free(hooks);
}

struct dispatcher *hooks_dispatcher(const struct hooks *hooks)
{
    return hooks->dispatcher;
}
