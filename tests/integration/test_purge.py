#!/usr/bin/python3
"""checkoutctl purge: old orders leave their ends, and nothing else; whatever may still be needed stays.

An order ages by SQL: its times are set back. CHECKOUT_TEST_PURGE sets how many orders the last class builds (default: it
is left out; tests/run --full takes 1,000,000), and then holds that a sale goes on beside the purge; CHECKOUT_TEST_INDEXES of
how many the indexes are measured.
"""

import json
import os
import signal
import statistics
import subprocess
import time
import unittest
import uuid

import harness
import harness_jobs
from harness import wait_until
from harness_database import as_login, query_once
from test_events_follow import Follower

MANY = int(os.environ.get("CHECKOUT_TEST_PURGE", "0"))
BESIDE_LEAST = 0.9      # of the rate with the same tables while the purge is stopped
PAIRS = 7
STEP = 10000            # orders that are built at once
INDEX_BYTES = 200       # of an order, as the indexes grow in a sale
REBUILT_BYTES = 170     # of an order that a purge has left, when they were built anew
AGED = ("update orders set created_at = created_at - {0}, updated_at = updated_at - {0}, accepted_at = accepted_at - {0}",
        "update order_events set created_at = created_at - {0}",
        "update payments set created_at = created_at - {0}, updated_at = updated_at - {0}",
        "update refunds set created_at = created_at - {0}, updated_at = updated_at - {0}",
        "update returns set created_at = created_at - {0}",
        "update mails set created_at = created_at - {0}, ended_at = ended_at - {0}",
        "update commands set created_at = created_at - {0}, finished_at = finished_at - {0}")
TABLES = ("orders", "order_events", "payments", "refunds", "returns", "mails", "commands")


class PurgeCase(harness.TestCase):
    daemons = ("sandbox", "producer", "consumer", "notifier")

    def age(self, *orders, days=200):
        for statement in AGED:
            self.stack.sql(statement.format(f"interval '{days} days'") + " where order_id = any (%s::uuid[])",
                           ([order.id for order in orders],))

    def purge(self, *options, days=180):
        done = self.stack.ctl("purge", "--older-than", f"{days}d", "--json", "--share", "100", *options, timeout=1800,
                              CHECKOUT_DATABASE_URL=as_login(self.stack.direct["CHECKOUT_DATABASE_URL"], "operator"))
        return json.loads(done.stdout)

    def rows(self, order):
        return {table: count for table in TABLES
                for count in [self.stack.one(f"select count(*) from {table} where order_id = %s", (order.id,))] if count}

    def relayed(self):
        """All events are published: until then their orders stay."""
        wait_until(lambda: self.stack.one(
            "select count(*) from order_events e join relays r on r.shard = e.shard where e.event_id > r.relayed_to") == 0,
            20, "the relays")

    def sold(self, user, sku, **members):
        return self.stack.order(user, sku, **members).wait("confirmed")

    def fill(self, many):
        """Orders of 400 days, a third of them paid, each at a time of its own; a customer has three or four of them."""
        self.stack.sql("insert into items (sku, shard, title, price, currency, stock) select 'item-' || g, g %% %s, 'x', 1000, "
                       "'usd', 1000000000 from generate_series(0, 999) g", (self.stack.shards,))
        for begin in range(0, many, STEP):
            self.stack.sql("create table public.some as select gen_random_uuid() as id, 'user-' || (random() * %s)::int as u, "
                           "(random() * 999)::int as s, k %% 3 = 0 as paid, k, now() - interval '400 days' * (1 - %s::float) "
                           "+ k * interval '1 ms' as t from generate_series(1, %s) k", (0.3 * many, begin / many, STEP))
            for statement in (
                    "insert into orders (order_id, user_id, sku, shard, quantity, status, reason, amount, currency, fingerprint, "
                    "sequence, accepted_at, created_at, updated_at) select id, u, 'item-' || s, s %% %s, 1, case when paid then "
                    "'confirmed' else 'rejected' end, case when not paid then 'sold_out' end, 1000, 'usd', md5(u), "
                    "case when paid then 2 else 1 end, t, t, t from public.some order by k",
                    "insert into order_events (shard, order_id, sequence, status, reason, created_at, epoch) select s %% %s, id, n, "
                    "case when not paid then 'rejected' when n = 1 then 'reserved' else 'confirmed' end, case when not paid then "
                    "'sold_out' end, t, 1 from public.some join generate_series(1, 2) n on n = 1 or paid order by k, n",
                    "insert into payments (order_id, shard, state, amount, currency, idempotency_key, intent_id, created_at, "
                    "updated_at) select id, s %% %s, 'captured', 1000, 'usd', id || '-1', 'pi_' || substr(md5(id::text), 1, 24), "
                    "t, t from public.some where paid order by k",
                    "insert into customer_units as c (sku, user_id, units) select 'item-' || s, u, count(*) from public.some "
                    "where paid and %s > 0 group by 1, 2 on conflict (sku, user_id) do update set units = c.units + excluded.units",
                    "update items i set sold = sold + x.n from (select 'item-' || s as sku, count(*) as n from public.some "
                    "where paid and %s > 0 group by 1) x where i.sku = x.sku"):
                self.stack.sql(statement, (self.stack.shards,))
            self.stack.sql("drop table public.some")
        self.stack.sql("analyze")

    def assert_audit_clean(self):
        done = self.stack.ctl("audit", "--json", check=False,
                              CHECKOUT_DATABASE_URL=as_login(self.stack.direct["CHECKOUT_DATABASE_URL"], "operator"))
        self.assertEqual(json.loads(done.stdout)["violations"], [], done.stderr)
        self.assertTrue(json.loads(done.stdout)["complete"], done.stderr)
        return json.loads(done.stdout)


