#include "consumer/shard/dead_letter.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/clock.h"
#include "common/base/err.h"
#include "common/base/log.h"
#include "common/shop/shard.h"

#define RETRY_MS 500

struct letter {
    struct letter *next;
    char *body;
    size_t len;
    const char *reason;
    uint64_t sequence; /* 0: not published on the present channel */
    uint64_t cookie;
    deadletter_done_cb done;
    void *arg;
};

struct deadletter {
    struct bus *bus;
    struct bus_channel *channel;
    bool open;
    struct stats *stats;
    struct loop_timer *retry;
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

static void closed(const char *reason, void *arg)
{
    struct deadletter *d = arg;
    log_warning("the channel for dead letters is closed", LOG_STR("reason", reason));
    bus_channel_close(d->channel);
    d->channel = NULL;
    d->open = false;
    for (struct letter *letter = d->letters; letter != NULL; letter = letter->next)
        letter->sequence = 0;
    loop_timer_start(d->retry, RETRY_MS, 0);
}

static void free_letter(struct letter *letter)
{
    free(letter->body);
    free(letter);
}

static void confirmed(uint64_t sequence, enum bus_confirm result, void *arg)
{
    struct deadletter *d = arg;
    struct letter **link = &d->letters;
    while (*link != NULL && (*link)->sequence != sequence)
        link = &(*link)->next;
    struct letter *letter = *link;
    if (letter == NULL)
        return;
    if (result != BUS_ACKED) {
        log_error("checkout.dead does not take a dead letter; is the topology declared?",
                  LOG_STR("reason", letter->reason));
        letter->sequence = 0;
        loop_timer_start(d->retry, RETRY_MS, 0);
        return;
    }
    *link = letter->next;
    d->count--;
    metric_add(d->stats->dead_letters, 1);
    letter->done(letter->cookie, letter->arg);
    free_letter(letter);
}

static const struct bus_channel_events channel_events = {
    .opened = opened, .closed = closed, .confirmed = confirmed};

static void publish_all(struct deadletter *d)
{
    if (d->letters == NULL)
        return;
    if (d->channel == NULL && bus_publisher_open(d->bus, &channel_events, d, &d->channel) < 0)
        loop_timer_start(d->retry, RETRY_MS, 0);
    for (struct letter *letter = d->letters; letter != NULL && d->open; letter = letter->next) {
        if (letter->sequence != 0)
            continue;
        struct bus_message message = {.exchange = SHARD_DEAD,
                                      .routing_key = "",
                                      .header_name = "x-checkout-reason",
                                      .header_text = letter->reason,
                                      .timestamp_s = clock_wall_ms() / 1000,
                                      .body = letter->body,
                                      .body_len = letter->len};
        if (bus_publish(d->channel, &message, &letter->sequence) < 0) {
            loop_timer_start(d->retry, RETRY_MS, 0);
            return;
        }
    }
}

static void retry_due(void *arg)
{
    publish_all(arg);
}

static void bus_changed(enum bus_state state, const char *reason, void *arg)
{
    (void)reason; /* the shards' connection to the same broker logs it */
    if (state == BUS_UP)
        publish_all(arg);
}

struct deadletter *deadletter_open(struct loop *loop, const struct bus_options *options,
                                   struct stats *stats)
{
    struct deadletter *d = calloc(1, sizeof *d);
    if (d == NULL)
        return NULL;
    d->stats = stats;
    d->retry = loop_timer_new(loop, retry_due, d);
    d->bus = bus_open(loop, options, bus_changed, d);
    if (d->retry == NULL || d->bus == NULL) {
        deadletter_close(d);
        return NULL;
    }
    return d;
}

void deadletter_close(struct deadletter *d)
{
    if (d == NULL)
        return;
    bus_channel_close(d->channel);
    bus_close(d->bus);
    loop_timer_free(d->retry);
    while (d->letters != NULL) {
        struct letter *letter = d->letters;
        d->letters = letter->next;
        free_letter(letter);
    }
    free(d);
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
    *letter = (struct letter){d->letters, copy, len, reason, 0, cookie, done, arg};
    d->letters = letter;
    d->count++;
    publish_all(d);
    return 0;
}
