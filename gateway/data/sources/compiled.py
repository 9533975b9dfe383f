"""Docstrings of the modules that are compiled: they have no source to parse and are imported."""

from __future__ import annotations

import importlib
import importlib.machinery
import inspect
import sys
import sysconfig
import types
import warnings
from collections.abc import Iterator
from pathlib import Path

from gateway.data.sources.pages import Entry, Page, pages_of

# Parts of CPython's own tests, and the interface to a window system that may not be there.
_LEFT_OUT = ("_test", "_xx", "xx", "_ctypes_test", "_tkinter", "_curses")


def pages() -> Iterator[Page]:
    """The pages of every compiled module that this interpreter has, public names first."""
    for name in sorted(_names(), key=lambda name: (name.startswith("_"), name)):
        try:
            with warnings.catch_warnings(action="ignore", category=DeprecationWarning):
                module = importlib.import_module(name)
        except ImportError:  # the library that it wraps is not on this machine
            continue
        yield from pages_of(_module(module))


def _names() -> set[str]:
    folder = sysconfig.get_config_var("DESTSHARED")
    suffixes = tuple(importlib.machinery.EXTENSION_SUFFIXES)
    extensions = (
        {file.name.split(".")[0] for file in Path(folder).glob("*") if file.name.endswith(suffixes)}
        if folder
        else set()
    )
    names = (extensions | set(sys.builtin_module_names)) & sys.stdlib_module_names
    return {name for name in names if not name.startswith(_LEFT_OUT)}


def _module(module: types.ModuleType) -> Entry:
    members = []
    for name, value in sorted(vars(module).items()):
        if name.startswith("_") and not (name.startswith("__") and module.__name__ == "builtins"):
            continue
        if inspect.isclass(value):
            members.append(_class(value))
        elif inspect.isroutine(value):
            members.append(_routine(f"{module.__name__}.{name}", value))
    return Entry(module.__name__, module.__name__, module.__doc__, members)


def _class(kind: type) -> Entry:
    # The name users know: `_collections.deque` calls itself `collections.deque`.
    name = f"{kind.__module__}.{kind.__qualname__}"
    members = [
        _routine(f"{name}.{method}", value)
        for method, value in sorted(vars(kind).items())
        if not method.startswith("_") and (inspect.isroutine(value) or inspect.isdatadescriptor(value))
    ]
    return Entry(name, f"class {_as_written(name)}", kind.__doc__, members)


def _routine(name: str, value: object) -> Entry:
    # "($self, key, /)" in CPython's own notation
    signature = (getattr(value, "__text_signature__", None) or "").replace("$", "")
    return Entry(name, f"{_as_written(name)}{signature}", inspect.getdoc(value))


def _as_written(name: str) -> str:
    return name.removeprefix("builtins.")
