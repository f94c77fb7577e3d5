#!/usr/bin/python3
"""A debit that is under way and that the gateway does not cancel: its unit stays held, and operators see for how long,
until the gateway says how it ended or a person releases it."""

import json
import time

import harness
from harness import wait_until
from harness_gateway import Scripted, intent
from test_webhook import PATH, SECRET

WAIT = {"CHECKOUT_GATEWAY_TIMEOUT": "2s", "CHECKOUT_ACTION_WAIT": "2s", "CHECKOUT_WAIT_MAX": "5m"}


class Eyes:
    """What operators see of it."""

    def shown(self, order):
        rows = [json.loads(line) for line in self.stack.ctl("payments", "unknown", "--json").stdout.splitlines()]
        return next((row for row in rows if row["order_id"] == order.id), None)

    def wait_shown(self, order, code="processing"):
        wait_until(lambda: (self.shown(order) or {}).get("code") == code, 30, "it to be shown as held")

    def nothing_stopped(self, consumer):
        metrics = harness.http_call(consumer.admin, "GET", "/metrics").body.decode()
        self.assertIn("\ncheckout_payments_stopped 0", metrics)
        self.assertEqual(self.stack.one("select count(*) from shards where payments_stopped is not null"), 0)
        self.assertNotIn("payments are stopped", consumer.log_text().decode())


class TestCase(harness.TestCase, Eyes):
    daemons = ("sandbox", "producer", "consumer")
    settings = WAIT

    def tearDown(self):
        self.stack.gateway.calm()
        audit = self.stack.ctl("audit", check=False)
        self.assertEqual(audit.returncode, 0, audit.stdout + audit.stderr)

    def held(self, user, method="pm_sandbox_processing"):
        """An order of one unit that its bank takes long over, and somebody who waits for the unit."""
        order = self.stack.order(user, self.stack.item(stock=1), payment_method=method)
        wait_until(lambda: self.stack.gateway.started(order.id), 20, "its payment to begin")
        order.sku = self.stack.one("select sku from orders where order_id = %s", (order.id,))
        order.behind = self.stack.order(user + "-behind", order.sku).wait("waiting")
        return order

    def is_held(self, order):
        self.assertEqual((order.status(), order.behind.status()), ("reserved", "waiting"))
        self.assertEqual(self.stack.counts(order.sku), (1, 1, 0, 1))

    def posted_once(self, order):
        intents = [i for i in self.stack.gateway.intents() if (i.get("metadata") or {}).get("order_id") == order.id]
        self.assertEqual((len(intents), self.stack.gateway.started(order.id)), (1, 1))

    def doctor(self):
        findings = json.loads(self.stack.ctl("doctor", "--json", check=False).stdout)["findings"]
        return [f for f in findings if f["subject"] == "payments" and "stay unclear" in f["text"]]


class Held(TestCase):
    """Without webhooks: the cancel is tried again each 15 s, and shows how the debit ended."""

    def test_until_the_gateway_says_how_it_ended(self):
        self.stack.gateway.control(processing_ms=15000)
        paid, failed = self.held("ann"), self.held("eve", "pm_sandbox_processing_failed")
        for order in (paid, failed):
            self.wait_shown(order)
            self.is_held(order)
        self.assertEqual(self.doctor(), [])                 # it may clear up by itself within a minute
        self.stack.sql("update payments set unclear_since = unclear_since - interval '2 minutes' where state = 'open'")
        self.assertGreaterEqual(self.shown(paid)["unclear_seconds"], 120)
        seen, = self.doctor()
        self.assertEqual(seen["level"], "warn")
        self.assertRegex(seen["text"], r"charges that stay unclear, their units held: 2, the first for 2m")
        self.assertIn("payments unknown", seen["advice"])
        self.stack.order("zoe", self.stack.item()).wait("confirmed", timeout=5)     # it stops nobody else
        self.nothing_stopped(self.stack.daemon("consumer"))
        paid.wait("confirmed", timeout=45)
        paid.behind.wait("rejected", "sold_out")
        failed.wait("rejected", "payment_declined", timeout=45)
        failed.behind.wait("confirmed")
        self.posted_once(paid)
        self.assertIsNone(self.shown(paid))
        self.assertEqual(self.doctor(), [])
        self.nothing_stopped(self.stack.daemon("consumer"))

    def test_a_consumer_that_dies_meanwhile(self):
        self.stack.gateway.control(processing_ms=9000)
        order = self.held("bob")
        self.wait_shown(order)
        consumer = self.stack.daemon("consumer")
        consumer.kill()
        self.stack.start_again(consumer)
        self.is_held(order)
        order.wait("confirmed", timeout=45)
        order.behind.wait("rejected", "sold_out")
        self.posted_once(order)


