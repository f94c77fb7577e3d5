#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "common/base/err.h"
#include "common/base/parse.h"
#include "common/shop/shard.h"
#include "common/shop/topology.h"
#include "ctl/doctor/findings.h"
#include "ctl/progress.h"

#define OLDEST_MAJOR 3
#define OLDEST_MINOR 10
#define SHARED_CHANNELS 2 /* of a consumer, beside those of the shards */

struct looking {
    struct ctl *ctl;
    struct progress progress;
    int code;
    char problem[CTL_PROBLEM_SIZE];
    uint32_t messages; /* of the last queue */
    uint32_t consumers;
};

static void looked_at_some(uint32_t done, uint32_t total, void *arg)
{
    struct looking *looking = arg;
    progress_show(&looking->progress, "checking exchanges and queues:", done, total);
}

static void note(struct looking *looking, int code, const char *problem)
{
    progress_end(&looking->progress);
    looking->code = code;
    (void)snprintf(looking->problem, sizeof looking->problem, "%s", problem == NULL ? "" : problem);
}

static void compared(int code, const char *problem, void *arg)
{
    struct looking *looking = arg;
    note(looking, code, problem);
    loop_stop(looking->ctl->loop);
}

static void check_version(struct doctor *doctor)
{
    const char *version = broker_server_version(doctor->ctl->broker);
    int64_t major;
    int64_t minor = 0;
    const char *rest = version + parse_digits(version, &major);
    if (*rest == '.')
        (void)parse_digits(rest + 1, &minor);
    if (major < OLDEST_MAJOR || (major == OLDEST_MAJOR && minor < OLDEST_MINOR))
        doctor_say(doctor, FINDING_FAIL, "rabbitmq", "use RabbitMQ 3.10 or newer",
                   "RabbitMQ %s is too old", version);
    else
        doctor_say(doctor, FINDING_OK, "rabbitmq", "", "RabbitMQ %s answers", version);
    uint32_t needed = doctor->shards + SHARED_CHANNELS;
    if (broker_channels(doctor->ctl->broker) < needed)
        doctor_say(doctor, FINDING_FAIL, "rabbitmq",
                   "raise channel_max, or the user's limit of channels",
                   "it allows %u channels for a connection; a consumer of all shards needs %u",
                   broker_channels(doctor->ctl->broker), needed);
    if (broker_state(doctor->ctl->broker) == BROKER_BLOCKED)
        doctor_say(doctor, FINDING_FAIL, "rabbitmq", "free memory or disk on the broker's host",
                   "it takes no messages now (memory or disk alarm)");
}

/* Whether everything is there, with the arguments of the settings. */
static bool check_topology(struct doctor *doctor)
{
    struct ctl *ctl = doctor->ctl;
    struct looking looking = {.ctl = ctl};
    const struct topology_options options = {
        .shards = doctor->shards,
        .queue_max_bytes = cfg_int(ctl->cfg, CFG_QUEUE_MAX_BYTES),
        .replicas = cfg_int(ctl->cfg, CFG_QUEUE_REPLICAS),
    };
    int code = topology_compare(ctl->broker, &options, looked_at_some, compared, &looking);
    if (code == 0)
        loop_run(ctl->loop);
    else
        note(&looking, code, err_text(code));
    if (looking.code == 0)
        doctor_say(doctor, FINDING_OK, "queues", "",
                   "%u shard queues and %s are there, with the arguments of the settings",
                   options.shards, SHARD_DEAD);
    else
        doctor_say(doctor, FINDING_FAIL, "queues", "", "%s", looking.problem);
    return looking.code == 0;
}

static void counted(int code, const char *text, uint32_t messages, uint32_t consumers, void *arg)
{
    struct looking *looking = arg;
    (void)text;
    looking->code = code;
    looking->messages = messages;
    looking->consumers = consumers;
    loop_stop(looking->ctl->loop);
}

