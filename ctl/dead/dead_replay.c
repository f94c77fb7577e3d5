#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/clock.h"
#include "common/base/err.h"
#include "common/shop/job.h"
#include "common/shop/shard.h"
#include "ctl/command.h"
#include "ctl/dead/dead_body.h"
#include "ctl/dead/dead_queue.h"
#include "ctl/progress.h"
#include "ctl/serving.h"

#define CONFIRM_MS 5000
#define MESSAGE_MAX ((size_t)JOB_MESSAGE_ACCEPT + 1024) /* a single job gets a frame */

/* A letter that can be replayed. */
struct parcel {
    char id[DEAD_ID_SIZE];
    uint64_t tag;
    struct buf message;
    uint32_t shard;
    size_t jobs;
};

struct replay {
    struct ctl *ctl;
    const char *id; /* NULL: all */
    uint32_t shards;
    struct ids *ids;
    struct parcel *parcels;
    size_t count;
    size_t refused;
    size_t done;
    int code;
    struct broker_channel *channel;
    struct loop_timer *timer;
    bool opened;
    bool closed;
    bool late;
    bool answered;
    enum broker_confirm confirm;
};

/* ---- what to replay ---- */

static int add_parcel(struct replay *replay, const struct dead_letter *letter)
{
    struct parcel *parcels =
        realloc(replay->parcels, (replay->count + 1) * sizeof *replay->parcels);
    const char *problem = "";
    if (parcels == NULL)
        return ERR_NOMEM;
    replay->parcels = parcels;
    struct dead_body *body = dead_body_new(letter->body, letter->body_len);
    if (body == NULL)
        return ERR_NOMEM;
    struct parcel parcel = {.tag = letter->tag};
    memcpy(parcel.id, letter->id, sizeof parcel.id);
    buf_init(&parcel.message, MESSAGE_MAX);
    int code = dead_body_message(body, replay->shards, replay->ids, &parcel.message, &parcel.shard,
                                 &parcel.jobs, &problem);
    dead_body_free(body);
    if (code == 0) {
        parcels[replay->count++] = parcel;
        return 0;
    }
    buf_free(&parcel.message);
    if (code != ERR_PARSE)
        return code;
    replay->refused++;
    (void)ctl_complain(0, "%s stays: a consumer cannot read it either (%s)", letter->id, problem);
    return 0;
}

static void take(const struct dead_letter *letter, void *arg)
{
    struct replay *replay = arg;
    if (replay->code < 0 || (replay->id != NULL && strcmp(letter->id, replay->id) != 0))
        return;
    replay->code = add_parcel(replay, letter);
}

/* ---- publishing ---- */

static void opened(void *arg)
{
    struct replay *replay = arg;
    replay->opened = true;
    loop_stop(replay->ctl->loop);
}

static void closed(const char *reason, void *arg)
{
    struct replay *replay = arg;
    (void)ctl_complain(0, "RabbitMQ: %s", reason);
    broker_channel_close(replay->channel);
    replay->channel = NULL;
    replay->closed = true;
    loop_stop(replay->ctl->loop);
}

static void confirmed(uint64_t sequence, enum broker_confirm result, void *arg)
{
    struct replay *replay = arg;
    (void)sequence; /* one at a time */
    replay->answered = true;
    replay->confirm = result;
    loop_stop(replay->ctl->loop);
}

static void too_late(void *arg)
{
    struct replay *replay = arg;
    replay->late = true;
    loop_stop(replay->ctl->loop);
}

static const struct broker_channel_events events = {
    .opened = opened, .closed = closed, .confirmed = confirmed};

/* Waits until `flag` is set, the channel is closed, or the time is up. */
static bool await(struct replay *replay, const bool *flag)
{
    replay->late = false;
    loop_timer_start(replay->timer, CONFIRM_MS, 0);
    while (!*flag && !replay->closed && !replay->late)
        loop_run(replay->ctl->loop);
    loop_timer_stop(replay->timer);
    return *flag;
}

static int publish(struct replay *replay, const struct parcel *parcel)
{
    char exchange[SHARD_NAME_SIZE], key[SHARD_NAME_SIZE];
    uint64_t sequence;
    shard_exchange(replay->shards, exchange);
    shard_routing_key(parcel->shard, key);
    const struct broker_message message = {.exchange = exchange,
                                           .routing_key = key,
                                           .type = JOB_TYPE,
                                           .content_type = "application/json",
                                           .header_name = "x-job-count",
                                           .header_number = (int64_t)parcel->jobs,
                                           .body = parcel->message.data,
                                           .body_len = parcel->message.len};
    replay->answered = false;
    int code = broker_publish(replay->channel, &message, &sequence);
    if (code < 0)
        return ctl_complain(CTL_FAILED, "%s stays: RabbitMQ takes no messages now (%s)", parcel->id,
                            err_text(code));
    if (!await(replay, &replay->answered))
        return ctl_complain(
            CTL_FAILED,
            "%s stays: RabbitMQ has not confirmed its copy; it is safe to replay it again",
            parcel->id);
    if (replay->confirm != BROKER_ACKED)
        return ctl_complain(CTL_FAILED, "%s stays: the queue of shard %" PRIu32 " %s", parcel->id,
                            parcel->shard,
                            replay->confirm == BROKER_NACKED ? "is full" : "does not exist");
    return CTL_FINE;
}

