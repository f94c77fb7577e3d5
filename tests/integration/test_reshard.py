#!/usr/bin/python3
"""`checkoutctl reshard`: the number of shards changes in a running sale, up and down, and is killed meanwhile.

CHECKOUT_TEST_RESHARD sets how many changes the long test makes (default: it is left out; tests/run --full takes 12).
"""

import collections
import json
import os
import random
import signal
import sys
import threading
import time
import unittest
import uuid

import harness
from harness import wait_until
from harness_reshard import ReshardCase
from test_events_follow import Follower
from test_purge import AGED

MOVES = int(os.environ.get("CHECKOUT_TEST_RESHARD", "0"))
SEED = os.environ.get("CHECKOUT_TEST_SEED") or str(random.randrange(1 << 30))
STATES = ("begun", "closed", "moved", "open")
CARDS = ("pm_card_visa", "pm_card_visa", "pm_card_chargeDeclined")


class Lane(threading.Thread):
    """A buyer after the other: each sends when the one before has a 202. A refusal is sent again."""

    PAUSE_S = 0.02      # between two of them

    def __init__(self, stack, skus):
        super().__init__(daemon=True)
        self.stack, self.skus = stack, skus
        self.accepted = collections.defaultdict(list)    # sku → [(order id, time of its 202)]
        self.answers = []                                # (time, status) of all
        self.stopping = threading.Event()

    def run(self):
        number = 0
        while not self.stopping.is_set():
            sku = self.skus[number % len(self.skus)]
            self.buy(sku, f"{self.name}-{number}", CARDS[number % len(CARDS)])
            number += 1
            time.sleep(self.PAUSE_S)

    def buy(self, sku, user, card):
        key = uuid.uuid4().hex
        while not self.stopping.is_set():
            try:
                answer = self.stack.post(user, sku, key=key, payment_method=card)
            except (OSError, LookupError):      # no producer lives just now
                answer = None
            self.answers.append((time.time(), answer.status if answer else 0))
            if answer and answer.status == 202:
                self.accepted[sku].append((answer.json["id"], time.time()))
                return
            if answer and answer.status != 503:
                raise AssertionError(f"{user}: {answer}")
            time.sleep(0.1)


