"""Killing a change at each of its writes."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

DRIVER = """
import os, signal, sys
from importlib import import_module
from pathlib import Path

module, what, first, *folders = sys.argv[1:]
prepared = import_module(module).prepared

def run(folder, point):
    names, done = prepared(Path(folder)), 0
    def hook(event, arguments):
        nonlocal done
        writes = event == "open" and isinstance(arguments[2], int) and arguments[2] & (os.O_WRONLY | os.O_RDWR)
        # an exchange of two folders is a call of a C function
        others = ("os.rename", "os.remove", "os.rmdir", "os.mkdir", "os.truncate", "ctypes.dlsym")
        if writes or event in others:
            done += 1
            if done == point:
                os.kill(os.getpid(), signal.SIGKILL)
    sys.addaudithook(hook)
    exec(what, names)
    return done

reader, writer = os.pipe()
if not os.fork():
    os.write(writer, str(run(first, 0)).encode())
    os._exit(0)
steps = int(os.read(reader, 14))
for number, folder in enumerate(folders):
    if not os.fork():
        run(folder, 1 + number * steps // len(folders))
        os._exit(0)
    os.wait()
print(steps)
"""


def killed(module: str, what: str, folder: Path, into: Path, points: int) -> list[Path]:
    """Copies of a folder in which `what`, a statement of Python, was killed: each at another of its writes.

    It is executed with the names that the module's function `prepared` gives for the copy.
    """
    copies = [Path(shutil.copytree(folder, into / str(number))) for number in range(points + 1)]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, "-c", DRIVER, module, what, *map(str, copies)]
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=environment)
    assert int(done.stdout) >= points, "there are fewer writes than copies"
    return copies[1:]
