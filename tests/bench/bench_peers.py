"""The door beside what a team would build in its place (peers/door.mjs: Fastify and amqplib), and beside what the HTTP
library alone can do (bare_http.c). All get the same orders from the same generator, wrk, in turn; each is one process."""

import contextlib
import json
import os
import statistics
import subprocess

from bench_bed import HERE, SPREAD_ITEMS  # first: it says where the next ones are
import harness_npm
from harness_daemon import program
from harness_services import free_port

CUSTOMERS = 1000
QUEUES = (16, 4, 1)         # of Fastify's; the number that is best for it counts
WARM_S, MEASURED_S = 2, 6

UNITS = {
    "intake_vs_fastify_64": "ratio", "intake_vs_fastify_256": "ratio", "accept_p99_vs_fastify_p50_256": "ratio",
    "fastify_64_per_s": "orders/s", "fastify_256_per_s": "orders/s",
    "door_64_per_s": "orders/s", "door_256_per_s": "orders/s",
    "intake_vs_bare_http_256": "ratio", "soldout_vs_bare_http": "ratio", "bare_http_256_per_s": "answers/s",
}
FLOORS = {
    "intake_vs_fastify_64": (2, None), "intake_vs_fastify_256": (3, None),
    "accept_p99_vs_fastify_p50_256": (None, 1), "soldout_vs_bare_http": (0.6, None),
}


def busy_share(before, after):
    """How much of the machine's time was used between two first lines of /proc/stat."""
    old, new = ([int(field) for field in line.split()[1:9]] for line in (before, after))
    spent = [late - early for early, late in zip(old, new)]
    idle = spent[3] + spent[4]      # idle, and idle while a disk works
    return (sum(spent) - idle) / max(sum(spent), 1)


def read_wrk(text):
    """The line of JSON that orders.lua prints; raises if a connection broke or nothing was answered."""
    result = json.loads(text.strip().splitlines()[-1])
    if result["broken"] or not result["answers"]:
        raise RuntimeError(f"wrk: {result}")
    result["per_s"] = result["answers"] / result["seconds"]
    return result


def suits_best(rounds):
    """The number of queues whose median is the highest. (The fastest sample of each round would be better than any
    number of queues is.)"""
    return max(rounds[0], key=lambda queues: statistics.median(results[queues]["per_s"] for results in rounds))


def _stat():
    with open("/proc/stat", encoding="ascii") as source:
        return source.readline()


@contextlib.contextmanager
def server(command, **options):
    """A process that says "listening" once it does; ends with SIGTERM."""
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, **options)
    try:
        if process.stdout.readline() != "listening\n":
            raise RuntimeError(f"{command[0]} does not listen")
        yield
    finally:
        process.terminate()
        process.wait(20)


class PeerFigures:
    """Groups of Measure (bench_figures.py), which brings bed, orders, tell and add."""

    def _wrk(self, what, url, connections, items=SPREAD_ITEMS, refused=False):
        """What wrk measures after warming up; all orders are accepted, or all `refused`."""
        tokens = self.bed.customer_tokens(CUSTOMERS)
        for seconds in (WARM_S, MEASURED_S):
            before = _stat()
            done = subprocess.run(
                ["wrk", "-t", "1", "-c", str(connections), "-d", f"{seconds}s", "--timeout", "20s", "-s",
                 os.path.join(HERE, "peers", "orders.lua"), url, "--", tokens, self.bed.prefix(), str(items)],
                text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=True)
            busy = busy_share(before, _stat())
        result = read_wrk(done.stdout)
        if result["refused"] != (result["answers"] if refused else 0):
            raise RuntimeError(f"{what}: {result}")
        self.tell(f"{what}, {connections} connections: {result['per_s']:,.0f}/s, p50 {result['p50_us'] / 1000:.1f} ms, "
                  f"p99 {result['p99_us'] / 1000:.1f} ms; {100 * busy:.0f} % of the machine busy")
        return result

    def _fastify(self, folder, queues, connections):
        port = free_port()
        command = ["node", os.path.join(folder, "door.mjs"), str(port), str(queues),
                   self.bed.stack.direct["CHECKOUT_AMQP_URL"], self.bed.stack.settings["CHECKOUT_JWT_SECRET_FILE"]]
        with server(command, env={**os.environ, "NODE_ENV": "production"}):
            return self._wrk(f"Fastify, {queues} queue{'s' if queues > 1 else ''}", f"http://127.0.0.1:{port}/v1/orders",
                             connections)

    def _door(self, connections, **how):
        self.bed.fresh(SPREAD_ITEMS)
        return self._wrk("the door", self.bed.producer.url + "/v1/orders", connections, **how)

    def _peers(self, connections):
        try:
            folder = harness_npm.install_project(os.path.join(HERE, "peers"))
        except harness_npm.NotInstalled as why:
            self.tell(f"left out: {why}")
            return
        self.bed.fresh()
        theirs, ours = self.peer_rounds.setdefault(connections, ([], []))
        theirs.append({queues: self._fastify(folder, queues, connections) for queues in QUEUES})
        ours.append(self._door(connections))
        best = suits_best(theirs)
        self.tell(f"Fastify is fastest with {best} queue{'s' if best > 1 else ''}")
        pairs = [(results[best], own) for results, own in zip(theirs, ours)]
        self.samples |= {
            f"fastify_{connections}_per_s": [other["per_s"] for other, _ in pairs],
            f"door_{connections}_per_s": [own["per_s"] for _, own in pairs],
            f"intake_vs_fastify_{connections}": [own["per_s"] / other["per_s"] for other, own in pairs],
        }
        if connections == 256:
            self.samples["accept_p99_vs_fastify_p50_256"] = [own["p99_us"] / other["p50_us"] for other, own in pairs]

    def peers_64(self):
        self._peers(64)

    def peers_256(self):
        self._peers(256)

    def bare_http(self):
        port = free_port()
        with server([program("checkout-bench-bare-http"), str(port)]):
            bare = self._wrk("bare HTTP", f"http://127.0.0.1:{port}/v1/orders", 256)["per_s"]
        taken = self._door(256)["per_s"]
        self.bed.fresh(1)
        self.bed.sold_out("bench-000000")
        refused = self._wrk("the door, sold out", self.bed.producer.url + "/v1/orders", 256, items=1, refused=True)["per_s"]
        self.add("bare_http_256_per_s", bare)
        self.add("intake_vs_bare_http_256", taken / bare)
        self.add("soldout_vs_bare_http", refused / bare)


# group → (the figures that it gives, whether it is measured in rounds)
GROUPS = {
    "peers_64": (("intake_vs_fastify_64",), True),
    "peers_256": (("intake_vs_fastify_256", "accept_p99_vs_fastify_p50_256"), True),
    "bare_http": (("intake_vs_bare_http_256", "soldout_vs_bare_http"), True),
}
