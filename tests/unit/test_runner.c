#include "consumer/money/runner.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/clock.h"
#include "common/base/err.h"
#include "tests/fake/stage_gateway.h"

#define ACTION_WAIT_MS 600000
#define LIMIT_MS 90000
#define KEY_AGE_MS 72000000
#define OUTCOMES_MAX 2048

static struct runner *runner;

static struct {
    struct outcome o;
    char intent[64];
    char code[64];
} ended[OUTCOMES_MAX];
static size_t ended_count;

static void on_outcome(const struct outcome *outcome, void *arg)
{
    (void)arg;
    ck_assert_uint_lt(ended_count, OUTCOMES_MAX);
    ended[ended_count].o = *outcome;
    (void)snprintf(ended[ended_count].intent, 64, "%s",
                   outcome->intent_id == NULL ? "" : outcome->intent_id);
    (void)snprintf(ended[ended_count].code, 64, "%s", outcome->code == NULL ? "" : outcome->code);
    ended_count++;
}

static void begin(void)
{
    stage_begin(4);
    const struct runner_options options = {.loop = stage.loop,
                                           .pay = &fake_gateway.pay,
                                           .stats = &stage.stats,
                                           .inflight_first = 16,
                                           .inflight_max = 64,
                                           .limit_ms = LIMIT_MS,
                                           .action_wait_ms = ACTION_WAIT_MS,
                                           .key_age_ms = KEY_AGE_MS,
                                           .outcome = on_outcome,
                                           .stopped = stage_on_stopped};
    runner = runner_new(&options);
    ended_count = 0;
}

static void end(void)
{
    runner_free(runner);
    stage_end();
}

static struct task charge_of(const char *order_id)
{
    return (struct task){.kind = TASK_CHARGE,
                         .shard = 1,
                         .order_id = order_id,
                         .attempt = 1,
                         .amount = 1000,
                         .currency = "usd",
                         .sku = "dress",
                         .quantity = 1,
                         .reference = "",
                         .traceparent = "",
                         .payment_method = "pm_1",
                         .order_age_ms = TASK_NO_TIME,
                         .left_ms = TASK_NO_TIME};
}

static void add(const struct task *task)
{
    ck_assert_int_eq(runner_add(runner, task), 0);
}

static void charge(const char *order_id)
{
    const struct task task = charge_of(order_id);
    add(&task);
}

/* The newest open call is this one. */
static struct fake_call *called(const char *verb)
{
    struct fake_call *call = fake_gateway_open();
    ck_assert_ptr_nonnull(call);
    ck_assert_str_eq(call->verb, verb);
    return call;
}

static void answer(const char *verb, struct pay_answer a)
{
    if (a.code[0] == '\0')
        (void)snprintf(a.code, sizeof a.code, "%s", pay_outcome_text(a.outcome));
    a.sent = true;
    fake_gateway_answer(called(verb), &a);
}

static void answers(const char *verb, enum pay_outcome outcome)
{
    answer(verb, (struct pay_answer){.outcome = outcome, .http_status = 200, .intent_id = "pi_1"});
}

static void fails(const char *verb, unsigned status)
{
    answer(verb,
           (struct pay_answer){.outcome = PAY_ERROR, .http_status = status, .of_the_api = true});
}

static void last_is(enum outcome_kind kind)
{
    ck_assert_uint_gt(ended_count, 0);
    ck_assert_str_eq(outcome_text(ended[ended_count - 1].o.kind), outcome_text(kind));
    ck_assert_int_eq(ended[ended_count - 1].o.kind, kind);
}

/* Answers the list once it is asked for, with these intents. */
/* The whole list, at `date_s` by the gateway's clock; 0: it tells none. */
static void lists_at(int64_t date_s, const struct pay_intent *intents, size_t count)
{
    for (int i = 0; i < 1000 &&
                    (fake_gateway_open() == NULL || strcmp(fake_gateway_open()->verb, "list") != 0);
         i++)
        fake_loop_run(100);
    const struct pay_page page = {
        .date_s = date_s, .intents = intents, .count = count, .has_more = false};
    fake_gateway_page(called("list"), &page);
}

static void lists(const struct pay_intent *intents, size_t count)
{
    lists_at(clock_wall_ms() / 1000, intents, count);
}

