#include "tests/bench/strategies/strategy.h"

#include <hiredis/hiredis.h>
#include <libpq-fe.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/attrs.h"
#include "tests/bench/client.h"

/* ------------------------------------------------------------------ the database */

static const struct {
    const char *name;
    const char *text;
} statements[] = {
    {"begin", "begin"},
    {"commit", "commit"},
    {"rollback", "rollback"},
    {"look", "select quantity from rival.items where item = $1"},
    {"lock", "select quantity from rival.items where item = $1 for update"},
    {"write", "update rival.items set quantity = $2 where item = $1"},
    {"change", "update rival.items set quantity = quantity + $2 where item = $1"},
    {"known", "select status from rival.orders where order_id = $1"},
    {"order", "insert into rival.orders (order_id, item, status) values ($1, $2, 'sold') "
              "on conflict (order_id) do update set status = 'sold'"},
    {"reserve", "insert into rival.orders (order_id, item, status) values ($1, $2, 'reserved') "
                "on conflict (order_id) do nothing"},
    {"settle", "update rival.orders set status = 'sold' where order_id = $1"},
    {"cancel", "update rival.orders set status = 'declined' where order_id = $1"},
    {"take", "select unit from rival.units where item = $1 and state = 'free' "
             "order by unit limit 1 for update skip locked"},
    {"hold", "update rival.units set state = 'held', order_id = $3 where item = $1 and unit = $2"},
    {"held", "select unit from rival.units where item = $1 and order_id = $2"},
    {"claim", "update rival.units set state = 'sold' where item = $1 and order_id = $2"},
    {"free", "update rival.units set state = 'free', order_id = null "
             "where item = $1 and order_id = $2"},
};

struct pg_conn *shop_connect(const char *url)
{
    PGconn *database = PQconnectdb(url);
    if (PQstatus(database) != CONNECTION_OK)
        client_die("%s", PQerrorMessage(database));
    for (size_t i = 0; i < ARRAY_LEN(statements); i++) {
        PGresult *result = PQprepare(database, statements[i].name, statements[i].text, 0, NULL);
        if (PQresultStatus(result) != PGRES_COMMAND_OK)
            client_die("%s: %s", statements[i].name, PQerrorMessage(database));
        PQclear(result);
    }
    return database;
}

void shop_disconnect(struct pg_conn *database)
{
    PQfinish(database);
}

/* Executes a statement with up to three numbers; the first number of its first row, or -1. A text
 * counts as 0. */
static int run(struct worker *worker, const char *name, int count, int a, int b, int c)
{
    char text[3][12];
    const char *values[3] = {text[0], text[1], text[2]};
    (void)snprintf(text[0], sizeof text[0], "%d", a);
    (void)snprintf(text[1], sizeof text[1], "%d", b);
    (void)snprintf(text[2], sizeof text[2], "%d", c);
    PGresult *result = PQexecPrepared(worker->database, name, count, values, NULL, NULL, 0);
    if (PQresultStatus(result) != PGRES_COMMAND_OK && PQresultStatus(result) != PGRES_TUPLES_OK)
        client_die("%s: %s", name, PQerrorMessage(worker->database));
    int value = -1;
    if (PQntuples(result) > 0)
        value = (int)strtol(PQgetvalue(result, 0, 0), NULL, 10);
    PQclear(result);
    return value;
}

#define RUN0(worker, name) (void)run(worker, name, 0, 0, 0, 0)
#define RUN1(worker, name, a) run(worker, name, 1, a, 0, 0)
#define RUN2(worker, name, a, b) run(worker, name, 2, a, b, 0)
#define RUN3(worker, name, a, b, c) run(worker, name, 3, a, b, c)

/* ------------------------------------------------------------------ the disease */

/* Check, then act: what stands between reading 1 and writing 0 is somebody else's purchase. */
static enum answer sell_race(struct worker *worker, const struct buyer *buyer)
{
    int item = (int)buyer->item;
    int order = (int)buyer->number;
    int quantity = RUN1(worker, "look", item);
    if (quantity <= 0)
        return ANSWER_SOLD_OUT;
    if (!gateway_charge(worker->gateway, buyer->number))
        return ANSWER_DECLINED;
    (void)RUN2(worker, "write", item, quantity - 1);
    (void)RUN2(worker, "order", order, item);
    return ANSWER_SOLD;
}

/* ------------------------------------------------------------------ 1: a database lock */

