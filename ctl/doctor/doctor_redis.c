#include <stdio.h>
#include <string.h>

#include "common/base/err.h"
#include "common/service/servers.h"
#include "common/shop/redis_keys.h"
#include "ctl/doctor/findings.h"

#define SUBSCRIBE_MS 3000
#define PROBE_CHANNEL (REDIS_CHANNEL_EVENTS "checkoutctl doctor")
#define PROBE_SEEN (REDIS_KEY_SEEN "doctor")
#define PROBE_GATE (REDIS_KEY_GATE "doctor")
#define PROBE_LOCK (REDIS_KEY_LOCK "doctor")

struct asking {
    struct ctl *ctl;
    bool lost; /* no answer came */
    char version[32];
};

/* "redis_version:7.0.15\r\n" out of INFO's text. */
static void read_info(const struct redis_reply *reply, void *arg)
{
    static const char key[] = "redis_version:";
    struct asking *asking = arg;
    const char *found =
        reply->type == REDIS_STRING ? memmem(reply->str, reply->len, key, sizeof key - 1) : NULL;
    if (found != NULL) {
        found += sizeof key - 1;
        size_t left = (size_t)(reply->str + reply->len - found);
        size_t len = 0;
        while (len < left && len < sizeof asking->version - 1 && found[len] > ' ')
            len++;
        memcpy(asking->version, found, len);
        asking->version[len] = '\0';
    }
    asking->lost = reply->type == REDIS_LOST;
    loop_stop(asking->ctl->loop);
}

/* ---- may we do what the programs do? ---- */

struct trial {
    struct ctl *ctl;
    const char *command; /* that was refused; NULL: none */
    char problem[160];
};

static void refused(struct trial *trial, const char *command, const char *problem, size_t len)
{
    trial->command = command;
    (void)snprintf(trial->problem, sizeof trial->problem, "%.*s", (int)(len < 150 ? len : 150),
                   problem);
}

static void read_trial(const struct redis_reply *reply, void *arg)
{
    struct trial *trial = arg;
    static const char lost[] = "the connection was lost";
    if (reply->type == REDIS_ERROR)
        refused(trial, "", reply->str, reply->len);
    else if (reply->type == REDIS_LOST)
        refused(trial, "", lost, sizeof lost - 1);
    loop_stop(trial->ctl->loop);
}

/* Each command as a program sends it; what it leaves behind lives for 1 ms. */
static void try_commands(struct trial *trial)
{
    static const struct {
        const char *argv[6];
        size_t argc;
    } commands[] = {
        {{"PUBLISH", PROBE_CHANNEL, ""}, 3},
        {{"SET", PROBE_SEEN, "", "NX", "PX", "1"}, 6},
        {{"EVAL", "return redis.call('get', KEYS[1])", "1", PROBE_GATE}, 4},
        {{"DEL", PROBE_LOCK}, 2},
    };
    for (size_t i = 0; i < ARRAY_LEN(commands) && trial->command == NULL; i++) {
        size_t lens[6] = {0};
        for (size_t j = 0; j < commands[i].argc; j++)
            lens[j] = strlen(commands[i].argv[j]);
        int code = redis_command(trial->ctl->redis, commands[i].argc, commands[i].argv, lens,
                                 read_trial, trial);
        if (code == 0)
            loop_run(trial->ctl->loop);
        else
            refused(trial, "", err_text(code), strlen(err_text(code)));
        if (trial->command != NULL)
            trial->command = commands[i].argv[0];
    }
}

static void subscription_taken(const char *channel, size_t channel_len, void *arg)
{
    (void)channel;
    (void)channel_len;
    const struct trial *trial = arg;
    loop_stop(trial->ctl->loop);
}

static void subscription_refused(const char *channel, size_t channel_len, const char *problem,
                                 void *arg)
{
    (void)channel;
    (void)channel_len;
    struct trial *trial = arg;
    refused(trial, "SUBSCRIBE", problem, strlen(problem));
    loop_stop(trial->ctl->loop);
}

static void out_of_patience(void *arg)
{
    struct trial *trial = arg;
    static const char problem[] = "no answer within 3 s";
    refused(trial, "SUBSCRIBE", problem, sizeof problem - 1);
    loop_stop(trial->ctl->loop);
}

static void try_subscription(struct trial *trial)
{
    const struct redis_subscriber_events events = {.subscribed = subscription_taken,
                                                   .refused = subscription_refused};
    struct loop_timer *patience = loop_timer_new(trial->ctl->loop, out_of_patience, trial);
    const struct redis_server server = servers_redis(trial->ctl->cfg);
    struct redis_subscriber *subscriber =
        redis_subscriber_open(trial->ctl->loop, &server, &events, trial);
    if (patience != NULL && subscriber != NULL && redis_subscribe(subscriber, PROBE_CHANNEL) == 0) {
        loop_timer_start(patience, SUBSCRIBE_MS, 0);
        loop_run(trial->ctl->loop);
    }
    redis_subscriber_close(subscriber);
    loop_timer_free(patience);
}

static void try_rights(struct doctor *doctor)
{
    struct trial trial = {.ctl = doctor->ctl};
    try_commands(&trial);
    if (trial.command == NULL)
        try_subscription(&trial);
    if (trial.command != NULL)
        doctor_say(doctor, FINDING_FAIL, "redis",
                   "give the user of CHECKOUT_REDIS_URL the rights ~checkout:* &checkout:* +@all, "
                   "and Redis room for keys; buyers are served from PostgreSQL meanwhile, later",
                   "Redis refuses %s: %s", trial.command, trial.problem);
}

void doctor_redis(struct doctor *doctor)
{
    struct ctl *ctl = doctor->ctl;
    const char *reason;
    enum contact_state link = ctl_meet(ctl, &contact_redis, &reason);
    if (link != CONTACT_UP) {
        doctor_say(doctor, FINDING_FAIL, "redis",
                   link == CONTACT_DOWN ? "start it, or set CHECKOUT_REDIS_URL right; orders are "
                                          "accepted and decided meanwhile, events come late"
                                        : "set CHECKOUT_REDIS_URL right",
                   "%s", reason);
        return;
    }
    const char *const argv[] = {"INFO", "server"};
    const size_t len[] = {4, 6};
    struct asking asking = {ctl, true, "of unknown version"};
    if (redis_command(ctl->redis, 2, argv, len, read_info, &asking) == 0)
        loop_run(ctl->loop);
    if (asking.lost) {
        doctor_say(doctor, FINDING_FAIL, "redis", "look into its log, and run doctor again",
                   "it answered the login, and then nothing");
        return;
    }
    doctor_say(doctor, FINDING_OK, "redis", "", "Redis %s answers", asking.version);
    try_rights(doctor);
    doctor_senders(doctor);
}
