#include "common/base/encode.h"
#include "common/shop/job.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/email.h"
#include "common/base/err.h"
#include "common/shop/job_text.h"
#include "common/shop/shard.h"

/*
 * Reading has a fast path, the whole message as one document, and a slow one for messages with a
 * fault: it cuts out each job and reads it alone, so that a bad one harms only itself.
 */

struct reader {
    struct job_entry *entry;
    bool has_id, has_user, has_sku, has_quantity, has_method, has_accepted, has_fingerprint;
};

static void complain(struct reader *r, const char *problem)
{
    if (r->entry->problem == NULL)
        r->entry->problem = problem;
}

/* The string of `value` if `valid` accepts it, else NULL with a problem. */
static const char *checked(struct reader *r, const json_t *value,
                           bool (*valid)(const char *, size_t), const char *problem)
{
    const char *text = json_string_value(value);
    size_t len = json_string_length(value);
    if (text != NULL && strlen(text) == len && valid(text, len))
        return text;
    complain(r, problem);
    return NULL;
}

static bool accepted_at_valid(const char *text, size_t len)
{
    int64_t ms;
    return len == CLOCK_RFC3339_SIZE - 1 && clock_parse_rfc3339(text, &ms) == 0;
}

static bool fingerprint_valid(const char *text, size_t len)
{
    return len == IDS_FINGERPRINT_SIZE - 1 && hex_valid(text, len);
}

static bool id_valid(const char *text, size_t len)
{
    return len == IDS_ORDER_SIZE - 1 && ids_well_formed(text);
}

static void copy_text(char *to, size_t size, const char *text)
{
    if (text != NULL)
        memcpy(to, text, size);
}

static bool whole_number(struct reader *r, const json_t *value, int64_t low, int64_t high,
                         const char *problem, int64_t *ret_number)
{
    if (!json_is_integer(value) || json_integer_value(value) < low ||
        json_integer_value(value) > high) {
        complain(r, problem);
        return false;
    }
    *ret_number = json_integer_value(value);
    return true;
}

static void read_identity(struct reader *r, const char *name, const json_t *value)
{
    struct job *job = &r->entry->job;
    if (strcmp(name, "order_id") == 0) {
        const char *id = checked(r, value, id_valid, "order_id is malformed");
        copy_text(job->order_id, sizeof job->order_id, id);
        r->has_id = id != NULL;
    } else {
        job->user_id = checked(r, value, job_user_valid, "user_id is malformed");
        r->has_user = job->user_id != NULL;
    }
}

/* Reads an optional member. One that this version does not know is ignored: so consumers can be
 * upgraded before producers. */
static void read_optional(struct reader *r, const char *name, const json_t *value)
{
    struct job *job = &r->entry->job;
    if (strcmp(name, "receipt_email") == 0)
        job->receipt_email = checked(r, value, email_valid, "receipt_email is malformed");
    else if (strcmp(name, "unit_price") == 0)
        job->has_unit_price = whole_number(r, value, 0, JOB_PRICE_MAX, "unit_price is out of range",
                                           &job->unit_price);
    else if (strcmp(name, "reference") == 0)
        job->reference = checked(r, value, job_reference_valid, "reference is malformed");
    else if (strcmp(name, "traceparent") == 0)
        job->traceparent = checked(r, value, job_traceparent_valid, "traceparent is malformed");
    else if (strcmp(name, "gateway_customer") == 0)
        job->gateway_customer =
            checked(r, value, job_customer_valid, "gateway_customer is malformed");
    else if (strcmp(name, "human") == 0)
        job->human = checked(r, value, job_human_valid, "human is malformed");
    else if (strcmp(name, "mail_to") == 0)
        job->mail_to = checked(r, value, email_valid, "mail_to is malformed");
    else if (strcmp(name, "locale") == 0)
        job->locale = checked(r, value, job_locale_valid, "locale is malformed");
}

