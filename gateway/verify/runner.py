"""Runs inside the sandbox, by Python alone: a sample's code, then its tests, in a child that is held to its limits.

Reads {"code", "tests", "memory", "seconds"} from standard input, and writes `passed` or `failed` to standard output.
"""

import contextlib
import json
import os
import resource
import signal
import sys
import time
import types
from typing import Any

NOBODY = 65534
PROCESSES = 16
"""Processes and threads at a time, this one among them."""
OPEN_FILES = 64
FILE_BYTES = 16 << 20
FILES = 10_000
"""Files in the sandbox: each takes memory of the kernel's, even an empty one."""
LOOK_SECONDS = 0.02


def main() -> None:
    """Run the job of standard input."""
    job = json.load(sys.stdin)
    if os.getuid() == 0:
        # root's processes are not counted
        os.setgroups([])
        os.setgid(NOBODY)
        os.setuid(NOBODY)
    os.nice(10)
    memory = job["memory"] << 20
    passed, said = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(passed)
        run(job, memory, said)
    os.close(said)
    fits = watch(child, memory, time.monotonic() + job["seconds"])
    # all that it has started, too; the sandbox's own first process is spared
    with contextlib.suppress(ProcessLookupError):
        os.kill(-1, signal.SIGKILL)
    print("passed" if fits and os.read(passed, 1) else "failed")


def run(job: dict[str, Any], memory: int, said: int) -> None:
    """The code and the tests, in this process, which then ends. A byte to `said` says that they came to their end."""
    nothing = os.open("/dev/null", os.O_RDWR)
    for stream in (0, 1, 2):
        os.dup2(nothing, stream)
    seconds = int(job["seconds"]) + 1
    for limit, value in (
        (resource.RLIMIT_AS, memory),
        (resource.RLIMIT_CPU, seconds),
        (resource.RLIMIT_FSIZE, FILE_BYTES),
        (resource.RLIMIT_NOFILE, OPEN_FILES),
        (resource.RLIMIT_NPROC, PROCESSES),
        (resource.RLIMIT_CORE, 0),
    ):
        resource.setrlimit(limit, (value, value))
    module = types.ModuleType("sample")
    sys.modules["sample"] = module
    try:
        exec(compile(job["code"], "sample.py", "exec"), module.__dict__)
        exec(compile(job["tests"], "tests.py", "exec"), module.__dict__)
    except BaseException:
        # SystemExit too: tests that were never reached are not passed
        os._exit(1)
    os.write(said, b"1")
    os._exit(0)


def watch(child: int, memory: int, until: float) -> bool:
    """Wait for the child; False when its processes together took more time, memory or files than they may."""
    while os.waitpid(child, os.WNOHANG) == (0, 0):
        folder = os.statvfs("/tmp")
        if time.monotonic() > until or resident() > memory or folder.f_files - folder.f_ffree > FILES:
            return False
        time.sleep(LOOK_SECONDS)
    return True


def resident() -> int:
    """Bytes of memory of every process in the sandbox, and of System V's shared memory, which belongs to none."""
    pages = 0
    for process in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{process}/statm") as counts:
                pages += int(counts.read().split()[1])
        except OSError:
            continue
    with open("/proc/sysvipc/shm") as segments:
        names = segments.readline().split()
        shared = sum(int(line.split()[names.index("rss")]) for line in segments)
    return pages * os.sysconf("SC_PAGE_SIZE") + shared


if __name__ == "__main__":
    main()
