"""One process under test: started with its own log, watched, stopped by the id it was given."""

import atexit
import fcntl
import os
import re
import signal
import subprocess
import time

import harness_client
from harness_services import ROOT
from harness_wait import wait_until

_SANITIZER = re.compile(rb"(AddressSanitizer|LeakSanitizer|ThreadSanitizer|runtime error):?[^\n]*")


def build_directory():
    return os.environ.get("CHECKOUT_BUILD_DIR") or os.path.join(ROOT, "build", "dev")


def sanitized(name):
    """Whether a program holds AddressSanitizer: then its memory says nothing about the product's."""
    with open(program(name), "rb") as source:
        return b"__asan_init" in source.read()


def program(name, build=None):
    """Path of a built program, e.g. program("checkoutctl"); `build` instead of the directory under test."""
    path = os.path.join(build or build_directory(), "bin", name)
    if not os.access(path, os.X_OK):
        raise FileNotFoundError(f"{path} is not built; build it or set CHECKOUT_BUILD_DIR")
    return path


def program_environment(settings):
    """The environment of a program under test: ours without CHECKOUT_*, plus its settings."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith("CHECKOUT_")}
    clean.update({name: str(value) for name, value in settings.items() if value is not None})
    return clean


_started = []


@atexit.register
def _end_what_is_left():
    """When a run is cut off, nothing that it started goes on."""
    for daemon in _started:
        if daemon.process.poll() is None:
            daemon.process.kill()
        if daemon.reader is not None:
            daemon.reader.go_on()


def connected_ports(pid):
    """Ports of the servers that a process is connected to."""
    sockets = set()
    for number in os.listdir(f"/proc/{pid}/fd"):
        try:
            sockets.add(os.readlink(f"/proc/{pid}/fd/{number}"))
        except FileNotFoundError:
            continue
    with open(f"/proc/{pid}/net/tcp", encoding="ascii") as table:
        rows = [line.split() for line in table][1:]
    return {int(row[2].rsplit(":", 1)[1], 16) for row in rows if f"socket:[{row[9]}]" in sockets}


class LogReader:
    """A process that brings what a program logs from a pipe of one page into its file, and may be stalled."""

    def __init__(self, sink):
        self._process = subprocess.Popen(["cat"], stdin=subprocess.PIPE, stdout=sink)
        self.pipe = self._process.stdin
        fcntl.fcntl(self.pipe, fcntl.F_SETPIPE_SZ, 4096)

    def stall(self):
        self._process.send_signal(signal.SIGSTOP)

    def go_on(self):
        self._process.send_signal(signal.SIGCONT)

    def finish(self):
        """After the end of the program: the rest is in the file."""
        self.go_on()
        self._process.wait(10)


class Daemon:
    """A running program. `url` is where it serves, `admin` its admin address, `build` where it was built;
    `piped`: a LogReader, `reader`, is between it and its log."""

    def __init__(self, name, settings, log, url=None, admin=None, arguments=(), build=None, piped=False):
        self.name, self.settings, self.log, self.url, self.admin = name, settings, log, url, admin
        self.arguments = tuple(arguments)
        self._frozen = False
        self._log_from = os.path.getsize(log) if os.path.exists(log) else 0
        with open(log, "ab") as sink:
            self.reader = LogReader(sink) if piped else None
            self.process = subprocess.Popen(
                [program(name, build), *arguments], env=program_environment(settings),
                stdout=self.reader.pipe if piped else sink, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL)
            if piped:
                self.reader.pipe.close()
        _started.append(self)

    @property
    def pid(self):
        return self.process.pid

    def running(self):
        return self.process.poll() is None

    def log_text(self):
        with open(self.log, "rb") as source:
            source.seek(self._log_from)
            return source.read()

    def wait_ready(self, probe, timeout=60):
        def ready():
            if not self.running():
                raise RuntimeError(f"{self.name} ended with {self.process.returncode}: {self._tail()}")
            return probe()
        try:
            wait_until(ready, timeout, f"{self.name} ready (log: {self.log})")
        except AssertionError as error:
            raise AssertionError(f"{error}\n{self._tail()}") from None

    def resident_bytes(self):
        with open(f"/proc/{self.pid}/statm", encoding="ascii") as statm:
            return int(statm.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")

    def metric(self, name):
        return harness_client.metric(self.admin, name)

    def freeze(self):
        self.process.send_signal(signal.SIGSTOP)
        self._frozen = True

    def thaw(self):
        self.process.send_signal(signal.SIGCONT)
        self._frozen = False

    def kill(self):
        """kill -9, and waits until the kernel has taken it."""
        if self.running():
            self.process.kill()
        self.process.wait()
        self._finish_log()

    def _finish_log(self):
        if self.reader is not None:
            self.reader.finish()

    def terminate(self):
        """SIGTERM only; finish() waits for the end."""
        if self._frozen:
            self.thaw()
        self.process.terminate()

    def stop(self, timeout=30):
        """SIGTERM; the daemon must drain, leave with 0, and show no sanitizer report."""
        if self.running():
            self.terminate()
        self.finish(timeout)

    def finish(self, timeout=30):
        """Waits for the end and checks it. One that the test has killed is fine."""
        try:
            code = self.process.wait(timeout)
        except subprocess.TimeoutExpired:
            self.kill()
            raise AssertionError(f"{self.name} did not leave within {timeout} s of SIGTERM "
                                 f"(log: {self.log})\n{self._tail()}") from None
        self._finish_log()
        report = _SANITIZER.search(self.log_text())
        if report:
            raise AssertionError(f"{self.name}: {report.group(0).decode(errors='replace')} "
                                 f"(log: {self.log})")
        if code not in (0, -signal.SIGKILL):
            raise AssertionError(f"{self.name} left with {code} (log: {self.log})\n{self._tail()}")

    def _tail(self, lines=12):
        time.sleep(0.05)
        return "\n".join(self.log_text().decode(errors="replace").splitlines()[-lines:])
