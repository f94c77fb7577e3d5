#!/usr/bin/python3
"""A consumer whose wall clock is wrong by an hour or more charges nobody twice."""

import datetime
import json
import time

import harness
from harness import wait_until
from harness_clock import Clock


class Wrong(harness.TestCase):
    """Its monotonic clock is true, as are the clocks of the database and of the gateway, which keeps its 5xx."""

    daemons = ("sandbox", "producer")
    settings = {"CHECKOUT_GATEWAY_TIMEOUT": "2s", "CHECKOUT_GATEWAY_LIMIT": "2s"}

    def setUp(self):
        self.clock = Clock()
        self.addCleanup(self.stack.gateway.calm)

    def attempts(self, order):
        return [row[0] for row in self.stack.sql("select state from payments where order_id = %s order by attempt",
                                                 (order.id,))]

    def begin(self, count):
        """Orders whose gateway answers 5xx after it has charged, or without, `count` of each, all at once."""
        return {mode: [self.stack.order(f"user-{n}", self.stack.item(stock=1), payment_method=f"pm_sandbox_{mode}")
                       for n in range(count)] for mode in ("500-after-charge", "500")}

    def each_is_charged_once(self, orders):
        for mode, begun in orders.items():
            for order in begun:
                order.wait("confirmed", timeout=40)
                self.assertEqual(self.attempts(order),
                                 ["captured"] if mode == "500-after-charge" else ["failed", "captured"])
        captured = self.stack.gateway.captured()
        self.assertEqual([captured.get(order.id) for begun in orders.values() for order in begun],
                         [1] * sum(map(len, orders.values())))

    def pay_while_clocks_differ(self, consumer, then):
        """What the list shows is confirmed; what it lacks stays unclear until the clock is right enough."""
        complaint = b"gateway's clock and ours differ"
        before = consumer.log_text().count(complaint)
        orders = self.begin(2)
        for order in orders["500-after-charge"]:
            order.wait("confirmed", timeout=40)
        wait_until(lambda: consumer.log_text().count(complaint) > before + 1, 60, "two lists that conclude nothing")
        for order in orders["500"]:
            self.assertEqual(self.attempts(order), ["open"])
        self.clock.set(then)
        self.each_is_charged_once(orders)

    def start(self, offset):
        self.clock.set(offset)
        consumer = self.stack.start("consumer", **self.clock.environment)
        self.addCleanup(consumer.stop)
        said = json.loads(consumer.log_text().splitlines()[0])["time"]
        said = datetime.datetime.fromisoformat(said.replace("Z", "+00:00")).timestamp()
        self.assertLess(abs(said - time.time() - int(offset)), 60, "the consumer does not see the wrong clock")
        return consumer

    def nothing_is_wrong(self):
        audit = self.stack.ctl("audit", check=False)
        self.assertEqual(audit.returncode, 0, audit.stdout + audit.stderr)

    def wrong_by(self, first, then):
        """From the start, and by a jump with a gateway's date in memory."""
        consumer = self.start(first)
        self.each_is_charged_once(self.begin(4))
        self.clock.set("+0")
        self.each_is_charged_once(self.begin(1))
        self.clock.set(then)
        self.pay_while_clocks_differ(consumer, "+0")
        self.nothing_is_wrong()

    def test_an_hour_ahead_and_then_days(self):
        self.wrong_by("+3600", "+200000")

    def test_an_hour_behind_and_then_days(self):
        self.wrong_by("-3600", "-200000")

    def test_two_hours_ahead(self):
        self.pay_while_clocks_differ(self.start("+7200"), "+3600")
        self.nothing_is_wrong()


if __name__ == "__main__":
    harness.main()