class Purge(PurgeCase):
    def test_what_an_endpoint_has_not_taken_yet_stays(self):
        sku, settings = self.stack.item(), {"CHECKOUT_HOOKS_SECRETS": self.stack.directory}
        self.stack.ctl("webhooks", "add", "late", "https://127.0.0.1:1/", **settings)
        self.stack.ctl("webhooks", "pause", "late")
        self.addCleanup(self.stack.ctl, "webhooks", "remove", "late")
        order = self.sold("ann", sku)
        self.relayed()
        self.age(order)
        self.purge()
        self.assertIn("orders", self.rows(order))               # it has no row yet
        self.stack.ctl("webhooks", "resume", "late")
        self.stack.sql("select fill_hooks(100, 1000)")
        self.purge()
        self.assertIn("orders", self.rows(order))               # it is due
        self.stack.sql("update hook_deliveries set state = 'sent', ended_at = now() - interval '200 days'")
        self.purge()
        self.assertEqual(self.rows(order), {})
        self.assertEqual(self.stack.one("select count(*) from hook_deliveries"), 0)

    def test_an_order_leaves_its_end_and_the_sums(self):
        sku = self.stack.item(stock=3, limit_per_user=1)
        key = uuid.uuid4().hex
        first = self.stack.order("ann", sku, key=key).wait("confirmed")
        declined = self.stack.order("eve", sku, payment_method="pm_card_chargeDeclined").wait("rejected", "payment_declined")
        young = self.sold("bob", sku)
        self.age(first, declined)
        self.relayed()
        could = self.purge("--dry-run")
        self.assertEqual((could["purged"], self.rows(first)["orders"]), (2, 1))
        self.assertEqual(self.purge()["purged"], 2)
        self.assertEqual((self.rows(first), self.rows(declined)), ({}, {}))
        self.assertEqual(self.rows(young)["orders"], 1)
        self.assertEqual(self.purge()["purged"], 0)

        status = self.stack.status("ann", first.id).json
        self.assertEqual((status["status"], status["history"]), ("confirmed", []))
        self.assertEqual(self.stack.call("eve", "GET", f"/v1/orders/{declined.id}").json["reason"], "payment_declined")
        self.assertEqual(self.stack.call("ann", "DELETE", f"/v1/orders/{first.id}").status, 409)
        self.assertIn("It was purged", self.stack.ctl("orders", "show", first.id).stdout)
        self.assertEqual(json.loads(self.stack.ctl("orders", "explain", first.id, "--json").stdout)["order"]["captures"], 1)
        self.assertIn("was purged", self.stack.ctl("orders", "refund", first.id, check=False).stderr)
        self.stack.redis().delete(f"checkout:seen:{first.id}")
        self.assertEqual(self.stack.post("ann", sku, key=key).json["id"], first.id)
        self.stack.publish_jobs(self.stack.job("ann", sku, key=key))    # a job that comes again
        last = self.stack.order("ann", sku).wait("rejected", "limit_exceeded")
        self.assertEqual(self.rows(first), {})
        self.assertEqual(self.stack.counts(sku)[1:3], (0, 2))
        self.assertGreaterEqual(self.assert_audit_clean()["checked"]["purged_orders"], 2)
        self.age(last)

    def test_what_may_still_come_keeps_an_order(self):
        sku = self.stack.item(stock=20)
        orders = [self.sold(f"buyer-{n}", sku) for n in range(8)]
        self.age(*orders)
        self.relayed()
        paid, looked, refund, dispute, command, mail, unrelayed, hint = orders
        for statement, order in (
                ("update payments set updated_at = now() - interval '170 days' where order_id = %s", paid),
                ("update payments set look_at = now() + interval '1 hour' where order_id = %s", looked),
                ("insert into refunds (order_id, attempt, shard, state, amount, currency, intent_id, idempotency_key, reason, "
                 "updated_at) select order_id, 9, shard, 'failed', 1, 'usd', order_id::text, order_id::text, 'requested', "
                 "now() - interval '200 days' from orders where order_id = %s", refund),
                ("insert into returns (event_id, shard, order_id, attempt, intent_id, kind, gateway_id, amount, currency, status, "
                 "ours, created_at) select 1, shard, order_id, 1, 'pi', 'dispute', 'dp', 1, 'usd', 'needs_response', false, "
                 "now() - interval '200 days' from orders where order_id = %s", dispute),
                ("insert into commands (kind, shard, order_id, requested_by, state, result, finished_at) "
                 "select 'webhook', shard, order_id, 'gateway', 'done', 'x', now() from orders where order_id = %s", command),
                ("insert into mails (order_id, kind, due_at) values (%s, 'confirmed', now() + interval '1 day')", mail),
                ("insert into return_looks (intent_id, shard, order_id, attempt, look_at) select intent_id, shard, order_id, 1, "
                 "now() + interval '1 day' from payments where order_id = %s", hint)):
            self.stack.sql(statement, (order.id,))
        consumer = self.stack.daemon("consumer")
        consumer.stop()        # or it would relay again
        shard, newest = self.stack.sql("select shard, max(event_id) from order_events where order_id = %s group by shard",
                                       (unrelayed.id,))[0]
        mark = self.stack.one("select relayed_to from relays where shard = %s", (shard,))
        self.stack.sql("update relays set relayed_to = %s where shard = %s", (newest - 1, shard))
        try:
            self.purge(days=180)
            for order in orders:
                self.assertEqual(self.rows(order).get("orders"), 1)
            self.assertEqual(self.purge("--dry-run", days=7)["purged"], 0)
        finally:
            self.stack.sql("update relays set relayed_to = %s where shard = %s", (mark, shard))
            for table in ("refunds", "returns", "mails", "return_looks"):
                self.stack.sql(f"delete from {table} where order_id = any (%s::uuid[])", ([order.id for order in orders],))
            self.stack.sql("update payments set look_at = null where order_id = %s", (looked.id,))
            self.stack.start_again(consumer)
        self.assertEqual(self.purge()["kept_for_money"], 1)
        self.assertEqual(self.rows(mail), {})
        self.assertEqual(self.rows(paid)["orders"], 1)
        self.assert_audit_clean()

    def test_a_refunded_capture_and_a_late_one_are_no_orphans_of_the_gateways_list(self):
        sku = self.stack.item(stock=5)
        back, restocked = (self.sold(user, sku) for user in ("ann", "bob"))
        self.stack.ctl("orders", "refund", back.id)
        self.stack.ctl("orders", "refund", restocked.id, "--restock")
        back.wait("refunded")
        restocked.wait("refunded")
        self.age(back, restocked)
        self.relayed()
        self.assertEqual(self.purge()["purged"], 2)
        self.assertEqual(self.stack.status("ann", back.id).json["status"], "refunded")
        self.assert_audit_clean()

    def test_a_reader_behind_the_horizon_is_refused(self):
        sku = self.stack.item(stock=20)
        begun = Follower(self.stack, None, "--once")
        begun.process.wait(20)
        orders = [self.sold("reader", sku) for _ in range(3)]
        oldest = self.stack.one("select max(event_id) from order_events where order_id = %s", (orders[0].id,))
        newest = self.stack.one("select max(event_id) from order_events where order_id = %s", (orders[2].id,))
        self.age(*orders[:2])
        self.relayed()
        self.assertEqual(self.purge()["purged"], 2)
        behind = Follower(self.stack, begun.cursor, "--once")
        self.assertEqual(behind.end(0), 1)
        self.assertEqual(behind.events, [])
        self.assertIn(b"the cursor is too old", behind.complaints)
        fresh = Follower(self.stack, None, "--once")
        self.assertEqual(fresh.end(0), 0)
        self.assertIn(orders[2].id, [event["order_id"] for event in fresh.events])
        again = Follower(self.stack, fresh.cursor, "--once")
        self.assertEqual(again.end(0), 0)

        page = self.stack.listen("reader", f"?last_event_id={oldest}")
        wait_until(lambda: page.close_code == 4003, 20, "it to be closed")
        page = self.stack.listen("reader", f"?last_event_id={newest}")
        wait_until(lambda: page.of(orders[2].id), 20, "its event")
        self.assertIsNone(page.close_code)

    def test_it_dies_at_any_time_and_two_work_at_once(self):
        sku = self.stack.item(stock=200)
        jobs = [self.stack.job(f"many-{n}", sku, payment_method="pm_card_visa") for n in range(120)]
        self.stack.publish_jobs(*jobs)
        orders = [harness.Order(self.stack, job["user_id"], job["order_id"]) for job in jobs]
        for order in orders:
            order.wait("confirmed")
        self.age(*orders)
        self.relayed()

        def begin():
            return subprocess.Popen([harness.program("checkoutctl"), "purge", "--older-than", "180d", "--json", "--share", "100"],
                                    env=harness.program_environment(self.stack.settings), stdout=subprocess.PIPE)
        for delay in (0.02, 0.05):
            process = begin()
            try:
                process.wait(delay)
            except subprocess.TimeoutExpired:
                process.send_signal(signal.SIGKILL)
            process.communicate()
        both = [begin(), begin()]
        for process in both:
            process.communicate(timeout=60)
            self.assertEqual(process.returncode, 0)
        self.assertEqual(self.stack.one("select count(*) from orders where sku = %s", (sku,)), 0)
        self.assertEqual(self.stack.sql("select orders, sold from purged_items where sku = %s", (sku,)), [(120, 120)])
        for table in ("order_events", "payments"):
            self.assertEqual(self.stack.one(f"select count(*) from {table} where order_id = any (%s::uuid[])",
                                            ([order.id for order in orders],)), 0)
        self.assert_audit_clean()

    def test_wrong_usage(self):
        for arguments in ((), ("--older-than", "6d"), ("--older-than", "10h"), ("--older-than", "180d", "--share", "0")):
            self.assertEqual(self.stack.ctl("purge", *arguments, check=False).returncode, 2)


