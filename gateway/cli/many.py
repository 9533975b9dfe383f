"""Options that take all the files after them, as a shell's `*.jsonl` gives them."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

from typer.core import TyperCommand


class ManyValues(TyperCommand):
    """A command whose list options may be given once for many values: `--data a b` is `--data a --data b`."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Read the line, after repeating such an option before each of its values."""
        lists = [name for param in self.params if getattr(param, "multiple", False) for name in param.opts]
        return super().parse_args(ctx, repeated(args, lists))


def repeated(arguments: Sequence[str], options: Collection[str]) -> list[str]:
    """The arguments, with each of ``options`` repeated before every value after it up to the next option."""
    line: list[str] = []
    option = None
    for argument in arguments:
        if argument in options:
            option = argument
        elif argument.startswith("-"):
            option = None
        elif option and line[-1] != option:
            line.append(option)
        line.append(argument)
    return line
