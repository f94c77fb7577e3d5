"""No code that stands twice: twelve lines or more, alike but for white space, comments and strings' place.

Tables are free to look alike: lines of initialisers, cases, includes and lone braces do not make a duplicate,
but between lines that do they are part of it.
"""

import collections
import re

from style_source import bare, product, read

LINES = 12
WINDOW = 5  # lines that count, in a row, from which a comparison begins
IDLE = re.compile(r"[{}\s;,()]*|#\s*include.*|\{.*\},?|\.\w+ = .*,|else|break;|[A-Z_]+\(.*\),?\s*\\?|case [A-Z_]+:.*")


def counted(path):
    """(line number, text) of the lines that count."""
    for number, line in enumerate(bare(read(path), keep_strings=True).split("\n"), 1):
        text = re.sub(r"\s+", " ", line).strip()
        if not IDLE.fullmatch(text):
            yield number, text


def find():
    """(path, line, path, line, number of lines), the longest of each overlapping pair."""
    lines = {path: list(counted(path)) for path in product(".c", ".h")}
    seen = collections.defaultdict(list)
    for path, texts in lines.items():
        for at in range(len(texts) - WINDOW + 1):
            seen[tuple(text for _, text in texts[at:at + WINDOW])].append((path, at))
    covered = set()
    for places in seen.values():
        for (one, at), (other, to) in zip(places, places[1:]):
            if (one, at, other, to) in covered:
                continue
            length = 0
            while at + length < len(lines[one]) and to + length < len(lines[other]) and \
                    lines[one][at + length][1] == lines[other][to + length][1]:
                covered.add((one, at + length, other, to + length))
                length += 1
            span = min(lines[path][begin + length - 1][0] - lines[path][begin][0] + 1
                       for path, begin in ((one, at), (other, to)))
            if span >= LINES:
                yield one, lines[one][at][0], other, lines[other][to][0], span


def check(problems):
    for one, line, other, to, length in find():
        problems.append(f"{one}+{other}: {length} lines alike, from lines {line} and {to}")