/* How full a queue is; false without an answer. */
static bool count_queue(struct looking *looking, const char *queue)
{
    struct ctl *ctl = looking->ctl;
    looking->code = broker_declare_queue(ctl->broker, queue, NULL, 0, true, counted, looking);
    if (looking->code == 0)
        loop_run(ctl->loop);
    return looking->code == 0;
}

static const struct pg_statement decided_of_late = {
    "ctl_doctor_decided",
    "select exists (select 1 from checkout.orders o"
    "                where checkout.second_of(o.created_at)"
    "                      >= checkout.second_of(now() - interval '10 s')"
    "                  and o.created_at > now() - interval '10 s')",
    0};

static void read_decided(const struct pg_result *result, void *arg)
{
    *(bool *)arg = pg_bool(result, 0, 0);
}

static void say_queues(struct doctor *doctor, uint32_t unserved, uint64_t messages)
{
    bool decided = true;
    if (messages > 0 && unserved == 0 && doctor->ctl->pg != NULL &&
        ctl_try_query(doctor->ctl, &decided_of_late, NULL, read_decided, &decided) != CTL_FINE)
        decided = true; /* PostgreSQL does not say, and has a finding of its own */
    if (unserved > 0)
        doctor_say(doctor, FINDING_WARN, "queues",
                   "start checkout-consumer, or look into its log: orders wait until it runs",
                   "%u of %u shard queues have no consumer; %" PRIu64 " messages wait", unserved,
                   doctor->shards, messages);
    else if (!decided)
        doctor_say(doctor, FINDING_WARN, "queues",
                   "look into the consumers' logs; `checkoutctl shards` says when another program "
                   "takes the messages",
                   "%" PRIu64 " messages wait, and no order was decided for 10 s", messages);
    else
        doctor_say(doctor, FINDING_OK, "queues", "",
                   "all have consumers; %" PRIu64 " messages wait", messages);
}

static void count_shards(struct doctor *doctor, struct looking *looking)
{
    uint32_t shards = doctor->shards;
    uint64_t messages = 0;
    uint32_t unserved = 0;
    for (uint32_t shard = 0; shard < shards; shard++) {
        char queue[SHARD_NAME_SIZE];
        shard_queue(shards, shard, queue);
        if (!count_queue(looking, queue))
            return; /* deleted meanwhile: the next check reports it */
        messages += looking->messages;
        unserved += looking->consumers == 0 ? 1 : 0;
        progress_show(&looking->progress, "counting messages:", shard + 1, shards);
    }
    progress_end(&looking->progress);
    say_queues(doctor, unserved, messages);
}

static void count_dead(struct doctor *doctor, struct looking *looking)
{
    if (!count_queue(looking, SHARD_DEAD))
        return;
    if (looking->messages > 0)
        doctor_say(doctor, FINDING_WARN, "queues",
                   "see `checkoutctl dead list`; their header x-checkout-reason names the reason",
                   "%u dead messages in %s", looking->messages, SHARD_DEAD);
    else
        doctor_say(doctor, FINDING_OK, "queues", "", "no dead messages");
}

void doctor_broker(struct doctor *doctor)
{
    struct looking looking = {.ctl = doctor->ctl};
    const char *reason;
    enum contact_state link = ctl_meet(doctor->ctl, &contact_broker, &reason);
    if (link != CONTACT_UP) {
        doctor_say(
            doctor, FINDING_FAIL, "rabbitmq",
            link == CONTACT_DOWN
                ? "start it, or set CHECKOUT_AMQP_URL right; no orders are accepted meanwhile"
                : "set CHECKOUT_AMQP_URL right",
            "%s", reason);
        return;
    }
    check_version(doctor);
    if (doctor->shards == 0)
        doctor_say(doctor, FINDING_WARN, "queues",
                   "run `checkoutctl topology`, or make PostgreSQL answer",
                   "not checked: it is not known how many shards there are");
    if (doctor->shards == 0 || !check_topology(doctor))
        return;
    doctor_milestones(doctor);
    doctor_policies(doctor);
    count_shards(doctor, &looking);
    count_dead(doctor, &looking);
}
