#!/usr/bin/python3
"""The database states its version and the oldest program version that it serves; others are refused."""

import json
import subprocess
import unittest

import psycopg2

import harness
from harness import http_call, program, program_environment, wait_until
from harness_database import as_login

DAEMONS = ("producer", "consumer", "notifier")


class Versions(harness.TestCase):
    daemons = ("sandbox", "producer")
    shards = 2

    def setUp(self):
        self.version, self.oldest = self.stack.sql("select version, oldest_program from versions()")[0]
        self.whole = {name: self.stack.one("select pg_get_functiondef(p.oid) from pg_proc p where p.proname = %s"
                                           " and p.pronamespace = 'checkout'::regnamespace", (name,))
                      for name in ("versions", "greet")}
        self.addCleanup(self.as_it_was)

    def as_it_was(self):
        for definition in self.whole.values():
            self.stack.sql(definition)

    def serve(self, oldest, version):
        self.stack.sql("create or replace function checkout.versions(out version integer, out oldest_program integer)"
                       f" language sql immutable return row({version}, {oldest})")

    def cut(self):
        """All sessions of programs end, as in a restart of the server."""
        self.stack.sql("select pg_terminate_backend(pid) from pg_stat_activity"
                       " where application_name like 'checkout-%%' and datname = current_database()")

    def refused_start(self, name):
        """The one line that it ends with."""
        settings = {**self.stack.settings, "CHECKOUT_LISTEN": f"127.0.0.1:{harness.free_port()}",
                    "CHECKOUT_ADMIN_LISTEN": f"127.0.0.1:{harness.free_port()}"}
        settings["CHECKOUT_DATABASE_URL"] = as_login(settings["CHECKOUT_DATABASE_URL"], name)
        done = subprocess.run([program("checkout-" + name)], env=program_environment(settings), text=True, timeout=30,
                              stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        self.assertEqual(done.returncode, 2, done.stdout)
        self.assertEqual(len(done.stdout.splitlines()), 1, done.stdout)
        return done.stdout

    def consumer(self):
        consumer = self.stack.start("consumer")
        self.addCleanup(consumer.stop)
        return consumer

    def lines(self, daemon, word):
        lines = (json.loads(line) for line in daemon.log_text().splitlines() if line.endswith(b"}"))
        return [line for line in lines if word in json.dumps(line)]

    def ready(self, daemon):
        return http_call(daemon.admin, "GET", "/readyz").status == 200

    def test_a_program_too_old_does_not_start(self):
        self.serve(self.version + 1, self.version + 2)
        line = (f"the database serves programs of version {self.version + 1} to {self.version + 2},"
                f" and this one has version {self.version}; upgrade this program")
        for name in DAEMONS:
            self.assertIn(line, self.refused_start(name))
        done = self.stack.ctl("items", "list", check=False)
        self.assertEqual((done.returncode, done.stderr), (1, f"checkoutctl: PostgreSQL: {line}\n"))
        self.assertIn("upgrade this program", self.stack.ctl("doctor", check=False).stdout)

    def test_a_program_too_new_does_not_start(self):
        self.serve(self.oldest, self.version - 1)
        for name in DAEMONS:
            self.assertIn(f"the database has version {self.version - 1}, and this program needs {self.version};"
                          " run `checkoutctl migrate` first", self.refused_start(name))
        self.stack.sql("drop function checkout.greet(integer)")
        for name in DAEMONS:
            self.assertIn(f"the database is older than version {self.version}", self.refused_start(name))
        self.stack.ctl("migrate", "--dry-run")     # it meets a database of any version
        self.stack.ctl("migrate")

    def test_a_later_database_that_serves_it_suits(self):
        self.serve(self.version, self.version + 3)
        self.consumer()
        self.stack.order("ann", self.stack.item()).wait("confirmed")

    def test_a_session_begins_only_within_the_range(self):
        consumer = self.consumer()
        dress = self.stack.item()
        self.stack.order("ann", dress).wait("confirmed")
        self.serve(self.version + 1, self.version + 1)
        self.stack.order("bob", dress).wait("confirmed")   # what runs goes on
        self.cut()
        wait_until(lambda: not self.ready(consumer), 10, "a consumer that is not ready")
        cid = self.stack.order("cid", dress)               # taking orders needs the broker alone
        producer = self.stack.daemon("producer")
        for daemon in (consumer, producer):
            wait_until(lambda: self.lines(daemon, "upgrade this program"), 10, "its line")
        self.as_it_was()
        cid.wait("confirmed")
        wait_until(lambda: self.ready(consumer), 60, "a consumer that is ready again")
        for daemon in (consumer, producer):
            self.assertEqual(len(self.lines(daemon, "upgrade this program")), 1)

    def test_no_shard_is_taken_over_outside_the_range(self):
        first, second = self.consumer(), self.consumer()
        wait_until(lambda: self.stack.one("select count(distinct owner) from shards") == 2, 30, "a shard each")
        shard = self.stack.one("select s.shard from shards s join consumers c on c.member_id = s.owner where c.pid = %s",
                               (first.pid,))
        dress = next(sku for sku in (f"dress-{n}" for n in range(100)) if self.stack.shard(sku) == shard)
        self.stack.item(dress)
        self.stack.order("ann", dress).wait("confirmed")
        self.serve(self.version + 1, self.version + 1)
        since = self.stack.one("select clock_timestamp()")
        first.kill()
        bob = self.stack.order("bob", dress)
        wait_until(lambda: not self.ready(second), 30, "a consumer that is not ready")
        line = self.lines(second, "upgrade this program")[0]
        self.assertEqual(line["reason"], f"the database serves programs of version {self.version + 1} to"
                         f" {self.version + 1}, and this one has version {self.version}; upgrade this program")
        self.assertEqual(len(self.lines(second, "upgrade this program")), 1)
        self.assertEqual(self.stack.one("select count(*) from take_overs where taken_at > %s", (since,)), 0)
        self.assertEqual(bob.status(), "queued")
        self.as_it_was()
        bob.wait("confirmed")

    def test_a_program_that_does_not_greet_has_version_1(self):
        connection = psycopg2.connect(as_login(self.stack.direct["CHECKOUT_DATABASE_URL"], "consumer"))
        self.addCleanup(connection.close)
        connection.autocommit = True
        with connection.cursor() as cursor:
            self.serve(1, self.version)
            cursor.execute("select epoch is not null from checkout.take_over(%s, 0, 77, null)", (self.shards,))
            self.assertEqual(cursor.fetchall(), [(True,)])
            self.serve(2, self.version)
            with self.assertRaises(psycopg2.Error) as caught:
                cursor.execute("select epoch from checkout.take_over(%s, 0, 77, null)", (self.shards,))
            self.assertEqual(caught.exception.pgcode, "CK004")


if __name__ == "__main__":
    unittest.main(verbosity=2)
