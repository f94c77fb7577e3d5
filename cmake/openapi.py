#!/usr/bin/python3
"""openapi.py YAML C: makes the API's document a C file, as JSON, with an ETag (see producer/openapi.h)."""

import hashlib
import json
import os
import sys

import yaml

LINE = 4000     # characters of one string literal


def literals(text):
    for start in range(0, len(text), LINE):
        yield "    " + json.dumps(text[start:start + LINE])


def main(source, target):
    with open(source, encoding="utf-8") as file:
        document = yaml.safe_load(file)
    text = json.dumps(document, separators=(",", ":"))      # ASCII, so that C and JSON escape alike
    etag = hashlib.sha256(text.encode()).hexdigest()[:16]
    os.makedirs(os.path.dirname(target), exist_ok=True)
    with open(target, "w", encoding="ascii") as file:
        print('#include "producer/openapi.h"\n\nconst char openapi_json[] =', file=file)
        print("\n".join(literals(text)) + ";", file=file)
        print("const size_t openapi_json_len = sizeof openapi_json - 1;", file=file)
        print(f'const char openapi_etag[] = "\\"{etag}\\"";', file=file)


if __name__ == "__main__":
    main(*sys.argv[1:])
