/* The story of an order, step by step, with everything recorded and with nothing. */
#include "ctl/orders/order_text.h"

#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/attrs.h"
#include "common/base/buf.h"

static struct buf out;

static const char *tell(struct order_teller *teller, const struct order_step *step)
{
    buf_reset(&out);
    order_text_step(teller, step, &out);
    return buf_text(&out);
}

static const struct {
    struct order_step step;
    const char *says; /* a part of it */
} steps[] = {
    {{.kind = "event", .status = "waiting", .sequence = 1, .place = "2", .at_ms = 1000},
     "waiting, as number 2 on the waitlist"},
    {{.kind = "event", .status = "waiting", .sequence = 1}, "(not recorded)"},
    {{.kind = "event", .status = "reserved", .sequence = 1}, "reserved at once"},
    {{.kind = "event", .status = "reserved", .sequence = 2, .at_ms = 5000}, "Its turn came"},
    {{.kind = "event", .status = "confirmed", .sequence = 2}, "Confirmed: it is paid"},
    {{.kind = "event", .status = "rejected", .sequence = 1, .reason = "sold_out"},
     "rejected, sold out"},
    {{.kind = "event", .status = "rejected", .sequence = 2}, "Rejected, no reason is recorded"},
    {{.kind = "event", .status = "rejected", .sequence = 2, .reason = "of a later version"},
     "of a later version"},
    {{.kind = "event", .status = "cancelled", .sequence = 1}, "as its buyer had asked earlier"},
    {{.kind = "event", .status = "cancelled", .sequence = 2}, "Cancelled by its buyer"},
    {{.kind = "event", .status = "refunded", .sequence = 3}, "the money went back"},
    {{.kind = "event", .status = "lent", .sequence = 3}, "it became lent"},
    {{.kind = "event", .status = "confirmed", .member = "m", .epoch = "7", .relayed = "yes"},
     "Decided by m, epoch 7"},
};

START_TEST(each_state_has_its_words)
{
    struct order_teller teller = {.shard = "3"};
    const char *text = tell(&teller, &steps[_i].step);
    ck_assert_msg(strstr(text, steps[_i].says) != NULL, "%s", text);
}
END_TEST

static const struct {
    struct order_step step;
    const char *says;
} money[] = {
    {{.kind = "payment",
      .status = "open",
      .attempt = "1",
      .amount = "5",
      .currency = "usd",
      .key = "k"},
     "no definite answer of the gateway is recorded"},
    {{.kind = "payment",
      .status = "open",
      .attempt = "1",
      .amount = "5",
      .currency = "usd",
      .key = "k",
      .code = "processing"},
     "newest answer is \"processing\""},
    {{.kind = "answer", .status = "captured", .attempt = "1", .intent = "pi_1"},
     "the gateway took the money"},
    {{.kind = "answer", .status = "declined", .attempt = "1", .code = "do_not_honor"},
     "the gateway declined it"},
    {{.kind = "answer", .status = "superseded", .attempt = "1"}, "no id of the gateway"},
    {{.kind = "refund",
      .status = "open",
      .amount = "5",
      .currency = "usd",
      .intent = "pi_1",
      .what = "requested"},
     "as an operator asked"},
    {{.kind = "refund",
      .status = "open",
      .amount = "5",
      .currency = "usd",
      .intent = "pi_1",
      .what = "late_success",
      .code = "pending"},
     "newest answer is \"pending\""},
    {{.kind = "returned", .status = "succeeded", .intent = "re_1", .key = "k"},
     "The gateway refunded the money"},
    {{.kind = "returned", .status = "failed", .code = "insufficient_funds", .key = "k"},
     "The gateway refused the refund"},
    {{.kind = "command", .what = "cancel", .status = "pending"}, "is not executed yet"},
    {{.kind = "command",
      .what = "restock",
      .status = "done",
      .asked_by = "op",
      .units = "2",
      .result = "restocked"},
     "restocked its item by 2"},
    {{.kind = "command", .what = "refund", .status = "refused", .asked_by = "op"},
     "no result is recorded"},
    {{.kind = "command", .what = "pause shard", .status = "done", .asked_by = "op"},
     "asked to pause its whole shard"},
    {{.kind = "command", .what = "resume shard", .status = "done", .asked_by = "op"},
     "asked to resume its whole shard"},
    {{.kind = "command", .what = "cancel", .status = "done", .asked_by = "console:olga"},
     "Operator console:olga asked to cancel it"},
    {{.kind = "command", .what = "readmit", .status = "done", .asked_by = "replay"},
     "Its dead letter was replayed"},
    {{.kind = "command", .what = "resume", .status = "done", .asked_by = "op"},
     "asked to resume its item"},
    {{.kind = "command", .what = "dance", .status = "done", .asked_by = "op"}, "op asked: dance"},
    {{.kind = "accepted"}, "The producer accepted it"},
};

START_TEST(payments_refunds_and_commands)
{
    struct order_teller teller = {.shard = "3"};
    const char *text = tell(&teller, &money[_i].step);
    ck_assert_msg(strstr(text, money[_i].says) != NULL, "%s", text);
}
END_TEST

START_TEST(earlier_steps_show_in_later_ones)
{
    struct order_teller teller = {.shard = "3"};
    (void)tell(&teller, &(struct order_step){
                            .kind = "event", .status = "waiting", .sequence = 1, .at_ms = 1000});
    const char *text = tell(&teller, &(struct order_step){.kind = "event",
                                                          .status = "reserved",
                                                          .sequence = 2,
                                                          .at_ms = 3500,
                                                          .member = "m",
                                                          .relayed = "f"});
    ck_assert_ptr_nonnull(strstr(text, ", after 2.5s"));
    ck_assert_ptr_nonnull(strstr(text, "not relayed to the buyer's channel yet"));
    text = tell(&teller, &(struct order_step){
                             .kind = "event", .status = "reserved", .sequence = 3, .at_ms = 1});
    ck_assert_ptr_nonnull(strstr(text, "The buyer must act at the bank"));
    text = tell(&teller,
                &(struct order_step){
                    .kind = "command", .what = "restock", .status = "done", .asked_by = "op"});
    ck_assert_ptr_nonnull(strstr(text, "by (not recorded)"));
}
END_TEST

START_TEST(what_is_an_id)
{
    ck_assert(order_text_is_id("00000000-0000-8000-8000-000000000000"));
    ck_assert(!order_text_is_id("00000000-0000-8000-8000-00000000000"));
    ck_assert(!order_text_is_id("00000000x0000-8000-8000-000000000000"));
    ck_assert(!order_text_is_id("0000000g-0000-8000-8000-000000000000"));
}
END_TEST

int main(void)
{
    buf_init(&out, 65536);
    Suite *suite = suite_create("order text");
    TCase *tests = tcase_create("order text");
    tcase_add_loop_test(tests, each_state_has_its_words, 0, ARRAY_LEN(steps));
    tcase_add_loop_test(tests, payments_refunds_and_commands, 0, ARRAY_LEN(money));
    tcase_add_test(tests, earlier_steps_show_in_later_ones);
    tcase_add_test(tests, what_is_an_id);
    suite_add_tcase(suite, tests);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    buf_free(&out);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
