#!/usr/bin/python3
"""Prints gcovr's summary by folder, and the files with the fewest branches taken.

    cover.py SUMMARY.json

A file is a pure core if nothing that it includes, however far, does I/O; these are to reach 95 %, everything 80 %.
"""

import collections
import json
import os
import re
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "unit"))

from style_source import home, includes, own_headers  # noqa: E402

LOWEST = 25
PURE_GOAL, GOAL = 95, 80
# Headers behind which there is I/O, the loop or a clock: a file that includes one is a shell.
SHELLS = ("common/base/loop.h", "common/net/", "common/service/admin.h", "common/service/daemon.h",
          "common/service/contact.h", "common/service/stop.h", "common/pay/pay.h", "ctl/ctl.h")
PURE_NET = re.compile(r"(/|_)(url|head|confirms|array|cut)(\.[ch])?$|/pg_hosts(\.[ch])?$")  # parsers and ledgers among common/net


def is_pure(path):
    if path.startswith("common/net/"):
        return PURE_NET.search(path) is not None
    system = any(kind == "<" and name in ("uv.h", "curl/curl.h", "sys/socket.h", "unistd.h")
                 for kind, name in includes(path))
    return not system and not any(name.startswith(SHELLS) and PURE_NET.search(name) is None
                                  for name in own_headers(path) if name[:-2] != path[:-2])


def percent(taken, there):
    return 100.0 * taken / there if there else 100.0


def print_sums(title, sums):
    print(f"\n{title:34} branches  taken")
    for name, (taken, there) in sums:
        print(f"{name:34} {there:8d} {percent(taken, there):5.1f} %")


def main():
    with open(sys.argv[1], encoding="utf-8") as source:
        files = json.load(source)["files"]
    folders, kinds = collections.Counter(), collections.Counter()
    there = {"folders": collections.Counter(), "kinds": collections.Counter()}
    rows = []
    for entry in files:
        path, taken, total = entry["filename"], entry["branch_covered"], entry["branch_total"]
        if not path.endswith(".c"):
            continue
        kind = "pure cores" if is_pure(path) else "shells around I/O"
        for names, sums, key in ((os.path.dirname(path), folders, "folders"), (kind, kinds, "kinds")):
            sums[names] += taken
            there[key][names] += total
        rows.append((percent(taken, total), path, kind, total))
    rows.sort()
    print(f"{'lowest files':44} branches  taken")
    for value, path, kind, total in rows[:LOWEST]:
        print(f"{path:44} {total:8d} {value:5.1f} %{'  pure' if kind == 'pure cores' else ''}")
    pure = [row for row in rows if row[2] == "pure cores" and row[0] < PURE_GOAL]
    print(f"\npure cores below {PURE_GOAL} %: " + (", ".join(f"{path} {value:.0f}" for value, path, _, _ in pure) or "none"))
    print_sums("folder", [(name, (folders[name], there["folders"][name])) for name in sorted(folders)])
    print_sums("kind", [(name, (kinds[name], there["kinds"][name])) for name in sorted(kinds)])
    everything = (sum(kinds.values()), sum(there["kinds"].values()))
    print_sums(f"in all (goal: {GOAL} %, pure {PURE_GOAL} %)", [("everything", everything)])
    assert all(home(path) for _, path, _, _ in rows)


main()
