"""What an order costs at the door, counted: system calls of the producer (perf), orders that share a message, and the
CPU time of Redis and of the broker. The counts depend little on what else the machine does."""

import re
import signal
import subprocess
import time

from bench_bed import SPREAD_ITEMS, cpu_seconds  # first: it says where the next ones are

EVENTS = "raw_syscalls:sys_enter"
ATTACH_S = 1

UNITS = {
    "accept_system_calls_64": "per order", "accept_system_calls_256": "per order",
    "orders_per_message_64": "orders", "orders_per_message_256": "orders",
    "accept_redis_us_64": "us/order", "accept_redis_us_256": "us/order",
    "accept_broker_us_64": "us/order", "accept_broker_us_256": "us/order",
}


def counted(text):
    """The number in a line of `perf stat -x,`; None: it was not counted."""
    found = re.match(r"(\d+),", text.strip().splitlines()[-1]) if text.strip() else None
    return int(found.group(1)) if found else None


def listener(port):
    """Pid of the process that listens on a port of this machine."""
    text = subprocess.run(["ss", "-Hltnp", f"sport = :{port}"], text=True, check=True, stdout=subprocess.PIPE).stdout
    return int(re.search(r"pid=(\d+)", text).group(1))


class SystemCalls:
    """Counts those of a process meanwhile; `all` is None where perf is not there, or may not."""

    def __init__(self, pid):
        self.pid, self.all = pid, None

    def __enter__(self):
        try:
            self._perf = subprocess.Popen(["perf", "stat", "-x,", "-e", EVENTS, "-p", str(self.pid)],
                                          stderr=subprocess.PIPE, text=True)
        except FileNotFoundError:
            self._perf = None
            return self
        time.sleep(ATTACH_S)    # it says nothing when it begins
        return self

    def __exit__(self, *_):
        if self._perf is not None:
            self._perf.send_signal(signal.SIGINT)
            self.all = counted(self._perf.communicate()[1])


class CostFigures:
    """Groups of Measure (bench_figures.py), which brings bed, orders, tell and add."""

    def _messages(self):
        return [self.bed.producer.metric(f"checkout_publish_{name}_total") for name in ("batches", "batch_jobs")]

    def _costs(self, connections):
        self.bed.fresh()
        self.bed.load(connections, self.orders // 4, SPREAD_ITEMS)
        self.tell(f"what an order costs, {connections} connections")
        servers = {"redis": self.bed.stack.redis().info("server")["process_id"],
                   "broker": listener(self.bed.stack.direct["CHECKOUT_AMQP_URL"].rpartition(":")[2].partition("/")[0])}
        used = {name: cpu_seconds(pid) for name, pid in servers.items()}
        messages = self._messages()
        with SystemCalls(self.bed.producer.pid) as calls:
            self.bed.load(connections, self.orders, SPREAD_ITEMS)
        sent, jobs = (late - early for early, late in zip(messages, self._messages()))
        self.add(f"orders_per_message_{connections}", jobs / sent)
        for name, pid in servers.items():
            self.add(f"accept_{name}_us_{connections}", (cpu_seconds(pid) - used[name]) * 1e6 / self.orders)
        if calls.all is None:
            self.tell("left out: system calls, which perf counts as root or with kernel.perf_event_paranoid at -1")
        else:
            self.add(f"accept_system_calls_{connections}", calls.all / self.orders)

    def costs_64(self):
        self._costs(64)

    def costs_256(self):
        self._costs(256)


# group → (the figures that it gives, whether it is measured in rounds)
GROUPS = {f"costs_{connections}": (tuple(name for name in UNITS if name.endswith(f"_{connections}")), True)
          for connections in (64, 256)}
