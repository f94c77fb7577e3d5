#include "common/shop/event_row.h"

struct event event_of_row(const struct db_result *result, int row)
{
    return (struct event){
        .id = db_int(result, row, EVENT_ROW_ID),
        .sequence = db_int(result, row, EVENT_ROW_SEQUENCE),
        .time_ms = db_int(result, row, EVENT_ROW_TIME_MS),
        .order_id = db_text(result, row, EVENT_ROW_ORDER_ID),
        .sku = db_text_or_null(result, row, EVENT_ROW_SKU),
        .quantity = db_int(result, row, EVENT_ROW_QUANTITY),
        .status = db_text(result, row, EVENT_ROW_STATUS),
        .reason = db_text_or_null(result, row, EVENT_ROW_REASON),
        .place_in_line = db_int(result, row, EVENT_ROW_PLACE),
        .has_amount = !db_null(result, row, EVENT_ROW_AMOUNT),
        .amount = db_int(result, row, EVENT_ROW_AMOUNT),
        .currency = db_text_or_null(result, row, EVENT_ROW_CURRENCY),
        .reference = db_text_or_null(result, row, EVENT_ROW_REFERENCE),
        .next_action = db_text_or_null(result, row, EVENT_ROW_NEXT_ACTION),
    };
}
