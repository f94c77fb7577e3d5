#include "consumer/shard/intake.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/err.h"

#define REFUSED_BY_DATABASE "the database refuses a value"

struct intake_delivery {
    struct intake_delivery *next;
    uint64_t tag;
    uint64_t size;
    size_t len;
    char body[];
};

void intake_init(struct intake *intake, uint32_t shard, uint32_t shards, struct ids *ids)
{
    *intake = (struct intake){.shard = shard, .shards = shards, .ids = ids};
}

static void free_batch(struct intake_batch *batch)
{
    for (size_t i = 0; i < batch->message_count; i++)
        job_batch_free(&batch->messages[i]);
    for (size_t i = 0; i < batch->dead_count; i++)
        free(batch->dead[i].body);
    free(batch->dead);
    *batch = (struct intake_batch){0};
}

static struct intake_delivery *pop(struct intake *intake)
{
    struct intake_delivery *delivery = intake->head;
    intake->head = delivery->next;
    if (intake->head == NULL)
        intake->tail = NULL;
    intake->waiting--;
    return delivery;
}

void intake_forget(struct intake *intake)
{
    while (intake->head != NULL)
        free(pop(intake));
    free_batch(&intake->batch);
}

int intake_push(struct intake *intake, uint64_t tag, const void *body, size_t len, uint64_t size)
{
    struct intake_delivery *delivery = malloc(sizeof *delivery + len + 1);
    if (delivery == NULL)
        return ERR_NOMEM;
    *delivery = (struct intake_delivery){.tag = tag, .size = size, .len = len};
    if (len > 0)
        memcpy(delivery->body, body, len);
    delivery->body[len] = '\0';
    if (intake->tail == NULL)
        intake->head = delivery;
    else
        intake->tail->next = delivery;
    intake->tail = delivery;
    intake->waiting++;
    return 0;
}

bool intake_has_work(const struct intake *intake)
{
    return intake->batch.open || intake->head != NULL;
}

/* Takes `body` (malloc'ed), also on failure. */
static int bury(struct intake_batch *batch, char *body, size_t len, const char *reason)
{
    struct intake_dead *dead =
        body == NULL ? NULL : realloc(batch->dead, (batch->dead_count + 1) * sizeof *batch->dead);
    if (dead == NULL) {
        free(body);
        return ERR_NOMEM;
    }
    batch->dead = dead;
    dead[batch->dead_count++] = (struct intake_dead){body, len, reason};
    return 0;
}

static int bury_delivery(struct intake_batch *batch, const struct intake_delivery *delivery,
                         const char *reason)
{
    char *copy = malloc(delivery->len + 1);
    if (copy != NULL)
        memcpy(copy, delivery->body, delivery->len + 1);
    return bury(batch, copy, delivery->len, reason);
}

/* Adds a message's readable jobs to the batch; the others become dead letters. */
static int add_entries(struct intake_batch *batch, struct job_batch *message)
{
    for (size_t i = 0; i < message->count; i++) {
        struct job_entry *entry = &message->entries[i];
        if (entry->verdict != JOB_UNREADABLE) {
            batch->jobs[batch->count++] = entry;
            continue;
        }
        char *raw = entry->raw;
        entry->raw = NULL;
        int code = bury(batch, raw, raw == NULL ? 0 : strlen(raw), entry->problem);
        if (code < 0)
            return code;
    }
    return 0;
}

static int add_delivery(struct intake *intake, const struct intake_delivery *delivery)
{
    struct intake_batch *batch = &intake->batch;
    if (delivery->size > JOB_MESSAGE_ACCEPT)
        return bury_delivery(batch, delivery, "the message is too long (what is kept is cut)");
    const char *problem = NULL;
    struct job_batch *message = &batch->messages[batch->message_count];
    int code = job_batch_parse(delivery->body, delivery->len, intake->shard, intake->shards,
                               intake->ids, message, &problem);
    if (code == ERR_PARSE)
        return bury_delivery(batch, delivery, problem);
    if (code < 0)
        return code;
    batch->message_count++;
    return add_entries(batch, message);
}

static bool has_room(const struct intake_batch *batch)
{
    return batch->message_count < SHARD_PREFETCH && batch->count + JOB_BATCH_MAX <= INTAKE_JOBS_MAX;
}

static int add_deliveries(struct intake *intake)
{
    struct intake_batch *batch = &intake->batch;
    while (intake->head != NULL && has_room(batch)) {
        int code = add_delivery(intake, intake->head);
        if (code < 0)
            return code;
        struct intake_delivery *delivery = pop(intake);
        batch->last_tag = delivery->tag;
        free(delivery);
    }
    return 0;
}

int intake_open_batch(struct intake *intake)
{
    struct intake_batch *batch = &intake->batch;
    if (batch->open)
        return 0;
    if (intake->head == NULL)
        return ERR_NOT_FOUND;
    int code = add_deliveries(intake);
    if (code < 0)
        return code;
    batch->open = true;
    batch->to = batch->count;
    return 0;
}

static const char *sku_of(const struct job_entry *entry)
{
    return entry->job.sku == NULL ? "" : entry->job.sku;
}

/* Whether no other item than the first undecided one is below `end`. */
static bool of_one_item(const struct intake_batch *batch, size_t end)
{
    for (size_t i = batch->from + 1; i < end; i++)
        if (strcmp(sku_of(batch->jobs[i]), sku_of(batch->jobs[batch->from])) != 0)
            return false;
    return true;
}

/* What fails is in the part. */
static void cut(struct intake_batch *batch)
{
    batch->until = batch->to;
    batch->most = (batch->to - batch->from + INTAKE_PARTS - 1) / INTAKE_PARTS;
    batch->to = batch->from + batch->most;
}

