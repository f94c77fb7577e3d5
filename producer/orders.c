#include "producer/orders.h"

#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>

#include "common/base/clock.h"
#include "common/base/err.h"
#include "common/base/log.h"
#include "producer/order_request.h"
#include "producer/respond.h"
#include "producer/publisher.h"
#include "producer/event_tickets.h"

#define SPARE_MAX 1024 /* orders kept for reuse: they are large, and come by the thousand */

/* An order between its request and its answer. */
struct order {
    struct http_request *request;
    TAILQ_ENTRY(order) link;
    struct gate_entry entry;
    bool marked; /* it left something at the gate */
    uint64_t since_us;
    struct job job;
    struct jwt_claims buyer;
    char scratch[ACCEPT_SCRATCH]; /* last: mostly untouched */
};

TAILQ_HEAD(order_list, order);

struct orders {
    struct door *door;
    struct order_list open;
    struct order_list spare;
    size_t spare_count;
};

struct orders *orders_new(struct door *door)
{
    struct orders *orders = calloc(1, sizeof *orders);
    if (orders == NULL)
        return NULL;
    orders->door = door;
    TAILQ_INIT(&orders->open);
    TAILQ_INIT(&orders->spare);
    return orders;
}

static void free_list(struct order_list *list)
{
    struct order *o;
    while ((o = TAILQ_FIRST(list)) != NULL) {
        TAILQ_REMOVE(list, o, link);
        free(o);
    }
}

void orders_free(struct orders *orders)
{
    if (orders == NULL)
        return;
    free_list(&orders->open);
    free_list(&orders->spare);
    free(orders);
}

static struct order *order_new(struct orders *orders, struct http_request *request)
{
    struct order *o = TAILQ_FIRST(&orders->spare);
    if (o != NULL) {
        TAILQ_REMOVE(&orders->spare, o, link);
        orders->spare_count--;
    } else {
        o = malloc(sizeof *o);
        if (o == NULL)
            return NULL;
    }
    o->request = request;
    o->marked = false;
    o->since_us = clock_mono_us();
    TAILQ_INSERT_TAIL(&orders->open, o, link);
    return o;
}

static void order_end(struct orders *orders, struct order *o)
{
    TAILQ_REMOVE(&orders->open, o, link);
    if (orders->spare_count >= SPARE_MAX) {
        free(o);
        return;
    }
    TAILQ_INSERT_HEAD(&orders->spare, o, link);
    orders->spare_count++;
}

/* ---- answers ---- */

static void refuse_with(struct door *door, struct order *o, const struct problem *problem)
{
    answer_problem(door, o->request, STATS_ORDERS_POST, problem);
    order_end(door->orders, o);
}

static void refuse(struct door *door, struct order *o, enum problem_type type, const char *detail)
{
    const struct problem problem = {.type = type, .detail = detail};
    refuse_with(door, o, &problem);
}

/* For an order that is surely not accepted although the gate has let it through. */
static void refuse_late(struct door *door, struct order *o, enum problem_type type,
                        const char *detail)
{
    if (o->marked)
        gate_take_back(door->gate, &o->entry);
    refuse(door, o, type, detail);
}

static void answer_accepted(struct door *door, struct order *o)
{
    static const char path[] = "/v1/orders/";
    char location[sizeof path + IDS_ORDER_SIZE];
    memcpy(location, path, sizeof path - 1);
    memcpy(location + sizeof path - 1, o->job.order_id, IDS_ORDER_SIZE);
    struct buf *out = &door->out;
    buf_reset(out);
    (void)buf_str(out, "{\"id\":\"");
    (void)buf_append(out, o->job.order_id, IDS_ORDER_SIZE - 1);
    (void)buf_str(out, "\",\"status\":\"queued\",\"message\":\"We're reserving your item! We'll "
                       "confirm your order shortly.\",\"status_url\":\"");
    (void)buf_str(out, location);
    (void)buf_str(out, "\",\"events_url\":");
    tickets_encode(door->tickets, &o->buyer, clock_wall_ms() / 1000, out);
    (void)buf_char(out, '}');
    const struct http_header headers[] = {
        {"Location", location}, {"Retry-After", "1"}, {"Cache-Control", "no-store"}};
    answer_json(door, o->request, STATS_ORDERS_POST, 202, out, headers, ARRAY_LEN(headers));
    metric_add(door->stats.accepted, 1);
    metric_observe(door->stats.accept_seconds, (double)(clock_mono_us() - o->since_us) / 1e6);
    order_end(door->orders, o);
}

