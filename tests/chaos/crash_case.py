"""One failpoint: a consumer dies there, another takes over, and everything ends as it should."""

import json
import os
import signal
import sys
import threading
import time

import psycopg2

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(os.path.dirname(HERE), "integration"))

from harness_modes import FAULTS, PAYS_LATER, REFUSALS, used_once  # noqa: E402
from harness_stack import Stack  # noqa: E402
from harness_wait import wait_until  # noqa: E402

# What the gateway does, by name: to the first payments, or for a while.
FIRST, WHILE_S = 3, 2
LATE = {"list_late_ms": 4000, "keep_refused": 0}    # lists lack what is new; a refusal is not the key's result
MODES = {
    "none": {}, "slow": {"latency_ms": 300},
    **{fault: {"mode": fault, "times": FIRST} for fault in FAULTS if fault != "slow"},
    "500-after-charge, lists late": {"mode": "500-after-charge", "times": FIRST, **LATE},
    "500-consumed, lists late": {"mode": "500-consumed", "times": FIRST, **LATE},
    "debits end soon": {"processing_ms": 1500}, "debits are not cancelled": {"processing_ms": 11000},
    "lookups fail": {"mode": "500", "times": FIRST, "reads": 0.3},
    "limits": {"rate_endpoint": 15, "rate_all": 25}, "unauthorized": {"charges": "unauthorized"},
    "forbidden": {"charges": "forbidden"}, "no balance": {"refunds": "no-balance"}, "refunds pend": {"refunds": "pending"},
    "refunds forbidden": {"refunds": "forbidden"},
}
PASSING = ("unauthorized", "forbidden", "refunds forbidden", "limits", "lookups fail")  # for WHILE_S; nothing would go on
FAILURES = ("reset", "charge-then-reset", "garbage", "partial", "500-after-charge", "charge-then-never")  # of a gateway
DECLINES, DEBIT = "pm_card_chargeDeclined", PAYS_LATER
ACTS = "pm_card_authenticationRequired"
GATEWAY_LIMIT_S = 5
CROWD = 80              # more than one transaction rejects
REFUND_MODES = ("no balance", "refunds pend")   # until the consumer is dead
REACHED_S, ENDED_S = 60, 90
ACTION_WAIT_S = 8       # a second attempt begins within it: the gateway's list may be 5 s late

# Points that need more than the crowd: the work that reaches them.
WORK = {"aside": "aside", "expire": "expire", "refund": "refund", "clock": "clock", "release": "leave", "line": "crowd",
        "dead-letter": "crowd", "command": "crowd", "intent-cancel": "act", "look-up": "crowd", "action": "act"}


def work_of(point):
    return next((work for prefix, work in WORK.items() if point.startswith(prefix)), "crowd")


