"""What the tests on an empty Debian share."""

import filecmp
import os
import re
import shutil
import subprocess
import time

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
QUIET = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
# Its own mounts and processes, which end with it.
APART = ("unshare", "--mount", "--propagation", "private", "--pid", "--fork", "--kill-child")


class Failed(Exception):
    pass


def wait_for(what, probe, seconds=60):
    """Until `probe` gives something true."""
    end = time.monotonic() + seconds
    while True:
        got = probe()
        if got:
            return got
        if time.monotonic() > end:
            raise Failed(f"{what}: not within {seconds} s")
        time.sleep(0.2)


def expect(what, got, wanted):
    print(f"{what}: {got}", flush=True)
    if got != wanted:
        raise Failed(f"{what}: {got}, and not {wanted}")


def debootstrap(options, root, *more):
    """An empty system of options.release in `root`, unless one is there."""
    if not os.path.exists(os.path.join(root, "etc/debian_version")):
        subprocess.run(["debootstrap", "--variant=minbase", *more, options.release, root,
                        *([options.mirror] if options.mirror else [])], check=True, stdout=subprocess.DEVNULL)


def release_of_host():
    with open("/etc/os-release", encoding="utf-8") as source:
        found = re.search(r"^VERSION_CODENAME=(\w+)$", source.read(), re.MULTILINE)
    return found and found[1]


def in_system(root, script, **how):
    """Runs a script of bash in a system that is not booted, with the host's network; `how`: of subprocess.run."""
    hosts = os.path.join(root, "etc/hosts")
    if not os.path.exists(hosts):
        with open(hosts, "w", encoding="ascii") as sink:
            sink.write("127.0.0.1 localhost\n")
    # the system is a mount, so that what runs there can have mounts of its own
    mounts = (f"set -e; mount --bind '{root}' '{root}'; mount --rbind /dev '{root}/dev'; mount -t proc proc '{root}/proc'; mount -t tmpfs tmpfs '{root}/run'; "
              f"exec chroot '{root}' /usr/bin/env -i HOME=/root PATH=/usr/sbin:/usr/bin:/sbin:/bin LC_ALL=C.UTF-8 "
              "DEBIAN_FRONTEND=noninteractive /bin/bash -ec \"$0\"")
    return subprocess.run([*APART, "sh", "-c", mounts, script], stdin=subprocess.DEVNULL, **{"check": True, **how})


def copy_sources(root):
    """What the repository tracks, as it lies here, to /root/checkout of a system; what was built there stays.

    Only what differs is written, and is new then: a file's own time may be older than what was built of another."""
    target = os.path.join(root, "root/checkout")
    listed = subprocess.run(["git", "ls-files", "-z"], check=True, text=True, stdout=subprocess.PIPE, cwd=ROOT).stdout
    names = {name for name in listed.split("\0") if os.path.isfile(os.path.join(ROOT, name))}
    for folder, _, files in os.walk(target):
        for name in files:
            there = os.path.relpath(os.path.join(folder, name), target)
            if there not in names and not there.startswith("build" + os.sep):
                os.remove(os.path.join(target, there))
    for name in names:
        source, copy = os.path.join(ROOT, name), os.path.join(target, name)
        if not os.path.exists(copy) or not filecmp.cmp(source, copy, shallow=False):
            os.makedirs(os.path.dirname(copy), exist_ok=True)
            shutil.copy(source, copy)
