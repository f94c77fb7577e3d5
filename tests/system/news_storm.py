#!/usr/bin/python3
"""Mails and webhooks in a storm: everybody is told, at least once, and hardly ever twice.

    tests/system/news_storm.py --orders 2000

A mail server and an endpoint of the shop's backend fail 30 % of what they get: they refuse it for now or for good, cut
the connection before or after they have taken it, are slow, or never answer. The mailer and the process that sends
webhooks are killed twice (SIGKILL). Then: each mail that was due was accepted; what came twice had its answer lost or was under way
at a kill, and has its Message-ID or webhook-id; every event reached the endpoint, in order for each order; and a second
endpoint, which is well, had each event at once. An answer is lost if whoever waited for it had gone: by a fault, or
because it took longer than the time that there is for it, as on a busy machine.

Waiting for a next attempt is cut short. Servers and programs as tests/integration/harness.py finds them. Exit code 1 if
anything is not so.
"""

import argparse
import collections
import datetime
import json
import os
import random
import statistics
import sys
import threading
import time

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path.insert(0, os.path.join(ROOT, "tests", "integration"))

import harness  # noqa: E402
from harness_hooks import CUT, SILENT, Receiver  # noqa: E402
from harness_mail import Inbox  # noqa: E402

MAIL_FAULTS = ("rejected", "refused", "busy", "shy", "closed", "closing", "greylisted", "throttled", "lost", "slow", "silent",
               "mute", "kept")
HOOK_FAULTS = (500, 429, 302, CUT, SILENT, "lost", "kept", "slow")
TAKEN = ("lost", "kept", "slow")        # of these: it has what it was sent
SHARE = 0.3
LATE_S = 2.0                            # the endpoint that is well has half of all events sooner, and nearly all in …
LATE_MOST_S = 5.0
AROUND_KILL_S = 3.0                     # … but for those around a kill
PATIENCE_S = 400
RATE = 130                              # orders in a second


class Broken(Exception):
    """A promise that was not kept."""


def must(holds, what):
    if not holds:
        raise Broken(what)


def unexplained(tries, unanswered=0):
    """How many of these tries of one mail or event, each of which was taken, came again though the answer was heard;
    `unanswered` is how many of them their sender wrote of that no answer came in time."""
    return max(0, len(tries) - 1 - max(unanswered, sum(not each.heard for each in tries)))


class Endpoints:
    """Both endpoints: /bad fails at the first try of some events, /good never."""

    def __init__(self, seed):
        self.seed, self.lock = seed, threading.Lock()
        self.taken = {"/bad": collections.defaultdict(list), "/good": collections.defaultdict(list)}
        self.seen, self.late = set(), []
        self.receiver = Receiver(self.answer)
        self.url = self.receiver.url

    def fault(self, hook):
        dice = random.Random(f"{self.seed} {hook.id}")
        return dice.choice(HOOK_FAULTS) if dice.random() < SHARE else None

    def answer(self, hook, path):
        fault = self.fault(hook) if path == "/bad" and hook.id not in self.seen else None
        with self.lock:
            if path == "/bad":
                self.seen.add(hook.id)
            else:
                at = datetime.datetime.fromisoformat(hook.json["timestamp"].replace("Z", "+00:00")).timestamp()
                self.late.append((time.time(), time.time() - at))
            if fault is None or fault in TAKEN:
                self.taken[path][hook.order].append(hook)
        if fault == "slow":
            time.sleep(0.5)
            return 200
        return {None: 200, "lost": CUT, "kept": SILENT}.get(fault, fault)

    def check(self, path, events, in_flight, silences):
        """(how many events came again, how many answers were lost)"""
        repeats = lost = spare = 0
        for order, wanted in events.items():
            came = self.taken[path].get(order, [])
            ids = [hook.id for hook in came]
            must(set(ids) >= set(wanted), f"{path}: order {order} had {ids}, not all of {wanted}")
            sequences = [hook.data["sequence"] for hook in came]
            must(sequences == sorted(sequences), f"{path}: order {order} had its events in the order {sequences}")
            repeats += len(came) - len(wanted)
            lost += sum(not hook.heard for hook in came)
            spare += sum(unexplained([hook for hook in came if hook.id == event], silences[path[1:], event]) for event in wanted)
        must(spare <= in_flight, f"{path}: {spare} events came again whose answers were heard; {in_flight} were under way at kills")
        return repeats, lost


