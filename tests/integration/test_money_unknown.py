#!/usr/bin/python3
"""Unknown is a state: what no answer tells, the gateway's list does; and nobody is ever charged twice."""

import contextlib
import json
import time

import harness
from harness import wait_until
from harness_gateway import Scripted, intent

FAILED = (500, {"error": {"type": "api_error"}})


def attempts(stack, order):
    return stack.sql("select attempt, state, idempotency_key from payments where order_id = %s order by 1",
                     (order.id,))


def keys(order, *states):
    return [(n, state, f"{order.id}-{n}") for n, state in enumerate(states, 1)]


class StoredErrors(harness.TestCase):
    """The sandbox keeps a 5xx as the result of its key for good, as Stripe does."""

    daemons = ("sandbox", "producer", "consumer")

    def tearDown(self):
        self.stack.gateway.calm()
        confirmed = {row[0] for row in self.stack.sql("select order_id::text from orders"
                                                      " where status = 'confirmed'")}
        self.assertEqual(self.stack.gateway.captured(), {order: 1 for order in confirmed})
        self.assertEqual(self.stack.one("select count(*) from payments where state = 'open'"), 0)

    def order(self, mode, sku=None):
        return self.stack.order("ann", sku or self.stack.item(stock=1), payment_method=f"pm_sandbox_{mode}")

    def test_an_error_after_the_charge_is_found_in_the_list(self):
        order = self.order("500-after-charge").wait("confirmed")
        self.assertEqual(attempts(self.stack, order), keys(order, "captured"))
        self.assertIsNotNone(self.stack.one("select intent_id from payments where order_id = %s", (order.id,)))

    def test_an_error_instead_of_a_charge_is_followed_by_an_attempt_of_its_own(self):
        order = self.order("500").wait("confirmed")
        self.assertEqual(attempts(self.stack, order), keys(order, "failed", "captured"))

    def test_a_card_declined_at_the_second_attempt_gives_the_unit_to_the_next(self):
        sku = self.stack.item(stock=1)
        self.stack.gateway.fault("500", 1)
        order = self.stack.order("ann", sku, payment_method="pm_card_chargeDeclined")
        order.wait("rejected", "payment_declined")
        self.assertEqual(attempts(self.stack, order), keys(order, "failed", "declined"))
        self.stack.order("bob", sku).wait("confirmed")

    def test_a_consumer_that_is_killed_again_and_again_meanwhile(self):
        sku = self.stack.item(stock=80)
        self.stack.gateway.latency(150)
        orders = [self.order(mode, sku) for _ in range(20) for mode in ("500", "500-after-charge")]
        for _ in range(5):
            wait_until(lambda: self.stack.daemon("consumer").running(), 30, "it to run")
            time.sleep(0.6)     # wherever it is by then
            consumer = self.stack.daemon("consumer")
            consumer.kill()
            self.stack.start_again(consumer)
        for order in orders:
            order.wait("confirmed", timeout=40)
        self.assertEqual(self.stack.counts(sku), (80, 0, 40, 0))


class Listed(Scripted):
    def setUp(self):
        super().setUp()     # the list is also read for payments of tests before, which ended without a capture
        self.stack.sql("update payments set look_at = null where look_at is not null")

    def charge(self, form, **members):
        """The gateway charges, and shows it in its list."""
        self.gateway.intents.insert(0, intent(form, **members))

    def key_of(self, n):
        return [headers["Idempotency-Key"] for method, path, headers, _ in self.gateway.requests
                if method == "POST" and path == "/v1/payment_intents"][n]


