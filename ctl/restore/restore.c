/* A database that is behind the milestones in RabbitMQ becomes the shop's newest. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "common/base/err.h"
#include "common/shop/milestone_writer.h"
#include "ctl/command.h"
#include "ctl/gateway.h"
#include "ctl/milestones.h"
#include "ctl/restore/adopt.h"

#define WHO_SIZE 128
#define WHY_SIZE 512
#define NUMBER_SIZE 24
#define TICK_MS 100
#define KEEP_MS 10000 /* how long the new milestone may take */

static const struct pg_statement look = {
    "ctl_restore_look",
    "select coalesce(checkout.compare_milestones($1::text[]),"
    "                (select d.problem from checkout.database_problem(false) d"
    "                  where d.sqlstate_ = 'CK009')),"
    "       c.generation, checkout.restore_since(),"
    "       checkout.marked_generation($1::text[]) < c.generation"
    "  from checkout.database_check c",
    1};
static const struct pg_statement begin = {
    "ctl_restore_begin", "select checkout.begin_restore($1::text[], $2::boolean, $3)", 3};
static const struct pg_statement finish = {"ctl_restore_finish",
                                           "select checkout.finish_restore($1::text[], $2)", 2};
static const struct pg_statement milestone_now = {
    "ctl_restore_milestone", "select milestone, reserved from checkout.milestone_now()", 0};

struct restore {
    struct ctl *ctl;
    bool dry;
    bool anyway;
    bool leave;
    bool gateway;
    const char *feed; /* a file; NULL: none */
    struct milestones_read read;
    char who[WHO_SIZE];
    char why[WHY_SIZE]; /* "": it is not behind */
    int64_t generation;
    int64_t since_s;
    bool unmarked; /* no milestone has this generation */
    struct adoption adoption;
    struct milestone_writer *writer;
    struct loop_timer *tick;
    uint64_t ticks;
    bool kept;
};

/* ---- what there is ---- */

static void take_look(const struct pg_result *result, void *arg)
{
    struct restore *r = arg;
    (void)snprintf(r->why, sizeof r->why, "%s", pg_text(result, 0, 0));
    r->generation = pg_int(result, 0, 1);
    r->since_s = pg_int(result, 0, 2);
    r->unmarked = pg_bool(result, 0, 3);
}

static int look_at_milestones(struct restore *r)
{
    int exit_code = ctl_need(r->ctl, &contact_pg);
    if (exit_code == CTL_FINE)
        exit_code = ctl_need(r->ctl, &contact_broker);
    if (exit_code != CTL_FINE)
        return exit_code;
    milestones_read(r->ctl, &r->read);
    if (r->read.code == ERR_NOT_FOUND)
        return ctl_complain(CTL_FAILED, "RabbitMQ keeps no milestones; run `checkoutctl topology`");
    if (r->read.code < 0)
        return ctl_complain(CTL_FAILED, "the milestones in RabbitMQ: %s", r->read.problem);
    const char *const params[] = {buf_text(&r->read.milestones)};
    return ctl_query(r->ctl, &look, params, take_look, r);
}

static void name_ourselves(struct restore *r)
{
    char host[80] = "";
    if (gethostname(host, sizeof host - 1) != 0)
        host[0] = '\0';
    (void)snprintf(r->who, sizeof r->who, "checkoutctl at %s", host);
}

static void print_json(const struct restore *r, bool finished)
{
    (void)printf("{\"behind\":%s,\"finished\":%s,\"dry_run\":%s,\"milestones\":%zu,"
                 "\"restores\":%" PRId64 ",",
                 r->why[0] == '\0' ? "false" : "true", finished ? "true" : "false",
                 r->dry ? "true" : "false", r->read.count, r->generation);
    adoption_print_json(&r->adoption);
    (void)puts("}");
}

