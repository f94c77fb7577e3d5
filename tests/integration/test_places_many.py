#!/usr/bin/python3
"""Ten thousand buyers wait for one item, each with a websocket: a move of the line costs Redis one message. With --full."""

import os
import sys
import time
import unittest

import harness
from harness import wait_until
from harness_services import ROOT

sys.path.insert(0, os.path.join(ROOT, "tests", "bench"))

from bench_sockets import Client    # noqa: E402

BUYERS = 10000
SOLD = 10
BATCH = 200


@unittest.skipUnless(os.environ.get("CHECKOUT_TEST_FULL"), "10,000 websockets: with --full")
class Many(harness.TestCase):
    daemons = ("sandbox", "consumer")

    def line(self):
        sku = self.stack.item(stock=1, held=1)
        jobs = [self.stack.job(f"buyer-{n}", sku) for n in range(BUYERS)]
        for first in range(0, BUYERS, BATCH):
            self.stack.publish_jobs(*jobs[first:first + BATCH])
        wait_until(lambda: self.stack.counts(sku)[3] == BUYERS, 120, "the line")
        return sku

    def connect(self):
        tokens = os.path.join(self.stack.directory, "tokens")
        with open(tokens, "w", encoding="ascii") as sink:
            sink.writelines(f"buyer-{n} {self.stack.token(f'buyer-{n}')}\n" for n in range(BUYERS))
        notifier = self.stack.start("notifier", CHECKOUT_CONNECTIONS_MAX=BUYERS + 100)
        client = Client(self.stack, notifier, tokens, BUYERS)
        self.addCleanup(client.close)
        client.do("open")
        return notifier, client

    def exact(self, client, waiting):
        """All of them were told the true places; how many messages that took."""
        wanted = {"told": waiting, "sum": waiting * (waiting + 1) // 2}
        def line():
            told = client.do("line")
            return {name: told[name] for name in wanted} == wanted
        wait_until(line, 60, lambda: f"{wanted}; it is {client.do('line')}")
        return client.do("line")["messages"]

    def test_a_move_of_the_line_is_one_message(self):
        sku = self.line()
        notifier, client = self.connect()
        before = self.exact(client, BUYERS)
        channel = f"checkout:line:{sku}"
        self.assertEqual(self.stack.redis().pubsub_numsub(channel), [(channel.encode(), 1)])
        heard = self.stack.redis().pubsub()
        self.addCleanup(heard.close)
        heard.subscribe(channel)
        wait_until(lambda: heard.get_message(timeout=1), 10, "the subscription")
        reads, began = notifier.metric("checkout_line_reads_total"), time.monotonic()
        self.stack.ctl("items", "restock", sku, str(SOLD))
        after = self.exact(client, BUYERS - SOLD)
        took = time.monotonic() - began
        messages = 0
        while heard.get_message(timeout=0.01):
            messages += 1
        print(f"{after - before} places told by {messages} messages of Redis, {took:.2f} s after the restock", file=sys.stderr)
        self.assertGreaterEqual(after - before, BUYERS - SOLD)
        self.assertTrue(1 <= messages <= 1 + took, messages)
        self.assertLessEqual(notifier.metric("checkout_line_reads_total") - reads, 1 + took / 5)


if __name__ == "__main__":
    harness.main()
