#!/usr/bin/python3
"""The door: what it accepts, what it refuses and how it says so, and that bad input has no effect."""

import base64
import json
import os
import re
import socket
import subprocess
import time
import urllib.parse
import uuid

import jsonschema
import jwt
import pika

import harness
from harness import timed, wait_until
from harness_client import PROBLEMS, http_call, raw
from harness_contract import Contract
from harness_services import ROOT

GOOD = {"sku": "dress", "quantity": 1, "payment_method": "pm_card_visa"}
MESSAGE = "We're reserving your item! We'll confirm your order shortly."
# Newer versions of libmicrohttpd refuse some encodings before the door sees the request, in words of their own.
LIBRARY_JUDGES_ENCODINGS = subprocess.run(["pkg-config", "--atleast-version=0.9.77", "libmicrohttpd"],
                                          check=False).returncode == 0


def take_all(stack):
    """Takes every message out of all shard queues: a list of (shard, properties, body)."""
    waiting = {shard: stack.broker.depth(shard) for shard in range(stack.shards)}
    connection = pika.BlockingConnection(pika.URLParameters(stack.direct["CHECKOUT_AMQP_URL"]))
    found = []
    try:
        for shard, count in waiting.items():
            if count == 0:
                continue
            channel = connection.channel()
            for method, properties, body in channel.consume(stack.broker.queue(shard),
                                                            auto_ack=True, inactivity_timeout=5):
                if method is None:
                    raise AssertionError(f"shard {shard} held fewer messages than it said")
                found.append((shard, properties, body))
                count -= 1
                if count == 0:
                    break
    finally:
        connection.close()
    return found


CONTRACT = Contract()


class Api(harness.TestCase):
    daemons = ("producer",)
    items = ("dress",)
    settings = {"CHECKOUT_ORIGINS": "https://shop.example,http://localhost:8000, https://Pay.Example:443,"
                                    "capacitor://localhost"}

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        call = cls.stack.call

        def checked(user, method, path, *arguments, **named):
            answer = call(user, method, path, *arguments, **named)
            CONTRACT.check(method, path, answer)
            return answer
        cls.stack.call = checked

    @property
    def url(self):
        return self.stack.daemon("producer").url

    def send(self, body=None, user="ann", key=None, **headers):
        """POST /v1/orders with full control; a header given as None is left out."""
        sent = {"Content-Type": "application/json", "Idempotency-Key": key or uuid.uuid4().hex}
        sent.update({name.replace("_", "-"): value for name, value in headers.items()})
        sent = {name: value for name, value in sent.items() if value is not None}
        if body is None:
            body = dict(GOOD)
        if not isinstance(body, (str, bytes)):
            body = json.dumps(body)
        return self.stack.call(user, "POST", "/v1/orders", body, sent)

    def usually(self, count):
        """Sends so many orders, all of which are accepted: the seconds that one usually takes."""
        answers, took = timed(self.send, count)
        self.assertEqual([answer.status for answer in answers], [202] * count)
        return took

    def assert_problem(self, answer, status, name, *pointers):
        self.assertEqual((answer.status, answer.headers["Content-Type"]),
                         (status, "application/problem+json"), answer)
        self.assertEqual(answer.json["type"], "/problems/" + name, answer)
        self.assertEqual(answer.json["status"], status)
        self.assertEqual((status, answer.json["title"]), PROBLEMS["/problems/" + name])
        if status in (429, 503):
            self.assertGreater(int(answer.headers["Retry-After"]), 0)
        if pointers:
            told = [error.get("pointer", error.get("header")) for error in answer.json["errors"]]
            self.assertEqual(sorted(told), sorted(pointers), answer)
            self.assertTrue(all(error["detail"] for error in answer.json["errors"]))


