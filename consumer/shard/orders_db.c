#include "consumer/shard/orders_db.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "common/base/err.h"
#include "consumer/shard/output.h"

#define NUMBER_SIZE 24
#define ARRAYS 16
/* Every job at its longest, each byte escaped. */
#define ARRAY_MAX ((size_t)16 * 1024 * 1024)

#define OUTPUT "select " OUTPUT_TASK OUTPUT_NEWS " from "

static const struct pg_statement decide_statement = {
    "decide",
    OUTPUT
    "checkout.decide_jobs($1::integer, $2::integer, $3::bigint, $4::bigint, $5::uuid[],"
    " $6::text[], $7::text[], $8::integer[], $9::text[], $10::text[], $11::bigint[], $12::text[],"
    " $13::timestamptz[], $14::text[], $15::text[], $16::text[], $17::text[], $18::text[],"
    " $19::text[], $20::text[]) o",
    4 + ARRAYS};
static const struct pg_statement set_aside_statement = {
    "set_aside",
    OUTPUT
    "checkout.set_jobs_aside($1::integer, $2::integer, $3::bigint, $4::text, $5::uuid[],"
    " $6::text[], $7::text[], $8::integer[], $9::text[], $10::text[], $11::bigint[], $12::text[],"
    " $13::timestamptz[], $14::text[], $15::text[], $16::text[], $17::text[], $18::text[],"
    " $19::text[], $20::text[]) o",
    4 + ARRAYS};
static const struct pg_statement decide_aside_statement = {
    "decide_aside",
    OUTPUT "checkout.decide_aside($1::integer, $2::integer, $3::bigint, $4::bigint, $5::text,"
           " $6::integer, $7::text) o",
    7};
static const struct pg_statement postpone_aside_statement = {
    "postpone_aside",
    "select checkout.postpone_aside($1::integer, $2::integer, $3::bigint, $4::text, $5::text)", 5};
static const struct pg_statement overdue_aside_statement = {
    "overdue_aside", "select shard, sku, items from checkout.overdue_aside($1::integer[])", 1};
static const struct pg_statement settle_statement = {
    "settle",
    OUTPUT "checkout.settle_payments($1::integer, $2::integer, $3::bigint, $4::uuid[],"
           " $5::integer[], $6::text[], $7::text[], $8::text[], $9::bigint[], $10::text[],"
           " $11::text[], $12::text[]) o",
    12};
static const struct pg_statement record_refunds_statement = {
    "record_refunds",
    OUTPUT "checkout.record_refunds($1::integer, $2::integer, $3::bigint, $4::uuid[],"
           " $5::integer[], $6::text[], $7::text[], $8::bigint[], $9::text[]) o",
    9};
static const struct pg_statement settle_waitlist_statement = {
    "settle_waitlist",
    OUTPUT "checkout.settle_waitlist($1::integer, $2::integer, $3::bigint, $4::text,"
           " $5::integer) o",
    5};
static const struct pg_statement expire_statement = {
    "expire",
    OUTPUT "checkout.expire_waiting($1::integer, $2::integer, $3::bigint, $4::integer, $5::text[])"
           " o",
    5};
static const struct pg_statement stop_payments_statement = {
    "stop_payments",
    "select checkout.stop_payments($1::integer, $2::integer, $3::bigint, $4::text)", 4};
static const struct pg_statement run_commands_statement = {
    "run_commands",
    OUTPUT
    "checkout.run_commands($1::integer, $2::integer, $3::bigint, $4::integer, $5::integer) o",
    5};
static const struct pg_statement place_cancels_statement = {
    "place_cancels", "select checkout.place_cancels($1::bigint, $2::integer)", 2};
static const struct pg_statement take_over_statement = {
    "take_over",
    "select epoch, relayed_to from checkout.take_over($1::integer, $2::integer, $3::bigint,"
    " $4::bigint)",
    4};
static const struct pg_statement release_statement = {
    "release", "select checkout.release($1::integer, $2::integer, $3::bigint)", 3};
static const struct pg_statement resume_charges_statement = {
    "resume_charges",
    "select " OUTPUT_TASK
    ", o.shard from checkout.resume_charges($1::integer[], $2::bigint, $3::integer,"
    " $4::uuid, $5::integer) o",
    5};
