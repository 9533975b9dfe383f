"""Dockerfile and docker-compose.yml say what the code needs; as far as that can be told without an engine."""

import fnmatch
import inspect
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from gateway.cli.serve import serve
from gateway.embedded import SERVICES

ROOT = Path(__file__).resolve().parents[2]
DOCKERFILE = (ROOT / "Dockerfile").read_text()
COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
CONTAINERS: dict[str, dict[str, Any]] = COMPOSE["services"]


def tool(name: str) -> str:
    """A checker installed beside Python or on the path; the test is skipped without it."""
    found = shutil.which(name, path=str(Path(sys.executable).parent)) or shutil.which(name)
    if found is None:
        pytest.skip(f"{name} is not installed")
    return found


def test_every_service_has_a_build_target_that_serves_it() -> None:
    for service in SERVICES:
        stage = re.search(rf"FROM base AS {service}\n(.*?)(?=\nFROM|\Z)", DOCKERFILE, re.S)
        assert stage, service
        assert f'"serve", "{service}", "--host", "0.0.0.0"' in stage[1]
        assert f"EXPOSE {SERVICES[service].port}\n" in stage[1]
        assert CONTAINERS[service]["build"]["target"] == service


def test_the_image_runs_as_an_ordinary_user() -> None:
    users = re.findall(r"^USER (\S+)", DOCKERFILE, re.M)
    assert users == ["10001:10001"]


def test_the_build_needs_no_frontend_from_a_registry() -> None:
    assert "syntax=" not in DOCKERFILE


def test_the_build_context_lets_through_what_the_dockerfile_copies() -> None:
    admitted = [line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")]
    copied = re.findall(r"^COPY (\S+) ", DOCKERFILE, re.M) + re.findall(r"/source/([\w.]+\.\w+)", DOCKERFILE)
    assert copied
    for path in copied:
        assert (ROOT / path).exists(), path
        assert any(fnmatch.fnmatch(path, pattern) for pattern in admitted), path


def test_only_the_gateway_is_published_and_on_loopback() -> None:
    published = {name: container["ports"] for name, container in CONTAINERS.items() if "ports" in container}
    assert list(published) == ["gateway"]
    assert published["gateway"] == ["${CANDOR_BIND:-127.0.0.1}:${CANDOR_PORT:-8080}:8080"]


def test_services_and_databases_are_on_a_network_without_a_way_out() -> None:
    assert COMPOSE["networks"]["inside"] == {"internal": True}
    outside = {name for name, container in CONTAINERS.items() if container["networks"] != ["inside"]}
    assert outside == {"gateway", "data"}


@pytest.mark.parametrize("name", CONTAINERS)
def test_every_container_is_confined(name: str) -> None:
    container = CONTAINERS[name]
    assert container["read_only"] is True
    assert container["cap_drop"] == ["ALL"]
    assert container["security_opt"] == ["no-new-privileges:true"]
    assert "mem_limit" in container


@pytest.mark.parametrize("service", SERVICES)
def test_every_service_is_healthy_only_when_it_is_ready(service: str) -> None:
    assert f":{SERVICES[service].port}/readyz" in CONTAINERS[service]["healthcheck"]["test"][-1]


def test_the_gateway_and_evaluation_find_each_other_and_the_services() -> None:
    environment = {**CONTAINERS["gateway"]["environment"], **CONTAINERS["evaluation"]["environment"]}
    urls = {name: url for name, url in environment.items() if name.endswith("_URL") and "DATABASE" not in name}
    assert urls == {
        **{
            f"CANDOR_GATEWAY_{service.upper()}_URL": f"http://{service}:{SERVICES[service].port}"
            for service in SERVICES
            if service != "gateway"
        },
        "CANDOR_EVALUATION_GATEWAY_URL": f"http://gateway:{SERVICES['gateway'].port}",
    }


def test_data_are_written_by_the_data_job_and_by_retrieval_which_takes_documents() -> None:
    for name, container in CONTAINERS.items():
        mounts = [mount for mount in container.get("volumes", []) if mount.startswith("data:")]
        assert mounts in ([], ["data:/data"] if name in ("data", "retrieval") else ["data:/data:ro"]), name


def test_the_model_service_keeps_who_joined_and_left_in_a_volume_that_its_user_can_write() -> None:
    folder = CONTAINERS["model"]["environment"]["CANDOR_MODEL_EXPERTS"]
    assert f"experts:{folder}" in CONTAINERS["model"]["volumes"]
    assert "experts" in COMPOSE["volumes"]
    # a new volume takes the owner of the folder that it is mounted over
    assert re.search(rf"install -d -o 10001 -g 10001 .*{folder}$", DOCKERFILE, re.M)


def test_containers_are_killed_only_after_requests_under_way_had_their_time_to_end() -> None:
    grace = inspect.signature(serve).parameters["grace"].default
    for name in SERVICES:
        assert int(CONTAINERS[name]["stop_grace_period"].removesuffix("s")) > grace


@pytest.mark.parametrize("service", ["model", "retrieval", "tracing", "evaluation"])
def test_services_start_when_the_data_are_built(service: str) -> None:
    assert CONTAINERS[service]["depends_on"]["data"] == {"condition": "service_completed_successfully"}


@pytest.mark.parametrize("service", ["gateway", "evaluation"])
def test_gateway_and_evaluation_each_keep_their_state_in_a_postgresql_of_their_own(service: str) -> None:
    environment = CONTAINERS[service]["environment"]
    url = environment[f"CANDOR_{service.upper()}_DATABASE_URL"]
    assert url.startswith("postgresql://")
    assert f"@{service}-database/" in url
    assert CONTAINERS[f"{service}-database"]["volumes"] == [f"{service}-database:/var/lib/postgresql/data"]


def test_the_vllm_host_listens_where_the_model_service_looks_for_it_and_starts_only_when_asked_for() -> None:
    address = CONTAINERS["model"]["environment"]["CANDOR_MODEL_VLLM_ADDRESS"]
    assert CONTAINERS["model"]["environment"]["CANDOR_MODEL_ENGINE"] == "${CANDOR_MODEL_ENGINE:-transformers}"
    kind, name, port = address.split(":")
    assert (kind, CONTAINERS[name]["profiles"]) == ("tcp", ["vllm"])
    dockerfile = (ROOT / "vllm_plugin" / "Dockerfile").read_text()
    assert f'"--listen", "tcp:0.0.0.0:{port}"' in dockerfile
    assert re.findall(r"^USER (\S+)", dockerfile, re.M) == ["10001:10001"]


@pytest.mark.parametrize("profiles", [[], ["--profile", "vllm"]])
def test_docker_compose_accepts_the_file(profiles: list[str]) -> None:
    command = [tool("docker-compose"), "--file", str(ROOT / "docker-compose.yml"), *profiles, "config", "--quiet"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("name", ["Dockerfile", "vllm_plugin/Dockerfile"])
def test_hadolint_finds_nothing_to_warn_of(name: str) -> None:
    command = [tool("hadolint"), "--failure-threshold", "warning", str(ROOT / name)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout
