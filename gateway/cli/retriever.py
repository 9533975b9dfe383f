"""`candor retriever`: fine-tune the encoder on the owners' texts."""

from __future__ import annotations

import json
from dataclasses import asdict
from importlib.util import find_spec
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from gateway.cli.failure import Failure, explained
from gateway.cli.synthesise import synthesise
from gateway.cli.terminal import errors, out
from gateway.cli.trainable import Base, Held, Owners, encoder_card, owners_segments
from shared.settings import candor_home

if TYPE_CHECKING:
    from services.retrieval.encoders.base import Card
    from services.retrieval.training.evaluate import Judged

commands = typer.Typer(no_args_is_help=True, help="Fine-tune the encoder of the retrieval service.")
commands.command()(synthesise)


@commands.command("build-pairs")
def build_pairs(
    *,
    owners: Owners,
    data: Annotated[Path, typer.Option("--out", help="Where to write the JSONL.")],
    datastore: str = "main",
    base: Base = "minilm",
    held: Held = 0.5,
    margin: Annotated[float, typer.Option(help="A negative scores at least so much below the positive.")] = 0.05,
    count: Annotated[int, typer.Option(min=1, help="At most so many pairs.")] = 100_000,
) -> None:
    """Make training pairs with mined hard negatives from the owners' questions and passages."""
    from services.retrieval.encoders.base import load
    from services.retrieval.training import pairs

    card = encoder_card("--base", base)
    segments = owners_segments(datastore, owners, card)
    asked = pairs.questions(candor_home() / "questions", owners)
    made = pairs.build_pairs(segments, load(card), asked, held=held, margin=margin)
    written = 0
    data.parent.mkdir(parents=True, exist_ok=True)
    with data.open("w", encoding="utf-8") as file:
        for pair in islice(made, count):
            file.write(json.dumps(asdict(pair), ensure_ascii=False) + "\n")
            written += 1
    out.print(f"{written} pairs in {data}.", soft_wrap=True)


@commands.command()
def train(
    *,
    data: Annotated[list[Path], typer.Option(help="JSONL of pairs. May be repeated.")],
    folder: Annotated[Path, typer.Option("--out", help="Folder of the new encoder.")],
    base: Base = "minilm",
    steps: Annotated[int, typer.Option(min=1)] = 1000,
    batch: Annotated[int, typer.Option(min=2)] = 256,
    mini_batch: Annotated[int, typer.Option(min=1)] = 32,
    max_tokens: Annotated[int, typer.Option(min=8)] = 256,
    learning_rate: Annotated[float, typer.Option(min=0)] = 2e-5,
    seed: int = 0,
) -> None:
    """Fine-tune an encoder on pairs; a run that was cut off goes on from its last checkpoint."""
    from services.retrieval.training.pairs import BadPairs, read_pairs
    from services.retrieval.training.record import Recipe
    from services.retrieval.training.train import NotTheSameRun
    from services.retrieval.training.train import train as run

    card = encoder_card("--base", base)
    with explained(BadPairs):
        pairs = [pair for file in data for pair in read_pairs(file)]
    if len(pairs) < batch:
        raise Failure(f"--data has {len(pairs)} pairs, fewer than --batch {batch}: give more, or a smaller batch.")
    recipe = Recipe(steps, batch, mini_batch, max_tokens, learning_rate, seed=seed)
    every = max(1, steps // 20)

    def tell(step: int) -> None:
        if step % every == 0:
            errors.print(f"step {step} of {steps}", highlight=False)

    if find_spec("sentence_transformers") is None:
        raise Failure("sentence-transformers is not installed: pip install 'candor[train]'.")
    with explained(NotTheSameRun, FileExistsError):
        losses = run(card, pairs, folder, recipe, tell)
    out.print(f"Encoder in {folder}; loss {losses[0]:.3f} at first, {losses[-1]:.3f} at last.", soft_wrap=True)


@commands.command()
def evaluate(
    *,
    tuned: Annotated[str, typer.Option(help="The tuned encoder, in the models folder or by the path of its folder.")],
    owners: Annotated[
        list[str] | None, typer.Option("--owner", help="Whose questions to ask. May be repeated.")
    ] = None,
    beir: Annotated[Path | None, typer.Option(help="Ask the queries of this folder in BEIR's format instead.")] = None,
    datastore: str = "main",
    base: Base = "minilm",
    held: Annotated[
        float | None, typer.Option(min=0, max=1, help="For an encoder that does not say what was held out of it.")
    ] = None,
    count: Annotated[int, typer.Option(min=1, help="At most so many questions.")] = 1000,
    passages: Annotated[
        int, typer.Option(min=1, help="Search so many at most, the relevant ones among them.")
    ] = 10_000,
) -> None:
    """Compare a tuned encoder with its base on questions whose documents it was not trained on."""
    from gateway.cli.gain import DEPTH, gains
    from services.retrieval.encoders.base import load
    from services.retrieval.training.evaluate import rankings, sample

    if (beir is None) == (owners is None):
        raise Failure("--owner or --beir: one of them says which questions to ask.")
    before, after = encoder_card("--base", base), encoder_card("--tuned", tuned)
    whole = _beir(beir) if beir else _unseen(owners or [], datastore, before, after, held)
    asked = sample(whole, count=count, passages=passages)
    out.print(f"{len(asked.queries)} questions among {len(asked.texts)} passages")
    found = [rankings(load(card), asked, DEPTH) for card in (before, after)]
    for line in gains(asked.judgements, *found):
        out.print(line, highlight=False)


def _unseen(owners: list[str], datastore: str, base: Card, tuned: Card, held: float | None) -> Judged:
    from services.retrieval.training.evaluate import judged
    from services.retrieval.training.pairs import questions
    from services.retrieval.training.pool import pool
    from services.retrieval.training.record import read_record
    from services.retrieval.training.split import held_out

    record = read_record(tuned.folder)
    if record is None and held is None:
        raise Failure(f"--held: {tuned.folder} does not say what was held out of its training: give the share.")
    if record and held not in (None, record.held):
        raise Failure(f"--held: {tuned.folder} was trained with {record.held}: leave --held out.")
    found = judged(
        pool(owners_segments(datastore, owners, base)),
        questions(candor_home() / "questions", owners),
        lambda one: not record.saw(one.owner, one.document) if record else held_out(one.document, held or 0.0),
    )
    if not found.queries:
        raise Failure("--owner: no question of these owners is of a document in the datastore that was held out.")
    return found


def _beir(folder: Path) -> Judged:
    from services.evaluation.beir import BadBeir, documents, read
    from services.retrieval.training.evaluate import Judged

    with explained(BadBeir):
        found, corpus = read(folder), list(documents(folder))
    return Judged(found.queries, found.judgements, [one.text for one in corpus], [one.id for one in corpus])
