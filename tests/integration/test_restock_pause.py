#!/usr/bin/python3
"""What operators do to an item while it sells: restock, pause, resume. The line moves, and its clock stops."""

import json
import os
import pty
import subprocess
import time

import harness
from harness import wait_until


class Operators(harness.TestCase):
    daemons = ("sandbox", "producer", "consumer")

    def setUp(self):
        self.stack.gateway.calm()

    def ctl(self, *words, code=0):
        done = self.stack.ctl(*words, check=False)
        self.assertEqual(done.returncode, code, f"{words}: {done.stdout}{done.stderr}")
        return done

    def held_unit(self, **item):
        """An item whose only unit is held by a payment that takes its time."""
        sku = self.stack.item(stock=1, **item)
        self.stack.gateway.latency(20000)
        order = self.stack.order("holder", sku).wait("reserved")
        wait_until(lambda: self.stack.gateway.started(order.id), 5, "its payment to begin")
        self.stack.gateway.latency(0)
        return sku

    def state(self, sku):
        return self.stack.call(None, "GET", f"/v1/items/{sku}").json["state"]


class Restocking(Operators):
    def test_a_sold_out_item_takes_orders_again(self):
        sku = self.stack.item(stock=1, gate="soldout")
        self.stack.order("ann", sku).wait("confirmed")
        self.stack.order("bob", sku).wait("rejected", "sold_out")
        wait_until(lambda: self.state(sku) == "sold_out", 5, "the door to say sold out")
        done = self.ctl("items", "restock", sku, "2")
        self.assertEqual(done.stdout, "stock 3, was 1 (0 held, 1 sold, 0 waiting)\n")
        wait_until(lambda: self.state(sku) == "on_sale", 5, "the door to say on sale")
        wait_until(lambda: self.stack.redis().get(f"checkout:gate:{sku}") is None, 1, "the gate to open")
        self.stack.order("bob", sku).wait("confirmed")
        self.assertEqual(self.stack.counts(sku), (3, 0, 2, 0))

    def test_the_line_moves_at_once(self):
        sku = self.held_unit()
        orders = [self.stack.order(f"user-{n}", sku).wait("waiting") for n in range(3)]
        self.ctl("items", "restock", sku, "2")
        for order in orders[:2]:
            order.wait("confirmed", timeout=5)
        self.assertEqual((orders[2].status(), self.stack.counts(sku)), ("waiting", (3, 1, 2, 1)))

    def test_units_that_are_held_or_sold_stay(self):
        sku = self.held_unit()
        self.ctl("items", "restock", sku, "5")
        self.stack.order("ann", sku, quantity=2).wait("confirmed")
        done = self.ctl("items", "restock", sku, "-4", code=1)
        self.assertEqual(done.stderr, "checkoutctl: refused: only 3 of its 6 units can go: 1 are held for "
                                      "payments, 2 are sold\n")
        self.assertEqual(self.stack.counts(sku), (6, 1, 2, 0))
        self.ctl("items", "restock", sku, "-3")
        self.assertEqual(self.stack.counts(sku), (3, 1, 2, 0))
        document = json.loads(self.ctl("items", "restock", sku, "-1", "--json", code=1).stdout)
        self.assertEqual((document["state"], document["kind"], document["sku"]), ("refused", "restock", sku))
        self.assertIn("only 0 of its 3", document["result"])

    def test_fewer_units_refuse_those_who_cannot_be_served_any_more(self):
        sku = self.stack.item(stock=4)
        self.stack.gateway.latency(20000)
        self.stack.order("holder", sku, quantity=2).wait("reserved")
        self.stack.gateway.latency(0)
        large = self.stack.order("large", sku, quantity=4).wait("waiting")
        small = self.stack.order("small", sku, quantity=1).wait("waiting")
        self.ctl("items", "restock", sku, "-1")
        large.wait("rejected", "sold_out", timeout=5)
        small.wait("confirmed", timeout=5)

    def test_what_does_not_exist_is_told(self):
        self.assertIn('no item "nothing"', self.ctl("items", "restock", "nothing", "1", code=1).stderr)
        self.assertIn('no item "nothing"', self.ctl("pause", "nothing", code=1).stderr)
        self.assertIn("no shard 4", self.ctl("pause", "--shard", "4", code=1).stderr)

    def test_wrong_usage(self):
        for words, expected in ((("items", "restock", "x"), "needs SKU N"),
                                (("items", "restock", "x", "0"), "no number of units"),
                                (("items", "restock", "x", "1.5"), "no number of units"),
                                (("items", "restock", "x", "99999999999"), "no number of units"),
                                (("items", "restock", "x", "1", "--timeout", "5"), "--timeout"),
                                (("pause",), "either a SKU or --shard"),
                                (("resume", "x", "--shard", "1"), "either a SKU or --shard"),
                                (("resume", "--shard", "x"), "--shard")):
            with self.subTest(words=words):
                self.assertIn(expected, self.ctl(*words, code=2).stderr)


