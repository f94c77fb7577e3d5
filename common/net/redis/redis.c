#include "common/net/redis/redis_impl.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "common/base/err.h"
#include "common/base/log.h"

#define BACKOFF_FIRST_MS 50
#define BACKOFF_MAX_MS 2000

/* ---- sending ---- */

int redis_enqueue(struct redis *redis, size_t argc, const char *const *argv, const size_t *argv_len,
                  redis_reply_cb cb, void *arg)
{
    int code = redis_due_push(&redis->due, cb, arg);
    if (code < 0)
        return code;
    code = redis_wire_append(redis->wire, argc, argv, argv_len);
    if (code < 0)
        redis_due_unpush(&redis->due);
    else
        loop_watch_set(redis->watch, LOOP_READ | LOOP_WRITE);
    return code;
}

static void flush(struct redis *redis)
{
    int code = redis_wire_flush(redis->wire);
    if (code < 0)
        redis_fail(redis, "connection lost", redis_wire_problem(redis->wire));
    else if (code == 0)
        loop_watch_set(redis->watch, LOOP_READ);
}

/* ---- replies ---- */

static bool text_is(const struct redis_reply *reply, const char *text)
{
    return reply->type == REDIS_STRING && reply->len == strlen(text) &&
           strncasecmp(reply->str, text, reply->len) == 0;
}

static bool refuses_writes(const struct redis_reply *reply)
{
    static const char mark[] = "READONLY";
    return reply->type == REDIS_ERROR && reply->len >= sizeof mark - 1 &&
           memcmp(reply->str, mark, sizeof mark - 1) == 0;
}

/* A published message answers nothing that was sent; all else does, in order. */
static bool is_message(const struct redis *redis, const struct redis_reply *reply)
{
    return redis->push != NULL && reply->count > 0 && text_is(&reply->items[0], "message");
}

static void deliver(const struct redis_reply *reply, void *arg)
{
    struct redis *redis = arg;
    uint64_t session = redis->session;
    struct redis_due_entry entry;
    if (is_message(redis, reply)) {
        redis->push(reply, NULL, redis->arg);
        return;
    }
    if (!redis_due_pop(&redis->due, &entry)) {
        redis_fail(redis, "Redis sent a reply that nothing asked for", "");
        return;
    }
    if (entry.cb != NULL)
        entry.cb(reply, entry.arg);
    else if (redis->push != NULL)
        redis->push(reply, entry.arg, redis->arg);
    if (redis->session == session && refuses_writes(reply))
        redis_fail(redis, "this Redis takes no writes", "it is a replica");
}

/* Takes what has arrived. Any callback may end the connection, or close the whole. */
static void read_replies(struct redis *redis)
{
    if (redis_wire_read(redis->wire) < 0) {
        redis_fail(redis, "connection lost", redis_wire_problem(redis->wire));
        return;
    }
    uint64_t session = redis->session;
    int code = 1;
    while (code > 0 && redis->session == session)
        code = redis_wire_next(redis->wire, deliver, redis);
    if (redis->session != session || code == 0)
        return;
    if (code == ERR_PARSE)
        redis_fail(redis, "Redis sent what is no reply", redis_wire_problem(redis->wire));
    else
        redis_fail(redis, "out of memory", "");
}

void redis_socket_ready(int events, void *arg)
{
    struct redis *redis = arg;
    uint64_t session = redis->session;
    if ((events & LOOP_READ) != 0)
        read_replies(redis);
    if (redis->session == session && (events & LOOP_WRITE) != 0)
        flush(redis);
}

/* ---- the public calls ---- */

static struct redis *open_any(struct loop *loop, const char *url, redis_push_cb push,
                              redis_state_cb state, void *arg)
{
    struct redis *redis = calloc(1, sizeof *redis);
    const char *problem = NULL;
    if (redis == NULL)
        return NULL;
    if (redis_url_parse(url, &redis->url, &problem) < 0) {
        log_error("wrong Redis URL", LOG_STR("problem", problem));
        free(redis);
        return NULL;
    }
    redis->loop = loop;
    redis->push = push;
    redis->state = state;
    redis->arg = arg;
    redis->retry = loop_timer_new(loop, redis_retry_due, redis);
    redis->tick = loop_timer_new(loop, redis_tick, redis);
    uint64_t seed = clock_mono_us() ^ ((uint64_t)getpid() << 40);
    backoff_init(&redis->backoff, BACKOFF_FIRST_MS, BACKOFF_MAX_MS, seed);
    host_walk_init(&redis->walk, 1, seed);
    if (redis->retry == NULL || redis->tick == NULL) {
        redis_free(redis);
        return NULL;
    }
    loop_timer_start(redis->retry, 0, 0); /* not from here: the caller does not hold `redis` yet */
    return redis;
}

struct redis *redis_open(struct loop *loop, const char *url, size_t pending_max,
                         redis_state_cb state, void *arg)
{
    struct redis *redis = open_any(loop, url, NULL, state, arg);
    if (redis != NULL)
        redis->pending_max = pending_max;
    return redis;
}

struct redis *redis_open_push(struct loop *loop, const char *url, redis_push_cb push,
                              redis_state_cb state, void *arg)
{
    return open_any(loop, url, push, state, arg);
}

void redis_close(struct redis *redis)
{
    if (redis != NULL && redis->phase != REDIS_PHASE_CLOSED)
        redis_end(redis);
}

int redis_fault(const struct redis *redis)
{
    return redis->phase == REDIS_PHASE_UP ? 0 : redis->fault;
}

bool redis_is_up(const struct redis *redis)
{
    return redis->phase == REDIS_PHASE_UP;
}

int redis_command(struct redis *redis, size_t argc, const char *const *argv, const size_t *argv_len,
                  redis_reply_cb cb, void *arg)
{
    if (redis->phase != REDIS_PHASE_UP)
        return ERR_UNAVAILABLE;
    if (redis->due.count >= redis->pending_max)
        return ERR_FULL;
    return redis_enqueue(redis, argc, argv, argv_len, cb, arg);
}

int redis_send(struct redis *redis, size_t argc, const char *const *argv, const size_t *argv_len,
               void *about)
{
    if (redis->phase != REDIS_PHASE_UP)
        return ERR_UNAVAILABLE;
    return redis_enqueue(redis, argc, argv, argv_len, NULL, about);
}
