"""What is on sale, and what the buyers want. Items come and go, so that lines form all the time."""

import collections
import json
import random
import uuid

import psycopg2

import chaos_told
from harness import shard_of
from harness_modes import DECLINES, PAYS, PAYS_LATER, used_once

ACTS = "pm_card_authenticationRequired"     # these buyers do not act
DECLINING = (*DECLINES, ACTS)
PAYING = (PAYS, PAYS, PAYS, "pm_card_mastercard", PAYS_LATER)
ONCE, ONCE_SHARE = 400, 0.1     # payment methods that are used up by their first payment; the share of buyers with them
DROPS = 6            # so many of the newest drops are wanted
AMPLE = 3
USERS = 80


class Wish:
    """One order that a buyer wants, under one key."""

    __slots__ = ("user", "key", "sku", "body", "facts", "first", "order", "tries")

    def __init__(self, user, sku, quantity, method, rng):
        self.user, self.key, self.sku = user, uuid.uuid4().hex, sku
        self.body = json.dumps({"sku": sku, "quantity": quantity, "payment_method": method,
                                "receipt_email": chaos_told.address(rng, self.key)}).encode()
        self.facts = {"user": user, "key": self.key, "sku": sku, "quantity": quantity, "method": method}
        self.first = self.order = None
        self.tries = 0


class Market:
    """`url()`: of the database now. `stock_up` may be called from any one thread; `wish` from another."""

    def __init__(self, url, seed, gateway):
        self._url, self._gateway = url, gateway
        self._random = random.Random(f"market {seed}")
        self._stocking = random.Random(f"stock {seed}")
        self._connection = None
        self._number = 0
        self.users = [f"buyer-{n}" for n in range(USERS)]
        self._ample = []
        self._drops = collections.deque(maxlen=DROPS)
        self._methods = []
        self.once = []      # used up by their first payment

    def open(self):
        self.once = [used_once(self._gateway) for _ in range(ONCE)]
        self._methods = list(self.once)
        for number in range(AMPLE):
            self._ample.append(self._item(f"ample-{number}", 10_000_000, None))
        self.stock_up()

    def stock_up(self):
        """A new drop: something unique, something limited, something with a limit for each buyer."""
        rng = self._stocking
        self._number += 1
        stocks = ((f"unique-{self._number}", 1, None),
                  (f"limited-{self._number}", rng.randint(4, 30), None),
                  (f"fair-{self._number}", rng.randint(5, 25), rng.randint(1, 3)))
        self._drops.append([self._item(*stock) for stock in stocks])

    def _item(self, sku, stock, limit):
        try:
            if self._connection is None:
                self._connection = psycopg2.connect(self._url(), connect_timeout=3)
                self._connection.autocommit = True
            with self._connection.cursor() as cursor:
                cursor.execute("select shards from checkout.service")
                shards = cursor.fetchone()[0]
                cursor.execute(     # one transaction
                    "select checkout.hold_shards(%s); "
                    "insert into checkout.items (sku, shard, title, price, currency, stock, limit_per_user,"
                    " gate) values (%s, %s, %s, %s, 'usd', %s, %s, %s)",
                    (shards, sku, shard_of(sku, shards), sku, self._stocking.randint(100, 50000), stock, limit,
                     self._stocking.choice(("none", "none", "none", "soldout"))))
        except psycopg2.Error:
            self.close()
            raise
        return sku

    def wish(self):
        rng = self._random
        if not self._drops or rng.random() < 0.25:
            sku = rng.choice(self._ample)
        else:
            drop = self._drops[-1 - min(int(rng.expovariate(0.7)), len(self._drops) - 1)]
            sku = rng.choice(drop)
        quantity = 1 if sku.startswith("unique") or rng.random() < 0.7 else rng.randint(1, 4)
        if rng.random() < 0.35:
            method = DECLINES[0] if rng.random() < 0.7 else rng.choice(DECLINING)
        elif self._methods and rng.random() < ONCE_SHARE:
            method = self._methods.pop()
        else:
            method = rng.choice(PAYING)
        return Wish(rng.choice(self.users), sku, quantity, method, rng)

    def close(self):
        if self._connection is not None:
            self._connection.close()
            self._connection = None
