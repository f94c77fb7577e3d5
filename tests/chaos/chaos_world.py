"""The world that chaos happens to: private servers, the programs under test, the wires between them."""

import json
import os
import resource
import signal
import subprocess
import sys
import threading
import time
import urllib.parse

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path.insert(0, os.path.join(ROOT, "tests", "integration"))

import harness  # noqa: E402
from harness_services import _parse_env  # noqa: E402

SERVICES = os.path.join(ROOT, "deploy", "dev", "services")
URLS = {"database": "CHECKOUT_DATABASE_URL", "broker": "CHECKOUT_AMQP_URL",
        "redis": "CHECKOUT_REDIS_URL", "gateway": "CHECKOUT_GATEWAY_URL"}
LINKS = {"producer": ("broker", "database", "redis"),
         "consumer": ("broker", "database", "redis", "gateway"),
         "notifier": ("database", "redis"), "sandbox": ()}
SERVERS = {"database": "postgres", "broker": "rabbitmq", "redis": "redis"}
PRODUCERS, CONSUMERS, CONSUMERS_MAX, SHARDS = 2, 4, 8, 16
WAIT_MAX_S = 10
ACTION_WAIT_S = 15
GATEWAY_LIMIT_S = 25    # behind a wire that holds for 8 s it may be frozen for 5 s, and answer slowly
HARDLY_BEGUN_S = 5.0
WEBHOOK_SECRET = "whsec_0123456789abcdef0123456789abcdef"


class Wires:
    """The process of wire.py."""

    def __init__(self):
        script = os.path.join(os.path.dirname(os.path.abspath(__file__)), "wire.py")
        self._process = subprocess.Popen(["/usr/bin/python3", script], stdin=subprocess.PIPE,
                                         stdout=subprocess.PIPE, text=True, start_new_session=True)
        self._lock = threading.Lock()

    def tell(self, wire, what, **more):
        with self._lock:
            self._process.stdin.write(json.dumps({"do": what, "wire": wire, **more}) + "\n")
            self._process.stdin.flush()
            return json.loads(self._process.stdout.readline())

    def open(self, wire, url):
        """The URL that leads through a new wire to this server."""
        parts = urllib.parse.urlsplit(url)
        port = self.tell(wire, "open", host=parts.hostname, port=parts.port)["port"]
        login = parts.netloc.rpartition("@")
        return urllib.parse.urlunsplit(parts._replace(netloc=f"{login[0]}{login[1]}127.0.0.1:{port}"))

    def close(self):
        self._process.stdin.close()
        self._process.wait(30)


class Slot:
    """A place for one program: its addresses and wires stay, its process comes and goes."""

    def __init__(self, world, kind, number, **settings):
        self.world, self.kind, self.name = world, kind, f"{kind}-{number}"
        self.settings = settings
        self.daemon = None
        self.began = self.ended = 0.0    # its newest start, and SIGTERM
        self.frozen = self.leaving = False
        self.busy = False        # a fault is at work here
        self.wires = {}
        for server in LINKS[kind]:
            self.wires[server] = f"{self.name}/{server}"
            self.settings[URLS[server]] = world.wires.open(self.wires[server],
                                                           world.stack.settings[URLS[server]])

    def running(self):
        return self.daemon is not None and self.daemon.running()

    def serving(self):
        return self.running() and not self.frozen and not self.leaving

    def start(self):
        if not self.running():
            self.daemon = self.world.stack.start(self.kind, wait=False, **self.settings)
            self.began = time.monotonic()
            self.frozen = self.leaving = False

    def kill(self):
        if self.running():
            self.daemon.kill()
            self.frozen = False

    def freeze(self):
        if self.running():
            self.daemon.freeze()
            self.frozen = True

    def thaw(self):
        if self.frozen and self.running():
            self.daemon.thaw()
        self.frozen = False

    def leave(self):
        """SIGTERM; it drains by itself."""
        if self.running():
            self.thaw()
            self.ended = time.monotonic()
            self.daemon.terminate()
            self.leaving = True

    def gone(self):
        """Whether it has left after leave(); and that it left well."""
        if self.running():
            return False
        if self.leaving:
            self.leaving = False
            self.world.note_exit(self)
        return True


