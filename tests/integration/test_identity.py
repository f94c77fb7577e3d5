#!/usr/bin/python3
"""Whose tokens are taken: an identity provider's keys, their rotation, secrets, tickets, and hostile tokens."""

import base64
import hashlib
import hmac
import json
import os
import secrets
import signal
import subprocess
import threading
import time
import uuid

import jwt
import websockets

import harness
from harness import http_call, wait_until
from harness_keys import ProviderKey, publish

SEEN_S = 5      # a changed file is looked at each second


def write_in_place(path, text):
    with open(path, "w", encoding="ascii") as sink:
        sink.write(text)


class IdentityCase(harness.TestCase):
    """A producer and a notifier by a file of keys."""

    shards = 4

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.keys = {name: ProviderKey(name, name.lower()) for name in ("RS256", "ES256", "EdDSA")}
        cls.path = os.path.join(cls.stack.directory, "jwks.json")
        publish(cls.path, *(key.jwk() for key in cls.keys.values()))
        cls.configure(cls.stack.settings)
        cls.producer = cls.stack.start("producer")
        cls.notifier = cls.stack.start("notifier")
        cls.stack.item("thing")

    @classmethod
    def configure(cls, settings):
        settings["CHECKOUT_JWKS_FILE"] = cls.path

    def setUp(self):
        super().setUp()
        publish(self.path, *(key.jwk() for key in self.keys.values()))
        wait_until(lambda: all(self.status(key.token("ann")) == 202 for key in self.keys.values()), SEEN_S,
                   "the keys are known")
        self.known_to_all(3)

    def known_to_all(self, keys):
        wait_until(lambda: all(daemon.metric("checkout_token_keys") == keys for daemon in (self.producer, self.notifier)),
                   SEEN_S, f"{keys} keys are known to both programs")

    def post(self, token):
        return http_call(self.producer.url, "POST", "/v1/orders",
                         {"Authorization": "Bearer " + token, "Idempotency-Key": uuid.uuid4().hex},
                         {"sku": "thing", "quantity": 1, "payment_method": "pm_card_visa"})

    def status(self, token):
        return self.post(token).status

    def refusal(self, token):
        answer = self.post(token)
        self.assertEqual(answer.status, 401, answer)
        return answer.json["detail"]

    def opens(self, query="", token=None):
        """Whether a websocket opens by this ticket or bearer token."""
        try:
            listener = harness.Listener(self.notifier.url.replace("http", "ws") + "/v1/events" + query,
                                        {"Authorization": "Bearer " + token} if token else None)
        except websockets.exceptions.InvalidHandshake as refused:     # Debian 13's has the whole response
            self.assertEqual(getattr(refused, "response", refused).status_code, 401)
            return False
        listener.close()
        return True


