"""Measures the classic ways to sell a limited item side by side, and Checkout beside them: what `run` starts.

Same servers, same gateway, same crowds: everybody clicks at once, and each buyer's wait is taken from
the click to the final answer. The rivals are blocking backends with one database connection a worker
and without HTTP in front, which is to their advantage; Checkout is measured from the POST to the event
at the buyer's websocket. A buyer without an answer after the patience has left.

Prints a table; with --write also docs/strategies.md's figures and docs/strategies.svg.
"""

import argparse
import json
import os
import subprocess
import sys
import time
import urllib.parse

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(os.path.dirname(HERE)))
sys.path[:0] = [HERE, os.path.join(ROOT, "tests", "bench"), os.path.join(ROOT, "tests", "integration")]

RIVALS = ("race", "row-lock", "row-lock-short", "skip-locked", "redis-lock")
CROWDS = {  # items, units of each, buyers
    "one dress": (1, 1, 200),
    "100 passes": (1, 100, 1000),
    "10,000 items": (10000, 1, 5000),
}
LATENCIES_MS = (0, 100, 2000)
PATIENCE_S = 30
WORKERS = 64            # database connections of a rival, and connections to our API
INFLIGHT = 1000         # payments in flight at a consumer of ours: they hold no database connection


def parse():
    parser = argparse.ArgumentParser(prog="tests/bench/strategies/run", add_help=False)
    parser.add_argument("--only", nargs="+", choices=[*RIVALS, "queue"])
    parser.add_argument("--crowd", nargs="+", choices=list(CROWDS))
    parser.add_argument("--latency", nargs="+", type=int, default=list(LATENCIES_MS), metavar="MS")
    parser.add_argument("--no-crash", action="store_true")
    parser.add_argument("--write", action="store_true")
    return parser.parse_args()


