#include "ctl/pool/shards.h"

#include <inttypes.h>
#include <stdio.h>

#include "common/base/err.h"
#include "ctl/command.h"
#include "ctl/human.h"
#include "ctl/pool/pool_view.h"
#include "ctl/table.h"

#define LINE_COLUMNS 80
#define NAME_WIDTH 12 /* of them */

static const struct table_column columns[] = {
    {"SHARD", "shard", TABLE_NUMBER},   {"OWNER", "owner", TABLE_TEXT},
    {"STANDBY", "standby", TABLE_TEXT}, {"EPOCH", "epoch", TABLE_NUMBER},
    {"QUEUE", "queue", TABLE_NUMBER},   {"LINE", "line", TABLE_NUMBER},
    {"PAY", "pay", TABLE_NUMBER},       {"OLDEST", "oldest", TABLE_NUMBER},
    {"/S", "rate", TABLE_NUMBER},       {"SINCE", "since", TABLE_NUMBER},
    {"", "note", TABLE_TEXT},
};

static const char *name_of(const struct view_member *member)
{
    return member == NULL ? "-" : member->name;
}

static int add_row(struct table *table, const struct pool_view *view,
                   const struct view_shard *shard)
{
    char number[16], owner[32], next[32], epoch[HUMAN_SIZE], queue[HUMAN_SIZE], line[HUMAN_SIZE],
        pay[HUMAN_SIZE], oldest[HUMAN_SIZE], rate[HUMAN_SIZE], since[HUMAN_SIZE],
        note[VIEW_TEXT_SIZE];
    const char *owner_name = shard->owner == ASSIGNMENT_NONE ? "-" : shard->owner_name;
    (void)snprintf(number, sizeof number, "%" PRIu32, shard->shard);
    human_short(owner_name, NAME_WIDTH, owner, sizeof owner);
    human_short(name_of(pool_view_next(view, shard)), NAME_WIDTH, next, sizeof next);
    human_count(shard->epoch, epoch);
    human_count(shard->queued, queue);
    human_count(shard->waiting, line);
    human_count(shard->open_payments, pay);
    human_age(view_shard_oldest_ms(shard), oldest);
    human_rate(shard->decided_per_s, rate);
    human_age(shard->since_ms, since);
    pool_view_note(view, shard, note);
    const char *const values[] = {number, owner,  next, epoch, queue, line,
                                  pay,    oldest, rate, since, note};
    return table_add(table, values);
}

int shards_print(const struct pool_view *view, const struct view_shard *const *order, size_t count)
{
    struct table *table = table_new(columns, ARRAY_LEN(columns));
    int code = table == NULL ? ERR_NOMEM : 0;
    for (size_t i = 0; i < count && code == 0; i++)
        code = add_row(table, view, order == NULL ? &view->shards[i] : order[i]);
    if (code == 0)
        table_print(table);
    table_free(table);
    return code == 0 ? CTL_FINE : ctl_complain(CTL_FAILED, "out of memory");
}

/* ---- JSON ---- */

static void json_number(struct buf *out, const char *name, int64_t value)
{
    (void)buf_printf(out, ",\"%s\":", name);
    if (value == VIEW_UNKNOWN)
        (void)buf_str(out, "null");
    else
        (void)buf_int(out, value);
}

static void json_seconds(struct buf *out, const char *name, int64_t ms)
{
    (void)buf_printf(out, ",\"%s\":", name);
    if (ms == VIEW_UNKNOWN)
        (void)buf_str(out, "null");
    else
        (void)buf_printf(out, "%.3f", (double)ms / 1000);
}

static void json_name(struct buf *out, const char *name, const char *value)
{
    (void)buf_printf(out, ",\"%s\":", name);
    if (value == NULL || value[0] == '\0')
        (void)buf_str(out, "null");
    else
        (void)buf_json_str(out, value);
}

void shards_json(const struct pool_view *view, const struct view_shard *shard, struct buf *out)
{
    char note[VIEW_TEXT_SIZE];
    const struct view_member *named = pool_view_member(view, shard->place.owner);
    const struct view_member *standby = pool_view_member(view, shard->place.standby);
    pool_view_note(view, shard, note);
    (void)buf_printf(out, "{\"shard\":%" PRIu32, shard->shard);
    json_name(out, "owner", shard->owner == ASSIGNMENT_NONE ? NULL : shard->owner_name);
    json_number(out, "owner_member", shard->owner == ASSIGNMENT_NONE ? VIEW_UNKNOWN : shard->owner);
    json_name(out, "named_owner", named == NULL ? NULL : named->name);
    json_name(out, "standby", standby == NULL ? NULL : standby->name);
    json_number(out, "epoch", shard->epoch);
    json_number(out, "queued_messages", shard->queued);
    json_number(out, "queue_consumers", shard->consumers);
    json_number(out, "waiting", shard->waiting);
    json_number(out, "open_payments", shard->open_payments);
    json_name(out, "payments_stopped", shard->stopped);
    json_number(out, "unrelayed_events", shard->unrelayed);
    json_seconds(out, "oldest_waiting_seconds", shard->waiting_ms);
    json_seconds(out, "oldest_payment_seconds", shard->payment_ms);
    json_seconds(out, "oldest_unrelayed_seconds", shard->unrelayed_ms);
    (void)buf_printf(out, ",\"decided_per_second\":%.3f", shard->decided_per_s);
    json_seconds(out, "owned_for_seconds", shard->since_ms);
    (void)buf_printf(out, ",\"paused\":%s", shard->paused ? "true" : "false");
    json_name(out, "note", note);
    (void)buf_char(out, '}');
}

