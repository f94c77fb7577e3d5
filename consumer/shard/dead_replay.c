#include "consumer/shard/dead_replay.h"

#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/buf.h"
#include "common/base/clock.h"
#include "common/base/err.h"
#include "common/base/log.h"
#include "common/shop/job.h"
#include "common/shop/shard.h"

#define LOOK_MS 1000
#define COUNT_MS 10000  /* a broker under an alarm answers nothing, for as long as that lasts */
#define SILENCE_MS 5000 /* without a letter that is due */
#define LETTERS_MAX 1000
#define JOBS_SIZE_MAX ((size_t)16 * 1024 * 1024)
#define RESULT_SIZE 200
#define NUMBER_SIZE 24
#define SILENT "RabbitMQ does not say how many dead letters there are"

static const struct pg_statement begin_replay = {"begin_replay", "select checkout.begin_replay()",
                                                 0};
static const struct pg_statement readmit = {"request_readmission",
                                            "select checkout.request_readmission($1::jsonb)", 1};
static const struct pg_statement end_replay = {"end_replay",
                                               "select checkout.end_replay($1::bigint, $2, $3)", 3};

enum phase {
    IDLE,
    ASKING,   /* PostgreSQL whether a replay is wanted */
    COUNTING, /* RabbitMQ how many letters there are */
    READING,
    WRITING, /* the commands */
    ENDING,  /* with its result */
};

struct dead_replay {
    struct dead_replay_options options;
    struct loop_timer *timer;
    struct broker_channel *channel;
    enum phase phase;
    char command[NUMBER_SIZE];
    size_t there;    /* letters, when they were counted */
    size_t expected; /* of them, those to read */
    size_t read;
    uint64_t tags[LETTERS_MAX]; /* of the letters whose jobs are in `jobs` */
    size_t tag_count;
    size_t job_count;
    struct buf jobs;   /* JSON */
    uint64_t since_ms; /* of the question how many there are, or when the last letter came */
};

/* ---- the end ---- */

static void ended(const struct pg_result *result, void *arg)
{
    struct dead_replay *replay = arg;
    if (pg_status(result) == PG_ERROR)
        log_error("result of a replay not written", LOG_STR("problem", pg_message(result)));
    replay->phase = IDLE;
}

static void finish(struct dead_replay *replay, bool done, const char *text)
{
    const char *const params[] = {replay->command, done ? "done" : "refused", text};
    broker_channel_close(replay->channel);
    replay->channel = NULL;
    buf_free(&replay->jobs);
    log_info("dead letters replayed", LOG_STR("command", replay->command), LOG_STR("result", text));
    replay->phase = ENDING;
    if (pg_query(replay->options.session, &end_replay, params, ended, replay) < 0)
        replay->phase = IDLE; /* the session is gone, and its lock: another consumer goes on */
}

/* ---- the commands ---- */

static void wrote(const struct pg_result *result, void *arg)
{
    struct dead_replay *replay = arg;
    char text[RESULT_SIZE];
    if (pg_status(result) == PG_LOST) {
        broker_channel_close(replay->channel);
        replay->channel = NULL;
        replay->phase = IDLE; /* and its lock is free */
        return;
    }
    if (pg_status(result) == PG_ERROR) {
        log_error("jobs of dead letters not written", LOG_STR("problem", pg_message(result)));
        finish(replay, false, "PostgreSQL has refused their jobs: no letter was taken");
        return;
    }
    if (replay->channel == NULL) {
        finish(replay, false,
               "RabbitMQ was lost: their jobs go on, the letters stay; replay again");
        return;
    }
    for (size_t i = 0; i < replay->tag_count; i++)
        broker_ack(replay->channel, replay->tags[i], false);
    (void)snprintf(text, sizeof text,
                   "%zu of %zu letters replayed: %" PRId64
                   " of their %zu jobs had not come before; the others cannot be read",
                   replay->tag_count, replay->there, pg_int(result, 0, 0), replay->job_count);
    finish(replay, true, text);
}

