#!/usr/bin/python3
"""A member that the broker does not feed: it gives its shards up, and nothing flaps meanwhile."""

import time
import urllib.parse

import harness
from harness import wait_until
from harness_amqp import FrameProxy
from harness_client import http_call
from harness_pool import PoolCase

SAID = (b"PostgreSQL is connected", b"PostgreSQL session is not connected")


class Feed(PoolCase):
    """Two nodes of the broker, as far as a consumer can tell; the first of them becomes lonely."""

    shards = 4

    def nodes(self):
        target = urllib.parse.urlsplit(self.stack.direct["CHECKOUT_AMQP_URL"])
        nodes = [FrameProxy(target.hostname, target.port) for _ in range(2)]
        for node in nodes:
            self.addCleanup(node.close)
        urls = [target._replace(netloc=f"{target.username}:{target.password}@127.0.0.1:{node.port}").geturl()
                for node in nodes]
        return nodes, ",".join(urls)

    def ready(self, daemon):
        return http_call(daemon.admin, "GET", "/readyz").status == 200

    def take_overs(self, shard):
        return self.stack.one("select count(*) from take_overs where shards = %s and shard = %s",
                              (self.shards, shard))

    def test_an_owner_at_a_lonely_node_goes_to_another_and_nothing_flaps(self):
        nodes, urls = self.nodes()
        first = self.consumer(CHECKOUT_AMQP_URL=urls)
        second = self.consumer()
        self.served(first, second)
        time.sleep(6)  # so that its channels have stood open for longer than a hand-over takes
        shard = self.served_by(first)[0]
        before = {number: self.take_overs(number) for number in range(self.shards)}
        lonely, other = sorted(nodes, key=lambda node: -node.consumers())
        lonely.strand()
        begun = time.monotonic()
        sku = self.item_on(shard, stock=1000)
        line = self.publish(sku)
        self.wait_decided(line, 20)
        self.assertEqual(self.writers(line[:1]), {second.member})
        wait_until(lambda: other.consumers() > 0, 20, "the owner to go to the other node")
        while time.monotonic() - begun < 30:
            line += self.publish(sku)
            self.wait_decided(line, 20)
        self.settled(first, second)
        self.assert_in_order({sku: line})
        self.assert_served_once()
        flaps = {number: self.take_overs(number) - before[number] for number in range(self.shards)}
        self.assertLessEqual(max(flaps.values()), 3, flaps)
        self.assertTrue(self.ready(first))


class Sessions(PoolCase):
    """Ready means: can do the job."""

    shards = 4

    def test_a_member_without_all_its_sessions_wins_no_shard(self):
        """The role of this member may have fewer sessions than it needs."""
        first = self.consumer()
        self.settled(first)
        self.addCleanup(self.stack.sql, "drop role if exists few")
        self.stack.sql("drop role if exists few")
        self.stack.sql("create role few login password 'few' connection limit 4 in role checkout_consumer")
        url = urllib.parse.urlsplit(self.stack.direct["CHECKOUT_DATABASE_URL"])
        few = url._replace(netloc=f"few:few@{url.hostname}:{url.port}").geturl()
        daemon = self.start_without_one_of_its_sessions(few)
        time.sleep(5)
        self.settled(first)
        answer = http_call(daemon.admin, "GET", "/readyz")
        self.assertEqual(answer.status, 503)
        self.assertIn(b"session", answer.body)
        self.assert_doctor_names_it(daemon)
        daemon.stop()

    def start_without_one_of_its_sessions(self, url):
        """A member. PostgreSQL chooses whom it refuses; if that is the heartbeat's, there is no member: once more."""
        for _ in range(5):
            daemon = self.stack.start("consumer", wait=False, CHECKOUT_DATABASE_URL=url)
            wait_until(lambda: b"PostgreSQL is not connected" in daemon.log_text() or
                       all(words in daemon.log_text() for words in SAID), 20, "the missing session to be said")
            if b"PostgreSQL is not connected" not in daemon.log_text():
                return daemon
            daemon.stop()
        return self.fail("PostgreSQL refused the heartbeat's session each time")

    def assert_doctor_names_it(self, daemon):
        """The pool's view of a member that lives and is not ready has the session that it lacks."""
        wait_until(lambda: "is not ready" in self.stack.ctl("doctor", check=False).stdout, 10,
                   "doctor to see the member")
        said = self.stack.ctl("doctor", check=False).stdout
        self.assertRegex(said, r"is not ready: a session with PostgreSQL that serving needs is missing; "
                               r"the missing one: (control|outbox|shard writer \d+ of \d+)")
        self.assertIn(f"{daemon.pid}", said)


if __name__ == "__main__":
    harness.main()