/* The payment stands inside the transaction: what fails is rolled back as a whole. */
static enum answer sell_row_lock(struct worker *worker, const struct buyer *buyer)
{
    int item = (int)buyer->item;
    int order = (int)buyer->number;
    RUN0(worker, "begin");
    int quantity = RUN1(worker, "lock", item);
    if (RUN1(worker, "known", order) >= 0) { /* a second click */
        RUN0(worker, "rollback");
        return ANSWER_SOLD;
    }
    bool sold = quantity > 0;
    bool paid = sold && gateway_charge(worker->gateway, buyer->number);
    if (!paid) {
        RUN0(worker, "rollback");
        return sold ? ANSWER_DECLINED : ANSWER_SOLD_OUT;
    }
    (void)RUN2(worker, "write", item, quantity - 1);
    (void)RUN2(worker, "order", order, item);
    RUN0(worker, "commit");
    return ANSWER_SOLD;
}

/* Pays for what is reserved, and records how that ended. */
static enum answer pay_reserved(struct worker *worker, const struct buyer *buyer)
{
    if (gateway_charge(worker->gateway, buyer->number)) {
        (void)RUN1(worker, "settle", (int)buyer->number);
        return ANSWER_SOLD;
    }
    RUN0(worker, "begin");
    (void)RUN1(worker, "cancel", (int)buyer->number);
    (void)RUN2(worker, "change", (int)buyer->item, 1);
    RUN0(worker, "commit");
    return ANSWER_DECLINED;
}

/* Reserves in one short transaction, pays without a lock, records the outcome in another one. */
static enum answer sell_row_lock_short(struct worker *worker, const struct buyer *buyer)
{
    int item = (int)buyer->item;
    int order = (int)buyer->number;
    RUN0(worker, "begin");
    int quantity = RUN1(worker, "lock", item);
    bool mine = RUN1(worker, "known", order) >= 0; /* a second click */
    if (!mine && quantity > 0) {
        (void)RUN2(worker, "reserve", order, item);
        (void)RUN2(worker, "change", item, -1);
    }
    RUN0(worker, "commit");
    return mine || quantity > 0 ? pay_reserved(worker, buyer) : ANSWER_SOLD_OUT;
}

/* ------------------------------------------------------------------ 1b: a row for each unit */

/* One row for each unit; nobody waits for a row that another buyer has locked. */
static enum answer sell_skip_locked(struct worker *worker, const struct buyer *buyer)
{
    int item = (int)buyer->item;
    int order = (int)buyer->number;
    RUN0(worker, "begin");
    int unit = RUN2(worker, "held", item, order); /* a second click */
    if (unit < 0) {
        unit = RUN1(worker, "take", item);
        if (unit >= 0)
            (void)RUN3(worker, "hold", item, unit, order);
    }
    RUN0(worker, "commit");
    if (unit < 0)
        return ANSWER_SOLD_OUT;
    bool paid = gateway_charge(worker->gateway, buyer->number);
    RUN0(worker, "begin");
    (void)RUN2(worker, paid ? "claim" : "free", item, order);
    if (paid)
        (void)RUN2(worker, "order", order, item);
    RUN0(worker, "commit");
    return paid ? ANSWER_SOLD : ANSWER_DECLINED;
}

/* ------------------------------------------------------------------ 3: a lock in Redis */

static bool redis_lock(struct worker *worker, const struct buyer *buyer)
{
    redisReply *reply = redisCommand(worker->redis, "SET lock:%u %u NX PX %u", buyer->item,
                                     buyer->number, worker->lock_ms);
    if (reply == NULL)
        client_die("Redis: %s", worker->redis->errstr);
    if (reply->type == REDIS_REPLY_ERROR)
        client_die("Redis: %s", reply->str);
    bool locked = reply->type == REDIS_REPLY_STATUS;
    freeReplyObject(reply);
    return locked;
}

/* Only its own lock: one that has outlived its time belongs to somebody else. */
static void redis_unlock(struct worker *worker, const struct buyer *buyer)
{
    freeReplyObject(redisCommand(worker->redis, "EVAL %s 1 lock:%u %u",
                                 "if redis.call('get', KEYS[1]) == ARGV[1] then "
                                 "return redis.call('del', KEYS[1]) end return 0",
                                 buyer->item, buyer->number));
}

/* The lock stands around check, payment and update. */
static enum answer sell_redis_lock(struct worker *worker, const struct buyer *buyer)
{
    if (!redis_lock(worker, buyer))
        return ANSWER_BUSY;
    enum answer answer = ANSWER_SOLD; /* a second click */
    if (RUN1(worker, "known", (int)buyer->number) < 0)
        answer = sell_race(worker, buyer);
    redis_unlock(worker, buyer);
    return answer;
}

static const struct strategy strategies[] = {
    {"race", false, sell_race},
    {"row-lock", false, sell_row_lock},
    {"row-lock-short", false, sell_row_lock_short},
    {"skip-locked", false, sell_skip_locked},
    {"redis-lock", true, sell_redis_lock},
};

const struct strategy *strategy_find(const char *name)
{
    for (size_t i = 0; i < ARRAY_LEN(strategies); i++)
        if (strcmp(strategies[i].name, name) == 0)
            return &strategies[i];
    return NULL;
}
