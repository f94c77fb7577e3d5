#!/usr/bin/python3
"""A standby that is promoted in mid-sale: a synchronous one lacks nothing, an asynchronous one that lags is a restore."""

import itertools
import os
import signal
import threading
import time
import urllib.parse

import harness
from harness import query_once, wait_until
from harness_restore import OwnPrimary
from harness_services import Standby

BUYERS = 4
DECLINED = "pm_card_chargeDeclined"


class Crowd:
    """Buyers who order one after the other, and keep what they are told."""

    def __init__(self, stack, skus):
        self._stack, self._skus = stack, itertools.cycle(skus)
        self._lock, self._number, self._over = threading.Lock(), itertools.count(), threading.Event()
        self.accepted, self.told = {}, {}       # by order: its user; the final state
        self._threads = [threading.Thread(target=self._buy, daemon=True) for _ in range(BUYERS)]
        for thread in self._threads:
            thread.start()

    def _buy(self):
        while not self._over.is_set():
            with self._lock:
                number, sku = next(self._number), next(self._skus)
            user = f"buyer-{number}"
            try:
                answer = self._stack.post(user, sku, payment_method=DECLINED if number % 5 == 4 else "pm_card_visa")
            except OSError:
                continue
            if answer.status != 202:
                time.sleep(0.1)                 # as it asks for
                continue
            self.accepted[answer.json["id"]] = user
            self._listen(user, answer.json["id"])

    def _listen(self, user, order_id):
        until = time.monotonic() + 10           # one that was forgotten stays queued
        while time.monotonic() < until and not self._over.is_set():
            try:
                answer = self._stack.call(user, "GET", f"/v1/orders/{order_id}", headers={"Prefer": "wait=2"})
            except OSError:
                continue
            if answer.status == 200 and answer.json["status"] in ("confirmed", "rejected", "cancelled"):
                self.told[order_id] = answer.json["status"]
                return
            if answer.status != 200:
                time.sleep(0.2)                 # PostgreSQL is away, or behind

    def wait_told(self, more):
        wanted = len(self.told) + more
        wait_until(lambda: len(self.told) >= wanted, 60, f"{wanted} buyers to be told")

    def stop(self):
        self._over.set()
        for thread in self._threads:
            thread.join(30)


class Promoted(OwnPrimary):
    def begin(self):
        """A sale at a primary that has a standby."""
        port = urllib.parse.urlsplit(self.stack.direct["CHECKOUT_DATABASE_URL"]).port
        self.standby = Standby(self.stack.direct["CHECKOUT_DATABASE_URL"])
        self.addCleanup(self.standby.remove)
        self.skus = [self.stack.item(stock=1000) for _ in range(8)]
        for name in ("producer", "consumer", "notifier"):
            self.stack.start(name, CHECKOUT_DATABASE_URL=self.url(f"test_{name}:test_{name}", port, self.standby.port))
        self.standby.wait_caught_up()

    def keep_seen(self):
        """What readers of the feed have had, and all events that were ever given an id."""
        self.given = dict(self.stack.sql("select event_id, order_id::text from order_events"))
        return self.follow()

    def end_primary(self):
        self.stack.forget_database()
        self.primary.kill()
        self.addCleanup(self.primary.start)     # the database is dropped there

    def move(self):
        """From now on the standby is the test's database."""
        url = self.url(None, self.standby.port)
        self.stack.direct["CHECKOUT_DATABASE_URL"] = self.stack.settings["CHECKOUT_DATABASE_URL"] = url

    def assert_kept(self, crowd, seen, forgotten=0):
        """Promises 1, 2 and 4, for all that were accepted; and the feed, for whom had read it up to `seen`. `forgotten`: so
        many orders at most are not there, none of them paid; their buyers had not heard of it, or of a refusal that was not in the feed."""
        known = dict(self.stack.sql("select order_id::text, status from orders"))
        lost = {order_id for order_id in crowd.accepted if order_id not in known}
        self.assertLessEqual(len(lost), forgotten)
        self.assertEqual(lost & {event["order_id"] for event in seen}, set())
        paid = self.stack.gateway.captured()
        for order_id in crowd.accepted:
            status = known.get(order_id)
            if order_id in crowd.told and not (status is None and crowd.told[order_id] == "rejected"):
                self.assertEqual(status, crowd.told[order_id], order_id)
            self.assertEqual(paid.get(order_id, 0), int(status == "confirmed"), (order_id, status))
        shown = self.follow("--after", seen[-1]["cursor"])
        once = {event["order_id"] for event in seen} | {event["order_id"] for event in shown}
        self.assertEqual(set(known) - once, set())
        twice = [event for event, order_id in self.stack.sql("select event_id, order_id::text from order_events")
                 if self.given.get(event, order_id) != order_id]
        self.assertEqual(twice, [])
        self.assertEqual(self.stack.ctl("restore", "status").returncode, 0)
        self.assert_audited()

    def wait_all_final(self, crowd, known_only=False):
        def open_orders():
            states = dict(self.stack.sql("select order_id::text, status from orders"))
            return [o for o in crowd.accepted if states.get(o, "confirmed" if known_only else "queued")
                    in ("queued", "waiting", "reserved")]
        wait_until(lambda: not open_orders(), 60, lambda: f"all orders to end: {open_orders()}")


