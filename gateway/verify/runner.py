"""Runs inside the sandbox, by Python alone: a sample's code, then its tests, in a child that is held to its limits.

It is the sandbox's first process, which no other in there can end or stop, and all others end with it. Reads
{"code", "tests", "memory", "seconds", "user"} from standard input, and writes `passed` or `failed` to standard output.
"""

import contextlib
import ctypes
import errno
import json
import os
import platform
import resource
import signal
import struct
import sys
import time
import types
from typing import Any

PROCESSES = 16
"""Processes and threads at a time, this one among them."""
OPEN_FILES = 64
FILE_BYTES = 16 << 20
FILES = 10_000
"""Files in the sandbox: each takes memory of the kernel's, even an empty one."""
LOOK_SECONDS = 0.02

FORBIDDEN = {
    # memory that belongs to no process
    "memfd_create": (319, 279),
    "memfd_secret": (447, 447),
    "io_uring_setup": (425, 425),
    # file systems and namespaces of its own, whose files would be memory too
    "mount": (165, 40),
    "fsopen": (430, 430),
    "open_tree": (428, 428),
    "unshare": (272, 97),
    "setns": (308, 268),
}
"""System calls that a program is refused, by their numbers on each of the MACHINES."""
MACHINES = {"x86_64": (0, 0xC000003E, 56), "aarch64": (1, 0xC00000B7, 220)}
"""Its place in FORBIDDEN, its name in the kernel's audit, and the number of its `clone`."""
CLONE3 = 435
NAMESPACES = 0x7E020000
"""The flags of `clone` that make a namespace."""

PR_SET_PDEATHSIG, PR_SET_DUMPABLE, PR_SET_SECCOMP, PR_SET_NO_NEW_PRIVS = 1, 4, 22, 38
SECCOMP_MODE_FILTER = 2
LOAD, EQUAL, AT_LEAST, ANY_BIT, RETURN = 0x20, 0x15, 0x35, 0x45, 0x06
"""Operations of the kernel's filters (BPF): on a word of the call's data, on a constant, and the verdict."""
ALLOW, REFUSE, KILL = 0x7FFF0000, 0x00050000, 0x80000000
NUMBER, AUDIT, ARGUMENT = 0, 4, 16
"""Where the data have the call's number, its machine, and its first argument's lower half."""

_libc = ctypes.CDLL(None, use_errno=True)


def main() -> None:
    """Run the job of standard input."""
    job = json.load(sys.stdin)
    # if the machine runs out of memory, this goes first
    with open("/proc/self/oom_score_adj", "w") as score:
        score.write("1000")
    if os.getuid() == 0:
        # root's processes are not counted
        os.setgroups([])
        os.setgid(job["user"])
        os.setuid(job["user"])
    # its standard output is closed to the program; and to become someone else undid bubblewrap's --die-with-parent
    control(PR_SET_DUMPABLE, 0)
    control(PR_SET_PDEATHSIG, signal.SIGKILL)
    os.nice(10)
    memory = job["memory"] << 20
    passed, said = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(passed)
        run(job, memory, said)
    os.close(said)
    fits = watch(child, memory, time.monotonic() + job["seconds"])
    # all that it has started, too, and with them the other ends of the pipe
    with contextlib.suppress(ProcessLookupError):
        os.kill(-1, signal.SIGKILL)
    print("passed" if fits and os.read(passed, 1) else "failed")


def run(job: dict[str, Any], memory: int, said: int) -> None:
    """The code and the tests, in this process, which then ends. A byte to `said` says that they came to their end."""
    try:
        confine(memory, int(job["seconds"]) + 1)
        module = types.ModuleType("sample")
        sys.modules["sample"] = module
        exec(compile(job["code"], "sample.py", "exec"), module.__dict__)
        exec(compile(job["tests"], "tests.py", "exec"), module.__dict__)
    except BaseException:
        # SystemExit too: tests that were never reached are not passed
        os._exit(1)
    os.write(said, b"1")
    os._exit(0)


def confine(memory: int, seconds: int) -> None:
    """Hold this process, and all that it will start, to its limits."""
    nothing = os.open("/dev/null", os.O_RDWR)
    for stream in (0, 1, 2):
        os.dup2(nothing, stream)
    for limit, value in (
        (resource.RLIMIT_AS, memory),
        (resource.RLIMIT_CPU, seconds),
        (resource.RLIMIT_FSIZE, FILE_BYTES),
        (resource.RLIMIT_NOFILE, OPEN_FILES),
        (resource.RLIMIT_NPROC, PROCESSES),
        (resource.RLIMIT_CORE, 0),
    ):
        resource.setrlimit(limit, (value, value))
    forbid()


def forbid() -> None:
    """Have the kernel refuse the FORBIDDEN calls, and new namespaces. Raises KeyError on an unknown machine."""
    place, audit, clone = MACHINES[platform.machine()]
    refused = (RETURN, 0, 0, REFUSE | errno.EPERM)
    # each test that fails skips the verdict after it
    steps = [
        (LOAD, 0, 0, AUDIT),
        (EQUAL, 1, 0, audit),
        (RETURN, 0, 0, KILL),
        (LOAD, 0, 0, NUMBER),
        # x32, the same calls under other numbers
        (AT_LEAST, 0, 1, 0x40000000),
        refused,
        *(step for numbers in FORBIDDEN.values() for step in ((EQUAL, 0, 1, numbers[place]), refused)),
        # its flags are in memory, where no filter can look; who is told that it is not there takes `clone`
        (EQUAL, 0, 1, CLONE3),
        (RETURN, 0, 0, REFUSE | errno.ENOSYS),
        (EQUAL, 0, 3, clone),
        (LOAD, 0, 0, ARGUMENT),
        (ANY_BIT, 0, 1, NAMESPACES),
        refused,
        (RETURN, 0, 0, ALLOW),
    ]
    code = ctypes.create_string_buffer(b"".join(struct.pack("=HBBI", *step) for step in steps))
    program = ctypes.create_string_buffer(struct.pack("@HP", len(steps), ctypes.addressof(code)))
    control(PR_SET_NO_NEW_PRIVS, 1)
    control(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, ctypes.addressof(program))


def control(option: int, *arguments: int) -> None:
    """prctl(2). Raises OSError."""
    values = [ctypes.c_ulong(argument) for argument in (*arguments, 0, 0, 0, 0)[:4]]
    if _libc.prctl(option, *values) != 0:
        raise OSError(ctypes.get_errno(), "prctl")


def watch(child: int, memory: int, until: float) -> bool:
    """Wait for the child; False when its processes together took more time, memory or files than they may."""
    while not ended(child):
        folder = os.statvfs("/tmp")
        if time.monotonic() > until or resident() > memory or folder.f_files - folder.f_ffree > FILES:
            return False
        time.sleep(LOOK_SECONDS)
    return True


def ended(child: int) -> bool:
    """Whether the child has. Whatever lost its parent is this process's to be waited for, too."""
    while (over := os.waitpid(-1, os.WNOHANG)[0]) not in (0, child):
        continue
    return over == child


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
