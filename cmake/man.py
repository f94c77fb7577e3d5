#!/usr/bin/python3
"""Makes a program's man page from what its --help and --version say.

    man.py PROGRAM SECTION MANUAL_DATE OUTPUT

Lines that begin in the first column and end in a colon open a section; indented lines whose next line is
indented further, or that have two spaces inside, are items of a list; everything else is text. For a program
with commands (checkoutctl) each command's own help follows.
"""

import re
import subprocess
import sys


def said(program, *arguments):
    return subprocess.run([program, *arguments], check=True, capture_output=True, text=True).stdout


def escape(text):
    text = re.sub(r" {2,}", " ", text).replace("\\", "\\e").replace("-", "\\-")
    return "\\&" + text if text.startswith((".", "'")) else text


def item_of(line, following):
    """(term, the start of its text) if the line is an item of a list."""
    parts = re.match(r"^ {2}(\S.*?)(?: {2,}(\S.*))?$", line)
    if parts and (parts[2] is not None or re.match(r"^ {6,}\S", following)):
        return parts[1], parts[2] or ""
    return None


def blocks(lines):
    """roff lines of a help's body."""
    out, in_item = [], False
    for at, line in enumerate(lines):
        following = lines[at + 1] if at + 1 < len(lines) else ""
        found = item_of(line, following)
        if re.match(r"^[a-zA-Z][^:]*:$", line) and (at == 0 or not lines[at - 1].strip()):
            out += [f".SS {escape(line[0].upper() + line[1:-1])}"]
            in_item = False
        elif found:
            out += [".TP", f".B {escape(found[0])}"] + ([escape(found[1])] if found[1] else [])
            in_item = True
        elif not line.strip():
            if following and not following.startswith(" "):
                out += [".PP"]
                in_item = False
        else:
            if in_item and not line.startswith("      "):
                out += [".PP"]
                in_item = False
            out += [escape(line.strip())]
    return out


def usage_and_rest(text):
    lines = text.rstrip("\n").split("\n")
    usage = re.sub(r"^[Uu]sage: *", "", lines[0])
    rest = lines[1:]
    while rest and not rest[0].strip():
        rest = rest[1:]
    return usage, rest


def commands(help_text):
    """The words of each command in the list of the help: 'items import'."""
    inside = help_text.split("commands:\n", 1)[1].split("\n\n", 1)[0] if "commands:\n" in help_text else ""
    return [re.match(r"^  ((?:[a-z]+ ?)+)", line)[1].strip() for line in inside.split("\n")
            if re.match(r"^  [a-z]", line)]


def main():
    program, section, date, output = sys.argv[1:]
    name = program.rsplit("/", 1)[-1]
    version = said(program, "--version").split()[1]
    text = said(program, "--help")
    usage, rest = usage_and_rest(text)
    summary = re.split(r"(?<=\.)\s", " ".join(" ".join(rest).split()), maxsplit=1)[0].rstrip(".")
    page = [f'.TH {name.upper()} {section} "{date}" "Checkout {version}" "Checkout"',
            ".SH NAME", f"{escape(name)} \\- {escape(summary)}",
            ".SH SYNOPSIS", f".B {escape(usage)}", ".SH DESCRIPTION", *blocks(rest)]
    found = commands(text)
    if found:
        page += [".SH COMMANDS"]
    for words in found:
        own_usage, own_rest = usage_and_rest(said(program, *words.split(), "--help"))
        body = ["." + line[1:] if line.startswith(".SS") else line for line in blocks(own_rest)]
        page += [f".SS {escape(own_usage.removeprefix(name).strip())}",
                 *[re.sub(r"^\.SS (.*)", r".PP\n.I \1", line) for line in body]]
    page += [".SH SEE ALSO", "checkoutctl(1), checkout\\-producer(8), checkout\\-consumer(8), checkout\\-notifier(8), checkout\\-mailer(8), checkout\\-webhooks(8), checkout\\-console(8)"]
    with open(output, "w", encoding="utf-8") as sink:
        sink.write("\n".join(page) + "\n")


main()