class Synchronous(Promoted):
    def test_it_lacks_nothing_that_anybody_was_told(self):
        self.begin()
        self.skus.append(self.stack.item(stock=10))
        primary = self.stack.direct["CHECKOUT_DATABASE_URL"]
        for statement in ("alter system set synchronous_standby_names = '*'", "select pg_reload_conf()"):
            self.stack.sql(statement)
        wait_until(lambda: self.stack.one("select 1 from pg_stat_replication where sync_state = 'sync'"), 20, "the standby to be synchronous")
        crowd = Crowd(self.stack, self.skus)
        self.addCleanup(crowd.stop)
        crowd.wait_told(40)
        receiver = int(self.standby.one("select pid from pg_stat_wal_receiver"))
        os.kill(receiver, signal.SIGSTOP)
        try:
            wait_until(lambda: self.stack.one("select count(*) from pg_stat_activity where wait_event = 'SyncRep'"
                                              " and application_name = 'checkout-consumer orders'") > 0,
                       20, "commits to wait for the standby")
            seen = self.keep_seen()
            query_once(primary, "alter system reset synchronous_standby_names", options="-csynchronous_commit=local")  # of its next start
            self.end_primary()
        finally:
            os.kill(receiver, signal.SIGCONT)
        self.standby.promote()
        self.move()
        crowd.wait_told(40)
        crowd.stop()
        self.wait_all_final(crowd)
        self.assert_kept(crowd, seen)
        for daemon in self.stack.daemons:
            self.assertNotIn(b"lacks events", daemon.log_text())


class Asynchronous(Promoted):
    def test_what_it_lacks_comes_back(self):
        self.begin()
        crowd = Crowd(self.stack, self.skus)
        self.addCleanup(crowd.stop)
        crowd.wait_told(40)
        self.standby.one("alter system set primary_conninfo = ''")
        self.standby.one("select pg_reload_conf()")
        wait_until(lambda: self.standby.one("select count(*) from pg_stat_wal_receiver") == "0", 10, "the standby to lag")
        begun = self.newest_event()
        crowd.wait_told(40)
        wait_until(lambda: self.newest_marked() > begun, 10, "an event that the standby lacks to be marked")
        seen, feed = self.keep_seen(), self.keep_feed()
        self.end_primary()
        self.standby.promote()
        self.move()
        self.wait_refused([d for d in self.stack.daemons if d.name != "checkout-sandbox-gateway"], "this database lacks events")
        doctor = self.stack.ctl("doctor", check=False)
        self.assertEqual(doctor.returncode, 1)
        self.assertIn("lacks events that buyers have seen", doctor.stdout)
        before = len(crowd.accepted)
        finished = self.operate("restore", "finish", "--json", "--feed", feed)
        self.assertIn('"left":0', finished.stdout)
        adopted = int(finished.stdout.split('"adopted":')[1].split(",")[0])
        self.assertGreaterEqual(adopted, 20)
        crowd.wait_told(20)
        crowd.stop()
        self.wait_all_final(crowd, known_only=True)
        self.assertGreater(len(crowd.accepted), before)
        self.assert_kept(crowd, seen, forgotten=4 * BUYERS)


if __name__ == "__main__":
    harness.main()
