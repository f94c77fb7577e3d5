"""What the checks of style share: which files there are, and what is in them."""

import os
import re
import shutil
import subprocess
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
PROGRAMS = ("producer", "consumer", "notifier", "console", "ctl", "deploy/sandbox")
SKIPPED = 77
INCLUDE = re.compile(r'^\s*#\s*include\s+([<"])([^>"]+)[>"]', re.MULTILINE)
COMMENT_OR_STRING = re.compile(r'/\*.*?\*/|//[^\n]*|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])*\'', re.DOTALL)


def sources(*suffixes):
    """Files of the product and its tests, as git knows them or, without git, as they lie there."""
    listed = subprocess.run(["git", "-C", ROOT, "ls-files", "--cached", "--others", "--exclude-standard"],
                            check=False, capture_output=True, text=True)
    names = listed.stdout.split("\n") if listed.returncode == 0 else [
        os.path.relpath(os.path.join(folder, name), ROOT)
        for folder, _, files in os.walk(ROOT) if "/build" not in folder for name in files]
    return sorted(name for name in names if name.endswith(suffixes)
                  and os.path.isfile(os.path.join(ROOT, name)))


def read(path):
    with open(os.path.join(ROOT, path), encoding="utf-8") as source:
        return source.read()


def includes(path):
    return INCLUDE.findall(read(path))


def own_headers(path, seen=None):
    """The file and every header of ours that it includes, however far."""
    seen = set() if seen is None else seen
    if path not in seen and os.path.isfile(os.path.join(ROOT, path)):
        seen.add(path)
        for kind, name in includes(path):
            if kind == '"':
                own_headers(name, seen)
    return seen


def bare(text, keep_strings=False):
    """C code without comments and strings; lines stay where they are."""
    def blank(match):
        if keep_strings and match[0][0] in "\"'":
            return match[0]
        return re.sub(r"[^\n]", " ", match[0])
    return COMMENT_OR_STRING.sub(blank, text)


def home(path):
    """The folder that a file belongs to: common, one of the programs, or None (tests)."""
    return next((place for place in ("common", *PROGRAMS) if path.startswith(place + "/")), None)


def product(*suffixes):
    return [path for path in sources(*suffixes) if home(path)]


def run_tool(tool, arguments, files):
    if shutil.which(tool) is None:
        print(f"{tool} is not installed")
        sys.exit(SKIPPED)
    return subprocess.run([tool, *arguments, *files], cwd=ROOT, check=False).returncode
