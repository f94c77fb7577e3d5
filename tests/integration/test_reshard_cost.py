#!/usr/bin/python3
"""What `checkoutctl reshard` costs a sale that nothing else disturbs: how long an item had no decision, how many orders less
were taken."""

import collections
import os
import sys
import threading
import time
import unittest

import psycopg2

import harness
from harness_reshard import ReshardCase
from test_reshard import Lane

GAP_S = 2               # an item with undecided orders has no decision for so long at most
RATE_LEAST = 0.5        # of the orders a second before
BEFORE_S = 10           # that rate is that of so many seconds
MOVES = 3               # the best one counts, since others on this machine only add to the time
LOOK_S = 0.02


class SlowLane(Lane):
    """So few orders that this machine's moods hardly change their rate."""

    PAUSE_S = 0.1


class Decisions(threading.Thread):
    """When each order's decision was seen in the database; a look that took long makes it late, never early."""

    def __init__(self, stack):
        super().__init__(daemon=True)
        self.session = psycopg2.connect(stack.direct["CHECKOUT_DATABASE_URL"])
        self.session.autocommit = True
        self.seen = {}                                   # order id → time
        self.stopping = threading.Event()

    def run(self):
        with self.session.cursor() as cursor:
            while not self.stopping.wait(LOOK_S):
                cursor.execute("select order_id::text from checkout.orders where created_at > now() - interval '20 s'")
                now = time.time()
                for order, in cursor.fetchall():
                    self.seen.setdefault(order, now)
        self.session.close()


@unittest.skipUnless(os.environ.get("CHECKOUT_TEST_RESHARD"), "only with CHECKOUT_TEST_RESHARD, where little else runs")
class Cost(ReshardCase):
    daemons = ("sandbox", "producer", "consumer", "consumer")

    def setUp(self):
        super().setUp()
        self.wait_owners(self.shards)
        skus = [self.stack.item(stock=100000) for _ in range(12)]
        self.lanes = [SlowLane(self.stack, skus[i::4]) for i in range(4)]
        self.decisions = Decisions(self.stack)
        for thread in (*self.lanes, self.decisions):
            thread.start()
        self.addCleanup(self.stop)

    def stop(self):
        for thread in (*self.lanes, self.decisions):
            thread.stopping.set()
        for thread in (*self.lanes, self.decisions):
            thread.join()

    def accepted(self):
        return [(sku, order, at) for lane in self.lanes for sku, taken in list(lane.accepted.items()) for order, at in list(taken)]

    def rate(self, begun, ended):
        return sum(begun <= at < ended for _, _, at in self.accepted()) / (ended - begun)

    def gap(self, begun, ended):
        """The longest time in which an item had undecided orders that were accepted by then, and no decision. What is undecided
        now counts as decided now."""
        orders, now, longest = collections.defaultdict(list), time.time(), 0.0
        for sku, order, at in self.accepted():
            if begun <= at < ended:
                orders[sku].append((self.decisions.seen.get(order, now), at))
        for decided in orders.values():
            before = 0.0
            for seen, at in sorted(decided):
                longest = max(longest, seen - max(before, at))
                before = seen
        return longest

    def move(self, to):
        """(seconds without a decision, share of the rate before)"""
        time.sleep(BEFORE_S)
        begun = time.time()
        before = self.rate(begun - BEFORE_S, begun)
        self.end_well(self.begin("--to", str(to)))
        ended = time.time()
        self.stack.shards = to
        share = self.rate(begun, ended) / before
        harness.wait_until(lambda: all(order in self.decisions.seen for _, order, at in self.accepted() if at < ended), 20,
                           "the decisions of what was accepted")
        gap = self.gap(begun, ended)
        print(f"to {to}: {ended - begun:.1f} s, {before:.0f} orders a second before, {share:.2f} of that during the move, "
              f"longest time without a decision {gap:.2f} s", file=sys.stderr)
        return gap, share

    def test_items_are_decided_and_orders_are_taken(self):
        figures = []
        for number in range(MOVES):
            figures.append(self.move(4 if number % 2 == 0 else 2))
            gap, share = figures[-1]
            if gap <= GAP_S and share >= RATE_LEAST:
                break
        self.stop()
        self.assertTrue(gap <= GAP_S and share >= RATE_LEAST, f"(seconds without a decision, share of the rate) of each move: {figures}")
        self.stack.ctl("audit")


if __name__ == "__main__":
    harness.main()
