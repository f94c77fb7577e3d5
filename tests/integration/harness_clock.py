"""A clock that processes see by libfaketime, and that a test can set."""

import atexit
import glob
import os
import shlex
import shutil
import tempfile


class Clock:
    """A clock that a process sees by libfaketime, and that we can set. The monotonic one is true."""

    def __init__(self):
        libraries = glob.glob("/usr/lib/*/faketime/libfaketime.so.1")
        if not libraries:
            raise FileNotFoundError("libfaketime is not installed; run deploy/dev/packages --test")
        self.directory = tempfile.mkdtemp(prefix="checkout-clock.")
        atexit.register(shutil.rmtree, self.directory, ignore_errors=True)
        os.chmod(self.directory, 0o755)  # PostgreSQL may run as another user
        self.file = os.path.join(self.directory, "offset")
        self.set("+0")
        self.environment = {"LD_PRELOAD": libraries[0], "FAKETIME_TIMESTAMP_FILE": self.file,
                            # seldom: it reads the file within signal handlers too, which PostgreSQL may not survive
                            "FAKETIME_CACHE_DURATION": "1", "DONT_FAKE_MONOTONIC": "1",
                            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
                            "ASAN_OPTIONS": "verify_asan_link_order=0"}

    def wrapper(self, program):
        """A program that becomes this one, with our clock."""
        path = os.path.join(self.directory, os.path.basename(program))
        settings = " ".join(f"{name}={shlex.quote(value)}" for name, value in self.environment.items())
        with open(path, "w", encoding="ascii") as sink:
            sink.write(f'#!/bin/sh\nexec env {settings} {shlex.quote(program)} "$@"\n')
        os.chmod(path, 0o755)
        return path

    def set(self, offset):
        """"+3600" is an hour ahead. Processes see it within two seconds."""
        fresh = self.file + ".new"
        with open(fresh, "w", encoding="ascii") as sink:
            sink.write(offset + "\n")
        os.chmod(fresh, 0o644)
        os.rename(fresh, self.file)
