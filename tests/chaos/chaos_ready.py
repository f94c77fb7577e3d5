"""Writes down what the programs say of themselves: /readyz of each, each second, and `doctor` now and then."""

import http.client
import json
import threading
import time
import urllib.parse

EACH_S, TIMEOUT_S, DOCTOR_S = 1.0, 2.0, 7.0


class ReadyLog:
    """Lines of ready.jsonl (tests/auditor/judge_ready.py) into `log` from start() to stop()."""

    def __init__(self, world, log):
        self.world, self._log = world, log
        self._lock, self._over = threading.Lock(), threading.Event()
        self._threads = [threading.Thread(target=self._watch, args=(slot,))
                         for slot in world.slots() if slot.kind in ("producer", "consumer", "notifier")]
        self._threads.append(threading.Thread(target=self._ask_doctor))

    def start(self):
        for thread in self._threads:
            thread.start()

    def stop(self):
        self._over.set()
        for thread in self._threads:
            if thread.ident is not None:
                thread.join()

    def _write(self, **line):
        with self._lock:
            self._log.write(json.dumps({**line, "at": time.monotonic(), "wall": time.time()}) + "\n")

    def _watch(self, slot):
        while not self._over.wait(EACH_S):
            daemon = slot.daemon
            if daemon is None or slot.leaving or not daemon.running():
                continue
            frozen, asked = slot.frozen, time.monotonic()
            status, text = ask(daemon.admin)
            frozen = frozen or slot.frozen or slot.daemon is not daemon
            if slot.leaving or not daemon.running():
                continue   # it went while we asked
            self._write(program=slot.name, kind=slot.kind, pid=daemon.pid, asked=asked, status=status, said=text,
                        frozen=frozen)

    def _ask_doctor(self):
        while not self._over.wait(DOCTOR_S):
            asked = time.monotonic()
            done = self.world.stack.ctl("doctor", check=False)
            lines = done.stdout.splitlines()
            well = done.returncode == 0 and lines[-1:] == ["all is well"]
            self._write(program="doctor", kind="doctor", pid=0, asked=asked, status=200 if well else 503,
                        said="" if well else done.stdout, frozen=False)


def ask(admin):
    """(status, text) of /readyz; (0, why) if there is no answer in time."""
    target = urllib.parse.urlsplit(admin)
    connection = http.client.HTTPConnection(target.hostname, target.port, timeout=TIMEOUT_S)
    try:
        connection.request("GET", "/readyz")
        answer = connection.getresponse()
        return answer.status, answer.read().decode()
    except (OSError, http.client.HTTPException) as error:
        return 0, repr(error)
    finally:
        connection.close()
