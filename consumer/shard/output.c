#include "consumer/shard/output.h"

#include <stdbool.h>
#include <stddef.h>
#include <string.h>

#include "common/base/attrs.h"

enum task_column {
    TASK_COLUMN_KIND,
    TASK_COLUMN_ORDER_ID,
    TASK_COLUMN_SKU,
    TASK_COLUMN_ATTEMPT,
    TASK_COLUMN_AMOUNT,
    TASK_COLUMN_CURRENCY,
    TASK_COLUMN_PAYMENT_METHOD,
    TASK_COLUMN_RECEIPT_EMAIL,
    TASK_COLUMN_INTENT_ID,
    TASK_COLUMN_KEY,
    TASK_COLUMN_AGE_MS,
    TASK_COLUMN_LEFT_MS,
    TASK_COLUMN_RESOLUTION,
    TASK_COLUMN_CUSTOMER,
    TASK_COLUMN_ORDER_AGE_MS,
    TASK_COLUMN_GATEWAY_CUSTOMER,
    TASK_COLUMN_QUANTITY,
    TASK_COLUMN_REFERENCE,
    TASK_COLUMN_TRACEPARENT,
    TASK_COLUMNS
};

enum news_column {
    NEWS_COLUMN_KIND = TASK_COLUMNS,
    NEWS_COLUMN_ORDER_ID,
    NEWS_COLUMN_SKU,
    NEWS_COLUMN_STATUS,
    NEWS_COLUMN_REASON,
    NEWS_COLUMN_INTENT_ID,
    NEWS_COLUMN_COMMAND_ID,
    NEWS_COLUMN_COUNT
};

static int find_name(const char *const *names, size_t count, const char *text)
{
    for (size_t i = 0; i < count; i++)
        if (strcmp(names[i], text) == 0)
            return (int)i;
    return -1;
}

/* Whether all of `columns` are not null. */
static bool all_there(const struct pg_result *result, int row, const int *columns, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (pg_null(result, row, columns[i]))
            return false;
    return true;
}

/* A task of its kind needs these. */
static bool complete(const struct pg_result *result, int row, enum task_kind kind)
{
    static const int charge[] = {TASK_COLUMN_ORDER_ID, TASK_COLUMN_SKU,
                                 TASK_COLUMN_ATTEMPT,  TASK_COLUMN_AMOUNT,
                                 TASK_COLUMN_CURRENCY, TASK_COLUMN_PAYMENT_METHOD};
    static const int refund[] = {TASK_COLUMN_ORDER_ID, TASK_COLUMN_SKU,      TASK_COLUMN_ATTEMPT,
                                 TASK_COLUMN_AMOUNT,   TASK_COLUMN_CURRENCY, TASK_COLUMN_INTENT_ID,
                                 TASK_COLUMN_KEY};
    static const int attempt[] = {TASK_COLUMN_ORDER_ID, TASK_COLUMN_ATTEMPT};
    static const int returns[] = {TASK_COLUMN_ORDER_ID, TASK_COLUMN_ATTEMPT, TASK_COLUMN_INTENT_ID,
                                  TASK_COLUMN_KEY};
    static const int item[] = {TASK_COLUMN_SKU};
    switch (kind) {
    case TASK_CHARGE:
        return all_there(result, row, charge, ARRAY_LEN(charge));
    case TASK_REFUND:
        return all_there(result, row, refund, ARRAY_LEN(refund));
    case TASK_RECONCILE:
    case TASK_AWAIT_BUYER:
        return all_there(result, row, attempt, ARRAY_LEN(attempt));
    case TASK_LOOK_AT_RETURNS:
        return all_there(result, row, returns, ARRAY_LEN(returns));
    case TASK_CHECK:
        return all_there(result, row, attempt, 1);
    case TASK_SETTLE_WAITLIST:
    case TASK_DECIDE_ASIDE:
        return all_there(result, row, item, ARRAY_LEN(item));
    case TASK_RUN_COMMANDS:
        return true;
    }
    return false;
}

static bool read_resolution(const char *text, enum task_resolution *ret_resolution)
{
    static const char *const names[] = {[TASK_UNRESOLVED] = "",
                                        [TASK_CAPTURED] = "captured",
                                        [TASK_NOT_CAPTURED] = "not-captured",
                                        [TASK_RELEASE] = "release",
                                        [TASK_BUYER_CANCELS] = "cancel"};
    int found = find_name(names, ARRAY_LEN(names), text);
    if (found >= 0)
        *ret_resolution = (enum task_resolution)found;
    return found >= 0;
}

static int64_t time_of(const struct pg_result *result, int row, int column)
{
    return pg_null(result, row, column) ? TASK_NO_TIME : pg_int(result, row, column);
}

