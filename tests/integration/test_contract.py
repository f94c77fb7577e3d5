#!/usr/bin/python3
"""The API is what schemas/openapi.yaml says: each documented answer of each call is given, and nothing else comes."""

import json
import os
import re
import socket
import urllib.parse
import uuid
from concurrent.futures import ThreadPoolExecutor

import harness
from harness import wait_until
from harness_client import EVENT_SUBPROTOCOL, PROBLEMS, http_call, raw
from harness_contract import Contract, REFUSED
from harness_services import ROOT
from test_webhook import PATH as WEBHOOKS, SECRET, event_of, sign

ORIGIN = "https://shop.example"
ASKS = "pm_card_authenticationRequired"
LONG_BODY, LONG_BODIES_MAX = 64 * 1024, 16      # see http.h


def refusals_of_handshakes():
    """By status, the type of the problem that a handshake is refused with."""
    with open(os.path.join(ROOT, "schemas", "asyncapi.yaml"), encoding="utf-8") as source:
        return dict(re.findall(r"^ *\| (4\d\d|503) \| `(/problems/[a-z-]+)` \|", source.read(), re.MULTILINE))


class Documented(harness.TestCase):
    """One shop for all: a door with webhooks, and a strict one with every limit."""

    daemons = ("sandbox", "consumer", "notifier")
    proxied = ("database", "amqp")
    shards = 1
    settings = {"CHECKOUT_ORIGINS": ORIGIN, "CHECKOUT_ACTION_WAIT": "120s"}

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.contract = Contract()
        cls.strict = cls.stack.start("producer", CHECKOUT_ORDERS_PER_USER="1/1h", CHECKOUT_ORDERS_PER_ADDRESS="1/1h",
                                     CHECKOUT_BAD_TOKENS_PER_ADDRESS="1/1h", CHECKOUT_TRUSTED_PROXIES="127.0.0.1")
        cls.plain = cls.stack.start("producer", CHECKOUT_OPEN_ORDERS_PER_USER="1")
        cls.door = cls.stack.start("producer", CHECKOUT_WEBHOOK_SECRET_FILE=cls.stack.write_secret("webhook", SECRET))

    def call(self, method, path, user="ann", body=None, producer=None, **headers):
        """One call of a page of the shop; the answer is as the document says."""
        headers = {name.replace("_", "-"): value for name, value in headers.items()}
        answer = self.stack.call(user, method, path, body, {"Origin": ORIGIN, "X-Request-Id": "mine", **headers},
                                 producer or self.door)
        self.contract.check(method, path, answer)
        self.assertEqual((answer.headers["X-Request-Id"], answer.headers["Access-Control-Allow-Origin"],
                          answer.headers["Vary"]), ("mine", ORIGIN, "Origin"))
        return answer

    def post(self, sku, user="ann", producer=None, key=None, body=None, address=None, **members):
        order = {"sku": sku, "quantity": 1, "payment_method": "pm_card_visa", **members}
        forwarded = {"X_Forwarded_For": address} if address else {}
        return self.call("POST", "/v1/orders", user, order if body is None else body, producer,
                         Idempotency_Key=key or uuid.uuid4().hex, Content_Type="application/json", **forwarded)

    def get(self, order, **headers):
        return self.call("GET", f"/v1/orders/{order}", **headers)

    def order(self, status, sku=None, **members):
        """The id of an order that has come so far."""
        answer = self.post(sku or self.stack.item(), **members)
        self.assertEqual(answer.status, 202, answer)
        wait_until(lambda: self.get(answer.json["id"]).json["status"] == status, 20, f"an order to be {status}")
        return answer.json["id"]

    def waiting(self):
        return self.order("waiting", self.stack.item(stock=1, held=1))

    def estimated(self, sku, ask):
        """Asks for the order until its item has a pace, as the consumer that serves it says when some have left."""
        news = {"version": 1, "head": 1, "next": 2, "waiting": 1, "behind_ms": 0, "pace_ms": 7400}

        def told():
            self.stack.redis().publish("checkout:line:" + sku, json.dumps(news))
            return ask()
        wait_until(lambda: told().get("estimated_wait_s") == 8, 10, "the wait to be estimated")

    def cancel(self, order):
        return self.call("DELETE", f"/v1/orders/{order}")

    def cancelled(self):
        order = self.waiting()
        self.assertEqual(self.cancel(order).status, 202)
        wait_until(lambda: self.get(order).json["status"] == "cancelled", 20, "it to be cancelled")
        return self.cancel(order)

    def conflict(self):
        sku = self.stack.item()
        self.stack.redis().set(f"checkout:gate:{sku}", "soldout:sold", ex=5)
        return self.post(sku)

    def locked(self):
        sku = self.stack.item()
        self.stack.redis().set(f"checkout:gate:{sku}", "lock:open", ex=5)
        self.post(sku)
        return self.post(sku, "bob")

    def outside(self, **window):
        """An order out of the time of a sale, once the door knows it."""
        sku = self.stack.item(**window)
        return wait_until(lambda: answer if (answer := self.post(sku)).status == 409 else None, 10, "the door to know the sale")

    def unheard(self):
        """The order reaches the broker, and what the broker says of it gets lost."""
        sku = self.stack.item()
        loss = self.stack.proxies["amqp"].lose_answers(sku.encode())
        with ThreadPoolExecutor(1) as pool:
            sent = pool.submit(self.post, sku)
            self.assertTrue(loss.seen.wait(10))
            loss.reset()
        self.taken_again()
        return sent.result()

    def unplaced(self):
        """No queue takes the orders of this item."""
        with self.stack.broker.unbound(0):
            return self.post(self.stack.item())

    def taken_again(self):
        sku = self.stack.item()
        wait_until(lambda: self.post(sku).status == 202, 30, "orders to be taken again")

    def challenged(self):
        sku = self.stack.item(challenge="drop-7")
        answers = []
        wait_until(lambda: answers.append(self.post(sku)) or answers[-1].status == 403, 10, "the door to know the challenge")
        self.call("GET", f"/v1/items/{sku}")
        return answers[-1]

    def reused(self):
        key, sku = uuid.uuid4().hex, self.stack.item()
        self.post(sku, key=key)
        return self.post(sku, key=key, quantity=2)

    def limit_of(self, *posts):
        """The name of the limit that refuses the last of these orders."""
        *passing, refused = [post() for post in posts]
        self.assertEqual({answer.status for answer in passing}, {202})
        self.assertEqual(refused.status, 429)
        return refused.headers["RateLimit"].split('"')[1]

    def limited(self, method, path, **named):
        """After a second token that is not valid."""
        for _ in range(3):
            answer = self.call(method, path, None, producer=self.strict, Authorization="Bearer a.b.c", **named)
        return answer

    def webhook(self, body, signature=None, producer=None):
        return self.call("POST", WEBHOOKS, None, body, producer, Content_Type="application/json",
                         Stripe_Signature=signature or sign(body))

    def cases(self):
        """By call and status, how to get that answer."""
        none = "/v1/orders/" + str(uuid.UUID(int=0))
        item, hook = self.stack.item(), event_of(str(uuid.uuid4()))
        etag = self.call("GET", "/openapi.json", None).headers["ETag"]
        return {
            ("createOrder", "202"): lambda: self.post(item),
            ("createOrder", "400"): lambda: self.post(item, colour="red"),
            ("createOrder", "401"): lambda: self.post(item, user=None),
            ("createOrder", "403"): self.challenged,
            ("createOrder", "404"): lambda: self.until_refused(lambda: self.post("nothing")),
            ("createOrder", "409", "sold-out"): self.conflict,
            ("createOrder", "409", "item-in-another-cart"): self.locked,
            ("createOrder", "409", "not-open-yet"): lambda: self.outside(opens_at="2040-01-01"),
            ("createOrder", "409", "sale-closed"): lambda: self.outside(closes_at="2020-01-01"),
            ("createOrder", "413"): lambda: self.post(item, body=b" " * 5000),
            ("createOrder", "415"): lambda: self.call("POST", "/v1/orders", body=b"{}", Idempotency_Key="k"),
            ("createOrder", "422"): self.reused,
            ("createOrder", "429"): lambda: self.limited("POST", "/v1/orders"),
            ("createOrder", "503", "overloaded"): self.unplaced,
            ("createOrder", "503", "accept-unknown"): self.unheard,
            ("listOrders", "200"): lambda: self.call("GET", "/v1/orders?limit=1"),
            ("listOrders", "400"): lambda: self.call("GET", "/v1/orders?limit=0"),
            ("listOrders", "401"): lambda: self.call("GET", "/v1/orders", None),
            ("listOrders", "429"): lambda: self.limited("GET", "/v1/orders"),
            ("getOrder", "200"): lambda: self.get(self.order("confirmed")),
            ("getOrder", "401"): lambda: self.call("GET", none, None),
            ("getOrder", "404"): lambda: self.call("GET", none),
            ("getOrder", "429"): lambda: self.limited("GET", none),
            ("cancelOrder", "200"): self.cancelled,
            ("cancelOrder", "202"): lambda: self.cancel(self.waiting()),
            ("cancelOrder", "401"): lambda: self.call("DELETE", none, None),
            ("cancelOrder", "404"): lambda: self.call("DELETE", none),
            ("cancelOrder", "409"): lambda: self.cancel(self.order("confirmed")),
            ("cancelOrder", "429"): lambda: self.limited("DELETE", none),
            ("takeWebhook", "200"): lambda: self.webhook(hook),
            ("takeWebhook", "400"): lambda: self.webhook(hook, "t=1,v1=00"),
            ("takeWebhook", "404"): lambda: self.webhook(hook, producer=self.plain),
            ("takeWebhook", "413"): lambda: self.webhook(b" " * (1 << 20) + b" "),
            ("listItems", "200"): lambda: self.call("GET", "/v1/items?limit=1", None),
            ("listItems", "400"): lambda: self.call("GET", "/v1/items?after=-", None),
            ("getItem", "200"): lambda: self.call("GET", f"/v1/items/{item}", None),
            ("getItem", "404"): lambda: self.call("GET", "/v1/items/nothing", None),
            ("getOpenapi", "200"): lambda: self.call("GET", "/openapi.json", None),
            ("getOpenapi", "304"): lambda: self.call("GET", "/openapi.json", None, If_None_Match=f'"x", W/{etag}'),
            ("getOpenapi", "400"): lambda: self.ambiguous("GET", "/openapi.json"),
            ("getProblemPage", "200"): lambda: self.call("GET", "/problems/sold-out", None),
            ("getProblemPage", "404"): lambda: self.call("GET", "/problems/hunger", None),
        }

    def cases_without_servers(self):
        item = self.stack.item()
        self.take_servers_away()
        return {
            ("listOrders", "503"): lambda: self.call("GET", "/v1/orders"),
            ("getOrder", "503"): lambda: self.get(self.gone),
            ("cancelOrder", "503"): lambda: self.cancel(self.gone),
            ("takeWebhook", "503"): lambda: self.webhook(event_of(self.gone)),
            ("listItems", "503"): lambda: self.call("GET", "/v1/items?limit=2", None),
            ("getItem", "503"): lambda: self.call("GET", "/v1/items/away", None),
            ("createOrder", "503"): lambda: self.post(item),
        }

    def take_servers_away(self):
        self.gone = self.post(self.stack.item()).json["id"]
        for server in ("database", "amqp"):
            self.stack.proxies[server].down()
        self.addCleanup(self.bring_servers_back)
        wait_until(lambda: self.stack.post("ann", "away").status == 503 and
                   self.stack.call("ann", "GET", "/v1/orders").status == 503, 20, "the door to notice")

    def bring_servers_back(self):
        for server in ("database", "amqp"):
            self.stack.proxies[server].up()
        sku = self.stack.item()
        wait_until(lambda: self.stack.post("ann", sku).status == 202 and
                   self.stack.call("ann", "GET", "/v1/orders").status == 200, 60, "the door to be whole again")

    def test_each_documented_answer_of_each_call_is_given(self):
        for cases in (self.cases, self.cases_without_servers):
            for (call, status, *name), case in cases().items():
                with self.subTest(call=call, status=status, type=name):
                    answer = case()
                    self.assertEqual(answer.status, int(status))
                    self.assertIn((call, status), self.contract.seen)
                    for wanted in name:
                        self.assertEqual(answer.json["type"], f"/problems/{wanted}")
        self.assertEqual(self.contract.documented() - self.contract.seen, set(), "an answer that no case here produces")
        self.assertEqual(self.contract.documented_problems() - self.contract.problems, set(),
                         "a problem that no case here produces")

    def test_each_documented_limit_of_each_call_refuses(self):
        item, held, none = self.stack.item(), self.stack.item(stock=1, held=1), "/v1/orders/" + str(uuid.UUID(int=0))
        self.assertEqual(self.limit_of(*[lambda n=n: self.post(item, "eve", self.strict, address=f"192.0.2.{n}")
                                         for n in range(2)]), "user")
        self.assertEqual(self.limit_of(*[lambda n=n: self.post(item, f"eve-{n}", self.strict, address="192.0.2.9")
                                         for n in range(2)]), "address")
        self.assertEqual(self.limit_of(*[lambda: self.post(held, "olga", self.plain)] * 2), "open")
        for method, path in (("POST", "/v1/orders"), ("GET", "/v1/orders"), ("GET", none), ("DELETE", none)):
            self.assertEqual(self.limited(method, path).status, 429)
        self.assertEqual(self.contract.documented_limits() - self.contract.limits, set())

    # -- what holds for every call -----------------------------------------------------------------

    def ambiguous(self, method, path):
        """The answer to a request that can be read in two ways."""
        got = raw(self.door.url, f"{method} {path} HTTP/1.1\r\nHost: x\r\nHost: y\r\n\r\n".encode())
        head, _, body = got.partition(b"\r\n\r\n")
        lines = [line.split(": ", 1) for line in head.decode().split("\r\n")[1:]]
        answer = harness.Answer(int(head.split()[1]), HeaderList(lines), body)
        self.contract.check(method, path, answer)
        return answer

    def test_what_the_server_refuses_before_it_looks_at_the_call(self):
        for path, method, _ in self.contract.operations():
            path = path.replace("{id}", str(uuid.UUID(int=0))).replace("{sku}", "x").replace("{name}", "sold-out")
            with self.subTest(path=path, method=method):
                self.assertEqual(self.ambiguous(method.upper(), path).status, 400)
                self.assertEqual(self.call(method.upper(), path, None, X="x" * 16384).status, 431)

    def test_too_many_long_bodies_at_once(self):
        for _ in range(LONG_BODIES_MAX):
            self.addCleanup(self.begin_body().close)
        body = b" " * (LONG_BODY + 1)
        def further():
            answer = self.call("POST", WEBHOOKS, None, body)
            return answer if answer.status == 503 else None
        answer = wait_until(further, 10, "a further one to be refused")
        self.assertEqual(answer.json["type"], "/problems/overloaded")

    def begin_body(self):
        """A connection that has sent a part of a long body."""
        target = urllib.parse.urlsplit(self.door.url)
        connection = socket.create_connection((target.hostname, target.port), 10)
        head = f"POST {WEBHOOKS} HTTP/1.1\r\nHost: x\r\nContent-Length: {2 * LONG_BODY}\r\n\r\n"
        connection.sendall(head.encode() + b" " * (LONG_BODY + 1))
        return connection

    def test_each_type_of_a_problem_is_one_of_an_answer(self):
        """Which all come: by the test of each answer, by those of what is refused at once, and by Handshakes."""
        known = self.contract.document["components"]["schemas"]["Problem"]["properties"]["type"]["enum"]
        named = {name for _, _, name in self.contract.documented_problems()} | {"method-not-allowed"}
        for status in REFUSED:
            named |= self.contract.types(self.contract.refused, status)
        named |= {path.rpartition("/")[2] for path in refusals_of_handshakes().values()}
        self.assertEqual({path.rpartition("/")[2] for path in known}, named)

    def test_other_methods(self):
        for path in self.contract.document["paths"]:
            concrete = path.replace("{id}", str(uuid.UUID(int=0))).replace("{sku}", "x").replace("{name}", "sold-out")
            with self.subTest(path=path):
                self.assertEqual(self.call("PUT", concrete).status, 405)
                preflight = self.call("OPTIONS", concrete, None)
                self.assertEqual(preflight.status, 405 if concrete == WEBHOOKS else 204)
                if "get" in self.contract.document["paths"][path]:
                    headed, got = self.call("HEAD", concrete), self.call("GET", concrete)
                    self.assertEqual((headed.status, headed.headers["Content-Length"]),
                                     (got.status, got.headers["Content-Length"]))
        self.assertEqual(self.call("GET", "/v1/nowhere").status, 404)

    def test_no_answer_has_room_for_an_undocumented_member(self):
        self.assertEqual(self.contract.loose_objects(), ["getOpenapi 200"])

    def test_each_documented_member_of_an_order_comes(self):
        """By itself, in the list, and when it is sent again."""
        asked = self.order("reserved", payment_method=ASKS, reference="cart-7")
        wait_until(lambda: "next_action" in self.get(asked).json, 20, "the buyer to be asked")
        ends = [{"sku": self.stack.item(), "key": uuid.uuid4().hex, "payment_method": method, "reference": "cart-8"}
                for method in ("pm_card_chargeDeclined", "pm_nothing")]
        for end in ends:
            self.order("rejected", **end)
            wait_until(lambda: self.post(**end).json["status"] == "rejected", 20, "a repeat that PostgreSQL knows in time")
        waits = {"sku": self.stack.item(stock=1, held=1), "key": uuid.uuid4().hex}
        waiting = self.order("waiting", **waits)
        self.estimated(waits["sku"], lambda: self.post(**waits).json)
        self.estimated(waits["sku"], lambda: self.get(waiting).json)
        self.estimated(waits["sku"], lambda: next(order for order in self.call("GET", "/v1/orders").json["orders"]
                                                  if order["id"] == waiting))
        schemas = self.contract.document["components"]["schemas"]
        for name in ("Order", "ListedOrder", "AcceptedOrder"):
            self.assertEqual(set(schemas[name]["properties"]) - self.contract.members[name], set(), name)

    # -- the API about itself ------------------------------------------------------------------------

    def test_the_document_itself_is_served(self):
        answer = self.call("GET", "/openapi.json", None)
        self.assertEqual(answer.json, self.contract.document)
        changed = self.call("GET", "/openapi.json", None, If_None_Match='"0000000000000000"')
        self.assertEqual((changed.status, changed.headers["ETag"]), (200, answer.headers["ETag"]))

    def test_the_type_of_a_problem_is_the_path_of_its_page(self):
        for base in (self.door.url, self.stack.daemon("notifier").url):
            for path, (status, title) in PROBLEMS.items():
                page = http_call(base, "GET", path)
                self.assertEqual((page.status, page.headers["Content-Type"]), (200, "text/html; charset=utf-8"), path)
                for part in (f"<h1>{title}</h1>", f"<code>{path}</code>", f"status {status}"):
                    self.assertIn(part, page.body.decode())
            self.assertEqual(http_call(base, "GET", "/problems/").status, 404)

    # -- items ---------------------------------------------------------------------------------------

    def test_items_come_in_pages(self):
        skus = sorted(self.stack.item(f"page-{name}") for name in "bac")
        self.stack.sql("update items set title = %s where sku = 'page-a'", ('Hut "für" <Ann>',))
        path, found = "/v1/items?limit=2&after=page", []
        while path:
            page = self.call("GET", path, None)
            found += page.json["items"]
            path = page.json.get("next")
        self.assertEqual([item["sku"] for item in found][:3], skus)
        self.assertEqual(found[0], self.call("GET", "/v1/items/page-a", None).json)
        self.assertEqual(found[0]["title"], 'Hut "für" <Ann>')
        whole = self.call("GET", "/v1/items?limit=100", None).json
        self.assertTrue(set(skus) <= {item["sku"] for item in whole["items"]})
        self.assertNotIn("next", whole)
        for wrong in ("limit=101", "limit=x", "limit=", "after=a%20b", "after="):
            self.assertEqual(self.call("GET", "/v1/items?" + wrong, None).status, 400, wrong)


