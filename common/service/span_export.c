#include "common/service/span_export.h"

#include <stdlib.h>
#include <string.h>

#include "common/base/backoff.h"
#include "common/base/clock.h"
#include "common/base/err.h"
#include "common/base/log.h"
#include "common/net/http/curl.h"

#define PATH "/v1/traces"
#define URL_MAX ((size_t)4096)
#define HEADERS_MAX ((size_t)8192)
#define BODY_MAX ((size_t)768 * 1024)
#define ANSWER_MAX 4096
#define CONNECT_MS 5000
#define RETRY_MAX_MS 30000
#define LOG_EACH_MS 60000

struct span_export {
    struct loop *loop;
    struct span_source source;
    struct span_queue queue;
    struct curl_client *client;
    struct curl_call *call;   /* NULL: none is under way */
    struct loop_timer *timer; /* of the next batch, or of the next try */
    struct backoff backoff;
    uint32_t timeout_ms;
    uint32_t delay_ms;
    struct buf url;
    struct buf headers;                         /* lines, each with its NUL */
    const char *lines[SPAN_EXPORT_HEADERS + 2]; /* ours, theirs, NULL */
    struct buf body;                            /* of the batch under way */
    size_t count;                               /* its spans; 0: no batch is under way */
    unsigned tries;                             /* of it */
    bool failing;                               /* the newest answer was no good one */
    bool finishing;
    uint64_t logged_ms;
    struct metric *sent;
    struct metric *full; /* lost: the queue was full */
    struct metric *refused;
    struct metric *failed;
    struct metric *waiting;
};

static struct metric *dropped(struct metrics *metrics, const char *labels)
{
    return metrics_counter(metrics, "checkout_spans_dropped_total",
                           "Spans that were lost, by the cause.", labels);
}

static void declare_metrics(struct span_export *export, struct metrics *metrics)
{
    export->sent = metrics_counter(metrics, "checkout_spans_sent_total",
                                   "Spans that the collector took.", NULL);
    export->full = dropped(metrics, "reason=\"full\"");
    export->refused = dropped(metrics, "reason=\"refused\"");
    export->failed = dropped(metrics, "reason=\"failed\"");
    export->waiting = metrics_gauge(metrics, "checkout_spans_waiting",
                                    "Spans that wait for the collector.", NULL);
}

static void show_waiting(const struct span_export *export)
{
    metric_set(export->waiting, (double)(export->queue.count + export->count));
}

/* ---- the end of a batch ---- */

static void note_failure(struct span_export *export, const char *problem, unsigned status)
{
    export->failing = true;
    if (log_due(&export->logged_ms, LOG_EACH_MS))
        log_warning("collector does not take spans; further ones may be lost",
                    LOG_STR("problem", problem), LOG_INT("status", status));
}

static void note_success(struct span_export *export)
{
    if (export->failing)
        log_info("collector takes spans again");
    export->failing = false;
    export->logged_ms = 0;
}

static void end_batch(struct span_export *export, struct metric *counter, size_t refused)
{
    if (refused > export->count)
        refused = export->count;
    metric_add(counter, (double)(export->count - refused));
    metric_add(export->refused, (double)refused);
    export->count = 0;
    export->tries = 0;
    backoff_reset(&export->backoff);
    buf_reset(&export->body);
    show_waiting(export);
}

/* As OTLP/HTTP has it: these are tried again, others never. */
static bool may_try_again(const struct curl_response *response)
{
    static const unsigned statuses[] = {429, 502, 503, 504};
    for (size_t i = 0; i < ARRAY_LEN(statuses); i++)
        if (response->status == statuses[i])
            return true;
    return response->code != 0;
}

static void try_later(struct span_export *export, uint32_t at_least_ms)
{
    uint32_t wait_ms = backoff_next(&export->backoff);
    if (wait_ms < at_least_ms)
        wait_ms = at_least_ms;
    loop_timer_start(export->timer, wait_ms, 0);
}

/* Sends what waits at once if that is much, else when more may have come. */
static void go_on(struct span_export *export)
{
    if (export->finishing && (export->queue.count == 0 || export->failing))
        loop_stop(export->loop);
    else if (export->queue.count > 0)
        loop_timer_start(
            export->timer,
            export->finishing || export->queue.count >= SPAN_EXPORT_BATCH ? 0 : export->delay_ms,
            0);
}

static void answered(const struct curl_response *response, void *arg)
{
    struct span_export *export = arg;
    export->call = NULL;
    if (response->code == 0 && response->status / 100 == 2) {
        size_t refused = span_json_refused(response->body, response->body_len);
        if (refused > 0)
            note_failure(export, "it refuses some", response->status);
        else
            note_success(export);
        end_batch(export, export->sent, refused);
    } else {
        note_failure(export, response->code == 0 ? "it refuses them" : response->reason,
                     response->status);
        bool again = may_try_again(response);
        if (again && export->tries < SPAN_EXPORT_TRIES && !export->finishing) {
            try_later(export, response->retry_after_s * 1000);
            return;
        }
        end_batch(export, again ? export->failed : export->refused, 0);
    }
    go_on(export);
}

/* ---- sending ---- */

