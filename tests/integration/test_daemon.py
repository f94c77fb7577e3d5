#!/usr/bin/python3
"""What every daemon does the same way: the admin address, leaving in order, talking to systemd."""

import os
import re
import signal
import socket
import subprocess
import time
import unittest

import harness
from harness_keys import ProviderKey, publish

DAEMONS = ("producer", "consumer", "notifier")
SAMPLE = re.compile(r'^[a-z_]+(\{[a-z_]+="[^"]*"(,[a-z_]+="[^"]*")*\})? (\S+)$')


class Daemon(harness.TestCase):
    daemons = ("sandbox",)

    def start(self, name, **settings):
        daemon = self.stack.start(name, **settings)
        self.addCleanup(daemon.kill)
        return daemon

    def test_the_admin_address(self):
        for name in DAEMONS:
            with self.subTest(daemon=name):
                daemon = self.start(name)
                self.assertEqual(harness.http_call(daemon.admin, "GET", "/livez").status, 200)
                self.assertEqual(harness.http_call(daemon.admin, "GET", "/readyz").status, 200)
                self.assertEqual(harness.http_call(daemon.admin, "GET", "/").status, 404)
                self.assertEqual(harness.http_call(daemon.admin, "POST", "/livez").status, 405)
                daemon.stop()

    def healthcheck(self, address, *options):
        done = self.stack.ctl("healthcheck", *options, check=False, timeout=20, CHECKOUT_ADMIN_LISTEN=address)
        self.assertEqual(len((done.stdout + done.stderr).splitlines()), 1, done.stdout + done.stderr)
        return done.returncode, done.stdout + done.stderr

    def test_the_check_of_a_container(self):
        port = harness.free_port()
        notifier = self.start("notifier", CHECKOUT_ADMIN_LISTEN=f"0.0.0.0:{port}")
        for host in ("127.0.0.1", "0.0.0.0", "localhost"):
            self.assertEqual(self.healthcheck(f"{host}:{port}"), (0, f"http://127.0.0.1:{port}/readyz: ready\n"))
        self.assertEqual(self.healthcheck(f"127.0.0.1:{port}", "--live")[0], 0)
        notifier.stop()
        code, said = self.healthcheck(f"127.0.0.1:{port}")
        self.assertEqual(code, 1)
        self.assertIn("no answer", said)

    def test_the_check_of_a_container_whose_daemon_is_not_ready_or_silent(self):
        down = re.sub(r":\d+/", f":{harness.free_port()}/", self.stack.settings["CHECKOUT_AMQP_URL"])
        consumer = self.start("consumer", wait=False, CHECKOUT_AMQP_URL=down)
        harness.wait_until(lambda: self.healthcheck(consumer.admin.removeprefix("http://"), "--live")[0] == 0, 30, "it to run")
        code, said = self.healthcheck(consumer.admin.removeprefix("http://"))
        self.assertEqual(code, 1)
        self.assertIn(f"{consumer.admin}/readyz: ", said)
        self.assertNotIn("ready\n", said)
        with socket.create_server(("127.0.0.1", 0)) as silent:
            code, said = self.healthcheck(f"127.0.0.1:{silent.getsockname()[1]}")
        self.assertEqual(code, 1)
        self.assertIn("no answer", said)
        for wrong in ("127.0.0.1:0", "nonsense"):
            code, said = self.healthcheck(wrong)
            self.assertEqual(code, 1)
            self.assertIn("CHECKOUT_ADMIN_LISTEN", said)

    def from_the_start(self, text, metric, *routes):
        """Nothing was asked for yet, and there are series all the same."""
        for route in routes:
            for code in (200, 503):
                self.assertIn(f'{metric}{{route="{route}",code="{code}"}} 0\n', text)

    def test_metrics_are_well_formed(self):
        jwks = os.path.join(self.stack.directory, "jwks.json")
        publish(jwks, ProviderKey("ES256", "one").jwk())
        spans = {"CHECKOUT_OTLP_ENDPOINT": "http://127.0.0.1:1", "CHECKOUT_TRACE_RATIO": "1"}
        own = {"mailer": {"CHECKOUT_SMTP_URL": "smtp://127.0.0.1:1", "CHECKOUT_MAIL_FROM": "shop@example.org"},
               "webhooks": {"CHECKOUT_HOOKS_SECRETS": self.stack.directory}, "console": {"CHECKOUT_CONSOLE_JWKS_FILE": jwks}}
        for name in (*DAEMONS, *own):
            with self.subTest(daemon=name):
                daemon = self.start(name, **spans, **own.get(name, {}))
                text = harness.http_call(daemon.admin, "GET", "/metrics").body.decode()
                kinds = {}
                for line in text.splitlines():
                    if line.startswith("# TYPE "):
                        _, _, metric, kind = line.split(" ")
                        self.assertNotIn(metric, kinds, "declared twice")
                        kinds[metric] = kind
                    elif not line.startswith("# HELP "):
                        self.assertRegex(line, SAMPLE)
                        float(SAMPLE.match(line).group(3))
                        base = re.sub(r"_(bucket|sum|count)$", "", re.split(r"[{ ]", line)[0])
                        self.assertTrue(base in kinds or re.split(r"[{ ]", line)[0] in kinds, line)
                for metric, kind in kinds.items():
                    self.assertRegex(metric, r"^(checkout|process)_")
                    self.assertEqual(metric.endswith("_total"), kind == "counter", metric)
                for label in ("sku", "user"):
                    self.assertNotIn(f"{label}=", text)
                self.assertNotIn("null", text)
                self.assertIn(f'checkout_program_info{{program="{name}"}} 1\n', text)
                if name == "producer":
                    self.assertIn('checkout_requests_total{route="POST /v1/orders",code="503"} 0\n', text)
                    self.from_the_start(text, "checkout_requests_total", "GET /v1/orders/{id}", "POST /v1/webhooks/stripe")
                if name == "console":
                    self.from_the_start(text, "checkout_console_requests_total", "GET /v1/shop/orders", "page",
                                        "POST /v1/shop/orders/{id}/refund", "POST /v1/ops/dead-letters/replay")
                judged = subprocess.run(["promtool", "check", "metrics"], input=text, check=False, text=True,
                                        stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
                self.assertEqual((judged.returncode, judged.stdout), (0, ""))
                daemon.stop()

    def test_loop_lag_shows_a_process_that_stood_still(self):
        daemon = self.start("notifier")

        def slow():
            """Samples of more than a second."""
            text = harness.http_call(daemon.admin, "GET", "/metrics").body.decode()
            below, total = (int(re.search(rf'^checkout_loop_lag_seconds_bucket{{le="{bound}"}} (\d+)$', text,
                                          re.MULTILINE).group(1)) for bound in ("1", r"\+Inf"))
            return total - below
        self.assertEqual(slow(), 0)
        os.kill(daemon.pid, signal.SIGSTOP)
        self.addCleanup(os.kill, daemon.pid, signal.SIGCONT)
        stopped = time.monotonic()
        harness.wait_until(lambda: time.monotonic() > stopped + 1.5, 15, "a stop that is long enough")
        os.kill(daemon.pid, signal.SIGCONT)
        harness.wait_until(lambda: slow() == 1, 15, "one late sample")

    def test_readiness_follows_the_servers(self):
        broker = self.stack.settings["CHECKOUT_AMQP_URL"]
        down = re.sub(r":\d+/", f":{harness.free_port()}/", broker)
        for name in ("producer", "consumer"):
            with self.subTest(daemon=name):
                daemon = self.stack.start(name, wait=False, CHECKOUT_AMQP_URL=down)
                self.addCleanup(daemon.kill)

                def reached():
                    try:
                        return harness.http_call(daemon.admin, "GET", "/livez").status == 200
                    except OSError:
                        return False
                harness.wait_until(reached, 30, "the admin address")
                answer = harness.http_call(daemon.admin, "GET", "/readyz")
                self.assertEqual(answer.status, 503)
                self.assertTrue(answer.body.strip(), "it does not say why")
                daemon.stop()

    def test_systemd_is_told(self):
        for name in DAEMONS:
            with self.subTest(daemon=name), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as ear:
                path = os.path.join(self.stack.directory, f"notify-{name}")
                ear.bind(path)
                ear.settimeout(10)
                daemon = self.start(name, NOTIFY_SOCKET=path, WATCHDOG_USEC="400000")
                heard = set()
                while not {"READY=1", "WATCHDOG=1"} <= heard:
                    heard.update(ear.recv(4096).decode().split("\n"))
                daemon.terminate()
                while "STOPPING=1" not in heard:
                    heard.update(ear.recv(4096).decode().split("\n"))
                daemon.finish()

    def test_either_signal_ends_it_in_order(self):
        for name in DAEMONS:
            for number in (signal.SIGTERM, signal.SIGINT):
                with self.subTest(daemon=name, signal=number):
                    daemon = self.start(name)
                    daemon.process.send_signal(number)
                    daemon.finish(15)
                    self.assertEqual(daemon.process.returncode, 0)


if __name__ == "__main__":
    unittest.main(verbosity=2)
