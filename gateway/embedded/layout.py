"""Which processes make up a stack, and the environment that ties them together."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from shared.settings import cores


@dataclass(frozen=True)
class Service:
    """One process: the path of its app factory, the port `candor serve` gives it, and whether it computes."""

    factory: str
    port: int
    computes: bool = False


SERVICES = {
    "gateway": Service("gateway.app:create_app", 8080),
    "model": Service("services.model.app:create_app", 8081, computes=True),
    "retrieval": Service("services.retrieval.app:create_app", 8082),
    "tracing": Service("services.tracing.app:create_app", 8083),
    "evaluation": Service("services.evaluation.app:create_app", 8084),
}


def environment(service: str, home: Path, state: Path, urls: Mapping[str, str]) -> dict[str, str]:
    """The environment of one service's process: what the user set, and over it what ties the stack together.

    `urls` maps each service to its address. `state` is the folder of what a running stack changes; the data are read
    from `home`.
    """
    wiring = {"CANDOR_HOME": str(home)}
    if service == "gateway":
        wiring |= {f"CANDOR_GATEWAY_{name.upper()}_URL": url for name, url in urls.items() if name != "gateway"}
    if service == "retrieval" and "model" in urls:
        wiring["CANDOR_RETRIEVAL_MODEL_URL"] = urls["model"]
    if service == "evaluation":
        wiring["CANDOR_EVALUATION_GATEWAY_URL"] = urls["gateway"]
    if state != home and service in ("gateway", "evaluation"):
        wiring[f"CANDOR_{service.upper()}_DATABASE_URL"] = f"sqlite:///{state / service}.db"
    if state != home and service == "model":
        wiring["CANDOR_MODEL_EXPERTS"] = str(state / "experts")
    return {**_defaults(service), **os.environ, **wiring, "PYTHONUNBUFFERED": "1"}


def _defaults(service: str) -> dict[str, str]:
    """Thread counts and such, for whoever did not set them.

    The stages of a request follow each other, so the model gets every core and the rest one thread each; left to
    themselves all five would start a pool of every core's size, and stall one another.
    """
    threads = str(cores() if SERVICES[service].computes else 1)
    pools = ("OMP", "MKL", "OPENBLAS", "NUMBA", "NUMEXPR")
    return {
        **{f"{pool}_NUM_THREADS": threads for pool in pools},
        # threads that spin while they wait take the core from those that work, on a busy machine
        "OMP_WAIT_POLICY": "PASSIVE",
        "TOKENIZERS_PARALLELISM": "false",
    }