class Lookups(Listed):
    def test_one_pass_serves_all_that_are_unclear(self):
        self.consume()
        for n in range(250):    # of others, on later pages
            self.gateway.intents.append({**intent({"metadata[order_id]": f"other-{n}", "metadata[shard]": "0",
                                                   "amount": "1", "currency": "usd"})})
        charged = set()

        def answer(form):
            order = form["metadata[order_id]"]
            if order not in charged:
                charged.add(order)
                self.gateway.intents.append(intent(form))   # the oldest: on the last page
            return FAILED
        self.answer = answer
        orders = [self.stack.order(f"user-{n}", self.stack.item()) for n in range(30)]
        for order in orders:
            order.wait("confirmed")
        self.assertEqual([attempts(self.stack, order) for order in orders],
                         [keys(order, "captured") for order in orders])
        self.assertLess(self.gateway.listings(), 12)

    def test_an_error_of_a_proxy_says_nothing_about_the_key(self):
        self.consume()
        self.answer = lambda form: (502, b"<html>Bad Gateway</html>")
        order = self.stack.order("ann", self.stack.item())
        wait_until(lambda: len(self.gateway.charges()) >= 4, 15, "it to be asked again")
        self.assertEqual((self.gateway.listings(), order.status()), (0, "reserved"))
        self.answer = lambda form: (200, intent(form))
        order.wait("confirmed", timeout=20)
        self.assertEqual(attempts(self.stack, order), keys(order, "captured"))

    def test_a_list_that_cannot_be_read_concludes_nothing(self):
        self.consume()
        answers = [(500, b""), (200, b"<html>"), (200, {"object": "list", "data": [], "has_more": True}), None,
                   (200, {"object": "list", "data": [{"object": "payment_intent"}], "has_more": False})]
        seen = []

        def listing(query):
            seen.append(query)
            return answers[len(seen) - 1] if len(seen) <= len(answers) else self.gateway._list(query)
        self.gateway.list = listing
        asked = []

        def answer(form):
            if form["metadata[order_id]"] not in asked:     # the orders of other tests may still be unclear
                asked.append(form["metadata[order_id]"])
                self.charge(form)
            return FAILED
        self.answer = answer
        order = self.stack.order("ann", self.stack.item()).wait("confirmed", timeout=30)
        self.assertEqual(attempts(self.stack, order), keys(order, "captured"))
        self.assertGreater(len(seen), len(answers))

    def test_what_is_found_open_is_cancelled_before_its_unit_goes_on(self):
        self.consume()
        cancelled = []

        def cancel(intent_id):
            found = next(i for i in self.gateway.intents if i["id"] == intent_id)
            self.assertEqual(behind.status(), "waiting")
            found["status"] = "canceled"
            cancelled.append(intent_id)
            return 200, found
        self.gateway.cancel = cancel

        def answer(form):
            if form["payment_method"] == "pm_card_visa":
                return 200, intent(form)
            if not self.gateway.intents:
                self.charge(form, status="requires_confirmation")
            return FAILED
        self.answer = answer
        sku = self.stack.item(stock=1)
        order = self.stack.order("ann", sku, payment_method="pm_odd").wait("reserved")
        behind = self.stack.order("bob", sku)
        behind.wait("confirmed")
        order.wait("rejected", "payment_declined")
        self.assertEqual(len(cancelled), 1)

    def test_one_that_succeeds_while_it_is_being_cancelled_is_confirmed(self):
        self.consume(CHECKOUT_ACTION_WAIT="2s")

        def cancel(intent_id):
            found = self.gateway.intents[0]
            found["status"] = "succeeded"
            return 400, {"error": {"code": "payment_intent_unexpected_state", "payment_intent": found}}
        self.gateway.cancel = cancel

        def answer(form):
            if not self.gateway.intents:
                self.charge(form, status="processing")
            return FAILED
        self.answer = answer
        self.stack.order("ann", self.stack.item()).wait("confirmed")

    def test_a_charge_of_another_amount_is_no_sale_and_goes_back(self):
        for members in ({"amount": 1}, {"amount": 1001}, {"amount_received": 999}):
            with self.subTest(members):
                if self.consumer is not None:
                    self.consumer.stop()
                self.consume()
                self.gateway.intents.clear()
                self.gateway.refunds.clear()

                def answer(form):
                    if form["payment_method"] == "pm_card_visa":
                        return 200, intent(form)
                    if not self.gateway.intents:
                        self.charge(form, **members)
                    return FAILED
                self.answer = answer
                sku = self.stack.item(stock=1)
                order = self.stack.order("ann", sku, payment_method="pm_odd").wait("rejected", "payment_failed", timeout=15)
                self.stack.order("bob", sku).wait("confirmed")
                wait_until(lambda: self.stack.sql("select state, reason, amount from refunds where order_id = %s", (order.id,))
                           == [("succeeded", "late_success", members.get("amount_received") or members["amount"])], 15,
                           "it to go back")

    def test_an_order_has_three_attempts_ever_rarer_and_then_fails(self):
        self.consume()
        self.answer = lambda form: FAILED
        order = self.stack.order("ann", self.stack.item())
        order.wait("rejected", "payment_failed", timeout=60)
        self.assertEqual(attempts(self.stack, order), keys(order, "failed", "failed", "failed"))
        made = self.stack.sql("select extract(epoch from created_at - lag(created_at) over (order by attempt))"
                              " from payments where order_id = %s order by attempt", (order.id,))
        self.assertGreater(float(made[1][0]), 4)        # the list may be late
        self.assertEqual(self.stack.one("select count(*) from payments where order_id = %s and look_at is not null",
                                        (order.id,)), 3)

    def test_an_orders_attempts_end_with_the_time_that_a_buyer_would_have(self):
        self.consume(CHECKOUT_ACTION_WAIT="3s")
        self.answer = lambda form: FAILED
        order = self.stack.order("ann", self.stack.item())
        order.wait("rejected", "payment_failed", timeout=30)
        self.assertEqual(attempts(self.stack, order), keys(order, "failed"))


