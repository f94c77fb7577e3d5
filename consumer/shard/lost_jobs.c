#include "consumer/shard/lost_jobs.h"

#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/buf.h"
#include "common/base/clock.h"
#include "common/base/err.h"
#include "common/base/log.h"
#include "common/base/parse.h"
#include "common/shop/job.h"
#include "common/shop/shard.h"

#define LOOK_MS 1000
#define REOPEN_FIRST_MS 1000
#define REOPEN_MAX_MS 30000
#define COMMANDS_MAX ((size_t)1024 * 1024)
#define LOG_EVERY_MS 10000

struct lost_jobs {
    struct lost_jobs_options options;
    struct broker_channel *channel;
    struct loop_timer *timer;
    uint64_t reopen_ms;     /* the present pause */
    uint64_t reopen_due_ms; /* monotonic */
    uint64_t tag;           /* of the letter at hand; 0: none */
    uint64_t letter;        /* its number: counts up, through all channels */
    uint64_t asked;         /* the letter that the session was asked about; 0: no query is open */
    size_t jobs;            /* of it */
    char cause[sizeof((struct broker_header *)0)->text];
    struct buf commands; /* JSON */
    uint64_t logged_ms;
    uint64_t unlogged; /* jobs since then */
};

static const struct pg_statement request_expiry = {"request_expiry",
                                                   "select checkout.request_expiry($1::jsonb)", 1};

/* ---- from a letter to commands ---- */

static const char *header(const struct broker_delivery *delivery, const char *name)
{
    for (size_t i = 0; i < delivery->header_count; i++)
        if (strcmp(delivery->headers[i].name, name) == 0)
            return delivery->headers[i].text;
    return "";
}

/* Reads "checkout.jobs.N.<shard>". */
static bool read_queue(const char *queue, uint32_t *ret_shards, uint32_t *ret_shard)
{
    static const char prefix[] = "checkout.jobs.";
    int64_t shards;
    int64_t shard;
    if (strncmp(queue, prefix, sizeof prefix - 1) != 0)
        return false;
    const char *rest = queue + sizeof prefix - 1;
    rest += parse_digits(rest, &shards);
    if (*rest != '.' || shards < 1 || shards > UINT16_MAX)
        return false;
    rest++;
    rest += parse_digits(rest, &shard);
    if (*rest != '\0' || shard < 0 || shard >= shards)
        return false;
    *ret_shards = (uint32_t)shards;
    *ret_shard = (uint32_t)shard;
    return true;
}

static void add_command(struct lost_jobs *lost, const struct job_entry *entry)
{
    const struct job *job = &entry->job;
    struct buf *out = &lost->commands;
    uint32_t shard =
        job->sku == NULL ? 0 : shard_of(job->sku, strlen(job->sku), lost->options.shards);
    (void)buf_printf(out, "%s{\"order_id\":\"%s\",\"shard\":%" PRIu32, lost->jobs == 0 ? "" : ",",
                     job->order_id, shard);
    (void)buf_json_member(out, "user", job->user_id);
    (void)buf_json_member(out, "sku", job->sku);
    (void)buf_json_member(out, "reference", job->reference);
    (void)buf_json_member(out, "traceparent", job->traceparent);
    (void)buf_json_member(out, "cause", lost->cause);
    if (entry->verdict == JOB_GOOD) {
        (void)buf_json_member(out, "accepted_at", job->accepted_at);
        (void)buf_json_member(out, "fingerprint", job->fingerprint);
        (void)buf_printf(out, ",\"quantity\":%" PRId64, job->quantity);
    }
    (void)buf_char(out, '}');
    lost->jobs++;
}

/* Fills in `commands`: one for each job whose id verifies. ERR_PARSE: it has none. */
static int read_letter(struct lost_jobs *lost, const struct broker_delivery *delivery)
{
    struct job_batch batch;
    const char *problem;
    uint32_t shards;
    uint32_t shard;
    if (!read_queue(header(delivery, "x-first-death-queue"), &shards, &shard))
        return ERR_PARSE;
    int code = job_batch_parse(delivery->body, delivery->body_len, shard, shards, lost->options.ids,
                               &batch, &problem);
    if (code < 0)
        return code;
    buf_reset(&lost->commands);
    (void)buf_char(&lost->commands, '[');
    lost->jobs = 0;
    for (size_t i = 0; i < batch.count; i++)
        if (batch.entries[i].verdict != JOB_UNREADABLE)
            add_command(lost, &batch.entries[i]);
    job_batch_free(&batch);
    (void)buf_char(&lost->commands, ']');
    if (lost->commands.failed)
        return ERR_NOMEM;
    return lost->jobs == 0 ? ERR_PARSE : 0;
}

