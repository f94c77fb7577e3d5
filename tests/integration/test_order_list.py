#!/usr/bin/python3
"""checkoutctl orders list: by time, item, state, reference and customer, without walking over the other orders."""

import json

import harness
from harness import wait_until
from harness_database import query_once

MANY = 200000           # orders of others
OPEN = 5000             # of these wait, and as many are paid for, since long ago
BUSY = 5000             # orders of one item
FEW = 2000              # rows that a list of 50 may read


class OrderList(harness.TestCase):
    shards = 1
    daemons = ()

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        sql = cls.stack.sql
        sql("insert into items (sku, title, price, currency, stock, shard) select 'sku-' || n, 'x', 100, 'usd', 100, 0 "
            "from generate_series(0, 999) n")
        sql("insert into orders (order_id, user_id, sku, shard, quantity, status, reason, amount, currency, fingerprint, "
            " reference, sequence, accepted_at, created_at, updated_at) "
            "select md5(n::text)::uuid, 'user-' || n %% 5000, 'sku-' || n %% 1000, 0, 1, s.status, "
            " case when s.status = 'rejected' then 'sold_out' end, 100, 'usd', '', "
            " case when n %% 10 = 0 then 'cart-' || n end, 1, now(), t.at, t.at "
            "from generate_series(1, %s) n "
            "cross join lateral (select case when n %% 1000 = 0 then 'confirmed' else 'rejected' end as status) s "
            "cross join lateral (select now() - n * interval '1 s' as at) t", (MANY,))
        sql("insert into order_events (shard, order_id, sequence, status, reason, created_at) "
            "select shard, order_id, 1, status, reason, created_at from orders")
        sql("insert into orders (order_id, user_id, sku, shard, quantity, status, amount, currency, fingerprint, sequence, "
            " accepted_at, created_at, updated_at) select md5('busy' || n)::uuid, 'carl', 'busy', 0, 1, 'cancelled', 100, 'usd', '', 1, "
            " now(), t.at, t.at from generate_series(1, %s) n "
            "cross join lateral (select now() - interval '5 days' - n * interval '1 s' as at) t", (BUSY,))
        sql("insert into orders (order_id, user_id, sku, shard, quantity, status, amount, currency, fingerprint, sequence, "
            " accepted_at, created_at, ticket) select md5(s || n)::uuid, case n when 0 then 'ann' else 'bob-' || n end, "
            " 'sku-' || n %% 100, 0, 1, s, 100, 'usd', '', 1, now(), now() - least(n, 1) * interval '10 days' - n * interval '1 s', "
            " %s - n from unnest(array['waiting', 'reserved']) s, generate_series(0, %s - 1) n", (OPEN, OPEN))
        sql("insert into waitlist (sku, ticket, order_id, shard, quantity, expires_at, created_at) "
            "select sku, ticket, order_id, 0, 1, now(), created_at from orders where status = 'waiting'")
        sql("insert into payments (order_id, shard, state, amount, currency, idempotency_key, created_at) "
            "select order_id, 0, 'open', 100, 'usd', 'k', created_at from orders where status = 'reserved'")
        for table in ("orders", "order_events", "waitlist", "payments"):
            sql(f"analyze {table}")

    def listed(self, *words):
        return [json.loads(line) for line in self.stack.ctl("orders", "list", "--json", *words).stdout.splitlines()]

    def test_by_each_of_them(self):
        newest = self.listed("--limit", "3")
        self.assertEqual(len(newest), 3)
        self.assertEqual(newest, sorted(newest, key=lambda row: row["created_at"], reverse=True))
        self.assertEqual([row["reference"] for row in self.listed("--reference", "cart-70")], ["cart-70"])
        self.assertEqual({row["user"] for row in self.listed("--user", "user-7")}, {"user-7"})
        self.assertEqual({(row["sku"], row["status"]) for row in self.listed("--sku", "sku-0", "--status", "confirmed")},
                         {("sku-0", "confirmed")})
        for status in ("waiting", "reserved"):
            for words in ((), ("--sku", "sku-0")):
                rows = self.listed("--status", status, *words)
                self.assertEqual(({row["status"] for row in rows}, len(rows), rows[0]["user"]), ({status}, 50, "ann"))
                self.assertEqual(rows, sorted(rows, key=lambda row: row["created_at"], reverse=True))
        self.assertEqual({row["status"] for row in self.listed("--status", "confirmed")}, {"confirmed"})
        self.assertEqual(self.listed("--status", "refunded"), [])

    def test_within_a_time(self):
        since, until = self.stack.sql("select (max(created_at) filter (where status = 'rejected') - interval '10.5 s')::text, "
                                      "(max(created_at) filter (where status = 'rejected') - interval '0.5 s')::text from orders")[0]
        self.assertEqual(len(self.listed("--since", since, "--until", until)), 10)
        self.assertEqual(len(self.listed("--since", since, "--until", until, "--status", "rejected")), 10)

    def test_counts_end_at_ten_thousand(self):
        counted = {row["status"]: row["orders"] for row in self.listed("--count", "--since", "2000-01-01")}
        self.assertEqual(sum(counted.values()), 10000)
        self.assertEqual((counted["waiting"], counted["reserved"], counted["confirmed"]), (1, 1, 9))
        for status, number in (("confirmed", 200), ("waiting", OPEN), ("reserved", OPEN), ("rejected", 10000)):
            self.assertEqual(self.listed("--count", "--since", "2000-01-01", "--status", status),
                             [{"status": status, "orders": number}])
        refused = self.stack.ctl("orders", "list", "--count", check=False)
        self.assertEqual((refused.returncode, "--count needs --since" in refused.stderr), (2, True))

    def test_none_walks_over_the_others(self):
        for words in ((), ("--sku", "sku-5"), ("--sku", "busy"), ("--user", "user-5"), ("--reference", "cart-50"), ("--status", "confirmed"),
                      ("--status", "rejected"), ("--status", "refunded"), ("--sku", "busy", "--since", "2000-01-01", "--until", "yesterday"), ("--status", "waiting"), ("--status", "reserved"),
                      ("--status", "waiting", "--sku", "sku-5"),
                      ("--status", "confirmed", "--since", "yesterday"), ("--since", "yesterday", "--until", "today"),
                      ("--count", "--since", "2000-01-01", "--status", "confirmed")):
            with self.subTest(words):
                before = self.rows_read()
                self.stack.ctl("orders", "list", *words)
                self.assertLess(self.rows_read() - before, FEW)
        for sku, before_time in (("sku-5", "1 day"), ("busy", "5 days")):      # as the console asks
            with self.subTest(sku):
                before = self.rows_read()
                query_once(self.stack.direct["CHECKOUT_DATABASE_URL"], "select * from checkout.console_orders(null, %s, null, null, "
                           "now() - interval '9 days', null, now() - %s::interval, md5('5')::uuid, 50)", (sku, before_time))
                self.assertLess(self.rows_read() - before, FEW)
        before = self.rows_read()       # what is paid for is found by the shard, with its order
        self.stack.ctl("orders", "list", "--status", "reserved", "--sku", "sku-5")
        self.assertLess(self.rows_read() - before, 2 * OPEN + FEW)

    def rows_read(self):
        """By all sessions that have ended."""
        wait_until(lambda: self.stack.one("select count(*) from pg_stat_activity where datname = current_database() "
                                          "and backend_type = 'client backend'") == 1,
                   30, "other sessions to end")
        self.stack.one("select pg_stat_force_next_flush()")     # what this session has read itself, at the end of the statement
        return int(self.stack.one("select sum(seq_tup_read + coalesce(idx_tup_fetch, 0)) from pg_stat_user_tables "
                                  "where schemaname = 'checkout'"))


if __name__ == "__main__":
    harness.main()
