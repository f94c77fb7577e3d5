#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "common/base/clock.h"
#include "common/base/err.h"
#include "ctl/command.h"
#include "ctl/human.h"
#include "ctl/pool/pool_view.h"
#include "ctl/progress.h"
#include "ctl/table.h"

#define LOOK_MS 250
#define PATIENCE_MS 3000 /* a heartbeat comes every second */
#define NUMBER_SIZE 24

static const struct table_column columns[] = {
    {"NAME", "name", TABLE_TEXT},
    {"HOST", "host", TABLE_TEXT},
    {"PID", "pid", TABLE_NUMBER},
    {"VERSION", "version", TABLE_TEXT},
    {"ALIVE", "beating", TABLE_BOOL},
    {"READY", "ready", TABLE_BOOL},
    {"LOCK", "locked", TABLE_BOOL},
    {"OWNS", "shards_owned", TABLE_NUMBER},
    {"STANDBY", "shards_standby", TABLE_NUMBER},
    {"NODE", "node", TABLE_TEXT},
    {"STARTED", "started_at", TABLE_TEXT},
    {"PAYMENTS STOPPED", "payments_stopped", TABLE_TEXT},
    {"MEMBER", "member", TABLE_NUMBER},
    {"HEARTBEAT", "beat", TABLE_NUMBER},
};
#define COLUMNS_FOR_PEOPLE 12

/* Whether the member's heartbeat has moved since the first query. */
static bool moved(const struct pool_view *first, const struct view_member *member)
{
    const struct view_member *before = pool_view_member(first, member->id);
    return before == NULL || before->heartbeat != member->heartbeat;
}

static bool all_moved(const struct pool_view *first, const struct pool_view *view)
{
    for (size_t i = 0; i < view->member_count; i++)
        if (!moved(first, &view->members[i]))
            return false;
    return true;
}

/* Polls until every heartbeat has moved, or has had the time to. */
static int look_again(struct ctl *ctl, const struct pool_view *first, struct pool_view *ret_view)
{
    struct progress progress = {0};
    uint64_t until_ms = clock_mono_ms() + PATIENCE_MS;
    int exit_code = CTL_FINE;
    while (exit_code == CTL_FINE) {
        progress_show(&progress, "waiting for the next heartbeats", 0, 0);
        exit_code = ctl_rest(ctl, LOOK_MS);
        if (exit_code == CTL_FINE)
            exit_code = pool_view_read(ctl, ret_view);
        if (exit_code != CTL_FINE || all_moved(first, ret_view) || clock_mono_ms() >= until_ms)
            break;
        pool_view_free(ret_view);
    }
    progress_end(&progress);
    return exit_code;
}

static int add_row(struct table *table, const struct pool_view *first, const struct pool_view *view,
                   const struct view_member *member)
{
    char pid[NUMBER_SIZE], owned[NUMBER_SIZE], standby[NUMBER_SIZE], id[NUMBER_SIZE],
        heartbeats[NUMBER_SIZE];
    const char *stopped = NULL;
    (void)pool_view_stopped(view, member->id, &stopped);
    (void)snprintf(pid, sizeof pid, "%" PRId64, member->pid);
    (void)snprintf(owned, sizeof owned, "%" PRIu32, member->owned);
    (void)snprintf(standby, sizeof standby, "%" PRIu32, member->standby);
    (void)snprintf(id, sizeof id, "%" PRId64, member->id);
    (void)snprintf(heartbeats, sizeof heartbeats, "%" PRId64, member->heartbeat);
    const char *const values[] = {member->name,
                                  member->host,
                                  pid,
                                  member->version,
                                  moved(first, member) ? "t" : "f",
                                  member->ready ? "t" : "f",
                                  member->locked ? "t" : "f",
                                  owned,
                                  standby,
                                  member->node,
                                  member->started_at,
                                  stopped,
                                  id,
                                  heartbeats};
    return table_add(table, values);
}

static int print(const struct ctl *ctl, const struct pool_view *first, const struct pool_view *view)
{
    struct table *table = table_new(columns, ctl->json ? ARRAY_LEN(columns) : COLUMNS_FOR_PEOPLE);
    int code = table == NULL ? ERR_NOMEM : 0;
    for (size_t i = 0; i < view->member_count && code == 0; i++)
        code = add_row(table, first, view, &view->members[i]);
    if (code < 0)
        (void)ctl_complain(CTL_FAILED, "out of memory");
    else if (ctl->json)
        table_print_json_lines(table);
    else if (view->member_count == 0)
        (void)puts("no consumer is a member of the pool: start checkout-consumer");
    else
        table_print(table);
    table_free(table);
    return code == 0 ? CTL_FINE : CTL_FAILED;
}

static int run(struct ctl *ctl, const struct command_args *args)
{
    struct pool_view first = {0};
    struct pool_view view = {0};
    (void)args;
    int exit_code = ctl_need(ctl, &contact_pg);
    if (exit_code == CTL_FINE)
        exit_code = pool_view_read(ctl, &first);
    if (exit_code == CTL_FINE)
        exit_code = look_again(ctl, &first, &view);
    if (exit_code == CTL_FINE)
        exit_code = print(ctl, &first, &view);
    pool_view_free(&first);
    pool_view_free(&view);
    return exit_code;
}

const struct command command_consumers = {
    .words = "consumers",
    .operands = "",
    .summary = "shows the members of the pool, and which are alive",
    .details = "ALIVE: its heartbeat moved while we watched (up to 3 s); otherwise the member "
               "hangs or is gone. READY: it can do its job (/readyz says why not). LOCK: its "
               "process holds its "
               "session in PostgreSQL. OWNS: shards that it serves; STANDBY: shards that it "
               "stands by for. NODE: of RabbitMQ, that it is connected to. PAYMENTS STOPPED: why "
               "its payments are stopped.",
    .settings = CFG_BIT(DATABASE_URL),
    .run = run,
};
