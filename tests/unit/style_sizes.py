"""No long files, no long functions, and no large folder where that matters."""

import re

from style_source import bare, product, read

FILE_LINES = 450
FUNCTION_LINES = 60
# What must stay small enough to be read whole before it is changed.
FOLDER_LINES = {"consumer/money/": 2000}


def functions(text):
    """(name, first line, number of lines) of each function. The formatter sets its braces at the line's start."""
    lines = bare(text).split("\n")
    begin = None
    for number, line in enumerate(lines):
        if line == "{":
            begin = number
        elif line == "}" and begin is not None:
            head = begin
            while head > 0 and lines[head - 1].strip() and not re.search(r"[;}]\s*$|^#", lines[head - 1]):
                head -= 1
            named = re.search(r"(\w+)\s*\(", " ".join(lines[head:begin]))
            yield (named[1] if named else "?"), head + 1, number - head + 1
            begin = None


def check_folders(problems):
    for folder, most in FOLDER_LINES.items():
        lines = sum(read(path).count("\n") for path in product(".c", ".h") if path.startswith(folder))
        if not 0 < lines <= most:
            problems.append(f"{folder}: {lines} lines; at most {most}")


def check(problems):
    check_folders(problems)
    for path in product(".c", ".h"):
        text = read(path)
        lines = text.count("\n")
        if lines > FILE_LINES:
            problems.append(f"{path}: {lines} lines; at most {FILE_LINES}")
        for name, line, length in functions(text):
            if length > FUNCTION_LINES:
                problems.append(f"{path}:{name}: {length} lines, from line {line}; at most {FUNCTION_LINES}")