static void read_member(struct reader *r, const char *name, const json_t *value)
{
    struct job *job = &r->entry->job;
    if (strcmp(name, "order_id") == 0 || strcmp(name, "user_id") == 0) {
        read_identity(r, name, value);
    } else if (strcmp(name, "sku") == 0) {
        job->sku = checked(r, value, job_sku_valid, "sku is malformed");
        r->has_sku = true;
    } else if (strcmp(name, "quantity") == 0) {
        (void)whole_number(r, value, 1, JOB_QUANTITY_MAX, "quantity is out of range",
                           &job->quantity);
        r->has_quantity = true;
    } else if (strcmp(name, "payment_method") == 0) {
        job->payment_method = checked(r, value, job_method_valid, "payment_method is malformed");
        r->has_method = true;
    } else if (strcmp(name, "accepted_at") == 0) {
        copy_text(job->accepted_at, sizeof job->accepted_at,
                  checked(r, value, accepted_at_valid, "accepted_at is malformed"));
        r->has_accepted = true;
    } else if (strcmp(name, "fingerprint") == 0) {
        copy_text(job->fingerprint, sizeof job->fingerprint,
                  checked(r, value, fingerprint_valid, "fingerprint is malformed"));
        r->has_fingerprint = true;
    } else {
        read_optional(r, name, value);
    }
}

static void give_up(struct job_entry *entry, const json_t *value, const char *problem)
{
    entry->verdict = JOB_UNREADABLE;
    entry->problem = problem;
    if (entry->raw == NULL && value != NULL)
        entry->raw = json_dumps(value, JSON_ENCODE_ANY | JSON_COMPACT);
}

/* Reads one job; `flaw` is a known fault of its text, or NULL. */
static void read_job(struct job_entry *entry, json_t *value, const char *flaw, uint32_t shard,
                     uint32_t shards, struct ids *ids)
{
    struct reader r = {.entry = entry};
    if (!json_is_object(value)) {
        give_up(entry, value, "a job is not an object");
        return;
    }
    entry->problem = flaw;
    const char *name;
    json_t *member;
    json_object_foreach(value, name, member)
    {
        read_member(&r, name, member);
    }
    if (!r.has_id || !r.has_user || !ids_verify(ids, entry->job.user_id, entry->job.order_id)) {
        give_up(entry, value, "a job has no verifiable order_id");
        return;
    }
    const char *sku = entry->job.sku;
    if (sku != NULL && shard != JOB_ANY_SHARD && shard_of(sku, strlen(sku), shards) != shard) {
        complain(&r, "the item belongs to another shard");
        entry->job.sku = NULL; /* its line is served elsewhere */
    }
    if (!r.has_sku || !r.has_quantity || !r.has_method || !r.has_accepted || !r.has_fingerprint)
        complain(&r, "a member is missing");
    entry->verdict = entry->problem == NULL ? JOB_GOOD : JOB_BAD;
    if (entry->verdict == JOB_BAD && entry->raw == NULL)
        entry->raw = json_dumps(value, JSON_COMPACT);
}

/* Checks all of the envelope but the jobs themselves. */
static int check_envelope(const json_t *root, const json_t **ret_jobs, const char **ret_problem)
{
    *ret_jobs = json_object_get(root, "jobs");
    if (!json_is_object(root) || json_object_size(root) != 2 || !json_is_array(*ret_jobs)) {
        *ret_problem = "the message is not {\"version\",\"jobs\"}";
        return ERR_PARSE;
    }
    const json_t *version = json_object_get(root, "version");
    if (!json_is_integer(version) || json_integer_value(version) != 1) {
        *ret_problem = "the version is not 1";
        return ERR_PARSE;
    }
    size_t count = json_array_size(*ret_jobs);
    if (count < 1 || count > JOB_BATCH_MAX) {
        *ret_problem = "a message has 1 to 256 jobs";
        return ERR_PARSE;
    }
    return 0;
}

/* ---- the slow path ---- */

struct span {
    const char *from;
    size_t len;
};

struct splitter {
    const char *p;
    const char *end;
    struct span spans[JOB_BATCH_MAX + 1];
    size_t count;
    struct buf skeleton; /* the message with 0 for each job */
};

/* Skips a string whose opening quote is at s->p; false if it has no end. */
static bool skip_string(struct splitter *s)
{
    for (s->p++; s->p < s->end; s->p++) {
        if (*s->p == '\\')
            s->p++;
        else if (*s->p == '"')
            return true;
    }
    return false;
}

