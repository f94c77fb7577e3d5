#!/usr/bin/python3
"""The sources on another release of Debian: built there by gcc and by clang, and tested.

    release.py [--release trixie] [--mirror URL] [--base DIRECTORY] [--tests NAME]…

Makes a system by debootstrap, installs in it what deploy/dev/packages says, builds there with warnings
as errors by both compilers, runs the unit tests of both, and integration tests (those of SAID, unless
--tests names others) on the release's own PostgreSQL, RabbitMQ and Redis. One line for each; the last
line counts. Needs root (it asks sudo) and debootstrap.
"""

import argparse
import os
import subprocess
import sys
import tempfile

from empty_debian import Failed, copy_sources, debootstrap, in_system

# What differs between releases: plans and SQL, the wires, HTTP and websockets, TLS, the servers' rights.
SAID = ("test_migrate", "test_decide", "test_line_scale", "test_purge", "test_pg", "test_pooler", "test_failover", "test_tls",
        "test_rights", "test_roles", "test_lost_jobs", "test_messages", "test_limits", "test_http", "test_notifier", "test_payments",
        "test_mails", "test_process", "test_console", "test_settings", "test_audit")
# npm comes with half a thousand packages of Debian's, and nothing of SAID needs it.
PACKAGES = ("cd /root/checkout; deploy/dev/packages --build --runtime; deploy/dev/packages --fuzz --proxy; "
            "apt-get install -y -q --no-install-recommends systemd openssl "
            "$(deploy/dev/packages --test --list | grep -vx -e npm -e nodejs)")
BUILD = "cd /root/checkout; cmake --preset dev -B build/{0} -DCMAKE_C_COMPILER={0}; cmake --build build/{0} -j $(nproc)"
UNIT = "cd /root/checkout; ctest --test-dir build/{0} -j $(nproc) --output-on-failure -R '^(unit|links|units|install)'"
# In one system, which ends with all that runs in it.
INTEGRATION = """
cd /root/checkout; mkdir -p /root/logs
deploy/dev/services start --dir /tmp/servers; eval "$(deploy/dev/services env --dir /tmp/servers)"
export CHECKOUT_BUILD_DIR=$PWD/build/gcc
failed=0
for name in {0}; do
    if /usr/bin/python3 tests/integration/$name.py >/root/logs/$name 2>&1; then
        echo "ok   $name: $(sed -n 's/^Ran \\(.*\\) in .*/\\1/p' /root/logs/$name)$(grep -o ' (skipped=[0-9]*)' /root/logs/$name || true)"
    else
        echo "FAIL $name"; tail -n 40 /root/logs/$name; failed=1
    fi
done
deploy/dev/services remove --dir /tmp/servers
exit $failed
"""


class Release:
    def __init__(self, system, log):
        self.system, self.log = system, log
        self.failed = []

    def step(self, what, script, needed=False):
        """A line that says how it went; what it wrote is shown if it failed."""
        at = self.log.seek(0, os.SEEK_END)
        done = in_system(self.system, script, check=False, stdout=self.log, stderr=subprocess.STDOUT)
        print(f"{'ok  ' if done.returncode == 0 else 'FAIL'} {what}", flush=True)
        if done.returncode != 0:
            self.failed.append(what)
            self.log.seek(at)
            print(b"".join(self.log.readlines()[-60:]).decode(errors="replace"), flush=True)
            if needed:
                raise Failed(what)


def test(release, tests):
    release.step("packages", PACKAGES, needed=True)
    for compiler in ("gcc", "clang"):
        release.step(f"build by {compiler}", BUILD.format(compiler), needed=True)
        release.step(f"unit tests of {compiler}", UNIT.format(compiler))
    if in_system(release.system, INTEGRATION.format(" ".join(tests)), check=False).returncode != 0:
        release.failed.append("integration tests")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--release", default="trixie")
    parser.add_argument("--mirror", metavar="URL", help="default: debootstrap's own")
    parser.add_argument("--base", metavar="DIRECTORY", help="where the system is made, once, and stays")
    parser.add_argument("--tests", metavar="NAME", nargs="*", help="of integration; default: " + " ".join(SAID))
    options = parser.parse_args()
    if os.geteuid() != 0:
        os.execvp("sudo", ["sudo", sys.executable, os.path.abspath(__file__), *sys.argv[1:]])
    with tempfile.TemporaryDirectory(prefix="checkout-release.") as work:
        system = options.base or os.path.join(work, "root")
        with open(os.path.join(work, "log"), "w+b") as log:
            release = Release(system, log)
            try:
                debootstrap(options, system)
                copy_sources(system)
                test(release, SAID if options.tests is None else options.tests)
            except Failed as failure:
                print(f"FAILED: {failure}")
                return 1
    print(f"{options.release}: " + (f"failed: {', '.join(release.failed)}" if release.failed else "all of it"))
    return 1 if release.failed else 0


if __name__ == "__main__":
    sys.exit(main())
