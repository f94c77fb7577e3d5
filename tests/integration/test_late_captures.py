#!/usr/bin/python3
"""Late captures: what the gateway took for an order that does not want it any more goes back, once."""

import json

import harness
from harness import wait_until
from harness_gateway import Scripted, intent
from test_refunds import FAILED, refund_command, refunds


class LateCaptures(Scripted):
    """Money that the gateway took for an order that is not wanted any more goes back, once."""

    def setUp(self):
        super().setUp()
        self.stack.sql("update payments set look_at = null where look_at is not null")

    def late(self, order, **members):
        form = {"metadata[order_id]": order.id, "metadata[shard]": "0", "amount": "1000", "currency": "usd"}
        self.gateway.intents.insert(0, intent(form, **members))

    def known(self, form):
        """It charges, and lists it."""
        self.gateway.intents.insert(0, intent(form, id=f"pi_{form['metadata[order_id]'][:8]}"))
        return 200, self.gateway.intents[0]

    def refunds(self, order):
        return [(state, reason) for _, state, reason, _ in refunds(self.stack, order)]

    def test_after_an_operator_said_that_it_was_not_captured(self):
        self.consume()

        self.answer = lambda form: FAILED
        self.gateway.list = lambda query: (500, b"")     # until it is resolved
        order = self.stack.order("ann", self.stack.item()).wait("reserved")
        wait_until(lambda: self.stack.one("select unclear_since from payments where order_id = %s", (order.id,)),
                   15, "it to be unclear")
        self.stack.ctl("payments", "resolve", order.id, "not-captured", "--note", "nothing there")
        self.gateway.list = self.gateway._list
        order.wait("rejected", "payment_failed")
        self.late(order)
        wait_until(lambda: self.refunds(order) == [("succeeded", "late_success")], 20, "it to be given back")
        self.assertEqual(self.gateway.asked_for_refunds(), [f"{order.id}-1-refund"])
        wait_until(lambda: self.metric("checkout_late_successes_total") == 1, 15, "it to be counted")
        self.assertEqual(order.row(), ("rejected", "payment_failed"))
        self.assertEqual(self.stack.one("select count(*) from order_events where order_id = %s", (order.id,)), 2)
        # the next look finds it again, and leaves it
        self.stack.sql("update payments set look_at = now() where order_id = %s", (order.id,))
        wait_until(lambda: self.stack.one("select looks from payments where order_id = %s", (order.id,)) == 2, 10,
                   "the next look")
        self.assertEqual(len(self.gateway.asked_for_refunds()), 1)

    def test_that_the_gateway_refuses_to_give_back_can_be_tried_again(self):
        self.consume()
        self.answer = lambda form: (402, {"error": {"type": "card_error", "code": "card_declined"}})
        order = self.stack.order("ann", self.stack.item()).wait("rejected")
        self.gateway.refund = lambda form: (400, {"error": {"type": "invalid_request_error",
                                                            "code": "charge_disputed"}})
        self.late(order)
        self.stack.sql("update payments set look_at = now() where order_id = %s", (order.id,))
        wait_until(lambda: self.refunds(order) == [("failed", "late_success")], 30, "it to be refused")
        kinds = [v["kind"] for v in json.loads(self.stack.ctl("audit", "--json", "--no-gateway",
                                                              check=False).stdout)["violations"]]
        self.assertIn("refund-failed", kinds)
        self.assertIn("and the refund failed: 1 times",
                      " ".join(self.stack.ctl("doctor", check=False).stdout.split()))
        self.gateway.refund = self.gateway._refund
        self.assertIn("no units to restock", refund_command(self.stack, order, "--restock", code=1))
        self.assertIn("taken for nothing", refund_command(self.stack, order))
        self.assertEqual(self.refunds(order), [("succeeded", "late_success")])
        self.assertEqual(order.status(), "rejected")

    def test_that_failed_and_went_back_outside_of_the_gateway_are_each_named(self):
        """Of an order with two: its own refund and that of a late capture."""
        self.consume()
        self.answer = self.known
        order = self.stack.order("ann", self.stack.item()).wait("confirmed")
        self.gateway.refund = lambda form: (400, {"error": {"type": "invalid_request_error", "code": "charge_disputed"}})
        self.late(order, id="pi_late_of_two")
        self.stack.sql("update payments set look_at = now() where order_id = %s", (order.id,))
        wait_until(lambda: self.refunds(order) == [("failed", "late_success")], 30, "it to be refused")
        self.assertIn("(charge_disputed)", refund_command(self.stack, order, "--own", code=1))

        def resolve(*options):
            done = self.stack.ctl("payments", "resolve", order.id, "refunded", "--note", "by bank", *options, check=False)
            return done.returncode, done.stdout + done.stderr
        self.assertRegex(str(resolve()), r"^\(1, .*refunds of its payments 1, 2 have failed: name one with --payment")
        self.assertRegex(str(resolve("--payment", "3")), r"^\(1, .*no refund of its payment 3 has failed")
        self.assertEqual((resolve("--payment", "2")[0], order.status()), (0, "confirmed"))
        self.assertEqual(self.stack.one("select code from refunds where order_id = %s and attempt = 1", (order.id,)), "charge_disputed")
        self.assertEqual((resolve()[0], order.status()), (0, "refunded"))
        self.assertEqual(self.stack.sql("select attempt, state, outside, note from refunds where order_id = %s order by 1", (order.id,)),
                         [(1, "succeeded", True, "by bank"), (2, "succeeded", True, "by bank")])
        self.assertEqual(self.stack.ctl("payments", "resolve", order.id, "captured", "--payment", "1", "--note", "x",
                                        check=False).returncode, 2)

    def test_of_a_confirmed_order_goes_back_before_its_own_payment_does(self):
        """The order keeps what its buyer paid for it, until that is asked for."""
        self.consume()
        self.answer = self.known
        order = self.stack.order("ann", self.stack.item()).wait("confirmed")
        own = self.stack.one("select intent_id from payments where order_id = %s", (order.id,))
        self.gateway.refund = lambda form: (400, {"error": {"type": "invalid_request_error", "code": "charge_disputed"}})
        self.late(order, id="pi_late")
        self.stack.sql("update payments set look_at = now() where order_id = %s", (order.id,))
        wait_until(lambda: self.refunds(order) == [("failed", "late_success")], 30, "it to be refused")
        listed = [json.loads(line) for line in self.stack.ctl("payments", "unknown", "--json").stdout.splitlines()]
        self.assertIn((order.id, "refund failed"), [(row["order_id"], row["what"]) for row in listed])
        self.assertIn("no refund of its payment 7 has failed",
                      refund_command(self.stack, order, "--payment", "7", code=1))
        self.assertIn("(charge_disputed)", refund_command(self.stack, order, code=1))
        self.gateway.refund = self.gateway._refund
        told = refund_command(self.stack, order)
        self.assertIn("taken for nothing (payment 2)", told)
        self.assertIn("ask for it with --own", told)
        self.assertEqual((self.refunds(order), order.status()), ([("succeeded", "late_success")], "confirmed"))
        self.assertEqual(self.stack.sql("select intent_id from refunds where order_id = %s", (order.id,)), [("pi_late",)])
        self.assertIn("refunded: 10.00 usd", refund_command(self.stack, order, "--restock"))     # nothing late is left
        self.assertEqual(self.stack.sql("select intent_id, reason from refunds where order_id = %s and state = 'succeeded'"
                                        " order by attempt", (order.id,)), [(own, "requested"), ("pi_late", "late_success")])
        self.assertEqual(order.status(), "refunded")

    def test_of_a_confirmed_order_stays_when_its_own_payment_is_asked_for(self):
        for option in (("--own",), ("--payment", "1")):
            with self.subTest(option):
                if self.consumer is None or self.consumer.process.poll() is not None:
                    self.consume()
                self.answer = self.known
                order = self.stack.order("ann", self.stack.item()).wait("confirmed")
                self.gateway.refund = lambda form: ((400, {"error": {"type": "invalid_request_error", "code": "charge_disputed"}})
                                                    if form["payment_intent"].startswith("pi_late")
                                                    else self.gateway._refund(form))
                self.stack.sql("update payments set look_at = now() where order_id = %s", (order.id,))
                self.late(order, id=f"pi_late_{option[0][2:]}")
                wait_until(lambda: self.refunds(order) == [("failed", "late_success")], 30, "it to be refused")
                self.assertIn("its units go back on sale", refund_command(self.stack, order, *option, "--restock"))
                self.assertEqual(sorted(self.refunds(order)), [("failed", "late_success"), ("succeeded", "requested")])
                self.assertEqual(order.status(), "refunded")
                self.gateway.refund = self.gateway._refund
                self.assertIn("taken for nothing", refund_command(self.stack, order))
                self.assertEqual(sorted(self.refunds(order)), [("succeeded", "late_success"), ("succeeded", "requested")])

    def test_of_an_attempt_before_the_one_that_paid(self):
        self.consume()
        keys = []

        def answer(form):
            keys.append(form["metadata[order_id]"])
            if keys.count(keys[-1]) <= 2:      # the same stored error twice: looked up, not found, another attempt
                return FAILED
            self.gateway.intents.insert(0, intent(form, id="pi_second"))
            return 200, self.gateway.intents[0]
        self.answer = answer
        order = self.stack.order("ann", self.stack.item()).wait("confirmed")
        self.late(order, id="pi_first")
        wait_until(lambda: self.refunds(order) == [("succeeded", "late_success")], 20, "it to be given back")
        self.assertEqual(self.stack.sql("select attempt, intent_id from refunds where order_id = %s", (order.id,)),
                         [(1, "pi_first")])
        self.assertEqual(order.status(), "confirmed")
        refund_command(self.stack, order)
        self.assertEqual(self.stack.sql("select attempt, intent_id, reason from refunds where order_id = %s"
                                        " order by attempt", (order.id,)),
                         [(1, "pi_first", "late_success"), (2, "pi_second", "requested")])
        self.assertEqual(order.status(), "refunded")

    def test_what_an_operator_called_captured_gets_its_id_and_can_be_refunded(self):
        self.consume()
        order = self.stack.order("ann", self.stack.item()).wait("confirmed")
        self.stack.sql("update payments set intent_id = null, look_at = null where order_id = %s", (order.id,))
        self.assertIn("refund it at the gateway", refund_command(self.stack, order, code=1))
        self.late(order)
        self.stack.sql("update payments set look_at = now() where order_id = %s", (order.id,))  # the next is much later
        wait_until(lambda: self.stack.one("select intent_id from payments where order_id = %s", (order.id,)), 30,
                   "its id to be found")
        refund_command(self.stack, order)
        self.assertEqual(order.status(), "refunded")


if __name__ == "__main__":
    harness.main()
