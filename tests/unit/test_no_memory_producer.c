/* Memory runs out at each allocation of the producer's pure cores in turn. */
#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/buf.h"
#include "common/base/err.h"
#include "common/identity/jwt.h"
#include "common/shop/job.h"
#include "producer/orders/event_tickets.h"
#include "producer/publish/batcher.h"
#include "tests/fake/fake_memory.h"

#define SECRET "a secret of thirty-two bytes, or so"
#define NOW_S 1700000000

static size_t ended;

static void on_fate(void *waiter, enum batch_fate fate, void *arg)
{
    (void)waiter;
    (void)arg;
    MUST(fate == BATCH_CONFIRMED || fate == BATCH_UNAVAILABLE);
    ended++;
}

/* Each job that was taken ends once, each that was refused never. */
static int orders(void)
{
    static const struct job job = {.order_id = "00000000-0000-8000-8000-000000000000",
                                   .user_id = "ann",
                                   .sku = "lamp",
                                   .quantity = 1,
                                   .payment_method = "pm_card_visa",
                                   .accepted_at = "2026-01-31T18:00:00.000Z",
                                   .fingerprint = "00000000000000000000000000000000"};
    struct batcher *batcher = batcher_new(4, 2, 100, on_fate, NULL);
    int code = batcher == NULL ? ERR_NOMEM : 0;
    size_t taken = 0;
    ended = 0;
    for (uint32_t i = 0; i < 20 && code == 0; i++) {
        code = batcher_add(batcher, i % 4, &job, NULL, 1);
        taken += code == 0;
    }
    if (batcher != NULL) {
        struct batch *batch = batcher_next(batcher, 0);
        if (batch != NULL) {
            batcher_sent(batcher, batch, 1, 1);
            batcher_settle(batcher, 1, BATCH_CONFIRMED);
        }
        batcher_refuse(batcher);
        MUST(ended == taken);
        MUST(batcher_jobs(batcher) == 0);
    }
    batcher_free(batcher);
    return code;
}

static struct jwt *jwt;

/* A buyer without a ticket gets null, and the next time one. */
static int tickets(void)
{
    static const struct jwt_claims buyer = {.user = "ann", .expires_s = NOW_S + 3600};
    struct buf out;
    struct event_tickets *t = event_tickets_new(jwt, "wss://events.example/v1/events?a=b", 60);
    if (t == NULL)
        return ERR_NOMEM;
    buf_init(&out, 8192);
    (void)buf_str(&out, "                                                                        "
                        "                                                                        ");
    bool had_room = !out.failed;
    event_tickets_encode(t, &buyer, NOW_S, &out);
    bool none = had_room && strstr(buf_text(&out), "null") != NULL;
    MUST(!none || fake_memory_failed());
    buf_free(&out);
    event_tickets_free(t);
    return none ? ERR_NOMEM : 0;
}

START_TEST(orders_and_tickets)
{
    ck_assert_uint_gt(fake_memory_run(orders), 4);
    ck_assert_uint_gt(fake_memory_run(tickets), 2);
}
END_TEST

START_TEST(a_ticket_is_used_again_for_half_its_life_by_its_own_buyer)
{
    struct jwt_claims ann = {.user = "ann", .expires_s = NOW_S + 3600};
    struct event_tickets *t = event_tickets_new(jwt, "wss://events.example/v1/events", 60);
    struct buf first;
    struct buf later;
    buf_init(&first, 8192);
    buf_init(&later, 8192);
    event_tickets_encode(t, &ann, NOW_S, &first);
    ck_assert_int_eq(strncmp(buf_text(&first), "\"wss://events.example/v1/events?ticket=", 38), 0);
    event_tickets_encode(t, &ann, NOW_S + 29, &later);
    ck_assert_str_eq(buf_text(&first), buf_text(&later));
    buf_reset(&later);
    event_tickets_encode(t, &ann, NOW_S + 30, &later); /* half its life is over */
    ck_assert_str_ne(buf_text(&first), buf_text(&later));
    buf_reset(&first);
    ann.expires_s++; /* another token of hers */
    event_tickets_encode(t, &ann, NOW_S + 30, &first);
    ck_assert_str_ne(buf_text(&first), buf_text(&later));
    buf_free(&first);
    buf_free(&later);
    event_tickets_free(t);
    event_tickets_free(NULL);
}
END_TEST

int main(void)
{
    jwt = jwt_new(&(struct jwt_options){.secret = SECRET, .secret_len = strlen(SECRET)});
    Suite *suite = suite_create("no memory: producer");
    TCase *tests = tcase_create("no memory: producer");
    tcase_add_test(tests, orders_and_tickets);
    tcase_add_test(tests, a_ticket_is_used_again_for_half_its_life_by_its_own_buyer);
    suite_add_tcase(suite, tests);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    jwt_free(jwt);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
