#include "ctl/pool/pool_view.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/err.h"
#include "common/shop/shard.h"
#include "ctl/broker_reply.h"

#define QUESTIONS_AT_ONCE 16

static const struct pg_statement list_members = {
    "ctl_list_members",
    "select member_id, name, host, pid, version, heartbeats, heartbeat_age_ms, ready, locked,"
    "       to_char(started_at at time zone 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS\"Z\"'), node"
    "  from checkout.list_members()",
    0};
static const struct pg_statement show_shards = {
    "ctl_show_shards",
    "select f.shard, f.epoch, f.owner, f.owner_name, f.since_ms, f.paused, f.waiting, f.waiting_ms,"
    "       f.open_payments, f.payment_ms, f.unrelayed, f.unrelayed_ms,"
    "       round(f.decided_per_s * 1000)::bigint, s.payments_stopped"
    "  from checkout.show_shards() f cross join checkout.service v"
    "  join checkout.shards s on s.shards = v.shards and s.shard = f.shard order by f.shard",
    0};

/* ---- the database ---- */

struct reading {
    struct pool_view *view;
    int code;
};

static void copy(const struct pg_result *result, int row, int column, char ret_text[VIEW_TEXT_SIZE])
{
    (void)snprintf(ret_text, VIEW_TEXT_SIZE, "%s", pg_text(result, row, column));
}

static int64_t number(const struct pg_result *result, int row, int column)
{
    return pg_null(result, row, column) ? VIEW_UNKNOWN : pg_int(result, row, column);
}

static void read_members(const struct pg_result *result, void *arg)
{
    struct reading *reading = arg;
    struct pool_view *view = reading->view;
    int rows = pg_rows(result);
    view->members = calloc((size_t)rows + 1, sizeof *view->members);
    if (view->members == NULL) {
        reading->code = ERR_NOMEM;
        return;
    }
    view->member_count = (size_t)rows;
    for (int row = 0; row < rows; row++) {
        struct view_member *m = &view->members[row];
        m->id = pg_int(result, row, 0);
        copy(result, row, 1, m->name);
        copy(result, row, 2, m->host);
        m->pid = pg_int(result, row, 3);
        copy(result, row, 4, m->version);
        m->heartbeat = pg_int(result, row, 5);
        m->heartbeat_age_ms = pg_int(result, row, 6);
        m->ready = pg_bool(result, row, 7);
        m->locked = pg_bool(result, row, 8);
        copy(result, row, 9, m->started_at);
        copy(result, row, 10, m->node);
    }
}

static void read_shards(const struct pg_result *result, void *arg)
{
    struct reading *reading = arg;
    struct pool_view *view = reading->view;
    int rows = pg_rows(result);
    view->shards = calloc((size_t)rows + 1, sizeof *view->shards);
    if (view->shards == NULL) {
        reading->code = ERR_NOMEM;
        return;
    }
    view->shard_count = (size_t)rows;
    for (int row = 0; row < rows; row++) {
        struct view_shard *s = &view->shards[row];
        s->shard = (uint32_t)pg_int(result, row, 0);
        s->epoch = pg_int(result, row, 1);
        s->owner = pg_int(result, row, 2);
        copy(result, row, 3, s->owner_name);
        s->since_ms = number(result, row, 4);
        s->paused = pg_bool(result, row, 5);
        s->waiting = pg_int(result, row, 6);
        s->waiting_ms = number(result, row, 7);
        s->open_payments = pg_int(result, row, 8);
        s->payment_ms = number(result, row, 9);
        s->unrelayed = pg_int(result, row, 10);
        s->unrelayed_ms = number(result, row, 11);
        s->decided_per_s = (double)pg_int(result, row, 12) / 1000;
        copy(result, row, 13, s->stopped);
        s->queued = VIEW_UNKNOWN;
        s->consumers = VIEW_UNKNOWN;
    }
}

/* ---- who stands where ---- */

bool view_member_ready(const struct view_member *member)
{
    return member->locked && member->ready && member->heartbeat_age_ms < VIEW_LIVE_MS;
}

static struct view_member *find(const struct pool_view *view, int64_t id)
{
    for (size_t i = 0; i < view->member_count && id != ASSIGNMENT_NONE; i++)
        if (view->members[i].id == id)
            return &view->members[i];
    return NULL;
}

const struct view_member *pool_view_member(const struct pool_view *view, int64_t id)
{
    return find(view, id);
}

/* The pool's own function over the members that are ready. */
static int rank(struct pool_view *view)
{
    int64_t *ids = calloc(view->member_count + 1, sizeof *ids);
    struct assignment_place *places = calloc(view->shard_count + 1, sizeof *places);
    int code = ids == NULL || places == NULL ? ERR_NOMEM : 0;
    size_t count = 0;
    for (size_t i = 0; code == 0 && i < view->member_count && count < ASSIGNMENT_MEMBERS_MAX; i++)
        if (view_member_ready(&view->members[i]))
            ids[count++] = view->members[i].id;
    if (code == 0)
        code = assignment_assign(ids, count, (uint32_t)view->shard_count, places);
    for (size_t i = 0; code == 0 && i < view->shard_count; i++) {
        struct view_shard *shard = &view->shards[i];
        shard->place = places[shard->shard];
        struct view_member *owner = find(view, shard->owner);
        struct view_member *standby = find(view, shard->place.standby);
        if (owner != NULL)
            owner->owned++;
        if (standby != NULL)
            standby->standby++;
    }
    free(ids);
    free(places);
    return code;
}

const struct view_member *pool_view_next(const struct pool_view *view,
                                         const struct view_shard *shard)
{
    int64_t next = shard->place.owner == shard->owner ? shard->place.standby : shard->place.owner;
    return find(view, next);
}

