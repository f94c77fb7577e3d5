#!/usr/bin/python3
"""Refunds: what an operator gives back; each once, whatever gets lost."""

import json
import threading
import time

import harness
from harness import wait_until
from harness_gateway import Scripted, intent

FAILED = (500, {"error": {"type": "api_error"}})


def refunds(stack, order):
    return stack.sql("select attempt, state, reason, idempotency_key from refunds where order_id = %s order by 1",
                     (order.id,))


def refund_command(stack, order, *options, code=0):
    done = stack.ctl("orders", "refund", order.id, *options, check=False)
    if done.returncode != code:
        raise AssertionError(f"orders refund ended with {done.returncode}: {done.stdout}{done.stderr}")
    return done.stdout + done.stderr


class AtTheSandbox(harness.TestCase):
    daemons = ("sandbox", "producer", "consumer", "notifier")
    settings = {"CHECKOUT_GATEWAY_TIMEOUT": "2s"}

    def tearDown(self):
        """What the gateway kept is what the confirmed orders paid; no refund is made twice."""
        self.stack.gateway.calm()
        confirmed = {row[0] for row in self.stack.sql("select order_id::text from orders"
                                                      " where status = 'confirmed'")}
        self.assertEqual(self.stack.gateway.captured(), {order: 1 for order in confirmed})
        given_back = sorted(i["metadata"]["order_id"] for i in self.stack.gateway.intents() if i["amount_refunded"])
        self.assertEqual(given_back, sorted(row[0] for row in self.stack.sql(
            "select order_id::text from refunds where state = 'succeeded'")))
        self.assertEqual(self.stack.one("select count(*) from refunds where state = 'open'"), 0)
        audit = self.stack.ctl("audit", check=False)
        self.assertEqual(audit.returncode, 0, audit.stdout + audit.stderr)

    def confirmed(self, sku=None, **members):
        return self.stack.order("ann", sku or self.stack.item(), **members).wait("confirmed")

    def refund(self, order, *options, code=0):
        return refund_command(self.stack, order, *options, code=code)

    def test_an_order_is_refunded_and_its_unit_stays_sold(self):
        sku = self.stack.item(stock=3)
        order = self.confirmed(sku)
        self.assertIn("refunded: 10.00 usd", self.refund(order, "--note", "it was broken"))
        self.assertEqual(order.row(), ("refunded", None))
        self.assertEqual(self.stack.counts(sku), (3, 0, 1, 0))
        self.assertEqual(refunds(self.stack, order), [(1, "succeeded", "requested", f"{order.id}-1-refund")])
        self.assertEqual(self.stack.sql("select status from order_events where order_id = %s order by sequence",
                                        (order.id,)), [("reserved",), ("confirmed",), ("refunded",)])
        self.assertEqual(self.stack.status("ann", order.id).json["status"], "refunded")
        self.assertIn("before", self.refund(order))

    def test_restock_gives_the_unit_to_the_next_in_line(self):
        sku = self.stack.item(stock=2)
        order = self.confirmed(sku)
        self.stack.gateway.control(mode="never", times=1)
        slow = self.stack.order("bob", sku).wait("reserved")
        behind = self.stack.order("cleo", sku).wait("waiting")
        self.refund(order, "--restock")
        behind.wait("confirmed")
        slow.wait("confirmed", timeout=20)
        self.assertEqual(self.stack.counts(sku), (2, 0, 2, 0))

    def test_only_a_confirmed_order_can_be_refunded(self):
        sku = self.stack.item(stock=1)
        self.stack.gateway.control(mode="never")
        paying = self.stack.order("ann", sku).wait("reserved")
        waiting = self.stack.order("bob", sku).wait("waiting")
        self.assertIn("its payment is under way", self.refund(paying, code=1))
        self.assertIn("it is on the waitlist, and nothing was paid", self.refund(waiting, code=1))
        self.stack.gateway.calm()
        waiting.wait("rejected", "sold_out")
        self.assertIn("it is rejected (sold_out), and nothing is to be paid back", self.refund(waiting, code=1))
        unknown = self.stack.ctl("orders", "refund", "00000000-0000-8000-8000-000000000000", check=False)
        self.assertEqual(unknown.returncode, 1)
        self.assertIn("no consumer has decided order", unknown.stderr)

    def test_its_buyer_and_operators_are_told(self):
        order = self.confirmed()
        page = self.stack.listen("ann")
        self.addCleanup(page.close)
        self.refund(order, "--note", "it was broken")
        wait_until(lambda: page.statuses(order.id)[-1:] == ["refunded"], 30, "the buyer to be told")
        text = " ".join(self.stack.ctl("orders", "explain", order.id).stdout.split())
        intent_id, refund_id = self.stack.sql("select intent_id, refund_id from refunds where order_id = %s",
                                              (order.id,))[0]
        for words in ("asked to refund it; done: refund of 10.00 usd begun, its units stay sold.",
                      f"Refund of 10.00 usd began, as an operator asked; the gateway's id of the"
                      f" payment is {intent_id}.", "The gateway refunded the money, after",
                      f"its id of the refund is {refund_id}; idempotency key {order.id}-1-refund.",
                      "Refunded: the money went back"):
            self.assertIn(words, text)
        shown = json.loads(self.stack.ctl("orders", "show", order.id, "--json").stdout)["refunds"]
        self.assertEqual([(row["state"], row["refund_id"], row["note"]) for row in shown],
                         [("succeeded", refund_id, "it was broken")])

    def test_a_restock_can_be_asked_for_afterwards_once(self):
        sku = self.stack.item(stock=2, gate="soldout")
        order = self.confirmed(sku, quantity=2)
        self.refund(order)
        self.assertEqual(self.stack.counts(sku), (2, 0, 2, 0))
        self.assertIn("its 2 units go back on sale now", self.refund(order, "--restock"))
        self.assertEqual(self.stack.counts(sku), (2, 0, 0, 0))
        self.assertIn("its units went back on sale then", self.refund(order, "--restock"))
        self.assertIn("it was refunded before", self.refund(order))
        self.assertEqual(self.stack.counts(sku), (2, 0, 0, 0))
        let_in = wait_until(lambda: next((a for a in [self.stack.post("bob", sku)] if a.status == 202), None), 30,
                            "the door to open")
        harness.Order(self.stack, "bob", let_in.json["id"]).wait("confirmed")   # what it pays is looked at behind this

    def test_a_restock_afterwards_serves_the_line(self):
        sku = self.stack.item(stock=3, held=1)
        order = self.confirmed(sku, quantity=2)
        self.refund(order)
        behind = self.stack.order("cleo", sku).wait("waiting")
        self.refund(order, "--restock")
        behind.wait("confirmed")
        self.assertEqual(self.stack.counts(sku), (3, 1, 1, 0))
        self.stack.sql("update items set held = 0 where sku = %s", (sku,))

    def test_a_restock_opens_the_door_again(self):
        sku = self.stack.item(stock=1, gate="soldout")
        order = self.confirmed(sku)
        self.stack.order("bob", sku).wait("rejected", "sold_out")
        wait_until(lambda: self.stack.post("cleo", sku).status == 409, 30, "the door to know that it is sold out")
        self.refund(order, "--restock")
        wait_until(lambda: self.stack.post("dora", sku).status == 202, 30, "the door to be open")
        wait_until(lambda: self.stack.counts(sku) == (1, 0, 1, 0), 30, "the unit to be sold again")

    def test_two_who_refund_at_once_refund_once(self):
        order = self.confirmed()
        self.stack.gateway.control(latency_ms=400)
        told = []
        clerks = [threading.Thread(target=lambda: told.append(self.refund(order))) for _ in range(3)]
        for clerk in clerks:
            clerk.start()
        for clerk in clerks:
            clerk.join()
        self.assertEqual(len(told), 3)
        self.assertEqual(len(refunds(self.stack, order)), 1)
        self.assertEqual(order.status(), "refunded")

    def lost(self, mode, tries=1):
        order = self.confirmed()
        self.stack.gateway.fault(mode, 1)
        self.refund(order)
        self.assertEqual(order.status(), "refunded")
        keys = [f"{order.id}-1-refund"] + [f"{order.id}-1-refund-{n}" for n in range(2, tries + 1)]
        self.assertEqual(refunds(self.stack, order), [(1, "succeeded", "requested", keys[-1])])

    def test_an_answer_that_is_lost_or_makes_no_sense(self):
        for mode in ("reset", "charge-then-reset", "429", "409", "garbage", "partial", "wrong-amount", "never",
                     "charge-then-never"):
            with self.subTest(mode=mode):
                self.lost(mode)

    def test_an_error_after_it_was_executed_is_found_in_the_list(self):
        self.lost("500-after-charge")

    def test_an_error_instead_of_it_is_followed_by_a_key_of_its_own(self):
        self.lost("500", tries=2)



