#!/usr/bin/python3
"""Holds what the reader relies on: who may include whom, and that each foreign library has one door.

    style.py includes | format | shellcheck | sql
"""

import hashlib
import os
import re
import shutil
import subprocess
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
PROGRAMS = ("producer", "consumer", "notifier", "ctl", "deploy/sandbox")
SKIPPED = 77

# The floors of common/, lowest first: each includes only what is on it or below. `testing` is the ground:
# seeded bugs and failpoints expand to nothing in a build for use, so every floor may name them.
FLOORS = ("testing", "base", "net", "shop", "pay", "service")
SERVER = re.compile(r"common/net/[a-z]+/")

# A library that does I/O, by the headers that begin with these words: one .c file of the product.
DOORS = {
    "librabbitmq": r"amqp|rabbitmq-c/", "libmicrohttpd": r"microhttpd", "libpq": r"libpq-fe",
    "hiredis": r"hiredis/", "libcurl": r"curl/", "wslay": r"wslay/", "libjose": r"jose/",
    "libsystemd": r"systemd/",
}
# What has one home: a pattern that code of the product may hold only in this file. The sandbox plays
# somebody else's server and is free.
HOMES = {
    "common/shop/problem.c": r'/problems/',
    "common/base/encode.c": r'0123456789[aA]bcdef"|0123456789ABCDEF"|\+ 10;',
    "common/base/utf8.c": r'& 0xc0\) != 0x80',
    "common/base/hmac.c": r'CRYPTO_memcmp|"HMAC"',
}
INCLUDE = re.compile(r'^\s*#\s*include\s+([<"])([^>"]+)[>"]', re.MULTILINE)


def sources(*suffixes):
    """Files of the product and its tests, as git knows them or, without git, as they lie there."""
    listed = subprocess.run(["git", "-C", ROOT, "ls-files", "--cached", "--others", "--exclude-standard"],
                            check=False, capture_output=True, text=True)
    names = listed.stdout.split("\n") if listed.returncode == 0 else [
        os.path.relpath(os.path.join(folder, name), ROOT)
        for folder, _, files in os.walk(ROOT) if "/build" not in folder for name in files]
    return sorted(name for name in names if name.endswith(suffixes)
                  and os.path.isfile(os.path.join(ROOT, name)))


def includes(path):
    with open(os.path.join(ROOT, path), encoding="utf-8") as source:
        return INCLUDE.findall(source.read())


def home(path):
    """The folder that a file belongs to: common, one of the programs, or None (tests)."""
    return next((place for place in ("common", *PROGRAMS) if path.startswith(place + "/")), None)


def floor(path):
    """The floor of common/ that a file is on, lowest first; None outside common/."""
    return next((level for level, place in enumerate(FLOORS) if path.startswith(f"common/{place}/")), None)


def check_floors(problems):
    for path in sources(".c", ".h"):
        if home(path) != "common":
            continue
        here = floor(path)
        if here is None:
            problems.append(f"{path} is on no floor of common/: {', '.join(FLOORS)}")
            continue
        for kind, name in includes(path):
            there = floor(name)
            if kind == '"' and there is not None and there > here:
                problems.append(f"{path} includes {name}: {FLOORS[here]} is below {FLOORS[there]}")
            elif kind == '"' and SERVER.match(path) and SERVER.match(name) and \
                    SERVER.match(path)[0] != SERVER.match(name)[0]:
                problems.append(f"{path} includes {name}: one server's client knows no other")


def check_directions(problems):
    for path in sources(".c", ".h"):
        place = home(path)
        for kind, name in includes(path):
            target = home(name)
            if place is None or kind == "<" or target is None:
                continue
            if target not in ("common", place):
                problems.append(f"{path} includes {name}: programs include common/ and themselves")
        own = path[:-2] + ".h"
        if path.endswith(".c") and place and os.path.isfile(os.path.join(ROOT, own)):
            first = next(iter(includes(path)), ("", ""))[1]
            if first not in (own, own[:-2] + "_impl.h"):  # what several files of a module share
                problems.append(f"{path} includes {first} before its own header {own}")


def check_doors(problems):
    doors = {}
    for path in sources(".c", ".h"):
        if home(path) is None:
            continue
        for kind, name in includes(path):
            for library, pattern in DOORS.items():
                if kind == "<" and re.match(pattern, name):
                    doors.setdefault(library, set()).add(path)
            if name == "uv.h" and (path.endswith(".h") or home(path) != "common"):
                problems.append(f"{path} includes uv.h: only .c files in common/ may")
    for library, files in doors.items():
        if len(files) != 1:
            problems.append(f"{library} is included by {len(files)} files: {', '.join(sorted(files))}")
        problems += [f"{path} is a header and includes {library}" for path in files if path.endswith(".h")]


def check_homes(problems):
    for path in sources(".c", ".h"):
        if home(path) in (None, "deploy/sandbox"):
            continue
        with open(os.path.join(ROOT, path), encoding="utf-8") as source:
            text = source.read()
        problems += [f"{path} holds {pattern}: that is written in {place} alone"
                     for place, pattern in HOMES.items()
                     if path != place and re.search(pattern, text)]


def check_sql(problems):
    """A numbered SQL file is never edited: databases have applied it. schemas/sql/numbered.sha256 lists each,
    and in the history a line of that list never goes away."""
    manifest, folder = "numbered.sha256", os.path.join(ROOT, "schemas", "sql")
    with open(os.path.join(folder, manifest), encoding="ascii") as source:
        listed = dict(reversed(line.split()) for line in source)
    for name in sorted(name for name in os.listdir(folder) if re.match(r"\d{3}_.*\.sql$", name)):
        with open(os.path.join(folder, name), "rb") as source:
            digest = hashlib.sha256(source.read()).hexdigest()
        if name not in listed:
            problems.append(f"schemas/sql/{name} is not in {manifest}: add the line of sha256sum")
        elif listed.pop(name) != digest:
            problems.append(f"schemas/sql/{name} was edited: restore it, and put the change into a new file")
    problems += [f"schemas/sql/{name} is in {manifest} and not there" for name in listed]
    history = subprocess.run(["git", "-C", ROOT, "log", "-p", "--format=", "--", f"schemas/sql/{manifest}"],
                             check=False, capture_output=True, text=True)
    problems += [f"{manifest} once had another line: {line[1:]}" for line in history.stdout.split("\n")
                 if re.match(r"-[0-9a-f]{64}", line)]


def run_tool(tool, arguments, files):
    if shutil.which(tool) is None:
        print(f"{tool} is not installed")
        sys.exit(SKIPPED)
    return subprocess.run([tool, *arguments, *files], cwd=ROOT, check=False).returncode


def scripts():
    found = []
    for path in sources(""):
        with open(os.path.join(ROOT, path), "rb") as source:
            if path.endswith(".sh") or re.match(rb"#!.*\b(ba)?sh\b", source.readline()):
                found.append(path)
    return found


def main():
    what = sys.argv[1]
    if what == "format":
        sys.exit(run_tool("clang-format", ["--dry-run", "--Werror"], sources(".c", ".h")))
    if what == "shellcheck":
        sys.exit(run_tool("shellcheck", [], scripts()))
    problems = []
    if what == "sql":
        check_sql(problems)
    else:
        check_floors(problems)
        check_directions(problems)
        check_doors(problems)
        check_homes(problems)
    print("\n".join(problems) or "all is where it belongs")
    sys.exit(1 if problems else 0)


main()
