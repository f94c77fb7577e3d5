/* What policies of RabbitMQ set on our queues. AMQP does not show them; the management API does,
 * and what they have dropped is in the database. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include <jansson.h>

#include "common/base/encode.h"
#include "common/shop/shard.h"
#include "ctl/broker_api.h"
#include "ctl/doctor/findings.h"

#define PATH_MAX_BYTES ((size_t)1024)

/* Parts of a policy that drop messages, or refuse or move them otherwise than our arguments say. */
static const char *const harmful[] = {
    "message-ttl",         "expires",  "max-length",           "max-length-bytes",
    "delivery-limit",      "overflow", "dead-letter-exchange", "dead-letter-routing-key",
    "dead-letter-strategy"};

#define LOST_HOURS 24
static const struct pg_statement lost_jobs = {
    "ctl_doctor_lost_jobs", "select jobs, pending, causes from checkout.lost_jobs(24)", 0};

struct lost {
    int64_t jobs;
    int64_t pending;
    char causes[128];
};

static void read_lost(const struct pg_result *result, void *arg)
{
    struct lost *lost = arg;
    lost->jobs = pg_int(result, 0, 0);
    lost->pending = pg_int(result, 0, 1);
    (void)snprintf(lost->causes, sizeof lost->causes, "%s", pg_text(result, 0, 2));
}

static void check_lost(struct doctor *doctor)
{
    struct lost lost = {0};
    if (doctor->ctl->pg == NULL || !pg_is_up(doctor->ctl->pg) ||
        !doctor_ask(doctor, &lost_jobs, read_lost, &lost))
        return;
    if (lost.jobs > 0)
        doctor_say(doctor, FINDING_FAIL, "queues",
                   "let no policy of RabbitMQ match checkout.* (docs/operations.md); buyers "
                   "see their orders as expired",
                   "RabbitMQ dropped %" PRId64 " jobs in the last %d h (%s); %" PRId64
                   " orders are still to be ended",
                   lost.jobs, LOST_HOURS, lost.causes, lost.pending);
}

/* Asks for the queues. */
static void call(struct broker_api *api, struct broker_api_answer *ret_answer)
{
    struct buf path;
    buf_init(&path, PATH_MAX_BYTES);
    (void)buf_str(&path, "queues/");
    (void)percent_encode(&path, api->vhost);
    (void)buf_str(&path, "?columns=name,policy,operator_policy,effective_policy_definition");
    broker_api_call(api, "GET", buf_text(&path), NULL, ret_answer);
    buf_free(&path);
}

static bool is_ours(const char *name, uint32_t shards)
{
    char exchange[SHARD_NAME_SIZE];
    shard_exchange(shards, exchange);
    size_t len = strlen(exchange);
    return (strncmp(name, exchange, len) == 0 && name[len] == '.') ||
           strcmp(name, SHARD_DEAD) == 0 || strcmp(name, SHARD_LOST) == 0;
}

/* Appends what is harmful in it; how many parts. */
static size_t add_harm(struct buf *out, const json_t *definition)
{
    size_t count = 0;
    for (size_t i = 0; i < sizeof harmful / sizeof harmful[0]; i++)
        if (json_object_get(definition, harmful[i]) != NULL)
            (void)buf_printf(out, "%s%s", count++ == 0 ? "" : ", ", harmful[i]);
    return count;
}

static const char *text_of(const json_t *queue, const char *member)
{
    const char *text = json_string_value(json_object_get(queue, member));
    return text == NULL ? "" : text;
}

static void judge(struct doctor *doctor, const json_t *queues)
{
    size_t ours = 0, harmed = 0;
    const json_t *example = NULL;
    struct buf parts;
    buf_init(&parts, FINDING_SIZE);
    for (size_t i = 0; i < json_array_size(queues); i++) {
        const json_t *queue = json_array_get(queues, i);
        if (!is_ours(text_of(queue, "name"), doctor->shards))
            continue;
        ours++;
        buf_reset(&parts);
        if (add_harm(&parts, json_object_get(queue, "effective_policy_definition")) == 0)
            continue;
        harmed++;
        example = queue;
    }
    if (example != NULL) {
        buf_reset(&parts);
        (void)add_harm(&parts, json_object_get(example, "effective_policy_definition"));
        const char *policy = text_of(example, "policy");
        if (policy[0] == '\0')
            policy = text_of(example, "operator_policy");
        doctor_say(doctor, FINDING_FAIL, "queues",
                   "let no policy that sets these match checkout.*: accepted orders are dropped by "
                   "it (docs/operations.md)",
                   "policy %.80s sets %s on %zu of our queues, such as %.80s", policy,
                   buf_text(&parts), harmed, text_of(example, "name"));
    } else if (ours == 0) {
        doctor_say(doctor, FINDING_WARN, "queues", "compare the hosts of both URLs",
                   "the API of CHECKOUT_BROKER_API_URL shows none of our queues");
    } else {
        doctor_say(doctor, FINDING_OK, "queues", "", "no policy drops messages of our %zu queues",
                   ours);
    }
    buf_free(&parts);
}

void doctor_policies(struct doctor *doctor)
{
    struct broker_api api;
    struct broker_api_answer answer;
    check_lost(doctor);
    if (cfg_str(doctor->ctl->cfg, CFG_BROKER_API_URL)[0] == '\0') {
        doctor_say(doctor, FINDING_OK, "queues", "",
                   "policies are not looked at (CHECKOUT_BROKER_API_URL is not set)");
        return;
    }
    if (broker_api_open(doctor->ctl, &api) < 0)
        return; /* the connection has reported it */
    call(&api, &answer);
    if (answer.code < 0)
        doctor_say(doctor, FINDING_WARN, "queues",
                   "set CHECKOUT_BROKER_API_URL right, or leave it empty",
                   "RabbitMQ's management API does not answer: %s", answer.reason);
    else if (answer.status != 200 || !json_is_array(answer.body))
        doctor_say(doctor, FINDING_WARN, "queues",
                   "give the user of CHECKOUT_AMQP_URL the tag management",
                   "RabbitMQ's management API answers %u", answer.status);
    else
        judge(doctor, answer.body);
    broker_api_answer_free(&answer);
    broker_api_close(&api);
}
