#!/usr/bin/python3
"""What surrounds a process: its descriptors, its signals, the reader of its log, the resolver, its environment."""

import contextlib
import fcntl
import os
import re
import select
import signal
import socket
import subprocess
import threading
import time
import unittest

import harness
from harness_client import metric
from harness_keys import ProviderKey, publish

DAEMONS = ("producer", "consumer", "notifier")
# Of this process alone: another one may run the same test beside it.
LATE_RESOLVER = f"127.78.{os.getpid() // 254 % 256}.{os.getpid() % 254 + 1}"   # no one is there at first
MUTE_RESOLVER = f"127.77.{os.getpid() // 254 % 256}.{os.getpid() % 254 + 1}"


def alive(daemon, timeout=1):
    """Whether /livez answers in time."""
    try:
        return harness.http_call(daemon.admin, "GET", "/livez", timeout=timeout).status == 200
    except OSError:
        return False


class BlackHole:
    """A server that takes connections, counts them, and never answers."""

    def __init__(self):
        self.met, self._held = 0, []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        with contextlib.suppress(OSError):
            while True:
                self._held.append(self._listener.accept())
                self.met += 1

    def close(self):
        self._listener.close()


class Resolver:
    """A name server: every name is 127.0.0.1."""

    def __init__(self, address):
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind((address, 53))
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self):
        with contextlib.suppress(OSError):
            while True:
                query, client = self._socket.recvfrom(512)
                end = query.index(b"\0", 12) + 5
                of_ipv4 = query[end - 4:end - 2] == b"\0\1"
                answer = b"\xc0\x0c\0\1\0\1\0\0\0\1\0\4\x7f\0\0\1" if of_ipv4 else b""
                head = query[:2] + b"\x81\x80\0\1\0" + bytes((of_ipv4,)) + b"\0\0\0\0"
                self._socket.sendto(head + query[12:end] + answer, client)

    def close(self):
        self._socket.close()


