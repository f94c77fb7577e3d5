/* What the files of a Redis connection share: its struct and its life (redis_session.c). */
#ifndef COMMON_NET_REDIS_REDIS_IMPL_H
#define COMMON_NET_REDIS_REDIS_IMPL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/backoff.h"
#include "common/net/hosts.h"
#include "common/net/redis/redis.h"
#include "common/net/redis/redis_due.h"
#include "common/net/redis/redis_push.h"
#include "common/net/redis/redis_url.h"
#include "common/net/redis/redis_wire.h"

#define REDIS_REASON_SIZE 192

enum redis_phase {
    REDIS_PHASE_IDLE,       /* waits for the next try */
    REDIS_PHASE_CONNECTING, /* a thread resolves and connects */
    REDIS_PHASE_LOGIN,
    REDIS_PHASE_UP,
    REDIS_PHASE_CLOSED, /* the next turn of the loop frees it: callers of callbacks still read it */
};

struct redis {
    struct loop *loop;
    struct redis_url url;
    struct tls_files files; /* for rediss:// */
    size_t pending_max;
    redis_push_cb push; /* NULL: replies answer commands */
    redis_state_cb state;
    void *arg;

    enum redis_phase phase;
    uint64_t
        session; /* counts connections: so a caller of callbacks notices that its own has ended */
    struct redis_wire *wire;
    struct loop_watch *watch;
    struct loop_deferred *soon; /* sends what this turn has queued */
    struct loop_timer *retry;   /* the next try; closed: the end */
    struct loop_timer *tick;    /* while connected: sends the pings */
    struct host_walk walk;
    struct backoff backoff;
    struct redis_dialling *dialling;
    uint64_t up_since_ms;
    unsigned login_due;    /* answers */
    unsigned silent_ticks; /* since the oldest command without an answer; 0: none */
    bool tells_role;       /* it knows HELLO */
    int fault;             /* the error of the last try to connect */

    uint64_t refusal_logged_ms; /* the newest line about refused commands; 0: none yet */
    uint64_t refusals;          /* since then */

    struct redis_due due;

    char reason[REDIS_REASON_SIZE]; /* why it is down, as last reported */
};

/* Ends this connection (or try), reports it to all that wait, and tries again later. */
void redis_fail(struct redis *redis, const char *what, const char *detail);
/* Ends all without a callback; the loop frees it. */
void redis_end(struct redis *redis);
/* Of the retry timer. */
void redis_retry_due(void *arg);
/* Of the tick. */
void redis_tick(void *arg);
/* Sends what is queued. */
void redis_flush(void *arg);
void redis_free(struct redis *redis);
/* Queues a command and the answer that it will get. */
MUST_CHECK int redis_enqueue(struct redis *redis, size_t argc, const char *const *argv,
                             const size_t *argv_len, redis_reply_cb cb, void *arg);

#endif
