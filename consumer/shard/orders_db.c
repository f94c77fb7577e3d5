#include "consumer/shard/orders_db.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "common/base/err.h"

#define NUMBER_SIZE 24
#define ARRAYS 12
/* Every job at its longest, each byte escaped. */
#define ARRAY_MAX (16U * 1024 * 1024)

enum effect_column {
    KIND,
    ORDER_ID,
    ATTEMPT,
    AMOUNT,
    CURRENCY,
    PAYMENT_METHOD,
    RECEIPT_EMAIL,
    SKU,
    DETAIL,
    REASON
};

static const struct db_statement decide_statement = {
    "decide",
    "select * from checkout.decide($1::integer, $2::integer, $3::bigint, $4::bigint, $5::uuid[],"
    " $6::text[], $7::text[], $8::integer[], $9::text[], $10::text[], $11::bigint[], $12::text[],"
    " $13::timestamptz[], $14::text[], $15::text[], $16::text[])",
    16};
static const struct db_statement settle_statement = {
    "settle",
    "select * from checkout.settle($1::integer, $2::integer, $3::bigint, $4::uuid[], $5::integer[],"
    " $6::text[], $7::text[], $8::text[])",
    8};
static const struct db_statement settle_refunds_statement = {
    "settle_refunds",
    "select * from checkout.settle_refunds($1::integer, $2::integer, $3::bigint, $4::uuid[],"
    " $5::integer[], $6::text[], $7::text[], $8::bigint[], $9::text[])",
    9};
static const struct db_statement settle_line_statement = {
    "settle_line",
    "select * from checkout.settle_line($1::integer, $2::integer, $3::bigint, $4::text,"
    " $5::integer)",
    5};
static const struct db_statement expire_statement = {
    "expire", "select * from checkout.expire($1::integer, $2::integer, $3::bigint, $4::integer)",
    4};
static const struct db_statement stop_payments_statement = {
    "stop_payments",
    "select checkout.stop_payments($1::integer, $2::integer, $3::bigint, $4::text)", 4};
static const struct db_statement execute_commands_statement = {
    "execute_commands",
    "select * from checkout.execute_commands($1::integer, $2::integer, $3::bigint, $4::integer)",
    4};
static const struct db_statement place_cancels_statement = {
    "place_cancels", "select checkout.place_cancels($1::bigint, $2::integer)", 2};
static const struct db_statement take_over_statement = {
    "take_over",
    "select epoch, relayed_to from checkout.take_over($1::integer, $2::integer, $3::bigint,"
    " $4::bigint)",
    4};
static const struct db_statement release_statement = {
    "release", "select checkout.release($1::integer, $2::integer, $3::bigint)", 3};
static const struct db_statement open_payments_statement = {
    "open_payments", "select * from checkout.open_payments($1::integer[], $2::bigint, $3::integer)",
    3};
static const struct db_statement open_refunds_statement = {
    "open_refunds", "select * from checkout.open_refunds($1::integer[], $2::bigint, $3::integer)",
    3};
static const struct db_statement overdue_statement = {
    "overdue", "select shard, kind, sku from checkout.overdue($1::integer, $2::integer[])", 2};

/* Scratch for parameters: db_query copies them, and there is one thread. */
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
        db_array_begin(array);
    }
}

/* Ends the arrays and puts them behind the parameters that are there. */
static int end_arrays(size_t count, const char **params)
{
    for (size_t i = 0; i < count; i++) {
        db_array_end(&scratch.arrays[i]);
        if (scratch.arrays[i].failed)
            return ERR_NOMEM;
        params[i] = buf_text(&scratch.arrays[i]);
    }
    return 0;
}

static void put_place(const struct counter_place *place, const char **params)
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
    db_array_text(array++, job->order_id);
    db_array_text(array++, job->user_id);
    db_array_text(array++, job->sku);
    db_array_int(array++, job->quantity);
    db_array_text(array++, job->payment_method);
    db_array_text(array++, job->receipt_email);
    if (job->has_unit_price)
        db_array_int(array++, job->unit_price);
    else
        db_array_null(array++);
    db_array_text(array++, job->reference);
    db_array_text(array++, text_or_null(job->accepted_at));
    db_array_text(array++, text_or_null(job->fingerprint));
    db_array_text(array++, job->traceparent);
    db_array_text(array++, entry->verdict == JOB_GOOD ? NULL : entry->problem);
}

