#include "ctl/reshard/forward.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "common/base/err.h"
#include "common/shop/job.h"
#include "common/shop/shard.h"
#include "ctl/reshard/lines.h"
#include "ctl/reshard/parcels.h"

#define LETTER_MAX (16 * JOB_MESSAGE_ACCEPT) /* longer than consumers take: they say so */
#define ANSWER_MS 10000
#define AGAIN_MS 100
#define TRIES_MAX 100 /* so long a new queue may be full */
#define END_TYPE "checkout.reshard.end"
#define END_SIZE 64

/* A message that was delivered. */
struct letter {
    uint64_t tag;
    struct buf body;
    bool is_end;
};

struct forward {
    struct ctl *ctl;
    struct ids *ids;
    uint32_t from;
    uint32_t to;
    struct loop_timer *timer;
    struct broker_channel *publisher;
    struct broker_channel *consumer;
    struct letter letters[SHARD_PREFETCH]; /* a ring */
    size_t first;
    size_t count;
    char end[END_SIZE]; /* the end of what was there */
    bool opened;
    bool answered;
    bool lost; /* a channel is closed, or there is no memory */
    bool late;
    enum broker_confirm confirm;
    uint64_t jobs;
};

/* ---- events ---- */

static void wake(struct forward *f)
{
    loop_stop(f->ctl->loop);
}

static void too_late(void *arg)
{
    struct forward *f = arg;
    f->late = true;
    wake(f);
}

static void opened(void *arg)
{
    struct forward *f = arg;
    f->opened = true;
    wake(f);
}

static void publisher_closed(const char *reason, void *arg)
{
    struct forward *f = arg;
    (void)ctl_complain(0, "RabbitMQ: %s", reason);
    broker_channel_close(f->publisher);
    f->publisher = NULL;
    f->lost = true;
    wake(f);
}

static void consumer_closed(const char *reason, void *arg)
{
    struct forward *f = arg;
    (void)ctl_complain(0, "RabbitMQ: %s", reason);
    broker_channel_close(f->consumer);
    f->consumer = NULL;
    f->lost = true;
    wake(f);
}

static void confirmed(uint64_t sequence, enum broker_confirm result, void *arg)
{
    struct forward *f = arg;
    (void)sequence; /* one at a time */
    f->answered = true;
    f->confirm = result;
    wake(f);
}

static void delivered(const struct broker_delivery *delivery, void *arg)
{
    struct forward *f = arg;
    struct letter *letter = &f->letters[(f->first + f->count) % SHARD_PREFETCH];
    if (f->count == SHARD_PREFETCH) { /* more than the broker may send */
        f->lost = true;
        return;
    }
    *letter =
        (struct letter){.tag = delivery->tag, .is_end = strcmp(delivery->type, END_TYPE) == 0};
    buf_init(&letter->body, LETTER_MAX + 1);
    if (delivery->body_size > LETTER_MAX ||
        buf_append(&letter->body, delivery->body, delivery->body_len) < 0)
        f->lost = true;
    f->count++;
    wake(f);
}

static const struct broker_channel_events publisher_events = {
    .opened = opened, .closed = publisher_closed, .confirmed = confirmed};
static const struct broker_channel_events consumer_events = {
    .opened = opened, .closed = consumer_closed, .delivered = delivered};

/* Until `flag` is set. */
static int await(struct forward *f, const bool *flag)
{
    f->late = false;
    loop_timer_start(f->timer, ANSWER_MS, 0);
    while (!*flag && !f->lost && !f->late)
        loop_run(f->ctl->loop);
    loop_timer_stop(f->timer);
    return *flag ? CTL_FINE : ctl_complain(CTL_FAILED, "RabbitMQ does not answer");
}

/* ---- publishing ---- */

static int publish_once(struct forward *f, const char *queue, const char *type,
                        const struct buf *body, size_t jobs)
{
    uint64_t sequence;
    const struct broker_message message = {.exchange = LINES_FORWARD,
                                           .routing_key = queue,
                                           .type = type,
                                           .content_type = "application/json",
                                           .header_name = "x-job-count",
                                           .header_number = (int64_t)jobs,
                                           .body = body->data,
                                           .body_len = body->len};
    f->answered = false;
    f->confirm = BROKER_NACKED;
    int code = broker_publish(f->publisher, &message, &sequence);
    if (code == ERR_FULL || code == ERR_UNAVAILABLE)
        return CTL_FINE; /* not now */
    if (code < 0)
        return ctl_complain(CTL_FAILED, "RabbitMQ: %s: %s", queue, err_text(code));
    return await(f, &f->answered);
}

static int publish(struct forward *f, const char *queue, const char *type, const struct buf *body,
                   size_t jobs)
{
    for (int try = 0; try < TRIES_MAX; try++) {
        int exit_code = publish_once(f, queue, type, body, jobs);
        if (exit_code != CTL_FINE || f->confirm == BROKER_ACKED)
            return exit_code;
        if (f->confirm == BROKER_RETURNED)
            return ctl_complain(CTL_FAILED, "RabbitMQ: there is no queue %s", queue);
        exit_code = ctl_rest(f->ctl, AGAIN_MS);
        if (exit_code != CTL_FINE || f->lost)
            return ctl_complain(CTL_FAILED, "RabbitMQ: the connection was lost");
    }
    return ctl_complain(CTL_FAILED, "RabbitMQ: queue %s is full", queue);
}

