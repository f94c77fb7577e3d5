#include "producer/admission/known_orders.h"

#include <stdlib.h>
#include <string.h>

#include "common/base/buf.h"
#include "common/base/clock.h"
#include "common/base/log.h"
#include "common/shop/ids.h"
#include "common/shop/status.h"
#include "producer/orders/order_json.h"

#define ASK_MAX 256       /* orders in one query */
#define SLOW_PAUSE_MS 500 /* after a query that took too long, none is sent for a while */
#define LOGGED_MS 10000   /* between lines of one kind */
#define STATE_MAX 8192    /* an order as JSON is a tenth of that */
#define ARRAY_MAX ((size_t)ASK_MAX * (IDS_ORDER_SIZE + 3))

/* The columns of ORDER_JSON_COLUMNS come first. */
enum { COLUMN_NUMBER = ORDER_JSON_COLUMN_COUNT, COLUMN_FINGERPRINT };

static const struct pg_statement find_known = {
    "producer_known_orders",
    "select " ORDER_JSON_COLUMNS ", o.n, o.fingerprint from checkout.known_orders($1::uuid[]) o",
    1};

/* A query under way; its answer frees it. */
struct lookup {
    struct known_orders *known; /* NULL: it is gone */
    struct known_question *questions[ASK_MAX];
    size_t count; /* 0: no question waits for it any more */
};

struct known_orders {
    const struct sessions *sessions;
    known_answer_cb answer;
    void *arg;
    struct known_question *first; /* not sent yet, in order */
    struct known_question *last;
    struct lookup *under_way;
    struct loop_deferred *soon;
    struct loop_timer *late;
    uint64_t slow_until_ms;
    uint64_t slow_logged_ms;
    uint64_t refused_logged_ms;
};

void known_orders_free_row(struct known_order *row)
{
    free(row->fingerprint);
    free(row->state);
    *row = (struct known_order){.fingerprint = NULL};
}

/* ---- answers ---- */

static struct known_question *take_first(struct known_orders *known)
{
    struct known_question *question = known->first;
    known->first = question->next;
    if (known->first == NULL)
        known->last = NULL;
    return question;
}

static void answer_lookup(struct known_orders *known, struct lookup *lookup)
{
    size_t count = lookup->count;
    lookup->count = 0;
    for (size_t i = 0; i < count; i++)
        known->answer(lookup->questions[i], known->arg);
}

static void answer_queue(struct known_orders *known)
{
    while (known->first != NULL)
        known->answer(take_first(known), known->arg);
}

/* Without memory it stays unknown. */
static void keep_row(struct known_question *question, const struct pg_result *result, int row)
{
    struct buf state;
    buf_init(&state, STATE_MAX);
    order_json_encode(&state, result, row);
    question->row = (struct known_order){
        .fingerprint = strdup(pg_text(result, row, COLUMN_FINGERPRINT)),
        .state = state.data,
        .final = order_state_final(order_state_of(order_json_status(result, row)))};
    if (state.failed || question->row.fingerprint == NULL)
        known_orders_free_row(&question->row);
}

static void keep_rows(struct lookup *lookup, const struct pg_result *result)
{
    for (int row = 0; row < pg_rows(result); row++) {
        int64_t number = pg_int(result, row, COLUMN_NUMBER);
        if (number >= 1 && (uint64_t)number <= lookup->count)
            keep_row(lookup->questions[number - 1], result, row);
    }
}

static void answered(const struct pg_result *result, void *arg)
{
    struct lookup *lookup = arg;
    struct known_orders *known = lookup->known;
    if (pg_status(result) == PG_OK)
        keep_rows(lookup, result);
    if (known != NULL) {
        if (pg_status(result) == PG_ERROR && log_due(&known->refused_logged_ms, LOGGED_MS))
            log_error("known orders not read", LOG_STR("problem", pg_message(result)));
        known->under_way = NULL;
        answer_lookup(known, lookup);
        if (known->first != NULL)
            loop_defer(known->soon);
    }
    free(lookup);
}

/* ---- questions ---- */

