#!/usr/bin/python3
"""A consumer whose wall clock is wrong by an hour or more charges nobody twice."""

import datetime
import json
import time

import harness
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

    def pay(self, modes, count=4):
        """Orders whose gateway answers 5xx in these ways, `count` of each, all at once; each is charged once."""
        orders = [(mode, self.stack.order(f"user-{n}", self.stack.item(stock=1), payment_method=f"pm_sandbox_{mode}"))
                  for n in range(count) for mode in modes]
        for mode, order in orders:
            order.wait("confirmed", timeout=40)
            self.assertEqual(self.attempts(order), ["captured"] if mode == "500-after-charge" else ["failed", "captured"])
        captured = self.stack.gateway.captured()
        self.assertEqual([captured.get(order.id) for _, order in orders], [1] * len(orders))

    def wrong_by(self, first, then):
        """From the start, and by a jump with a gateway's date in memory."""
        modes = ("500-after-charge", "500")
        self.clock.set(first)
        consumer = self.stack.start("consumer", **self.clock.environment)
        self.addCleanup(consumer.stop)
        said = json.loads(consumer.log_text().splitlines()[0])["time"]
        said = datetime.datetime.fromisoformat(said.replace("Z", "+00:00")).timestamp()
        self.assertLess(abs(said - time.time() - int(first)), 60, "the consumer does not see the wrong clock")
        self.pay(modes)
        self.clock.set("+0")
        self.pay(modes, 1)
        self.clock.set(then)
        self.pay(modes, 2)
        audit = self.stack.ctl("audit", check=False)
        self.assertEqual(audit.returncode, 0, audit.stdout + audit.stderr)

    def test_an_hour_ahead_and_then_days(self):
        self.wrong_by("+3600", "+200000")

    def test_an_hour_behind_and_then_days(self):
        self.wrong_by("-3600", "-200000")

    def test_two_hours_ahead(self):
        self.wrong_by("+7200", "+3600")


if __name__ == "__main__":
    harness.main()
