#include "common/shop/topology.h"

#include <stdio.h>
#include <string.h>

#include "common/base/err.h"
#include "common/shop/ids.h"
#include "common/shop/shard.h"
#include "common/shop/shards_serving.h"
#include "ctl/command.h"
#include "ctl/progress.h"
#include "ctl/reshard/moves.h"
#include "ctl/secret.h"
#include "ctl/serving.h"

static const struct pg_statement serve = {"ctl_topology_serve",
                                          "select checkout.serve_shards($1::integer)", 1};
static const struct pg_statement keep_secret = {"ctl_topology_keep_secret",
                                                "select checkout.keep_secret($1::text)", 1};

struct declaring {
    struct ctl *ctl;
    struct progress progress;
    int exit_code;
};

static void declared_some(uint32_t done, uint32_t total, void *arg)
{
    struct declaring *declaring = arg;
    progress_show(&declaring->progress, "declaring exchanges and queues:", done, total);
}

static void declared(int code, const char *problem, void *arg)
{
    struct declaring *declaring = arg;
    progress_end(&declaring->progress);
    if (code < 0)
        declaring->exit_code = ctl_complain(CTL_FAILED, "RabbitMQ: %s", problem);
    loop_stop(declaring->ctl->loop);
}

static int declare(struct ctl *ctl, uint32_t shards)
{
    const struct topology_options options = {
        .shards = shards,
        .queue_max_bytes = cfg_int(ctl->cfg, CFG_QUEUE_MAX_BYTES),
        .replicas = cfg_int(ctl->cfg, CFG_QUEUE_REPLICAS),
    };
    struct declaring declaring = {.ctl = ctl, .exit_code = CTL_FINE};
    int code = topology_declare(ctl->broker, &options, declared_some, declared, &declaring);
    if (code < 0)
        return ctl_complain(CTL_FAILED, "RabbitMQ: %s", err_text(code));
    loop_run(ctl->loop);
    return declaring.exit_code;
}

/* Before any declaration: an impossible number leaves nothing behind. */
static int choose_shards(struct ctl *ctl, uint32_t *ret_shards)
{
    uint32_t now;
    uint32_t wanted = (uint32_t)cfg_int(ctl->cfg, CFG_SHARDS); /* 0: not set */
    struct move move;
    int exit_code = serving_read(ctl, &now);
    if (exit_code == CTL_FINE)
        exit_code = moves_read(ctl, &move);
    if (exit_code == CTL_FINE && move.state != MOVE_NONE)
        return ctl_complain(CTL_FAILED,
                            "the number of shards is being changed, from %u to %u: run "
                            "`checkoutctl reshard` first, it goes on where it stopped",
                            move.from, move.to);
    if (wanted == 0)
        wanted = now == 0 ? SHARDS_FIRST : now;
    *ret_shards = wanted;
    if (exit_code != CTL_FINE || now == 0 || now == wanted)
        return exit_code;
    return ctl_complain(CTL_USAGE, "%s: %u shards are in service, not %u; use that number",
                        cfg_name(CFG_SHARDS), now, wanted);
}

/* The database's own errors name the wrong setting. */
static int complain_refusal(const struct ctl *ctl)
{
    if (strcmp(ctl->sqlstate, "CK002") == 0)
        return ctl_complain(CTL_USAGE, "%s: %s", cfg_name(CFG_SHARDS), ctl->problem);
    if (strcmp(ctl->sqlstate, "CK003") == 0)
        return ctl_complain(CTL_USAGE, "%s: %s", cfg_name(CFG_ORDER_SECRET_FILE), ctl->problem);
    return ctl_complain_query(ctl);
}

static int take_into_service(struct ctl *ctl, uint32_t shards)
{
    char number[16];
    char fingerprint[IDS_FINGERPRINT_SIZE];
    (void)snprintf(number, sizeof number, "%u", shards);
    if (secret_fingerprint(ctl, fingerprint) < 0)
        return ctl_complain(CTL_FAILED, "out of memory");
    const char *const shards_param[] = {number};
    const char *const secret_param[] = {fingerprint};
    if (ctl_try_query(ctl, &serve, shards_param, NULL, NULL) != CTL_FINE ||
        ctl_try_query(ctl, &keep_secret, secret_param, NULL, NULL) != CTL_FINE)
        return complain_refusal(ctl);
    return CTL_FINE;
}

static void tell(const struct ctl *ctl, uint32_t shards)
{
    char exchange[SHARD_NAME_SIZE];
    shard_exchange(shards, exchange);
    if (ctl->json)
        (void)printf("{\"shards\":%u,\"exchange\":\"%s\",\"dead\":\"%s\",\"replicas\":%lld,"
                     "\"queue_max_bytes\":%lld}\n",
                     shards, exchange, SHARD_DEAD, (long long)cfg_int(ctl->cfg, CFG_QUEUE_REPLICAS),
                     (long long)cfg_int(ctl->cfg, CFG_QUEUE_MAX_BYTES));
    else
        (void)printf("exchange %s with %u shard queues, and %s for dead messages, are declared\n"
                     "%u shards are in service\n",
                     exchange, shards, SHARD_DEAD, shards);
}

static int run(struct ctl *ctl, const struct command_args *args)
{
    uint32_t shards = 0;
    (void)args;
    int exit_code = ctl_need(ctl, &contact_pg);
    if (exit_code == CTL_FINE)
        exit_code = choose_shards(ctl, &shards);
    if (exit_code == CTL_FINE)
        exit_code = ctl_need(ctl, &contact_broker);
    if (exit_code == CTL_FINE)
        exit_code = declare(ctl, shards);
    if (exit_code == CTL_FINE)
        exit_code = take_into_service(ctl, shards);
    if (exit_code == CTL_FINE)
        tell(ctl, shards);
    return exit_code;
}

const struct command command_topology = {
    .words = "topology",
    .operands = "",
    .summary = "declares the queues, puts shards into service",
    .details = "Declares exchange checkout.jobs.N, its N quorum queues, and checkout.dead with "
               "checkout.lost; then "
               "records in the database that N shards are in service, and the fingerprint of the "
               "secret of order ids. A second run does nothing. It refuses another N than the one "
               "in service, and another secret. Without CHECKOUT_SHARDS, N is the number in "
               "service, and 4 the first time.",
    .settings = CFG_BIT(AMQP_URL) | CFG_BIT(AMQP_HEARTBEAT) | CFG_BIT(DATABASE_URL) |
                CFG_BIT(SHARDS) | CFG_BIT(QUEUE_MAX_BYTES) | CFG_BIT(QUEUE_REPLICAS) |
                CFG_BIT(ORDER_SECRET_FILE),
    .run = run,
};
