#!/usr/bin/python3
"""page.py FOLDER C: makes the files of the operators' page a C file (see console/page.h)."""

import os
import sys

TYPES = {".html": "text/html; charset=utf-8", ".css": "text/css; charset=utf-8", ".js": "text/javascript; charset=utf-8",
         ".svg": "image/svg+xml"}
LINE = 80       # bytes of one string literal


def literal(part):
    plain = {ord("\n"): "\\n", ord('"'): '\\"', ord("\\"): "\\\\"}
    return '    "' + "".join(plain.get(byte) or (chr(byte) if 32 <= byte < 127 else f"\\{byte:03o}") for byte in part) + '"'


def main(folder, target):
    os.makedirs(os.path.dirname(target), exist_ok=True)
    with open(target, "w", encoding="ascii") as file:
        print('#include "console/page.h"\n', file=file)
        print("const struct page_file page_files[] = {", file=file)
        for name in sorted(os.listdir(folder)):
            with open(os.path.join(folder, name), "rb") as source:
                body = source.read()
            lines = [literal(body[start:start + LINE]) for start in range(0, len(body), LINE)]
            path = "/" if name == "index.html" else "/" + name
            print(f'{{"{path}", "{TYPES[os.path.splitext(name)[1]]}",', *lines, sep="\n", end="", file=file)
            print(f", {len(body)}}},", file=file)
        print("{0}};", file=file)


if __name__ == "__main__":
    main(*sys.argv[1:])
