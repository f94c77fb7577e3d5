#!/usr/bin/python3
"""`checkoutctl restore finish` and `orders adopt`: what they bring back, what they leave by name, and that they may die anywhere."""

import json
import os
import signal
import subprocess
import threading
import urllib.parse

import psycopg2

import harness
from harness import program, program_environment, wait_until
from harness_database import administer
from harness_proxy import Proxy
from harness_restore import RestoreCase


class Adopts(RestoreCase):
    """What was paid, and what was told, of orders that the backup lacks or knows otherwise."""

    def setUp(self):
        super().setUp()
        if not any(daemon.name == "checkout-consumer" and daemon.running() for daemon in self.stack.daemons):
            self.start_programs()           # the test before has failed without them

    def statuses(self, *orders):
        return [order.status() for order in orders]

    def test_what_cannot_be_adopted_is_left_by_name(self):
        declined = self.stack.order("dan", self.sku, payment_method="pm_card_chargeDeclined").wait("rejected")
        single = self.stack.item(stock=1)
        dump = self.dump()
        late = self.sell("ann", "bob")
        fresh = self.stack.item(stock=1)    # the backup does not know it
        of_fresh = self.stack.order("eve", fresh).wait("confirmed")
        of_single = self.stack.order("fay", single).wait("confirmed")
        self.wait_marked()
        self.restore(dump)
        self.stack.sql("update items set stock = 0 where sku = %s", (single,))
        self.pay(declined.id)
        bare = self.pay(self.stack.job("gus", self.sku)["order_id"])

        first = self.operate("restore", "finish", check=False)
        self.assertEqual(first.returncode, 1, first.stdout + first.stderr)
        for order_id, why in ((declined.id, "its order ended without it"), (bare, "its charge does not say what was ordered"),
                              (of_fresh.id, "the database has no such item"), (of_single.id, "no unit of the item is free")):
            self.assertTrue(any(order_id in line and why in line for line in first.stderr.splitlines()), (why, first.stderr))
        self.assertIn("4 orders that were paid cannot be adopted", first.stderr)
        self.assertEqual(self.statuses(*late), ["confirmed", "confirmed"])
        self.assertEqual(self.stack.ctl("restore", "status", check=False).returncode, 1)

        rest = self.operate("restore", "finish", "--leave-rest", check=False)
        self.assertEqual(rest.returncode, 1)
        self.assertIn("0 orders adopted as confirmed", rest.stdout)
        self.assertIn("4 left", rest.stdout)
        self.assertIn("this database is the shop's newest now", rest.stdout)
        self.assertEqual(self.stack.ctl("restore", "status").returncode, 0)
        self.start_programs()
        self.assertEqual(self.audited(), sorted([("charged-for-nothing", bare), ("charged-for-nothing", of_fresh.id),
                                                 ("charged-for-nothing", of_single.id), ("charged-unconfirmed", declined.id)]))

        # when there are units, beside the sale
        self.stack.item(fresh, stock=1)
        self.stack.ctl("items", "restock", single, "1")
        wait_until(lambda: self.stack.counts(single)[0] == 1, 10, "the unit to be there")
        looked = self.operate("orders", "adopt", "--dry-run", check=False)
        self.assertIn("2 orders would be adopted", looked.stdout)
        self.assertIsNone(of_fresh.row())
        adopted = self.operate("orders", "adopt", "--json", check=False)
        self.assertEqual(adopted.returncode, 1)
        counts = json.loads(adopted.stdout)
        self.assertEqual((counts["adopted"], counts["left"]), (2, 2))
        self.assertEqual(self.statuses(of_fresh, of_single), ["confirmed", "confirmed"])
        self.assertEqual(self.stack.counts(single), (1, 0, 1, 0))
        wait_until(lambda: self.stack.one("select count(*) from relays r where r.relayed_to <"
                                          " (select max(e.event_id) from order_events e where e.shard = r.shard)") == 0,
                   10, "the events of adopted orders to be published")
        self.assertEqual(self.audited(), sorted([("charged-for-nothing", bare), ("charged-unconfirmed", declined.id)]))
        for order_id in (bare, declined.id):
            intent = next(i for i in self.stack.gateway.intents() if (i.get("metadata") or {}).get("order_id") == order_id
                          and i["status"] == "succeeded")
            self.assertEqual(self.stack.gateway.call("POST", "/v1/refunds", {"payment_intent": intent["id"]}).status, 200)
        self.assertEqual(self.operate("orders", "adopt", "--since", "1d").returncode, 0)
        self.assert_audited()               # that money went back

    def audited(self):
        done = self.stack.ctl("audit", "--json", check=False)
        return sorted((found["kind"], found["order_id"]) for found in json.loads(done.stdout)["violations"])

    def test_a_restore_that_no_milestone_shows(self):
        self.sell("ann")
        dump = self.dump()
        late = self.sell("bob", "cat")
        newest = self.newest_event()
        self.restore(dump)
        self.put_milestones([])             # RabbitMQ was lost, too
        self.assertEqual(self.stack.ctl("restore", "status").returncode, 0)
        self.assertIn("nothing to finish", self.finish())
        self.assertIn("2 orders would be adopted", self.finish("--anyway", "--dry-run"))
        self.assertEqual(self.stack.ctl("restore", "status").returncode, 0)
        self.assertIn("has begun", self.stack.one("select begin_restore('{}', true, 'one that died on the way')"))
        self.stack.sql("update database_check set identity = 'before the server was restarted'")
        self.assertEqual(self.stack.ctl("restore", "status", check=False).returncode, 1)
        daemons = self.start_programs(wait=False)
        self.wait_refused(daemons, "has begun and is not finished")
        self.assertEqual(self.statuses(*late), ["queued", "queued"])

        self.assertIn("2 orders adopted as confirmed", self.finish())
        for daemon in daemons:
            wait_until(lambda: self.readiness(daemon)[0] == 200, 30, lambda: f"{daemon.name}: {self.readiness(daemon)}")
        self.assertEqual(self.statuses(*late), ["confirmed", "confirmed"])
        self.stack.order("dan", self.sku).wait("confirmed")
        self.assertGreater(self.stack.one("select min(event_id) from order_events where order_id = any (%s::uuid[])",
                                          ([order.id for order in late],)), newest)
        self.assert_audited()

    def test_who_waits_in_the_backup_ends_as_was_told(self):
        still = self.stack.item(stock=1)
        for sku in (self.sku, still):
            self.stack.ctl("pause", sku)
            wait_until(lambda: self.stack.one("select paused from items where sku = %s", (sku,)), 10, "the item to be paused")
        cancelled, paid, waits = (self.stack.order(user, sku).wait("waiting") for user, sku in
                                  (("ann", self.sku), ("bob", self.sku), ("dan", still)))
        declined = self.stack.order("cat", self.sku, payment_method="pm_card_chargeDeclined").wait("waiting")
        dump = self.dump()
        self.assertEqual(self.stack.call("ann", "DELETE", f"/v1/orders/{cancelled.id}").status, 202)
        cancelled.wait("cancelled")
        self.stack.ctl("resume", self.sku)
        paid.wait("confirmed")
        declined.wait("rejected", "payment_declined")
        refunded = self.stack.order("eve", self.sku).wait("confirmed")
        self.stack.ctl("orders", "refund", refunded.id)
        wait_until(lambda: refunded.status() == "refunded", 20, "the refund")
        feed = self.keep_feed()
        self.wait_marked()
        self.restore(dump)
        self.assertEqual(self.statuses(cancelled, paid, declined, waits), ["waiting"] * 4)

        finished = self.finish("--feed", feed)
        self.assertIn("1 orders adopted as confirmed", finished)
        self.assertIn(" refunded, 0 left", finished)
        self.assertIn("2 orders ended without a payment", finished)
        self.assertEqual(cancelled.row(), ("cancelled", None))
        self.assertEqual(paid.row(), ("confirmed", None))
        self.assertEqual(declined.row(), ("rejected", "payment_declined"))
        self.assertEqual(waits.row(), ("waiting", None))
        self.assertEqual(self.stack.counts(self.sku), (self.STOCK, 0, 1, 0))
        self.start_programs()
        for sku in (self.sku, still):
            self.stack.ctl("resume", sku)
        waits.wait("confirmed")
        self.stack.order("fay", self.sku).wait("confirmed")
        self.assertEqual(len(self.captures()), 3)      # the refunded one among them
        self.assert_audited()

    def test_the_newest_moment_that_no_milestone_has(self):
        self.sell("ann")
        self.wait_marked()
        dump, marked = self.dump(), self.stack.broker.milestones()
        late = self.sell("bob", "cat", "dan")
        newest, cursor = self.newest_event(), self.follow()[-1]["cursor"]
        self.restore(dump)
        self.put_milestones(marked)         # as if all had died within a tenth of a second
        self.start_programs()
        after = self.stack.order("eve", self.sku).wait("confirmed")
        self.assertGreater(self.stack.one("select min(event_id) from order_events where order_id = %s", (after.id,)), newest)
        self.assertEqual(self.audited(), sorted(("charged-for-nothing", order.id) for order in late))
        adopted = self.operate("orders", "adopt")
        self.assertIn("3 orders adopted as confirmed", adopted.stdout)
        self.assertEqual(self.statuses(*late), ["confirmed"] * 3)
        self.assertEqual(self.stack.counts(self.sku), (self.STOCK, 0, 5, 0))
        self.assertCountEqual([event["order_id"] for event in self.follow("--after", cursor)],
                              [order.id for order in (*late, after)])
        self.assert_audited()