static int send(struct lookup *lookup, struct pg *pg)
{
    struct buf ids;
    buf_init(&ids, ARRAY_MAX);
    pg_array_begin(&ids);
    for (size_t i = 0; i < lookup->count; i++)
        pg_array_text(&ids, lookup->questions[i]->order_id);
    pg_array_end(&ids);
    const char *const params[] = {buf_text(&ids)};
    int code = ids.failed ? -1 : pg_query(pg, &find_known, params, answered, lookup);
    buf_free(&ids);
    return code;
}

static bool can_ask(const struct known_orders *known)
{
    return known->sessions->reads != NULL && pg_is_up(known->sessions->reads) &&
           clock_mono_ms() >= known->slow_until_ms;
}

static void ask(void *arg)
{
    struct known_orders *known = arg;
    if (known->first == NULL || (known->under_way != NULL && known->under_way->count > 0))
        return; /* those that gather meanwhile go together */
    struct lookup *lookup = NULL;
    if (known->under_way == NULL && can_ask(known))
        lookup = calloc(1, sizeof *lookup);
    if (lookup == NULL) {
        answer_queue(known);
        return;
    }
    lookup->known = known;
    while (known->first != NULL && lookup->count < ASK_MAX)
        lookup->questions[lookup->count++] = take_first(known);
    if (send(lookup, known->sessions->reads) < 0) {
        answer_lookup(known, lookup);
        free(lookup);
        answer_queue(known);
        return;
    }
    known->under_way = lookup;
    if (!loop_timer_active(known->late))
        loop_timer_start(known->late, KNOWN_ORDERS_WAIT_MS, 0);
}

static uint64_t oldest_ms(const struct known_orders *known)
{
    if (known->under_way != NULL && known->under_way->count > 0)
        return known->under_way->questions[0]->asked_ms;
    return known->first != NULL ? known->first->asked_ms : 0;
}

/* No order waits longer, neither for the query under way nor behind it. */
static void on_late(void *arg)
{
    struct known_orders *known = arg;
    uint64_t oldest = oldest_ms(known);
    uint64_t now_ms = clock_mono_ms();
    if (oldest == 0)
        return;
    if (oldest + KNOWN_ORDERS_WAIT_MS > now_ms) {
        loop_timer_start(known->late, oldest + KNOWN_ORDERS_WAIT_MS - now_ms, 0);
        return;
    }
    known->slow_until_ms = now_ms + SLOW_PAUSE_MS;
    if (log_due(&known->slow_logged_ms, LOGGED_MS))
        log_warning("PostgreSQL is slow: repeated orders are taken for new ones",
                    LOG_INT("waited_ms", (int64_t)(now_ms - oldest)));
    if (known->under_way != NULL)
        answer_lookup(known, known->under_way);
    answer_queue(known);
}

void known_orders_ask(struct known_orders *known, struct known_question *question)
{
    question->next = NULL;
    question->row = (struct known_order){.fingerprint = NULL};
    question->asked_ms = clock_mono_ms();
    if (known->last == NULL)
        known->first = question;
    else
        known->last->next = question;
    known->last = question;
    loop_defer(known->soon);
}

/* ---- */

struct known_orders *known_orders_new(struct loop *loop, const struct sessions *sessions,
                                      known_answer_cb answer, void *arg)
{
    struct known_orders *known = calloc(1, sizeof *known);
    if (known == NULL)
        return NULL;
    known->sessions = sessions;
    known->answer = answer;
    known->arg = arg;
    known->soon = loop_deferred_new(loop, ask, known);
    known->late = loop_timer_new(loop, on_late, known);
    if (known->soon == NULL || known->late == NULL) {
        known_orders_free(known);
        return NULL;
    }
    return known;
}

void known_orders_free(struct known_orders *known)
{
    if (known == NULL)
        return;
    if (known->under_way != NULL) {
        known->under_way->known = NULL; /* its answer, or the end of the session, frees it */
        known->under_way->count = 0;
    }
    loop_deferred_free(known->soon);
    loop_timer_free(known->late);
    free(known);
}
