#!/usr/bin/python3
"""What a consumer does with tasks and news of the database that its version does not know."""

import json
import unittest

import harness
from harness import http_call, wait_until


class Unknown(harness.TestCase):
    daemons = ("sandbox", "producer")
    shards = 2

    def definition(self, name):
        return self.stack.one("select pg_get_functiondef(p.oid) from pg_proc p where p.proname = %s"
                              " and p.pronamespace = 'checkout'::regnamespace order by p.pronargs desc limit 1", (name,))

    def kind(self, function, known, other):
        """From now on this function tells another kind; undone at the end of the test."""
        before = self.definition(function)
        self.assertIn(f"'{known}'", before)
        self.addCleanup(self.stack.sql, before)
        self.stack.sql(before.replace(f"'{known}'", f"'{other}'"))

    def consumer(self):
        consumer = self.stack.start("consumer")
        self.addCleanup(consumer.stop)
        return consumer

    def lines(self, consumer, event):
        lines = (json.loads(line) for line in consumer.log_text().splitlines() if line.endswith(b"}"))
        return [line for line in lines if line["event"].startswith(event)]

    def owner(self, sku):
        return self.stack.one("select owner from shards where shard = %s", (self.stack.shard(sku),))

    def test_news_are_ignored_and_the_sale_goes_on(self):
        self.kind("transition_news", "transition", "weather")
        consumer = self.consumer()
        dress = self.stack.item(stock=1)
        self.stack.order("ann", dress).wait("confirmed")
        self.stack.order("bob", dress).wait("rejected")
        told = self.lines(consumer, "unknown news")
        self.assertEqual({line["kind"] for line in told}, {"weather"})
        self.assertEqual(len({line["shard"] for line in told}), len(told), "once a minute for each shard")
        self.assertEqual(http_call(consumer.admin, "GET", "/readyz").status, 200)
        self.assertNotIn("(null)", http_call(consumer.admin, "GET", "/metrics").body.decode())

    def test_a_task_stays_in_its_table_for_a_member_that_knows_it(self):
        consumer = self.consumer()
        dress, hat = self.stack.item(), None
        while hat is None or self.stack.shard(hat) == self.stack.shard(dress):
            hat = self.stack.item()
        self.kind("charge_task", "charge", "teleport")
        order = self.stack.order("ann", dress)
        wait_until(lambda: self.lines(consumer, "unknown task"), 10, "it to be logged")
        wait_until(lambda: self.owner(dress) is None, 10, "the shard to be given back")
        answer = http_call(consumer.admin, "GET", "/readyz")
        self.assertEqual(answer.status, 503)
        self.assertIn("a task that this version does not know", answer.body.decode())
        self.assertEqual(self.stack.sql("select state from payments where order_id = %s", (order.id,)), [("open",)])
        self.assertEqual([line["kind"] for line in self.lines(consumer, "unknown task")], ["teleport"])
        self.restore("charge_task")
        self.stack.order("bob", hat).wait("confirmed")      # the shard that it still holds
        self.assertIsNone(self.owner(dress), "it does not take the shard over again")
        newer = self.consumer()
        order.wait("confirmed")
        wait_until(lambda: self.owner(hat) == self.owner(dress), 15, "all shards to go to the one that is ready")
        self.assertEqual(self.lines(newer, "unknown task"), [])

    def restore(self, function):
        """The function is as it was again."""
        self.stack.sql(self.definition(function).replace("'teleport'", "'charge'"))


if __name__ == "__main__":
    unittest.main(verbosity=2)
