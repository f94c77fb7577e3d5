#!/usr/bin/python3
"""A gateway that takes two seconds for every answer: what a thousand payments in flight cost one consumer.

    tests/system/money_inflight.py [--tls] [--rounds 4]

Measures, in turns and in the same run, how many jobs a second the consumer decides with no payment in
flight and with a thousand of them, and the memory that it holds: at most 64 MiB over HTTP and 128 MiB over
TLS, and at least 0.8 of its speed. Exit code 1 if it is not so.
"""

import argparse
import statistics
import sys
import threading
import time

from money_storm import Broken, Scene, must, wait_until

import harness

INFLIGHT = 1000
LATENCY_MS = 2000
ITEMS = 64
BATCH = 180      # jobs of a message
REFUSED, PAID = 100000, 6000     # jobs of a round: those that are timed, and those that are paid meanwhile
RATIO = 0.8
MEMORY_MIB = {False: 64, True: 128}


class Watch:
    """Samples the consumer's memory and its payments in flight, until closed."""

    def __init__(self, consumer):
        self.consumer = consumer
        self.inflight, self.resident = [], []   # (when, value)
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self):
        while not self._end.wait(0.1):
            try:
                self.inflight.append((time.time(), metric(self.consumer, "checkout_payments_inflight")))
            except OSError:
                continue
            self.resident.append((time.time(), self.consumer.resident_bytes()))

    def close(self):
        self._end.set()
        self._thread.join()


def metric(daemon, name):
    text = harness.http_call(daemon.admin, "GET", "/metrics").body.decode()
    return float(next((line.split()[1] for line in text.splitlines() if line.startswith(name + " ")), 0))


class Measure:
    """One consumer; items that are sold out from the start, and items that are paid for."""

    def __init__(self, tls):
        self.scene = Scene("inflight", 0, 0, consumers=0, tls=tls)
        stack = self.stack = self.scene.stack
        self.sold_out = [stack.item(f"out-{n:03d}", stock=0) for n in range(ITEMS)]
        self.paid = [stack.item(f"paid-{n:03d}", stock=1000000) for n in range(ITEMS)]
        settings = {"CHECKOUT_GATEWAY_INFLIGHT": INFLIGHT, "CHECKOUT_GATEWAY_INFLIGHT_FIRST": INFLIGHT}
        stack.gateway.latency(LATENCY_MS)
        self.consumer = stack.start("consumer", **settings)
        self.watch = Watch(self.consumer)
        self._number = 0
        self.limit_mib = MEMORY_MIB[tls]

    def messages(self, skus, count):
        """Bodies about as long as the producer makes them at most (64 KiB), by shard."""
        by_shard = {}
        for _ in range(count):
            self._number += 1
            job = self.stack.job(f"buyer-{self._number % 5000}", skus[self._number % len(skus)], f"k{self._number}")
            by_shard.setdefault(self.stack.shard(job["sku"]), []).append(job)
        return [(shard, harness.message(*jobs[n:n + BATCH])) for shard, jobs in by_shard.items()
                for n in range(0, len(jobs), BATCH)]

    def publish(self, messages):
        for shard, body in messages:
            self.stack.publish(shard, body)

    def timed(self, messages):
        """Jobs decided a second, of these; and when that was."""
        before = self.decided()
        self.stack.sql("checkpoint")  # so that none falls into one and not into the other
        self.publish(messages)
        wait_until(lambda: self.decided() - before == REFUSED, 120, "all of them to be decided", interval=0.1)
        begin, end = self.stack.sql(
            "select extract(epoch from min(created_at))::float8, extract(epoch from max(created_at))::float8"
            " from (select created_at from orders where sku like 'out-%%' order by created_at desc limit %s) o",
            (REFUSED,))[0]
        return REFUSED / (end - begin), begin, end

    def decided(self):
        return self.stack.one("select count(*) from orders where sku like 'out-%'")

    def confirmed(self):
        return metric(self.consumer, 'checkout_payments_total{outcome="succeeded"}')

    def round(self):
        """(speed with nothing in flight, speed with a thousand)."""
        alone, _, _ = self.timed(self.messages(self.sold_out, REFUSED))
        paid, refused = self.messages(self.paid, PAID), self.messages(self.sold_out, REFUSED)
        before = self.confirmed()
        self.publish(paid)
        wait_until(lambda: self.confirmed() - before > INFLIGHT, 60, "every connection to be made", interval=0.05)
        beside, begin, end = self.timed(refused)
        flying = [value for at, value in self.watch.inflight if begin <= at <= end]
        must(flying and statistics.median(flying) >= INFLIGHT * 0.95,
             f"payments in flight meanwhile: {flying}")
        self.scene.say(f"held: {self.most(0, begin):.1f} MiB before, {self.most(begin, end):.1f} MiB meanwhile")
        self.scene.say(f"decided a second: {alone:.0f} with nothing in flight, {beside:.0f} with "
                       f"{statistics.median(flying):.0f} payments in flight: {beside / alone:.2f}")
        wait_until(lambda: self.scene.open_orders() == 0, 120, "the payments to end", interval=0.25)
        return alone, beside

    def most(self, begin, end):
        return max(value for at, value in self.watch.resident if begin <= at <= end) / 2**20

    def run(self, rounds):
        self.scene.say(f"the consumer holds {self.consumer.resident_bytes() / 2**20:.0f} MiB at its start")
        results = [self.round() for _ in range(rounds)]
        ratio = statistics.median(beside for _, beside in results) / statistics.median(alone for alone, _ in results)
        self.watch.close()
        most = max(value for _, value in self.watch.resident) / 2**20
        self.scene.say(f"ratio {ratio:.2f} (at least {RATIO}); at most {most:.1f} MiB (less than {self.limit_mib})")
        confirmed = self.scene.check_money()
        must(confirmed == rounds * PAID, f"{confirmed} orders are confirmed")
        must(most < self.limit_mib, "too much memory")
        must(ratio >= RATIO, "too slow")
        self.stack.stop_daemons()

    def close(self):
        self.watch.close()
        self.scene.close()


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--tls", action="store_true", help="speak TLS with the gateway")
    parser.add_argument("--rounds", type=int, default=4)
    options = parser.parse_args()
    measure = None
    try:
        measure = Measure(options.tls)
        measure.run(options.rounds)
    except (Broken, AssertionError) as error:
        print(f"BROKEN: {error}", file=sys.stderr)
        return 1
    finally:
        if measure is not None:
            measure.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
