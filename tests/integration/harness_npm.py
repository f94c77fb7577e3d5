"""Packages of npm that a test uses: installed once, for all tests of this checkout."""

import fcntl
import os
import shutil
import subprocess
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
DIRECTORY = os.path.join(ROOT, "build", "npm")
# What was fetched before is taken as it is; a registry that does not answer is left soon, not after minutes.
QUICK = ("--prefer-offline", "--fetch-retries=1", "--fetch-retry-mintimeout=1000", "--fetch-retry-maxtimeout=5000")
SKIPPED = 77            # what tests/run takes for skipped; the last line says why


def skip(why):
    print(f"\n{why}", file=sys.stderr)
    sys.exit(SKIPPED)


def install(*packages):
    """The folder in which Node.js finds these packages (name@version). Ends the process as skipped, with a
    clear word, where there is no npm or it cannot fetch them."""
    if shutil.which("npm") is None or shutil.which("node") is None:
        skip("npm and Node.js are not installed; with them this test runs")
    folder = os.path.join(DIRECTORY, "-".join(packages).replace("/", "-"))
    os.makedirs(folder, exist_ok=True)
    with open(os.path.join(folder, "lock"), "w", encoding="ascii") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not os.path.exists(os.path.join(folder, "complete")):
            try:
                done = subprocess.run(
                    ["npm", "install", "--prefix", folder, "--no-audit", "--no-fund", "--ignore-scripts", *QUICK,
                     *packages],
                    text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=120, check=False)
            except subprocess.TimeoutExpired:
                skip(f"npm does not install {' '.join(packages)} within two minutes")
            if done.returncode != 0:
                skip(f"npm cannot install {' '.join(packages)}: {done.stdout.strip().splitlines()[-1:]}")
            with open(os.path.join(folder, "complete"), "w", encoding="ascii"):
                pass
    return folder


def node(folder, script, *arguments, environment=None, timeout=60):
    """Runs a script of this folder; the packages in `folder` are there for it. The completed process."""
    return subprocess.run(["node", os.path.join(ROOT, "tests", "integration", script), *arguments],
                          env={**os.environ, "NODE_PATH": os.path.join(folder, "node_modules"), **(environment or {})},
                          text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=timeout, check=False)
