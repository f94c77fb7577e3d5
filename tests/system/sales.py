#!/usr/bin/python3
"""Flash sales in a row, on daemons of their own, optionally with something dying in the middle.

    tests/system/sales.py                       one sale
    tests/system/sales.py --runs 10             ten in a row
    tests/system/sales.py --runs 3 --kill consumer
    tests/system/sales.py --each                one of each kind: plain, consumer, producer, redis, …

Servers and programs are found as the integration tests find them (tests/integration/harness.py). A
line for each sale, a closing line; exit code 1 if any promise broke in any of them.
"""

import argparse
import json
import os
import subprocess
import sys
import time

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path.insert(0, os.path.join(ROOT, "tests", "integration"))

import harness  # noqa: E402

KINDS = ("none", "consumer", "producer", "redis", "notifier", "sandbox")


class Sale:
    """One sale on a fresh database: 100 VIP passes, one dress, no gate."""

    def __init__(self, kind, arguments, shards=16):
        self.kind, self.arguments = kind, arguments
        self.stack = harness.Stack(f"sale-{kind}", shards=shards)
        self.output = ""

    def run(self):
        """The result of the driver; `code` is its exit code."""
        stack = self.stack
        stack.item("vip-pass", stock=100, price=15000)
        stack.item("dress-1920s", stock=1, price=240000)
        for name in ("sandbox", "producer", "consumer", "consumer", "notifier"):
            stack.start(name)
        if self.kind != "none":  # so that payments are in flight when it happens
            stack.gateway.control(latency_ms=100, jitter_ms=400)
        environment = harness.program_environment(stack.settings)
        environment.update(SALE_API=stack.daemon("producer").url,
                           SALE_GATEWAY=stack.daemon("sandbox").url, SALE_STATE=stack.directory)
        driver = subprocess.Popen(
            [os.path.join(ROOT, "deploy", "sale", "run"), *self.arguments], env=environment, text=True,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        try:
            if self.kind != "none":
                self._break_something(driver)
            self.output, _ = driver.communicate(timeout=300)
        finally:
            if driver.poll() is None:
                driver.kill()
                driver.wait()
        try:
            result = json.loads(self.output.strip().splitlines()[-1])
        except (IndexError, ValueError):
            result = {}
        audit = self._audit()
        if audit is None or audit["violations"]:
            self.output += f"\nthe audit: {audit}"
        violations = None if audit is None else audit["violation_count"]
        return {**result, "code": driver.returncode or int(violations != 0), "violations": violations}

    def _audit(self):
        """One more opinion, of checkoutctl; None: it could not be had."""
        done = self.stack.ctl("audit", "--json", check=False)
        try:
            told = json.loads(done.stdout)
        except ValueError:
            return None
        return told if told["complete"] else None

    def close(self):
        self.stack.close()

    def _break_something(self, driver):
        """As soon as the sale is under way."""
        harness.wait_until(lambda: driver.poll() is not None or
                           self.stack.one("select count(*) from orders") >= 200, 60, "the sale to begin",
                           interval=0.005)
        if self.kind == "redis":
            self.stack.redis().flushall()
            return
        daemon = self.stack.daemon(self.kind)
        daemon.kill()
        time.sleep(0.5)
        self.stack.start_again(daemon)


def one_sale(kind, arguments, number, runs):
    """Runs it and prints its line; whether all promises were kept."""
    began = time.monotonic()
    sale = Sale(kind, arguments)
    kept = False
    result = {}
    try:
        result = sale.run()
        kept = result["code"] == 0
        sale.stack.stop_daemons()
    except AssertionError as error:
        kept = False
        print(error, file=sys.stderr)
    finally:
        if not kept:
            sale.stack.keep_logs()
            print(sale.output, file=sys.stderr)
            print(f"logs are in {sale.stack.directory}", file=sys.stderr)
        try:
            sale.close()
        except AssertionError as error:
            kept = False
            print(error, file=sys.stderr)
    names = ("accepted", "confirmed", "rejected", "unfinished", "oversold", "double_charged", "violations", "notified",
             "notify_expected", "retries", "accept_p99_ms", "outcome_p99_ms")
    told = "  ".join(f"{name} {result.get(name)}" for name in names)
    print(f"{'kept  ' if kept else 'BROKEN'} {number}/{runs}  kill {kind}  {told}  "
          f"{time.monotonic() - began:.1f} s", flush=True)
    return kept


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=int, default=1, help="sales in a row (default: 1)")
    parser.add_argument("--kill", choices=KINDS, default="none",
                        help="kill -9 this in mid-sale and start it again; redis: empty it")
    parser.add_argument("--each", action="store_true", help="so many runs of each kind")
    parser.add_argument("sale", nargs="*", help="after --: arguments of deploy/sale/run")
    options = parser.parse_args()
    kinds = KINDS if options.each else (options.kill,)
    plan = [kind for kind in kinds for _ in range(options.runs)]
    kept = sum(one_sale(kind, options.sale, number + 1, len(plan)) for number, kind in enumerate(plan))
    print(f"{kept} of {len(plan)} sales kept every promise")
    return 0 if kept == len(plan) else 1


if __name__ == "__main__":
    sys.exit(main())
