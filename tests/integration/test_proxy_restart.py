#!/usr/bin/python3
"""Behind nginx and HAProxy, whose connections stay open: a producer that restarts, dies, or whose proxy is reloaded,
costs its buyers a retry, and no order."""

import http.client
import json
import threading
import time
import urllib.parse
import uuid

import harness
from harness import wait_until
from harness_daemon import Daemon
from harness_front import COMMANDS, Front, needs

BUYERS = 8
EACH = 8                            # orders that each gets between two troubles
AGAIN = {0, 502, 503, 504}          # the same order is sent again; 0: the connection ended


class Buyer(threading.Thread):
    """Sends one order after the other on one connection, each until it is accepted."""

    def __init__(self, url, token, sku, over):
        super().__init__()
        self.accepted, self.statuses = {}, {}       # by key, the id that was told; by status, how often it came
        self._target, self._over = urllib.parse.urlsplit(url), over
        self._headers = {"Authorization": "Bearer " + token, "Content-Type": "application/json"}
        self._body = json.dumps({"sku": sku, "quantity": 1, "payment_method": "pm_card_visa"})
        self._connection = self._connect()

    def _connect(self):
        return http.client.HTTPConnection(self._target.hostname, self._target.port, timeout=20)

    def run(self):
        while not self._over.is_set():
            key = uuid.uuid4().hex
            while not self._send(key):
                time.sleep(0.05)
        self._connection.close()

    def _send(self, key):
        """Whether this order needs no further try."""
        status = 0
        try:
            self._connection.request("POST", "/v1/orders", self._body, {**self._headers, "Idempotency-Key": key})
            answer = self._connection.getresponse()
            status, text = answer.status, answer.read()
        except (OSError, http.client.HTTPException):
            self._connection.close()
            self._connection = self._connect()
        self.statuses[status] = self.statuses.get(status, 0) + 1
        if status == 202:
            self.accepted[key] = json.loads(text)["id"]
        return status not in AGAIN


class Restarts(harness.TestCase):
    daemons = ("sandbox", "consumer", "producer", "notifier")

    def another(self, end):
        """Ends the producer by `end`; a new one listens where it did."""
        producer = self.stack.daemon("producer")
        end(producer)
        self.stack.start_again(producer)

    def more(self, buyers):
        """Each of them buys some more."""
        before = [len(buyer.accepted) for buyer in buyers]
        wait_until(lambda: all(len(buyer.accepted) > had + EACH for buyer, had in zip(buyers, before)), 30,
                   lambda: f"orders to be accepted: {[buyer.statuses for buyer in buyers]}")

    def buy_through(self, front, sku):
        over = threading.Event()
        buyers = [Buyer(front.url, self.stack.token(f"buyer-{n}"), sku, over) for n in range(BUYERS)]
        for buyer in buyers:
            buyer.start()
        try:
            for trouble in (lambda: self.another(Daemon.stop), lambda: self.another(Daemon.kill), front.reload):
                self.more(buyers)
                trouble()
            self.more(buyers)
        finally:
            over.set()
            for buyer in buyers:
                buyer.join()
        return buyers

    def test_no_order_is_lost_and_none_is_there_twice(self):
        for kind in COMMANDS:
            with self.subTest(kind=kind):
                needs(kind)
                front, sku = Front(kind, self.stack.daemon("producer"), self.stack.daemon("notifier")), self.stack.item(stock=100000)
                self.addCleanup(front.close)
                buyers = self.buy_through(front, sku)
                self.assertLessEqual({status for buyer in buyers for status in buyer.statuses}, AGAIN | {202})
                told = sorted(order for buyer in buyers for order in buyer.accepted.values())
                wait_until(lambda: self.stack.counts(sku)[2] == len(told), 60, f"{len(told)} units to be sold")
                rows = self.stack.sql("select order_id::text, status from orders where sku = %s", (sku,))
                self.assertEqual(sorted(rows), [(order, "confirmed") for order in told])


if __name__ == "__main__":
    harness.main()
