/* checkout-consumer: decides and charges orders. Here its parts are made and tied together. */
#include <malloc.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/err.h"
#include "common/base/log.h"
#include "common/net/redis/redis.h"
#include "common/service/daemon.h"
#include "common/service/process.h"
#include "common/service/servers.h"
#include "common/service/stop.h"
#include "common/shop/database_version.h"
#include "common/shop/ids.h"
#include "common/shop/topology.h"
#include "consumer/gateway/pay_open.h"
#include "consumer/gateway/traced_pay.h"
#include "consumer/milestones/milestones.h"
#include "consumer/money/runner.h"
#include "consumer/pool/pool.h"
#include "consumer/relay/lines.h"
#include "consumer/shard/admission_keys.h"
#include "consumer/shard/dead_replay.h"
#include "consumer/shard/lost_jobs.h"
#include "consumer/shards_wait.h"

#define SESSIONS_MAX 16
#define SHARED_CHANNELS 2 /* beside those of the shards: questions about the topology */
/*
 * Our own bounds for answers, since no timeout of a server that hangs counts, and none of
 * PostgreSQL's covers a commit that waits for a replica. The server's timeout comes first: a
 * statement that waits for a lock of such a commit ends there, so no more than one hangs for each
 * shard, however often its work is repeated.
 */
#define HEARTBEAT_ANSWER_MS 5000
#define WRITE_ANSWER_MS (ORDERS_DB_PATIENT_MS + SPARE_MS)
#define SWEEP_ANSWER_MS 31000
#define SPARE_MS 1000
#define IDLE_IN_TRANSACTION_MS 2000
#define TCP_TIMEOUT_MS 10000
#define DATABASE_PENDING_MAX 4096
#define REDIS_PENDING_MAX 65536
#define LARGE (32 * 1024) /* bytes from which malloc maps and unmaps a block by itself */
#define EXIT_SETTING 2

struct session {
    struct consumer *consumer;
    struct pg *pg;
};

struct consumer {
    struct daemon daemon;
    struct stats stats;
    struct shard_context context;
    struct shards_wait shards_wait;
    struct pool *pool; /* NULL: it waits for the number of shards */
    struct pay *pay;
    struct redis *redis;
    struct lines *lines;
    struct pg_cluster *cluster;
    struct pg *heartbeat;
    struct pg *control; /* sweeps and notifications */
    struct pg *outbox;  /* the relay's session */
    struct lost_jobs *lost_jobs;
    struct dead_replay *replay;
    struct milestones *milestones;
    struct session sessions[SESSIONS_MAX];
    struct pg *writers[SESSIONS_MAX];
    size_t session_count;
    bool unsuited_logged; /* that the database's version does not suit */
    bool again;           /* the process begins anew */
    int exit_code;
};

/* ---- what the servers tell ---- */

static void topology_checked(int code, const char *problem, void *arg)
{
    (void)arg;
    if (code < 0)
        log_error("broker's topology is not complete", LOG_STR("problem", problem));
}

static void broker_changed(enum broker_state state, const char *reason, void *arg)
{
    struct consumer *c = arg;
    metric_set(c->stats.broker_up, state != BROKER_DOWN);
    if (state == BROKER_DOWN) {
        log_warning("RabbitMQ is not connected", LOG_STR("reason", reason));
        return;
    }
    if (state == BROKER_BLOCKED)
        return; /* it stops only publishers */
    log_info("RabbitMQ is connected", LOG_STR("node", broker_node(c->context.broker)),
             LOG_STR("version", broker_server_version(c->context.broker)));
    if (broker_channels(c->context.broker) < c->context.shards + SHARED_CHANNELS)
        log_error("RabbitMQ allows too few channels for all shards; raise its channel_max",
                  LOG_INT("channel_max", broker_channels(c->context.broker)),
                  LOG_INT("needed", c->context.shards + SHARED_CHANNELS));
    if (topology_check(c->context.broker, c->context.shards, topology_checked, c) < 0)
        log_warning("broker's topology not checked");
    pool_broker_up(c->pool);
}

/* A database whose version does not suit is logged once, not of every session; one that is compared
 * with the milestones is not. */
static bool logged_before(struct consumer *c, const struct pg *pg, bool up)
{
    if (!up && pg_fault(pg) == PG_SOON)
        return true;
    bool unsuited = !up && pg_fault(pg) == ERR_CONFLICT;
    bool logged = unsuited && c->unsuited_logged;
    if (up || unsuited)
        c->unsuited_logged = unsuited;
    return logged;
}

