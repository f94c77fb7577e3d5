/* Orders that ended long ago leave their ids and ends, and nothing else. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "common/base/attrs.h"
#include "common/base/clock.h"
#include "common/base/parse.h"
#include "ctl/command.h"
#include "ctl/progress.h"

#define DAYS_MIN 7 /* as checkout.purge_memory() */
#define DAYS_MAX 36500
#define CHUNK "200"
#define CHUNK_MS "10000" /* one that takes longer ends without effect */
#define RECORDS "2000"
#define DRY_CHUNK "2000"
#define BUSY_MS 50
#define BUSY_MAX 600 /* in a row, of one shard: half a minute and more */
#define SHARE_USUAL 10
#define NUMBER_SIZE 24
#define TIME_SIZE 64

static const struct pg_statement read_plan = {
    "ctl_purge_plan",
    "select coalesce(streams, shards), (now() - $1::integer * interval '1 day')::text,"
    "       checkout.utc_text(now() - $1::integer * interval '1 day'),"
    "       set_config('statement_timeout', '" CHUNK_MS "', false) from checkout.service",
    1};
static const struct pg_statement purge_orders = {
    "ctl_purge_orders",
    "select went_on, looked, purged, kept_for_money, kept_for_work, busy"
    "  from checkout.purge_orders($1::integer, $2::timestamptz, $3::bigint, $4::integer, "
    "$5::boolean)",
    5};
static const struct pg_statement purge_records = {
    "ctl_purge_records",
    "select went_on, removed"
    "  from checkout.purge_records($1::timestamptz, $2::bigint, $3::integer, $4::boolean)",
    4};
enum { WENT_ON, LOOKED, PURGED, KEPT_FOR_MONEY, KEPT_FOR_WORK, BUSY };

struct purge {
    struct ctl *ctl;
    bool dry;
    int64_t share; /* percent of the time that is spent in the database */
    int64_t shards;
    char before[TIME_SIZE]; /* as PostgreSQL reads it */
    char before_text[TIME_SIZE];
    int64_t shard;
    int64_t went_on; /* -1: there is no more */
    bool busy;
    int64_t looked;
    int64_t purged;
    int64_t kept_for_money;
    int64_t kept_for_work;
    int64_t records;
    struct progress progress;
};

static void take_plan(const struct pg_result *result, void *arg)
{
    struct purge *purge = arg;
    if (pg_rows(result) == 0)
        return;
    purge->shards = pg_int(result, 0, 0);
    (void)snprintf(purge->before, sizeof purge->before, "%s", pg_text(result, 0, 1));
    (void)snprintf(purge->before_text, sizeof purge->before_text, "%s", pg_text(result, 0, 2));
}

static void take_chunk(const struct pg_result *result, void *arg)
{
    struct purge *purge = arg;
    purge->busy = pg_bool(result, 0, BUSY);
    purge->went_on = pg_null(result, 0, WENT_ON) ? -1 : pg_int(result, 0, WENT_ON);
    purge->looked += pg_int(result, 0, LOOKED);
    purge->purged += pg_int(result, 0, PURGED);
    purge->kept_for_money += pg_int(result, 0, KEPT_FOR_MONEY);
    purge->kept_for_work += pg_int(result, 0, KEPT_FOR_WORK);
}

static void take_records(const struct pg_result *result, void *arg)
{
    struct purge *purge = arg;
    purge->went_on = pg_null(result, 0, 0) ? -1 : pg_int(result, 0, 0);
    purge->records += pg_int(result, 0, 1);
}

static void show(struct purge *purge)
{
    char what[128];
    (void)snprintf(what, sizeof what, "shard %" PRId64 " of %" PRId64 ", %" PRId64 " orders %s",
                   purge->shard, purge->shards, purge->purged, purge->dry ? "could go" : "purged");
    progress_show(&purge->progress, what, 0, 0);
}

/* Leaves the rest of the time to the sale. */
static int rest(const struct purge *purge, uint64_t spent_ms)
{
    if (purge->busy)
        return ctl_rest(purge->ctl, BUSY_MS);
    uint64_t pause_ms = spent_ms * (uint64_t)(100 - purge->share) / (uint64_t)purge->share;
    return purge->dry || pause_ms == 0 ? CTL_FINE : ctl_rest(purge->ctl, pause_ms);
}

/* One chunk: one statement, which is one transaction. */
static int run_chunk(struct purge *purge, const struct pg_statement *statement,
                     const char *const *params, pg_result_cb take)
{
    uint64_t began_ms = clock_mono_ms();
    purge->busy = false;
    int exit_code = ctl_try_query(purge->ctl, statement, params, take, purge);
    if (exit_code != CTL_FINE && ctl_was_locked_out(purge->ctl)) {
        purge->busy = true;
        exit_code = CTL_FINE;
    }
    if (exit_code != CTL_FINE) {
        progress_end(&purge->progress);
        return ctl_complain_query(purge->ctl);
    }
    show(purge);
    return rest(purge, clock_mono_ms() - began_ms);
}

