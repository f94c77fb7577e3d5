#!/usr/bin/python3
"""checkoutctl jwks fetch: the provider's keys replace the file as a whole or not at all."""

import http.server
import json
import os
import ssl
import tempfile
import threading
import time
import uuid

import harness
import harness_tls
from harness_keys import ProviderKey


class Provider:
    """Answers every GET with `status` and `body`."""

    def __init__(self, certificate=None):
        self.status, self.body, self.wait_s = 200, b"", 0
        provider = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                time.sleep(provider.wait_s)
                self.send_response(provider.status)
                if provider.status == 302:
                    self.send_header("Location", "/elsewhere")
                self.send_header("Content-Length", str(len(provider.body)))
                self.end_headers()
                self.wfile.write(provider.body)

            def log_message(self, *arguments):
                pass

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        scheme = "http"
        if certificate:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(*certificate)
            self._server.socket = context.wrap_socket(self._server.socket, server_side=True)
            scheme = "https"
        self.url = f"{scheme}://localhost:{self._server.server_address[1]}/jwks.json"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def publishes(self, *keys):
        self.status, self.body = 200, json.dumps({"keys": [key.jwk() for key in keys]}).encode()

    def close(self):
        self._server.shutdown()
        self._server.server_close()


class JwksFetch(harness.TestCase):
    shards = 2

    def setUp(self):
        super().setUp()
        self.keys = [ProviderKey("ES256", "one"), ProviderKey("EdDSA", "two")]
        self.provider = self.new_provider()
        self.path = os.path.join(self.stack.directory, uuid.uuid4().hex + ".json")

    def new_provider(self, certificate=None):
        provider = Provider(certificate)
        provider.publishes(*self.keys)
        self.addCleanup(provider.close)
        return provider

    def fetch(self, *more, url=None, code=0):
        done = self.stack.ctl("jwks", "fetch", url or self.provider.url, "--to", self.path, *more, check=False)
        self.assertEqual(done.returncode, code, done.stderr + done.stdout)
        return done.stderr if code else done.stdout

    def content(self):
        with open(self.path, "rb") as source:
            return source.read()

    def test_the_file_is_written_and_stays_when_nothing_changed(self):
        self.assertIn("2 keys, written", self.fetch())
        self.assertEqual(self.content(), self.provider.body)
        self.assertEqual(os.stat(self.path).st_mode & 0o7777, 0o644)
        before = os.stat(self.path).st_ino
        self.assertIn("2 keys, as before", self.fetch())
        self.assertEqual(json.loads(self.fetch("--json")), {"keys": 2, "ignored": 0, "changed": False})
        self.assertEqual(os.stat(self.path).st_ino, before)
        os.chmod(self.path, 0o640)
        self.provider.publishes(self.keys[0])
        self.fetch()
        self.assertEqual(os.stat(self.path).st_mode & 0o7777, 0o640)
        self.assertEqual(self.content(), self.provider.body)

    def test_whatever_is_no_set_of_keys_leaves_the_file(self):
        self.fetch()
        good = self.content()
        whole = self.provider.body
        for status, body, said in ((200, whole[:-3], "is no set of keys"), (200, b"", "is no set of keys"),
                                   (200, b"<html>Sorry</html>", "is no set of keys"),
                                   (200, b'{"keys":[]}', "is no set of keys"),
                                   (200, b'{"keys":[{"kty":"oct","k":"c2VjcmV0"}]}', "is no set of keys"),
                                   (200, whole + b" " * 300000, "no answer"), (500, whole, "the provider answers 500"),
                                   (302, whole, "redirects are not followed"), (404, b"", "the provider answers 404")):
            with self.subTest(said=said, body=body[:30]):
                self.provider.status, self.provider.body = status, body
                error = self.fetch(code=1)
                self.assertIn(said, error)
                self.assertIn("is as before", error)
                self.assertEqual(self.content(), good)
        self.assertEqual([name for name in os.listdir(self.stack.directory) if name.endswith(".new")], [])

    def test_who_answers_is_checked(self):
        with tempfile.TemporaryDirectory() as directory:
            authority = harness_tls.Authority(directory, "authority")
            provider = self.new_provider(authority.issue("provider"))
            self.assertIn("certificate", self.fetch(url=provider.url, code=1))
            self.assertFalse(os.path.exists(self.path))
            self.fetch("--ca", authority.path, url=provider.url)
            self.assertEqual(self.content(), provider.body)
            other = self.new_provider(authority.issue("other", ("elsewhere.example",)))
            self.assertIn("certificate_of_another_host", self.fetch("--ca", authority.path, url=other.url, code=1))
        self.assertIn("must begin with https://", self.fetch(url="http://id.example/keys", code=2))
        self.assertIn("must begin with https://", self.fetch(url="http://localhost@id.example/keys", code=2))
        self.assertIn("refused", self.fetch(url=f"http://localhost:{harness.free_port()}/", code=1))

    def test_a_producer_takes_what_was_fetched(self):
        self.fetch()
        producer = self.stack.start("producer", CHECKOUT_JWKS_FILE=self.path)
        self.addCleanup(self.stack.stop_daemons)

        def status(key):
            return harness.http_call(producer.url, "GET", f"/v1/orders/{uuid.uuid4()}",
                                     {"Authorization": "Bearer " + key.token("ann")}).status
        self.assertEqual([status(key) for key in self.keys], [404, 404])
        new = ProviderKey("RS256", "three")
        self.provider.publishes(self.keys[1], new)
        self.fetch()
        harness.wait_until(lambda: [status(key) for key in (*self.keys, new)] == [401, 404, 404], 10,
                           "the new keys count and the old one does not")


if __name__ == "__main__":
    harness.main()
