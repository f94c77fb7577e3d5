#!/usr/bin/python3
"""PostgreSQL with a standby: one that is promoted, an old primary that comes back, commits and backends that hang."""

import os
import signal
import time
import urllib.parse
from concurrent.futures import ThreadPoolExecutor

import harness
import harness_services
from harness import query_once, timed, wait_until
from harness_client import http_call
from harness_services import Standby


class FailoverCase(harness.TestCase):
    """A primary of our own, the same for all classes."""

    daemons = ("sandbox",)
    primary = None

    @classmethod
    def setUpClass(cls):
        if FailoverCase.primary is None:
            FailoverCase.primary = harness_services.start_private_database()
        super().setUpClass()

    def url(self, user, *ports):
        parts = urllib.parse.urlsplit(self.stack.direct["CHECKOUT_DATABASE_URL"])
        hosts = ",".join(f"127.0.0.1:{port}" for port in ports)
        return parts._replace(netloc=f"test_{user}:test_{user}@{hosts}").geturl()

    def start(self, name, *ports, **settings):
        daemon = self.stack.start(name, CHECKOUT_DATABASE_URL=self.url(name, *ports), **settings)
        self.addCleanup(daemon.kill)
        return daemon

    def ready(self, daemon):
        return http_call(daemon.admin, "GET", "/readyz").status == 200

    @staticmethod
    def query(url, statement, *arguments):
        return query_once(url, statement, arguments, options="-csearch_path=checkout,public")


class OldPrimary(FailoverCase):
    """The last class: its primary is an old one afterwards."""

    def new(self, statement, *arguments):
        """At the server that was promoted."""
        parts = urllib.parse.urlsplit(self.stack.direct["CHECKOUT_DATABASE_URL"])
        login = parts.netloc.rpartition("@")[0]
        url = parts._replace(netloc=f"{login}@127.0.0.1:{self.standby.port}").geturl()
        return self.query(url, statement, *arguments)

    def wait_confirmed(self, order, timeout=40):
        wait_until(lambda: self.new("select 1 from orders where order_id = %s and status = 'confirmed'", order.id),
                   timeout, f"order {order.id} to be confirmed at the new primary")

    def test_one_that_comes_back_is_left_alone(self):
        old = urllib.parse.urlsplit(self.stack.direct["CHECKOUT_DATABASE_URL"]).port
        self.standby = Standby(self.stack.direct["CHECKOUT_DATABASE_URL"])
        self.addCleanup(self.standby.remove)
        ports = (old, self.standby.port)
        sku = self.stack.item(stock=50)
        for name in ("producer", "consumer", "notifier"):
            self.start(name, *ports)
        self.stack.order("ann", sku).wait("confirmed")
        self.standby.wait_caught_up()
        self.primary.kill()
        self.standby.promote()
        wait_until(lambda: self.ready(self.stack.daemon("consumer")), 30, "the consumer to find the new primary")
        self.wait_confirmed(self.stack.order("ann", sku))
        self.primary.start()
        def known_there():
            return self.query(self.stack.direct["CHECKOUT_DATABASE_URL"], "select count(*) from orders")[0][0]
        known = known_there()
        refused = 0
        for number in range(6):  # each begins at a host at random
            self.stack.daemon("consumer").stop()
            consumer = self.start("consumer", *ports)
            self.wait_confirmed(self.stack.order("ann", sku))
            refused += f"127.0.0.1:{old} is an old primary".encode() in consumer.log_text()
            if refused and number > 0:
                break
        self.assertGreater(refused, 0)
        self.assertEqual(known_there(), known)
        listener = self.stack.listen("ann", notifier=self.start("notifier", *ports))
        order = self.stack.order("ann", sku)
        listener.wait_final(order.id)
        listener.close()
        both = f"127.0.0.1:{old} and 127.0.0.1:{self.standby.port} both take writes (timelines 1 and 2)"

        def doctor_names_both():     # each has a second to answer it, which a busy one may miss
            doctor = self.stack.ctl("doctor", check=False, CHECKOUT_DATABASE_URL=self.admin_url(ports))
            self.assertEqual(doctor.returncode, 1)
            self.assertIn(both, doctor.stdout)
            return True
        wait_until(doctor_names_both, 30, "doctor to name both")

    def admin_url(self, ports):
        parts = urllib.parse.urlsplit(self.stack.direct["CHECKOUT_DATABASE_URL"])
        hosts = ",".join(f"127.0.0.1:{port}" for port in ports)
        return parts._replace(netloc=f"{parts.netloc.rpartition('@')[0]}@{hosts}").geturl()


