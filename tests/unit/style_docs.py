"""Pages of text: links lead somewhere, files that are named exist, every page is reachable, words are today's."""

import os
import re

import style_words
from style_source import ROOT, product, read, sources

WORDS_MAX = {"ARCHITECTURE.md": 1500}
TABLE_LINE_MAX = 110
LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
CODE = re.compile(r"`([^`\n]+)`")
TOP = ("common/", "producer/", "consumer/", "notifier/", "console/", "ctl/", "schemas/", "docs/", "tests/", "deploy/",
       "cmake/", ".ci/")
FOREIGN = ("ending_before", "join_cluster")  # of others' interfaces; we have no use for them


def pages():
    return [path for path in sources(".md") if not path.startswith("tests/fuzz/corpus")]


def anchors(path):
    """The anchors of a page's headings, as GitHub makes them."""
    return {re.sub(r"[^\w\- ]", "", heading.lower()).strip().replace(" ", "-")
            for heading in re.findall(r"^#+ (.*)$", read(path), re.MULTILINE)}


def check_links(path, text, problems):
    for target in LINK.findall(text):
        if re.match(r"[a-z]+:", target):
            continue
        name, _, anchor = target.partition("#")
        there = os.path.normpath(os.path.join(os.path.dirname(path), name)) if name else path
        if not os.path.exists(os.path.join(ROOT, there)):
            problems.append(f"{path}: links to {target}, which is not there")
        elif anchor and there.endswith(".md") and anchor not in anchors(there):
            problems.append(f"{path}: links to {target}; there is no such heading")


def check_files(path, text, problems):
    """Words in code style that begin like a path of the source must be one; * may stand for anything."""
    for code in CODE.findall(text):
        for word in code.split():
            word = word.rstrip(":,;.").split("#")[0]
            if not word.startswith(TOP) or re.search(r"[…<>$A-Z{]|\.\.\.|NNN", word):
                continue
            pattern = re.escape(word.rstrip("/")).replace(r"\*", "[^/]*")
            known = [name for name in sources("") if re.match(pattern + r"(/|$)", name)]
            if not known:
                problems.append(f"{path}: names {word}, which is not there")


def check_names(path, text, corpus, problems):
    """Names of functions, tables and macros in code style must stand somewhere in the source."""
    for code in CODE.findall(text):
        for word in re.findall(r"(?<![\w/.-])(?:checkout\.)?[A-Za-z]\w*_\w+(?![\w/.*-])", code):
            if word.split(".")[-1] not in corpus and not word.startswith("CHECKOUT_") and \
                    not word.endswith(("_NAME", "_")) and word not in FOREIGN:
                problems.append(f"{path}: names {word}, which is nowhere in the source")


def check_words(path, text, problems):
    for at, word, say in style_words.find(text):
        problems.append(f"{path}: line {text.count(chr(10), 0, at) + 1} says \"{word}\"; say: {say}")


def check_shape(path, text, problems):
    ours = "/" not in path or path.startswith("docs/")
    for number, line in enumerate(text.split("\n"), 1):
        if ours and line.startswith("|") and len(line) > TABLE_LINE_MAX:
            problems.append(f"{path}: line {number} of a table has {len(line)} characters; at most {TABLE_LINE_MAX}")
    words = len(text.split())
    if words > WORDS_MAX.get(path, words):
        problems.append(f"{path}: {words} words; at most {WORDS_MAX[path]}")


def check_tables(problems):
    """docs/architecture.md has a row for each table."""
    sql = "".join(read(path) for path in sorted(sources(".sql")) if re.match(r"schemas/sql/\d{3}_", path))
    tables = set(re.findall(r"^create table checkout\.(\w+)", sql, re.MULTILINE))
    tables -= set(re.findall(r"^drop table checkout\.(\w+)", sql, re.MULTILINE))
    for before, now in re.findall(r"^alter table checkout\.(\w+) rename to (\w+)", sql, re.MULTILINE):
        tables = tables - {before} | {now}
    rows = re.findall(r"^\| (`.*?) \|", read("docs/architecture.md").split("## Tables")[1], re.MULTILINE)
    known = {name for row in rows for name in CODE.findall(row)}
    problems += [f"docs/architecture.md: Tables lacks {name}" for name in sorted(tables - known)]
    problems += [f"docs/architecture.md: Tables has {name}, which is no table" for name in sorted(known - tables)]


def check_reachable(problems):
    for index, folder in (("ARCHITECTURE.md", "docs"), ("docs/decisions/README.md", "docs/decisions")):
        linked = {os.path.normpath(os.path.join(os.path.dirname(index), target.partition("#")[0]))
                  for target in LINK.findall(read(index))}
        problems += [f"{path}: {index} does not link to it" for path in pages()
                     if os.path.dirname(path) == folder and path != index and path not in linked]


def check(problems):
    corpus = set()
    for path in sources(".c", ".h", ".sql", ".py", ".pml", ".json", ".yaml", ".sh", ".js", ".txt", ".cmake"):
        corpus |= set(re.findall(r"\w+", read(path)))
    corpus |= {match for path in product(".c", ".h") for match in re.findall(r"checkout_(\w+)", read(path))}
    corpus |= {os.path.basename(path).split(".")[0].removeprefix("fuzz_") for path in sources("")}
    for path in pages():
        text = read(path)
        check_links(path, text, problems)
        check_files(path, text, problems)
        check_shape(path, text, problems)
        if path != "CHANGELOG.md":
            check_names(path, text, corpus, problems)
            check_words(path, re.sub(r"```.*?```", lambda m: "\n" * m[0].count("\n"), text, flags=re.DOTALL), problems)
    check_reachable(problems)
    check_tables(problems)