class Storm:
    def __init__(self, options):
        self.options, self.began, self.kills = options, time.monotonic(), []
        self.stack = harness.Stack("news-storm", shards=8, settings={
            "CHECKOUT_SMTP_TLS": "false", "CHECKOUT_SMTP_TIMEOUT": "2s", "CHECKOUT_MAIL_FROM": "shop@example.org",
            "CHECKOUT_HOOKS_HTTP": "true", "CHECKOUT_HOOKS_ALLOW": "127.0.0.1", "CHECKOUT_HOOKS_TIMEOUT": "2s"})
        self.stack.settings["CHECKOUT_HOOKS_SECRETS"] = self.stack.directory
        self.inbox, self.endpoints = Inbox(), Endpoints(options.seed)
        self.stack.settings["CHECKOUT_SMTP_URL"] = f"smtp://127.0.0.1:{self.inbox.port}"
        for name in ("bad", "good"):
            self.stack.ctl("webhooks", "add", name, f"{self.endpoints.url}/{name}")
        self.stack.ctl("mails", "kinds", "confirmed,rejected")
        self.items = [self.stack.item(f"storm-{n}", stock=options.orders) for n in range(16)]
        self.stack.start("sandbox")
        self.consumer = self.stack.start("consumer")
        self.mailer, self.hooks = self.stack.start("mailer"), self.stack.start("webhooks")
        self.in_flight = collections.Counter()

    def say(self, text):
        print(f"{time.monotonic() - self.began:6.1f} s  {text}", flush=True)

    # -- what happens ------------------------------------------------------------------------------------

    def addresses(self):
        dice = random.Random(f"{self.options.seed} mails")
        for n in range(self.options.orders):
            kind = f"{dice.choice(MAIL_FAULTS)}-1" if dice.random() < SHARE else "well"
            yield f"{kind}+{n}@storm.example"

    def sale(self):
        """Publishes the orders, some with each step; one card in ten is declined. At the end: address → order."""
        orders, jobs = {}, []
        began = time.monotonic()
        for n, address in enumerate(self.addresses()):
            method = "pm_card_chargeDeclined" if n % 10 == 0 else "pm_card_visa"
            jobs.append(self.stack.job(f"buyer-{n}", self.items[n % len(self.items)], mail_to=address, payment_method=method))
            orders[address] = jobs[-1]["order_id"]
            while time.monotonic() - began < n / min(RATE, self.options.orders / 5):
                self.publish(jobs)
                jobs = []
                yield None
        self.publish(jobs)
        yield orders

    def publish(self, jobs):
        of_shard = collections.defaultdict(list)
        for job in jobs:
            of_shard[self.stack.shard(job["sku"])].append(job)
        for shard, those in of_shard.items():
            for first in range(0, len(those), 200):
                self.stack.publish_jobs(*those[first:first + 200], shard=shard)

    def kill(self, daemon, table):
        daemon.kill()
        whose = "'mails'" if table == "mails" else "endpoint"
        claims = self.stack.sql(f"select {whose}, count(*) from {table} where state = 'due' and claimed_by like %s group by 1",
                                (f"%:{daemon.pid}",))
        self.in_flight.update(dict(claims))
        again = self.stack.start_again(daemon)
        self.stack.sql(f"update {table} set due_at = now() where state = 'due' and claimed_by like %s", (f"%:{daemon.pid}",))
        return again, dict(claims)

    def kill_both(self):
        began = time.time()
        self.mailer, mails = self.kill(self.mailer, "mails")
        self.hooks, hooks = self.kill(self.hooks, "hook_deliveries")
        self.kills.append((began, time.time()))
        self.say(f"killed; under way were {mails} and {hooks}")

    def hurry(self):
        """What waits for its next attempt is due; what was refused for good is tried again, as an operator would."""
        self.stack.sql("update mails set due_at = now() where state = 'due' and claimed_by is null and due_at > now()")
        self.stack.sql("update hook_deliveries set due_at = now() where state = 'due' and claimed_by is null and due_at > now()")
        self.stack.sql("update hook_endpoints set try_at = now() where try_at > now()")
        if self.stack.one("select count(*) from mails where state = 'failed'"):
            self.stack.ctl("mails", "retry", "--failed")

    def left(self):
        """(orders, mails, webhooks) that have not ended."""
        return self.stack.sql(
            "select (select %s - count(*) from orders where status not in ('waiting', 'reserved')),"
            " (select count(*) from mails where state <> 'sent'),"
            " (select count(*) from hook_deliveries where state <> 'sent')"
            " + (select count(*) from hook_endpoints h, order_events e where e.event_id > h.positions[e.shard + 1])",
            (self.options.orders,))[0]

    def run(self):
        self.say(f"{self.options.orders} orders, {SHARE:.0%} of what is sent fails, seed {self.options.seed}")
        until, orders, sale = time.monotonic() + PATIENCE_S, None, self.sale()
        marks = [self.options.orders // 3, 2 * self.options.orders // 3]
        while (left := self.left()) != (0, 0, 0):
            orders = orders or next(sale)
            must(time.monotonic() < until, f"{left} orders, mails and webhooks are left after {PATIENCE_S} s")
            if marks and self.stack.one("select count(*) from mails where state = 'sent'") >= marks[0]:
                marks.pop(0)
                self.kill_both()
            self.hurry()
            time.sleep(0.3)
        must(marks == [], "it was over before the second kill")
        self.say("all have left")
        return orders

    # -- what must hold ----------------------------------------------------------------------------------

    @staticmethod
    def silences(daemon, *keys):
        """How often it wrote of a mail or an event, by these members of its lines, that no answer came in time: an answer
        that came too late for it may not have seemed so to its other end."""
        with open(daemon.log, encoding="utf-8") as source:
            lines = [json.loads(line) for line in source if line.startswith("{")]
        return collections.Counter(tuple(line.get(key) for key in keys) for line in lines if
                                   line["event"].endswith("; will retry") and not line["problem"].startswith(("answered", "refused")))

    def check_mails(self, orders):
        came = collections.defaultdict(list)
        for mail in self.inbox.mails:
            came[mail.recipients[0]].append(mail)
        kinds = dict(self.stack.sql("select order_id::text, status from orders"))
        for address, order in orders.items():
            ids = [mail.id for mail in came[address]]
            must(set(ids) == {f"<{order}.{kinds[order]}@example.org>"}, f"{address} had {ids}")
        in_flight = self.in_flight["mails"]
        repeats, lost = len(self.inbox.mails) - len(orders), sum(not mail.heard for mail in self.inbox.mails)
        silences = self.silences(self.mailer, "order_id")
        spare = sum(unexplained(came[address], silences[order,]) for address, order in orders.items())
        must(spare <= in_flight, f"{spare} mails came again whose answers were heard; {in_flight} were under way at the kills")
        self.say(f"mails: each arrived, {repeats} again ({lost} answers lost, {in_flight} under way at the kills)")

    def check_hooks(self):
        events = collections.defaultdict(list)
        for order, event in self.stack.sql("select order_id::text, event_id from order_events order by event_id"):
            events[order].append(f"evt_{event}")
        bad, good = self.in_flight["bad"], self.in_flight["good"]
        silences = self.silences(self.hooks, "endpoint", "id")
        again, lost = self.endpoints.check("/bad", events, bad, silences)
        well, missed = self.endpoints.check("/good", events, good, silences)
        self.say(f"webhooks: {sum(map(len, events.values()))} events at both endpoints, in order; again came {again} to the bad "
                 f"one ({lost} answers lost, {bad} under way at the kills), {well} to the good one ({missed}, {good})")

    def check_good(self):
        late = sorted(late for at, late in self.endpoints.late
                      if not any(began - 1 < at < ended + AROUND_KILL_S for began, ended in self.kills))
        must(late, "nothing arrived but around the kills")
        median, nearly = statistics.median(late), late[int(len(late) * 0.99)]
        self.say(f"the good endpoint had an event after {median:.2f} s (median), {nearly:.2f} s (p99)")
        must(median <= LATE_S and nearly <= LATE_MOST_S, "the good endpoint waited")
        lost = collections.Counter(hook.id for hooks in self.endpoints.taken["/good"].values() for hook in hooks if not hook.heard)
        tries = self.stack.one("select max(attempts) from hook_deliveries where endpoint = 'good'")
        must(tries <= 1 + len(self.kills) + max(lost.values(), default=0), f"an event went to the good endpoint {tries} times")

    def close(self):
        self.inbox.close()
        self.endpoints.receiver.close()
        self.stack.close()


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--orders", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=1, help="of the faults")
    storm = Storm(parser.parse_args())
    try:
        orders = storm.run()
        storm.check_mails(orders)
        storm.check_hooks()
        storm.check_good()
    except (Broken, AssertionError) as error:
        storm.stack.keep_logs()
        print(f"BROKEN: {error}\nlogs are in {storm.stack.directory}", file=sys.stderr)
        return 1
    finally:
        storm.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
