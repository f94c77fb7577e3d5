#!/usr/bin/python3
"""What operators see of a running pool: shards, consumers, and how that changes when something breaks."""

import json
import os
import signal

import harness
from harness import wait_until


class Pool(harness.TestCase):
    daemons = ("sandbox", "producer", "consumer", "consumer")

    def setUp(self):
        self.stack.gateway.calm()

    def rows(self, *words):
        return [json.loads(line) for line in self.stack.ctl(*words, "--json").stdout.splitlines()]

    def shard(self, number):
        return next(row for row in self.rows("shards") if row["shard"] == number)

    def settled(self):
        """Both consumers are ready and each shard is where the ranking wants it."""
        def is_settled():
            rows = self.rows("shards")
            return rows if all(row["owner"] and row["owner"] == row["named_owner"] and row["standby"]
                               and row["note"] is None for row in rows) else None
        return wait_until(is_settled, 30, "each shard to be with its named owner")

    def test_owner_and_standby_of_each_shard(self):
        rows = self.settled()
        self.assertEqual([row["shard"] for row in rows], list(range(4)))
        owners = dict(self.stack.sql("select shard, c.name from shards s join consumers c "
                                     "on c.member_id = s.owner"))
        pids = [daemon.pid for daemon in self.stack.daemons if daemon.running()]
        names = {row[0] for row in self.stack.sql("select name from consumers where pid = any(%s)",
                                                  (pids,))}
        for row in rows:
            self.assertEqual(row["owner"], owners[row["shard"]])
            self.assertEqual({row["owner"], row["standby"]}, names)
            self.assertEqual(row["epoch"], self.stack.one("select epoch from shards where shard = %s",
                                                          (row["shard"],)))
            self.assertEqual((row["queued_messages"], row["queue_consumers"]), (0, 1))
            self.assertGreaterEqual(row["owned_for_seconds"], 0)

    def test_what_waits_where(self):
        self.settled()
        sku = self.stack.item(stock=1)
        before = self.shard(self.stack.shard(sku))
        self.assertEqual((before["waiting"], before["open_payments"]), (0, 0))
        self.stack.gateway.latency(20000)
        self.stack.order("ann", sku).wait("reserved")
        for n in range(3):
            self.stack.order(f"user-{n}", sku).wait("waiting")
        row = self.shard(self.stack.shard(sku))
        self.assertEqual((row["waiting"], row["open_payments"]), (3, 1))
        self.assertGreater(row["oldest_payment_seconds"], row["oldest_waiting_seconds"])
        self.assertGreater(row["decided_per_second"], 0)
        text = self.stack.ctl("shards").stdout
        self.assertIn("orders in line 3, open payments 1", text)
        self.assertLessEqual(max(len(line.rstrip()) for line in text.splitlines()), 80)

    def test_messages_in_the_queue_of_a_shard_that_nobody_serves(self):
        """With the consumers stopped the depth is the broker's, and the note says what is wrong."""
        self.settled()
        consumers = [daemon for daemon in self.stack.daemons if daemon.name == "checkout-consumer"]
        for daemon in consumers:
            daemon.kill()
        self.addCleanup(self.restart, consumers)
        sku = self.stack.item()
        shard = self.stack.shard(sku)
        wait_until(lambda: self.shard(shard)["queue_consumers"] == 0, 15, "the broker to miss them")
        for n in range(3):
            self.stack.order(f"user-{n}", sku)
        row = wait_until(lambda: next((row for row in self.rows("shards") if row["shard"] == shard
                                       and row["queued_messages"] == 3), None), 10, "3 messages")
        self.assertEqual((row["note"], row["standby"], row["named_owner"]),
                         ("owner is dead", None, None))
        self.assertIn("4 of them unserved", self.stack.ctl("shards").stdout)
        for row in self.rows("consumers"):
            self.assertEqual((row["beating"], row["locked"]), (False, False))

    def restart(self, consumers):
        for daemon in consumers:
            self.stack.start_again(daemon)

    def test_a_frozen_consumer_does_not_beat(self):
        rows = self.settled()
        live = {row["pid"]: row for row in self.rows("consumers") if row["locked"]}
        self.assertEqual({(row["beating"], row["ready"]) for row in live.values()}, {(True, True)})
        self.assertEqual(sum(row["shards_owned"] for row in live.values()), 4)
        self.assertEqual(sum(row["shards_standby"] for row in live.values()), 4)
        victim = live[next(iter(live))]
        os.kill(victim["pid"], signal.SIGSTOP)
        self.addCleanup(self.settled)
        self.addCleanup(os.kill, victim["pid"], signal.SIGCONT)
        frozen = next(row for row in self.rows("consumers") if row["pid"] == victim["pid"])
        self.assertEqual((frozen["beating"], frozen["locked"]), (False, True))
        moved = [row["shard"] for row in rows if row["owner"] == victim["name"]]
        self.assertTrue(moved)
        wait_until(lambda: all(row["owner"] != victim["name"] for row in self.rows("shards")), 30,
                   "the other one to take all over")
        for row in self.rows("shards"):
            self.assertIsNone(row["standby"])

    def test_a_paused_shard_is_noted(self):
        self.settled()
        self.stack.ctl("pause", "--shard", "1")
        self.addCleanup(self.stack.ctl, "resume", "--shard", "1")
        self.assertEqual((self.shard(1)["paused"], self.shard(1)["note"]), (True, "paused"))

    def test_without_the_broker_the_rest_is_shown(self):
        done = self.stack.ctl("shards", "--json", CHECKOUT_AMQP_URL="amqp://127.0.0.1:1/")
        rows = [json.loads(line) for line in done.stdout.splitlines()]
        self.assertEqual({row["queued_messages"] for row in rows}, {None})
        self.assertIn("RabbitMQ does not answer", done.stderr)


if __name__ == "__main__":
    harness.main()
