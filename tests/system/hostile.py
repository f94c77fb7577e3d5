#!/usr/bin/python3
"""One customer with one token tries to stop a shard; an honest buyer of another item there hardly notices.

    tests/system/hostile.py [--orders 190000] [--past 1000000] [--shards 2]

The hostile one orders items that do not exist, which the API refuses, and then, where it has lost PostgreSQL, as fast as
it accepts them; then, for a second, an item with a limit per customer; then the honest buyer orders another item of that shard. Once with these orders alone as the
hostile one's past, once with a million more. The honest order must be confirmed within 1 s beyond the backlog that was
accepted before it, and the backlog must be decided no slower than that of a new customer, within 2 times. Exit code 1
if it is not so.
"""

import argparse
import json
import os
import subprocess
import sys
import time
import urllib.parse

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path.insert(0, os.path.join(ROOT, "tests", "integration"))

import harness  # noqa: E402
from harness_daemon import program  # noqa: E402

CONNECTIONS = 64
HOT = "bench-000000"        # what the load orders if it orders one item
BEYOND_S = 1
SLOWER = 2
NOISE_S = 0.5               # of so short a measurement


class Broken(Exception):
    pass


class Scene:
    def __init__(self, shards):
        self.stack = harness.Stack("hostile", shards=shards)
        for name in ("sandbox", "producer", "consumer"):
            self.stack.start(name)
        self.shard = self.stack.shard(HOT)
        self.loads = 0
        self.per_second = 0

    def say(self, text):
        print(text, flush=True)

    def item(self, **columns):
        """On the shard of the hot one."""
        while True:
            sku = f"item-{os.urandom(6).hex()}"
            if self.stack.shard(sku) == self.shard:
                return self.stack.item(sku, **columns)

    def load(self, user, orders, items):
        """Orders of one customer; raises Broken unless each is accepted. Seconds."""
        result = self.send(user, orders, items)
        if result["accepted"] != orders:
            raise Broken(f"not every order was accepted: {result['statuses']}")
        self.per_second = orders / result["seconds"]
        return result["seconds"]

    def send(self, user, orders, items):
        tokens = self.stack.write_secret(f"tokens-{user}", self.stack.token(user, lifetime=86400))
        self.loads += 1
        done = subprocess.run(
            [program("checkout-bench-load"), urllib.parse.urlsplit(self.stack.daemon("producer").url).netloc,
             str(CONNECTIONS), str(orders), str(items), tokens, f"hostile-{self.loads}", "pm_card_visa"],
            text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE, check=False)
        if done.returncode != 0:
            raise Broken(done.stderr.strip())
        return json.loads(done.stdout)

    def decided(self, user):
        return self.stack.one("select count(*) from orders where user_id = %s", (user,))

    def past(self, user, count):
        """Half of these orders are of items that do not exist, half were sold."""
        self.stack.sql(
            "insert into orders (order_id, user_id, sku, shard, quantity, status, reason, amount, currency, fingerprint, "
            "sequence, accepted_at, created_at) select gen_random_uuid(), %s, case n %% 2 when 0 then 'sold' else 'nothing-' || n end, %s, 1, "
            "case n %% 2 when 0 then 'confirmed' else 'rejected' end, case n %% 2 when 1 then 'unknown_item' end, 1000, 'usd', "
            "'f', 2, now() - interval '1 day', now() - interval '1 day' from generate_series(1, %s) n", (user, self.shard, count))

    def attack(self, user, orders):
        """A second of orders of the item with a limit; then the honest one. Returns (how long the backlog took since
        the honest order was sent, how long the honest order took beyond it)."""
        honest, bought = self.item(), self.decided(user)
        self.load(user, orders, 1)
        sent = time.time()
        order = self.stack.order("honest", honest)
        order.wait("confirmed", timeout=120)
        taken = self.stack.one("select extract(epoch from updated_at)::float8 from orders where order_id = %s", (order.id,))
        backlog, count = self.stack.sql(
            "select extract(epoch from max(created_at))::float8, count(*) filter (where sku = %s) from orders "
            "where user_id = %s and shard = %s", (HOT, user, self.shard))[0]
        if count != orders:
            raise Broken(f"{count} of {orders} orders were decided before the honest one")
        behind = max(backlog - sent, 0)
        beyond = taken - max(backlog, sent)
        self.say(f"{user}: {orders} orders of an item with a limit in a second, {bought:,} before; "
                 f"backlog {behind:.2f} s, the honest order {beyond:.2f} s beyond it")
        if beyond > BEYOND_S:
            raise Broken(f"the honest order took {beyond:.2f} s beyond the backlog")
        return behind

    def hot(self):
        """The item with a limit, new."""
        self.stack.sql("delete from customer_units where sku = %s", (HOT,))
        self.stack.sql("delete from orders where sku = %s", (HOT,))
        self.stack.sql("delete from items where sku = %s", (HOT,))
        self.stack.item(HOT, stock=100, limit_per_user=1)

    def run(self, orders, past):
        statuses = self.send("hostile", orders, 1000000)["statuses"]
        refused = statuses.get("404", 0)
        self.say(f"{refused:,} of {orders:,} orders of items that do not exist were refused by the API")
        if refused < orders / 2:
            raise Broken(f"the API takes orders of items that do not exist: {statuses}")
        # Without PostgreSQL a producer does not know which items there are, and takes orders of any.
        blind = self.stack.start("producer", CHECKOUT_DATABASE_URL="postgresql://nobody@127.0.0.1:1/none")
        took = self.load("hostile", orders, 1000000)
        blind.stop()
        self.say(f"{orders:,} orders of items that do not exist in {took:.1f} s ({self.per_second:.0f}/s)")
        second = int(self.per_second)
        self.hot()
        self.attack("hostile", second)      # with what is left of the backlog of items that do not exist
        harness.wait_until(lambda: self.decided("hostile") >= orders, 120, "the backlog to be decided")
        self.hot()
        usual = self.attack("newcomer", second)
        self.past("hostile", past)
        self.hot()
        behind = self.attack("hostile", second)
        if behind > SLOWER * usual + NOISE_S:
            raise Broken(f"the backlog took {behind:.2f} s, that of a newcomer {usual:.2f} s")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--orders", type=int, default=190000)
    parser.add_argument("--past", type=int, default=1000000)
    parser.add_argument("--shards", type=int, default=2)
    options = parser.parse_args()
    scene = Scene(options.shards)
    try:
        scene.run(options.orders, options.past)
        scene.stack.stop_daemons()
    except (Broken, AssertionError) as error:
        scene.stack.keep_logs()
        print(f"BROKEN: {error}; logs are in {scene.stack.directory}", file=sys.stderr)
        return 1
    finally:
        scene.stack.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
