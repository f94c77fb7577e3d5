#!/usr/bin/python3
"""checkoutctl items set: an item changes while it sells, by the owner of its shard."""

import json
import time

import harness
from harness import wait_until


class Setting(harness.TestCase):
    daemons = ("sandbox", "producer", "consumer")

    def setUp(self):
        self.stack.gateway.calm()

    def ctl(self, *words, code=0):
        done = self.stack.ctl(*words, check=False)
        self.assertEqual(done.returncode, code, f"{words}: {done.stdout}{done.stderr}")
        return done

    def set(self, sku, *fields, code=0):
        return self.ctl("items", "set", sku, *fields, code=code)

    def row(self, sku):
        return self.stack.sql("select title, price, currency, limit_per_user, gate, to_char(opens_at at time zone 'utc',"
                              " 'YYYY-MM-DD'), to_char(closes_at at time zone 'utc', 'YYYY-MM-DD') from items"
                              " where sku = %s", (sku,))[0]

    def refused(self, sku, fields, *parts, code=1):
        before = self.row(sku)
        told = self.set(sku, *fields, code=code).stderr
        for part in parts:
            self.assertIn(part, told)
        self.assertEqual(told.count("\n"), 1, told)
        self.assertEqual(self.row(sku), before)

    def test_every_field_and_its_end(self):
        sku = self.stack.item(title="Dress")
        done = self.set(sku, "title=A dress, \"1920s\" é", "price=2400", "limit_per_user=2", "gate=lock",
                        "opens_at=2026-01-01T00:00:00Z", "closes_at=2099-01-01T00:00:00Z")
        self.assertEqual(done.stdout, 'title A dress, "1920s" é, was Dress; price 24.00 usd, was 10.00 usd; limit_per_user 2, was '
                                      'none; gate lock, was none; opens_at 2026-01-01T00:00:00Z, was none; closes_at '
                                      '2099-01-01T00:00:00Z, was none\n')
        self.assertEqual(self.row(sku), ('A dress, "1920s" é', 2400, "usd", 2, "lock", "2026-01-01", "2099-01-01"))
        self.set(sku, "limit_per_user=", "opens_at=", "closes_at=", "gate=none")
        self.assertEqual(self.row(sku), ('A dress, "1920s" é', 2400, "usd", None, "none", None, None))
        self.assertIn("nothing changed", self.set(sku, "price=2400").stdout)
        command = json.loads(self.set(sku, "price=2500", "--json").stdout)
        self.assertEqual((command["kind"], command["state"], command["result"]),
                         ("set", "done", "price 25.00 usd, was 24.00 usd"))

    def test_the_owner_executes_it_and_it_is_recorded(self):
        sku = self.stack.item()
        self.set(sku, "price=2400")
        kind, state, result, by = self.stack.sql("select kind, state, result, requested_by from commands where sku = %s",
                                                 (sku,))[0]
        self.assertEqual((kind, state, result), ("set", "done", "price 24.00 usd, was 10.00 usd"))
        self.assertIn("@", by)

    def test_a_price_that_the_gateway_refuses_is_refused_with_the_rule(self):
        sku = self.stack.item()
        self.refused(sku, ["price=25"], "price 25 is 0.25 usd; the least that the gateway takes is 0.50 usd (50)")
        self.refused(sku, ["currency=kwd", "price=12345"], "the last of its three decimals must be 0: 12340 or 12350")
        self.refused(sku, ["currency=isk", "price=1999"], "must be 00: 1900 or 2000")
        self.refused(sku, ["currency=huf"], "price 1000 is 10.00 huf; the least that the gateway takes is 175.00 huf")
        self.assertEqual(self.stack.one("select count(*) from commands where sku = %s", (sku,)), 0)
        self.set(sku, "currency=JPY", "price=1999")
        self.assertEqual(self.row(sku)[1:3], (1999, "jpy"))

    def test_wrong_usage(self):
        sku = self.stack.item()
        for fields, part in ((["price=19.99"], "whole number of minor units"), (["price="], "price"),
                             (["title="], "1 to 200 characters"), (["limit_per_user=0"], "at least 1"),
                             (["gate=open"], "none, soldout or lock"), (["opens_at=tomorrow"], "a time in UTC"),
                             (["currency=xyz"], "no currency that the gateway takes"),
                             (["stock=3"], "items restock"), (["sku=other"], "import a new item"),
                             (["colour=red"], '"colour" is not a field'), (["price"], "FIELD=VALUE"),
                             (["price=100", "price=200"], "twice")):
            with self.subTest(fields=fields):
                self.refused(sku, fields, part, code=2)
        self.assertIn("needs SKU", self.ctl("items", "set", sku, code=2).stderr)
        self.assertIn('no item "nothing"', self.ctl("items", "set", "nothing", "price=100", code=1).stderr)

    def test_a_sale_that_ends_before_it_begins_is_refused(self):
        sku = self.stack.item()
        self.set(sku, "opens_at=2030-01-01T00:00:00Z")
        self.refused(sku, ["closes_at=2029-01-01T00:00:00Z"], "closes_at is not after opens_at")

    def test_two_at_once_never_leave_what_neither_checked(self):
        """The owner compares what the price was checked with; it is the last to look."""
        sku = self.stack.item()
        self.stack.sql("select * from request_command('set', %s, null, %s, 'test')",
                       (sku, json.dumps({"set": {"price": "60"}, "price": 999, "currency": "usd"})))
        wait_until(lambda: self.stack.one("select state from commands where sku = %s", (sku,)) != "pending", 10, "the end")
        self.assertEqual(self.stack.sql("select state, result from commands where sku = %s", (sku,)),
                         [("refused", "it was changed meanwhile: its price is 10.00 usd now")])
        self.assertEqual(self.row(sku)[1], 1000)

    def test_an_order_keeps_the_price_that_it_has(self):
        sku = self.stack.item(stock=2, held=1)
        self.stack.gateway.control(latency_ms=3000)
        paying = self.stack.order("ann", sku).wait("reserved")
        waiting = self.stack.order("bob", sku).wait("waiting")
        self.set(sku, "price=9900")
        self.stack.gateway.calm()
        stale = self.stack.order("cleo", sku, unit_price=1000).wait("rejected", "price_changed")
        self.ctl("items", "restock", sku, "2")
        later = self.stack.order("dan", sku, unit_price=9900).wait("confirmed")
        for order, amount in ((paying, 1000), (waiting, 1000), (later, 9900)):
            order.wait("confirmed", timeout=20)
            self.assertEqual(self.stack.one("select amount from orders where order_id = %s", (order.id,)), amount)
            self.assertEqual(self.stack.one("select amount from payments where order_id = %s", (order.id,)), amount)
        charged = {i["metadata"]["order_id"]: i["amount"] for i in self.stack.gateway.intents()}
        self.assertEqual((charged[paying.id], charged[waiting.id], charged[later.id]), (1000, 1000, 9900))
        self.assertNotIn(stale.id, charged)

    def test_a_limit_is_for_later_orders(self):
        sku = self.stack.item()
        first = self.stack.order("ann", sku, quantity=3).wait("confirmed")
        self.set(sku, "limit_per_user=2")
        self.stack.order("ann", sku).wait("rejected", "limit_exceeded")
        self.stack.order("bob", sku, quantity=3).wait("rejected", "limit_exceeded")
        self.stack.order("bob", sku, quantity=2).wait("confirmed")
        self.assertEqual(first.status(), "confirmed")
        self.set(sku, "limit_per_user=4")
        self.stack.order("ann", sku).wait("confirmed")
        self.set(sku, "limit_per_user=")
        self.stack.order("ann", sku, quantity=4).wait("confirmed")

    def published(self, user, sku):
        """An order that has passed the API."""
        job = self.stack.job(user, sku)
        self.stack.publish_jobs(job)
        return harness.Order(self.stack, user, job["order_id"])

    def test_a_window_counts_at_once(self):
        sku = self.stack.item()
        self.assertIn("closed now", self.set(sku, "closes_at=2026-01-01T00:00:00Z").stdout)
        self.published("ann", sku).wait("rejected", "not_on_sale")
        self.set(sku, "closes_at=")
        self.published("bob", sku).wait("confirmed")
        # the API refuses such orders itself, by what it knew up to 2 s ago
        harness.wait_until(lambda: self.stack.post("eve", sku).status == 202, 10, "the API to accept again")

    def test_a_currency_stays_once_there_are_orders(self):
        sku = self.stack.item(stock=1)
        order = self.stack.order("ann", sku).wait("confirmed")
        self.refused(sku, ["currency=eur"], "its currency stays: it has orders")
        self.stack.ctl("orders", "refund", order.id, "--restock")
        self.assertEqual(self.stack.counts(sku), (1, 0, 0, 0))
        self.refused(sku, ["currency=eur"], "its currency stays: it has orders")
        self.refused(sku, ["currency=jpy", "price=1999"], "its currency stays: it has orders")
        self.set(sku, "currency=usd", "price=1100")     # the same one is no change

    def test_the_admission_follows(self):
        sku = self.stack.item(stock=1, gate="soldout")
        self.stack.order("ann", sku).wait("confirmed")
        self.stack.order("bob", sku).wait("rejected", "sold_out")
        wait_until(lambda: self.stack.post("cleo", sku).status == 409, 30, "the door to know that it is sold out")
        self.set(sku, "gate=none")
        wait_until(lambda: self.stack.post(f"dan-{time.time()}", sku).status == 202, 30, "orders to reach the line again")

    def test_units_of_an_item_that_no_gateway_takes_are_refused(self):
        sku = self.stack.item(price=25)
        told = self.ctl("items", "restock", sku, "1", code=1).stderr
        self.assertIn("price 25 is 0.25 usd; the least that the gateway takes is 0.50 usd (50)", told)
        self.assertIn("items set", told)
        self.ctl("items", "restock", sku, "-1")
        self.set(sku, "price=50")
        self.ctl("items", "restock", sku, "1")
        self.assertEqual(self.stack.counts(sku)[0], 10)

    def test_it_waits_for_an_owner_and_says_so(self):
        sku = self.stack.item()
        consumer = self.stack.daemon("consumer")
        consumer.stop()
        told = self.set(sku, "price=2400", "--timeout", "1s", code=1).stderr
        self.assertIn("pending", told)
        self.stack.start("consumer")
        wait_until(lambda: self.row(sku)[1] == 2400, 30, "the new owner to execute it")


if __name__ == "__main__":
    harness.main()
