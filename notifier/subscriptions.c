#include "notifier/subscriptions.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/shop/event.h"
#include "common/net/redis/redis.h"
#include "common/base/log.h"

#define PREFIX_LEN (sizeof EVENT_CHANNEL_PREFIX - 1)
#define CHANNEL_SIZE (PREFIX_LEN + HUB_USER_MAX + 1)
/* Without Redis the database is asked in rounds: the first soon, to cover a mere reconnect. */
#define FIRST_ROUND_MS 1000
#define ROUND_MS 5000

struct feed {
    struct kv_subscriber *subscriber;
    struct hub *hub;
    struct replay *replay;
    struct stats *stats;
    struct loop_timer *rounds; /* runs while Redis is away */
    bool up;
};

static struct session *session_of(struct hub_member *member)
{
    return member->owner;
}

static struct hub_user *user_of_channel(const struct feed *feed, const char *channel, size_t len)
{
    if (len < PREFIX_LEN || memcmp(channel, EVENT_CHANNEL_PREFIX, PREFIX_LEN) != 0)
        return NULL;
    return hub_find(feed->hub, channel + PREFIX_LEN, len - PREFIX_LEN);
}

struct live_event {
    struct envelope envelope;
    const char *text;
    size_t len;
};

static void offer(struct hub_member *member, void *arg)
{
    const struct live_event *event = arg;
    session_offer(session_of(member), &event->envelope, event->text, event->len);
}

static void message_came(const char *channel, size_t channel_len, const char *message,
                         size_t message_len, void *arg)
{
    struct feed *feed = arg;
    struct hub_user *user = user_of_channel(feed, channel, channel_len);
    if (user == NULL)
        return; /* left a moment ago */
    struct live_event event = {.text = message, .len = message_len};
    if (envelope_parse(message, message_len, &event.envelope) < 0) {
        metric_add(feed->stats->unreadable, 1);
        log_warning("a message from Redis is no event", LOG_INT("bytes", message_len));
        return;
    }
    metric_add(feed->stats->received, 1);
    hub_each(user, offer, &event);
}

static void ask_replay(struct hub_member *member, void *arg)
{
    struct feed *feed = arg;
    replay_request(feed->replay, session_of(member));
}

static void subscribed(const char *channel, size_t channel_len, void *arg)
{
    struct feed *feed = arg;
    struct hub_user *user = user_of_channel(feed, channel, channel_len);
    if (user == NULL)
        return;
    hub_user_set_heard(user, true);
    hub_each(user, ask_replay, feed);
}

static void stream_lost(struct hub_member *member, void *arg)
{
    (void)arg;
    hub_user_set_heard(member->user, false);
    replay_stream_lost(session_of(member));
}

static void round_due(void *arg)
{
    struct feed *feed = arg;
    hub_each_all(feed->hub, ask_replay, feed);
}

static void redis_changed(bool up, const char *reason, void *arg)
{
    struct feed *feed = arg;
    feed->up = up;
    metric_set(feed->stats->redis_up, up);
    if (up) {
        log_info("Redis is connected", LOG_INT("users", hub_users(feed->hub)));
        loop_timer_stop(feed->rounds);
        return;
    }
    log_warning("Redis is not connected; events come from PostgreSQL, more slowly",
                LOG_STR("reason", reason));
    hub_each_all(feed->hub, stream_lost, NULL);
    loop_timer_start(feed->rounds, FIRST_ROUND_MS, ROUND_MS);
}

struct feed *feed_new(struct loop *loop, const char *url, struct hub *hub, struct replay *replay,
                      struct stats *stats)
{
    struct feed *feed = calloc(1, sizeof *feed);
    if (feed == NULL)
        return NULL;
    feed->hub = hub;
    feed->replay = replay;
    feed->stats = stats;
    feed->rounds = loop_timer_new(loop, round_due, feed);
    feed->subscriber = kv_subscriber_open(loop, url, message_came, subscribed, redis_changed, feed);
    if (feed->rounds == NULL || feed->subscriber == NULL) {
        feed_free(feed);
        return NULL;
    }
    return feed;
}

void feed_free(struct feed *feed)
{
    if (feed == NULL)
        return;
    kv_subscriber_close(feed->subscriber);
    loop_timer_free(feed->rounds);
    free(feed);
}

bool feed_ready(const struct feed *feed)
{
    return feed->up;
}

static void channel_name(const char *user, char ret_channel[CHANNEL_SIZE])
{
    (void)snprintf(ret_channel, CHANNEL_SIZE, EVENT_CHANNEL_PREFIX "%s", user);
}

int feed_listen(struct feed *feed, struct session *session, bool first)
{
    struct hub_user *user = session->member.user;
    if (first) {
        char channel[CHANNEL_SIZE];
        channel_name(hub_user_name(user), channel);
        int code = kv_subscribe(feed->subscriber, channel);
        if (code < 0)
            return code;
    }
    if (!feed->up || hub_user_heard(user))
        replay_request(feed->replay, session);
    return 0; /* else when Redis has acknowledged */
}

void feed_unlisten(struct feed *feed, const char *user)
{
    char channel[CHANNEL_SIZE];
    channel_name(user, channel);
    kv_unsubscribe(feed->subscriber, channel);
}
