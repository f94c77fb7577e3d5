#!/usr/bin/python3
"""Clients that two generators of npm make of GET /openapi.json buy the dress."""

import json
import os
import shutil
import subprocess
import sys
import tempfile

import harness
import harness_npm
from harness_services import ROOT

PACKAGES = ("openapi-typescript@7.8.0", "openapi-fetch@0.14.0", "@hey-api/openapi-ts@0.64.15", "@hey-api/client-fetch@0.8.4",
            "typescript@5.8.3")
SOURCES = os.path.join(ROOT, "tests", "integration", "clients")
TSC = ("--strict", "--target", "es2022", "--module", "nodenext", "--skipLibCheck")
FOLDER = None


class Clients(harness.TestCase):
    daemons = ("sandbox", "producer", "consumer")
    shards = 1

    def setUp(self):
        super().setUp()
        self.sku = self.stack.item(f"dress-1920-{self.id().rpartition('_')[2]}", stock=1, price=19900)
        self.folder = tempfile.mkdtemp(dir=FOLDER)      # where Node.js finds the packages
        self.addCleanup(shutil.rmtree, self.folder)
        with open(os.path.join(self.folder, "openapi.json"), "wb") as file:
            file.write(self.stack.call(None, "GET", "/openapi.json").body)

    def run_tool(self, *command, **environment):
        command = (os.path.join(FOLDER, "node_modules", ".bin", command[0]), *command[1:]) if command[0] != "node" else command
        done = subprocess.run(command, cwd=self.folder, env={**os.environ, **environment}, text=True, timeout=60,
                              check=False, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        self.assertEqual(done.returncode, 0, f"{command}: {done.stdout}{done.stderr}")
        return done.stdout

    def buy(self, buyer):
        """The buyer compiles without a complaint about the types, and gets the dress."""
        shutil.copy(os.path.join(SOURCES, buyer), self.folder)
        self.run_tool("tsc", *TSC, buyer)
        told = json.loads(self.run_tool("node", buyer.replace("ts", "js"), API=self.stack.daemon("producer").url,
                                        TOKEN=self.stack.token("ann"), SKU=self.sku))
        self.assertEqual(told, {"id": told["id"], "status": "confirmed", "amount": 19900, "problem": "/problems/not-found"})
        self.assertEqual(self.stack.counts(self.sku), (1, 0, 1, 0))
        self.assertEqual(self.stack.gateway.captured().get(told["id"]), 1)

    def test_openapi_typescript(self):
        self.run_tool("openapi-typescript", "openapi.json", "--output", "schema.d.ts")
        self.buy("fetch_buyer.mts")

    def test_hey_api(self):
        self.run_tool("openapi-ts", "--input", "openapi.json", "--output", "sdk", "--client", "@hey-api/client-fetch")
        self.buy("sdk_buyer.ts")


if __name__ == "__main__":
    if sys.argv[1:] != ["--classes"]:  # their names need no package
        FOLDER = harness_npm.install(*PACKAGES)
    harness.main()
