#!/usr/bin/python3
"""A database that is not the shop's newest: restored from an older dump, or a standby that lagged. Nothing is served from it
until `checkoutctl restore finish`, which brings every order back that was paid."""

import json
import os
import urllib.parse

import harness
from harness import query_once, wait_until
from harness_keys import ProviderKey, publish
from harness_mail import Inbox
from harness_restore import OwnPrimary, RestoreCase
from harness_services import Standby

SERVING = ("producer", "consumer", "notifier", "mailer", "webhooks", "console")


class OlderDump(RestoreCase):
    def doctor_of_milestones(self):
        done = self.stack.ctl("doctor", check=False)
        return done.returncode, next((line for line in done.stdout.splitlines() if " milestones" in line), done.stdout)

    def settings_of(self, name):
        """What a program needs that the others do not."""
        if name == "mailer":
            inbox = Inbox()
            self.addCleanup(inbox.close)
            return {"CHECKOUT_MAIL": "true", "CHECKOUT_MAIL_FROM": "shop@example.org", "CHECKOUT_SMTP_TLS": "false",
                    "CHECKOUT_SMTP_URL": f"smtp://127.0.0.1:{inbox.port}"}
        if name == "console":
            path = os.path.join(self.stack.directory, "console-jwks.json")
            publish(path, ProviderKey("ES256", "shop-1").jwk())
            return {"CHECKOUT_CONSOLE_JWKS_FILE": path}
        return {"CHECKOUT_HOOKS_SECRETS": self.stack.directory} if name == "webhooks" else {}

    def test_serves_nothing_until_it_is_finished(self):
        early = self.sell("ann", "bob")
        dump = self.dump()
        late = self.sell("ann", *(f"buyer-{number}" for number in range(5)))
        declined = self.stack.order("dan", self.sku, payment_method="pm_card_chargeDeclined").wait("rejected")
        feed = self.keep_feed()
        self.wait_marked()
        newest, captured = self.newest_event(), self.captures()
        self.assertEqual(len(captured), len(early) + len(late))
        self.restore(dump)

        # everything at once, without the page
        daemons = [self.stack.start(name, wait=False, **self.settings_of(name)) for name in SERVING]
        daemons.append(self.stack.start("consumer", wait=False))
        self.wait_refused(daemons, "this database lacks events that buyers have seen")
        # accepting needs RabbitMQ alone; what would be told from the database is not told
        meanwhile = self.stack.order("cat", self.sku)
        for user, method, path in ((late[0].user, "GET", f"/v1/orders/{late[0].id}"), ("cat", "GET", "/v1/orders"),
                                   (late[0].user, "DELETE", f"/v1/orders/{late[0].id}"), (None, "GET", f"/v1/items/{self.sku}")):
            self.assertEqual(self.stack.call(user, method, path).status, 503, f"{method} {path}")
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

    def test_a_newer_timeline_of_the_same_server_makes_it_an_old_primary(self):
        system, timeline = self.stack.sql("select (select system_identifier::text from pg_control_system()), "
                                          "('x' || left(pg_walfile_name(pg_current_wal_lsn()), 8))::bit(32)::bigint")[0]
        milestone = {"generation": self.stack.one("select generation from database_check"), "system": system, "timeline": timeline,
                     "shop": None, "epochs": [None] * self.stack.shards, "events": [None] * self.stack.shards}
        for changed, old in (({}, False), ({"timeline": timeline + 1}, True), ({"timeline": timeline + 1, "system": "1"}, False),
                             ({"timeline": timeline + 1, "shop": "another"}, False)):
            problem = self.stack.one("select compare_milestones(%s)", ([json.dumps({**milestone, **changed})],))
            self.assertEqual("an old primary that came back" in (problem or ""), old, changed)
            if old:
                self.assertIn(f"(timeline {timeline}, and the shop is at {timeline + 1})", problem)
            else:
                self.assertIsNone(problem)


class LaggingStandby(OwnPrimary):
    def test_is_such_a_restore(self):
        old = urllib.parse.urlsplit(self.stack.direct["CHECKOUT_DATABASE_URL"]).port
        standby = Standby(self.stack.direct["CHECKOUT_DATABASE_URL"])
        self.addCleanup(standby.remove)
        ports = (old, standby.port)
        daemons = [self.stack.start(name, CHECKOUT_DATABASE_URL=self.url(f"test_{name}:test_{name}", *ports))
                   for name in ("producer", "consumer", "notifier")]
        self.sell("ann", "bob")
        other = next(sku for sku in map(self.stack.item, (f"other-{number}" for number in range(100)))
                     if self.stack.shard(sku) != self.stack.shard(self.sku))
        standby.wait_caught_up()
        standby.one("alter system set primary_conninfo = ''")
        standby.one("select pg_reload_conf()")
        wait_until(lambda: standby.one("select count(*) from pg_stat_wal_receiver") == "0", 10, "the standby to lag")
        cursor = self.follow()[-1]["cursor"]
        late = self.sell(*(f"buyer-{number}" for number in range(6)))
        lost = self.stack.order("dan", other, payment_method="pm_card_chargeDeclined").wait("rejected")
        self.wait_marked()
        captured, newest = self.captures(), self.newest_event()
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
        self.assertIsNone(lost.row())
        shown = self.follow("--after", cursor)
        self.assertCountEqual([event["order_id"] for event in shown if event["status"] == "confirmed"],
                              [order.id for order in late] + [self.stack.one("select order_id::text from orders where user_id = 'cat'")])
        self.assertEqual(self.stack.one("select count(*) from order_events where event_id <= %s and order_id = any (%s::uuid[])",
                                        (newest, [order.id for order in late])), 0)
        self.assert_audited()

        # what consumers remember of before says nothing against it, when their sessions begin again
        known = self.stack.daemon("consumer").log_text().count(b"the database is the newest, by the milestones")
        self.stack.sql("select pg_terminate_backend(pid) from pg_stat_activity"
                       " where application_name = 'checkout-consumer heartbeat' and datname = current_database()")
        wait_until(lambda: self.stack.daemon("consumer").log_text().count(b"the database is the newest, by the milestones") > known,
                   30, lambda: f"the database to be compared again: {self.readiness(self.stack.daemon('consumer'))}")
        self.assertEqual(self.stack.ctl("restore", "status").returncode, 0)

        # the old primary comes back, and a program reaches nothing else
        self.primary.start()
        alone = self.stack.start("consumer", wait=False,
                                 CHECKOUT_DATABASE_URL=self.url("test_consumer:test_consumer", old))
        self.addCleanup(alone.kill)
        self.wait_refused([alone], "this database is an old copy")
        self.assertEqual(query_once(self.url(None, old), "select count(*) from checkout.orders")[0][0], 9)


if __name__ == "__main__":
    harness.main()
