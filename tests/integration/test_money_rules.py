#!/usr/bin/python3
"""Money by the gateway's real rules: methods that are used up, payments under way, results that are kept."""

import time

import harness
from harness import wait_until
from test_webhook import SECRET, event_of, sign

PATH = "/v1/webhooks/stripe"


class TestCase(harness.TestCase):
    daemons = ("sandbox", "consumer")
    settings = {"CHECKOUT_GATEWAY_TIMEOUT": "2s", "CHECKOUT_GATEWAY_LIMIT": "2s"}

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.stack.start("producer", CHECKOUT_WEBHOOK_SECRET_FILE=cls.stack.write_secret("webhook", SECRET))

    def method(self, token="tok_visa"):
        """A payment method that was made for this buyer, not a template: it can be used once."""
        answer = self.stack.gateway.call("POST", "/v1/payment_methods", {"type": "card", "card[token]": token})
        self.assertEqual(answer.status, 200, answer)
        return answer.json["id"]

    def intents(self, order):
        return [intent for intent in self.stack.gateway.intents()
                if (intent.get("metadata") or {}).get("order_id") == order.id]


class ConsumedMethods(TestCase):
    """A method without a customer is consumed by its first intent, also when that was declined."""

    def declined(self, user, sku):
        method = self.method("tok_chargeDeclined")
        self.stack.order(user, sku, payment_method=method).wait("rejected", "payment_declined")
        return method

    def test_a_declined_buyer_who_tries_again_with_the_same_method_fails_and_the_next_is_served(self):
        def seconds():
            sku = self.stack.item(stock=1)
            method = self.declined("ann", sku)
            began = time.monotonic()
            again = self.stack.order("ann", sku, payment_method=method)
            behind = self.stack.order("bob", sku, payment_method=self.method())
            again.wait("rejected", "payment_failed")
            behind.wait("confirmed")
            took = time.monotonic() - began
            self.assertEqual(self.stack.counts(sku), (1, 0, 1, 0))
            self.assertEqual(self.intents(again), [])
            return took
        harness.quickest(5, seconds)

    def test_twenty_such_orders_on_a_quiet_shop_delay_a_good_one_by_less_than_a_second(self):
        used = self.declined("cid", self.stack.item())

        def round_of_twenty():
            """How long the good one took, in s."""
            for _ in range(20):
                self.stack.order("cid", self.stack.item(), payment_method=used)
            began = time.monotonic()
            self.stack.order("dan", self.stack.item(), payment_method=self.method()).wait("confirmed")
            took = time.monotonic() - began
            wait_until(lambda: self.stack.one("select count(*) from orders where user_id = 'cid' and status = 'reserved'") == 0,
                       10, "all of them to end")
            return took
        harness.quickest(1, round_of_twenty)
        self.assertEqual(self.stack.sql("select distinct status, reason from orders where user_id = 'cid'"
                                        " and reason <> 'payment_declined'"), [("rejected", "payment_failed")])

    def test_the_buyer_is_told_what_may_help(self):
        sku = self.stack.item()
        order = self.stack.order("eve", sku, payment_method=self.declined("eve", sku))
        order.wait("rejected", "payment_failed")
        self.assertIsNotNone(self.stack.one("select payment_problem from orders where order_id = %s", (order.id,)))
        unknown = self.stack.order("eve", sku, payment_method="pm_nobody_has_this").wait("rejected", "payment_failed")
        shown = self.stack.call("eve", "GET", f"/v1/orders/{unknown.id}").json
        self.assertEqual((shown["payment_problem"], shown["param"]), ("use_another_method", "payment_method"))
        self.assertEqual(self.stack.sql(
            "select distinct u.payment_problem, u.param from relays r, unrelayed(r.shard, 0, 10000) u "
            "where u.order_id = %s and u.status = 'rejected'", (unknown.id,)), [("use_another_method", "payment_method")])


class Paying(TestCase):
    def pays(self, method="pm_sandbox_processing", **settings):
        self.stack.gateway.control(**settings)
        order = self.stack.order("ann", self.stack.item(stock=1), payment_method=method)
        wait_until(lambda: self.stack.gateway.started(order.id), 10, "its payment to begin")
        return order


class Processing(Paying):
    """An intent that is under way is looked at, and not posted again."""

    def posted_once(self, order):
        self.assertEqual((len(self.intents(order)), self.stack.gateway.started(order.id)), (1, 1))

    def test_one_that_succeeds_later_is_confirmed(self):
        order = self.pays(processing_ms=2500).wait("confirmed", timeout=15)
        self.posted_once(order)
        self.assertEqual(self.stack.one("select count(*) from shards where payments_stopped is not null"), 0)

    def test_one_that_fails_later_frees_its_unit(self):
        order = self.pays("pm_sandbox_processing_failed", processing_ms=2500)
        order.wait("rejected", "payment_declined", timeout=15)
        self.posted_once(order)

    def test_less_money_than_the_price_is_no_sale(self):
        order = self.pays("pm_sandbox_pays_less").wait("rejected", "payment_failed", timeout=30)
        wait_until(lambda: self.stack.one("select state from refunds where order_id = %s", (order.id,)) == "succeeded",
                   20, "what was taken to go back")


class ProcessingWithWebhooks(Paying):
    """Where webhooks come, looks are rare."""

    def test_a_webhook_ends_the_wait_at_once(self):
        order = self.pays(processing_ms=6000).wait("reserved")
        wait_until(lambda: [intent["status"] for intent in self.intents(order)] == ["succeeded"], 15, "the bank")
        body = event_of(order.id)
        answer = self.stack.call(None, "POST", PATH, body,
                                 {"Content-Type": "application/json", "Stripe-Signature": sign(body)})
        self.assertEqual(answer.status, 200)
        order.wait("confirmed", timeout=2)


class Kept(TestCase):
    """A result that the gateway keeps under a key is looked up; the next attempt has its own key."""

    def test_one_kept_without_a_capture_is_followed_by_an_attempt_that_fails_for_the_consumed_method(self):
        self.stack.gateway.fault("500-consumed")
        order = self.stack.order("ann", self.stack.item(stock=1), payment_method=self.method())
        order.wait("rejected", "payment_failed", timeout=40)
        self.assertEqual(self.stack.gateway.captured().get(order.id), None)

    def test_one_kept_after_a_capture_is_confirmed(self):
        self.stack.gateway.fault("500-after-charge")
        order = self.stack.order("ann", self.stack.item(stock=1), payment_method=self.method()).wait("confirmed", timeout=40)
        self.assertEqual(self.stack.gateway.captured()[order.id], 1)

    def test_a_list_that_is_late_hides_no_capture(self):
        self.stack.gateway.control(list_late_ms=4000)
        self.addCleanup(self.stack.gateway.control, list_late_ms=0)
        self.stack.gateway.fault("500-after-charge")
        order = self.stack.order("ann", self.stack.item(stock=1), payment_method=self.method()).wait("confirmed", timeout=40)
        self.assertEqual(self.stack.gateway.captured()[order.id], 1)


if __name__ == "__main__":
    harness.main()