static const struct pg_statement resume_refunds_statement = {
    "resume_refunds",
    "select " OUTPUT_TASK
    ", o.shard from checkout.resume_refunds($1::integer[], $2::bigint, $3::integer) o",
    3};
static const struct pg_statement overdue_statement = {
    "overdue",
    "select shard, kind, sku from checkout.overdue($1::integer, $2::integer[], $3::integer, "
    "$4::text,"
    " $5::integer)",
    5};

/* Scratch for parameters: pg_query copies them, and there is one thread. */
static struct {
    struct buf arrays[ARRAYS];
    char numbers[5][NUMBER_SIZE];
} scratch;

static const char *number(size_t slot, int64_t value)
{
    (void)snprintf(scratch.numbers[slot], NUMBER_SIZE, "%" PRId64, value);
    return scratch.numbers[slot];
}

static void begin_arrays(size_t count)
{
    for (size_t i = 0; i < count; i++) {
        struct buf *array = &scratch.arrays[i];
        if (array->max == 0)
            buf_init(array, ARRAY_MAX);
        buf_reset(array);
        pg_array_begin(array);
    }
}

/* Ends the arrays and appends them to the parameters. */
static int end_arrays(size_t count, const char **params)
{
    for (size_t i = 0; i < count; i++) {
        pg_array_end(&scratch.arrays[i]);
        if (scratch.arrays[i].failed)
            return ERR_NOMEM;
        params[i] = buf_text(&scratch.arrays[i]);
    }
    return 0;
}

static void put_place(const struct orders_db_place *place, const char **params)
{
    params[0] = number(0, place->shards);
    params[1] = number(1, place->shard);
    params[2] = number(2, place->epoch);
}

static const char *text_or_null(const char *text)
{
    return text == NULL || text[0] == '\0' ? NULL : text;
}

static void put_job(const struct job_entry *entry)
{
    const struct job *job = &entry->job;
    struct buf *array = scratch.arrays;
    pg_array_text(array++, job->order_id);
    pg_array_text(array++, job->user_id);
    pg_array_text(array++, job->sku);
    pg_array_int(array++, job->quantity);
    pg_array_text(array++, job->payment_method);
    pg_array_text(array++, job->receipt_email);
    if (job->has_unit_price)
        pg_array_int(array++, job->unit_price);
    else
        pg_array_null(array++);
    pg_array_text(array++, job->reference);
    pg_array_text(array++, text_or_null(job->accepted_at));
    pg_array_text(array++, text_or_null(job->fingerprint));
    pg_array_text(array++, job->traceparent);
    pg_array_text(array++, entry->verdict == JOB_GOOD ? NULL : entry->problem);
    pg_array_text(array++, job->gateway_customer);
    pg_array_text(array++, job->human);
    pg_array_text(array++, job->mail_to);
    pg_array_text(array++, job->locale);
}

/* A statement of a place, one parameter of its own, and jobs. */
static int query_jobs(const struct orders_db_place *place, const struct pg_statement *statement,
                      const char *own, struct job_entry *const *jobs, size_t count, pg_result_cb cb,
                      void *arg)
{
    const char *params[4 + ARRAYS];
    put_place(place, params);
    params[3] = own;
    begin_arrays(ARRAYS);
    for (size_t i = 0; i < count; i++)
        put_job(jobs[i]);
    int code = end_arrays(ARRAYS, params + 4);
    return code < 0 ? code : pg_query(place->session, statement, params, cb, arg);
}

int orders_db_decide(const struct orders_db_place *place, int64_t wait_ms,
                     struct job_entry *const *jobs, size_t count, pg_result_cb cb, void *arg)
{
    return query_jobs(place, &decide_statement, number(3, wait_ms), jobs, count, cb, arg);
}

int orders_db_set_aside(const struct orders_db_place *place, const char *why,
                        struct job_entry *const *jobs, size_t count, pg_result_cb cb, void *arg)
{
    return query_jobs(place, &set_aside_statement, why, jobs, count, cb, arg);
}

int orders_db_decide_aside(const struct orders_db_place *place, int64_t wait_ms, const char *sku,
                           unsigned limit, const char *flaw, pg_result_cb cb, void *arg)
{
    const char *params[7];
    put_place(place, params);
    params[3] = number(3, wait_ms);
    params[4] = sku;
    params[5] = number(4, limit);
    params[6] = flaw;
    return pg_query(place->session, &decide_aside_statement, params, cb, arg);
}