static struct pay_intent intent(enum pay_intent_state state, int64_t received)
{
    return (struct pay_intent){.id = "pi_found",
                               .order_id = "order-1",
                               .state = state,
                               .amount = 1000,
                               .received = received,
                               .currency = "usd"};
}

START_TEST(a_charge_that_succeeds_is_captured)
{
    charge("order-1");
    ck_assert_str_eq(called("charge")->key, "order-1-1");
    ck_assert_uint_eq(runner_calling(runner, 1), 1);
    answers("charge", PAY_SUCCEEDED);
    last_is(OUTCOME_CAPTURED);
    ck_assert_str_eq(ended[0].intent, "pi_1");
    ck_assert_uint_eq(runner_calling(runner, 1), 0);
}
END_TEST

START_TEST(an_unclear_answer_is_asked_for_again_under_the_same_key)
{
    charge("order-1");
    for (int i = 0; i < 5; i++) {
        answers("charge", PAY_UNKNOWN);
        ck_assert_ptr_null(fake_gateway_open());
        fake_loop_run(30000);
        ck_assert_str_eq(called("charge")->key, "order-1-1");
    }
    answers("charge", PAY_SUCCEEDED);
    last_is(OUTCOME_CAPTURED);
}
END_TEST

START_TEST(a_first_refusal_ends_its_order_at_once_and_says_what_the_buyer_can_do)
{
    charge("order-1");
    answer("charge", (struct pay_answer){.outcome = PAY_REFUSED,
                                         .http_status = 400,
                                         .of_the_api = true,
                                         .problem = PAY_WRONG_AMOUNT,
                                         .param = "amount"});
    last_is(OUTCOME_FAILED);
    ck_assert_int_eq(ended[0].o.problem, PAY_WRONG_AMOUNT);
}
END_TEST

START_TEST(a_refused_second_attempt_is_looked_up_before_it_fails)
{
    struct task task = charge_of("order-1");
    task.attempt = 2;
    add(&task);
    fake_loop_run(1000);
    answer("charge",
           (struct pay_answer){.outcome = PAY_REFUSED, .http_status = 400, .of_the_api = true});
    ck_assert_uint_eq(ended_count, 1); /* noted */
    lists(NULL, 0);
    ck_assert_uint_eq(ended_count, 1); /* the list may be late */
    const struct pay_intent found = intent(PAY_INTENT_SUCCEEDED, 1000);
    lists(&found, 1);
    last_is(OUTCOME_CAPTURED);
    ck_assert_str_eq(ended[1].intent, "pi_found");
}
END_TEST

START_TEST(a_refused_second_attempt_fails_when_the_list_knows_nothing)
{
    struct task task = charge_of("order-1");
    task.attempt = 2;
    add(&task);
    fake_loop_run(1000);
    answer("charge",
           (struct pay_answer){.outcome = PAY_REFUSED, .http_status = 400, .of_the_api = true});
    lists(NULL, 0);
    fake_loop_run(5000);
    lists(NULL, 0);
    last_is(OUTCOME_FAILED);
}
END_TEST

START_TEST(a_kept_error_is_looked_up_and_then_superseded)
{
    charge("order-1");
    fails("charge", 500);
    fake_loop_run(1000);
    fails("charge", 500);
    lists(NULL, 0);
    fake_loop_run(5000);
    lists(NULL, 0);
    last_is(OUTCOME_SUPERSEDED);
}
END_TEST

START_TEST(a_third_attempt_is_the_last)
{
    struct task task = charge_of("order-1");
    task.attempt = 3;
    add(&task);
    fake_loop_run(2000);
    fails("charge", 500);
    fake_loop_run(1000);
    fails("charge", 500);
    fake_loop_run(6000);
    lists(NULL, 0);
    lists(NULL, 0);
    last_is(OUTCOME_FAILED);
    ck_assert_int_eq(ended[ended_count - 1].o.problem, PAY_TRY_AGAIN);
}
END_TEST

