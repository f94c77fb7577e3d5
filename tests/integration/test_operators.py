#!/usr/bin/python3
"""What operators see of a running pool: shards, consumers, and how that changes when something breaks."""

import json
import os
import pty
import re
import signal
import subprocess
import urllib.parse

import harness
import harness_services
from harness import wait_until


class Pool(harness.TestCase):
    daemons = ("sandbox", "producer", "consumer", "consumer")

    def setUp(self):
        self.stack.gateway.calm()
        wait_until(lambda: self.stack.one("select (select count(*) from waitlist) + (select count(*) from payments "
                                          "where state = 'open')") == 0, 30, "what was begun before to end")

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
        self.stack.gateway.latency(25000)       # until all of it has been looked at
        self.addCleanup(self.stack.gateway.control, hurry=True)
        self.stack.order("ann", sku).wait("reserved")
        for n in range(3):
            self.stack.order(f"user-{n}", sku).wait("waiting")
        row = self.shard(self.stack.shard(sku))
        self.assertEqual((row["waiting"], row["open_payments"]), (3, 1))
        self.assertGreater(row["oldest_payment_seconds"], row["oldest_waiting_seconds"])
        self.assertGreater(row["decided_per_second"], 0)
        text = self.stack.ctl("shards").stdout
        self.assertIn("waiting orders 3, open payments 1", text)
        self.assertLessEqual(max(len(line.rstrip()) for line in text.splitlines()), 80)

    def test_a_buyer_at_the_bank_is_no_payment_that_waits_for_the_gateway(self):
        self.settled()
        sku = self.stack.item(stock=1)
        order = self.stack.order("ann", sku, payment_method="pm_card_threeDSecure2Required").wait("reserved")
        self.addCleanup(self.stack.call, "ann", "DELETE", f"/v1/orders/{order.id}")
        wait_until(lambda: self.stack.one("select action is not null from payments where order_id = %s", (order.id,)), 20, "the bank to ask")
        row = self.shard(self.stack.shard(sku))
        self.assertEqual((row["open_payments"], row["oldest_payment_seconds"]), (1, None))

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
        self.assertRegex(self.stack.ctl("doctor", check=False).stdout, "fail +consumers +none is alive")
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

    def test_top_shows_first_what_hurts(self):
        self.settled()
        quiet, old, young = (self.stack.item(stock=1) for _ in range(3))
        self.stack.order("ann", quiet).wait("confirmed")
        self.stack.gateway.latency(6000)
        self.stack.order("ann", old).wait("reserved")
        self.stack.order("bob", young).wait("reserved")
        self.stack.order("carl", young).wait("waiting")
        look = json.loads(self.stack.ctl("top", "--json", "--once").stdout)
        mine = [item for item in look["items"] if item["sku"] in (quiet, old, young)]
        self.assertEqual([(item["sku"], item["held"], item["waiting"]) for item in mine],
                         [(old, 1, 0), (young, 1, 1)])
        self.assertGreater(mine[0]["oldest_ms"], mine[1]["oldest_ms"])
        ages = [max(shard["oldest_waiting_seconds"] or 0, shard["oldest_payment_seconds"] or 0)
                for shard in look["shards"]]
        self.assertEqual(ages, sorted(ages, reverse=True))
        text = self.stack.ctl("top", "--once").stdout
        hot, items = (text.index(heading) for heading in ("\nhot: ", "\nITEM "))
        self.assertLess(text.index(young, hot), items)      # two orders are for it
        self.assertLess(text.index(old, items), text.index(young, items))

    def test_top_says_how_much_it_does_not_show(self):
        self.settled()
        done, seen = harness.at_terminal(20, 80, harness.program_environment(self.stack.settings), "top", "--once")
        self.assertEqual((done.returncode, "not shown" in seen), (0, False), seen)  # there are no items that need the room
        self.stack.gateway.latency(6000)
        for n in range(9):
            self.stack.order(f"user-{n}", self.stack.item()).wait("reserved")
        lines = self.stack.ctl("top", "--once").stdout.splitlines()
        shown = len(lines) - lines.index(next(line for line in lines if line.startswith("ITEM"))) - 2
        self.assertEqual((lines[-1], len(lines) <= 24), (f"items that are not shown: {9 - shown}", True), lines)
        done, seen = harness.at_terminal(60, 80, harness.program_environment(self.stack.settings), "top", "--once")
        self.assertEqual((done.returncode, "not shown" in seen), (0, False), seen)

    def test_top_is_drawn_again_on_a_terminal_and_leaves_it_as_it_was(self):
        self.settled()
        process, screen = pty.fork()
        if process == 0:
            os.execve(harness.program("checkoutctl"), ["checkoutctl", "top", "--interval", "100ms"],
                      harness.program_environment(self.stack.settings))
        drawn = b""
        while drawn.count(b"worst first") < 3:
            drawn += os.read(screen, 65536)
        os.kill(process, signal.SIGINT)
        try:
            while True:
                drawn += os.read(screen, 65536)
        except OSError:  # it has ended
            pass
        self.assertEqual(os.waitpid(process, 0)[1], 0)
        os.close(screen)
        self.assertTrue(drawn.startswith(b"\x1b[?1049h"))
        self.assertTrue(drawn.endswith(b"\x1b[?25h\x1b[?1049l"), drawn[-80:])

    def test_top_prints_a_line_for_each_look(self):
        top = subprocess.Popen([harness.program("checkoutctl"), "top", "--json", "--interval", "100ms"],
                               stdout=subprocess.PIPE, env=harness.program_environment(self.stack.settings))
        for _ in range(3):
            self.assertEqual(len(json.loads(top.stdout.readline())["shards"]), 4)
        top.terminate()
        self.assertEqual(top.wait(10), 0)
        top.stdout.close()

    def test_a_paused_shard_is_noted(self):
        self.settled()
        self.stack.ctl("pause", "--shard", "1")
        self.addCleanup(self.stack.ctl, "resume", "--shard", "1")
        self.assertEqual((self.shard(1)["paused"], self.shard(1)["note"]), (True, "paused"))

    def series(self, name):
        """{(process id, shard): value} of a metric of the consumers."""
        found = {}
        for daemon in self.stack.daemons:
            if daemon.name == "checkout-consumer" and daemon.running():
                text = harness.http_call(daemon.admin, "GET", "/metrics").body.decode()
                for shard, value in re.findall(rf'^{name}{{shard="(\d+)"}} (\S+)$', text, re.MULTILINE):
                    found[daemon.pid, int(shard)] = float(value)
        self.assertTrue(found, name)
        return found

    def test_metrics_of_each_shard(self):
        rows = self.settled()
        pids = dict(self.stack.sql("select name, pid from consumers"))
        owned, epochs = self.series("checkout_shard_owned"), self.series("checkout_shard_epoch")
        for (pid, shard), value in owned.items():
            owner = pids[rows[shard]["owner"]] == pid
            self.assertEqual((value, epochs[pid, shard]), (owner, rows[shard]["epoch"] if owner else 0))
        sku = self.stack.item(stock=1)
        at = (pids[rows[self.stack.shard(sku)]["owner"]], self.stack.shard(sku))
        before = self.series("checkout_jobs_decided_total")
        self.stack.gateway.latency(3000)
        order = self.stack.order("ann", sku).wait("reserved")
        wait_until(lambda: self.series("checkout_payments_open")[at] == 1, 15, "its open payment")
        order.wait("confirmed")
        wait_until(lambda: self.series("checkout_payments_open")[at] == 0, 15, "no open payment")
        after = self.series("checkout_jobs_decided_total")
        self.assertEqual({key: after[key] - before[key] for key in after if after[key] != before[key]}, {at: 1})
        self.assertGreaterEqual(self.series("checkout_take_overs_total")[at], 1)
        self.assertEqual(set(self.series("checkout_fenced_writes_total")), set(owned))

    def test_a_relay_that_is_stuck_shows_for_how_long(self):
        self.settled()
        sku = self.stack.item()
        self.stack.redis().execute_command("CLIENT", "PAUSE", "12000", "ALL")     # long enough for a slow machine's job
        self.stack.publish_jobs(self.stack.job("ann", sku))
        wait_until(lambda: max(self.series("checkout_relay_stuck_seconds").values()) > 1, 15, "it to be stuck")
        wait_until(lambda: max(self.series("checkout_relay_stuck_seconds").values()) == 0, 15, "it to go on")

    def test_without_the_broker_the_rest_is_shown(self):
        done = self.stack.ctl("shards", "--json", CHECKOUT_AMQP_URL="amqp://127.0.0.1:1/")
        rows = [json.loads(line) for line in done.stdout.splitlines()]
        self.assertEqual({row["queued_messages"] for row in rows}, {None})
        self.assertIn("RabbitMQ does not answer", done.stderr)