class ProviderKeys(IdentityCase):
    def test_each_algorithm_orders_and_listens(self):
        for key in self.keys.values():
            answer = self.post(key.token("ann"))
            self.assertEqual(answer.status, 202)
            self.assertTrue(self.opens("?" + answer.json["events_url"].partition("?")[2]))
            self.assertTrue(self.opens(token=key.token("ann")))

    def test_the_shops_own_secret_is_taken_beside_them(self):
        self.assertEqual(self.status(self.stack.token("ann")), 202)

    def test_a_new_key_comes_and_an_old_one_goes(self):
        new = ProviderKey("ES256", "new")
        old_token = self.keys["RS256"].token("ann")
        self.assertEqual([self.status(old_token), self.status(old_token)], [202, 202])  # it is cached now
        self.assertIn("kid", self.refusal(new.token("ann")))
        publish(self.path, new.jwk())
        wait_until(lambda: self.status(new.token("ann")) == 202, SEEN_S, "the new key is known")
        self.assertIn("kid", self.refusal(old_token))
        self.known_to_all(1)
        self.assertFalse(self.opens(token=old_token))
        self.assertTrue(self.opens(token=new.token("ann")))

    def test_hangup_reads_a_file_that_looks_unchanged(self):
        """Same length, same times: only SIGHUP says that it is another one."""
        first, second = ProviderKey("EdDSA", "one"), ProviderKey("EdDSA", "two")
        old = time.time() - 3600
        write_in_place(self.path, json.dumps({"keys": [first.jwk()]}))
        os.utime(self.path, (old, old))
        wait_until(lambda: self.status(first.token("ann")) == 202, SEEN_S, "the first key is known")
        looked = time.monotonic()
        write_in_place(self.path, json.dumps({"keys": [second.jwk()]}))
        os.utime(self.path, (old, old))
        self.producer.process.send_signal(signal.SIGHUP)
        wait_until(lambda: self.status(second.token("ann")) == 202, SEEN_S, "the second key is known")
        self.assertLess(time.monotonic() - looked, SEEN_S)
        self.assertIn("kid", self.refusal(first.token("ann")))
        self.assertTrue(self.producer.running())

    def test_a_bad_file_keeps_the_keys_and_alarms(self):
        token = self.keys["ES256"].token("ann")
        whole = open(self.path, encoding="ascii").read()
        for bad in (whole[:len(whole) // 2], "", "<html>502 Bad Gateway</html>", '{"keys":[]}'):
            with self.subTest(bad=bad[:12]):
                write_in_place(self.path, bad)
                wait_until(lambda: self.producer.metric("checkout_token_keys_file_good") == 0, SEEN_S, "the alarm")
                self.assertEqual(self.status(token), 202)
                self.assertEqual(self.status(self.keys["RS256"].token("bob")), 202)
                write_in_place(self.path, whole)
                wait_until(lambda: self.producer.metric("checkout_token_keys_file_good") == 1, SEEN_S, "its end")
        os.remove(self.path)
        wait_until(lambda: self.producer.metric("checkout_token_keys_file_good") == 0, SEEN_S, "the alarm")
        self.assertEqual(self.status(token), 202)
        self.assertIn(b"token keys refused; keeping the previous keys", self.producer.log_text())
        self.assertEqual(self.producer.metric("checkout_token_keys"), 3)

    def test_a_rotation_under_load_loses_no_request(self):
        """As a provider does it: the next key is published first, signs a little later, and the old one goes."""
        current, refusals, sent, over = self.keys["ES256"], [], [0], threading.Event()
        signer = [current]

        def buyers(number):
            while not over.is_set():
                answer = self.post(signer[0].token(f"buyer-{number}"))
                sent[0] += 1
                if answer.status != 202:
                    refusals.append(answer)
        threads = [threading.Thread(target=buyers, args=(number,)) for number in range(4)]
        for thread in threads:
            thread.start()
        try:
            for turn in range(3):
                following = ProviderKey(("RS256", "EdDSA", "ES256")[turn], f"turn-{turn}")
                publish(self.path, signer[0].jwk(), following.jwk())
                wait_until(lambda: self.producer.metric("checkout_token_keys") == 2 and
                           self.status(following.token("probe")) == 202, SEEN_S, "both keys are known")
                before, signer[0] = sent[0], following
                wait_until(lambda: sent[0] > before + 20, 20, "the new key signs")
                publish(self.path, following.jwk())
                wait_until(lambda: self.producer.metric("checkout_token_keys") == 1, SEEN_S, "the old key is gone")
        finally:
            over.set()
            for thread in threads:
                thread.join()
        self.assertEqual(refusals, [])

    # -- hostile tokens ----------------------------------------------------------------------------

    def forged(self, header, secret=b"", claims=None):
        """A token with any header, signed by HS256 with any bytes."""
        now = int(time.time())
        body = claims or {"sub": "ann", "aud": "checkout", "exp": now + 60}
        text = ".".join(base64.urlsafe_b64encode(json.dumps(part).encode()).rstrip(b"=").decode()
                        for part in (header, body))
        mac = hmac.digest(secret, text.encode(), hashlib.sha256)
        return text + "." + base64.urlsafe_b64encode(mac).rstrip(b"=").decode()

    def test_no_algorithm(self):
        token = self.forged({"alg": "none", "kid": "rs256"})
        self.refusal(token)
        self.refusal(token.rpartition(".")[0] + ".")

    def test_a_public_key_is_no_secret(self):
        key = self.keys["RS256"]
        for secret in (key.pem(), key.pem().strip(), json.dumps(key.jwk()).encode(), b""):
            self.refusal(self.forged({"alg": "HS256", "kid": "rs256"}, secret))

    def test_a_token_brings_no_key(self):
        """Nor does a server hear from us, if a token names an address for its key."""
        own = ProviderKey("RS256", "rs256")
        for offer in ({"jwk": own.jwk()}, {"jku": "http://127.0.0.1:9/jwks"}, {"x5u": "http://127.0.0.1:9/cert"}):
            self.assertIn("signature", self.refusal(own.token("ann", offer)))

    def test_an_unknown_kid(self):
        self.assertIn("kid", self.refusal(self.keys["RS256"].token("ann", {"kid": "nope"})))
        self.assertIn("signature", self.refusal(ProviderKey("ES256", "es256").token("ann")))

    def test_keys_that_are_for_something_else(self):
        encrypting, small_alg = ProviderKey("RS256", "enc"), ProviderKey("RS256", "rs512")
        shared = secrets.token_bytes(32)
        oct_key = {"kty": "oct", "kid": "oct", "alg": "HS256", "k": base64.urlsafe_b64encode(shared).decode().rstrip("=")}
        publish(self.path, self.keys["EdDSA"].jwk(), encrypting.jwk(use="enc"), small_alg.jwk(alg="RS512"), oct_key)
        wait_until(lambda: self.producer.metric("checkout_token_keys") == 1, SEEN_S, "the set is known")
        self.refusal(encrypting.token("ann"))
        self.refusal(small_alg.token("ann"))
        self.refusal(self.forged({"alg": "HS256", "kid": "oct"}, shared))
        self.assertEqual(self.status(self.keys["EdDSA"].token("ann")), 202)
        self.assertIn(b"token keys ignored", self.producer.log_text())

    def test_a_ticket_is_no_token_and_a_token_no_ticket(self):
        answer = self.post(self.keys["EdDSA"].token("ann"))
        ticket = answer.json["events_url"].partition("ticket=")[2]
        self.assertTrue(self.opens("?ticket=" + ticket))
        self.refusal(ticket)
        self.assertFalse(self.opens(token=ticket))
        for audience in ("checkout", "checkout-events", ["checkout", "checkout-events"]):
            for token in (self.keys["EdDSA"].token("ann", aud=audience),
                          jwt.encode({"sub": "ann", "aud": audience, "exp": int(time.time()) + 60},
                                     self.stack.secrets["JWT_SECRET"], algorithm="HS256")):
                self.assertFalse(self.opens("?ticket=" + token), audience)
        both = self.stack.token("ann", audience="checkout-events", aud=["checkout", "checkout-events"])
        self.refusal(both)      # the tickets' key signs no token, whatever its audience


class Settings(IdentityCase):
    """Keys alone, with an issuer, a leeway and a ticket secret; and secrets in a rotation."""

    @classmethod
    def configure(cls, settings):
        super().configure(settings)
        cls.shared = settings.pop("CHECKOUT_JWT_SECRET_FILE")
        settings["CHECKOUT_TICKET_SECRET_FILE"] = cls.stack.write_secret("ticket", secrets.token_hex(32))
        settings["CHECKOUT_JWT_ISSUER"] = "https://id.shop.example"
        settings["CHECKOUT_JWT_LEEWAY"] = "30s"
        for key in cls.keys.values():
            token = key.token
            key.token = lambda user, headers=None, _token=token, **claims: _token(
                user, headers, **{"iss": "https://id.shop.example", **claims})

    def test_the_issuer_must_be_the_one(self):
        key = self.keys["EdDSA"]
        self.assertEqual(self.status(key.token("ann")), 202)
        for wrong in (None, "https://evil.example"):
            self.assertIn("iss", self.refusal(key.token("ann", iss=wrong)))

    def test_the_leeway_counts(self):
        now = int(time.time())
        self.assertEqual(self.status(self.keys["ES256"].token("ann", exp=now - 10, iat=now - 60)), 202)
        self.assertIn("expired", self.refusal(self.keys["ES256"].token("ann", exp=now - 31, iat=now - 60)))

    def test_shared_secrets_are_not_taken_then(self):
        self.assertIn("HS256", self.refusal(self.stack.token("ann")))

    def test_tickets_have_their_own_secret(self):
        ticket = self.post(self.keys["ES256"].token("ann")).json["events_url"].partition("ticket=")[2]
        self.assertTrue(self.opens("?ticket=" + ticket))
        done = self.stack.ctl("token", "--user", "ann", "--aud", "events")
        self.assertTrue(self.opens("?ticket=" + done.stdout.strip()))

    def ends_with(self, code, **changes):
        settings = {**self.stack.settings, "CHECKOUT_LISTEN": "127.0.0.1:0", **changes}
        done = subprocess.run([harness.program("checkout-producer")], env=harness.program_environment(settings),
                              timeout=30, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE, check=False)
        self.assertEqual(done.returncode, code, done.stderr)
        return done.stderr

    def test_what_is_missing_is_said(self):
        self.assertIn("CHECKOUT_TICKET_SECRET_FILE", self.ends_with(2, CHECKOUT_TICKET_SECRET_FILE=None))
        self.assertIn("CHECKOUT_JWT_SECRET_FILE", self.ends_with(2, CHECKOUT_JWKS_FILE=None))
        self.assertIn("CHECKOUT_JWT_SECRET_FILE",
                      self.stack.ctl("token", "--user", "ann", check=False).stderr)

    def test_a_bad_file_stops_the_start(self):
        bad = os.path.join(self.stack.directory, "bad.json")
        write_in_place(bad, '{"keys":[')
        for path in (bad, self.stack.directory, bad + ".absent"):
            error = self.ends_with(2, CHECKOUT_JWKS_FILE=path)
            self.assertIn("CHECKOUT_JWKS_FILE", error)

    def test_two_secrets_during_a_rotation(self):
        new = secrets.token_hex(32)
        producer = self.stack.start("producer", CHECKOUT_JWT_SECRET_FILE=self.stack.write_secret("new", new),
                                    CHECKOUT_JWT_PREVIOUS_SECRET_FILE=self.shared)
        claims = {"sub": "ann", "aud": "checkout", "iss": "https://id.shop.example", "exp": int(time.time()) + 60}
        for secret, status in ((new, 404), (self.stack.secrets["JWT_SECRET"], 404), ("x" * 64, 401)):
            token = jwt.encode(claims, secret, algorithm="HS256")
            answer = http_call(producer.url, "GET", f"/v1/orders/{uuid.uuid4()}", {"Authorization": "Bearer " + token})
            self.assertEqual(answer.status, status)
        producer.stop()


if __name__ == "__main__":
    harness.main()