START_TEST(a_used_key_is_not_found_only_after_the_gateways_limit)
{
    charge("order-1");
    answers("charge", PAY_UNKNOWN);
    fake_loop_run(300);
    int64_t sent_ms = (int64_t)clock_mono_ms() - 300;
    answers("charge", PAY_KEY_USED);
    ck_assert_ptr_null(stage.stopped);
    while ((int64_t)clock_mono_ms() < sent_ms + LIMIT_MS) {
        ck_assert_int_ne(ended[ended_count - 1].o.kind, OUTCOME_SUPERSEDED);
        lists(NULL, 0);
    }
    if (ended[ended_count - 1].o.kind != OUTCOME_SUPERSEDED)
        lists(NULL, 0);
    last_is(OUTCOME_SUPERSEDED);
}
END_TEST

START_TEST(less_money_than_the_price_is_never_a_sale)
{
    charge("order-1");
    fails("charge", 500);
    fake_loop_run(1000);
    fails("charge", 500);
    const struct pay_intent found = intent(PAY_INTENT_SUCCEEDED, 999);
    lists(&found, 1);
    last_is(OUTCOME_OTHER_SUM);
    ck_assert_int_eq(ended[ended_count - 1].o.amount, 999);
}
END_TEST

/* Whichever comes first in the list: money that was taken counts, then what may still be taken. */
START_TEST(the_list_may_show_several_intents_of_an_order)
{
    const struct pay_intent taken = intent(PAY_INTENT_SUCCEEDED, 1000);
    const struct pay_intent less = intent(PAY_INTENT_SUCCEEDED, 1);
    const struct pay_intent cancelled = intent(PAY_INTENT_CANCELLED, 0);
    const struct pay_intent pending = intent(PAY_INTENT_PROCESSING, 0);
    const struct pay_intent open = intent(PAY_INTENT_DECLINED, 0);
    const struct pay_intent found[][3] = {{open, taken, less},
                                          {less, cancelled, pending},
                                          {pending, open, cancelled},
                                          {cancelled, open, cancelled},
                                          {cancelled, cancelled, cancelled}};
    static const char *const then[] = {NULL, NULL, "get", "cancel", NULL};
    static const enum outcome_kind ends[] = {OUTCOME_CAPTURED, OUTCOME_OTHER_SUM, OUTCOME_UNCLEAR,
                                             OUTCOME_UNCLEAR, OUTCOME_DECLINED};
    for (size_t i = 0; i < ARRAY_LEN(found); i++) {
        charge("order-1");
        fails("charge", 500);
        fake_loop_run(1000);
        fails("charge", 500);
        lists(found[i], 3);
        last_is(ends[i]);
        if (then[i] != NULL)
            answers(then[i], PAY_CANCELLED);
        fake_loop_run(60000);
    }
}
END_TEST

START_TEST(an_answer_of_another_sum_is_believed_only_when_the_list_shows_it)
{
    charge("order-1");
    answer("charge", (struct pay_answer){.outcome = PAY_OTHER_SUM, .received = 1});
    fake_loop_run(1000);
    answer("charge", (struct pay_answer){.outcome = PAY_OTHER_SUM, .received = 1});
    lists(NULL, 0);
    fake_loop_run(30000);
    answers("charge", PAY_SUCCEEDED);
    last_is(OUTCOME_CAPTURED);
}
END_TEST

START_TEST(a_pending_intent_is_looked_at_and_cancelled_when_its_time_is_over)
{
    charge("order-1");
    answers("charge", PAY_PENDING);
    for (int64_t waited = 0; waited < ACTION_WAIT_MS; waited += 1000) {
        fake_loop_run(1000);
        if (fake_gateway_open() != NULL && strcmp(fake_gateway_open()->verb, "get") == 0)
            answers("get", PAY_PENDING);
    }
    ck_assert_uint_gt(fake_gateway_made("get"), 30);
    ck_assert_uint_eq(fake_gateway_made("charge"), 1);
    ck_assert_ptr_null(stage.stopped);
    answers("cancel", PAY_PENDING); /* it cannot be cancelled: held */
    last_is(OUTCOME_UNCLEAR);
    struct task hint = charge_of("order-1");
    hint.kind = TASK_CHECK;
    add(&hint);
    answers("get", PAY_SUCCEEDED);
    last_is(OUTCOME_CAPTURED);
}
END_TEST

