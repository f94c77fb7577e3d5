"""Packages of npm that a test uses: installed once, for all tests of this checkout."""

import contextlib
import fcntl
import hashlib
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


class NotInstalled(Exception):
    """npm does not fetch the packages; the text says why."""


@contextlib.contextmanager
def locked(folder):
    """One process at a time; the folder is there then."""
    os.makedirs(folder, exist_ok=True)
    with open(os.path.join(folder, "lock"), "w", encoding="ascii") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def complete(folder, what, *command):
    """Has npm fetch what the folder lacks, unless that was done there before."""
    if os.path.exists(os.path.join(folder, "complete")):
        return
    shutil.rmtree(os.path.join(folder, "node_modules"), ignore_errors=True)  # npm takes what it left half-done for whole
    try:
        done = subprocess.run(["npm", *command, "--prefix", folder, "--no-audit", "--no-fund", "--ignore-scripts", *QUICK],
                              text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=120, check=False)
    except subprocess.TimeoutExpired:
        raise NotInstalled(f"npm does not install {what} within two minutes") from None
    if done.returncode != 0:
        raise NotInstalled(f"npm cannot install {what}: {done.stdout.strip().splitlines()[-1:]}")
    with open(os.path.join(folder, "complete"), "w", encoding="ascii"):
        pass


def install(*packages):
    """The folder in which Node.js finds these packages (name@version). Ends the process as skipped, with a
    clear word, where there is no npm or it cannot fetch them."""
    if shutil.which("npm") is None or shutil.which("node") is None:
        skip("npm and Node.js are not installed; with them this test runs")
    folder = os.path.join(DIRECTORY, "-".join(packages).replace("/", "-"))
    try:
        with locked(folder):
            complete(folder, " ".join(packages), "install", *packages)
    except NotInstalled as why:
        skip(why)
    return folder


def install_project(source):
    """The folder of a copy of this folder's files, with what its package-lock.json names. Raises NotInstalled."""
    with open(os.path.join(source, "package-lock.json"), "rb") as file:
        digest = hashlib.sha256(file.read()).hexdigest()[:16]
    folder = os.path.join(DIRECTORY, f"{os.path.basename(source)}-{digest}")
    with locked(folder):
        for entry in os.scandir(source):
            if entry.is_file():
                shutil.copy(entry.path, folder)
        complete(folder, f"what {source} needs", "ci")
    return folder


def node(folder, script, *arguments, environment=None, timeout=60):
    """Runs a script of this folder; the packages in `folder` are there for it. The completed process."""
    return subprocess.run(["node", os.path.join(ROOT, "tests", "integration", script), *arguments],
                          env={**os.environ, "NODE_PATH": os.path.join(folder, "node_modules"), **(environment or {})},
                          text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=timeout, check=False)
