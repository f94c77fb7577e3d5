#include <search.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/clock.h"
#include "common/base/err.h"
#include "common/base/log.h"
#include "common/net/redis/redis.h"
#include "common/net/redis/redis_push.h"

/*
 * The channels are a balanced tree by name (tsearch): names come from outside, and the tree bounds
 * the cost whatever they are.
 */

#define RETRY_MS 5000       /* the retry of a refused channel */
#define TELL_AGAIN_MS 10000 /* so often it logs refusals */

enum channel_state {
    CHANNEL_UNWANTED, /* forget it once Redis has answered what is due */
    CHANNEL_WANTED,   /* requested now, or when connected */
    CHANNEL_STANDS,   /* acknowledged */
    CHANNEL_REFUSED,
};

struct channel {
    enum channel_state state;
    unsigned answers_due; /* of the SUBSCRIBEs sent on this connection */
    size_t len;
    char name[];
};

struct redis_subscriber {
    struct redis *redis;
    void *channels; /* tree of struct channel */
    struct redis_subscriber_events events;
    void *arg;
    struct loop_timer *retry; /* of refused channels */
    uint64_t logged_ms;       /* when it last logged a refusal */
    uint64_t refusals;        /* since then */
    struct loop_timer *end;   /* frees it in the next turn of the loop: this may be its callback */
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

static int subscribe_now(struct redis_subscriber *subscriber, struct channel *channel)
{
    const char *const argv[] = {"SUBSCRIBE", channel->name};
    const size_t len[] = {strlen(argv[0]), channel->len};
    int code = redis_send(subscriber->redis, 2, argv, len, channel);
    if (code == 0) {
        channel->answers_due++;
        channel->state = CHANNEL_WANTED;
    }
    return code;
}

static int unsubscribe_now(struct redis_subscriber *subscriber, const struct channel *channel)
{
    const char *const argv[] = {"UNSUBSCRIBE", channel->name};
    const size_t len[] = {strlen(argv[0]), channel->len};
    return redis_send(subscriber->redis, 2, argv, len, NULL);
}

/* ---- all channels at once ---- */

struct walk {
    struct redis_subscriber *subscriber;
    enum channel_state only; /* the channels to request */
    bool connected;
    struct channel *unwanted; /* one to remove: a tree must not change during a walk */
    size_t failed;
};

static void ask_channel(const void *node, VISIT visit, void *arg)
{
    struct walk *walk = arg;
    struct channel *channel = *(struct channel *const *)node;
    if ((visit == postorder || visit == leaf) && channel->state == walk->only &&
        subscribe_now(walk->subscriber, channel) < 0)
        walk->failed++;
}

static void ask_for(struct redis_subscriber *subscriber, enum channel_state only)
{
    struct walk walk = {.subscriber = subscriber, .only = only};
    twalk_r(subscriber->channels, ask_channel, &walk);
    if (walk.failed > 0)
        log_error("channels not subscribed: buffer full", LOG_INT("channels", walk.failed));
}

static void retry_due(void *arg)
{
    ask_for(arg, CHANNEL_REFUSED);
}

/* The connection has ended, with all that was due on it. */
static void lose_channel(const void *node, VISIT visit, void *arg)
{
    struct walk *walk = arg;
    struct channel *channel = *(struct channel *const *)node;
    if (visit != postorder && visit != leaf)
        return;
    channel->answers_due = 0;
    if (channel->state == CHANNEL_UNWANTED)
        walk->unwanted = channel;
    else
        channel->state = CHANNEL_WANTED;
}

static void lose_channels(struct redis_subscriber *subscriber)
{
    struct walk walk;
    do {
        walk = (struct walk){.subscriber = subscriber};
        twalk_r(subscriber->channels, lose_channel, &walk);
        if (walk.unwanted != NULL)
            channel_remove(subscriber, walk.unwanted);
    } while (walk.unwanted != NULL);
}

static void destroy(void *arg)
{
    struct redis_subscriber *subscriber = arg;
    loop_timer_free(subscriber->end);
    loop_timer_free(subscriber->retry);
    tdestroy(subscriber->channels, free);
    free(subscriber);
}

static void state_changed(bool up, const char *reason, void *arg)
{
    struct redis_subscriber *subscriber = arg;
    if (up) {
        ask_for(subscriber, CHANNEL_WANTED);
    } else {
        loop_timer_stop(subscriber->retry);
        lose_channels(subscriber);
    }
    if (subscriber->events.state != NULL)
        subscriber->events.state(up, reason, subscriber->arg);
}

/* ---- what Redis says ---- */

static bool kind_is(const struct redis_reply *push, const char *kind)
{
    return push->items[0].len == strlen(kind) &&
           memcmp(push->items[0].str, kind, push->items[0].len) == 0;
}

static void message_came(const struct redis_subscriber *subscriber, const struct redis_reply *push)
{
    const struct redis_reply *name = &push->items[1];
    const struct redis_reply *text = &push->items[2];
    if (name->type == REDIS_STRING && text->type == REDIS_STRING)
        subscriber->events.message(name->str, name->len, text->str, text->len, subscriber->arg);
}

static void acknowledged(struct redis_subscriber *subscriber, struct channel *channel)
{
    channel->state = CHANNEL_STANDS;
    if (subscriber->events.subscribed != NULL)
        subscriber->events.subscribed(channel->name, channel->len, subscriber->arg);
}

static void refused(struct redis_subscriber *subscriber, struct channel *channel,
                    const char *problem)
{
    channel->state = CHANNEL_REFUSED;
    subscriber->refusals++;
    if (log_due(&subscriber->logged_ms, TELL_AGAIN_MS)) {
        log_error("Redis refused a subscription; will retry", LOG_STR("problem", problem),
                  LOG_INT("refusals", subscriber->refusals));
        subscriber->refusals = 0;
    }
    if (!loop_timer_active(subscriber->retry))
        loop_timer_start(subscriber->retry, RETRY_MS, RETRY_MS);
    if (subscriber->events.refused != NULL)
        subscriber->events.refused(channel->name, channel->len, problem, subscriber->arg);
}

/* Only the answer to the newest SUBSCRIBE counts: an older one may precede an UNSUBSCRIBE that is
 * still under way. */
static void answered(struct redis_subscriber *subscriber, struct channel *channel,
                     const struct redis_reply *answer)
{
    if (--channel->answers_due > 0)
        return;
    if (channel->state == CHANNEL_UNWANTED)
        channel_remove(subscriber, channel);
    else if (answer->type == REDIS_ERROR)
        refused(subscriber, channel, answer->str);
    else
        acknowledged(subscriber, channel);
}

static void pushed(const struct redis_reply *push, void *about, void *arg)
{
    struct redis_subscriber *subscriber = arg;
    if (about != NULL)
        answered(subscriber, about, push);
    else if (push->type == REDIS_ARRAY && push->count >= 3 && push->items[0].type == REDIS_STRING &&
             kind_is(push, "message"))
        message_came(subscriber, push);
}

struct redis_subscriber *redis_subscriber_open(struct loop *loop, const struct redis_server *server,
                                               const struct redis_subscriber_events *events,
                                               void *arg)
{
    struct redis_subscriber *subscriber = calloc(1, sizeof *subscriber);
    if (subscriber == NULL)
        return NULL;
    subscriber->events = *events;
    subscriber->arg = arg;
    subscriber->end = loop_timer_new(loop, destroy, subscriber);
    subscriber->retry = loop_timer_new(loop, retry_due, subscriber);
    if (subscriber->end != NULL && subscriber->retry != NULL)
        subscriber->redis = redis_open_push(loop, server, pushed, state_changed, subscriber);
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
    loop_timer_stop(subscriber->retry);
    redis_close(subscriber->redis);
    loop_timer_start(subscriber->end, 0, 0);
}

void redis_subscriber_renew(struct redis_subscriber *subscriber, const char *reason)
{
    if (!subscriber->closed)
        redis_renew(subscriber->redis, reason);
}

int redis_subscribe(struct redis_subscriber *subscriber, const char *channel_name)
{
    size_t len = strlen(channel_name);
    struct channel *channel = channel_find(subscriber, channel_name, len);
    if (channel != NULL && channel->state != CHANNEL_UNWANTED)
        return 0;
    bool added = channel == NULL;
    if (added) {
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
        channel->state = CHANNEL_WANTED;
    else if (added)
        channel_remove(subscriber, channel);
    return code;
}

void redis_unsubscribe(struct redis_subscriber *subscriber, const char *channel_name)
{
    struct channel *channel = channel_find(subscriber, channel_name, strlen(channel_name));
    if (channel == NULL || channel->state == CHANNEL_UNWANTED)
        return;
    if (redis_is_up(subscriber->redis) && unsubscribe_now(subscriber, channel) < 0)
        log_warning("channel not unsubscribed: buffer full");
    channel->state = CHANNEL_UNWANTED;
    if (channel->answers_due == 0)
        channel_remove(subscriber, channel);
}
