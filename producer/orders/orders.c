#include "producer/orders/orders.h"

#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>

#include "common/base/clock.h"
#include "common/base/err.h"
#include "common/base/log.h"
#include "common/shop/trace.h"
#include "producer/limits/clients.h"
#include "producer/limits/open_orders.h"
#include "producer/limits/senders.h"
#include "producer/orders/event_tickets.h"
#include "producer/orders/order_json.h"
#include "producer/orders/order_request.h"
#include "producer/orders/order_spans.h"
#include "producer/publish/publisher.h"
#include "producer/respond.h"
#include "producer/timekeeper.h"
#include "producer/undecided.h"

#define CROWDED "too many orders wait for their confirmation"
#define SPARE_MAX 1024 /* orders kept for reuse: they are large and many */

/* An order between its request and its answer. */
struct order {
    struct http_request *request;
    TAILQ_ENTRY(order) link;
    struct admission_entry entry;
    bool let_in; /* it may have left something at admission */
    uint64_t since_us;
    int64_t accepted_ms; /* the one reading of the clock: its stamp, and by which it is refused */
    struct job job;
    struct jwt_claims buyer;
    char address[ADDRESS_NAME_SIZE];
    char trace[TRACE_SIZE];
    bool has_trace; /* its request named it */
    struct span_mark span;
    uint64_t published_us;               /* given to the publisher */
    char scratch[ORDER_REQUEST_SCRATCH]; /* last: mostly untouched */
};

TAILQ_HEAD(order_list, order);

struct orders {
    struct api *api;
    struct order_list open;
    struct order_list spare;
    size_t spare_count;
};

