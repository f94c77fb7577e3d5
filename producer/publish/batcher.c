#include "producer/publish/batcher.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/err.h"
#include "producer/publish/confirm_rate.h"

#define BODY_MAX ((size_t)JOB_MESSAGE_MAX)
#define SPARE_MAX 64   /* batches kept for reuse, with their memory */
#define WAVE_FEW 4     /* unconfirmed messages for which the next wave does not wait */
#define LOOK_EACH_MS 5 /* so often the oldest job is looked for */

/* The messages of one shard: gathered ones in order, and the one on its way. */
struct queue {
    struct batch *head;
    struct batch *tail;
    struct batch *sent;
    bool ready; /* it is in the list of those that may send */
    struct queue *next_ready;
};

struct batcher {
    uint32_t shards;
    unsigned inflight_max;
    unsigned inflight;
    bool leaving;     /* the wave has begun, and not all of it is sent */
    uint64_t wave_ms; /* the newest message of it was sent */
    size_t jobs_max;
    size_t jobs;
    uint64_t confirmed; /* jobs, ever */
    struct confirm_rate rate;
    uint64_t crowded_ms;   /* it was crowded then, the last time */
    uint64_t looked_ms;    /* the last look found: */
    uint64_t oldest_ms;    /* when the oldest job came */
    uint64_t overdue_jobs; /* in messages that are overdue */
    batcher_fate_cb fate;
    void *arg;
    struct queue *ready_head; /* first come, first served */
    struct queue *ready_tail;
    struct batch *spare;
    size_t spare_count;
    struct queue queues[];
};

struct batcher *batcher_new(uint32_t shards, unsigned inflight_max, size_t jobs_max,
                            batcher_fate_cb fate, void *arg)
{
    struct batcher *b = calloc(1, sizeof *b + shards * sizeof b->queues[0]);
    if (b == NULL)
        return NULL;
    b->shards = shards;
    b->inflight_max = inflight_max;
    b->jobs_max = jobs_max;
    b->fate = fate;
    b->arg = arg;
    return b;
}

static void batch_free(struct batch *batch)
{
    if (batch == NULL)
        return;
    buf_free(&batch->body);
    free(batch);
}

static void list_free(struct batch *batch)
{
    while (batch != NULL) {
        struct batch *next = batch->next;
        batch_free(batch);
        batch = next;
    }
}

void batcher_free(struct batcher *batcher)
{
    if (batcher == NULL)
        return;
    for (uint32_t i = 0; i < batcher->shards; i++) {
        list_free(batcher->queues[i].head);
        batch_free(batcher->queues[i].sent);
    }
    list_free(batcher->spare);
    free(batcher);
}

/* ---- gathering ---- */

static struct batch *batch_new(struct batcher *b, uint32_t shard, uint64_t now_ms)
{
    struct batch *batch = b->spare;
    if (batch != NULL) {
        b->spare = batch->next;
        b->spare_count--;
    } else {
        batch = calloc(1, sizeof *batch);
        if (batch == NULL)
            return NULL;
        buf_init(&batch->body, BODY_MAX);
    }
    batch->shard = shard;
    batch->count = 0;
    batch->since_ms = now_ms;
    batch->begun_ms = now_ms;
    batch->sequence = 0;
    batch->sealed = false;
    batch->overdue = false;
    batch->next = NULL;
    buf_reset(&batch->body);
    return batch;
}

static void recycle(struct batcher *b, struct batch *batch)
{
    if (b->spare_count >= SPARE_MAX) {
        batch_free(batch);
        return;
    }
    batch->next = b->spare;
    b->spare = batch;
    b->spare_count++;
}

/* Appends the job to the message, or leaves it as it was. */
static int encode(struct batch *batch, const struct job *job)
{
    struct buf *body = &batch->body;
    size_t before = body->len;
    (void)buf_str(body, batch->count == 0 ? JOB_MESSAGE_HEAD : ",");
    (void)job_encode(body, job);
    if (!body->failed && body->len + sizeof JOB_MESSAGE_TAIL - 1 <= BODY_MAX)
        return 0;
    bool full = body->len > before; /* else there was no memory at all */
    body->failed = false;
    body->len = before;
    if (body->data != NULL)
        body->data[before] = '\0';
    return full ? ERR_FULL : ERR_NOMEM;
}

static void make_ready(struct batcher *b, struct queue *queue)
{
    if (queue->ready || queue->head == NULL || queue->sent != NULL)
        return;
    queue->ready = true;
    queue->next_ready = NULL;
    if (b->ready_tail == NULL)
        b->ready_head = queue;
    else
        b->ready_tail->next_ready = queue;
    b->ready_tail = queue;
}

