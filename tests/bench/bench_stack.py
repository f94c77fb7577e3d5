"""The way back beside what a team would build in place of consumer and notifier (peers/consumer.mjs, peers/events.mjs):
from a buyer's click to the news at a websocket, and how fast a full queue is sold, each with a payment at the same
gateway."""

import contextlib
import os
import time

from bench_bed import HERE, SPREAD_ITEMS  # first: it says where the next ones are
import harness_npm
from bench_peers import server
from harness_services import free_port

QUEUES = 4
RATE = 200          # orders a second
WARM_S, MEASURED_S = 2, 15
STOCK = 1000000
CONNECTIONS = 64
DRAINED = 6000      # the stack needs some seconds for so many
PATIENCE_S = 120

UNITS = {
    "outcome_vs_fastify_p50": "ratio", "outcome_vs_fastify_p99": "ratio",
    "fastify_outcome_p50_ms": "ms", "fastify_outcome_p99_ms": "ms",
    "door_outcome_p50_ms": "ms", "door_outcome_p99_ms": "ms",
    "drain_vs_fastify_spread": "ratio", "drain_vs_fastify_hot": "ratio",
    "fastify_drain_spread_per_s": "orders/s", "fastify_drain_hot_per_s": "orders/s",
    "drain_spread_per_s": "orders/s", "drain_hot_per_s": "orders/s",
}
FLOORS = {
    "outcome_vs_fastify_p99": (None, 1), "drain_vs_fastify_spread": (3, None), "drain_vs_fastify_hot": (10, None),
}


class StackFigures:
    """Groups of Measure (bench_figures.py), which brings bed, orders, tell and add."""

    # -- the team's programs ---------------------------------------------------------------------

    def _folder(self):
        try:
            return harness_npm.install_project(os.path.join(HERE, "peers"))
        except harness_npm.NotInstalled as why:
            self.tell(f"left out: {why}")
            return None

    def _fresh_shop(self, items, stock):
        self.bed.fresh()
        self.bed.run_sql_file("peers/shop.sql")
        self.bed.stack.sql("insert into peer.items select 'bench-' || lpad(n::text, 6, '0'), %s "
                           "from generate_series(0, %s) n", (stock, items - 1))
        self.bed.stack.sql("vacuum analyze peer.items")
        self.bed.stack.sql("checkpoint")

    def _program(self, folder, name, *arguments):
        return server(["node", os.path.join(folder, name), *map(str, arguments)],
                      env={**os.environ, "NODE_ENV": "production"})

    def _their_door(self, folder, port):
        return self._program(folder, "door.mjs", port, QUEUES, self.bed.stack.direct["CHECKOUT_AMQP_URL"],
                             self.bed.stack.settings["CHECKOUT_JWT_SECRET_FILE"])

    def _their_consumer(self, folder):
        settings, direct = self.bed.stack.settings, self.bed.stack.direct
        return self._program(folder, "consumer.mjs", QUEUES, direct["CHECKOUT_AMQP_URL"], self.bed.database_url,
                             direct["CHECKOUT_REDIS_URL"], settings["CHECKOUT_GATEWAY_URL"],
                             settings["CHECKOUT_GATEWAY_KEY_FILE"])

    def _their_events(self, folder, port):
        return self._program(folder, "events.mjs", port, self.bed.stack.direct["CHECKOUT_REDIS_URL"],
                             self.bed.stack.settings["CHECKOUT_JWT_SECRET_FILE"])

    # -- from click to news ----------------------------------------------------------------------

    def _steady(self, what, doors):
        self.bed.steady(RATE * WARM_S, RATE, SPREAD_ITEMS, doors)
        result = self.bed.steady(RATE * MEASURED_S, RATE, SPREAD_ITEMS, doors)
        self.tell(f"{what}, from click to news at {RATE}/s: p50 {result['p50_us'] / 1000:.1f} ms, "
                  f"p99 {result['p99_us'] / 1000:.1f} ms")
        return result

    def _their_outcome(self, folder):
        self._fresh_shop(SPREAD_ITEMS, STOCK)
        ports = free_port(), free_port()
        with contextlib.ExitStack() as programs:
            programs.enter_context(self._their_door(folder, ports[0]))
            programs.enter_context(self._their_consumer(folder))
            programs.enter_context(self._their_events(folder, ports[1]))
            return self._steady("Fastify", [f"127.0.0.1:{port}" for port in ports])

    def _our_outcome(self):
        self.bed.fresh(SPREAD_ITEMS, STOCK)
        staff = [self.bed.stack.start(name) for name in ("consumer", "notifier")]
        try:
            return self._steady("Checkout", None)
        finally:
            for daemon in staff:
                daemon.stop()

    def stack_outcome(self):
        folder = self._folder()
        if folder is None:
            return
        theirs, ours = self._their_outcome(folder), self._our_outcome()
        for percent in (50, 99):
            name = f"p{percent}_us"
            self.add(f"fastify_outcome_p{percent}_ms", theirs[name] / 1000)
            self.add(f"door_outcome_p{percent}_ms", ours[name] / 1000)
            self.add(f"outcome_vs_fastify_p{percent}", ours[name] / theirs[name])

    # -- a full queue ----------------------------------------------------------------------------

    def _their_drain(self, folder, items):
        self._fresh_shop(items, DRAINED)
        port = free_port()
        with self._their_door(folder, port):
            self.bed.load(CONNECTIONS, DRAINED, items, f"127.0.0.1:{port}")
            with self._their_consumer(folder):
                end = self._wait_confirmed()
        start = self.bed.stack.one("select extract(epoch from min(created_at))::float8 from peer.orders")
        return DRAINED / (end - start)

    def _wait_confirmed(self):
        """The wall-clock time at which all of the team's orders were."""
        deadline = time.monotonic() + PATIENCE_S
        while time.monotonic() < deadline:
            now = time.time()
            if self.bed.stack.one("select count(*) from peer.orders where status = 'confirmed'") == DRAINED:
                return now
            time.sleep(0.05)
        raise RuntimeError(f"the team's orders are not all confirmed after {PATIENCE_S} s")

    def _our_drain(self, items):
        self.bed.fresh(items, self.orders)
        self.bed.load(256, self.orders, items)
        rate, _ = self.bed.drain(self.orders)
        self.bed.check_ledger()
        return rate

    def _drains(self, name, items):
        folder = self._folder()
        if folder is None:
            return
        theirs, ours = self._their_drain(folder, items), self._our_drain(items)
        self.tell(f"Fastify {theirs:,.0f}/s, Checkout {ours:,.0f}/s")
        self.add(f"fastify_drain_{name}_per_s", theirs)
        self.add(f"drain_{name}_per_s", ours)
        self.add(f"drain_vs_fastify_{name}", ours / theirs)

    def stack_spread(self):
        self._drains("spread", SPREAD_ITEMS)

    def stack_hot(self):
        self._drains("hot", 1)


# group → (the figures that it gives, whether it is measured in rounds)
GROUPS = {
    "stack_outcome": (("outcome_vs_fastify_p50", "outcome_vs_fastify_p99"), True),
    "stack_spread": (("drain_vs_fastify_spread",), True),
    "stack_hot": (("drain_vs_fastify_hot",), True),
}