struct orders *orders_new(struct api *api)
{
    struct orders *orders = calloc(1, sizeof *orders);
    if (orders == NULL)
        return NULL;
    orders->api = api;
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
    o->let_in = false;
    o->span.on = false;
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

/* ---- spans ---- */

/* What the order causes belongs to this span from now on. */
static void begin_span(struct api *api, struct order *o)
{
    const char *above = o->has_trace ? o->job.traceparent : NULL;
    if (!spans_begin(api->stats.spans, o->job.order_id, above, &o->span))
        return;
    o->span.began_us = o->since_us;
    span_mark_traceparent(&o->span, o->trace);
    o->job.traceparent = o->trace;
}

static void end_span(struct api *api, struct order *o, unsigned status)
{
    order_spans_answer(api->stats.spans, &o->span, o->job.order_id, o->request, status);
}

/* ---- answers ---- */

static void refuse_with(struct api *api, struct order *o, const struct problem *problem)
{
    end_span(api, o, problem_status(problem->type));
    respond_problem(api, o->request, STATS_ORDERS_POST, problem);
    order_end(api->orders, o);
}

static void refuse(struct api *api, struct order *o, enum problem_type type, const char *detail)
{
    const struct problem problem = {.type = type, .detail = detail};
    refuse_with(api, o, &problem);
}

/* For an order that was certainly not accepted although admission let it pass. */
static void refuse_late(struct api *api, struct order *o, enum problem_type type,
                        const char *detail)
{
    if (o->let_in)
        admission_take_back(api->admission, &o->entry);
    refuse(api, o, type, detail);
}

static void refuse_limited(struct api *api, struct order *o)
{
    static const char *const details[LIMIT_ALL] = {
        [LIMIT_USER] = "this customer sends too many orders",
        [LIMIT_ADDRESS] = "this address sends too many orders",
        [LIMIT_OPEN] = "this customer has too many orders that have not ended yet"};
    const struct limit_refusal *refused = &o->entry.refused;
    const struct limited limited = {.policy = limit_kind_name(refused->kind),
                                    .detail = details[refused->kind],
                                    .rate = limits_rate(api->limits, refused->kind),
                                    .wait_us = refused->wait_us};
    end_span(api, o, problem_status(PROBLEM_RATE_LIMITED));
    respond_limited(api, o->request, STATS_ORDERS_POST, &limited);
    order_end(api->orders, o);
}

/* The body of a 202: members of the order, from its id on, come between this and end_202. */
static struct buf *begin_202(struct api *api)
{
    buf_reset(&api->out);
    (void)buf_char(&api->out, '{');
    return &api->out;
}

static void end_202(struct api *api, struct order *o, const char *message, bool final)
{
    static const char path[] = "/v1/orders/";
    char location[sizeof path + IDS_ORDER_SIZE];
    memcpy(location, path, sizeof path - 1);
    memcpy(location + sizeof path - 1, o->job.order_id, IDS_ORDER_SIZE);
    struct buf *out = &api->out;
    (void)buf_str(out, ",\"message\":\"");
    (void)buf_str(out, message);
    (void)buf_str(out, "\",\"status_url\":\"");
    (void)buf_str(out, location);
    (void)buf_str(out, "\",\"events_url\":");
    event_tickets_encode(api->tickets, &o->buyer, clock_wall_ms() / 1000, out);
    (void)buf_char(out, '}');
    const struct http_header headers[] = {
        {"Location", location}, {"Cache-Control", "no-store"}, {"Retry-After", "1"}};
    respond_json(api, o->request, STATS_ORDERS_POST, 202, out, headers, final ? 2 : 3);
}

static void answer_accepted(struct api *api, struct order *o)
{
    struct buf *out = begin_202(api);
    (void)buf_str(out, "\"id\":\"");
    (void)buf_append(out, o->job.order_id, IDS_ORDER_SIZE - 1);
    (void)buf_str(out, "\",\"status\":\"queued\"");
    end_span(api, o, 202);
    end_202(api, o, "We're reserving your item! We'll confirm your order shortly.", false);
    metric_add(api->stats.accepted, 1);
    undecided_add(api->undecided, publisher_shards(api->publisher), o->job.sku, o->job.order_id);
    metric_observe(api->stats.accept_seconds, (double)(clock_mono_us() - o->since_us) / 1e6);
    order_end(api->orders, o);
}

/* The consumer has it already, so the broker need not carry it again. */
static void answer_known(struct api *api, struct order *o)
{
    const struct known_order *row = &o->entry.known.row;
    struct buf *out = begin_202(api);
    (void)buf_str(out, row->state);
    order_json_estimate(out, api->paces, o->job.sku, row->place);
    end_span(api, o, 202);
    end_202(api, o, "We have this order already; its status says how it stands.", row->final);
    metric_add(api->stats.repeats, 1);
    order_end(api->orders, o);
}

void orders_fate(void *waiter, enum batch_fate fate, void *arg)
{
    struct api *api = arg;
    struct order *o = waiter;
    if (o->span.on)
        order_spans_sent(api->stats.spans, o->job.order_id, o->trace, o->published_us,
                         fate == BATCH_CONFIRMED);
    switch (fate) {
    case BATCH_CONFIRMED:
        answer_accepted(api, o);
        return;
    case BATCH_UNKNOWN: {
        const struct problem problem = {.type = PROBLEM_ACCEPT_UNKNOWN,
                                        .detail = "send the same order again with the same "
                                                  "Idempotency-Key, or read its status",
                                        .order_id = o->job.order_id};
        refuse_with(api, o, &problem);
        return;
    }
    case BATCH_REFUSED:
        refuse_late(api, o, PROBLEM_OVERLOADED, "the queue of this item takes no more orders");
        return;
    case BATCH_UNAVAILABLE:
        refuse_late(api, o, PROBLEM_BROKER_UNAVAILABLE, NULL);
        return;
    case BATCH_OVERLOADED:
        refuse_late(api, o, PROBLEM_OVERLOADED, "the order's turn did not come in time");
        return;
    }
}

/* ---- the way in ---- */

/* Refuses an order that comes before its item's sale or after it, by the time of its stamp. Not a
 * retry: it may have been accepted in time. */
static bool refused_by_window(struct api *api, struct order *o)
{
    int64_t opens_ms;
    char opens_at[CLOCK_RFC3339_SIZE];
    struct problem problem = {.type = PROBLEM_SALE_CLOSED};
    enum sale_state state =
        timekeeper_judge(api->timekeeper, o->job.sku, o->accepted_ms, &opens_ms);
    if (state == SALE_OPEN)
        return false;
    if (state == SALE_NOT_OPEN_YET) {
        clock_rfc3339(opens_ms, opens_at);
        problem = (struct problem){.type = PROBLEM_NOT_OPEN_YET, .opens_at = opens_at};
    }
    admission_take_back(api->admission, &o->entry);
    refuse_with(api, o, &problem);
    return true;
}

/* Refuses an order of an item whose challenge the token does not say that its buyer passed. Not a
 * retry: the token that it came with first may have said so. */
static bool refused_by_challenge(struct api *api, struct order *o)
{
    const char *challenge = timekeeper_challenge(api->timekeeper, o->job.sku);
    if (challenge == NULL || job_passed(o->job.human, challenge))
        return false;
    const struct problem problem = {.type = PROBLEM_CHALLENGE_REQUIRED, .challenge = challenge};
    admission_take_back(api->admission, &o->entry);
    refuse_with(api, o, &problem);
    return true;
}

static void publish(struct api *api, struct order *o)
{
    o->published_us = clock_mono_us();
    int code = publisher_add(api->publisher, &o->job, o);
    if (code == 0)
        return;
    if (code == ERR_UNAVAILABLE)
        refuse_late(api, o, PROBLEM_BROKER_UNAVAILABLE, NULL);
    else
        refuse_late(api, o, PROBLEM_OVERLOADED, CROWDED);
}

void orders_verdict(struct admission_entry *entry, enum admission_verdict verdict, void *arg)
{
    struct api *api = arg;
    struct order *o = (struct order *)(void *)((char *)entry - offsetof(struct order, entry));
    switch (verdict) {
    case ADMISSION_OTHER_BODY:
        refuse(api, o, PROBLEM_IDEMPOTENCY_KEY_REUSED,
               "an order with another body was sent under this key");
        return;
    case ADMISSION_KNOWN:
        answer_known(api, o);
        return;
    case ADMISSION_SOLD_OUT:
        refuse(api, o, PROBLEM_SOLD_OUT, NULL);
        return;
    case ADMISSION_TAKEN:
        refuse(api, o, PROBLEM_ITEM_IN_ANOTHER_CART, NULL);
        return;
    case ADMISSION_NO_ITEM:
        o->let_in = true;
        refuse_late(api, o, PROBLEM_UNKNOWN_ITEM, NULL);
        return;
    case ADMISSION_LIMITED:
        refuse_limited(api, o);
        return;
    case ADMISSION_OPEN:
        metric_add(api->stats.admission_opened, 1);
        o->let_in = true;
        publish(api, o);
        return;
    case ADMISSION_PASS:
    case ADMISSION_LOCKED:
        o->let_in = true;
        open_orders_saw(api->open_orders, o->buyer.user);
        if (!refused_by_window(api, o) && !refused_by_challenge(api, o))
            publish(api, o);
        return;
    case ADMISSION_RETRY:
        publish(api, o);
        return;
    }
}

/* Of several none is the right one: as if there were none. NULL: none. */
static const char *trace_of(const struct api *api, struct order *o)
{
    const char *header = http_request_header_count(o->request, "traceparent") == 1
                             ? http_request_header(o->request, "traceparent")
                             : NULL;
    o->has_trace = header != NULL && trace_read(header, o->trace);
    if (o->has_trace)
        return o->trace;
    return api->traces && trace_new(o->trace) ? o->trace : NULL;
}

/* Fills the order's job, or answers it. */
static bool read_order(struct api *api, struct order *o)
{
    struct http_request *request = o->request;
    o->accepted_ms = timekeeper_now_ms(api->timekeeper);
    struct order_request input = {.user = o->buyer.user,
                                  .kind = http_request_body_kind(request),
                                  .key = http_request_header(request, "Idempotency-Key"),
                                  .key_count =
                                      http_request_header_count(request, "Idempotency-Key"),
                                  .traceparent = trace_of(api, o),
                                  .body_too_large = http_request_body_too_large(request),
                                  .now_ms = o->accepted_ms};
    input.body = http_request_body(request, &input.body_len);
    struct problem problem = {.type = PROBLEM_INVALID_REQUEST};
    int code = order_request_read(api->ids, &input, o->scratch, &o->job, &problem);
    if (code == 0) {
        begin_span(api, o);
        return true;
    }
    if (code == ERR_INVALID)
        refuse_with(api, o, &problem);
    else
        refuse(api, o, PROBLEM_OVERLOADED, "out of memory");
    return false;
}

/* What the order takes from its buyer's token, where the shop wants it. */
static void carry_claims(const struct api *api, struct order *o)
{
    if (api->saved_methods && o->buyer.gateway_customer[0] != '\0')
        o->job.gateway_customer = o->buyer.gateway_customer;
    if (o->buyer.human[0] != '\0')
        o->job.human = o->buyer.human;
    if (api->mails && o->buyer.email[0] != '\0')
        o->job.mail_to = o->buyer.email;
    else if (api->mails && api->mails_to_any)
        o->job.mail_to = o->job.receipt_email;
}

void orders_post(struct api *api, struct http_request *request)
{
    struct jwt_claims buyer;
    if (respond_authenticate(api, request, STATS_ORDERS_POST, &buyer) < 0)
        return;
    struct order *o = order_new(api->orders, request);
    if (o == NULL) {
        respond_plain_problem(api, request, STATS_ORDERS_POST, PROBLEM_OVERLOADED, "out of memory");
        return;
    }
    o->buyer.expires_s = buyer.expires_s;
    memcpy(o->buyer.user, buyer.user, strlen(buyer.user) + 1);
    memcpy(o->buyer.gateway_customer, buyer.gateway_customer, sizeof o->buyer.gateway_customer);
    memcpy(o->buyer.human, buyer.human, strlen(buyer.human) + 1);
    memcpy(o->buyer.email, buyer.email, strlen(buyer.email) + 1);
    if (!read_order(api, o))
        return;
    carry_claims(api, o);
    clients_name(api->clients, request, &api->out, o->address);
    senders_saw(api->senders, o->address);
    const char *why;
    if (!publisher_ready(api->publisher, &why)) {
        refuse(api, o, PROBLEM_BROKER_UNAVAILABLE, NULL);
        return;
    }
    if (publisher_crowded(api->publisher)) {
        refuse(api, o, PROBLEM_OVERLOADED, CROWDED);
        return;
    }
    o->entry = (struct admission_entry){
        .order_id = o->job.order_id,
        .fingerprint = o->job.fingerprint,
        .sku = o->job.sku,
        .names.of = {[LIMIT_USER] = o->job.user_id, [LIMIT_ADDRESS] = o->address}};
    admission_ask(api->admission, &o->entry);
}
