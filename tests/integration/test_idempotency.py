#!/usr/bin/python3
"""One order for one Idempotency-Key, also when Redis has forgotten the key: PostgreSQL knows the order, and its own
fingerprint decides."""

import subprocess
import urllib.parse
import uuid

import redis

import harness
from harness import http_call, timed_beside, wait_until

SEEN = "checkout:seen:"


class Repeats(harness.TestCase):
    daemons = ("sandbox", "producer", "consumer")
    proxied = ("redis", "database")

    def setUp(self):
        self.sku = self.stack.item(stock=5)
        self.key = uuid.uuid4().hex

    def tearDown(self):
        for proxy in self.stack.proxies.values():
            proxy.freeze(False)
            proxy.up()
        wait_until(lambda: http_call(self.door.admin, "GET", "/readyz").status == 200
                   and self.metric("checkout_redis_up") == 1 and self.metric("checkout_database_up") == 1, 20,
                   "the door to be well again")

    @property
    def door(self):
        return self.stack.daemon("producer")

    def metric(self, name):
        return self.door.metric(name)

    def post(self, quantity=1, **options):
        return self.stack.post("ann", self.sku, quantity, key=self.key, **options)

    def nothing(self):
        """What costs the producer a call and no work."""
        return self.stack.call("ann", "GET", "/v1/nothing")

    def bought(self):
        """An order that is confirmed; its first answer."""
        answer = self.post()
        self.assertEqual((answer.status, answer.json["status"]), (202, "queued"), answer)
        wait_until(lambda: self.stack.status("ann", answer.json["id"]).json["status"] == "confirmed", 20, "the sale")
        return answer.json

    def is_told(self, order, status="confirmed"):
        """The present state of the order, not a new promise. PostgreSQL may need more than 20 ms on a loaded machine;
        then the order is taken for a new one, and the counter drops it."""
        wait_until(lambda: self.post().json["status"] == status, 20, "the order's present state")
        answer = self.post()
        while answer.json["status"] == "queued":
            answer = self.post()
        self.assertEqual((answer.status, answer.json["id"], answer.json["status"]), (202, order["id"], status), answer)
        self.assertEqual(answer.json["status_url"], order["status_url"])
        self.assertEqual(answer.headers["Location"], order["status_url"])
        self.assertNotIn("reserving", answer.json["message"])
        self.assertEqual(answer.headers["Retry-After"], None if status == "confirmed" else "1")
        return answer

    def is_refused(self, answer=None):
        """Another body. Without an answer: at last, since PostgreSQL may need more than 20 ms, as above."""
        answer = answer or wait_until(lambda: next((a for a in [self.post(2)] if a.status != 202), None), 20, "a refusal")
        self.assertEqual((answer.status, answer.json["type"]), (422, "/problems/idempotency-key-reused"), answer)

    def sold(self):
        return self.stack.one("select sold from items where sku = %s", (self.sku,))

    def marker(self, order):
        value = self.stack.redis().get(SEEN + order["id"])
        return value.decode() if value else None

    def fingerprint(self, order):
        return self.stack.one("select fingerprint from orders where order_id = %s", (order["id"],))

    # -- Redis is there --------------------------------------------------------------------------------

    def test_a_repeat_is_told_how_the_order_stands(self):
        order, before = self.bought(), self.metric("checkout_orders_repeated_total")
        answer = self.is_told(order)
        self.assertEqual((answer.json["sku"], answer.json["quantity"], answer.json["amount"]), (self.sku, 1, 1000))
        self.assertGreater(self.metric("checkout_orders_repeated_total"), before)
        self.assertEqual(self.sold(), 1)

    def test_a_repeat_in_line_is_told_its_place(self):
        self.stack.sql("update items set stock = 1 where sku = %s", (self.sku,))
        self.stack.gateway.latency(20000)
        self.addCleanup(self.stack.gateway.calm)
        self.stack.order("bob", self.sku).wait("reserved")
        first = self.post().json
        wait_until(lambda: self.stack.status("ann", first["id"]).json["status"] == "waiting", 10, "a place in line")
        answer = self.is_told(first, "waiting")
        self.assertEqual(answer.json["place_in_line"], 1)
        self.assertEqual(self.stack.call("ann", "DELETE", first["status_url"]).status, 202)

    def test_a_repeat_that_the_counter_does_not_know_yet_is_accepted_as_before(self):
        consumer = self.stack.daemon("consumer")
        consumer.stop()
        try:
            first, second = self.post(), self.post()
            self.assertEqual([first.json["status"], second.json["status"]], ["queued"] * 2)
            self.assertIn("reserving", second.json["message"])
            self.is_refused(self.post(2))
        finally:
            self.stack.start("consumer")
        wait_until(lambda: self.stack.status("ann", first.json["id"]).json["status"] == "confirmed", 20, "the sale")
        self.assertEqual(self.sold(), 1)

    # -- Redis has forgotten ---------------------------------------------------------------------------

    def test_another_body_is_refused_and_the_marker_is_there_again(self):
        order = self.bought()
        self.stack.redis().flushall()
        self.is_refused()
        wait_until(lambda: self.marker(order) == self.fingerprint(order), 5, "the marker to be mended")
        self.is_told(order)
        self.assertEqual(self.sold(), 1)

    def test_its_own_order_is_not_refused_as_sold_out(self):
        self.sku = self.stack.item(stock=1, gate="soldout")
        order = self.bought()
        self.stack.order("bob", self.sku).wait("rejected", "sold_out")
        wait_until(lambda: self.stack.redis().get("checkout:gate:" + self.sku) == b"soldout:sold", 10, "the gate")
        self.stack.redis().delete(SEEN + order["id"])
        answer = wait_until(lambda: next((a for a in [self.post()] if a.status != 409), None), 20, "its own order")
        self.assertEqual((answer.status, answer.json["status"]), (202, "confirmed"))
        wait_until(lambda: self.marker(order) == self.fingerprint(order), 5, "the marker to be there again")

    def test_the_honest_body_is_not_refused_for_a_marker_that_is_wrong(self):
        """An old snapshot, or another body that came in between, has left it."""
        order = self.bought()
        self.stack.redis().set(SEEN + order["id"], "0" * 32)
        self.is_told(order)
        wait_until(lambda: self.marker(order) == self.fingerprint(order), 5, "the marker to be mended")

    def test_a_lock_that_was_taken_for_an_order_that_is_over_is_given_back(self):
        self.sku = self.stack.item(stock=5, gate="lock")
        wait_until(lambda: self.stack.redis().get("checkout:gate:" + self.sku) == b"lock:open", 10, "the gate")
        order = self.bought()

        def forgotten_and_told():
            self.stack.redis().delete(SEEN + order["id"], "checkout:lock:" + self.sku)
            return self.post().json["status"] == "confirmed"
        wait_until(forgotten_and_told, 20, "a repeat that PostgreSQL knows in time")
        wait_until(lambda: not self.stack.redis().exists("checkout:lock:" + self.sku), 5, "the lock to be free")

    def test_redis_is_away(self):
        order = self.bought()
        self.stack.proxies["redis"].down()
        wait_until(lambda: self.metric("checkout_redis_up") == 0, 10, "the door to lose Redis")
        self.is_refused()
        self.is_told(order)
        self.key = uuid.uuid4().hex
        self.assertEqual(self.post().json["status"], "queued")

    # -- nobody knows ----------------------------------------------------------------------------------

    def test_while_postgresql_is_silent_nobody_waits_and_the_counter_decides(self):
        order = self.bought()
        self.stack.redis().flushall()
        self.stack.proxies["database"].freeze()
        answers, longer = timed_beside(lambda: self.post(2), self.nothing, 20)
        self.assertLess(longer, 0.2)
        self.assertEqual(answers[0].json["status"], "queued")      # it left its marker
        self.assertEqual({answer.json["id"] for answer in answers}, {order["id"]})
        self.stack.proxies["database"].freeze(False)
        wait_until(lambda: self.post(2).status == 422, 20, "PostgreSQL to be heard again")
        self.is_told(order)
        self.assertEqual(self.sold(), 1)

    def test_without_postgresql_orders_are_taken(self):
        self.stack.redis().flushall()
        self.stack.proxies["database"].down()
        wait_until(lambda: self.metric("checkout_database_up") == 0, 20, "the door to lose PostgreSQL")

        def another():
            self.key = uuid.uuid4().hex
            return self.post()
        answers, longer = timed_beside(another, self.nothing, 20)
        self.assertEqual({answer.json["status"] for answer in answers}, {"queued"})
        self.assertLess(longer, 0.1)


