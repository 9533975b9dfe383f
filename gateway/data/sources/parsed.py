"""Docstrings of the standard library's modules that are written in Python, read from their source."""

from __future__ import annotations

import ast
import sys
import sysconfig
import tokenize
from collections.abc import Iterator
from pathlib import Path

from gateway.data.sources.pages import Entry, Page, pages_of

# Tests, generated tables and programs that are not for import: nobody asks how to use them.
_LEFT_OUT = {
    "test",
    "tests",
    "idlelib",
    "turtledemo",
    "lib2to3",
    "site-packages",
    "__pycache__",
    "_bundled",
    "antigravity",
    "this",
}


def pages() -> Iterator[Page]:
    """The pages of every public module, in the order of their names."""
    library = Path(sysconfig.get_path("stdlib"))
    for file in sorted(library.rglob("*.py")):
        parts = file.relative_to(library).with_suffix("").parts
        if parts[0] not in sys.stdlib_module_names or _LEFT_OUT & set(parts):
            continue
        name = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
        if not any(part.startswith("_") for part in name.split(".")):
            yield from pages_of(_module(name, file))


def _module(name: str, file: Path) -> Entry:
    with tokenize.open(file) as source:
        tree = ast.parse(source.read())
    return Entry(name, name, ast.get_docstring(tree), list(_members(tree, name)))


def _members(node: ast.Module | ast.ClassDef, prefix: str) -> Iterator[Entry]:
    for child in node.body:
        if isinstance(child, ast.ClassDef) and not child.name.startswith("_"):
            name = f"{prefix}.{child.name}"
            bases = ", ".join(ast.unparse(base) for base in child.bases)
            heading = f"class {name}({bases})" if bases else f"class {name}"
            yield Entry(name, heading, ast.get_docstring(child), list(_members(child, name)))
        elif isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef) and _is_public(child.name):
            name = f"{prefix}.{child.name}"
            yield Entry(name, f"{name}({ast.unparse(child.args)})", ast.get_docstring(child))


def _is_public(function: str) -> bool:
    return function == "__init__" or not function.startswith("_")
