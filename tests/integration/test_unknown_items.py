#!/usr/bin/python3
"""Orders of items that do not exist are refused at the door; orders of items that do never are, whatever Redis lost."""

import os
import threading
import uuid

import harness
from harness import wait_until
from harness_client import PROBLEMS

NAME = "/problems/unknown-item"
MANY = 1_000_000 if "CHECKOUT_TEST_DRAW" not in os.environ else 50_000 # all of them with --full


def ghost():
    return f"ghost-{uuid.uuid4().hex[:12]}"


class Unknown(harness.TestCase):
    daemons = ("sandbox", "producer", "consumer")
    proxied = ("redis", "database")

    def refused(self, sku):
        answer = self.until_refused(lambda: self.stack.post("eve", sku))
        self.assertEqual((answer.status, answer.json["type"]), (404, NAME))
        return answer

    def flood(self):
        """Somebody who orders what is not there, until the end of the test."""
        ended = threading.Event()

        def orders():
            while not ended.is_set():
                self.stack.post("eve", ghost())
        threads = [threading.Thread(target=orders) for _ in range(4)]
        for thread in threads:
            thread.start()

        def end():
            ended.set()
            for thread in threads:
                thread.join()
        self.addCleanup(end)

    # -- the answer ----------------------------------------------------------------------------------

    def test_the_door_refuses_and_keeps_nothing(self):
        tries = []                      # one that is accepted stays so: the next is another order

        def post():
            tries.append((ghost(), uuid.uuid4().hex))
            return self.stack.post("eve", tries[-1][0], key=tries[-1][1])
        answer = self.until_refused(post)
        sku, key = tries[-1]
        self.assertEqual(answer.status, 404)
        self.assertEqual(answer.headers["Content-Type"], "application/problem+json")
        self.assertEqual(answer.json, {"type": NAME, "title": PROBLEMS[NAME][1], "status": 404})
        self.assertEqual(self.stack.one("select count(*) from orders where sku = %s", (sku,)), 0)
        self.stack.item(sku)
        self.stack.order("eve", sku, key=key, quantity=2).wait("confirmed") # another body: the key is free

    def test_an_accepted_order_that_comes_again_is_never_refused(self):
        sku, key = self.stack.item(), uuid.uuid4().hex
        first = self.stack.order("ann", sku, key=key)
        first.wait("confirmed")
        other = self.stack.start("producer") # it has not met the item
        self.addCleanup(other.stop)
        self.stack.sql("alter table orders disable trigger all; alter table items disable trigger all")
        self.stack.sql("delete from items where sku = %s", (sku,))
        again = self.stack.post("ann", sku, key=key, producer=other)
        self.assertEqual((again.status, again.json["id"]), (202, first.id))

    # -- new items -----------------------------------------------------------------------------------

    def test_a_new_item_can_be_ordered_from_its_commit_on(self):
        self.flood()
        for gate in ("none", "soldout", "lock") * 20:
            self.stack.order("ann", self.stack.item(gate=gate))

    def test_it_can_while_its_owner_is_frozen_or_dead(self):
        consumer = self.stack.daemon("consumer")
        consumer.freeze()
        frozen = self.stack.order("ann", self.stack.item())
        consumer.kill()
        dead = self.stack.order("ann", self.stack.item())
        self.stack.start_again(consumer)
        frozen.wait("confirmed")
        dead.wait("confirmed")

    def test_one_that_was_refused_before_can_be_ordered_once_it_is_there(self):
        sku = ghost()
        self.refused(sku)
        self.stack.item(sku)
        self.stack.order("ann", sku).wait("confirmed")

    # -- what Redis loses, and servers that are away ---------------------------------------------------

    def test_whatever_redis_loses_no_item_that_is_there_is_refused(self):
        store = self.stack.redis()
        items = [self.stack.item() for _ in range(30)]
        limits = {name: store.config_get(name)[name] for name in ("maxmemory", "maxmemory-policy")}
        self.addCleanup(lambda: [store.config_set(name, value) for name, value in limits.items()])

        def evict():
            store.config_set("maxmemory-policy", "allkeys-lru")
            store.config_set("maxmemory", 1)
            store.config_set("maxmemory", limits["maxmemory"])

        def delete_some():
            store.delete(*list(store.scan_iter("checkout:*"))[::2] or ["none"])
        for lose in (store.flushall, evict, delete_some):
            for sku in items:
                self.stack.order("ann", sku)
            lose()
            for sku in items:
                self.stack.order("bob", sku)
            self.refused(ghost())

    def test_without_a_server_the_counter_says_it(self):
        for name in ("redis", "database"):
            with self.subTest(away=name):
                sku = ghost()
                self.refused(ghost())
                self.stack.proxies[name].down()
                try:
                    answer = wait_until(lambda: (lambda got: got if got.status == 202 else None)(
                        self.stack.post("eve", sku)), 15, "the door to let orders pass")
                finally:
                    self.stack.proxies[name].up()
                harness.Order(self.stack, "eve", answer.json["id"]).wait("rejected", "unknown_item")

    # -- many ----------------------------------------------------------------------------------------

    def test_a_million_items_that_came_behind_the_planners_back(self):
        self.refused(ghost())
        for _ in range(10): # the statement has its plan, made over a few items
            self.stack.order("ann", self.stack.item())
        self.stack.sql("alter table items set (autovacuum_enabled = off)")
        self.stack.sql(f"""insert into items (sku, shard, title, price, currency, stock)
            select 'many-' || n, n % {self.shards}, 'many', 1000, 'usd', 1 from generate_series(1, {MANY}) n""")
        self.flood()
        for n in range(1, MANY, MANY // 100):
            self.assertEqual(self.stack.post("ann", f"many-{n}").status, 202)
        slow = self.stack.daemon("producer").log_text().count(b"orders of unknown items pass")
        self.refused(f"many-{MANY + 1}")
        self.assertEqual(self.stack.daemon("producer").log_text().count(b"orders of unknown items pass"), slow)


if __name__ == "__main__":
    harness.main()