static int run_status(struct ctl *ctl, const struct command_args *args)
{
    struct restore r = {.ctl = ctl};
    (void)args;
    int exit_code = look_at_milestones(&r);
    if (exit_code == CTL_FINE && ctl->json)
        print_json(&r, false);
    else if (exit_code == CTL_FINE && r.why[0] == '\0')
        (void)printf("the database is the newest, by %zu milestones in RabbitMQ (restores: %" PRId64
                     ")\n",
                     r.read.count, r.generation);
    else if (exit_code == CTL_FINE)
        (void)printf("%s\nno program serves from it; if it is to be the shop's database, stop all "
                     "others that were, and run `checkoutctl restore finish`\n",
                     r.why);
    if (exit_code == CTL_FINE && r.why[0] != '\0')
        exit_code = CTL_FAILED;
    milestones_read_free(&r.read);
    return exit_code;
}

/* ---- finishing ---- */

static void take_begun(const struct pg_result *result, void *arg)
{
    struct restore *r = arg;
    (void)snprintf(r->why, sizeof r->why, "%s", pg_text(result, 0, 0));
}

static int begin_restore(struct restore *r)
{
    const char *const params[] = {buf_text(&r->read.milestones), r->anyway ? "t" : "f", r->who};
    return r->dry ? CTL_FINE : ctl_query(r->ctl, &begin, params, take_begun, r);
}

static int adopt_all(struct restore *r)
{
    int exit_code = r->gateway ? adopt_orders(r->ctl, r->since_s, r->dry, &r->adoption) : CTL_FINE;
    if (exit_code == CTL_FINE && r->feed != NULL)
        exit_code = adopt_feed(r->ctl, r->feed, r->dry, &r->adoption);
    if (exit_code != CTL_FINE || r->adoption.left == 0 || r->leave || r->dry)
        return exit_code;
    return ctl_complain(CTL_FAILED,
                        "%" PRIu64 " orders that were paid cannot be adopted; see to them, then "
                        "run it again, or leave them to `audit` with --leave-rest. No "
                        "program serves from this database yet",
                        r->adoption.left);
}

static void kept(int64_t reserved, void *arg)
{
    struct restore *r = arg;
    (void)reserved;
    r->kept = true;
    loop_stop(r->ctl->loop);
}

static void tick(void *arg)
{
    struct restore *r = arg;
    (void)milestone_writer_tick(r->writer);
    if (++r->ticks * TICK_MS >= KEEP_MS)
        loop_stop(r->ctl->loop);
}

static void take_milestone(const struct pg_result *result, void *arg)
{
    struct restore *r = arg;
    if (milestone_writer_put(r->writer, pg_text(result, 0, 0), pg_int(result, 0, 1)) < 0)
        (void)ctl_complain(0, "the milestone is too long");
}

/* Consumers would write it, too; but an old primary must be known for one at once. */
static int keep_milestone(struct restore *r)
{
    r->writer = milestone_writer_new(r->ctl->broker, kept, r);
    r->tick = loop_timer_new(r->ctl->loop, tick, r);
    int exit_code = r->writer == NULL || r->tick == NULL
                        ? ctl_complain(CTL_FAILED, "out of memory")
                        : ctl_query(r->ctl, &milestone_now, NULL, take_milestone, r);
    if (exit_code == CTL_FINE) {
        loop_timer_start(r->tick, TICK_MS, TICK_MS);
        loop_run(r->ctl->loop);
    }
    milestone_writer_free(r->writer);
    loop_timer_free(r->tick);
    if (exit_code == CTL_FINE && !r->kept)
        exit_code =
            ctl_complain(CTL_FAILED, "the database is finished, but RabbitMQ has not confirmed its "
                                     "milestone: see that a consumer runs, and look at `doctor`");
    return exit_code;
}

static void take_finished(const struct pg_result *result, void *arg)
{
    struct restore *r = arg;
    if (!pg_null(result, 0, 0))
        r->generation = pg_int(result, 0, 0);
}

static int finish_restore(struct restore *r)
{
    const char *const params[] = {buf_text(&r->read.milestones), r->who};
    if (r->dry)
        return CTL_FINE;
    int exit_code = ctl_query(r->ctl, &finish, params, take_finished, r);
    return exit_code == CTL_FINE ? keep_milestone(r) : exit_code;
}

