#!/usr/bin/python3
"""The door when servers are away, slow or full; when it leaves; and when there are several."""

import http.client
import json
import os
import resource
import select
import socket
import statistics
import threading
import time
import urllib.parse
import uuid
from concurrent.futures import ThreadPoolExecutor

import pika

import harness
import harness_daemon
from harness import timed, wait_until
from harness_amqp import CONFIRMS, FrameProxy
from test_producer import Api, take_all

SKU = "dress"
MANY = [f"sku-{n}" for n in range(64)] # of every shard


class BrokerFaults(Api):
    proxied = ("amqp",)
    items = (SKU, *MANY)
    settings = {"CHECKOUT_QUEUE_MAX_BYTES": 1048576}

    def setUp(self):
        self.proxy = self.stack.proxies["amqp"]
        self.stack.broker.purge()

    def tearDown(self):
        self.proxy.delay(0)
        self.proxy.freeze(False)
        self.proxy.up()
        wait_until(lambda: self.send().status == 202, 20, "the door takes orders again")

    def jobs(self):
        return [job["order_id"] for _, _, body in take_all(self.stack)
                for job in json.loads(body)["jobs"]]

    def took(self, status, body=None):
        """How long an answer with this status took."""
        begun = time.monotonic()
        answer = self.send(body)
        self.assert_problem(answer, status, "broker-unavailable" if status == 503 else "invalid-request")
        return time.monotonic() - begun

    def test_away_is_told_at_once_and_it_recovers_by_itself(self):
        daemon = self.stack.daemon("producer")
        self.proxy.down()
        wait_until(lambda: daemon.metric("checkout_broker_up") == 0, 30, "the loss is noticed")
        # each beside a call that needs no broker: a machine that stands still for a moment says nothing of one of them
        refused_s, others_s = zip(*[(self.took(503), self.took(400, {})) for _ in range(20)])
        self.assertLess(statistics.median(refused_s), statistics.median(others_s) + 0.1)
        self.assertEqual(harness.http_call(daemon.admin, "GET", "/readyz").status, 503)
        self.assertEqual(harness.http_call(daemon.admin, "GET", "/livez").status, 200)
        self.assertEqual(self.send({}).status, 400)  # what is wrong is told all the same
        self.proxy.up()
        wait_until(lambda: self.send().status == 202, 30, "orders are taken again")
        wait_until(lambda: harness.http_call(daemon.admin, "GET", "/readyz").status == 200, 30, "ready")

    def test_202_comes_after_the_confirm(self):
        self.proxy.delay(0.4)
        begun = time.monotonic()
        self.assertEqual(self.send().status, 202)
        self.assertGreater(time.monotonic() - begun, 0.7)  # there and back

    def test_a_connection_lost_before_the_confirm(self):
        key = uuid.uuid4().hex
        self.proxy.freeze(True)
        with ThreadPoolExecutor(1) as pool:
            future = pool.submit(self.send, key=key)
            time.sleep(0.3)
            self.proxy.freeze(False)
            self.proxy.reset()
            answer = future.result()
        if answer.status != 202:  # the confirm may have been faster than the reset
            self.assert_problem(answer, 503, "accept-unknown")
            order = harness.order_id(self.stack.secrets["ORDER_SECRET"], "ann", key)
            self.assertEqual((answer.json["id"], answer.json["status_url"]),
                             (order, f"/v1/orders/{order}"))
        again = wait_until(lambda: self.accepted(key), 30, "the retry is accepted")
        self.assertEqual(again.json["id"], harness.order_id(
            self.stack.secrets["ORDER_SECRET"], "ann", key))
        self.assertEqual(set(self.jobs()), {again.json["id"]})

    def accepted(self, key):
        answer = self.send(key=key)
        return answer if answer.status == 202 else None

    def test_no_confirm_within_five_seconds(self):
        key = uuid.uuid4().hex
        order = harness.order_id(self.stack.secrets["ORDER_SECRET"], "ann", key)
        self.proxy.freeze(True)
        begun = time.monotonic()
        answer = self.send(key=key)
        took = time.monotonic() - begun
        self.assert_problem(answer, 503, "accept-unknown")
        self.assertEqual((answer.json["id"], answer.json["status_url"]),
                         (order, f"/v1/orders/{order}"))
        self.assertTrue(4.5 < took < 7, took)
        self.assertEqual(self.stack.status("ann", order).json["status"], "queued")
        answers, took = timed(self.send, 3)  # the shard of the stuck message, or the whole broker by now
        self.assertEqual([answer.status for answer in answers], [503] * 3)
        self.assertLess(took, 1)
        self.proxy.freeze(False)
        again = wait_until(lambda: self.accepted(key), 20, "the retry is accepted")
        self.assertEqual(again.json["id"], order)

    def test_a_queue_that_is_gone(self):
        shard = self.stack.shard(SKU)
        with self.stack.broker.unbound(shard):
            key = uuid.uuid4().hex
            self.assert_problem(self.send(key=key), 503, "overloaded")
            # it was surely not accepted, so the key is free for another order
            other = next(sku for sku in MANY if self.stack.shard(sku) != shard)
            order = {"sku": other, "quantity": 3, "payment_method": "pm"}
            wait_until(lambda: self.send(order, key=key).status == 202, 10, "the channel, which the refusal renews")
        wait_until(lambda: self.send().status == 202, 10, "the queue that is there again to take orders")

    def test_a_full_queue(self):
        shard = self.stack.shard(SKU)
        filler = b"x" * 700000
        for _ in range(4):  # the limit is 1 MiB, and it overshoots
            try:
                self.stack.publish(shard, filler)
            except pika.exceptions.NackError:
                break
        def full():
            answer = self.send()
            if answer.status == 503:
                self.assert_problem(answer, 503, "overloaded")
            return answer.status == 503
        wait_until(full, 30, "the full queue is told")
        other = next(sku for sku in MANY if self.stack.shard(sku) != shard)
        self.assertEqual(self.send({"sku": other, "quantity": 1, "payment_method": "pm"}).status, 202)
        self.stack.broker.purge()