class OldKeys(Listed):
    """A key that the gateway may have forgotten is looked up and never sent again."""

    settings = {"CHECKOUT_GATEWAY_KEY_AGE": "1s", "CHECKOUT_GATEWAY_TIMEOUT": "1s", "CHECKOUT_GATEWAY_LIMIT": "1s"}

    def ages(self, charged):
        """An order whose answers are cut off until its key is old, charged or not; under a new owner."""
        self.consume()

        def answer(form):
            if charged and not self.gateway.intents:
                self.charge(form)
            return None
        self.answer = answer
        order = self.stack.order("ann", self.stack.item())
        wait_until(lambda: self.gateway.charges(), 30, "its first call")
        self.consumer.kill()
        wait_until(lambda: self.stack.one("select now() - created_at > interval '2500 ms' from payments where"
                                          " order_id = %s", (order.id,)), 5, "its key to be old")
        asked = len(self.gateway.charges())
        self.answer = lambda form: (200, intent(form))
        self.consume()
        order.wait("confirmed", timeout=20)
        return order, asked

    def test_one_that_was_charged_is_found(self):
        order, asked = self.ages(charged=True)
        self.assertEqual(len(self.gateway.charges()), asked)
        self.assertEqual(attempts(self.stack, order), keys(order, "captured"))

    def test_one_that_was_not_charged_gets_a_key_of_its_own(self):
        order, asked = self.ages(charged=False)
        self.assertEqual([self.key_of(n) for n in range(asked, len(self.gateway.charges()))], [f"{order.id}-2"])
        self.assertEqual(attempts(self.stack, order), keys(order, "failed", "captured"))


