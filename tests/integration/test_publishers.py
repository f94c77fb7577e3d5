#!/usr/bin/python3
"""Orders published by programs in other languages: deploy/examples, which were written from docs/publishing.md."""

import importlib.util
import json
import os
import shutil
import subprocess
import unittest
import uuid

import harness
import harness_npm
from harness import wait_until

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
EXAMPLES = os.path.join(ROOT, "deploy", "examples")
CHECK_VECTORS = """
import { readFileSync } from "node:fs";
import { orderId, fingerprint, shardOf } from "./publish.mjs";
const read = (name) => JSON.parse(readFileSync(name, "utf8"));
const orders = read(process.argv[2]), shards = read(process.argv[3]);
for (const { user, key } of orders.ids) console.log(orderId(orders.secret, user, key));
for (const { order } of orders.fingerprints) console.log(fingerprint(order));
for (const { sku } of shards.vectors) console.log(await shardOf(sku, 1024));
"""


def read(name):
    with open(os.path.join(ROOT, "schemas", name), encoding="utf-8") as file:
        return json.load(file)


def expected():
    orders = read("order-vectors.json")
    return ([vector["order_id"] for vector in orders["ids"]]
            + [vector["fingerprint"] for vector in orders["fingerprints"]]
            + [vector["shards"]["1024"] for vector in read("shard-vectors.json")["vectors"]])


def python_example():
    spec = importlib.util.spec_from_file_location("publish", os.path.join(EXAMPLES, "publish.py"))
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


class Publishers(harness.TestCase):
    daemons = ("sandbox", "producer", "consumer")
    shards = 4

    def check_sale(self, command):
        """300 orders of two shards; then the same once more, and some by the API under the same keys."""
        first = self.stack.item(stock=1000)
        second = next(sku for sku in (f"other-{uuid.uuid4().hex}" for _ in range(100))
                      if self.stack.shard(sku) != self.stack.shard(first))
        self.stack.item(second, stock=1000)
        run = uuid.uuid4().hex[:8]
        orders = [{"user": f"ann-{n % 7}", "key": f"{run}-{n}", "sku": first if n < 290 else second, "quantity": 1,
                   "payment_method": "pm_card_visa", **({"receipt_email": "jürgen@example.org", "unit_price": 1000,
                                                         "reference": f"r-{n}"} if n % 2 else {})} for n in range(300)]
        text = "".join(json.dumps(order) + "\n" for order in orders)
        secret = os.path.join(self.stack.directory, "publishers-secret")
        with open(secret, "w", encoding="utf-8") as file:
            file.write(self.stack.secrets["ORDER_SECRET"] + "\n")
        arguments = [self.stack.direct["CHECKOUT_AMQP_URL"], str(self.stack.shards), secret]
        ids = [subprocess.run(command + arguments, input=text, text=True, check=True, timeout=60,
                              stdout=subprocess.PIPE).stdout.split() for _ in range(2)]
        self.assertEqual(ids[0], ids[1])
        self.assertEqual(len(set(ids[0])), 300)
        wait_until(lambda: self.stack.one("select count(*) from orders where order_id = any (%s::uuid[])"
                                          " and status = 'confirmed'", (ids[0],)) == 300, 60, "300 sales")
        self.assertEqual(self.stack.dead_letters(), [])
        self.assertEqual([self.stack.counts(sku)[2] for sku in (first, second)], [290, 10])
        for n in (0, 1):        # the same order at the API: the same id, and the same fingerprint
            members = {name: orders[n][name] for name in ("receipt_email", "unit_price", "reference") if name in orders[n]}
            def told(members=members, n=n):
                answer = self.stack.post(orders[n]["user"], first, key=orders[n]["key"], **members)
                self.assertEqual((answer.status, answer.json["id"]), (202, ids[0][n]), answer)
                return answer.json["status"] == "confirmed"
            wait_until(told, 20, "the API to know the order")

    def test_python(self):
        example = python_example()
        orders = read("order-vectors.json")
        got = ([example.order_id(orders["secret"].encode(), vector["user"], vector["key"]) for vector in orders["ids"]]
               + [example.fingerprint(vector["order"]) for vector in orders["fingerprints"]]
               + [example.shard_of(vector["sku"], 1024) for vector in read("shard-vectors.json")["vectors"]])
        self.assertEqual(got, expected())
        self.check_sale(["/usr/bin/python3", os.path.join(EXAMPLES, "publish.py")])

    @unittest.skipUnless(shutil.which("node") and shutil.which("npm"), "no Node.js here")
    def test_node(self):
        try:
            folder = harness_npm.install_project(EXAMPLES)
        except harness_npm.NotInstalled as why:
            self.skipTest(str(why))
        check = os.path.join(folder, "check.mjs")
        with open(check, "w", encoding="utf-8") as file:
            file.write(CHECK_VECTORS)
        got = subprocess.run(["node", check, *(os.path.join(ROOT, "schemas", name)
                                               for name in ("order-vectors.json", "shard-vectors.json"))],
                             check=True, text=True, stdout=subprocess.PIPE).stdout.split()
        self.assertEqual(got, [str(value) for value in expected()])
        self.check_sale(["node", os.path.join(folder, "publish.mjs")])


if __name__ == "__main__":
    harness.main()
