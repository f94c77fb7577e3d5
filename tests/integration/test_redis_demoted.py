#!/usr/bin/python3
"""A Redis that becomes a replica without a master: its clients stay connected, and no event is published there."""

import secrets
import subprocess

import redis

import harness
from harness import wait_until

HEARD_S = 10


class DemotedRedis(harness.TestCase):
    shards = 2

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.port, password = harness.free_port(), secrets.token_hex(8)
        cls.server = subprocess.Popen(["redis-server", "--bind", "127.0.0.1", "--port", str(cls.port), "--requirepass", password,
                                       "--save", "", "--dir", cls.stack.directory], stdin=subprocess.DEVNULL,
                                      stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        cls.addClassCleanup(cls.end_server)
        cls.stack.settings["CHECKOUT_REDIS_URL"] = f"redis://:{password}@127.0.0.1:{cls.port}/0"
        cls.redis = redis.Redis(port=cls.port, password=password)
        wait_until(cls.answers, 20, "Redis to answer")
        for name in ("sandbox", "consumer", "producer", "notifier"):
            cls.stack.start(name)

    @classmethod
    def answers(cls):
        try:
            return cls.redis.ping()
        except redis.exceptions.ConnectionError:
            return False

    @classmethod
    def end_server(cls):
        cls.server.kill()
        cls.server.wait()

    def heard(self, listener, sku, timeout):
        """An order of this buyer, and its end at the websocket."""
        order = self.stack.order("ann", sku)
        self.assertEqual(listener.wait_final(order.id, timeout)["data"]["status"], "confirmed")

    def test_buyers_hear_while_redis_is_demoted_and_live_again_after_it(self):
        notifier, sku = self.stack.daemon("notifier"), self.stack.item(stock=10)
        listener = self.stack.listen("ann")
        self.heard(listener, sku, 30)
        self.redis.execute_command("REPLICAOF", "127.0.0.1", str(harness.free_port()))
        self.heard(listener, sku, HEARD_S)
        wait_until(lambda: b"Redis is not connected; events come from PostgreSQL" in notifier.log_text(), 10,
                   "the notifier to leave the replica")
        self.heard(listener, sku, HEARD_S)
        self.assertIn(b"this Redis is a replica", notifier.log_text())
        self.assertIn("replica", self.stack.ctl("doctor", check=False).stdout)
        self.redis.execute_command("REPLICAOF", "NO", "ONE")
        wait_until(lambda: notifier.log_text().count(b"Redis is connected") >= 2, 20, "the notifier at the master")
        before = self.redis.info("commandstats").get("cmdstat_publish", {}).get("calls", 0)
        self.heard(listener, sku, 30)
        self.assertGreater(self.redis.info("commandstats")["cmdstat_publish"]["calls"], before)


if __name__ == "__main__":
    harness.main()
