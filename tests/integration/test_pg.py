#!/usr/bin/python3
"""Database sessions against a real server: runs the Check program that is built for it."""

import os
import subprocess
import unittest

import harness


class Session(harness.TestCase):
    def test_all(self):
        program = os.path.join(harness.build_directory(), "tests", "test_pg_session")
        done = subprocess.run([program], env=harness.program_environment(self.stack.settings), text=True,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=120)
        self.assertEqual(done.returncode, 0, done.stdout)
        self.assertIn("Failures: 0, Errors: 0", done.stdout)
        self.assertNotIn("left out", done.stdout)


if __name__ == "__main__":
    unittest.main(verbosity=2)
