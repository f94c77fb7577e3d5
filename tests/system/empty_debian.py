"""What the tests on an empty Debian share."""

import os
import subprocess
import time


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
