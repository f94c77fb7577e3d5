#!/usr/bin/python3
"""Limits of customers and of addresses: shared by all doors in Redis, by each door alone without it."""

import json
import re
import time
import uuid

import harness
from harness import http_call, wait_until

FIELD = re.compile(r'"(user|address|tokens|open)";r=0;t=(\d+)')


class LimitCase(harness.TestCase):
    """Doors without a counter behind them: an order is accepted, and decided by nobody."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.sku = cls.stack.item(stock=1000)

    def setUp(self):
        super().setUp()
        self.user = f"user-{uuid.uuid4().hex[:8]}"

    def post(self, user=None, key=None, producer=None, sku=None, address=None, token=None):
        headers = {"Idempotency-Key": key or uuid.uuid4().hex,
                   "Authorization": "Bearer " + (token or self.stack.token(user or self.user))}
        if address is not None:
            headers["X-Forwarded-For"] = address
        body = {"sku": sku or self.sku, "quantity": 1, "payment_method": "pm_card_visa"}
        return http_call((producer or self.stack.daemon("producer")).url, "POST", "/v1/orders", headers, body)

    def assert_limited(self, answer, policy, said):
        """429 with all that says when to come again; returns the seconds."""
        self.assertEqual((answer.status, answer.json["type"]), (429, "/problems/rate-limited"), answer)
        name, wait = FIELD.fullmatch(answer.headers["RateLimit"]).groups()
        self.assertEqual((name, answer.headers["RateLimit-Policy"]), (policy, said))
        self.assertEqual(answer.headers["Retry-After"], wait)
        self.assertGreaterEqual(int(wait), 1)
        return int(wait)

    def key(self, kind, name):
        return f"checkout:limit:{kind}:{name}"


class Customers(LimitCase):
    """Five orders at once, and one more each minute; through two doors."""

    settings = {"CHECKOUT_ORDERS_PER_USER": "5/5m"}
    POLICY = ("user", '"user";q=5;w=300')

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.doors = [cls.stack.start("producer") for _ in range(2)]

    def spend(self, **members):
        """Takes all places, through both doors in turn; returns the keys."""
        keys = [uuid.uuid4().hex for _ in range(5)]
        for n, key in enumerate(keys):
            answer = self.post(key=key, producer=self.doors[n % 2], **members)
            self.assertEqual(answer.status, 202, answer)
        return keys

    def test_two_doors_share_a_limit(self):
        self.spend()
        for door in self.doors:
            wait = self.assert_limited(self.post(producer=door), *self.POLICY)
            self.assertTrue(50 <= wait <= 60, wait)
            self.assertEqual(self.post(user=self.user + "-other", producer=door).status, 202)

    def test_a_repeat_of_an_accepted_order_is_never_refused(self):
        keys = self.spend()
        for _ in range(4):
            for key in keys:
                for door in self.doors:
                    self.assertEqual(self.post(key=key, producer=door).status, 202)
            self.assert_limited(self.post(), *self.POLICY)

    def test_a_refused_order_leaves_nothing(self):
        self.spend()
        sku, redis = self.stack.item(gate="lock"), self.stack.redis()
        redis.set(f"checkout:gate:{sku}", "lock:open")
        before = set(redis.keys("checkout:*"))
        full = redis.get(self.key("user", self.user))
        self.assert_limited(self.post(sku=sku), *self.POLICY)
        self.assertEqual(set(redis.keys("checkout:*")), before)
        self.assertEqual(redis.get(self.key("user", self.user)), full)

    def test_what_the_door_refuses_for_another_reason_takes_no_place(self):
        redis = self.stack.redis()
        sold, taken = self.stack.item(), self.stack.item()
        later = self.stack.item(opens_at="2040-01-01")
        redis.set(f"checkout:gate:{sold}", "soldout:sold")
        redis.set(f"checkout:gate:{taken}", "lock:open")
        redis.set(f"checkout:lock:{taken}", str(uuid.uuid4()))
        wait_until(lambda: self.post(user=uuid.uuid4().hex, sku=later).json.get("type") == "/problems/not-open-yet", 10,
                   "the door to know of the sale")
        for _ in range(7):
            for sku, problem in ((sold, "sold-out"), (taken, "item-in-another-cart"), (later, "not-open-yet")):
                self.assertEqual(self.post(sku=sku).json["type"], f"/problems/{problem}")
        self.assertEqual(self.post(sku="no sku").status, 400)
        wait_until(lambda: redis.get(self.key("user", self.user)) is None, 5, "the last place to be returned")
        self.spend()
        self.assert_limited(self.post(), *self.POLICY)

    def test_a_place_comes_back_when_it_was_said(self):
        door = self.stack.start("producer", CHECKOUT_ORDERS_PER_USER="3/3s")
        self.addCleanup(door.stop)
        accepted, began, lapse = 0, time.monotonic(), 4.5
        while time.monotonic() < began + lapse:
            answer = self.post(producer=door)
            if answer.status == 202:
                accepted += 1
            else:
                self.assertEqual(self.assert_limited(answer, "user", '"user";q=3;w=3'), 1)
        passed = time.monotonic() - began
        alone = int(door.metric("checkout_gate_opened_total"))  # it counted by itself: Redis was too slow
        self.assertTrue(3 + int(lapse) - 1 <= accepted <= 3 + int(passed) + 1 + alone, (accepted, passed, alone))
        time.sleep(int(answer.headers["Retry-After"] if answer.status == 429 else 1))
        self.assertEqual(self.post(producer=door).status, 202)
        lives = self.stack.redis().pttl(self.key("user", self.user))
        self.assertTrue(0 < lives <= 3000, lives)

    def test_nonsense_in_redis_is_no_limit(self):
        redis = self.stack.redis()
        for value in (b"", b"nonsense", b"-1", b"nan", b"1e300", b"\xff\x00"):
            redis.set(self.key("user", self.user), value)
            answer = self.post()
            self.assertIn(answer.status, (202, 429), (value, answer))
            if answer.status == 429:    # it is no longer than a place takes to come back
                self.assertLessEqual(int(answer.headers["Retry-After"]), 60)
            redis.delete(self.key("user", self.user))
        self.assertNotIn(b"Redis refuses commands", self.stack.daemon("producer").log_text())


class OpenOrders(LimitCase):
    """Three orders of a customer that have not ended; through two doors."""

    settings = {"CHECKOUT_OPEN_ORDERS_PER_USER": "3", "CHECKOUT_ORDERS_PER_USER": "0"}
    daemons = ("sandbox", "consumer")
    POLICY = ("open", '"open";q=3')

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.doors = [cls.stack.start("producer") for _ in range(2)]

    def tearDown(self):
        self.stack.gateway.calm()

    def fill(self, sku=None):
        """Three orders that stay open; their keys and orders."""
        self.stack.gateway.latency(60000)
        keys = [uuid.uuid4().hex for _ in range(3)]
        answers = [self.post(key=key, sku=sku, producer=self.doors[n % 2]) for n, key in enumerate(keys)]
        self.assertEqual([answer.status for answer in answers], [202] * 3)
        orders = [harness.Order(self.stack, self.user, answer.json["id"]) for answer in answers]
        for order in orders:
            wait_until(lambda o=order: o.row() is not None, 10, "its decision")
        return keys, orders

    def test_the_next_is_refused_until_one_has_ended(self):
        sku = self.stack.item(stock=1)
        keys, orders = self.fill(sku)
        for door in self.doors:
            self.assertEqual(self.assert_limited(self.post(producer=door), *self.POLICY), 5)
            self.assertEqual(self.post(user=self.user + "-other", producer=door).status, 202)
            for key in keys:        # a repeat takes no place
                self.assertEqual(self.post(key=key, sku=sku, producer=door).status, 202)
        self.assertEqual(self.stack.call(self.user, "DELETE", f"/v1/orders/{orders[2].id}").status, 202)
        orders[2].wait("cancelled")
        wait_until(lambda: self.post().status == 202, 5, "the place of the one that ended")
        self.assert_limited(self.post(), *self.POLICY)

    def test_what_the_door_refuses_for_another_reason_takes_no_place(self):
        later = self.stack.item(opens_at="2040-01-01")
        wait_until(lambda: self.post(user=uuid.uuid4().hex, sku=later).json.get("type") == "/problems/not-open-yet", 10,
                   "the door to know of the sale")
        for _ in range(5):
            self.assertEqual(self.post(sku=later).json["type"], "/problems/not-open-yet")
        wait_until(lambda: self.stack.redis().zcard(f"checkout:open:{self.user}") == 0, 5, "no place is taken")

    def test_a_count_that_is_wrong_heals(self):
        """What a crash leaves: orders that were never accepted, or that Redis has lost."""
        redis, key = self.stack.redis(), f"checkout:open:{self.user}"
        self.assertEqual(self.post().status, 202)
        self.assertTrue(50000 < redis.pttl(key) <= 60000, redis.pttl(key))
        now = int(redis.time()[0]) * 1000
        redis.zadd(key, {str(uuid.uuid4()): now + 1500 for _ in range(3)})
        self.assert_limited(self.post(), *self.POLICY)
        wait_until(lambda: self.post().status == 202, 5, "those that nobody accepted are forgotten")
        self.user += "-again"
        key = f"checkout:open:{self.user}"
        self.fill()
        redis.delete(key)
        wait_until(lambda: redis.zcard(key) == 3, 15, "those that PostgreSQL has open count again")
        self.assert_limited(self.post(), *self.POLICY)

    def test_nonsense_in_redis_is_no_limit(self):
        self.stack.redis().set(f"checkout:open:{self.user}", "nonsense")
        self.assertEqual(self.post().status, 202)


class WithoutRedis(LimitCase):
    """Each door counts alone, while it has no Redis."""

    settings = {"CHECKOUT_ORDERS_PER_USER": "5/5m"}
    proxied = ("redis",)
    daemons = ("sandbox", "producer")

    def pair_alone(self):
        """Two doors without Redis."""
        proxy, doors = self.stack.proxies["redis"], [self.stack.daemon("producer"), self.stack.start("producer")]
        self.addCleanup(doors[1].stop)
        self.addCleanup(proxy.up)
        proxy.down()
        for door in doors:
            wait_until(lambda d=door: d.metric("checkout_redis_up") == 0, 10, "a door to notice")
        return doors

    def test_a_repeat_of_a_customer_within_the_limit_is_refused_by_no_door(self):
        doors = self.pair_alone()
        keys = [uuid.uuid4().hex for _ in range(5)]
        for n, key in enumerate(keys):
            self.assertEqual(self.post(key=key, producer=doors[n % 2]).status, 202)
        for key in keys:
            for door in doors:
                self.assertEqual(self.post(key=key, producer=door).status, 202)
        for door in doors:      # each has seen all five by now
            self.assert_limited(self.post(producer=door), *Customers.POLICY)

    def test_beyond_the_limit_a_repeat_that_another_door_let_in_is_known_once_it_is_decided(self):
        first, second = self.pair_alone()
        key = uuid.uuid4().hex
        self.assertEqual(self.post(key=key, producer=first).status, 202)
        for _ in range(5):
            self.assertEqual(self.post(producer=second).status, 202)
        self.assert_limited(self.post(key=key, producer=second), *Customers.POLICY)
        self.assertEqual(self.post(key=key, producer=first).status, 202)
        self.addCleanup(self.stack.start("consumer").stop)
        wait_until(lambda: self.post(key=key, producer=second).status == 202, 30, "PostgreSQL to know the order")

    def test_a_door_counts_alone_and_refuses_no_repeat(self):
        proxy, door = self.stack.proxies["redis"], self.stack.daemon("producer")
        before = uuid.uuid4().hex
        self.assertEqual(self.post(key=before).status, 202)
        proxy.down()
        self.addCleanup(proxy.up)
        wait_until(lambda: door.metric("checkout_redis_up") == 0, 10, "the door to notice")
        keys = [uuid.uuid4().hex for _ in range(5)]
        for key in keys:
            self.assertEqual(self.post(key=key).status, 202)
        self.assert_limited(self.post(), *Customers.POLICY)
        self.assertEqual(self.post(user=self.user + "-other").status, 202)
        for key in keys:
            self.assertEqual(self.post(key=key).status, 202)
        proxy.up()
        wait_until(lambda: door.metric("checkout_redis_up") == 1, 10, "the door to be back")
        for _ in range(4):      # Redis knows of the first one only
            self.assertEqual(self.post().status, 202)
        self.assert_limited(self.post(), *Customers.POLICY)
        for key in (before, *keys):
            self.assertEqual(self.post(key=key).status, 202)


class Addresses(LimitCase):
    """A proxy that is trusted says who the client is."""

    settings = {"CHECKOUT_ORDERS_PER_USER": "0", "CHECKOUT_ORDERS_PER_ADDRESS": "3/3m"}
    POLICY = ("address", '"address";q=3;w=180')

    def test_one_address_is_limited_whatever_it_says_of_itself(self):
        door = self.stack.start("producer", CHECKOUT_TRUSTED_PROXIES="127.0.0.0/8,10.0.0.0/8")
        for said in ("192.0.2.1", "192.0.2.99, 192.0.2.1", "10.1.1.1, 192.0.2.1:3000, 10.0.0.2"):
            answer = self.post(user=uuid.uuid4().hex, producer=door, address=said)
            self.assertEqual(answer.status, 202, answer)
        for said in ("192.0.2.1", "1.2.3.4,192.0.2.1"):
            self.assert_limited(self.post(user=uuid.uuid4().hex, producer=door, address=said), *self.POLICY)
        self.assertEqual(self.post(producer=door, address="192.0.2.2").status, 202)
        for n in range(3):
            self.assertEqual(self.post(producer=door, address=f"2001:db8:0:1::{n}").status, 202)
        self.assert_limited(self.post(producer=door, address="2001:db8:0:1:ffff::"), *self.POLICY)
        self.assertEqual(self.post(producer=door, address="2001:db8:0:2::").status, 202)

    def test_doctor_warns_if_one_address_sends_most(self):
        door = self.stack.start("producer", CHECKOUT_TRUSTED_PROXIES="127.0.0.1", CHECKOUT_ORDERS_PER_ADDRESS="0")

        def said():
            found = json.loads(self.stack.ctl("doctor", "--json", check=False).stdout)["findings"]
            return [finding["text"] for finding in found if finding["subject"] == "addresses"]
        self.stack.redis().flushall()
        for n in range(60):
            self.post(user=uuid.uuid4().hex, producer=door, address=f"192.0.2.{n}")
        self.assertEqual(said(), [])
        for n in range(70):
            self.post(user=uuid.uuid4().hex, producer=door, address="198.51.100.7")
        told = wait_until(said, 10, "doctor to say it")
        self.assertRegex(told[0], r"most orders of the last two minutes come from one address: 198\.51\.100\.7 sent \d+ of \d+")

    def test_without_a_trusted_proxy_nobody_says_who_he_is(self):
        door = self.stack.start("producer")
        for n in range(3):
            self.assertEqual(self.post(producer=door, address=f"192.0.2.{n}").status, 202)
        self.assert_limited(self.post(producer=door, address="192.0.2.77"), *self.POLICY)


class BadTokens(LimitCase):
    """An address whose tokens are refused."""

    settings = {"CHECKOUT_BAD_TOKENS_PER_ADDRESS": "3/3m", "CHECKOUT_TRUSTED_PROXIES": "127.0.0.1"}
    daemons = ("producer",)

    def test_after_some_its_unknown_tokens_are_not_read(self):
        here = self.stack.token(self.user)
        self.assertEqual(self.post(token=here, address="192.0.2.1").status, 202)
        forged = self.stack.token(self.user)[:-8] + "AAAAAAAA"
        for _ in range(3):
            self.assertEqual(self.post(token=forged, address="192.0.2.1").status, 401)
        unread = self.post(token=forged, address="192.0.2.1")
        self.assert_limited(unread, "tokens", '"tokens";q=3;w=180')
        new = self.stack.token(self.user, lifetime=1800)
        self.assertEqual(self.post(token=new, address="192.0.2.1").status, 429)
        self.assertEqual(self.post(token=here, address="192.0.2.1").status, 202)
        self.assertEqual(self.post(token=new, address="192.0.2.2").status, 202)
        self.assertEqual(self.post(token=forged, address="192.0.2.2").status, 401)


if __name__ == "__main__":
    harness.main()
