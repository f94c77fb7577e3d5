"""A numbered SQL file is never edited: databases have applied it. schemas/sql/numbered.sha256 lists each, and in
the history no line of that list went away for good.

What has one writer is written in one function file. SQL and programs agree on their version, and they and the pages on
the decimals of currencies."""

import hashlib
import os
import re
import subprocess

from style_source import ROOT

# A table, and the file of its only writer.
WRITERS = {"orders": "orders.sql", "order_events": "orders.sql", "customer_units": "orders.sql",
           "purged_orders": "purge.sql", "purged_items": "purge.sql", "horizons": "orders.sql", "forgotten_units": "orders.sql", "forgets": "forget.sql"}


def check(problems):
    check_numbered(problems)
    check_writers(problems)
    check_version(problems)
    check_decimals(problems)


def currencies(path, pattern):
    with open(os.path.join(ROOT, path), encoding="utf-8") as source:
        return {code for listed in re.findall(pattern, source.read(), re.S) for code in re.findall(r"\b[a-z]{3}\b", listed)}


def check_decimals(problems):
    """Currencies without decimals, and those with three, stand in four languages."""
    table = "common/pay/currency.c"
    for decimals, rows, constant, end in ((0, r'WHOLE\("(\w+)"\)|\{"(\w+)", 0,', "NONE", "p_amount::text"),
                                          (3, r'THREE\("(\w+)"\)', "THREE", "round\\(p_amount / 1000")):
        with open(os.path.join(ROOT, table), encoding="utf-8") as source:
            known = {code for found in re.findall(rows, source.read()) for code in ([found] if isinstance(found, str) else found) if code}
        for path, pattern in (("schemas/sql/functions/commands.sql", rf"when lower\(p_currency\) in \(([^)]*)\) then {end}"),
                              ("console/page/words.js", rf"const {constant} = new Set\(\[([^]]*)\]\)"),
                              ("deploy/web/checkout/money.js", rf"const {constant} = new Set\(\[([^]]*)\]\)")):
            if currencies(path, pattern) != known:
                problems.append(f"{path}: currencies with {decimals} decimals are {sorted(currencies(path, pattern))}, "
                                f"in {table} {sorted(known)}")


def check_version(problems):
    stated = {}
    for path, pattern in (("common/shop/database_version.h", r"#define DATABASE_VERSION (\d+)"),
                          ("schemas/sql/functions/versions.sql", r"return row\((\d+), \d+\)")):
        with open(os.path.join(ROOT, path), encoding="utf-8") as source:
            stated[path] = re.findall(pattern, source.read())
    if len({tuple(numbers) for numbers in stated.values()}) != 1 or any(len(n) != 1 for n in stated.values()):
        problems.append(f"the version of the database is not the same in both: {stated}")


def check_writers(problems):
    folder = os.path.join(ROOT, "schemas", "sql", "functions")
    for name in sorted(os.listdir(folder)):
        with open(os.path.join(folder, name), encoding="utf-8") as source:
            text = source.read()
        for table, writer in WRITERS.items():
            if name != writer and re.search(rf"\b(update|insert\s+into|delete\s+from)\s+checkout\.{table}\b", text):
                problems.append(f"schemas/sql/functions/{name} writes checkout.{table}: only {writer} does")


def check_numbered(problems):
    manifest, folder = "numbered.sha256", os.path.join(ROOT, "schemas", "sql")
    with open(os.path.join(folder, manifest), encoding="ascii") as source:
        lines = source.read().splitlines()
    listed = dict(reversed(line.split()) for line in lines)
    for name in sorted(name for name in os.listdir(folder) if re.match(r"\d{3}_.*\.sql$", name)):
        with open(os.path.join(folder, name), "rb") as source:
            digest = hashlib.sha256(source.read()).hexdigest()
        if name not in listed:
            problems.append(f"schemas/sql/{name} is not in {manifest}: add the line of sha256sum")
        elif listed.pop(name) != digest:
            problems.append(f"schemas/sql/{name} was edited: restore it, and put the change into a new file")
    problems += [f"schemas/sql/{name} is in {manifest} and not there" for name in listed]
    history = subprocess.run(["git", "-C", ROOT, "log", "-p", "--format=", "--", f"schemas/sql/{manifest}"],
                             check=False, capture_output=True, text=True)
    problems += [f"{manifest} once had another line: {line[1:]}" for line in history.stdout.split("\n")
                 if re.match(r"-[0-9a-f]{64}", line) and line[1:] not in lines]
