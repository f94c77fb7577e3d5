"""Very many websockets in one notifier: the memory of each, the time from PUBLISH to the buyer's read, the notifier's CPU time
for an event, and how fast all come back after the notifier was restarted."""

import json
import os
import subprocess
import time

from bench_bed import cpu_seconds  # first: it says where the next one is

from harness_daemon import program

IDLE = 18000       # of the machine's 20,000 descriptors a process
BUSY = 10000
RATE = 2000        # events a second
EVENTS = 20000

UNITS = {"socket_memory": "KiB", "socket_kernel_memory": "KiB", "fan_out_p99": "ms", "push_cpu_us": "us/event",
         "sockets_reopened": "s", "goodbye_spread": "s"}
FLOORS = {"socket_memory": (None, 12), "fan_out_p99": (None, 50), "sockets_reopened": (None, 10)}


def pss_kib(pid):
    with open(f"/proc/{pid}/smaps_rollup", encoding="ascii") as source:
        return next(int(line.split()[1]) for line in source if line.startswith("Pss:"))


def kernel_kib():
    """Of the whole machine, both ends of each connection: what only comes close."""
    with open("/proc/meminfo", encoding="ascii") as source:
        slab = next(int(line.split()[1]) for line in source if line.startswith("Slab:"))
    with open("/proc/net/sockstat", encoding="ascii") as source:
        pages = next(int(line.split()[-1]) for line in source if line.startswith("TCP:"))
    return slab + pages * 4


class Client:
    """checkout-bench-sockets, by its commands."""

    def __init__(self, stack, notifier, tokens, count):
        address = notifier.url.removeprefix("http://")
        redis = stack.redis().connection_pool.connection_kwargs
        self.process = subprocess.Popen(
            [program("checkout-bench-sockets"), address, f"{redis['host']}:{redis['port']}", tokens, str(count)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
            env={**os.environ, "REDIS_PASSWORD": redis.get("password") or ""})

    def tell(self, command):
        self.process.stdin.write(command + "\n")
        self.process.stdin.flush()

    def hear(self):
        line = self.process.stdout.readline()
        if not line:
            raise RuntimeError("the sockets' client has ended")
        return json.loads(line)

    def do(self, command):
        self.tell(command)
        return self.hear()

    def close(self):
        self.process.stdin.close()
        self.process.wait(30)


class SocketFigures:
    """A group of Measure (bench_figures.py), which brings bed, tell and add."""

    def sockets(self):
        stack = self.bed.stack
        tokens = os.path.join(stack.directory, "socket-tokens")
        with open(tokens, "w", encoding="ascii") as sink:
            sink.writelines(f"socket-{n} {stack.token(f'socket-{n}', lifetime=86400)}\n" for n in range(IDLE))
        notifier = stack.start("notifier", CHECKOUT_CONNECTIONS_MAX=str(IDLE + 100))
        try:
            self._idle(stack, notifier, tokens)
            self._busy(stack, notifier, tokens)
        finally:
            notifier.stop()

    def _idle(self, stack, notifier, tokens):
        self.tell(f"{IDLE:,} websockets that hear nothing")
        before, kernel_before = pss_kib(notifier.pid), kernel_kib()
        client = Client(stack, notifier, tokens, IDLE)
        opened = client.do("open")
        self._settled(notifier, IDLE)
        kib = (pss_kib(notifier.pid) - before) / IDLE
        self.tell(f"opened in {opened['seconds']:.1f} s; {kib:.1f} KiB each")
        self.add("socket_memory", kib)
        self.add("socket_kernel_memory", (kernel_kib() - kernel_before) / IDLE)
        client.close()
        self._settled(notifier, 0)

    def _busy(self, stack, notifier, tokens):
        self.tell(f"{RATE:,} events a second to {BUSY:,} websockets")
        client = Client(stack, notifier, tokens, BUSY)
        client.do("open")
        self._settled(notifier, BUSY)
        client.do(f"fan {RATE} {RATE}")     # not measured
        used = cpu_seconds(notifier.pid)
        self.add("fan_out_p99", client.do(f"fan {RATE} {EVENTS}")["p99_us"] / 1000)
        self.add("push_cpu_us", (cpu_seconds(notifier.pid) - used) * 1e6 / EVENTS)
        self.tell("all leave and come back")
        client.tell("wait")
        notifier.stop()
        self.add("goodbye_spread", client.hear()["spread_s"])
        stack.start_again(notifier)
        self.add("sockets_reopened", client.do("open")["seconds"])
        client.close()

    def _settled(self, notifier, count):
        """All are there, and what each is told first was told."""
        deadline = time.monotonic() + 60
        while notifier.metric("checkout_sockets") != count or (
                count > 0 and notifier.metric("checkout_replays_total") < count):
            if time.monotonic() > deadline:
                raise RuntimeError(f"{notifier.metric('checkout_sockets')} sockets, not {count}")
            time.sleep(0.2)


# group → (the figures that it gives, whether it is measured in rounds)
GROUPS = {"sockets": (tuple(UNITS), False)}
