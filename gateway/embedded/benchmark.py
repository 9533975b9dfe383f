"""The retrieval service over one benchmark's datastore and the evaluation service that asks it, beside any stack."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from gateway.embedded.layout import environment
from gateway.embedded.process import Process
from gateway.embedded.serve import GRACE_SECONDS
from gateway.embedded.stack import wait_ready


@contextmanager
def benchmark_services(
    home: Path, datastores: Path, state: Path, seconds: float = 300, *, model: bool = False
) -> Iterator[str]:
    """The evaluation service's address, for the time of the block, with all services ready; with `model` its too.

    `datastores` is the folder of what is searched, `state` that of the runs and the logs: a run that a process left
    unfinished is carried on by the next. Raises StackError.
    """
    state.mkdir(parents=True, exist_ok=True)
    names = [*(["model"] if model else []), "retrieval", "evaluation"]
    processes = {name: Process(name, "127.0.0.1", 0, state / f"{name}.log") for name in names}
    urls = {"gateway": processes["retrieval"].url} | ({"model": processes["model"].url} if model else {})
    wiring: dict[str, dict[str, str]] = {
        "retrieval": {"CANDOR_RETRIEVAL_DIRECTORY": str(datastores)},
        "evaluation": {"CANDOR_EVALUATION_DATABASE_URL": f"sqlite:///{state / 'evaluation.db'}"},
    }
    try:
        for name, process in processes.items():
            process.start({**environment(name, home, state, urls), **wiring.get(name, {})})
            # the evaluation service carries on old runs as soon as it lives, and needs the other for that
            wait_ready({name: process}, seconds)
        yield processes["evaluation"].url
    finally:
        for name in reversed(names):
            processes[name].terminate()
            processes[name].end(2 * GRACE_SECONDS)
