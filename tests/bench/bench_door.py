"""What the door owes its buyers: how dear their tokens are, and that no customer slows another one down."""

import json
import os
import subprocess
import time
import urllib.parse

from bench_bed import METHOD, cpu_seconds  # first: it says where the next ones are
from bench_instructions import count_instructions
from harness_daemon import program
from harness_keys import ProviderKey, publish

SPREAD_ITEMS = 10000
ALGORITHMS = ("RS256", "ES256", "EdDSA")
TOKENS = 1000
HOSTILE_CONNECTIONS = 64
QUIET_CONNECTIONS, QUIET_ORDERS = 2, 2000     # the other customers, whose times count

UNITS = {
    "token_cold_rs256_per_s": "tokens/s", "token_cold_es256_per_s": "tokens/s", "token_cold_eddsa_per_s": "tokens/s",
    "token_cold_hs256_per_s": "tokens/s",
    "token_warm_us": "us/token", "token_warm_share": "ratio", "token_warm_instructions": "per token",
    "quiet_p99_ms": "ms", "quiet_p99_ms_beside_hostile": "ms", "fairness": "ratio",
    "soldout_others_p99_ms": "ms", "soldout_others_p99_ms_alone": "ms", "soldout_fairness": "ratio",
}
# A warm token is less than a tenth of what an order costs the producer, also without the kernel's part of it (see
# accept_instructions). Beside one customer with 64 connections at full
# speed the p99 of others is at most twice theirs without, or at most 25 ms: fairness is the smaller share of the two.
FLOORS = {"token_warm_share": (None, 0.1), "token_warm_instructions": (None, 5000), "fairness": (None, 1),
          "soldout_fairness": (None, 1)}
FAIR_TIMES, FAIR_MS = 2, 25


def fairness(alone_ms, beside_ms):
    """At most 1: it is fair."""
    return min(beside_ms / alone_ms / FAIR_TIMES, beside_ms / FAIR_MS)


class DoorFigures:
    """Groups of Measure (bench_figures.py), which brings bed, orders, tell and add."""

    # -- tokens ----------------------------------------------------------------------------------

    def tokens(self):
        warm_us = []
        for name in (*ALGORITHMS, "HS256"):
            self.tell(f"tokens of {name}")
            cost = self._cost(name)
            self.add(f"token_cold_{name.lower()}_per_s", 1e6 / cost["cold_us"])
            warm_us.append(cost["warm_us"])
        self.add("token_warm_us", max(warm_us))
        self.tell("orders, for what an order costs")
        self.bed.fresh()
        used = cpu_seconds(self.bed.producer.pid)
        self.bed.load(256, self.orders, SPREAD_ITEMS)
        used = cpu_seconds(self.bed.producer.pid) - used
        self.add("token_warm_share", max(warm_us) / (used * 1e6 / self.orders))

    def token_instructions(self):
        counts = []
        for name in (*ALGORITHMS, "HS256"):
            self.tell(f"known tokens of {name} under callgrind")
            out = os.path.join(self.bed.stack.directory, f"callgrind-{name}")
            cost = self._cost(name, "valgrind", "-q", "--tool=callgrind", "--toggle-collect=verify_warm",
                              f"--callgrind-out-file={out}")
            counts.append(count_instructions(out) / cost["warm"])
        self.add("token_warm_instructions", max(counts))

    def _cost(self, algorithm, *under):
        """What the tool says of tokens of this algorithm, run by the command `under`, if there is one."""
        path = os.path.join(self.bed.stack.directory, f"bench-{algorithm}")
        key, jwks = ProviderKey(algorithm if algorithm in ALGORITHMS else "RS256", "bench"), path + ".json"
        make = key.token if algorithm in ALGORITHMS else self.bed.stack.token
        publish(jwks, key.jwk())
        with open(path, "w", encoding="ascii") as sink:
            sink.writelines(make(f"buyer-{number:06d}") + "\n" for number in range(TOKENS))
        done = subprocess.run([*under, program("checkout-bench-tokens"), jwks, self.bed.stack.secrets["JWT_SECRET"], path],
                              text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE, check=False)
        if done.returncode != 0:
            raise RuntimeError(f"checkout-bench-tokens: {done.stderr.strip()}")
        return json.loads(done.stdout)

    # -- one customer beside others --------------------------------------------------------------

    def fair(self):
        self.bed.fresh()
        self.tell("customers by themselves")
        alone_ms = self._quiet_p99_ms()
        self.tell(f"customers beside one with {HOSTILE_CONNECTIONS} connections")
        with self._hostile() as hostile:
            time.sleep(0.5)     # it has used its places up by then, and goes on
            beside_ms = self._quiet_p99_ms()
            if hostile.poll() is not None:
                raise RuntimeError("the hostile customer has given up: " + hostile.stderr.read())
            hostile.terminate()
        self.add("quiet_p99_ms", alone_ms)
        self.add("quiet_p99_ms_beside_hostile", beside_ms)
        self.add("fairness", fairness(alone_ms, beside_ms))

    # -- an item that is sold out beside others ---------------------------------------------------

    def soldout_beside(self):
        self.bed.fresh(SPREAD_ITEMS)
        self.tell("customers by themselves")
        alone_ms = self._others_p99_ms()
        self.bed.sold_out("bench-000000")
        self.tell(f"customers beside {HOSTILE_CONNECTIONS} connections for an item that is sold out")
        with self._load(self.bed.tokens, items=1) as crowd:
            time.sleep(0.5)
            beside_ms = self._others_p99_ms()
            if crowd.poll() is not None:
                raise RuntimeError("the crowd has given up: " + crowd.stderr.read())
            crowd.terminate()
        self.add("soldout_others_p99_ms_alone", alone_ms)
        self.add("soldout_others_p99_ms", beside_ms)
        self.add("soldout_fairness", fairness(alone_ms, beside_ms))

    def _others_p99_ms(self):
        result = self.bed.try_load(QUIET_CONNECTIONS, QUIET_ORDERS, SPREAD_ITEMS)
        if result["accepted"] < QUIET_ORDERS * 0.99:    # a few are for the item that is sold out
            raise RuntimeError(f"orders for other items were refused: {result['statuses']}")
        return result["p99_us"] / 1000

    def _quiet_p99_ms(self):
        return self.bed.load(QUIET_CONNECTIONS, QUIET_ORDERS, SPREAD_ITEMS)["p99_us"] / 1000

    def _hostile(self):
        """One customer, as fast as the door answers, until it is ended."""
        return self._load(self.bed.customer_tokens(1), SPREAD_ITEMS)

    def _load(self, tokens, items):
        """Orders as fast as the door answers, until it is ended."""
        address = urllib.parse.urlsplit(self.bed.producer.url).netloc
        return subprocess.Popen([program("checkout-bench-load"), address, str(HOSTILE_CONNECTIONS), "10000000",
                                 str(items), tokens, self.bed.prefix(), METHOD],
                                stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)


# group → (the figures that it gives, whether it is measured in rounds)
GROUPS = {
    "tokens": (("token_warm_us", "token_warm_share",
                *(f"token_cold_{name.lower()}_per_s" for name in (*ALGORITHMS, "HS256"))), True),
    "token_instructions": (("token_warm_instructions",), False),
    "soldout_beside": (("soldout_fairness", "soldout_others_p99_ms", "soldout_others_p99_ms_alone"), True),
    "fair": (("fairness", "quiet_p99_ms", "quiet_p99_ms_beside_hostile"), True),
}
