#!/usr/bin/python3
"""Long lines: every step goes by index and looks at no more rows than it changes; others are served meanwhile.

CHECKOUT_TEST_LINE sets how many orders wait (default 20,000; tests/run --full takes 1,000,000).
"""

import itertools
import json
import os
import threading
import uuid

import psycopg2

import harness
from harness import wait_until
from harness_gateway import Holding
from test_memory import sanitized

LONG = int(os.environ.get("CHECKOUT_TEST_LINE", "20000"))
SHORT = 10
SPAN = 128          # ids of events that share an entry of an index: at both ends some are read in vain
CHUNK = 500
PAST = max(LONG, 100000)    # orders that a customer has made
TABLES = {"items", "orders", "waitlist", "order_events", "payments", "commands", "customer_units"}


def nodes(plan):
    yield plan
    for child in plan.get("Plans", ()):
        yield from nodes(child)


# What a writing function tells, of tasks and of news: kind, status, how many.
OUTPUT = "select coalesce((task).kind, (news).kind), (news).status, (news).count from "


class Line(harness.TestCase):
    """Lines that are written into the tables as deciding would have left them."""

    def fill(self, sku, count, quantity=1, wait="15 minutes"):
        """`count` orders wait for an item."""
        self.stack.sql(
            "with made as (insert into orders (order_id, user_id, sku, shard, quantity, status, amount, currency, "
            "fingerprint, payment_method, ticket, sequence, accepted_at) "
            "select gen_random_uuid(), 'user-' || n %% 5000, %s, %s, %s, 'waiting', 1000, 'usd', 'f', "
            "'pm_card_visa', n, 1, now() from generate_series(1, %s) n returning order_id, ticket, sku, user_id, quantity), "
            "told as (insert into order_events (shard, order_id, sequence, status, place_in_line) "
            "select %s, order_id, 1, 'waiting', ticket from made), "
            "counted as (insert into customer_units (sku, user_id, units) "
            "select sku, user_id, sum(quantity) from made group by sku, user_id) "
            "insert into waitlist (sku, ticket, order_id, shard, quantity, expires_at) "
            "select %s, ticket, order_id, %s, %s, now() + %s::interval from made",
            (sku, self.stack.shard(sku), quantity, count, self.stack.shard(sku), sku, self.stack.shard(sku),
             quantity, wait))
        self.stack.sql("update items set waiting = %s, next_ticket = %s where sku = %s", (count, count + 1, sku))


class Explained(Line):
    """What each function really does, told by auto_explain, with tables that nobody has analyzed."""

    @classmethod
    def keep_statistics(cls):
        """PostgreSQL does not analyze either, in mid-test: all plans would be made anew, and read the catalog."""
        for table in TABLES:
            cls.stack.sql(f"alter table {table} set (autovacuum_enabled = false)")

    def setUp(self):
        self.db = psycopg2.connect(self.stack.direct["CHECKOUT_DATABASE_URL"])
        self.db.autocommit = True
        self.addCleanup(self.db.close)
        with self.db.cursor() as cursor:
            cursor.execute("load 'auto_explain'; set auto_explain.log_min_duration = 0; "
                           "set auto_explain.log_nested_statements = on; set auto_explain.log_analyze = on; "
                           "set auto_explain.log_buffers = on; set auto_explain.log_timing = off; "
                           "set auto_explain.log_format = 'json'; set client_min_messages = log")

    def explain(self, statement, *values):
        """Runs it; returns its rows and the plans of all statements inside."""
        self.db.notices.clear()
        with self.db.cursor() as cursor:
            cursor.execute(statement, values)
            rows = cursor.fetchall()
        plans = [json.loads(notice[notice.index("{"):])["Plan"] for notice in self.db.notices if "plan:" in notice]
        self.assertGreater(len(plans), 1)
        return rows, plans

    def planned(self, statement, *values):
        """The plans of a statement that changes nothing; its first run may plan anew, which reads the catalogs."""
        self.explain(statement, *values)
        return self.explain(statement, *values)[1]

    def work(self, plans, most):
        """No table is read from end to end, no step sees more than `most` rows; returns the pages touched."""
        for plan in plans:
            for node in nodes(plan):
                told = json.dumps({k: v for k, v in node.items() if k != "Plans"})
                if node.get("Relation Name") in TABLES:
                    self.assertNotEqual(node["Node Type"], "Seq Scan", told)
                seen = node["Actual Rows"] * node["Actual Loops"] + node.get("Rows Removed by Filter", 0)
                self.assertLessEqual(seen, most, told)
        return sum(plan["Shared Hit Blocks"] + plan["Shared Read Blocks"] for plan in plans)

    def serve(self, sku):
        shard = self.stack.shard(sku)
        return shard, self.stack.one("select epoch from take_over(%s, %s, 1, null)", (self.shards, shard))


