#!/usr/bin/python3
"""The console with very many orders: each view goes by index, and is there within 300 ms.

CHECKOUT_TEST_CONSOLE sets how many orders there are (default 20,000; tests/run --full takes 1,000,000). A fifth of them
wait: half of these for one item, the others for 2,000 items.
"""

import os
import statistics
import time

import harness
from harness import http_call
from test_console import Console
from test_line_scale import Explained, nodes

ORDERS = int(os.environ.get("CHECKOUT_TEST_CONSOLE", "20000"))
ITEMS = 2000
JUST_NOW = max(ORDERS // 33, 15000) # orders that were decided in the last seconds
VIEW_S = 0.3
LOOKS = 9
# That any step of the overview sees: 10,000 open payments, 8,192 events, or the sales of 10 s, of those of just now.
ROWS_MOST = max(12000, JUST_NOW // 2)

ENDED = """
    with made as (
        insert into orders (order_id, user_id, sku, shard, quantity, status, reason, amount, currency, fingerprint, reference,
                            sequence, accepted_at, created_at, updated_at)
        select overlay(gen_random_uuid()::text placing '8' from 15)::uuid, 'user-' || n %% 50000, (%(skus)s::text[])[i], (%(shards)s::integer[])[i], 1,
               case when n %% 4 = 0 then 'rejected' else 'confirmed' end, case when n %% 4 = 0 then 'sold_out' end, 1999, 'usd',
               'f', 'cart-' || n, 2, at - interval '80 ms', at, at
          from (select n, n %% %(items)s + 1 as i, now() + (%(from_s)s + (%(to_s)s - %(from_s)s) * n::float / %(count)s) * interval '1 s' as at
                  from generate_series(1, %(count)s) n) t
        returning order_id, shard, status, reason, created_at),
    begun as (insert into order_events (shard, order_id, sequence, status, created_at)
              select shard, order_id, 1, 'reserved', created_at from made),
    paid as (insert into payments (order_id, shard, state, amount, currency, idempotency_key, intent_id, created_at)
             select order_id, shard, 'captured', 1999, 'usd', order_id || '-1', 'pi_' || order_id, created_at
               from made where status = 'confirmed')
    insert into order_events (shard, order_id, sequence, status, reason, created_at)
    select shard, order_id, 2, status, reason, created_at from made"""


LINES = """
    with made as (
        insert into orders (order_id, user_id, sku, shard, quantity, status, amount, currency, fingerprint, payment_method, ticket,
                            sequence, accepted_at, created_at)
        select gen_random_uuid(), 'user-' || n %% 50000, sku, shard, 1, 'waiting', 1999, 'usd', 'f', 'pm_card_visa', n, 1, at, at
          from (select u.sku, u.shard, n, now() + (n - 1 + m / %(items)s::float - %(each)s) / %(each)s * interval '10 minutes' as at
                  from unnest(%(skus)s::text[], %(shards)s::integer[]) with ordinality u(sku, shard, m), generate_series(1, %(each)s) n) t
        returning order_id, sku, shard, ticket, created_at),
    begun as (insert into order_events (shard, order_id, sequence, status, place_in_line, created_at)
              select shard, order_id, 1, 'waiting', ticket, created_at from made)
    insert into waitlist (sku, ticket, order_id, shard, quantity, expires_at, created_at)
    select sku, ticket, order_id, shard, 1, now() + interval '1 hour', created_at from made"""


class Scale(Console, Explained):
    daemons = ()

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.stack.start("producer")
        skus = sorted(f"scale-{n:05d}" for n in range(ITEMS))
        cls.items = {"skus": skus, "shards": [cls.stack.shard(sku) for sku in skus], "items": ITEMS}
        cls.stack.sql("insert into items (sku, shard, title, price, currency, stock) select s, h, 'Of many', 1999, 'usd', 1000000 "
                      "from unnest(%(skus)s::text[], %(shards)s::integer[]) u(s, h)", cls.items)
        cls.hot = cls.stack.item(stock=1, held=1)
        cls.waiting = ORDERS // 10 + ITEMS * cls.line(skus, max(1, ORDERS // 10 // ITEMS))
        cls.line([cls.hot], ORDERS // 10)
        cls.end(ORDERS - cls.waiting - JUST_NOW, -7200, -60)
        for table in ("orders", "order_events", "waitlist", "payments"):
            cls.stack.sql(f"analyze {table}")

    def setUp(self):
        super().setUp()
        self.end(JUST_NOW, -1, 20)      # of the last 10 s for the next half minute

    @classmethod
    def line(cls, skus, each):
        """So many orders wait for each of these items; returns how many."""
        cls.stack.sql(LINES, {"skus": skus, "shards": [cls.stack.shard(sku) for sku in skus], "each": each,
                              "items": len(skus)})
        cls.stack.sql("update items set stock = 1, held = 1, waiting = %s, next_ticket = %s where sku = any (%s)", (each, each + 1, skus))
        return each

    @classmethod
    def end(cls, count, from_s, to_s):
        """So many orders that have ended, decided between these times from now."""
        cls.stack.sql(ENDED, {**cls.items, "count": count, "from_s": from_s, "to_s": to_s})

    def look(self, path, scope="shop operator"):
        """What a view takes, in seconds: the median of several looks."""
        took, token = [], "Bearer " + self.token(scope=scope)
        for _ in range(LOOKS):
            began = time.monotonic()
            answer = http_call(self.console.url, "GET", path, {"Authorization": token})
            took.append(time.monotonic() - began)
            self.assertEqual(answer.status, 200, answer)
        return statistics.median(took), answer

    def test_each_view_is_there_in_time(self):
        order, reference = self.stack.sql("select order_id::text, reference from orders where status = 'confirmed' limit 1")[0]
        slow = []
        for path in ("/v1/shop/items?limit=500", "/v1/shop/items/" + self.hot, "/v1/shop/orders", "/v1/shop/orders/" + order,
                     "/v1/shop/orders?limit=200&sku=" + self.hot, "/v1/shop/orders?status=waiting&sku=" + self.hot,
                     "/v1/shop/orders?status=waiting", "/v1/shop/orders?status=confirmed", "/v1/shop/orders?status=reserved",
                     "/v1/shop/orders?customer=user-7", "/v1/shop/orders?reference=" + reference,
                     "/v1/shop/events?limit=1000", "/v1/ops/overview", "/v1/ops/history", "/"):
            took, answer = self.look(path)
            print(f"{took * 1000:7.1f} ms  {len(answer.body):8} bytes  {path}", flush=True)
            if took > VIEW_S:
                slow.append((path, took))
        self.assertEqual(slow, [])

    def test_what_the_page_asks_is_there_in_time_when_no_answer_is_kept(self):
        took = []
        for _ in range(LOOKS):
            began = time.monotonic()
            point = self.stack.one("select point from overview()")
            took.append(time.monotonic() - began)
        took = statistics.median(took)
        print(f"the overview takes {took * 1000:.1f} ms with {ORDERS} orders", flush=True)
        self.assertLess(took, VIEW_S)
        self.assertEqual(point["waiting"], self.waiting)
        self.assertGreater(point["confirmed_per_second"], 0)

    def test_no_step_of_it_reads_a_table_or_grows_with_the_orders(self):
        plans = self.planned("select point::text from overview()")
        pages = self.work(plans, ROWS_MOST)
        most = max(node["Actual Rows"] * node["Actual Loops"] for plan in plans for node in nodes(plan))
        print(f"the overview touches {pages} pages, and no step sees more than {most} rows", flush=True)


if __name__ == "__main__":
    harness.main()
