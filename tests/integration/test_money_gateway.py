#!/usr/bin/python3
"""What the gateway's answers do: each to its own order, and to nobody else unless it refuses all of us."""

import os
import subprocess
import threading
import time

import harness
from harness import wait_until
from harness_gateway import Scripted, intent


def error(**members):
    return {"error": {"type": "invalid_request_error", **members}}


class Answers(Scripted):
    def unknown_at_first(self, answer, timeout=15):
        """An order that gets this answer stays reserved under its one key, until a good one comes."""
        self.consume()
        self.answer = answer
        order = self.stack.order("ann", self.stack.item(stock=1))
        wait_until(lambda: len(self.gateway.charges()) >= 2, timeout, "it to be asked again")
        self.assertEqual(order.status(), "reserved")
        self.answer = lambda form: (200, intent(form))
        order.wait("confirmed", timeout=timeout)
        keys = {headers["Idempotency-Key"] for method, _, headers, _ in self.gateway.requests
                if method == "POST"}
        self.assertEqual(keys, {f"{order.id}-1"})

    def test_a_success_of_another_amount_is_none(self):
        self.unknown_at_first(lambda form: (200, intent(form, amount=1)))

    def test_a_success_of_another_order_is_none(self):
        self.unknown_at_first(lambda form: (200, intent(form, metadata={"order_id": "somebody-else"})))

    def test_a_success_that_was_not_received_whole_is_none(self):
        self.unknown_at_first(lambda form: (200, intent(form, amount_received=1)))

    def test_an_answer_beyond_all_bounds_is_none(self):
        self.unknown_at_first(lambda form: (200, b'{"id":"' + b"x" * (512 * 1024)))

    def test_a_payment_method_of_no_use_rejects_its_order_only(self):
        self.consume()
        self.answer = lambda form: ((400, error(code="payment_method_unsupported_type"))
                                    if form["payment_method"] == "pm_odd" else (200, intent(form)))
        sku = self.stack.item(stock=1)
        self.stack.order("ann", sku, payment_method="pm_odd").wait("rejected", "payment_failed")
        self.stack.order("bob", sku).wait("confirmed")

    def test_the_version_of_the_api_is_said(self):
        self.consume(CHECKOUT_GATEWAY_VERSION="2099-01-31.test")
        self.stack.order("ann", self.stack.item()).wait("confirmed")
        self.assertEqual(self.gateway.requests[0][2]["Stripe-Version"], "2099-01-31.test")
        self.consumer.stop()
        self.consume(CHECKOUT_GATEWAY_VERSION="")
        self.stack.order("bob", self.stack.item()).wait("confirmed")
        self.assertNotIn("Stripe-Version", self.gateway.requests[-1][2])


