#include "common/shop/milestone_reader.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include "common/base/buf.h"
#include "common/base/clock.h"
#include "common/base/err.h"
#include "common/net/pg/pg.h"
#include "common/shop/shard.h"

#define MILESTONES_MAX 256
#define BUSY_LOOK_MS 50  /* another program reads them */
#define EMPTY_LOOK_MS 50 /* or has just put them back */
#define SILENCE_MS 3000  /* without a milestone that is due */
#define PATIENCE_MS 6000
#define PROBLEM_SIZE 256

enum phase { PHASE_IDLE, PHASE_COUNTING, PHASE_PAUSE, PHASE_READING };

struct milestone_reader {
    struct loop *loop;
    struct broker *broker;
    milestone_reader_cb cb;
    void *arg;
    enum phase phase;
    bool stopped;
    bool empty_seen;
    struct broker_channel *channel;
    struct loop_timer *timer;
    uint64_t until_ms; /* monotonic */
    uint32_t expected;
    size_t count;
    struct buf body;
    struct buf milestones;
};

static void finish(struct milestone_reader *reader, int code, const char *problem)
{
    broker_channel_close(reader->channel);
    reader->channel = NULL;
    loop_timer_stop(reader->timer);
    reader->phase = PHASE_IDLE;
    pg_array_end(&reader->milestones);
    bool failed = code == 0 && reader->milestones.failed;
    const struct milestone_reading reading = {.code = failed ? ERR_UNAVAILABLE : code,
                                              .problem = failed ? err_text(ERR_NOMEM) : problem,
                                              .milestones = buf_text(&reader->milestones),
                                              .count = reader->count};
    reader->cb(&reading, reader->arg);
}

static void delivered(const struct broker_delivery *delivery, void *arg)
{
    struct milestone_reader *reader = arg;
    buf_reset(&reader->body);
    (void)buf_append(&reader->body, delivery->body, delivery->body_len);
    pg_array_text(&reader->milestones, buf_text(&reader->body));
    if (++reader->count >= reader->expected)
        finish(reader, 0, "");
    else
        loop_timer_start(reader->timer, SILENCE_MS, 0);
}

static void closed(const char *reason, void *arg)
{
    char copy[PROBLEM_SIZE];
    (void)snprintf(copy, sizeof copy, "%s", reason);
    finish(arg, ERR_UNAVAILABLE, copy);
}

static const struct broker_channel_events events = {.closed = closed, .delivered = delivered};

static void read_all(struct milestone_reader *reader)
{
    int code = broker_consumer_open(reader->broker, SHARD_MILESTONES, MILESTONES_MAX,
                                    MILESTONE_SIZE_MAX, &events, reader, &reader->channel);
    if (code < 0) {
        finish(reader, ERR_UNAVAILABLE, err_text(code));
        return;
    }
    reader->phase = PHASE_READING;
    loop_timer_start(reader->timer, SILENCE_MS, 0);
}

static void pause_for(struct milestone_reader *reader, uint64_t ms)
{
    reader->phase = PHASE_PAUSE;
    loop_timer_start(reader->timer, ms, 0);
}

static void counted(int code, const char *text, uint32_t messages, uint32_t consumers, void *arg)
{
    struct milestone_reader *reader = arg;
    if (code == ERR_CLOSED || reader->stopped)
        return;
    if (code < 0) {
        bool known = code == ERR_NOT_FOUND || code == ERR_REFUSED;
        finish(reader, known ? code : ERR_UNAVAILABLE, text[0] == '\0' ? err_text(code) : text);
    } else if (consumers > 0) {
        if (clock_mono_ms() >= reader->until_ms)
            finish(reader, ERR_UNAVAILABLE, "another program reads them");
        else
            pause_for(reader, BUSY_LOOK_MS);
    } else if (messages == 0 && !reader->empty_seen) {
        reader->empty_seen = true;
        pause_for(reader, EMPTY_LOOK_MS);
    } else if (messages == 0) {
        finish(reader, 0, "");
    } else {
        reader->expected = messages > MILESTONES_MAX ? MILESTONES_MAX : messages;
        read_all(reader);
    }
}

static int count(struct milestone_reader *reader)
{
    int code =
        broker_declare_queue(reader->broker, SHARD_MILESTONES, NULL, 0, true, counted, reader);
    if (code == 0)
        reader->phase = PHASE_COUNTING;
    return code;
}

static void due(void *arg)
{
    struct milestone_reader *reader = arg;
    int code = 0;
    if (reader->phase == PHASE_PAUSE)
        code = count(reader);
    else if (reader->phase == PHASE_READING)
        code = ERR_TIMEOUT;
    if (code < 0)
        finish(reader, ERR_UNAVAILABLE, err_text(code));
}

struct milestone_reader *milestone_reader_new(struct loop *loop, struct broker *broker,
                                              milestone_reader_cb cb, void *arg)
{
    struct milestone_reader *reader = calloc(1, sizeof *reader);
    if (reader == NULL)
        return NULL;
    *reader = (struct milestone_reader){.loop = loop, .broker = broker, .cb = cb, .arg = arg};
    buf_init(&reader->body, MILESTONE_SIZE_MAX);
    buf_init(&reader->milestones, 2 * (MILESTONES_MAX * MILESTONE_SIZE_MAX));
    reader->timer = loop_timer_new(loop, due, reader);
    if (reader->timer == NULL) {
        milestone_reader_free(reader);
        return NULL;
    }
    return reader;
}

int milestone_reader_start(struct milestone_reader *reader)
{
    if (reader->phase != PHASE_IDLE)
        return 0;
    buf_reset(&reader->milestones);
    pg_array_begin(&reader->milestones);
    reader->count = 0;
    reader->empty_seen = false;
    reader->until_ms = clock_mono_ms() + PATIENCE_MS;
    return count(reader);
}

void milestone_reader_stop(struct milestone_reader *reader)
{
    if (reader == NULL)
        return;
    reader->stopped = true;
    broker_channel_close(reader->channel);
    reader->channel = NULL;
    loop_timer_stop(reader->timer);
}

void milestone_reader_free(struct milestone_reader *reader)
{
    if (reader == NULL)
        return;
    milestone_reader_stop(reader);
    loop_timer_free(reader->timer);
    buf_free(&reader->body);
    buf_free(&reader->milestones);
    free(reader);
}
