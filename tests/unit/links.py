#!/usr/bin/python3
"""Checks that each program needs the libraries of its own work and no others: links.py FOLDER_OF_PROGRAMS

What a program links it loads, and its host has to have it: the notifier runs where no broker's client is installed.
"""

import os
import re
import shutil
import subprocess
import sys

EVERY = {"libc", "libm", "libuv", "libjansson", "libcrypto", "libssl", "libxxhash"}
DAEMON = EVERY | {"libmicrohttpd", "libsystemd", "libpq", "libhiredis", "libcurl"}     # libcurl: spans
NEEDS = {
    "checkout-producer": DAEMON | {"librabbitmq", "libjose"},
    "checkout-consumer": DAEMON | {"librabbitmq"},
    "checkout-notifier": DAEMON | {"libjose", "libwslay"},
    "checkout-mailer": DAEMON - {"libhiredis"},
    "checkout-webhooks": DAEMON - {"libhiredis"},
    "checkout-console": DAEMON - {"libhiredis"} | {"libjose"},
    "checkoutctl": EVERY | {"libpq", "libhiredis", "librabbitmq", "libjose", "libcurl"},
    "checkout-sandbox-gateway": EVERY | {"libmicrohttpd", "libsystemd", "libcurl"},
}
SANITIZERS = {"libasan", "libubsan", "libtsan", "libgcc_s", "libgcov"}


def needed(program):
    listed = subprocess.run(["readelf", "--dynamic", program], check=True, capture_output=True, text=True)
    return {name.split(".so")[0] for name in re.findall(r"\(NEEDED\).*\[(.+)\]", listed.stdout)}


def main():
    if shutil.which("readelf") is None:
        print("readelf is not installed")
        sys.exit(77)
    problems = []
    for name, allowed in NEEDS.items():
        extra = needed(os.path.join(sys.argv[1], name)) - allowed - SANITIZERS
        problems += [f"{name}: links {library}, which is not of its work" for library in sorted(extra)]
    print("\n".join(problems) or "each program links what it needs")
    sys.exit(1 if problems else 0)


main()
