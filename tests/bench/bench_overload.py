"""The door with more orders than its broker confirms, and while Redis or PostgreSQL stop in mid-load."""

import subprocess
import threading
import urllib.parse

from bench_bed import METHOD, SPREAD_ITEMS  # first: it says where the next ones are
from harness_amqp import FrameProxy
from harness_proxy import Proxy
from harness_services import free_port
from harness_wait import wait_until

CONFIRMS_PER_S = 2000
TIMES_TOO_MUCH, OVERLOAD_S = 4, 10
CONNECTIONS = 1500          # fewer than a producer takes
STOPPED_AFTER_S = 0.3       # of the load

UNITS = {
    "overload_goodput": "ratio", "overload_p99_ms": "ms", "overload_peak_per_s": "orders/s", "overload_refused_p50_ms": "ms",
    "intake_redis_stops": "ratio", "intake_database_stops": "ratio",
}
# With four times as many orders as a slow broker confirms, most that it can confirm are accepted, and in time. A server that
# stops in mid-load costs little of the intake.
FLOORS = {"overload_goodput": (0.8, None), "overload_p99_ms": (None, 250),
          "intake_redis_stops": (0.8, None), "intake_database_stops": (0.95, None)}


class OverloadFigures:
    """Groups of Measure (bench_figures.py), which brings bed, orders, tell and add."""

    def _another_door(self, **settings):
        """The bed's producer until `_usual_door`."""
        self._usual = self.bed.producer
        self.bed.producer = self.bed.stack.start("producer", **settings)

    def _usual_door(self):
        self.bed.producer.stop()
        self.bed.producer = self._usual

    def _nothing_lost(self, accepted):
        """Every accepted order is decided."""
        consumer = self.bed.stack.start("consumer")
        try:
            wait_until(lambda: self.bed.stack.one("select count(*) from orders") >= accepted, 180, "all accepted orders")
        finally:
            consumer.stop()

    # -- more orders than the broker confirms -----------------------------------------------------

    def overload(self):
        target = urllib.parse.urlsplit(self.bed.stack.direct["CHECKOUT_AMQP_URL"])
        broker = FrameProxy(target.hostname, target.port)
        login = f"{target.username}:{target.password}@127.0.0.1:{broker.port}"
        self._another_door(CHECKOUT_AMQP_URL=target._replace(netloc=login).geturl())
        try:
            self.bed.fresh(SPREAD_ITEMS)
            broker.pace(CONFIRMS_PER_S)
            self.tell(f"orders that wait for a broker with {CONFIRMS_PER_S:,} confirms a second")
            calm = self.bed.load(96, OVERLOAD_S // 2 * CONFIRMS_PER_S, SPREAD_ITEMS)
            peak = calm["accepted"] / calm["seconds"]
            self.tell(f"{TIMES_TOO_MUCH} times as many")
            result = self._open_loop(TIMES_TOO_MUCH * peak)
            broker.pace(None)
            self._nothing_lost(calm["accepted"] + result["accepted"])
        finally:
            self._usual_door()
            broker.close()
        self.add("overload_peak_per_s", peak)
        self.add("overload_goodput", result["accepted"] / result["seconds"] / peak)
        self.add("overload_p99_ms", result["p99_us"] / 1000)
        self.add("overload_refused_p50_ms", result["refused_p50_us"] / 1000)

    def _open_loop(self, rate):
        address = urllib.parse.urlsplit(self.bed.producer.url).netloc
        result = self.bed.tool("open-loop", address, CONNECTIONS, int(rate * OVERLOAD_S), rate, SPREAD_ITEMS,
                               self.bed.tokens, self.bed.prefix(), METHOD)
        if set(result["statuses"]) - {"202", "503"}:
            raise RuntimeError(f"neither accepted nor refused in time: {result['statuses']}")
        return result

    # -- a server stops in mid-load ----------------------------------------------------------------

    def redis_stops(self):
        port = free_port()
        command = ["redis-server", "--port", str(port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"]
        processes = []

        def start():
            processes.append(subprocess.Popen(command, stdout=subprocess.DEVNULL))

        def stop():
            processes[-1].kill()
            processes[-1].wait()
        start()
        self._another_door(CHECKOUT_REDIS_URL=f"redis://127.0.0.1:{port}/0")
        try:
            self._stopping("redis", stop, start)
        finally:
            self._usual_door()
            stop()

    def database_stops(self):
        target = urllib.parse.urlsplit(self.bed.stack.direct["CHECKOUT_DATABASE_URL"])
        proxy = Proxy(target.hostname, target.port)
        login = target.netloc.rpartition("@")[0]
        url = target._replace(netloc=f"{login}@127.0.0.1:{proxy.port}").geturl()
        self._another_door(CHECKOUT_DATABASE_URL=url)
        try:
            self._stopping("database", proxy.down, proxy.up)
        finally:
            self._usual_door()
            proxy.close()

    def _stopping(self, name, stop, start):
        """Before, while it stops, and before again; of all that is accepted nothing is lost."""
        up = f"checkout_{name}_up"
        orders, rates = self.orders * 2, {"before": [], "stops": []}
        self.bed.fresh(SPREAD_ITEMS)
        self.bed.load(256, self.orders, SPREAD_ITEMS)   # it has met the items
        for phase in ("before", "stops", "before", "stops", "before"):
            wait_until(lambda: self.bed.producer.metric(up) == 1, 30, f"{name} to be connected")
            self.tell(f"orders: {phase}" if phase == "before" else f"orders while {name} stops")
            timer = threading.Timer(STOPPED_AFTER_S, stop)
            if phase == "stops":
                timer.start()
            try:
                result = self.bed.load(256, orders, SPREAD_ITEMS)
            finally:
                if phase == "stops":
                    timer.join()
                    start()
            rates[phase].append(result["accepted"] / result["seconds"])
        self._nothing_lost(self.orders + 5 * orders)
        self.add(f"intake_{name}_stops", (sum(rates["stops"]) / 2) / (sum(rates["before"]) / 3))


# group → (the figures that it gives, whether it is measured in rounds)
GROUPS = {
    "overload": (("overload_goodput", "overload_p99_ms"), True),
    "redis_stops": (("intake_redis_stops",), True),
    "database_stops": (("intake_database_stops",), True),
}