class OneNodeOfTwo(harness.TestCase):
    daemons = ("sandbox", "consumer", "consumer")
    shards = 4

    @classmethod
    def setUpClass(cls):
        url = harness_services.services()["CHECKOUT_AMQP_URL"].split(",")[0]
        port = urllib.parse.urlsplit(url).port
        cls.node = f"127.0.0.1:{port}"
        cls.settings = {"CHECKOUT_AMQP_URL": f"{url},{url.replace(f':{port}', f':{harness.free_port()}')}"}
        super().setUpClass()

    def test_all_consumers_at_one_node_are_shown_and_warned_of(self):
        warning = f"all 2 consumers are at one of 2 RabbitMQ nodes: {self.node}"
        wait_until(lambda: warning in self.stack.ctl("doctor", check=False).stdout, 40, "doctor to warn")
        rows = [json.loads(line) for line in self.stack.ctl("consumers", "--json").stdout.splitlines()]
        self.assertEqual({row["node"] for row in rows}, {self.node})
        one = self.stack.ctl("doctor", check=False, CHECKOUT_AMQP_URL=self.settings["CHECKOUT_AMQP_URL"].split(",")[0])
        self.assertNotIn("RabbitMQ nodes", one.stdout)


if __name__ == "__main__":
    harness.main()
