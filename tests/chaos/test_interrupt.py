#!/usr/bin/python3
"""A run that is interrupted ends everything that it started."""

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(os.path.dirname(HERE), "integration"))

from harness_wait import wait_until  # noqa: E402

PROGRAMS = 11  # three servers, two producers, four consumers, a notifier, a gateway; and helpers


def residents(directory):
    """Processes that run with this directory in their command, environment or working directory."""
    found = []
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{pid}/cmdline", "rb") as command, open(f"/proc/{pid}/environ", "rb") as settings:
                text = command.read() + settings.read() + os.readlink(f"/proc/{pid}/cwd").encode()
        except OSError:
            continue
        if directory.encode() in text:
            found.append(int(pid))
    return found


class Interrupt(unittest.TestCase):
    def check(self, number):
        directory = tempfile.mkdtemp(prefix="checkout-interrupt.")
        self.addCleanup(shutil.rmtree, directory, True)
        os.chmod(directory, 0o755)  # PostgreSQL may run as another user
        run = subprocess.Popen([os.path.join(HERE, "run"), "--minutes", "5", "--dir", directory,
                                *(["--build", os.environ["CHECKOUT_BUILD_DIR"]]
                                  if "CHECKOUT_BUILD_DIR" in os.environ else [])],
                               stdout=subprocess.PIPE, stderr=subprocess.STDOUT, start_new_session=True,
                               env={**os.environ, "PYTHONFAULTHANDLER": "1"})
        try:
            clients = os.path.join(directory, "evidence", "clients.jsonl")
            wait_until(lambda: run.poll() is not None or
                       (os.path.exists(clients) and os.path.getsize(clients) > 0), 90, "buyers at work")
            self.assertGreaterEqual(len(residents(directory)), PROGRAMS)
            run.send_signal(number)
            began = time.monotonic()
            try:
                said, _ = run.communicate(timeout=90)
            except subprocess.TimeoutExpired:
                run.send_signal(signal.SIGABRT)  # with the stacks of all threads
                self.fail(f"still there; it said:\n{run.communicate(timeout=10)[0].decode()}")
            self.assertEqual(run.returncode, 130, said.decode())
            # one of Erlang's helpers may need a moment to see that its node has gone
            wait_until(lambda: not residents(directory), 15, lambda: f"{residents(directory)} to end")
            print(f"ended {time.monotonic() - began:.1f} s after signal {number}")
        finally:
            if run.poll() is None:
                run.kill()

    def test_by_the_keyboard(self):
        self.check(signal.SIGINT)

    def test_by_a_supervisor(self):
        self.check(signal.SIGTERM)


if __name__ == "__main__":
    unittest.main()
