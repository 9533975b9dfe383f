"""A whole stack: start, wait until ready, watch, stop."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType

import httpx
from pydantic import ValidationError

from gateway.embedded.faults import NotInTime, ServiceDied
from gateway.embedded.layout import SERVICES, environment
from gateway.embedded.process import Process
from gateway.embedded.serve import GRACE_SECONDS
from shared.contracts.base import Readiness

Phases = dict[str, str]
"""What each service says it is doing; `ready` when it can answer."""

STARTING, READY = "starting", "ready"
POLL_SECONDS = 0.2
RESTARTS, RESTART_WINDOW_SECONDS = 3, 600
"""How often, in which time, a service that dies is started again before the stack gives up."""


class RunningStack:
    """Five processes under one hand. Entering the `with` block starts them; leaving it stops them, in 12 s at most.

    `home` is the data folder; `state` (by default the same) holds the databases and `logs/`. Every port is bound
    on construction: raises PortTaken or PortRefused before anything starts.
    """

    def __init__(self, home: Path, *, host: str = "127.0.0.1", port: int = 0, state: Path | None = None) -> None:
        self.home, self.state = home, state or home
        self._processes = {
            service: Process(
                service,
                host if service == "gateway" else "127.0.0.1",
                port if service == "gateway" else 0,
                self.state / "logs" / f"{service}.log",
            )
            for service in SERVICES
        }
        self.urls = {service: process.url for service, process in self._processes.items()}
        self.address = self.urls["gateway"]
        self._restarts: dict[str, list[float]] = {service: [] for service in SERVICES}

    def __enter__(self) -> RunningStack:
        """Start every process; `wait` says when they are ready."""
        try:
            for service, process in self._processes.items():
                _keep_last(process.log)
                self._start(service)
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        """Stop every process."""
        self.stop()

    def wait(
        self,
        seconds: float = 300,
        *,
        show: Callable[[Phases], None] = lambda _: None,
        cancel: threading.Event | None = None,
    ) -> bool:
        """Wait until every service is ready, showing the phases; False when cancelled.

        Raises ServiceDied as soon as one ends or says that it failed, and NotInTime.
        """
        return wait_ready(self._processes, seconds, show=show, cancel=cancel)

    def revive(self) -> list[ServiceDied]:
        """Start again what has died since, and say what had. Raises ServiceDied when it died too often."""
        deaths = [process.death() for process in self._processes.values() if process.pid and not process.alive()]
        for death in deaths:
            now = time.monotonic()
            recent = [then for then in self._restarts[death.service] if now - then < RESTART_WINDOW_SECONDS]
            if len(recent) >= RESTARTS:
                raise death
            self._restarts[death.service] = [*recent, now]
            self._start(death.service)
        return deaths

    def kill(self, service: str) -> None:
        """End one service at once, as a crash would; for tests of what the others do without it."""
        self._processes[service].end(0)

    def stop(self) -> None:
        """Stop the gateway, then the services it calls, so that requests under way can end."""
        for group in (["gateway", "evaluation"], ["model", "retrieval", "tracing"]):
            for service in group:
                self._processes[service].terminate()
            for service in group:
                self._processes[service].end(2 * GRACE_SECONDS)

    def _start(self, service: str) -> None:
        self._processes[service].start(environment(service, self.home, self.state, self.urls))


@contextmanager
def stack(home: Path, port: int = 0, *, state: Path | None = None, seconds: float = 300) -> Iterator[RunningStack]:
    """A ready stack for the time of the block. `running.address` is the gateway's, `running.urls` every service's."""
    with RunningStack(home, port=port, state=state) as running:
        running.wait(seconds)
        yield running


def wait_ready(
    processes: Mapping[str, Process],
    seconds: float,
    *,
    show: Callable[[Phases], None] = lambda _: None,
    cancel: threading.Event | None = None,
) -> bool:
    """Wait until every process is ready, showing the phases; False when cancelled. Raises as `RunningStack.wait`."""
    cancel, until = cancel or threading.Event(), time.monotonic() + seconds
    phases = dict.fromkeys(processes, STARTING)
    # no proxy of the environment has a part in calls to this machine
    with httpx.Client(timeout=1.0, trust_env=False) as http:
        while True:
            phases = {name: _phase(process, http, phases[name]) for name, process in processes.items()}
            show(phases)
            if all(phase == READY for phase in phases.values()):
                return True
            if time.monotonic() > until:
                raise NotInTime(seconds, phases)
            if cancel.wait(POLL_SECONDS):
                return False


def _phase(process: Process, http: httpx.Client, last: str) -> str:
    if not process.alive():
        raise process.death()
    try:
        answer = Readiness.model_validate_json(http.get(process.url + "/readyz").content)
    except httpx.TimeoutException:
        return last  # busy with what it was busy with
    except (httpx.HTTPError, ValidationError):
        return STARTING
    if answer.phase.startswith("failed"):
        raise process.fault(answer.phase)
    return READY if answer.ready else answer.phase


def _keep_last(log: Path) -> None:
    """Make way for this run's log, with the one of the run before beside it."""
    log.parent.mkdir(parents=True, exist_ok=True)
    if log.exists():
        log.replace(log.with_suffix(".log.1"))
