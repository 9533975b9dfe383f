"""One process at a time, and none for ever."""

import subprocess
import sys
import threading
from pathlib import Path

import pytest

from shared.lock import locked

HOLD = """
import pathlib, sys
from shared.lock import locked
with locked(pathlib.Path(sys.argv[1])):
    print(flush=True)
    input()
"""


def test_a_second_holder_waits_for_the_first(tmp_path: Path) -> None:
    begun, order = threading.Event(), list[str]()

    def second() -> None:
        begun.set()
        with locked(tmp_path / "lock"):
            order.append("second")

    waiting = threading.Thread(target=second)
    with locked(tmp_path / "lock"):
        waiting.start()
        assert begun.wait(10)
        waiting.join(0.2)
        order.append("first")
    waiting.join(10)
    assert order == ["first", "second"]


def test_who_does_not_want_to_wait_is_refused(tmp_path: Path) -> None:
    with locked(tmp_path / "lock"), pytest.raises(BlockingIOError), locked(tmp_path / "lock", wait=False):
        pass
    with locked(tmp_path / "lock", wait=False):
        pass


def test_a_holder_that_is_killed_holds_it_no_longer(tmp_path: Path) -> None:
    command = [sys.executable, "-c", HOLD, str(tmp_path / "lock")]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as holder:
        assert holder.stdout is not None
        holder.stdout.readline()
        with pytest.raises(BlockingIOError), locked(tmp_path / "lock", wait=False):
            pass
        holder.kill()
    with locked(tmp_path / "lock", wait=False):
        pass
