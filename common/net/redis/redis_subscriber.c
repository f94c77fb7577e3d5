#include <search.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/err.h"
#include "common/base/log.h"
#include "common/net/redis/redis.h"
#include "common/net/redis/redis_push.h"

/*
 * The channels are a balanced tree by name (tsearch): names come from outside, and its cost has a
 * bound whatever they are.
 */

struct channel {
    bool wanted;       /* false: to be forgotten once Redis has answered what is due */
    unsigned acks_due; /* SUBSCRIBEs sent on this connection and not yet acknowledged */
    size_t len;
    char name[];
};

struct redis_subscriber {
    struct redis *redis;
    void *channels; /* tree of struct channel */
    redis_message_cb message;
    redis_subscribed_cb subscribed;
    redis_state_cb state;
    void *arg;
    struct loop_timer *end; /* frees it in the next turn of the loop: we may be in its callback */
    bool closed;
};

static int compare(const void *a, const void *b)
{
    const struct channel *x = a;
    const struct channel *y = b;
    size_t len = x->len < y->len ? x->len : y->len;
    int order = memcmp(x->name, y->name, len);
    if (order != 0)
        return order;
    return (x->len > y->len) - (x->len < y->len);
}

static struct channel *channel_new(const char *name, size_t len)
{
    struct channel *channel = calloc(1, sizeof *channel + len + 1);
    if (channel != NULL) {
        memcpy(channel->name, name, len);
        channel->len = len;
    }
    return channel;
}

static struct channel *channel_find(const struct redis_subscriber *subscriber, const char *name,
                                    size_t len)
{
    struct channel *key = channel_new(name, len);
    if (key == NULL)
        return NULL;
    void *node = tfind(key, &subscriber->channels, compare);
    free(key);
    return node == NULL ? NULL : *(struct channel **)node;
}

static void channel_remove(struct redis_subscriber *subscriber, struct channel *channel)
{
    (void)tdelete(channel, &subscriber->channels, compare);
    free(channel);
}

static int send_about(struct redis_subscriber *subscriber, const char *command,
                      const struct channel *channel)
{
    const char *const argv[] = {command, channel->name};
    const size_t len[] = {strlen(command), channel->len};
    return redis_send(subscriber->redis, 2, argv, len);
}

static int subscribe_now(struct redis_subscriber *subscriber, struct channel *channel)
{
    int code = send_about(subscriber, "SUBSCRIBE", channel);
    if (code == 0)
        channel->acks_due++;
    return code;
}

/* What to do with every channel when the connection comes or goes. */
struct walk {
    struct redis_subscriber *subscriber;
    bool up;
    struct channel *unwanted; /* one to be removed: a tree must not change during a walk */
    size_t failed;
};

static void walk_channel(const void *node, VISIT visit, void *arg)
{
    if (visit != postorder && visit != leaf)
        return;
    struct walk *walk = arg;
    struct channel *channel = *(struct channel *const *)node;
    if (!walk->up)
        channel->acks_due = 0;
    else if (subscribe_now(walk->subscriber, channel) < 0)
        walk->failed++;
    if (!channel->wanted)
        walk->unwanted = channel;
}

static void forget_unwanted(struct redis_subscriber *subscriber)
{
    for (;;) {
        struct walk walk = {.subscriber = subscriber};
        twalk_r(subscriber->channels, walk_channel, &walk);
        if (walk.unwanted == NULL)
            return;
        channel_remove(subscriber, walk.unwanted);
    }
}

static void destroy(void *arg)
{
    struct redis_subscriber *subscriber = arg;
    loop_timer_free(subscriber->end);
    tdestroy(subscriber->channels, free);
    free(subscriber);
}

static void state_changed(bool up, const char *reason, void *arg)
{
    struct redis_subscriber *subscriber = arg;
    if (up) {
        struct walk walk = {.subscriber = subscriber, .up = true};
        twalk_r(subscriber->channels, walk_channel, &walk);
        if (walk.failed > 0)
            log_error("channels not subscribed: buffer full", LOG_INT("channels", walk.failed));
    } else {
        forget_unwanted(subscriber);
    }
    if (subscriber->state != NULL)
        subscriber->state(up, reason, subscriber->arg);
}

