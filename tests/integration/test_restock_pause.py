#!/usr/bin/python3
"""What operators do to an item while it sells: restock, pause, resume. The line moves, and its clock stops."""

import datetime
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

    def held_unit(self):
        """An item whose only unit is held, for as long as the test takes."""
        return self.stack.item(stock=1, held=1)

    def state(self, sku):
        return self.stack.call(None, "GET", f"/v1/items/{sku}").json["state"]


class Restocking(Operators):
    def test_a_sold_out_item_takes_orders_again(self):
        sku = self.stack.item(stock=1, gate="soldout")
        self.stack.order("ann", sku).wait("confirmed")
        self.stack.order("bob", sku).wait("rejected", "sold_out")
        wait_until(lambda: self.state(sku) == "sold_out", 30, "the door to say sold out")
        done = self.ctl("items", "restock", sku, "2")
        self.assertEqual(done.stdout, "stock 3, was 1 (0 held, 1 sold, 0 waiting)\n")
        wait_until(lambda: self.state(sku) == "on_sale", 30, "the door to say on sale")
        wait_until(lambda: self.stack.redis().get(f"checkout:gate:{sku}") is None, 30, "the gate to open")
        self.stack.order("bob", sku).wait("confirmed")
        self.assertEqual(self.stack.counts(sku), (3, 0, 2, 0))

    def test_the_line_moves_at_once(self):
        sku = self.held_unit()
        orders = [self.stack.order(f"user-{n}", sku).wait("waiting") for n in range(3)]
        self.ctl("items", "restock", sku, "2")
        for order in orders[:2]:
            order.wait("confirmed")
        moments = self.stack.sql("select finished_at from commands where sku = %s union select created_at from "
                                 "order_events where order_id = any (%s::uuid[]) and status = 'reserved'",
                                 (sku, [order.id for order in orders]))
        self.assertEqual(len(moments), 1, "not in one transaction")
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
        sku = self.stack.item(stock=4, held=2)
        large = self.stack.order("large", sku, quantity=4).wait("waiting")
        small = self.stack.order("small", sku, quantity=1).wait("waiting")
        self.ctl("items", "restock", sku, "-1")
        large.wait("rejected", "sold_out")
        small.wait("confirmed")

    def test_what_does_not_exist_is_told(self):
        self.assertIn('no item "nothing"', self.ctl("items", "restock", "nothing", "1", code=1).stderr)
        self.assertIn('no item "nothing"', self.ctl("pause", "nothing", code=1).stderr)
        self.assertIn("no shard 4", self.ctl("pause", "--shard", "4", code=1).stderr)

    def test_wrong_usage(self):
        for words, expected in ((("items", "restock", "x"), "needs SKU N"),
                                (("items", "restock", "x", "0"), "not a number of units"),
                                (("items", "restock", "x", "1.5"), "not a number of units"),
                                (("items", "restock", "x", "99999999999"), "not a number of units"),
                                (("items", "restock", "x", "1", "--timeout", "5"), "--timeout"),
                                (("pause",), "either a SKU or --shard"),
                                (("resume", "x", "--shard", "1"), "either a SKU or --shard"),
                                (("resume", "--shard", "x"), "--shard")):
            with self.subTest(words=words):
                self.assertIn(expected, self.ctl(*words, code=2).stderr)


