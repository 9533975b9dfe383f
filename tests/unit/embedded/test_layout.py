"""What each process of a stack is told by its environment."""

import socket
from pathlib import Path

import pytest

from gateway.embedded.layout import SERVICES, environment
from gateway.embedded.sockets import bind, url
from gateway.settings import GatewaySettings
from services.evaluation.settings import EvaluationSettings

HOME = Path("/data")
URLS = {service: f"http://127.0.0.1:{9000 + number}" for number, service in enumerate(SERVICES)}


def told(service: str, state: Path = HOME) -> dict[str, str]:
    return environment(service, HOME, state, URLS)


def test_the_gateway_is_told_where_every_service_is(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in told("gateway").items():
        monkeypatch.setenv(name, value)
    settings = GatewaySettings()
    for service in set(SERVICES) - {"gateway"}:
        assert getattr(settings, f"{service}_url") == URLS[service]


def test_evaluation_is_told_where_the_gateway_is(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in told("evaluation").items():
        monkeypatch.setenv(name, value)
    assert EvaluationSettings().gateway_url == URLS["gateway"]


def test_the_defaults_of_the_settings_are_the_ports_that_serve_takes(monkeypatch: pytest.MonkeyPatch) -> None:
    for service in SERVICES:
        monkeypatch.delenv(f"CANDOR_GATEWAY_{service.upper()}_URL", raising=False)
    monkeypatch.delenv("CANDOR_EVALUATION_GATEWAY_URL", raising=False)
    addresses = {service: f"http://127.0.0.1:{SERVICES[service].port}" for service in SERVICES}
    defaults = {service: getattr(GatewaySettings(), f"{service}_url") for service in set(SERVICES) - {"gateway"}}
    assert {**defaults, "gateway": EvaluationSettings().gateway_url} == addresses


@pytest.mark.parametrize("service", ["gateway", "evaluation"])
def test_databases_go_where_the_state_goes(service: str) -> None:
    variable = f"CANDOR_{service.upper()}_DATABASE_URL"
    assert told(service, Path("/state"))[variable] == f"sqlite:////state/{service}.db"


def test_experts_that_come_and_go_do_so_where_the_state_is() -> None:
    assert told("model", Path("/state"))["CANDOR_MODEL_EXPERTS"] == "/state/experts"
    assert "CANDOR_MODEL_EXPERTS" not in told("model")


@pytest.mark.parametrize("service", ["gateway", "evaluation"])
def test_a_database_that_the_user_set_stays(service: str, monkeypatch: pytest.MonkeyPatch) -> None:
    variable = f"CANDOR_{service.upper()}_DATABASE_URL"
    monkeypatch.setenv(variable, "postgresql://elsewhere/ledger")
    assert told(service)[variable] == "postgresql://elsewhere/ledger"


def test_only_the_model_gets_more_than_one_thread_unless_the_user_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    assert {service: told(service)["OMP_NUM_THREADS"] for service in set(SERVICES) - {"model"}} == dict.fromkeys(
        set(SERVICES) - {"model"}, "1"
    )
    assert int(told("model")["OMP_NUM_THREADS"]) >= 1
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    assert {told(service)["OMP_NUM_THREADS"] for service in SERVICES} == {"3"}


def test_an_address_that_listens_everywhere_is_reached_on_loopback() -> None:
    with bind("0.0.0.0", 0) as everywhere:
        assert url(everywhere) == f"http://127.0.0.1:{everywhere.getsockname()[1]}"


def test_the_port_of_a_service_that_died_can_be_had_again_at_once() -> None:
    with bind("127.0.0.1", 0) as first:
        first.listen()
        port: int = first.getsockname()[1]
        with socket.create_connection(("127.0.0.1", port)) as client:
            served, _ = first.accept()
            first.close()
            served.close()  # the server's side closes first: its half of the connection lingers on the port
            client.recv(1)
    bind("127.0.0.1", port).close()


def test_a_port_chosen_freely_is_nobody_else_s() -> None:
    sockets = [bind("127.0.0.1", 0) for _ in range(50)]
    assert len({bound.getsockname() for bound in sockets}) == 50
    for bound in sockets:
        bound.close()
