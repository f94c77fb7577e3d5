"""Every C file in clang's eyes, with the warnings of the preset as errors: the compiler that does not build here says
what it would."""

import concurrent.futures
import json
import os
import shlex
import shutil
import subprocess
import sys

from style_source import ROOT, SKIPPED
from style_tidy import GCC_ONLY, build_directory


def commands(build):
    """path → its compiler's command as a list, of clang and without an object"""
    with open(os.path.join(build, "compile_commands.json"), encoding="utf-8") as source:
        entries = json.load(source)
    found = {}
    for entry in entries:
        words = [word for word in shlex.split(entry["command"]) if word not in GCC_ONLY]
        compiler = next(number for number, word in enumerate(words) if os.path.basename(word) in ("gcc", "cc", "clang"))
        words = words[compiler + 1:words.index("-o")] + ["-Wno-unknown-warning-option", "-Werror", "-fsyntax-only"]
        found[os.path.relpath(entry["file"], ROOT)] = ["clang", *words, entry["file"]]
    return found


def look(path, command, build):
    done = subprocess.run(command, cwd=build, check=False, capture_output=True, text=True)
    if done.returncode == 0:
        return []
    return [line.replace(ROOT + "/", "") for line in done.stderr.split("\n") if ": error: " in line] or [f"{path}: {done.stderr}"]


def check(problems):
    if shutil.which("clang") is None:
        print("clang is not installed")
        sys.exit(SKIPPED)
    build = build_directory()
    todo = commands(build)
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        for found in pool.map(lambda path: look(path, todo[path], build), todo):
            problems += found
    print(f"{len(todo)} files looked at")
