#!/usr/bin/python3
"""The bugs that tests/chaos plants on purpose are in the build for that, and in no other."""

import os
import re
import subprocess
import sys
import unittest

import harness
from harness_services import ROOT

sys.path.insert(0, os.path.join(ROOT, "tests", "chaos"))

import chaos_plants  # noqa: E402

PLANTS_BUILD = os.path.join(ROOT, "build", "plants")
HAVE_PLANTS = os.access(os.path.join(PLANTS_BUILD, "bin", "checkout-plants"), os.X_OK)


def names_in_code():
    with open(os.path.join(ROOT, "common", "plant.h"), encoding="utf-8") as source:
        return re.findall(r'^\s*X\(\w+,\s*"([\w-]+)"', source.read(), re.MULTILINE)


def builds():
    """The build under test, and the one that is for use."""
    release = os.path.join(ROOT, "build", "release")
    return {harness.build_directory(), *([release] if os.path.isdir(os.path.join(release, "bin")) else [])}


def crash_points():
    return subprocess.run([os.path.join(PLANTS_BUILD, "bin", "checkout-plants"), "crash-points"], check=True,
                          text=True, capture_output=True).stdout.split()


def check_config(build, value, setting="CHECKOUT_PLANT"):
    environment = {name: value for name, value in os.environ.items() if not name.startswith("CHECKOUT_")}
    return subprocess.run([os.path.join(build, "bin", "checkout-consumer"), "--check-config"], check=False,
                          env={**environment, setting: value}, text=True, capture_output=True, timeout=60)


class Plants(unittest.TestCase):
    def test_no_program_for_use_has_one(self):
        names = names_in_code()
        self.assertGreaterEqual(len(names), 11)
        traces = [name.encode() for name in names] + [b"CHECKOUT_PLANT", b"plant_is", b"bus_plant"]
        traces += [b"CRASH_AT", b"crash_at", b"crash_soon", b"pay-answered", b"relay-mark-saved"]
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
            self.assertIn("CHECKOUT_PLANT: no program knows this setting", done.stderr)
            done = check_config(build, "pay-answered", "CHECKOUT_CRASH_AT")
            self.assertEqual(done.returncode, 2)
            self.assertIn("CHECKOUT_CRASH_AT: no program knows this setting", done.stderr)

    @unittest.skipUnless(HAVE_PLANTS, "the preset plants is not built")
    def test_the_build_for_plants_takes_them_and_no_others(self):
        self.assertEqual(list(chaos_plants.known(PLANTS_BUILD)), names_in_code())
        self.assertNotIn("CHECKOUT_PLANT", check_config(PLANTS_BUILD, "no-fence").stderr)
        self.assertIn("pay-answered", crash_points())
        for value in ("pay-answered", "pay-answered:3", ""):
            self.assertNotIn("CRASH_AT", check_config(PLANTS_BUILD, value, "CHECKOUT_CRASH_AT").stderr)
        for value in ("pay", "pay-answered:", "pay-answered:0", "pay-answered:x", ":1"):
            self.assertIn("CRASH_AT", check_config(PLANTS_BUILD, value, "CHECKOUT_CRASH_AT").stderr)
        self.assertIn("CHECKOUT_PLANT", check_config(PLANTS_BUILD, "no-fense").stderr)

    @unittest.skipUnless(HAVE_PLANTS, "the preset plants is not built")
    def test_the_functions_that_they_change_are_as_they_know_them(self):
        stack = harness.Stack("plants")
        try:
            for plant in chaos_plants.known(PLANTS_BUILD).values():
                chaos_plants.sow(stack.direct["CHECKOUT_DATABASE_URL"], plant["edits"])
        finally:
            stack.close()

    def test_each_has_faults_that_show_it(self):
        self.assertEqual(sorted(chaos_plants.FAVOURED), sorted(names_in_code()))


if __name__ == "__main__":
    unittest.main()