class Pausing(Operators):
    def expires_soon(self, order):
        """From now on it may wait for another second, by the clock of its item."""
        self.stack.sql("update waitlist l set expires_at = item_clock(i, s) + interval '1 s' from items i, shards s "
                       "where l.order_id = %s and i.sku = l.sku and s.shards = %s and s.shard = i.shard",
                       (order.id, self.shards))

    def let_time_pass(self):
        """So much that the consumer has looked for those who have waited too long, twice and more."""
        def beat():
            return self.stack.one("select heartbeats from consumers order by member_id desc limit 1")
        before = beat()
        wait_until(lambda: beat() >= before + 4, 60, "the consumer's looks")

    def assert_waited_for_a_second(self, order, sku):
        """After the newest command of its item."""
        waited = self.stack.one(
            "select extract(epoch from e.created_at - (select max(finished_at) from commands where sku = %s))::float "
            "from order_events e where e.order_id = %s and e.status = 'rejected'", (sku, order.id))
        self.assertGreater(waited, 0.9)

    def test_until_when_an_order_may_wait_is_told_while_its_clock_runs(self):
        sku = self.stack.item(stock=1, held=1)
        order = self.stack.order("ann", sku).wait("waiting")

        def told():
            answer = self.stack.status("ann", order.id).json
            listed, = self.stack.call("ann", "GET", "/v1/orders?limit=1").json["orders"]
            self.assertEqual(listed.get("expires_at"), answer.get("expires_at"))
            return answer.get("expires_at") and datetime.datetime.fromisoformat(answer["expires_at"])

        def due():
            """By the database's clock, however long that of the item stood still before."""
            return self.stack.one("select l.expires_at + (i.stopped_ms + s.stopped_ms) * interval '1 ms' from waitlist l "
                                  "join items i using (sku) join shards s on s.shards = %s and s.shard = i.shard "
                                  "where l.order_id = %s", (self.shards, order.id))
        first = told()
        self.assertLess(abs(first - due()), datetime.timedelta(milliseconds=2))
        for stop in ((sku,), ("--shard", str(self.stack.shard(sku)))):
            self.ctl("pause", *stop)
            self.assertIsNone(told())
            self.ctl("resume", *stop)
        self.assertGreater(told(), first)
        self.assertLess(abs(told() - due()), datetime.timedelta(milliseconds=2))

    def test_a_paused_item_lets_everybody_wait_and_then_serves_them_in_order(self):
        sku, other = self.stack.item(stock=2), self.stack.item()
        self.assertEqual(self.ctl("pause", sku).stdout, "paused: orders join the waitlist\n")
        self.assertEqual(self.ctl("pause", sku).stdout, "it was paused before\n")
        wait_until(lambda: self.state(sku) == "paused", 30, "the door to say paused")
        orders = [self.stack.order(f"user-{n}", sku).wait("waiting") for n in range(3)]
        self.stack.order("other", other).wait("confirmed")
        self.assertEqual({order.status() for order in orders}, {"waiting"})
        self.assertEqual(self.ctl("resume", sku).stdout, "resumed: the waitlist moves\n")
        for order, state in zip(orders, ("confirmed", "confirmed", "rejected")):
            order.wait(state)
        self.assertEqual(self.ctl("resume", sku).stdout, "it was not paused\n")

    def test_the_waiting_time_stands_still_while_the_item_is_paused(self):
        sku = self.held_unit()
        early, late = (self.stack.order(user, sku).wait("waiting") for user in ("early", "late"))
        self.ctl("pause", sku)
        self.expires_soon(early)
        self.let_time_pass()
        self.assertEqual((early.status(), late.status()), ("waiting", "waiting"))
        self.ctl("resume", sku)
        early.wait("rejected", "expired")
        self.assert_waited_for_a_second(early, sku)
        self.assertEqual(late.status(), "waiting")
        self.expires_soon(late)
        late.wait("rejected", "expired")

    def test_the_waiting_time_stands_still_while_the_shard_is_paused(self):
        sku = self.held_unit()
        order = self.stack.order("ann", sku).wait("waiting")
        shard = str(self.stack.shard(sku))
        self.ctl("pause", "--shard", shard)
        self.ctl("pause", sku)  # both; and whichever is left is enough
        self.expires_soon(order)
        elsewhere = next(item for item in (self.stack.item() for _ in range(50))
                         if self.stack.shard(item) != int(shard))
        same = next(item for item in (self.stack.item() for _ in range(50))
                    if self.stack.shard(item) == int(shard))
        self.stack.order("bob", elsewhere).wait("confirmed")
        behind = self.stack.order("bob", same).wait("waiting")
        self.let_time_pass()
        self.ctl("resume", "--shard", shard)
        behind.wait("confirmed")
        self.let_time_pass()
        self.assertEqual(order.status(), "waiting")
        self.ctl("resume", sku)
        order.wait("rejected", "expired")
        self.assert_waited_for_a_second(order, sku)

    def test_a_pause_outlives_its_consumer(self):
        sku = self.stack.item()
        self.ctl("pause", sku)
        order = self.stack.order("ann", sku).wait("waiting")
        self.stack.daemon("consumer").kill()
        self.stack.start("consumer")
        wait_until(lambda: self.stack.one("select count(*) from shards where owner = (select max(member_id) "
                                          "from consumers)") == self.shards, 60, "it to serve all shards")
        self.stack.order("bob", self.stack.item()).wait("confirmed")
        self.assertEqual(order.status(), "waiting")
        self.ctl("resume", sku)
        order.wait("confirmed")


class NobodyServes(harness.TestCase):
    def test_the_command_is_named_and_stays(self):
        sku = self.stack.item(stock=1)
        began = time.monotonic()
        done = self.stack.ctl("items", "restock", sku, "4", "--timeout", "1s", check=False)
        self.assertEqual(done.returncode, 1)
        self.assertGreaterEqual(time.monotonic() - began, 1)
        self.assertLess(self.stack.one("select extract(epoch from now() - created_at)::float from commands "
                                       "where sku = %s", (sku,)), 5)
        command = self.stack.one("select command_id from commands where sku = %s", (sku,))
        self.assertRegex(done.stderr, rf"command {command} stays pending: .* within 1 s")
        self.assertEqual(done.stdout, "")
        for name in ("sandbox", "consumer"):
            self.stack.start(name)
        wait_until(lambda: self.stack.counts(sku)[0] == 5, 30, "it to be executed later, once")
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
            process.wait(30)
        finally:
            os.close(master)
        self.assertIn(b"waiting for the owner of shard", shown)


if __name__ == "__main__":
    harness.main()
