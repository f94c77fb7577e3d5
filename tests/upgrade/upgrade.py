"""An upgrade in the middle of a sale: programs of the state before (CHECKOUT_PREVIOUS_BUILD_DIR) and of this one
side by side. tests/upgrade/run builds both and runs this."""

import concurrent.futures
import os
import re
import subprocess
import sys
import threading
import unittest
import uuid

import psycopg2.errors

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "integration"))

import harness  # noqa: E402
from harness import program, program_environment, wait_until  # noqa: E402
from harness_services import ROOT  # noqa: E402
from harness_database import create_database, database_url, make_logins  # noqa: E402

PREVIOUS = os.environ["CHECKOUT_PREVIOUS_BUILD_DIR"]
DECLINED = "pm_card_chargeDeclined"


class PreviousStack(harness.Stack):
    """Its database is made by the state before, and `ctl` is of that state until `migrate`."""

    tool = PREVIOUS

    def ctl(self, *arguments, **options):
        options.setdefault("build", self.tool)
        return super().ctl(*arguments, **options)

    def migrate(self):
        self.tool = None
        self.ctl("migrate")
        make_logins()

    def _prepare_database(self):
        self.database = create_database()
        self.direct["CHECKOUT_DATABASE_URL"] = database_url(self.database)
        self.settings["CHECKOUT_DATABASE_URL"] = self.direct["CHECKOUT_DATABASE_URL"]
        self.ctl("migrate")
        make_logins(("producer", "consumer", "notifier"))       # other roles may not be there yet


