/*
 * Ways to sell a limited item, each as small and as well made as it deserves. A worker is one
 * thread of a shop's backend: one database connection, one Redis connection, one connection to the
 * gateway. It serves one buyer at a time, from the click to the answer.
 */
#ifndef TESTS_BENCH_STRATEGIES_STRATEGY_H
#define TESTS_BENCH_STRATEGIES_STRATEGY_H

#include <stdbool.h>
#include <stdint.h>

#include "tests/bench/strategies/gateway.h"

struct pg_conn;
struct redisContext;

enum answer {
    ANSWER_SOLD,
    ANSWER_SOLD_OUT,
    ANSWER_DECLINED,
    ANSWER_BUSY, /* "currently in another cart, try again": not final, the buyer clicks again */
};

struct buyer {
    uint32_t number; /* its order, and its idempotency key at the gateway */
    uint32_t item;
};

struct worker {
    struct pg_conn *database;
    struct redisContext *redis; /* NULL where the strategy needs none */
    struct gateway *gateway;
    unsigned lock_ms; /* how long a Redis lock lives */
};

struct strategy {
    const char *name;
    bool needs_redis;
    enum answer (*sell)(struct worker *worker, const struct buyer *buyer);
};

/* NULL: there is none of that name. */
const struct strategy *strategy_find(const char *name);

/* Connected and with its statements prepared; ends the process on any failure. */
struct pg_conn *shop_connect(const char *url);
void shop_disconnect(struct pg_conn *database);

#endif