class Refused(harness.TestCase):
    """What a session hears, by its name."""

    daemons = ("sandbox",)

    def greet(self, name):
        """The SQLSTATE that a session of this name begins with, or None."""
        session = psycopg2.connect(self.stack.direct["CHECKOUT_DATABASE_URL"], application_name=name)
        try:
            with session.cursor() as cursor:
                cursor.execute("select checkout.greet(2)")
            return None
        except psycopg2.Error as error:
            return error.pgcode
        finally:
            session.close()

    def greeted(self, *names):
        return [self.greet(name) for name in names]

    SERVE = ("checkout-consumer orders", "checkout-producer", "checkout-producer writes", "checkout-notifier", "checkout-mailer",
             "checkout-webhooks", "checkout-console", "checkout-console writes")
    LOOK = ("checkoutctl", "checkout-consumer", "checkout-consumer start", "checkout-consumer heartbeat")

    def test_until_it_is_compared_and_when_it_is_behind(self):
        self.stack.sql("update database_check set identity = null, refused = null")
        self.assertEqual(self.greeted(*self.SERVE), ["CK008"] + [None] * 7)     # no consumer ever kept any
        self.stack.sql("update database_check set identity = 'another server'")
        self.assertEqual(self.greeted(*self.SERVE), ["CK008"] * 8)
        self.assertEqual(self.greeted(*self.LOOK), [None] * 4)
        self.assertIsNone(self.stack.one("select problem from judge_database('{}', 'the test')"))
        self.assertEqual(self.greeted(*self.SERVE, *self.LOOK), [None] * 12)
        ahead = json.dumps({"generation": 7, "epochs": [], "events": []})
        self.assertIn("an old copy", self.stack.one("select problem from judge_database(%s, 'the test')", ([ahead],)))
        self.assertEqual(self.greeted(*self.SERVE), ["CK009"] * 8)
        self.assertEqual(self.greeted(*self.LOOK), [None] * 4)
        self.assertIn("an old copy", self.stack.one("select problem from judge_database('{}', 'the test')"))   # and stays so
        for refused in ("select feed('{}', 1, false)", "select take_over(4, 0, 1, null)"):
            with self.assertRaises(psycopg2.Error) as raised:
                self.stack.sql(refused)
            self.assertEqual(raised.exception.pgcode, "CK009")
        self.assertEqual(self.stack.one("select finish_restore(%s, 'the test')", ([ahead],)), 8)
        self.assertEqual(self.greeted(*self.SERVE, *self.LOOK), [None] * 12)

    def test_sessions_that_serve_end_when_another_finds_it_behind(self):
        daemons = [self.stack.start(name) for name in ("consumer", "producer")]
        for daemon in daemons:
            self.addCleanup(daemon.stop)
        order = self.stack.order("ann", self.stack.item()).wait("confirmed")
        serving = ("select distinct application_name from pg_stat_activity where datname = current_database()"
                   " and application_name ~ '^checkout-(producer|consumer (orders|control|outbox))'")
        self.assertGreater(len(self.stack.sql(serving)), 3)
        ahead = json.dumps({"generation": 7, "epochs": [], "events": []})
        self.assertIn("an old copy", self.stack.one("select problem from judge_database(%s, 'the test')", ([ahead],)))
        self.addCleanup(self.stack.sql, "select finish_restore('{}', 'the test')")
        wait_until(lambda: self.stack.sql(serving) == [], 15, lambda: f"no session to serve: {self.stack.sql(serving)}", interval=0.1)
        for method in ("GET", "DELETE"):
            self.assertEqual(self.stack.call("ann", method, f"/v1/orders/{order.id}").status, 503, method)

    def test_a_program_alone_waits_for_a_consumer(self):
        self.stack.sql("update database_check set identity = 'another server', refused = null")
        producer = self.stack.start("producer", wait=False)
        self.addCleanup(producer.stop)
        wait_until(lambda: b"no consumer has compared this database" in producer.log_text(), 30, "the producer to say why")
        self.assertEqual(harness.http_call(producer.admin, "GET", "/readyz").status, 503)
        self.addCleanup(self.stack.start("consumer").stop)
        wait_until(lambda: harness.http_call(producer.admin, "GET", "/readyz").status == 200, 10, "the producer to be ready")