class Plans(Explained):
    """Of lines."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.keep_statistics()
        cls.long = cls.stack.item(stock=1, held=1)
        cls().fill(cls.long, LONG)

    def elsewhere(self, item):
        """A new SKU in another shard than an item's, whose steps see nothing of it."""
        names = (f"item-{uuid.uuid4().hex[:12]}" for _ in itertools.count())
        return next(sku for sku in names if self.stack.shard(sku) != self.stack.shard(item))

    def compare(self, step, most, short=SHORT, pages=1.6):
        """`step(sku)` returns plans; over a long line it may touch hardly more pages than over a short one."""
        touched = []
        few = self.stack.item(self.elsewhere(self.long), stock=1, held=1)
        self.fill(few, short)
        for sku in (few, self.long):
            step(sku)                                   # the first call plans, and reads the catalog
            touched.append(self.work(step(sku), most))
        self.assertLess(touched[1], touched[0] * pages + 40,
                        f"pages touched: {touched[0]} with {short} waiting, {touched[1]} with {LONG}")
        print(f"{self._testMethodName}: {touched[0]} pages with {short} waiting, {touched[1]} with {LONG}", flush=True)

    def free(self, sku, units):
        """So many units of the item are neither held nor sold."""
        self.stack.sql("update items set stock = held + sold + %s where sku = %s", (units, sku))

    def test_a_promotion(self):
        def step(sku):
            shard, epoch = self.serve(sku)
            self.free(sku, 1)
            rows, plans = self.explain(OUTPUT + "checkout.settle_waitlist(%s, %s, %s, %s, 500)", self.shards, shard,
                                       epoch, sku)
            self.assertEqual([row[0] for row in rows], ["charge"])
            return plans
        self.compare(step, 2)

    def test_a_settlement_that_frees_a_unit(self):
        def step(sku):
            shard, epoch = self.serve(sku)
            self.free(sku, 1)
            order = self.stack.one("select (task).order_id from settle_waitlist(%s, %s, %s, %s, 500)",
                                   (self.shards, shard, epoch, sku))
            rows, plans = self.explain(OUTPUT + "checkout.settle_payments(%s, %s, %s, %s::uuid[], '{1}', '{declined}', "
                                       "'{null}', '{null}')", self.shards, shard, epoch, [order])
            self.assertEqual(sorted(row[0] for row in rows), ["charge", "transition"])
            return plans
        self.compare(step, 2)

    def test_a_cancel(self):
        def step(sku):
            shard, epoch = self.serve(sku)
            self.stack.sql("select request_cancel(o.order_id, o.user_id) from waitlist l join orders o using (order_id) "
                           "where l.sku = %s order by l.ticket desc limit 1", (sku,))
            rows, plans = self.explain(OUTPUT + "checkout.run_commands(%s, %s, %s, 64)", self.shards, shard,
                                       epoch)
            self.assertIn(("command", "done"), [(row[0], row[1]) for row in rows])
            return plans
        self.compare(step, 2)

    def test_pausing_and_resuming(self):
        def step(sku):
            shard, epoch = self.serve(sku)
            for kind in ("pause", "resume"):
                self.stack.sql("select * from request_command(%s, %s, null, null, 'test')", (kind, sku))
            rows, plans = self.explain(OUTPUT + "checkout.run_commands(%s, %s, %s, 64)", self.shards, shard,
                                       epoch)
            self.assertEqual([row[1] for row in rows if row[0] == "command"], ["done", "done"])
            return plans
        self.compare(step, 2)

    def test_a_chunk_of_a_sold_out_line(self):
        def step(sku):
            shard, epoch = self.serve(sku)
            self.stack.sql("update orders set status = 'confirmed' where sku = %s and status = 'reserved'", (sku,))
            self.stack.sql("update items set stock = sold + held, sold = sold + held, held = 0 where sku = %s", (sku,))
            rows, plans = self.explain(OUTPUT + "checkout.settle_waitlist(%s, %s, %s, %s, %s)", self.shards, shard,
                                       epoch, sku, CHUNK)
            self.assertEqual([(row[0], row[2]) for row in rows], [("transition", CHUNK), ("settle_waitlist", None)])
            self.stack.sql("update items set stock = sold + 1, held = 1 where sku = %s", (sku,))
            return plans
        self.compare(step, CHUNK, short=3 * CHUNK)

    def test_nobody_walks_over_what_has_left_the_line(self):
        """Its rows stay in the index for as long as somebody reads an old snapshot; the head is known without."""
        sku = self.stack.item(stock=40, sold=20)
        self.fill(sku, 4 * CHUNK)
        shard, epoch = self.serve(sku)
        for _ in range(3):
            _, plans = self.explain(OUTPUT + "checkout.settle_waitlist(%s, %s, %s, %s, %s)", self.shards, shard,
                                    epoch, sku, CHUNK)
            scans = [node for plan in plans for node in nodes(plan)
                     if node.get("Index Name") == "waitlist_pkey"]
            self.assertTrue(any("ticket >=" in node.get("Index Cond", "") for node in scans))
            head, lowest = self.stack.sql("select waitlist_head, (select min(ticket) from waitlist where sku = %s) from items "
                                          "where sku = %s", (sku, sku))[0]
            self.assertEqual(head, lowest)
            self.stack.sql("update items set sold = stock, held = 0 where sku = %s", (sku,))
        self.assertEqual(lowest, 20 + 2 * CHUNK + 1)

    def test_a_chunk_of_orders_that_are_too_large(self):
        def step(sku):
            shard, epoch = self.serve(sku)
            self.free(sku, 1)
            self.stack.sql("select * from settle_waitlist(%s, %s, %s, %s, 500)", (self.shards, shard, epoch, sku))
            self.stack.sql("update waitlist set quantity = 100 where sku = %s and ticket > (select max(ticket) from waitlist "
                           "where sku = %s) - %s", (sku, sku, CHUNK))
            rows, plans = self.explain(OUTPUT + "checkout.settle_waitlist(%s, %s, %s, %s, %s)", self.shards, shard,
                                       epoch, sku, CHUNK)
            self.assertEqual([(row[0], row[2]) for row in rows], [("transition", CHUNK), ("settle_waitlist", None)])
            return plans
        self.compare(step, 2 * CHUNK, short=3 * CHUNK)  # with the older versions of the rows above

    def test_a_chunk_that_has_waited_too_long(self):
        def step(sku):
            shard, epoch = self.serve(sku)
            self.stack.sql("update waitlist set expires_at = now() - interval '1 s' where sku = %s and ticket <= "
                           "(select min(ticket) + %s from waitlist where sku = %s)", (sku, CHUNK - 1, sku))
            rows, plans = self.explain(OUTPUT + "checkout.expire_waiting(%s, %s, %s, %s)", self.shards, shard, epoch,
                                       CHUNK)
            self.assertEqual([(row[0], row[2]) for row in rows], [("transition", CHUNK)])
            return plans
        self.compare(step, 2 * CHUNK, short=3 * CHUNK)  # as above

    def test_a_decision_behind_a_line(self):
        def step(sku):
            shard, epoch = self.serve(sku)
            self.stack.sql("update items set limit_per_user = 5, stock = sold + held + 1, held = held + 1 "
                           "where sku = %s", (sku,))
            buyer = uuid.uuid4().hex
            job = self.stack.job(buyer, sku)
            rows, plans = self.explain(
                OUTPUT + "checkout.decide_jobs(%s, %s, %s, 900000, %s::uuid[], %s, %s::text[], '{1}', '{pm}', "
                "'{null}', '{null}', '{null}', '{2026-01-01T00:00:00Z}', '{f}', '{null}', '{null}')", self.shards,
                shard, epoch, [job["order_id"]], [buyer], [sku])
            self.assertEqual([(row[0], row[1]) for row in rows], [("transition", "waiting")])
            return plans
        self.compare(step, 2)

    def forget_dead_rows(self):
        """Of the waitlist. An automatic analyze, say, may still see them: it ends first."""
        wait_until(lambda: self.stack.one("select count(*) from pg_stat_activity where datname = current_database() "
                                          "and backend_xmin is not null and pid <> pg_backend_pid()") == 0,
                   60, "the snapshots of others to end")
        self.stack.sql("vacuum (index_cleanup on) waitlist")

    def test_the_sweep(self):
        def step(sku):
            self.stack.sql("delete from waitlist where shard = %s and sku <> %s", (self.stack.shard(sku), sku))
            self.forget_dead_rows()    # of that, and of what other tests took out of it
            return self.planned("select * from checkout.overdue(%s, %s)", self.shards, [self.stack.shard(sku)])
        self.compare(step, 40)  # a few for each item that has a line, and this class has some

    def test_the_sweep_does_not_walk_the_lines_of_other_shards(self):
        def sweep():
            _, plans = self.explain("select * from checkout.overdue(%s, %s)", self.shards, [self.stack.shard(mine)])
            return self.work(plans, 40)
        mine = self.stack.item(stock=1, held=1)
        self.fill(mine, 1)
        self.stack.sql("vacuum analyze waitlist")   # where there is one row, one index is as good as another
        sweep()
        alone = sweep()
        for _ in range(100):
            self.fill(self.stack.item(self.elsewhere(mine), stock=1, held=1), 1)
        self.assertLess(sweep(), 2 * alone)     # an index may be a level deeper now

    def test_the_sweep_of_many_lines_goes_in_pages(self):
        """Each looks at no more items than that; what is due is found by the first one, and the rest by some page."""
        mine = self.stack.item(stock=1, held=1)
        shard, others, count, page = self.stack.shard(mine), self.elsewhere(mine), 700, 100
        self.stack.sql("delete from waitlist")
        self.stack.sql("insert into items (sku, shard, title, price, currency, stock, held, waiting, next_ticket) "
                       "select format('line-%%s-%%s', s, n), s, 'x', 1000, 'usd', 1, 1, 1, 2 "
                       "from unnest(%s) s, generate_series(1, %s) n", ([shard, self.stack.shard(others)], count))
        self.stack.sql("insert into waitlist (sku, ticket, order_id, shard, quantity, expires_at) select sku, 1, gen_random_uuid(), "
                       "shard, 1, now() + interval '1 hour' from items where sku like 'line-%'")
        due, free, paused = (f"line-{shard}-{n}" for n in (77, 501, 502))
        self.stack.sql("update waitlist set expires_at = now() - interval '1 s' where sku = any (%s)", ([due, paused],))
        self.stack.sql("update items set held = 0 where sku = any (%s)", ([free, paused],))
        self.stack.sql("update items set paused = true, stopped_at = now() - interval '1 minute' where sku = %s", (paused,))
        found, pages, after = set(), 0, (-1, "")
        while after is not None:
            rows, plans = self.explain("select * from checkout.overdue(%s, %s, %s, %s, %s)", self.shards, [shard], *after, page)
            self.work(plans, page + 20)
            self.assertIn((shard, "expired", due), rows)
            after = next(((row[0], row[2]) for row in rows if row[1] == "page"), None)
            found.update(row for row in rows if row[1] != "page")
            pages += 1
        self.assertEqual(found, {(shard, "expired", due), (shard, "more", free)})
        self.assertIn(pages, (count // page, count // page + 1))
        self.stack.sql("delete from waitlist")
        self.stack.sql("delete from items where sku like 'line-%'")

    def test_the_items_of_a_shard_go_in_pages(self):
        """Each looks at no more items than that, and at those of no other shard."""
        mine = self.stack.item()
        shard, others, count, page = self.stack.shard(mine), self.stack.shard(self.elsewhere(mine)), 350, 100
        self.stack.sql("insert into items (sku, shard, title, price, currency, stock) "
                       "select format('page-%%s-%%s', s, n), s, 'x', 1000, 'usd', 1 "
                       "from unnest(%s) s, generate_series(1, %s) n", ([shard, others], count))
        found, foreign, pages, after = [], 0, 0, (-1, "")
        while after is not None:
            rows, plans = self.explain("select * from checkout.page_of_items(%s, %s, %s, %s)", [shard], *after, page)
            self.work(plans, 3 * page)
            self.assertLessEqual(len(rows), page)
            found += [row[1] for row in rows if row[2]]
            foreign += sum(not row[2] for row in rows)
            after, pages = rows[-1][:2] if len(rows) == page else None, pages + 1
        self.assertEqual(sorted(found), sorted(row[0] for row in self.stack.sql("select sku from items where shard = %s", (shard,))))
        self.assertLessEqual(foreign, 2)
        self.stack.sql("delete from items where sku like 'page-%'")

    def test_how_the_shop_stands(self):
        self.compare(lambda sku: self.planned("select * from checkout.lines_now()"), self.shards + 60)

    def test_a_relay(self):
        def step(sku):
            shard = self.stack.shard(sku)
            after = self.stack.one("select max(event_id) from order_events where shard = %s", (shard,)) - SHORT
            rows, plans = self.explain("select * from checkout.unrelayed(%s, %s, 1000)", shard, after)
            self.assertGreater(len(rows), 0)
            return plans
        self.compare(step, SHORT + 2 * SPAN)

    def test_what_a_take_over_finds_open(self):
        def step(sku):
            shard = self.stack.shard(sku)
            self.stack.sql("delete from payments p using orders o where o.order_id = p.order_id and p.shard = %s "
                           "and o.sku <> %s", (shard, sku))    # each payment costs its pages
            self.stack.sql("insert into payments (order_id, attempt, shard, state, amount, currency, idempotency_key) "
                           "select order_id, 1, shard, 'open', 1, 'usd', order_id from orders where sku = %s limit %s "
                           "on conflict do nothing", (sku, SHORT))
            rows, plans = self.explain("select * from checkout.resume_charges(%s, 0, 1000)", [shard])
            self.assertGreaterEqual(len(rows), SHORT)
            self.assertLess(len(rows), 2 * SHORT)
            return plans
        self.compare(step, 2 * SHORT)

    def test_what_an_operator_gives_back(self):
        def step(sku):
            shard, epoch = self.serve(sku)
            order = self.stack.one("select order_id from orders where sku = %s limit 1", (sku,))
            _, plans = self.explain("select * from checkout.record_refunds(%s, %s, %s, %s::uuid[], '{1}', '{looked}', "
                                    "'{null}', '{0}', '{null}')", self.shards, shard, epoch, [order])
            return plans
        self.compare(step, 2)

    def test_cancels_that_wait_for_their_orders(self):
        """Many may wait while the queue is long; each sweep looks at its portion, and comes to all of them."""
        self.stack.sql("insert into commands (kind, order_id, user_id, requested_by) select 'cancel', "
                       "gen_random_uuid(), 'ann', 'buyer' from generate_series(1, 2500)")
        sku = self.stack.item(stock=1)
        self.fill(sku, SHORT)
        last = self.stack.one("select order_id from orders where sku = %s limit 1", (sku,))
        self.stack.sql("insert into commands (kind, order_id, user_id, requested_by) values ('cancel', %s, 'ann', "
                       "'buyer')", (last,))
        after, calls = 0, []
        while True:
            rows, plans = self.explain("select checkout.place_cancels(%s, 1000)", after)
            self.work(plans, 1000)
            after = rows[0][0]
            calls.append(after)
            if after == 0:
                break
        self.assertEqual(len(calls), 3)
        self.assertEqual(self.stack.one("select shard from commands where order_id = %s", (last,)),
                         self.stack.shard(sku))
        self.stack.sql("delete from commands")


class Regulars(Explained):
    """What a customer has ordered before costs no step of a new order anything."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.keep_statistics()
        cls.stack.sql(
            "with made as (insert into orders (order_id, user_id, sku, shard, quantity, status, reason, amount, currency, "
            "fingerprint, sequence, accepted_at) "
            "select gen_random_uuid(), 'regular', 'thing-' || n, n %% %s, 1, case when n %% 2 = 0 then 'confirmed' else "
            "'rejected' end, case when n %% 2 = 1 then 'unknown_item' end, 1000, 'usd', 'f', 1, now() "
            "from generate_series(1, %s) n returning sku, status) "
            "insert into customer_units (sku, user_id, units) select sku, 'regular', 1 from made where status = 'confirmed'",
            (cls.shards, PAST))

    def story(self, sku, user, jobs=64):
        """Decides `jobs` orders of a customer, of which one fits the limit; and ends that one. Pages touched."""
        shard, epoch = self.serve(sku)
        ids = [self.stack.job(user, sku)["order_id"] for _ in range(jobs)]
        rows, plans = self.explain(
            OUTPUT + "checkout.decide_jobs(%s, %s, %s, 900000, %s::uuid[], %s, %s::text[], array_fill(1, array[%s]), "
            "array_fill('pm'::text, array[%s]), '{}', '{}', '{}', '{}', array_fill('f'::text, array[%s]), '{}', '{}')",
            self.shards, shard, epoch, ids, [user] * jobs, [sku] * jobs, jobs, jobs, jobs)
        self.assertEqual(sorted(row for row in rows if row[0] == "transition"),
                         [("transition", "rejected", jobs - 1), ("transition", "reserved", 1)])
        _, more = self.explain(OUTPUT + "checkout.settle_payments(%s, %s, %s, %s::uuid[], '{1}', '{declined}', '{null}', "
                               "'{null}')", self.shards, shard, epoch, ids[:1])
        self.assertEqual(self.stack.one("select units from customer_units where sku = %s and user_id = %s", (sku, user)), 0)
        return self.work(plans, 2 * jobs) + self.work(more, 2)

    def test_a_customer_with_many_orders_is_decided_like_a_new_one(self):
        sku = self.stack.item(stock=10, limit_per_user=1)
        pages = {}
        for user in ("new", "regular"):
            self.story(sku, user)           # the first call plans, and reads the catalog
            pages[user] = self.story(sku, user)
        print(f"pages touched: {pages}, with {PAST} orders before", flush=True)
        self.assertLess(pages["regular"], pages["new"] * 1.1 + 10)

    def test_changes_of_units_and_orders_stay_in_their_pages(self):
        """No index has to follow a change of state (HOT)."""
        sku = self.stack.item(stock=10, limit_per_user=1)
        for _ in range(3):
            self.story(sku, "regular")
        self.stack.sql("select pg_stat_force_next_flush()")
        with self.db.cursor() as cursor:
            cursor.execute("select pg_stat_force_next_flush()")
            cursor.execute("select relname, n_tup_upd, n_tup_hot_upd from pg_stat_user_tables where schemaname = 'checkout' "
                           "and relname in ('orders', 'customer_units')")
            for table, updates, hot in cursor.fetchall():
                self.assertGreater(updates, 0, table)
                self.assertEqual(hot, updates, table)


class QuietShop(Plans):
    """The same by sessions that planned when there was next to nothing in the tables, and somebody had analyzed them."""

    @classmethod
    def setUpClass(cls):
        super(Plans, cls).setUpClass()
        cls.keep_statistics()

    def setUp(self):
        self.stack.sql(f"truncate {', '.join(TABLES)}")
        super().setUp()

    def compare(self, step, most, short=SHORT, pages=1.6):
        few, self.long = (self.stack.item(stock=1, held=1) for _ in range(2))
        self.fill(few, short)
        self.stack.sql(f"vacuum analyze {', '.join(TABLES)}")
        step(few)
        touched = [self.work(step(few), most)]
        self.grow()
        touched.append(self.work(step(self.long), most))
        self.assertLess(touched[1], touched[0] * 3 + 40, f"pages touched: {touched}")   # the trees have grown, too

    def grow(self):
        """A sale begins."""
        self.fill(self.long, LONG)
        self.stack.sql("insert into items (sku, shard, title, price, currency, stock, gate) "
                       "select 'sale-' || n, %s, 'x', 1, 'usd', 1, 'none' from generate_series(1, %s) n",
                       ((self.stack.shard(self.long) + 1) % self.shards, LONG // 10))   # the sweep pages through its own
        self.stack.sql("insert into payments (order_id, attempt, shard, state, amount, currency, idempotency_key) "
                       "select order_id, 9, shard, 'failed', amount, currency, order_id || '-9' from orders")

    def test_cancels_that_wait_for_their_orders(self):
        self.skipTest("needs no line")


class Served(Line):
    """One consumer, one shard, a long line, and other items beside it."""

    daemons = ("sandbox", "consumer")
    shards = 1

    def others(self, sku, stop, orders):
        """Somebody orders another item of the shard again and again."""
        while not stop.is_set():
            job = self.stack.job("ann", sku)
            self.stack.publish_jobs(job)
            orders.append(job["order_id"])
            stop.wait(0.005)

    def long_line(self):
        """One unit, as good as sold, and a line behind it."""
        sku = self.stack.item(stock=1, held=1)
        self.fill(sku, LONG)
        return sku

    def test_a_line_that_is_refused_delays_no_other_item_and_takes_no_memory(self):
        consumer = self.stack.daemon("consumer")
        other = self.stack.item(stock=1000000)
        self.stack.publish_jobs(self.stack.job("warm", other))
        sku = self.long_line()
        before = consumer.resident_bytes()
        orders, stop = [], threading.Event()
        thread = threading.Thread(target=self.others, args=(other, stop, orders), daemon=True)
        thread.start()
        try:
            wait_until(lambda: len(orders) > 3, 30, "orders of the other item")
            self.stack.sql("update items set held = 0, sold = 1 where sku = %s", (sku,))  # paid for
            wait_until(lambda: self.stack.counts(sku)[3] == 0, 120 + LONG / 1000, "the line to be refused",
                       interval=0.1)
        finally:
            stop.set()
            thread.join()
        grown = consumer.resident_bytes() - before
        first, last, seconds, count = self.stack.sql(
            "select min(event_id), max(event_id), extract(epoch from max(e.created_at) - min(e.created_at))::float, "
            "count(*) from order_events e join orders o using (order_id) where o.sku = %s and e.status = 'rejected'",
            (sku,))[0]
        self.assertEqual(count, LONG)
        between = self.stack.one(
            "select count(*) from order_events e join orders o using (order_id) where o.sku = %s "
            "and e.status = 'reserved' and e.event_id between %s and %s", (other, first, last))
        chunks = self.stack.one("select count(distinct e.created_at) from order_events e join orders o "
                                "using (order_id) where o.sku = %s and e.status = 'rejected'", (sku,))
        print(f"{LONG} refused in {seconds:.2f} s and {chunks} chunks, {between} decisions of another item between "
              f"them; the consumer grew by {grown / 1048576:.1f} MiB", flush=True)
        self.assertGreaterEqual(chunks, LONG // CHUNK)
        self.assertGreater(between, 3)
        refused = [row[0] for row in self.stack.sql(
            "select (select w.place_in_line from order_events w where w.order_id = r.order_id and w.sequence = 1) "
            "from order_events r where r.shard = 0 and r.event_id between %s and %s and r.status = 'rejected' "
            "order by r.event_id limit 20000", (first, last))]
        wrong = [pair for pair in zip(refused, refused[1:]) if pair[0] > pair[1]]
        self.assertEqual(wrong[:5], [], f"not from the head in {len(wrong)} places")
        if not sanitized():
            self.assertLess(grown, 16 << 20)

    def test_a_message_that_cannot_be_read_delays_nobody(self):
        sku = self.stack.item(stock=10)
        jobs = [self.stack.job(f"user-{n}", sku) for n in range(10)]
        for number, job in enumerate(jobs):
            self.stack.publish(0, (b"{", b"\xff\xfe", b'{"version":1}', b"[" * 3000)[number % 4])
            self.stack.publish_jobs(job)
        for job in jobs:
            harness.Order(self.stack, job["user_id"], job["order_id"]).wait("confirmed")

    def test_a_settlement_that_the_database_refuses_delays_no_other(self):
        """Here because somebody has tampered with the item's numbers."""
        broken, good = self.stack.item(stock=1), self.stack.item(stock=5)
        consumer, sandbox = self.stack.daemon("consumer"), self.stack.daemon("sandbox")
        sandbox.freeze()
        self.addCleanup(sandbox.thaw)
        stuck = self.stack.job("ann", broken)
        self.stack.publish_jobs(stuck)
        order = harness.Order(self.stack, "ann", stuck["order_id"]).wait("reserved")
        self.stack.sql("update items set held = 0 where sku = %s", (broken,))
        before = self.stack.one("select max(heartbeats) from consumers")
        sandbox.thaw()
        wait_until(lambda: b"refuses" in consumer.log_text(), 30, "the settlement to be refused")
        jobs = [self.stack.job(f"user-{n}", good) for n in range(5)]
        self.stack.publish_jobs(*jobs)
        for job in jobs:
            harness.Order(self.stack, job["user_id"], job["order_id"]).wait("confirmed")
        self.assertEqual(order.status(), "reserved")
        beats = self.stack.one("select max(heartbeats) from consumers") - before
        self.assertLess(consumer.log_text().count(b"refuses"), 20 + 3 * beats)
        self.stack.sql("update items set held = 1 where sku = %s", (broken,))
        order.wait("confirmed", timeout=60)
        self.assertEqual(self.stack.gateway.captured()[order.id], 1)


class Slow(Holding):
    shards = 1

    def test_payments_that_take_their_time_delay_no_other_item(self):
        self.consume()
        slow, quick = self.stack.item(stock=40), self.stack.item(stock=40)
        held = [self.stack.job(f"slow-{n}", slow, payment_method="pm_held") for n in range(60)]
        self.stack.publish_jobs(*held)
        wait_until(lambda: all(self.begun(job["order_id"]) for job in held[:40]), 30, "their payments to begin")
        jobs = [self.stack.job(f"quick-{n}", quick) for n in range(40)]
        self.stack.publish_jobs(*jobs)
        for job in jobs:
            harness.Order(self.stack, job["user_id"], job["order_id"]).wait("confirmed")
        states = {harness.Order(self.stack, job["user_id"], job["order_id"]).status() for job in held[:40]}
        self.assertEqual(states, {"reserved"})
        self.let_end(*(job["order_id"] for job in held))
        ends = [harness.Order(self.stack, job["user_id"], job["order_id"]).wait_final() for job in held]
        self.assertEqual(ends, [("confirmed", None)] * 40 + [("rejected", "sold_out")] * 20)


if __name__ == "__main__":
    harness.main()