static void print_json(const struct pool_view *view)
{
    struct buf line;
    buf_init(&line, SHARDS_JSON_MAX);
    for (size_t i = 0; i < view->shard_count; i++) {
        buf_reset(&line);
        shards_json(view, &view->shards[i], &line);
        (void)puts(buf_text(&line));
    }
    buf_free(&line);
}

/* ---- all of them in one line ---- */

void shards_sum(const struct pool_view *view, struct shards_sum *ret_sum)
{
    struct shards_sum sum = {.oldest_ms = VIEW_UNKNOWN};
    for (size_t i = 0; i < view->shard_count; i++) {
        const struct view_shard *shard = &view->shards[i];
        const struct view_member *owner = pool_view_member(view, shard->owner);
        int64_t oldest = view_shard_oldest_ms(shard);
        sum.queued = shard->queued == VIEW_UNKNOWN ? VIEW_UNKNOWN
                     : sum.queued == VIEW_UNKNOWN  ? VIEW_UNKNOWN
                                                   : sum.queued + shard->queued;
        sum.waiting += shard->waiting;
        sum.open_payments += shard->open_payments;
        sum.unrelayed += shard->unrelayed;
        sum.decided_per_s += shard->decided_per_s;
        sum.oldest_ms = oldest > sum.oldest_ms ? oldest : sum.oldest_ms;
        sum.unserved += owner == NULL || !owner->locked || owner->heartbeat_age_ms >= VIEW_LIVE_MS;
    }
    for (size_t i = 0; i < view->member_count; i++)
        sum.members_ready += view_member_ready(&view->members[i]);
    *ret_sum = sum;
}

void shards_print_sum(const struct pool_view *view, const struct shards_sum *sum)
{
    char queued[HUMAN_SIZE], rate[HUMAN_SIZE], dead[HUMAN_SIZE];
    char line[LINE_COLUMNS + 1];
    const char *why = NULL;
    size_t stopped = pool_view_stopped(view, ASSIGNMENT_NONE, &why);
    human_count(sum->queued, queued);
    human_count(view->dead_letters, dead);
    human_rate(sum->decided_per_s, rate);
    (void)printf("%zu shards, %zu of them unserved; %zu of %zu consumers ready; dead letters %s\n",
                 view->shard_count, sum->unserved, sum->members_ready, view->member_count, dead);
    (void)printf("queued messages %s, waiting orders %" PRId64 ", open payments %" PRId64
                 ", decided %s/s\n",
                 queued, sum->waiting, sum->open_payments, rate);
    if (stopped == 0)
        return;
    if (snprintf(line, sizeof line, "payments are stopped in %zu of %zu shards: %s", stopped,
                 view->shard_count, why) > LINE_COLUMNS)
        line[LINE_COLUMNS - 1] = '~';
    (void)puts(line);
}

static int run(struct ctl *ctl, const struct command_args *args)
{
    struct pool_view view;
    struct shards_sum sum;
    const char *reason;
    (void)args;
    int exit_code = ctl_need(ctl, &contact_pg);
    if (exit_code == CTL_FINE && ctl_meet(ctl, &contact_broker, &reason) != CONTACT_UP)
        (void)ctl_complain(0, "RabbitMQ does not answer, so its queues are not known: %s", reason);
    if (exit_code == CTL_FINE)
        exit_code = pool_view_read(ctl, &view);
    if (exit_code != CTL_FINE)
        return exit_code;
    pool_view_read_queues(ctl, &view);
    if (ctl->json) {
        print_json(&view);
    } else {
        exit_code = shards_print(&view, NULL, view.shard_count);
        shards_sum(&view, &sum);
        (void)putchar('\n');
        shards_print_sum(&view, &sum);
    }
    pool_view_free(&view);
    return exit_code;
}

const struct command command_shards = {
    .words = "shards",
    .operands = "",
    .summary = "shows each shard: its owner and its waiting work",
    .details =
        "STANDBY takes the shard over next, by the same assignment that the consumers use. QUEUE: "
        "messages (of up to 256 orders each) that RabbitMQ has not delivered; up to 32 more are "
        "with "
        "the owner (if it decides none, `doctor` says why). LINE: orders that "
        "wait for an item. PAY: open payments. OLDEST: how long the oldest of these orders has "
        "waited; those whose buyers are at the bank do not count. /S: orders decided a second, of "
        "late. SINCE: how long its owner has had it. If "
        "QUEUE grows while /S is 0 and the owner's heartbeat moves, another program consumes the "
        "queue: RabbitMQ feeds only the first consumer of it (see rabbitmqctl list_consumers). "
        "The note tells when payments are stopped, and the gateway's newest answer.",
    .settings = CFG_BIT(DATABASE_URL) | CFG_BIT(AMQP_URL) | CFG_BIT(AMQP_HEARTBEAT),
    .run = run,
};
