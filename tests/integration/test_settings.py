#!/usr/bin/python3
"""Every setting wrong in turn, for every program: one clear line that names it, exit code 2, at once."""

import os
import re
import socket
import subprocess
import time
import unittest
import urllib.parse

import harness
from harness_keys import ProviderKey, publish

DAEMONS = ("checkout-producer", "checkout-consumer", "checkout-notifier", "checkout-mailer", "checkout-webhooks", "checkout-console")
SECONDS = 5
SECRET_FILES = ("CHECKOUT_JWT_SECRET_FILE", "CHECKOUT_ORDER_SECRET_FILE", "CHECKOUT_GATEWAY_KEY_FILE")
SERVERS = ("CHECKOUT_AMQP_URL", "CHECKOUT_DATABASE_URL", "CHECKOUT_REDIS_URL")

# What is wrong about the text alone: any program that has the setting must see it.
WRONG_TEXTS = (
    ("CHECKOUT_LISTEN", "127.0.0.1:70000"),
    ("CHECKOUT_LISTEN", "nonsense"),
    ("CHECKOUT_ADMIN_LISTEN", "127.0.0.1:65536"),
    ("CHECKOUT_CONSOLE_LISTEN", "127.0.0.1:70000"),
    ("CHECKOUT_CONSOLE_JWKS_FILE", "/nonexistent"),
    ("CHECKOUT_LOG_LEVEL", "loud"),
    ("CHECKOUT_SMTP_URL", "http://127.0.0.1/"),
    ("CHECKOUT_MAIL_FROM", "Shop <shop@example.org>"),
    ("CHECKOUT_AMQP_URL", "http://127.0.0.1/"),
    ("CHECKOUT_AMQP_HEARTBEAT", "4"),
    ("CHECKOUT_SHARDS", "12"),
    ("CHECKOUT_SHARDS", "0"),
    ("CHECKOUT_SHARDS", "2048"),
    ("CHECKOUT_QUEUE_MAX_BYTES", "1"),
    ("CHECKOUT_QUEUE_REPLICAS", "0"),
    ("CHECKOUT_PUBLISH_INFLIGHT", "0"),
    ("CHECKOUT_CONNECTIONS_MAX", "lots"),
    ("CHECKOUT_DATABASE_URL", "mysql://127.0.0.1/shop"),
    ("CHECKOUT_DATABASE_SESSIONS", "1000"),
    ("CHECKOUT_REDIS_URL", "127.0.0.1:6379"),
    ("CHECKOUT_ORIGINS", "https://shop.example/"),
    ("CHECKOUT_EVENTS_URL", "http://127.0.0.1/"),
    ("CHECKOUT_TICKET_TTL", "10"),
    ("CHECKOUT_WAIT_MAX", "forever"),
    ("CHECKOUT_GATEWAY_URL", "127.0.0.1"),
    ("CHECKOUT_GATEWAY_CA_FILE", "/nonexistent"),
    ("CHECKOUT_GATEWAY_INFLIGHT", "-1"),
    ("CHECKOUT_GATEWAY_TIMEOUT", "1ms"),
)


def with_host(url, host):
    parts = urllib.parse.urlsplit(url)
    login, at, place = parts.netloc.rpartition("@")
    port = place.rpartition(":")[2]
    return urllib.parse.urlunsplit(parts._replace(netloc=f"{login}{at}{host}:{port}"))


def with_port(url, port):
    parts = urllib.parse.urlsplit(url)
    return urllib.parse.urlunsplit(parts._replace(netloc=parts.netloc.rpartition(":")[0] + f":{port}"))


def with_password(url, password):
    parts = urllib.parse.urlsplit(url)
    login, _, place = parts.netloc.rpartition("@")
    user = login.partition(":")[0]
    return urllib.parse.urlunsplit(parts._replace(netloc=f"{user}:{password}@{place}"))


