"""clang-tidy over the product's files, several at once. What was found clean is not looked at again until it,
a header that it includes, the settings or clang-tidy change. All files take minutes; `--draw SEED` looks at a twelfth
of them, which the seed draws."""

import concurrent.futures
import hashlib
import json
import os
import random
import re
import shutil
import subprocess
import sys
import tempfile

from style_source import ROOT, SKIPPED, home, own_headers

SECONDS = 900  # for one file; some take a minute alone, and the machine is shared
GCC_ONLY = ("-ftrivial-auto-var-init=zero", "-Werror")


def build_directory():
    return os.path.abspath(sys.argv[sys.argv.index("--build") + 1]) if "--build" in sys.argv else \
        os.path.join(ROOT, "build", "dev")


def commands(build):
    """path in the product → its compiler's command, without what only gcc takes"""
    with open(os.path.join(build, "compile_commands.json"), encoding="utf-8") as source:
        entries = json.load(source)
    found = {}
    for entry in entries:
        path = os.path.relpath(entry["file"], ROOT)
        if home(path):
            words = [word for word in entry["command"].split() if word not in GCC_ONLY]
            words.insert(1, "-DCHECKOUT_SEEDED_BUGS")  # failpoints are statements there
            entry["command"] = " ".join(words)
            found[path] = entry
    return drawn(found)


def drawn(entries):
    if "--draw" not in sys.argv:
        return entries
    seed = sys.argv[sys.argv.index("--draw") + 1]
    return {path: entries[path] for path in random.Random(f"tidy {seed}").sample(sorted(entries), len(entries) // 12)}


def fingerprint(path, entry, version):
    digest = hashlib.sha256(f"{version}{re.sub(r'build/[^ ]*', '', entry['command'])}".encode())
    for name in (".clang-tidy", *sorted(own_headers(path))):
        with open(os.path.join(ROOT, name), "rb") as source:
            digest.update(source.read())
    return digest.hexdigest()


def look(path, database):
    done = subprocess.run(["nice", "clang-tidy", "--quiet", "-p", database, os.path.join(ROOT, path)], check=False,
                          capture_output=True, text=True, timeout=SECONDS)
    found = [line.replace(ROOT + "/", "") for line in done.stdout.split("\n") if re.search(r": (error|warning): ", line)]
    return path, found or ([done.stderr] if done.returncode else [])


def check(problems):
    if shutil.which("clang-tidy") is None:
        print("clang-tidy is not installed")
        sys.exit(SKIPPED)
    build = build_directory()
    version = subprocess.run(["clang-tidy", "--version"], check=True, capture_output=True, text=True).stdout
    clean = os.path.join(ROOT, "build", "tidy")  # a file for each fingerprint that was found clean
    os.makedirs(clean, exist_ok=True)
    entries = commands(build)
    marks = {path: os.path.join(clean, fingerprint(path, entry, version)) for path, entry in entries.items()}
    todo = [path for path in entries if not os.path.exists(marks[path])]
    with tempfile.TemporaryDirectory() as database, \
            concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        with open(os.path.join(database, "compile_commands.json"), "w", encoding="utf-8") as sink:
            json.dump(list(entries.values()), sink)
        for path, found in pool.map(lambda path: look(path, database), todo):
            if found:
                problems += [f"{path}: {text}" for text in found]
            else:
                with open(marks[path], "w", encoding="utf-8"):
                    pass
    print(f"{len(todo)} of {len(entries)} files looked at")