START_TEST(one_that_is_held_can_be_released)
{
    charge("order-1");
    answers("charge", PAY_PENDING);
    struct task task = charge_of("order-1");
    task.resolution = TASK_RELEASE;
    add(&task);
    last_is(OUTCOME_FAILED);
    ck_assert_str_eq(ended[ended_count - 1].code, "resolved");
    fake_loop_run(ACTION_WAIT_MS);
    ck_assert_ptr_null(fake_gateway_open());
}
END_TEST

START_TEST(a_buyer_at_the_bank_may_cancel)
{
    charge("order-1");
    answer("charge", (struct pay_answer){.outcome = PAY_ACTION,
                                         .intent_id = "pi_1",
                                         .action = "{\"type\":\"redirect_to_url\"}"});
    last_is(OUTCOME_ACTION);
    ck_assert_uint_eq(ended[0].o.wait_ms, ACTION_WAIT_MS);
    struct task task = charge_of("order-1");
    task.resolution = TASK_BUYER_CANCELS;
    add(&task);
    answers("cancel", PAY_CANCELLED);
    last_is(OUTCOME_CANCELLED);
}
END_TEST

START_TEST(a_known_intent_is_looked_at_and_not_posted_again)
{
    struct task task = charge_of("order-1");
    task.intent_id = "pi_7";
    task.age_ms = 20000;
    task.left_ms = 6000;
    add(&task);
    fake_loop_run(1100);
    ck_assert_str_eq(called("get")->key, "pi_7");
    answer("get", (struct pay_answer){.outcome = PAY_ACTION, .intent_id = "pi_7", .action = "{}"});
    ck_assert_uint_eq(ended_count, 0); /* it was asked before */
    fake_loop_run(1100);
    answers("get", PAY_UNKNOWN);
    fake_loop_run(4000);
    answers("get", PAY_PENDING);
    fake_loop_run(1);
    ck_assert_str_eq(called("cancel")->key, "pi_1");
}
END_TEST

/* Its buyer's time runs on, and its owner's end does not begin it again. */
START_TEST(a_take_over_gives_a_debit_under_way_no_more_time)
{
    struct task task = charge_of("order-1");
    task.intent_id = "pi_7";
    task.age_ms = ACTION_WAIT_MS - 5000;
    add(&task);
    answers("get", PAY_PENDING);
    fake_loop_run(1100);
    answers("get", PAY_PENDING);
    fake_loop_run(4000);
    if (strcmp(fake_gateway_open()->verb, "get") == 0) {
        answers("get", PAY_PENDING);
        fake_loop_run(1);
    }
    ck_assert_str_eq(called("cancel")->key, "pi_1");
}
END_TEST

START_TEST(an_intent_older_than_the_machine_is_no_wonder)
{
    struct task task = charge_of("order-1");
    task.age_ms = 1000000000000;
    add(&task);
    ck_assert_uint_eq(fake_gateway_made("charge"), 0); /* its key is too old */
    fake_loop_run(LIMIT_MS);
    lists(NULL, 0);
    lists(NULL, 0);
    last_is(OUTCOME_FAILED);
}
END_TEST

START_TEST(a_request_that_cannot_be_made_ends_its_order_and_holds_up_no_other)
{
    fake_gateway.refuse = ERR_INVALID;
    charge("order-1");
    fake_gateway.refuse = 0;
    last_is(OUTCOME_FAILED);
    charge("order-2");
    answers("charge", PAY_SUCCEEDED);
    last_is(OUTCOME_CAPTURED);
}
END_TEST

START_TEST(three_alike_refusals_of_different_customers_leave_probes_only)
{
    char ids[5][16];
    for (int i = 0; i < 5; i++) {
        (void)snprintf(ids[i], sizeof ids[i], "order-%d", i);
        struct task task = charge_of(ids[i]);
        char method[16];
        (void)snprintf(method, sizeof method, "pm_%d", i);
        task.payment_method = method;
        ck_assert_ptr_eq(stage.stopped, i < 3 ? NULL : stage.stopped);
        add(&task);
        if (i < 3)
            answer("charge", (struct pay_answer){
                                 .outcome = PAY_REFUSED, .http_status = 400, .of_the_api = true});
    }
    ck_assert_str_eq(stage.stopped, "misconfigured: refused");
    fake_loop_run(200);
    ck_assert_uint_eq(fake_gateway.inflight, 1);
    answers("charge", PAY_SUCCEEDED);
    ck_assert_ptr_null(stage.stopped);
    answers("charge", PAY_SUCCEEDED);
}
END_TEST

