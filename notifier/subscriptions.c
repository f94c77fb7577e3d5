#include "notifier/subscriptions.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/buf.h"
#include "common/base/clock.h"
#include "common/base/log.h"
#include "common/net/redis/redis.h"
#include "common/shop/event.h"
#include "common/shop/redis_keys.h"

#define PREFIX_LEN (sizeof REDIS_CHANNEL_EVENTS - 1)
#define CHANNEL_SIZE (PREFIX_LEN + REGISTRY_USER_MAX + 1)
#define LINE_PREFIX_LEN (sizeof REDIS_CHANNEL_LINE - 1)
/* Without Redis it asks the database in rounds: the first one soon, to cover a short reconnect. */
#define FIRST_ROUND_MS 1000
#define ROUND_MS 5000
#define COMMANDS_MAX 4
#define PLACE_OLD_MS 1000 /* a line's news come once a second */

struct subscriptions {
    struct redis_subscriber *subscriber;
    struct registry *registry;
    struct replay *replay;
    struct stats *stats;
    struct loop_timer *rounds; /* runs while events of some buyer do not reach us */
    bool up;
    struct lag *lag;
    bool lagging;           /* events wait to be published, though Redis stands here */
    struct redis *commands; /* asks each second whether this is still the master */
    bool is_master;
    subscriptions_line_cb line_heard; /* NULL: not set */
    void *line_arg;
};

static struct session *session_of(struct registry_member *member)
{
    return member->owner;
}

static struct registry_user *user_of_channel(const struct subscriptions *subscriptions,
                                             const char *channel, size_t len)
{
    if (len < PREFIX_LEN || memcmp(channel, REDIS_CHANNEL_EVENTS, PREFIX_LEN) != 0)
        return NULL;
    return registry_find(subscriptions->registry, channel + PREFIX_LEN, len - PREFIX_LEN);
}

static bool is_line(const char *channel, size_t len)
{
    return len > LINE_PREFIX_LEN && memcmp(channel, REDIS_CHANNEL_LINE, LINE_PREFIX_LEN) == 0;
}

struct live_event {
    struct envelope envelope;
    const char *text;
    size_t len;
};

static void offer(struct registry_member *member, void *arg)
{
    const struct live_event *event = arg;
    session_offer(session_of(member), &event->envelope, event->text, event->len);
}

/* An event of an order that waits, so late that its line has moved: another socket of its buyer may
 * have had a better place. The place of now comes by itself, as after a replay. */
static void leave_old_place_out(struct live_event *event, struct buf *text)
{
    struct envelope *envelope = &event->envelope;
    if (envelope->place == 0 || envelope->time_ms == 0 ||
        clock_wall_ms() - envelope->time_ms < PLACE_OLD_MS ||
        envelope_without_place(event->text, event->len, text) < 0)
        return;
    envelope->place = 0;
    event->text = buf_text(text);
    event->len = text->len;
}

static void message_came(const char *channel, size_t channel_len, const char *message,
                         size_t message_len, void *arg)
{
    struct subscriptions *subscriptions = arg;
    if (is_line(channel, channel_len)) {
        if (subscriptions->line_heard != NULL)
            subscriptions->line_heard(channel + LINE_PREFIX_LEN, channel_len - LINE_PREFIX_LEN,
                                      message, message_len, subscriptions->line_arg);
        return;
    }
    struct registry_user *user = user_of_channel(subscriptions, channel, channel_len);
    if (user == NULL)
        return; /* it has just left */
    struct live_event event = {.text = message, .len = message_len};
    if (envelope_parse(message, message_len, &event.envelope) < 0) {
        metric_add(subscriptions->stats->unreadable, 1);
        log_warning("message from Redis is no event", LOG_INT("bytes", message_len));
        return;
    }
    event.envelope.came_us = clock_mono_us();
    metric_add(subscriptions->stats->received, 1);
    struct buf text;
    buf_init(&text, ENVELOPE_TEXT_MAX);
    leave_old_place_out(&event, &text);
    registry_each(user, offer, &event);
    buf_free(&text);
}

static void ask_replay(struct registry_member *member, void *arg)
{
    struct subscriptions *subscriptions = arg;
    replay_request(subscriptions->replay, session_of(member));
}

static void subscribed(const char *channel, size_t channel_len, void *arg)
{
    struct subscriptions *subscriptions = arg;
    struct registry_user *user = user_of_channel(subscriptions, channel, channel_len);
    if (user == NULL)
        return;
    registry_user_set_heard(user, true);
    registry_each(user, ask_replay, subscriptions);
}

static void stream_lost(struct registry_member *member, void *arg)
{
    (void)arg;
    registry_user_set_heard(member->user, false);
    replay_stream_lost(session_of(member));
}

static void start_rounds(struct subscriptions *subscriptions, uint64_t first_ms)
{
    if (!loop_timer_active(subscriptions->rounds))
        loop_timer_start(subscriptions->rounds, first_ms, ROUND_MS);
}

/* Treats this buyer as if Redis were away. */
static void refused(const char *channel, size_t channel_len, const char *problem, void *arg)
{
    struct subscriptions *subscriptions = arg;
    struct registry_user *user = user_of_channel(subscriptions, channel, channel_len);
    (void)problem; /* logged where it happened */
    if (user == NULL)
        return;
    registry_each(user, stream_lost, NULL);
    registry_each(user, ask_replay, subscriptions);
    start_rounds(subscriptions, FIRST_ROUND_MS);
}

struct round {
    struct subscriptions *subscriptions;
    bool needed;
};