void orders_fate(void *waiter, enum batch_fate fate, void *arg)
{
    struct door *door = arg;
    struct order *o = waiter;
    switch (fate) {
    case BATCH_CONFIRMED:
        answer_accepted(door, o);
        return;
    case BATCH_UNKNOWN: {
        const struct problem problem = {.type = PROBLEM_ACCEPT_UNKNOWN,
                                        .detail = "send the same order again with the same "
                                                  "Idempotency-Key, or look at its status",
                                        .order_id = o->job.order_id};
        refuse_with(door, o, &problem);
        return;
    }
    case BATCH_REFUSED:
        refuse_late(door, o, PROBLEM_OVERLOADED, "the queue of this item takes no more orders");
        return;
    case BATCH_UNAVAILABLE:
        refuse_late(door, o, PROBLEM_BROKER_UNAVAILABLE, NULL);
        return;
    case BATCH_OVERLOADED:
        refuse_late(door, o, PROBLEM_OVERLOADED, "the order's turn did not come in time");
        return;
    }
}

/* ---- the way in ---- */

static void publish(struct door *door, struct order *o)
{
    int code = publisher_add(door->publisher, &o->job, o);
    if (code == 0)
        return;
    if (code == ERR_UNAVAILABLE)
        refuse_late(door, o, PROBLEM_BROKER_UNAVAILABLE, NULL);
    else
        refuse_late(door, o, PROBLEM_OVERLOADED, "too many orders wait for their confirmation");
}

void orders_verdict(struct gate_entry *entry, enum gate_verdict verdict, void *arg)
{
    struct door *door = arg;
    struct order *o = (struct order *)(void *)((char *)entry - offsetof(struct order, entry));
    switch (verdict) {
    case GATE_OTHER_BODY:
        refuse(door, o, PROBLEM_IDEMPOTENCY_KEY_REUSED,
               "an order with another body was sent under this key");
        return;
    case GATE_SOLD_OUT:
        refuse(door, o, PROBLEM_SOLD_OUT, NULL);
        return;
    case GATE_TAKEN:
        refuse(door, o, PROBLEM_ITEM_IN_ANOTHER_CART, NULL);
        return;
    case GATE_OPEN:
        metric_add(door->stats.gate_opened, 1);
        publish(door, o);
        return;
    case GATE_PASS:
    case GATE_LOCKED:
        o->marked = true;
        publish(door, o);
        return;
    case GATE_RETRY:
        publish(door, o);
        return;
    }
}

/* Fills the order's job; otherwise it has been answered. */
static bool read_order(struct door *door, struct order *o)
{
    struct http_request *request = o->request;
    struct accept_input input = {.user = o->buyer.user,
                                 .content_type = http_request_header(request, "Content-Type"),
                                 .key = http_request_header(request, "Idempotency-Key"),
                                 .key_count = http_request_header_count(request, "Idempotency-Key"),
                                 .traceparent = http_request_header(request, "traceparent"),
                                 .body_too_large = http_request_body_too_large(request),
                                 .now_ms = clock_wall_ms()};
    input.body = http_request_body(request, &input.body_len);
    if (input.body_len > ACCEPT_BODY_MAX) /* a webhook may be longer */
        input.body_too_large = true;
    struct problem problem = {.type = PROBLEM_INVALID_REQUEST};
    int code = accept_order(door->ids, &input, o->scratch, &o->job, &problem);
    if (code == 0)
        return true;
    if (code == ERR_INVALID)
        refuse_with(door, o, &problem);
    else
        refuse(door, o, PROBLEM_OVERLOADED, "out of memory");
    return false;
}

void orders_post(struct door *door, struct http_request *request)
{
    struct jwt_claims buyer;
    if (answer_authenticate(door, request, STATS_ORDERS_POST, &buyer) < 0)
        return;
    struct order *o = order_new(door->orders, request);
    if (o == NULL) {
        answer_plain_problem(door, request, STATS_ORDERS_POST, PROBLEM_OVERLOADED, "out of memory");
        return;
    }
    o->buyer.expires_s = buyer.expires_s;
    memcpy(o->buyer.user, buyer.user, strlen(buyer.user) + 1);
    if (!read_order(door, o))
        return;
    const char *why;
    if (!publisher_ready(door->publisher, &why)) {
        refuse(door, o, PROBLEM_BROKER_UNAVAILABLE, NULL);
        return;
    }
    o->entry = (struct gate_entry){
        .order_id = o->job.order_id, .fingerprint = o->job.fingerprint, .sku = o->job.sku};
    gate_ask(door->gate, &o->entry);
}