class Process(harness.TestCase):
    daemons = ("sandbox",)

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.mute = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        cls.addClassCleanup(cls.mute.close)
        cls.mute.bind((MUTE_RESOLVER, 53))

    def start(self, name, **options):
        daemon = self.stack.start(name, **options)
        self.addCleanup(daemon.kill)
        return daemon

    def environment(self, **settings):
        return harness.program_environment({**self.stack.settings, "CHECKOUT_LISTEN": "127.0.0.1:0",
                                            "CHECKOUT_ADMIN_LISTEN": "127.0.0.1:0", **settings})

    # -- descriptors -----------------------------------------------------------------------------

    def test_closed_descriptors_are_opened_first(self):
        for name in DAEMONS:
            with self.subTest(daemon=name):
                settings = {"CHECKOUT_ADMIN_LISTEN": f"127.0.0.1:{harness.free_port()}"}
                ours = subprocess.Popen(["/bin/sh", "-c", 'exec "$0" <&- >&- 2>&-', harness.program(f"checkout-{name}")],
                                        env=self.environment(**settings))
                self.addCleanup(ours.kill)
                admin = f"http://{settings['CHECKOUT_ADMIN_LISTEN']}"

                def ready():
                    self.assertIsNone(ours.poll(), "it has ended")
                    with contextlib.suppress(OSError):
                        return harness.http_call(admin, "GET", "/readyz").status == 200
                harness.wait_until(ready, 30, "ready")
                self.assertEqual({os.readlink(f"/proc/{ours.pid}/fd/{number}") for number in range(3)}, {"/dev/null"})
                ours.terminate()
                self.assertEqual(ours.wait(15), 0)

    def test_the_tool_opens_them_too(self):
        done = subprocess.run(["/bin/sh", "-c", 'exec "$0" items list <&- 2>&-', harness.program("checkoutctl")],
                              env=self.environment(), stdout=subprocess.PIPE, timeout=30)
        self.assertEqual(done.returncode, 0)

    # -- signals ---------------------------------------------------------------------------------

    def test_sigterm_ends_process_1_from_its_first_instant(self):
        """The kernel ignores a signal to process 1 that has no handler, and the first contact may take seconds."""
        hole = BlackHole()
        self.addCleanup(hole.close)
        for name in DAEMONS:
            for number in (signal.SIGTERM, signal.SIGINT):
                with self.subTest(daemon=name, signal=number):
                    servers = {"CHECKOUT_AMQP_URL": f"amqp://u:p@127.0.0.1:{hole.port}",
                               "CHECKOUT_REDIS_URL": f"redis://127.0.0.1:{hole.port}"}
                    outer = subprocess.Popen(["unshare", "--pid", "--fork", "--kill-child",
                                              harness.program(f"checkout-{name}")],
                                             env=self.environment(**servers), stderr=subprocess.DEVNULL)
                    self.addCleanup(outer.kill)
                    met = hole.met
                    harness.wait_until(lambda: hole.met > met, 10, "the first contact")
                    with open(f"/proc/{outer.pid}/task/{outer.pid}/children", encoding="ascii") as children:
                        os.kill(int(children.read().split()[0]), number)
                    self.assertEqual(outer.wait(1), 0)

    def test_sighup_ends_none(self):
        keys = os.path.join(self.stack.directory, "console-jwks.json")
        publish(keys, ProviderKey("ES256", "shop-1").jwk())
        own = {"mailer": {"CHECKOUT_SMTP_URL": "smtp://127.0.0.1:9", "CHECKOUT_SMTP_TLS": "false",
                          "CHECKOUT_MAIL_FROM": "shop@example.org"},
               "webhooks": {"CHECKOUT_HOOKS_SECRETS": self.stack.directory}, "console": {"CHECKOUT_CONSOLE_JWKS_FILE": keys}}
        for name in (*DAEMONS, *own):
            with self.subTest(daemon=name):
                daemon = self.start(name, **own.get(name, {}))
                daemon.process.send_signal(signal.SIGHUP)
                self.assertTrue(alive(daemon))
                daemon.stop()

    # -- the log ---------------------------------------------------------------------------------

    def run_with_log(self, name, log, **settings):
        """A daemon whose standard error is this descriptor, once it answers."""
        port = harness.free_port()
        settings = {"CHECKOUT_ADMIN_LISTEN": f"127.0.0.1:{port}", "CHECKOUT_LOG_LEVEL": "debug", **settings}
        ours = subprocess.Popen([harness.program(f"checkout-{name}")], env=self.environment(**settings), stderr=log)
        ours.admin = f"http://127.0.0.1:{port}"
        self.addCleanup(ours.kill)
        harness.wait_until(lambda: alive(ours), 30, "/livez")
        return ours

    def end_sessions(self):
        """Those with Redis: a daemon logs that they are lost."""
        for client in self.stack.redis().client_list(_type="normal"):
            with contextlib.suppress(Exception):
                self.stack.redis().client_kill_filter(_id=client["id"])

    def make_it_write(self, daemon):
        """Until more is lost than was."""
        before = metric(daemon.admin, "checkout_log_lines_lost_total")

        def more():
            self.end_sessions()
            return metric(daemon.admin, "checkout_log_lines_lost_total") > before
        harness.wait_until(more, 60, "lost lines")

    def check_a_stalled_reader(self, name, reader, writer):
        daemon = self.run_with_log(name, writer)
        writer.close()
        self.make_it_write(daemon)
        self.assertTrue(alive(daemon))
        text = bytearray()

        def says_what_is_lost():  # before the next line that it has to write
            if select.select([reader], [], [], 0.2)[0]:
                text.extend(os.read(reader.fileno(), 65536))
            else:
                self.end_sessions()
            return b'"log lines lost"' in text
        harness.wait_until(says_what_is_lost, 30, "a line that says so, now that the reader goes on")
        lines = text.decode().splitlines()[:-1]
        for line in lines:
            self.assertTrue(line.startswith("{") and line.endswith("}"), line)
        self.make_it_write(daemon)
        daemon.terminate()
        self.assertEqual(daemon.wait(15), 0)

    def test_a_pipe_that_is_not_read_stops_nothing(self):
        for name in DAEMONS:
            with self.subTest(daemon=name):
                ends = os.pipe()
                fcntl.fcntl(ends[0], fcntl.F_SETPIPE_SZ, 4096)
                with os.fdopen(ends[0], "rb") as reader, os.fdopen(ends[1], "wb") as writer:
                    self.check_a_stalled_reader(name, reader, writer)

    def test_a_socket_that_is_not_read_stops_nothing(self):
        """As systemd gives one."""
        reader, writer = socket.socketpair()
        writer.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1)
        with reader, writer:
            self.check_a_stalled_reader("producer", reader, writer)

    def test_a_full_disk_stops_nothing(self):
        with open("/dev/full", "wb") as full:
            daemon = self.run_with_log("consumer", full)
        self.make_it_write(daemon)
        self.assertTrue(alive(daemon))
        daemon.terminate()
        self.assertEqual(daemon.wait(15), 0)

    def test_the_pipe_of_others_stays_as_it_is(self):
        """O_NONBLOCK belongs to all that share a pipe: a shell's commands would lose what they write."""
        ends = os.pipe()
        with os.fdopen(ends[0], "rb"), os.fdopen(ends[1], "wb") as writer:
            daemon = self.run_with_log("notifier", writer)
            self.assertTrue(os.get_blocking(writer.fileno()))
            daemon.terminate()
            self.assertEqual(daemon.wait(15), 0)

    # -- the resolver ----------------------------------------------------------------------------

    def behind_a_mute_resolver(self, name, **settings):
        """A daemon that sees a name server which never answers, in a mount namespace of its own."""
        return self.behind(f"nameserver {MUTE_RESOLVER}\noptions timeout:20 attempts:2\n", name, **settings)

    def behind(self, text, name, **settings):
        path = os.path.join(self.stack.directory, "resolv.conf")
        with open(path, "w", encoding="ascii") as sink:
            sink.write(text)
        port = harness.free_port()
        settings = {"CHECKOUT_ADMIN_LISTEN": f"127.0.0.1:{port}", **settings}
        ours = subprocess.Popen(["unshare", "--mount", "--propagation", "private", "/bin/sh", "-c",
                                 f'mount --bind {path} /etc/resolv.conf && exec "$0"', harness.program(f"checkout-{name}")],
                                env=self.environment(**settings), stderr=subprocess.DEVNULL)
        ours.admin = f"http://127.0.0.1:{port}"
        self.addCleanup(ours.kill)
        return ours

    def test_a_resolver_that_never_answers_stops_nothing(self):
        away = {"CHECKOUT_AMQP_URL": "amqp://u:p@broker.example", "CHECKOUT_REDIS_URL": "redis://cache.example",
                "CHECKOUT_DATABASE_URL": "postgresql://u:p@data.example/d"}
        for name in DAEMONS:
            with self.subTest(daemon=name):
                began = time.monotonic()
                daemon = self.behind_a_mute_resolver(name, **away)
                harness.wait_within(9, lambda: alive(daemon), "/livez")     # a resolver gives up after 10 s
                while time.monotonic() < began + 12:
                    self.assertTrue(alive(daemon))
                    threading.Event().wait(0.1)
                daemon.terminate()
                self.assertEqual(daemon.wait(12), 0)

    def test_a_resolver_that_is_not_up_yet_is_waited_for(self):
        """getaddrinfo says EAI_AGAIN: the servers are down, and no setting is wrong."""
        settings = {name: re.sub(r"(?<=[@/])127\.0\.0\.1", "server.example", self.stack.settings[name])
                    for name in ("CHECKOUT_AMQP_URL", "CHECKOUT_REDIS_URL", "CHECKOUT_DATABASE_URL")}
        daemons = [self.behind(f"nameserver {LATE_RESOLVER}\noptions timeout:1 attempts:1\n", name, **settings)
                   for name in DAEMONS]
        for daemon in daemons:
            harness.wait_until(lambda daemon=daemon: alive(daemon), 10, "/livez")
            self.assertEqual(harness.http_call(daemon.admin, "GET", "/readyz").status, 503)
            self.assertIsNone(daemon.poll())
        done = subprocess.run(["unshare", "--mount", "--propagation", "private", "/bin/sh", "-c",
                               f'mount --bind {self.stack.directory}/resolv.conf /etc/resolv.conf && exec "$0" items list',
                               harness.program("checkoutctl")], env=self.environment(**settings), timeout=60,
                              capture_output=True, text=True)
        self.assertEqual(done.returncode, 1, done.stderr)   # 2 would be a wrong setting
        resolver = Resolver(LATE_RESOLVER)
        self.addCleanup(resolver.close)
        for daemon in daemons:
            harness.wait_until(lambda daemon=daemon: harness.http_call(daemon.admin, "GET", "/readyz").status == 200, 40,
                               "ready once the name is known")
            daemon.terminate()
        for daemon in daemons:
            self.assertEqual(daemon.wait(15), 0)

    def test_a_gateway_whose_name_is_not_answered_stops_nothing_else(self):
        self.stack.item("hat", stock=5, price=1000)
        daemon = self.behind_a_mute_resolver("consumer", CHECKOUT_GATEWAY_URL="http://gateway.example",
                                             CHECKOUT_GATEWAY_TIMEOUT="2s")
        self.start("producer")
        order = self.stack.order("ann", "hat")
        order.wait("reserved", timeout=20)
        until = time.monotonic() + 6  # calls have ended meanwhile, unanswered
        while time.monotonic() < until:
            self.assertTrue(alive(daemon))
            threading.Event().wait(0.05)
        daemon.terminate()
        self.assertEqual(daemon.wait(15), 0)

    # -- the environment -------------------------------------------------------------------------

    def test_links_of_kubernetes_services_are_passed_over(self):
        links = {"CHECKOUT_SERVICE_HOST": "10.43.7.9", "CHECKOUT_PORT": "tcp://10.43.7.9:80",
                 "CHECKOUT_PRODUCER_SERVICE_HOST": "10.43.7.9", "CHECKOUT_PRODUCER_SERVICE_PORT": "80",
                 "CHECKOUT_PRODUCER_SERVICE_PORT_HTTP": "80", "CHECKOUT_PRODUCER_PORT": "udp://10.43.7.9:80",
                 "CHECKOUT_PRODUCER_PORT_80_TCP": "tcp://10.43.7.9:80", "CHECKOUT_PRODUCER_PORT_80_TCP_PROTO": "tcp",
                 "CHECKOUT_PRODUCER_PORT_80_TCP_PORT": "80", "CHECKOUT_PRODUCER_PORT_80_TCP_ADDR": "10.43.7.9"}
        for name in ("checkout-producer", "checkout-consumer", "checkout-notifier"):
            done = subprocess.run([harness.program(name), "--check-config"], env=self.environment(**links),
                                  capture_output=True, text=True, timeout=30)
            self.assertEqual((done.returncode, done.stderr), (0, ""))
        self.stack.ctl("items", "list", **links)


if __name__ == "__main__":
    harness.main()