static void ask_if_deaf(struct registry_member *member, void *arg)
{
    struct round *round = arg;
    if (registry_user_heard(member->user))
        return;
    round->needed = true;
    ask_replay(member, round->subscriptions);
}

static void round_due(void *arg)
{
    struct subscriptions *subscriptions = arg;
    struct round round = {.subscriptions = subscriptions};
    if (subscriptions->lagging)
        registry_each_all(subscriptions->registry, ask_replay, subscriptions);
    else
        registry_each_all(subscriptions->registry, ask_if_deaf, &round);
    if (subscriptions->up && !subscriptions->lagging && !round.needed)
        loop_timer_stop(subscriptions->rounds);
}

static void redis_changed(bool up, const char *reason, void *arg)
{
    struct subscriptions *subscriptions = arg;
    subscriptions->up = up;
    metric_set(subscriptions->stats->redis_up, up);
    if (up) {
        log_info("Redis is connected", LOG_INT("users", registry_users(subscriptions->registry)));
        return; /* the rounds end when events of every buyer reach us again */
    }
    log_warning("Redis is not connected; events come from PostgreSQL, more slowly",
                LOG_STR("reason", reason));
    registry_each_all(subscriptions->registry, stream_lost, NULL);
    start_rounds(subscriptions, FIRST_ROUND_MS);
}

static void gap_begins(struct registry_member *member, void *arg)
{
    (void)arg;
    replay_stream_lost(session_of(member)); /* rounds then read what is new, and not hours */
}

static void lag_changed(bool lagging, void *arg)
{
    struct subscriptions *subscriptions = arg;
    subscriptions->lagging = lagging;
    if (!lagging) {
        log_info("events are published in time again");
        return;
    }
    log_warning("events wait to be published; they come from PostgreSQL, more slowly");
    registry_each_all(subscriptions->registry, gap_begins, NULL);
    start_rounds(subscriptions, 0);
}

/* At a Redis that was demoted no event is published, though our subscriptions stand there. */
static void role_changed(bool up, const char *reason, void *arg)
{
    struct subscriptions *subscriptions = arg;
    bool was = subscriptions->is_master;
    subscriptions->is_master = up;
    if (was && !up)
        redis_subscriber_renew(subscriptions->subscriber, reason);
}

struct subscriptions *subscriptions_new(struct loop *loop, const struct redis_server *server,
                                        struct registry *registry, struct replay *replay,
                                        struct stats *stats)
{
    struct subscriptions *subscriptions = calloc(1, sizeof *subscriptions);
    if (subscriptions == NULL)
        return NULL;
    subscriptions->registry = registry;
    subscriptions->replay = replay;
    subscriptions->stats = stats;
    subscriptions->rounds = loop_timer_new(loop, round_due, subscriptions);
    const struct redis_subscriber_events events = {.message = message_came,
                                                   .subscribed = subscribed,
                                                   .refused = refused,
                                                   .state = redis_changed};
    subscriptions->subscriber = redis_subscriber_open(loop, server, &events, subscriptions);
    subscriptions->commands = redis_open(loop, server, COMMANDS_MAX, role_changed, subscriptions);
    subscriptions->lag = replay_watch_lag(replay, lag_changed, subscriptions);
    if (subscriptions->rounds == NULL || subscriptions->subscriber == NULL ||
        subscriptions->commands == NULL || subscriptions->lag == NULL) {
        subscriptions_free(subscriptions);
        return NULL;
    }
    return subscriptions;
}

void subscriptions_free(struct subscriptions *subscriptions)
{
    if (subscriptions == NULL)
        return;
    lag_free(subscriptions->lag);
    redis_close(subscriptions->commands);
    redis_subscriber_close(subscriptions->subscriber);
    loop_timer_free(subscriptions->rounds);
    free(subscriptions);
}

bool subscriptions_ready(const struct subscriptions *subscriptions)
{
    return subscriptions->up;
}

static void channel_name(const char *user, char ret_channel[CHANNEL_SIZE])
{
    (void)snprintf(ret_channel, CHANNEL_SIZE, REDIS_CHANNEL_EVENTS "%s", user);
}

int subscriptions_listen(struct subscriptions *subscriptions, struct session *session, bool first)
{
    struct registry_user *user = session->member.user;
    if (first) {
        char channel[CHANNEL_SIZE];
        channel_name(registry_user_name(user), channel);
        int code = redis_subscribe(subscriptions->subscriber, channel);
        if (code < 0)
            return code;
    }
    if (!subscriptions->up || registry_user_heard(user))
        replay_request(subscriptions->replay, session);
    return 0; /* else when Redis has acknowledged */
}

void subscriptions_unlisten(struct subscriptions *subscriptions, const char *user)
{
    char channel[CHANNEL_SIZE];
    channel_name(user, channel);
    redis_unsubscribe(subscriptions->subscriber, channel);
}

void subscriptions_on_line(struct subscriptions *subscriptions, subscriptions_line_cb heard,
                           void *arg)
{
    subscriptions->line_heard = heard;
    subscriptions->line_arg = arg;
}

static void line_channel(const char *sku, char ret_channel[CHANNEL_SIZE])
{
    (void)snprintf(ret_channel, CHANNEL_SIZE, REDIS_CHANNEL_LINE "%s", sku);
}

int subscriptions_listen_line(struct subscriptions *subscriptions, const char *sku)
{
    char channel[CHANNEL_SIZE];
    line_channel(sku, channel);
    return redis_subscribe(subscriptions->subscriber, channel);
}

void subscriptions_unlisten_line(struct subscriptions *subscriptions, const char *sku)
{
    char channel[CHANNEL_SIZE];
    line_channel(sku, channel);
    redis_unsubscribe(subscriptions->subscriber, channel);
}