def asked(stack):
    """Whether the last query of a door was about an order that Redis may have forgotten."""
    return stack.one("select count(*) from pg_stat_activity where application_name = 'checkout-producer'"
                     " and query like '%fingerprint from checkout.known_orders%'") > 0


class Vouching(harness.TestCase):
    """A Redis that has lost nothing for long enough vouches for what it does not know."""

    daemons = ("sandbox", "consumer")

    def door(self, **settings):
        """One that reaches PostgreSQL: without it nothing is asked."""
        door = self.stack.start("producer", **settings)
        self.addCleanup(door.stop)
        wait_until(lambda: self.stack.call("ann", "GET", "/v1/orders", producer=door).status == 200, 10, "PostgreSQL")
        return door

    def assert_asks(self, door):
        """It asks PostgreSQL about each new order; its next query may hide that, so about more than one."""
        sku = self.stack.item()

        def asks():
            self.assertEqual(self.stack.post("ann", sku, key=uuid.uuid4().hex, producer=door).status, 202)
            return asked(self.stack)
        wait_until(asks, 5, "PostgreSQL to be asked")

    def test_it_is_asked_only_about_repeats(self):
        door = self.door(CHECKOUT_REDIS_VOUCHES_AFTER="0s")
        sku, key = self.stack.item(), uuid.uuid4().hex
        wait_until(lambda: door.metric("checkout_redis_vouching") == 1, 10, "Redis to vouch")
        self.assertFalse(asked(self.stack))
        order = self.stack.post("ann", sku, key=key, producer=door).json["id"]
        self.assertFalse(asked(self.stack))
        wait_until(lambda: self.stack.one("select count(*) from orders where order_id = %s and status = 'confirmed'",
                                          (order,)) == 1, 20, "the sale")
        wait_until(lambda: self.stack.post("ann", sku, key=key, producer=door).json["status"] == "confirmed"
                   and asked(self.stack), 20, "a repeat that PostgreSQL knows in time")

    def test_a_young_one_does_not_and_says_so(self):
        door = self.door(CHECKOUT_REDIS_VOUCHES_AFTER="8760h")
        self.assert_asks(door)
        wait_until(lambda: b"Redis may have lost keys" in door.log_text(), 5, "the line")
        self.assertEqual(door.metric("checkout_redis_vouching"), 0)

    def test_one_that_does_not_tell_its_age_does_not(self):
        redis = self.stack.redis()
        redis.execute_command("ACL", "SETUSER", "noinfo", "reset", "on", ">word", "~*", "&*", "+@all", "-info")
        self.addCleanup(redis.execute_command, "ACL", "DELUSER", "noinfo")
        address = urllib.parse.urlsplit(self.stack.direct["CHECKOUT_REDIS_URL"])
        url = f"redis://noinfo:word@{address.hostname}:{address.port}{address.path}"
        door = self.door(CHECKOUT_REDIS_URL=url, CHECKOUT_REDIS_VOUCHES_AFTER="0s")
        self.assert_asks(door)


