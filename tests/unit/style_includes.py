"""Who may include whom, and that each foreign library has one door."""

import os
import re

from style_source import ROOT, home, includes, read, sources

# The floors of common/, lowest first: each includes only what is on it or below. `testing` is the ground:
# seeded bugs and failpoints expand to nothing in a build for use, so every floor may name them.
FLOORS = ("testing", "base", "net", "shop", "identity", "pay", "service")
SERVER = re.compile(r"common/net/[a-z]+/")

# A library that does I/O, by the headers that begin with these words: one .c file of the product.
# libcurl has two: requests on our loop, and mails, for which it would block that.
DOORS = {
    "librabbitmq": r"amqp|rabbitmq-c/", "libmicrohttpd": r"microhttpd", "libpq": r"libpq-fe",
    "hiredis": r"hiredis/", "libcurl": r"curl/", "wslay": r"wslay/", "libjose": r"jose/",
    "libsystemd": r"systemd/",
}
DOORS_OF = {"libcurl": 2}
# What has one home: a pattern that code of the product may hold only in this file. The sandbox plays
# somebody else's server and is free.
HOMES = {
    "common/shop/redis_keys.h": r'checkout:(seen|gate|lock|limit|open|senders|events):',
    "common/shop/problem.c": r'/problems/',
    "common/base/strmap.c": r'2166136261|14695981039346656037|XXH3_64bits_withSeed',
    "common/base/encode.c": r'0123456789[aA]bcdef"|0123456789ABCDEF"|\+ 10;',
    "common/base/utf8.c": r'& 0xc0\) != 0x80',
    "common/net/http/http_bearer.c": r'"Bearer "|"bearer ',
    "common/base/hmac.c": r'CRYPTO_memcmp|"HMAC"',
}


def floor(path):
    """The floor of common/ that a file is on, lowest first; None outside common/."""
    return next((level for level, place in enumerate(FLOORS) if path.startswith(f"common/{place}/")), None)


def check_floors(problems):
    for path in sources(".c", ".h"):
        if home(path) != "common":
            continue
        here = floor(path)
        if here is None:
            problems.append(f"{path}: is on no floor of common/: {', '.join(FLOORS)}")
            continue
        for kind, name in includes(path):
            there = floor(name)
            if kind == '"' and there is not None and there > here:
                problems.append(f"{path}: includes {name}: {FLOORS[here]} is below {FLOORS[there]}")
            elif kind == '"' and SERVER.match(path) and SERVER.match(name) and \
                    SERVER.match(path)[0] != SERVER.match(name)[0]:
                problems.append(f"{path}: includes {name}: one server's client knows no other")


def check_directions(problems):
    for path in sources(".c", ".h"):
        place = home(path)
        for kind, name in includes(path):
            target = home(name)
            if place is None or kind == "<" or target is None:
                continue
            if target not in ("common", place):
                problems.append(f"{path}: includes {name}: programs include common/ and themselves")
        own = path[:-2] + ".h"
        if path.endswith(".c") and place and os.path.isfile(os.path.join(ROOT, own)):
            first = next(iter(includes(path)), ("", ""))[1]
            if first not in (own, own[:-2] + "_impl.h"):  # what several files of a module share
                problems.append(f"{path}: includes {first} before its own header {own}")


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
                problems.append(f"{path}: includes uv.h: only .c files in common/ may")
    for library, files in doors.items():
        files = {path for path in files  # the file X.c, with parts of it in X_part.c
                 if not any(other != path and path.startswith(other[:-2] + "_") for other in files)}
        if len(files) != DOORS_OF.get(library, 1):
            problems.append(f"{library}: is included by {len(files)} files: {', '.join(sorted(files))}")
        problems += [f"{path}: is a header and includes {library}" for path in files if path.endswith(".h")]


def check_homes(problems):
    for path in sources(".c", ".h"):
        if home(path) in (None, "deploy/sandbox"):
            continue
        text = read(path)
        problems += [f"{path} holds {pattern}: that is written in {place} alone"
                     for place, pattern in HOMES.items()
                     if path != place and re.search(pattern, text)]


def check_exits(problems):
    """Only main() ends the process: what it calls returns an error."""
    problems += [f"{path}: calls exit: return an error to main()" for path in sources(".c")
                 if home(path) is not None and not path.endswith("/main.c")
                 and re.search(r"(?<![\w.>])(exit|quick_exit)\(", read(path))]


def check_metrics(problems):
    """A metric is declared in one file, so that its name and its help are those of one fact."""
    places = {}
    for path in sources(".c"):
        if home(path) is not None:
            for name in re.findall(r'"(checkout_[a-z_]+)"', read(path)):
                places.setdefault(name, set()).add(path)
    problems += [f"{min(files)}: declares the metric {name}, as {', '.join(sorted(files)[1:])} does"
                 for name, files in sorted(places.items()) if len(files) > 1]


def check(problems):
    check_floors(problems)
    check_directions(problems)
    check_doors(problems)
    check_homes(problems)
    check_exits(problems)
    check_metrics(problems)
