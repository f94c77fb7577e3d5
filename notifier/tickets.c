#include "notifier/tickets.h"

#include <stdlib.h>

#include "common/base/log.h"

#define ASK_MAX 256 /* orders of one question */
#define ARRAY_MAX ((size_t)16 * 1024)

TAILQ_HEAD(unknown_list, place);

struct tickets {
    struct pg *pg;
    tickets_cb found;
    tickets_cb missing;
    void *arg;
    struct unknown_list unknown; /* wanted, and not asked for */
    struct place *asked[ASK_MAX];
    size_t asked_count; /* of the question in flight; 0: there is none */
    bool refused;       /* and logged */
};

static const struct pg_statement read_tickets = {
    "tickets", "select n, ticket, until_ms from checkout.tickets_of($1::uuid[])", 1};

enum column { N, TICKET, UNTIL };

struct tickets *tickets_new(struct pg *pg, tickets_cb found, tickets_cb missing, void *arg)
{
    struct tickets *tickets = calloc(1, sizeof *tickets);
    if (tickets == NULL)
        return NULL;
    tickets->pg = pg;
    tickets->found = found;
    tickets->missing = missing;
    tickets->arg = arg;
    TAILQ_INIT(&tickets->unknown);
    return tickets;
}

void tickets_free(struct tickets *tickets)
{
    free(tickets);
}

void tickets_want(struct tickets *tickets, struct place *place)
{
    place->asked = -1;
    TAILQ_INSERT_TAIL(&tickets->unknown, place, of_unknown);
}

void tickets_forget(struct tickets *tickets, struct place *place)
{
    if (place->asked >= 0)
        tickets->asked[place->asked] = NULL;
    else if (place->ticket == 0)
        TAILQ_REMOVE(&tickets->unknown, place, of_unknown);
}

static void take_row(struct tickets *tickets, const struct pg_result *result, int row)
{
    int64_t n = pg_int(result, row, N);
    if (n < 1 || n > (int64_t)tickets->asked_count || tickets->asked[n - 1] == NULL)
        return;
    struct place *place = tickets->asked[n - 1];
    place->ticket = pg_int(result, row, TICKET);
    place->until_ms = pg_int(result, row, UNTIL);
}

static void close_question(struct tickets *tickets, bool answered)
{
    for (size_t i = 0; i < tickets->asked_count; i++) {
        struct place *place = tickets->asked[i];
        if (place == NULL)
            continue;
        if (!answered) {
            tickets_want(tickets, place);
        } else if (place->ticket > 0) {
            place->asked = -1;
            tickets->found(place, tickets->arg);
        } else {
            tickets->missing(place, tickets->arg);
        }
    }
    tickets->asked_count = 0;
}

static void answered(const struct pg_result *result, void *arg)
{
    struct tickets *tickets = arg;
    enum pg_status status = pg_status(result);
    if (status == PG_ERROR && !tickets->refused)
        log_warning("tickets not read", LOG_STR("problem", pg_message(result)));
    tickets->refused = status == PG_ERROR;
    for (int row = 0; status == PG_OK && row < pg_rows(result); row++)
        take_row(tickets, result, row);
    close_question(tickets, status == PG_OK);
}

/* Names the orders whose tickets are wanted. */
static size_t gather(struct tickets *tickets, struct buf *orders)
{
    size_t count = 0;
    struct place *place;
    pg_array_begin(orders);
    TAILQ_FOREACH(place, &tickets->unknown, of_unknown)
    {
        char text[PLACE_ORDER_SIZE];
        if (count == ASK_MAX)
            break;
        place_order_text(place, text);
        pg_array_text(orders, text);
        tickets->asked[count++] = place;
    }
    pg_array_end(orders);
    return count;
}

void tickets_ask(struct tickets *tickets)
{
    if (tickets->asked_count > 0 || TAILQ_EMPTY(&tickets->unknown) || !pg_is_up(tickets->pg))
        return;
    struct buf orders;
    buf_init(&orders, ARRAY_MAX);
    size_t count = gather(tickets, &orders);
    const char *const params[] = {buf_text(&orders)};
    bool asked =
        !orders.failed && pg_query(tickets->pg, &read_tickets, params, answered, tickets) == 0;
    buf_free(&orders);
    for (size_t i = 0; asked && i < count; i++) {
        tickets->asked[i]->asked = (int)i;
        TAILQ_REMOVE(&tickets->unknown, tickets->asked[i], of_unknown);
    }
    tickets->asked_count = asked ? count : 0;
}