int orders_db_postpone_aside(const struct orders_db_place *place, const char *sku, const char *why,
                             pg_result_cb cb, void *arg)
{
    const char *params[5];
    put_place(place, params);
    params[3] = sku;
    params[4] = why;
    return pg_query(place->session, &postpone_aside_statement, params, cb, arg);
}

int orders_db_settle(const struct orders_db_place *place, const struct outcome *outcomes,
                     size_t count, pg_result_cb cb, void *arg)
{
    const char *params[12];
    put_place(place, params);
    begin_arrays(9);
    for (size_t i = 0; i < count; i++) {
        const struct outcome *o = &outcomes[i];
        pg_array_text(&scratch.arrays[0], o->order_id);
        pg_array_int(&scratch.arrays[1], o->attempt);
        pg_array_text(&scratch.arrays[2], outcome_text(o->kind));
        pg_array_text(&scratch.arrays[3], o->intent_id);
        pg_array_text(&scratch.arrays[4], text_or_null(o->code));
        pg_array_int(&scratch.arrays[5], o->kind == OUTCOME_ACTION ? o->wait_ms : o->amount);
        pg_array_text(&scratch.arrays[6], pay_problem_text(o->problem));
        pg_array_text(&scratch.arrays[7], o->param);
        pg_array_text(&scratch.arrays[8], o->action);
    }
    int code = end_arrays(9, params + 3);
    return code < 0 ? code : pg_query(place->session, &settle_statement, params, cb, arg);
}

int orders_db_record_refunds(const struct orders_db_place *place, const struct outcome *outcomes,
                             size_t count, pg_result_cb cb, void *arg)
{
    const char *params[9];
    put_place(place, params);
    begin_arrays(6);
    for (size_t i = 0; i < count; i++) {
        const struct outcome *o = &outcomes[i];
        pg_array_text(&scratch.arrays[0], o->order_id);
        pg_array_int(&scratch.arrays[1], o->attempt);
        pg_array_text(&scratch.arrays[2], outcome_text(o->kind));
        pg_array_text(&scratch.arrays[3], o->kind == OUTCOME_RETURNS ? o->returns : o->intent_id);
        pg_array_int(&scratch.arrays[4], o->amount);
        pg_array_text(&scratch.arrays[5], text_or_null(o->code));
    }
    int code = end_arrays(6, params + 3);
    return code < 0 ? code : pg_query(place->session, &record_refunds_statement, params, cb, arg);
}

int orders_db_settle_waitlist(const struct orders_db_place *place, const char *sku, unsigned limit,
                              pg_result_cb cb, void *arg)
{
    const char *params[5];
    put_place(place, params);
    params[3] = sku;
    params[4] = number(3, limit);
    return pg_query(place->session, &settle_waitlist_statement, params, cb, arg);
}

int orders_db_expire(const struct orders_db_place *place, unsigned limit,
                     const char (*skus)[JOB_SKU_MAX + 1], size_t count, pg_result_cb cb, void *arg)
{
    const char *params[5];
    put_place(place, params);
    params[3] = number(3, limit);
    begin_arrays(1);
    for (size_t i = 0; i < count; i++)
        pg_array_text(&scratch.arrays[0], skus[i]);
    int code = end_arrays(1, &params[4]);
    return code < 0 ? code : pg_query(place->session, &expire_statement, params, cb, arg);
}

int orders_db_stop_payments(const struct orders_db_place *place, const char *why, pg_result_cb cb,
                            void *arg)
{
    const char *params[4];
    put_place(place, params);
    params[3] = why;
    return pg_query(place->session, &stop_payments_statement, params, cb, arg);
}

int orders_db_run_commands(const struct orders_db_place *place, unsigned limit, unsigned passed,
                           pg_result_cb cb, void *arg)
{
    const char *params[5];
    put_place(place, params);
    params[3] = number(3, limit);
    params[4] = number(4, passed);
    return pg_query(place->session, &run_commands_statement, params, cb, arg);
}