class Reshard(ReshardCase):
    """A sale of some items; three orders in four are paid, and waitlists form."""

    daemons = ("sandbox", "producer", "consumer", "consumer")

    def setUp(self):
        super().setUp()
        self.wait_owners(self.shards)
        self.skus = [self.stack.item(stock=30) for _ in range(12)]
        self.stack.sql("select checkout.add_hook('shop', 'http://127.0.0.1:9/', null, true)")
        self.lanes = [Lane(self.stack, self.skus[i::4]) for i in range(4)]
        self.follower = Follower(self.stack, None, "--all-states")
        for lane in self.lanes:
            lane.start()
        self.addCleanup(self.stop_lanes)

    def stop_lanes(self):
        for lane in self.lanes:
            lane.stopping.set()
        for lane in self.lanes:
            lane.join()

    def reshard(self, to, kill_in=()):
        """Killed once in each of these states, and begun again."""
        moves = self.stack.one("select count(*) from reshards")
        for state in kill_in:
            process = self.begin("--to", str(to))
            wait_until(lambda: process.poll() is not None or self.stack.one("select count(*) from reshards") > moves
                       and self.state() == state, 40, f"the state {state}")
            self.assertIsNone(process.poll(), process.communicate() if process.poll() is not None else None)
            process.send_signal(signal.SIGKILL)
            process.communicate()
        self.end_well(self.begin("--to", str(to)))
        self.assertEqual(self.stack.one("select shards from service"), to)
        self.stack.shards = to
        self.fill_hooks()

    def fill_hooks(self):
        while self.stack.one("select checkout.fill_hooks(100, 1000000)"):
            pass

    # -- what must hold --------------------------------------------------------------------------

    def accepted(self):
        orders = collections.defaultdict(list)
        for lane in self.lanes:
            for sku, taken in lane.accepted.items():
                orders[sku] += taken
        return orders

    def undecided(self, orders):
        ids = [order for taken in orders.values() for order, _ in taken]
        return self.stack.one("select count(*) from unnest(%s::uuid[]) u(id) where not exists "
                              "(select 1 from orders o where o.order_id = u.id and o.status <> 'reserved')", (ids,))

    def check(self, *spans):
        self.stop_lanes()
        orders = self.accepted()
        for sku in self.skus:                       # who still waits ends
            self.stack.ctl("items", "restock", sku, "1000")
        wait_until(lambda: self.undecided(orders) == 0 and not self.stack.one("select count(*) from waitlist"), 60,
                   lambda: f"{self.undecided(orders)} orders to end")
        self.check_order(orders)
        self.stack.ctl("audit")
        self.check_feed()
        self.check_hooks()
        for span in spans:
            self.figures(*span)
        self.check_old_orders()

    def check_old_orders(self):
        """What ended under another number still can be refunded, and purged."""
        order = self.stack.one("select o.order_id::text from orders o join items i using (sku) "
                               "where o.status = 'confirmed' and o.shard <> i.shard limit 1")
        self.assertIsNotNone(order)
        self.stack.ctl("orders", "refund", order)
        wait_until(lambda: self.stack.one("select status from orders where order_id = %s", (order,)) == "refunded", 30,
                   "the refund")
        for statement in AGED:
            self.stack.sql(statement.format("interval '400 days'"))
        kept = "select count(*) from orders where status <> 'refunded'"
        self.assertGreater(self.stack.one(kept), 0)
        self.stack.sql("update hook_deliveries set state = 'sent', ended_at = now() - interval '400 days'")
        self.stack.ctl("purge", "--older-than", "180d", "--share", "100")
        self.assertEqual(self.stack.one(kept), 0)
        self.stack.ctl("audit")

    def check_order(self, orders):
        for sku, taken in orders.items():
            rows = self.stack.sql("select order_id::text, event_id from order_events where sequence = 1 "
                                  "and order_id = any (%s::uuid[])", ([order for order, _ in taken],))
            first = dict(rows)
            self.assertEqual(len(first), len(taken))
            events = [first[order] for order, _ in taken]
            self.assertEqual(events, sorted(events), f"{sku}: decided in another order than accepted")

    def check_feed(self):
        """By one cursor over all moves, and each order in its order."""
        count = self.stack.one("select count(*) from order_events")
        wait_until(lambda: len(self.follower.events) >= count, 20, lambda: f"{len(self.follower.events)} of {count} events")
        self.assertEqual(self.follower.end(), 0, self.follower.complaints)
        self.assertEqual(len({event["id"] for event in self.follower.events}), count)
        seen = collections.defaultdict(list)
        for event in self.follower.events:
            seen[event["order_id"]].append(event["sequence"])
        for order, sequences in seen.items():
            self.assertEqual(sequences, list(range(1, len(sequences) + 1)), order)

    def check_hooks(self):
        self.fill_hooks()
        self.assertEqual(self.stack.one("select count(*) from order_events e where not exists "
                                        "(select 1 from hook_deliveries d where d.event_id = e.event_id)"), 0)
        self.assertEqual(self.stack.one(
            "select count(*) from hook_deliveries a join hook_deliveries b on b.order_id = a.order_id "
            "where a.sequence < b.sequence and a.delivery_id > b.delivery_id"), 0)

    def figures(self, what, begun, ended):
        """The share of answers that were 202, and the longest wait of an accepted order for its decision."""
        answers = [status for lane in self.lanes for at, status in lane.answers if begun <= at <= ended]
        decided = dict(self.stack.sql("select order_id::text, extract(epoch from created_at) from orders"))
        waits = [float(decided[order]) - at for taken in self.accepted().values() for order, at in taken
                 if begun <= at <= ended]
        print(f"{what}: {answers.count(202)} of {len(answers)} answers were 202, {ended - begun:.1f} s, "
              f"longest wait for a decision {max(waits, default=0):.1f} s", file=sys.stderr)

    def abort(self, to):
        process = self.begin("--to", str(to))
        wait_until(lambda: self.state() == "closed" or process.poll() is not None, 40, "closed")
        self.assertIsNone(process.poll(), process.communicate() if process.poll() is not None else None)
        process.send_signal(signal.SIGKILL)
        process.communicate()
        self.stack.ctl("reshard", "--abort")
        self.assertEqual(self.state(), "undone")

    def test_up_and_down_in_a_sale_with_kills(self):
        time.sleep(1)
        dry = json.loads(self.stack.ctl("reshard", "--to", "8", "--dry-run", "--json").stdout)
        self.assertEqual((dry["from"], dry["to"]), (2, 8))
        self.abort(16)
        begun = time.time()
        self.reshard(8, kill_in=["closed", "moved"])
        moved = time.time()
        self.shift_clocks()
        clocks = self.clocks()
        self.reshard(4, kill_in=["open"])
        for sku, behind in self.clocks().items():
            self.assertAlmostEqual(behind, clocks[sku], delta=5)
        self.check(("up", begun, moved))

    def shift_clocks(self):
        """Two shards that become one stood still for different times."""
        self.stack.sql("update shards set stopped_ms = stopped_ms + 1000 * shard where shards = 8")

    def clocks(self):
        return {sku: self.stack.one("select checkout.clock_behind_ms(%s)", (sku,)) for sku in self.skus}

    @unittest.skipUnless(MOVES, "CHECKOUT_TEST_RESHARD is not set")
    def test_every_step_is_killed(self):
        dice, spans = random.Random(SEED), []
        print(f"CHECKOUT_TEST_SEED={SEED}", file=sys.stderr)
        for _ in range(MOVES):
            to = dice.choice([number for number in (1, 2, 4, 8, 16) if number != self.stack.shards])
            victim = threading.Timer(dice.uniform(0, 12), self.kill_one, (dice.choice(["consumer", "producer"]),))
            victim.start()
            if dice.random() < 0.3:
                self.abort(to)
            begun = time.time()
            self.reshard(to, [state for state in STATES if dice.random() < 0.5])
            victim.join()
            spans.append((f"to {to}", begun, time.time()))
        self.check(*spans)

    def kill_one(self, name):
        daemon = self.stack.daemon(name)
        daemon.kill()
        self.stack.start_again(daemon)


if __name__ == "__main__":
    harness.main()
