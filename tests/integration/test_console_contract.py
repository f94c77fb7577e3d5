#!/usr/bin/python3
"""checkout-console is what schemas/console.openapi.yaml says: each documented answer of each call is given."""

import re
import uuid

import harness
from harness import http_call, wait_until
from test_console import CONTRACT, Console

BODIES = {"changeItem": {"title": "Another"}, "restockItem": {"units": 1}, "resolvePayment": {"outcome": "release", "note": "seen"},
          "replayDeadLetters": {"note": "mended"}}


class Documented(Console):
    daemons = ("sandbox", "producer")
    proxied = ("database",)

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.operations = {operation["operationId"]: (method.upper(), path)
                          for path, method, operation in CONTRACT.operations()}
        cls.changes = [name for name, (method, _) in cls.operations.items() if method != "GET"]
        consumer = cls.stack.start("consumer")
        cls.sku = cls.stack.item()
        cls.paid = cls.stack.order("ann", cls.sku)
        cls.paid.wait("confirmed")
        cls.waiting = cls.stack.order("bob", cls.stack.item(stock=1, held=1))
        cls.waiting.wait("waiting")
        consumer.stop()

    def call(self, name, named=None, query="", body=None, key=None, token=None, content_type="application/json"):
        method, path = self.operations[name]
        usual = {"{sku}": self.sku, "{id}": "1" if "/commands/" in path else self.paid.id}
        path = re.sub("{.*}", lambda found: named or usual[found[0]], path)
        headers = {"Authorization": "Bearer " + (token or self.token(scope="shop operator"))}
        if method != "GET":
            headers |= {"Idempotency-Key": key or uuid.uuid4().hex, "Content-Type": content_type}
            body = self.new() if name == "createItem" and body is None else body or BODIES.get(name, {})
        answer = http_call(self.console.url, method, path + query, headers, body if method != "GET" else None)
        CONTRACT.check(method, path, answer)
        return answer

    def new(self, **fields):
        return {"sku": "new-" + uuid.uuid4().hex[:8], "title": "A dress", "price": 1999, "currency": "usd", "stock": 1, **fields}

    def gives(self, status, name, **wanted):
        with self.subTest(call=name, status=status):
            answer = self.call(name, **wanted)
            self.assertEqual(answer.status, status, answer)
            return answer

    # -- one after the other, since each leaves what the next one begins with -------------------------

    def refusals(self):
        key = uuid.uuid4().hex
        self.gives(201, "createItem", key=key)
        for name, (_, path) in self.operations.items():
            self.gives(401, name, token="a.b.c")
            self.gives(403, name, token=self.token(scope="openid"))
            self.gives(400, name, query="?colour=red")
            if "{" in path:
                self.gives(404, name, named="none")
        for name in self.changes:
            self.gives(413, name, body={"note": "x" * 9000})
            self.gives(415, name, content_type="text/plain")
            self.gives(422, name, key=key)
        self.gives(409, "createItem", body=self.new(sku=self.sku))
        self.gives(409, "followEvents", query="?after=2:1.1")

    def without_a_consumer(self):
        """What is recorded and not executed; the keys of changes of an item that there is not when they are."""
        gone, keys = self.stack.item(), {name: uuid.uuid4().hex for name in ("pauseItem", "resumeItem")}
        for name in self.changes:
            if name in keys:
                self.gives(202, name, query="?wait=0", named=gone, key=keys[name])
            elif name != "createItem":
                self.gives(202, name, query="?wait=0")
        self.stack.sql("delete from items where sku = %s", (gone,))
        return gone, keys

    def with_a_consumer(self, gone, keys):
        self.stack.start("consumer")
        for name, key in keys.items():
            wait_until(lambda n=name, k=key: self.call(n, named=gone, query="?wait=0", key=k).status == 409, 20, "it to be refused")
        self.gives(409, "restockItem", body={"units": -1000})
        self.gives(409, "changeItem", body={"currency": "eur"})
        self.gives(409, "refundOrder", named=self.waiting.id)
        self.gives(409, "cancelOrder")
        self.gives(409, "resolvePayment")
        with self.stack.broker.consuming_dead():
            self.gives(409, "replayDeadLetters", query="?wait=20")
        self.gives(200, "replayDeadLetters", query="?wait=20")
        self.gives(200, "resolvePayment", named=self.unclear())
        for name in ("changeItem", "pauseItem", "resumeItem"):
            self.gives(200, name)
        command = self.gives(200, "restockItem").json["id"]
        self.gives(200, "cancelOrder", named=self.waiting.id)
        self.gives(200, "refundOrder", named=self.another_paid())
        for name, (method, _) in self.operations.items():
            if method == "GET":
                self.gives(200, name, named=str(command) if name == "getCommand" else None)

    def another_paid(self):
        order = self.stack.order("carl", self.stack.item())
        order.wait("confirmed")
        return order.id

    def unclear(self):
        self.stack.gateway.latency(8000)
        order = self.stack.order("dora", self.stack.item())
        order.wait("reserved")
        self.stack.gateway.calm()
        self.stack.sql("update payments set unclear_since = now() where order_id = %s", (order.id,))
        return order.id

    def without_the_database(self):
        self.stack.proxies["database"].down()
        self.addCleanup(self.stack.proxies["database"].up)
        for name in self.operations:
            if (name, "503") in CONTRACT.documented():
                wait_until(lambda n=name: self.call(n).status == 503, 20, f"{name} to say so")

    def test_no_answer_has_room_for_an_undocumented_member(self):
        self.assertEqual(CONTRACT.loose_objects(), [])

    def test_each_documented_answer_of_each_call_is_given(self):
        self.refusals()
        self.with_a_consumer(*self.without_a_consumer())
        self.without_the_database()
        self.assertEqual(CONTRACT.documented() - CONTRACT.seen, set(), "an answer that nothing here produces")


if __name__ == "__main__":
    harness.main()
