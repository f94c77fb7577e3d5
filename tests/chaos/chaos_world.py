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
         "notifier": ("database", "redis"), "mailer": ("database",), "webhooks": ("database",), "sandbox": ()}
TWO_WAYS = ("database", "broker")   # these URLs list addresses: the only one of a server is listed twice
SERVERS = {"database": "postgres", "broker": "rabbitmq", "redis": "redis"}
PRODUCERS, CONSUMERS, CONSUMERS_MAX, SHARDS = 2, 4, 8, 16
UNDO_S = 240
NODES = 3               # of the broker, when it is a cluster
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

    def open(self, wire, host, port):
        """The port of a new wire to this server."""
        return self.tell(wire, "open", host=host, port=port)["port"]

    def close(self):
        self._process.stdin.close()
        self._process.wait(30)


def addresses(url):
    """(host, port) of each that a URL, or a list of URLs of one login, leads to."""
    hosts = [host for part in url.split("://")[1:] for host in part.rpartition("@")[2].partition("/")[0].split(",") if host]
    return [(host.rpartition(":")[0], int(host.rpartition(":")[2])) for host in hosts]


def at_ports(server, url, ports):
    """The same URL with these ports of this host."""
    parts = urllib.parse.urlsplit(url.split(",amqp://")[0])
    login = "".join(parts.netloc.rpartition("@")[:2])
    hosts = [f"127.0.0.1:{port}" for port in ports]
    if server == "broker":
        return ",".join(parts._replace(netloc=login + host).geturl() for host in hosts)
    return parts._replace(netloc=login + ",".join(hosts)).geturl()


def wire_of_nodes(node, other):
    """That by which one node of the broker connects to another."""
    return f"node {node} to {other}"


class Slot:
    """A place for one program: its addresses and wires stay, its process comes and goes. `wires`: server → names
    of the wires to its addresses."""

    def __init__(self, world, kind, number, **settings):
        self.world, self.kind, self.name = world, kind, f"{kind}-{number}"
        self.settings = settings
        self.daemon = None
        self.began = self.ended = 0.0    # its newest start, and SIGTERM
        self.frozen = self.leaving = False
        self.busy = False        # a fault is at work here
        self.wires = {}
        for server in LINKS[kind]:
            self._lay_wires(server, world.stack.settings[URLS[server]])

    def _lay_wires(self, server, url):
        targets = addresses(url)
        if len(targets) == 1 and server in TWO_WAYS:
            targets *= 2
        self.wires[server] = [f"{self.name}/{server}/{n}" for n in range(len(targets))]
        ports = [self.world.wires.open(wire, *target) for wire, target in zip(self.wires[server], targets)]
        self.settings[URLS[server]] = at_ports(server, url, ports)

    def tell(self, server, what, **more):
        """All its wires to this server."""
        for wire in self.wires[server]:
            self.world.wires.tell(wire, what, **more)

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

    def read_log(self):
        """Whoever stalled the reader of its log."""
        if self.daemon is not None and self.daemon.reader is not None:
            self.daemon.reader.go_on()

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


class Database:
    """The PostgreSQL of the private servers."""

    def __init__(self, world, port):
        self._world, self.port = world, port

    def crash(self):
        """PostgreSQL's immediate shutdown: no checkpoint, recovery at the next start."""
        os.kill(self._world.server_pid("postgres"), signal.SIGQUIT)
        self._world.server("stop", "database")

    def start(self):
        self._world.server("start", "database")