static void take_batch(struct span_export *export)
{
    size_t count =
        export->queue.count < SPAN_EXPORT_BATCH ? export->queue.count : SPAN_EXPORT_BATCH;
    int code = span_json(&export->source, &export->queue, count, &export->body);
    span_queue_drop(&export->queue, count);
    export->count = count;
    if (code == 0)
        return;
    note_failure(export, err_text(code), 0);
    end_batch(export, export->failed, 0);
}

static void send_next(void *arg)
{
    struct span_export *export = arg;
    if (export->count == 0)
        take_batch(export);
    if (export->count == 0) {
        go_on(export);
        return;
    }
    const struct curl_request request = {.method = "POST",
                                         .url = buf_text(&export->url),
                                         .headers = export->lines,
                                         .body = buf_text(&export->body),
                                         .body_len = export->body.len,
                                         .timeout_ms = export->timeout_ms,
                                         .response_max = ANSWER_MAX,
                                         .cut = true};
    export->tries++;
    int code = curl_call_start(export->client, &request, answered, export, &export->call);
    if (code == 0)
        return;
    note_failure(export, err_text(code), 0);
    end_batch(export, export->failed, 0);
    go_on(export);
}

struct span *span_export_add(struct span_export *export)
{
    bool lost;
    struct span *span = span_queue_add(&export->queue, &lost);
    metric_add(export->full, lost ? 1 : 0);
    show_waiting(export);
    if (export->count > 0) /* of which the end goes on */
        return span;
    if (export->queue.count == SPAN_EXPORT_BATCH)
        loop_timer_start(export->timer, 0, 0);
    else if (!loop_timer_active(export->timer))
        loop_timer_start(export->timer, export->delay_ms, 0);
    return span;
}

/* ---- life ---- */

static int copy_headers(struct span_export *export, const char *headers)
{
    size_t starts[SPAN_EXPORT_HEADERS + 1];
    size_t count = 0;
    const char *next = headers;
    (void)buf_printf(&export->headers, "Content-Type: application/json%c", '\0');
    starts[count++] = 0;
    while (*next != '\0' && count < ARRAY_LEN(starts)) {
        const char *end = next + strcspn(next, "\n");
        starts[count++] = export->headers.len;
        (void)buf_append(&export->headers, next, (size_t)(end - next));
        (void)buf_char(&export->headers, '\0');
        next = *end == '\0' ? end : end + 1;
    }
    for (size_t i = 0; i < count; i++)
        export->lines[i] = buf_text(&export->headers) + starts[i];
    return export->headers.failed ? ERR_NOMEM : 0;
}

static int copy_url(struct span_export *export, const char *endpoint)
{
    size_t len = strlen(endpoint);
    while (len > 0 && endpoint[len - 1] == '/')
        len--;
    (void)buf_append(&export->url, endpoint, len);
    (void)buf_str(&export->url, PATH);
    return export->url.failed ? ERR_NOMEM : 0;
}

static int open_parts(struct span_export *export, const struct span_export_options *options)
{
    const struct curl_options curl = {
        .ca_file = options->ca_file,
        .connections_max = 1,
        .connect_timeout_ms = options->timeout_ms < CONNECT_MS ? options->timeout_ms : CONNECT_MS};
    buf_init(&export->url, URL_MAX);
    buf_init(&export->headers, HEADERS_MAX);
    buf_init(&export->body, BODY_MAX);
    export->timer = loop_timer_new(options->loop, send_next, export);
    export->client = curl_client_new(options->loop, &curl);
    if (export->timer == NULL || export->client == NULL ||
        span_queue_init(&export->queue, SPAN_EXPORT_QUEUE) < 0)
        return ERR_NOMEM;
    int code = copy_url(export, options->endpoint);
    return code < 0 ? code : copy_headers(export, options->headers);
}

struct span_export *span_export_new(const struct span_export_options *options)
{
    struct span_export *export = calloc(1, sizeof *export);
    if (export == NULL)
        return NULL;
    export->loop = options->loop;
    export->source = options->source;
    export->timeout_ms = options->timeout_ms;
    export->delay_ms = options->delay_ms;
    backoff_init(&export->backoff, options->retry_ms, RETRY_MAX_MS, clock_mono_us());
    declare_metrics(export, options->metrics);
    if (open_parts(export, options) == 0)
        return export;
    span_export_free(export);
    return NULL;
}

void span_export_free(struct span_export *export)
{
    if (export == NULL)
        return;
    curl_client_free(export->client);
    loop_timer_free(export->timer);
    span_queue_free(&export->queue);
    buf_free(&export->body);
    buf_free(&export->headers);
    buf_free(&export->url);
    free(export);
}

static void stop_loop(void *arg)
{
    loop_stop(arg);
}

void span_export_finish(struct span_export *export, uint64_t most_ms)
{
    struct loop_timer *limit = loop_timer_new(export->loop, stop_loop, export->loop);
    if (limit == NULL || (export->count == 0 && export->queue.count == 0)) {
        loop_timer_free(limit);
        return;
    }
    export->finishing = true;
    loop_timer_start(limit, most_ms, 0);
    if (export->call == NULL)
        loop_timer_start(export->timer, 0, 0);
    loop_run(export->loop);
    loop_timer_free(limit);
    size_t lost = export->count + export->queue.count;
    if (lost > 0)
        log_warning("left before all spans were sent", LOG_INT("spans", lost));
}
