"""Samples' programs: what passes, and what an attack on the machine that runs them comes to."""

import asyncio
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from gateway.verify.code import Sandbox, program

SECONDS, MEMORY = 3.0, 256


@pytest.fixture(scope="module")
def loop() -> Iterator[asyncio.Runner]:
    with asyncio.Runner() as runner:
        yield runner


@pytest.fixture(scope="module")
def sandbox(loop: asyncio.Runner) -> Sandbox:
    sandbox = Sandbox()
    if not loop.run(sandbox.available()):
        pytest.skip("bubblewrap cannot make a sandbox here")
    return sandbox


def passes(loop: asyncio.Runner, sandbox: Sandbox, code: str, tests: str = "") -> bool:
    return loop.run(sandbox.passes(code, tests, SECONDS, MEMORY))


DOUBLE = "def double(x):\n    return 2 * x"
USUAL = """
import json, math, random, tempfile, threading, dataclasses
@dataclasses.dataclass
class Point:
    x: int
with tempfile.TemporaryFile() as file:
    file.write(b"x")
thread = threading.Thread(target=math.sqrt, args=(4,))
thread.start()
thread.join()
print("passed")
"""


@pytest.mark.parametrize(
    ("code", "tests", "passed"),
    [
        (DOUBLE, "assert double(2) == 4", True),
        (DOUBLE, "assert double(2) == 5", False),
        (DOUBLE, "import unittest\nassert double(2) == 4", True),
        ("def double(x)", "", False),
        (DOUBLE, "no Python", False),
        (USUAL, "assert Point(1) == Point(1)", True),
        ("input()", "", False),
    ],
)
def test_a_program_passes_when_its_tests_run_to_their_end(
    loop: asyncio.Runner, sandbox: Sandbox, code: str, tests: str, passed: bool
) -> None:
    assert passes(loop, sandbox, code, tests) is passed


@pytest.mark.parametrize(
    "code",
    ["raise SystemExit(0)", "exit()", "import os; os._exit(0)", "import os, signal; os.kill(-1, signal.SIGKILL)"],
)
def test_a_program_that_ends_before_its_tests_does_not_pass(loop: asyncio.Runner, sandbox: Sandbox, code: str) -> None:
    assert not passes(loop, sandbox, code, "assert True")


ATTACKS = {
    "endless loop": "while True: pass",
    "endless sleep": "import time\ntime.sleep(1000)",
    "memory bomb": "x = []\nwhile True: x.append(bytearray(10**7))",
    "fork bomb": "import os\nwhile True:\n    try: os.fork()\n    except OSError: pass",
    "thread bomb": "import threading, time\nwhile True: threading.Thread(target=time.sleep, args=(99,)).start()",
    "memory of many processes": (
        "import os, time\nfor _ in range(3): os.fork()\nx = bytearray(100 << 20)\ntime.sleep(1000)"
    ),
    "many files": "for i in range(10**9): open(f'/tmp/{i}', 'w').close()",
    "a large file": "f = open('/tmp/a', 'wb')\nwhile True: f.write(bytes(1 << 20))",
    "large files": "for i in range(10**6): open(f'/tmp/{i}', 'wb').write(bytes(15 << 20))",
    "stopping its watcher": "import os, signal\nos.kill(os.getppid(), signal.SIGSTOP)\nwhile True: pass",
    "endless recursion": "def f(): return f()\nf()",
}


@pytest.mark.parametrize("attack", ATTACKS)
def test_an_attack_ends_in_time_and_does_not_pass(loop: asyncio.Runner, sandbox: Sandbox, attack: str) -> None:
    began, free = time.monotonic(), available()
    watch = asyncio.Event()

    async def run() -> tuple[bool, int]:
        least = available()

        async def look() -> None:
            nonlocal least
            while not watch.is_set():
                least = min(least, available())
                await asyncio.sleep(0.02)

        looking = asyncio.create_task(look())
        passed = await sandbox.passes(ATTACKS[attack], "", SECONDS, MEMORY)
        watch.set()
        await looking
        return passed, least

    passed, least = loop.run(run())
    assert not passed
    # the sandbox's grace, on a busy machine
    assert time.monotonic() - began < SECONDS + 8
    # megabytes; other work on the machine takes some too
    assert free - least < 1500


