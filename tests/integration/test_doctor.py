#!/usr/bin/python3
"""What keeps checkoutctl doctor from looking is a finding, and keeps it from nothing else."""

import json
import re

import psycopg2

import harness


class DoctorTestCase(harness.TestCase):
    shards = 2

    def failures(self, code=1):
        done = self.stack.ctl("doctor", "--json", check=False)
        self.assertEqual(done.returncode, code, done.stdout + done.stderr)
        return [f"{finding['subject']}: {finding['text']} -> {finding['advice']}"
                for finding in json.loads(done.stdout)["findings"] if finding["level"] == "fail"]

    def expect_failure(self, expected):
        failures = self.failures()
        self.assertTrue(any(re.search(expected, failure) for failure in failures), f"none of {failures} says {expected}")


class Locks(DoctorTestCase):
    daemons = ("sandbox",)

    def test_a_locked_table_keeps_it_from_nothing_else(self):
        other = psycopg2.connect(self.stack.direct["CHECKOUT_DATABASE_URL"])
        self.addCleanup(other.close)
        other.cursor().execute("lock table checkout.items")
        failures = self.failures()
        self.assertIn("postgresql: canceling statement due to statement timeout -> see pg_stat_activity for the session"
                      " that it waits for, or for what keeps the server busy", failures)
        self.assertEqual([failure for failure in failures if not failure.startswith("postgresql: canceling")], [])
        other.close()
        self.assertEqual(self.failures(code=0), [])


class Silence(DoctorTestCase):
    """A server that answers the login, and then nothing."""

    proxied = ("database", "redis")

    def lose(self, server, pattern):
        self.addCleanup(self.stack.proxies[server].lose_answers(pattern).reset)

    def test_of_redis(self):
        self.lose("redis", b"INFO")
        self.expect_failure("redis: it answered the login, and then nothing -> look into its log, and run doctor again")

    def test_of_redis_while_it_is_tried(self):
        self.lose("redis", b"EVAL")
        self.expect_failure("redis: Redis refuses EVAL: the connection was lost")

    def test_of_postgresql(self):
        self.lose("database", b"SyncRep")
        self.expect_failure("postgresql: no answer to a query within 10000 ms -> look into the server's log, and run doctor again")


if __name__ == "__main__":
    harness.main()