int64_t view_shard_oldest_ms(const struct view_shard *shard)
{
    return shard->waiting_ms > shard->payment_ms ? shard->waiting_ms : shard->payment_ms;
}

void pool_view_note(const struct pool_view *view, const struct view_shard *shard,
                    char ret_note[VIEW_TEXT_SIZE])
{
    const struct view_member *owner = find(view, shard->owner);
    const char *note = "";
    if (shard->epoch == 0)
        note = "never served";
    else if (shard->owner == ASSIGNMENT_NONE)
        note = "no owner";
    else if (owner == NULL || !owner->locked)
        note = "owner is dead";
    else if (owner->heartbeat_age_ms >= VIEW_LIVE_MS)
        note = "owner is silent";
    else if (shard->place.owner != ASSIGNMENT_NONE && shard->place.owner != shard->owner)
        note = "moving";
    char stopped[VIEW_TEXT_SIZE + 24] = "";
    if (shard->stopped[0] != '\0')
        (void)snprintf(stopped, sizeof stopped, "payments stopped: %s", shard->stopped);
    const char *const parts[] = {shard->paused ? "paused" : "", note, stopped};
    size_t len = 0;
    ret_note[0] = '\0';
    for (size_t i = 0; i < ARRAY_LEN(parts) && len < VIEW_TEXT_SIZE; i++)
        if (parts[i][0] != '\0')
            len += (size_t)snprintf(ret_note + len, VIEW_TEXT_SIZE - len, "%s%s",
                                    len > 0 ? ", " : "", parts[i]);
}

size_t pool_view_stopped(const struct pool_view *view, int64_t owner, const char **ret_why)
{
    size_t count = 0;
    for (size_t i = 0; i < view->shard_count; i++) {
        const struct view_shard *shard = &view->shards[i];
        if (shard->stopped[0] == '\0' || (owner != ASSIGNMENT_NONE && shard->owner != owner))
            continue;
        if (count++ == 0)
            *ret_why = shard->stopped;
    }
    return count;
}

int pool_view_read(struct ctl *ctl, struct pool_view *ret_view)
{
    struct pool_view view = {.dead_letters = VIEW_UNKNOWN};
    struct reading reading = {&view, 0};
    int exit_code = ctl_query(ctl, &list_members, NULL, read_members, &reading);
    if (exit_code == CTL_FINE && reading.code == 0)
        exit_code = ctl_query(ctl, &show_shards, NULL, read_shards, &reading);
    if (exit_code == CTL_FINE && reading.code == 0 && view.shard_count > 0)
        reading.code = rank(&view);
    if (exit_code == CTL_FINE && reading.code < 0)
        exit_code = ctl_complain(CTL_FAILED, "out of memory");
    else if (exit_code == CTL_FINE && view.shard_count == 0)
        exit_code =
            ctl_complain(CTL_FAILED, "no shards are in service; run `checkoutctl topology` first");
    if (exit_code == CTL_FINE)
        *ret_view = view;
    else
        pool_view_free(&view);
    return exit_code;
}

void pool_view_free(struct pool_view *view)
{
    free(view->members);
    free(view->shards);
    *view = (struct pool_view){0};
}

/* ---- the broker ---- */

struct counting {
    struct ctl *ctl;
    struct pool_view *view;
    size_t next;
    size_t in_flight;
};

struct question {
    struct counting *counting;
    struct view_shard *shard;
};

static void ask(struct counting *counting);

static void counted(int code, const char *text, uint32_t messages, uint32_t consumers, void *arg)
{
    struct question *question = arg;
    struct counting *counting = question->counting;
    (void)text; /* a missing queue stays unknown */
    if (code == 0) {
        question->shard->queued = messages;
        question->shard->consumers = consumers;
    }
    free(question);
    counting->in_flight--;
    if (code != ERR_CLOSED)
        ask(counting);
}

static bool ask_for(struct counting *counting, struct view_shard *shard)
{
    struct question *question = malloc(sizeof *question);
    char queue[SHARD_NAME_SIZE];
    if (question == NULL)
        return false;
    *question = (struct question){counting, shard};
    shard_queue((uint32_t)counting->view->shard_count, shard->shard, queue);
    if (broker_declare_queue(counting->ctl->broker, queue, NULL, 0, true, counted, question) == 0)
        return true;
    free(question);
    return false;
}

static void ask(struct counting *counting)
{
    while (counting->in_flight < QUESTIONS_AT_ONCE &&
           counting->next < counting->view->shard_count) {
        if (!ask_for(counting, &counting->view->shards[counting->next]))
            break; /* all requests are answered; the rest stays unknown */
        counting->next++;
        counting->in_flight++;
    }
    if (counting->in_flight == 0)
        loop_stop(counting->ctl->loop);
}

void pool_view_read_queues(struct ctl *ctl, struct pool_view *view)
{
    struct counting counting = {.ctl = ctl, .view = view};
    view->dead_letters = VIEW_UNKNOWN;
    if (ctl->broker == NULL || broker_state(ctl->broker) == BROKER_DOWN || view->shard_count == 0)
        return;
    for (size_t i = 0; i < QUESTIONS_AT_ONCE && i < view->shard_count; i++)
        if (ask_for(&counting, &view->shards[i])) {
            counting.next = i + 1;
            counting.in_flight++;
        } else {
            break;
        }
    if (counting.in_flight > 0)
        loop_run(ctl->loop);
    struct broker_reply dead = {.ctl = ctl};
    if (broker_reply_count(&dead, SHARD_DEAD) == 0)
        view->dead_letters = dead.messages;
}
