#include "consumer/gateway/gateway.h"

#include <check.h>
#include <stdlib.h>

#include "common/base/err.h"
#include "tests/fake/stage_gateway.h"

#define CALLS 64

static struct gateway *gateway;
static struct gateway_call calls[CALLS];
static const struct gateway_call *unready;
static int fails_with;

static bool ready(struct gateway_call *call, void *arg)
{
    (void)arg;
    if (call == unready)
        gateway_leave(gateway, call);
    return call != unready;
}

static void no_answer(const struct pay_answer *answer, void *arg)
{
    (void)answer;
    (void)arg;
}

static int make(struct gateway_call *call, void *arg)
{
    static const struct pay_charge charge = {.order_id = "order", .idempotency_key = "key"};
    (void)arg;
    int code = fails_with;
    if (code == 0)
        code = pay_charge(gateway_pay(gateway), &charge, no_answer, NULL);
    if (code == 0)
        gateway_called(gateway, call);
    else if (code == ERR_INVALID)
        gateway_leave(gateway, call);
    return code;
}

static void begin(void)
{
    stage_begin(1);
    const struct gateway_options options = {.loop = stage.loop,
                                            .pay = &fake_gateway.pay,
                                            .stats = &stage.stats,
                                            .inflight_first = 20,
                                            .inflight_max = 40,
                                            .ready = ready,
                                            .make = make,
                                            .stopped = stage_on_stopped};
    gateway = gateway_new(&options);
    for (int i = 0; i < CALLS; i++)
        calls[i] = (struct gateway_call){.called_us = 0};
    unready = NULL;
    fails_with = 0;
}

static void end(void)
{
    gateway_free(gateway);
    stage_end();
}

static void queue(int from, int to, enum gateway_kind kind)
{
    for (int i = from; i < to; i++)
        ck_assert_int_eq(gateway_queue(gateway, &calls[i], kind, "dress"), 0);
    gateway_pump(gateway);
}

static void answer(int call, enum pay_outcome outcome, const struct circuit_breaker_refusal *who)
{
    const struct pay_answer a = {.outcome = outcome, .http_status = 200};
    fake_gateway.inflight--;
    gateway_answered(gateway, &calls[call], &a, who, false);
    gateway_pump(gateway);
}

START_TEST(each_kind_has_its_share_of_the_calls)
{
    queue(0, 10, GATEWAY_LOOKS);
    ck_assert_uint_eq(fake_gateway.inflight, 4); /* a fifth */
    queue(10, 40, GATEWAY_REFUNDS);
    ck_assert_uint_eq(fake_gateway.inflight, 4 + 16);
    queue(40, 41, GATEWAY_CHARGES);
    ck_assert_uint_eq(fake_gateway.inflight, 20); /* the window is full */
    ck_assert(!gateway_may_call(gateway));
    answer(0, PAY_PENDING, NULL); /* a look is due, so many other calls were made since the last */
    ck_assert_uint_eq(fake_gateway.inflight, 20);
    ck_assert_uint_eq(calls[40].called_us, 0);
    answer(1, PAY_PENDING, NULL);
    ck_assert_uint_ne(calls[40].called_us, 0); /* else charges go first */
}
END_TEST

/* While charges wait for their turns, each fifth call is a look: no more, and no less. */
START_TEST(looks_are_a_fifth_of_the_calls_while_charges_wait)
{
    queue(0, 20, GATEWAY_CHARGES);
    queue(20, 32, GATEWAY_LOOKS);
    ck_assert_uint_eq(fake_gateway.inflight, 20);
    queue(32, 64, GATEWAY_CHARGES);
    size_t looks = 0;
    for (int done = 0; done < 20; done++) {
        answer(done, PAY_SUCCEEDED, NULL);
        looks = 0;
        for (int i = 20; i < 32; i++)
            looks += calls[i].called_us != 0;
        ck_assert_uint_le(looks * 5, fake_gateway.count + 4); /* one was due before they began */
    }
    ck_assert_uint_ge(looks, 4);
}
END_TEST

