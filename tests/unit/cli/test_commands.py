"""The `candor` command as a user meets it without a stack: its help, its refusals, what it would send."""

import os
import socket
import subprocess
import sys
from pathlib import Path
from typing import get_args

import pytest

from gateway.cli.ask import question_request
from gateway.cli.serve import Name
from gateway.embedded import SERVICES

NOWHERE = "http://127.0.0.1:9"


def candor(*arguments: str, home: Path | None = None) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "COLUMNS": "200", **({"CANDOR_HOME": str(home)} if home else {})}
    return subprocess.run(
        [sys.executable, "-m", "gateway.cli", *arguments], capture_output=True, text=True, env=environment, check=False
    )


def test_help_names_every_command_and_loads_nothing_heavy() -> None:
    code = (
        "import sys; sys.argv = ['candor', '--help']\n"
        "from gateway.cli import main\n"
        "try: main()\n"
        "finally: print([m for m in ('torch', 'transformers', 'faiss', 'numba', 'dbos') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    for command in ("up", "serve", "ask", "trace", "demo", "data", "expert", "model", "eval"):
        assert f" {command} " in done.stdout
    assert done.stdout.rstrip().endswith("[]")


def test_help_loads_nothing_that_takes_seconds_to_import() -> None:
    heavy = {"torch", "transformers", "faiss", "numba", "plotly", "sklearn", "sentence_transformers", "dbos"}
    program = f"import sys, gateway.cli.app; sys.exit(' '.join({heavy!r} & set(sys.modules)) or 0)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize(
    "arguments",
    [
        ("ask", "Who?", "--url", NOWHERE),
        ("eval", "run", "rag-qa", "--url", NOWHERE),
        ("eval", "show", "run-1", "--url", NOWHERE),
        ("eval", "list", "--url", NOWHERE),
        ("eval", "cancel", "run-1", "--url", NOWHERE),
        ("trace", __file__, "--url", NOWHERE),
    ],
)
def test_without_a_stack_a_command_says_how_to_start_one(arguments: tuple[str, ...]) -> None:
    done = candor(*arguments)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == f"Error: No Candor stack answers at {NOWHERE}. Start one with: candor up\n"


@pytest.mark.parametrize(
    "arguments",
    [("up",), ("data", "build"), ("expert", "train", "--owner", "papers"), ("model", "merge"), ("model", "thinking")],
)
def test_without_data_a_command_says_how_to_get_them(arguments: tuple[str, ...], tmp_path: Path) -> None:
    done = candor(*arguments, home=tmp_path)
    assert (done.returncode, done.stdout) == (1, "")
    assert "candor data pull" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_character_that_the_terminal_has_not_is_replaced() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "gateway.cli", "trace", "🦭.txt"],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONIOENCODING": "ascii"},
        check=False,
    )
    assert done.returncode == 1
    assert "Cannot read ?.txt" in done.stderr


def test_a_port_in_use_is_refused_with_what_to_do() -> None:
    with socket.create_server(("127.0.0.1", 0)) as rival:
        port = rival.getsockname()[1]
        done = candor("serve", "tracing", "--port", str(port))
    assert done.returncode == 1
    assert f"Port {port} on 127.0.0.1 is in use" in done.stderr
    assert "--port" in done.stderr


def test_an_address_of_another_machine_is_refused() -> None:
    done = candor("serve", "tracing", "--host", "192.0.2.1", "--port", "0")
    assert done.returncode == 1
    assert "Cannot listen on 192.0.2.1" in done.stderr


def test_an_unknown_service_is_refused_with_the_known_ones() -> None:
    done = candor("serve", "kitchen")
    assert done.returncode == 2
    assert all(service in done.stderr for service in SERVICES)


def test_every_service_can_be_served() -> None:
    assert get_args(Name) == tuple(SERVICES)


def test_including_and_excluding_at_once_is_refused() -> None:
    done = candor("ask", "Who?", "--include", "papers", "--exclude", "news", "--url", NOWHERE)
    assert done.returncode == 2
    assert "not both" in done.stderr


@pytest.mark.parametrize("content", [None, b"", b"\xff\xfe\xfa"])
def test_a_file_that_cannot_be_traced_is_named(content: bytes | None, tmp_path: Path) -> None:
    file = tmp_path / "text.txt"
    if content is not None:
        file.write_bytes(content)
    done = candor("trace", str(file), "--url", NOWHERE)
    assert done.returncode == 1
    assert str(file) in done.stderr
    assert "Traceback" not in done.stderr


def test_a_question_sends_only_what_was_given() -> None:
    plain = question_request("Who?").model_dump(exclude_unset=True)
    assert plain == {"model": "candor", "messages": [{"role": "user", "content": "Who?"}], "candor": {}}


def test_a_question_sends_all_that_was_given() -> None:
    request = question_request("Who?", exclude=["news"], samples=3, k=2, seed=7).model_dump(exclude_unset=True)
    assert request["seed"] == 7
    assert request["candor"] == {
        "owners": {"exclude": ["news"]},
        "sampling": {"samples": 3},
        "retrieval": {"k": 2},
    }
    included = question_request("Who?", include=["news"]).model_dump(exclude_unset=True)
    assert included["candor"] == {"owners": {"include": ["news"]}}


def test_a_seed_that_no_run_can_have_is_refused_in_words() -> None:
    done = candor("eval", "run", "rag", "--seed", "-1")
    assert done.returncode == 2
    assert "--seed" in done.stderr
    assert "Traceback" not in done.stderr
