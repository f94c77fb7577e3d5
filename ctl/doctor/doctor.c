#include <stdio.h>
#include <stdlib.h>

#include "ctl/command.h"
#include "ctl/doctor/findings.h"

static int run(struct ctl *ctl, const struct command_args *args)
{
    (void)args;
    struct doctor *doctor = calloc(1, sizeof *doctor);
    if (doctor == NULL)
        return ctl_complain(CTL_FAILED, "out of memory");
    doctor->ctl = ctl;
    doctor->shards = (uint32_t)cfg_int(ctl->cfg, CFG_SHARDS);
    doctor_settings(doctor);
    doctor_database(doctor);
    doctor_broker(doctor);
    doctor_redis(doctor);
    doctor_gateway(doctor);
    size_t failures = findings_count(doctor, FINDING_FAIL);
    size_t warnings = findings_count(doctor, FINDING_WARN);
    if (ctl->json)
        findings_print_json(doctor);
    else if (failures + warnings == 0)
        (void)puts("all is well");
    else
        (void)printf("%zu to mend, %zu to look at\n", failures, warnings);
    free(doctor);
    return failures == 0 ? CTL_FINE : CTL_FAILED;
}

const struct command command_doctor = {
    .words = "doctor",
    .operands = "",
    .summary = "checks settings and servers, and names remedies",
    .details =
        "Checks the settings of every program and the files of secrets; PostgreSQL (version, "
        "whether it takes writes and no pooler is in between, durability, migrations, each host of "
        "the URL, shards in service, daemons that are dead or not "
        "ready, payments that wait for the gateway for more than 10 s, money that needs a person, "
        "mails that wait or failed); "
        "RabbitMQ (version, exchanges, queues and their "
        "arguments, messages that wait while no order is decided, dead and dropped ones, whether "
        "the database is the newest by the "
        "milestones; "
        "policies with CHECKOUT_BROKER_API_URL); Redis "
        "(version, each command that the programs use, whether one address sends most orders); and "
        "with CHECKOUT_GATEWAY_* the payment "
        "gateway, whose list of payments it asks for, 5 s at most. Changes nothing. Exit code 1 if "
        "anything fails.",
    .settings = CFG_BIT(AMQP_URL) | CFG_BIT(BROKER_API_URL) | CFG_BIT(AMQP_HEARTBEAT) |
                CFG_BIT(SHARDS) | CFG_BIT(QUEUE_MAX_BYTES) | CFG_BIT(QUEUE_REPLICAS) |
                CFG_BIT(DATABASE_URL) | CFG_BIT(REDIS_URL) | CFG_BIT(JWT_SECRET_FILE) |
                CFG_BIT(ORDER_SECRET_FILE),
    .run = run,
};
