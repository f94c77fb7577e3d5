#!/usr/bin/python3
"""Each daemon stays small and flat over many orders; it leaves cleanly (see Daemon.finish).

CHECKOUT_TEST_ORDERS sets how many orders (default 20,000; the whole proof takes 200,000).
"""

import json
import os
import re
import subprocess
import sys
import threading

import harness
from harness import wait_until

LIMIT = 64 << 20
WARM_UP = 10000  # orders of as many buyers, which fill pools and caches (of verified tokens, say)
ROUNDS = 4


def sanitized():
    """Whether the programs under test carry a sanitizer, whose own memory would be measured."""
    try:
        with open(os.path.join(harness.build_directory(), "CMakeCache.txt"), encoding="utf-8") as cache:
            return re.search(r"^CHECKOUT_SANITIZE:\w+=\S", cache.read(), re.M) is not None
    except OSError:
        return False


class Memory(harness.TestCase):
    daemons = ("sandbox", "producer", "consumer", "notifier")
    shards = 16

    def load(self, orders, buyers=2000):
        """Orders from the sale's own clients, listeners included."""
        environment = harness.program_environment(self.stack.settings)
        environment.update(SALE_API=self.stack.daemon("producer").url, SALE_STATE=self.stack.directory,
                           SALE_GATEWAY=self.stack.daemon("sandbox").url)
        run = os.path.join(os.path.dirname(__file__), "..", "..", "deploy", "sale", "run")
        done = subprocess.run([run, "--orders", str(orders), "--buyers", str(buyers),
                               "--listeners", "300"],
                              env=environment, text=True, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, timeout=600)
        self.assertEqual(done.returncode, 0, done.stdout[-4000:])
        return json.loads(done.stdout.splitlines()[-1])

    def resident(self):
        return {daemon.name: daemon.resident_bytes() for daemon in self.stack.daemons
                if daemon.name != "checkout-sandbox-gateway"}

    def warm_up(self):
        """The deepest backlog that can be: the consumer stands still while the orders come in."""
        consumer = self.stack.daemon("consumer")
        thaw = threading.Timer(3, consumer.thaw)
        consumer.freeze()
        thaw.start()
        self.load(WARM_UP, WARM_UP)
        thaw.join()

    def test_small_and_flat(self):
        if sanitized():
            self.skipTest("a sanitizer's own memory would be measured")
        orders = (int(os.environ.get("CHECKOUT_TEST_ORDERS", "20000")) - WARM_UP) // ROUNDS
        self.stack.item("vip-pass", stock=1000000)
        self.stack.item("dress-1920s", stock=1)
        self.warm_up()
        measured = []
        for _ in range(ROUNDS):
            self.load(orders)
            measured.append(self.resident())
        for name in measured[0]:
            sizes = [sample[name] for sample in measured]
            shown = ", ".join(f"{size / 1048576:.1f}" for size in sizes) + " MiB"
            self.assertLess(max(sizes), LIMIT, f"{name}: {shown}")
            self.assertLess(sizes[-1] - sizes[0], 1 << 20, f"{name} grows: {shown}")
            print(f"{name}: {shown}", file=sys.stderr)


class LeavesCleanly(harness.TestCase):
    """SIGTERM in full work: exit code 0, and under a sanitizer no report (checked by the harness)."""

    daemons = ("sandbox", "producer", "consumer", "consumer", "notifier")

    def test_in_full_work(self):
        sku = self.stack.item(stock=100)
        listeners = [self.stack.listen(f"user-{n}") for n in range(10)]
        for number in range(20):
            jobs = [self.stack.job(f"user-{n % 10}", sku) for n in range(100)]
            self.stack.publish_jobs(*jobs)
            if number == 0:
                wait_until(lambda: self.stack.one("select count(*) from orders") > 0, 20, "some decisions")
        self.stack.stop_daemons()
        # What was left undone is in the queue or in the tables, for whoever starts next.
        for name in self.daemons:
            self.stack.start(name)
        wait_until(lambda: self.stack.one("select count(*) from orders where status in "
                                          "('confirmed', 'rejected')") == 2000, 60, "2,000 orders to end")
        self.assertEqual(self.stack.counts(sku), (100, 0, 100, 0))
        self.assertEqual(len(self.stack.gateway.captured()), 100)
        for listener in listeners:
            listener.close()

    def test_idle_and_at_once(self):
        for name in self.daemons:
            daemon = self.stack.start(name) if name != "sandbox" else None
            if daemon:
                daemon.stop(timeout=10)


if __name__ == "__main__":
    harness.main()
