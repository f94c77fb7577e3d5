#include "producer/publish/publisher.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/base/backoff.h"
#include "common/base/clock.h"
#include "common/base/err.h"
#include "common/base/log.h"
#include "common/net/amqp/broker.h"
#include "common/shop/shard.h"
#include "common/shop/shards_serving.h"
#include "common/shop/topology.h"
#include "common/testing/seeded_bug.h"
#include "producer/publish/node_patience.h"
#include "producer/publish/queue_depth.h"

#define JOBS_MAX 16384 /* jobs that wait for a confirm; at most 32 MiB */
#define TICK_MS 100
#define FULL_RETRY_MS 5 /* the socket's send buffer was full */
#define REOPEN_FIRST_MS 100
#define REOPEN_MAX_MS 2000
#define RENEW_FIRST_MS 1000 /* the channel, while the broker refuses messages */
#define RENEW_MAX_MS 30000
#define RENEW_FORGOTTEN_MS 60000
#define MOVE_FIRST_MS 10000 /* between connections that are ended because nothing is confirmed */
#define MOVE_MAX_MS 300000
#define FAILING_MS 10000
#define REASON_SIZE 256

struct publisher {
    struct loop *loop;
    struct broker *broker;
    struct broker_channel *channel;
    struct queue_depth *depth;
    bool open;                 /* the channel is ready */
    uint32_t shards;           /* 0: not known yet */
    char unknown[REASON_SIZE]; /* why not */
    struct stats *stats;
    struct batcher *batcher;
    struct loop_deferred *flush;
    struct loop_timer *full; /* until then nothing is sent: the socket was full */
    struct loop_timer *tick;
    struct loop_timer *reopen;
    struct backoff backoff;
    struct backoff renewals;
    struct backoff moves;
    uint64_t move_ms;          /* the connection is not ended again before this */
    uint64_t opening_ms;       /* when its opening began; 0: it is not being opened */
    uint64_t failing_since_ms; /* no order was confirmed since then, and some failed; 0: none did */
    uint64_t failed_ms;        /* the newest failure */
    struct node_patience patience;
    uint64_t renew_ms;  /* when to renew the channel; 0: not at all */
    uint64_t nacked_ms; /* the newest */
    char exchange[SHARD_NAME_SIZE];
    char reason[REASON_SIZE]; /* why it is not open */
};

static void count_waiting(struct publisher *p)
{
    metric_set(p->stats->inflight, batcher_inflight(p->batcher));
    metric_set(p->stats->overdue, batcher_overdue(p->batcher));
    metric_set(p->stats->waiting, (double)batcher_jobs(p->batcher));
}

static void set_open(struct publisher *p, bool open, const char *reason)
{
    p->open = open;
    metric_set(p->stats->broker_up, open && broker_state(p->broker) == BROKER_UP);
    (void)snprintf(p->reason, sizeof p->reason, "%s", reason == NULL ? "" : reason);
}

/* ---- sending ---- */

static int publish(struct publisher *p, const struct batch *batch, uint64_t *ret_sequence)
{
    char key[SHARD_NAME_SIZE];
    shard_routing_key(batch->shard, key);
    const struct broker_message message = {.exchange = p->exchange,
                                           .routing_key = key,
                                           .type = JOB_TYPE,
                                           .content_type = "application/json",
                                           .header_name = "x-job-count",
                                           .header_number = (int64_t)batch->count,
                                           .body = batch->body.data,
                                           .body_len = batch->body.len};
    return broker_publish(p->channel, &message, ret_sequence);
}

static void flush(void *arg)
{
    struct publisher *p = arg;
    struct batch *batch;
    if (!p->open)
        return; /* batcher_refuse or batcher_lost has answered them */
    if (p->renew_ms != 0 && clock_mono_ms() >= p->renew_ms)
        return; /* what was sent is settled first */
    while ((batch = batcher_next(p->batcher, clock_mono_ms())) != NULL) {
        uint64_t sequence;
        int code = publish(p, batch, &sequence);
        if (code == ERR_FULL) {
            loop_timer_start(p->full, FULL_RETRY_MS, 0);
            break;
        }
        if (code < 0) {
            batcher_refuse(p->batcher);
            break;
        }
        batcher_sent(p->batcher, batch, sequence, clock_mono_ms());
        SEEDED_BUG(EARLY_202, batcher_settle(p->batcher, sequence, BATCH_CONFIRMED));
    }
    count_waiting(p);
}