class Hangs(FailoverCase):
    """Answers of PostgreSQL that never come."""

    daemons = ("sandbox", "producer", "consumer")

    def setUp(self):
        self.sku = self.stack.item(stock=50)
        wait_until(lambda: self.stack.order("canary", self.sku).wait("confirmed", timeout=30), 60, "orders to be decided")

    def replica_lacks(self, lacks):
        """Whether commits wait for a replica that is not there."""
        self.stack.sql("alter system set synchronous_standby_names to " + ("'nobody'" if lacks else "''"))
        self.stack.sql("select pg_reload_conf()")
        wait_until(lambda: self.stack.one("show synchronous_standby_names") == ("nobody" if lacks else ""), 10,
                   "the setting")

    def hanging(self, name):
        return self.stack.one("select count(*) from pg_stat_activity where wait_event = 'SyncRep' and "
                              "datname = current_database() and application_name like %s", (name,))

    def test_a_commit_that_waits_for_a_replica_delays_no_other_buyer(self):
        ann = self.stack.order("ann", self.sku).wait("confirmed")
        self.replica_lacks(True)
        self.addCleanup(self.replica_lacks, False)
        bob = self.stack.post("bob", self.sku).json["id"]
        with ThreadPoolExecutor(1) as pool:
            cancel = pool.submit(self.stack.call, "bob", "DELETE", f"/v1/orders/{bob}")
            wait_until(lambda: self.hanging("checkout-producer%") == 1, 10, "the cancel to hang")
            begun = time.monotonic()
            while not cancel.done():
                answers, took = timed(lambda: self.stack.status("ann", ann.id).json["status"], 3)
                self.assertEqual(answers, ["confirmed"] * 3)
                self.assertLess(took, 1)
                time.sleep(0.1)
            self.assertEqual(cancel.result().status, 503)
            self.assertLess(time.monotonic() - begun, 8)
        answers, took = timed(lambda: self.stack.call("bob", "DELETE", f"/v1/orders/{bob}").status, 3)
        self.assertEqual(answers, [503] * 3)
        self.assertLess(took, 1)
        time.sleep(4)  # it connects again meanwhile, and hangs nothing more
        self.assertEqual(self.stack.call("bob", "DELETE", f"/v1/orders/{bob}").status, 503)
        self.assertEqual(self.hanging("checkout-producer%"), 1)
        wait_until(lambda: not self.ready(self.stack.daemon("consumer")), 20, "the consumer to say that it cannot work")
        doctor = self.stack.ctl("doctor", check=False)
        self.assertIn("commits wait for the replica", doctor.stdout)
        self.assertEqual(doctor.returncode, 1)
        wait_until(lambda: "no answer to a query within 15000 ms" in self.stack.daemon("consumer").log_text().decode(),
                   40, "the writers to be given up")
        time.sleep(20)  # and again
        for session, most in (("orders", self.stack.shards), ("heartbeat", 1), ("outbox", 1)):
            self.assertLessEqual(self.hanging(f"checkout-consumer {session}"), most, session)
        self.replica_lacks(False)
        harness.Order(self.stack, "bob", bob).wait_final(timeout=60)
        self.stack.order("ann", self.sku).wait("confirmed", timeout=30)
        wait_until(lambda: self.stack.call("bob", "DELETE", f"/v1/orders/{bob}").status in (202, 409), 10,
                   "cancels to be taken again")

    def test_a_backend_that_hangs_is_left(self):
        ann = self.stack.order("ann", self.sku).wait("confirmed")
        pid = self.stack.one("select pid from pg_stat_activity where application_name = 'checkout-producer' "
                             "and datname = current_database()")
        os.kill(pid, signal.SIGSTOP)
        self.addCleanup(os.kill, pid, signal.SIGCONT)
        begun = time.monotonic()
        self.assertEqual(self.stack.status("ann", ann.id).status, 503)
        self.assertLess(time.monotonic() - begun, 8)
        wait_until(lambda: self.stack.status("ann", ann.id).status == 200, 5, "another session to answer")

    def test_a_consumer_whose_first_statement_hangs_tries_again(self):
        """The server takes connections and answers no statement."""
        consumer = self.stack.daemon("consumer")
        pid = self.stack.one("select pid from pg_stat_activity where application_name = 'checkout-consumer heartbeat' "
                             "and datname = current_database()")
        os.kill(pid, signal.SIGSTOP)
        self.addCleanup(os.kill, pid, signal.SIGCONT)
        wait_until(lambda: "no answer to a query within 5000 ms" in consumer.log_text().decode(), 10,
                   "the hung session to be left")
        wait_until(lambda: self.ready(consumer), 20, "the consumer to be ready again")
        self.stack.order("ann", self.sku).wait("confirmed")


if __name__ == "__main__":
    harness.main()