class Step:
    """What a program sends to its servers, counted; at the n-th time it dies: before that arrives, or when it is answered."""

    def __init__(self, nth, arrives):
        self.nth, self.arrives = nth, arrives
        self.count = 0
        self.process = None
        self.started = threading.Event()
        self._lock = threading.Lock()

    def _kill(self):
        self.started.wait(10)
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()

    def sent(self):
        """Whether it arrives."""
        with self._lock:
            self.count += 1
            if self.nth is not None and (self.count > self.nth or self.count == self.nth and not self.arrives):
                self._kill()
                return False
            return True

    def answered(self):
        with self._lock:
            if self.nth is not None and self.count >= self.nth:
                self._kill()


class Stepped(Proxy):
    step = None

    def _apply_cuts(self, link, way, data):
        if self.step is None:
            return data, False
        if way == "down":
            self.step.answered()
            return data, False
        passes = self.step.sent()
        return data if passes else b"", not passes


class Killed(RestoreCase):
    """`restore finish` by SIGKILL at each of its steps: whatever it had done by then, the next run ends as one that lived."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.proxies = {}
        for name, port in (("CHECKOUT_DATABASE_URL", 5432), ("CHECKOUT_AMQP_URL", 5672), ("CHECKOUT_GATEWAY_URL", 80)):
            url = urllib.parse.urlsplit(cls.stack.settings[name].split(",")[0])
            proxy = cls.proxies[name] = Stepped(url.hostname, url.port or port)
            cls.addClassCleanup(proxy.close)
            login, at, _ = url.netloc.rpartition("@")
            cls.proxies[name].url = url._replace(netloc=f"{login}{at}127.0.0.1:{proxy.port}").geturl()

    def forget(self):
        """The state before the restore is finished."""
        self.stack.forget_database()
        administer(f"drop database {self.stack.database} with (force)")
        administer(f"create database {self.stack.database} template {self.behind}")
        self.put_milestones(self.marked)

    def run_once(self, step, *options):
        """Its exit code; negative: it was killed."""
        for proxy in self.proxies.values():
            proxy.step = step
        settings = {**self.stack.settings, **{name: proxy.url for name, proxy in self.proxies.items()}}
        step.process = subprocess.Popen([program("checkoutctl"), "restore", "finish", *options], text=True,
                                        env=program_environment(settings), stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        step.started.set()
        said, _ = step.process.communicate(timeout=60)
        return step.process.returncode, said

    def outcome(self):
        last = max(milestone["generation"] for milestone in self.stack.broker.milestones())
        return {"orders": self.stack.sql("select order_id::text, user_id, status, reason, quantity, amount, shard from orders order by 1"),
                "events": self.stack.sql("select order_id::text, sequence, status, reason from order_events order by 1, 2"),
                "payments": self.stack.sql("select order_id::text, attempt, state, intent_id, amount, currency from payments order by 1"),
                "units": self.stack.sql("select sku, user_id, units from customer_units where units > 0 order by 1, 2"),
                "item": self.stack.counts(self.sku),
                "check": self.stack.sql("select generation, refused from database_check"), "kept": last,
                "new": self.stack.one("select min(event_id) > %s from order_events where order_id = any (%s::uuid[])",
                                      (self.newest, self.late))}

    def test_at_each_step(self):
        self.sell("ann", "bob")
        dump = self.dump()
        self.late = [order.id for order in self.sell("ann", "cat", "dan")]
        self.stack.order("eve", self.sku, payment_method="pm_card_chargeDeclined").wait("rejected")
        feed = self.keep_feed()
        self.wait_marked()
        self.newest, self.marked = self.newest_event(), self.stack.broker.milestones()
        self.restore(dump)
        self.behind = f"{self.stack.database}_behind"
        self.stack.forget_database()
        administer(f"create database {self.behind} template {self.stack.database}")
        self.addCleanup(administer, f"drop database {self.behind} with (force)")

        self.forget()
        whole = Step(None, True)
        code, said = self.run_once(whole, "--feed", feed)
        self.assertEqual(code, 0, said)
        wanted = self.outcome()
        self.assertEqual((wanted["check"], wanted["kept"], wanted["new"]), ([(1, None)], 1, True))
        self.assertEqual([row[2] for row in wanted["orders"]].count("confirmed"), 5)
        died = 0
        for nth, arrives in harness.drawn((nth, arrives) for nth in range(1, whole.count + 1) for arrives in (False, True)):
            with self.subTest(nth=nth, arrives=arrives):
                self.forget()
                code, said = self.run_once(Step(nth, arrives), "--feed", feed)
                died += code == -signal.SIGKILL
                code, said = self.run_once(Step(None, True), "--feed", feed)
                self.assertEqual(code, 0, said)
                self.assertEqual(self.outcome(), wanted, said)
        self.assertGreater(died, whole.count // (4 if os.environ.get("CHECKOUT_TEST_DRAW") else 2), whole.count)


if __name__ == "__main__":
    harness.main()