static void write_jobs(struct dead_replay *replay)
{
    (void)buf_char(&replay->jobs, ']');
    const char *const params[] = {buf_text(&replay->jobs)};
    replay->phase = WRITING;
    if (replay->jobs.failed)
        finish(replay, false, "out of memory");
    else if (pg_query(replay->options.session, &readmit, params, wrote, replay) < 0)
        finish(replay, false, "PostgreSQL is not there");
}

/* ---- a letter ---- */

static const char *filled(const char *text)
{
    return text[0] == '\0' ? NULL : text;
}

static void add_job(struct dead_replay *replay, const struct job_entry *entry)
{
    const struct job *job = &entry->job;
    struct buf *out = &replay->jobs;
    uint32_t shard =
        job->sku == NULL ? 0 : shard_of(job->sku, strlen(job->sku), replay->options.shards);
    (void)buf_printf(out, "%s{\"order_id\":\"%s\",\"shard\":%" PRIu32 ",\"quantity\":%" PRId64,
                     replay->job_count++ == 0 ? "" : ",", job->order_id, shard, job->quantity);
    if (job->has_unit_price)
        (void)buf_printf(out, ",\"unit_price\":%" PRId64, job->unit_price);
    (void)buf_json_member(out, "user", job->user_id);
    (void)buf_json_member(out, "sku", job->sku);
    (void)buf_json_member(out, "payment_method", job->payment_method);
    (void)buf_json_member(out, "receipt_email", job->receipt_email);
    (void)buf_json_member(out, "reference", job->reference);
    (void)buf_json_member(out, "accepted_at", filled(job->accepted_at));
    (void)buf_json_member(out, "fingerprint", filled(job->fingerprint));
    (void)buf_json_member(out, "traceparent", job->traceparent);
    (void)buf_json_member(out, "gateway_customer", job->gateway_customer);
    (void)buf_json_member(out, "human", job->human);
    (void)buf_json_member(out, "mail_to", job->mail_to);
    (void)buf_json_member(out, "locale", job->locale);
    (void)buf_json_member(out, "flaw", entry->verdict == JOB_GOOD ? NULL : entry->problem);
    (void)buf_char(out, '}');
}

/* A message, or a job alone. */
static int parse(struct dead_replay *replay, const struct broker_delivery *letter,
                 struct job_batch *ret_batch)
{
    const struct dead_replay_options *options = &replay->options;
    const char *problem;
    struct buf message;
    int code = job_batch_parse(letter->body, letter->body_len, JOB_ANY_SHARD, options->shards,
                               options->ids, ret_batch, &problem);
    if (code != ERR_PARSE)
        return code;
    buf_init(&message, letter->body_len + sizeof JOB_MESSAGE_HEAD JOB_MESSAGE_TAIL);
    (void)buf_str(&message, JOB_MESSAGE_HEAD);
    (void)buf_append(&message, letter->body, letter->body_len);
    (void)buf_str(&message, JOB_MESSAGE_TAIL);
    code = message.failed ? ERR_NOMEM
                          : job_batch_parse(message.data, message.len, JOB_ANY_SHARD,
                                            options->shards, options->ids, ret_batch, &problem);
    buf_free(&message);
    return code;
}

/* A letter of which a part cannot be read stays, whose other jobs go on. */
static void read_letter(struct dead_replay *replay, const struct broker_delivery *letter)
{
    struct job_batch batch;
    bool whole = true;
    if (letter->body_size > letter->body_len || parse(replay, letter, &batch) < 0)
        return;
    for (size_t i = 0; i < batch.count; i++) {
        if (batch.entries[i].verdict == JOB_UNREADABLE)
            whole = false;
        else
            add_job(replay, &batch.entries[i]);
    }
    job_batch_free(&batch);
    if (whole)
        replay->tags[replay->tag_count++] = letter->tag;
}

static void delivered(const struct broker_delivery *letter, void *arg)
{
    struct dead_replay *replay = arg;
    if (replay->phase != READING || replay->read == replay->expected)
        return;
    read_letter(replay, letter);
    replay->since_ms = clock_mono_ms();
    if (replay->jobs.failed)
        finish(replay, false, "there are too many at once: checkoutctl dead replay");
    else if (++replay->read == replay->expected)
        write_jobs(replay);
}