static int purge_shard(struct purge *purge)
{
    char shard[NUMBER_SIZE], after[NUMBER_SIZE];
    const char *const params[] = {shard, purge->before, after, purge->dry ? DRY_CHUNK : CHUNK,
                                  purge->dry ? "t" : "f"};
    unsigned busy = 0;
    int exit_code = CTL_FINE;
    (void)snprintf(shard, sizeof shard, "%" PRId64, purge->shard);
    for (purge->went_on = 0; exit_code == CTL_FINE && purge->went_on >= 0;) {
        (void)snprintf(after, sizeof after, "%" PRId64, purge->went_on);
        exit_code = run_chunk(purge, &purge_orders, params, take_chunk);
        busy = purge->busy ? busy + 1 : 0;
        if (exit_code == CTL_FINE && busy == BUSY_MAX)
            return ctl_complain(CTL_FAILED,
                                "shard %" PRId64 " stays locked by another session: run it again "
                                "later, it goes on where it stopped",
                                purge->shard);
    }
    return exit_code;
}

static int purge_others(struct purge *purge)
{
    char after[NUMBER_SIZE];
    const char *const params[] = {purge->before, after, RECORDS, purge->dry ? "t" : "f"};
    int exit_code = CTL_FINE;
    for (purge->went_on = 0; exit_code == CTL_FINE && purge->went_on >= 0;) {
        (void)snprintf(after, sizeof after, "%" PRId64, purge->went_on);
        exit_code = run_chunk(purge, &purge_records, params, take_records);
    }
    return exit_code;
}

static void print(const struct purge *purge)
{
    if (purge->ctl->json) {
        (void)printf("{\"before\":\"%s\",\"dry_run\":%s,\"looked\":%" PRId64 ",\"purged\":%" PRId64
                     ",\"kept_for_money\":%" PRId64 ",\"kept_for_work\":%" PRId64
                     ",\"records\":%" PRId64 "}\n",
                     purge->before_text, purge->dry ? "true" : "false", purge->looked,
                     purge->purged, purge->kept_for_money, purge->kept_for_work, purge->records);
        return;
    }
    (void)printf("%" PRId64 " orders that ended before %s %s, and %" PRId64 " other records\n",
                 purge->purged, purge->before_text, purge->dry ? "could go" : "are purged",
                 purge->records);
    if (purge->kept_for_money + purge->kept_for_work > 0)
        (void)printf("%" PRId64 " as old stay because their money may still move, %" PRId64
                     " because something is not done yet\n",
                     purge->kept_for_money, purge->kept_for_work);
}

static int read_days(const struct command_args *args, int64_t *ret_days)
{
    const char *text = command_option(&command_purge, args, "older-than");
    if (text == NULL)
        return ctl_complain(CTL_USAGE, "--older-than must be given, like 180d");
    size_t len = strlen(text);
    if (len < 2 || text[len - 1] != 'd' ||
        parse_intn(text, len - 1, DAYS_MIN, DAYS_MAX, ret_days) < 0)
        return ctl_complain(CTL_USAGE,
                            "--older-than: \"%.40s\" is no number of days from %dd on, like 180d",
                            text, DAYS_MIN);
    return CTL_FINE;
}

static int run(struct ctl *ctl, const struct command_args *args)
{
    struct purge purge = {.ctl = ctl, .dry = command_switch(&command_purge, args, "dry-run")};
    int64_t days = 0;
    char number[NUMBER_SIZE];
    const char *const params[] = {number};
    int exit_code = read_days(args, &days);
    if (exit_code == CTL_FINE)
        exit_code =
            command_number(&command_purge, args, "share", SHARE_USUAL, 1, 100, &purge.share);
    if (exit_code == CTL_FINE)
        exit_code = ctl_need(ctl, &contact_pg);
    if (exit_code != CTL_FINE)
        return exit_code;
    (void)snprintf(number, sizeof number, "%" PRId64, days);
    exit_code = ctl_query(ctl, &read_plan, params, take_plan, &purge);
    for (; exit_code == CTL_FINE && purge.shard < purge.shards; purge.shard++)
        exit_code = purge_shard(&purge);
    if (exit_code == CTL_FINE)
        exit_code = purge_others(&purge);
    progress_end(&purge.progress);
    if (exit_code == CTL_FINE)
        print(&purge);
    return exit_code;
}

const struct command command_purge = {
    .words = "purge",
    .operands = "",
    .summary = "takes old orders out of the tables; their ends stay",
    .details =
        "An order that ended longer ago than DAYS leaves its id and its end, for ever: a retry, a "
        "cancel, a job that comes again and the status call get that end, and the units of items "
        "and customers stay counted. All else of it goes, and so do old commands, take-overs and "
        "relayed watermarks. What something may still come of stays: open work, unsent mails, "
        "disputes, "
        "and for 180 days every order of which money was taken. Readers of events that are behind "
        "what was purged are refused. Works in small transactions beside a sale; may be stopped "
        "at any time and run again, also twice at once. Let autovacuum run.",
    .options = {{"older-than", "DAYS", "how long ago it ended, like 180d; 7d at least"},
                {"dry-run", NULL, "only counts"},
                {"share", "PERCENT", "of the time at work, the rest is the sale's (10)"}},
    .settings = CFG_BIT(DATABASE_URL),
    .run = run,
};