/* An alarm: the first at once, then the sum of each 10 s. */
static void alarm_of(struct lost_jobs *lost)
{
    metric_add(lost->options.stats->lost_jobs, (double)lost->jobs);
    lost->unlogged += lost->jobs;
    if (!log_due(&lost->logged_ms, LOG_EVERY_MS))
        return;
    log_error("RabbitMQ dropped jobs before they were decided; telling their buyers. Does a policy "
              "match checkout.*? See docs/operations.md",
              LOG_STR("cause", lost->cause), LOG_INT("jobs", (int64_t)lost->unlogged));
    lost->unlogged = 0;
}

/* ---- the database ---- */

static void end_letter(struct lost_jobs *lost)
{
    broker_ack(lost->channel, lost->tag, false);
    lost->tag = 0;
}

static void answered(const struct pg_result *result, void *arg)
{
    struct lost_jobs *lost = arg;
    bool of_this = lost->tag != 0 && lost->asked == lost->letter;
    lost->asked = 0;
    if (!of_this)
        return; /* its channel is gone; it is delivered again */
    if (pg_status(result) == PG_OK)
        end_letter(lost);
    else if (pg_status(result) == PG_ERROR)
        log_error("commands for dropped jobs not written; will retry",
                  LOG_STR("reason", pg_message(result)));
}

static void ask(struct lost_jobs *lost)
{
    const char *const params[] = {buf_text(&lost->commands)};
    if (lost->tag == 0 || lost->asked != 0)
        return;
    if (pg_query(lost->options.session, &request_expiry, params, answered, lost) == 0)
        lost->asked = lost->letter;
}

/* ---- the broker ---- */

static void opened(void *arg)
{
    struct lost_jobs *lost = arg;
    lost->reopen_ms = REOPEN_FIRST_MS;
}

static void closed(const char *reason, void *arg)
{
    struct lost_jobs *lost = arg;
    log_warning("copies of dead letters are not read; did you run checkoutctl topology?",
                LOG_STR("reason", reason));
    broker_channel_close(lost->channel);
    lost->channel = NULL;
    lost->tag = 0;
    lost->reopen_due_ms = clock_mono_ms() + lost->reopen_ms;
    lost->reopen_ms = lost->reopen_ms * 2 > REOPEN_MAX_MS ? REOPEN_MAX_MS : lost->reopen_ms * 2;
}

static void delivered(const struct broker_delivery *delivery, void *arg)
{
    struct lost_jobs *lost = arg;
    const char *cause = header(delivery, "x-first-death-reason");
    lost->tag = delivery->tag;
    lost->letter++;
    (void)snprintf(lost->cause, sizeof lost->cause, "%s", cause);
    int code = cause[0] == '\0' ? ERR_NOT_FOUND : read_letter(lost, delivery);
    if (code == ERR_NOMEM) {
        broker_channel_close(lost->channel); /* it comes again */
        lost->channel = NULL;
        lost->tag = 0;
        return;
    }
    if (code < 0) {
        if (code != ERR_NOT_FOUND)
            log_error("RabbitMQ dropped a message that cannot be read; see checkoutctl dead list",
                      LOG_STR("cause", lost->cause));
        end_letter(lost);
        return;
    }
    alarm_of(lost);
    ask(lost);
}

static const struct broker_channel_events events = {
    .opened = opened, .closed = closed, .delivered = delivered};

static void look(void *arg)
{
    struct lost_jobs *lost = arg;
    ask(lost);
    if (lost->channel != NULL || broker_state(lost->options.broker) == BROKER_DOWN ||
        clock_mono_ms() < lost->reopen_due_ms)
        return;
    if (broker_consumer_open(lost->options.broker, SHARD_LOST, 1, JOB_MESSAGE_ACCEPT, &events, lost,
                             &lost->channel) < 0)
        lost->channel = NULL;
}

struct lost_jobs *lost_jobs_new(const struct lost_jobs_options *options)
{
    struct lost_jobs *lost = calloc(1, sizeof *lost);
    if (lost == NULL)
        return NULL;
    lost->options = *options;
    lost->reopen_ms = REOPEN_FIRST_MS;
    buf_init(&lost->commands, COMMANDS_MAX);
    lost->timer = loop_timer_new(options->loop, look, lost);
    if (lost->timer == NULL) {
        lost_jobs_free(lost);
        return NULL;
    }
    loop_timer_start(lost->timer, LOOK_MS, LOOK_MS);
    return lost;
}

void lost_jobs_stop(struct lost_jobs *lost)
{
    if (lost == NULL)
        return;
    loop_timer_stop(lost->timer);
    broker_channel_close(lost->channel);
    lost->channel = NULL;
    lost->tag = 0;
}

void lost_jobs_free(struct lost_jobs *lost)
{
    if (lost == NULL)
        return;
    loop_timer_free(lost->timer);
    broker_channel_close(lost->channel);
    buf_free(&lost->commands);
    free(lost);
}