def test_what_a_program_leaves_running_ends_with_it(loop: asyncio.Runner, sandbox: Sandbox) -> None:
    marker = "7919.25"
    code = f"import os\nif os.fork() == 0:\n    os.setsid()\n    os.execv('/bin/sleep', ['sleep', '{marker}'])"
    passes(loop, sandbox, code)
    assert marker not in subprocess.run(["ps", "-eo", "args"], capture_output=True, text=True, check=True).stdout


@pytest.mark.parametrize("place", ["/etc/x", "/usr/x", "/x", "/dev/shm/x", "/python/x", "/proc/sys/kernel/hostname"])
def test_a_program_writes_nowhere_but_in_its_own_folder(loop: asyncio.Runner, sandbox: Sandbox, place: str) -> None:
    assert not passes(loop, sandbox, f"open({place!r}, 'w').write('x')")
    assert not Path("/etc/x").exists()


@pytest.mark.parametrize("place", [str(Path(__file__).parent), "/etc/passwd", "/root", "/home", sys.prefix, "/run"])
def test_a_program_sees_nothing_of_the_machine_but_its_libraries(
    loop: asyncio.Runner, sandbox: Sandbox, place: str
) -> None:
    assert passes(loop, sandbox, f"import os\nassert not os.path.exists({place!r})")


def test_a_program_has_no_environment_of_ours(
    loop: asyncio.Runner, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CANDOR_SECRET", "x")
    assert passes(loop, sandbox, "import os\nassert not {*os.environ} - {'PWD', 'LC_CTYPE', 'LD_LIBRARY_PATH'}")


def test_a_program_has_no_network_not_even_this_machines(loop: asyncio.Runner, sandbox: Sandbox) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        assert not passes(loop, sandbox, f"import socket\nsocket.create_connection(('127.0.0.1', {port}), timeout=1)")


def test_cancelling_ends_the_program(loop: asyncio.Runner, sandbox: Sandbox) -> None:
    marker = "7919.5"

    async def run() -> None:
        code = f"import os\nos.execv('/bin/sleep', ['sleep', '{marker}'])"
        task = asyncio.create_task(sandbox.passes(code, "", 50, MEMORY))
        await asyncio.sleep(0.5)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    loop.run(run())
    time.sleep(0.2)
    assert marker not in subprocess.run(["ps", "-eo", "args"], capture_output=True, text=True, check=True).stdout


def test_cancelling_ends_the_sandbox_however_far_it_is(loop: asyncio.Runner, sandbox: Sandbox) -> None:
    marker = "sandbox-of-this-test"

    async def run(milliseconds: int) -> None:
        task = asyncio.create_task(sandbox.passes(f"'{marker}'", "while True: pass", 50, MEMORY))
        await asyncio.sleep(milliseconds / 1000)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            # cancelled, and over soon: it does not wait for what it did not reach
            await asyncio.wait_for(task, 10)

    before = sandboxes()
    for milliseconds in range(0, 60, 2):
        loop.run(run(milliseconds))
    until = time.monotonic() + 20
    while not sandboxes() <= before:
        # the kernel takes a while to take a namespace down
        assert time.monotonic() < until
        time.sleep(0.1)


def sandboxes() -> set[str]:
    """The processes that are a sandbox's, of this test's or another's."""
    return set(subprocess.run(["pgrep", "-x", "bwrap"], capture_output=True, text=True, check=False).stdout.split())


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("x = 1", "x = 1"),
        ("Here:\n```python\nx = 1\n```\nDone.", "x = 1"),
        ("```\nx = 1\n```\nor better\n```py\nx = 2\n```", "x = 2"),
        ("```python\nx = 1", "x = 1"),
    ],
)
def test_the_program_of_a_sample_is_its_last_block_or_all_of_it(text: str, code: str) -> None:
    assert program(text) == code


def available() -> int:
    """Megabytes."""
    for line in Path("/proc/meminfo").read_text().splitlines():
        if line.startswith("MemAvailable"):
            return int(line.split()[1]) >> 10
    raise AssertionError("no MemAvailable")