/* Finds the objects directly inside the outermost array of the message. */
static bool split(struct splitter *s)
{
    int depth = 0;
    const char *copied = s->p;
    for (; s->p < s->end; s->p++) {
        char c = *s->p;
        if (c == '"' && !skip_string(s))
            return false;
        if (c == '{' || c == '[') {
            if (depth == 2 && c == '{') {
                if (s->count > JOB_BATCH_MAX)
                    return true; /* too many; the envelope's check reports it */
                (void)buf_append(&s->skeleton, copied, (size_t)(s->p - copied));
                s->spans[s->count].from = s->p;
            }
            depth++;
        } else if (c == '}' || c == ']') {
            depth--;
            if (depth == 2 && c == '}') {
                struct span *span = &s->spans[s->count++];
                span->len = (size_t)(s->p + 1 - span->from);
                (void)buf_char(&s->skeleton, '0');
                copied = s->p + 1;
            }
            if (depth < 0)
                return false;
        }
    }
    (void)buf_append(&s->skeleton, copied, (size_t)(s->end - copied));
    return depth == 0 && !s->skeleton.failed;
}

static int read_apart(struct splitter *s, uint32_t shard, uint32_t shards, struct ids *ids,
                      struct job_batch *batch, const char **ret_problem)
{
    *ret_problem = "the message is not JSON";
    if (!split(s))
        return ERR_PARSE;
    json_t *root = json_loadb(buf_text(&s->skeleton), s->skeleton.len, JOB_TEXT_STRICT, NULL);
    const json_t *jobs;
    int code = root == NULL ? ERR_PARSE : check_envelope(root, &jobs, ret_problem);
    if (code == 0 && json_array_size(jobs) != s->count)
        code = ERR_PARSE; /* there is something else between the jobs */
    json_decref(root);
    if (code < 0)
        return code;
    batch->entries = calloc(s->count, sizeof *batch->entries);
    json_t *keep = json_array();
    batch->document = keep;
    if (batch->entries == NULL || keep == NULL)
        return ERR_NOMEM;
    for (size_t i = 0; i < s->count; i++) {
        struct job_entry *entry = &batch->entries[batch->count++];
        const char *flaw;
        json_t *value = job_text_load(s->spans[i].from, s->spans[i].len, &flaw);
        if (value == NULL || flaw != NULL)
            entry->raw = strndup(s->spans[i].from, s->spans[i].len);
        read_job(entry, value, flaw, shard, shards, ids);
        if (value != NULL && json_array_append_new(keep, value) != 0)
            return ERR_NOMEM;
    }
    return 0;
}

static int parse_apart(const void *body, size_t len, uint32_t shard, uint32_t shards,
                       struct ids *ids, struct job_batch *batch, const char **ret_problem)
{
    struct splitter *s = calloc(1, sizeof *s);
    if (s == NULL)
        return ERR_NOMEM;
    s->p = body;
    s->end = s->p + len;
    buf_init(&s->skeleton, len + JOB_BATCH_MAX);
    int code = read_apart(s, shard, shards, ids, batch, ret_problem);
    buf_free(&s->skeleton);
    free(s);
    return code;
}

static int parse_whole(json_t *root, uint32_t shard, uint32_t shards, struct ids *ids,
                       struct job_batch *batch, const char **ret_problem)
{
    const json_t *jobs;
    int code = check_envelope(root, &jobs, ret_problem);
    if (code < 0)
        return code;
    batch->entries = calloc(json_array_size(jobs), sizeof *batch->entries);
    if (batch->entries == NULL)
        return ERR_NOMEM;
    for (size_t i = 0; i < json_array_size(jobs); i++)
        read_job(&batch->entries[batch->count++], json_array_get(jobs, i), NULL, shard, shards,
                 ids);
    return 0;
}

int job_batch_parse(const void *body, size_t len, uint32_t shard, uint32_t shards, struct ids *ids,
                    struct job_batch *ret_batch, const char **ret_problem)
{
    struct job_batch batch = {0};
    json_t *root = json_loadb(body, len, JOB_TEXT_STRICT, NULL);
    batch.document = root;
    *ret_problem = "out of memory";
    int code = root != NULL ? parse_whole(root, shard, shards, ids, &batch, ret_problem)
                            : parse_apart(body, len, shard, shards, ids, &batch, ret_problem);
    if (code < 0) {
        job_batch_free(&batch);
        return code;
    }
    *ret_batch = batch;
    return 0;
}

void job_batch_free(struct job_batch *batch)
{
    for (size_t i = 0; i < batch->count; i++)
        free(batch->entries[i].raw);
    free(batch->entries);
    json_decref(batch->document);
    *batch = (struct job_batch){0};
}
