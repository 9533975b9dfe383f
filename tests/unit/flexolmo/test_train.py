"""Training an owner's expert: what moves, what must not, and that it can be repeated and resumed."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from services.model.flexolmo.anchor import load_anchor
from services.model.flexolmo.blocks import trained_parameters
from services.model.flexolmo.checkpoint import OtherTraining
from services.model.flexolmo.corpus import read_documents
from services.model.flexolmo.optimise import Progress
from services.model.flexolmo.train import Trained, train
from services.model.flexolmo.training import Settings


def run(
    anchor: Path,
    texts: Path,
    resume: Path,
    settings: Settings,
    *,
    owner: str = "harbour",
    stop_after: int | None = None,
    stages: list[str] | None = None,
) -> Trained:
    def stop(now: Progress) -> None:
        if now.step == stop_after:
            raise KeyboardInterrupt

    return train(
        owner,
        anchor=anchor,
        texts=texts / owner,
        public=texts / "public",
        resume=resume,
        settings=settings,
        stage=(stages if stages is not None else []).append,
        progress=stop,
    )


def weights(trained: Trained) -> list[torch.Tensor]:
    return [parameter.detach() for parameter in trained_parameters(trained.layers)]


def test_every_shared_weight_is_bit_equal_after_training(anchor: Path, trained: dict[str, Trained]) -> None:
    before = load_anchor(anchor).state_dict()
    after = {name.replace(".mlp.public.", ".mlp."): w for name, w in trained["harbour"].model.state_dict().items()}
    assert all(torch.equal(before[name], after[name]) for name in before)
    # ... and the rest did move, so that equality says something.
    assert all(layer.down.matrix().abs().max() > 0 for layer in trained["harbour"].layers)


def test_training_lowers_the_loss(trained: dict[str, Trained]) -> None:
    losses = trained["harbour"].losses
    assert sum(losses[-4:]) < sum(losses[:4]) * 0.97


def test_the_same_seed_gives_the_same_weights_and_another_does_not(
    anchor: Path, texts: Path, tmp_path: Path, settings: Settings
) -> None:
    first = weights(run(anchor, texts, tmp_path / "a", settings))
    again = weights(run(anchor, texts, tmp_path / "b", settings))
    other = weights(run(anchor, texts, tmp_path / "c", replace(settings, seed=1)))
    assert all(map(torch.equal, first, again))
    assert not all(map(torch.equal, first, other))


@pytest.mark.parametrize(("stop_after", "kept"), [(1, 0), (9, 0), (12, 10)])
def test_a_killed_training_resumes_to_the_weights_of_one_that_was_not(
    anchor: Path, texts: Path, tmp_path: Path, settings: Settings, *, stop_after: int, kept: int
) -> None:
    long = replace(settings, steps=14)
    whole = run(anchor, texts, tmp_path / "whole", long)
    with pytest.raises(KeyboardInterrupt):
        run(anchor, texts, tmp_path / "killed", long, stop_after=stop_after)
    stages: list[str] = []
    resumed = run(anchor, texts, tmp_path / "killed", long, stages=stages)
    assert stages[-1] == f"going on after step {kept} of 14, from {tmp_path / 'killed'}"
    assert resumed.losses == whole.losses
    assert all(map(torch.equal, weights(resumed), weights(whole)))


def test_what_is_done_before_the_first_step_is_told_in_stages(
    anchor: Path, texts: Path, tmp_path: Path, settings: Settings
) -> None:
    stages: list[str] = []
    with pytest.raises(KeyboardInterrupt):
        run(anchor, texts, tmp_path / "c", settings, stop_after=1, stages=stages)
    assert stages == [
        "reading the text",
        "hashing the anchor's weights",
        "loading the anchor",
        "tokenising 18 documents",
        "tokenising 18 public documents",
        "embedding 4 blocks of the text, for the router's start",
        "embedding 4 blocks of public text",
    ]


def test_a_step_s_progress_has_the_mean_loss_of_the_last_ten(
    anchor: Path, texts: Path, tmp_path: Path, settings: Settings
) -> None:
    seen: list[float] = []
    done = train(
        "harbour",
        anchor=anchor,
        texts=texts / "harbour",
        public=texts / "public",
        resume=tmp_path / "c",
        settings=replace(settings, steps=12),
        progress=lambda now: seen.append(now.loss),
    )
    losses = done.losses
    assert seen == pytest.approx([sum(losses[max(0, i - 10) : i]) / min(i, 10) for i in range(1, 13)])


def test_a_checkpoint_of_another_training_is_refused(
    anchor: Path, texts: Path, tmp_path: Path, settings: Settings
) -> None:
    run(anchor, texts, tmp_path / "c", settings)
    with pytest.raises(OtherTraining, match=rf"{tmp_path / 'c'} .*differs in data.*--checkpoint FILE"):
        run(anchor, texts, tmp_path / "c", settings, owner="bakery")
    with pytest.raises(OtherTraining, match="learning_rate"):
        run(anchor, texts, tmp_path / "c", replace(settings, learning_rate=2e-2))


def test_a_checkpoint_without_a_step_holds_nobody_to_its_settings(
    anchor: Path, texts: Path, tmp_path: Path, settings: Settings
) -> None:
    with pytest.raises(KeyboardInterrupt):
        run(anchor, texts, tmp_path / "c", settings, stop_after=1)
    other = replace(settings, learning_rate=2e-2)
    begun, fresh = (run(anchor, texts, tmp_path / name, other) for name in ("c", "fresh"))
    assert all(map(torch.equal, weights(begun), weights(fresh)))


def test_heldout_documents_are_not_read_for_training(texts: Path) -> None:
    seen = {document.id for document in read_documents(texts / "harbour", "train")}
    kept = {document.id for document in read_documents(texts / "harbour", "heldout")}
    assert seen
    assert kept
    assert not seen & kept