/* Opens the shard's next message with this job. */
static int begin(struct batcher *b, struct queue *queue, uint32_t shard, const struct job *job,
                 uint64_t now_ms)
{
    struct batch *batch = batch_new(b, shard, now_ms);
    if (batch == NULL)
        return ERR_NOMEM;
    if (encode(batch, job) < 0) { /* a job alone always fits */
        batch_free(batch);
        return ERR_NOMEM;
    }
    if (queue->tail == NULL)
        queue->head = batch;
    else
        queue->tail->next = batch;
    queue->tail = batch;
    return 0;
}

/* ---- whether it is crowded ---- */

/* Looks for the oldest job, and counts those that are overdue, which do not count. */
static void look(struct batcher *b, uint64_t now_ms)
{
    b->looked_ms = now_ms;
    b->oldest_ms = now_ms;
    b->overdue_jobs = 0;
    for (uint32_t i = 0; i < b->shards; i++) {
        const struct batch *batch = b->queues[i].sent;
        if (batch != NULL && batch->overdue) {
            b->overdue_jobs += batch->count;
            batch = NULL;
        }
        if (batch == NULL)
            batch = b->queues[i].head;
        if (batch != NULL && batch->begun_ms < b->oldest_ms)
            b->oldest_ms = batch->begun_ms;
    }
}

/* Of late, too: else the young queue is filled up anew until it is old again. */
static bool is_slow(const struct batcher *b, uint64_t now_ms)
{
    return now_ms >= b->oldest_ms + BATCHER_SLOW_MS ||
           (b->crowded_ms != 0 && now_ms < b->crowded_ms + BATCHER_OF_LATE_MS);
}

bool batcher_crowded(struct batcher *batcher, uint64_t now_ms)
{
    confirm_rate_sample(&batcher->rate, batcher->jobs, batcher->confirmed, now_ms);
    if (batcher->jobs < BATCHER_FEW_JOBS)
        return false;
    if (now_ms >= batcher->looked_ms + LOOK_EACH_MS)
        look(batcher, now_ms);
    size_t jobs = batcher->jobs > batcher->overdue_jobs ? batcher->jobs - batcher->overdue_jobs : 0;
    if (jobs < BATCHER_FEW_JOBS || !is_slow(batcher, now_ms) ||
        confirm_rate_wait_ms(&batcher->rate, jobs, batcher->confirmed, now_ms) <= BATCHER_WAIT_MS)
        return false;
    batcher->crowded_ms = now_ms;
    return true;
}

int batcher_add(struct batcher *batcher, uint32_t shard, const struct job *job, void *waiter,
                uint64_t now_ms)
{
    assert(shard < batcher->shards);
    struct queue *queue = &batcher->queues[shard];
    if (queue->sent != NULL && queue->sent->overdue)
        return ERR_UNAVAILABLE;
    if (batcher->jobs >= batcher->jobs_max)
        return ERR_FULL;
    struct batch *batch = queue->tail;
    int code = ERR_FULL;
    if (batch != NULL && !batch->sealed && batch->count < JOB_BATCH_MAX)
        code = encode(batch, job);
    if (code == ERR_FULL)
        code = begin(batcher, queue, shard, job, now_ms);
    if (code < 0)
        return code;
    batch = queue->tail;
    batch->waiters[batch->count++] = waiter;
    batcher->jobs++;
    make_ready(batcher, queue);
    return 0;
}

/* ---- leaving ---- */

/* Takes shards off the list that have nothing to send any more. */
static struct queue *first_ready(struct batcher *b)
{
    struct queue *queue;
    while ((queue = b->ready_head) != NULL && (queue->head == NULL || queue->sent != NULL)) {
        b->ready_head = queue->next_ready;
        if (b->ready_head == NULL)
            b->ready_tail = NULL;
        queue->ready = false;
    }
    return queue;
}

/* Whether messages may leave: the broker syncs once for all that come together. */
static bool wave_may_leave(const struct batcher *b, uint64_t now_ms)
{
    if (b->leaving || b->inflight <= WAVE_FEW)
        return true;
    return now_ms >= b->wave_ms + BATCHER_WAVE_MS;
}

struct batch *batcher_next(struct batcher *batcher, uint64_t now_ms)
{
    if (!wave_may_leave(batcher, now_ms))
        return NULL;
    struct queue *queue = batcher->inflight < batcher->inflight_max ? first_ready(batcher) : NULL;
    if (queue == NULL) {
        batcher->leaving = false;
        return NULL;
    }
    batcher->leaving = true;
    struct batch *batch = queue->head;
    if (!batch->sealed) {
        (void)buf_str(&batch->body, JOB_MESSAGE_TAIL); /* encode left room in the bound … */
        if (batch->body.failed)                        /* … but memory can be out */
            return NULL;
        batch->sealed = true;
    }
    return batch;
}