class Told(TestCase):
    """With webhooks, which tell the end at once."""

    daemons = ()

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.stack.start_with_webhooks(PATH, SECRET)

    def test_the_end_counts_at_once(self):
        self.stack.gateway.control(processing_ms=8000)
        order = self.held("ann")
        self.wait_shown(order)
        wait_until(lambda: order.id in self.stack.gateway.captured(), 20, "the bank")
        order.wait("confirmed", timeout=5)      # and not with the next cancel
        self.posted_once(order)

    def test_a_person_releases_it_and_late_money_goes_back(self):
        self.stack.gateway.control(processing_ms=12000)
        order = self.held("eve")
        self.wait_shown(order)
        done = self.stack.ctl("payments", "resolve", order.id, "release", "--note", "the bank is closed")
        self.assertIn("the order fails, its unit goes on, and money that is taken late goes back", done.stdout)
        order.wait("rejected", "payment_failed", timeout=5)
        order.behind.wait("confirmed", timeout=5)
        self.assertNotIn(order.id, self.stack.gateway.captured())
        self.assertIsNone(self.shown(order))
        wait_until(lambda: self.stack.sql("select state, reason, amount from refunds where order_id = %s", (order.id,))
                   == [("succeeded", "late_success", 1000)], 40, "what the bank sent late to go back")
        self.assertEqual(order.row(), ("rejected", "payment_failed"))
        self.nothing_stopped(self.stack.daemon("consumer"))


class Refused(Scripted, Eyes):
    """Gateways say otherwise that they do not cancel: held all the same, and asked now and then."""

    settings = WAIT

    def test_whatever_the_refusal_looks_like(self):
        error = {"type": "invalid_request_error", "code": "payment_intent_unexpected_state"}
        refusals = {"pm_bare": (400, {"error": error}), "pm_conflict": (409, {"error": error}),
                    "pm_missing": (404, {"error": error}), "pm_none": None,
                    "pm_foreign": (400, {"error": {**error, "payment_intent": {"id": "pi_of_somebody_else"}}})}
        methods = {}

        def answer(form):
            if form["payment_method"] == "pm_card_visa":
                return 200, intent(form)
            self.gateway.intents.insert(0, intent(form, status="processing"))
            methods[self.gateway.intents[0]["id"]] = form["payment_method"]
            return 200, self.gateway.intents[0]
        self.answer = answer
        self.gateway.cancel = lambda intent_id: refusals[methods[intent_id]]
        consumer = self.consume()
        orders = [self.stack.order(method, self.stack.item(stock=1), payment_method=method) for method in refusals]
        for order in orders:
            wait_until(lambda: self.shown(order) is not None, 40, "it to be shown as held")
        asked = len(self.gateway.requests)
        time.sleep(8)           # how often it asks in a time: there is no event to wait for
        self.assertLess(len(self.gateway.requests) - asked, 8 * len(orders))
        self.assertEqual({order.status() for order in orders}, {"reserved"})
        self.assertEqual(len(self.gateway.charges()), len(orders))
        self.stack.order("bob", self.stack.item()).wait("confirmed", timeout=5)
        self.nothing_stopped(consumer)
        for known in self.gateway.intents:
            known["status"] = "succeeded"
            if methods[known["id"]] in ("pm_conflict", "pm_none"):      # no answer at all: until there is one
                refusals[methods[known["id"]]] = (400, {"error": {**error, "payment_intent": known}})
        for order in orders:
            order.wait("confirmed", timeout=45)


if __name__ == "__main__":
    harness.main()