class World:
    """Everything that runs. `close` ends exactly that. `bug`: CHECKOUT_SEEDED_BUG of the programs, or
    None; `sow(url)` then bugs what belongs into the database. `cluster`: the broker has three nodes.
    `make_pair(world, primary)`: gives the database a standby."""

    def __init__(self, directory, bug=None, sow=None, cluster=False, make_pair=None, told=None):
        self.cluster, self._make_pair = cluster, make_pair
        self.directory, self.seeded_bug, self._sow = directory, bug, sow
        self.problems = []       # programs that ended by themselves, or not well
        self.told = told         # a mail server and an endpoint (chaos_told); None: neither, and no programs for them
        self.wires = None
        self.stack = None
        self.pair = None         # of a primary and its standby
        self.usual = {}          # settings of PostgreSQL that faults change, and leave as they were
        self._servers = os.path.join(directory, "servers")
        self._lock = threading.Lock()
        self._watching = False

    def open(self):
        os.chdir(self.directory)  # a program that crashes leaves its core here
        _, most = resource.getrlimit(resource.RLIMIT_CORE)
        resource.setrlimit(resource.RLIMIT_CORE, (most, most))
        self.wires = Wires()
        if self.cluster:
            self._services("start", "--nodes", str(NODES), "--only", "postgres")
            self._wire_nodes()
        self._services("start")
        printed = subprocess.run([SERVICES, "env", "--dir", self._servers], check=True, text=True,
                                 stdout=subprocess.PIPE).stdout
        os.environ.update(_parse_env(printed))
        os.environ["CHECKOUT_TEST_LOGS"] = os.path.join(self.directory, "logs")
        settings = {"CHECKOUT_WAIT_MAX": f"{WAIT_MAX_S}s", "CHECKOUT_ACTION_WAIT": f"{ACTION_WAIT_S}s",
                    "CHECKOUT_GATEWAY_TIMEOUT": "3s", "CHECKOUT_GATEWAY_LIMIT": f"{GATEWAY_LIMIT_S}s"}
        if self.seeded_bug:
            settings["CHECKOUT_SEEDED_BUG"] = self.seeded_bug
        if self.told is not None:
            settings.update(self.told.settings(self.directory))
        if self.cluster:
            settings["CHECKOUT_AMQP_URL"] = os.environ["CHECKOUT_AMQP_URL"]
        self.stack = harness.Stack("chaos", shards=SHARDS, settings=settings)
        self.stack.settings["CHECKOUT_SHARDS"] = ""     # programs follow the number in service
        self.stack.keep_logs()
        self.stack.logs_piped = True
        if self._make_pair is not None:
            self.pair = self._make_pair(self, self.database)
            self.stack.settings[URLS["database"]] = at_ports("database", self.stack.settings[URLS["database"]],
                                                             self.pair.ports())
        if self.seeded_bug:
            self._sow(self.stack.direct["CHECKOUT_DATABASE_URL"])
        self._make_slots()
        if self.told is not None:
            self.stack.ctl("webhooks", "add", "backend", self.told.receiver.url)
        for slot in self._usual_slots():
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
        self.tellers = [Slot(self, kind, 1) for kind in ("mailer", "webhooks") if self.told is not None]
        self.notifiers = [Slot(self, "notifier", 1, CHECKOUT_LISTEN=events)]
        self.events = self.stack.settings["CHECKOUT_EVENTS_URL"]

    def slots(self):
        return [*self.producers, *self.consumers, *self.notifiers, *self.tellers, *self.sandboxes]

    def _usual_slots(self):
        return [*self.sandboxes, *self.producers, *self.consumers[:CONSUMERS], *self.notifiers, *self.tellers]

    def of_kind(self, kind):
        return {"producer": self.producers, "consumer": self.consumers, "notifier": self.notifiers,
                "sandbox": self.sandboxes, "mailer": self.tellers[:1], "webhooks": self.tellers[1:]}[kind]

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

    def claim_serving(self, kind, number):
        """The number-th program of this kind that serves, claimed; None if there is none to disturb."""
        serving = [slot for slot in self.of_kind(kind) if slot.serving() and not slot.busy]
        slot = serving[number % len(serving)] if serving else None
        return slot if slot is not None and self.claim(slot) else None

    def wired_slot(self, kind, number, server):
        """The number-th program of this kind that runs and knows this server, whoever disturbs it; or None."""
        slots = [slot for slot in self.of_kind(kind) if slot.running() and server in slot.wires]
        return slots[number % len(slots)] if slots else None

    # -- servers ------------------------------------------------------------------------------------

    def _services(self, *arguments):
        subprocess.run([SERVICES, *arguments, "--dir", self._servers], check=True, stdout=subprocess.DEVNULL,
                       start_new_session=True)

    def server(self, command, which, kill=False, node=""):
        """start or stop one of the servers; of the broker, one node or all."""
        self._services(command, "--only", f"{SERVERS[which]}{node}", *(["--kill"] if kill else []))

    def server_pid(self, name):
        told = subprocess.run([SERVICES, "status", "--dir", self._servers, "--only", name, "--json"],
                              check=False, text=True, stdout=subprocess.PIPE).stdout
        return json.loads(told)[0]["pid"]

    @property
    def database(self):
        """The primary."""
        return self.pair.primary if self.pair else Database(self, addresses(self.stack.direct[URLS["database"]])[0][1])

    def follow_shards(self):
        """Whoever asks the broker past all wires asks the queues of the number of shards in service; returns it."""
        shards = self.stack.one("select shards from service")
        if shards != self.stack.shards:
            self.stack.shards = shards
            self.stack.broker = harness.Broker(self.stack.broker.url, shards)
        return shards

    def move_database(self, port):
        """Whoever asks the database past all wires asks this one from now on."""
        direct = self.stack.direct
        direct[URLS["database"]] = at_ports("database", direct[URLS["database"]], [port])
        self.stack.forget_database()

    def _wire_nodes(self):
        """A wire each way between any two nodes, to which a port mapper of each node leads it."""
        with open(os.path.join(self._servers, "settings"), encoding="ascii") as source:
            known = dict(line.strip().split("=", 1) for line in source)
        for node in range(1, NODES + 1):
            ports = {f"{known['CLUSTER']}-{other}":
                     self.wires.open(wire_of_nodes(node, other), "127.0.0.1", int(known[f"DIST_PORT_{other}"]))
                     for other in range(1, NODES + 1) if other != node}
            mapper = self.wires.tell(f"epmd of node {node}", "epmd", host="127.0.0.1", port=int(known["EPMD_PORT"]),
                                     ports=ports)
            os.environ[f"RABBITMQ_EPMD_PORT_{node}"] = str(mapper["port"])

    @staticmethod
    def wires_of_node(node):
        """All between it and the others."""
        return [wire for other in range(1, NODES + 1) if other != node
                for wire in (wire_of_nodes(node, other), wire_of_nodes(other, node))]

    def broker_control(self, *arguments, node=1):
        """rabbitmqctl on a private node."""
        found = {}
        with open(os.path.join(self._servers, f"rabbitmq{node}.pid"), encoding="ascii") as note:
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

    def broker_undo(self, *arguments):
        """The same, until it is done: what a fault has changed at the broker does not stay."""
        deadline = time.monotonic() + UNDO_S
        while True:
            try:
                return self.broker_control(*arguments)
            except (subprocess.SubprocessError, OSError):       # on a slow machine it may take longer than a minute
                if time.monotonic() > deadline:
                    raise
                time.sleep(1)       # it may be down just now

    # -- healing ------------------------------------------------------------------------------------

    def heal(self):
        """Everything runs, four consumers of it, and nothing is in its way."""
        for slot in self.slots():
            for server in slot.wires:
                slot.tell(server, "pass")
                slot.tell(server, "delay", seconds=0)
                slot.tell(server, "up")
            slot.thaw()
            slot.read_log()
        for slot in self.consumers[CONSUMERS:]:
            slot.leave()
        deadline = time.monotonic() + 30
        while not all(slot.gone() for slot in self.slots() if slot.leaving):
            if time.monotonic() > deadline:
                self.problems.append("a program did not leave within 30 s of SIGTERM")
                break
            time.sleep(0.1)
        for slot in self._usual_slots():
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
            if self.told is not None:
                self.told.close()
            if self.pair is not None:
                self.pair.close()
            if os.path.isdir(self._servers):
                subprocess.run([SERVICES, "remove", "--dir", self._servers], check=False,
                               stdout=subprocess.DEVNULL, start_new_session=True)
            if self.wires is not None:
                self.wires.close()
