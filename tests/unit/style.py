#!/usr/bin/python3
"""Checks what no compiler checks. Prints what is wrong; exit code 1 if anything is, 77 if a tool is missing.

    style.py format | shellcheck          clang-format, shellcheck
    style.py includes                     who may include whom; one file for each foreign library
    style.py sizes                        no long files, no long functions
    style.py circles                      no files that need each other in a circle
    style.py duplicates                   no code that stands twice
    style.py docs                         links, named files and words of the pages
    style.py metrics                      docs/metrics.md and the code name the same metrics
    style.py words                        words of comments, log messages, help and problems
    style.py modules                      names that test modules take from each other
    style.py sql                          no numbered SQL file was edited
    style.py tidy [--build DIR]           clang-tidy, on what has changed since it last ran
    style.py clang [--build DIR]          what clang says of each C file that gcc built

What is known and waits to be mended stands in style_allowed.txt, one `CHECK PREFIX` a line.
"""

import os
import re
import shutil
import subprocess
import sys

import style_circles
import style_clang
import style_docs
import style_duplicates
import style_includes
import style_modules
import style_metrics
import style_sizes
import style_sql
import style_tidy
import style_words
from style_source import ROOT, SKIPPED, run_tool, sources

CHECKS = {"includes": style_includes.check, "sizes": style_sizes.check, "circles": style_circles.check,
          "duplicates": style_duplicates.check, "sql": style_sql.check, "docs": style_docs.check,
          "modules": style_modules.check, "words": style_words.check, "metrics": style_metrics.check,
          "tidy": style_tidy.check, "clang": style_clang.check}
FORMATTER = 14    # Debian 12's
ALLOWED = os.path.join(os.path.dirname(os.path.abspath(__file__)), "style_allowed.txt")


def only_version(tool, version):
    """Others write the same code otherwise: the check is left out then."""
    said = subprocess.run([tool, "--version"], check=False, text=True, stdout=subprocess.PIPE).stdout if shutil.which(tool) else ""
    if f"version {version}." not in said:
        print(f"the sources are formatted by {tool} {version}, and here is {said.strip() or 'none'}")
        sys.exit(SKIPPED)


def scripts():
    found = []
    for path in sources(""):
        with open(os.path.join(ROOT, path), "rb") as source:
            if path.endswith(".sh") or re.match(rb"#!.*\b(ba)?sh\b", source.readline()):
                found.append(path)
    return found


def allowed(check):
    """How the names of what this check may still find begin."""
    if not os.path.exists(ALLOWED):
        return ()
    with open(ALLOWED, encoding="utf-8") as source:
        lines = [line.split(maxsplit=1) for line in source if line.strip() and not line.startswith("#")]
    return tuple(name.strip() for what, name in lines if what == check)


def main():
    what = sys.argv[1]
    if what == "format":
        only_version("clang-format", FORMATTER)
        sys.exit(run_tool("clang-format", ["--dry-run", "--Werror"], sources(".c", ".h")))
    if what == "shellcheck":
        sys.exit(run_tool("shellcheck", [], scripts()))
    if what not in CHECKS:
        sys.exit(f"there is no check {what}; there are: format, shellcheck, {', '.join(CHECKS)}")
    problems = []  # "NAME: what is wrong"
    CHECKS[what](problems)
    known = allowed(what)
    bad = [problem for problem in problems if not problem.startswith(known)]
    for prefix in known:
        if not any(problem.startswith(prefix) for problem in problems):
            print(f"{prefix} is in order now: its line can leave style_allowed.txt")
    print("\n".join(bad) or f"nothing to mend{f', {len(problems)} known' if problems else ''}")
    sys.exit(1 if bad else 0)


main()
