/* checkout-producer: the API. Here its parts are made and tied together. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/clock.h"
#include "common/base/err.h"
#include "common/base/log.h"
#include "common/net/redis/redis.h"
#include "common/service/daemon.h"
#include "common/service/heartbeat.h"
#include "common/service/identity.h"
#include "common/service/process.h"
#include "common/service/servers.h"
#include "common/service/stop.h"
#include "common/shop/origins.h"
#include "common/shop/problem_respond.h"
#include "producer/admission/admission.h"
#include "producer/api.h"
#include "producer/items.h"
#include "producer/limits/clients.h"
#include "producer/limits/limits.h"
#include "producer/limits/open_orders.h"
#include "producer/limits/senders.h"
#include "producer/orders/event_tickets.h"
#include "producer/orders/order_status.h"
#include "producer/orders/orders.h"
#include "producer/port/shared_port.h"
#include "producer/publish/publisher.h"
#include "producer/respond.h"
#include "producer/routes.h"
#include "producer/shard_count.h"
#include "producer/timekeeper.h"
#include "producer/undecided.h"
#include "producer/webhook/webhook_record.h"

#define REDIS_PENDING_MAX 16384
#define ANSWER_MAX ((size_t)256 * 1024) /* bytes of an answer's body: a page of 100 orders */
#define FIRST_CONNECT_MS                                                                           \
    2000 /* at the start, /readyz waits so long for PostgreSQL, which is optional */
#define FIRST_CONTACT_MS 1500
#define LISTEN_WITHIN_MS 1800 /* of the start: also if no server answers */
#define DRAIN_TICK_MS 20
#define DRAIN_QUIET_MS 200 /* no request for so long: all clients know that we are leaving */
#define DRAIN_MAX_MS 8000
#define EXIT_SETTING 2

struct producer {
    struct daemon daemon;
    struct api api;
    struct shared_port *port;
    struct redis *redis;
    struct heartbeat *heartbeat;
    struct loop_timer *drain;
    uint64_t started_ms;
    uint64_t drain_until_ms;
    uint64_t quiet_since_ms;
    int exit_code;
};

static void reads_connected(void *arg)
{
    struct producer *p = arg;
    timekeeper_connected(p->api.timekeeper);
    shard_count_connected(p->api.shard_count);
}

static void redis_changed(bool up, const char *reason, void *arg)
{
    struct producer *p = arg;
    metric_set(p->api.stats.redis_up, up);
    if (p->api.admission != NULL)
        admission_redis_changed(p->api.admission, up);
    if (up)
        log_info("Redis is connected");
    else
        log_warning("Redis is not connected; admission lets all orders pass",
                    LOG_STR("reason", reason));
}

static bool ready(void *arg, struct buf *ret_why)
{
    struct producer *p = arg;
    const char *why = "";
    if (p->port == NULL || stop_begun(p->daemon.stop)) {
        (void)buf_str(ret_why, p->port == NULL ? "it is starting\n" : "it is leaving\n");
        return false;
    }
    bool listens = shared_port_listens(p->port);
    bool placing = publisher_placing(p->api.publisher, &why);
    bool fine = listens && placing;
    if (!listens)
        (void)buf_str(ret_why, "this process is not on its port: it cannot take orders yet, or "
                               "another process there takes them\n");
    if (!placing)
        (void)buf_printf(ret_why, "RabbitMQ takes no orders: %s\n", why);
    if (!pg_is_up(p->api.sessions.reads)) {
        (void)buf_str(ret_why, "PostgreSQL is not connected\n");
        fine = fine && clock_mono_ms() > p->started_ms + FIRST_CONNECT_MS;
    }
    if (p->api.sessions.behind[0] != '\0') {
        (void)buf_printf(ret_why, "%s\n", p->api.sessions.behind);
        return false;
    }
    return fine;
}

/* ---- leaving ---- */

static void draining(void *arg)
{
    struct producer *p = arg;
    uint64_t now_ms = clock_mono_ms();
    if (shared_port_pending(p->port) > 0)
        p->quiet_since_ms = now_ms;
    bool quiet = now_ms >= p->quiet_since_ms + DRAIN_QUIET_MS;
    if (!quiet && shared_port_connections(p->port) > 0 && now_ms < p->drain_until_ms)
        return;
    if (shared_port_pending(p->port) > 0)
        log_warning("leaving: requests stay unanswered",
                    LOG_INT("requests", shared_port_pending(p->port)));
    log_info("left");
    loop_stop(p->daemon.loop);
}

static void drain(void *arg)
{
    struct producer *p = arg;
    log_info("leaving: answering open requests", LOG_INT("requests", shared_port_pending(p->port)));
    p->quiet_since_ms = clock_mono_ms();
    p->drain_until_ms = p->quiet_since_ms + DRAIN_MAX_MS;
    heartbeat_leave(p->heartbeat);
    shared_port_drain(p->port);
    order_status_drain(p->api.status);
    loop_timer_start(p->drain, DRAIN_TICK_MS, DRAIN_TICK_MS);
}

/* ---- life ---- */