static void heartbeat_changed(bool up, const char *reason, void *arg)
{
    struct consumer *c = arg;
    bool logged = logged_before(c, c->heartbeat, up);
    metric_set(c->stats.database_up, up);
    if (up) {
        log_info("PostgreSQL is connected");
        milestones_session_up(c->milestones);
        pool_heartbeat_up(c->pool);
        return;
    }
    milestones_session_lost(c->milestones);
    if (!logged)
        log_warning("PostgreSQL is not connected", LOG_STR("reason", reason));
}

/* Also reports that a session other than the heartbeat's cannot connect: PostgreSQL may refuse only
 * one. */
static void tell_session(struct consumer *c, const struct pg *pg, const char *name, bool up,
                         const char *reason)
{
    if (!logged_before(c, pg, up) && !up)
        log_warning("PostgreSQL session is not connected", LOG_STR("session", name),
                    LOG_STR("reason", reason));
}

static void control_changed(bool up, const char *reason, void *arg)
{
    struct consumer *c = arg;
    tell_session(c, c->control, "control", up, reason);
    if (up)
        pool_control_up(c->pool);
}

static void session_changed(bool up, const char *reason, void *arg)
{
    struct session *session = arg;
    tell_session(session->consumer, session->pg, "writer", up, reason);
    if (up)
        pool_session_up(session->consumer->pool, session->pg);
    else
        pool_session_lost(session->consumer->pool, session->pg);
}

static void outbox_changed(bool up, const char *reason, void *arg)
{
    struct consumer *c = arg;
    tell_session(c, c->outbox, "outbox", up, reason);
    if (up)
        relay_kick_all(c->context.relay);
}

static void redis_changed(bool up, const char *reason, void *arg)
{
    struct consumer *c = arg;
    metric_set(c->stats.redis_up, up);
    if (up) {
        log_info("Redis is connected");
        relay_kick_all(c->context.relay);
    } else {
        log_warning("Redis is not connected; events wait in their table",
                    LOG_STR("reason", reason));
    }
}

static void came_of_payment(const struct outcome *outcome, void *arg)
{
    struct consumer *c = arg;
    shard_routing_outcome(pool_routing(c->pool, outcome->shard), outcome);
}

static void payments_stopped(const char *why, void *arg)
{
    struct consumer *c = arg;
    for (uint32_t i = 0; i < c->context.shards; i++)
        shard_routing_stop_payments(pool_routing(c->pool, i), why);
}

/* What it was doing is found again in the tables and the queues, as after a crash. */
static void wrong_shards(int64_t serving, void *arg)
{
    struct consumer *c = arg;
    if (c->again || c->exit_code == EXIT_SETTING || stop_begun(c->daemon.stop))
        return;
    c->again = shards_wait_again(c->daemon.cfg, c->context.shards, serving);
    if (c->again) {
        loop_stop(c->daemon.loop);
        return;
    }
    c->exit_code = EXIT_SETTING;
    pool_leave(c->pool);
}

/* ---- life ---- */

static bool ready(void *arg, struct buf *ret_why)
{
    struct consumer *c = arg;
    bool fine = true;
    if (c->pool == NULL) {
        (void)buf_printf(ret_why, "it is starting: %s\n", shards_wait_why(&c->shards_wait));
        return false;
    }
    const char *stopped = runner_stopped(c->context.money.runner);
    if (stopped != NULL) {
        (void)buf_printf(ret_why, "payments are stopped: %s\n", stopped);
        fine = strncmp(stopped, "failing", strlen("failing")) == 0; /* else an operator must act */
    }
    if (pool_ready(c->pool, ret_why))
        return fine;
    milestones_say(c->milestones, ret_why);
    return false;
}

static void left(void *arg)
{
    struct consumer *c = arg;
    log_info("left the pool");
    loop_stop(c->daemon.loop);
}

static void drain(void *arg)
{
    struct consumer *c = arg;
    if (c->pool == NULL) {
        loop_stop(c->daemon.loop); /* of shards_wait_run */
        return;
    }
    log_info("leaving: finishing open work");
    pool_leave(c->pool);
}

static struct pg *open_session(struct consumer *c, const char *name, uint32_t answer_ms,
                               pg_state_cb changed, void *arg)
{
    struct pg_options options = {.url = cfg_str(c->daemon.cfg, CFG_DATABASE_URL),
                                 .cluster = c->cluster,
                                 .application_name = name,
                                 .greeting = &database_version_greeting,
                                 .statement_timeout_ms = answer_ms - SPARE_MS,
                                 .answer_timeout_ms = answer_ms,
                                 .idle_in_transaction_timeout_ms = IDLE_IN_TRANSACTION_MS,
                                 .tcp_user_timeout_ms = TCP_TIMEOUT_MS,
                                 .pending_max = DATABASE_PENDING_MAX};
    return pg_open(c->daemon.loop, &options, changed, arg);
}