class Pausing(Operators):
    settings = {"CHECKOUT_WAIT_MAX": "5s"}

    def test_a_paused_item_lets_everybody_wait_and_then_serves_them_in_order(self):
        sku, other = self.stack.item(stock=2), self.stack.item()
        self.assertEqual(self.ctl("pause", sku).stdout, "paused: orders wait in line\n")
        self.assertEqual(self.ctl("pause", sku).stdout, "it was paused before\n")
        wait_until(lambda: self.state(sku) == "paused", 5, "the door to say paused")
        orders = [self.stack.order(f"user-{n}", sku).wait("waiting") for n in range(3)]
        self.stack.order("other", other).wait("confirmed")
        self.assertEqual({order.status() for order in orders}, {"waiting"})
        self.assertEqual(self.ctl("resume", sku).stdout, "resumed: the line moves\n")
        for order, state in zip(orders, ("confirmed", "confirmed", "rejected")):
            order.wait(state, timeout=5)
        self.assertEqual(self.ctl("resume", sku).stdout, "it was not paused\n")

    def test_the_waiting_time_stands_still_while_the_item_is_paused(self):
        sku = self.held_unit()
        began = time.monotonic()
        early = self.stack.order("early", sku).wait("waiting")
        time.sleep(1)  # of its five seconds this one is gone
        self.ctl("pause", sku)
        paused = time.monotonic()
        late = self.stack.order("late", sku).wait("waiting")
        time.sleep(4.5)
        self.assertEqual((early.status(), late.status()), ("waiting", "waiting"))
        self.ctl("resume", sku)
        stood = time.monotonic() - paused
        early.wait("rejected", "expired", timeout=8)
        self.assertGreater(time.monotonic() - began - stood, 4.7)
        self.assertEqual(late.status(), "waiting")
        late.wait("rejected", "expired", timeout=8)
        self.assertGreater(time.monotonic() - paused - stood, 4.7)

    def test_the_waiting_time_stands_still_while_the_shard_is_paused(self):
        sku = self.held_unit()
        order = self.stack.order("ann", sku).wait("waiting")
        shard = str(self.stack.shard(sku))
        self.ctl("pause", "--shard", shard)
        self.ctl("pause", sku)  # both; and whichever is left is enough
        elsewhere = next(item for item in (self.stack.item() for _ in range(50))
                         if self.stack.shard(item) != int(shard))
        same = next(item for item in (self.stack.item() for _ in range(50))
                    if self.stack.shard(item) == int(shard))
        self.stack.order("bob", elsewhere).wait("confirmed")
        behind = self.stack.order("bob", same).wait("waiting")
        time.sleep(3)
        self.ctl("resume", "--shard", shard)
        behind.wait("confirmed", timeout=5)
        time.sleep(3)
        self.assertEqual(order.status(), "waiting")
        self.ctl("resume", sku)
        order.wait("rejected", "expired", timeout=8)

    def test_a_pause_outlives_its_consumer(self):
        sku = self.stack.item()
        self.ctl("pause", sku)
        order = self.stack.order("ann", sku).wait("waiting")
        self.stack.daemon("consumer").kill()
        self.stack.start("consumer")
        wait_until(lambda: self.stack.one("select count(*) from shards where owner = (select max(member_id) "
                                          "from consumers)") == self.shards, 20, "it to serve all shards")
        self.stack.order("bob", self.stack.item()).wait("confirmed")
        self.assertEqual(order.status(), "waiting")
        self.ctl("resume", sku)
        order.wait("confirmed", timeout=5)


class NobodyServes(harness.TestCase):
    def test_the_command_is_named_and_stays(self):
        sku = self.stack.item(stock=1)
        began = time.monotonic()
        done = self.stack.ctl("items", "restock", sku, "4", "--timeout", "1s", check=False)
        self.assertEqual(done.returncode, 1)
        self.assertTrue(1 <= time.monotonic() - began < 5)
        command = self.stack.one("select command_id from commands where sku = %s", (sku,))
        self.assertRegex(done.stderr, rf"command {command} stays pending: .* within 1 s")
        self.assertEqual(done.stdout, "")
        for name in ("sandbox", "consumer"):
            self.stack.start(name)
        wait_until(lambda: self.stack.counts(sku)[0] == 5, 10, "it to be executed later, once")
        state, result, by = self.stack.sql("select state, result, requested_by from commands where sku = %s", (sku,))[0]
        self.assertEqual(state, "done")
        self.assertIn("stock 5", result)
        self.assertIn("@", by)

    def test_a_terminal_shows_what_it_waits_for(self):
        sku = self.stack.item()
        master, terminal = pty.openpty()
        try:
            process = subprocess.Popen(
                [harness.program("checkoutctl"), "pause", sku, "--timeout", "1s"], stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL, stderr=terminal,
                env=harness.program_environment(self.stack.settings))
            os.close(terminal)
            shown = b""
            try:
                while chunk := os.read(master, 4096):
                    shown += chunk
            except OSError:
                pass  # the other end is closed
            process.wait(10)
        finally:
            os.close(master)
        self.assertIn(b"waiting for the owner of shard", shown)


if __name__ == "__main__":
    harness.main()