static bool open_servers(struct producer *p)
{
    const struct cfg *cfg = p->daemon.cfg;
    struct api *api = &p->api;
    const struct publisher_options broker = {.broker = servers_broker(cfg, "checkout-producer"),
                                             .shards = (uint32_t)cfg_int(cfg, CFG_SHARDS),
                                             .inflight_max =
                                                 (unsigned)cfg_int(cfg, CFG_PUBLISH_INFLIGHT)};
    const struct redis_server redis = servers_redis(cfg);
    p->redis = redis_open(api->loop, &redis, REDIS_PENDING_MAX, redis_changed, p);
    api->publisher = publisher_open(api->loop, &broker, &api->stats, orders_fate, api);
    api->shard_count = shard_count_new(api, broker.shards);
    api->status = order_status_new(api, &redis);
    const struct admission_options admission = {.redis = p->redis,
                                                .sessions = &api->sessions,
                                                .limits = api->limits,
                                                .redis_vouches_after_ms =
                                                    (uint64_t)cfg_int(cfg, CFG_REDIS_VOUCHES_AFTER),
                                                .redis_vouching = api->stats.redis_vouching};
    if (p->redis != NULL)
        api->admission = admission_new(api->loop, &admission, orders_verdict, api);
    if (p->redis != NULL)
        api->senders = senders_new(api->loop, p->redis);
    int64_t open_max = cfg_int(cfg, CFG_OPEN_ORDERS_PER_USER);
    if (p->redis != NULL && open_max > 0)
        api->open_orders = open_orders_new(api->loop, p->redis, &api->sessions, open_max);
    const struct sessions_options database = {.url = cfg_str(cfg, CFG_DATABASE_URL),
                                              .program = "checkout-producer",
                                              .without_reads = "orders are accepted nevertheless",
                                              .without_writes = "cancels and webhooks are refused",
                                              .up = api->stats.database_up,
                                              .reads_connected = reads_connected,
                                              .arg = p};
    return sessions_open(&api->sessions, api->loop, &database) && api->publisher != NULL &&
           api->shard_count != NULL && api->status != NULL && api->admission != NULL &&
           api->senders != NULL && (open_max == 0 || api->open_orders != NULL);
}

static int64_t dead_letters(void *arg)
{
    const struct producer *p = arg;
    return publisher_dead_letters(p->api.publisher);
}

static bool open_heartbeat(struct producer *p)
{
    const struct heartbeat_options options = {
        .place = cfg_str(p->daemon.cfg, CFG_ADMIN_LISTEN),
        .program = "producer",
        .accepted = p->api.stats.accepted,
        .shards_set = (uint32_t)cfg_int(p->daemon.cfg, CFG_SHARDS),
        .dead_letters = dead_letters,
        .ready = ready,
        .arg = p,
    };
    p->heartbeat = heartbeat_new(p->daemon.loop, p->api.sessions.reads, &options);
    return p->heartbeat != NULL;
}

static bool open_origins(struct producer *p)
{
    const char *problem; /* the settings were checked */
    return origins_new(cfg_str(p->daemon.cfg, CFG_ORIGINS), &p->api.origins, &problem) == 0;
}

static bool open_limits(struct producer *p)
{
    const struct cfg *cfg = p->daemon.cfg;
    const struct rate rates[LIMIT_KINDS] = {[LIMIT_USER] = cfg_rate(cfg, CFG_ORDERS_PER_USER),
                                            [LIMIT_ADDRESS] =
                                                cfg_rate(cfg, CFG_ORDERS_PER_ADDRESS)};
    const struct rate bad_tokens = cfg_rate(cfg, CFG_BAD_TOKENS_PER_ADDRESS);
    p->api.limits = limits_new(rates);
    if (p->api.limits != NULL)
        limits_bound_open(p->api.limits, cfg_int(cfg, CFG_OPEN_ORDERS_PER_USER));
    p->api.clients = clients_new(cfg_str(cfg, CFG_TRUSTED_PROXIES), &bad_tokens);
    return p->api.limits != NULL && p->api.clients != NULL;
}

static bool open_parts(struct producer *p)
{
    const struct cfg *cfg = p->daemon.cfg;
    struct api *api = &p->api;
    size_t order_len;
    const char *order_secret = cfg_secret(cfg, CFG_ORDER_SECRET_FILE, &order_len);
    api->loop = p->daemon.loop;
    buf_init(&api->out, ANSWER_MAX);
    stats_init(&api->stats, p->daemon.metrics);
    api->stats.spans = p->daemon.spans;
    api->ids = ids_new(order_secret, order_len);
    api->orders = orders_new(api);
    api->items = items_new();
    api->webhooks = webhook_record_new(api);
    api->timekeeper = timekeeper_new(api);
    api->undecided = undecided_new(api);
    p->drain = loop_timer_new(api->loop, draining, p);
    api->jwt = identity_tokens(api->identity);
    api->tickets = event_tickets_new(identity_tickets(api->identity), cfg_str(cfg, CFG_EVENTS_URL),
                                     cfg_int(cfg, CFG_TICKET_TTL) / 1000);
    return api->ids != NULL && open_limits(p) && open_origins(p) && api->orders != NULL &&
           api->items != NULL && api->tickets != NULL && api->webhooks != NULL &&
           api->timekeeper != NULL && api->undecided != NULL && p->drain != NULL &&
           open_servers(p) && open_heartbeat(p);
}

