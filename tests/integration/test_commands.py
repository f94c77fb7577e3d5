#!/usr/bin/python3
"""A command names one shard: that of its order or item. Any other is refused, when it is asked for and when it is
executed, and changes nothing of the order, its item or its line."""

import json
import unittest
import uuid

import psycopg2

import harness
from harness import wait_until


class OneShard(harness.TestCase):
    daemons = ("sandbox", "producer", "consumer")

    def setUp(self):
        self.sku = self.stack.item(stock=1, held=1)
        self.own = self.stack.shard(self.sku)
        self.other = (self.own + 1) % self.stack.shards

    def write(self, kind, shard, sku=None, order=None, user=None, argument=None):
        """A row as no program of ours writes it; what became of it."""
        command = self.stack.one(
            "insert into commands (kind, shard, sku, order_id, user_id, argument, requested_by) "
            "values (%s, %s, %s, %s, %s, %s, 'somebody') returning command_id",
            (kind, shard, sku, order, user, json.dumps(argument) if argument is not None else None))
        wait_until(lambda: self.stack.one("select state from commands where command_id = %s", (command,)) != "pending", 30,
                   "the command to be executed")
        return self.stack.sql("select state, result from commands where command_id = %s", (command,))[0]

    def kept(self):
        """All that a command could change."""
        return self.stack.sql(
            "select (select jsonb_agg(i) from items i where i.sku = %s), (select jsonb_agg(o order by o.order_id) from "
            "orders o where o.sku = %s), (select jsonb_agg(l order by l.ticket) from waitlist l where l.sku = %s), "
            "(select jsonb_agg(r) from refunds r join orders o using (order_id) where o.sku = %s), "
            "(select array_agg(s.paused order by s.shard) from shards s where s.shards = %s)",
            (self.sku,) * 4 + (self.stack.shards,))[0]

    def tearDown(self):
        self.stack.sql("update shards set paused = false, stopped_at = null where paused")  # of a test that fails

    def test_one_of_another_shards_order_is_refused(self):
        waits = self.stack.order("ann", self.sku).wait("waiting")
        before = self.kept()
        for kind, user, argument in (("cancel", "ann", None), ("refund", None, {"restock": True}),
                                     ("resolve", None, {"outcome": "captured"}),
                                     ("webhook", None, {"event": uuid.uuid4().hex, "type": "payment_intent.succeeded"})):
            with self.subTest(kind):
                state, result = self.write(kind, self.other, order=waits.id, user=user, argument=argument)
                self.assertEqual((state, result), ("refused", f"its order is of shard {self.own}"))
                self.assertEqual(self.kept(), before)
        self.assertEqual(self.write("cancel", self.own, order=waits.id, user="ann")[0], "done")

    def test_one_of_another_shards_item_is_refused(self):
        before = self.kept()
        for kind, argument in (("restock", {"units": 5}), ("set", {"set": {"title": "x"}}), ("pause", None),
                               ("resume", None)):
            with self.subTest(kind):
                state, result = self.write(kind, self.other, sku=self.sku, argument=argument)
                self.assertEqual((state, result), ("refused", f"its item is of shard {self.own}"))
                self.assertEqual(self.kept(), before)

    def test_one_that_does_not_name_what_its_kind_is_about_is_refused(self):
        before = self.kept()
        waits = str(uuid.uuid4())
        for kind, names in (("restock", {}), ("set", {}), ("cancel", {}), ("refund", {}), ("resolve", {}),
                            ("webhook", {}), ("restock", {"order": waits}), ("pause", {"order": waits}),
                            ("refund", {"sku": self.sku}), ("cancel", {"sku": self.sku, "order": waits})):
            with self.subTest(kind=kind, names=names):
                state, result = self.write(kind, self.own, argument={"units": 1}, **names)
                self.assertEqual((state, result), ("refused", f"{kind} does not fit what it names"))
                self.assertEqual(self.kept(), before)

    def test_the_request_functions_write_no_such_command(self):
        waits = self.stack.order("bob", self.sku).wait("waiting")
        before = self.stack.one("select count(*) from commands")
        for function, arguments in (("request_command", ("restock", self.sku, self.other, '{"units": 1}', "x")),
                                    ("request_command", ("pause", self.sku, self.other, None, "x")),
                                    ("request_command", ("restock", None, self.own, '{"units": 1}', "x")),
                                    ("request_command", ("set", None, self.own, "{}", "x")),
                                    ("request_command", ("refund", self.sku, None, "{}", "x")),
                                    ("request_command", ("cancel", None, self.own, None, "x")),
                                    ("request_order_command", ("restock", waits.id, '{"units": 1}', "x")),
                                    ("request_order_command", ("pause", waits.id, None, "x"))):
            with self.subTest(function=function, arguments=arguments):
                with self.assertRaisesRegex(psycopg2.Error, "does not fit what it names|is of shard"):
                    self.stack.sql(f"select * from {function}({', '.join(['%s'] * len(arguments))})", arguments)
        self.assertEqual(self.stack.one("select count(*) from commands"), before)
        self.assertEqual(self.stack.sql("select shard from request_command('pause', %s, %s, null, 'x')",
                                        (self.sku, self.own)), [(self.own,)])

    def test_an_owner_settles_no_line_of_another_shard(self):
        """As a task that names another shard's item would make it."""
        stack = self.stack
        shard, sku = self.other, self.sku
        stack.order("ann", sku).wait("waiting")
        stack.daemon("consumer").stop()
        epoch = stack.one("select epoch from take_over(%s, %s, 1, null)", (stack.shards, shard))
        stack.sql("update items set held = 0 where sku = %s", (sku,))
        before = self.kept()
        self.assertEqual(stack.sql("select 1 from settle_waitlist(%s, %s, %s, %s, 500)", (stack.shards, shard, epoch, sku)), [])
        self.assertEqual(self.kept(), before)
        stack.start("consumer")


if __name__ == "__main__":
    unittest.main(verbosity=2)
