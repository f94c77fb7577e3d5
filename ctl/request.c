#include "ctl/request.h"
#include "common/shop/status.h"
#include "ctl/listing.h"
#include "ctl/orders/orders_purged.h"

#include <inttypes.h>
#include <pwd.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "ctl/progress.h"
#include "ctl/table.h"

#define TIMEOUT_USUAL_MS 30000
#define TIMEOUT_MAX_MS 3600000
#define LOOK_FIRST_MS 20
#define LOOK_MAX_MS 250
#define NUMBER_SIZE 24

static const struct pg_statement write_command = {
    "ctl_request_command",
    "select command_id, shard from checkout.request_command($1::text, $2::text, $3::integer,"
    " $4::jsonb, $5::text)",
    5};
static const struct pg_statement write_order_command = {
    "ctl_request_order_command",
    "select command_id, shard from checkout.request_order_command($1::text, $2::uuid, $3::jsonb,"
    " $4::text)",
    4};
static const struct pg_statement look = {
    "ctl_request_look",
    "select command_id, kind, sku, shard, state, result, requested_by from checkout.commands"
    " where command_id = $1::bigint",
    1};

enum { COLUMN_STATE = 4, COLUMN_RESULT = 5 };

static const struct table_column columns[] = {
    {"COMMAND", "command", TABLE_NUMBER}, {"KIND", "kind", TABLE_TEXT},
    {"SKU", "sku", TABLE_TEXT},           {"SHARD", "shard", TABLE_NUMBER},
    {"STATE", "state", TABLE_TEXT},       {"RESULT", "result", TABLE_TEXT},
    {"BY", "requested_by", TABLE_TEXT},
};

/* A command that was written. */
struct pending {
    struct ctl *ctl;
    char id[NUMBER_SIZE]; /* "": not written */
    int64_t shard;
    struct table *newest; /* its row */
};

int request_timeout(const struct command *command, const struct command_args *args, int64_t *ret_ms)
{
    const char *text = command_option(command, args, "timeout");
    int64_t ms = TIMEOUT_USUAL_MS;
    if (text != NULL && (cfg_parse_duration(text, &ms) < 0 || ms < 1000 || ms > TIMEOUT_MAX_MS))
        return ctl_complain(CTL_USAGE,
                            "--timeout: \"%.40s\" is not between 1s and 1h, with its unit", text);
    *ret_ms = ms;
    return CTL_FINE;
}

/* The requester, for the record: user and host. */
void request_who(char ret_text[REQUEST_WHO_SIZE])
{
    char host[64] = "";
    const struct passwd *user = getpwuid(geteuid());
    if (gethostname(host, sizeof host - 1) != 0)
        host[0] = '\0';
    (void)snprintf(ret_text, REQUEST_WHO_SIZE, "%.64s@%.64s",
                   user == NULL ? "unknown" : user->pw_name, host);
}

static void written(const struct pg_result *result, void *arg)
{
    struct pending *pending = arg;
    if (pg_rows(result) == 0)
        return;
    (void)snprintf(pending->id, sizeof pending->id, "%s", pg_text(result, 0, 0));
    pending->shard = pg_int(result, 0, 1);
}

static int complain_of_order(struct ctl *ctl, const char *id)
{
    bool purged = false;
    int exit_code = orders_purged_find(ctl, id, &purged);
    if (exit_code == CTL_FINE && purged)
        return ctl_complain(CTL_FAILED, "order %s was purged; a refund is made at the gateway", id);
    return exit_code == CTL_FINE ? ctl_complain(CTL_FAILED, "no consumer has decided order %s", id)
                                 : exit_code;
}

static int write_it(struct ctl *ctl, const struct request *request, struct pending *pending)
{
    char shard[NUMBER_SIZE];
    char by[REQUEST_WHO_SIZE];
    request_who(by);
    (void)snprintf(shard, sizeof shard, "%" PRId64, request->shard);
    const char *params[] = {request->kind, request->sku, request->sku == NULL ? shard : NULL,
                            request->argument, by};
    const char *order_params[] = {request->kind, request->order_id, request->argument, by};
    bool of_order = request->order_id != NULL;
    int exit_code = ctl_query(ctl, of_order ? &write_order_command : &write_command,
                              of_order ? order_params : params, written, pending);
    if (exit_code != CTL_FINE || pending->id[0] != '\0')
        return exit_code;
    if (of_order)
        return complain_of_order(ctl, request->order_id);
    if (request->sku != NULL)
        return ctl_complain(CTL_FAILED, "there is no item \"%.64s\"", request->sku);
    return ctl_complain(CTL_FAILED, "there is no shard %" PRId64, request->shard);
}

/* Polls until it is finished or the time is up; then its row says pending. */
static int await(struct pending *pending, int64_t timeout_ms)
{
    struct ctl *ctl = pending->ctl;
    struct progress progress = {0};
    const char *params[] = {pending->id};
    char what[96];
    uint64_t until_ms = clock_mono_ms() + (uint64_t)timeout_ms;
    uint64_t delay_ms = LOOK_FIRST_MS;
    int exit_code = CTL_FINE;
    (void)snprintf(what, sizeof what, "command %s: waiting for the owner of shard %" PRId64,
                   pending->id, pending->shard);
    while (exit_code == CTL_FINE) {
        table_free(pending->newest);
        pending->newest = NULL;
        exit_code =
            listing_query(ctl, &look, params, columns, ARRAY_LEN(columns), &pending->newest);
        if (exit_code != CTL_FINE || table_rows(pending->newest) == 0 ||
            command_state_of(table_value(pending->newest, 0, COLUMN_STATE)) !=
                COMMAND_STATE_PENDING ||
            clock_mono_ms() >= until_ms)
            break;
        progress_show(&progress, what, 0, 0);
        exit_code = ctl_rest(ctl, delay_ms);
        delay_ms = delay_ms * 2 > LOOK_MAX_MS ? LOOK_MAX_MS : delay_ms * 2;
    }
    progress_end(&progress);
    return exit_code;
}

static int report(const struct pending *pending, int64_t timeout_ms)
{
    const struct ctl *ctl = pending->ctl;
    if (table_rows(pending->newest) == 0)
        return ctl_complain(CTL_FAILED, "command %s is gone", pending->id);
    const char *state = table_value(pending->newest, 0, COLUMN_STATE);
    const char *result = table_value(pending->newest, 0, COLUMN_RESULT);
    if (ctl->json)
        table_print_json_lines(pending->newest);
    if (command_state_of(state) == COMMAND_STATE_DONE) {
        if (!ctl->json)
            (void)puts(result);
        return CTL_FINE;
    }
    if (command_state_of(state) == COMMAND_STATE_PENDING)
        return ctl_complain(CTL_FAILED,
                            "command %s stays pending: no consumer has executed it within %" PRId64
                            " s (shard %" PRId64 "); a consumer that serves the shard will",
                            pending->id, timeout_ms / 1000, pending->shard);
    return ctl_complain(CTL_FAILED, "refused: %s", result == NULL ? "" : result);
}

int request_run(struct ctl *ctl, const struct request *request)
{
    struct pending pending = {.ctl = ctl};
    int exit_code = ctl_need(ctl, &contact_pg);
    if (exit_code == CTL_FINE)
        exit_code = write_it(ctl, request, &pending);
    if (exit_code == CTL_FINE)
        exit_code = await(&pending, request->timeout_ms);
    if (exit_code == CTL_FINE)
        exit_code = report(&pending, request->timeout_ms);
    table_free(pending.newest);
    return exit_code;
}