class Settings(harness.TestCase):
    settings = {"CHECKOUT_SMTP_URL": "smtp://127.0.0.1:25", "CHECKOUT_MAIL_FROM": "shop@example.org"}

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.stack.settings["CHECKOUT_CONSOLE_JWKS_FILE"] = path = os.path.join(cls.stack.directory, "console-jwks.json")
        publish(path, ProviderKey("ES256", "shop").jwk())


    # -- what is tried -----------------------------------------------------------------------------

    def settings_of(self, program, *words):
        """The names that --help tells."""
        text = subprocess.run([harness.program(program), *words, "--help"], check=True, text=True,
                              stdout=subprocess.PIPE).stdout
        return set(re.findall(r"^  (CHECKOUT_\w+)", text, re.MULTILINE))

    def environment(self, program, changes):
        settings = {**self.stack.settings, "CHECKOUT_LISTEN": "127.0.0.1:0", **changes}
        return harness.program_environment(settings)

    def expect_refusal(self, program, name, value, *words):
        """Exit code 2 within five seconds, one line on stderr that names the setting, no secret in it."""
        with self.subTest(program=program, setting=name, value=value):
            start = time.monotonic()
            done = subprocess.run([harness.program(program), *words],
                                  env=self.environment(program, {name: value}), timeout=30, text=True,
                                  stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                  stderr=subprocess.PIPE)
            took = time.monotonic() - start
            self.assertEqual(done.returncode, 2, done.stderr)
            self.assertLess(took, SECONDS)
            self.assertEqual(done.stderr.count("\n"), 1, done.stderr)
            self.assertIn(name, done.stderr)
            self.assertEqual(done.stdout, "")
            for secret in (*self.stack.secrets.values(), "wrong-password"):
                self.assertNotIn(secret, done.stderr)

    def for_every_daemon(self, name, value):
        tried = 0
        for program in DAEMONS:
            if name in self.settings_of(program):
                self.expect_refusal(program, name, value)
                tried += 1
        if name not in self.settings_of("checkoutctl"):
            self.assertGreater(tried, 0, f"nobody reads {name}")

    # -- tests -------------------------------------------------------------------------------------

    def test_a_value_that_cannot_be_right(self):
        for name, value in WRONG_TEXTS:
            self.for_every_daemon(name, value)

    def test_a_port_out_of_range(self):
        for name in SERVERS:
            self.for_every_daemon(name, with_port(self.stack.settings[name], 70000))
        self.for_every_daemon("CHECKOUT_GATEWAY_URL", "http://127.0.0.1:70000")

    def test_an_unknown_host(self):
        for name in SERVERS:
            self.for_every_daemon(name, with_host(self.stack.settings[name], "no-such-host.invalid"))
        self.for_every_daemon("CHECKOUT_GATEWAY_URL", "https://no-such-host.invalid/")

    def test_a_wrong_password(self):
        for name in SERVERS:
            self.for_every_daemon(name, with_password(self.stack.settings[name], "wrong-password"))

    def test_a_database_that_is_not_there(self):
        url = self.stack.settings["CHECKOUT_DATABASE_URL"]
        self.for_every_daemon("CHECKOUT_DATABASE_URL", url.rpartition("/")[0] + "/no_such_database")

    def test_a_secret_file_that_cannot_be_read(self):
        for name in SECRET_FILES:
            self.for_every_daemon(name, os.path.join(self.stack.directory, "no-such-file"))
            self.for_every_daemon(name, self.stack.directory)

    def test_a_secret_that_is_too_short(self):
        path = os.path.join(self.stack.directory, "short")
        with open(path, "w", encoding="ascii") as sink:
            sink.write("short\n")
        for name in SECRET_FILES:
            self.for_every_daemon(name, path)

    def test_a_setting_that_is_missing(self):
        for program in DAEMONS:
            for name in sorted(self.settings_of(program)):
                if name in (*SERVERS, *SECRET_FILES, "CHECKOUT_GATEWAY_URL"):
                    self.expect_refusal(program, name, None)

    def test_an_unknown_name(self):
        for program in (*DAEMONS, "checkoutctl"):
            words = ("items", "list") if program == "checkoutctl" else ()
            self.expect_refusal(program, "CHECKOUT_COLOUR", "red", *words)

    def test_a_misspelt_name_is_guessed(self):
        for program in (*DAEMONS, "checkoutctl"):
            words = ("items", "list") if program == "checkoutctl" else ()
            done = subprocess.run([harness.program(program), *words], text=True, timeout=SECONDS,
                                  env=self.environment(program, {"CHECKOUT_DATABASE_ULR": "x"}),
                                  stderr=subprocess.PIPE)
            self.assertEqual(done.returncode, 2)
            self.assertIn("did you mean CHECKOUT_DATABASE_URL?", done.stderr)

    def test_an_admin_address_that_is_taken(self):
        with socket.socket() as taken:
            taken.bind(("127.0.0.1", 0))
            taken.listen()
            address = f"127.0.0.1:{taken.getsockname()[1]}"
            self.for_every_daemon("CHECKOUT_ADMIN_LISTEN", address)

    def test_the_tool_refuses_the_same(self):
        settings = self.stack.settings
        for name, value, words in (
                ("CHECKOUT_SHARDS", "12", ("topology",)),
                ("CHECKOUT_QUEUE_REPLICAS", "0", ("topology",)),
                ("CHECKOUT_QUEUE_MAX_BYTES", "1", ("topology",)),
                ("CHECKOUT_ORDER_SECRET_FILE", "/nonexistent", ("topology",)),
                ("CHECKOUT_JWT_SECRET_FILE", "/nonexistent", ("token", "--user", "ann")),
                ("CHECKOUT_AMQP_URL", with_port(settings["CHECKOUT_AMQP_URL"], 70000), ("topology",)),
                ("CHECKOUT_AMQP_URL", with_host(settings["CHECKOUT_AMQP_URL"], "no-such-host.invalid"),
                 ("topology",)),
                ("CHECKOUT_AMQP_URL", with_password(settings["CHECKOUT_AMQP_URL"], "wrong-password"),
                 ("topology",)),
                ("CHECKOUT_DATABASE_URL", with_host(settings["CHECKOUT_DATABASE_URL"],
                                                    "no-such-host.invalid"), ("items", "list")),
                ("CHECKOUT_DATABASE_URL", with_password(settings["CHECKOUT_DATABASE_URL"],
                                                        "wrong-password"), ("migrate",)),
                ("CHECKOUT_REDIS_URL", "127.0.0.1", ("doctor",))):
            self.expect_refusal("checkoutctl", name, value, *words)

    def test_a_server_that_is_down_fails_the_tool(self):
        for name, words in (("CHECKOUT_DATABASE_URL", ("items", "list")),
                            ("CHECKOUT_AMQP_URL", ("topology",))):
            down = with_port(self.stack.settings[name], harness.free_port())
            done = self.stack.ctl(*words, check=False, **{name: down})
            self.assertEqual(done.returncode, 1, done.stderr)
            self.assertIn(name, done.stderr)
            self.assertIn("is down", done.stderr)

    def test_a_server_that_is_down_does_not_stop_a_daemon(self):
        for program in DAEMONS:
            for name in sorted(self.settings_of(program) & set(SERVERS)):
                with self.subTest(program=program, down=name):
                    down = with_port(self.stack.settings[name], harness.free_port())
                    log = os.path.join(self.stack.directory, f"{program}-{name}.log")
                    settings = {**self.stack.settings, "CHECKOUT_LISTEN": "127.0.0.1:0", name: down}
                    daemon = harness.Daemon(program, settings, log)
                    try:
                        harness.wait_until(lambda: b"admin address" in daemon.log_text(), SECONDS,
                                           f"{program} starts without {name}")
                        time.sleep(0.3)
                        self.assertTrue(daemon.running(), daemon.log_text())
                    finally:
                        daemon.stop()

    def test_check_config_hides_secrets(self):
        for program in DAEMONS:
            done = subprocess.run([harness.program(program), "--check-config"], check=True, text=True,
                                  env=self.environment(program, {}), stdout=subprocess.PIPE,
                                  timeout=SECONDS)
            self.assertIn("CHECKOUT_DATABASE_URL=postgresql://", done.stdout)
            for secret in self.stack.secrets.values():
                self.assertNotIn(secret, done.stdout)
            for name in SERVERS:
                password = urllib.parse.urlsplit(self.stack.settings[name]).password
                if password:
                    self.assertNotIn(password, done.stdout)

    def test_help_and_version(self):
        for program in DAEMONS:
            path = harness.program(program)
            text = subprocess.check_output([path, "--help"], text=True, timeout=SECONDS)
            self.assertTrue(text.startswith(f"usage: {program} "))
            self.assertEqual([line for line in text.splitlines() if len(line) > 80], [])
            version = subprocess.check_output([path, "--version"], text=True, timeout=SECONDS)
            self.assertRegex(version, rf"^{program} \d+\.\d+\.\d+\n$")
            done = subprocess.run([path, "--frobnicate"], stderr=subprocess.PIPE, text=True)
            self.assertEqual(done.returncode, 2)
            self.assertIn("--frobnicate", done.stderr)


if __name__ == "__main__":
    unittest.main(verbosity=2)
