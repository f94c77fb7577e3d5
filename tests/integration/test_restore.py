#!/usr/bin/python3
"""A database that is not the shop's newest: restored from an older dump, or a standby that lagged. Nothing is served from it
until `checkoutctl restore finish`, which brings every order back that was paid."""

import json
import os
import unittest
import urllib.parse
from concurrent.futures import ThreadPoolExecutor

import harness
import harness_services
from harness import query_once, wait_until
from harness_client import http_call
from harness_database import dump_database, restore_database
from harness_services import Standby

SERVING = ("producer", "consumer", "notifier", "webhooks")


class RestoreCase(harness.TestCase):
    """A sale with a past that its database forgets."""

    daemons = ("sandbox", "producer", "consumer", "notifier")
    STOCK = 12

    def setUp(self):
        self.sku = self.stack.item(stock=self.STOCK)

    def sell(self, *users):
        """Confirmed orders of these users."""
        with ThreadPoolExecutor(max_workers=4) as pool:
            return list(pool.map(lambda user: self.stack.order(user, self.sku).wait("confirmed"), users))

    def newest_event(self):
        return self.stack.one("select max(event_id) from order_events")

    def wait_marked(self):
        """What was published is in RabbitMQ."""
        def marked():
            newest = max((event for milestone in self.stack.broker.milestones() for event in milestone["events"] if event), default=0)
            return newest >= self.newest_event()
        wait_until(marked, 10, "the newest event to be marked")

    def captures(self):
        """Of our item: (order, state) of what took money."""
        return sorted(intent["metadata"]["order_id"] for intent in self.stack.gateway.intents()
                      if intent["status"] == "succeeded" and intent["metadata"]["sku"] == self.sku)

    def readiness(self, daemon):
        answer = http_call(daemon.admin, "GET", "/readyz")
        return answer.status, answer.body.decode()

    def wait_refused(self, daemons, why):
        for daemon in daemons:
            wait_until(lambda: self.readiness(daemon)[0] == 503, 60, f"{daemon.name} not to be ready")
        consumer = next(daemon for daemon in daemons if daemon.name == "checkout-consumer")
        wait_until(lambda: why in self.readiness(consumer)[1], 60, lambda: f"the reason: {self.readiness(consumer)}")
        for daemon in daemons:
            wait_until(lambda: why.encode() in daemon.log_text(), 60, f"{daemon.name} to say why")

    def kill_programs(self):
        for daemon in self.stack.daemons:
            if daemon.name != "checkout-sandbox-gateway" and daemon.running():
                daemon.kill()

    def finish(self, *options):
        done = self.stack.ctl("restore", "finish", *options)
        return done.stdout


class OlderDump(RestoreCase):
    def doctor_of_milestones(self):
        done = self.stack.ctl("doctor", check=False)
        return done.returncode, next((line for line in done.stdout.splitlines() if " milestones" in line), done.stdout)

    def test_serves_nothing_until_it_is_finished(self):
        early = self.sell("ann", "bob")
        dump = os.path.join(self.stack.directory, "dump")
        dump_database(self.stack.database, dump)
        late = self.sell("ann", *(f"buyer-{number}" for number in range(5)))
        declined = self.stack.order("dan", self.sku, payment_method="pm_card_chargeDeclined").wait("rejected")
        feed = os.path.join(self.stack.directory, "feed")
        with open(feed, "w", encoding="utf-8") as sink:
            sink.write(self.stack.ctl("events", "follow", "--once", "--json").stdout)
        self.wait_marked()
        newest, captured = self.newest_event(), self.captures()
        self.assertEqual(len(captured), len(early) + len(late))
        self.kill_programs()
        self.stack.forget_database()
        restore_database(self.stack.database, dump)

        # everything at once, without the page
        daemons = [self.stack.start(name, wait=False, CHECKOUT_HOOKS_SECRETS=self.stack.directory) for name in SERVING]
        daemons.append(self.stack.start("consumer", wait=False))
        self.wait_refused(daemons, "this database lacks events that buyers have seen")
        meanwhile = self.stack.order("cat", self.sku)
        code, line = self.doctor_of_milestones()
        self.assertEqual(code, 1)
        self.assertIn("lacks events", line)
        self.assertEqual(self.stack.ctl("restore", "status", check=False).returncode, 1)
        follow = self.stack.ctl("events", "follow", "--once", check=False)
        self.assertNotEqual(follow.returncode, 0)
        self.assertIn("lacks events", follow.stderr)
        self.assertEqual(self.captures(), captured)
        self.assertIsNone(meanwhile.row())
        self.assertEqual(self.stack.counts(self.sku), (self.STOCK, 0, 2, 0))

        # with the page
        self.assertIn("6 orders would be adopted", self.finish("--dry-run"))
        self.assertEqual(self.stack.counts(self.sku), (self.STOCK, 0, 2, 0))
        milestones = [json.dumps(milestone) for milestone in self.stack.broker.milestones()]
        self.assertIn("lacks events", self.stack.one("select begin_restore(%s, false, 'one that died on the way')", (milestones,)))
        finished = self.finish("--feed", feed)
        self.assertIn("6 orders adopted as confirmed", finished)
        self.assertIn("5 of them have their customer's name, 1 orders ended without a payment", finished)
        self.assertIn("nothing to finish", self.finish())
        self.assertCountEqual(self.stack.sql("select user_id from orders where order_id = any (%s::uuid[])",
                                        ([order.id for order in late],)), [(order.user,) for order in late])
        self.assertEqual(declined.row(), ("rejected", "payment_declined"))
        meanwhile.wait("confirmed")
        for order in late:
            self.assertEqual(order.status(), "confirmed")
            wait_until(lambda: self.stack.status(order.user, order.id).status == 200, 20, "the producer to show it")
            self.assertEqual(self.stack.status(order.user, order.id).json["status"], "confirmed")
        self.assertEqual(self.stack.counts(self.sku), (self.STOCK, 0, 9, 0))
        self.assertEqual(len(self.captures()), 9)
        self.assertGreater(self.stack.one("select min(event_id) from order_events where order_id = any (%s::uuid[])",
                                          ([order.id for order in late],)), newest)
        for daemon in daemons:
            wait_until(lambda: self.readiness(daemon)[0] == 200, 30, lambda: f"{daemon.name}: {self.readiness(daemon)}")
        self.assertIn("the database is the newest", self.doctor_of_milestones()[1])
        audit = self.stack.ctl("audit", check=False)
        self.assertEqual(audit.returncode, 0, audit.stdout + audit.stderr)


