#include "common/shop/milestone_writer.h"

#include <stdlib.h>
#include <string.h>

#include "common/base/buf.h"
#include "common/base/clock.h"
#include "common/base/err.h"
#include "common/base/log.h"
#include "common/shop/milestone_reader.h"
#include "common/shop/shard.h"

#define SILENT_MS 5000 /* no channel or confirm for so long: none will come */
#define REOPEN_MS 1000
#define LOG_EVERY_MS 60000

struct milestone_writer {
    struct broker *broker;
    milestone_writer_cb cb;
    void *arg;
    struct broker_channel *channel;
    bool open;
    bool stopped;
    struct buf next; /* empty: nothing waits */
    struct buf sent; /* it, or the newest that was kept */
    int64_t next_reserved;
    int64_t sent_reserved;
    uint64_t sequence; /* of what is under way; 0: nothing is */
    uint64_t since_ms; /* monotonic: a milestone waits since then; 0: none does */
    uint64_t try_ms;   /* of this channel, or when the next is due */
    uint64_t logged_ms;
};

static void complain(struct milestone_writer *writer, const char *reason)
{
    if (log_due(&writer->logged_ms, LOG_EVERY_MS))
        log_error(
            "milestones are not kept in RabbitMQ: an older database would not be recognised; run "
            "checkoutctl topology, and checkoutctl roles rabbitmq",
            LOG_STR("reason", reason));
}

static void give_up(struct milestone_writer *writer, const char *reason)
{
    broker_channel_close(writer->channel);
    writer->channel = NULL;
    writer->open = false;
    writer->sequence = 0;
    writer->try_ms = clock_mono_ms() + REOPEN_MS;
    buf_reset(&writer->sent); /* whether it is kept is not known */
    if (broker_state(writer->broker) == BROKER_UP)
        complain(writer, reason);
}

static void publish(struct milestone_writer *writer)
{
    if (!writer->open || writer->sequence != 0 || writer->next.len == 0)
        return;
    const struct broker_message message = {.exchange = SHARD_MILESTONES,
                                           .routing_key = "",
                                           .type = "checkout.milestone.v1",
                                           .content_type = "application/json",
                                           .timestamp_s = clock_wall_ms() / 1000,
                                           .body = buf_text(&writer->next),
                                           .body_len = writer->next.len};
    if (broker_publish(writer->channel, &message, &writer->sequence) < 0)
        return; /* the next tick tries again */
    const struct buf spare = writer->sent;
    writer->sent = writer->next;
    writer->sent_reserved = writer->next_reserved;
    writer->next = spare;
    buf_reset(&writer->next);
    writer->try_ms = clock_mono_ms();
}

static void opened(void *arg)
{
    struct milestone_writer *writer = arg;
    writer->open = true;
    publish(writer);
}

static void closed(const char *reason, void *arg)
{
    give_up(arg, reason);
}

static void confirmed(uint64_t sequence, enum broker_confirm result, void *arg)
{
    struct milestone_writer *writer = arg;
    if (sequence != writer->sequence)
        return;
    writer->sequence = 0;
    if (result != BROKER_ACKED) {
        buf_reset(&writer->sent);
        complain(writer, result == BROKER_RETURNED ? "there is no queue " SHARD_MILESTONES
                                                   : "RabbitMQ refuses them");
        return;
    }
    writer->logged_ms = 0;
    writer->since_ms = writer->next.len > 0 ? clock_mono_ms() : 0;
    writer->cb(writer->sent_reserved, writer->arg);
    publish(writer);
}

static const struct broker_channel_events events = {
    .opened = opened, .closed = closed, .confirmed = confirmed};

struct milestone_writer *milestone_writer_new(struct broker *broker, milestone_writer_cb cb,
                                              void *arg)
{
    struct milestone_writer *writer = calloc(1, sizeof *writer);
    if (writer == NULL)
        return NULL;
    *writer = (struct milestone_writer){.broker = broker, .cb = cb, .arg = arg};
    buf_init(&writer->next, MILESTONE_SIZE_MAX);
    buf_init(&writer->sent, MILESTONE_SIZE_MAX);
    return writer;
}

void milestone_writer_stop(struct milestone_writer *writer)
{
    if (writer == NULL)
        return;
    broker_channel_close(writer->channel);
    writer->channel = NULL;
    writer->open = false;
    writer->stopped = true;
}

void milestone_writer_free(struct milestone_writer *writer)
{
    if (writer == NULL)
        return;
    milestone_writer_stop(writer);
    buf_free(&writer->next);
    buf_free(&writer->sent);
    free(writer);
}

int milestone_writer_put(struct milestone_writer *writer, const char *milestone, int64_t reserved)
{
    if (writer->stopped)
        return 0;
    if (strcmp(milestone, buf_text(&writer->sent)) == 0) {
        if (writer->sequence == 0)
            writer->cb(writer->sent_reserved, writer->arg);
        return 0;
    }
    buf_reset(&writer->next);
    int code = buf_str(&writer->next, milestone);
    if (code < 0) {
        buf_reset(&writer->next);
        return code;
    }
    writer->next_reserved = reserved;
    if (writer->since_ms == 0)
        writer->since_ms = clock_mono_ms();
    publish(writer);
    return 0;
}

/* Opens a channel, gives up one that is silent, or publishes. */
static void go_on(struct milestone_writer *writer, uint64_t now_ms)
{
    if (writer->channel == NULL && now_ms >= writer->try_ms &&
        broker_state(writer->broker) == BROKER_UP) {
        writer->try_ms = now_ms;
        if (broker_publisher_open(writer->broker, &events, writer, &writer->channel) < 0)
            writer->channel = NULL;
    } else if (writer->channel != NULL && (!writer->open || writer->sequence != 0) &&
               now_ms - writer->try_ms >= SILENT_MS) {
        give_up(writer, "it does not confirm");
    } else {
        publish(writer);
    }
}

uint64_t milestone_writer_tick(struct milestone_writer *writer)
{
    uint64_t now_ms = clock_mono_ms();
    bool waits = writer->sequence != 0 || writer->next.len > 0;
    if (writer->stopped || !waits)
        return 0;
    uint64_t waited_ms = writer->since_ms == 0 ? 0 : now_ms - writer->since_ms;
    go_on(writer, now_ms);
    return waited_ms;
}
