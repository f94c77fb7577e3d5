/* The consumers: who lives, and what those lack that are not ready. */
#include <inttypes.h>

#include "common/net/amqp/broker_url.h"
#include "ctl/doctor/findings.h"

#define ADVICE "mend what it says; its log has the details"

/* A member exists while it holds its lock. */
#define HOLDS_ITS_LOCK                                                                             \
    " where exists (select 1 from pg_locks k where k.locktype = 'advisory' and k.granted"          \
    "   and k.classid = checkout.member_lock_class()::oid and k.objid = c.member_id::oid)"

static const struct pg_statement members = {
    "ctl_doctor_members",
    "select count(*), count(*) filter (where ready), (select count(*) from checkout.consumers k"
    "                                                   where k.heartbeat_at > now() - interval "
    "'10 minutes')"
    "  from checkout.consumers c" HOLDS_ITS_LOCK,
    0};

static const struct pg_statement not_ready = {
    "ctl_doctor_not_ready",
    "select c.name, coalesce(c.not_ready, 'it does not say why')"
    "  from checkout.consumers c" HOLDS_ITS_LOCK " and not c.ready order by c.name limit 8",
    0};

static const struct pg_statement nodes = {"ctl_doctor_nodes",
                                          "select count(*), count(distinct c.node), min(c.node)"
                                          "  from checkout.consumers c" HOLDS_ITS_LOCK
                                          " and c.node is not null",
                                          0};

static const struct pg_statement unowned = {
    "ctl_doctor_unowned",
    "select count(*) filter (where s.owner is null), count(*)"
    "  from checkout.shards s join checkout.service v on v.shards = s.shards",
    0};

struct living {
    int64_t alive, ready;
    int64_t known; /* also those that died in the last 10 minutes */
};

static void read_living(const struct pg_result *result, void *arg)
{
    *(struct living *)arg =
        (struct living){pg_int(result, 0, 0), pg_int(result, 0, 1), pg_int(result, 0, 2)};
}

struct pair {
    int64_t first, second;
};

static void read_pair(const struct pg_result *result, void *arg)
{
    struct pair *pair = arg;
    pair->first = pg_int(result, 0, 0);
    pair->second = pg_int(result, 0, 1);
}

static void name_them(const struct pg_result *result, void *arg)
{
    struct doctor *doctor = arg;
    for (int row = 0; row < pg_rows(result); row++)
        doctor_say(doctor, FINDING_WARN, "consumers", ADVICE, "%s is not ready: %s",
                   pg_text(result, row, 0), pg_text(result, row, 1));
}

/* Of the URL in our own settings, which should be theirs. */
static size_t broker_nodes(const struct doctor *doctor)
{
    struct broker_hosts hosts = {0};
    const char *problem;
    if (broker_url_parse(cfg_str(doctor->ctl->cfg, CFG_AMQP_URL), &hosts, &problem) < 0)
        return 0;
    size_t count = hosts.count;
    broker_url_free(&hosts);
    return count;
}

/* If that one node hangs, nothing is decided until its clients notice. */
static void say_gathered(const struct pg_result *result, void *arg)
{
    struct doctor *doctor = arg;
    size_t known = broker_nodes(doctor);
    if (pg_int(result, 0, 0) < 2 || pg_int(result, 0, 1) != 1 || known < 2)
        return;
    doctor_say(doctor, FINDING_WARN, "consumers",
               "restart some of them, one after another: each goes to a node at random",
               "all %" PRId64 " consumers are at one of %zu RabbitMQ nodes: %s",
               pg_int(result, 0, 0), known, pg_text(result, 0, 2));
}

void doctor_members(struct doctor *doctor)
{
    struct living of = {0, 0, 0};
    struct pair shards = {0, 0};
    if (!doctor_ask(doctor, &members, read_living, &of) ||
        !doctor_ask(doctor, &unowned, read_pair, &shards))
        return;
    if (of.alive == 0)
        doctor_say(doctor, of.known > 0 ? FINDING_FAIL : FINDING_WARN, "consumers",
                   "start checkout-consumer; orders are accepted and wait meanwhile",
                   "none is alive");
    else if (of.ready < of.alive)
        doctor_say(doctor, FINDING_WARN, "consumers", "see the lines that follow",
                   "%" PRId64 " alive, %" PRId64 " of them ready", of.alive, of.ready);
    else
        doctor_say(doctor, FINDING_OK, "consumers", "", "%" PRId64 " alive and ready", of.alive);
    if (of.ready < of.alive)
        (void)doctor_ask(doctor, &not_ready, name_them, doctor);
    (void)doctor_ask(doctor, &nodes, say_gathered, doctor);
    if (of.alive > 0 && shards.first > 0)
        doctor_say(doctor, FINDING_WARN, "shards", "they should be taken over within seconds",
                   "%" PRId64 " of %" PRId64 " have no owner", shards.first, shards.second);
}