class World:
    """Everything that runs. `close` ends exactly that. `bug`: CHECKOUT_SEEDED_BUG of the programs, or
    None; `sow(url)` then bugs what belongs into the database."""

    def __init__(self, directory, bug=None, sow=None):
        self.directory, self.seeded_bug, self._sow = directory, bug, sow
        self.problems = []       # programs that ended by themselves, or not well
        self.wires = None
        self.stack = None
        self._servers = os.path.join(directory, "servers")
        self._lock = threading.Lock()
        self._watching = False

    def open(self):
        os.chdir(self.directory)  # a program that crashes leaves its core here
        _, most = resource.getrlimit(resource.RLIMIT_CORE)
        resource.setrlimit(resource.RLIMIT_CORE, (most, most))
        subprocess.run([SERVICES, "start", "--dir", self._servers], check=True,
                       stdout=subprocess.DEVNULL, start_new_session=True)
        printed = subprocess.run([SERVICES, "env", "--dir", self._servers], check=True, text=True,
                                 stdout=subprocess.PIPE).stdout
        os.environ.update(_parse_env(printed))
        os.environ["CHECKOUT_TEST_LOGS"] = os.path.join(self.directory, "logs")
        settings = {"CHECKOUT_WAIT_MAX": f"{WAIT_MAX_S}s", "CHECKOUT_ACTION_WAIT": f"{ACTION_WAIT_S}s",
                    "CHECKOUT_GATEWAY_TIMEOUT": "3s", "CHECKOUT_GATEWAY_LIMIT": f"{GATEWAY_LIMIT_S}s"}
        if self.seeded_bug:
            settings["CHECKOUT_SEEDED_BUG"] = self.seeded_bug
        self.stack = harness.Stack("chaos", shards=SHARDS, settings=settings)
        self.stack.keep_logs()
        if self.seeded_bug:
            self._sow(self.stack.direct["CHECKOUT_DATABASE_URL"])
        self.wires = Wires()
        self._make_slots()
        for slot in [*self.sandboxes, *self.producers, *self.consumers[:CONSUMERS], *self.notifiers]:
            slot.start()
        for slot in self.slots():
            if slot.running():
                slot.daemon.wait_ready(self.stack._probe(slot.daemon), 40)
        self._watching = True

    def _make_slots(self):
        address = f"127.0.0.1:{harness.free_port()}"
        self.api = "http://" + address
        secret = self.stack.write_secret("webhook", WEBHOOK_SECRET)
        self.stack.sandbox_options = ("--webhook-url", self.api + "/v1/webhooks/stripe", "--webhook-secret", secret)
        self.sandboxes = [Slot(self, "sandbox", 1)]
        self.producers = [Slot(self, "producer", n + 1, CHECKOUT_LISTEN=address, CHECKOUT_WEBHOOK_SECRET_FILE=secret)
                          for n in range(PRODUCERS)]
        # As while a release is rolled out: who takes over asks under the same key for something else.
        self.consumers = [Slot(self, "consumer", n + 1, CHECKOUT_NAME=f"consumer-{n + 1}",
                               CHECKOUT_GATEWAY_RETURN_URL=f"https://shop.example/back?release={n % 2}")
                          for n in range(CONSUMERS_MAX)]
        events = urllib.parse.urlsplit(self.stack.settings["CHECKOUT_EVENTS_URL"]).netloc
        self.notifiers = [Slot(self, "notifier", 1, CHECKOUT_LISTEN=events)]
        self.events = self.stack.settings["CHECKOUT_EVENTS_URL"]

    def slots(self):
        return [*self.producers, *self.consumers, *self.notifiers, *self.sandboxes]

    def of_kind(self, kind):
        return {"producer": self.producers, "consumer": self.consumers, "notifier": self.notifiers,
                "sandbox": self.sandboxes}[kind]

    # -- programs that end --------------------------------------------------------------------------

    def note_exit(self, slot):
        """It left after SIGTERM: well, or, when it had hardly begun, by the signal itself."""
        daemon = slot.daemon
        if daemon in self.stack.daemons:
            self.stack.daemons.remove(daemon)
        if daemon.process.returncode == -signal.SIGTERM and slot.ended - slot.began < HARDLY_BEGUN_S:
            return
        try:
            daemon.finish(1)
        except AssertionError as error:
            self.problems.append(f"{slot.name}: {error}")

    def mind_the_fallen(self):
        """Notes, and starts again, what ended although nothing was done to it."""
        for slot in self.slots() if self._watching else ():
            with self._lock:
                if slot.leaving or slot.busy or slot.daemon is None or slot.running():
                    continue
                code = slot.daemon.process.returncode
                if slot.daemon in self.stack.daemons:
                    self.stack.daemons.remove(slot.daemon)
                self.problems.append(f"{slot.name} ended by itself with {code} (log: {slot.daemon.log})")
                slot.start()

    def claim(self, slot):
        """True if no other fault is at work on this slot; then it is the caller's until release()."""
        with self._lock:
            if slot.busy:
                return False
            slot.busy = True
            return True

    @staticmethod
    def release(slot):
        slot.busy = False

    # -- servers ------------------------------------------------------------------------------------

    def server(self, command, which, kill=False):
        """start or stop one of the servers."""
        subprocess.run([SERVICES, command, "--dir", self._servers, "--only", SERVERS[which],
                        *(["--kill"] if kill else [])], check=True, stdout=subprocess.DEVNULL,
                       start_new_session=True)

    def crash_database(self):
        """PostgreSQL's immediate shutdown: no checkpoint, recovery at the next start."""
        told = subprocess.run([SERVICES, "status", "--dir", self._servers, "--only", "postgres", "--json"],
                              check=False, text=True, stdout=subprocess.PIPE).stdout
        pid = json.loads(told)[0]["pid"]
        os.kill(pid, signal.SIGQUIT)
        self.server("stop", "database")

    def broker_control(self, *arguments):
        """rabbitmqctl on the private node."""
        found = {}
        with open(os.path.join(self._servers, "rabbitmq1.pid"), encoding="ascii") as note:
            pid = int(note.read().split()[0])
        with open(f"/proc/{pid}/environ", "rb") as source:
            for pair in source.read().split(b"\0"):
                name, _, value = pair.decode().partition("=")
                if name.startswith("RABBITMQ_NODENAME") or name in ("HOME", "PATH", "LANG") or \
                        name.startswith("ERL_EPMD"):
                    found[name] = value
        subprocess.run(["/usr/lib/rabbitmq/bin/rabbitmqctl", "-q", *arguments], check=True, env=found,
                       stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, timeout=60,
                       start_new_session=True)

    # -- healing ------------------------------------------------------------------------------------

    def heal(self):
        """Everything runs, four consumers of it, and nothing is in its way."""
        for slot in self.slots():
            for wire in slot.wires.values():
                self.wires.tell(wire, "pass")
                self.wires.tell(wire, "delay", seconds=0)
                self.wires.tell(wire, "up")
            slot.thaw()
        for slot in self.consumers[CONSUMERS:]:
            slot.leave()
        deadline = time.monotonic() + 30
        while not all(slot.gone() for slot in self.slots() if slot.leaving):
            if time.monotonic() > deadline:
                self.problems.append("a program did not leave within 30 s of SIGTERM")
                break
            time.sleep(0.1)
        for slot in [*self.sandboxes, *self.producers, *self.consumers[:CONSUMERS], *self.notifiers]:
            slot.start()
        for slot in self.slots():
            if slot.running():
                slot.daemon.wait_ready(self.stack._probe(slot.daemon), 60)

    def close(self):
        self._watching = False
        try:
            if self.stack is not None:
                for slot in self.slots() if hasattr(self, "notifiers") else ():
                    slot.thaw()
                try:
                    self.stack.stop_daemons()
                except AssertionError as error:
                    self.problems.append(str(error))
                try:
                    self.stack.close()
                except Exception as error:  # the servers may be gone, and go next anyway
                    print(f"closing: {error}", file=sys.stderr)
        finally:
            if self.wires is not None:
                self.wires.close()
            if os.path.isdir(self._servers):
                subprocess.run([SERVICES, "remove", "--dir", self._servers], check=False,
                               stdout=subprocess.DEVNULL, start_new_session=True)