class BadInput(Api):
    """Each refused clearly. After each, the server serves on and the queues are empty."""

    def tearDown(self):
        self.assertEqual(self.stack.call(None, "GET", "/v1/items/none").status, 404)
        self.assertEqual([self.stack.broker.depth(shard) for shard in range(self.stack.shards)],
                         [0] * self.stack.shards)
        self.assertEqual(self.stack.daemon("producer").running(), True)

    # -- who asks ----------------------------------------------------------------------------------

    def unauthorized(self, header):
        headers = {} if header is None else {"Authorization": header}
        answer = self.send(user=None, **headers)
        self.assert_problem(answer, 401, "unauthorized")
        self.assertTrue(answer.headers["WWW-Authenticate"].startswith("Bearer"))
        return answer.json["detail"]

    def signed(self, **claims):
        now = int(time.time())
        body = {"sub": "ann", "aud": "checkout", "exp": now + 60, **claims}
        return jwt.encode({k: v for k, v in body.items() if v is not None},
                          self.stack.secrets["JWT_SECRET"], algorithm="HS256")

    def test_no_token(self):
        self.unauthorized(None)

    def test_another_scheme(self):
        self.unauthorized("Basic YW5uOnNlY3JldA==")
        self.unauthorized(self.signed())

    def test_expired(self):
        self.assertIn("expired", self.unauthorized("Bearer " + self.signed(exp=int(time.time()) - 1)))

    def test_wrong_audience(self):
        self.assertIn("aud", self.unauthorized("Bearer " + self.signed(aud="checkout-events")))
        self.assertIn("aud", self.unauthorized("Bearer " + self.signed(aud=None)))

    def test_no_expiry_no_subject(self):
        self.assertIn("exp", self.unauthorized("Bearer " + self.signed(exp=None)))
        self.assertIn("sub", self.unauthorized("Bearer " + self.signed(sub=None)))
        self.assertIn("sub", self.unauthorized("Bearer " + self.signed(sub="")))

    def test_alg_none(self):
        claims = {"sub": "ann", "aud": "checkout", "exp": int(time.time()) + 60}
        self.unauthorized("Bearer " + jwt.encode(claims, None, algorithm="none"))
        head = base64.urlsafe_b64encode(b'{"alg":"none"}').rstrip(b"=").decode()
        self.unauthorized("Bearer " + ".".join([head] + self.signed().split(".")[1:]))

    def test_wrong_key(self):
        claims = {"sub": "ann", "aud": "checkout", "exp": int(time.time()) + 60}
        self.unauthorized("Bearer " + jwt.encode(claims, "x" * 64, algorithm="HS256"))
        self.unauthorized("Bearer " + jwt.encode(claims, self.stack.secrets["JWT_SECRET"],
                                                 algorithm="HS512"))

    def test_garbage_tokens(self):
        for token in ("", ".", "..", "a.b.c", "x" * 3000, self.signed()[:-5], self.signed() + "x"):
            with self.subTest(token=token[:20]):
                self.unauthorized("Bearer " + token)

    def test_a_token_longer_than_any_head(self):
        answer = raw(self.url, b"POST /v1/orders HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer "
                     + b"x" * 20000 + b"\r\n\r\n")
        self.assertIn(answer.split()[1], (b"431", b"413", b"400"))

    # -- the key -------------------------------------------------------------------------------------

    def test_keys(self):
        for key in (None, "", '""', '"open', "two words", "x" * 256, '"' + "x" * 256 + '"',
                    "k\xe9y", "k\tey"):
            with self.subTest(key=key):
                self.assert_problem(self.send(Idempotency_Key=key), 400, "invalid-request",
                                    "Idempotency-Key")

    def test_two_keys(self):
        body = json.dumps(GOOD)
        answer = raw(self.url, (
            "POST /v1/orders HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
            f"Authorization: Bearer {self.stack.token('ann')}\r\nIdempotency-Key: a\r\n"
            f"Idempotency-Key: b\r\nContent-Length: {len(body)}\r\n\r\n{body}").encode())
        self.assertIn(b"more than once", answer)
        self.assertTrue(answer.startswith(b"HTTP/1.1 400 "))

    # -- the body ------------------------------------------------------------------------------------

    def test_not_json(self):
        good = json.dumps(GOOD)
        for body in ("order please", "", " ", "[]", "null", '"x"', "7", "{'sku':'a'}", good[:-1],
                     good[:20], good + "x", good + good, good + "\0", "\ufeff" + good,
                     good.replace("1", "01"), good.replace("1", "0x1"), good.replace("1", "NaN"),
                     good.replace("}", ",}")):
            with self.subTest(body=body[:60]):
                self.assert_problem(self.send(body.encode()), 400, "invalid-request", "")

    def test_bad_utf8(self):
        for bad in (b"\xff", b"\xc3(", b"\xed\xa0\x80", b"\xc0\xaf", b"\xf4\x90\x80\x80"):
            body = json.dumps(GOOD).encode().replace(b"dress", b"dr" + bad)
            self.assert_problem(self.send(body), 400, "invalid-request", "")

    def test_half_a_surrogate_pair(self):
        self.assert_problem(self.send(json.dumps(GOOD).replace("dress", "\\ud800")), 400,
                            "invalid-request", "")

    def test_nested_too_deep(self):
        for depth in (5, 1000):
            body = '{"sku":' + "[" * depth + "]" * depth + "}"
            answer = self.send(body)
            self.assert_problem(answer, 400, "invalid-request", "")
            self.assertIn("deep", answer.json["errors"][0]["detail"])

    def test_members_unknown_missing_or_twice(self):
        self.assert_problem(self.send({**GOOD, "price": 1}), 400, "invalid-request", "/price")
        self.assert_problem(self.send({**GOOD, "a/b~c": 1}), 400, "invalid-request", "/a~1b~0c")
        for name in GOOD:
            body = {k: v for k, v in GOOD.items() if k != name}
            self.assert_problem(self.send(body), 400, "invalid-request", "/" + name)
        twice = json.dumps(GOOD)[:-1] + ',"quantity":1}'
        self.assert_problem(self.send(twice), 400, "invalid-request", "/quantity")

    def test_quantities(self):
        for text in ("0", "-1", "1.5", "1.0", "1e0", "101", "1e400", "-1e400", str(2 ** 63),
                     str(-2 ** 63 - 1), str(2 ** 64 + 1), "9" * 400, '"1"', "null", "true", "[1]",
                     "{}"):
            with self.subTest(quantity=text[:40]):
                body = f'{{"sku":"dress","payment_method":"pm_card_visa","quantity":{text}}}'
                self.assert_problem(self.send(body), 400, "invalid-request", "/quantity")

    def test_skus(self):
        for sku in ("", "x" * 65, "../../etc/passwd", "a/b", "a\\b", "a b", "a\0", "\0", "é", "a\n",
                    "a%2fb", ".", "..", "-", "-a", 7, None, ["a"], {"a": 1}, True):
            with self.subTest(sku=sku):
                self.assert_problem(self.send({**GOOD, "sku": sku}), 400, "invalid-request", "/sku")

    def test_other_members(self):
        for name, bad in (("payment_method", ("", "a b", "\0", "x" * 256, "é", 1, None, "4242424242424242", "4000-0000-0000-3220",
                                              "378282246310005")),
                          ("receipt_email", ("", "x", "@", "a@", "x" * 255, 1, None)),
                          ("reference", ("", "x" * 65, "a b", "é", "\0", 1, None)),
                          ("unit_price", (-1, 1.5, "1", 10 ** 11, 2 ** 63, None, True))):
            for value in bad:
                with self.subTest(name=name, value=value):
                    self.assert_problem(self.send({**GOOD, name: value}), 400, "invalid-request",
                                        "/" + name)

    def test_an_address_that_a_mail_or_the_smtp_dialogue_would_read_otherwise(self):
        pattern = re.compile(CONTRACT.document["components"]["schemas"]["NewOrder"]["properties"]["receipt_email"]
                             ["pattern"].replace("$", r"\Z"))      # Python's $ lets a line feed pass
        for address in ("ann@example.org", "o'hara+x!#$%&*/=?^`{|}~@example.org", "jürgen@bücher.example", "a@b"):
            self.assertRegex(address, pattern)
        for address in ("a@b@c", "a b@c", "a@b\r\nBcc: eve@example.org", "a@b\n", "a\r@b", "a@b,eve@example.org",
                        "<a@b>", "a@b>", "a@b> SIZE=1", "Ann <a@b>", '"a"@b', "a(b)@c", "a;b@c", "g:a@b", "a\\@b",
                        "a@[192.0.2.1]", "a@.b", "a@b..c", "a@b/c", "a\u2028@b", "a\u200b@b", "a\u202e@b", "a\0@b"):
            with self.subTest(address=address):
                self.assertNotRegex(address, pattern)
                self.assert_problem(self.send({**GOOD, "receipt_email": address}), 400, "invalid-request",
                                    "/receipt_email")

    def test_several_errors_are_told_together(self):
        answer = self.send({"sku": "", "quantity": 0, "x": 1}, Idempotency_Key=None)
        self.assert_problem(answer, 400, "invalid-request", "Idempotency-Key", "/sku", "/quantity",
                            "/x", "/payment_method")

    def test_too_large(self):
        body = json.dumps({**GOOD, "reference": "x" * 5000})
        self.assert_problem(self.send(body), 413, "too-large")
        self.assert_problem(self.send(json.dumps(GOOD) + " " * 5120), 413, "too-large")
        chunks = b"".join(b"400\r\n" + b" " * 0x400 + b"\r\n" for _ in range(5)) + b"0\r\n\r\n"
        answer = raw(self.url, self.head("Transfer-Encoding: chunked") + chunks)
        self.assertTrue(answer.startswith(b"HTTP/1.1 413 "), answer)

    def test_far_too_large_is_not_read(self):
        answer = raw(self.url, self.head("Content-Length: 1000000000"))
        self.assertTrue(answer.startswith(b"HTTP/1.1 413 "), answer)
        endless = self.head("Transfer-Encoding: chunked") + (b"4000\r\n" + b" " * 0x4000 + b"\r\n") * 64
        try:
            answer = raw(self.url, endless)
        except ConnectionError:
            answer = b""
        self.assertFalse(answer.startswith(b"HTTP/1.1 2"), answer)

    def test_content_types(self):
        for kind in (None, "text/plain", "application/xml", "application/jsonx",
                     "application/x-www-form-urlencoded", "application/json; charset=utf-16"):
            with self.subTest(kind=kind):
                self.assert_problem(self.send(Content_Type=kind), 415, "unsupported-media-type")

    def test_a_compressed_body_is_refused_as_such(self):
        answer = self.send(Content_Encoding="gzip")
        self.assert_problem(answer, 415, "unsupported-media-type")
        self.assertIn("Content-Encoding", answer.json["detail"])

    # -- the request -----------------------------------------------------------------------------------

    def head(self, *headers):
        lines = ["POST /v1/orders HTTP/1.1", "Host: x", "Content-Type: application/json",
                 f"Authorization: Bearer {self.stack.token('ann')}", "Idempotency-Key: k", *headers]
        return ("\r\n".join(lines) + "\r\n\r\n").encode()

    def refused_raw(self, data):
        answer = raw(self.url, data)
        self.assertTrue(answer.startswith(b"HTTP/1.1 400 "), answer)
        self.assertIn(b"application/problem+json", answer)
        self.assertIn(b"Connection: close", answer)
        problem = json.loads(answer.partition(b"\r\n\r\n")[2])
        self.assertEqual((400, problem["title"]), PROBLEMS["/problems/invalid-request"])
        return answer

    def test_two_content_lengths(self):
        body = json.dumps(GOOD).encode()
        for second in (len(body), 0, 5):
            self.refused_raw(self.head(f"Content-Length: {len(body)}", f"Content-Length: {second}")
                             + body)

    def test_content_length_with_transfer_encoding(self):
        body = json.dumps(GOOD).encode()
        chunked = b"%x\r\n%s\r\n0\r\n\r\n" % (len(body), body)
        for headers in ((f"Content-Length: {len(body)}", "Transfer-Encoding: chunked"),
                        ("Transfer-Encoding: chunked", "Content-Length: 3")):
            self.refused_raw(self.head(*headers) + chunked)

    def test_strange_transfer_encodings(self):
        for value in ("gzip, chunked", "chunked, chunked", "xchunked", "identity"):
            data = self.head(f"Transfer-Encoding: {value}") + b"0\r\n\r\n"
            if LIBRARY_JUDGES_ENCODINGS:
                answer = raw(self.url, data)
                self.assertTrue(answer.startswith(b"HTTP/1.1 400 "), answer)
                self.assertIn(b"Connection: close", answer)
            else:
                self.refused_raw(data)
        self.refused_raw(self.head("Transfer-Encoding: chunked", "Transfer-Encoding: chunked")
                         + b"0\r\n\r\n")

    def test_hosts(self):
        self.refused_raw(b"GET /v1/items/x HTTP/1.1\r\n\r\n")
        self.refused_raw(b"GET /v1/items/x HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n")

    def test_a_request_smuggled_behind_another_is_not_seen(self):
        inner = self.head("Content-Length: 0")
        answer = self.refused_raw(self.head("Content-Length: 0", f"Content-Length: {len(inner)}")
                                  + inner)
        self.assertEqual(answer.count(b"HTTP/1.1 "), 1)

    def test_a_request_behind_a_body_of_doubtful_length_is_never_taken(self):
        body = json.dumps(GOOD).encode()
        inner = self.head(f"Content-Length: {len(body)}") + body
        size, chunked = b"%x" % len(body), self.head("Transfer-Encoding: chunked")
        for first, end in ((b"0x" + size, b"\r\n"), (b"+" + size, b"\r\n"), (b"-" + size, b"\r\n"), (b" " + size, b"\r\n"),
                           (size + b" ", b"\r\n"), (b"f" * 17 + size, b"\r\n"), (b"%x" % (len(body) - 1), b"\r\n"), (size, b""),
                           (b"", b"\r\n"), (size + b";a\nb", b"\r\n")):
            with self.subTest(size=first, end=end):
                self.nothing_taken(chunked + first + b"\r\n" + body + end + b"0\r\n\r\n" + inner)
        hidden = self.head("X: a\nContent-Length: 0", f"Content-Length: {len(inner)}")
        self.nothing_taken(hidden + inner)

    def nothing_taken(self, data):
        answer = raw(self.url, data)
        self.assertRegex(answer, rb"^HTTP/1.1 4(00|13) ")
        self.assertEqual((answer.count(b"HTTP/1.1 "), b"Connection: close" in answer), (1, True), answer)
        self.assertEqual(take_all(self.stack), [])

    def test_a_content_length_that_is_no_number(self):
        for value in ("x", "5x", "-1", "+5", "0x10", "9" * 30):
            answer = raw(self.url, self.head(f"Content-Length: {value}") + b"{}")
            self.assertIn(answer.split()[1], (b"400", b"413"), answer)

    def test_a_truncated_body(self):
        target = urllib.parse.urlsplit(self.url)
        with socket.create_connection((target.hostname, target.port), 5) as connection:
            connection.sendall(self.head("Content-Length: 100") + b'{"sku":')

    def test_noise_instead_of_http(self):
        for noise in (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + os.urandom(200),
                      os.urandom(500) + b"\r\n\r\n", b"\r\n" * 50, b"GET\r\n\r\n", b"\0" * 100):
            target = urllib.parse.urlsplit(self.url)
            with socket.create_connection((target.hostname, target.port), 5) as connection:
                connection.sendall(noise)
                connection.shutdown(socket.SHUT_WR)  # it sees the end, within seconds
                try:
                    self.assertFalse(connection.recv(65536).startswith(b"HTTP/1.1 2"))
                except ConnectionError:
                    pass

    def test_wrong_methods(self):
        for method, path, allowed in (("PUT", "/v1/orders", "POST"), ("PATCH", "/v1/orders", "GET"),
                                      ("DELETE", "/v1/orders", "GET"),
                                      ("POST", "/v1/items/x", "GET"),
                                      ("POST", f"/v1/orders/{uuid.uuid4()}", "GET"),
                                      ("TRACE", "/v1/orders", "GET")):
            with self.subTest(method=method, path=path):
                answer = self.stack.call("ann", method, path)
                self.assert_problem(answer, 405, "method-not-allowed")
                self.assertIn(allowed, answer.headers["Allow"])

    def test_unknown_paths(self):
        for path in ("/", "/v1", "/v1/order", "/v1/orders/", "/v1/orders/a/b", "/v2/orders",
                     "/v1/orders%00", "/V1/orders", "/v1/items/", "/metrics", "/livez", "/readyz",
                     "//v1/orders", "/v1/orders/../items/x", "/v1/items/..%2f..%2fetc"):
            with self.subTest(path=path):
                self.assert_problem(self.stack.call("ann", "GET", path), 404, "not-found")

    # -- somebody else's order ----------------------------------------------------------------------

    def test_ids_of_others_forged_and_malformed(self):
        bobs = harness.order_id(self.stack.secrets["ORDER_SECRET"], "bob", "key")
        anns = harness.order_id(self.stack.secrets["ORDER_SECRET"], "ann", "key")
        self.assertEqual(self.stack.status("ann", anns).status, 200)
        forged = harness.order_id("another secret", "ann", "key")
        for wrong in (bobs, forged, anns.upper(), anns[:-1], anns + "0", "x", str(uuid.uuid4()),
                      anns.replace("-", ""), anns[:-1] + ("0" if anns[-1] != "0" else "1"), "%00",
                      "'; drop table orders"):
            with self.subTest(order=wrong):
                path = "/v1/orders/" + urllib.parse.quote(wrong)
                self.assert_problem(self.stack.call("ann", "GET", path), 404, "not-found")

    def test_the_order_of_another_buyer_that_the_database_knows(self):
        order = harness.order_id(self.stack.secrets["ORDER_SECRET"], "bob", "known")
        self.stack.sql("insert into orders (order_id, user_id, sku, shard, quantity, status, "
                       "fingerprint, sequence, accepted_at) values (%s, 'bob', 'dress', 0, 1, "
                       "'waiting', 'f', 1, now())", (order,))
        self.assertEqual(self.stack.status("bob", order).json["status"], "waiting")
        self.assert_problem(self.stack.status("ann", order), 404, "not-found")
        self.assert_problem(self.stack.call(None, "GET", f"/v1/orders/{order}"), 401, "unauthorized")
        self.assertNotIn(order, json.dumps(self.stack.call("ann", "GET", "/v1/orders").json))

    def test_bad_pages_of_a_list(self):
        bobs = harness.order_id(self.stack.secrets["ORDER_SECRET"], "bob", "key")
        for query in ("limit=0", "limit=101", "limit=-1", "limit=x", "limit=", "limit=1e2",
                      "after=x", f"after={bobs}"):
            with self.subTest(query=query):
                self.assert_problem(self.stack.call("ann", "GET", "/v1/orders?" + query), 400,
                                    "invalid-request")