static bool open_sessions(struct consumer *c)
{
    c->session_count = (size_t)cfg_int(c->daemon.cfg, CFG_DATABASE_SESSIONS);
    c->cluster = pg_cluster_new(c->daemon.loop, cfg_str(c->daemon.cfg, CFG_DATABASE_URL),
                                "checkout-consumer check");
    if (c->cluster == NULL)
        return false;
    c->heartbeat =
        open_session(c, "checkout-consumer heartbeat", HEARTBEAT_ANSWER_MS, heartbeat_changed, c);
    c->control = open_session(c, "checkout-consumer control", SWEEP_ANSWER_MS, control_changed, c);
    c->outbox = open_session(c, "checkout-consumer outbox", WRITE_ANSWER_MS, outbox_changed, c);
    bool complete = c->heartbeat != NULL && c->control != NULL && c->outbox != NULL;
    for (size_t i = 0; complete && i < c->session_count; i++) {
        c->sessions[i].consumer = c;
        c->sessions[i].pg = open_session(c, "checkout-consumer orders", WRITE_ANSWER_MS,
                                         session_changed, &c->sessions[i]);
        c->writers[i] = c->sessions[i].pg;
        complete = c->writers[i] != NULL;
    }
    return complete;
}

static bool open_broker(struct consumer *c)
{
    struct broker_options options = servers_broker(c->daemon.cfg, "checkout-consumer");
    c->context.broker = broker_open(c->daemon.loop, &options, broker_changed, c);
    options.name = "checkout-consumer dead letters";
    c->context.dead = deadletter_open(c->daemon.loop, &options, &c->stats);
    if (c->context.broker == NULL || c->context.dead == NULL)
        return false;
    const struct lost_jobs_options lost = {.loop = c->daemon.loop,
                                           .broker = deadletter_broker(c->context.dead),
                                           .session = c->control,
                                           .ids = c->context.ids,
                                           .stats = &c->stats,
                                           .shards = c->context.shards};
    c->lost_jobs = lost_jobs_new(&lost);
    c->replay = dead_replay_new(&(struct dead_replay_options){.loop = c->daemon.loop,
                                                              .broker = lost.broker,
                                                              .session = c->control,
                                                              .ids = c->context.ids,
                                                              .shards = c->context.shards});
    return c->lost_jobs != NULL && c->replay != NULL;
}

static bool open_gateway(struct consumer *c)
{
    const struct cfg *cfg = c->daemon.cfg;
    c->pay = traced_pay_new(pay_open(c->daemon.loop, cfg), c->daemon.spans);
    if (c->pay == NULL)
        return false;
    const struct runner_options runner = {
        .loop = c->daemon.loop,
        .pay = c->pay,
        .stats = &c->stats,
        .inflight_first = (unsigned)cfg_int(cfg, CFG_GATEWAY_INFLIGHT_FIRST),
        .inflight_max = (unsigned)cfg_int(cfg, CFG_GATEWAY_INFLIGHT),
        .limit_ms = (uint32_t)cfg_int(cfg, CFG_GATEWAY_LIMIT),
        .action_wait_ms = (uint32_t)cfg_int(cfg, CFG_ACTION_WAIT),
        .key_age_ms = (uint64_t)cfg_int(cfg, CFG_GATEWAY_KEY_AGE),
        .outcome = came_of_payment,
        .stopped = payments_stopped,
        .arg = c};
    c->context.money.runner = runner_new(&runner);
    return c->context.money.runner != NULL;
}

