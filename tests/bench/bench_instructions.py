"""How many instructions the producer needs for an order, by callgrind: the one figure of speed that is the same on a
busy machine. The kernel's are not in it, and neither is clearing memory, of which callgrind counts each byte."""

import os
import re
import subprocess

import bench_bed  # noqa: F401  first: it says where the next one is
from harness_daemon import program
from harness_wait import wait_until

CUSTOMERS, ITEMS = 100, 100 # few, so that their tokens and the items are known
WARM, ORDERS = 1000, 3000

UNITS = {"accept_instructions": "per order"}
FLOORS = {"accept_instructions": (None, 62000)}


def instructions(annotated):
    """Of all functions that callgrind_annotate lists, without those that only clear memory."""
    found = re.findall(r"^ *([\d,]+) \([^)]*\)  (?!\S*:memset|\S*:__memset)\S*:\S", annotated, re.M)
    return sum(int(number.replace(",", "")) for number in found)


class InstructionFigures:
    """A group of Measure (bench_figures.py), which brings bed, orders, tell and add."""

    def instructions(self):
        self.tell(f"{ORDERS:,} orders under callgrind")
        self.bed.fresh()
        everybody, usual = self.bed.tokens, self.bed.producer
        directory = os.path.join(self.bed.stack.directory, "callgrind")
        self.bed.tokens = self.bed.customer_tokens(CUSTOMERS)
        self.bed.producer = self._start(directory)
        try:
            self.bed.load(64, WARM, ITEMS)
            self._control("-i", "on")
            self.bed.load(64, ORDERS, ITEMS)
            self._control("-i", "off")
            self._control("-d")
            dump = os.path.join(directory, "out.1")
            wait_until(lambda: os.path.exists(dump), 30, "callgrind's file")
        finally:
            self.bed.producer.stop()
            self.bed.tokens, self.bed.producer = everybody, usual
        annotated = subprocess.run(["callgrind_annotate", "--threshold=100", "--auto=no", dump], text=True, check=True,
                                   stdout=subprocess.PIPE, stderr=subprocess.DEVNULL).stdout
        self.add("accept_instructions", instructions(annotated) / ORDERS)

    def _start(self, directory):
        os.makedirs(os.path.join(directory, "bin"), exist_ok=True)
        path = os.path.join(directory, "bin", "checkout-producer")
        with open(path, "w", encoding="ascii") as script:
            script.write("#!/bin/sh\nexec valgrind -q --tool=callgrind --instr-atstart=no "
                         f"--callgrind-out-file={directory}/out {program('checkout-producer')} \"$@\"\n")
        os.chmod(path, 0o755)
        return self.bed.stack.start("producer", build=directory, CHECKOUT_ORDERS_PER_USER="100000/1s")

    def _control(self, *arguments):
        subprocess.run(["callgrind_control", *arguments, str(self.bed.producer.pid)], check=True, stdout=subprocess.DEVNULL,
                       stderr=subprocess.DEVNULL)


# group → (the figures that it gives, whether it is measured in rounds)
GROUPS = {"instructions": (("accept_instructions",), False)}
