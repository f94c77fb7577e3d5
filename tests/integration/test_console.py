#!/usr/bin/python3
"""checkout-console: the shop's own programs see and change items and orders, each change once, and read the feed."""

import os
import threading
import time
import uuid

import yaml

import harness
from harness import http_call, wait_until
from harness_client import problems_of
from harness_contract import Contract
from harness_keys import ProviderKey, publish
from harness_services import ROOT


class ConsoleContract(Contract):
    """schemas/console.openapi.yaml: what each answer is held against."""

    def __init__(self):
        super().__init__()
        with open(os.path.join(ROOT, "schemas", "console.openapi.yaml"), encoding="utf-8") as source:
            self.document = yaml.safe_load(source)
        self.table = problems_of("console.openapi.yaml")
        self.refused = self.document["components"]["responses"]["Refused"]


CONTRACT = ConsoleContract()


class Console(harness.TestCase):
    daemons = ("sandbox", "producer", "consumer")
    shards = 4

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.key = ProviderKey("ES256", "shop-1")
        cls.path = os.path.join(cls.stack.directory, "console-jwks.json")
        publish(cls.path, cls.key.jwk())
        cls.console = cls.stack.start("console", CHECKOUT_CONSOLE_JWKS_FILE=cls.path)

    def token(self, scope="shop", user="back-office", audience="checkout-console", **claims):
        return self.key.token(user, aud=audience, scope=scope, **claims)

    def ask(self, method, path, body=None, key=None, token=None, headers=None, console=None, **claims):
        headers = {"Authorization": "Bearer " + (token or self.token(**claims)), **(headers or {})}
        if method != "GET":
            headers.setdefault("Idempotency-Key", key or uuid.uuid4().hex)
        answer = http_call((console or self.console).url, method, "/v1/shop" + path, headers, body)
        CONTRACT.check(method, "/v1/shop" + path, answer)
        return answer

    def read(self, path, **claims):
        answer = self.ask("GET", path, **claims)
        self.assertEqual(answer.status, 200, answer)
        return answer.json

    def refused(self, status, problem, *arguments, **named):
        answer = self.ask(*arguments, **named)
        self.assertEqual((answer.status, answer.json["type"]), (status, "/problems/" + problem), answer)
        self.assertEqual(answer.headers["Content-Type"], "application/problem+json")
        return answer

    def made(self, **fields):
        """A new item by the API; its sku."""
        sku = "made-" + uuid.uuid4().hex[:8]
        item = {"sku": sku, "title": "A dress", "price": 1999, "currency": "usd", "stock": 3, **fields}
        answer = self.ask("POST", "/items", item)
        self.assertEqual(answer.status, 201, answer)
        return sku


