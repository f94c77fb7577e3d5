/* Messages of a shard's queue. The first byte says the shard and how PostgreSQL answers; the rest
 * is the body. Each job ends exactly once: decided, or among the dead. */
#include "tests/fuzz/fuzz.h"

#include "common/base/buf.h"
#include "common/base/email.h"
#include "common/shop/shard.h"
#include "consumer/shard/intake.h"

#define SECRET "0123456789abcdef0123456789abcdef"
#define SHARDS 4

static void check_entry(struct ids *ids, const struct job_entry *entry, uint32_t shard)
{
    const struct job *job = &entry->job;
    if (entry->verdict == JOB_UNREADABLE) {
        MUST(entry->raw != NULL && entry->problem != NULL);
        return;
    }
    MUST(ids_verify(ids, job->user_id, job->order_id));
    if (entry->verdict != JOB_GOOD)
        return;
    MUST(entry->problem == NULL);
    MUST(job_sku_valid(job->sku, strlen(job->sku)));
    MUST(shard_of(job->sku, strlen(job->sku), SHARDS) == shard);
    MUST(job->quantity >= 1 && job->quantity <= JOB_QUANTITY_MAX);
    MUST(job_method_valid(job->payment_method, strlen(job->payment_method)));
    MUST(job->receipt_email == NULL || email_valid(job->receipt_email, strlen(job->receipt_email)));
    MUST(job->mail_to == NULL || email_valid(job->mail_to, strlen(job->mail_to)));
    MUST(job->locale == NULL || job_locale_valid(job->locale, strlen(job->locale)));
    MUST(job->reference == NULL || job_reference_valid(job->reference, strlen(job->reference)));
    struct buf text;
    buf_init(&text, JOB_MESSAGE_ACCEPT);
    MUST(job_encode(&text, job) == 0);
    buf_free(&text);
}

static size_t check_message(struct ids *ids, const char *body, size_t len, uint32_t shard)
{
    struct job_batch batch;
    const char *problem = NULL;
    if (job_batch_parse(body, len, shard, SHARDS, ids, &batch, &problem) < 0) {
        MUST(problem != NULL);
        return 1; /* the whole message is dead */
    }
    size_t count = batch.count;
    MUST(count >= 1 && count <= JOB_BATCH_MAX);
    for (size_t i = 0; i < count; i++)
        check_entry(ids, &batch.entries[i], shard);
    job_batch_free(&batch);
    return count;
}

/* PostgreSQL refuses every part that holds a job whose number in the batch has a bit of `refuses`.
 */
static bool refused(const struct intake *intake, unsigned refuses)
{
    for (size_t i = intake->batch.from; i < intake->batch.to; i++)
        if ((refuses & (1U << (i % 4))) != 0)
            return true;
    return false;
}

/* `refuses` & 8: it does not take such a job as an invalid one either. */
static size_t decide_all(struct intake *intake, unsigned refuses)
{
    size_t decided = 0;
    for (unsigned turns = 0; !intake_decided_all(intake); turns++) {
        size_t count = intake->batch.to - intake->batch.from;
        bool invalid = count == 1 && intake->batch.jobs[intake->batch.from]->verdict == JOB_BAD;
        MUST(turns < 100000 && count > 0);
        if (refused(intake, refuses) && !(invalid && (refuses & 8) == 0)) {
            MUST(intake_part_refused(intake) == 0);
        } else {
            decided += count;
            intake_part_decided(intake);
        }
    }
    return decided;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct ids *ids;
    if (ids == NULL)
        ids = ids_new(SECRET, strlen(SECRET));
    if (size == 0)
        return 0;
    uint32_t shard = data[0] % SHARDS;
    unsigned refuses = data[0] / SHARDS % 16;
    char *body = exact(data + 1, size - 1);
    size_t jobs = check_message(ids, body, size - 1, shard);
    struct intake intake;
    intake_init(&intake, shard, SHARDS, ids);
    MUST(intake_push(&intake, 1, body, size - 1, size - 1) == 0);
    MUST(intake_open_batch(&intake) == 0);
    size_t decided = decide_all(&intake, refuses);
    MUST(decided + intake.batch.dead_count == jobs);
    MUST(intake_close_batch(&intake) == 1);
    intake_forget(&intake);
    free(body);
    return 0;
}
