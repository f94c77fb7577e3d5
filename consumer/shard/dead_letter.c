#include "consumer/shard/dead_letter.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/clock.h"
#include "common/base/err.h"
#include "common/base/log.h"
#include "common/shop/shard.h"

#define RETRY_MS 500
#define WATCH_MS 1000
#define SILENT_MS 10000 /* no confirm, or no channel, for so long: none will come */

struct letter {
    struct letter *next;
    char *body;
    size_t len;
    const char *reason;
    uint64_t sequence; /* 0: not published on the present channel */
    uint64_t since_ms; /* monotonic: it waits for a channel or a confirm since then */
    uint64_t cookie;
    deadletter_done_cb done;
    void *arg;
};

struct deadletter {
    struct broker *broker;
    struct broker_channel *channel;
    bool open;
    struct stats *stats;
    struct loop_timer *retry;
    struct loop_timer *watch;
    struct letter *letters;
    size_t count;
};

static void publish_all(struct deadletter *d);

static void opened(void *arg)
{
    struct deadletter *d = arg;
    d->open = true;
    publish_all(d);
}

static void wait_again(struct letter *letter)
{
    letter->sequence = 0;
    letter->since_ms = clock_mono_ms();
}

static void closed(const char *reason, void *arg)
{
    struct deadletter *d = arg;
    log_warning("channel for dead letters closed", LOG_STR("reason", reason));
    broker_channel_close(d->channel);
    d->channel = NULL;
    d->open = false;
    for (struct letter *letter = d->letters; letter != NULL; letter = letter->next)
        wait_again(letter);
    loop_timer_start(d->retry, RETRY_MS, 0);
}

static void free_letter(struct letter *letter)
{
    free(letter->body);
    free(letter);
}

static void confirmed(uint64_t sequence, enum broker_confirm result, void *arg)
{
    struct deadletter *d = arg;
    struct letter **link = &d->letters;
    while (*link != NULL && (*link)->sequence != sequence)
        link = &(*link)->next;
    struct letter *letter = *link;
    if (letter == NULL)
        return;
    if (result != BROKER_ACKED) {
        log_error("checkout.dead refuses a dead letter; did you run checkoutctl topology?",
                  LOG_STR("reason", letter->reason));
        wait_again(letter);
        loop_timer_start(d->retry, RETRY_MS, 0);
        return;
    }
    *link = letter->next;
    d->count--;
    metric_add(d->stats->dead_letters, 1);
    letter->done(letter->cookie, letter->arg);
    free_letter(letter);
}

static const struct broker_channel_events channel_events = {
    .opened = opened, .closed = closed, .confirmed = confirmed};

static void publish_all(struct deadletter *d)
{
    if (d->letters == NULL)
        return;
    if (d->channel == NULL && broker_publisher_open(d->broker, &channel_events, d, &d->channel) < 0)
        loop_timer_start(d->retry, RETRY_MS, 0);
    for (struct letter *letter = d->letters; letter != NULL && d->open; letter = letter->next) {
        if (letter->sequence != 0)
            continue;
        struct broker_message message = {.exchange = SHARD_DEAD,
                                         .routing_key = "",
                                         .header_name = "x-checkout-reason",
                                         .header_text = letter->reason,
                                         .timestamp_s = clock_wall_ms() / 1000,
                                         .body = letter->body,
                                         .body_len = letter->len};
        if (broker_publish(d->channel, &message, &letter->sequence) < 0) {
            loop_timer_start(d->retry, RETRY_MS, 0);
            return;
        }
    }
}

static void retry_due(void *arg)
{
    publish_all(arg);
}

/* A connection that neither opens a channel nor confirms is useless: another node may work. */
static void watch_due(void *arg)
{
    struct deadletter *d = arg;
    uint64_t now_ms = clock_mono_ms();
    const struct letter *oldest = d->letters;
    while (oldest != NULL && now_ms - oldest->since_ms < SILENT_MS)
        oldest = oldest->next;
    if (oldest == NULL || broker_state(d->broker) != BROKER_UP)
        return;
    log_warning("no confirm for a dead letter for 10 s", LOG_STR("node", broker_node(d->broker)));
    broker_move(d->broker, "it does not confirm dead letters");
}

static void broker_changed(enum broker_state state, const char *reason, void *arg)
{
    (void)reason; /* the shards' connection to the same broker logs it */
    struct deadletter *d = arg;
    if (state != BROKER_UP)
        return;
    for (struct letter *letter = d->letters; letter != NULL; letter = letter->next)
        letter->since_ms = clock_mono_ms(); /* it could not confirm earlier */
    publish_all(d);
}

struct deadletter *deadletter_open(struct loop *loop, const struct broker_options *options,
                                   struct stats *stats)
{
    struct deadletter *d = calloc(1, sizeof *d);
    if (d == NULL)
        return NULL;
    d->stats = stats;
    d->retry = loop_timer_new(loop, retry_due, d);
    d->watch = loop_timer_new(loop, watch_due, d);
    d->broker = broker_open(loop, options, broker_changed, d);
    if (d->retry == NULL || d->watch == NULL || d->broker == NULL) {
        deadletter_close(d);
        return NULL;
    }
    loop_timer_start(d->watch, WATCH_MS, WATCH_MS);
    return d;
}

void deadletter_close(struct deadletter *d)
{
    if (d == NULL)
        return;
    broker_channel_close(d->channel);
    broker_close(d->broker);
    loop_timer_free(d->retry);
    loop_timer_free(d->watch);
    while (d->letters != NULL) {
        struct letter *letter = d->letters;
        d->letters = letter->next;
        free_letter(letter);
    }
    free(d);
}

struct broker *deadletter_broker(const struct deadletter *d)
{
    return d->broker;
}

int deadletter_send(struct deadletter *d, const char *body, size_t len, const char *reason,
                    uint64_t cookie, deadletter_done_cb done, void *arg)
{
    if (d->count >= DEADLETTER_MAX)
        return ERR_FULL;
    struct letter *letter = calloc(1, sizeof *letter);
    char *copy = malloc(len + 1);
    if (letter == NULL || copy == NULL) {
        free(letter);
        free(copy);
        return ERR_NOMEM;
    }
    memcpy(copy, body, len);
    *letter = (struct letter){.next = d->letters,
                              .body = copy,
                              .len = len,
                              .reason = reason,
                              .since_ms = clock_mono_ms(),
                              .cookie = cookie,
                              .done = done,
                              .arg = arg};
    d->letters = letter;
    d->count++;
    publish_all(d);
    return 0;
}
