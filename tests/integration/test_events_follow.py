#!/usr/bin/python3
"""`checkoutctl events follow`: every final event exactly once by cursor, whatever is killed meanwhile."""

import itertools
import json
import random
import signal
import subprocess
import threading
import time
import uuid

import psycopg2

import harness
from harness import wait_until

FINAL = ("confirmed", "rejected", "cancelled", "refunded")


class Follower:
    """A running `events follow`, read line by line as a shop would: only whole lines count."""

    def __init__(self, stack, after=None, *options, **settings):
        words = ["events", "follow", "--json", *options] + (["--after", after] if after else [])
        self.process = subprocess.Popen(
            [harness.program("checkoutctl"), *words], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            env=harness.program_environment({**stack.settings, **settings}))
        self.events, self.cursor, self.complaints = [], after, b""
        self._threads = [threading.Thread(target=self._read, daemon=True),
                         threading.Thread(target=self._read_errors, daemon=True)]
        for thread in self._threads:
            thread.start()

    def _read(self):
        for line in self.process.stdout:
            if line.endswith(b"\n"):
                document = json.loads(line)
                self.cursor = document["cursor"]
                if "order_id" in document:
                    self.events.append(document)

    def _read_errors(self):
        for line in self.process.stderr:
            self.complaints += line

    def end(self, number=signal.SIGTERM):
        """Returns the exit code."""
        self.process.send_signal(number)
        code = self.process.wait(20)
        for thread in self._threads:
            thread.join()
        self.process.stdout.close()
        self.process.stderr.close()
        return code


class SideBySide(harness.TestCase):
    """Writers commit in all shards at once, late and in another order than their ids were drawn."""

    shards = 8
    EVENTS = 150  # of each shard, at least
    KILLS = 6

    def write(self, shard, seed):
        dice = random.Random(seed)
        connection = psycopg2.connect(self.stack.direct["CHECKOUT_DATABASE_URL"],
                                      options="-csearch_path=checkout,public")
        try:
            for n in itertools.count():
                if n >= self.EVENTS and self.enough.is_set():
                    break
                with connection, connection.cursor() as cursor:
                    cursor.execute("select 1 from shards where shard = %s for no key update", (shard,))
                    for _ in range(dice.randint(1, 3)):
                        self.write_order(cursor, shard, dice)
                    time.sleep(dice.random() * 0.02)  # ids are drawn, others commit before us
        finally:
            connection.close()

    @staticmethod
    def write_order(cursor, shard, dice):
        order = str(uuid.uuid4())
        states = dice.choice((("reserved", "confirmed"), ("rejected",), ("waiting",), ("waiting", "cancelled"),
                              ("reserved", "confirmed", "refunded")))
        cursor.execute("insert into orders (order_id, user_id, sku, shard, quantity, status, reason, fingerprint,"
                       " sequence, accepted_at) values (%s, 'ann', 'x', %s, 1, %s, %s, '', %s, now())",
                       (order, shard, states[-1], "sold_out" if states[-1] == "rejected" else None, len(states)))
        for sequence, status in enumerate(states, 1):
            cursor.execute("insert into order_events (shard, order_id, sequence, status) values (%s, %s, %s, %s)",
                           (shard, order, sequence, status))

    def test_every_final_event_exactly_once_while_followers_are_killed(self):
        seed = random.randrange(1 << 32)
        print(f"seed {seed}", end=" ", flush=True)
        dice = random.Random(seed)
        self.enough = threading.Event()
        self.addCleanup(self.enough.set)
        writers = [threading.Thread(target=self.write, args=(shard, f"{seed}-{shard}"))
                   for shard in range(self.shards)]
        for writer in writers:
            writer.start()
        seen, cursor, kills = [], None, 0
        while any(writer.is_alive() for writer in writers):
            follower = Follower(self.stack, cursor)
            enough = dice.randint(1, 60)
            wait_until(lambda: len(follower.events) >= enough
                       or not any(writer.is_alive() for writer in writers), 30, "events to come")
            follower.end(dice.choice((signal.SIGKILL, signal.SIGKILL, signal.SIGTERM)))
            seen, cursor, kills = seen + follower.events, follower.cursor, kills + 1
            if kills >= self.KILLS:
                self.enough.set()
        last = self.stack.ctl("events", "follow", "--json", "--once", "--after", cursor).stdout
        seen += [json.loads(line) for line in last.splitlines()][1:]
        self.assert_complete(seen, FINAL)
        again = self.stack.ctl("events", "follow", "--json", "--once", "--all-states").stdout
        self.assert_complete([json.loads(line) for line in again.splitlines()][1:],
                             FINAL + ("reserved", "waiting"))

    def assert_complete(self, seen, states):
        """Exactly the events of these states, each once, in the order of ids within each shard."""
        expected = self.stack.sql("select shard, event_id from order_events where status = any(%s)"
                                  " order by event_id", (list(states),))
        for shard in range(self.shards):
            self.assertEqual([int(event["id"]) for event in seen if event["shard"] == shard],
                             [event for of, event in expected if of == shard])