START_TEST(one_customer_who_tries_and_tries_alarms_nobody)
{
    for (int i = 0; i < 6; i++) {
        char id[16];
        (void)snprintf(id, sizeof id, "order-%d", i);
        struct task task = charge_of(id);
        task.customer = "ann";
        add(&task);
        answer("charge",
               (struct pay_answer){.outcome = PAY_REFUSED, .http_status = 400, .of_the_api = true});
    }
    ck_assert_ptr_null(stage.stopped);
}
END_TEST

static struct task refund_of(const char *order_id)
{
    struct task task = charge_of(order_id);
    task.kind = TASK_REFUND;
    task.intent_id = "pi_1";
    task.key = "order-1-1-refund";
    return task;
}

START_TEST(no_answer_to_a_refund_stops_charges)
{
    const struct task task = refund_of("order-1");
    add(&task);
    for (int i = 0; i < 40; i++) {
        answer("refund", (struct pay_answer){.outcome = i % 2 ? PAY_ERROR : PAY_FORBIDDEN,
                                             .http_status = i % 2 ? 502 : 403});
        fake_loop_run(40000);
    }
    ck_assert_ptr_null(stage.stopped);
    answer("refund", (struct pay_answer){.outcome = PAY_UNAUTHORIZED, .http_status = 401});
    ck_assert_ptr_null(stage.stopped);
    charge("order-2");
    charge("order-3");
    ck_assert_uint_eq(fake_gateway_made("charge"), 1); /* the probe */
    answers("charge", PAY_SUCCEEDED);
    ck_assert_uint_eq(fake_gateway_made("charge"), 2);
    ck_assert_ptr_null(stage.stopped);
}
END_TEST

START_TEST(a_refund_without_balance_is_tried_another_day)
{
    const struct task task = refund_of("order-1");
    add(&task);
    answer("refund", (struct pay_answer){.outcome = PAY_REFUSED_NOW,
                                         .http_status = 400,
                                         .of_the_api = true,
                                         .code = "insufficient_balance"});
    fake_loop_run(6000);
    answers("find", PAY_NOT_FOUND);
    last_is(OUTCOME_REFUND_LATER);
    ck_assert_str_eq(ended[ended_count - 1].code,
                     "insufficient_balance"); /* why, not "not_found" */
}
END_TEST

START_TEST(too_many_requests_make_calls_fewer_a_second_and_alarm_nobody)
{
    char ids[40][16];
    for (int i = 0; i < 40; i++) {
        (void)snprintf(ids[i], sizeof ids[i], "order-%d", i);
        struct task task = charge_of(ids[i]);
        task.sku = ids[i];
        add(&task);
    }
    ck_assert_uint_eq(fake_gateway.inflight, 16);
    for (int i = 0; i < 16; i++) {
        struct fake_call *call = &fake_gateway.calls[i];
        fake_gateway_answer(
            call, &(struct pay_answer){.outcome = PAY_BUSY, .http_status = 429, .sent = true});
    }
    size_t before = fake_gateway.inflight; /* of places that free before so many were refused */
    ck_assert_uint_eq(before, 4);
    fake_loop_run(1000);
    ck_assert_uint_eq(fake_gateway.inflight, before);
    fake_loop_run(1000);
    ck_assert_uint_ge(fake_gateway.inflight, before + 9); /* half of those of the first second */
    ck_assert_uint_le(fake_gateway.inflight, before + 10);
    ck_assert_ptr_null(stage.stopped);
}
END_TEST

START_TEST(payments_that_take_long_keep_no_others_waiting)
{
    char id[64];
    for (int n = 0; n < 40; n++) {
        (void)snprintf(id, sizeof id, "fe26c749-3126-8d97-b674-1cc3fa17%04d", n);
        charge(id);
    }
    ck_assert_uint_eq(fake_gateway.inflight, 16);
    fake_loop_run(1000);
    ck_assert_uint_eq(fake_gateway.inflight, 32);
    fake_loop_run(1000);
    ck_assert_uint_eq(fake_gateway.inflight, 32); /* half of all, for one item */
    struct task other = charge_of("order-of-another-item");
    other.sku = "hat";
    add(&other);
    ck_assert_str_eq(called("charge")->order_id, other.order_id);
    while (fake_gateway_open() != NULL)
        answers("charge", PAY_SUCCEEDED);
    ck_assert_uint_eq(ended_count, 41);
}
END_TEST

