"""What a command says when it cannot do what it was asked, instead of a traceback."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager


class Failure(Exception):
    """Ends the command with this message and exit code 1."""


@contextmanager
def explained(*kinds: type[Exception]) -> Iterator[None]:
    """These errors already say what is wrong and what to do: show their words alone."""
    try:
        yield
    except kinds as error:
        raise Failure(str(error)) from error