START_TEST(after_a_stop_it_makes_no_call_and_touches_the_gateway_no_more)
{
    queue(0, 10, GATEWAY_LOOKS);
    ck_assert_uint_eq(fake_gateway.inflight, 4);
    gateway_stop(gateway);
    const struct pay_ops *ops = fake_gateway.pay.ops;
    fake_gateway.pay.ops = NULL; /* it is freed: whoever uses it crashes */
    queue(10, 20, GATEWAY_CHARGES);
    fake_loop_run(5000);
    ck_assert_uint_eq(gateway_inflight(gateway), 0);
    fake_gateway.pay.ops = ops;
    ck_assert_uint_eq(fake_gateway.inflight, 4);
}
END_TEST

START_TEST(calls_that_take_long_leave_their_places)
{
    queue(0, 40, GATEWAY_REFUNDS);
    ck_assert_uint_eq(fake_gateway.inflight, 16);
    queue(40, 60, GATEWAY_CHARGES);
    ck_assert_uint_eq(fake_gateway.inflight, 20);
    fake_loop_run(999);
    ck_assert_uint_eq(fake_gateway.inflight, 20);
    fake_loop_run(1);
    ck_assert_uint_eq(fake_gateway.inflight, 36);
}
END_TEST

START_TEST(what_is_not_ready_or_cannot_be_made_holds_up_no_other)
{
    unready = &calls[0];
    queue(0, 2, GATEWAY_CHARGES);
    ck_assert_uint_eq(fake_gateway.inflight, 1);
    ck_assert_uint_eq(calls[0].called_us, 0);
    fails_with = ERR_INVALID;
    queue(2, 4, GATEWAY_CHARGES);
    ck_assert_uint_eq(fake_gateway.inflight, 1);
    fails_with = ERR_NOMEM;
    queue(4, 5, GATEWAY_CHARGES);
    ck_assert_uint_eq(fake_gateway.inflight, 1);
    fails_with = 0;
    fake_loop_run(100);
    ck_assert_uint_eq(fake_gateway.inflight, 2);
    ck_assert_uint_ne(calls[4].called_us, 0);
}
END_TEST

START_TEST(orders_refused_alike_stop_all_but_a_probe)
{
    queue(0, 3, GATEWAY_CHARGES);
    for (int i = 0; i < 3; i++) {
        const struct circuit_breaker_refusal who = {.customer = (uint64_t)i + 1,
                                                    .method = (uint64_t)i + 1};
        ck_assert_ptr_null(gateway_stopped(gateway));
        answer(i, PAY_REFUSED, &who);
    }
    ck_assert_str_eq(stage.stopped, "misconfigured: refused");
    ck_assert_str_eq(gateway_stopped(gateway), stage.stopped);
    queue(3, 6, GATEWAY_CHARGES);
    ck_assert_uint_eq(fake_gateway.inflight, 1);
    const struct circuit_breaker_refusal served = {.customer = 9, .method = 9};
    answer(3, PAY_SUCCEEDED, &served);
    ck_assert_ptr_null(stage.stopped);
    ck_assert_uint_eq(fake_gateway.inflight, 2);
}
END_TEST

/* What a payment of long ago has become says nothing about whether an order would be served now. */
START_TEST(looks_and_cancels_between_refused_orders_do_not_silence_the_alarm)
{
    queue(0, 4, GATEWAY_CHARGES);
    queue(10, 12, GATEWAY_LOOKS);
    for (int i = 0; i < 3; i++) {
        const struct circuit_breaker_refusal who = {.customer = (uint64_t)i + 1,
                                                    .method = (uint64_t)i + 1};
        answer(i, PAY_REFUSED, &who);
        if (i == 0)
            answer(10, PAY_PENDING, NULL);
        if (i == 1)
            answer(3, PAY_CANCELLED, NULL);
    }
    ck_assert_str_eq(stage.stopped, "misconfigured: refused");
    answer(11, PAY_SUCCEEDED, NULL);
    ck_assert_ptr_nonnull(stage.stopped);
}
END_TEST