class Records(PurgeCase):
    """What is kept of no order: who owned a shard, what was published when, what operators asked for."""

    daemons = ()

    def insert(self, statement, *values):
        return self.stack.one(f"insert into checkout.{statement}", values)

    def command(self, state, created, finished, order=None):
        """A command to the item, with the request for it, so many days ago."""
        command = self.insert(
            "commands (kind, shard, sku, order_id, requested_by, state, result, created_at, finished_at) values ('restock', 0, 'hat', %s, "
            "'ann', %s, %s, now() - %s * interval '1 day', now() - %s * interval '1 day') returning command_id",
            order, state, "done" if finished else None, created, finished)
        self.request(created, command)
        return command

    def request(self, created, command=None):
        return self.insert("requests (requested_by, key, kind, sku, wish, command_id, created_at) values ('ann', %s, 'create', 'hat', "
                           "'{}', %s, now() - %s * interval '1 day') returning request_id", uuid.uuid4().hex, command, created)

    def take_over(self, shard, epoch, days):
        return self.insert("take_overs (shards, shard, epoch, member, taken_at) values (4, %s, %s, 1, "
                           "now() - %s * interval '1 day') returning take_over_id", shard, epoch, days)

    def watermark(self, relayed_to, days):
        return self.insert("relay_log (shard, relayed_to, saved_at) values (0, %s, now() - %s * interval '1 day') "
                           "returning relayed_to", relayed_to, days)

    def left(self, table, key):
        return {value for value, in self.stack.sql(f"select {key} from checkout.{table}")}

    def everything(self):
        return {(table, value) for table, key in (("commands", "command_id"), ("requests", "request_id"), ("relay_log", "relayed_to"),
                                                  ("take_overs", "take_over_id")) for value in self.left(table, key)}

    def test_the_old_ones_go_and_those_that_are_needed_stay(self):
        before = self.everything()
        self.stack.sql("insert into items (sku, shard, title, price, currency, stock) values ('hat', 0, 'x', 1000, 'usd', 9)")
        self.stack.sql("insert into orders (order_id, user_id, sku, shard, quantity, status, reason, amount, currency, fingerprint, sequence, "
                       "accepted_at) values ('11111111-1111-4111-8111-111111111111', 'ann', 'hat', 0, 1, 'rejected', 'sold_out', 1000, 'usd', "
                       "'x', 1, now())")
        self.command("pending", 400, None)
        self.command("done", 400, 100)                                              # it took long
        self.command("done", 400, 399, "11111111-1111-4111-8111-111111111111")      # goes with its order
        self.request(100)
        self.watermark(7, 100)
        self.take_over(0, 2, 300)       # owned the shard 180 days ago
        self.take_over(0, 3, 100)
        self.take_over(1, 1, 400)       # and still does
        kept = self.everything()
        gone = {("commands", self.command("done", 400, 399)), ("commands", self.command("refused", 400, 399, uuid.uuid4().hex)),
                ("requests", self.request(400)), ("take_overs", self.take_over(0, 1, 400)), ("relay_log", self.watermark(5, 400))}
        all_of_them = self.everything()
        self.assertEqual(len(all_of_them - kept), len(gone) + 2)     # two requests for the commands
        self.assertEqual(self.purge("--dry-run")["records"], len(gone) + 2)
        self.assertEqual(self.everything(), all_of_them)
        self.assertEqual(self.purge()["records"], len(gone) + 2)
        self.assertEqual(self.everything(), kept)
        self.assertLess(before, kept)
        self.assertEqual(self.purge()["records"], 0)


