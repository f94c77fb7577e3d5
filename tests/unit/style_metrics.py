"""docs/metrics.md and the code name the same metrics, of the same types, in the same programs."""

import re

from style_source import home, product, read

PAGE = "docs/metrics.md"
CALL = re.compile(r'\bmetrics_(counter|gauge|histogram)\(\s*[^,()]+,\s*"(\w+)"')
ROW = re.compile(r'\{"((?:checkout|process)_\w+)", "[^"]*"(?:, "(\w+)"|\})')  # the tables of metrics.c
LINE = re.compile(r"^\| `(\w+)` \| (\w+) \| *([^|]*)\|", re.MULTILINE)
SECTIONS = {"Producer": "producer", "Consumer": "consumer", "Notifier": "notifier", "Mailer": "notifier", "Webhooks": "notifier",
            "Console": "console", "Every daemon": "common"}
INFO = ("checkout_build_info", "common")  # written by hand in metrics.c
SUFFIXES = {"counter": ("_total",), "histogram": ("_seconds",)}


def in_code():
    """(name, place) -> type."""
    found = {INFO: "gauge"}
    for path in product(".c"):
        text = read(path)
        found |= {(name, home(path)): kind for kind, name in CALL.findall(text)}
        if path == "common/service/metrics.c":
            found |= {(name, "common"): kind or "gauge" for name, kind in ROW.findall(text)}
    return found


def on_page():
    found, twice = {}, []
    for section in re.split(r"^## ", read(PAGE), flags=re.MULTILINE)[1:]:
        place = SECTIONS.get(section.split("\n", 1)[0])
        for name, kind, _ in LINE.findall(section):
            if (name, place) in found:
                twice.append(name)
            found[name, place] = kind
    return found, twice


def check(problems):
    code, (page, twice) = in_code(), on_page()
    problems += [f"{PAGE}: {name} stands there twice" for name in twice]
    for key in sorted(set(code) | set(page), key=str):
        name, place = key
        if key not in page:
            problems.append(f"{PAGE}: {name} of {place} is missing")
        elif key not in code:
            problems.append(f"{PAGE}: {name} is no metric of {place}")
        elif code[key] != page[key]:
            problems.append(f"{PAGE}: {name} is a {code[key]}, not a {page[key]}")
        if key in code and not name.endswith(SUFFIXES.get(code[key], ("",))):
            problems.append(f"{name}: the name of a {code[key]} ends in {' or '.join(SUFFIXES[code[key]])}")