int counter_decide(const struct counter_place *place, int64_t wait_ms,
                   struct job_entry *const *jobs, size_t count, db_result_cb cb, void *arg)
{
    const char *params[16];
    put_place(place, params);
    params[3] = number(3, wait_ms);
    begin_arrays(12);
    for (size_t i = 0; i < count; i++)
        put_job(jobs[i]);
    int code = end_arrays(12, params + 4);
    return code < 0 ? code : db_query(place->session, &decide_statement, params, cb, arg);
}

int counter_settle(const struct counter_place *place, const struct counter_settlement *settlements,
                   size_t count, db_result_cb cb, void *arg)
{
    const char *params[8];
    put_place(place, params);
    begin_arrays(5);
    for (size_t i = 0; i < count; i++) {
        const struct counter_settlement *s = &settlements[i];
        db_array_text(&scratch.arrays[0], s->order_id);
        db_array_int(&scratch.arrays[1], s->attempt);
        db_array_text(&scratch.arrays[2], s->state);
        db_array_text(&scratch.arrays[3], s->intent);
        db_array_text(&scratch.arrays[4], s->code);
    }
    int code = end_arrays(5, params + 3);
    return code < 0 ? code : db_query(place->session, &settle_statement, params, cb, arg);
}

int counter_settle_refunds(const struct counter_place *place,
                           const struct counter_settlement *settlements, size_t count,
                           db_result_cb cb, void *arg)
{
    const char *params[9];
    put_place(place, params);
    begin_arrays(6);
    for (size_t i = 0; i < count; i++) {
        const struct counter_settlement *s = &settlements[i];
        db_array_text(&scratch.arrays[0], s->order_id);
        db_array_int(&scratch.arrays[1], s->attempt);
        db_array_text(&scratch.arrays[2], s->state);
        db_array_text(&scratch.arrays[3], s->intent);
        db_array_int(&scratch.arrays[4], s->amount);
        db_array_text(&scratch.arrays[5], s->code);
    }
    int code = end_arrays(6, params + 3);
    return code < 0 ? code : db_query(place->session, &settle_refunds_statement, params, cb, arg);
}

int counter_settle_line(const struct counter_place *place, const char *sku, unsigned limit,
                        db_result_cb cb, void *arg)
{
    const char *params[5];
    put_place(place, params);
    params[3] = sku;
    params[4] = number(3, limit);
    return db_query(place->session, &settle_line_statement, params, cb, arg);
}

int counter_expire(const struct counter_place *place, unsigned limit, db_result_cb cb, void *arg)
{
    const char *params[4];
    put_place(place, params);
    params[3] = number(3, limit);
    return db_query(place->session, &expire_statement, params, cb, arg);
}

int counter_stop_payments(const struct counter_place *place, const char *why, db_result_cb cb,
                          void *arg)
{
    const char *params[4];
    put_place(place, params);
    params[3] = why;
    return db_query(place->session, &stop_payments_statement, params, cb, arg);
}

int counter_execute_commands(const struct counter_place *place, unsigned limit, db_result_cb cb,
                             void *arg)
{
    const char *params[4];
    put_place(place, params);
    params[3] = number(3, limit);
    return db_query(place->session, &execute_commands_statement, params, cb, arg);
}

int counter_place_cancels(struct db *session, int64_t after, unsigned limit, db_result_cb cb,
                          void *arg)
{
    const char *params[2] = {number(0, after), number(1, limit)};
    return db_query(session, &place_cancels_statement, params, cb, arg);
}

int counter_take_over(struct db *session, uint32_t shards, uint32_t shard, int64_t member,
                      int64_t seen, db_result_cb cb, void *arg)
{
    const char *params[4] = {number(0, shards), number(1, shard), number(2, member),
                             seen == COUNTER_ANY_EPOCH ? NULL : number(3, seen)};
    return db_query(session, &take_over_statement, params, cb, arg);
}

int counter_release(const struct counter_place *place, db_result_cb cb, void *arg)
{
    const char *params[3];
    put_place(place, params);
    return db_query(place->session, &release_statement, params, cb, arg);
}