/* Each leaves the dead letters only when its copy is safe. */
static int publish_all(struct replay *replay, struct dead_queue *queue)
{
    struct progress progress = {0};
    int exit_code = CTL_FINE;
    int code = broker_publisher_open(replay->ctl->broker, &events, replay, &replay->channel);
    if (code < 0 || !await(replay, &replay->opened))
        return ctl_complain(CTL_FAILED, "RabbitMQ: no channel to publish on");
    while (replay->done < replay->count && exit_code == CTL_FINE) {
        struct parcel *parcel = &replay->parcels[replay->done];
        progress_show(&progress, "replaying:", replay->done, replay->count);
        exit_code = publish(replay, parcel);
        if (exit_code != CTL_FINE)
            break;
        dead_queue_ack(queue, parcel->tag);
        replay->done++;
    }
    progress_end(&progress);
    return exit_code;
}

/* ---- the command ---- */

static int prepare(struct replay *replay)
{
    size_t len;
    struct ctl *ctl = replay->ctl;
    const char *secret = cfg_secret(ctl->cfg, CFG_ORDER_SECRET_FILE, &len);
    int exit_code = ctl_need(ctl, &contact_pg);
    if (exit_code == CTL_FINE)
        exit_code = serving_need(ctl, &replay->shards);
    if (exit_code != CTL_FINE)
        return exit_code;
    replay->ids = ids_new(secret, len);
    replay->timer = loop_timer_new(ctl->loop, too_late, replay);
    if (replay->ids == NULL || replay->timer == NULL)
        return ctl_complain(CTL_FAILED, "out of memory");
    return CTL_FINE;
}

static int report(const struct replay *replay, int exit_code)
{
    size_t jobs = 0;
    for (size_t i = 0; i < replay->done; i++) {
        const struct parcel *parcel = &replay->parcels[i];
        jobs += parcel->jobs;
        if (replay->ctl->json)
            (void)printf("{\"id\":\"%s\",\"shard\":%" PRIu32 ",\"jobs\":%zu}\n", parcel->id,
                         parcel->shard, parcel->jobs);
    }
    if (!replay->ctl->json)
        (void)printf("replayed %zu letters with %zu jobs\n", replay->done, jobs);
    return exit_code == CTL_FINE && replay->refused > 0 ? CTL_FAILED : exit_code;
}

static int work(struct replay *replay)
{
    struct dead_queue *queue = NULL;
    int exit_code = prepare(replay);
    if (exit_code == CTL_FINE)
        exit_code = dead_queue_open(replay->ctl, take, replay, &queue);
    if (exit_code != CTL_FINE)
        return exit_code;
    if (replay->code < 0)
        exit_code = ctl_complain(CTL_FAILED, "%s; nothing was replayed", err_text(replay->code));
    else if (replay->id != NULL && replay->count + replay->refused == 0)
        exit_code = ctl_complain(CTL_FAILED, "no dead letter has the id \"%.40s\"", replay->id);
    else if (replay->count > 0)
        exit_code = publish_all(replay, queue);
    broker_channel_close(replay->channel);
    dead_queue_close(queue);
    return exit_code;
}

static int run(struct ctl *ctl, const struct command_args *args)
{
    struct replay replay = {.ctl = ctl, .id = args->operands[0]};
    bool all = command_switch(&command_dead_replay, args, "all");
    if (all == (replay.id != NULL))
        return ctl_complain(CTL_USAGE, "dead replay needs either an ID or --all");
    int exit_code = work(&replay);
    if (replay.shards > 0)
        exit_code = report(&replay, exit_code);
    for (size_t i = 0; i < replay.count; i++)
        buf_free(&replay.parcels[i].message);
    free(replay.parcels);
    ids_free(replay.ids);
    loop_timer_free(replay.timer);
    return exit_code;
}

const struct command command_dead_replay = {
    .words = "dead replay",
    .operands = "[ID]",
    .operand_count = 1,
    .optional_count = 1,
    .summary = "sends dead letters to the consumers again",
    .details =
        "Publishes each to the end of its shard's queue and removes it when RabbitMQ has "
        "confirmed. A letter that a consumer still cannot read stays. Orders that are already "
        "decided stay as they are, so a second run, or a kill in between, charges no buyer twice.",
    .options = {{"all", NULL, "every one that can be read, oldest first"}},
    .settings = CFG_BIT(AMQP_URL) | CFG_BIT(AMQP_HEARTBEAT) | CFG_BIT(DATABASE_URL) |
                CFG_BIT(ORDER_SECRET_FILE),
    .run = run,
};