class Slow(Api):
    """A broker that confirms fewer orders than come: none at all, for as long as the test says, so that nothing of it
    depends on how fast this machine is."""

    daemons = ()
    FEW = 256               # BATCHER_FEW_JOBS: fewer that wait are never too many

    def setUp(self):
        target = urllib.parse.urlsplit(self.stack.direct["CHECKOUT_AMQP_URL"])
        self.node = FrameProxy(target.hostname, target.port)
        self.addCleanup(self.node.close)
        self.stack.broker.purge()
        self.door = self.stack.start("producer", CHECKOUT_AMQP_URL=target._replace(
            netloc=f"{target.username}:{target.password}@127.0.0.1:{self.node.port}").geturl())
        self.addCleanup(self.door.stop)
        self.accepted, self.refused, self.unclear = set(), set(), set()
        self.early = 0          # accepted without a confirm

    def send_orders(self, count, apart_s=0.0):
        """Sends so many at once, or each some time after the other, without waiting for an answer: sockets by order."""
        target, token = urllib.parse.urlsplit(self.door.url), self.stack.token("ann")
        body = json.dumps({"sku": SKU, "quantity": 1, "payment_method": "pm"})
        sent = {}
        for one in [socket.create_connection((target.hostname, target.port), 30) for _ in range(count)]:
            self.addCleanup(one.close)
            key = uuid.uuid4().hex
            sent[harness.order_id(self.stack.secrets["ORDER_SECRET"], "ann", key)] = one
            one.sendall((f"POST /v1/orders HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\n"
                         f"Content-Type: application/json\r\nIdempotency-Key: {key}\r\n"
                         f"Content-Length: {len(body)}\r\n\r\n{body}").encode())
            time.sleep(apart_s)
        return sent

    @staticmethod
    def answered(sent, timeout_s=0.0):
        """Those that have an answer, of which it waits for the first."""
        poll, orders = select.poll(), {one.fileno(): order for order, one in sent.items()}
        for one in sent.values():
            poll.register(one, select.POLLIN)
        return [orders[descriptor] for descriptor, _ in poll.poll(timeout_s * 1000)]

    def read(self, sent, orders=None):
        """Reads the answers of these orders, or of all that were sent, and sorts them; how many were accepted."""
        accepted = 0
        for order in list(sent) if orders is None else orders:
            with sent.pop(order) as one, http.client.HTTPResponse(one) as response:
                response.begin()
                answer = harness.Answer(response.status, response.headers, response.read())
            if answer.status == 202:
                self.assertEqual(answer.json["id"], order)
                accepted += 1
                self.accepted.add(order)
            elif answer.json["type"] == "/problems/accept-unknown":     # nothing for 5 s: of a machine that stood still
                self.unclear.add(order)
            else:
                self.assert_problem(answer, 503, "overloaded")
                self.refused.add(order)
        return accepted

    def crowd(self):
        """Sends orders of which none is confirmed until one is refused: the others. None if a message was overdue by then:
        a shard of which nothing is confirmed for a second refuses orders, too."""
        self.node.hold(True)
        sent = self.send_orders(self.FEW)
        while not (refused := self.answered(sent, 0.02)) and self.door.metric("checkout_publish_overdue") == 0:
            sent.update(self.send_orders(1))
        self.early += self.read(sent, refused)
        if self.door.metric("checkout_publish_overdue") == 0:
            return sent
        self.node.hold(False)
        self.read(sent)
        self.calm()
        return None

    def calm(self):
        wait_until(lambda: self.door.metric("checkout_publish_waiting_jobs") == 0, 30, "all to be confirmed")

    def test_what_would_wait_too_long_is_refused_at_once_and_what_was_accepted_stays(self):
        key = uuid.uuid4().hex
        known = self.stack.post("ann", SKU, key=key, producer=self.door).json["id"]
        self.accepted.add(known)
        waiting = wait_until(self.crowd, 60, "an order to be refused because too many wait, and not because they wait long")
        self.assertGreaterEqual(len(waiting), self.FEW)     # as many may always wait
        self.assertEqual(self.early, 0)
        again = self.stack.post("ann", SKU, key=key, producer=self.door)
        self.assertIn((again.status, again.json.get("type")), ((202, None), (503, "/problems/overloaded")))
        self.node.pace(400)
        self.node.hold(False)
        waiting.update(self.send_orders(100, apart_s=0.005))
        self.read(waiting)
        self.node.pace(None)
        self.calm()
        wait_until(lambda: self.read(self.send_orders(self.FEW - 1)) == self.FEW - 1, 30, "the door to take all again")
        again = self.stack.post("ann", SKU, key=key, producer=self.door)
        self.assertEqual((again.status, again.json["id"]), (202, known))
        found = [job["order_id"] for _, _, body in take_all(self.stack) for job in json.loads(body)["jobs"]]
        self.assertEqual(set(found) - self.unclear, self.accepted - self.unclear)   # of those that were refused, none
        # known, and once more: its counter knows the id
        self.assertEqual(len(set(found) - {known}), len([job for job in found if job != known]))