class Killed(harness.TestCase):
    """Consumer or gateway die in mid refund; whoever comes next ends it, once."""

    daemons = ("sandbox", "producer", "consumer")
    settings = {"CHECKOUT_GATEWAY_TIMEOUT": "2s"}
    tearDown = AtTheSandbox.tearDown

    def begun(self):
        """Orders, and the clerk who refunds them, at a gateway that takes its time."""
        self.sku = self.stack.item(stock=12)
        orders = [self.stack.order(f"user-{n}", self.sku).wait("confirmed") for n in range(12)]
        self.stack.gateway.latency(300)
        for n, order in enumerate(orders):
            self.stack.sql("select * from checkout.request_order_command('refund', %s, %s, 'test')",
                           (order.id, json.dumps({"restock": n < 6, "note": None})))
        wait_until(lambda: self.stack.one("select count(*) from refunds where state = 'open'") > 4, 10,
                   "refunds to be under way")
        return orders

    def ended(self, orders):
        for order in orders:
            order.wait("refunded", timeout=40)
        self.assertEqual(self.stack.counts(self.sku), (12, 0, 6, 0))
        self.assertEqual(self.stack.one("select count(*) from order_events e join orders o using (order_id)"
                                        " where o.sku = %s and e.status = 'refunded'", (self.sku,)), 12)

    def test_the_consumer_dies_again_and_again(self):
        orders = self.begun()
        for _ in range(4):
            consumer = self.stack.daemon("consumer")
            time.sleep(0.35)    # wherever it is by then
            consumer.kill()
            self.stack.start_again(consumer)
        self.ended(orders)

    def test_the_gateway_dies_again_and_again(self):
        orders = self.begun()
        for _ in range(3):
            sandbox = self.stack.daemon("sandbox")
            time.sleep(0.25)
            sandbox.kill()
            self.stack.start_again(sandbox)
            self.stack.gateway.latency(300)
        self.ended(orders)

    def test_the_consumer_is_asked_to_leave(self):
        orders = self.begun()
        consumer = self.stack.daemon("consumer")
        consumer.stop()
        self.stack.start_again(consumer)
        self.ended(orders)

    def test_another_consumer_takes_over(self):
        first = self.stack.daemon("consumer")
        orders = self.begun()
        self.stack.start("consumer")
        first.kill()
        self.ended(orders)