static void print_finished(const struct restore *r)
{
    if (r->ctl->json) {
        print_json(r, !r->dry);
        return;
    }
    adoption_print(&r->adoption, r->dry, r->feed != NULL);
    if (!r->dry)
        (void)printf("this database is the shop's newest now (restore %" PRId64
                     "); programs serve from it\n",
                     r->generation);
}

/* An earlier run may have died before its milestone was kept. */
static int nothing_to_finish(struct restore *r)
{
    int exit_code = r->unmarked && !r->dry ? keep_milestone(r) : CTL_FINE;
    if (exit_code == CTL_FINE && r->ctl->json)
        print_json(r, false);
    else if (exit_code == CTL_FINE)
        (void)puts("nothing to finish: the database is the newest");
    return exit_code;
}

static int carry_out(struct restore *r)
{
    int exit_code = look_at_milestones(r);
    if (exit_code != CTL_FINE)
        return exit_code;
    if (r->why[0] == '\0' && !r->anyway)
        return nothing_to_finish(r);
    exit_code = begin_restore(r);
    if (exit_code == CTL_FINE)
        exit_code = adopt_all(r);
    if (exit_code == CTL_FINE)
        exit_code = finish_restore(r);
    if (exit_code == CTL_FINE)
        print_finished(r);
    return exit_code == CTL_FINE && r->adoption.left > 0 ? CTL_FAILED : exit_code;
}

static int run_finish(struct ctl *ctl, const struct command_args *args)
{
    struct restore r = {.ctl = ctl,
                        .dry = command_switch(&command_restore_finish, args, "dry-run"),
                        .anyway = command_switch(&command_restore_finish, args, "anyway"),
                        .leave = command_switch(&command_restore_finish, args, "leave-rest"),
                        .feed = command_option(&command_restore_finish, args, "feed"),
                        .gateway = !command_switch(&command_restore_finish, args, "no-gateway")};
    name_ourselves(&r);
    int exit_code = CTL_FINE;
    if (r.gateway)
        exit_code = ctl_load(ctl, command_restore_finish.settings | GATEWAY_SETTINGS);
    if (exit_code == CTL_FINE)
        exit_code = carry_out(&r);
    milestones_read_free(&r.read);
    return exit_code;
}

const struct command command_restore_status = {
    .words = "restore status",
    .operands = "",
    .summary = "compares the database with the milestones in RabbitMQ",
    .details = "Says whether the database is the shop's newest, or an older one: restored from a "
               "backup, a standby that lagged when it was promoted, an old primary that came back. "
               "Programs serve nothing from such a one. Exit code 1 if it is.",
    .settings = CFG_BIT(DATABASE_URL) | CFG_BIT(AMQP_URL) | CFG_BIT(AMQP_HEARTBEAT),
    .patient = true,
    .run = run_status,
};

const struct command command_restore_finish = {
    .words = "restore finish",
    .operands = "",
    .summary = "makes a restored database the shop's newest",
    .details =
        "For a database that is behind the milestones in RabbitMQ. First event ids and epochs are "
        "raised above all that were ever given; then each captured payment in the gateway's list "
        "whose order the database does not know becomes a confirmed order; then the database is "
        "the newest, and programs serve from it. It may be stopped at any time and run again. "
        "Payments that cannot be adopted are named, and nothing is finished without --leave-rest; "
        "exit code 1. Stop every other server that was the shop's database before.",
    .options = {{"dry-run", NULL, "only says what would be adopted"},
                {"feed", "FILE", "of `events follow --json`: names, and other ends"},
                {"leave-rest", NULL, "leaves what cannot be adopted to `orders adopt`"},
                {"no-gateway", NULL, "adopts nothing"},
                {"anyway", NULL, "also without a milestone: RabbitMQ was restored, too"}},
    .settings = CFG_BIT(DATABASE_URL) | CFG_BIT(AMQP_URL) | CFG_BIT(AMQP_HEARTBEAT),
    .patient = true,
    .run = run_finish,
};
