/* Orders of somebody with a valid token. The first line is the Idempotency-Key, the second the
 * Content-Type, the rest the body. What is accepted must be what the consumer takes for a good job.
 */
#include "tests/fuzz/fuzz.h"

#include <jansson.h>

#include "common/base/buf.h"
#include "common/shop/shard.h"
#include "producer/orders/order_request.h"

#define SECRET "0123456789abcdef0123456789abcdef"
#define SHARDS 16
#define NOW_MS 1700000000000

static bool same(const char *a, const char *b)
{
    return a == NULL ? b == NULL : b != NULL && strcmp(a, b) == 0;
}

static void check_job(struct ids *ids, const struct job *job)
{
    struct buf message;
    struct job_batch batch;
    const char *problem = NULL;
    uint32_t shard = shard_of(job->sku, strlen(job->sku), SHARDS);
    MUST(ids_verify(ids, job->user_id, job->order_id));
    buf_init(&message, JOB_MESSAGE_MAX);
    (void)buf_str(&message, JOB_MESSAGE_HEAD);
    (void)job_encode(&message, job);
    (void)buf_str(&message, JOB_MESSAGE_TAIL);
    MUST(!message.failed);
    MUST(job_batch_parse(message.data, message.len, shard, SHARDS, ids, &batch, &problem) == 0);
    MUST(batch.count == 1 && batch.entries[0].verdict == JOB_GOOD);
    const struct job *read = &batch.entries[0].job;
    MUST(same(read->order_id, job->order_id) && same(read->user_id, job->user_id));
    MUST(same(read->sku, job->sku) && read->quantity == job->quantity);
    MUST(same(read->payment_method, job->payment_method) && same(read->reference, job->reference));
    MUST(same(read->receipt_email, job->receipt_email) && same(read->locale, job->locale));
    MUST(read->has_unit_price == job->has_unit_price && read->unit_price == job->unit_price);
    MUST(same(read->fingerprint, job->fingerprint) && same(read->accepted_at, job->accepted_at));
    job_batch_free(&batch);
    buf_free(&message);
}

/* Another reader agrees that it is JSON, an object, with these values. */
static void check_body(const char *body, size_t len, const struct job *job)
{
    json_t *root = json_loadb(body, len, JSON_REJECT_DUPLICATES, NULL);
    MUST(json_is_object(root));
    MUST(same(json_string_value(json_object_get(root, "sku")), job->sku));
    MUST(json_integer_value(json_object_get(root, "quantity")) == job->quantity);
    MUST(same(json_string_value(json_object_get(root, "payment_method")), job->payment_method));
    json_decref(root);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct ids *ids;
    static char scratch[ORDER_REQUEST_SCRATCH];
    if (ids == NULL)
        ids = ids_new(SECRET, strlen(SECRET));
    char *key = next_line(&data, &size);
    char *type = next_line(&data, &size);
    size_t len = size > ORDER_REQUEST_BODY_MAX ? ORDER_REQUEST_BODY_MAX : size;
    char *body = exact(data, len);
    struct order_request input = {.user = "ann",
                                  .kind = {.content_type = type, .content_types = 1},
                                  .key = key,
                                  .key_count = 1,
                                  .body = body,
                                  .body_len = len,
                                  .body_too_large = size > len,
                                  .now_ms = NOW_MS};
    struct job job;
    struct problem problem = {0};
    if (order_request_read(ids, &input, scratch, &job, &problem) == 0) {
        MUST(!input.body_too_large);
        check_job(ids, &job);
        check_body(body, len, &job);
    } else {
        MUST(problem.type != PROBLEM_INVALID_REQUEST || problem.error_count > 0);
    }
    free(key);
    free(type);
    free(body);
    return 0;
}
