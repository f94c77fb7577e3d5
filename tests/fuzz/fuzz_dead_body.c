/* Bodies of dead letters. Shown, they are valid UTF-8, JSON stays JSON, and no payment method,
 * address or card number is in them; what goes back to the counter is a message that it can read.
 */
#include "tests/fuzz/fuzz.h"

#include <jansson.h>

#include "common/base/utf8.h"
#include "common/shop/job.h"
#include "ctl/dead/dead_body.h"

#define SECRET "0123456789abcdef0123456789abcdef"
#define SHARDS 16
#define OUT_MAX ((size_t)4 * 1024 * 1024)

static void check_shown(const char *name, const json_t *value)
{
    const char *key;
    json_t *member;
    size_t i;
    if (json_is_string(value)) {
        const char *text = json_string_value(value);
        MUST(strchr(text, '@') == NULL && strstr(text, "pm_") == NULL);
        MUST(strcmp(text, "***") == 0 ||
             (strcmp(name, "payment_method") != 0 && strcmp(name, "receipt_email") != 0 &&
              strcmp(name, "mail_to") != 0));
    } else if (json_is_integer(value)) {
        MUST(strcmp(name, "payment_method") != 0 && json_integer_value(value) < 1000000000000 &&
             json_integer_value(value) > -1000000000000);
    }
    json_object_foreach((json_t *)value, key, member) check_shown(key, member);
    json_array_foreach((json_t *)value, i, member) check_shown(name, member);
}

static void check_mask(const struct dead_body *body)
{
    struct buf out;
    buf_init(&out, OUT_MAX);
    dead_body_mask(body, &out);
    MUST(!out.failed && utf8_valid(out.data == NULL ? "" : out.data, out.len));
    if (dead_body_is_json(body)) {
        json_t *root = json_loadb(out.data, out.len, JSON_DECODE_ANY, NULL);
        MUST(root != NULL);
        check_shown("", root);
        json_decref(root);
    }
    buf_free(&out);
}

static void check_message(const struct dead_body *body, struct ids *ids)
{
    struct buf out;
    uint32_t shard = SHARDS;
    size_t jobs = 0;
    const char *problem = NULL;
    buf_init(&out, OUT_MAX);
    if (dead_body_message(body, SHARDS, ids, &out, &shard, &jobs, &problem) == 0) {
        struct job_batch batch;
        MUST(jobs >= 1 && shard < SHARDS);
        MUST(job_batch_parse(out.data, out.len, shard, SHARDS, ids, &batch, &problem) == 0);
        MUST(batch.count >= jobs);
        job_batch_free(&batch);
    } else {
        MUST(problem != NULL);
    }
    buf_free(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct ids *ids;
    if (ids == NULL)
        ids = ids_new(SECRET, strlen(SECRET));
    char *text = exact(data, size);
    struct dead_body *body = dead_body_new(text, size);
    MUST(body != NULL);
    for (size_t i = 0; i < dead_body_jobs(body); i++)
        (void)dead_body_order(body, i);
    check_mask(body);
    check_message(body, ids);
    dead_body_free(body);
    free(text);
    return 0;
}
