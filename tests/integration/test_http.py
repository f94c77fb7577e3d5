#!/usr/bin/python3
"""HTTP as RFC 9110 and 9112 want it, byte by byte, at the running producer and notifier; and behind a real proxy."""

import collections
import contextlib
import ctypes
import ctypes.util
import http.client
import json
import os
import re
import signal
import socket
import shutil
import subprocess
import tempfile
import threading
import time
import urllib.parse
import uuid

import harness
from harness import wait_until
from harness_client import PROBLEMS, Listener, http_call, raw
from harness_daemon import build_directory, program
from harness_front import Front, Recorder, needs

ORIGINS = "https://Shop.Example,https://pay.example:443,capacitor://localhost"
BODY = {"sku": "hat", "quantity": 1, "payment_method": "pm_card_visa"}
HANDSHAKE = ("Upgrade: websocket", "Sec-WebSocket-Version: 13", "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==")
HEAD_MAX = 16384


def library():
    """Version of libmicrohttpd."""
    version = ctypes.CDLL(ctypes.util.find_library("microhttpd")).MHD_get_version
    version.restype = ctypes.c_char_p
    return tuple(map(int, re.findall(rb"\d+", version())[:3]))


LIBRARY = library()


class Http(harness.TestCase):
    daemons = ("producer", "notifier")
    settings = {"CHECKOUT_ORIGINS": ORIGINS}

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.producer, cls.notifier = cls.stack.daemon("producer"), cls.stack.daemon("notifier")
        cls.stack.item("hat", stock=1000)
        cls.both = (cls.producer.url, "/v1/items/hat", 200), (cls.notifier.url, "/v1/events", 400)

    def connect(self, url):
        target = urllib.parse.urlsplit(url)
        connection = socket.create_connection((target.hostname, target.port), 10)
        self.addCleanup(connection.close)
        return connection

    def order(self, *headers, body=None):
        body = json.dumps(BODY if body is None else body)
        return "\r\n".join(("POST /v1/orders HTTP/1.1", "Host: x", f"Authorization: Bearer {self.stack.token('ann')}",
                            f"Idempotency-Key: {uuid.uuid4()}", "Content-Type: application/json",
                            f"Content-Length: {len(body)}", *headers, "", body)).encode()

    @staticmethod
    def until_the_end(connection):
        got = b""
        try:
            while piece := connection.recv(65536):
                got += piece
        except TimeoutError:
            raise AssertionError(f"no end after {got!r}") from None
        return got

    def the_one_problem(self, url, data, status, name, by_library=False):
        """`data` gets exactly one answer, a whole problem, and then the end. `by_library`: newer versions of the library may
        answer it themselves."""
        connection = self.connect(url)
        connection.sendall(data)
        got = self.until_the_end(connection)
        head, _, body = got.partition(b"\r\n\r\n")
        self.assertTrue(got.startswith(b"HTTP/1.1 %d " % status), got[:300])
        self.assertEqual(got.count(b"HTTP/1.1 "), 1, got)
        self.assertEqual(got.lower().count(b"content-length:"), 1, got)
        self.assertIn(b"Connection: close", head)
        if by_library and LIBRARY >= (0, 9, 77) and b"Content-Type: application/problem+json" not in head:
            return
        self.assertIn(b"Content-Type: application/problem+json", head)
        problem = json.loads(body)
        self.assertEqual(problem["type"], f"/problems/{name}")
        self.assertEqual((status, problem["title"]), PROBLEMS[problem["type"]])
        self.assertTrue(problem["detail"])