class Resolving(Listed):
    """An operator tells what the gateway does not."""

    settings = {"CHECKOUT_WAIT_MAX": "2m"}

    def unclear(self):
        """An order whose charge gets no clear answer, while the gateway's list cannot be read; one waits behind it."""
        def answer(form):
            if form["payment_method"] == "pm_card_visa":
                return 200, intent(form)
            if not self.gateway.intents:
                self.charge(form)
            return FAILED
        self.answer = answer
        self.gateway.list = lambda query: (500, b"")
        self.consume()
        sku = self.stack.item(stock=1)
        order = self.stack.order("ann", sku, payment_method="pm_odd").wait("reserved")
        behind = self.stack.order("bob", sku).wait("waiting")
        wait_until(lambda: self.listed(order) == "http_500", 15, "it to be shown as unclear")
        return order, behind

    def listed(self, order):
        lines = self.stack.ctl("payments", "unknown", "--json").stdout.splitlines()
        found = [json.loads(line) for line in lines]
        return next((row["code"] for row in found if row["order_id"] == order.id), None)

    @contextlib.contextmanager
    def unlisted(self):
        """The gateway's list cannot be read: no lookup concludes anything meanwhile."""
        self.gateway.list = lambda query: (500, b"")
        yield
        self.gateway.list = self.gateway._list

    def resolve(self, order, outcome, code=0):
        done = self.stack.ctl("payments", "resolve", order.id, outcome, "--note", 'seen "there"', check=False)
        self.assertEqual(done.returncode, code, done.stderr + done.stdout)
        return done.stdout + done.stderr

    def test_captured_confirms_it(self):
        order, behind = self.unclear()
        with self.unlisted():
            self.gateway.intents.clear()
            self.resolve(order, "captured")
        order.wait("confirmed")
        behind.wait("rejected", "sold_out")
        self.assertIsNone(self.listed(order))
        self.assertEqual(self.stack.one("select argument ->> 'note' from commands where order_id = %s",
                                        (order.id,)), 'seen "there"')
        self.assertIn("has ended: captured", self.resolve(order, "not-captured", code=1))

    def test_not_captured_cancels_at_the_gateway_before_the_unit_goes_on(self):
        order, behind = self.unclear()
        cancelled = []

        def cancel(intent_id):
            found = self.gateway.intents[0]
            cancelled.append((intent_id, behind.status()))
            found["status"] = "canceled"
            return 200, found
        self.gateway.cancel = cancel
        found = self.gateway.intents[0]
        with self.unlisted():
            found.update(status="requires_capture")
            self.resolve(order, "not-captured")
        order.wait("rejected")
        behind.wait("confirmed")
        self.assertEqual(cancelled, [(found["id"], "waiting")])

    def test_not_captured_with_nothing_at_the_gateway_fails_the_order(self):
        order, behind = self.unclear()
        with self.unlisted():
            self.gateway.intents.clear()
            asked = len(self.gateway.charges())
            self.answer = lambda form: (200, intent(form))
            self.resolve(order, "not-captured")
        order.wait("rejected", "payment_failed")
        behind.wait("confirmed")
        self.assertEqual([form["metadata[order_id]"] for form in self.gateway.charges()[asked:]
                          if form["metadata[order_id]"] != behind.id], [])

    def test_not_captured_ends_it_also_if_a_lookup_has_just_called_for_another_attempt(self):
        order, behind = self.unclear()
        self.consumer.kill()
        self.stack.sql("update payments set resolution = 'not-captured' where order_id = %s", (order.id,))
        self.stack.sql("select s.* from shards h, orders o, checkout.settle_payments(h.shards, h.shard, h.epoch, array[o.order_id],"
                       " array[1], array['superseded'], array[null::text], array['not_found']) s"
                       " where o.order_id = %s and h.shard = o.shard", (order.id,))
        self.assertEqual(order.row(), ("rejected", "payment_failed"))
        self.assertEqual(attempts(self.stack, order), keys(order, "failed"))
        self.consume()
        behind.wait("confirmed")

    def test_a_success_that_the_list_shows_outweighs_what_was_said(self):
        order, behind = self.unclear()
        with self.unlisted():
            self.resolve(order, "not-captured")
        order.wait("confirmed")
        behind.wait("rejected", "sold_out")

    def test_what_was_said_outlives_its_consumer(self):
        order, behind = self.unclear()
        with self.unlisted():
            self.resolve(order, "not-captured")
            self.consumer.kill()
            self.assertEqual(order.status(), "reserved")
            self.gateway.intents.clear()
        self.consume()
        order.wait("rejected", "payment_failed")
        behind.wait("confirmed")

    def test_captured_is_not_believed_when_the_gateway_shows_less_money(self):
        order, behind = self.unclear()
        with self.unlisted():
            self.gateway.intents[0].update(amount_received=999)
            self.resolve(order, "captured")
        order.wait("rejected", "payment_failed")
        behind.wait("confirmed")
        wait_until(lambda: self.stack.one("select state from refunds where order_id = %s", (order.id,)) == "succeeded", 15,
                   "it to go back")

    def test_release_ends_it_without_knowing_and_late_money_goes_back(self):
        order, behind = self.unclear()
        self.resolve(order, "release")
        order.wait("rejected", "payment_failed", timeout=5)
        behind.wait("confirmed")
        self.gateway.list = self.gateway._list
        wait_until(lambda: self.stack.one("select state from refunds where order_id = %s", (order.id,)) == "succeeded", 20,
                   "what was taken late to go back")

    def test_nothing_else_can_be_resolved(self):
        self.consume()
        self.gateway.answer = lambda form: (time.sleep(1.5), (200, intent(form)))[1]
        order = self.stack.order("ann", self.stack.item()).wait("reserved")
        self.assertIn("nothing is unclear", self.resolve(order, "not-captured", code=1))
        order.wait("confirmed")
        self.assertIn("has ended", self.resolve(order, "captured", code=1))
        nobody = "00000000-0000-8000-8000-000000000000"
        done = self.stack.ctl("payments", "resolve", nobody, "captured", "--note", "x", check=False)
        self.assertEqual((done.returncode, "no consumer has decided" in done.stderr), (1, True))
        for words in ((order.id, "perhaps", "--note", "x"), (order.id, "captured"), ("x", "captured", "--note", "y")):
            self.assertEqual(self.stack.ctl("payments", "resolve", *words, check=False).returncode, 2)


if __name__ == "__main__":
    harness.main()