class Handshakes(harness.TestCase):
    """What the notifier refuses, as the table of schemas/asyncapi.yaml says."""

    daemons = ("notifier",)
    shards = 1
    settings = {"CHECKOUT_ORIGINS": ORIGIN, "CHECKOUT_CONNECTIONS_MAX": "16", "CHECKOUT_SOCKETS_PER_USER": "10"}
    GOOD = {"Connection": "Upgrade", "Upgrade": "websocket", "Sec-WebSocket-Version": "13", "Origin": ORIGIN,
            "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==", "Sec-WebSocket-Protocol": EVENT_SUBPROTOCOL}

    def ask(self, user="ann", path="/v1/events", method="GET", **headers):
        sent = {**self.GOOD, **{name.replace("_", "-"): value for name, value in headers.items()}}
        return self.stack.call(user, method, path, None, {name: value for name, value in sent.items() if value},
                               self.stack.daemon("notifier"))

    def connected(self, user, count):
        for _ in range(count):
            self.addCleanup(self.stack.listen(user).close)

    def too_many(self):
        self.connected("bob", 10)
        return self.ask("bob")

    def crowded(self):
        """After too_many: the ten sockets of bob are open."""
        for number in range(6):
            self.connected(f"user-{number}", 1)
        return self.ask("ann")

    def test_each_documented_refusal_comes(self):
        rows = refusals_of_handshakes()
        cases = {"400": lambda: self.ask(Sec_WebSocket_Protocol=None), "401": lambda: self.ask(None),
                 "403": lambda: self.ask(Origin="https://evil.example"), "404": lambda: self.ask(path="/v1/other"),
                 "405": lambda: self.ask(method="POST"), "426": lambda: self.ask(Sec_WebSocket_Version="8"),
                 "429": self.too_many, "503": self.crowded}
        self.assertEqual(set(rows), set(cases))
        contract = Contract()
        for status, case in cases.items():
            with self.subTest(status=status):
                answer = case()
                self.assertEqual((str(answer.status), answer.json["type"]), (status, rows[status]))
                contract.validate(answer.json, {"$ref": "#/components/schemas/Problem"})
                self.assertRegex(answer.headers["X-Request-Id"], "^[0-9a-f]{16}-[0-9]+$")
                self.assertEqual(answer.headers["Retry-After"] is not None, status in ("429", "503"))


class HeaderList:
    """Headers that were read by hand; like those of http.client."""

    def __init__(self, pairs):
        self.pairs = pairs

    def keys(self):
        return [name for name, _ in self.pairs]

    def __getitem__(self, wanted):
        return next((value for name, value in self.pairs if name.lower() == wanted.lower()), None)


if __name__ == "__main__":
    harness.main()