static int put_shards(const uint32_t *shard_list, size_t count, const char **ret_param)
{
    begin_arrays(1);
    for (size_t i = 0; i < count; i++)
        db_array_int(&scratch.arrays[0], shard_list[i]);
    return end_arrays(1, ret_param);
}

int counter_open_payments(struct db *session, const uint32_t *shard_list, size_t count,
                          int64_t age_ms, unsigned limit, db_result_cb cb, void *arg)
{
    const char *params[3] = {NULL, number(0, age_ms), number(1, limit)};
    int code = put_shards(shard_list, count, &params[0]);
    return code < 0 ? code : db_query(session, &open_payments_statement, params, cb, arg);
}

int counter_open_refunds(struct db *session, const uint32_t *shard_list, size_t count,
                         int64_t age_ms, unsigned limit, db_result_cb cb, void *arg)
{
    const char *params[3] = {NULL, number(0, age_ms), number(1, limit)};
    int code = put_shards(shard_list, count, &params[0]);
    return code < 0 ? code : db_query(session, &open_refunds_statement, params, cb, arg);
}

int counter_overdue(struct db *session, uint32_t shards, const uint32_t *shard_list, size_t count,
                    db_result_cb cb, void *arg)
{
    const char *params[2] = {number(0, shards), NULL};
    int code = put_shards(shard_list, count, &params[1]);
    return code < 0 ? code : db_query(session, &overdue_statement, params, cb, arg);
}

/* By SQLSTATE class: 22 and 23 and most of 42 blame a value; the rest may pass. */
enum counter_status counter_status(const struct db_result *result)
{
    if (db_status(result) == DB_OK)
        return COUNTER_DONE;
    if (db_status(result) == DB_LOST)
        return COUNTER_LOST;
    const char *state = db_sqlstate(result);
    if (strcmp(state, "CK001") == 0)
        return COUNTER_FENCED;
    if (strncmp(state, "22", 2) == 0 || strncmp(state, "23", 2) == 0 || strcmp(state, "42804") == 0)
        return COUNTER_REFUSED;
    return COUNTER_RETRY;
}

static enum counter_effect_kind effect_kind(const char *text)
{
    static const struct {
        const char *text;
        enum counter_effect_kind kind;
    } kinds[] = {
        {"pay", COUNTER_PAY},         {"more", COUNTER_MORE},        {"refund", COUNTER_REFUND},
        {"look", COUNTER_LOOK},       {"late", COUNTER_LATE},        {"conflict", COUNTER_CONFLICT},
        {"action", COUNTER_ACTION},   {"hint", COUNTER_HINT},        {"tally", COUNTER_TALLY},
        {"command", COUNTER_COMMAND}, {"commands", COUNTER_COMMANDS}};
    for (size_t i = 0; i < ARRAY_LEN(kinds); i++)
        if (strcmp(text, kinds[i].text) == 0)
            return kinds[i].kind;
    return COUNTER_TALLY;
}

void counter_each_effect(const struct db_result *result, counter_effect_cb cb, void *arg)
{
    for (int row = 0; row < db_rows(result); row++) {
        struct counter_effect effect = {
            .kind = effect_kind(db_text(result, row, KIND)),
            .order_id = db_text_or_null(result, row, ORDER_ID),
            .attempt = db_int(result, row, ATTEMPT),
            .amount = db_int(result, row, AMOUNT),
            .currency = db_text_or_null(result, row, CURRENCY),
            .payment_method = db_text_or_null(result, row, PAYMENT_METHOD),
            .receipt_email = db_text_or_null(result, row, RECEIPT_EMAIL),
            .sku = db_text_or_null(result, row, SKU),
            .detail = db_text_or_null(result, row, DETAIL),
            .reason = db_text_or_null(result, row, REASON),
        };
        bool of_gateway = effect.kind == COUNTER_PAY || effect.kind == COUNTER_REFUND ||
                          effect.kind == COUNTER_LOOK || effect.kind == COUNTER_ACTION;
        if (of_gateway && effect.detail != NULL)
            effect.age_ms = db_int(result, row, DETAIL);
        cb(&effect, arg);
    }
}
