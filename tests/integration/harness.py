"""What the integration tests share: private servers, daemons under test, and the eyes to watch them.

A test file says

    import harness

    class Counter(harness.TestCase):
        daemons = ("sandbox", "producer", "consumer")

        def test_something(self):
            self.stack.item("dress", stock=1, price=19900)
            order = self.stack.order("ann", "dress")
            order.wait("confirmed")

Each class gets a fresh database and empty queues; the servers are those of the environment
(CHECKOUT_DATABASE_URL and its siblings, as `deploy/dev/services env` prints them), or else private
ones that start with the first class and stop with the process. The programs under test are those of
CHECKOUT_BUILD_DIR (default build/dev).
"""

import os
import random
import signal
import sys
import time
import unittest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

from harness_broker import Broker  # noqa: E402,F401
from harness_client import Answer, Gateway, Listener, http_call  # noqa: E402,F401
from harness_daemon import Daemon, build_directory, program, program_environment  # noqa: E402,F401
from harness_database import as_login, query_once  # noqa: E402,F401
from harness_jobs import job, message, order_id, shard_of  # noqa: E402,F401
from harness_proxy import Proxy  # noqa: E402,F401
from harness_services import free_port, run_directory, services  # noqa: E402,F401
from harness_stack import Order, Stack  # noqa: E402,F401
from harness_terminal import at_terminal  # noqa: E402,F401
from harness_wait import quickest, timed, timed_beside, wait_until, wait_within  # noqa: E402,F401


class TestCase(unittest.TestCase):
    """A test with a `stack`: its own database, empty queues, and the daemons it names."""

    maxDiff = None
    daemons = ()     # started in this order before the first test
    shards = 4       # few, so that a class starts fast
    items = ()       # SKUs that are on sale from the beginning
    settings = {}    # CHECKOUT_* that differ from the harness's
    proxied = ()     # of "database", "amqp", "redis", "gateway": daemons reach these through a Proxy

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.stack = Stack(cls.__name__, shards=cls.shards, settings=cls.settings,
                          proxied=cls.proxied)
        # Cleanups run even when a daemon below does not start.
        cls.addClassCleanup(cls.stack.close)
        for sku in cls.items:
            cls.stack.item(sku)
        for name in cls.daemons:
            cls.stack.start(name)

    def until_refused(self, post):
        """The answer of `post` once it is not 202: where PostgreSQL is slow, an order of an unknown item passes."""
        return wait_until(lambda: answer if (answer := post()).status != 202 else None, 30, "the order to be refused")

    def run(self, result=None):
        seen = _troubles(result)
        super().run(result)
        if _troubles(result) > seen and hasattr(self, "stack"):
            self.stack.keep_logs()
            print(f"\n{self.id()}: logs are in {self.stack.directory}", file=sys.stderr)
        return result


def _troubles(result):
    return len(result.failures) + len(result.errors) if result is not None else 0


class TimedResult(unittest.TextTestResult):
    """Says of each test how long it took, its setUp() among it."""

    def startTest(self, test):
        super().startTest(test)
        self._began = time.monotonic()

    def addSuccess(self, test):
        unittest.TestResult.addSuccess(self, test)
        self.stream.writeln(f"ok, {time.monotonic() - self._began:.1f} s")
        self.stream.flush()


def drawn(names):
    """Which of these are tested: all, or, with CHECKOUT_TEST_DRAW=N, every Nth as CHECKOUT_TEST_SEED draws."""
    names = list(names)
    nth = int(os.environ.get("CHECKOUT_TEST_DRAW") or 1)
    return random.Random(f"drawn {os.environ.get('CHECKOUT_TEST_SEED')}").sample(names, -(-len(names) // nth))


def _classes():
    """The test classes of the file that runs, those with most tests first."""
    suites = unittest.defaultTestLoader.loadTestsFromModule(sys.modules["__main__"])
    for suite in sorted(suites, key=lambda suite: -suite.countTestCases()):
        if suite.countTestCases() > 0:
            yield type(next(iter(suite))).__name__


def main():
    if sys.argv[1:] == ["--classes"]:
        print(*_classes(), sep="\n")
        return
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that what runs at the exit does run
    unittest.main(testRunner=unittest.TextTestRunner(verbosity=2, resultclass=TimedResult))
