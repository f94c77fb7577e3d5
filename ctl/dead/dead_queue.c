#include "ctl/dead/dead_queue.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/clock.h"
#include "common/base/err.h"
#include "common/shop/ids.h"
#include "common/shop/job.h"
#include "common/shop/shard.h"
#include "ctl/broker_reply.h"
#include "ctl/progress.h"

#define BODY_MAX ((size_t)JOB_MESSAGE_ACCEPT)
#define LETTERS_MAX 65535 /* unacknowledged at once */
#define BUSY_PATIENCE_MS 15000
#define BUSY_LOOK_MS 200
#define SILENCE_MS 5000 /* without a delivery that is due */

/* Advisory lock (class, object): one operator at a time reads the dead letters. */
static const struct pg_statement try_lock = {"ctl_dead_lock",
                                             "select pg_try_advisory_lock(1128811600, 1)", 0};

struct dead_queue {
    struct ctl *ctl;
    dead_letter_cb cb;
    void *arg;
    struct broker_channel *channel;
    struct loop_timer *timer;
    size_t expected;
    size_t count;
    uint32_t consumers;
    int code; /* of the channel */
    char problem[CTL_PROBLEM_SIZE];
    struct progress progress;
};

static void wake(void *arg)
{
    struct dead_queue *queue = arg;
    loop_stop(queue->ctl->loop);
}

static void rest(struct dead_queue *queue, uint64_t ms)
{
    loop_timer_start(queue->timer, ms, 0);
    loop_run(queue->ctl->loop);
}

/* ---- alone with it ---- */

static void on_lock(const struct pg_result *result, void *arg)
{
    *(bool *)arg = pg_bool(result, 0, 0);
}

static int lock(struct dead_queue *queue)
{
    const char *reason;
    struct ctl *ctl = queue->ctl;
    bool locked = false;
    if (ctl->pg == NULL && ctl_meet(ctl, &contact_pg, &reason) != CONTACT_UP) {
        (void)ctl_complain(0, "PostgreSQL is down, so another operator may read them too: %s",
                           reason);
        return CTL_FINE;
    }
    uint64_t until_ms = clock_mono_ms() + BUSY_PATIENCE_MS;
    while (!locked) {
        int exit_code = ctl_query(ctl, &try_lock, NULL, on_lock, &locked);
        if (exit_code != CTL_FINE)
            return exit_code;
        if (!locked && clock_mono_ms() >= until_ms)
            return ctl_complain(CTL_FAILED,
                                "another operator reads the dead letters; try again later");
        if (!locked) {
            progress_show(&queue->progress, "another operator reads the dead letters", 0, 0);
            rest(queue, BUSY_LOOK_MS);
        }
    }
    return CTL_FINE;
}

static int count(struct dead_queue *queue)
{
    struct broker_reply reply = {.ctl = queue->ctl};
    int code = broker_reply_count(&reply, SHARD_DEAD);
    queue->expected = reply.messages;
    queue->consumers = reply.consumers;
    if (code == ERR_NOT_FOUND)
        return ctl_complain(
            CTL_FAILED, "RabbitMQ has no queue %s; run `checkoutctl topology` first", SHARD_DEAD);
    if (code < 0)
        return ctl_complain(CTL_FAILED, "RabbitMQ: %s: %s", SHARD_DEAD, reply.text);
    return CTL_FINE;
}

/* The letters of other consumers are back, or another program keeps them. */
static int count_when_free(struct dead_queue *queue)
{
    uint64_t until_ms = clock_mono_ms() + BUSY_PATIENCE_MS;
    int exit_code = count(queue);
    while (exit_code == CTL_FINE && queue->consumers > 0) {
        if (clock_mono_ms() >= until_ms)
            return ctl_complain(CTL_FAILED,
                                "%u other consumers hold letters of %s; try again later",
                                queue->consumers, SHARD_DEAD);
        progress_show(&queue->progress, "waiting for another consumer of the dead letters", 0, 0);
        rest(queue, BUSY_LOOK_MS);
        exit_code = count(queue);
    }
    return exit_code;
}

/* ---- deliveries ---- */

static const char *header(const struct broker_delivery *delivery, const char *name)
{
    for (size_t i = 0; i < delivery->header_count; i++)
        if (strcmp(delivery->headers[i].name, name) == 0)
            return delivery->headers[i].text;
    return "";
}

