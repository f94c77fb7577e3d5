#!/usr/bin/python3
"""Results that the gateway keeps under a key, and keys that were used: looked up, and never paid for twice."""

import time

import harness
from harness import wait_until
from harness_gateway import intent
from test_money_unknown import Listed, attempts, keys

FORBIDDEN = {"error": {"type": "invalid_request_error", "message": "not now"}}
KEPT = {"Idempotent-Replayed": "true"}


class Refusals(Listed):
    """A 4xx that does not end its order, kept under the key: a gateway that the test scripts."""

    settings = {"CHECKOUT_GATEWAY_LIMIT": "2s"}

    def kept(self, status, captured):
        """The first key has this result for good; (the order, how often it was asked under it)."""
        self.consume()
        asked = []

        def answer(form):
            key = self.key_of(-1)
            if not key.endswith("-1"):
                return 200, intent(form)
            if not asked and captured:
                self.charge(form)
            asked.append(key)
            return status, FORBIDDEN, KEPT if len(asked) > 1 else {}
        self.answer = answer
        order = self.stack.order("ann", self.stack.item(stock=1)).wait("confirmed", timeout=40)
        return order, len(asked)

    def test_one_kept_without_a_capture_is_followed_by_an_attempt_under_its_own_key(self):
        for status in (401, 403):
            with self.subTest(status):
                order, asked = self.kept(status, captured=False)
                self.assertEqual(attempts(self.stack, order), keys(order, "failed", "captured"))
                self.assertEqual(asked, 2)      # twice alike
                self.consumer.stop()

    def test_one_kept_after_a_capture_is_found_in_the_list(self):
        order, _ = self.kept(403, captured=True)
        self.assertEqual(attempts(self.stack, order), keys(order, "captured"))
        self.assertEqual({self.key_of(n) for n in range(len(self.gateway.charges()))}, {f"{order.id}-1"})


class Gets(Listed):
    """What is learned by looking at an intent."""

    def pending(self, wait, **later):
        """An order whose debit is under way, and becomes this."""
        self.answer = lambda form: self.charge(form, status="processing") or (200, self.gateway.intents[0])
        order = self.stack.order("ann", self.stack.item(stock=1))
        wait_until(lambda: self.stack.one("select intent_id from payments where order_id = %s", (order.id,)), wait,
                   "its intent to be recorded")
        self.gateway.intents[0].update(later)
        return order

    def test_another_sum_than_the_price_goes_back(self):
        self.consume()
        for members in ({"amount_received": 999}, {"amount_received": 1001}):
            with self.subTest(members):
                self.gateway.refunds.clear()
                order = self.pending(15, status="succeeded", **members)
                order.wait("rejected", "payment_failed", timeout=60)    # an answer may be wrong once
                wait_until(lambda: self.stack.sql("select state, reason, amount from refunds where order_id = %s",
                                                  (order.id,))
                           == [("succeeded", "late_success", members["amount_received"])], 15, "it to go back")

    def test_after_a_take_over_it_is_looked_at_and_gets_no_more_time(self):
        self.consume(CHECKOUT_ACTION_WAIT="9s")
        order = self.pending(15)
        wait_until(lambda: self.stack.one("select now() - max(created_at) > interval '5 s' from order_events where order_id = %s",
                                          (order.id,)), 15, "half of its time")
        self.consumer.kill()
        looks = self.gateway.looks()
        self.gateway.cancel = lambda intent_id: (200, {**self.gateway.intents[0], "status": "canceled"})
        took_over = time.time()
        self.stack.start_again(self.consumer)
        self.addCleanup(self.stack.daemon("consumer").stop)
        order.wait("rejected", "payment_declined", timeout=20)
        ended = self.stack.one("select extract(epoch from max(created_at))::float from order_events where order_id = %s", (order.id,))
        self.assertLess(ended - took_over, 9)       # and not 9 s from the take-over on
        self.assertGreater(self.gateway.looks(), looks)
        self.assertEqual(len(self.gateway.charges()), 1)


class Sandboxed(harness.TestCase):
    daemons = ("sandbox", "producer")
    settings = {"CHECKOUT_GATEWAY_TIMEOUT": "2s", "CHECKOUT_GATEWAY_LIMIT": "2s"}

    def setUp(self):
        self.consumer = self.stack.start("consumer")

    def tearDown(self):
        self.stack.daemon("consumer").stop()
        self.stack.gateway.calm()
        audit = self.stack.ctl("audit", check=False)
        self.assertEqual(audit.returncode, 0, audit.stdout + audit.stderr)

    def method(self):
        answer = self.stack.gateway.call("POST", "/v1/payment_methods", {"type": "card", "card[token]": "tok_visa"})
        self.assertEqual(answer.status, 200, answer)
        return answer.json["id"]

    def test_a_capture_that_a_refused_second_attempt_makes_us_look_for_confirms(self):
        self.stack.gateway.control(list_late_ms=9000)       # behind what lists may be late by
        self.stack.gateway.fault("500-after-charge")
        order = self.stack.order("ann", self.stack.item(stock=1), payment_method=self.method())
        wait_until(lambda: len(attempts(self.stack, order)) == 2, 30, "the second attempt")
        order.wait("confirmed", timeout=40)
        self.assertEqual(self.stack.gateway.captured()[order.id], 1)
        self.assertEqual(attempts(self.stack, order), keys(order, "failed", "captured"))

    def test_402_with_our_intent_is_a_decline_whatever_it_is_called(self):
        sku = self.stack.item(stock=1)
        order = self.stack.order("ann", sku, payment_method="pm_sandbox_provider_decline")
        order.wait("rejected", "payment_declined", timeout=15)
        self.stack.order("bob", sku).wait("confirmed", timeout=15)
        self.assertEqual(self.stack.one("select count(*) from shards where payments_stopped is not null"), 0)

    def rolling(self, fault):
        """A consumer dies after it has asked; the next release asks under the same key, for something else."""
        self.stack.gateway.fault(fault)
        order = self.stack.order("ann", self.stack.item(stock=1), payment_method=self.method())
        wait_until(lambda: self.stack.gateway.started(order.id), 15, "it to be asked for")
        self.consumer.kill()
        consumer = self.stack.start("consumer", CHECKOUT_GATEWAY_RETURN_URL="https://shop.example/back?order=1")
        order.wait("confirmed", timeout=40)
        self.assertEqual(self.stack.gateway.captured()[order.id], 1)
        metrics = harness.http_call(consumer.admin, "GET", "/metrics").body.decode()
        self.assertRegex(metrics, r'checkout_payments_total\{[^}]*key_used[^}]*\} [1-9]')
        self.assertNotIn("payments are stopped", consumer.log_text().decode())
        return order

    def test_a_key_that_was_used_is_looked_up(self):
        order = self.rolling("charge-then-never")
        self.assertEqual(attempts(self.stack, order), keys(order, "captured"))

    def test_a_key_that_was_used_for_nothing_is_followed_by_one_of_its_own(self):
        order = self.rolling("500")
        self.assertEqual(attempts(self.stack, order), keys(order, "failed", "captured"))


if __name__ == "__main__":
    harness.main()
