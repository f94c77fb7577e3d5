"""The bed that everything is measured on: private servers, our daemons, the loads and the baseline."""

import json
import os
import subprocess
import sys
import time
import urllib.parse

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
sys.path[:0] = [HERE, os.path.join(ROOT, "tests", "integration")]

from bench_facts import unsynced_pages  # noqa: E402
from harness_daemon import program  # noqa: E402
from harness_stack import Stack  # noqa: E402

BUYERS = 5000
SPREAD_ITEMS = 10000
LISTENERS = 300
METHOD = "pm_card_visa"
TICK = os.sysconf("SC_CLK_TCK")
ROW_LOCK_CLIENTS = (1, 8, 32)


class Bed:
    """`close` stops what it started. Each load has keys of its own, so that no order is a repeat."""

    def __init__(self, shards=16):
        # as with a Redis that has been up for a day: of a young one PostgreSQL is asked about each order
        self.stack = Stack("bench", shards=shards, settings={"CHECKOUT_REDIS_VOUCHES_AFTER": "0s"})
        self._loads = 0
        self._items = 0     # bench-000000 and so on
        self._written = {}
        self.ledger_synced = "not checked: no payment, or a kernel before 6.5"
        self.tokens = self._write_tokens("tokens", BUYERS)
        self.listener_tokens = self._write_tokens("listener-tokens", LISTENERS)
        self.producer = self.stack.start("producer")
        self.sandbox = self.stack.start("sandbox")
        self.run_sql_file("row_lock_tables.sql")

    def close(self):
        self.stack.close()

    def _write_tokens(self, name, count):
        path = os.path.join(self.stack.directory, name)
        with open(path, "w", encoding="ascii") as sink:
            for number in range(count):
                sink.write(self.stack.token(f"buyer-{number:06d}", lifetime=86400) + "\n")
        return path

    def customer_tokens(self, count):
        """A file with the tokens of so many customers."""
        name = f"tokens-of-{count}"
        if name not in self._written:
            self._written[name] = self._write_tokens(name, count)
        return self._written[name]

    # -- the servers -----------------------------------------------------------------------------

    @property
    def database_url(self):
        return self.stack.direct["CHECKOUT_DATABASE_URL"]

    def run_sql_file(self, name):
        subprocess.run(["psql", "-q", "-v", "ON_ERROR_STOP=1", "-f", os.path.join(HERE, *name.split("/")),
                        self.database_url], check=True, stdout=subprocess.DEVNULL,
                       stderr=subprocess.DEVNULL)

    def fresh(self, items=0, stock=0):
        """Empty tables and queues, `items` items with `stock` units of each."""
        self.stack.sql("truncate orders, order_events, payments, waitlist, customer_units")
        self.stack.sql("delete from items")
        self.stack.redis().flushall()
        self.stack.broker.purge()
        self._items = 0
        self.sell(items, stock)
        self.stack.sql("vacuum analyze items")
        self.stack.sql("checkpoint")  # so that none falls into one sample and not into another

    def sell(self, items, stock=0):
        """So many items at least; new ones have `stock` units. The door refuses what does not exist."""
        # the shard of each item is a hash that SQL does not have
        skus = [f"bench-{number:06d}" for number in range(self._items, items)]
        self._items = max(items, self._items)
        if skus:
            self.stack.sql(
                "insert into items (sku, shard, title, price, currency, stock, gate) "
                "select sku, shard, sku, 1999, 'usd', %s, 'none' "
                "from unnest(%s, %s::integer[]) as t(sku, shard)",
                (stock, skus, [self.stack.shard(sku) for sku in skus]))

    def sold_out(self, sku):
        """What the door knows of an item that is sold out, as long as its owner says so."""
        self.stack.redis().set("checkout:gate:" + sku, "soldout:sold")

    # -- loads -----------------------------------------------------------------------------------

    def tool(self, name, *arguments):
        done = subprocess.run([program("checkout-bench-" + name), *map(str, arguments)], text=True,
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        if done.returncode != 0:
            raise RuntimeError(f"checkout-bench-{name}: {done.stderr.strip()}")
        return json.loads(done.stdout)

    def prefix(self):
        self._loads += 1
        return f"bench-{self._loads:04d}"

    def raw_confirm(self, window, messages):
        """Messages a second that a bare publisher has confirmed."""
        result = self.tool("raw-confirm", self.stack.direct["CHECKOUT_AMQP_URL"], window, messages)
        return result["accepted"] / result["seconds"]

    def try_load(self, connections, orders, items, address=None):
        """Orders over HTTP, to the producer if to no other address; the load's result."""
        self.sell(items)
        address = address or urllib.parse.urlsplit(self.producer.url).netloc
        return self.tool("load", address, connections, orders, items, self.tokens, self.prefix(), METHOD)

    def load(self, connections, orders, items, address=None):
        """The same; every one of them is accepted."""
        result = self.try_load(connections, orders, items, address)
        if result["accepted"] != orders:
            raise RuntimeError(f"not every order was accepted: {result['statuses']}")
        return result

    def steady(self, orders, rate, items, doors=None):
        """Orders at a steady rate by buyers who listen; `doors`: where to order and to listen, if not at our daemons."""
        doors = doors or [urllib.parse.urlsplit(self.stack.daemon(name).url).netloc for name in ("producer", "notifier")]
        result = self.tool("outcome", *doors, orders, rate, items, self.listener_tokens,
                            self.prefix(), METHOD)
        if result["finished"] != orders:
            raise RuntimeError(f"only {result['finished']} of {orders} orders ended at their buyer")
        return result

    def listeners(self):
        """Buyers who only listen, as a process that ends with SIGTERM."""
        doors = [urllib.parse.urlsplit(self.stack.daemon(name).url).netloc
                 for name in ("producer", "notifier")]
        process = subprocess.Popen(
            [program("checkout-bench-outcome"), *doors, "0", "1", "1", self.listener_tokens,
             self.prefix(), METHOD], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
        if process.stderr.readline() != "listening\n":
            raise RuntimeError("the listeners did not come up")
        return process

    # -- our counter -----------------------------------------------------------------------------

    def drain(self, orders):
        """Starts a consumer on filled queues, waits until every order is final.

        Returns (orders a second, CPU microseconds of the consumer per order). The clock runs from
        the first decision's transaction until this process sees the last order final.
        """
        before = self.stack.one("select last_value from event_ids")
        consumer = self.stack.start("consumer")
        try:
            end = self.wait_final(orders, before, consumer)
            start = self.stack.one("select extract(epoch from min(created_at))::float8 from orders")
            used = cpu_seconds(consumer.pid)
        finally:
            consumer.stop()
        return orders / (end - start), used * 1e6 / orders

    def check_ledger(self):
        """Every charge that was answered must be on the disk, not only on its way there."""
        pages = unsynced_pages(os.path.join(self.stack.directory, "ledger"))
        if pages:
            raise RuntimeError(f"{pages} pages of the gateway's ledger were answered but not synced")
        if pages == 0:
            self.ledger_synced = "synced: no page of it was dirty after the payments"

    def wait_final(self, orders, before, consumer, patience=180):
        """The wall-clock time at which all were final."""
        deadline = time.monotonic() + patience
        while time.monotonic() < deadline:
            if not consumer.running():
                raise RuntimeError("the consumer has ended: " + consumer.log_text().decode()[-2000:])
            if self.may_be_final(orders, before):
                now = time.time()   # before counting, and not before it could be true
                if self.finals() >= orders:
                    return now
            time.sleep(0.02)
        raise RuntimeError(f"{self.finals()} of {orders} orders were final after {patience} s")

    def may_be_final(self, orders, before):
        """So many orders can have ended since event `before`. Cheap: counting costs the machine that is measured."""
        if self.stack.one("select last_value from event_ids") - before < orders:
            return False
        return not self.stack.one(    # by their indexes: where no order is asked for, PostgreSQL reads the tables
            "select coalesce((select true from waitlist order by shard, expires_at limit 1), "
            "(select true from payments where state = 'open' order by shard, created_at limit 1), false)")

    def finals(self):
        return self.stack.one("select count(*) from orders where status in ('confirmed', 'rejected')")

    # -- the baseline ----------------------------------------------------------------------------

    def row_lock(self, items, stock, transactions, clients):
        """Orders a second that `clients` sessions decide with the item's row locked."""
        self.stack.sql("truncate row_lock.orders, row_lock.items")
        self.stack.sql("insert into row_lock.items select i, %s from generate_series(1, %s) i",
                       (stock, items))
        self.stack.sql("vacuum analyze row_lock.items, row_lock.orders")
        self.stack.sql("checkpoint")
        done = subprocess.run(
            ["pgbench", "-n", "-M", "prepared", "-f", os.path.join(HERE, "row_lock.sql"),
             "-D", f"items={items}", "-c", str(clients), "-j", str(min(clients, 2)),
             "-t", str(transactions // clients), self.database_url],
            text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        if done.returncode != 0:
            raise RuntimeError("pgbench: " + done.stderr.strip())
        decided = self.stack.one("select count(*) from row_lock.orders")
        if decided != transactions // clients * clients:
            raise RuntimeError(f"pgbench decided {decided} orders of {transactions}")
        for line in done.stdout.splitlines():
            if line.startswith("tps = "):
                return float(line.split()[2])
        raise RuntimeError("pgbench printed no rate: " + done.stdout)


def cpu_seconds(pid):
    """User and system time of a process so far."""
    with open(f"/proc/{pid}/stat", encoding="ascii") as stat:
        fields = stat.read().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICK
