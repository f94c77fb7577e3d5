"""Words of an earlier time, and words that are hard to read for somebody whose first language is not English.

In pages, schemas, in comments, and in texts for people: log messages, help, problems. Numbered SQL
files, which are never edited, are not looked at. Names of the code are compared with the words of the glossary, too.
"""

import re

from style_source import COMMENT_OR_STRING, product, read, sources

OLD = {
    r"doors?": "API, producer", r"lanes?": "shard writer", r"payer(?!_)": "consumer/money", r"kv": "redis",
    r"bus": "broker", r"plant(s|ed)?": "seeded bug", r"crash points?": "failpoint", r"marks?": "watermark",
    r"beats?": "heartbeat", r"named owner": "assigned owner", r"owner before": "previous owner",
    r"told": "a plain verb", r"afresh": "again", r"nobody('s)?": "no …", r"given back": "refunded, returned",
    r"gives? (it|them|the money) back": "refund, return", r"memory is out": "out of memory",
    r"(at|to|from|by|reach(ed|es)?) the counter|the counter('s rule| would| decides?)": "the consumer", r"(the|a) gate": "admission",
    r"(waits?|wait(ed|ing)|next|ahead|stands?|turns?) in line": "on the waitlist",
}
# Parts of names of C and SQL, and whole names, that the glossary has other words for.
NAMES = {
    "told": "reported, logged, on_…", "afresh": "again", "beat": "heartbeat", "beats": "heartbeats", "door": "api", "doors": "api",
    "lane": "shard_writer", "lanes": "shard_writer", "latelook": "reconcile", "pager": "reconcile", "payer": "payment_method",
    "gatekeys": "admission_keys", "hub": "registry", "dial": "connect", "plant": "seeded_bug", "kv": "redis", "bus": "broker",
    "endings": "outcomes", "nobody": "none", "given_back": "returned, refunded", "line_head": "waitlist_head",
    "settle_line": "settle_waitlist",
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


def old_names(text):
    """(offset, name, what to say instead) of each identifier with a part of NAMES."""
    for match in re.finditer(r"[A-Za-z_]\w*", text):
        name = match[0].lower()
        for old, say in NAMES.items():
            if re.search(rf"(?<![a-z0-9]){old}(?![a-z0-9])", name):
                yield match.start(), match[0], say


def check_names(problems):
    c_files, previous = product(".c", ".h"), "schemas/sql/functions/previous_release.sql"
    sql_files = [path for path in sources(".sql") if path.startswith("schemas/sql/functions/") and path != previous]
    for path in c_files + sql_files:
        text = read(path)
        bare = COMMENT_OR_STRING if path in c_files else SQL_TEXT
        code = bare.sub(lambda said: re.sub(r"[^\n]", " ", said[0]), text)
        for at, name, say in old_names(code):
            problems.append(f"{path}: line {text.count(chr(10), 0, at) + 1} names {name}; the glossary says: {say}")


def check(problems):
    check_names(problems)
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