/* The order matters: callbacks come only from the loop, when all parts exist. */
static bool open_all(struct consumer *c)
{
    const struct cfg *cfg = c->daemon.cfg;
    struct loop *loop = c->daemon.loop;
    size_t secret_len;
    const char *secret = cfg_secret(cfg, CFG_ORDER_SECRET_FILE, &secret_len);
    c->context.loop = loop;
    c->context.stats = &c->stats;
    if (stats_init(&c->stats, c->daemon.metrics, c->context.shards) < 0)
        return false;
    c->stats.spans = c->daemon.spans;
    c->context.wait_ms = cfg_int(cfg, CFG_WAIT_MAX);
    c->context.ids = ids_new(secret, secret_len);
    if (c->context.ids == NULL || !open_sessions(c) || !open_broker(c) || !open_gateway(c))
        return false;
    const struct redis_server redis = servers_redis(cfg);
    c->redis = redis_open(loop, &redis, REDIS_PENDING_MAX, redis_changed, c);
    if (c->redis == NULL)
        return false;
    c->context.admission_keys =
        admission_keys_new(loop, c->context.shards, c->outbox, c->redis, c->stats.foreign_states);
    if (c->context.admission_keys == NULL)
        return false;
    c->context.relay = relay_new(loop, c->context.shards, c->outbox, c->redis,
                                 c->context.admission_keys, &c->stats);
    c->lines = lines_new(loop, c->context.shards, c->outbox, c->redis, &c->stats);
    if (c->context.relay == NULL || c->lines == NULL)
        return false;
    relay_tells_lines(c->context.relay, c->lines);
    c->milestones = milestones_new(
        &(struct milestones_options){.loop = loop,
                                     .broker = deadletter_broker(c->context.dead),
                                     .reading = servers_broker(cfg, "checkout-consumer milestones"),
                                     .session = c->heartbeat,
                                     .name = cfg_str(cfg, CFG_NAME),
                                     .relay = c->context.relay,
                                     .stats = &c->stats,
                                     .shards = c->context.shards});
    if (c->milestones == NULL)
        return false;
    if (cfg_int(cfg, CFG_OPEN_ORDERS_PER_USER) > 0)
        relay_ends_open_orders(c->context.relay);
    struct pool_options options = {.name = cfg_str(cfg, CFG_NAME),
                                   .shards = (uint32_t)cfg_int(cfg, CFG_SHARDS),
                                   .heartbeat = c->heartbeat,
                                   .control = c->control,
                                   .outbox = c->outbox,
                                   .sessions = c->writers,
                                   .session_count = c->session_count,
                                   .wrong_shards = wrong_shards,
                                   .left = left,
                                   .arg = c};
    c->pool = pool_new(&c->context, &options);
    milestones_follow(c->milestones, c->pool, &options);
    return c->pool != NULL;
}

/* Frees first the sources of callbacks, then what the callbacks use: ended calls settle through the
 * sessions, whose lost answers close channels. */
static void close_all(struct consumer *c)
{
    lost_jobs_stop(c->lost_jobs);
    dead_replay_stop(c->replay);
    milestones_stop(c->milestones);
    deadletter_close(c->context.dead);
    runner_stop(c->context.money.runner);
    pay_free(c->pay);
    for (size_t i = 0; i < c->session_count; i++)
        pg_close(c->writers[i]);
    pg_close(c->outbox);
    pg_close(c->control);
    pg_close(c->heartbeat);
    lost_jobs_free(c->lost_jobs);
    dead_replay_free(c->replay);
    milestones_free(c->milestones);
    pg_cluster_free(c->cluster);
    broker_close(c->context.broker);
    redis_close(c->redis);
    pool_free(c->pool);
    relay_free(c->context.relay);
    lines_free(c->lines);
    admission_keys_free(c->context.admission_keys);
    runner_free(c->context.money.runner);
    ids_free(c->context.ids);
    stats_free(&c->stats);
}

int main(int argc, char **argv)
{
    /* Bodies of messages are large and short-lived. Outside the heap they leave no gaps between
     * long-lived blocks. */
    (void)mallopt(M_MMAP_THRESHOLD, LARGE);
    static struct consumer consumer; /* zero */
    const struct daemon_program program = {
        .name = "checkout-consumer",
        .summary = "Decides orders in their order of arrival, charges, and publishes outcomes.",
        .cfg_program = CFG_CONSUMER,
        .servers = {&contact_broker, &contact_pg, &contact_redis, &contact_gateway},
        .ready = ready,
        .drain = drain,
        .arg = &consumer};
    if (!daemon_open(&program, argc, argv, &consumer.daemon, &consumer.exit_code))
        return process_end(consumer.exit_code);
    stop_notify_ready();
    consumer.context.shards =
        shards_wait_run(&consumer.shards_wait, consumer.daemon.loop, consumer.daemon.cfg);
    if (stop_begun(consumer.daemon.stop)) {
        log_info("left before it began");
    } else if (consumer.context.shards > 0 && open_all(&consumer)) {
        loop_run(consumer.daemon.loop);
    } else {
        log_error("cannot start: out of memory");
        consumer.exit_code = EXIT_FAILURE;
    }
    close_all(&consumer);
    daemon_close(&consumer.daemon);
    return consumer.again ? process_again(argv) : process_end(consumer.exit_code);
}