class Silence(Api):
    """A node that takes messages and says nothing about them, though its heartbeats come."""

    daemons = ()

    def setUp(self):
        target = urllib.parse.urlsplit(self.stack.direct["CHECKOUT_AMQP_URL"])
        self.nodes = [FrameProxy(target.hostname, target.port) for _ in range(2)]
        for node in self.nodes:
            self.addCleanup(node.close)
        urls = ",".join(target._replace(netloc=f"{target.username}:{target.password}@127.0.0.1:{node.port}"
                                        ).geturl() for node in self.nodes)
        self.stack.broker.purge()
        self.door = self.stack.start("producer", CHECKOUT_AMQP_URL=urls)
        self.addCleanup(self.door.stop)

    def post(self, sku=SKU, key=None):
        return self.stack.post("ann", sku, key=key or uuid.uuid4().hex, producer=self.door)

    def ready(self):
        return harness.http_call(self.door.admin, "GET", "/readyz").status == 200

    def test_a_confirm_that_never_comes_does_not_close_the_door(self):
        key = uuid.uuid4().hex
        here, there = sorted(self.nodes, key=lambda node: -node.connections())
        self.assertEqual((here.connections(), there.connections()), (1, 0))
        here.lose(CONFIRMS)
        begun = time.monotonic()
        unknown = self.post(key=key)
        self.assert_problem(unknown, 503, "accept-unknown")
        self.assertEqual(self.door.metric("checkout_publish_overdue"), 1)
        wait_until(lambda: there.connections() == 1, 15, "the door to go to the other node")
        self.assertLess(time.monotonic() - begun, 12)
        again = wait_until(lambda: self.accepted(key), 10, "the same order to be accepted there")
        self.assertEqual(again.json["id"], unknown.json["id"])
        self.assertEqual(self.post().status, 202)
        line = next(line for line in map(json.loads, self.door.log_text().splitlines())
                    if "no confirm for a message" in line["event"])
        self.assertEqual((line["shard"], line["node"]), (self.stack.shard(SKU), f"127.0.0.1:{here.port}"))
        self.assertTrue(self.ready())

    def accepted(self, key):
        answer = self.post(key=key)
        return answer if answer.status == 202 else None

    def test_a_door_that_places_nothing_is_not_ready(self):
        for node in self.nodes:
            node.lose(CONFIRMS)
        self.assertTrue(self.ready())
        self.assert_problem(self.post(), 503, "accept-unknown")
        wait_until(lambda: not self.ready(), 10, "the door to say that it places no order")
        for node in self.nodes:
            node.lose(())
        wait_until(lambda: self.post().status == 202, 20, "orders to be taken again")
        self.assertTrue(self.ready())