static int forward_letter(struct forward *f, uint32_t shard, const struct letter *letter)
{
    struct parcels parcels = {0};
    char queue[SHARD_NAME_SIZE];
    if (parcels_make(letter->body.data, letter->body.len, shard, f->from, f->to, f->ids, &parcels) <
        0)
        return ctl_complain(CTL_FAILED, "out of memory");
    int exit_code = CTL_FINE;
    for (size_t i = 0; i < parcels.count && exit_code == CTL_FINE; i++) {
        shard_queue(f->to, parcels.list[i].shard, queue);
        exit_code = publish(f, queue, JOB_TYPE, &parcels.list[i].body, parcels.list[i].jobs);
        f->jobs += parcels.list[i].jobs;
    }
    parcels_free(&parcels);
    return exit_code;
}

/* ---- a queue ---- */

static bool is_our_end(const struct forward *f, const struct letter *letter)
{
    return letter->is_end && strcmp(buf_text(&letter->body), f->end) == 0;
}

static bool await_letter(struct forward *f)
{
    f->late = false;
    loop_timer_start(f->timer, ANSWER_MS, 0);
    while (f->count == 0 && !f->lost && !f->late)
        loop_run(f->ctl->loop);
    loop_timer_stop(f->timer);
    return f->count > 0 && !f->lost;
}

/* The first letter leaves the queue. */
static int take_letter(struct forward *f, uint32_t shard, bool *ret_end)
{
    struct letter *letter = &f->letters[f->first];
    *ret_end = is_our_end(f, letter);
    int exit_code = letter->is_end ? CTL_FINE : forward_letter(f, shard, letter);
    if (exit_code != CTL_FINE || f->lost)
        return CTL_FAILED;
    broker_ack(f->consumer, letter->tag, false);
    buf_free(&letter->body);
    f->first = (f->first + 1) % SHARD_PREFETCH;
    f->count--;
    return CTL_FINE;
}

/* Up to our end. Those of movers that died are dropped. */
static int take_letters(struct forward *f, uint32_t shard)
{
    bool end = false;
    int exit_code = CTL_FINE;
    while (!end && exit_code == CTL_FINE)
        exit_code = await_letter(f)
                        ? take_letter(f, shard, &end)
                        : ctl_complain(CTL_FAILED, "RabbitMQ does not deliver what a queue holds");
    return exit_code;
}

static void drop_letters(struct forward *f)
{
    for (; f->count > 0; f->count--, f->first = (f->first + 1) % SHARD_PREFETCH)
        buf_free(&f->letters[f->first].body);
}

static int put_end(struct forward *f, const char *queue)
{
    struct buf text;
    (void)snprintf(f->end, sizeof f->end, "%d-%" PRIu64, (int)getpid(), clock_mono_ms());
    buf_init(&text, sizeof f->end);
    int exit_code = buf_str(&text, f->end) < 0 ? ctl_complain(CTL_FAILED, "out of memory")
                                               : publish(f, queue, END_TYPE, &text, 0);
    buf_free(&text);
    return exit_code;
}

int forward_empty(struct forward *forward, uint32_t shard)
{
    char queue[SHARD_NAME_SIZE];
    shard_queue(forward->from, shard, queue);
    forward->opened = false;
    int code = broker_consumer_open(forward->ctl->broker, queue, SHARD_PREFETCH, LETTER_MAX,
                                    &consumer_events, forward, &forward->consumer);
    if (code < 0)
        return ctl_complain(CTL_FAILED, "RabbitMQ: %s: %s", queue, err_text(code));
    int exit_code = await(forward, &forward->opened);
    if (exit_code == CTL_FINE)
        exit_code = put_end(forward, queue);
    if (exit_code == CTL_FINE)
        exit_code = take_letters(forward, shard);
    drop_letters(forward);
    broker_channel_close(forward->consumer);
    forward->consumer = NULL;
    return exit_code;
}

uint64_t forward_jobs(const struct forward *forward)
{
    return forward->jobs;
}

int forward_open(struct ctl *ctl, struct ids *ids, uint32_t from, uint32_t to,
                 struct forward **ret_forward)
{
    struct forward *f = calloc(1, sizeof *f);
    if (f == NULL)
        return ctl_complain(CTL_FAILED, "out of memory");
    *f = (struct forward){.ctl = ctl, .ids = ids, .from = from, .to = to};
    f->timer = loop_timer_new(ctl->loop, too_late, f);
    int code = f->timer == NULL
                   ? ERR_NOMEM
                   : broker_publisher_open(ctl->broker, &publisher_events, f, &f->publisher);
    int exit_code =
        code < 0 ? ctl_complain(CTL_FAILED, "RabbitMQ: %s", err_text(code)) : await(f, &f->opened);
    if (exit_code == CTL_FINE)
        *ret_forward = f;
    else
        forward_close(f);
    return exit_code;
}

void forward_close(struct forward *forward)
{
    if (forward == NULL)
        return;
    broker_channel_close(forward->consumer);
    broker_channel_close(forward->publisher);
    drop_letters(forward);
    loop_timer_free(forward->timer);
    free(forward);
}