static void delivered(const struct broker_delivery *delivery, void *arg)
{
    struct dead_queue *queue = arg;
    char fingerprint[IDS_FINGERPRINT_SIZE];
    struct dead_letter letter = {
        .tag = delivery->tag,
        .reason = header(delivery, "x-checkout-reason"),
        .from_queue = header(delivery, "x-first-death-queue"),
        .died_s = delivery->timestamp_s,
        .body = delivery->body,
        .body_len = delivery->body_len,
        .body_size = delivery->body_size,
        .type = delivery->type,
    };
    if (letter.reason[0] == '\0')
        letter.reason = header(delivery, "x-first-death-reason");
    if (ids_fingerprint(letter.body, letter.body_len, fingerprint) < 0)
        queue->code = ERR_NOMEM;
    (void)snprintf(letter.id, sizeof letter.id, "%.12s", fingerprint);
    queue->count++;
    queue->cb(&letter, queue->arg);
    progress_show(&queue->progress, "reading the dead letters:", queue->count, queue->expected);
    if (queue->count >= queue->expected)
        loop_stop(queue->ctl->loop);
    else
        loop_timer_start(queue->timer, SILENCE_MS, 0);
}

static void closed(const char *reason, void *arg)
{
    struct dead_queue *queue = arg;
    queue->code = ERR_UNAVAILABLE;
    (void)snprintf(queue->problem, sizeof queue->problem, "%s", reason);
    broker_channel_close(queue->channel);
    queue->channel = NULL;
    loop_stop(queue->ctl->loop);
}

static const struct broker_channel_events events = {.closed = closed, .delivered = delivered};

static int read_all(struct dead_queue *queue)
{
    if (queue->expected > LETTERS_MAX) {
        (void)ctl_complain(0, "there are %zu dead letters; reading the first %d", queue->expected,
                           LETTERS_MAX);
        queue->expected = LETTERS_MAX;
    }
    if (queue->expected == 0)
        return CTL_FINE;
    int code = broker_consumer_open(queue->ctl->broker, SHARD_DEAD, (uint16_t)queue->expected,
                                    BODY_MAX, &events, queue, &queue->channel);
    if (code < 0)
        return ctl_complain(CTL_FAILED, "RabbitMQ: %s: %s", SHARD_DEAD, err_text(code));
    rest(queue, SILENCE_MS);
    loop_timer_stop(queue->timer);
    if (queue->code < 0)
        return ctl_complain(CTL_FAILED, "RabbitMQ: %s: %s", SHARD_DEAD,
                            queue->problem[0] == '\0' ? err_text(queue->code) : queue->problem);
    if (queue->count < queue->expected)
        return ctl_complain(CTL_FAILED,
                            "only %zu of %zu dead letters came within %d s; nothing was done",
                            queue->count, queue->expected, SILENCE_MS / 1000);
    return CTL_FINE;
}

int dead_queue_open(struct ctl *ctl, dead_letter_cb cb, void *arg, struct dead_queue **ret_queue)
{
    int exit_code = ctl_need(ctl, &contact_broker);
    if (exit_code != CTL_FINE)
        return exit_code;
    struct dead_queue *queue = calloc(1, sizeof *queue);
    if (queue == NULL)
        return ctl_complain(CTL_FAILED, "out of memory");
    *queue = (struct dead_queue){.ctl = ctl, .cb = cb, .arg = arg};
    queue->timer = loop_timer_new(ctl->loop, wake, queue);
    if (queue->timer == NULL)
        exit_code = ctl_complain(CTL_FAILED, "out of memory");
    if (exit_code == CTL_FINE)
        exit_code = lock(queue);
    if (exit_code == CTL_FINE)
        exit_code = count_when_free(queue);
    if (exit_code == CTL_FINE)
        exit_code = read_all(queue);
    progress_end(&queue->progress);
    if (exit_code == CTL_FINE)
        *ret_queue = queue;
    else
        dead_queue_close(queue);
    return exit_code;
}

size_t dead_queue_count(const struct dead_queue *queue)
{
    return queue->count;
}

void dead_queue_ack(struct dead_queue *queue, uint64_t tag)
{
    if (queue->channel != NULL)
        broker_ack(queue->channel, tag, false);
}

void dead_queue_close(struct dead_queue *queue)
{
    if (queue == NULL)
        return;
    broker_channel_close(queue->channel);
    loop_timer_free(queue->timer);
    free(queue);
}
