#!/usr/bin/python3
"""The bugs that tests/chaos bugs on purpose are in the build for that, and in no other."""

import os
import re
import subprocess
import sys
import unittest

import harness
from harness_services import ROOT

sys.path.insert(0, os.path.join(ROOT, "tests", "chaos"))

import chaos_seeded_bugs  # noqa: E402

SEEDED_BUILD = os.path.join(ROOT, "build", "seeded-bugs")
HAVE_SEEDED = os.access(os.path.join(SEEDED_BUILD, "bin", "checkout-seeded-bugs"), os.X_OK)


def names_in_code():
    with open(os.path.join(ROOT, "common", "testing", "seeded_bug.h"), encoding="utf-8") as source:
        return re.findall(r'^\s*X\(\w+,\s*"([\w-]+)"', source.read(), re.MULTILINE)


def builds():
    """The build under test, and the one that is for use."""
    release = os.path.join(ROOT, "build", "release")
    return {harness.build_directory(), *([release] if os.path.isdir(os.path.join(release, "bin")) else [])}


def failpoints():
    return subprocess.run([os.path.join(SEEDED_BUILD, "bin", "checkout-seeded-bugs"), "failpoints"], check=True,
                          text=True, capture_output=True).stdout.split()


def check_config(build, value, setting="CHECKOUT_SEEDED_BUG"):
    environment = {name: value for name, value in os.environ.items() if not name.startswith("CHECKOUT_")}
    return subprocess.run([os.path.join(build, "bin", "checkout-consumer"), "--check-config"], check=False,
                          env={**environment, setting: value}, text=True, capture_output=True, timeout=60)


class SeededBugs(unittest.TestCase):
    def test_no_program_for_use_has_one(self):
        names = names_in_code()
        self.assertGreaterEqual(len(names), 11)
        traces = [name.encode() for name in names] + [b"CHECKOUT_SEEDED_BUG", b"seeded_bug_is", b"broker_seed"]
        traces += [b"CHECKOUT_FAILPOINT", b"failpoint_at", b"failpoint_soon", b"pay-answered", b"relay-watermark-saved"]
        for build in builds():
            for program in sorted(os.listdir(os.path.join(build, "bin"))):
                with open(os.path.join(build, "bin", program), "rb") as source:
                    text = source.read()
                for trace in traces:
                    self.assertNotIn(trace, text, f"{build}/bin/{program}")

    def test_the_setting_is_unknown_there(self):
        for build in builds():
            done = check_config(build, names_in_code()[0])
            self.assertEqual(done.returncode, 2)
            self.assertIn("CHECKOUT_SEEDED_BUG: no program knows this setting", done.stderr)
            done = check_config(build, "pay-answered", "CHECKOUT_FAILPOINT")
            self.assertEqual(done.returncode, 2)
            self.assertIn("CHECKOUT_FAILPOINT: no program knows this setting", done.stderr)

    @unittest.skipUnless(HAVE_SEEDED, "the preset seeded-bugs is not built")
    def test_the_build_for_seeded_bugs_takes_them_and_no_others(self):
        self.assertEqual(list(chaos_seeded_bugs.known(SEEDED_BUILD)), names_in_code())
        self.assertNotIn("CHECKOUT_SEEDED_BUG", check_config(SEEDED_BUILD, "no-fence").stderr)
        self.assertIn("pay-answered", failpoints())
        for value in ("pay-answered", "pay-answered:3", ""):
            self.assertNotIn("CHECKOUT_FAILPOINT", check_config(SEEDED_BUILD, value, "CHECKOUT_FAILPOINT").stderr)
        for value in ("pay", "pay-answered:", "pay-answered:0", "pay-answered:x", ":1"):
            self.assertIn("CHECKOUT_FAILPOINT", check_config(SEEDED_BUILD, value, "CHECKOUT_FAILPOINT").stderr)
        self.assertIn("CHECKOUT_SEEDED_BUG", check_config(SEEDED_BUILD, "no-fense").stderr)

    @unittest.skipUnless(HAVE_SEEDED, "the preset seeded-bugs is not built")
    def test_the_functions_that_they_change_are_as_they_know_them(self):
        stack = harness.Stack("bugs")
        try:
            for bug in chaos_seeded_bugs.known(SEEDED_BUILD).values():
                chaos_seeded_bugs.sow(stack.direct["CHECKOUT_DATABASE_URL"], bug["edits"])
        finally:
            stack.close()

    def test_each_has_faults_that_show_it(self):
        self.assertEqual(sorted(chaos_seeded_bugs.FAVOURED), sorted(names_in_code()))


if __name__ == "__main__":
    unittest.main()
