#include "notifier/dispatch/dispatcher.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "common/base/err.h"
#include "common/base/log.h"
#include "common/shop/database_version.h"

#define POLL_MS 500
#define POLL_LEAVING_MS 20
#define LOOK_MS 10000 /* between looks at how many are due */
#define STATEMENT_MS 10000
#define TCP_TIMEOUT_MS 10000
#define IDLE_IN_TRANSACTION_MS 2000
#define DRAIN_MS 20000
#define LOG_EACH_MS 10000
#define OTHERS_MAX 8 /* queries beside the records: claim, look, tick, heartbeat */
#define NAME_SIZE 128

TAILQ_HEAD(attempt_list, dispatch_attempt);

struct dispatcher {
    struct dispatcher_options options;
    char name[NAME_SIZE];
    struct pg_cluster *cluster;
    struct pg *pg;
    struct heartbeat *heartbeat;
    struct loop_timer *poll;
    struct loop_timer *drain_limit;
    struct attempt_list attempts;
    size_t count;    /* of them */
    bool claiming;   /* a claim is on its way */
    bool wake_again; /* and something became due meanwhile */
    bool looking;    /* the look at what is due is on its way */
    uint64_t looked_ms;
    uint64_t logged_ms;
    loop_cb drained; /* not NULL: it is leaving */
    void *drained_arg;
};

static void claim(struct dispatcher *d);

/* ---- parameters ---- */

void dispatch_param_text(struct dispatch_params *params, const char *text)
{
    params->values[params->count++] = text;
}

void dispatch_param_int(struct dispatch_params *params, int64_t number)
{
    char *text = params->numbers[params->count];
    (void)snprintf(text, DISPATCH_NUMBER_SIZE, "%" PRId64, number);
    params->values[params->count++] = text;
}

/* ---- attempts ---- */

static void check_drained(struct dispatcher *d)
{
    if (d->drained != NULL && d->count == 0 && pg_pending(d->pg) == 0)
        d->drained(d->drained_arg);
}

static void forget(struct dispatcher *d, struct dispatch_attempt *attempt)
{
    TAILQ_REMOVE(&d->attempts, attempt, link);
    d->count--;
    metric_set(d->options.stats->in_flight, (double)d->count);
    d->options.transport->free_attempt(attempt);
}

static void refused(struct dispatcher *d, const struct pg_result *result, const char *event)
{
    if (pg_status(result) == PG_ERROR && log_due(&d->logged_ms, LOG_EACH_MS))
        log_error(event, LOG_STR("of", d->options.transport->rows),
                  LOG_STR("problem", pg_message(result)));
}

static void recorded(const struct pg_result *result, void *arg)
{
    struct dispatch_attempt *attempt = arg;
    struct dispatcher *d = attempt->dispatcher;
    attempt->recording = false;
    if (pg_status(result) != PG_OK) {
        refused(d, result, "attempt not recorded");
        return; /* the timer tries again */
    }
    forget(d, attempt);
    claim(d);
    check_drained(d);
}

static void record(struct dispatcher *d, struct dispatch_attempt *attempt)
{
    struct dispatch_params params = {.count = 0};
    d->options.transport->record(attempt, &params);
    attempt->recording =
        pg_query(d->pg, d->options.transport->finish, params.values, recorded, attempt) == 0;
}

/* What the attempt sends belongs to its span. */
static void begin_span(struct dispatcher *d, struct dispatch_attempt *attempt)
{
    if (attempt->traceparent[0] != '\0' && spans_begin(d->options.stats->spans, attempt->order_id,
                                                       attempt->traceparent, &attempt->span))
        span_mark_traceparent(&attempt->span, attempt->traceparent);
}

static void end_span(struct dispatcher *d, struct dispatch_attempt *attempt)
{
    struct span *span = spans_end(d->options.stats->spans, &attempt->span,
                                  d->options.transport->span, SPAN_CLIENT, attempt->order_id);
    span_text(span, "checkout.attempt.end", dispatch_end_word(attempt->end));
    span_number(span, "checkout.attempt.number", attempt->number);
    span_fail(span, attempt->end != DISPATCH_SENT);
}

void dispatcher_ended(struct dispatch_attempt *attempt)
{
    struct dispatcher *d = attempt->dispatcher;
    end_span(d, attempt);
    metric_add(d->options.stats->attempts[attempt->end], 1);
    metric_observe(d->options.stats->attempt_seconds,
                   (double)(clock_mono_ms() - attempt->began_ms) / 1000);
    d->options.transport->log_end(attempt);
    record(d, attempt);
}

/* ---- the claim ---- */

static void begin(struct dispatcher *d, struct dispatch_attempt *attempt)
{
    attempt->dispatcher = d;
    attempt->began_ms = clock_mono_ms();
    begin_span(d, attempt);
    TAILQ_INSERT_TAIL(&d->attempts, attempt, link);
    d->count++;
    if (attempt->ended)
        dispatcher_ended(attempt);
    else
        d->options.transport->try_once(attempt, d->options.arg);
}

static void claimed(const struct pg_result *result, void *arg)
{
    struct dispatcher *d = arg;
    d->claiming = false;
    refused(d, result, "rows not claimed");
    int rows = pg_status(result) == PG_OK ? pg_rows(result) : 0;
    for (int row = 0; row < rows; row++) {
        struct dispatch_attempt *attempt = d->options.transport->make(result, row, d->options.arg);
        if (attempt != NULL)
            begin(d, attempt);
    }
    metric_set(d->options.stats->in_flight, (double)d->count);
    if (d->wake_again && pg_status(result) == PG_OK)
        claim(d);
    check_drained(d);
}