START_TEST(buyers_at_their_banks_take_no_place)
{
    for (int i = 0; i < 2000; i++) {
        char id[16];
        (void)snprintf(id, sizeof id, "order-%d", i);
        charge(id);
        answers("charge", PAY_PENDING);
    }
    fake_loop_run(60000);
    size_t looks = fake_gateway.inflight;
    ck_assert_uint_le(looks, 16 / 5);
    charge("last");
    ck_assert_str_eq(called("charge")->order_id, "last");
}
END_TEST

/* As many as are open, each until its own buyer's time is over. */
START_TEST(buyers_at_their_banks_take_no_place_after_a_take_over)
{
    for (int i = 0; i < 20000; i++) {
        char id[16];
        (void)snprintf(id, sizeof id, "order-%d", i);
        struct task task = charge_of(id);
        task.intent_id = id;
        task.age_ms = 20000;
        task.left_ms = i == 19999 ? 5000 : 300000;
        add(&task);
    }
    charge("last");
    ck_assert_str_eq(called("charge")->order_id, "last");
    answers("charge", PAY_SUCCEEDED);
    last_is(OUTCOME_CAPTURED);
    fake_loop_run(5001);
    ck_assert_uint_eq(fake_gateway_made("cancel"), 1);
    ck_assert_uint_le(fake_gateway_made("get"), 3); /* none of them is answered */
}
END_TEST

/* Each look is answered at once, every other one with `outcome`; returns how many were made. */
static size_t look_for(uint64_t seconds, enum pay_outcome outcome)
{
    size_t before = fake_gateway_made("get");
    size_t answered = 0;
    for (uint64_t ms = 0; ms < seconds * 1000; ms += 50) {
        fake_loop_run(50);
        while (fake_gateway_open() != NULL)
            answers("get", ++answered % 2 == 0 ? outcome : PAY_PENDING);
    }
    return fake_gateway_made("get") - before;
}

static void pend(int count)
{
    char id[32];
    for (int i = 0; i < count; i++) {
        (void)snprintf(id, sizeof id, "order-%d", i);
        charge(id);
        answers("charge", PAY_PENDING);
    }
}

static void hint(const char *order_id)
{
    struct task task = charge_of(order_id);
    task.kind = TASK_CHECK;
    add(&task);
}

START_TEST(looks_are_the_rarer_the_more_buyers_wait)
{
    static const int counts[] = {1, 50, 400};
    const int waiting = counts[_i % 3];
    pend(waiting);
    size_t looks = look_for(120, _i < 3 ? PAY_PENDING : PAY_UNKNOWN); /* also where looks fail */
    ck_assert_uint_le(looks, 120 * 5 + 1);                            /* five a second in all */
    ck_assert_uint_ge(looks, waiting == 1 ? 8 : 300);
}
END_TEST

START_TEST(where_webhooks_come_a_look_is_made_once_a_minute)
{
    hint("another-order");
    pend(20);
    ck_assert_uint_eq(look_for(59, PAY_PENDING), 0);
    ck_assert_uint_eq(look_for(2, PAY_PENDING), 20);
    ck_assert_uint_eq(look_for(58, PAY_PENDING), 0);
}
END_TEST

START_TEST(a_webhook_has_its_payment_looked_at_at_once_and_soon_again)
{
    hint("another-order");
    pend(20);
    hint("order-3");
    answers("get", PAY_PENDING);
    ck_assert_uint_eq(look_for(10, PAY_PENDING), 2); /* it may have come before what it is about */
    ck_assert_uint_eq(look_for(49, PAY_PENDING), 0);
}
END_TEST

START_TEST(a_shard_that_is_lost_reports_nothing_and_may_come_back)
{
    charge("order-1");
    runner_forget_shard(runner, 1);
    charge("order-1");
    answers("charge", PAY_SUCCEEDED);
    last_is(OUTCOME_CAPTURED);
    charge("order-2");
    runner_forget_shard(runner, 1);
    answers("charge", PAY_SUCCEEDED);
    ck_assert_uint_eq(ended_count, 1);
}
END_TEST