@unittest.skipIf(os.environ.get("CHECKOUT_TEST_DRAW"), "only with --full")
class Compared(RestoreCase):
    """What a milestone says of the database that it is about."""

    def test_an_event_that_a_new_owner_wrote_was_published_by_the_old_one(self):
        self.sell("ann")
        shard = self.stack.shard(self.sku)
        epoch = self.stack.one("select max(epoch) from order_events where shard = %s", (shard,))
        milestone = {"generation": self.stack.one("select generation from database_check"), "system": None, "timeline": None,
                     "shop": None, "epochs": [None] * self.stack.shards, "events": [None] * self.stack.shards}
        milestone["events"][shard] = self.stack.one("select max(event_id) from order_events where shard = %s", (shard,))
        for reserved, said, lacks in ((None, epoch, False), (None, epoch - 1, False), (None, epoch + 1, True),
                                      (5, epoch, False), (5, epoch - 1, True), (5, epoch + 1, True)):
            milestone["epochs"][shard] = said
            text = json.dumps(milestone if reserved is None else {**milestone, "reserved": reserved})
            problem = self.stack.one("select compare_milestones(%s)", ([text],))
            self.assertEqual("lacks events" in (problem or ""), lacks, text)
        milestone["events"][shard] += 1
        self.assertIn("lacks events", self.stack.one("select compare_milestones(%s)", ([json.dumps(milestone)],)))


class LaggingStandby(RestoreCase):
    """It has a primary of its own, which ends."""

    daemons = ("sandbox",)
    primary = None

    @classmethod
    def setUpClass(cls):
        cls.primary = harness_services.start_private_database()
        super().setUpClass()

    def url(self, login, *ports):
        parts = urllib.parse.urlsplit(self.stack.direct["CHECKOUT_DATABASE_URL"])
        login = login or parts.netloc.rpartition("@")[0]
        return parts._replace(netloc=f"{login}@" + ",".join(f"127.0.0.1:{port}" for port in ports)).geturl()

    def test_is_such_a_restore(self):
        old = urllib.parse.urlsplit(self.stack.direct["CHECKOUT_DATABASE_URL"]).port
        standby = Standby(self.stack.direct["CHECKOUT_DATABASE_URL"])
        self.addCleanup(standby.remove)
        ports = (old, standby.port)
        daemons = [self.stack.start(name, CHECKOUT_DATABASE_URL=self.url(f"test_{name}:test_{name}", *ports))
                   for name in ("producer", "consumer", "notifier")]
        self.sell("ann", "bob")
        standby.wait_caught_up()
        standby.one("alter system set primary_conninfo = ''")
        standby.one("select pg_reload_conf()")
        wait_until(lambda: standby.one("select count(*) from pg_stat_wal_receiver") == "0", 10, "the standby to lag")
        late = self.sell(*(f"buyer-{number}" for number in range(6)))
        self.wait_marked()
        captured = self.captures()
        self.primary.kill()
        standby.promote()
        self.wait_refused(daemons, "this database lacks events that buyers have seen")
        self.assertEqual(self.captures(), captured)

        self.stack.forget_database()
        self.stack.direct["CHECKOUT_DATABASE_URL"] = self.stack.settings["CHECKOUT_DATABASE_URL"] = self.url(None, standby.port)
        self.assertIn("6 orders adopted as confirmed", self.finish())
        for order in late:
            order.wait("confirmed")
        self.stack.order("cat", self.sku).wait("confirmed")
        self.assertEqual(self.stack.counts(self.sku), (self.STOCK, 0, 9, 0))

        # the old primary comes back, and a program reaches nothing else
        self.primary.start()
        alone = self.stack.start("consumer", wait=False,
                                 CHECKOUT_DATABASE_URL=self.url("test_consumer:test_consumer", old))
        self.addCleanup(alone.kill)
        self.wait_refused([alone], "this database is an old copy")
        self.assertEqual(query_once(self.url(None, old), "select count(*) from checkout.orders")[0][0], 8)


if __name__ == "__main__":
    harness.main()
