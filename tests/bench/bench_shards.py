"""What the number of shards changes, on this machine: what `shards` starts. Prints a table for docs/performance.md."""

import argparse
import statistics
import sys
import time

import bench

COUNTS = (1, 2, 4, 8, 16)
CONNECTIONS = (64, 256)
SAMPLES = 3
KILLS = 3
RATE, SECONDS = 200, 8
COLUMNS = ("shards", "intake 64", "intake 256", "p99 at 256", "hot", "spread", "outcome p50, p99", "failover")


def row(cells):
    return f"| {' | '.join(cells)} |"


def table(lines):
    """Markdown, from one list of cells for each number of shards."""
    return "\n".join([row(COLUMNS), "|" + "---|" * len(COLUMNS), *map(row, lines)])


class Shards:
    """Measures on one number of shards; `tell` shows progress."""

    def __init__(self, bed, orders, tell):
        from bench_bed import SPREAD_ITEMS
        self.bed, self.orders, self.tell, self.items = bed, orders, tell, SPREAD_ITEMS

    def intake(self, connections):
        """Orders a second, and the slowest hundredth in ms: the median of some samples."""
        self.bed.fresh()
        results = [self.bed.load(connections, self.orders * 2, self.items) for _ in range(SAMPLES)]
        return (statistics.median(result["accepted"] / result["seconds"] for result in results),
                statistics.median(result["p99_us"] for result in results) / 1000)

    def drain(self, items):
        """Paid orders a second."""
        self.bed.fresh(items, self.orders)
        self.bed.load(CONNECTIONS[-1], self.orders, items)
        return self.bed.drain(self.orders)[0]

    def outcome(self):
        self.bed.fresh(self.items, 1000000)
        staff = [self.bed.stack.start(name) for name in ("consumer", "notifier")]
        try:
            self.bed.steady(RATE, RATE, self.items)
            result = self.bed.steady(RATE * SECONDS, RATE, self.items)
        finally:
            for daemon in staff:
                daemon.stop()
        return result["p50_us"] / 1000, result["p99_us"] / 1000

    def failover(self):
        """The longest time until all shards of a killed consumer decide again, in ms."""
        self.bed.fresh()
        load = self.bed.load_on(range(self.bed.stack.shards))
        consumers = [self.bed.stack.start("consumer") for _ in range(2)]
        gaps = []
        try:
            for _ in range(KILLS):
                self.bed.settled(*consumers)
                victim = max(consumers, key=lambda daemon: len(self.bed.owned(daemon)))
                epochs, since = self.bed.epochs(self.bed.owned(victim)), time.time()
                victim.kill()
                gaps += self.bed.next_decisions(epochs, since).values()
                consumers.remove(victim)
                consumers.append(self.bed.stack.start("consumer"))
        finally:
            load.stop()
            for daemon in consumers:
                daemon.stop()
        return max(gaps)

    def cells(self):
        self.tell("orders at 64 and 256 connections")
        at_64, at_256 = (self.intake(connections) for connections in CONNECTIONS)
        self.tell("a full queue")
        hot, spread = self.drain(1), self.drain(self.items)
        self.tell("from click to news")
        outcome = self.outcome()
        self.tell("a consumer dies")
        return [str(self.bed.stack.shards), f"{at_64[0]:,.0f}/s", f"{at_256[0]:,.0f}/s", f"{at_256[1]:.1f} ms",
                f"{hot:,.0f}/s", f"{spread:,.0f}/s", f"{outcome[0]:.1f}, {outcome[1]:.1f} ms", f"{self.failover():,.0f} ms"]


def main():
    parser = argparse.ArgumentParser(prog="tests/bench/shards", add_help=False)
    parser.add_argument("--orders", type=int, default=20000)
    parser.add_argument("counts", nargs="*", type=int, default=COUNTS, metavar="SHARDS")
    arguments = parser.parse_args()
    bench.build()
    from bench_pool import PoolBed
    progress, lines = bench.Progress(), []
    for count in arguments.counts:
        progress.prefix = f"{count} shards: "
        progress.tell("starting servers and daemons")
        bed = PoolBed(count)
        try:
            lines.append(Shards(bed, arguments.orders, progress.tell).cells())
        finally:
            bed.close()
    print()
    print(table(lines))


if __name__ == "__main__":
    sys.exit(main())