class Refused(Scripted):
    settings = {"CHECKOUT_WAIT_MAX": "2s"}

    def stopped(self):
        """Without the gateway's newest answer, which follows the word."""
        return {row[0] and row[0].split(":")[0] for row in self.stack.sql("select payments_stopped from shards")}

    def refuse_all(self, refusal):
        """Payments stop: lines wait, their clock stands still, an alarm sounds; and go on by themselves."""
        self.consume()
        self.answer = lambda form: refusal
        sku = self.stack.item(stock=1)
        first = self.stack.order("ann", sku).wait("reserved")
        behind = self.stack.order("bob", sku).wait("waiting")
        others = [self.stack.order(f"user-{n}", self.stack.item()) for n in range(40)]
        wait_until(lambda: self.stopped() == {"misconfigured"}, 30, "the clocks to be stopped")
        self.assertEqual(self.metric("checkout_payments_misconfigured"), 1)
        self.assertEqual((self.ready().status, b"misconfigured" in self.ready().body), (503, True))
        doctor = self.stack.ctl("doctor", check=False)
        self.assertEqual(doctor.returncode, 1)
        self.assertIn("the gateway refuses our key or our requests", doctor.stdout)
        expiry = "select extract(epoch from l.expires_at - item_clock(i, s)) from waitlist l join items i using (sku)" \
                 " join shards s on s.shard = i.shard and s.shards = 4 where l.order_id = %s"
        left = self.stack.one(expiry, (behind.id,))
        asked = len(self.gateway.charges())
        wait_until(lambda: self.stack.one("select now() - created_at > interval '3 s' from orders"
                                          " where order_id = %s", (behind.id,)), 5, "its time to be over")
        self.assertEqual(self.stack.one(expiry, (behind.id,)), left)
        self.assertEqual((first.status(), behind.status()), ("reserved", "waiting"))
        self.assertLess(len(self.gateway.charges()) - asked, 10, "only probes are sent")
        self.answer = lambda form: (200, intent(form))
        for order in [first, *others]:
            order.wait("confirmed", timeout=30)
        behind.wait("rejected", "sold_out")
        wait_until(lambda: self.stopped() == {None}, 30, "the clocks to run again")
        self.assertEqual(self.stack.one("select count(*) from shards where stopped_at is not null"), 0)
        self.assertEqual(self.ready().status, 200)
        self.assertEqual(self.metric("checkout_payments_misconfigured"), 0)
        self.assertNotIn("payments are stopped", self.stack.ctl("doctor", check=False).stdout)

    def test_a_key_that_the_gateway_refuses(self):
        self.refuse_all((401, error(message="Invalid API Key provided")))

    def crowd(self, count):
        """Orders of different customers, items and methods."""
        return [self.stack.order(f"user-{n}", self.stack.item(), payment_method=f"pm_{n}") for n in range(count)]

    def test_requests_that_the_gateway_refuses_cost_their_orders_and_raise_an_alarm(self):
        self.consume()
        self.answer = lambda form: (400, error(code="parameter_unknown", param="payment_method_types"))
        for order in self.crowd(3):
            order.wait("rejected", "payment_failed", timeout=5)
        wait_until(lambda: self.stopped() == {"misconfigured"}, 30, "the clocks to be stopped")
        self.assertEqual(self.metric("checkout_payments_misconfigured"), 1)
        asked = []
        lock = threading.Lock()

        def one_at_a_time(form):
            self.assertTrue(lock.acquire(blocking=False), "two probes at once")
            time.sleep(0.02)
            lock.release()
            asked.append(form["metadata[order_id]"])
            return (200, intent(form)) if len(asked) > 2 else (400, error(code="parameter_unknown", param="x"))
        self.answer = one_at_a_time
        orders = self.crowd(6)
        wait_until(lambda: self.metric("checkout_payments_stopped") == 0, 30, "payments to go on")
        self.answer = lambda form: (200, intent(form))
        for order in orders:
            wait_until(lambda: order.status() in ("confirmed", "rejected"), 30, "it to end")
        self.assertEqual(sum(order.status() == "rejected" for order in orders), 2)
        wait_until(lambda: self.stopped() == {None}, 30, "the clocks to run again")
        self.assertEqual(self.ready().status, 200)

    def test_a_request_that_is_refused_ends_its_order_at_once_and_stops_nobody_else(self):
        self.consume()
        self.answer = lambda form: ((400, {"error": {"type": "invalid_request_error", "message": "no"}})
                                    if form["payment_method"] == "pm_odd" else (200, intent(form)))
        sku = self.stack.item(stock=1)
        self.stack.order("ann", sku, payment_method="pm_odd").wait("rejected", "payment_failed", timeout=5)
        self.stack.order("bob", sku).wait("confirmed", timeout=5)
        for _ in range(6):      # one customer who tries again and again alarms nobody
            self.stack.order("eve", self.stack.item(), payment_method="pm_odd").wait("rejected", timeout=5)
        self.assertEqual((self.stopped(), self.ready().status), ({None}, 200))

    def test_twenty_refused_orders_on_a_quiet_shop_delay_a_good_one_by_less_than_a_second(self):
        self.consume()
        self.answer = lambda form: ((400, {"error": {"type": "invalid_request_error", "message": "no"}})
                                    if form["payment_method"].startswith("pm_spent") else (200, intent(form)))

        def round_of_twenty():
            """How long the good one took, in s."""
            items = [self.stack.item() for _ in range(21)]
            refused = [self.stack.order(f"user-{n}", items[n], payment_method=f"pm_spent_{n}") for n in range(20)]
            began = time.monotonic()
            self.stack.order("good", items[20], payment_method="pm_good").wait("confirmed", timeout=10)
            took = time.monotonic() - began
            for order in refused:
                order.wait("rejected", timeout=10)
            return took
        harness.quickest(1.5, round_of_twenty)

    def test_a_pause_outlasts_stopped_payments_and_they_outlast_a_pause(self):
        shard = 0
        still = "select stopped_at is not null from shards where shard = %s"
        one = lambda: self.stack.one(still, (shard,))
        epoch = self.stack.one("update shards set epoch = epoch + 1 where shard = %s returning epoch", (shard,))
        stop = lambda why: self.stack.sql("select stop_payments(4, %s, %s, %s)", (shard, epoch, why))

        def command(kind):
            self.stack.sql("select request_command(%s, null, %s, null, 'test')", (kind, shard))
            self.stack.sql("select * from run_commands(4, %s, %s, 10)", (shard, epoch))

        seen = []
        for step in (lambda: stop("failing"), lambda: command("pause"), lambda: stop(None),
                     lambda: command("resume"), lambda: command("pause"), lambda: stop("misconfigured"),
                     lambda: stop("failing"), lambda: command("resume"), lambda: stop(None)):
            step()
            seen.append(one())
        self.assertEqual(seen, [True, True, True, False, True, True, True, True, False])


