#!/usr/bin/python3
"""The counter's SQL against a plain model of the rules, over thousands of random steps.

The model decides one order after another, as the rules are told to people; the SQL decides sets. After
each step every order, item, line, payment and event must be as the model says.
"""

import json
import os
import random
import unittest
import uuid

import psycopg2

from harness import services, shard_of
from harness_services import ROOT

SHARDS, PRICE = 1, 500
SEED = int(os.environ.get("CHECKOUT_TEST_SEED") or random.randrange(1 << 30))
WAIT_MS = 900000


class Item:
    def __init__(self, sku, stock, limit):
        self.sku, self.stock, self.limit = sku, stock, limit
        self.held = self.sold = 0
        self.paused = False
        self.line = []

    @property
    def servable(self):
        return self.stock - self.sold

    @property
    def free(self):
        return self.servable - self.held


class Order:
    def __init__(self, user, sku, quantity, fingerprint):
        self.user, self.sku, self.quantity, self.fingerprint = user, sku, quantity, fingerprint
        self.status = self.reason = None
        self.history = []

    def become(self, status, reason=None):
        self.status, self.reason = status, reason
        self.history.append((status, reason))


class Model:
    def __init__(self, items):
        self.items = {item.sku: item for item in items}
        self.orders = {}
        self.cancels = set()    # of orders that have not come yet
        self.paused = False     # the shard

    def units_of(self, user, sku):
        return sum(o.quantity for o in self.orders.values() if o.user == user and o.sku == sku
                   and o.status in ("waiting", "reserved", "confirmed"))

    def refusal(self, job, item):
        if job["flaw"]:
            return "invalid"
        if item is None:
            return "unknown_item"
        if job["unit_price"] not in (None, PRICE):
            return "price_changed"
        if item.limit and self.units_of(job["user"], job["sku"]) + job["quantity"] > item.limit:
            return "limit_exceeded"
        return "sold_out" if job["quantity"] > item.servable else None

    def decide(self, job):
        if job["id"] in self.orders:
            return
        item = self.items.get(job["sku"])
        order = Order(job["user"], job["sku"], job["quantity"], job["fingerprint"])
        cancelled = job["id"] in self.cancels
        refusal = None if cancelled else self.refusal(job, item)
        self.orders[job["id"]] = order
        if cancelled:
            order.become("cancelled")
        elif refusal:
            order.become("rejected", refusal)
        elif not item.line and not item.paused and not self.paused and job["quantity"] <= item.free:
            item.held += job["quantity"]
            order.become("reserved")
        else:
            item.line.append(job["id"])
            order.become("waiting")

    def settle(self, order_id, state):
        order = self.orders[order_id]
        if order.status != "reserved":
            return
        item = self.items[order.sku]
        item.held -= order.quantity
        if state == "captured":
            item.sold += order.quantity
            order.become("confirmed")
        else:
            order.become("rejected", "payment_" + state)

    def expire(self, order_id):
        order = self.orders[order_id]
        self.items[order.sku].line.remove(order_id)
        order.become("rejected", "expired")

    def cancel(self, order_id):
        """Returns the state in which the command ends."""
        order = self.orders.get(order_id)
        if order is None:
            self.cancels.add(order_id)
            return "pending"
        if order.status == "waiting":
            self.items[order.sku].line.remove(order_id)
            order.become("cancelled")
            return "done"
        return "done" if order.status == "cancelled" else "refused"

    def restock(self, sku, units):
        item = self.items[sku]
        if item.free + units < 0:
            return "refused"
        item.stock += units
        return "done"

    def settle_waitlists(self):
        for item in self.items.values():
            for order_id in [i for i in item.line if self.orders[i].quantity > item.servable]:
                item.line.remove(order_id)
                self.orders[order_id].become("rejected", "sold_out")
            while (item.line and not item.paused and not self.paused
                   and self.orders[item.line[0]].quantity <= item.free):
                order = self.orders[item.line.pop(0)]
                item.held += order.quantity
                order.become("reserved")


# What a writing function tells, of tasks and of news: kind, SKU, command.
OUTPUT = "select coalesce((task).kind, (news).kind), coalesce((task).sku, (news).sku), (news).command_id from "