int orders_db_place_cancels(struct pg *session, int64_t after, unsigned limit, pg_result_cb cb,
                            void *arg)
{
    const char *params[2] = {number(0, after), number(1, limit)};
    return pg_query(session, &place_cancels_statement, params, cb, arg);
}

int orders_db_take_over(struct pg *session, uint32_t shards, uint32_t shard, int64_t member,
                        int64_t seen, pg_result_cb cb, void *arg)
{
    const char *params[4] = {number(0, shards), number(1, shard), number(2, member),
                             seen == ORDERS_DB_ANY_EPOCH ? NULL : number(3, seen)};
    int code = pg_limit(session, ORDERS_DB_PATIENT_MS);
    return code < 0 ? code : pg_query(session, &take_over_statement, params, cb, arg);
}

int orders_db_release(const struct orders_db_place *place, pg_result_cb cb, void *arg)
{
    const char *params[3];
    put_place(place, params);
    int code = pg_limit(place->session, ORDERS_DB_PATIENT_MS);
    return code < 0 ? code : pg_query(place->session, &release_statement, params, cb, arg);
}

static int put_shards(const uint32_t *shard_list, size_t count, const char **ret_param)
{
    begin_arrays(1);
    for (size_t i = 0; i < count; i++)
        pg_array_int(&scratch.arrays[0], shard_list[i]);
    return end_arrays(1, ret_param);
}

int orders_db_resume_charges(struct pg *session, const uint32_t *shard_list, size_t count,
                             int64_t age_ms, unsigned limit, const struct orders_db_payment *after,
                             pg_result_cb cb, void *arg)
{
    const char *params[5] = {NULL, number(0, age_ms), number(1, limit), NULL, NULL};
    if (after != NULL) {
        params[3] = after->order_id;
        params[4] = number(2, after->attempt);
    }
    int code = put_shards(shard_list, count, &params[0]);
    return code < 0 ? code : pg_query(session, &resume_charges_statement, params, cb, arg);
}

int orders_db_resume_refunds(struct pg *session, const uint32_t *shard_list, size_t count,
                             int64_t age_ms, unsigned limit, pg_result_cb cb, void *arg)
{
    const char *params[3] = {NULL, number(0, age_ms), number(1, limit)};
    int code = put_shards(shard_list, count, &params[0]);
    return code < 0 ? code : pg_query(session, &resume_refunds_statement, params, cb, arg);
}

int orders_db_overdue_aside(struct pg *session, const uint32_t *shard_list, size_t count,
                            pg_result_cb cb, void *arg)
{
    const char *params[1] = {NULL};
    int code = put_shards(shard_list, count, &params[0]);
    return code < 0 ? code : pg_query(session, &overdue_aside_statement, params, cb, arg);
}

int orders_db_overdue(struct pg *session, uint32_t shards, const uint32_t *shard_list, size_t count,
                      const struct orders_db_item *after, unsigned page, pg_result_cb cb, void *arg)
{
    const char *params[5] = {number(0, shards), NULL, number(1, after->shard), after->sku,
                             number(2, page)};
    int code = put_shards(shard_list, count, &params[1]);
    return code < 0 ? code : pg_query(session, &overdue_statement, params, cb, arg);
}

/* By SQLSTATE class: 22, 23 and most of 42 mean a bad value; the others may pass. */
enum orders_db_status orders_db_status(const struct pg_result *result)
{
    if (pg_status(result) == PG_OK)
        return ORDERS_DB_DONE;
    if (pg_status(result) == PG_LOST)
        return ORDERS_DB_LOST;
    const char *state = pg_sqlstate(result);
    if (strcmp(state, "CK001") == 0)
        return ORDERS_DB_FENCED;
    if (strcmp(state, "CK005") == 0)
        return ORDERS_DB_FENCE_BUSY;
    if (strcmp(state, "57014") == 0)
        return ORDERS_DB_SLOW;
    static const char *const busy[] = {"55P03", "40P01", "40001"};
    for (size_t i = 0; i < ARRAY_LEN(busy); i++)
        if (strcmp(state, busy[i]) == 0)
            return ORDERS_DB_BUSY;
    if (strncmp(state, "22", 2) == 0 || strncmp(state, "23", 2) == 0 || strcmp(state, "42804") == 0)
        return ORDERS_DB_REFUSED;
    return ORDERS_DB_RETRY;
}