static void receive_task(const struct pg_result *result, int row, uint32_t shard,
                         const struct output_receiver *receiver, void *arg)
{
    static const char *const names[] = {[TASK_CHARGE] = "charge",
                                        [TASK_REFUND] = "refund",
                                        [TASK_RECONCILE] = "reconcile",
                                        [TASK_AWAIT_BUYER] = "await_buyer",
                                        [TASK_CHECK] = "check",
                                        [TASK_LOOK_AT_RETURNS] = "look_at_returns",
                                        [TASK_SETTLE_WAITLIST] = "settle_waitlist",
                                        [TASK_DECIDE_ASIDE] = "decide_aside",
                                        [TASK_RUN_COMMANDS] = "run_commands"};
    const char *text = pg_text(result, row, TASK_COLUMN_KIND);
    int found = find_name(names, ARRAY_LEN(names), text);
    struct task task = {
        .kind = (enum task_kind)found,
        .shard = shard,
        .order_id = pg_text_or_null(result, row, TASK_COLUMN_ORDER_ID),
        .sku = pg_text_or_null(result, row, TASK_COLUMN_SKU),
        .attempt = pg_int(result, row, TASK_COLUMN_ATTEMPT),
        .amount = pg_int(result, row, TASK_COLUMN_AMOUNT),
        .currency = pg_text_or_null(result, row, TASK_COLUMN_CURRENCY),
        .payment_method = pg_text_or_null(result, row, TASK_COLUMN_PAYMENT_METHOD),
        .receipt_email = pg_text_or_null(result, row, TASK_COLUMN_RECEIPT_EMAIL),
        .intent_id = pg_text_or_null(result, row, TASK_COLUMN_INTENT_ID),
        .key = pg_text_or_null(result, row, TASK_COLUMN_KEY),
        .age_ms = pg_int(result, row, TASK_COLUMN_AGE_MS),
        .left_ms = time_of(result, row, TASK_COLUMN_LEFT_MS),
        .customer = pg_text_or_null(result, row, TASK_COLUMN_CUSTOMER),
        .order_age_ms = time_of(result, row, TASK_COLUMN_ORDER_AGE_MS),
        .gateway_customer = pg_text_or_null(result, row, TASK_COLUMN_GATEWAY_CUSTOMER),
        .quantity = pg_int(result, row, TASK_COLUMN_QUANTITY),
        .reference = pg_text(result, row, TASK_COLUMN_REFERENCE),
        .traceparent = pg_text(result, row, TASK_COLUMN_TRACEPARENT),
    };
    if (found < 0 || !complete(result, row, task.kind) ||
        !read_resolution(pg_text(result, row, TASK_COLUMN_RESOLUTION), &task.resolution))
        receiver->unknown_task(shard, text, arg);
    else
        receiver->task(&task, arg);
}

static void receive_news(const struct pg_result *result, int row,
                         const struct output_receiver *receiver, void *arg)
{
    static const char *const names[] = {
        [NEWS_TRANSITION] = "transition",     [NEWS_CONFLICT] = "conflict",
        [NEWS_LATE_CAPTURE] = "late_capture", [NEWS_COMMAND] = "command",
        [NEWS_ITEM_CHANGED] = "item_changed", [NEWS_SET_ASIDE] = "set_aside",
        [NEWS_NOT_RECORDED] = "not_recorded"};
    const char *text = pg_text(result, row, NEWS_COLUMN_KIND);
    int found = find_name(names, ARRAY_LEN(names), text);
    const struct news news = {
        .kind = (enum news_kind)found,
        .order_id = pg_text_or_null(result, row, NEWS_COLUMN_ORDER_ID),
        .sku = pg_text_or_null(result, row, NEWS_COLUMN_SKU),
        .status = pg_text_or_null(result, row, NEWS_COLUMN_STATUS),
        .reason = pg_text_or_null(result, row, NEWS_COLUMN_REASON),
        .intent_id = pg_text_or_null(result, row, NEWS_COLUMN_INTENT_ID),
        .command_id = pg_int(result, row, NEWS_COLUMN_COMMAND_ID),
        .count = pg_int(result, row, NEWS_COLUMN_COUNT),
    };
    bool wants_status = news.kind == NEWS_TRANSITION || news.kind == NEWS_COMMAND;
    if (found < 0 || (wants_status && news.status == NULL) ||
        (news.kind == NEWS_ITEM_CHANGED && news.sku == NULL))
        receiver->unknown_news(text, arg);
    else
        receiver->news(&news, arg);
}

void output_receive(const struct pg_result *result, uint32_t shard,
                    const struct output_receiver *receiver, void *arg)
{
    if (pg_columns(result) <= NEWS_COLUMN_COUNT)
        return; /* of a call that reports nothing */
    for (int row = 0; row < pg_rows(result); row++) {
        if (pg_null(result, row, NEWS_COLUMN_KIND)) /* so a row without either is an unknown task */
            receive_task(result, row, shard, receiver, arg);
        else
            receive_news(result, row, receiver, arg);
    }
}

void output_receive_tasks(const struct pg_result *result, uint32_t shards,
                          const struct output_receiver *receiver, void *arg)
{
    for (int row = 0; row < pg_rows(result); row++) {
        int64_t shard = pg_int(result, row, TASK_COLUMNS);
        if (shard >= 0 && shard < shards)
            receive_task(result, row, (uint32_t)shard, receiver, arg);
    }
}