static void claim(struct dispatcher *d)
{
    struct dispatch_params params = {.count = 0};
    d->wake_again = d->claiming;
    if (d->drained != NULL || d->claiming || d->count >= d->options.inflight ||
        !d->options.transport->may_claim(d->count, &params, d->options.arg))
        return;
    d->claiming = pg_query(d->pg, d->options.transport->claim, params.values, claimed, d) == 0;
}

void dispatcher_wake(struct dispatcher *dispatcher)
{
    claim(dispatcher);
}

static void looked(const struct pg_result *result, void *arg)
{
    struct dispatcher *d = arg;
    d->looking = false;
    if (pg_status(result) != PG_OK)
        return;
    metric_set(d->options.stats->overdue, (double)pg_int(result, 0, 0));
    metric_set(d->options.stats->overdue_seconds, strtod(pg_text(result, 0, 1), NULL));
}

static void look(struct dispatcher *d)
{
    if (d->looking || clock_mono_ms() < d->looked_ms + LOOK_MS)
        return;
    d->looked_ms = clock_mono_ms();
    d->looking = pg_query(d->pg, d->options.transport->overdue, NULL, looked, d) == 0;
}

static void poll_due(void *arg)
{
    struct dispatcher *d = arg;
    struct dispatch_attempt *attempt;
    check_drained(d);
    if (!pg_is_up(d->pg))
        return;
    TAILQ_FOREACH(attempt, &d->attempts, link)
    if (attempt->ended && !attempt->recording)
        record(d, attempt);
    if (d->drained != NULL)
        return;
    if (d->options.transport->tick != NULL)
        d->options.transport->tick(d->pg, d->options.arg);
    claim(d);
    look(d);
}

static void database_changed(bool up, const char *reason, void *arg)
{
    struct dispatcher *d = arg;
    metric_set(d->options.stats->database_up, up ? 1 : 0);
    if (up)
        poll_due(d);
    else
        log_warning("PostgreSQL is not connected; rows wait",
                    LOG_STR("of", d->options.transport->rows), LOG_STR("reason", reason));
}

/* ---- life ---- */

static void drain_too_long(void *arg)
{
    struct dispatcher *d = arg;
    log_warning("leaving before all attempts are recorded; some may be made again",
                LOG_STR("of", d->options.transport->rows), LOG_INT("attempts", d->count));
    d->drained(d->drained_arg);
}

static bool open_session(struct dispatcher *d)
{
    const struct dispatcher_options *options = &d->options;
    d->cluster = pg_cluster_new(options->loop, options->database_url, options->application_name);
    const struct pg_options pg = {.url = options->database_url,
                                  .cluster = d->cluster,
                                  .application_name = options->application_name,
                                  .greeting = &database_version_greeting,
                                  .statement_timeout_ms = STATEMENT_MS,
                                  .idle_in_transaction_timeout_ms = IDLE_IN_TRANSACTION_MS,
                                  .tcp_user_timeout_ms = TCP_TIMEOUT_MS,
                                  .pending_max = options->inflight + OTHERS_MAX};
    if (d->cluster != NULL)
        d->pg = pg_open(options->loop, &pg, database_changed, d);
    return d->pg != NULL;
}

static bool open_parts(struct dispatcher *d)
{
    const struct dispatcher_options *options = &d->options;
    const struct heartbeat_options heartbeat = {.place = options->place,
                                                .program = options->program,
                                                .ready = options->ready,
                                                .arg = options->ready_arg};
    d->poll = loop_timer_new(options->loop, poll_due, d);
    d->drain_limit = loop_timer_new(options->loop, drain_too_long, d);
    if (d->poll != NULL && d->drain_limit != NULL && open_session(d))
        d->heartbeat = heartbeat_new(options->loop, d->pg, &heartbeat);
    return d->heartbeat != NULL;
}

struct dispatcher *dispatcher_new(const struct dispatcher_options *options)
{
    struct dispatcher *d = calloc(1, sizeof *d);
    char host[64] = "";
    if (d == NULL)
        return NULL;
    d->options = *options;
    (void)gethostname(host, sizeof host - 1);
    (void)snprintf(d->name, sizeof d->name, "%s:%ld", host, (long)getpid());
    TAILQ_INIT(&d->attempts);
    if (!open_parts(d)) {
        dispatcher_free(d);
        return NULL;
    }
    loop_timer_start(d->poll, POLL_MS, POLL_MS);
    return d;
}

void dispatcher_free(struct dispatcher *dispatcher)
{
    if (dispatcher == NULL)
        return;
    heartbeat_free(dispatcher->heartbeat);
    pg_close(dispatcher->pg);
    pg_cluster_free(dispatcher->cluster);
    loop_timer_free(dispatcher->poll);
    loop_timer_free(dispatcher->drain_limit);
    for (struct dispatch_attempt *attempt; (attempt = TAILQ_FIRST(&dispatcher->attempts)) != NULL;)
        forget(dispatcher, attempt);
    free(dispatcher);
}

bool dispatcher_ready(const struct dispatcher *dispatcher)
{
    return pg_is_up(dispatcher->pg);
}

void dispatcher_drain(struct dispatcher *dispatcher, loop_cb drained, void *arg)
{
    heartbeat_leave(dispatcher->heartbeat);
    dispatcher->drained = drained;
    dispatcher->drained_arg = arg;
    loop_timer_start(dispatcher->drain_limit, DRAIN_MS, 0);
    loop_timer_start(dispatcher->poll, POLL_LEAVING_MS, POLL_LEAVING_MS);
}

const char *dispatcher_name(const struct dispatcher *dispatcher)
{
    return dispatcher->name;
}