START_TEST(a_late_look_tells_what_was_taken_and_that_it_has_looked)
{
    struct task task = charge_of("order-1");
    task.kind = TASK_RECONCILE;
    add(&task);
    const struct pay_intent found = intent(PAY_INTENT_SUCCEEDED, 1000);
    lists(&found, 1);
    ck_assert_uint_eq(ended_count, 2);
    ck_assert_int_eq(ended[0].o.kind, OUTCOME_LATE);
    ck_assert_int_eq(ended[1].o.kind, OUTCOME_LOOKED);
}
END_TEST

START_TEST(a_late_look_goes_on_while_the_clocks_differ)
{
    struct task task = charge_of("order-1");
    task.kind = TASK_RECONCILE;
    add(&task);
    lists_at(clock_wall_ms() / 1000 + 7200, NULL, 0);
    ck_assert_uint_eq(ended_count, 0);
    fake_loop_run(29000);
    ck_assert_ptr_null(fake_gateway_open());
    lists(NULL, 0);
    ck_assert_uint_eq(ended_count, 1);
    last_is(OUTCOME_LOOKED);
}
END_TEST

START_TEST(a_list_that_repeats_itself_is_given_up)
{
    charge("order-1");
    fails("charge", 500);
    fake_loop_run(1000);
    fails("charge", 500);
    fake_loop_run(1000);
    const struct pay_intent other = {.id = "pi_x", .order_id = "x", .currency = "usd"};
    const struct pay_page page = {.intents = &other, .count = 1, .has_more = true};
    fake_gateway_page(called("list"), &page);
    fake_gateway_page(called("list"), &page);
    ck_assert_ptr_null(fake_gateway_open());
    lists(NULL, 0);
}
END_TEST

/* A proxy before the gateway may write its own date, in its own zone: then our clock is right. */
START_TEST(a_list_begins_by_the_earlier_of_both_clocks)
{
    int64_t now_s = clock_wall_ms() / 1000;
    charge("order-1");
    for (int times = 0; times < 2; times++) {
        answer("charge", (struct pay_answer){.outcome = PAY_ERROR,
                                             .http_status = 500,
                                             .of_the_api = true,
                                             .date_s = now_s + 18000});
        fake_loop_run(1000);
    }
    ck_assert_int_le(called("list")->from_s, now_s - 3590);
    const struct pay_page page = {.date_s = now_s + 18000};
    fake_gateway_page(called("list"), &page);
    lists(NULL, 0);
    ck_assert_int_le(fake_gateway.calls[fake_gateway.count - 2].from_s, now_s - 3590);
}
END_TEST

/* One of two clocks that differ is wrong, perhaps both: what a list lacks may be there. */
START_TEST(nothing_is_not_found_while_the_clocks_differ)
{
    int64_t now_s = clock_wall_ms() / 1000;
    const int64_t dates_s[] = {now_s + 7200, 0, now_s - 7200};
    charge("order-1");
    fails("charge", 500);
    fake_loop_run(1000);
    fails("charge", 500);
    for (size_t i = 0; i < 3; i++)
        for (int times = 0; times < 3; times++) { /* what is behind is read again from earlier on */
            lists_at(dates_s[i], NULL, 0);
            fake_loop_run(5000);
        }
    for (size_t i = 0; i < ended_count; i++)
        ck_assert_int_eq(ended[i].o.kind, OUTCOME_UNCLEAR);
    lists_at(now_s + 3600, NULL, 0);
    last_is(OUTCOME_SUPERSEDED);
}
END_TEST

START_TEST(what_is_found_counts_while_the_clocks_differ)
{
    charge("order-1");
    fails("charge", 500);
    fake_loop_run(1000);
    fails("charge", 500);
    const struct pay_intent found = intent(PAY_INTENT_SUCCEEDED, 1000);
    lists_at(clock_wall_ms() / 1000 + 7200, &found, 1);
    last_is(OUTCOME_CAPTURED);
}
END_TEST