static void closed(const char *reason, void *arg)
{
    struct dead_replay *replay = arg;
    log_warning("channel of a replay lost", LOG_STR("reason", reason));
    broker_channel_close(replay->channel);
    replay->channel = NULL;
    if (replay->phase == READING)
        finish(replay, false, "RabbitMQ was lost: no letter was taken");
}

static const struct broker_channel_events events = {.closed = closed, .delivered = delivered};

/* ---- the beginning ---- */

static void counted(int code, const char *text, uint32_t messages, uint32_t consumers, void *arg)
{
    struct dead_replay *replay = arg;
    (void)text;
    if (replay->phase != COUNTING || code == ERR_CLOSED)
        return;
    replay->there = messages;
    replay->expected = messages < LETTERS_MAX ? messages : LETTERS_MAX;
    replay->read = replay->tag_count = replay->job_count = 0;
    if (code < 0) {
        finish(replay, false, SILENT);
    } else if (consumers > 0) {
        finish(replay, false, "another program reads the dead letters; try again later");
    } else if (messages == 0) {
        finish(replay, true, "there are no dead letters");
    } else if (broker_consumer_open(replay->options.broker, SHARD_DEAD, (uint16_t)replay->expected,
                                    JOB_MESSAGE_ACCEPT, &events, replay, &replay->channel) < 0) {
        replay->channel = NULL;
        finish(replay, false, "RabbitMQ is not there");
    } else {
        buf_init(&replay->jobs, JOBS_SIZE_MAX);
        (void)buf_char(&replay->jobs, '[');
        replay->since_ms = clock_mono_ms();
        replay->phase = READING;
    }
}

static void began(const struct pg_result *result, void *arg)
{
    struct dead_replay *replay = arg;
    replay->phase = IDLE;
    if (pg_status(result) == PG_ERROR)
        log_error("commands to replay dead letters not read",
                  LOG_STR("problem", pg_message(result)));
    if (pg_status(result) != PG_OK || pg_null(result, 0, 0) || replay->timer == NULL)
        return;
    (void)snprintf(replay->command, sizeof replay->command, "%s", pg_text(result, 0, 0));
    replay->phase = COUNTING;
    replay->since_ms = clock_mono_ms();
    if (broker_declare_queue(replay->options.broker, SHARD_DEAD, NULL, 0, true, counted, replay) <
        0)
        finish(replay, false, "RabbitMQ is not there");
}

static void look(void *arg)
{
    struct dead_replay *replay = arg;
    uint64_t waited_ms = clock_mono_ms() - replay->since_ms;
    if (replay->phase == COUNTING && waited_ms >= COUNT_MS)
        finish(replay, false, SILENT);
    if (replay->phase == READING && waited_ms >= SILENCE_MS)
        finish(replay, false, "not all dead letters came: no letter was taken; try again");
    if (replay->phase == IDLE && broker_state(replay->options.broker) == BROKER_UP &&
        pg_query(replay->options.session, &begin_replay, NULL, began, replay) == 0)
        replay->phase = ASKING;
}

struct dead_replay *dead_replay_new(const struct dead_replay_options *options)
{
    struct dead_replay *replay = calloc(1, sizeof *replay);
    if (replay == NULL)
        return NULL;
    replay->options = *options;
    replay->timer = loop_timer_new(options->loop, look, replay);
    if (replay->timer == NULL) {
        free(replay);
        return NULL;
    }
    loop_timer_start(replay->timer, LOOK_MS, LOOK_MS);
    return replay;
}

void dead_replay_stop(struct dead_replay *replay)
{
    if (replay == NULL)
        return;
    loop_timer_free(replay->timer);
    replay->timer = NULL;
    broker_channel_close(replay->channel);
    replay->channel = NULL;
    if (replay->phase == COUNTING || replay->phase == READING)
        replay->phase = IDLE; /* its command stays: another consumer takes it */
}

void dead_replay_free(struct dead_replay *replay)
{
    if (replay == NULL)
        return;
    buf_free(&replay->jobs);
    free(replay);
}
