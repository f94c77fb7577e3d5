"""What the operators' page costs the drain: the same paid orders with a console that one browser asks as often as the page
does, and without, beside a million orders of before, of which a fifth wait."""

import collections
import os
import threading
import time
import urllib.error
import urllib.request

from harness_keys import ProviderKey, publish

UNITS = {"watched_vs_not": "ratio"}
FLOORS = {"watched_vs_not": (0.9, None)}
ITEMS = 1000
BEFORE = 1000000
WAITING = BEFORE // 5
ASK_S = 1.5

# Orders of before: they have ended, and a fifth waits for an item that has none left.
ENDED = """
    with made as (
        insert into orders (order_id, user_id, sku, shard, quantity, status, amount, currency, fingerprint, sequence,
                            accepted_at, created_at, updated_at)
        select gen_random_uuid(), 'user-' || n %% 50000, 'bench-before', %s, 1, 'confirmed', 1999, 'usd', 'f', 1, at, at, at
          from (select n, now() - (%s - n) * interval '7 ms' - interval '1 minute' as at from generate_series(1, %s) n) t
        returning order_id, shard, status, created_at)
    insert into order_events (shard, order_id, sequence, status, created_at)
    select shard, order_id, 1, status, created_at from made"""
WAIT = """
    with made as (
        insert into orders (order_id, user_id, sku, shard, quantity, status, amount, currency, fingerprint, payment_method,
                            ticket, sequence, accepted_at)
        select gen_random_uuid(), 'user-' || n %% 50000, 'bench-before', %s, 1, 'waiting', 1999, 'usd', 'f', 'pm_card_visa',
               n, 1, now() from generate_series(1, %s) n
        returning order_id, shard, ticket),
    said as (insert into order_events (shard, order_id, sequence, status, place_in_line)
             select shard, order_id, 1, 'waiting', ticket from made)
    insert into waitlist (sku, ticket, order_id, shard, quantity, expires_at)
    select 'bench-before', ticket, order_id, shard, 1, now() + interval '1 day' from made"""


class Watching:
    """A browser with the page open: it asks as the page does, one answer after the other."""

    def __init__(self, stack):
        key, path = ProviderKey("ES256", "bench"), os.path.join(stack.directory, "console-jwks.json")
        publish(path, key.jwk())
        self.console = stack.start("console", CHECKOUT_CONSOLE_JWKS_FILE=path)
        self.token = key.token("bench", aud="checkout-console", scope="operator", exp=int(time.time()) + 3600)
        self.answers, self._ended = 0, threading.Event()
        self._thread = threading.Thread(target=self._ask)

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._ended.set()
        self._thread.join()
        self.console.stop()

    def _ask(self):
        asked = 0
        while not self._ended.wait(ASK_S):
            names = ("overview", "history") if asked % 7 == 0 else ("overview",)
            for name in names:
                request = urllib.request.Request(f"{self.console.url}/v1/ops/{name}", headers={"Authorization": "Bearer " + self.token})
                try:
                    with urllib.request.urlopen(request, timeout=10) as answer:
                        answer.read()
                    self.answers += 1
                except urllib.error.URLError:
                    pass        # it may not be up yet
            asked += 1


class ConsoleFigures:
    """A group of Measure (bench_figures.py), which brings bed, orders, tell and add."""

    def console(self):
        orders = max(2000, self.orders // 2)        # the gateway takes each of them
        rates = collections.defaultdict(list)
        self.bed.fresh(ITEMS, orders * 4)
        self.tell(f"{BEFORE} orders of before")
        self._fill_before()
        for which in ("alone", "watched", "watched", "alone"):
            self.tell(f"{orders} paid orders, {which}")
            self.bed.load(256, orders, ITEMS)
            rates[which].append(self._drain_watched(orders, which == "watched"))
        self.add("watched_vs_not", sum(rates["watched"]) / sum(rates["alone"]))

    def _fill_before(self):
        stack = self.bed.stack
        shard = stack.shard("bench-before")
        stack.sql("insert into items (sku, shard, title, price, currency, stock, held, waiting, next_ticket, gate) "
                  "values ('bench-before', %s, 'x', 1999, 'usd', 1, 1, %s, %s, 'none')", (shard, WAITING, WAITING + 1))
        stack.sql(ENDED, (shard, BEFORE - WAITING, BEFORE - WAITING))
        stack.sql(WAIT, (shard, WAITING))
        for table in ("orders", "order_events", "waitlist"):
            stack.sql("vacuum analyze " + table)
        stack.sql("checkpoint")

    def _drain_watched(self, orders, watched):
        before = self.bed.stack.one("select last_value from event_ids")
        began = self.bed.stack.one("select now()")
        if not watched:
            return self._drain_rate(orders, before, began)
        with Watching(self.bed.stack) as watching:
            rate = self._drain_rate(orders, before, began)
        if watching.answers == 0:
            raise RuntimeError("the console has answered nothing")
        return rate

    def _drain_rate(self, orders, before, began):
        """Orders a second, from the first decision to the last end."""
        stack = self.bed.stack
        consumer = stack.start("consumer")
        try:
            deadline = time.monotonic() + 180
            while self._confirmed_since(began) < orders:
                if time.monotonic() > deadline or not consumer.running():
                    raise RuntimeError(f"{self._confirmed_since(began)} of {orders} orders were final")
                time.sleep(0.05)
            first, last = stack.sql("select extract(epoch from min(created_at))::float8, extract(epoch from max(created_at))::float8 "
                                    "from order_events where event_id > %s", (before,))[0]
        finally:
            consumer.stop()
        return orders / (last - first)

    def _confirmed_since(self, since):
        return self.bed.stack.one("select count(*) from order_events where status = 'confirmed' and created_at > %s", (since,))


# group → (the figures that it gives, whether it is measured in rounds)
GROUPS = {"console": (("watched_vs_not",), True)}
