"""The figures, by name; each group is measured in rounds, what is compared side by side in each."""

import time

import bench_console
import bench_costs
import bench_door
import bench_hostile
import bench_instructions
import bench_news
import bench_overload
import bench_peers
import bench_pool
import bench_sockets
import bench_stack
from bench_bed import ROW_LOCK_CLIENTS, SPREAD_ITEMS, cpu_seconds

RATE = 200            # orders a second for the time from click to news

UNITS = {
    "intake_vs_raw_confirm_64": "ratio", "intake_vs_raw_confirm_256": "ratio",
    "intake_64_per_s": "orders/s", "intake_256_per_s": "orders/s",
    "raw_confirm_64_per_s": "messages/s", "raw_confirm_256_per_s": "messages/s",
    "accept_cpu_us": "us/order", "accept_p99_ms_64": "ms", "accept_p99_ms_256": "ms",
    "hot_vs_row_lock": "ratio", "hot_per_s": "orders/s", "hot_row_lock_per_s": "orders/s",
    "hot_paid_vs_row_lock": "ratio", "hot_paid_per_s": "orders/s",
    "hot_paid_row_lock_per_s": "orders/s",
    "spread_vs_row_lock": "ratio", "spread_per_s": "orders/s", "spread_row_lock_per_s": "orders/s",
    "decide_cpu_us": "us/order", "decide_paid_cpu_us": "us/order",
    "outcome_p50_ms": "ms", "outcome_p99_ms": "ms",
    "producer_rss_mib": "MiB", "consumer_rss_mib": "MiB", "notifier_rss_mib": "MiB",
    **bench_pool.UNITS,
    **bench_console.UNITS,
    **bench_costs.UNITS,
    **bench_hostile.UNITS,
    **bench_instructions.UNITS,
    **bench_news.UNITS,
    **bench_peers.UNITS,
    **bench_door.UNITS,
    **bench_stack.UNITS,
    **bench_sockets.UNITS,
    **bench_overload.UNITS,
}

# What must hold on the reference machine of two cores: (at least, at most).
FLOORS = {
    "intake_vs_raw_confirm_256": (0.8, None), "accept_cpu_us": (None, 18),
    "hot_vs_row_lock": (5, None), "hot_paid_vs_row_lock": (2, None),
    "spread_vs_row_lock": (0.8, None), "outcome_p99_ms": (None, 40),
    "producer_rss_mib": (None, 64), "consumer_rss_mib": (None, 64), "notifier_rss_mib": (None, 64),
    **bench_pool.FLOORS,
    **bench_console.FLOORS,
    **bench_hostile.FLOORS,
    **bench_sockets.FLOORS,
    **bench_instructions.FLOORS,
    **bench_news.FLOORS,
    **bench_peers.FLOORS,
    **bench_door.FLOORS,
    **bench_stack.FLOORS,
    **bench_overload.FLOORS,
}

# Of these the worst sample counts, not the median.
WORST_COUNTS = {"producer_rss_mib", "consumer_rss_mib", "notifier_rss_mib", *bench_pool.WORST_COUNTS}