class Indexes(PurgeCase):
    """What an order that has ended takes in indexes. They must stay in memory, or the sale reads the disk."""

    daemons = ()
    ORDERS = int(os.environ.get("CHECKOUT_TEST_INDEXES", "20000"))

    def bytes_by_index(self):
        return dict(self.stack.sql("select indexrelid::regclass::text, pg_relation_size(indexrelid) from pg_index where indrelid = "
                                   "any (array['orders', 'order_events', 'payments', 'customer_units']::regclass[])"))

    def bytes_of_an_order(self, empty, orders):
        each = {index: (size - empty[index]) / (self.ORDERS if index.startswith("customer_units") else orders)
                for index, size in self.bytes_by_index().items()}       # what customers have counts purged orders, too
        print(f"{sum(each.values()):.0f} bytes of index for each of {orders} orders:",
              ", ".join(f"{index} {size:.1f}" for index, size in sorted(each.items(), key=lambda item: -item[1]) if size > 0), flush=True)
        return sum(each.values())

    def test_an_order_takes_little_of_them(self):
        empty = self.bytes_by_index()
        self.fill(self.ORDERS)
        self.assertLess(self.bytes_of_an_order(empty, self.ORDERS), INDEX_BYTES)
        self.stack.sql("update relays r set relayed_to = (select max(event_id) from order_events e where e.shard = r.shard)")
        kept = self.ORDERS - self.purge(days=300)["purged"]
        self.assertGreater(kept, self.ORDERS // 4)
        query_once(self.stack.direct["CHECKOUT_DATABASE_URL"], "reindex schema concurrently checkout")
        self.assertLess(self.bytes_of_an_order(empty, kept), REBUILT_BYTES)


@unittest.skipIf(MANY == 0, "only with CHECKOUT_TEST_PURGE")
class Scale(PurgeCase):
    """Many orders of 400 days, a third of them paid; a sale while the older half is purged."""

    daemons = ("consumer",)
    JOBS = 30000

    def drain(self):
        """Jobs a second, of orders that are refused at once: nothing but deciding."""
        by_shard = {}
        for sku in self.soldout:
            by_shard.setdefault(self.stack.shard(sku), []).append(sku)
        bodies = []
        for shard, skus in by_shard.items():
            jobs = [self.stack.job("anybody", skus[n % len(skus)]) for n in range(self.JOBS // len(by_shard))]
            bodies += [(shard, harness_jobs.message(*jobs[n:n + 32]), len(jobs[n:n + 32])) for n in range(0, len(jobs), 32)]
        before, wal = self.decided(), self.stack.one("select pg_current_wal_insert_lsn()")
        began = time.monotonic()
        for shard, body, count in bodies:
            self.stack.publish(shard, body, headers={"x-job-count": count})
        wanted = before + sum(count for _, _, count in bodies)
        wait_until(lambda: self.decided() >= wanted, 120, "all to be decided")
        took = time.monotonic() - began
        self.wal.append(int(self.stack.one("select pg_current_wal_insert_lsn() - %s::pg_lsn", (wal,)) / (wanted - before)))
        return (wanted - before) / took

    def decided(self):
        """Since the consumer began; to count rows would take the time that is measured."""
        return int(self.stack.daemon("consumer").metric('checkout_order_transitions_total{status="rejected",reason="sold_out"}') or 0)

    def megabytes(self, what):
        return self.stack.one(f"select sum({what}(oid)) / 1e6 from pg_class where relkind = 'r' "
                              "and relnamespace = 'checkout'::regnamespace")

    def test_a_sale_goes_on_beside_it(self):
        self.wal = []           # bytes for a job
        self.soldout = [self.stack.item(stock=0) for _ in range(16)]
        self.drain()
        empty = [self.drain() for _ in range(3)]
        consumer = self.stack.daemon("consumer")
        consumer.stop()         # it would publish all their events
        for statement in AGED:  # their events have lower ids than those of the old orders
            self.stack.sql(statement.format("interval '500 days'"))
        self.stack.sql("vacuum")
        self.fill(MANY)
        self.stack.sql("update relays r set relayed_to = (select max(event_id) from order_events e where e.shard = r.shard)")
        self.stack.start_again(consumer)
        self.purge(days=450)    # those of the first drains: the purge that is measured finds paid orders
        self.drain()
        full = [self.drain() for _ in range(3)]
        indexes = float(self.megabytes("pg_indexes_size"))
        early = self.stack.one("select count(*) from purged_orders")
        orders = self.stack.one("select count(*) from orders")
        process = subprocess.Popen([harness.program("checkoutctl"), "purge", "--older-than", "180d"],
                                   env=harness.program_environment(self.stack.settings), stdout=subprocess.DEVNULL)
        self.addCleanup(process.kill)
        beside, without = [], []
        while process.poll() is None and len(beside) < PAIRS:
            beside.append(self.drain())
            process.send_signal(signal.SIGSTOP)
            without.append(self.drain())
            process.send_signal(signal.SIGCONT)
        self.assertIsNone(process.poll(), f"it was ready before the sale was: build more orders; {beside}, {without}")
        process.kill()
        process.wait()
        begun = self.stack.one("select count(*) from purged_orders") - early
        self.assertGreater(begun, 0)
        purged = self.purge()["purged"] + begun         # the rest, at once
        self.assertGreater(purged, MANY // 2)
        ends = self.stack.one("select pg_indexes_size('checkout.purged_orders') / 1e6")
        ratio = statistics.median(b / w for b, w in zip(beside, without))
        of_empty = statistics.median(beside) / statistics.median(empty)
        print(f"jobs a second: empty {[round(r) for r in empty]}, full {[round(r) for r in full]}, "
              f"beside the purge {[round(r) for r in beside]}, while it is stopped {[round(r) for r in without]}: "
              f"{ratio:.2f} of without, {of_empty:.2f} of empty; indexes {indexes:.0f} MB with "
              f"{orders / 1e6:.2f} million orders in the tables, {float(ends) / (purged + early) * 1e6:.0f} MB "
              f"for a million ends; bytes of WAL for a job {self.wal}")
        self.assert_database_audit_clean()
        self.assertGreaterEqual(ratio, BESIDE_LEAST)

    def assert_database_audit_clean(self):
        done = self.stack.ctl("audit", "--json", "--no-gateway", check=False, timeout=900)
        self.assertEqual(json.loads(done.stdout)["violations"][:3], [])


if __name__ == "__main__":
    harness.main()