static bool takes_orders(void *arg)
{
    const struct producer *p = arg;
    const char *why;
    return publisher_placing(p->api.publisher, &why);
}

static void handle(struct http_request *request, void *arg)
{
    struct producer *p = arg;
    routes_handle(request, &p->api);
}

static void refuse(struct http_request *request, unsigned status, const char *detail, void *arg)
{
    struct producer *p = arg;
    const struct problem problem = problem_of_refusal(status, detail);
    respond_problem(&p->api, request, STATS_OTHER, &problem);
}

static size_t body_limit(const struct http_request *request, void *arg)
{
    const struct producer *p = arg;
    return routes_body_max(request, &p->api);
}

static void started(void *arg)
{
    (void)arg;
    stop_notify_ready();
}

/* false: the process ends with p->exit_code */
static bool open_producer(struct producer *p)
{
    const struct cfg *cfg = p->daemon.cfg;
    p->api.saved_methods = cfg_int(cfg, CFG_SAVED_METHODS) != 0;
    p->api.mails = cfg_int(cfg, CFG_MAIL) != 0;
    p->api.mails_to_any = cfg_int(cfg, CFG_MAIL_TO_ANY) != 0;
    p->api.traces = cfg_int(cfg, CFG_TRACE) != 0;
    p->api.webhook_secret = cfg_secret(cfg, CFG_WEBHOOK_SECRET_FILE, &p->api.webhook_secret_len);
    p->api.webhook_mode = cfg_str(cfg, CFG_WEBHOOK_LIVEMODE);
    const struct shared_port_options options = {
        .http = {.host = cfg_host(cfg, CFG_LISTEN),
                 .port = cfg_port(cfg, CFG_LISTEN),
                 .connections_max = (unsigned)cfg_int(cfg, CFG_CONNECTIONS_MAX),
                 .idle_timeout_s = (unsigned)(cfg_int(cfg, CFG_KEEPALIVE) / 1000),
                 .body_limit = body_limit,
                 .reuse_port = true,
                 .refuse = refuse},
        .handler = handle,
        .takes = takes_orders,
        .started = started,
        .arg = p,
        .listen_by_ms = p->started_ms + LISTEN_WITHIN_MS,
        .listening = p->api.stats.listening};
    int code = shared_port_open(p->daemon.loop, &options, &p->port);
    if (code == 0)
        return true;
    if (code == ERR_UNAVAILABLE) {
        (void)fprintf(stderr, "checkout-producer: %s: cannot listen on %s: %s\n",
                      cfg_name(CFG_LISTEN), cfg_str(cfg, CFG_LISTEN), strerror(errno));
        p->exit_code = EXIT_SETTING;
    }
    return false;
}

/* Frees first the parts that answer their requests when they end, and last the server with all
 * other requests. */
static void close_all(struct producer *p)
{
    struct api *api = &p->api;
    api->closing = true;
    heartbeat_free(p->heartbeat);
    undecided_free(api->undecided);
    sessions_close(&api->sessions);
    publisher_close(api->publisher);
    shard_count_free(api->shard_count);
    admission_free(api->admission);
    open_orders_free(api->open_orders);
    senders_free(api->senders);
    limits_free(api->limits);
    clients_free(api->clients);
    redis_close(p->redis);
    shared_port_close(p->port);
    order_status_free(api->status);
    orders_free(api->orders);
    items_free(api->items);
    webhook_record_free(api->webhooks);
    timekeeper_free(api->timekeeper);
    event_tickets_free(api->tickets);
    origins_free(api->origins);
    identity_close(api->identity);
    ids_free(api->ids);
    loop_timer_free(p->drain);
    buf_free(&api->out);
}

int main(int argc, char **argv)
{
    static struct producer producer; /* zero */
    const struct daemon_program program = {
        .name = "checkout-producer",
        .summary = "The API: takes orders over HTTP into the queue, and shows their status.",
        .cfg_program = CFG_PRODUCER,
        .servers = {&contact_broker, &contact_pg, &contact_redis},
        .contact_ms = FIRST_CONTACT_MS,
        .ready = ready,
        .drain = drain,
        .arg = &producer};
    producer.started_ms = clock_mono_ms();
    if (!daemon_open(&program, argc, argv, &producer.daemon, &producer.exit_code))
        return process_end(producer.exit_code);
    producer.exit_code = EXIT_FAILURE;
    int unknown = identity_open(&producer.daemon, &producer.api.identity);
    if (unknown != 0) {
        producer.exit_code = unknown;
    } else if (!open_parts(&producer)) {
        log_error("cannot start: out of memory");
    } else if (open_producer(&producer)) {
        producer.exit_code = 0;
        loop_run(producer.daemon.loop);
    }
    close_all(&producer);
    daemon_close(&producer.daemon);
    return process_end(producer.exit_code);
}