/* The next part: all that did not fail before; then, one by one, the items that did. */
static void end_part(struct intake_batch *batch)
{
    if (batch->from < batch->until) {
        size_t left = batch->until - batch->from;
        batch->to = batch->from + (left < batch->most ? left : batch->most);
        return;
    }
    batch->until = 0;
    if (batch->from + batch->later < batch->count) {
        batch->to = batch->count - batch->later;
        return;
    }
    batch->later = batch->count - batch->from;
    batch->to = batch->from;
    while (batch->to < batch->count &&
           strcmp(sku_of(batch->jobs[batch->to]), sku_of(batch->jobs[batch->from])) == 0)
        batch->to++;
}

bool intake_decided_all(const struct intake *intake)
{
    return intake->batch.from == intake->batch.count;
}

void intake_part_decided(struct intake *intake)
{
    struct intake_batch *batch = &intake->batch;
    if (batch->aside) {
        batch->until = 0; /* that was it */
    } else {
        batch->others_decided = true;
        intake->unproved = false;
    }
    batch->aside = false;
    batch->from = batch->to;
    end_part(batch);
}

void intake_part_busy(struct intake *intake)
{
    struct intake_batch *batch = &intake->batch;
    if (of_one_item(batch, batch->to))
        batch->aside = true;
    else
        cut(batch);
}

int intake_widen(struct intake *intake)
{
    struct intake_batch *batch = &intake->batch;
    if (!batch->open || batch->aside || !of_one_item(batch, batch->count))
        return 0;
    int code = add_deliveries(intake);
    if (code < 0)
        return code;
    if (of_one_item(batch, batch->count) && !has_room(batch) && batch->later > 0 &&
        !intake->unproved) {
        batch->to = batch->count;
        batch->aside = intake->unproved = true;
    } else if (!of_one_item(batch, batch->count)) {
        batch->later = 0; /* the item's further jobs have come to stand behind others */
    }
    return 0;
}

/* Moves the jobs of the part's item behind the others, in their order. */
static void postpone(struct intake_batch *batch)
{
    struct job_entry *moved[INTAKE_JOBS_MAX];
    size_t moved_count = 0, kept = batch->from;
    const char *sku = sku_of(batch->jobs[batch->from]);
    for (size_t i = batch->from; i < batch->count; i++) {
        if (strcmp(sku_of(batch->jobs[i]), sku) == 0)
            moved[moved_count++] = batch->jobs[i];
        else
            batch->jobs[kept++] = batch->jobs[i];
    }
    for (size_t i = 0; i < moved_count; i++)
        batch->jobs[kept++] = moved[i];
    batch->later += moved_count;
    batch->until = 0; /* that was it */
}

bool intake_part_failed(struct intake *intake)
{
    struct intake_batch *batch = &intake->batch;
    bool tried_others = batch->from + batch->later >= batch->count;
    if (!of_one_item(batch, batch->to)) {
        cut(batch);
        return true;
    }
    if (batch->aside)
        return false;
    if (tried_others && batch->others_decided) {
        batch->aside = true;
        return true;
    }
    bool alone = batch->later == 0 || batch->others_decided;
    if (tried_others) {
        batch->later = 0; /* all of them fail: from the first one again */
        return false;
    }
    if (batch->later == 0)
        batch->others_decided = false;
    postpone(batch);
    bool others = batch->from + batch->later < batch->count;
    end_part(batch);
    return alone && others;
}

/* Leaves whose order it is, and nothing else that a database could refuse. False: no more is left.
 */
static bool strip(struct job *job)
{
    bool more = job->sku != NULL || job->payment_method != NULL || job->receipt_email != NULL ||
                job->reference != NULL || job->traceparent != NULL ||
                job->gateway_customer != NULL || job->human != NULL || job->mail_to != NULL ||
                job->locale != NULL || job->has_unit_price || job->accepted_at[0] != '\0' ||
                job->fingerprint[0] != '\0' || job->quantity != 0;
    struct job bare = {.user_id = job->user_id};
    memcpy(bare.order_id, job->order_id, sizeof bare.order_id);
    *job = bare;
    return more;
}

/* The database refuses its user, too: its text becomes a dead letter. */
static int bury_job(struct intake_batch *batch, const struct job *refused)
{
    struct job job = *refused;
    if (job.sku == NULL)
        job.sku = "";
    if (job.payment_method == NULL)
        job.payment_method = "";
    struct buf text;
    buf_init(&text, JOB_MESSAGE_ACCEPT);
    if (job_encode(&text, &job) < 0) { /* a job always fits */
        buf_free(&text);
        return ERR_NOMEM;
    }
    return bury(batch, text.data, text.len, REFUSED_BY_DATABASE);
}

int intake_part_refused(struct intake *intake)
{
    struct intake_batch *batch = &intake->batch;
    assert(batch->from < batch->to);
    if (batch->to - batch->from > 1) {
        cut(batch);
        return 0;
    }
    struct job_entry *entry = batch->jobs[batch->from];
    if (entry->verdict == JOB_GOOD) {
        entry->verdict = JOB_BAD;
        entry->problem = REFUSED_BY_DATABASE;
        return 0;
    }
    if (strip(&entry->job))
        return 0;
    int code = bury_job(batch, &entry->job);
    if (code == 0)
        intake_part_decided(intake);
    return code;
}

uint64_t intake_close_batch(struct intake *intake)
{
    uint64_t tag = intake->batch.last_tag;
    free_batch(&intake->batch);
    return tag;
}
