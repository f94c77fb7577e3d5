#!/usr/bin/python3
"""The documents of schemas/ are clean under two linters of npm."""

import os
import shutil
import subprocess
import sys
import tempfile
import unittest

import harness
import harness_npm
from harness_services import ROOT

PACKAGES = ("@redocly/openapi-core@1.34.5", "@stoplight/spectral-cli@6.15.0")
DOCUMENTS = ("openapi.yaml", "console.openapi.yaml", "asyncapi.yaml")
FOLDER = None


class Lint(unittest.TestCase):
    """Each linter sees the documents, and a copy of each in which something is wrong."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.schemas = os.path.join(ROOT, "schemas")
        cls.wrong = tempfile.mkdtemp(prefix="checkout-lint.")
        cls.addClassCleanup(shutil.rmtree, cls.wrong)
        for name in os.listdir(cls.schemas):
            if name in DOCUMENTS or name.endswith(".json"):
                shutil.copy(os.path.join(cls.schemas, name), cls.wrong)
        for name in DOCUMENTS:
            with open(os.path.join(cls.wrong, name), "r+", encoding="utf-8") as document:
                text = document.read()
                document.seek(0)
                document.write(text.replace("\ninfo:\n", "\ninfo:\n  colour: red\n", 1))
        cls.all = [os.path.join(folder, name) for folder in (cls.schemas, cls.wrong) for name in DOCUMENTS]

    def assert_only_the_wrong_ones(self, done):
        told = (done.stdout + done.stderr).splitlines()
        self.assertEqual([line for line in told if self.wrong not in line], [])
        for name in DOCUMENTS:
            self.assertTrue(any(os.path.join(self.wrong, name) in line for line in told), name)

    def test_redocly(self):
        self.assert_only_the_wrong_ones(harness_npm.node(FOLDER, "lint_redocly.cjs", *self.all))

    def test_spectral(self):
        rules = os.path.join(self.wrong, "rules.yaml")
        with open(rules, "w", encoding="utf-8") as file:
            print('extends: ["spectral:oas", "spectral:asyncapi"]', file=file)
        command = os.path.join(FOLDER, "node_modules", ".bin", "spectral")
        done = subprocess.run([command, "lint", "--ruleset", rules, "--format", "text", "--fail-severity", "warn",
                               "--display-only-failures", *self.all], text=True, timeout=120, check=False,
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        done.stdout = "\n".join(line for line in done.stdout.splitlines() if line.startswith("/"))
        self.assert_only_the_wrong_ones(done)


if __name__ == "__main__":
    if sys.argv[1:] != ["--classes"]:  # their names need no package
        FOLDER = harness_npm.install(*PACKAGES)
    harness.main()