class Losses(harness.TestCase):
    """What a Redis of its own tells of the keys that it has lost."""

    AFTER = "2s"

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.port, cls.server = harness.free_port(), None
        cls.redis = redis.Redis(port=cls.port)
        cls.addClassCleanup(cls.end)
        cls.begin()
        cls.door = cls.stack.start("producer", CHECKOUT_REDIS_URL=f"redis://127.0.0.1:{cls.port}/0",
                                   CHECKOUT_REDIS_VOUCHES_AFTER=cls.AFTER)

    @classmethod
    def begin(cls):
        cls.server = subprocess.Popen(["redis-server", "--bind", "127.0.0.1", "--port", str(cls.port), "--save", "",
                                       "--enable-debug-command", "yes", "--maxmemory-policy", "allkeys-lru",
                                       "--dir", cls.stack.directory], stdin=subprocess.DEVNULL,
                                      stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    @classmethod
    def end(cls):
        cls.server.kill()
        cls.server.wait()

    def vouching(self, does, timeout):
        wait_until(lambda: self.door.metric("checkout_redis_vouching") == does, timeout, f"Redis to vouch: {does}")

    def setUp(self):
        self.vouching(1, 20)

    def tearDown(self):
        self.vouching(0, 5)
        self.vouching(1, 20)

    def test_flushall(self):
        sku = self.stack.item()
        wait_until(lambda: self.stack.call("ann", "GET", "/v1/orders", producer=self.door).status == 200, 10, "PostgreSQL")
        self.assertEqual(self.stack.post("ann", sku, producer=self.door).status, 202)
        self.assertFalse(asked(self.stack))
        self.redis.flushall()
        self.vouching(0, 5)
        wait_until(lambda: self.stack.post("ann", sku, producer=self.door).status == 202 and asked(self.stack), 5,
                   "PostgreSQL to be asked about a new order")

    def test_an_eviction(self):
        self.redis.config_set("maxmemory", self.redis.info("memory")["used_memory"] + 200000)
        self.addCleanup(self.redis.config_set, "maxmemory", 0)
        for number in range(1000):
            self.redis.set(f"filler:{number}", "x" * 1000)
        self.assertGreater(self.redis.info("stats")["evicted_keys"], 0)

    def test_debug_reload(self):
        self.redis.execute_command("DEBUG", "RELOAD")

    def test_the_time_as_a_replica(self):
        self.redis.execute_command("REPLICAOF", "127.0.0.1", str(harness.free_port()))
        self.redis.execute_command("REPLICAOF", "NO", "ONE")

    def test_statistics_that_begin_again(self):
        self.redis.config_resetstat()

    def test_a_restart(self):
        self.end()
        self.begin()


if __name__ == "__main__":
    harness.main()
