#include "common/net/redis/redis_impl.h"

#include <stdlib.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "common/base/err.h"
#include "common/base/log.h"

#define BACKOFF_FIRST_MS 50
#define BACKOFF_MAX_MS 2000

static struct redis *open_any(struct loop *loop, const struct redis_server *server,
                              redis_push_cb push, redis_state_cb state, void *arg)
{
    struct redis *redis = calloc(1, sizeof *redis);
    const char *problem = NULL;
    if (redis == NULL)
        return NULL;
    if (redis_url_parse(server->url, &redis->url, &problem) < 0) {
        log_error("wrong Redis URL", LOG_STR("problem", problem));
        free(redis);
        return NULL;
    }
    redis->loop = loop;
    redis->files = server->tls;
    redis->push = push;
    redis->state = state;
    redis->arg = arg;
    redis->soon = loop_deferred_new(loop, redis_flush, redis);
    redis->retry = loop_timer_new(loop, redis_retry_due, redis);
    redis->tick = loop_timer_new(loop, redis_tick, redis);
    uint64_t seed = clock_mono_us() ^ ((uint64_t)getpid() << 40);
    backoff_init(&redis->backoff, BACKOFF_FIRST_MS, BACKOFF_MAX_MS, seed);
    host_walk_init(&redis->walk, 1, seed);
    if (redis->soon == NULL || redis->retry == NULL || redis->tick == NULL) {
        redis_free(redis);
        return NULL;
    }
    loop_timer_start(redis->retry, 0,
                     0); /* in the next turn: the caller does not hold `redis` yet */
    return redis;
}

struct redis *redis_open(struct loop *loop, const struct redis_server *server, size_t pending_max,
                         redis_state_cb state, void *arg)
{
    struct redis *redis = open_any(loop, server, NULL, state, arg);
    if (redis != NULL)
        redis->pending_max = pending_max;
    return redis;
}

struct redis *redis_open_push(struct loop *loop, const struct redis_server *server,
                              redis_push_cb push, redis_state_cb state, void *arg)
{
    return open_any(loop, server, push, state, arg);
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

void redis_hurry(struct redis *redis)
{
    int code = redis->phase == REDIS_PHASE_UP ? redis_wire_flush(redis->wire) : 0;
    (void)code; /* redis_flush, which is due, sends the rest, or fails like this */
}

int redis_send(struct redis *redis, size_t argc, const char *const *argv, const size_t *argv_len,
               void *about)
{
    if (redis->phase != REDIS_PHASE_UP)
        return ERR_UNAVAILABLE;
    return redis_enqueue(redis, argc, argv, argv_len, NULL, about);
}

void redis_renew(struct redis *redis, const char *reason)
{
    if (redis->phase == REDIS_PHASE_UP)
        redis_fail(redis, reason, "");
}
