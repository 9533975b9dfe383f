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
from gateway.verify.faults import VerifierFailed

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
    # what is no attack ends by itself, on a busy machine late
    return loop.run(sandbox.passes(code, tests, 10 * SECONDS, MEMORY))


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
    ["raise SystemExit(0)", "exit()", "import os; os._exit(0)", "import os; os.kill(os.getpid(), 9)"],
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
    "stopping its watcher, then memory": (
        "import os, signal, time\nos.kill(os.getppid(), signal.SIGSTOP)\n"
        "for _ in range(13):\n    if os.fork() == 0: break\nx = bytearray(200 << 20)\ntime.sleep(1000)"
    ),
    "memory that no process maps": (
        "import os\nfor i in range(25):\n    file = os.memfd_create('x')\n    os.write(file, bytes(15 << 20))"
    ),
    "files in a file system of its own": (
        "import ctypes, os\ncall = ctypes.CDLL(None)\nuser, group = os.getuid(), os.getgid()\n"
        "call.prctl(4, 1, 0, 0, 0)\nassert call.unshare(0x10020000) == 0\n"
        "for name, said in (('setgroups', 'deny'), ('uid_map', f'0 {user} 1'), ('gid_map', f'0 {group} 1')):\n"
        "    open(f'/proc/self/{name}', 'w').write(said)\n"
        "assert call.mount(b'x', b'/tmp', b'tmpfs', 0, b'size=4g') == 0\n"
        "for i in range(25): open(f'/tmp/{i}', 'wb').write(bytes(15 << 20))"
    ),
    "a namespace of its own by clone": (
        "import ctypes, platform\nassert ctypes.CDLL(None).syscall("
        "{'x86_64': 56, 'aarch64': 220}[platform.machine()], 0x10000000 | 17, 0, 0, 0, 0) >= 0"
    ),
    "writing its own verdict": (
        "import os\nopen('/proc/1/fd/1', 'w').write('passed')\nos.kill(os.getppid(), 9)\nraise SystemExit"
    ),
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


def test_programs_at_a_time_have_their_own_threads(loop: asyncio.Runner, sandbox: Sandbox) -> None:
    code = "import threading\nfor _ in range(12): threading.Timer(1, print).start()\nthreading.Event().wait(0.5)"

    async def run() -> list[bool]:
        return await asyncio.gather(*(sandbox.passes(code, "", 20, 2048) for _ in range(2)))

    assert loop.run(run()) == [True, True]


def test_a_sandbox_that_says_too_much_is_not_heard_to_the_end(
    loop: asyncio.Runner, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "bwrap").write_text("#!/bin/sh\nwhile :; do echo passed; done\n")
    (tmp_path / "bwrap").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    endless = Sandbox()
    began = time.monotonic()
    assert not loop.run(endless.available())
    assert time.monotonic() - began < 5


def test_a_sandbox_that_cannot_be_started_has_failed(
    loop: asyncio.Runner, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "bwrap").write_text("#!/nowhere\n")
    (tmp_path / "bwrap").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    gone = Sandbox()
    assert not loop.run(gone.available())
    with pytest.raises(VerifierFailed):
        loop.run(gone.passes("", "", SECONDS, MEMORY))


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
        ("Install:\n```bash\npip install x\n```\nThen:\n```python\nx = 1\n```\nDone.", "x = 1"),
        ("```python\nx = 1\n```\nIt prints:\n```\n1\n```", "x = 1"),
        ("```Python title=a.py\nx = 1\n```", "x = 1"),
        ("1. So:\n   ```python\n   if x:\n       y = 1\n   ```", "if x:\n    y = 1"),
        ("Like so: ```python\nx = 1\n```", "x = 1"),
        ('````python\nx = """\n```\n"""\n````', 'x = """\n```\n"""'),
        ("Call ```f``` with ```1```", "Call ```f``` with ```1```"),
    ],
)
def test_the_program_of_a_sample_is_its_last_block_or_all_of_it(text: str, code: str) -> None:
    assert program(text) == code


@pytest.mark.parametrize("text", ["```" + " " * 10**6 + "x`", " " * 10**6 + "x", "```\n" * 10**5, "`" * 10**6 + "x`"])
def test_no_text_takes_long_to_find_a_program_in(text: str) -> None:
    began = time.monotonic()
    program(text)
    assert time.monotonic() - began < 2


def available() -> int:
    """Megabytes."""
    for line in Path("/proc/meminfo").read_text().splitlines():
        if line.startswith("MemAvailable"):
            return int(line.split()[1]) >> 10
    raise AssertionError("no MemAvailable")