class Measure(bench_pool.PoolFigures, bench_console.ConsoleFigures, bench_costs.CostFigures, bench_hostile.HostileFigures,
              bench_instructions.InstructionFigures, bench_news.NewsFigures, bench_peers.PeerFigures,
              bench_door.DoorFigures,
              bench_stack.StackFigures, bench_sockets.SocketFigures,
              bench_overload.OverloadFigures):
    """Collects samples; `tell` shows progress."""

    def __init__(self, bed, orders, tell):
        self.bed, self.orders, self.tell = bed, orders, tell
        self.samples = {}
        self.peer_rounds = {}   # by connections, see bench_peers.py

    def add(self, name, value):
        self.samples.setdefault(name, []).append(value)

    # -- the door --------------------------------------------------------------------------------

    def intake(self, connections):
        self.bed.fresh()
        orders = self.orders * 4
        self.tell(f"a bare publisher, {connections} unconfirmed")
        raw = self.bed.raw_confirm(connections, orders)
        self.bed.fresh()
        self.tell(f"the door, {connections} connections")
        used = cpu_seconds(self.bed.producer.pid)
        result = self.bed.load(connections, orders, SPREAD_ITEMS)
        used = cpu_seconds(self.bed.producer.pid) - used
        ours = result["accepted"] / result["seconds"]
        self.add(f"raw_confirm_{connections}_per_s", raw)
        self.add(f"intake_{connections}_per_s", ours)
        self.add(f"intake_vs_raw_confirm_{connections}", ours / raw)
        self.add(f"accept_p99_ms_{connections}", result["p99_us"] / 1000)
        if connections == 256:
            self.add("accept_cpu_us", used * 1e6 / orders)

    def intake_64(self):
        self.intake(64)

    def intake_256(self):
        self.intake(256)

    # -- the counter -----------------------------------------------------------------------------

    def _row_lock(self, items, stock, transactions):
        """The best of the client counts."""
        rates = []
        for clients in ROW_LOCK_CLIENTS:
            self.tell(f"pgbench with row locks, {clients} client{'s' if clients > 1 else ''}")
            rates.append(self.bed.row_lock(items, stock, transactions, clients))
        return max(rates)

    def _drain(self, name, items, stock):
        self.bed.fresh(items, stock)
        self.tell(f"filling the queues with {self.orders} orders")
        self.bed.load(256, self.orders, items)
        self.tell("the counter")
        rate, cpu_us = self.bed.drain(self.orders)
        self.bed.check_ledger()
        self._check(items, stock)
        self.add(f"{name}_per_s", rate)
        return rate, cpu_us

    def _check(self, items, stock):
        """A fast counter that sells the wrong number is worth nothing."""
        confirmed = self.bed.stack.one("select count(*) from orders where status = 'confirmed'")
        total = self.bed.stack.one("select sum(sold) from items")
        expected = min(self.orders, items * stock)
        if not confirmed == total == expected:
            raise RuntimeError(f"{confirmed} confirmed, {total} sold, {expected} expected")

    def _compare(self, name, items, stock, transactions, row_lock_stock):
        baseline = self._row_lock(items, row_lock_stock, transactions)
        rate, cpu_us = self._drain(name, items, stock)
        self.add(f"{name}_row_lock_per_s", baseline)
        self.add(f"{name}_vs_row_lock", rate / baseline)
        return cpu_us

    def hot(self):
        transactions = self.orders // 2  # as many a second as it can, for long enough
        self.add("decide_cpu_us", self._compare("hot", 1, self.orders // 10, transactions,
                                                transactions // 10))

    def hot_paid(self):
        self._compare("hot_paid", 1, self.orders, self.orders // 2, self.orders)

    def spread(self):
        cpu_us = self._compare("spread", SPREAD_ITEMS, self.orders, self.orders, self.orders)
        self.add("decide_paid_cpu_us", cpu_us)

    # -- from click to news ----------------------------------------------------------------------

    def _staff(self):
        """A consumer and a notifier."""
        return [self.bed.stack.start(name) for name in ("consumer", "notifier")]

    def outcome(self):
        self.bed.fresh(SPREAD_ITEMS, 1000000)
        staff = self._staff()
        try:
            self.tell("warming up")
            self.bed.steady(RATE * 2, RATE, SPREAD_ITEMS)
            self.tell(f"from click to news at {RATE}/s")
            result = self.bed.steady(RATE * 15, RATE, SPREAD_ITEMS)
        finally:
            for daemon in staff:
                daemon.stop()
        self.add("outcome_p50_ms", result["p50_us"] / 1000)
        self.add("outcome_p99_ms", result["p99_us"] / 1000)

    # -- memory ----------------------------------------------------------------------------------

    def memory(self, rounds=5, orders=200000):
        """Resident sizes after each of `rounds` parts of the orders, with buyers listening."""
        self.bed.fresh(SPREAD_ITEMS, orders // SPREAD_ITEMS // 4)
        consumer, notifier = self._staff()
        listeners = self.bed.listeners()
        try:
            for part in range(1, rounds + 1):
                self.tell(f"memory, after {part * orders // rounds} orders")
                self.bed.load(256, orders // rounds, SPREAD_ITEMS)
                while self.bed.finals() < part * orders // rounds:
                    time.sleep(0.2)
                for name, daemon in (("producer", self.bed.producer), ("consumer", consumer),
                                     ("notifier", notifier)):
                    self.add(f"{name}_rss_mib", daemon.resident_bytes() / 1048576)
        finally:
            listeners.terminate()
            listeners.wait()
            notifier.stop()
            consumer.stop()


# group → (the figures that it gives, whether it is measured in rounds)
GROUPS = {
    "intake_64": (("intake_vs_raw_confirm_64",), True),
    "intake_256": (("intake_vs_raw_confirm_256", "accept_cpu_us"), True),
    "hot": (("hot_vs_row_lock", "decide_cpu_us"), True),
    "hot_paid": (("hot_paid_vs_row_lock",), True),
    "spread": (("spread_vs_row_lock", "decide_paid_cpu_us"), True),
    "outcome": (("outcome_p50_ms", "outcome_p99_ms"), True),
    "memory": (("producer_rss_mib", "consumer_rss_mib", "notifier_rss_mib"), False),
    **bench_pool.GROUPS,
    **bench_console.GROUPS,
    **bench_costs.GROUPS,
    **bench_hostile.GROUPS,
    **bench_instructions.GROUPS,
    **bench_news.GROUPS,
    **bench_peers.GROUPS,
    **bench_door.GROUPS,
    **bench_stack.GROUPS,
    **bench_sockets.GROUPS,
    **bench_overload.GROUPS,
}