class World:
    """Servers' share of one worker: a database, queues, a sandbox gateway, and what was ordered so far."""

    def __init__(self, number):
        self.stack = Stack(f"crash-{number}", shards=2 << number,
                           settings={"CHECKOUT_GATEWAY_TIMEOUT": "1s", "CHECKOUT_ACTION_WAIT": f"{ACTION_WAIT_S}s",
                                     "CHECKOUT_GATEWAY_LIMIT": f"{GATEWAY_LIMIT_S}s"})
        self.stack.start("sandbox")
        self.number, self.rounds, self.ordered, self.results = number, 0, [], []
        self.published = set()      # (order, sequence) of each event that Redis was given
        self.once, self.refusing = [], []   # for the auditor: see evidence.py
        self.calming = None
        self.channels = self.stack.redis().pubsub()
        self.channels.psubscribe("checkout:events:*")
        wait_until(lambda: self.channels.get_message(timeout=0.1), REACHED_S, "Redis to take the subscription")

    def close(self):
        self.channels.close()
        self.stack.close()

    def stop_consumers(self):
        for daemon in self.stack.daemons:
            if daemon.name == "checkout-consumer":
                daemon.kill()

    # -- orders ------------------------------------------------------------------------------------

    def order(self, sku, count=1, **members):
        """Published at once, as the door does; remembered as what a client has seen."""
        jobs = [self.stack.job(f"buyer-{self.number}-{self.rounds}-{n}-{len(self.ordered)}", sku, **members)
                for n in range(count)]
        sent = time.monotonic()
        self.stack.publish_jobs(*jobs)
        answered = time.monotonic()
        self.ordered += [(job, sent, answered) for job in jobs]
        return [job["order_id"] for job in jobs]

    def status(self, order):
        return self.stack.one("select status from orders where order_id = %s", (order,))

    def wait_status(self, order, status):
        wait_until(lambda: self.status(order) == status, REACHED_S, f"{order} to be {status}")

    def command(self, kind, sku=None, order=None, argument=None):
        shard = self.stack.shard(sku)
        self.stack.sql("insert into commands (kind, shard, sku, order_id, argument, requested_by) "
                       "values (%s, %s, %s, %s, %s, 'crash')",
                       (kind, shard, None if order else sku, order, argument))

    # -- what leads to the points ------------------------------------------------------------------

    def crowd(self):
        """A drop that sells out, promotions, promises broken by cards, commands, a message nobody can read."""
        drop = self.stack.item(f"drop-{self.rounds}", stock=1)
        self.order(drop, CROWD)
        few = self.stack.item(f"few-{self.rounds}", stock=2)
        self.order(few, payment_method=DECLINES)
        self.order(few, payment_method=ACTS)
        self.order(few, 4)
        lied = self.stack.item(f"lied-{self.rounds}")
        self.order(lied, 4, payment_method="pm_sandbox_500")   # one more than the faults that others may meet
        self.order(lied, payment_method="pm_sandbox_garbage")
        self.order(lied, payment_method=DEBIT)
        for _ in range(2):
            self.once.append(used_once(self.stack.gateway))
            self.order(lied, payment_method=self.once[-1])
        self.stack.publish(self.stack.shard(drop), b"not a message")
        self.command("restock", few, argument='{"units": 1}')

    def act(self):
        """Buyers are asked by their bank; one of them whatever befalls the first three."""
        self.crowd()
        self.order(self.stack.item(f"asked-{self.rounds}"), 4, payment_method=ACTS)

    def expire(self):
        """Somebody waits for longer than may be, behind a payment that takes its time."""
        sku = self.stack.item(f"slow-{self.rounds}", stock=1)
        self.order(sku, payment_method="pm_sandbox_charge-then-never")
        self.order(sku, 3)

    def aside(self):
        """Somebody's session holds an item's row for a while."""
        sku = self.stack.item(f"held-up-{self.rounds}")
        session = psycopg2.connect(self.stack.direct["CHECKOUT_DATABASE_URL"])
        session.cursor().execute("select 1 from checkout.items where sku = %s for update", (sku,))
        self.order(sku, 4)

        def let_go():
            try:
                wait_until(lambda: self.stack.one("select count(*) from jobs_aside") == 4, REACHED_S, "jobs to be set aside")
            finally:
                session.close()
        return let_go

    def refund(self):
        self.no_late_looks()
        sku = self.stack.item(f"given-back-{self.rounds}", stock=1)
        orders = self.order(sku, FIRST + 2)     # whatever befalls the first

        def paid():
            self.no_late_looks()
            return next((order for order in orders if self.status(order) == "confirmed"), None)

        def ask():
            wait_until(paid, REACHED_S, "one of the orders to be confirmed")
            self.command("refund", sku, paid(), '{"restock": true, "note": "crash"}')
        return ask

    def no_late_looks(self):
        """They are told in the same transactions as refunds, and must not come first."""
        self.stack.sql("update payments set look_at = now() + interval '1 hour' where look_at < now() + interval '1 minute'")

    def clock(self):
        """The gateway fails so often that payments are stopped."""
        self.crowd()

    def leave(self):
        """The consumer is to leave, with nothing left to do."""
        self.crowd()

        def ask():
            self.wait_ended()
            self.stack.daemon("consumer").terminate()
        return ask

    # -- one round ---------------------------------------------------------------------------------

    def try_point(self, point, mode):
        """Raises AssertionError if the point was not reached, or if something did not end."""
        self.rounds += 1
        work, began = work_of(point), time.time()
        self.play(point, mode)
        wait = {"CHECKOUT_WAIT_MAX": "1s", "CHECKOUT_GATEWAY_TIMEOUT": "8s"} if work == "expire" else {}
        then = getattr(self, work)()
        if point.startswith("take"):    # something to take over: an owner that died with payments under way
            self.crash(self.stack.start("consumer", wait=False, CHECKOUT_FAILPOINT="pay-answered"), "pay-answered")
        victim = self.stack.start("consumer", wait=False, CHECKOUT_FAILPOINT=point, **wait)
        if then is not None:
            then()
        self.crash(victim, point)
        if work == "clock" or mode in REFUND_MODES:
            self.calm()
        # The next release: it asks under the same keys for something else.
        other = self.stack.start("consumer", CHECKOUT_GATEWAY_RETURN_URL="https://shop.example/back?release=2", **wait)
        self.wait_ended()
        if mode in REFUSALS:
            self.refusing.append((began, time.time()))
        self.calm()
        self.check()
        other.stop()

    def play(self, point, mode):
        """The gateway does from now on as this mode says; some of them pass by themselves."""
        gateway = self.stack.gateway
        self.calm()
        if work_of(point) != "expire":      # no fault may end its payment, or stop the clocks
            gateway.control(**MODES[mode])
        if point.endswith("-sent"):
            gateway.latency(300)
        if work_of(point) == "clock":
            gateway.fault(mode if mode in FAILURES else "reset", 40)
        if mode in PASSING:
            self.calming = threading.Timer(WHILE_S, self.calm_now)
            self.calming.start()

    def calm(self):
        if self.calming is not None:
            self.calming.join()
            self.calming = None
        self.calm_now()

    def calm_now(self):
        self.stack.gateway.control(latency_ms=0, mode="none", reads=0, processing_ms=3000, rate_endpoint=0, rate_all=0,
                                   keep_refused=1)

    def crash(self, victim, point):
        wait_until(lambda: not victim.running(), REACHED_S, f"the consumer to reach {point}")
        if victim.process.returncode != -signal.SIGKILL:
            raise AssertionError(f"the consumer ended with {victim.process.returncode}, not at {point}")

    def wait_ended(self):
        orders = [job["order_id"] for job, _, _ in self.ordered]
        left = {"orders": "select count(*) from unnest(%s::uuid[]) u where not exists (select 1 from orders o "
                          "where o.order_id = u and o.status not in ('waiting', 'reserved'))",
                "payments": "select count(*) from payments where state = 'open'",
                "refunds": "select count(*) from refunds where state = 'open'",
                "commands": "select count(*) from commands where state = 'pending'",
                "events that are not relayed": "select count(*) from order_events e join relays r using (shard) "
                                               "where e.event_id > r.relayed_to"}

        def open_ones():
            self.refund_again()
            return {what: count for what, sql in left.items()
                    if (count := self.stack.one(sql, (orders,) if what == "orders" else None))}
        wait_until(lambda: not open_ones(), ENDED_S, lambda: f"everything to end; there are {open_ones()}")

    def refund_again(self):
        """An operator asks for what lacked balance, and is put off until tomorrow."""
        for order, sku in self.stack.sql(
                "select distinct r.order_id::text, o.sku from refunds r join orders o using (order_id) where r.state = 'open'"
                " and r.try_at is not null and not exists (select 1 from commands c where c.order_id = r.order_id"
                " and c.kind = 'refund' and c.state = 'pending')"):
            self.command("refund", sku, order, '{"restock": true, "note": "crash"}')

    def unpublished(self):
        """Events that went to no channel, whatever the relay's mark says."""
        while (message := self.channels.get_message(timeout=0.05)) is not None:
            if message["type"] == "pmessage":
                event = json.loads(message["data"])
                self.published.add((event["subject"], event["sequence"]))
        return set(self.stack.sql("select order_id::text, sequence from order_events")) - self.published

    def check(self):
        """Buyers were told; the gateway's ledger and the tables agree; checkoutctl audit says so, too."""
        silent = self.unpublished()
        if silent:
            raise AssertionError(f"{len(silent)} events were never published: {sorted(silent)[:3]}")
        kept = {row[0] for row in self.stack.sql("select order_id::text from orders where status = 'confirmed'")}
        captured = self.stack.gateway.captured()
        if captured != {order: 1 for order in kept}:
            raise AssertionError(f"captured and kept {captured}, confirmed {sorted(kept)}")
        wrong = self.stack.sql("select sku, stock, held, sold, waiting from items where held <> 0 or waiting <> 0 "
                               "or sold > stock")
        if wrong:
            raise AssertionError(f"items are left with {wrong}")
        audit = self.stack.ctl("audit", check=False)
        if audit.returncode != 0:
            raise AssertionError(f"audit: {audit.stdout}{audit.stderr}")
