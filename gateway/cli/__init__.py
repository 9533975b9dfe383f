"""The `candor` command: a module a command, and how answers and reports look on a terminal. Nothing imports it.

It may import service packages, but only inside the commands that need them: `candor --help` must not load torch.
"""

from gateway.cli.app import main

__all__ = ["main"]