class Accepting(Api):
    """What a good order gets, and what the queue gets."""

    items = ("dress", "VIP.pass_1-a", "gone", "gone2", "other", "one-off", "free")

    def setUp(self):
        self.stack.broker.purge()

    def jobs(self):
        found = []
        for shard, _, body in take_all(self.stack):
            found += [(shard, job) for job in json.loads(body)["jobs"]]
        return found

    def test_the_answer(self):
        key = uuid.uuid4().hex
        answer = self.send(key=key)
        order = harness.order_id(self.stack.secrets["ORDER_SECRET"], "ann", key)
        self.assertEqual(answer.status, 202)
        self.assertEqual(set(answer.json), {"id", "status", "message", "status_url", "events_url"})
        self.assertEqual((answer.json["id"], answer.json["status"], answer.json["message"]),
                         (order, "queued", MESSAGE))
        self.assertEqual(answer.json["status_url"], f"/v1/orders/{order}")
        self.assertEqual(answer.headers["Location"], f"/v1/orders/{order}")
        self.assertGreater(int(answer.headers["Retry-After"]), 0)
        base, _, ticket = answer.json["events_url"].partition("?ticket=")
        self.assertEqual(base, self.stack.settings["CHECKOUT_EVENTS_URL"])
        claims = jwt.decode(ticket, self.stack.ticket_secret(), ["HS256"],
                            audience="checkout-events")
        self.assertEqual(claims["sub"], "ann")
        self.assertGreater(claims["stay"], 0)
        self.assertLessEqual(claims["exp"] - claims["iat"], 600)

    def test_the_message(self):
        with open(os.path.join(ROOT, "schemas", "checkout.jobs.v1.schema.json"),
                  encoding="utf-8") as source:
            schema = json.load(source)
        trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
        body = {"sku": "VIP.pass_1-a", "quantity": 100, "payment_method": 'pm_"\\<&>',
                "receipt_email": "jürgen@example.org", "unit_price": 19900, "reference": "cart-7"}
        answer = self.send(body, user='J"ürgen\\', traceparent=trace)
        self.assertEqual(answer.status, 202, answer)
        (shard, properties, raw_body), = take_all(self.stack)
        self.assertEqual(shard, self.stack.shard(body["sku"]))
        self.assertEqual((properties.type, properties.content_type, properties.delivery_mode,
                          properties.headers["x-job-count"]),
                         ("checkout.jobs.v1", "application/json", 2, 1))
        message = json.loads(raw_body)
        jsonschema.validate(message, schema)
        job, = message["jobs"]
        self.assertEqual({name: job[name] for name in body}, body)
        self.assertEqual((job["order_id"], job["user_id"], job["traceparent"]),
                         (answer.json["id"], 'J"ürgen\\', trace))

    def test_a_retry_has_the_same_id(self):
        first, second = self.send(key="again"), self.send(key="again")
        quoted = self.send(key='"again"')
        self.assertEqual([first.status, second.status, quoted.status], [202] * 3)
        self.assertEqual({first.json["id"], second.json["id"], quoted.json["id"]},
                         {first.json["id"]})
        other = self.send(key="again", user="bob")
        self.assertEqual(other.status, 202)
        self.assertNotEqual(other.json["id"], first.json["id"])

    def test_the_same_key_with_another_body(self):
        self.assertEqual(self.send(key="reused").status, 202)
        answer = self.send({**GOOD, "quantity": 2}, key="reused")
        self.assert_problem(answer, 422, "idempotency-key-reused")
        spaced = json.dumps(dict(reversed(GOOD.items())), indent=3)
        self.assertEqual(self.send(spaced, key="reused").status, 202)
        self.assertEqual({job["quantity"] for _, job in self.jobs()}, {1})

    def test_keys_of_every_allowed_kind(self):
        for key in ("!", "~", "x" * 255, '"' + "x" * 255 + '"', "a,b;c=d", 'a"b'):
            self.assertEqual(self.send(key=key).status, 202, key)

    def test_content_types_of_every_allowed_kind(self):
        for kind in ("application/json", "application/json; charset=utf-8", "Application/JSON"):
            self.assertEqual(self.send(Content_Type=kind).status, 202, kind)

    def test_many_orders_on_one_connection_and_pipelined(self):
        token = self.stack.token("ann")
        body = json.dumps(GOOD)
        request = "".join(
            f"POST /v1/orders HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\n"
            f"Content-Type: application/json\r\nIdempotency-Key: pipe-{i}\r\n"
            f"Content-Length: {len(body)}\r\n\r\n{body}" for i in range(20)).encode()
        target = urllib.parse.urlsplit(self.url)
        with socket.create_connection((target.hostname, target.port), 5) as connection:
            connection.sendall(request)
            got = b""
            while got.count(b"events_url") < 20:
                chunk = connection.recv(65536)
                self.assertTrue(chunk, got)
                got += chunk
        self.assertEqual(got.count(b"HTTP/1.1 202 "), 20)
        self.assertEqual(len(self.jobs()), 20)

    def test_a_chunked_body_and_expect_100(self):
        token, body = self.stack.token("ann"), json.dumps(GOOD).encode()
        head = (f"POST /v1/orders HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\n"
                "Content-Type: application/json\r\nIdempotency-Key: {}\r\n")
        chunked = (head.format("c") + "Transfer-Encoding: chunked\r\n\r\n").encode() + b"".join(
            b"1\r\n%c\r\n" % byte for byte in body) + b"0\r\n\r\n"
        self.assertTrue(raw(self.url, chunked).startswith(b"HTTP/1.1 202 "))
        target = urllib.parse.urlsplit(self.url)
        with socket.create_connection((target.hostname, target.port), 5) as connection:
            connection.sendall((head.format("e") + "Expect: 100-continue\r\n"
                                f"Content-Length: {len(body)}\r\n\r\n").encode())
            self.assertTrue(connection.recv(1000).startswith(b"HTTP/1.1 100 "))
            connection.sendall(body)
            self.assertTrue(connection.recv(1000).startswith(b"HTTP/1.1 202 "))

    # -- reading ---------------------------------------------------------------------------------------

    def test_status_before_the_counter_knows_it(self):
        order = self.send().json["id"]
        answer = self.stack.status("ann", order)
        self.assertEqual((answer.status, answer.json["id"], answer.json["status"],
                          answer.json["history"]), (200, order, "queued", []))
        self.assertIn("?ticket=", answer.json["events_url"])
        self.assertEqual(answer.headers["Cache-Control"], "no-store")

    def test_waiting_for_a_final_state_that_does_not_come(self):
        order = self.send().json["id"]
        begun = time.monotonic()
        answer = self.stack.call("ann", "GET", f"/v1/orders/{order}", headers={"Prefer": "wait=1"})
        self.assertEqual((answer.status, answer.json["status"]), (200, "queued"))
        self.assertTrue(0.9 < time.monotonic() - begun < 3)

    def test_an_item(self):
        sku = self.stack.item(stock=10, price=19900, title='A "dress" é')
        answer = self.stack.call(None, "GET", f"/v1/items/{sku}")
        self.assertEqual(answer.status, 200)
        self.assertEqual(answer.json, {"sku": sku, "title": 'A "dress" é', "price": 19900,
                                       "currency": "usd", "available": 10, "state": "on_sale",
                                       "waiting": 0})
        self.assertEqual(answer.headers["Cache-Control"], "public, max-age=1")
        self.stack.sql("update items set held = 1, sold = 9 where sku = %s", (sku,))
        wait_until(lambda: self.stack.call(None, "GET", f"/v1/items/{sku}").json["available"] == 0,
                   3, "the change is seen")
        for change, state in (("sold = 10, held = 0", "sold_out"), ("paused = true", "paused"),
                              ("paused = false, closes_at = now()", "closed"),
                              ("opens_at = now() + interval '1 hour', closes_at = null", "upcoming")):
            self.stack.sql(f"update items set {change} where sku = %s", (sku,))
            wait_until(lambda: self.stack.call(None, "GET", f"/v1/items/{sku}").json["state"] == state,
                       3, f"the state {state}")

    def test_the_list_page_by_page(self):
        orders = []
        for i in range(5):
            order = harness.order_id(self.stack.secrets["ORDER_SECRET"], "lister", f"key-{i}")
            self.stack.sql(
                "insert into orders (order_id, user_id, sku, shard, quantity, status, reason, "
                "fingerprint, sequence, accepted_at, created_at) values (%s, 'lister', 'dress', 0, 1, "
                "'rejected', 'sold_out', 'f', 1, now(), now() - %s * interval '1 minute')", (order, i))
            orders.append(order)
        found, path = [], "/v1/orders?limit=2"
        while path:
            answer = self.stack.call("lister", "GET", path)
            self.assertEqual(answer.status, 200, answer)
            self.assertLessEqual(len(answer.json["orders"]), 2)
            found += [order["id"] for order in answer.json["orders"]]
            path = answer.json.get("next")
        self.assertEqual(found, orders)
        self.assertEqual(answer.json["orders"][0]["reason"], "sold_out")

    # -- browsers --------------------------------------------------------------------------------------

    def test_cors(self):
        answer = self.send(Origin="https://shop.example")
        self.assertEqual(answer.headers["Access-Control-Allow-Origin"], "https://shop.example")
        self.assertIn("Location", answer.headers["Access-Control-Expose-Headers"])
        self.assertIn("Origin", answer.headers["Vary"])
        problem = self.send({}, Origin="http://localhost:8000")
        self.assertEqual(problem.headers["Access-Control-Allow-Origin"], "http://localhost:8000")
        for origin in ("https://pay.example", "capacitor://localhost"):
            self.assertEqual(self.send(Origin=origin).headers["Access-Control-Allow-Origin"], origin)
        for origin in ("https://evil.example", "null", "https://shop.example.evil"):
            self.assertIsNone(self.send(Origin=origin).headers["Access-Control-Allow-Origin"])

    # -- ids of requests -------------------------------------------------------------------------------

    def test_the_id_of_a_request_is_in_its_answer_and_in_the_log(self):
        producer = self.stack.start("producer", CHECKOUT_LOG_LEVEL="debug")
        self.addCleanup(producer.stop)
        given = "Checkout_1.2-" + "x" * 51

        def answered(path="/v1/orders", **headers):
            return http_call(producer.url, "GET", path, {name.replace("_", "-"): value for name, value in headers.items()})
        self.assertEqual(answered(X_Request_Id=given).headers["X-Request-Id"], given)
        self.assertEqual(answered("/nowhere", X_Request_Id="mine").headers["X-Request-Id"], "mine")
        self.assertEqual(answered(X_Request_Id="two", Content_Length="1", Transfer_Encoding="chunked").headers["X-Request-Id"],
                         "two")
        made = [answered(X_Request_Id=odd).headers["X-Request-Id"]
                for odd in (given + "x", "", "a b", '"', "a;b", "\u00e9")] + [answered().headers["X-Request-Id"]]
        self.assertEqual(len(set(made)), len(made))
        for name in made:
            self.assertRegex(name, "^[0-9a-f]{16}-[0-9]+$")
        answered("/v1/orders/typed-by-somebody?ticket=typed-too", X_Request_Id="three")
        told = [json.loads(line) for line in producer.log_text().splitlines() if b'"request answered"' in line]
        self.assertNotIn(b"typed", producer.log_text())
        self.assertIn(("three", "GET /v1/orders/{id}"), [(line["request_id"], line["route"]) for line in told])
        for name, status in ((given, 401), ("mine", 404), (made[0], 401)):
            self.assertIn((name, "GET", status), [(line["request_id"], line["method"], line["status"]) for line in told])

    def test_preflight(self):
        asked = {"Origin": "https://shop.example", "Access-Control-Request-Method": "POST",
                 "Access-Control-Request-Headers": "authorization,content-type,idempotency-key"}
        answer = self.stack.call(None, "OPTIONS", "/v1/orders", headers=asked)
        self.assertEqual((answer.status, answer.body), (204, b""))
        self.assertEqual(answer.headers["Access-Control-Allow-Origin"], "https://shop.example")
        self.assertIn("POST", answer.headers["Access-Control-Allow-Methods"])
        for name in ("Authorization", "Content-Type", "Idempotency-Key", "Prefer"):
            self.assertIn(name, answer.headers["Access-Control-Allow-Headers"])
        asked["Origin"] = "https://evil.example"
        answer = self.stack.call(None, "OPTIONS", "/v1/orders", headers=asked)
        self.assertIsNone(answer.headers["Access-Control-Allow-Origin"])
        self.assertIsNone(answer.headers["Access-Control-Allow-Methods"])

    # -- the gate --------------------------------------------------------------------------------------

    def test_an_item_known_to_be_sold_out_is_refused_at_the_door(self):
        first = self.send({**GOOD, "sku": "gone"}, key="before")
        self.assertEqual(first.status, 202)
        self.stack.redis().set("checkout:gate:gone", "soldout:sold", ex=5)
        self.assert_problem(self.send({**GOOD, "sku": "gone"}), 409, "sold-out")
        self.assertEqual(self.send({**GOOD, "sku": "gone"}, key="before").status, 202)  # a retry
        self.stack.redis().delete("checkout:gate:gone")
        self.assertEqual(self.send({**GOOD, "sku": "gone"}).status, 202)

    def test_a_refused_order_leaves_no_marker(self):
        self.stack.redis().set("checkout:gate:gone2", "soldout:sold", ex=5)
        self.assert_problem(self.send({**GOOD, "sku": "gone2"}, key="m"), 409, "sold-out")
        self.assert_problem(self.send({**GOOD, "sku": "gone2"}, key="m"), 409, "sold-out")
        self.assertEqual(self.send({**GOOD, "sku": "other"}, key="m").status, 202)

    def test_the_lock_of_a_one_off(self):
        self.stack.redis().set("checkout:gate:one-off", "lock:open", ex=60)
        body = {**GOOD, "sku": "one-off"}
        self.assertEqual(self.send(body, key="mine").status, 202)
        self.assertEqual(self.send(body, key="mine").status, 202)
        answer = self.send(body, user="bob")
        self.assert_problem(answer, 409, "item-in-another-cart")
        self.assertEqual(answer.json["title"], "Item is currently in another cart, try again!")
        self.stack.redis().delete("checkout:lock:one-off")
        self.assertEqual(self.send(body, user="bob").status, 202)

    def test_no_gate_asks_nothing(self):
        self.stack.redis().set("checkout:gate:free", "none:sold", ex=5)
        self.assertEqual(self.send({**GOOD, "sku": "free"}).status, 202)


if __name__ == "__main__":
    harness.main()
