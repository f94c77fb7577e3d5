"""Words of an earlier time, and words that are hard to read for somebody whose first language is not English.

In pages, schemas, in comments, and in texts for people: log messages, help, problems. Names of the code are not looked at,
nor are numbered SQL files, which are never edited.
"""

import re

from style_source import COMMENT_OR_STRING, product, read, sources

OLD = {
    r"doors?": "API, producer", r"lanes?": "shard writer", r"payer(?!_)": "consumer/money", r"kv": "redis",
    r"bus": "broker", r"plant(s|ed)?": "seeded bug", r"crash points?": "failpoint", r"marks?": "watermark",
    r"beats?": "heartbeat", r"named owner": "assigned owner", r"owner before": "previous owner",
    r"told": "a plain verb", r"afresh": "again", r"nobody('s)?": "no …", r"given back": "refunded, returned",
    r"gives? (it|them|the money) back": "refund, return", r"memory is out": "out of memory",
    r"(at|to|from|by|reach(ed|es)?) the counter": "the consumer", r"(the|a) gate": "admission",
    r"(waits?|wait(ed|ing)|next|ahead|stands?|turns?) in line": "on the waitlist",
}
GAP = r"[\s*]+"  # a line break of a comment is no more than a blank
WORDS = re.compile("|".join(rf"(?<![\w`/.-]){pattern}(?![\w`/-])".replace(" ", GAP) for pattern in OLD), re.IGNORECASE)
SQL_TEXT = re.compile(r"--[^\n]*|/\*.*?\*/|'(?:[^']|'')*'", re.DOTALL)
NUMBERED = re.compile(r"schemas/sql/\d{3}_[^/]*\.sql")
JOINED = re.compile(r'(?<!\\)"(?:\s|\\\n|[A-Z][A-Z_0-9]+)*"')  # between the parts of one string of C
SQL_INSIDE = re.compile(r"\bcheckout\.|^\"\s*(select|insert|update|declare|fetch|local|if redis)\b", re.DOTALL)


def better(word):
    return next(say for pattern, say in OLD.items() if re.fullmatch(pattern, word, re.IGNORECASE))


def find(text):
    """(offset, word, what to say instead) of each."""
    for match in WORDS.finditer(text):
        word = re.sub(GAP, " ", match[0])
        yield match.start(), word, better(word)


def is_sentence(text):
    """Names and statements of SQL are none: they are not for people."""
    return " " in text.strip('"') and not SQL_INSIDE.search(text)


def prose_of_c(text):
    """(offset, text) of each comment and each string that people read."""
    text = JOINED.sub(lambda gap: "\x01" * len(gap[0]), text)  # a joined string is one, and no offset moves
    for match in COMMENT_OR_STRING.finditer(text):
        said = match[0].replace("\x01", " ")
        if said.startswith("/") or (said.startswith('"') and is_sentence(said)):
            yield match.start(), said


def check(problems):
    for path in product(".c", ".h") + [path for path in sources(".sql", ".yaml") if path.startswith("schemas/")]:
        if NUMBERED.fullmatch(path):
            continue
        text = read(path)
        parts = prose_of_c(text)
        if path.endswith(".sql"):
            parts = [(part.start(), part[0]) for part in SQL_TEXT.finditer(text)]
        if path.endswith(".yaml"):
            parts = [(0, text)]
        for begin, said in parts:
            for at, word, say in find(said):
                line = text.count("\n", 0, begin + at) + 1
                problems.append(f"{path}: line {line} says \"{word}\"; say: {say}")
