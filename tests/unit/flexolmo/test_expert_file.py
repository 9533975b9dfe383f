"""An expert's file: any damage to it is found, whatever is damaged."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor

from services.model.flexolmo import checkpoint
from services.model.flexolmo.expert import BrokenExpert, content_hash, read_expert
from services.model.flexolmo.export import Unfinished, export, write
from services.model.flexolmo.train import Trained, train
from services.model.flexolmo.training import Settings, first_loss, last_loss


@pytest.fixture(scope="module", params=[4, None], ids=["low-rank", "full"])
def file(
    request: pytest.FixtureRequest,
    anchor: Path,
    texts: Path,
    settings: Settings,
    tmp_path_factory: pytest.TempPathFactory,
) -> Path:
    folder = tmp_path_factory.mktemp("file")

    trained = train(
        "harbour",
        anchor=anchor,
        texts=texts / "harbour",
        public=texts / "public",
        resume=folder / "c",
        settings=replace(settings, rank=request.param, steps=2),
    )
    return export(trained, folder / "harbour.safetensors")


def metadata(file: Path) -> dict[str, str]:
    with safe_open(file, framework="pt") as stored:
        said: dict[str, str] = stored.metadata()
    return said


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_a_file_with_any_byte_changed_or_cut_off_is_refused_or_says_the_same(
    data: st.DataObject, file: Path, tmp_path: Path
) -> None:
    content = bytearray(file.read_bytes())
    place = data.draw(st.integers(0, len(content) - 1))
    if data.draw(st.booleans()):
        del content[place:]
    else:
        content[place] ^= data.draw(st.integers(1, 255))
    damaged = tmp_path / "damaged.safetensors"
    damaged.write_bytes(content)
    whole = read_expert(file)
    try:
        read = read_expert(damaged)
    except BrokenExpert:
        return
    assert (read.owner, read.licence, read.anchor, read.card) == (whole.owner, whole.licence, whole.anchor, whole.card)
    assert all(torch.equal(read.tensors[name], tensor) for name, tensor in whole.tensors.items())


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"rank": "many"}, "cannot be"),
        ({"layers": "0"}, "cannot be"),
        ({"base": "[0]"}, "cannot be"),
        ({"card": "[]"}, "cannot be"),
        ({"owner": "../papers"}, "no owner's id"),
        ({"format": "candor-expert-9"}, "not an expert file"),
        ({"licence": "changed"}, "changed after it was written"),
    ],
)
def test_a_file_that_speaks_nonsense_of_itself_is_refused(
    changed: dict[str, str], said: str, file: Path, tmp_path: Path
) -> None:
    save_file(load_file(file), tmp_path / "f.safetensors", metadata=metadata(file) | changed)
    with pytest.raises(BrokenExpert, match=said):
        read_expert(tmp_path / "f.safetensors")


@pytest.mark.parametrize("shape", [(48,), (3, 48), (96, 48, 1), (0, 48), ()])
@pytest.mark.parametrize("part", ["router", "gate", "down"])
def test_a_tensor_of_another_shape_is_refused_even_with_the_right_hash(
    shape: tuple[int, ...], part: str, file: Path, tmp_path: Path
) -> None:
    tensors: dict[str, Tensor] = load_file(file)
    name = next(name for name in sorted(tensors) if f"layers.1.{part}" in name)
    if tensors[name].shape == shape:
        return
    tensors[name] = torch.zeros(shape, dtype=torch.bfloat16)
    said = metadata(file)
    save_file(tensors, tmp_path / "f.safetensors", metadata=said | {"sha256": content_hash(said, tensors)})
    with pytest.raises(BrokenExpert, match=r"layers\.1"):
        read_expert(tmp_path / "f.safetensors")


def test_the_data_card_tells_of_the_text_by_hash_and_number_alone(file: Path, texts: Path) -> None:
    card = read_expert(file).card
    assert card["documents"] == 18
    rows = [json.loads(line) for line in (texts / "harbour" / "notes.jsonl").read_text().splitlines()]
    trained_on = [row for row in rows if row["split"] == "train"]
    assert card["text_tokens"] == sum(len(row["text"].encode()) for row in trained_on)
    assert str(card["command"]).startswith("candor expert train --owner harbour")
    assert not any(row["text"].encode() in file.read_bytes() or row["id"].encode() in file.read_bytes() for row in rows)


def test_a_training_with_steps_left_is_not_exported(trained: dict[str, Trained], tmp_path: Path) -> None:
    state = trained["harbour"].state
    with pytest.raises(Unfinished, match="did 19 of 20 steps"):
        write(replace(state, losses=state.losses[:-1]), tmp_path / "e.safetensors")
    assert not (tmp_path / "e.safetensors").exists()


def test_one_training_is_one_file_byte_for_byte_however_it_is_written(
    trained: dict[str, Trained], tmp_path: Path
) -> None:
    ours = trained["harbour"]
    checkpoint.save(tmp_path / "c", ours.state)
    files = [export(ours, tmp_path / "a"), write(checkpoint.read(tmp_path / "c"), tmp_path / "b")]
    files += [write(ours.state, tmp_path / f"again-{i}") for i in range(3)]
    assert len({file.read_bytes() for file in files}) == 1
    # The tensors begin where the format wants them.
    assert (8 + int.from_bytes(files[0].read_bytes()[:8], "little")) % 8 == 0


def test_the_card_s_losses_are_those_that_a_training_reports(trained: dict[str, Trained], tmp_path: Path) -> None:
    losses = trained["harbour"].losses
    card = read_expert(export(trained["harbour"], tmp_path / "e.safetensors")).card
    assert card["first_loss"] == pytest.approx(sum(losses[:10]) / 10, abs=1e-4)
    assert card["last_loss"] == pytest.approx(sum(losses[10:]) / 10, abs=1e-4)
    assert (first_loss(losses[:3]), last_loss(losses[:3])) == pytest.approx((sum(losses[:3]) / 3,) * 2)
