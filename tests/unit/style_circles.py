"""No files that need each other in a circle, inside common/ and inside each program.

x.c and x.h are one file here. One needs another if it includes the other's header, or if it uses a function
or an object that the other defines, whatever header declares it. x_impl.h, the inside of x for the files of
one module, stands for itself: that it includes x.h is no circle.
"""

import os
import re

from style_source import ROOT, bare, home, includes, product, read

# At the line's start and not static: a function, or an object that has a value.
DEFINED = re.compile(r"^(?!static|typedef|struct \w+ \{|enum|#|extern|union \w+ \{)[a-z][\w *]*?\b(\w+)(?:\(|(?:\[[^\]]*\])* = )",
                     re.MULTILINE)


def unit(path):
    return path[:-2]


def definitions(text):
    """Names with a body or a value; prototypes end in `;` and are none."""
    for match in DEFINED.finditer(text):
        rest = text[match.end() - 1:]
        if rest.startswith("("):
            closing = re.match(r"\((?:[^()]|\([^()]*\))*\)", rest)
            if closing and rest[closing.end():].lstrip().startswith(("{", "__attribute__")):
                yield match[1]
        else:
            yield match[1]


def needs():
    """unit → {unit that it needs: why}"""
    texts = {path: bare(read(path)) for path in product(".c", ".h")}
    defined = {}
    for path, text in texts.items():
        if path.endswith(".c") and not path.endswith("/main.c"):
            defined.update({(home(path), name): unit(path) for name in definitions(text)})
    graph = {}
    for path, text in texts.items():
        here = unit(path)
        edges = graph.setdefault(here, {})
        for kind, name in includes(path):
            there = unit(name)
            inside = path.endswith("_impl.h") and there == here[:-len("_impl")]
            if kind == '"' and home(name) == home(path) and there != here and not inside and \
                    os.path.isfile(os.path.join(ROOT, name)):
                edges.setdefault(there, f"includes {os.path.basename(name)}")
        if path.endswith(".c"):
            for name in sorted(set(re.findall(r"(?<![.>\w])[a-z]\w+", text))):
                there = defined.get((home(path), name))
                if there and there != here:
                    edges[there] = f"uses {name}"
    return graph


def circles(graph):
    """Sets of units of which each needs each (Tarjan)."""
    index, low, stack, found = {}, {}, [], []

    def visit(node):
        index[node] = low[node] = len(index)
        stack.append(node)
        for there in sorted(graph.get(node, ())):
            if there not in index:
                visit(there)
                low[node] = min(low[node], low[there])
            elif there in stack:
                low[node] = min(low[node], index[there])
        if low[node] == index[node]:
            circle = []
            while not circle or circle[-1] != node:
                circle.append(stack.pop())
            if len(circle) > 1:
                found.append(sorted(circle))

    for node in sorted(graph):
        if node not in index:
            visit(node)
    return found


def check(problems):
    graph = needs()
    for circle in circles(graph):
        why = [f"    {os.path.basename(here)} → {os.path.basename(there)}: {reason}" for here in circle
               for there, reason in sorted(graph[here].items()) if there in circle]
        problems.append(f"{circle[0]}: in a circle with {', '.join(circle[1:])}\n" + "\n".join(why))