class Upgrade(unittest.TestCase):
    def setUp(self):
        self.stack = PreviousStack("Upgrade", shards=8)
        self.addCleanup(self.stack.close)
        self.addCleanup(self.keep_logs_of_a_failure)
        self.stack.sandbox_options = ("--latency", "200")       # so that a consumer dies while it charges
        self.stack.start("sandbox")
        self.orders = []

    def keep_logs_of_a_failure(self):
        if self._outcome.result.failures or self._outcome.result.errors:
            self.stack.keep_logs()

    # -- the parts of a sale ----------------------------------------------------------------------

    def start(self, name, build=None):
        return self.stack.start(name, build=build)

    def order(self, user, sku, producer, **members):
        answer = self.stack.post(user, sku, producer=producer, **members)
        self.assertEqual(answer.status, 202, answer)
        order = harness.Order(self.stack, user, answer.json["id"])
        self.orders.append(order)
        return order

    def sell(self, producer, notifier):
        """A small sale of everything: last units, declined cards, the line, a cancel, a refund, a restock; what
        buyers hear; the same order sent again."""
        stack, word = self.stack, uuid.uuid4().hex[:6]
        ann, bob, cid, dan = (f"{name}-{word}" for name in ("ann", "bob", "cid", "dan"))
        dress, hat, pin = stack.item(stock=1), stack.item(stock=2), stack.item(stock=1)
        hears = stack.listen(ann, notifier=notifier)
        key = uuid.uuid4().hex
        first = self.order(ann, dress, producer, key=key)
        self.assertEqual(stack.post(ann, dress, key=key, producer=producer).json["id"], first.id)
        first.wait("confirmed")
        self.order(bob, dress, producer).wait("rejected", "sold_out")
        self.assertEqual(hears.wait_final(first.id)["data"]["status"], "confirmed")
        self.assertEqual(hears.statuses(first.id), ["reserved", "confirmed"])
        hears.close()
        answer = stack.call(ann, "GET", f"/v1/orders/{first.id}", producer=producer)
        self.assertEqual((answer.status, answer.json["status"]), (200, "confirmed"))

        self.order(ann, hat, producer, payment_method=DECLINED).wait("rejected", "payment_declined")
        stack.ctl("pause", hat)
        wait_until(lambda: stack.one("select paused from items where sku = %s", (hat,)), 20, "a pause")
        line = [self.order(user, hat, producer) for user in (ann, bob, cid, dan)]
        for order in line:
            order.wait("waiting")
        answer = stack.call(bob, "DELETE", f"/v1/orders/{line[1].id}", producer=producer)
        self.assertIn(answer.status, (200, 202), answer)
        line[1].wait("cancelled")
        stack.ctl("resume", hat)
        line[0].wait("confirmed")
        line[2].wait("confirmed")
        line[3].wait("rejected", "sold_out")

        order = self.order(dan, pin, producer).wait("confirmed")
        stack.ctl("orders", "refund", order.id, "--restock")
        order.wait("refunded")
        stack.ctl("items", "restock", dress, "1")
        self.order(cid, dress, producer).wait("confirmed")
        self.order(cid, pin, producer).wait("confirmed")

    def rush(self, producer, until, sku=None):
        """Buyers of the last units of a hat, one after the other, while `until()` goes on and some after it. Returns
        the hat and their orders, for assert_sold."""
        hat, began, done = self.stack.item(sku, stock=20), threading.Event(), threading.Event()
        rushed = []

        def buy():
            while not done.is_set() or len(rushed) < 40:
                rushed.append(self.order(f"rush-{len(rushed)}", hat, producer))
                began.set()

        with concurrent.futures.ThreadPoolExecutor() as pool:
            buying = pool.submit(buy)
            began.wait(20)
            try:
                until()
            finally:
                done.set()
            buying.result()
        return hat, rushed

    def assert_sold(self, hat, rushed):
        """The first 20 have it, and nobody else."""
        ends = [order.wait_final()[0] for order in rushed]
        self.assertEqual(ends, ["confirmed"] * 20 + ["rejected"] * (len(rushed) - 20))
        self.assertEqual(self.stack.counts(hat), (20, 0, 20, 0))

    def owners(self):
        return {owner for owner, in self.stack.sql("select distinct owner from shards")}

    def doctor(self):
        return " ".join(self.stack.ctl("doctor", check=False).stdout.split())

    def drops_old_indexes(self):
        try:
            return self.stack.sql("select checkout.drop_previous_indexes()")
        except psycopg2.errors.LockNotAvailable:        # a session was at work for longer than it waits
            return False

    def both_serve(self):
        wait_until(lambda: len(self.owners() - {None}) == 2, 60, "both to serve")

    def one_serves(self, consumer):
        wait_until(lambda: len(self.owners()) == 1 and None not in self.owners(), 60, "one to serve all")
        self.assertTrue(consumer.running())

    def dies_in_a_rush(self, consumer, heir, producer):
        """It dies while it charges, and `heir`, of another state of this program, serves its shards. As rush()."""
        self.both_serve()
        shards = {shard for shard, in self.stack.sql(
            "select s.shard from shards s join consumers c on c.member_id = s.owner where c.pid = %s", (consumer.pid,))}
        hat = next(sku for sku in iter(lambda: f"hat-{uuid.uuid4().hex[:8]}", None) if self.stack.shard(sku) in shards)

        def die():
            wait_until(lambda: self.stack.one("select count(*) from payments join orders using (order_id)"
                                              " where sku = %s and state = 'open'", (hat,)), 20, "a charge")
            consumer.kill()

        rushed = self.rush(producer, die, hat)
        self.one_serves(heir)
        return rushed

    def assert_nothing_went_wrong(self):
        self.assertEqual([(order.id, order.status()) for order in self.orders
                          if order.status() not in ("confirmed", "rejected", "cancelled", "refunded")], [])
        self.assertEqual(self.stack.dead_letters(), [])
        audit = self.stack.ctl("audit", check=False)
        self.assertEqual(audit.returncode, 0, audit.stdout + audit.stderr)

    def is_older(self):
        """Whether the database that the state before made has an older version than this state's programs."""
        if not self.stack.one("select to_regproc('checkout.versions')"):
            return True
        with open(os.path.join(ROOT, "schemas/sql/functions/versions.sql"), encoding="utf-8") as source:
            ours = int(re.search(r"return row\((\d+), \d+\)", source.read()).group(1))
        return self.stack.one("select version from versions()") < ours

    def refused(self, name):
        """A program of this state on a database of the state before: the one line that it ends with."""
        settings = {**self.stack.settings, "CHECKOUT_LISTEN": "127.0.0.1:0", "CHECKOUT_ADMIN_LISTEN": "127.0.0.1:0"}
        done = subprocess.run([program("checkout-" + name)], env=program_environment(settings), text=True, timeout=30,
                              stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        self.assertEqual((done.returncode, len(done.stdout.splitlines())), (2, 1), done.stdout)
        return done.stdout

    # -- the tests --------------------------------------------------------------------------------

    def test_in_its_order(self):
        """Migrate, topology, consumers, producers and notifiers (docs/upgrading.md): each step under a sale, an order waiting through all."""
        stack = self.stack
        producer, consumer, notifier = (self.start(name, PREVIOUS) for name in ("producer", "consumer", "notifier"))
        lamp = stack.item(stock=1)
        stack.ctl("pause", lamp)
        wait_until(lambda: stack.one("select paused from items where sku = %s", (lamp,)), 20, "a pause")
        patient = self.order("eve", lamp, producer).wait("waiting")
        for name in ("producer", "consumer", "notifier") if self.is_older() else ():
            self.assertIn("run `checkoutctl migrate` first", self.refused(name))

        self.assert_sold(*self.rush(producer, stack.migrate))
        self.sell(producer, notifier)                           # all old, on the new database
        stack.ctl("topology")
        consumer, old = self.start("consumer"), consumer
        self.both_serve()
        self.sell(producer, notifier)                           # both consumers
        old.stop()
        self.one_serves(consumer)
        self.sell(producer, notifier)                           # old doors, new consumer
        key = uuid.uuid4().hex
        scarf = stack.item(stock=1)
        before = self.order("eve", scarf, producer, key=key)
        self.sell(producer, self.start("notifier"))             # old producer, new notifier
        producer, old = self.start("producer"), producer
        self.sell(producer, notifier)                           # new producer, old notifier
        again = stack.post("eve", scarf, key=key, producer=producer)
        self.assertEqual(again.json["id"], before.id)
        old.stop()
        notifier.stop()
        self.assertIn("for programs of the previous release", self.doctor())
        wait_until(self.drops_old_indexes, 60, "the old indexes to go")
        self.assertNotIn("for programs of the previous release", self.doctor())
        self.sell(producer, self.stack.daemon("notifier"))
        stack.ctl("resume", lamp)
        patient.wait("confirmed")
        self.assert_nothing_went_wrong()

    def test_new_doors_before_old_consumers_and_back(self):
        """Not the order that we ask for, and without the new topology; nobody loses by it. A consumer of the state before
        may come back."""
        self.stack.migrate()
        producer, notifier = self.start("producer"), self.start("notifier")
        old = self.start("consumer", PREVIOUS)
        self.sell(producer, notifier)
        new = self.start("consumer")
        self.assert_sold(*self.dies_in_a_rush(old, new, producer))
        back = self.start("consumer", PREVIOUS)
        self.both_serve()
        self.sell(producer, notifier)
        rushed = self.dies_in_a_rush(new, back, producer)
        self.sell(producer, notifier)
        new = self.start("consumer")
        self.both_serve()
        back.stop()
        self.one_serves(new)
        self.assert_sold(*rushed)       # what `new` had begun to charge may have waited for it
        self.assert_nothing_went_wrong()


if __name__ == "__main__":
    unittest.main(verbosity=2)