class Breaker(Scripted):
    settings = {"CHECKOUT_WAIT_MAX": "2s", "CHECKOUT_GATEWAY_INFLIGHT": 16}

    def test_a_gateway_that_fails_is_left_alone_and_nobody_is_rejected(self):
        self.consume()
        self.answer = lambda form: (503, b"overloaded")
        sku = self.stack.item(stock=1)
        first = self.stack.order("ann", sku).wait("reserved")
        behind = self.stack.order("bob", sku).wait("waiting")
        others = [self.stack.order(f"user-{n}", self.stack.item()) for n in range(60)]
        wait_until(lambda: self.metric("checkout_payments_stopped") == 1, 30, "payments to stop")
        wait_until(lambda: {row[0].split(":")[0] for row in self.stack.sql("select coalesce(payments_stopped, '') from shards")}
                   == {"failing"}, 5, "the clocks to stop")
        self.assertEqual(self.ready().status, 200)
        self.assertIn("the gateway fails mostly", self.stack.ctl("doctor", check=False).stdout)
        wait_until(lambda: self.stack.one("select now() - created_at > interval '3 s' from orders"
                                          " where order_id = %s", (behind.id,)), 5, "its time to be over")
        asked = len(self.gateway.charges())
        wait_until(lambda: len(self.gateway.charges()) > asked, 30, "a probe")
        self.assertEqual((first.status(), behind.status()), ("reserved", "waiting"))
        self.assertEqual({order.status() for order in others}, {"reserved"})
        self.answer = lambda form: (200, intent(form))
        for order in [first, *others]:
            order.wait("confirmed", timeout=40)
        behind.wait("rejected", "sold_out")
        self.assertEqual(self.metric("checkout_payments_stopped"), 0)


class Private(Scripted):
    """TLS with a certificate of our own authority."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        key, certificate = (os.path.join(cls.stack.directory, name) for name in ("tls.key", "tls.pem"))
        subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj",
                        "/CN=localhost", "-addext", "subjectAltName=DNS:localhost", "-keyout", key, "-out",
                        certificate], check=True, capture_output=True)
        cls.certificate = (certificate, key)

    def test_it_is_trusted_by_its_ca_file(self):
        self.consume(CHECKOUT_GATEWAY_CA_FILE=self.certificate[0])
        self.stack.order("ann", self.stack.item()).wait("confirmed")

    def test_without_it_no_request_and_no_key_is_sent(self):
        consumer = self.consume()
        order = self.stack.order("bob", self.stack.item()).wait("reserved")
        wait_until(lambda: self.metric('checkout_payments_total{outcome="unknown"}') >= 2, 30, "two attempts")
        self.assertEqual((self.gateway.requests, order.status()), ([], "reserved"))
        self.assertTrue(consumer.running())


if __name__ == "__main__":
    harness.main()
