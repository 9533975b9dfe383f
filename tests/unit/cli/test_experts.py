"""`candor expert` and `candor model`: from an owner's files to a model that transformers loads and generates with."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer
from typer.testing import CliRunner

from gateway.cli.app import app
from gateway.cli.failure import Failure
from gateway.cli.many import repeated
from services.model.flexolmo.expert import read_expert
from services.model.flexolmo.families import FAMILIES
from services.model.flexolmo.recipe import EXPERTS
from tests.unit.cli.test_commands import candor
from tests.unit.flexolmo.conftest import make_anchor

TINY = ("--steps", "4", "--blocks", "2", "--block-tokens", "32", "--threads", "1")
WORDS = "the tide turns at the old quay and a pilot waits for the ferry with a rope in his hand "


@pytest.fixture(autouse=True)
def nothing_pulled(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An owner's machine without Candor's data, for tests that do not ask for them."""
    if "candor_home" not in request.fixturenames:
        monkeypatch.setenv("CANDOR_HOME", str(tmp_path / "home"))


@pytest.fixture(scope="module")
def anchor(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_anchor(tmp_path_factory.mktemp("anchor"), seed=0)


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """--data with two files, --public with one."""
    folder = tmp_path_factory.mktemp("files")
    lines = [json.dumps({"text": f"{WORDS} {i}", "licence": "CC0-1.0"}) for i in range(6)]
    (folder / "own.jsonl").write_text("\n".join(lines), encoding="utf-8")
    (folder / "own.txt").write_text(WORDS * 3, encoding="utf-8")
    (folder / "public.txt").write_text("A morning in the street, a letter on the table. " * 9, encoding="utf-8")
    own, text, public = (str(folder / name) for name in ("own.jsonl", "own.txt", "public.txt"))
    return ["--data", own, text, "--public", public]


def run(*arguments: object) -> str:
    """What the command prints; its Failure, if it ends with one."""
    done = CliRunner().invoke(app, [str(argument) for argument in arguments])
    if done.exception is not None and not isinstance(done.exception, SystemExit):
        raise done.exception
    assert done.exit_code == 0, done.output
    return done.stdout


@pytest.mark.parametrize("kind", [("--rank", "2"), ("--full",)], ids=["low-rank", "full"])
@pytest.mark.parametrize("family", FAMILIES)
def test_from_files_to_a_model_that_generates(
    family: str, kind: tuple[str, ...], files: list[str], tmp_path: Path
) -> None:
    anchor = make_anchor(tmp_path / "anchor", seed=1, family=family)
    for owner in ("harbour", "ferry"):
        assert "Trained on 7 documents" in run(
            "expert", "train", "--anchor", anchor, "--owner", owner, *files, *kind, *TINY, "--licence", "CC0-1.0"
        )
        assert "Wrote" in run("expert", "export", "--owner", owner, "--out", tmp_path / f"{owner}.safetensors")
    said = run("expert", "verify", tmp_path / "harbour.safetensors", "--anchor", anchor)
    assert "whole, and trained on this model" in said
    assert f"owner harbour, licence CC0-1.0, {'full' if kind == ('--full',) else 'rank 2'}, 3 layers" in said
    experts = [tmp_path / f"{owner}.safetensors" for owner in ("harbour", "ferry")]
    out = tmp_path / "merged"
    said = run("model", "merge", "--anchor", anchor, "--expert", *experts, "--k", 2, "--out", out)
    assert said.startswith(FAMILIES[family].form.architecture)
    assert "2 a token" in said
    model: Any = AutoModelForCausalLM.from_pretrained(out, dtype=torch.float32)
    tokens = AutoTokenizer.from_pretrained(out)("The tide", return_tensors="pt").input_ids
    assert model.generate(tokens, max_new_tokens=4, do_sample=False).shape[1] > tokens.shape[1]


def test_values_of_a_list_option_may_follow_it_once_or_one_by_one() -> None:
    line = ["--data", "a", "b", "--owner", "o", "--data", "c", "--public", "p", "q", "--full"]
    spread = ["--data", "a", "--data", "b", "--owner", "o", "--data", "c", "--public", "p", "--public", "q", "--full"]
    assert repeated(line, ["--data", "--public"]) == spread
    assert repeated(spread, ["--data", "--public"]) == spread


def test_without_pulled_data_it_is_said_which_option_names_what(anchor: Path, files: list[str]) -> None:
    own, public = files[:3], files[3:]
    with pytest.raises(Failure, match=r"candor data pull.*--anchor DIR"):
        run("expert", "train", "--owner", "harbour", *files)
    with pytest.raises(Failure, match="--data FILES"):
        run("expert", "train", "--owner", "harbour", "--anchor", anchor, *public)
    with pytest.raises(Failure, match="--public FILES"):
        run("expert", "train", "--owner", "harbour", "--anchor", anchor, *own)


def test_a_broken_line_is_named(anchor: Path, files: list[str], tmp_path: Path) -> None:
    broken = tmp_path / "broken.jsonl"
    broken.write_text('{"text": "good"}\n{"text": ', encoding="utf-8")
    with pytest.raises(Failure, match=r"broken\.jsonl, line 2: not JSON"):
        run("expert", "train", "--anchor", anchor, "--owner", "harbour", "--data", broken, *files[3:])


@pytest.mark.parametrize("owner", ["public", "../harbour", "Harbour"])
def test_an_owner_s_id_that_cannot_be_one_is_refused(owner: str, anchor: Path, files: list[str]) -> None:
    with pytest.raises(Failure, match=r"no owner|No owner"):
        run("expert", "train", "--anchor", anchor, "--owner", owner, *files, *TINY)


def test_a_file_of_another_anchor_is_refused_by_the_name_of_a_tensor_and_a_lone_one_is_checked_alone(
    anchor: Path, files: list[str], tmp_path: Path
) -> None:
    expert = tmp_path / "harbour.safetensors"
    run("expert", "train", "--anchor", anchor, "--owner", "harbour", *files, *TINY, "--out", expert)
    other = make_anchor(tmp_path / "other", seed=9)
    with pytest.raises(Failure, match=r"another anchor.*model\.embed_tokens\.weight"):
        run("expert", "verify", expert, "--anchor", other)
    with pytest.raises(Failure, match=r"another anchor.*model\.embed_tokens\.weight"):
        run("model", "merge", "--anchor", other, "--expert", expert, "--out", tmp_path / "m")
    assert not (tmp_path / "m").exists()
    with pytest.raises(Failure, match="one expert"):
        run("model", "merge", "--anchor", anchor, "--expert", expert, expert, "--out", tmp_path / "m")
    assert "Not compared with an anchor" in run("expert", "verify", expert)


def test_a_training_that_is_not_there_cannot_be_exported(tmp_path: Path) -> None:
    with pytest.raises(Failure, match=r"'harbour' was trained.*harbour\.training.*expert train --owner harbour"):
        run("expert", "export", "--owner", "harbour")
    with pytest.raises(Failure, match=r"no checkpoint .*harbour\.training"):
        run("expert", "export", "--checkpoint", tmp_path / "harbour.training")


def test_a_training_says_its_stages_and_steps_on_the_error_stream_and_its_file_is_the_exported_one(
    anchor: Path, files: list[str], tmp_path: Path
) -> None:
    once, again = tmp_path / "once.safetensors", tmp_path / "again.safetensors"
    line = ["expert", "train", "--anchor", str(anchor), "--owner", "harbour", *files, *TINY, "--out", str(once)]
    done = CliRunner().invoke(app, line)
    assert done.exit_code == 0, done.output
    said = done.stderr.splitlines()
    assert said[:2] == ["loading torch and transformers ...", "reading the text ..."]
    assert any(line.startswith("embedding ") for line in said)
    assert said[-1].startswith("step 4/4: loss ")
    assert "reading" not in done.stdout
    # one loss: the same in the last step's line, in the result and in the expert's card
    loss = said[-1].split("loss ")[1].split(",")[0]
    assert f"-> {loss} " in done.stdout
    run("expert", "export", "--owner", "harbour", "--out", again)
    assert once.read_bytes() == again.read_bytes()
    assert f"{float(str(read_expert(again).card['last_loss'])):.3f}" == loss


def test_a_committed_expert_is_whole_and_of_this_model(candor_home: Path) -> None:
    said = run("expert", "verify", EXPERTS / "medicine.safetensors")
    assert "whole, and trained on this model" in said
    assert "owner medicine" in said


def test_a_damaged_expert_is_refused(candor_home: Path, tmp_path: Path) -> None:
    damaged = tmp_path / "damaged.safetensors"
    damaged.write_bytes((EXPERTS / "medicine.safetensors").read_bytes()[:-1000])
    done = candor("expert", "verify", str(damaged), home=candor_home)
    assert (done.returncode, done.stdout) == (1, "")
    assert str(damaged) in done.stderr


def test_an_owner_without_pulled_text_cannot_be_trained_without_files(candor_home: Path) -> None:
    with pytest.raises(Failure, match=r"There is no text of 'nobody'.*medicine"):
        run("expert", "train", "--owner", "nobody")


def test_files_are_merged_only_into_a_named_folder(candor_home: Path) -> None:
    with pytest.raises(Failure, match="--out"):
        run("model", "merge", "--expert", EXPERTS / "medicine.safetensors")


def test_a_router_is_tuned_only_of_a_merge_with_a_folder() -> None:
    with pytest.raises(Failure, match="--out"):
        run("model", "merge", "--tune-router")


def test_a_merge_does_not_take_the_place_of_what_is_there(tmp_path: Path) -> None:
    (tmp_path / "letters.txt").write_text("dear")
    done = CliRunner().invoke(app, ["model", "merge", "--out", str(tmp_path)])
    assert isinstance(done.exception, Failure)
    assert "something in" in str(done.exception)
    assert (tmp_path / "letters.txt").read_text() == "dear"