class OtherFaults(Api):
    """PostgreSQL and Redis are not needed for accepting."""

    proxied = ("database", "redis")

    def tearDown(self):
        for proxy in self.stack.proxies.values():
            proxy.freeze(False)
            proxy.up()

    def test_without_the_database(self):
        order = self.send().json["id"]
        self.stack.proxies["database"].down()
        self.assertEqual(self.send().status, 202)
        answer = wait_until(lambda: self.unavailable(f"/v1/orders/{order}", "ann"), 30, "503")
        self.assert_problem(answer, 503, "database-unavailable")
        self.assert_problem(self.stack.call("ann", "GET", "/v1/orders"), 503, "database-unavailable")
        self.assert_problem(self.stack.call(None, "GET", "/v1/items/x"), 503, "database-unavailable")
        forged = harness.order_id("another secret", "ann", "key")
        self.assert_problem(self.stack.status("ann", forged), 404, "not-found")
        self.assertEqual(harness.http_call(self.stack.daemon("producer").admin, "GET",
                                           "/readyz").status, 200)
        self.stack.proxies["database"].up()
        wait_until(lambda: self.stack.status("ann", order).status == 200, 30, "status is told again")

    def unavailable(self, path, user):
        answer = self.stack.call(user, "GET", path)
        return answer if answer.status == 503 else None

    def test_without_redis(self):
        self.stack.proxies["redis"].down()
        self.assertLess(self.usually(5), 1)

    def test_redis_that_does_not_answer(self):
        self.assertEqual(self.send().status, 202)
        self.stack.proxies["redis"].freeze(True)
        self.assertLess(self.usually(10), 1)
        self.assertGreater(self.stack.daemon("producer").metric("checkout_gate_opened_total"), 0)

    def test_started_without_database_and_redis(self):
        for proxy in self.stack.proxies.values():
            proxy.down()
        late = self.stack.start("producer")
        try:
            self.assertEqual(self.stack.post("ann", SKU, producer=late).status, 202)
        finally:
            late.stop()