/* In the next turn, so that all jobs of this one leave together. */
static void flush_soon(struct publisher *p)
{
    if (!loop_timer_active(p->full))
        loop_defer(p->flush);
}

static void open_channel(void *arg);

/*
 * If a channel sends its first message to a queue while the queue's leader is gone, RabbitMQ 3.10.8
 * refuses that queue on this channel until the node is back, even under a new leader (seen). So try
 * a new channel from time to time while messages are refused.
 */
static void renew_if_refused(struct publisher *p, uint64_t now_ms)
{
    if (p->renew_ms == 0 || now_ms < p->renew_ms || !p->open)
        return;
    if (batcher_inflight(p->batcher) > 0)
        return; /* those that are overdue do not count: their requests end soon */
    log_info("renewing the channel: the broker refused orders");
    p->renew_ms = 0;
    broker_channel_close(p->channel);
    p->channel = NULL;
    set_open(p, false, "the publishing channel is being renewed");
    batcher_lost(p->batcher);
    open_channel(p);
}

static void refused(struct publisher *p)
{
    uint64_t now_ms = clock_mono_ms();
    if (now_ms - p->nacked_ms > RENEW_FORGOTTEN_MS)
        backoff_reset(&p->renewals);
    p->nacked_ms = now_ms;
    if (p->renew_ms == 0)
        p->renew_ms = now_ms + backoff_next(&p->renewals);
}

/* An order could not be placed since `since_ms`. */
static void failed(struct publisher *p, uint64_t since_ms)
{
    if (p->failing_since_ms == 0)
        p->failing_since_ms = since_ms;
    p->failed_ms = clock_mono_ms();
}

static void leave_if_useless(struct publisher *p, uint64_t now_ms)
{
    if (batcher_overdue(p->batcher) > 1)
        node_patience_useless(&p->patience, now_ms - BATCHER_OVERDUE_MS, now_ms);
    if (broker_node_count(p->broker) < 2 || broker_state(p->broker) != BROKER_UP ||
        !node_patience_ends(&p->patience, now_ms))
        return;
    log_warning("no order confirmed for 3 s: going to another node",
                LOG_STR("node", broker_node(p->broker)));
    broker_move(p->broker, "it confirms no orders");
}

/* Ends the connection, so that the next one goes to another node; false: too soon after the last
 * time. Then what was sent and not confirmed is unknown, for every shard. */
static bool move(struct publisher *p, uint64_t now_ms, const char *reason)
{
    if (now_ms < p->move_ms)
        return false;
    p->move_ms = now_ms + backoff_next(&p->moves);
    broker_move(p->broker, reason);
    return true;
}

static void end_silence(struct publisher *p, uint64_t now_ms)
{
    uint32_t shard;
    while (batcher_silent(p->batcher, now_ms, &shard)) {
        log_warning("no confirm for a message of orders for 10 s", LOG_INT("shard", shard),
                    LOG_STR("node", broker_node(p->broker)));
        if (move(p, now_ms, "it does not confirm orders"))
            return;
        batcher_forget(p->batcher, shard);
    }
    if (p->opening_ms != 0 && now_ms >= p->opening_ms + BATCHER_SILENT_MS &&
        move(p, now_ms, "it does not open a channel"))
        log_warning("publishing channel not opened for 10 s",
                    LOG_STR("node", broker_node(p->broker)));
}

static void tick(void *arg)
{
    struct publisher *p = arg;
    uint64_t now_ms = clock_mono_ms();
    batcher_tick(p->batcher, now_ms);
    if (batcher_overdue(p->batcher) > 0)
        failed(p, now_ms - BATCHER_OVERDUE_MS);
    end_silence(p, now_ms);
    leave_if_useless(p, now_ms);
    renew_if_refused(p, now_ms);
    flush(p);
    count_waiting(p);
}

/* ---- what the broker tells ---- */

static void tell_open(const struct publisher *p)
{
    if (p->open && p->shards > 0)
        log_info("orders can be published", LOG_INT("shards", p->shards));
}

static void opened(void *arg)
{
    struct publisher *p = arg;
    backoff_reset(&p->backoff);
    p->renew_ms = 0;
    p->opening_ms = 0;
    set_open(p, true, NULL);
    tell_open(p);
}

