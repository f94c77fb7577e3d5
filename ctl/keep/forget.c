/* A customer's name goes, wherever it stands. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/attrs.h"
#include "common/shop/job.h"
#include "common/shop/redis_keys.h"
#include "ctl/command.h"
#include "ctl/keep/forget_letters.h"
#include "ctl/request.h"

#define CHUNK "200"
#define CHUNK_MS "60000" /* the last one walks over whole tables, without a lock */
#define BUSY_MS 50
#define BUSY_MAX 600
#define NUMBER_SIZE 24
#define NAME_SIZE 48
#define REFUSED "CK007"
#define KEYS 2
#define KEY_SIZE (sizeof REDIS_KEY_LIMIT + sizeof "user:" + JOB_USER_MAX)

static const struct pg_statement begin_forget = {
    "ctl_forget_begin",
    "select checkout.begin_forget($1::text, $2::text), 'forgotten-' || gen_random_uuid(),"
    "       set_config('statement_timeout', '" CHUNK_MS "', false)",
    2};
static const struct pg_statement forget_orders = {
    "ctl_forget_orders",
    "select orders, busy from checkout.forget_orders($1::bigint, $2::text, $3::text, $4::integer)",
    4};

struct forget {
    struct ctl *ctl;
    const char *user;
    size_t letters; /* dead ones that went */
    char number[NUMBER_SIZE];
    char name[NAME_SIZE]; /* that replaces the user's */
    int64_t orders;       /* of the last chunk */
    bool busy;
    int64_t all;
    size_t keys_open;
    bool redis_failed;
};

/* ---- the tables ---- */

static void take_begin(const struct pg_result *result, void *arg)
{
    struct forget *forget = arg;
    (void)snprintf(forget->number, sizeof forget->number, "%s", pg_text(result, 0, 0));
    (void)snprintf(forget->name, sizeof forget->name, "%s", pg_text(result, 0, 1));
}

static void take_chunk(const struct pg_result *result, void *arg)
{
    struct forget *forget = arg;
    forget->orders = pg_int(result, 0, 0);
    forget->busy = pg_bool(result, 0, 1);
    forget->all += forget->orders;
}

static int refuse_or_fail(const struct forget *forget)
{
    const struct ctl *ctl = forget->ctl;
    if (strcmp(ctl->sqlstate, REFUSED) == 0)
        return ctl_complain(CTL_FAILED, "not forgotten: %s", ctl->problem);
    return ctl_complain_query(ctl);
}

/* One chunk after the other, until none is left. */
static int rename_all(struct forget *forget)
{
    const char *const params[] = {forget->number, forget->user, forget->name, CHUNK};
    unsigned busy = 0;
    do {
        forget->busy = false;
        int exit_code = ctl_try_query(forget->ctl, &forget_orders, params, take_chunk, forget);
        if (exit_code != CTL_FINE && ctl_was_locked_out(forget->ctl))
            forget->busy = true;
        else if (exit_code != CTL_FINE)
            return refuse_or_fail(forget);
        busy = forget->busy ? busy + 1 : 0;
        if (busy == BUSY_MAX)
            return ctl_complain(CTL_FAILED, "a shard stays locked by another session: run it again "
                                            "later, it goes on where it stopped");
        if (forget->busy && ctl_rest(forget->ctl, BUSY_MS) != CTL_FINE)
            return CTL_FAILED;
    } while (forget->busy || forget->orders > 0);
    return CTL_FINE;
}

/* ---- Redis ---- */

static void deleted(const struct redis_reply *reply, void *arg)
{
    struct forget *forget = arg;
    if (reply->type != REDIS_INTEGER)
        forget->redis_failed = true;
    if (--forget->keys_open == 0)
        loop_stop(forget->ctl->loop);
}

/* What Redis keeps under the user's name lives for a minute or so. */
static int delete_keys(struct forget *forget)
{
    char keys[KEYS][KEY_SIZE];
    int exit_code = ctl_need(forget->ctl, &contact_redis);
    if (exit_code != CTL_FINE)
        return exit_code;
    (void)snprintf(keys[0], KEY_SIZE, "%suser:%s", REDIS_KEY_LIMIT, forget->user);
    (void)snprintf(keys[1], KEY_SIZE, "%s%s", REDIS_KEY_OPEN, forget->user);
    for (size_t i = 0; i < KEYS; i++) {
        const char *const words[] = {"DEL", keys[i]};
        const size_t lens[] = {3, strlen(keys[i])};
        if (redis_command(forget->ctl->redis, ARRAY_LEN(words), words, lens, deleted, forget) < 0)
            forget->redis_failed = true;
        else
            forget->keys_open++;
    }
    if (forget->keys_open > 0)
        loop_run(forget->ctl->loop);
    return forget->redis_failed ? ctl_complain(CTL_FAILED, "Redis did not delete the user's keys")
                                : CTL_FINE;
}

/* ---- the command ---- */

static int forget_user(struct forget *forget)
{
    char by[REQUEST_WHO_SIZE];
    const char *const params[] = {forget->user, by};
    struct forget_letters *letters = NULL;
    int exit_code = ctl_need(forget->ctl, &contact_pg);
    request_who(by);
    if (exit_code == CTL_FINE)
        exit_code = forget_letters_open(forget->ctl, forget->user, &letters);
    if (exit_code != CTL_FINE)
        return exit_code;
    if (ctl_try_query(forget->ctl, &begin_forget, params, take_begin, forget) != CTL_FINE)
        exit_code = refuse_or_fail(forget);
    else
        forget->letters = forget_letters_drop(letters);
    forget_letters_close(letters);
    if (exit_code == CTL_FINE)
        exit_code = rename_all(forget);
    return exit_code == CTL_FINE ? delete_keys(forget) : exit_code;
}

static int run(struct ctl *ctl, const struct command_args *args)
{
    struct forget forget = {.ctl = ctl, .user = command_option(&command_forget, args, "user")};
    if (forget.user == NULL || !job_user_valid(forget.user, strlen(forget.user)))
        return ctl_complain(CTL_USAGE, "--user must be given: the `sub` of the buyer's tokens");
    int exit_code = forget_user(&forget);
    if (exit_code != CTL_FINE)
        return exit_code;
    if (ctl->json)
        (void)printf("{\"forget\":%s,\"orders\":%" PRId64 ",\"dead_letters\":%zu}\n", forget.number,
                     forget.all, forget.letters);
    else
        (void)printf("%" PRId64
                     " orders have another name now, %zu dead letters went (record %s)\n",
                     forget.all, forget.letters, forget.number);
    return CTL_FINE;
}

const struct command command_forget = {
    .words = "forget",
    .operands = "",
    .summary = "takes a customer's name out of everything",
    .details =
        "A random name takes the place of USER in orders, commands and counts; addresses, the "
        "shop's references and notes go. Sums stay, and so do limits: of items with a limit a "
        "digest of the name keeps how many units were bought. Dead letters of orders that are "
        "decided go. Refused while an order, a job set aside or a cancel of theirs is open, or a "
        "dead letter may be an order. Take the customer's login away "
        "first. May be stopped at any time, and run again. What is on the broker's way is not "
        "seen: run it again after a minute. Copies outside (logs, backups, the gateway, the "
        "shop's own programs) are yours to clear.",
    .options = {{"user", "USER", "the customer, as the tokens' `sub` has it"}},
    .settings =
        CFG_BIT(DATABASE_URL) | CFG_BIT(REDIS_URL) | CFG_BIT(AMQP_URL) | CFG_BIT(AMQP_HEARTBEAT),
    .run = run,
};