def use_release():
    """The release build of this checkout, unless CHECKOUT_BUILD_DIR names another one."""
    if "CHECKOUT_BUILD_DIR" not in os.environ:
        for command in (["cmake", "--preset", "release"], ["cmake", "--build", "--preset", "release"]):
            done = subprocess.run(command, cwd=ROOT, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
            if done.returncode != 0:
                sys.exit(f"{' '.join(command)} failed:\n{done.stdout[-4000:]}")
        os.environ["CHECKOUT_BUILD_DIR"] = os.path.join(ROOT, "build", "release")


def tell(text):
    print(text, file=sys.stderr, flush=True)


class Bed:
    """Servers, a gateway that is new for each run, and the shop's tables."""

    def __init__(self):
        from harness_stack import Stack
        self.stack = Stack("strategies", shards=16, settings={"CHECKOUT_GATEWAY_INFLIGHT": INFLIGHT})
        self.runs = 0
        self.sandbox = None
        self.tokens = os.path.join(self.stack.directory, "tokens")
        with open(self.tokens, "w", encoding="ascii") as sink:
            sink.writelines(self.stack.token(f"buyer-{number:04d}", lifetime=86400) + "\n" for number in range(1000))

    def close(self):
        self.stack.close()

    def gateway(self, latency_ms):
        """A gateway with an empty book."""
        if self.sandbox is not None:
            self.sandbox.stop()
        self.runs += 1
        self.stack.sandbox_options = ("--latency", str(latency_ms))
        self.sandbox = self.stack.start(
            "sandbox", CHECKOUT_SANDBOX_LEDGER=os.path.join(self.stack.directory, f"ledger-{self.runs}"))

    def captures(self):
        """order → captures, from the gateway's list."""
        found, after = {}, ""
        while True:
            page = self.stack.gateway.call("GET", f"/v1/payment_intents?limit=100{after}").json
            for intent in page["data"]:
                if intent["status"] == "succeeded":
                    order = intent["metadata"]["order_id"]
                    found[order] = found.get(order, 0) + 1
            if not page["has_more"]:
                return found
            after = f"&starting_after={page['data'][-1]['id']}"

    def sessions(self):
        return self.stack.one("select count(*) from pg_stat_activity where datname = current_database() "
                              "and backend_type = 'client backend' and pid <> pg_backend_pid()")


def redis_address(url):
    """[PASSWORD@]HOST:PORT of a URL."""
    parts = urllib.parse.urlsplit(url)
    return (f"{parts.password}@" if parts.password else "") + f"{parts.hostname}:{parts.port}"


class Rival:
    """One of the strategies of strategy.c."""

    def __init__(self, bed, name, crowd, lock_ms=30000):
        self.bed, self.name, self.lock_ms = bed, name, lock_ms
        self.items, self.stock, self.buyers = CROWDS[crowd]

    def prepare(self):
        url = self.bed.stack.direct["CHECKOUT_DATABASE_URL"]
        subprocess.run(["psql", "-qX", "-v", "ON_ERROR_STOP=1", "-f", os.path.join(HERE, "shop.sql"), url], check=True,
                       stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        self.bed.stack.sql("insert into rival.items select i, %s from generate_series(0, %s) i",
                           (self.stock, self.items - 1))
        self.bed.stack.sql("insert into rival.units (item, unit) select i, u from generate_series(0, %s) i, "
                           "generate_series(1, %s) u", (self.items - 1, self.stock))
        self.bed.stack.sql("vacuum analyze rival.items, rival.units")
        self.bed.stack.redis().flushall()

    def command(self):
        direct = self.bed.stack.direct
        return [os.path.join(os.environ["CHECKOUT_BUILD_DIR"], "bin", "checkout-bench-strategies"), "--strategy",
                self.name, "--buyers", str(self.buyers), "--items", str(self.items), "--workers", str(WORKERS),
                "--database", direct["CHECKOUT_DATABASE_URL"], "--redis",
                redis_address(direct["CHECKOUT_REDIS_URL"]), "--gateway",
                self.bed.stack.settings["CHECKOUT_GATEWAY_URL"], "--key", self.bed.stack.secrets["GATEWAY_KEY"],
                "--lock-ms", str(self.lock_ms), "--patience", str(PATIENCE_S)]

    def start(self):
        return subprocess.Popen(self.command(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    @staticmethod
    def result(process):
        out, err = process.communicate()
        if process.returncode != 0:
            raise RuntimeError(f"checkout-bench-strategies: {err.strip()}")
        return json.loads(out)

    def sold(self):
        return self.bed.stack.one("select count(*) from rival.orders where status = 'sold'")

    def oversold(self):
        return self.bed.stack.one(
            "select coalesce(sum(greatest(sold - %s, 0)), 0)::integer from (select count(*) as sold from rival.orders "
            "where status = 'sold' group by item) i", (self.stock,))

    def orders_sold(self):
        return {f"rival-{row[0]}" for row in self.bed.stack.sql("select order_id from rival.orders where status = 'sold'")}

    def run(self):
        self.prepare()
        process = self.start()
        sessions = watch(self.bed, process)
        return {**self.result(process), "sessions": sessions}

    def run_with_crash(self):
        """Dies when a third of the units is sold; comes back at once, and everybody clicks again."""
        self.prepare()
        process = self.start()
        wait(lambda: self.sold() >= self.stock // 3 or process.poll() is not None, 60)
        process.kill()
        process.communicate()
        process = self.start()
        sessions = watch(self.bed, process)
        return {**self.result(process), "sessions": sessions}


class Queue:
    """Checkout as it is: one producer, two consumers, one notifier."""

    name = "queue"

    def __init__(self, bed, crowd, gate="none"):
        self.bed, self.gate = bed, gate
        self.items, self.stock, self.buyers = CROWDS[crowd]

    def prepare(self):
        stack = self.bed.stack
        for name in ("producer", "consumer", "consumer", "notifier"):
            if sum(d.name == "checkout-" + name and d.running() for d in stack.daemons) < (2 if name == "consumer" else 1):
                stack.start(name)
        skus = [f"bench-{number:06d}" for number in range(self.items)]
        stack.sql("truncate orders, order_events, payments, waitlist" if has_waitlist(stack) else
                  "truncate orders, order_events, payments, line")
        stack.sql("delete from items")
        stack.redis().flushall()
        stack.sql("insert into items (sku, shard, title, price, currency, stock, gate) "
                  "select sku, shard, sku, 1999, 'usd', %s, %s from unnest(%s, %s::integer[]) as t(sku, shard)",
                  (self.stock, self.gate, skus, [stack.shard(sku) for sku in skus]))
        stack.sql("vacuum analyze items")
        if self.gate != "none":
            wait(lambda: stack.redis().exists("checkout:gate:bench-000000"), 15)

    def start(self):
        doors = [urllib.parse.urlsplit(self.bed.stack.daemon(name).url).netloc for name in ("producer", "notifier")]
        return subprocess.Popen(
            [os.path.join(os.environ["CHECKOUT_BUILD_DIR"], "bin", "checkout-bench-outcome"), *doors, str(self.buyers),
             "1000000", str(self.items), self.bed.tokens, f"run-{self.bed.runs}", "pm_card_visa", str(PATIENCE_S)],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    @staticmethod
    def result(process):
        out, err = process.communicate()
        if process.returncode != 0:
            raise RuntimeError(f"checkout-bench-outcome: {err.strip()}")
        told = json.loads(out)
        return {**told, "answered": told["finished"], "seconds": told["max_us"] / 1e6}

    def sold(self):
        return self.bed.stack.one("select count(*) from orders where status = 'confirmed'")

    def oversold(self):
        return self.bed.stack.one(
            "select coalesce(sum(greatest(sold - %s, 0)), 0)::integer from (select count(*) as sold from orders "
            "where status = 'confirmed' group by sku) i", (self.stock,))

    def orders_sold(self):
        return {row[0] for row in self.bed.stack.sql("select order_id::text from orders where status = 'confirmed'")}

    def run(self):
        self.prepare()
        process = self.start()
        sessions = watch(self.bed, process)
        result = self.result(process)
        return {**result, "no_answer": self.buyers - result["answered"], "sessions": sessions}

    def run_with_crash(self):
        """One of the two consumers dies when a third is sold; the other one takes its shards over."""
        self.prepare()
        shard = self.bed.stack.shard("bench-000000")
        process = self.start()
        wait(lambda: self.sold() >= self.stock // 3 or process.poll() is not None, 60)
        self.owner(shard).kill()
        sessions = watch(self.bed, process)
        result = self.result(process)
        return {**result, "no_answer": self.buyers - result["answered"], "sessions": sessions}

    def owner(self, shard):
        consumers = [d for d in self.bed.stack.daemons if d.name == "checkout-consumer" and d.running()]
        from harness_client import http_call
        for consumer in consumers:
            text = http_call(consumer.admin, "GET", "/metrics").body.decode()
            if f'checkout_shard_owned{{shard="{shard}"}} 1' in text:
                return consumer
        raise RuntimeError(f"no consumer owns shard {shard}")


def has_waitlist(stack):
    return stack.one("select to_regclass('checkout.waitlist') is not null")


def wait(condition, seconds):
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise RuntimeError(f"nothing happened for {seconds} s")
        time.sleep(0.01)


def watch(bed, process):
    """The most database sessions that were seen until the process ended."""
    most = 0
    while process.poll() is None:
        most = max(most, bed.sessions())
        try:
            process.wait(0.2)
        except subprocess.TimeoutExpired:
            pass
    return most


def judge(bed, seller, latency_ms, crash=False):
    """One row of the table."""
    bed.gateway(latency_ms)
    told = seller.run_with_crash() if crash else seller.run()
    captures, sold = bed.captures(), seller.orders_sold()
    return {"strategy": seller.name, "latency_ms": latency_ms, "buyers": seller.buyers, "units": seller.items * seller.stock,
            "answered": told["answered"], "no_answer": told["no_answer"],
            "answers_per_s": round(told["answered"] / max(told["seconds"], 0.001), 1),
            "p50_ms": round(told["p50_us"] / 1000, 1), "p99_ms": round(told["p99_us"] / 1000, 1),
            "first_answer_p50_ms": round(told["answer_p50_us"] / 1000, 1) if told.get("answer_p50_us") else None,
            "sold": seller.sold(), "oversold": seller.oversold(),
            "charged_twice": sum(count > 1 for count in captures.values()),
            "charged_not_sold": len(set(captures) - sold), "sessions": told["sessions"]}


COLUMNS = (("strategy", "strategy", 22), ("p50_ms", "p50 ms", 9), ("p99_ms", "p99 ms", 9), ("first_answer_p50_ms", "202 ms", 8),
           ("answers_per_s", "per s", 10), ("no_answer", "left", 6), ("sold", "sold", 6), ("oversold", "oversold", 9),
           ("charged_twice", "paid twice", 11), ("charged_not_sold", "paid only", 14), ("sessions", "sessions", 12))


def cell(row, name):
    value = row.get(name)
    if value is None:
        return "–"
    return f"{value:,.1f}" if isinstance(value, float) else f"{value:,}" if isinstance(value, int) else str(value)


def print_table(title, rows):
    print(f"\n{title}")
    print("".join(f"{head:>{width}}" if i else f"{head:<{width}}" for i, (_, head, width) in enumerate(COLUMNS)))
    for row in rows:
        print("".join(f"{cell(row, name):>{width}}" if i else f"{cell(row, name):<{width}}"
                      for i, (name, _, width) in enumerate(COLUMNS)), flush=True)


def sellers(bed, wanted, crowd):
    for name in RIVALS:
        if name in wanted:
            yield Rival(bed, name, crowd)
    if "queue" in wanted:
        yield Queue(bed, crowd)


def special(bed, wanted):
    """What the third solution needs to be told apart: locks that end too early, and Checkout's own gate."""
    rows = []
    if "redis-lock" in wanted:
        short = Rival(bed, "redis-lock", "one dress", lock_ms=500)
        rows.append({**judge(bed, short, 2000), "strategy": "lock of 500 ms"})
    if "queue" in wanted:
        rows.append({**judge(bed, Queue(bed, "one dress", gate="lock"), 100), "strategy": "queue, gate `lock`"})
    return rows


def main():
    arguments = parse()
    use_release()
    wanted = arguments.only or [*RIVALS, "queue"]
    bed = Bed()
    tables = {}
    try:
        for crowd in arguments.crowd or CROWDS:
            for latency in arguments.latency:
                title = f"{crowd}, a gateway of {latency} ms"
                tell(title)
                tables[title] = [judge(bed, seller, latency) for seller in sellers(bed, wanted, crowd)]
                print_table(title, tables[title])
        if not arguments.no_crash:
            title = "100 passes, 100 ms, and kill -9 when a third is sold"
            tell(title)
            tables[title] = [judge(bed, seller, 100, crash=True) for seller in sellers(bed, wanted, "100 passes")]
            print_table(title, tables[title])
            title = "Locks in Redis that end before the payment does, and Checkout's gate"
            tell(title)
            tables[title] = special(bed, wanted)
            print_table(title, tables[title])
    finally:
        bed.close()
    if arguments.write:
        import strategies_page
        strategies_page.write(ROOT, tables, COLUMNS, cell)


if __name__ == "__main__":
    main()