class Shop(Console):
    # -- who may ----------------------------------------------------------------------------------

    def test_only_tokens_of_the_shops_own_keys_for_the_console_are_taken(self):
        other = ProviderKey("ES256", "shop-1")
        for name, token in {
                "a buyer's, with a scope": self.token(audience="checkout"),
                "for both": self.token(audience=["checkout", "checkout-console"]),
                "of another key": other.token("x", aud="checkout-console", scope="shop"),
                "of the door's secret": self.stack.token("x", "checkout-console", scope="shop"),
                "an event ticket": self.token(audience="checkout-events"),
                "too old": self.token(exp=int(time.time()) - 10),
        }.items():
            with self.subTest(name):
                self.refused(401, "unauthorized", "GET", "/items", token=token)
        answer = http_call(self.console.url, "GET", "/v1/shop/items")
        self.assertEqual((answer.status, answer.headers["WWW-Authenticate"]), (401, "Bearer"))

    def test_a_scope_allows_what_it_says(self):
        self.read("/items", scope="shop.read")
        self.read("/items", scope="openid shop")
        for scope in (None, "", "shopkeeper", "operator", "shop.reader", ["shop"]):
            with self.subTest(scope=scope):
                self.refused(403, "forbidden", "GET", "/items", scope=scope)
        sku = self.made()
        answer = self.refused(403, "forbidden", "POST", f"/items/{sku}/pause", scope="shop.read")
        self.assertIn('scope="shop"', answer.headers["WWW-Authenticate"])

    def test_what_there_is_not(self):
        for path in ("/items/none", "/items/..", "/orders/none", "/orders/" + str(uuid.uuid4()), "/commands/1000000",
                     "/commands/x", "/nothing", "/items/a/b"):
            with self.subTest(path):
                self.refused(404, "not-found", "GET", path)
        self.assertEqual(self.refused(405, "method-not-allowed", "DELETE", "/items").headers["Allow"], "GET, HEAD, POST")

    def test_it_shows_that_it_lives(self):
        wait_until(lambda: self.stack.one("select ready from daemons where program = 'console'"), 10, "its heartbeat")
        self.read("/items")
        self.assertGreaterEqual(self.console.metric(
            'checkout_console_requests_total{route="GET /v1/shop/items",code="200"}'), 1)

    def test_an_argument_that_there_is_not_is_refused_by_its_name(self):
        for path, said in {"/orders?sku=a&costumer=ann": "costumer", "/orders?status": "value of status",
                           "/orders?sku=a&sku=b": "second sku", "/orders?sku=a&Limit=1": "Limit", "/items?sku=a": "sku",
                           "/items/a?x": "x", "/orders/none?x=1": "x", "/commands/1?wait=1": "wait", "/events?since=1": "since",
                           "/orders?%ff%22=1": "of this name", "/orders?%22%0a=": "argument", "/orders?cust=a": "argument cust",
                           "/orders?" + "x" * 3000 + "=1": "argument xxx", "/orders?=1": "argument"}.items():
            with self.subTest(path[:40]):
                self.assertIn(said, self.refused(400, "invalid-request", "GET", path).json["detail"])
        sku = self.made()
        self.refused(400, "invalid-request", "POST", f"/items/{sku}/restock?units=2&wait=1", {"units": 1})
        self.assertEqual(self.read("/items/" + sku)["stock"], 3)

    # -- items -----------------------------------------------------------------------------------------

    def test_an_item_is_made_shown_changed_and_counted(self):
        sku = self.made(limit_per_user=2, opens_at="2026-01-31T18:00:00Z", challenge="drop-7")
        item = self.read("/items/" + sku)
        self.assertEqual((item["title"], item["price"], item["available"], item["state"], item["gate"], item["opens_at"]),
                         ("A dress", 1999, 3, "on_sale", "soldout", "2026-01-31T18:00:00.000Z"))
        self.assertEqual(item["shard"], self.stack.shard(sku))
        answer = self.ask("PATCH", "/items/" + sku, {"title": "Another <b>", "limit_per_user": None, "price": 2500})
        self.assertEqual((answer.status, answer.json["state"], answer.json["requested_by"]), (200, "done", "console:back-office"))
        self.assertEqual(self.read(answer.headers["Location"].removeprefix("/v1/shop")), answer.json)
        item = self.read("/items/" + sku)
        self.assertEqual((item["title"], item["price"], item.get("limit_per_user")), ("Another <b>", 2500, None))
        self.assertEqual(self.ask("POST", f"/items/{sku}/restock", {"units": 4}).status, 200)
        self.assertEqual(self.ask("POST", f"/items/{sku}/pause").status, 200)
        self.assertEqual((self.read("/items/" + sku)["state"], self.read("/items/" + sku)["stock"]), ("paused", 7))
        self.assertEqual(self.ask("POST", f"/items/{sku}/resume", {"note": "it is mended"}).status, 200)
        self.assertEqual(self.stack.sql("select kind, note from requests where sku = %s order by request_id desc limit 1", (sku,)),
                         [("resume", "it is mended")])

    def test_what_is_wrong_is_named_and_has_no_effect(self):
        sku = self.made()
        for body, pointer in (({"price": 0}, "/price"), ({"price": "1"}, "/price"), ({"currency": "xxx"}, "/currency"),
                              ({"stock": 1}, "/stock"), ({"title": ""}, "/title"), ({"gate": None}, "/gate"), ({}, ""),
                              ({"opens_at": "2026-02-01T00:00:00Z", "closes_at": "2026-01-01T00:00:00Z"}, "/closes_at"),
                              ({"price": 1}, "/price"), ({"note": 1, "title": "x"}, "/note")):
            with self.subTest(body=body):
                answer = self.refused(400, "invalid-request", "PATCH", "/items/" + sku, body)
                self.assertEqual([error["pointer"] for error in answer.json["errors"]], [pointer])
        self.refused(400, "invalid-request", "POST", f"/items/{sku}/restock", {"units": 0})
        self.refused(400, "invalid-request", "POST", "/items", {"sku": "a b"})
        self.refused(415, "unsupported-media-type", "PATCH", "/items/" + sku, "{}", headers={"Content-Type": "text/plain"})
        self.refused(415, "unsupported-media-type", "PATCH", "/items/" + sku, {"title": "x"}, headers={"Content-Encoding": "gzip"})
        self.refused(413, "too-large", "PATCH", "/items/" + sku, {"title": "x" * 9000})
        answer = http_call(self.console.url, "POST", f"/v1/shop/items/{sku}/pause", {"Authorization": "Bearer " + self.token()})
        self.assertEqual((answer.status, answer.json["errors"][0]["header"]), (400, "Idempotency-Key"))
        self.assertEqual(self.stack.one("select count(*) from commands where sku = %s", (sku,)), 0)
        self.refused(409, "refused", "POST", f"/items/{sku}/restock", {"units": -9})
        self.refused(409, "refused", "POST", "/items", {"sku": sku, "title": "x", "price": 100, "currency": "usd", "stock": 1})
        self.refused(404, "not-found", "POST", "/items/none/restock", {"units": 1})
        self.refused(404, "not-found", "PATCH", "/items/none", {"title": "x"})

    def test_a_repeat_has_no_second_effect_and_the_same_answer(self):
        sku, key = self.made(), uuid.uuid4().hex
        first = self.ask("POST", f"/items/{sku}/restock", {"units": 5}, key)
        again = self.ask("POST", f"/items/{sku}/restock", '{ "units" : 5 }', key, headers={"Content-Type": "application/json"})
        self.assertEqual((first.status, again.status, again.json), (200, 200, first.json))
        self.assertEqual(self.stack.counts(sku)[0], 8)
        self.refused(422, "idempotency-key-reused", "POST", f"/items/{sku}/restock", {"units": 6}, key)
        self.refused(422, "idempotency-key-reused", "POST", f"/items/{sku}/pause", None, key)
        self.assertEqual(self.ask("POST", f"/items/{sku}/restock", {"units": 1}, key, user="another").status, 200)
        item = {"sku": "again-" + key[:8], "title": "x", "price": 100, "currency": "usd", "stock": 1}
        answers = [self.ask("POST", "/items", item, key, user="maker") for _ in range(2)]
        self.assertEqual([(answer.status, answer.json) for answer in answers], [(201, item)] * 2)
        self.refused(422, "idempotency-key-reused", "POST", "/items", {**item, "stock": 2}, key, user="maker")
        key = uuid.uuid4().hex      # what was asked for is answered so, though it would not be allowed now
        self.assertEqual(self.ask("PATCH", "/items/" + sku, {"price": 777}, key).status, 200)
        self.stack.sql("update items set currency = 'isk' where sku = %s", (sku,))
        self.assertEqual(self.ask("PATCH", "/items/" + sku, {"price": 777}, key).status, 200)

    def test_ten_at_once_with_one_key_are_one(self):
        sku, key, answers = self.made(), uuid.uuid4().hex, []
        threads = [threading.Thread(target=lambda: answers.append(self.ask("POST", f"/items/{sku}/restock", {"units": 1}, key)))
                   for _ in range(10)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertEqual({answer.status for answer in answers}, {200})
        self.assertEqual(len({answer.json["id"] for answer in answers}), 1)
        self.assertEqual(self.stack.counts(sku)[0], 4)

    def test_lists_are_paged(self):
        skus = sorted(self.stack.item(f"page-{n}") for n in range(5))
        seen, after = [], "page-"
        while after:
            page = self.read(f"/items?limit=2&after={after}")
            seen += [item["sku"] for item in page["items"]]
            after = page.get("next")
        self.assertEqual(seen[:5], skus)
        self.refused(400, "invalid-request", "GET", "/items?limit=0")

    # -- orders and money ------------------------------------------------------------------------------

    def test_orders_are_found_and_shown(self):
        sku = self.made(stock=2)
        orders = [self.stack.order(f"user-{n}", sku, reference=f"cart-{sku}-{n}").wait("confirmed") for n in range(2)]
        late = self.stack.order("user-0", sku, key=uuid.uuid4().hex)
        late.wait("rejected")
        found = {name: [order["id"] for order in self.read("/orders?limit=200&" + query)["orders"]] for name, query in {
            "item": f"sku={sku}", "customer": f"customer=user-0&sku={sku}", "reference": f"reference=cart-{sku}-1",
            "confirmed": "status=confirmed", "rejected": f"status=rejected&sku={sku}", "waiting": "status=waiting",
            "reserved": "status=reserved", "later": "since=2100-01-01T00:00:00Z", "refunded": f"status=refunded&sku={sku}"}.items()}
        self.assertEqual(found["item"], [late.id, orders[1].id, orders[0].id])
        self.assertEqual(found["customer"], [late.id, orders[0].id])
        self.assertEqual(found["reference"], [orders[1].id])
        self.assertLessEqual({order.id for order in orders}, set(found["confirmed"]))
        self.assertNotIn(late.id, found["confirmed"])
        self.assertEqual((found["rejected"], found["waiting"], found["reserved"], found["later"], found["refunded"]),
                         ([late.id], [], [], [], []))
        seen, after = [], ""
        while after is not None:
            page = self.read(f"/orders?limit=1&sku={sku}&after={after}" if after else f"/orders?limit=1&sku={sku}")
            seen += [order["id"] for order in page["orders"]]
            after = page.get("next")
        self.assertEqual(seen, found["item"])
        shown = self.read("/orders/" + orders[0].id)
        self.assertEqual((shown["customer"], shown["status"], shown["amount"], [entry["status"] for entry in shown["history"]],
                          [payment["state"] for payment in shown["payments"]], shown["refunds"]),
                         ("user-0", "confirmed", 1999, ["reserved", "confirmed"], ["captured"], []))
        for wrong in ("status=queued", "status=x", "sku=a%20b", "since=yesterday", "after=x", "reference=%20", "customer=",
                      "customer=%ff", "customer=%ed%a0%80"):
            with self.subTest(wrong):
                self.refused(400, "invalid-request", "GET", "/orders?" + wrong)

    def test_money_goes_back_once_and_a_cancel_is_in_time_or_not(self):
        sku, key = self.made(stock=1), uuid.uuid4().hex
        order = self.stack.order("ann", sku)
        order.wait("confirmed")
        self.refused(409, "refused", "POST", f"/orders/{order.id}/cancel")
        first = self.ask("POST", f"/orders/{order.id}/refund", {"restock": True, "note": "it was torn"}, key)
        self.assertEqual((first.status, first.json["state"]), (200, "done"), first)
        order.wait("refunded")
        self.assertEqual(self.ask("POST", f"/orders/{order.id}/refund", {"restock": True, "note": "it was torn"}, key).json, first.json)
        self.assertEqual(self.stack.one("select count(*) from refunds where order_id = %s", (order.id,)), 1)
        shown = self.read("/orders/" + order.id)
        self.assertEqual([(refund["state"], refund["note"], refund["restock"]) for refund in shown["refunds"]],
                         [("succeeded", "it was torn", True)])
        self.assertIn(("refund", "console:back-office"), [(c["kind"], c["requested_by"]) for c in shown["commands"]])
        self.assertEqual(self.stack.counts(sku), (1, 0, 0, 0))
        self.assertEqual(self.ask("POST", f"/items/{sku}/pause").status, 200)
        waiting = self.stack.order("bob", sku)
        waiting.wait("waiting")
        self.assertEqual(self.ask("POST", f"/orders/{waiting.id}/cancel").status, 200)
        waiting.wait("cancelled")
        self.refused(404, "not-found", "POST", f"/orders/{uuid.uuid4()}/refund")

    # -- the feed --------------------------------------------------------------------------------------

    def test_the_feed_is_complete_waits_and_goes_on_where_it_was(self):
        orders = [self.stack.order(f"user-{n}", self.made(stock=1)) for n in range(6)]
        for order in orders:
            order.wait("confirmed")
        seen, after = [], ""
        for _ in range(20):
            page = self.read("/events?limit=2" + (f"&after={after}" if after else ""))
            self.assertLessEqual(len(page["events"]), 2)
            seen += page["events"]
            after = page["cursor"]
            if not page["more"] and not page["events"]:
                break
        self.assertEqual(sorted(event["order_id"] for event in seen if event["order_id"] in {order.id for order in orders}),
                         sorted(order.id for order in orders))
        self.assertEqual(len({event["id"] for event in seen}), len(seen))
        self.assertEqual(self.read("/events?after=now")["events"], [])
        answers = []
        waiter = threading.Thread(target=lambda: answers.append(self.read(f"/events?after={after}&wait=20")))
        waiter.start()
        wait_until(lambda: self.console.metric("checkout_console_waiting_requests") == 1, 10, "it waits")
        sku = self.made(stock=1)
        order = self.stack.order("late", sku)
        waiter.join()
        self.assertEqual([event["order_id"] for event in answers[0]["events"]], [order.id])
        self.assertEqual((answers[0]["events"][0]["status"], answers[0]["events"][0]["sku"]), ("confirmed", sku))
        ours = [line.split('"cursor":"')[1].split('"')[0] for line in
                self.stack.ctl("events", "follow", "--once", "--json", "--after", after).stdout.splitlines()]
        self.assertEqual(ours[-1], answers[0]["cursor"])
        began = time.monotonic()
        self.assertEqual(self.ask("GET", f"/events?after={ours[-1]}", headers={"Prefer": "wait=1"}).json["events"], [])
        self.assertGreaterEqual(time.monotonic() - began, 0.9)
        for wrong, status, problem in (("x", 400, "invalid-request"), ("8:1.1......", 409, "refused"), ("4:zzz...", 409, "refused")):
            with self.subTest(wrong):
                self.refused(status, problem, "GET", "/events?after=" + wrong)
        self.stack.sql("insert into horizons (shard, event_id) values (0, 1)")
        try:
            self.assertIn("purged", self.refused(409, "refused", "GET", "/events?after=4:...").json["detail"])
            self.assertTrue(self.read("/events")["events"])
        finally:
            self.stack.sql("delete from horizons")


class Trouble(Console):
    """Away: the owner, the database. What was asked is recorded or is not, and a repeat is safe."""

    daemons = ()
    proxied = ("database",)

    def test_without_an_owner_the_answer_says_where_the_result_will_be(self):
        sku, key = self.made(), uuid.uuid4().hex
        answer = self.ask("POST", f"/items/{sku}/restock?wait=1", {"units": 2}, key)
        self.assertEqual((answer.status, answer.json["state"]), (202, "pending"))
        place = answer.headers["Location"].removeprefix("/v1/shop")
        self.assertEqual(self.read(place)["state"], "pending")
        repeat = []
        asking = threading.Thread(target=lambda: repeat.append(
            self.ask("POST", f"/items/{sku}/restock", {"units": 2}, key, headers={"Prefer": "wait=20"})))
        asking.start()
        wait_until(lambda: self.console.metric("checkout_console_waiting_requests") == 1, 10, "it waits")
        consumer = self.stack.start("consumer")
        asking.join()
        self.assertEqual((repeat[0].status, repeat[0].json["id"]), (200, answer.json["id"]))
        self.assertEqual(self.read(place)["state"], "done")
        self.assertEqual(self.stack.counts(sku)[0], 5)
        consumer.stop()

    def test_who_dies_between_record_and_answer_records_once(self):
        sku, key = self.made(), uuid.uuid4().hex
        second = self.stack.start("console", CHECKOUT_CONSOLE_JWKS_FILE=self.path)
        asking = threading.Thread(target=self.lost, args=(f"/items/{sku}/restock?wait=20", key, second))
        asking.start()
        wait_until(lambda: self.stack.one("select count(*) from commands where sku = %s", (sku,)) == 1, 10, "it is recorded")
        second.kill()
        asking.join()
        answer = self.ask("POST", f"/items/{sku}/restock?wait=0", {"units": 3}, key)
        self.assertEqual(answer.status, 202)
        self.assertEqual(self.stack.one("select count(*) from commands where sku = %s", (sku,)), 1)

    def lost(self, path, key, console):
        with self.assertRaises(OSError):
            self.ask("POST", path, {"units": 3}, key, console=console)

    def test_a_database_that_hangs_is_told_in_time_and_the_same_key_finds_out(self):
        sku, key = self.made(), uuid.uuid4().hex
        proxy = self.stack.proxies["database"]
        proxy.freeze()
        try:
            began = time.monotonic()
            answer = self.refused(503, "database-unavailable", "POST", f"/items/{sku}/restock", {"units": 1}, key)
            self.assertLess(time.monotonic() - began, 10)
            self.assertIn("Retry-After", answer.headers)
        finally:
            proxy.freeze(False)
        wait_until(lambda: self.ask("POST", f"/items/{sku}/restock?wait=0", {"units": 1}, key).status == 202, 20, "it goes on")
        self.assertEqual(self.stack.one("select count(*) from commands where sku = %s", (sku,)), 1)


if __name__ == "__main__":
    harness.main()
