#!/usr/bin/python3
"""TLS to every server: a sale through it, passwords from files, and whoever is not the right server is refused with
the reason."""

import os
import secrets
import shutil
import socket
import subprocess
import tempfile
import urllib.parse

import harness
import harness_services
import harness_tls

BUYERS = 40
SERVERS = {"amqp": "CHECKOUT_AMQP_URL", "redis": "CHECKOUT_REDIS_URL", "database": "CHECKOUT_DATABASE_URL"}


def without_password(url, **changes):
    """The URL without its password, and the password."""
    parts = urllib.parse.urlsplit(url)
    host = changes.get("host", parts.hostname)
    user = parts.username or ""
    login = f"{user}@" if user else ""
    return (urllib.parse.urlunsplit(parts._replace(scheme=changes.get("scheme", parts.scheme),
                                                   netloc=f"{login}{host}:{changes.get('port', parts.port)}",
                                                   query=changes.get("query", parts.query))), parts.password)


class Tls(harness.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.directory = tempfile.mkdtemp(prefix="checkout-tls.")
        os.chmod(cls.directory, 0o755)
        cls.addClassCleanup(shutil.rmtree, cls.directory, ignore_errors=True)
        cls.authority = harness_tls.Authority(cls.directory, "authority")
        cls.stranger = harness_tls.Authority(cls.directory, "stranger")
        cls.server = cls.authority.issue("server")
        cls.client = cls.authority.issue("client", ("checkout.example",))
        cls.amqps_port = harness_services.free_port()
        more = os.path.join(cls.directory, "rabbitmq.conf")
        with open(more, "w", encoding="ascii") as sink:
            sink.write(f"listeners.ssl.1 = 127.0.0.1:{cls.amqps_port}\n"
                       f"ssl_options.cacertfile = {cls.authority.path}\nssl_options.certfile = {cls.server[0]}\n"
                       f"ssl_options.keyfile = {cls.server[1]}\nssl_options.verify = verify_peer\n"
                       "ssl_options.fail_if_no_peer_cert = true\n")
        os.environ["RABBITMQ_MORE_CONF"] = more
        try:
            harness_services.start_own()
        finally:
            del os.environ["RABBITMQ_MORE_CONF"]
        super().setUpClass()

    def setUp(self):
        super().setUp()
        self.database = harness_tls.PostgresOverTls(self.as_owner, self.server, self.directory)
        self.addCleanup(self.database.end)
        self.redis = self.start_redis(self.server)
        self.addCleanup(self.stack.stop_daemons)

    def as_owner(self, statement):
        return harness.query_once(harness_services.services()["CHECKOUT_DATABASE_URL"], statement)

    def start_redis(self, certificate, **options):
        started = harness_tls.TlsRedis(self.authority, certificate, secrets.token_hex(12) + "%:@/, ü", **options)
        self.addCleanup(started.kill)
        return started

    def secured(self, redis=None, program="operator", **changes):
        """All servers by TLS, their passwords in files, the rights of one program; changes replace settings."""
        redis = redis or self.redis
        direct = self.stack.direct
        amqp, amqp_password = without_password(direct["CHECKOUT_AMQP_URL"], scheme="amqps", host="localhost",
                                               port=self.amqps_port)
        database, database_password = without_password(
            harness.as_login(self.stack.settings["CHECKOUT_DATABASE_URL"], program), host="localhost",
            query=urllib.parse.urlencode({"sslmode": "verify-full", "sslrootcert": self.authority.path}))
        return {"CHECKOUT_AMQP_URL": amqp,
                "CHECKOUT_AMQP_PASSWORD_FILE": self.stack.write_secret("amqp_password", amqp_password),
                "CHECKOUT_AMQP_CA_FILE": self.authority.path, "CHECKOUT_AMQP_CERT_FILE": self.client[0],
                "CHECKOUT_AMQP_KEY_FILE": self.client[1], "CHECKOUT_DATABASE_URL": database,
                "CHECKOUT_DATABASE_PASSWORD_FILE": self.stack.write_secret(f"{program}_password", database_password),
                "CHECKOUT_REDIS_URL": f"rediss://localhost:{redis.port}/0",
                "CHECKOUT_REDIS_PASSWORD_FILE": self.write_utf8("redis_password", redis.password),
                "CHECKOUT_REDIS_CA_FILE": self.authority.path, "CHECKOUT_REDIS_CERT_FILE": self.client[0],
                "CHECKOUT_REDIS_KEY_FILE": self.client[1], **changes}

    def write_utf8(self, name, text):
        path = os.path.join(self.stack.directory, name)
        with open(path, "w", encoding="utf-8") as sink:
            sink.write(text + "\n")
        return path

    def start(self, name, wait=True, **changes):
        return self.stack.start(name, wait=wait, **self.secured(program=name, **changes))

    def doctor(self, settings):
        return self.stack.ctl("doctor", check=False, **settings).stdout

    def expect_refused(self, reason, redis=None, **changes):
        with self.subTest(reason=reason, changes=changes):
            self.assertRegex(self.doctor(self.secured(redis, **changes)), reason)

    # -- tests -------------------------------------------------------------------------------------

    def test_a_sale_with_tls_and_client_certificates_everywhere(self):
        self.stack.start("sandbox")
        for name in ("consumer", "producer", "notifier"):
            self.start(name)
        sku = self.stack.item(stock=BUYERS // 2)
        listener = self.stack.listen("buyer-0")
        orders = [self.stack.order(f"buyer-{n}", sku, reference="r" * 64) for n in range(BUYERS)]
        ends = [order.wait_final()[0] for order in orders]
        self.assertEqual(ends.count("confirmed"), BUYERS // 2)
        self.assertEqual(listener.wait_final(orders[0].id)["data"]["status"], orders[0].status())
        sessions = self.as_owner("select distinct ssl from pg_stat_ssl join pg_stat_activity using (pid) "
                                 "where application_name like 'checkout%'")
        self.assertEqual(sessions, [(True,)])
        self.assertEqual(self.stack.ctl("doctor", check=False, **self.secured()).returncode, 0)
        self.stack.ctl("audit", **self.secured())

    def test_redis_comes_back_and_buyers_hear_again(self):
        notifier = self.start("notifier")
        harness.wait_until(lambda: b"Redis is connected" in notifier.log_text(), 20, "the first connection")
        self.redis.kill()
        harness.wait_until(lambda: b"Redis is not connected" in notifier.log_text(), 20, "the loss to be seen")
        self.redis.start()
        harness.wait_until(lambda: notifier.log_text().count(b"Redis is connected") >= 2, 20, "the second connection")

    def test_who_is_not_the_right_server_is_refused_with_the_reason(self):
        expired = self.start_redis(self.authority.issue("expired", days=-1))
        self.expect_refused("certificate has expired", redis=expired)
        other = self.start_redis(self.authority.issue("other", ("elsewhere.example",)))
        self.expect_refused("hostname mismatch", redis=other)
        foreign = self.stranger.path
        for name in ("CHECKOUT_AMQP_CA_FILE", "CHECKOUT_REDIS_CA_FILE"):
            self.expect_refused("its certificate is refused: self-signed certificate in certificate chain", **{name: foreign})
        address = self.secured()["CHECKOUT_AMQP_URL"].replace("localhost", "127.0.0.1")
        self.expect_refused("IP address mismatch", CHECKOUT_AMQP_URL=address)
        self.expect_refused("certificate verify failed", CHECKOUT_DATABASE_URL=self.secured()[
            "CHECKOUT_DATABASE_URL"].replace(urllib.parse.quote_plus(self.authority.path),
                                             urllib.parse.quote_plus(foreign)))

    def test_of_two_addresses_the_one_that_answers_says_why(self):
        """A name with an address where nobody listens, tried first or last."""
        hosts = os.path.join(self.stack.directory, "hosts")
        settings = self.secured(CHECKOUT_AMQP_URL=self.secured()["CHECKOUT_AMQP_URL"].replace("localhost", "two.example"))
        environment = harness.program_environment({**self.stack.settings, **settings})
        for addresses in (("127.0.0.1", "127.0.0.2"), ("127.0.0.2", "127.0.0.1")):
            with open(hosts, "w", encoding="ascii") as sink:
                sink.write("127.0.0.1 localhost\n" + "".join(f"{address} two.example\n" for address in addresses))
            done = subprocess.run(["unshare", "--mount", "sh", "-c", 'mount --bind "$0" /etc/hosts && exec "$1" doctor', hosts,
                                   harness.program("checkoutctl")], env=environment, text=True,
                                  check=False, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
            if "permi" in done.stderr or "not permitted" in done.stderr:
                self.skipTest("needs a mount of its own")
            self.assertIn("its certificate is refused: hostname mismatch", done.stdout, done.stderr)

    def test_a_server_without_tls_and_one_that_is_mute(self):
        plain = urllib.parse.urlsplit(self.stack.direct["CHECKOUT_AMQP_URL"]).port
        self.expect_refused("it speaks no TLS at this port",
                            CHECKOUT_AMQP_URL=self.secured()["CHECKOUT_AMQP_URL"].replace(str(self.amqps_port),
                                                                                         str(plain)))
        plain = urllib.parse.urlsplit(self.stack.direct["CHECKOUT_REDIS_URL"]).port
        self.expect_refused("no TLS handshake in time|it speaks no TLS",    # Redis 7 is mute, Redis 8 is not
                            CHECKOUT_REDIS_URL=f"rediss://localhost:{plain}")
        with socket.create_server(("127.0.0.1", 0)) as mute:
            port = mute.getsockname()[1]
            self.expect_refused("no TLS handshake in time", CHECKOUT_REDIS_URL=f"rediss://localhost:{port}")
            self.expect_refused("no TLS handshake in time", CHECKOUT_AMQP_URL=self.secured()[
                "CHECKOUT_AMQP_URL"].replace(str(self.amqps_port), str(port)))
        closed = harness_services.free_port()
        self.expect_refused("Connection refused", CHECKOUT_REDIS_URL=f"rediss://localhost:{closed}")
        self.expect_refused("Connection refused", CHECKOUT_AMQP_URL=self.secured()["CHECKOUT_AMQP_URL"].replace(
            str(self.amqps_port), str(closed)))

    def test_a_client_without_its_certificate(self):
        bare = {"CHECKOUT_AMQP_CERT_FILE": "", "CHECKOUT_AMQP_KEY_FILE": ""}
        refused = r"certificate required|does it want a certificate of ours\?"  # its reason may be lost on the way
        self.expect_refused(refused, **bare)
        self.expect_refused(refused, CHECKOUT_REDIS_CERT_FILE="", CHECKOUT_REDIS_KEY_FILE="")
        self.expect_refused("cannot use the key", CHECKOUT_REDIS_KEY_FILE=self.server[1])

    def test_the_name_is_sent_and_an_address_is_not(self):
        listener = harness_tls.NameListener(self.server)
        self.addCleanup(listener.close)
        for host, name in (("localhost", "localhost"), ("127.0.0.1", None)):
            for setting, url in (("CHECKOUT_AMQP_URL", f"amqps://u@{host}:{listener.port}"),
                                 ("CHECKOUT_REDIS_URL", f"rediss://{host}:{listener.port}")):
                listener.names.clear()
                self.doctor(self.secured(**{setting: url}))
                self.assertEqual(set(listener.names), {name}, url)  # it may try again

    def test_a_renewed_file_needs_no_restart(self):
        trusted = os.path.join(self.stack.directory, "trusted.pem")
        shutil.copy(self.stranger.path, trusted)
        consumer = self.start("consumer", wait=False, CHECKOUT_AMQP_CA_FILE=trusted)
        harness.wait_until(lambda: b"its certificate is refused" in consumer.log_text(), 20, "the refusal")
        shutil.copy(self.authority.path, trusted)
        consumer.wait_ready(lambda: harness.http_call(consumer.admin, "GET", "/readyz").status == 200)

    def test_a_password_comes_from_one_place(self):
        settings = self.secured(CHECKOUT_AMQP_URL="amqps://user:word@localhost")
        done = self.stack.ctl("doctor", check=False, **settings)
        self.assertEqual(done.returncode, 2)
        self.assertIn("CHECKOUT_AMQP_URL: it has a password, and so has the file of CHECKOUT_AMQP_PASSWORD_FILE",
                      done.stderr)
        done = self.stack.ctl("doctor", check=False, **self.secured(CHECKOUT_AMQP_URL="amqps://localhost"))
        self.assertIn("it names no user for the password in the file of CHECKOUT_AMQP_PASSWORD_FILE", done.stderr)


if __name__ == "__main__":
    harness.main()