class LineModel(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.name = "line_model_" + uuid.uuid4().hex[:8]
        cls.admin = psycopg2.connect(services()["CHECKOUT_DATABASE_URL"])
        cls.admin.autocommit = True
        cls.admin.cursor().execute(f"create database {cls.name}")
        parameters = cls.admin.get_dsn_parameters() | {"dbname": cls.name,
                                                       "password": cls.admin.info.password}
        cls.db = psycopg2.connect(**parameters)
        cls.db.autocommit = True
        for file in cls.sql_files(os.path.join(ROOT, "schemas", "sql")):
            with open(file, encoding="utf-8") as source:
                cls.db.cursor().execute(source.read())
        cls.call("select checkout.serve_shards(%s)", SHARDS)

    @staticmethod
    def sql_files(folder):
        """As migrate applies them: the numbered ones, then the functions in the order of their list."""
        with open(os.path.join(folder, "functions", "list"), encoding="utf-8") as source:
            functions = [line for line in source.read().splitlines() if line and not line.startswith("#")]
        return [os.path.join(folder, file) for file in sorted(os.listdir(folder)) if file.endswith(".sql")] + [
            os.path.join(folder, "functions", file) for file in functions]

    @classmethod
    def tearDownClass(cls):
        cls.db.close()
        cls.admin.cursor().execute(f"drop database {cls.name} with (force)")
        cls.admin.close()

    @classmethod
    def call(cls, sql, *values):
        cursor = cls.db.cursor()
        cursor.execute(sql, values)
        return cursor.fetchall() if cursor.description else []

    def setUp(self):
        for table in ("orders", "order_events", "payments", "waitlist", "items", "commands", "customer_units"):
            self.call(f"truncate checkout.{table}")
        self.call("update checkout.shards set paused = false, stopped_at = null, stopped_ms = 0")
        self.epoch = self.call("select epoch from checkout.take_over(%s, 0, 1, null)", SHARDS)[0][0]

    def begin(self, *items):
        for item in items:
            self.call("insert into checkout.items (sku, shard, title, price, currency, stock, limit_per_user)"
                      " values (%s, %s, 'x', %s, 'usd', %s, %s)",
                      item.sku, shard_of(item.sku, SHARDS), PRICE, item.stock, item.limit)
        self.model = Model(items)

    # ---- steps, on both sides ----

    def more(self, outputs):
        """Goes on with lines that have more to settle, as the shard's writer does."""
        while lines := sorted({sku for kind, sku, _ in outputs if kind == "settle_waitlist"}):
            outputs = [output for sku in lines for output in self.call(
                OUTPUT + "checkout.settle_waitlist(%s, 0, %s, %s, 5)", SHARDS, self.epoch, sku)]

    def decide(self, jobs):
        columns = [[job[name] for job in jobs] for name in (
            "id", "user", "sku", "quantity", "method", "email", "unit_price", "reference", "accepted",
            "fingerprint", "trace", "flaw")]
        self.more(self.call(
            OUTPUT + "checkout.decide_jobs(%s, 0, %s, %s, %s::uuid[], %s::text[], %s::text[], %s::integer[],"
            " %s::text[], %s::text[], %s::bigint[], %s::text[], %s::timestamptz[], %s::text[], %s::text[],"
            " %s::text[])", SHARDS, self.epoch, WAIT_MS, *columns))
        for job in jobs:
            self.model.decide(job)
        self.model.settle_waitlists()

    def settle(self, ends):
        self.more(self.call(
            OUTPUT + "checkout.settle_payments(%s, 0, %s, %s::uuid[], %s::integer[], %s::text[], %s::text[],"
            " %s::text[])", SHARDS, self.epoch, [e[0] for e in ends], [1] * len(ends),
            [e[1] for e in ends], ["pi_1"] * len(ends), [None] * len(ends)))
        for order_id, state in ends:
            self.model.settle(order_id, state)
        self.model.settle_waitlists()

    def expire(self, order_ids):
        self.call("update checkout.waitlist l set expires_at = checkout.item_clock(i, s) - interval '1 s' "
                  "from checkout.items i, checkout.shards s where l.order_id = any (%s::uuid[]) and i.sku = l.sku",
                  order_ids)
        self.more(self.call(OUTPUT + "checkout.expire_waiting(%s, 0, %s, 500)", SHARDS, self.epoch))
        for order_id in order_ids:
            self.model.expire(order_id)
        self.model.settle_waitlists()

    def command(self, kind, **columns):
        columns = {"kind": kind, "shard": 0, "requested_by": "test", **columns}
        return self.call(f"insert into checkout.commands ({', '.join(columns)}) "
                         f"values ({', '.join(['%s'] * len(columns))}) returning command_id",
                         *columns.values())[0][0]

    def execute(self, *expected):
        """Executes what is pending; pairs (command id, the state it must end in)."""
        self.more(self.call(OUTPUT + "checkout.run_commands(%s, 0, %s, 64)", SHARDS, self.epoch))
        for command, state in expected:
            self.assertEqual(self.call("select state, (result is null) from checkout.commands "
                                       "where command_id = %s", command), [(state, state == "pending")])
        self.model.settle_waitlists()

    def commands(self, chance):
        """Some commands of any kind, executed together. Lines are settled behind all of them."""
        expected = []
        for _ in range(chance.randrange(1, 6)):
            kind = chance.choice(("cancel", "cancel", "restock", "pause", "resume"))
            sku = chance.choice(list(self.model.items))
            if kind == "cancel":
                order_id = (chance.choice(list(self.model.orders)) if self.model.orders and chance.random() < 0.8
                            else str(uuid.UUID(int=chance.getrandbits(128))))
                if self.call("select 1 from checkout.commands where order_id = %s and state = 'pending'", order_id):
                    continue
                known = order_id in self.model.orders
                command = self.command(kind, order_id=order_id, shard=0 if known else None)
                expected.append((command, self.model.cancel(order_id)))
            elif kind == "restock":
                units = chance.choice((-9, -2, -1, 1, 2, 5))
                command = self.command(kind, sku=sku, argument=json.dumps({"units": units}))
                expected.append((command, self.model.restock(sku, units)))
            else:
                whole = chance.random() < 0.2
                expected.append((self.command(kind, sku=None if whole else sku), "done"))
                (self.model if whole else self.model.items[sku]).paused = kind == "pause"
        self.execute(*expected)

    # ---- comparison ----

    def compare(self):
        items = {sku: rest for sku, *rest in self.call(
            "select sku, stock, held, sold, waiting, paused from checkout.items")}
        for item in self.model.items.values():
            self.assertEqual(items[item.sku], [item.stock, item.held, item.sold, len(item.line), item.paused],
                             item.sku)
        orders = {order_id: rest for order_id, *rest in self.call(
            "select order_id::text, status, reason, sequence from checkout.orders")}
        self.assertEqual(set(orders), set(self.model.orders))
        for order_id, order in self.model.orders.items():
            self.assertEqual(orders[order_id], [order.status, order.reason, len(order.history)])
        self.compare_line_and_payments()
        events = {}
        for order_id, status, reason in self.call(
                "select order_id::text, status, reason from checkout.order_events order by event_id"):
            events.setdefault(order_id, []).append((status, reason))
        self.assertEqual(events, {i: o.history for i, o in self.model.orders.items()})

    def compare_line_and_payments(self):
        lines = {}
        for sku, order_id in self.call("select sku, order_id::text from checkout.waitlist order by sku, ticket"):
            lines.setdefault(sku, []).append(order_id)
        self.assertEqual(lines, {i.sku: i.line for i in self.model.items.values() if i.line})
        self.assertEqual(self.call("select sku, ticket, waitlist_head from checkout.waitlist join checkout.items using (sku) "
                                   "where ticket < waitlist_head"), [])
        for sku, line in lines.items():
            for place, order_id in enumerate(line, start=1):
                if place % 7 == 1:
                    self.assertEqual(self.call("select checkout.place_in_line(%s)", order_id), [(place,)], sku)
        payments = dict(self.call("select order_id::text, state from checkout.payments"))
        for order_id, order in self.model.orders.items():
            expected = {"reserved": "open", "confirmed": "captured"}.get(order.status)
            if order.reason in ("payment_declined", "payment_failed"):
                expected = order.reason.removeprefix("payment_")
            self.assertEqual(payments.get(order_id), expected)
        self.assertEqual(self.call("select * from checkout.overdue(%s, array[0])", SHARDS), [])

    def job(self, chance, **members):
        job = {"id": str(uuid.UUID(int=chance.getrandbits(128))), "user": f"u{chance.randrange(6)}",
               "sku": chance.choice(list(self.model.items)), "quantity": chance.choice((1, 1, 1, 2, 3, 5)),
               "method": "pm", "email": None, "unit_price": chance.choice((None, PRICE)), "reference": None,
               "accepted": "2026-01-01T00:00:00Z", "fingerprint": "f" * 32, "trace": None, "flaw": None}
        oddity = chance.random()
        if oddity < 0.03:
            job["flaw"] = "quantity is out of range"
        elif oddity < 0.06:
            job["sku"] = "unknown"
        elif oddity < 0.09:
            job["unit_price"] = PRICE + 1
        elif oddity < 0.2 and self.model.orders:
            job["id"] = chance.choice(list(self.model.orders))
        elif oddity < 0.3 and self.model.cancels:
            job["id"] = chance.choice(sorted(self.model.cancels))
        return job | members

    def step(self, chance):
        reserved = [i for i, o in self.model.orders.items() if o.status == "reserved"]
        waiting = [i for i, o in self.model.orders.items() if o.status == "waiting"]
        what = chance.random()
        if what < 0.45:
            jobs = [self.job(chance) for _ in range(chance.randrange(1, 9))]
            if chance.random() < 0.2:
                jobs.append(dict(chance.choice(jobs)))  # the same message twice in one batch
            self.decide(jobs)
        elif what < 0.85 and reserved:
            ended = chance.sample(reserved, min(len(reserved), chance.randrange(1, 4)))
            if chance.random() < 0.2:  # an answer that comes again
                ended = list({*ended, chance.choice([i for i, o in self.model.orders.items()
                                                     if o.status != "waiting"])})
            self.settle([(i, chance.choice(("captured", "captured", "declined", "failed"))) for i in ended])
        elif what < 0.93:
            self.commands(chance)
        elif waiting:   # those at the head: the orders of a line expire in their order
            line = self.model.items[self.model.orders[chance.choice(waiting)].sku].line
            self.expire(line[:chance.randrange(1, 3)])

    # ---- the tests ----

    def test_random_steps_agree_with_the_model(self):
        chance = random.Random(SEED)
        for round_number in range(25):
            with self.subTest(seed=SEED, round=round_number):
                self.setUp()
                self.begin(Item("a", chance.randrange(1, 9), None), Item("b", chance.randrange(1, 30), 4),
                           Item("c", chance.randrange(0, 4), 2))
                for _ in range(40):
                    self.step(chance)
                    self.compare()

    def test_stock_seven_with_a_buyer_of_five_in_front(self):
        """Four units go one by one; the five is refused as soon as it cannot be served, the one gets a unit."""
        for end in ("served", "expires"):
            with self.subTest(end=end):
                self.setUp()
                self.begin(Item("dress", 7, None))
                chance = random.Random(7)
                plain = {"sku": "dress", "flaw": None, "unit_price": None}
                singles = [self.job(chance, quantity=1, id=str(uuid.uuid4()), **plain) for _ in range(4)]
                five = self.job(chance, quantity=5, id=str(uuid.uuid4()), **plain)
                last = self.job(chance, quantity=1, id=str(uuid.uuid4()), **plain)
                self.decide([*singles, five, last])
                self.compare()
                self.assertEqual(self.model.orders[five["id"]].status, "waiting")
                self.assertEqual(self.model.orders[last["id"]].status, "waiting")
                if end == "expires":
                    self.expire([five["id"]])
                    self.compare()
                    self.assertEqual(self.model.orders[last["id"]].status, "reserved")
                    continue
                for number, job in enumerate(singles, start=1):
                    self.settle([(job["id"], "captured")])
                    self.compare()
                    self.assertEqual(self.model.orders[five["id"]].status,
                                     "waiting" if number < 3 else "rejected")
                self.assertEqual(self.model.orders[last["id"]].status, "reserved")

    def test_a_long_line_is_refused_in_chunks_and_promoted_in_chunks(self):
        self.begin(Item("drop", 150, None))
        chance = random.Random(3)
        plain = {"sku": "drop", "flaw": None, "unit_price": None, "quantity": 1}
        jobs = [self.job(chance, id=str(uuid.uuid4()), **plain) for _ in range(700)]
        self.decide(jobs[:400])
        self.decide(jobs[400:])
        self.compare()
        self.settle([(job["id"], "declined") for job in jobs[:150]])  # 150 are promoted
        self.compare()
        self.settle([(job["id"], "captured") for job in jobs[150:300]])  # 400 are refused
        self.compare()
        self.assertEqual(self.model.orders[jobs[-1]["id"]].reason, "sold_out")

    def test_orders_that_may_wait_longer_than_those_behind_them_are_not_passed_over(self):
        """CHECKOUT_WAIT_MAX was longer when they came."""
        self.begin(Item("a", 1, None))
        chance = random.Random(9)
        plain = {"sku": "a", "flaw": None, "unit_price": None, "quantity": 1}
        jobs = [self.job(chance, id=str(uuid.uuid4()), **plain) for _ in range(7)]
        self.decide(jobs)
        self.expire([jobs[1]["id"], jobs[4]["id"], jobs[5]["id"]])
        self.compare()
        self.settle([(jobs[0]["id"], "declined")])
        self.compare()
        self.assertEqual([self.model.orders[job["id"]].status for job in jobs],
                         ["rejected", "rejected", "reserved", "waiting", "rejected", "rejected", "waiting"])

    def test_a_bad_command_is_refused_with_its_reason_and_delays_nobody(self):
        self.begin(Item("a", 5, None))
        self.call("update checkout.items set held = 2, sold = 1")
        self.model.items["a"].held, self.model.items["a"].sold = 2, 1
        bad = [self.command("restock", sku="a", argument=argument) for argument in
               ('{"units": "many"}', '{"units": 99999999999999999999}', '{"units": 2147483647}', "{}", "[1]", None,
                '{"units": -3}')]
        bad += [self.command("restock", sku="none", argument='{"units": 1}'),
                self.command("pause", sku="none"), self.command("resume", sku="none"),
                self.command("cancel", order_id=str(uuid.uuid4()))]
        good = self.command("restock", sku="a", argument='{"units": -2}')
        self.model.items["a"].stock = 3
        self.execute(*[(command, "refused") for command in bad], (good, "done"))
        self.compare()
        results = dict(self.call("select command_id, result from checkout.commands"))
        self.assertTrue(all(results.values()))
        self.assertIn("2 are held for payments, 1 are sold", results[bad[6]])
        self.assertIn("no such item", results[bad[7]])
        again = self.call(OUTPUT + "checkout.run_commands(1, 0, %s, 64)", self.epoch)
        self.assertEqual(again, [])

    def test_commands_are_executed_in_their_order_and_in_portions(self):
        self.begin(Item("a", 0, None))
        commands = [self.command("restock", sku="a", argument=json.dumps({"units": 1 if n % 2 == 0 else -1}))
                    for n in range(8)]
        kinds = []
        for _ in range(3):
            outputs = self.call(OUTPUT + "checkout.run_commands(1, 0, %s, 4)", self.epoch)
            kinds.append([(kind, command) for kind, _, command in outputs])
        self.assertEqual(kinds, [[("command", c) for c in commands[:4]] + [("run_commands", None)],
                                 [("command", c) for c in commands[4:]] + [("run_commands", None)], []])
        self.assertEqual(self.call("select distinct state from checkout.commands"), [("done",)])

    def test_no_time_passes_for_a_line_while_its_item_or_its_shard_is_paused(self):
        """Pauses of both may overlap in any way; what counts is when neither was on."""
        self.begin(Item("a", 1, None))
        self.call("update checkout.items set held = 1")
        self.model.items["a"].held = 1

        def clock():
            return self.call("select checkout.item_clock(i, s) from checkout.items i, checkout.shards s")[0][0]

        def moves():
            before = clock()
            self.call("select pg_sleep(0.03)")
            return (clock() - before).total_seconds()

        began, wall = clock(), self.call("select now()")[0][0]
        paused = {"item": False, "shard": False}
        for what in ("item", "shard", "item", "shard", "shard", "item", "shard", "item"):
            paused[what] = not paused[what]
            self.execute((self.command("pause" if paused[what] else "resume",
                                       sku="a" if what == "item" else None), "done"))
            moved = moves()
            if any(paused.values()):
                self.assertEqual(moved, 0, paused)
            else:
                self.assertGreater(moved, 0.02)
        lost = (self.call("select now()")[0][0] - wall) - (clock() - began)
        self.assertGreater(lost.total_seconds(), 6 * 0.03 - 0.01)

    def test_a_stale_epoch_writes_nothing(self):
        self.begin(Item("a", 5, None))
        chance = random.Random(1)
        self.decide([self.job(chance, id=str(uuid.uuid4()), sku="a", flaw=None, unit_price=None)])
        stale = self.epoch
        self.call("select * from checkout.take_over(%s, 0, 2, null)", SHARDS)
        for statement in ("checkout.settle_waitlist(1, 0, %s, 'a', 5)", "checkout.expire_waiting(1, 0, %s, 5)",
                          "checkout.run_commands(1, 0, %s, 5)",
                          "checkout.settle_payments(1, 0, %s, '{}', '{}', '{}', '{}', '{}')"):
            with self.assertRaises(psycopg2.Error) as caught:
                self.call(f"select * from {statement}", stale)
            self.assertEqual(caught.exception.pgcode, "CK001")
        self.assertFalse(self.call("select checkout.release(1, 0, %s)", stale)[0][0])
        self.compare()


if __name__ == "__main__":
    unittest.main()
