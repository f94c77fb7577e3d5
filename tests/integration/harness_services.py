"""The servers that tests run against: those of the environment, or private ones."""

import atexit
import contextlib
import glob
import os
import random
import shlex
import shutil
import signal
import socket
import subprocess
import tempfile
import urllib.parse

from harness_wait import wait_until

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
NEEDED = ("CHECKOUT_DATABASE_URL", "CHECKOUT_AMQP_URL", "CHECKOUT_REDIS_URL")
OPTIONAL = ("CHECKOUT_QUEUE_REPLICAS",)

_settings = None
_run_directory = None


def run_directory():
    """A directory for this process's logs and secrets; removed at the end if nothing failed."""
    global _run_directory
    if _run_directory is None:
        base = os.environ.get("CHECKOUT_TEST_LOGS")
        if base:
            os.makedirs(base, exist_ok=True)
        _run_directory = tempfile.mkdtemp(prefix="checkout-test.", dir=base or None)
        os.chmod(_run_directory, 0o755)
    return _run_directory


def services():
    """CHECKOUT_* of the servers (database, broker, Redis), started now if the environment has none."""
    global _settings
    if _settings is None:
        if all(os.environ.get(name) for name in NEEDED):
            _settings = {name: os.environ[name] for name in NEEDED + OPTIONAL if name in os.environ}
        else:
            _settings = _start_private()
    return _settings


def start_three_nodes():
    """From now on tests use servers of their own, with three RabbitMQ nodes; returns their directory."""
    return start_own("--nodes", "3")


def start_own(*options):
    """From now on tests use servers of their own; returns their directory."""
    global _settings
    directory = tempfile.mkdtemp(prefix="checkout-services.")
    os.chmod(directory, 0o755)  # PostgreSQL may run as another user
    tool = os.path.join(ROOT, "deploy", "dev", "services")
    atexit.register(_stop_private, tool, directory)
    subprocess.run([tool, "start", "--dir", directory, *options], check=True, stdout=subprocess.DEVNULL)
    printed = subprocess.run([tool, "env", "--dir", directory], check=True, text=True,
                             stdout=subprocess.PIPE).stdout
    found = _parse_env(printed)
    _settings = {name: found[name] for name in NEEDED + OPTIONAL}
    return directory


class PrivateDatabase:
    """A PostgreSQL that a test may kill."""

    def __init__(self, directory, program):
        self.directory, self._environment = directory, {**os.environ}
        if program is not None:
            self._environment["POSTGRES_PROGRAM"] = program

    def _tool(self, *arguments):
        subprocess.run([os.path.join(ROOT, "deploy", "dev", "services"), *arguments, "--dir", self.directory, "--only",
                        "postgres"], check=True, stdout=subprocess.DEVNULL, env=self._environment)

    def start(self):
        self._tool("start")

    def kill(self):
        self._tool("stop", "--kill")


class PrivateNode:
    """The first RabbitMQ node of servers that start_own started, for what its own tools do."""

    TOOLS = "/usr/lib/rabbitmq/bin"

    def __init__(self, directory):
        self.home = os.path.join(directory, "rabbitmq1")
        with open(os.path.join(directory, "settings"), encoding="ascii") as source:
            names = dict(line.strip().split("=", 1) for line in source)
        self.environment = {"HOME": os.path.join(directory, "rabbitmq"), "LANG": "C.UTF-8",
                            "PATH": f"{self.TOOLS}:/usr/sbin:/usr/bin:/sbin:/bin", "ERL_EPMD_PORT": names["EPMD_PORT"],
                            "RABBITMQ_NODENAME": f"{names['CLUSTER']}-1@localhost", "RABBITMQ_CONF_ENV_FILE": "/dev/null",
                            "RABBITMQ_ENABLED_PLUGINS_FILE": os.path.join(self.home, "enabled_plugins")}

    def ctl(self, *words):
        return self._run("rabbitmqctl", "-q", *words)

    def enable_management(self):
        """The base URL of its API."""
        port = free_port()
        self.ctl("eval", f"application:load(rabbitmq_management), application:set_env(rabbitmq_management, "
                         f"tcp_config, [{{port, {port}}}, {{ip, \"127.0.0.1\"}}]).")
        self._run("rabbitmq-plugins", "enable", "rabbitmq_management")
        return f"http://127.0.0.1:{port}"

    def _run(self, tool, *words):
        return subprocess.run([os.path.join(self.TOOLS, tool), *words], env=self.environment, check=True, text=True,
                              stdout=subprocess.PIPE).stdout