static void closed(const char *reason, void *arg)
{
    struct publisher *p = arg;
    log_warning("publishing channel closed", LOG_STR("reason", reason));
    set_open(p, false, reason);
    p->opening_ms = 0;
    broker_channel_close(p->channel);
    p->channel = NULL;
    batcher_lost(p->batcher);
    count_waiting(p);
    loop_timer_start(p->reopen, backoff_next(&p->backoff), 0);
}

static void confirmed(uint64_t sequence, enum broker_confirm result, void *arg)
{
    struct publisher *p = arg;
    size_t before = batcher_jobs(p->batcher);
    if (result != BROKER_ACKED)
        log_warning("broker refused a message of orders",
                    LOG_STR("reason", result == BROKER_NACKED
                                          ? "nacked: the queue is full, or has no leader"
                                          : "returned: there is no such queue"));
    if (result == BROKER_NACKED) {
        refused(p);
        node_patience_useless(&p->patience, clock_mono_ms(), clock_mono_ms());
    }
    if (result == BROKER_ACKED) {
        p->failing_since_ms = 0;
        node_patience_confirmed(&p->patience);
    } else {
        failed(p, clock_mono_ms());
    }
    flush_soon(p); /* before answering, so that the broker works meanwhile */
    batcher_settle(p->batcher, sequence, result == BROKER_ACKED ? BATCH_CONFIRMED : BATCH_REFUSED);
    if (result == BROKER_ACKED) {
        metric_add(p->stats->batches, 1);
        metric_add(p->stats->batch_jobs, (double)(before - batcher_jobs(p->batcher)));
    }
}

static void open_channel(void *arg)
{
    struct publisher *p = arg;
    const struct broker_channel_events events = {
        .opened = opened, .closed = closed, .confirmed = confirmed};
    if (p->channel != NULL || broker_state(p->broker) == BROKER_DOWN)
        return; /* when it is up again, this is called again */
    int code = broker_publisher_open(p->broker, &events, p, &p->channel);
    if (code < 0)
        loop_timer_start(p->reopen, backoff_next(&p->backoff), 0);
    else
        p->opening_ms = clock_mono_ms();
}

static void topology_checked(int code, const char *problem, void *arg)
{
    (void)arg;
    if (code < 0)
        log_error("broker's topology is not complete", LOG_STR("problem", problem));
}

static void check_topology(struct publisher *p)
{
    if (p->shards > 0 && topology_check(p->broker, p->shards, topology_checked, p) < 0)
        log_warning("broker's topology not checked");
}

static void broker_changed(enum broker_state state, const char *reason, void *arg)
{
    struct publisher *p = arg;
    if (state == BROKER_DOWN) {
        log_warning("RabbitMQ is not connected", LOG_STR("reason", reason));
        set_open(p, false, reason); /* channel_closed has reported the channel, if it was open */
        return;
    }
    if (state == BROKER_BLOCKED) {
        log_warning("RabbitMQ takes no orders", LOG_STR("reason", reason));
        set_open(p, p->open, reason);
        batcher_refuse(p->batcher);
        return;
    }
    set_open(p, p->open, NULL);
    node_patience_connected(&p->patience);
    if (p->channel != NULL)
        return; /* it was only blocked */
    log_info("RabbitMQ is connected", LOG_STR("version", broker_server_version(p->broker)));
    open_channel(p);
    check_topology(p);
}

/* ---- */

void publisher_serve(struct publisher *publisher, uint32_t shards, const char *why)
{
    bool changed = publisher->shards != shards;
    (void)snprintf(publisher->unknown, sizeof publisher->unknown, "%s", why == NULL ? "" : why);
    batcher_refuse(publisher->batcher); /* what is gathered is sorted by the old number */
    publisher->shards = shards;
    queue_depth_serve(publisher->depth, shards);
    if (shards == 0 || !changed)
        return;
    shard_exchange(shards, publisher->exchange);
    tell_open(publisher);
    if (broker_state(publisher->broker) != BROKER_DOWN)
        check_topology(publisher);
}

uint32_t publisher_shards(const struct publisher *publisher)
{
    return publisher->shards;
}