class HalfClosed(Http):
    """The end of the client's side ends nothing while its request is open."""

    def noise(self, stop):
        token, target = self.stack.token("noise"), urllib.parse.urlsplit(self.producer.url)
        while not stop.is_set():
            connection = http.client.HTTPConnection(target.hostname, target.port, timeout=10)
            connection.request("POST", "/v1/orders", json.dumps(BODY),
                               {"Authorization": "Bearer " + token, "Idempotency-Key": uuid.uuid4().hex,
                                "Content-Type": "application/json"})
            connection.getresponse().read()
            connection.close()

    def test_under_load_everybody_gets_the_answer(self):
        stop = threading.Event()
        threads = [threading.Thread(target=self.noise, args=(stop,), daemon=True) for _ in range(6)]
        for thread in threads:
            thread.start()
        try:
            seen = collections.Counter()
            for _ in range(300):
                connection = self.connect(self.producer.url)
                connection.sendall(self.order())
                connection.shutdown(socket.SHUT_WR)
                seen[self.until_the_end(connection)[:12]] += 1
                connection.close()
        finally:
            stop.set()
            for thread in threads:
                thread.join(20)
        self.assertEqual(seen, {b"HTTP/1.1 202": 300})

    def test_an_answer_that_waits_comes_too(self):
        order = self.stack.post("ann", "hat").json["id"]
        connection = self.connect(self.producer.url)
        connection.sendall(f"GET /v1/orders/{order} HTTP/1.1\r\nHost: x\r\nPrefer: wait=1\r\n"
                           f"Authorization: Bearer {self.stack.token('ann')}\r\n\r\n".encode())
        connection.shutdown(socket.SHUT_WR)
        self.assertTrue(self.until_the_end(connection).startswith(b"HTTP/1.1 200 "))

    def test_the_notifier(self):
        connection = self.connect(self.notifier.url)
        connection.sendall(b"GET /v1/events HTTP/1.1\r\nHost: x\r\n\r\n")
        connection.shutdown(socket.SHUT_WR)
        self.assertTrue(self.until_the_end(connection).startswith(b"HTTP/1.1 400 "))

    def test_half_a_request_gets_none(self):
        for data in (b"GET /v1/items/hat HTTP/1.1\r\nHost:", self.order()[:-5]):
            connection = self.connect(self.producer.url)
            connection.sendall(data)
            connection.shutdown(socket.SHUT_WR)
            self.assertEqual(self.until_the_end(connection), b"")