class Misbehaving(harness.TestCase):
    """Many refunds at a gateway that misbehaves in 40 % of its answers."""

    daemons = ("sandbox", "producer", "consumer")
    settings = {"CHECKOUT_GATEWAY_TIMEOUT": "1s"}
    tearDown = AtTheSandbox.tearDown

    def test_all_end_and_none_twice(self):
        sku = self.stack.item(stock=60)
        orders = [self.stack.order(f"user-{n}", sku) for n in range(60)]
        for order in orders:
            order.wait("confirmed")
        modes = ("reset", "charge-then-reset", "500", "500-after-charge", "429", "409", "garbage", "wrong-amount",
                 "partial", "never")
        self.stack.gateway.control(seed=7, modes={mode: 0.04 for mode in modes})
        for order in orders:
            self.stack.sql("select * from checkout.request_order_command('refund', %s, '{}', 'test')", (order.id,))
        for order in orders:
            order.wait("refunded", timeout=60)
        self.assertEqual(self.stack.counts(sku), (60, 0, 60, 0))


class AsTheGatewaySays(Scripted):
    settings = {"CHECKOUT_GATEWAY_KEY_AGE": "3s", "CHECKOUT_GATEWAY_TIMEOUT": "1s", "CHECKOUT_GATEWAY_LIMIT": "1s"}

    def setUp(self):
        super().setUp()

        def answer(form):
            self.gateway.intents.insert(0, intent(form))
            return 200, self.gateway.intents[0]
        self.answer = answer

    def confirmed(self):
        self.consume()
        return self.stack.order("ann", self.stack.item()).wait("confirmed")

    def refund(self, order, *options, code=0):
        return refund_command(self.stack, order, *options, code=code)

    def test_one_that_is_pending_is_awaited(self):
        self.gateway.refund = lambda form: self.gateway._refund(form, status="pending")
        order = self.confirmed()
        self.assertIn("no final answer of the gateway yet (pending)", self.refund(order, "--timeout", "3s", code=1))
        listed = [json.loads(line) for line in self.stack.ctl("payments", "unknown", "--json").stdout.splitlines()]
        self.assertEqual([(row["order_id"], row["what"], row["code"]) for row in listed],
                         [(order.id, "refund", "pending")])
        self.assertNotIn("refunds that stay unclear", self.stack.ctl("doctor", check=False).stdout)
        self.stack.sql("update refunds set unclear_since = now() - interval '2 hours' where order_id = %s", (order.id,))
        self.assertRegex(self.stack.ctl("doctor", check=False).stdout,
                         r"warn +refunds +refunds that stay unclear: 1, the first for 2h00m")
        self.assertRegex(self.stack.ctl("payments", "unknown").stdout, rf"{order.id} +refund .* pending +2h00m ")
        self.gateway.refunds[0]["status"] = "succeeded"
        order.wait("refunded", timeout=35)
        self.assertEqual(self.gateway.asked_for_refunds(), [f"{order.id}-1-refund"])

    def test_one_that_fails_leaves_the_order_confirmed_and_can_be_asked_for_again(self):
        self.gateway.refund = lambda form: (400, {"error": {"type": "invalid_request_error",
                                                            "code": "charge_disputed"}})
        order = self.confirmed()
        self.assertIn("refused the refund (charge_disputed); the order stays confirmed", self.refund(order, code=1))
        self.assertEqual(order.status(), "confirmed")
        self.gateway.refund = self.gateway._refund
        self.refund(order)
        self.assertEqual(order.status(), "refunded")
        self.assertEqual(self.gateway.asked_for_refunds(), [f"{order.id}-1-refund", f"{order.id}-1-refund-2"])

    def test_what_was_given_back_at_the_gateway_itself_counts(self):
        order = self.confirmed()
        self.gateway._refund({"payment_intent": self.gateway.intents[0]["id"]})
        self.gateway.refund = lambda form: (400, {"error": {"type": "invalid_request_error",
                                                            "code": "charge_already_refunded"}})
        self.assertIn("the gateway's id is re_0", self.refund(order))

    def test_a_key_that_is_old_is_looked_up_and_not_sent_again(self):
        def cut(form):
            if not self.gateway.refunds:
                self.gateway._refund(form)
        self.gateway.refund = cut
        order = self.confirmed()
        self.stack.sql("select * from checkout.request_order_command('refund', %s, '{}', 'test')", (order.id,))
        wait_until(lambda: self.gateway.refunds, 30, "its first call")
        self.consumer.kill()
        wait_until(lambda: self.stack.one("select now() - key_since > interval '4500 ms' from refunds"
                                          " where order_id = %s", (order.id,)), 8, "its key to be old")
        asked = len(self.gateway.asked_for_refunds())
        self.consume()
        order.wait("refunded", timeout=20)
        self.assertEqual(len(self.gateway.asked_for_refunds()), asked)

    def served(self):
        """Another order, which is paid for meanwhile."""
        return self.stack.order("zoe", self.stack.item()).wait("confirmed", timeout=5)

    def open_refund(self, order):
        self.stack.sql("select * from checkout.request_order_command('refund', %s, '{}', 'test')", (order.id,))
        wait_until(lambda: len(self.gateway.asked_for_refunds()) >= 2, 30, "it to be asked for again")

    def test_a_gateway_that_fails_at_refunds_stops_no_charge(self):
        order = self.confirmed()
        self.gateway.refund = self.gateway.find = lambda _: (502, b"Bad Gateway")
        self.open_refund(order)
        self.served()
        self.assertEqual(self.metric("checkout_payments_stopped"), 0)
        self.gateway.refund, self.gateway.find = self.gateway._refund, self.gateway._find
        order.wait("refunded", timeout=35)

    def test_a_key_that_may_not_refund_stops_no_charge(self):
        for status in (401, 403):
            with self.subTest(status):
                if self.consumer is not None:
                    self.consumer.stop()
                self.gateway.requests.clear()
                order = self.confirmed()
                self.gateway.refund = lambda form: (status, {"error": {"type": "invalid_request_error"}})
                self.open_refund(order)
                self.served()
                self.assertEqual((self.metric("checkout_payments_stopped"), order.status()), (0, "confirmed"))
                wait_until(lambda: self.stack.one("select code from refunds where order_id = %s and unclear_since is not null",
                                                  (order.id,)) == "invalid_request_error", 15, "it to be shown")
                self.gateway.refund = self.gateway._refund
                order.wait("refunded", timeout=35)

    def test_one_without_balance_is_shown_and_tried_again_tomorrow_or_when_asked_for(self):
        order = self.confirmed()
        self.gateway.refund = lambda form: (400, {"error": {"type": "invalid_request_error",
                                                            "message_code": "insufficient_balance_for_refund"}})
        self.stack.sql("select * from checkout.request_order_command('refund', %s, '{}', 'test')", (order.id,))
        wait_until(lambda: self.stack.one("select try_at > now() + interval '23 hours' from refunds where order_id = %s",
                                          (order.id,)), 20, "it to wait for tomorrow")
        self.assertEqual(self.stack.one("select code from refunds where order_id = %s", (order.id,)),
                         "insufficient_balance_for_refund")
        self.served()
        self.assertEqual(self.metric("checkout_payments_stopped"), 0)
        listed = [json.loads(line) for line in self.stack.ctl("payments", "unknown", "--json").stdout.splitlines()]
        self.assertIn((order.id, "refund later"), [(row["order_id"], row["what"]) for row in listed])
        self.assertIn("the gateway does not make the refund now", refund_command(self.stack, order, code=1))
        self.gateway.refund = self.gateway._refund
        self.refund(order)
        self.assertEqual(order.status(), "refunded")
        keys = self.gateway.asked_for_refunds()     # each with a key of its own; a try that did not reach it has one, too
        self.assertEqual((len(keys), len(set(keys)), keys[0]), (3, 3, f"{order.id}-1-refund"))


if __name__ == "__main__":
    harness.main()
