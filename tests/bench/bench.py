"""Measures Checkout against what it is compared with, on this machine, in one run: what `run` starts.

Builds the release preset, starts private servers, measures in rounds (what is compared runs side by
side in each), prints a table and writes the figures as JSON. Durability is never weakened: the
settings are read back from the servers first.
"""

import argparse
import datetime
import json
import os
import statistics
import subprocess
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
sys.path[:0] = [HERE, os.path.join(ROOT, "tests", "integration")]
BUILD = os.path.join(ROOT, "build", "release")


def parse():
    from bench_figures import GROUPS
    names = sorted(name for figures, _ in GROUPS.values() for name in figures)
    parser = argparse.ArgumentParser(prog="tests/bench/run", add_help=False)
    parser.add_argument("--only", nargs="+", metavar="FIGURE", choices=names)
    parser.add_argument("--out", default=os.path.join(ROOT, "build", "bench.json"), metavar="FILE")
    parser.add_argument("--samples", type=int, default=3)
    parser.add_argument("--orders", type=int, default=20000)
    parser.add_argument("--shards", type=int, default=16)
    arguments = parser.parse_args()
    if arguments.samples < 3 or arguments.orders < 20000:
        parser.error("fewer than 3 samples or 20,000 orders say nothing")
    return arguments


def build():
    """The release build, or what CHECKOUT_BUILD_DIR names."""
    if os.environ.get("CHECKOUT_BUILD_DIR"):
        return
    print("building the release preset", flush=True)
    for command in (["cmake", "--preset", "release"], ["cmake", "--build", "--preset", "release"]):
        done = subprocess.run(command, cwd=ROOT, text=True, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT)
        if done.returncode != 0:
            sys.exit(f"{' '.join(command)} failed:\n{done.stdout[-4000:]}")
    os.environ["CHECKOUT_BUILD_DIR"] = BUILD


class Progress:
    """One line a step, with the time since the start."""

    def __init__(self):
        self.start = time.monotonic()
        self.prefix = ""

    def tell(self, text):
        print(f"{time.monotonic() - self.start:6.1f} s  {self.prefix}{text}", flush=True)


def measure(arguments, progress):
    import bench_facts
    from bench_pool import PoolBed
    from bench_figures import GROUPS, Measure
    wanted = [group for group, (figures, _) in GROUPS.items()
              if not arguments.only or set(figures) & set(arguments.only)]
    progress.tell("starting servers and daemons")
    bed = PoolBed(arguments.shards)
    try:
        facts = {"machine": bench_facts.machine(),
                 "versions": bench_facts.versions(bed.stack, ROOT),
                 "shards": arguments.shards,
                 "durability": bench_facts.durability(bed.stack)}
        bed.load(256, 5000, 100)
        facts["durability"]["messages"] = "persistent"
        if not bench_facts.message_is_persistent(bed.stack, bed.stack.shard("bench-000000")):
            raise RuntimeError("the producer's messages are not persistent")
        for name, value in facts["durability"].items():
            progress.tell(f"read back: {name} = {value}")
        sampler = Measure(bed, arguments.orders, progress.tell)
        for number in range(1, arguments.samples + 1):
            for group in wanted:
                if GROUPS[group][1]:
                    progress.prefix = f"round {number} of {arguments.samples}: {group}: "
                    getattr(sampler, group)()
        progress.prefix = ""
        for group in wanted:
            if not GROUPS[group][1]:
                getattr(sampler, group)()
        facts["durability"]["gateway ledger"] = bed.ledger_synced
        return facts, sampler.samples
    except BaseException:
        bed.stack.keep_logs()
        print(f"logs are in {bed.stack.directory}", file=sys.stderr)
        raise
    finally:
        bed.close()


def summarise(samples):
    from bench_figures import UNITS
    return {name: {"median": round(statistics.median(values), 3), "min": round(min(values), 3),
                   "max": round(max(values), 3), "unit": UNITS[name],
                   "samples": [round(value, 3) for value in values]}
            for name, values in samples.items()}


def verdict(name, figure):
    from bench_figures import FLOORS, WORST_COUNTS
    low, high = FLOORS.get(name, (None, None))
    worst = figure["max"] if name in WORST_COUNTS else figure["median"]
    if low is not None:
        return f"{'ok' if worst >= low else 'SHORT'} (at least {low:g})"
    if high is not None:
        return f"{'ok' if worst <= high else 'OVER'} (at most {high:g})"
    return ""


def print_table(figures):
    print(f"\n{'figure':28} {'median':>12} {'min':>12} {'max':>12}  {'unit':11} ")
    for name, figure in figures.items():
        numbers = " ".join(f"{figure[key]:12,.2f}" for key in ("median", "min", "max"))
        print(f"{name:28} {numbers}  {figure['unit']:11} {verdict(name, figure)}".rstrip())


def main():
    arguments = parse()
    build()
    progress = Progress()
    facts, samples = measure(arguments, progress)
    figures = summarise(samples)
    print_table(figures)
    os.makedirs(os.path.dirname(os.path.abspath(arguments.out)), exist_ok=True)
    date = datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds")
    with open(arguments.out, "w", encoding="utf-8") as sink:
        json.dump({**facts, "date": date, "figures": figures}, sink, indent=2)
        sink.write("\n")
    progress.tell(f"figures are in {os.path.relpath(arguments.out)}")


if __name__ == "__main__":
    main()