class Outcome(Api):
    """With the counter: a status that is waited for."""

    daemons = ("sandbox", "producer", "consumer")

    def test_waiting_for_the_final_state(self):
        sku = self.stack.item(stock=5, price=700)
        order = self.send({"sku": sku, "quantity": 2, "payment_method": "pm_card_visa",
                           "reference": "cart-9"}).json["id"]
        begun = time.monotonic()
        answer = self.stack.call("ann", "GET", f"/v1/orders/{order}", headers={"Prefer": "wait=20"},
                                 timeout=25)
        self.assertLess(time.monotonic() - begun, 8)
        told = answer.json
        self.assertEqual((told["status"], told["sku"], told["quantity"], told["amount"],
                          told["currency"], told["reference"]),
                         ("confirmed", sku, 2, 1400, "usd", "cart-9"))
        self.assertEqual([entry["status"] for entry in told["history"]], ["reserved", "confirmed"])
        self.assertNotIn("reason", told)
        for name in ("created_at", "updated_at"):
            self.assertRegex(told[name], r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$")

    def test_waiting_for_a_declined_card(self):
        sku = self.stack.item(stock=5)
        order = self.send({"sku": sku, "quantity": 1,
                           "payment_method": "pm_card_chargeDeclined"}).json["id"]
        answer = self.stack.call("ann", "GET", f"/v1/orders/{order}", headers={"Prefer": "wait=20"},
                                 timeout=25)
        self.assertEqual((answer.json["status"], answer.json["reason"]),
                         ("rejected", "payment_declined"))


class Leaving(Api):
    proxied = ("amqp",)

    def test_sigterm_answers_what_it_has_accepted(self):
        proxy = self.stack.proxies["amqp"]
        leaver = self.stack.start("producer")
        proxy.delay(0.15)  # far from overdue
        with ThreadPoolExecutor(20) as pool:
            futures = [pool.submit(self.stack.post, "ann", SKU, producer=leaver) for _ in range(20)]
            time.sleep(0.1)
            begun = time.monotonic()
            leaver.terminate()
            answers = [future.result() for future in futures]
        self.assertEqual([answer.status for answer in answers], [202] * 20)
        leaver.finish(10)
        self.assertLess(time.monotonic() - begun, 6)
        proxy.delay(0)
        target = urllib.parse.urlsplit(leaver.url)
        with self.assertRaises(ConnectionError):
            socket.create_connection((target.hostname, target.port), 2)

    def test_sigterm_ends_waiting_lookups(self):
        leaver = self.stack.start("producer")
        order = self.stack.post("ann", SKU, producer=leaver).json["id"]
        with ThreadPoolExecutor(1) as pool:
            future = pool.submit(self.stack.call, "ann", "GET", f"/v1/orders/{order}", None,
                                 {"Prefer": "wait=25"}, leaver, 30)
            time.sleep(0.5)
            begun = time.monotonic()
            leaver.terminate()
            self.assertEqual(future.result().json["status"], "queued")
            self.assertLess(time.monotonic() - begun, 4)
        leaver.finish(10)


class Several(Api):
    """Two producers on one port."""

    daemons = ()

    def test_both_serve_and_one_may_die(self):
        port = harness.free_port()
        pair = [self.stack.start("producer", CHECKOUT_LISTEN=f"127.0.0.1:{port}") for _ in range(2)]
        def order():
            return self.stack.post("ann", SKU, producer=pair[0])
        with ThreadPoolExecutor(20) as pool:
            answers = list(pool.map(lambda _: order(), range(200)))
        self.assertEqual({answer.status for answer in answers}, {202})
        shares = [daemon.metric("checkout_orders_accepted_total") for daemon in pair]
        self.assertEqual(sum(shares), 200)
        self.assertGreater(min(shares), 20)
        pair[1].kill()
        answers = [order() for _ in range(20)]
        self.assertEqual({answer.status for answer in answers}, {202})

    def test_a_retry_at_the_other_gives_the_same_id(self):
        pair = [self.stack.start("producer") for _ in range(2)]
        ids = {self.stack.post("ann", SKU, key="same", producer=daemon).json["id"] for daemon in pair}
        self.assertEqual(len(ids), 1)


class Crowd(Api):
    """Many at once, and clients that are slow or gone."""

    items = (SKU, *MANY)

    def test_a_thousand_connections(self):
        target = urllib.parse.urlsplit(self.url)
        token = self.stack.token("ann")
        sockets = [socket.create_connection((target.hostname, target.port), 10) for _ in range(1000)]
        try:
            for i, one in enumerate(sockets):
                body = json.dumps({"sku": MANY[i % len(MANY)], "quantity": 1, "payment_method": "pm"})
                one.sendall((f"POST /v1/orders HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\n"
                             f"Content-Type: application/json\r\nIdempotency-Key: crowd-{i}\r\n"
                             f"Content-Length: {len(body)}\r\n\r\n{body}").encode())
            answers = [one.recv(65536) for one in sockets]
        finally:
            for one in sockets:
                one.close()
        for i, answer in enumerate(answers):
            if not answer.startswith(b"HTTP/1.1 202 "):     # on a busy machine some would wait for too long
                self.assertRegex(answer, rb"^HTTP/1\.1 503 (.*\r\n)+Retry-After: \d")
                self.assertIn(b"/problems/overloaded", answer)
                again = self.stack.post("ann", MANY[i % len(MANY)], key=f"crowd-{i}", payment_method="pm")
                self.assertEqual(again.status, 202)
        found = [job["order_id"] for _, _, body in take_all(self.stack)
                 for job in json.loads(body)["jobs"]]
        self.assertGreaterEqual(len(set(found)), 1000)
        if not harness_daemon.sanitized("checkout-producer"):
            self.assertLess(self.stack.daemon("producer").resident_bytes(), 64 << 20)

    def test_clients_that_do_not_wait_for_their_answer(self):
        target = urllib.parse.urlsplit(self.url)
        for i in range(100):
            connection = http.client.HTTPConnection(target.hostname, target.port, timeout=5)
            connection.request("POST", "/v1/orders", json.dumps(
                {"sku": SKU, "quantity": 1, "payment_method": "pm"}),
                {"Authorization": "Bearer " + self.stack.token("ann"), "Idempotency-Key": f"gone-{i}",
                 "Content-Type": "application/json"})
            connection.sock.close() if i % 2 else connection.close()
        self.assertEqual(self.send().status, 202)
        wait_until(lambda: self.stack.daemon("producer").metric("checkout_publish_waiting_jobs") == 0,
                   5, "nothing waits any more")

    def test_clients_that_drip_do_not_stop_others(self):
        target = urllib.parse.urlsplit(self.url)
        drips = [socket.create_connection((target.hostname, target.port), 5) for _ in range(200)]
        stop = threading.Event()

        def drip():
            while not stop.wait(0.05):
                for one in drips:
                    one.send(b"G")
        dripping = threading.Thread(target=drip)
        dripping.start()
        try:
            self.assertLess(self.usually(20), 1)
        finally:
            stop.set()
            dripping.join()
            for one in drips:
                one.close()


class Crowded(Api):
    settings = {"CHECKOUT_CONNECTIONS_MAX": 16}

    def test_the_idle_make_room_soon(self):
        target = urllib.parse.urlsplit(self.url)
        idle = [socket.create_connection((target.hostname, target.port), 5) for _ in range(16)]

        def served():
            try:
                return self.send().status == 202
            except OSError:  # closed at once: no room yet
                return False
        try:
            wait_until(served, 20, "the door has room again")  # the usual idle time is a minute
        finally:
            for one in idle:
                one.close()


class Idle(Api):
    """Very many connections that send nothing, or half a request."""

    MANY = 10000
    settings = {"CHECKOUT_CONNECTIONS_MAX": 12000}  # nearly all taken, the idle ones would be closed after 5 s

    def setUp(self):
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        if hard < self.MANY + 3000:
            self.skipTest(f"a process may have {hard} descriptors here")
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
        self.addCleanup(resource.setrlimit, resource.RLIMIT_NOFILE, (soft, hard))

    def descriptors(self):
        return len(os.listdir(f"/proc/{self.stack.daemon('producer').pid}/fd"))

    def test_ten_thousand_idle_connections_delay_nobody(self):
        target = urllib.parse.urlsplit(self.url)
        token = self.stack.token("ann")
        head = f"POST /v1/orders HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\nContent-Length: 100\r\n"
        parts = ("", "P", head, head + "\r\n", head + '\r\n{"sku":')
        idle = []
        self.addCleanup(lambda: [one.close() for one in idle])
        for n in range(self.MANY):
            idle.append(socket.create_connection((target.hostname, target.port), 10))
            idle[-1].sendall(parts[n % len(parts)].encode())
            if n % 1000 == 999: # while they come, too
                self.assertEqual(self.send().status, 202)
        wait_until(lambda: self.descriptors() >= self.MANY, 30,
                   "all connections to be taken")
        for _ in range(100):
            self.assertEqual(self.send().status, 202)
        if not harness_daemon.sanitized("checkout-producer"):
            self.assertLess(self.stack.daemon("producer").resident_bytes(), 128 << 20)
        for one in idle:
            one.close()
        idle.clear()
        wait_until(lambda: self.descriptors() < 100, 20,
                   "the connections to be forgotten")
        self.assertEqual(self.send().status, 202)


if __name__ == "__main__":
    harness.main()