START_TEST(a_list_begins_by_the_gateways_clock)
{
    charge("order-1");
    fails("charge", 500);
    fake_loop_run(1000);
    fails("charge", 500);
    fake_loop_run(1000);
    int64_t now_s = clock_wall_ms() / 1000;
    ck_assert_int_ge(called("list")->from_s, now_s - 3700);
    const struct pay_page page = {.date_s =
                                      now_s - 7200}; /* two hours behind: our clock is wrong */
    fake_gateway_page(called("list"), &page);
    ck_assert_int_le(called("list")->from_s, now_s - 7200 - 3600);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("runner");
    TCase *tcase = tcase_create("runner");
    tcase_add_checked_fixture(tcase, begin, end);
    tcase_add_test(tcase, a_charge_that_succeeds_is_captured);
    tcase_add_test(tcase, an_unclear_answer_is_asked_for_again_under_the_same_key);
    tcase_add_test(tcase, a_first_refusal_ends_its_order_at_once_and_says_what_the_buyer_can_do);
    tcase_add_test(tcase, a_refused_second_attempt_is_looked_up_before_it_fails);
    tcase_add_test(tcase, a_refused_second_attempt_fails_when_the_list_knows_nothing);
    tcase_add_test(tcase, a_kept_error_is_looked_up_and_then_superseded);
    tcase_add_test(tcase, a_third_attempt_is_the_last);
    tcase_add_test(tcase, a_used_key_is_not_found_only_after_the_gateways_limit);
    tcase_add_test(tcase, less_money_than_the_price_is_never_a_sale);
    tcase_add_test(tcase, the_list_may_show_several_intents_of_an_order);
    tcase_add_test(tcase, an_answer_of_another_sum_is_believed_only_when_the_list_shows_it);
    tcase_add_test(tcase, a_pending_intent_is_looked_at_and_cancelled_when_its_time_is_over);
    tcase_add_test(tcase, one_that_is_held_can_be_released);
    tcase_add_test(tcase, a_buyer_at_the_bank_may_cancel);
    tcase_add_test(tcase, a_known_intent_is_looked_at_and_not_posted_again);
    tcase_add_test(tcase, a_take_over_gives_a_debit_under_way_no_more_time);
    tcase_add_test(tcase, an_intent_older_than_the_machine_is_no_wonder);
    tcase_add_test(tcase, a_request_that_cannot_be_made_ends_its_order_and_holds_up_no_other);
    tcase_add_test(tcase, three_alike_refusals_of_different_customers_leave_probes_only);
    tcase_add_test(tcase, one_customer_who_tries_and_tries_alarms_nobody);
    tcase_add_test(tcase, no_answer_to_a_refund_stops_charges);
    tcase_add_test(tcase, a_refund_without_balance_is_tried_another_day);
    tcase_add_test(tcase, too_many_requests_make_calls_fewer_a_second_and_alarm_nobody);
    tcase_add_test(tcase, payments_that_take_long_keep_no_others_waiting);
    tcase_add_test(tcase, buyers_at_their_banks_take_no_place);
    tcase_add_test(tcase, buyers_at_their_banks_take_no_place_after_a_take_over);
    tcase_add_loop_test(tcase, looks_are_the_rarer_the_more_buyers_wait, 0, 6);
    tcase_add_test(tcase, where_webhooks_come_a_look_is_made_once_a_minute);
    tcase_add_test(tcase, a_webhook_has_its_payment_looked_at_at_once_and_soon_again);
    tcase_add_test(tcase, a_shard_that_is_lost_reports_nothing_and_may_come_back);
    tcase_add_test(tcase, a_late_look_tells_what_was_taken_and_that_it_has_looked);
    tcase_add_test(tcase, a_late_look_goes_on_while_the_clocks_differ);
    tcase_add_test(tcase, a_list_that_repeats_itself_is_given_up);
    tcase_add_test(tcase, a_list_begins_by_the_earlier_of_both_clocks);
    tcase_add_test(tcase, nothing_is_not_found_while_the_clocks_differ);
    tcase_add_test(tcase, what_is_found_counts_while_the_clocks_differ);
    tcase_add_test(tcase, a_list_begins_by_the_gateways_clock);
    suite_add_tcase(suite, tcase);
    SRunner *srunner = srunner_create(suite);
    srunner_run_all(srunner, CK_ENV);
    int failed = srunner_ntests_failed(srunner);
    srunner_free(srunner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
