"""How many instructions the producer needs to take an order, and the consumer to decide one and to have it paid, by
callgrind: figures of speed that are the same on a busy machine. The kernel's are not in it, and neither is clearing memory, of which callgrind counts each byte."""

import itertools
import os
import re
import subprocess

import bench_bed  # noqa: F401  first: it says where the next ones are
from bench_peers import server
from harness_daemon import program
from harness_services import free_port
from harness_wait import wait_until

CUSTOMERS, ITEMS = 100, 100 # few, so that their tokens and the items are known
WARM, ORDERS = 1000, 3000

UNITS = {"accept_instructions": "per order", "decide_instructions": "per order", "pay_instructions": "per order",
         "accept_traced_instructions": "per order"}
FLOORS = {"accept_instructions": (None, 62000)}


def instructions(annotated):
    """Of all functions that callgrind_annotate lists, without those that only clear memory."""
    found = re.findall(r"^ *([\d,]+) \([^)]*\)  (?!\S*:memset|\S*:__memset)\S*:\S", annotated, re.M)
    return sum(int(number.replace(",", "")) for number in found)


def count_instructions(path):
    """Those of a file that callgrind has written."""
    return instructions(subprocess.run(["callgrind_annotate", "--threshold=100", "--auto=no", path], text=True, check=True,
                                       stdout=subprocess.PIPE, stderr=subprocess.DEVNULL).stdout)


class Callgrind:
    """A program of the stack that runs in callgrind, and counts only within `with`."""

    _number = itertools.count()

    def __init__(self, bed, name, **settings):
        self._directory = os.path.join(bed.stack.directory, f"callgrind-{next(self._number)}-{name}")
        os.makedirs(os.path.join(self._directory, "bin"))
        path = os.path.join(self._directory, "bin", "checkout-" + name)
        with open(path, "w", encoding="ascii") as script:
            script.write("#!/bin/sh\nexec valgrind -q --tool=callgrind --instr-atstart=no "
                         f"--callgrind-out-file={self._directory}/out {program('checkout-' + name)} \"$@\"\n")
        os.chmod(path, 0o755)
        self._dumps = 0
        self.daemon = bed.stack.start(name, build=self._directory, **settings)

    def __enter__(self):
        self._control("-i", "on")

    def __exit__(self, *_):
        self._control("-i", "off")

    def counted(self):
        """The instructions since the last call."""
        self._dumps += 1
        dump = os.path.join(self._directory, f"out.{self._dumps}")
        self._control("-d")
        wait_until(lambda: os.path.exists(dump), 30, "callgrind's file")
        return count_instructions(dump)

    def _control(self, *arguments):
        subprocess.run(["callgrind_control", *arguments, str(self.daemon.pid)], check=True, stdout=subprocess.DEVNULL,
                       stderr=subprocess.DEVNULL)


class InstructionFigures:
    """Groups of Measure (bench_figures.py), which brings bed, orders, tell and add."""

    def instructions(self):
        self._accept("accept_instructions")

    def consumer_instructions(self):
        self._decide({"decide": 0, "pay": ORDERS})

    def traced_instructions(self):
        """The same with spans of each order, which a collector takes at once. A consumer that is as slow as callgrind makes it
        has more spans than places for them."""
        port = free_port()
        settings = {"CHECKOUT_OTLP_ENDPOINT": f"http://127.0.0.1:{port}", "CHECKOUT_TRACE_RATIO": "1"}
        with server([program("checkout-bench-bare-http"), str(port)]):
            self._accept("accept_traced_instructions", **settings)

    def _accept(self, figure, **settings):
        self.tell(f"{ORDERS:,} orders at the producer under callgrind: {figure}")
        self.bed.fresh()
        everybody, usual = self.bed.tokens, self.bed.producer
        self.bed.tokens = self.bed.customer_tokens(CUSTOMERS)
        grind = Callgrind(self.bed, "producer", CHECKOUT_ORDERS_PER_USER="100000/1s", **settings)
        self.bed.producer = grind.daemon
        try:
            self.bed.load(64, WARM, ITEMS)
            with grind:
                self.bed.load(64, ORDERS, ITEMS)
                self._until_sent(grind.daemon, settings)
            self.add(figure, grind.counted() / ORDERS)
        finally:
            self.bed.producer.stop()
            self.bed.tokens, self.bed.producer = everybody, usual

    def _decide(self, kinds):
        """`kinds`: the beginning of a figure's name → units of each item."""
        self.bed.fresh()
        grind = Callgrind(self.bed, "consumer")
        try:
            for name, stock in kinds.items():
                self.tell(f"{ORDERS:,} orders at the consumer under callgrind: {name}")
                self.bed.fresh(ITEMS, stock)
                self._until_final(WARM, WARM)
                with grind:
                    self._until_final(ORDERS, WARM + ORDERS)
                self.add(f"{name}_instructions", grind.counted() / ORDERS)
        finally:
            grind.daemon.stop()

    def _until_final(self, orders, finals):
        self.bed.load(64, orders, ITEMS)
        wait_until(lambda: self.bed.finals() == finals, 120, f"{finals} orders to be final", interval=0.1)

    def _until_sent(self, daemon, settings):
        """Each order's spans have left the program, if it makes some."""
        if not settings:
            return
        wait_until(lambda: daemon.metric("checkout_spans_waiting") == 0, 60, "all spans to be sent", interval=0.1)
        lost = sum(daemon.metric(f'checkout_spans_dropped_total{{reason="{reason}"}}') for reason in ("full", "refused", "failed"))
        if lost > 0 or daemon.metric("checkout_spans_sent_total") < 2 * ORDERS:
            raise RuntimeError(f"{lost} spans were lost")


# group → (the figures that it gives, whether it is measured in rounds)
GROUPS = {
    "instructions": (("accept_instructions",), False),
    "consumer_instructions": (("decide_instructions", "pay_instructions"), False),
    "traced_instructions": (("accept_traced_instructions",), False),
}