static bool kind_is(const struct redis_reply *push, const char *kind)
{
    return push->items[0].len == strlen(kind) &&
           memcmp(push->items[0].str, kind, push->items[0].len) == 0;
}

/* An acknowledgement counts when it is the newest one due: an older one may precede an UNSUBSCRIBE
 * that is still on its way. */
static void acknowledged(struct redis_subscriber *subscriber, const char *name, size_t len)
{
    struct channel *channel = channel_find(subscriber, name, len);
    if (channel == NULL || channel->acks_due == 0 || --channel->acks_due > 0)
        return;
    if (!channel->wanted)
        channel_remove(subscriber, channel);
    else if (subscriber->subscribed != NULL)
        subscriber->subscribed(name, len, subscriber->arg);
}

static void pushed(const struct redis_reply *push, void *arg)
{
    struct redis_subscriber *subscriber = arg;
    if (push->type == REDIS_ERROR) {
        log_error("Redis refused a subscription", LOG_STR("problem", push->str));
        return;
    }
    if (push->type != REDIS_ARRAY || push->count < 3 || push->items[0].type != REDIS_STRING ||
        push->items[1].type != REDIS_STRING)
        return;
    const struct redis_reply *name = &push->items[1];
    const struct redis_reply *text = &push->items[2];
    if (kind_is(push, "message") && text->type == REDIS_STRING)
        subscriber->message(name->str, name->len, text->str, text->len, subscriber->arg);
    else if (kind_is(push, "subscribe"))
        acknowledged(subscriber, name->str, name->len);
}

struct redis_subscriber *redis_subscriber_open(struct loop *loop, const char *url,
                                               redis_message_cb message,
                                               redis_subscribed_cb subscribed, redis_state_cb state,
                                               void *arg)
{
    struct redis_subscriber *subscriber = calloc(1, sizeof *subscriber);
    if (subscriber == NULL)
        return NULL;
    subscriber->message = message;
    subscriber->subscribed = subscribed;
    subscriber->state = state;
    subscriber->arg = arg;
    subscriber->end = loop_timer_new(loop, destroy, subscriber);
    if (subscriber->end != NULL)
        subscriber->redis = redis_open_push(loop, url, pushed, state_changed, subscriber);
    if (subscriber->redis == NULL) {
        destroy(subscriber);
        return NULL;
    }
    return subscriber;
}

void redis_subscriber_close(struct redis_subscriber *subscriber)
{
    if (subscriber == NULL || subscriber->closed)
        return;
    subscriber->closed = true;
    redis_close(subscriber->redis);
    loop_timer_start(subscriber->end, 0, 0);
}

int redis_subscribe(struct redis_subscriber *subscriber, const char *channel_name)
{
    size_t len = strlen(channel_name);
    struct channel *channel = channel_find(subscriber, channel_name, len);
    if (channel != NULL && channel->wanted)
        return 0;
    bool fresh = channel == NULL;
    if (fresh) {
        channel = channel_new(channel_name, len);
        if (channel == NULL || tsearch(channel, &subscriber->channels, compare) == NULL) {
            free(channel);
            return ERR_NOMEM;
        }
    }
    int code = 0;
    if (redis_is_up(subscriber->redis))
        code = subscribe_now(subscriber, channel);
    if (code == 0)
        channel->wanted = true;
    else if (fresh)
        channel_remove(subscriber, channel);
    return code;
}

void redis_unsubscribe(struct redis_subscriber *subscriber, const char *channel_name)
{
    struct channel *channel = channel_find(subscriber, channel_name, strlen(channel_name));
    if (channel == NULL || !channel->wanted)
        return;
    if (redis_is_up(subscriber->redis) && send_about(subscriber, "UNSUBSCRIBE", channel) < 0)
        log_warning("channel not unsubscribed: buffer full");
    channel->wanted = false;
    if (channel->acks_due == 0)
        channel_remove(subscriber, channel);
}
