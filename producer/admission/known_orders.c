#include "producer/admission/known_orders.h"

#include <stdlib.h>
#include <string.h>

#include "common/base/buf.h"
#include "common/shop/ids.h"
#include "common/shop/status.h"
#include "producer/orders/order_json.h"

#define STATE_MAX 8192 /* an order as JSON is a tenth of that */

/* The columns of ORDER_JSON_COLUMNS come first. */
enum { COLUMN_NUMBER = ORDER_JSON_COLUMN_COUNT, COLUMN_FINGERPRINT };

static const struct pg_statement find_known = {
    "producer_known_orders",
    "select " ORDER_JSON_COLUMNS ", o.n, o.fingerprint from checkout.known_orders($1::uuid[]) o",
    1};

struct known_orders {
    struct table_asker *asker;
    known_answer_cb answer;
    void *arg;
};

void known_orders_free_row(struct known_order *row)
{
    free(row->fingerprint);
    free(row->state);
    *row = (struct known_order){.fingerprint = NULL};
}

static struct known_question *of(struct table_question *question)
{
    return (struct known_question *)(void *)question;
}

/* Without memory it stays unknown. */
static void keep_row(struct table_question *question, const struct pg_result *result, int row,
                     void *arg)
{
    struct known_order *order = &of(question)->row;
    struct buf state;
    (void)arg;
    buf_init(&state, STATE_MAX);
    order_json_encode(&state, result, row, NULL);
    *order = (struct known_order){
        .fingerprint = strdup(pg_text(result, row, COLUMN_FINGERPRINT)),
        .state = state.data,
        .place = order_json_place(result, row),
        .final = order_state_final(order_state_of(order_json_status(result, row)))};
    if (state.failed || order->fingerprint == NULL)
        known_orders_free_row(order);
}

static void answered(struct table_question *question, bool read, void *arg)
{
    const struct known_orders *known = arg;
    (void)read;
    known->answer(of(question), known->arg);
}

void known_orders_ask(struct known_orders *known, struct known_question *question,
                      const char *order_id)
{
    question->question.text = order_id;
    question->row = (struct known_order){.fingerprint = NULL};
    table_asker_ask(known->asker, &question->question);
}

struct known_orders *known_orders_new(struct loop *loop, const struct sessions *sessions,
                                      known_answer_cb answer, void *arg)
{
    struct known_orders *known = calloc(1, sizeof *known);
    if (known == NULL)
        return NULL;
    const struct table_asker_options options = {
        .sessions = sessions,
        .statement = &find_known,
        .number = COLUMN_NUMBER,
        .text_max = IDS_ORDER_SIZE,
        .row = keep_row,
        .answer = answered,
        .arg = known,
        .unread = "known orders not read",
        .slow = "PostgreSQL is slow: repeated orders are taken for new ones"};
    known->answer = answer;
    known->arg = arg;
    known->asker = table_asker_new(loop, &options);
    if (known->asker == NULL) {
        free(known);
        return NULL;
    }
    return known;
}

void known_orders_free(struct known_orders *known)
{
    if (known == NULL)
        return;
    table_asker_free(known->asker);
    free(known);
}
