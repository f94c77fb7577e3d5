"""Samples a program under load and draws what it did: what `profile` starts.

perf takes the stacks, Debian's flamegraph.pl (in libdevel-nytprof-perl) draws them.
"""

import argparse
import collections
import contextlib
import os
import signal
import subprocess
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
sys.path.insert(0, HERE)

DRAW = "/usr/share/perl5/Devel/NYTProf/flamegraph.pl"
PROGRAMS = ("producer", "consumer", "notifier")
SAMPLES_PER_S = 499         # not a divisor of anything that beats once a second
STACK_BYTES = 8192
SPREAD_ITEMS = 10000
CONNECTIONS = 256
TELL_RATE = 2000            # orders a second
SHOWN = 12


def frame(line):
    """Its function, or the library that has no names of functions."""
    function, _, place = line.split(None, 1)[1].rpartition(" (")
    return os.path.basename(place.rstrip(")")) if function == "[unknown]" else function


def fold(script):
    """The text of perf script -F ip,sym,dso as a Counter of "outermost;…;innermost"."""
    stacks, frames = collections.Counter(), []
    for line in [*script.splitlines(), ""]:
        if not line.strip():
            if frames:
                stacks[";".join(reversed(frames))] += 1
            frames = []
        elif line[0].isspace():
            frames.append(frame(line))
    return stacks


def busiest(stacks, count):
    """The functions that took most by themselves, with their share."""
    own = collections.Counter()
    for stack, samples in stacks.items():
        own[stack.rpartition(";")[2]] += samples
    total = sum(own.values())
    return [(name, samples / total) for name, samples in own.most_common(count)]


@contextlib.contextmanager
def sampled(pid, path):
    """Samples the process meanwhile."""
    perf = subprocess.Popen(
        ["perf", "record", "-q", "-e", "cpu-clock", "-F", str(SAMPLES_PER_S), "--call-graph",
         f"dwarf,{STACK_BYTES}", "-o", path, "-p", str(pid)], stderr=subprocess.PIPE, text=True)
    try:
        while perf.poll() is None and not os.path.exists(path):
            time.sleep(0.01)
        if perf.poll() is not None:
            sys.exit(f"perf: {perf.stderr.read().strip()}\nIt needs root, or kernel.perf_event_paranoid at 1 or less.")
        yield
    finally:
        if perf.poll() is None:
            perf.send_signal(signal.SIGINT)
        perf.wait()


def draw(name, path, directory, orders):
    script = subprocess.run(["perf", "script", "-i", path, "-F", "ip,sym,dso"], text=True, check=True,
                            stdout=subprocess.PIPE, stderr=subprocess.DEVNULL).stdout
    stacks = fold(script)
    if not stacks:
        sys.exit(f"perf took no sample of the {name}")
    folded = "".join(f"{stack} {samples}\n" for stack, samples in stacks.items())
    picture = os.path.join(directory, name + ".svg")
    with open(picture, "w", encoding="utf-8") as sink:
        subprocess.run(["perl", DRAW, "--title", f"checkout-{name}, {orders} orders", "--hash"], input=folded,
                       text=True, check=True, stdout=sink)
    samples = sum(stacks.values())
    print(f"\ncheckout-{name}: {samples} samples, {samples / SAMPLES_PER_S * 1e6 / orders:.1f} us of a core an order; "
          f"{os.path.relpath(picture)}")
    for function, share in busiest(stacks, SHOWN):
        print(f"  {share:6.1%}  {function}")


class Loads:
    """Each runs with a sampler around what is to be seen."""

    def __init__(self, bed, orders):
        self.bed, self.orders = bed, orders

    def producer(self, path):
        self.bed.fresh()
        self.bed.load(CONNECTIONS, self.orders // 4, SPREAD_ITEMS)
        with sampled(self.bed.producer.pid, path):
            self.bed.load(CONNECTIONS, self.orders, SPREAD_ITEMS)

    def consumer(self, path):
        self.bed.fresh(items=SPREAD_ITEMS, stock=self.orders)
        self.bed.load(CONNECTIONS, self.orders, SPREAD_ITEMS)
        before = self.bed.stack.one("select last_value from event_ids")
        consumer = self.bed.stack.start("consumer", wait=False)
        with sampled(consumer.pid, path):
            self.bed.wait_final(self.orders, before, consumer)
        consumer.stop()

    def notifier(self, path):
        self.bed.fresh(items=SPREAD_ITEMS, stock=self.orders)
        consumer, notifier = (self.bed.stack.start(name) for name in ("consumer", "notifier"))
        with sampled(notifier.pid, path):
            self.bed.steady(self.orders, TELL_RATE, SPREAD_ITEMS)
        consumer.stop()


def main():
    import bench
    parser = argparse.ArgumentParser(prog="tests/bench/profile", add_help=False)
    parser.add_argument("--out", default=os.path.join(ROOT, "build", "profile"))
    parser.add_argument("--orders", type=int, default=40000)
    parser.add_argument("programs", nargs="*", choices=(*PROGRAMS, []), metavar="PROGRAM")
    arguments = parser.parse_args()
    bench.build()
    from bench_bed import Bed
    os.makedirs(arguments.out, exist_ok=True)
    bed = Bed()
    try:
        loads = Loads(bed, arguments.orders)
        for name in arguments.programs or PROGRAMS:
            path = os.path.join(bed.stack.directory, name + ".perf")
            getattr(loads, name)(path)
            draw(name, path, arguments.out, arguments.orders)
    finally:
        bed.close()


if __name__ == "__main__":
    main()
