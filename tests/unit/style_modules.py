"""Modules of the tests find each other: each name that one takes from another of ours is there.

Python finds out when the line runs, which may be an hour into a run, or on another machine. A name is there
if its module binds it outside of functions and classes; `module.name` counts, too, where `module` is ours.
"""

import ast
import os

from style_source import read, sources


def bound(tree):
    """Names that a module has when it has been imported, of any branch. None: all, by a star."""
    names = {"__file__", "__name__", "__doc__"}
    for node in outer(tree):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
            names.add(node.name)
        elif isinstance(node, (ast.Import, ast.ImportFrom)):
            for alias in node.names:
                if alias.name == "*":
                    return None
                names.add(alias.asname or alias.name.split(".")[0])
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            names.add(node.id)
        elif isinstance(node, ast.Global):
            names.update(node.names)
    return names


def outer(tree):
    """Nodes outside of functions and classes; of these, themselves."""
    for node in ast.iter_child_nodes(tree):
        yield node
        if not isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.Lambda)):
            yield from outer(node)


def taken(tree, modules):
    """(line, module, name) of what is taken from modules of ours."""
    ours = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            ours.update((alias.asname or alias.name, alias.name) for alias in node.names if alias.name in modules)
        elif isinstance(node, ast.ImportFrom) and node.module in modules and node.level == 0:
            yield from ((node.lineno, node.module, alias.name) for alias in node.names if alias.name != "*")
    rebound = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)}
    rebound |= {node.arg for node in ast.walk(tree) if isinstance(node, ast.arg)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id in ours.keys() - rebound:
            yield node.lineno, ours[node.value.id], node.attr


def check(problems):
    trees = {path: ast.parse(read(path), path) for path in sources(".py") if path.startswith("tests/")}
    modules = {os.path.basename(path)[:-3]: bound(tree) for path, tree in trees.items()}
    for path, tree in trees.items():
        for line, module, name in taken(tree, modules):
            if modules[module] is not None and name not in modules[module]:
                problems.append(f"{path}:{line}: {module} has no {name}")