class Heads(Http):
    def test_an_absolute_target_is_its_path(self):
        for target in ("http://shop.example/v1/items/hat", "HTTPS://shop.example:8443/v1/items/hat?x=1"):
            self.assertTrue(raw(self.producer.url, f"GET {target} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
                            .startswith(b"HTTP/1.1 200 "), target)
        answer = raw(self.notifier.url, "\r\n".join((
            "GET http://events.example/v1/events?ticket=none HTTP/1.1", "Host: x", "Connection: Upgrade",
            "Sec-WebSocket-Protocol: cloudevents.json", *HANDSHAKE, "", "")).encode())
        self.assertTrue(answer.startswith(b"HTTP/1.1 401 "), answer)    # it came to the handshake, with this ticket

    def test_a_list_in_several_lines_is_one_list(self):
        connection = self.connect(self.notifier.url)
        connection.sendall("\r\n".join((
            "GET /v1/events HTTP/1.1", "Host: x", "Connection: keep-alive", *HANDSHAKE, "connection: Upgrade",
            "Sec-WebSocket-Protocol: chat", "Sec-WebSocket-Protocol: cloudevents.json",
            f"Authorization: Bearer {self.stack.token('ann')}", "", "")).encode())
        self.assertTrue(connection.recv(65536).startswith(b"HTTP/1.1 101 "))

    def test_prefer_in_two_lines(self):
        order = self.stack.post("ann", "hat").json["id"]
        began = time.monotonic()
        answer = raw(self.producer.url, f"GET /v1/orders/{order} HTTP/1.1\r\nHost: x\r\nPrefer: respond-async\r\n"
                     f"Prefer: wait=1\r\nAuthorization: Bearer {self.stack.token('ann')}\r\n\r\n".encode())
        self.assertTrue(answer.startswith(b"HTTP/1.1 200 "), answer)
        self.assertGreater(time.monotonic() - began, 0.9)

    def test_close_in_a_second_line_closes(self):
        for url, path, status in self.both:
            connection = self.connect(url)
            connection.sendall(f"GET {path} HTTP/1.1\r\nHost: x\r\nConnection: x\r\nConnection: y, Close\r\n\r\n".encode())
            self.assertTrue(self.until_the_end(connection).startswith(b"HTTP/1.1 %d " % status))

    def test_white_space_before_the_colon(self):
        for url, path, _ in self.both:
            for line in ("Foo : bar", "Foo\t: bar", "Transfer-Encoding : chunked"):
                self.the_one_problem(url, f"GET {path} HTTP/1.1\r\nHost: x\r\n{line}\r\n\r\n".encode(), 400,
                                     "invalid-request", by_library=True)

    def test_a_folded_line(self):
        """RFC 9112, 5.2: 400, or spaces in its place, as newer versions of the library do."""
        for url, path, status in self.both:
            data = f"GET {path} HTTP/1.1\r\nHost: x\r\nX-Old: a\r\n folded: x\r\n\r\n".encode()
            if LIBRARY >= (0, 9, 77):
                self.assertTrue(raw(url, data).startswith(b"HTTP/1.1 %d " % status))
            else:
                self.the_one_problem(url, data, 400, "invalid-request")

    def test_empty_lines_before_a_request_are_passed_over(self):
        for url, path, status in self.both:
            self.assertTrue(raw(url, f"\r\n\r\nGET {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
                            .startswith(b"HTTP/1.1 %d " % status))

    def head_of(self, path, size):
        start = f"GET {path} HTTP/1.1\r\nHost: x\r\nCookie: c="
        return (start + "x" * (size - len(start) - 4) + "\r\n\r\n").encode()

    def test_16_kib_of_head_fit(self):
        for url, path, status in self.both:
            for size in (4000, 8000, HEAD_MAX):
                answer = raw(url, self.head_of(path, size))
                self.assertTrue(answer.startswith(b"HTTP/1.1 %d " % status), answer[:200])
            for size in (HEAD_MAX + 1, 20000):
                self.the_one_problem(url, self.head_of(path, size), 431, "headers-too-large")
            # far beyond, the library answers in words of its own
            self.assertTrue(raw(url, self.head_of(path, 60000)).startswith(b"HTTP/1.1 431 "))

    def test_16_kib_in_a_hundred_headers_fit(self):
        for url, path, status in self.both:
            head = f"GET {path} HTTP/1.1\r\nHost: x\r\n"
            size, rest = divmod(HEAD_MAX - len(head) - 2, 99)
            for number in range(99):
                name = f"X-{number}: "
                head += name + "y" * (size - len(name) - 2 + (rest if number == 0 else 0)) + "\r\n"
            answer = raw(url, (head + "\r\n").encode())
            self.assertEqual(len(head) + 2, HEAD_MAX)
            self.assertTrue(answer.startswith(b"HTTP/1.1 %d " % status), answer[:200])

    def test_a_head_byte_by_byte(self):
        connection = self.connect(self.producer.url)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for byte in self.order():
            connection.send(bytes((byte,)))
        self.assertTrue(connection.recv(65536).startswith(b"HTTP/1.1 202 "))


class Refusals(Http):
    """400, 413 and 431 are problems, exactly once."""

    def test_400(self):
        for url, path, _ in self.both:
            for data in (f"GET {path} HTTP/1.1\r\n\r\n",
                         f"GET {path} HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\nx",
                         f"GET {path} HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: gzip\r\n\r\n"):
                self.the_one_problem(url, data.encode() + b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", 400, "invalid-request",
                                     by_library="gzip" in data)

    def test_413(self):
        lines = self.order().replace(b"Content-Length: ", b"X-Was: ").partition(b"\r\n\r\n")[0]
        for data in (lines + b"\r\nContent-Length: 1000000000\r\n\r\n",
                     lines + b"\r\nContent-Length: 100000\r\n\r\n" + b" " * 100000,
                     lines + b"\r\nContent-Length: 5000\r\nExpect: 100-continue\r\n\r\n",
                     lines + b"\r\nTransfer-Encoding: chunked\r\n\r\n" + (b"4000\r\n" + b" " * 0x4000 + b"\r\n") * 64):
            self.the_one_problem(self.producer.url, data, 413, "too-large")

    def test_a_body_a_little_too_large_keeps_the_connection(self):
        connection = self.connect(self.producer.url)
        connection.sendall(self.order(body={**BODY, "reference": "x" * 9000}) + self.order())
        got = b""
        while got.count(b"HTTP/1.1 ") < 2:
            piece = connection.recv(65536)
            self.assertTrue(piece, got)
            got += piece
        self.assertTrue(got.startswith(b"HTTP/1.1 413 "), got)
        self.assertIn(b"HTTP/1.1 202 ", got)

    def test_what_the_library_refuses_is_refused_and_ends(self):
        """libmicrohttpd answers these itself, or closes: not as a problem (docs/decisions/libmicrohttpd.md)."""
        for url, path, _ in self.both:
            for data, starts in (("GET\r\n\r\n", b""), (f"GET {path} HTTP/2.0\r\nHost: x\r\n\r\n", b"HTTP/1.1 505 "),
                                 (f"GET {path} HTTP/1.1\r\nHost: x\r\nContent-Length: x\r\n\r\n", b"HTTP/1.1 400 ")):
                connection = self.connect(url)
                connection.sendall(data.encode())
                got = self.until_the_end(connection)
                self.assertTrue(got.startswith(starts), got)
                self.assertNotIn(b"HTTP/1.1 2", got)

    def test_continue_is_said_before_the_body_comes(self):
        connection = self.connect(self.producer.url)
        head, _, body = self.order("Expect: 100-continue").partition(b"\r\n\r\n")
        connection.sendall(head + b"\r\n\r\n")
        self.assertEqual(connection.recv(65536), b"HTTP/1.1 100 Continue\r\n\r\n")
        connection.sendall(body)
        self.assertTrue(connection.recv(65536).startswith(b"HTTP/1.1 202 "))

    def test_old_clients(self):
        token = self.stack.token("ann")
        for more, kept in (("", False), ("Connection: Keep-Alive\r\n", True)):
            connection = self.connect(self.producer.url)
            request = f"GET /v1/orders HTTP/1.0\r\nAuthorization: Bearer {token}\r\n{more}\r\n".encode()
            connection.sendall(request)
            answer = connection.recv(65536)
            self.assertTrue(answer.startswith(b"HTTP/1.1 200 "), answer)
            self.assertIn(b"connection: keep-alive" if kept else b"connection: close", answer.lower())
            if kept:
                connection.sendall(request)
            self.assertEqual(connection.recv(65536)[:13], b"HTTP/1.1 200 " if kept else b"")


class Origins(Http):
    def test_both_programs_take_the_browsers_form(self):
        for origin, allowed in (("https://shop.example", True), ("https://pay.example", True),
                                ("capacitor://localhost", True), ("http://shop.example", False),
                                ("https://shop.example:8443", False), ("null", False)):
            answer = http_call(self.producer.url, "GET", "/v1/items/hat", {"Origin": origin})
            self.assertEqual(answer.headers["Access-Control-Allow-Origin"], origin if allowed else None, origin)
            answer = raw(self.notifier.url, "\r\n".join((
                "GET /v1/events HTTP/1.1", "Host: x", "Connection: Upgrade", *HANDSHAKE, f"Origin: {origin}",
                "Sec-WebSocket-Protocol: cloudevents.json", "", "")).encode())
            self.assertEqual(answer.split()[1], b"401" if allowed else b"403", origin)  # 401: it came past the origin


class Life(Http):
    daemons = ()

    @classmethod
    def setUpClass(cls):
        harness.TestCase.setUpClass.__func__(cls)
        cls.stack.item("hat", stock=1000)

    @staticmethod
    def wait_served(daemon, path):
        """PostgreSQL, which /readyz waits for two seconds at the most, is there."""
        wait_until(lambda: http_call(daemon.url, "GET", path).status in (200, 404), 10, f"{path} to be served")

    def test_keepalive(self):
        quick, usual = self.stack.start("producer", CHECKOUT_KEEPALIVE="1s"), self.stack.start("producer")
        connections = {}
        for daemon in (quick, usual):
            self.wait_served(daemon, "/v1/items/hat")
            connections[daemon] = self.connect(daemon.url)
            connections[daemon].sendall(b"GET /v1/items/hat HTTP/1.1\r\nHost: x\r\n\r\n")
            self.assertTrue(connections[daemon].recv(65536).startswith(b"HTTP/1.1 200 "))
        self.assertEqual(connections[quick].recv(1), b"")   # closed, within the socket's 10 s
        connections[usual].sendall(b"GET /v1/items/hat HTTP/1.1\r\nHost: x\r\n\r\n")
        self.assertTrue(connections[usual].recv(65536).startswith(b"HTTP/1.1 200 "))
        text = subprocess.run([program("checkout-producer"), "--help"], check=True, capture_output=True, text=True).stdout
        self.assertRegex(text, r"CHECKOUT_KEEPALIVE[^\n]*(\n[^C]*)?75s")

    def test_drain_delay(self):
        for name, path in (("producer", "/v1/items/hat"), ("notifier", "/")):
            daemon = self.stack.start(name, CHECKOUT_DRAIN_DELAY="5s")
            wait_until(lambda daemon=daemon: http_call(daemon.admin, "GET", "/readyz").status == 200, 10, "ready")
            self.wait_served(daemon, path)
            began = time.monotonic()
            daemon.process.send_signal(signal.SIGTERM)
            wait_until(lambda daemon=daemon: http_call(daemon.admin, "GET", "/readyz").status == 503, 4, "not ready")
            self.assertIn("leaving", http_call(daemon.admin, "GET", "/readyz").body.decode())
            self.assertIn(http_call(daemon.url, "GET", path).status, (200, 404))   # a new connection
            self.assertEqual(daemon.process.wait(15), 0)
            self.assertGreater(time.monotonic() - began, 4.9)

    def few_descriptors(self, count):
        """Programs that may open so many descriptors, and cannot raise the limit."""
        directory = tempfile.mkdtemp(prefix="checkout-few-")
        self.addCleanup(shutil.rmtree, directory)
        os.mkdir(os.path.join(directory, "bin"))
        for name in ("checkout-producer", "checkout-notifier"):
            path = os.path.join(directory, "bin", name)
            with open(path, "w", encoding="ascii") as script:
                script.write(f"#!/bin/sh\nulimit -n {count}\nexec {os.path.join(build_directory(), 'bin', name)} \"$@\"\n")
            os.chmod(path, 0o755)
        return directory

    def test_the_admin_address_answers_when_all_connections_are_taken(self):
        build = self.few_descriptors(256)
        for name in ("producer", "notifier"):
            daemon = self.stack.start(name, build=build)
            taken = [self.connect(daemon.url) for _ in range(400)]
            taken[0].sendall(b"GET /v1/items/hat HTTP/1.1\r\nHost: x\r\n\r\n")
            self.assertTrue(taken[0].recv(65536).startswith(b"HTTP/1.1 "))
            for path in ("/livez", "/readyz", "/metrics"):
                self.assertEqual(http_call(daemon.admin, "GET", path, timeout=5).status, 200, name)
            for connection in taken:
                connection.close()
            self.assertIn(b"allows fewer connections", daemon.log_text())
            wait_until(lambda daemon=daemon: http_call(daemon.url, "GET", "/", timeout=5).status in (400, 404), 10,
                       "new connections are served again")


class BehindProxy(Http):
    """The proxies whose settings the project ships."""

    kind = "nginx"

    @classmethod
    def setUpClass(cls):
        needs(cls.kind)
        super().setUpClass()
        front = Front(cls.kind, cls.producer, cls.notifier)
        cls.addClassCleanup(front.close)
        cls.url = front.url

    def test_orders_cookies_and_events(self):
        token = self.stack.token("ann")
        for n in range(50):
            answer = http_call(self.url, "POST", "/v1/orders", {
                "Authorization": "Bearer " + token, "Idempotency-Key": f"n{n}", "Cookie": "c=" + "x" * 200 * n}, BODY)
            self.assertEqual(answer.status, 202, answer)
        listener = Listener(self.url.replace("http", "ws") + "/v1/events", {"Authorization": "Bearer " + token})
        listener.close()

    def test_what_the_api_tells_about_itself(self):
        self.assertEqual(http_call(self.url, "GET", "/openapi.json").json["info"]["title"], "Checkout")
        self.assertEqual(http_call(self.url, "GET", "/problems/sold-out").status, 200)

    def test_a_client_that_has_ended_its_side(self):
        connection = self.connect(self.url)
        connection.sendall(self.order("Connection: close"))
        self.assertTrue(self.until_the_end(connection).startswith(b"HTTP/1.1 202 "))

    def test_the_longest_token_passes(self):
        longest = self.longest_token()
        answer = http_call(self.url, "POST", "/v1/orders",
                           {"Authorization": "Bearer " + longest, "Idempotency-Key": "longest"}, BODY)
        self.assertEqual(answer.status, 202, answer)
        Listener(self.url.replace("http", "ws") + "/v1/events", {"Authorization": "Bearer " + longest}).close()
        longer = self.stack.token("ann", pad="x" * 4096)
        self.assertEqual(http_call(self.url, "GET", "/v1/orders", {"Authorization": "Bearer " + longer}).status, 401)

    def longest_token(self):
        return max((token for n in range(2900, 3100) if len(token := self.stack.token("ann", pad="x" * n)) <= 4096), key=len)

    def test_an_address_is_what_the_proxy_saw_and_not_what_a_client_says(self):
        door = self.stack.start("producer", CHECKOUT_TRUSTED_PROXIES="127.0.0.1", CHECKOUT_ORDERS_PER_ADDRESS="2/1h")
        self.addCleanup(door.stop)
        front = Front(self.kind, door, self.notifier)
        self.addCleanup(front.close)
        statuses = [http_call(front.url, "POST", "/v1/orders", {
            "Authorization": "Bearer " + self.stack.token(f"user-{n}"), "Idempotency-Key": "k",
            "X-Forwarded-For": f"198.51.100.{n}"}, BODY).status for n in range(4)]
        self.assertEqual(statuses, [202, 202, 429, 429])

    def test_no_way_of_writing_it_leads_to_the_webhooks(self):
        door = self.stack.start("producer", CHECKOUT_WEBHOOK_SECRET_FILE=self.stack.write_secret("webhook", uuid.uuid4().hex))
        self.addCleanup(door.stop)
        front = Front(self.kind, door, self.notifier)
        self.addCleanup(front.close)
        self.assertEqual(http_call(door.url, "POST", "/v1/%77ebhooks/stripe", {}, {}).status, 400)   # not signed
        for path in ("webhooks/stripe", "%77ebhooks/stripe", "webhooks%2Fstripe", "webhooks%2fstrip%65", "x/../webhooks/stripe",
                     "/webhooks/stripe", "./webhooks/stripe", "webhooks/./stripe", "%2E/webhooks/stripe"):
            with self.subTest(path=path):
                self.assertEqual(http_call(front.url, "POST", "/v1/" + path, {}, {}).status, 404)

    def test_nothing_that_a_client_says_about_its_address_reaches_the_events(self):
        with Recorder() as recorder:
            front = Front(self.kind, self.producer, recorder)
            self.addCleanup(front.close)
            with contextlib.suppress(OSError, http.client.HTTPException):
                http_call(front.url, "GET", "/v1/events", {"X-Forwarded-For": "198.51.100.1"})
        self.assertIn(b"x-forwarded-for: 127.0.0.1\r\n", recorder.head.lower())
        self.assertNotIn(b"198.51.100.1", recorder.head)


class BehindHaproxy(BehindProxy):
    kind = "haproxy"


if __name__ == "__main__":
    harness.main()