class Feed(harness.TestCase):
    daemons = ("sandbox", "producer", "consumer")

    def follow(self, *words, code=0):
        done = self.stack.ctl("events", "follow", *words, check=False)
        self.assertEqual(done.returncode, code, done.stdout + done.stderr)
        return done

    def test_what_an_event_tells(self):
        sku = self.stack.item(price=1999)
        order = self.stack.order("ann", sku, quantity=2, reference="cart-1", receipt_email="a@example.org")
        order.wait("confirmed")
        lines = self.follow("--json", "--once").stdout.splitlines()
        event = next(line for line in map(json.loads, lines) if line.get("order_id") == order.id)
        row = self.stack.sql("select event_id::text, sequence from order_events where order_id = %s and "
                             "status = 'confirmed'", (order.id,))[0]
        self.assertEqual((event["id"], event["sequence"]), row)
        self.assertEqual({name: event[name] for name in ("status", "user_id", "sku", "quantity", "amount",
                                                         "currency", "reference", "shard")},
                         {"status": "confirmed", "user_id": "ann", "sku": sku, "quantity": 2, "amount": 3998,
                          "currency": "usd", "reference": "cart-1", "shard": self.stack.shard(sku)})
        self.assertNotIn("example.org", "".join(lines))
        done = self.follow("--once")
        self.assertIn(f"{order.id}  confirmed  2 x {sku}  ann  cart-1\n", done.stdout)
        self.assertIn("to go on: --after 4:", done.stderr)

    def test_now_is_behind_all_that_was(self):
        sku = self.stack.item(stock=1)
        self.stack.order("ann", sku).wait("confirmed")
        follower = Follower(self.stack, "now")
        wait_until(lambda: follower.cursor != "now", 30, "the first cursor")
        order = self.stack.order("bob", sku)
        order.wait("rejected")
        wait_until(lambda: follower.events, 30, "the event")
        self.assertEqual(follower.end(), 0)
        self.assertEqual([(event["order_id"], event["reason"]) for event in follower.events],
                         [(order.id, "sold_out")])

    def test_wrong_cursors_are_told(self):
        for after, code, words in (("tomorrow", 2, "is no cursor"), ("8:.......", 2, "over 8 shards; there never were more than 4"),
                                   ("4:.zzzz..", 1, "ahead of the database in shard 1")):
            self.assertIn(words, self.follow("--once", "--after", after, code=code).stderr)

    def test_a_reader_that_goes_ends_it(self):
        self.stack.order("ann", self.stack.item()).wait("confirmed")
        follower = subprocess.Popen([harness.program("checkoutctl"), "events", "follow", "--json"],
                                    stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
                                    env=harness.program_environment(self.stack.settings))
        follower.stdout.readline()
        follower.stdout.close()
        self.stack.order("bob", self.stack.item()).wait("confirmed")
        self.assertEqual(follower.wait(20), 1)


class LostDatabase(harness.TestCase):
    daemons = ("sandbox", "producer", "consumer")
    proxied = ("database",)

    def test_it_goes_on_when_the_database_is_back(self):
        sku = self.stack.item(stock=100)
        follower = Follower(self.stack)
        orders = [self.stack.order("ann", sku).wait("confirmed")]
        for times in range(1, 4):
            wait_until(lambda: len(follower.events) == times, 30, "an event")
            self.stack.proxies["database"].down()
            wait_until(lambda: follower.complaints.count(b"PostgreSQL is away") == times, 30, "it to be told")
            orders.append(self.stack.order("bob", sku))
            self.stack.proxies["database"].up()
            wait_until(lambda: follower.complaints.count(b"PostgreSQL is back") == times, 20, "it to return")
        wait_until(lambda: len(follower.events) == 4, 20, "the last event")
        self.assertEqual(follower.end(), 0)
        self.assertEqual([event["order_id"] for event in follower.events], [order.id for order in orders])


class SilentDatabase(harness.TestCase):
    daemons = ("sandbox", "producer", "consumer")
    proxied = ("database",)

    def test_a_database_that_says_nothing_is_away_too(self):
        database = self.stack.proxies["database"]
        self.addCleanup(database.freeze, False)
        follower = Follower(self.stack, "now")
        wait_until(lambda: follower.cursor != "now", 30, "the first cursor")
        database.freeze()
        wait_until(lambda: b"PostgreSQL is away: no answer to a query" in follower.complaints, 30, "it to be told")
        database.freeze(False)
        wait_until(lambda: b"PostgreSQL is back" in follower.complaints, 30, "it to return")
        order = self.stack.order("ann", self.stack.item()).wait("confirmed")
        wait_until(lambda: follower.events, 30, "the event")
        self.assertEqual([event["order_id"] for event in follower.events], [order.id])
        self.assertEqual(follower.end(), 0)

    def test_a_signal_ends_what_waits_for_a_silent_database(self):
        database = self.stack.proxies["database"]
        self.addCleanup(database.freeze, False)
        follower = Follower(self.stack, "now")
        wait_until(lambda: follower.cursor != "now", 30, "the first cursor")
        top = subprocess.Popen([harness.program("checkoutctl"), "top", "--json", "--interval", "100ms"],
                               stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
                               env=harness.program_environment(self.stack.settings))
        self.addCleanup(top.stdout.close)
        self.addCleanup(top.kill)
        top.stdout.readline()
        database.freeze()
        wait_until(lambda: database.holds(b"feed"), 20, "a query that waits")
        top.send_signal(signal.SIGINT)
        self.assertEqual(follower.end(), 0)
        self.assertEqual(top.wait(20), 0)


if __name__ == "__main__":
    harness.main()