START_TEST(looks_go_on_while_charges_are_stopped_and_do_not_end_the_stop)
{
    const struct circuit_breaker_refusal who = {.customer = 1, .method = 1};
    const enum pay_outcome refusals[] = {PAY_UNAUTHORIZED, PAY_FORBIDDEN};
    queue(0, 1, GATEWAY_CHARGES);
    answer(0, refusals[_i], &who);
    ck_assert_ptr_nonnull(stage.stopped);
    queue(10, 14, GATEWAY_LOOKS);
    ck_assert_uint_eq(fake_gateway.inflight, 4);
    for (int i = 10; i < 14; i++)
        answer(i, PAY_SUCCEEDED, NULL);
    ck_assert_ptr_nonnull(stage.stopped);
    queue(1, 3, GATEWAY_CHARGES);
    fake_loop_run(100);
    ck_assert_uint_eq(fake_gateway.inflight, 1); /* the probe: a charge */
    answer(1, PAY_SUCCEEDED, &who);
    ck_assert_ptr_null(stage.stopped);
}
END_TEST

/* A key that may not read may charge; one that is not known any more may not. */
START_TEST(a_look_that_is_not_allowed_stops_no_charge)
{
    const enum pay_outcome refusals[] = {PAY_UNAUTHORIZED, PAY_FORBIDDEN};
    queue(10, 12, GATEWAY_LOOKS);
    answer(10, refusals[_i], NULL);
    answer(11, refusals[_i], NULL);
    ck_assert_ptr_null(stage.stopped);
    queue(0, 3, GATEWAY_CHARGES);
    ck_assert_uint_eq(fake_gateway.inflight, refusals[_i] == PAY_UNAUTHORIZED ? 1 : 3);
}
END_TEST

START_TEST(a_look_that_is_answered_shows_that_the_gateway_fails_no_more)
{
    queue(0, 20, GATEWAY_CHARGES);
    for (int i = 0; i < 20; i++) {
        fake_loop_run(400);
        answer(i, PAY_UNKNOWN, NULL);
    }
    ck_assert_str_eq(stage.stopped, "failing: unknown");
    queue(20, 22, GATEWAY_LOOKS);
    fake_loop_run(200);
    ck_assert_uint_eq(fake_gateway.inflight, 1);
    answer(20, PAY_PENDING, NULL);
    ck_assert_ptr_null(stage.stopped);
}
END_TEST

START_TEST(a_refused_look_is_no_refused_order)
{
    queue(0, 5, GATEWAY_CHARGES);
    for (int i = 0; i < 5; i++)
        answer(i, PAY_REFUSED, NULL);
    ck_assert_ptr_null(stage.stopped);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("gateway");
    TCase *tcase = tcase_create("gateway");
    tcase_add_checked_fixture(tcase, begin, end);
    tcase_add_test(tcase, each_kind_has_its_share_of_the_calls);
    tcase_add_test(tcase, looks_are_a_fifth_of_the_calls_while_charges_wait);
    tcase_add_test(tcase, after_a_stop_it_makes_no_call_and_touches_the_gateway_no_more);
    tcase_add_test(tcase, calls_that_take_long_leave_their_places);
    tcase_add_test(tcase, what_is_not_ready_or_cannot_be_made_holds_up_no_other);
    tcase_add_test(tcase, orders_refused_alike_stop_all_but_a_probe);
    tcase_add_test(tcase, looks_and_cancels_between_refused_orders_do_not_silence_the_alarm);
    tcase_add_loop_test(tcase, looks_go_on_while_charges_are_stopped_and_do_not_end_the_stop, 0, 2);
    tcase_add_loop_test(tcase, a_look_that_is_not_allowed_stops_no_charge, 0, 2);
    tcase_add_test(tcase, a_look_that_is_answered_shows_that_the_gateway_fails_no_more);
    tcase_add_test(tcase, a_refused_look_is_no_refused_order);
    suite_add_tcase(suite, tcase);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