int publisher_find_shards(struct publisher *publisher, topology_found_cb cb, void *arg)
{
    return topology_find(publisher->broker, cb, arg);
}

struct publisher *publisher_open(struct loop *loop, const struct publisher_options *options,
                                 struct stats *stats, batcher_fate_cb fate, void *arg)
{
    struct publisher *p = calloc(1, sizeof *p);
    if (p == NULL)
        return NULL;
    p->loop = loop;
    p->shards = options->shards;
    p->stats = stats;
    (void)snprintf(p->reason, sizeof p->reason, "not connected yet");
    (void)snprintf(p->unknown, sizeof p->unknown, "it is not known yet how many shards there are");
    shard_exchange(options->shards, p->exchange);
    backoff_init(&p->backoff, REOPEN_FIRST_MS, REOPEN_MAX_MS, (uint64_t)getpid());
    backoff_init(&p->moves, MOVE_FIRST_MS, MOVE_MAX_MS, (uint64_t)getpid());
    node_patience_init(&p->patience, (uint64_t)getpid());
    backoff_init(&p->renewals, RENEW_FIRST_MS, RENEW_MAX_MS, (uint64_t)getpid());
    p->batcher = batcher_new(options->shards == 0 ? SHARDS_MAX : options->shards,
                             options->inflight_max, JOBS_MAX, fate, arg);
    p->flush = loop_deferred_new(loop, flush, p);
    p->full = loop_timer_new(loop, flush, p);
    p->tick = loop_timer_new(loop, tick, p);
    p->reopen = loop_timer_new(loop, open_channel, p);
    p->broker = broker_open(loop, &options->broker, broker_changed, p);
    if (p->broker != NULL)
        p->depth = queue_depth_new(loop, p->broker, stats->metrics);
    if (p->depth != NULL)
        queue_depth_serve(p->depth, p->shards);
    if (p->depth == NULL || p->batcher == NULL || p->flush == NULL || p->full == NULL ||
        p->tick == NULL || p->reopen == NULL || p->broker == NULL) {
        publisher_close(p);
        return NULL;
    }
    loop_timer_start(p->tick, TICK_MS, TICK_MS);
    return p;
}

void publisher_close(struct publisher *publisher)
{
    if (publisher == NULL)
        return;
    broker_close(publisher->broker); /* and the channel with it */
    queue_depth_free(publisher->depth);
    loop_deferred_free(publisher->flush);
    loop_timer_free(publisher->full);
    loop_timer_free(publisher->tick);
    loop_timer_free(publisher->reopen);
    batcher_free(publisher->batcher);
    free(publisher);
}

bool publisher_ready(const struct publisher *publisher, const char **ret_why)
{
    bool up = publisher->open && broker_state(publisher->broker) == BROKER_UP;
    if (up && publisher->shards > 0)
        return true;
    *ret_why = up ? publisher->unknown : publisher->reason;
    return false;
}

bool publisher_crowded(const struct publisher *publisher)
{
    return batcher_crowded(publisher->batcher, clock_mono_ms());
}

bool publisher_placing(const struct publisher *publisher, const char **ret_why)
{
    uint64_t now_ms = clock_mono_ms();
    if (!publisher_ready(publisher, ret_why))
        return false;
    if (publisher->failing_since_ms == 0 || now_ms - publisher->failing_since_ms < FAILING_MS ||
        now_ms - publisher->failed_ms >= FAILING_MS)
        return true;
    *ret_why = "no order has been confirmed for 10 s, and some were not";
    return false;
}

int publisher_add(struct publisher *publisher, const struct job *job, void *waiter)
{
    const char *why;
    if (!publisher_ready(publisher, &why))
        return ERR_UNAVAILABLE;
    if (publisher_crowded(publisher))
        return ERR_FULL;
    uint32_t shard = shard_of(job->sku, strlen(job->sku), publisher->shards);
    int code = batcher_add(publisher->batcher, shard, job, waiter, clock_mono_ms());
    if (code == 0)
        flush_soon(publisher);
    return code == ERR_UNAVAILABLE ? ERR_FULL : code;
}

int64_t publisher_dead_letters(const struct publisher *publisher)
{
    return queue_depth_dead_letters(publisher->depth);
}

size_t publisher_jobs(const struct publisher *publisher)
{
    return batcher_jobs(publisher->batcher);
}
