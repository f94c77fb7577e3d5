#!/usr/bin/python3
"""A gateway that takes so many requests a second and no more: payments go as fast as that, and hardly faster.

    tests/system/money_limits.py [--orders 600] [--consumers 1] [--latency-ms 600 ...]

The sandbox takes 25 requests a second at an endpoint and 100 in all, as Stripe does. For each latency: all orders
are confirmed within 1.2 times of what the limit needs, each consumer has fewer than 60 calls refused, and nobody takes
the gateway for a failing one. Exit code 1 if it is not so.
"""

import argparse
import sys
import time

from money_storm import Broken, Scene, must, wait_until

import harness

PER_SECOND, IN_ALL = 25, 100
ITEMS = 8
SLACK = 1.2
REFUSED = 60     # of each consumer, which has to find the limit by itself
LATENCIES_MS = (600, 10, 2500)


class Limits:
    """Stacks of items, and consumers that find all orders waiting."""

    def __init__(self, consumers):
        self.scene = Scene("limits", 0, 0, consumers=0)
        self.stack = self.scene.stack
        self.items = [self.stack.item(f"item-{n}", stock=100000) for n in range(ITEMS)]
        self.consumers = [self.stack.start("consumer") for _ in range(consumers)]
        self._number = 0

    def limited(self):
        return self.stack.gateway.call("GET", "/_control").json["limited"]

    def order(self, count):
        by_shard = {}
        for _ in range(count):
            self._number += 1
            job = self.stack.job(f"buyer-{self._number}", self.items[self._number % ITEMS], f"k{self._number}")
            by_shard.setdefault(self.stack.shard(job["sku"]), []).append(job)
        for shard, jobs in by_shard.items():
            for n in range(0, len(jobs), 100):
                self.stack.publish(shard, harness.message(*jobs[n:n + 100]))

    def alarms(self):
        found = []
        for consumer in self.consumers:
            with open(consumer.log, encoding="utf-8") as lines:
                found += [line.strip() for line in lines if "payments are stopped" in line]
        return found

    def run(self, orders, latency_ms):
        stack = self.stack
        stack.gateway.control(rate_endpoint=PER_SECOND, rate_all=IN_ALL, latency_ms=latency_ms)
        refused, done = self.limited(), self.confirmed()
        began = time.monotonic()
        self.order(orders)
        wait_until(lambda: self.confirmed() - done == orders, orders / PER_SECOND * 4 + 30,
                   lambda: f"{orders} orders to be confirmed; {self.confirmed() - done} are", interval=0.05)
        took = time.monotonic() - began
        refused = self.limited() - refused
        least = orders / PER_SECOND + latency_ms / 1000
        self.scene.say(f"answers after {latency_ms} ms: {orders} orders in {took:.1f} s, {took / least:.2f} times of "
                       f"the limit's own {least:.1f} s (at most {SLACK}); {refused} calls refused")
        must(refused < REFUSED * len(self.consumers), f"{refused} calls were refused")
        must(took <= least * SLACK, "too slow")
        must(self.alarms() == [], f"alarms: {self.alarms()[:3]}")

    def confirmed(self):
        return self.stack.one("select count(*) from orders where status = 'confirmed'")

    def end(self):
        self.stack.gateway.control(rate_endpoint=0, rate_all=0, latency_ms=0)
        self.scene.say(f"exact: {self.scene.check_money()} orders confirmed, each charged once")
        self.stack.stop_daemons()


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--orders", type=int, default=600)
    parser.add_argument("--consumers", type=int, default=1)
    parser.add_argument("--latency-ms", type=int, nargs="+", default=LATENCIES_MS)
    options = parser.parse_args()
    limits = None
    try:
        limits = Limits(options.consumers)
        for latency_ms in options.latency_ms:
            limits.run(options.orders, latency_ms)
        limits.end()
    except (Broken, AssertionError) as error:
        print(f"BROKEN: {error}", file=sys.stderr)
        return 1
    finally:
        if limits is not None:
            limits.scene.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