def start_private_database(program=None):
    """From now on tests use a PostgreSQL of their own, started by this program (a wrapper) if given."""
    everything = services()
    directory = tempfile.mkdtemp(prefix="checkout-services.")
    os.chmod(directory, 0o755)  # PostgreSQL may run as another user
    tool = os.path.join(ROOT, "deploy", "dev", "services")
    atexit.register(_stop_private, tool, directory)
    database = PrivateDatabase(directory, program)
    database.start()
    printed = subprocess.run([tool, "env", "--dir", directory], check=True, text=True,
                             stdout=subprocess.PIPE).stdout
    everything["CHECKOUT_DATABASE_URL"] = _parse_env(printed)["CHECKOUT_DATABASE_URL"]
    return database


def _start_private():
    directory = tempfile.mkdtemp(prefix="checkout-services.")
    os.chmod(directory, 0o755)  # PostgreSQL may run as another user
    tool = os.path.join(ROOT, "deploy", "dev", "services")
    atexit.register(_stop_private, tool, directory)
    subprocess.run([tool, "start", "--dir", directory], check=True, stdout=subprocess.DEVNULL)
    printed = subprocess.run([tool, "env", "--dir", directory], check=True, text=True,
                             stdout=subprocess.PIPE).stdout
    settings = _parse_env(printed)
    missing = [name for name in NEEDED if name not in settings]
    if missing:
        raise RuntimeError(f"deploy/dev/services env does not print {', '.join(missing)}")
    return {name: settings[name] for name in NEEDED + OPTIONAL if name in settings}


def _stop_private(tool, directory):
    removed = subprocess.run([tool, "remove", "--dir", directory], check=False,
                             stdout=subprocess.DEVNULL)
    if removed.returncode == 0:
        shutil.rmtree(directory, ignore_errors=True)


def _parse_env(text):
    """NAME=value lines as a shell would read them, with or without `export`."""
    settings = {}
    for word in shlex.split(text, comments=True):
        name, equals, value = word.partition("=")
        if equals and name.startswith("CHECKOUT_"):
            settings[name] = value.rstrip(";")
    return settings


_kept_ports = []    # abstract sockets: a port stays this process's until it ends, though nothing listens there yet


def free_port():
    """One that nobody is given unasked, until it is used: below the range of outgoing connections and of port 0, and
    not handed out by another run of the tests at the same time."""
    while True:
        port = random.randrange(12000, 32000)
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            keeper = socket.socket(socket.AF_UNIX)
            _kept_ports.append(keeper)
            keeper.bind(f"\0checkout-test-port-{port}")
            return port


class Standby:
    """A streaming standby of the server at `url`; its files lie where PostgreSQL's user may enter."""

    def __init__(self, url, port=None):
        self._primary = urllib.parse.urlsplit(url)
        self._programs = max(glob.glob("/usr/lib/postgresql/*/bin"), key=lambda path: int(path.split("/")[4]))
        self._user = ("setpriv", "--reuid=postgres", "--regid=postgres", "--init-groups", "--") if os.geteuid() == 0 \
            else ()
        self._directory = tempfile.mkdtemp(prefix="checkout-standby.", dir="/var/tmp")
        if self._user:
            shutil.chown(self._directory, "postgres", "postgres")
        self.port = port or free_port()
        self._data = os.path.join(self._directory, "data")
        self._run("pg_basebackup", "-h", self._primary.hostname, "-p", str(self._primary.port), "-U",
                  self._primary.username, "-D", self._data, "-R", "-X", "stream", "-c", "fast")
        atexit.register(self.remove)
        self.start()

    def start(self):
        self._process = subprocess.Popen([*self._user, os.path.join(self._programs, "postgres"), "-D", self._data, "-p",
                                          str(self.port), "-c", "wal_retrieve_retry_interval=500ms"], cwd="/",
                                         stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                                         stderr=subprocess.DEVNULL)
        wait_until(lambda: self.one("select 1") == "1", 30, "the standby, or what it has become, to answer")

    def crash(self):
        """PostgreSQL's immediate shutdown."""
        self._process.send_signal(signal.SIGQUIT)
        self._process.wait(30)

    def _run(self, name, *arguments, check=True):
        environment = {**os.environ, "PGPASSWORD": self._primary.password}
        return subprocess.run([*self._user, os.path.join(self._programs, name), *arguments], check=check, cwd="/",
                              env=environment, text=True, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL).stdout

    def one(self, statement, port=None):
        """What the statement says, as text; "" while it does not answer."""
        return self._run("psql", "-XqAt", "-h", "127.0.0.1", "-p", str(port or self.port), "-U", self._primary.username,
                         "-d", "postgres", "-c", statement, check=False).strip()

    def wait_caught_up(self):
        end = self.one("select pg_current_wal_flush_lsn()", self._primary.port)
        wait_until(lambda: self.one(f"select pg_last_wal_replay_lsn() >= '{end}'") == "t", 30, "the standby to catch up")

    def promote(self):
        if self.one("select pg_promote()") != "t":
            raise RuntimeError("the standby was not promoted")

    def remove(self):
        self._process.terminate()
        try:
            self._process.wait(30)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        shutil.rmtree(self._directory, ignore_errors=True)