void batcher_sent(struct batcher *batcher, struct batch *batch, uint64_t sequence, uint64_t now_ms)
{
    struct queue *queue = &batcher->queues[batch->shard];
    assert(queue->head == batch && queue->sent == NULL && batch->sealed);
    queue->head = batch->next;
    if (queue->head == NULL)
        queue->tail = NULL;
    batch->next = NULL;
    batch->sequence = sequence;
    batch->since_ms = now_ms;
    queue->sent = batch;
    batcher->inflight++;
    batcher->wave_ms = now_ms;
}

/* ---- ends ---- */

/* Reports to the batch's waiters; it has none afterwards. */
static void tell(struct batcher *b, struct batch *batch, enum batch_fate fate)
{
    size_t count = batch->count;
    batch->count = 0;
    b->jobs -= count;
    b->confirmed += fate == BATCH_CONFIRMED ? count : 0;
    for (size_t i = 0; i < count; i++)
        b->fate(batch->waiters[i], fate, b->arg);
}

static void end_sent(struct batcher *b, struct queue *queue, enum batch_fate fate)
{
    struct batch *batch = queue->sent;
    queue->sent = NULL;
    if (!batch->overdue)
        b->inflight--;
    tell(b, batch, fate);
    recycle(b, batch);
    make_ready(b, queue);
}

static void end_gathered(struct batcher *b, struct queue *queue, enum batch_fate fate)
{
    struct batch *batch = queue->head;
    queue->head = NULL;
    queue->tail = NULL;
    while (batch != NULL) {
        struct batch *next = batch->next;
        tell(b, batch, fate);
        recycle(b, batch);
        batch = next;
    }
}

void batcher_settle(struct batcher *batcher, uint64_t sequence, enum batch_fate fate)
{
    for (uint32_t i = 0; i < batcher->shards; i++) {
        struct queue *queue = &batcher->queues[i];
        if (queue->sent != NULL && queue->sent->sequence == sequence) {
            end_sent(batcher, queue, fate);
            return;
        }
    }
}

void batcher_lost(struct batcher *batcher)
{
    for (uint32_t i = 0; i < batcher->shards; i++) {
        if (batcher->queues[i].sent != NULL)
            end_sent(batcher, &batcher->queues[i], BATCH_UNKNOWN);
        end_gathered(batcher, &batcher->queues[i], BATCH_UNAVAILABLE);
    }
}

void batcher_refuse(struct batcher *batcher)
{
    for (uint32_t i = 0; i < batcher->shards; i++)
        end_gathered(batcher, &batcher->queues[i], BATCH_UNAVAILABLE);
}

static void tick_sent(struct batcher *b, struct queue *queue, uint64_t now_ms)
{
    struct batch *batch = queue->sent;
    if (!batch->overdue && now_ms >= batch->since_ms + BATCHER_OVERDUE_MS) {
        batch->overdue = true;
        b->inflight--;
        end_gathered(b, queue, BATCH_OVERLOADED);
    }
    if (now_ms >= batch->since_ms + BATCHER_UNKNOWN_MS)
        tell(b, batch, BATCH_UNKNOWN); /* the shard still waits, up to BATCHER_SILENT_MS */
}

void batcher_tick(struct batcher *batcher, uint64_t now_ms)
{
    confirm_rate_sample(&batcher->rate, batcher->jobs, batcher->confirmed, now_ms);
    for (uint32_t i = 0; i < batcher->shards; i++) {
        struct queue *queue = &batcher->queues[i];
        if (queue->sent != NULL)
            tick_sent(batcher, queue, now_ms);
        if (queue->head != NULL && now_ms >= queue->head->since_ms + BATCHER_GATHER_MS)
            end_gathered(batcher, queue, BATCH_OVERLOADED);
    }
}

size_t batcher_jobs(const struct batcher *batcher)
{
    return batcher->jobs;
}

unsigned batcher_inflight(const struct batcher *batcher)
{
    return batcher->inflight;
}

bool batcher_silent(const struct batcher *batcher, uint64_t now_ms, uint32_t *ret_shard)
{
    for (uint32_t i = 0; i < batcher->shards; i++) {
        const struct batch *sent = batcher->queues[i].sent;
        if (sent != NULL && now_ms >= sent->since_ms + BATCHER_SILENT_MS) {
            *ret_shard = i;
            return true;
        }
    }
    return false;
}

void batcher_forget(struct batcher *batcher, uint32_t shard)
{
    if (batcher->queues[shard].sent != NULL)
        end_sent(batcher, &batcher->queues[shard], BATCH_UNKNOWN);
}

unsigned batcher_overdue(const struct batcher *batcher)
{
    unsigned count = 0;
    for (uint32_t i = 0; i < batcher->shards; i++)
        count += batcher->queues[i].sent != NULL && batcher->queues[i].sent->overdue;
    return count;
}
